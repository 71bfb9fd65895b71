// One block of a model: from its stored linears and the hidden states in front of it to packed
// linears and the hidden states behind them.
#ifndef TB_QUANT_QUANT_BLOCK_H
#define TB_QUANT_QUANT_BLOCK_H

#include "quant/fold.h"
#include "quant/quant.h"

typedef struct tb_quant_block {
    tb_packed linears[TB_LINEARS];
    tb_fold fold; // scales of inputs, where the method wants them
    tb_quant_report reports[TB_LINEARS];
} tb_quant_block;

void tb_quant_block_clear(tb_quant_block *block);

// Told how much of the work is done, from 0 to 1; returning true asks to stop (TB_ECANCELLED).
typedef struct tb_block_progress {
    bool (*update)(void *user, double done);
    void *user;
} tb_block_progress;

// Quantizes the linears of a block. `states` are the inputs of the block, only read; NULL for a
// method that needs no curvature. `options` are resolved.
tb_code tb_quant_block_make(tb_quant_block *out, const tb_model *model, size_t index, const tb_states *states,
                            tb_method method, const tb_quant_options *options, tb_block_progress progress,
                            tb_error *err);

// Takes the states through the block as it was quantized.
tb_code tb_quant_block_advance(tb_states *states, const tb_model *model, size_t index, const tb_quant_block *block,
                               tb_block_progress progress, tb_error *err);

#endif
