// One block of a model: from its stored linears and the hidden states in front of it to packed
// linears and the hidden states behind them.
#ifndef TB_QUANT_QUANT_BLOCK_H
#define TB_QUANT_QUANT_BLOCK_H

#include "quant/fold.h"
#include "quant/method.h"

// One matrix of the block.
typedef struct tb_quant_linear {
    tb_packed packed;
    tb_quant_report report;
} tb_quant_linear;

typedef struct tb_quant_block {
    tb_quant_linear *linears; // [count], parallel to tb_model_linears
    size_t count;
    tb_fold fold; // scales of inputs, where the method wants them
} tb_quant_block;

// Room for the matrices of a block of the model, all empty.
tb_code tb_quant_block_init(tb_quant_block *block, const tb_model *model, size_t index, tb_error *err);
void tb_quant_block_clear(tb_quant_block *block); // accepts a zeroed one

// Told how much of the work is done, from 0 to 1; returning true asks to stop (TB_ECANCELLED).
typedef struct tb_block_progress {
    bool (*update)(void *user, double done);
    void *user;
} tb_block_progress;

// What to make of which block.
typedef struct tb_block_job {
    const tb_model *model;
    size_t index;
    const tb_states *states; // inputs of the block, only read; NULL for a method that needs no text
    tb_method method;
    const tb_quant_options *options; // resolved
    tb_block_progress progress;
    const bool *held_out; // [count] of the block's linears, which are not quantized; NULL: none
} tb_block_job;

// Quantizes the linears of a block.
tb_code tb_quant_block_make(tb_quant_block *out, const tb_block_job *job, tb_error *err);

// Takes the states through the block as it was quantized.
tb_code tb_quant_block_advance(tb_states *states, const tb_model *model, size_t index, const tb_quant_block *block,
                               tb_block_progress progress, tb_error *err);

#endif
