// The sequences that a measurement runs over. Private to sink.
#ifndef TB_SINK_SEQUENCES_H
#define TB_SINK_SEQUENCES_H

#include "sink/sink.h"

// What stands at a position: a token, or a register of the model in front of them.
typedef struct tb_sink_sequences {
    int32_t *tokens; // [count][rows]: −1 − i for register i, then `length` tokens
    size_t count, length, registers, rows;
    bool bos; // the tokens begin with one
} tb_sink_sequences;

// The tokens of a sequence.
static inline int32_t *tb_sink_text(const tb_sink_sequences *sequences, size_t index)
{
    return sequences->tokens + index * sequences->rows + sequences->registers;
}

// Clear also after failure.
tb_code tb_sink_sequences_init(tb_sink_sequences *out, const tb_model *model, const tb_sink_options *options,
                               tb_error *err);
void tb_sink_sequences_clear(tb_sink_sequences *sequences);

#endif
