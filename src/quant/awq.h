// AWQ (activation-aware weight quantization, Lin et al., MLSys 2024): columns that meet loud inputs are multiplied by
// s > 1 before rounding, so that their errors count less against the grid of their group, and the inputs divided by s.
// This is the search for s; fold.h puts it into a model.
#ifndef TB_QUANT_AWQ_H
#define TB_QUANT_AWQ_H

#include "quant/method.h"

// The matrices that read one input. Columns may share scales: channel[c] says which one column c has, and each belongs
// to as many columns.
typedef struct tb_awq_problem {
    const float *weights;   // [rows][cols] of all of them, one under the other; a sample of their rows suffices
    const double *moments;  // H[cols][cols] of the input
    const double *loudness; // [cols] mean |x|, or proportional to it
    size_t rows, cols;
    const size_t *channel; // [cols] below `channels`
    size_t channels;
} tb_awq_problem;

// s = loudness^α, times what makes the largest and the smallest s reciprocals. α = 0: all are 1.
void tb_awq_scales(float *scales, const tb_awq_problem *problem, double alpha);

// The α among 0, 0.05 … 1 with the least tr((W − Q)H(W − Q)ᵀ) when the scaled weights are rounded as clip does (the
// smaller of equal ones), and its scales[channels]. `options` are resolved.
tb_code tb_awq_search(float *scales, double *alpha, const tb_awq_problem *problem, const tb_quant_options *options,
                      tb_error *err);

#endif
