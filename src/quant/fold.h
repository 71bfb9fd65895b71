// Scales of inputs put into a model (AWQ). The columns of the linears that read an input are multiplied by them, and
// what makes the input divides by them, so that the model computes what it did, with no operation more:
//
//     input       is made by                      and divided there
//     attention   the RMSNorm in front            its weights
//     FFN         the RMSNorm in front            its weights
//     down        act(gate) ⊙ up                  rows and bias of up: the product is linear in it
//     output      a mix of values                 rows and bias of v; heads that share a key head share values and
//     scales
//
// Nothing stands between them in any family: norms of heads concern q and k, and Gemma's further norms what comes out.
#ifndef TB_QUANT_FOLD_H
#define TB_QUANT_FOLD_H

#include "model/model.h"

// The scales of a block, one per channel of what makes the input; NULL: not scaled.
typedef struct tb_fold {
    float *scales[TB_LINEAR_INPUTS];
    double alphas[TB_LINEAR_INPUTS]; // how they were made (awq.h), for the report
} tb_fold;

void tb_fold_clear(tb_fold *fold);

// How many channels make an input, and which of them column `column` of its readers is.
size_t tb_fold_channels(const tb_config *config, tb_linear_input input);
size_t tb_fold_channel(const tb_config *config, tb_linear_input input, size_t column);

// Changes the weights of a linear, [rows][cols] of its matrix, and the second moments [cols][cols] of an input.
void tb_fold_weights(float *weights, const tb_fold *fold, const tb_config *config, const tb_linear *linear);
void tb_fold_moments(double *moments, const tb_fold *fold, const tb_config *config, tb_linear_input input);

// The input whose scales divide a vector of a block ("blk.0.attn_norm.weight", "blk.0.ffn_up.bias"); TB_LINEAR_INPUTS:
// it stays.
tb_linear_input tb_fold_of_vector(const char *name);
void tb_fold_divide(float *vector, const float *scales, size_t n);

// Sets the norms of `override` and the biases in override->linears, which the caller has made, to those that a block
// has with the scales. They lie in new memory *values (tb_free).
tb_code tb_fold_override(tb_block_override *override, float **values, const tb_fold *fold, const tb_model *model,
                         size_t block, tb_error *err);

#endif
