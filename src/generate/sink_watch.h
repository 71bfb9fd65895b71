// What attention and the residual stream look like in the pass that a token is chosen from. Private to generate.
#ifndef TB_GENERATE_SINK_WATCH_H
#define TB_GENERATE_SINK_WATCH_H

#include "generate/generate.h"

typedef struct tb_sink_watch tb_sink_watch;

// Watches a sequence, which it must not outlive, by its probe. `memory`: how the sequence remembers.
tb_code tb_sink_watch_new(tb_sink_watch **out, tb_seq *seq, const tb_seq_options *memory, tb_error *err);
// Accepts NULL.
void tb_sink_watch_free(tb_sink_watch *watch);

// The next pushes lead up to a sequence of so many tokens: the last of them is the one to look at.
void tb_sink_watch_aim(tb_sink_watch *watch, size_t length);

// What was seen at the token that was aimed at.
void tb_sink_watch_get(tb_sink_sight *out, const tb_sink_watch *watch);

#endif
