// Weights of down matrices taken out of a pass, by taking what they give out of the outputs: for every storage type,
// and the model stays as it is. Private to sink.
#ifndef TB_SINK_REMOVE_H
#define TB_SINK_REMOVE_H

#include "sink/sink.h"

typedef struct tb_sink_removal {
    const tb_super_weight *weights; // [count], borrowed; may grow between passes up to `most`
    size_t count, most, rows;
    float *inputs; // [most][rows]: what goes into each of them, in the block under way
} tb_sink_removal;

tb_code tb_sink_removal_init(tb_sink_removal *removal, tb_arena *arena, size_t most, size_t rows, tb_error *err);

// Calls of a probe: of an input of linears, then of what the feed-forward part gives, which it changes.
void tb_sink_removal_see(tb_sink_removal *removal, size_t block, const tb_probe_rows *down_input);
void tb_sink_removal_apply(const tb_sink_removal *removal, size_t block, const tb_edit_rows *output);

#endif
