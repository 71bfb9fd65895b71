// The sequences that a measurement runs over. Private to sink.
#ifndef TB_SINK_SEQUENCES_H
#define TB_SINK_SEQUENCES_H

#include "sink/sink.h"

typedef struct tb_sink_sequences {
    int32_t *tokens; // [count][length]
    size_t count, length;
    bool bos; // each begins with one
} tb_sink_sequences;

// Refuses a model whose first token is not at position 0.
tb_code tb_sink_check_model(const tb_model *model, tb_error *err);

// Clear also after failure.
tb_code tb_sink_sequences_init(tb_sink_sequences *out, const tb_model *model, const tb_sink_options *options,
                               tb_error *err);
void tb_sink_sequences_clear(tb_sink_sequences *sequences);

#endif
