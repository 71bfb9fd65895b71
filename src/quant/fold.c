#include "quant/fold.h"

#include <stdio.h>
#include <string.h>

// The vector that is divided with an input's maker: a norm, or the bias of a linear.
static const struct {
    const char *name; // behind "blk.N."
    bool is_norm;
    tb_linear_kind biased; // else: whose bias it is, and whose rows are divided
} vectors[TB_LINEAR_INPUTS] = {
    [TB_INPUT_ATTENTION] = {.name = "attn_norm.weight", .is_norm = true},
    [TB_INPUT_OUTPUT] = {.name = "attn_v.bias", .biased = TB_LINEAR_V},
    [TB_INPUT_FFN] = {.name = "ffn_norm.weight", .is_norm = true},
    [TB_INPUT_DOWN] = {.name = "ffn_up.bias", .biased = TB_LINEAR_UP},
};

void tb_fold_clear(tb_fold *fold)
{
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        tb_free(fold->scales[i]);
    *fold = (tb_fold){0};
}

size_t tb_fold_channels(const tb_config *config, tb_linear_input input)
{
    switch (input) {
    case TB_INPUT_OUTPUT:
        return config->kv_heads * config->head_size;
    case TB_INPUT_DOWN:
        return config->ffn_width;
    default:
        return config->width;
    }
}

size_t tb_fold_channel(const tb_config *config, tb_linear_input input, size_t column)
{
    if (input != TB_INPUT_OUTPUT)
        return column;
    size_t head = column / config->head_size, kv_head = head / (config->heads / config->kv_heads);
    return kv_head * config->head_size + column % config->head_size;
}

// The scales that rows of a linear are divided by; NULL: none.
static const float *row_scales(const tb_fold *fold, tb_linear_kind kind)
{
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        if (!vectors[i].is_norm && vectors[i].biased == kind)
            return fold->scales[i];
    return NULL;
}

void tb_fold_weights(float *weights, const tb_fold *fold, const tb_config *config, const tb_linear *linear)
{
    tb_linear_input input = linear->input;
    size_t rows = linear->matrix.rows, cols = linear->matrix.cols;
    const float *by_row = row_scales(fold, linear->kind), *by_column = fold->scales[input];
    for (size_t c = 0; c < cols && by_column; c++) {
        float scale = by_column[tb_fold_channel(config, input, c)];
        for (size_t r = 0; r < rows; r++)
            weights[r * cols + c] *= scale;
    }
    for (size_t r = 0; r < rows && by_row; r++)
        for (size_t c = 0; c < cols; c++)
            weights[r * cols + c] /= by_row[r];
}

void tb_fold_moments(double *moments, const tb_fold *fold, const tb_config *config, tb_linear_input input)
{
    const float *scales = fold->scales[input];
    size_t cols = input == TB_INPUT_OUTPUT ? config->heads * config->head_size : tb_fold_channels(config, input);
    for (size_t i = 0; i < cols && scales; i++) {
        double row_scale = (double)scales[tb_fold_channel(config, input, i)];
        for (size_t j = 0; j < cols; j++)
            moments[i * cols + j] /= row_scale * (double)scales[tb_fold_channel(config, input, j)];
    }
}

tb_linear_input tb_fold_of_vector(const char *name)
{
    size_t block;
    int stem = 0, input = 0;
    if (sscanf(name, "blk.%zu.%n", &block, &stem) != 1 || stem == 0)
        return TB_LINEAR_INPUTS;
    while (input < TB_LINEAR_INPUTS && strcmp(name + stem, vectors[input].name) != 0)
        input++;
    return (tb_linear_input)input;
}

void tb_fold_divide(float *vector, const float *scales, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vector[i] /= scales[i];
}

// The vector that an input's scales divide, and where what replaces it belongs; NULL where the model has none.
static const float *own_vector(const float ***place, tb_block_override *override, const tb_model *model, size_t block,
                               tb_linear_input input)
{
    tb_linears linears = tb_model_linears(model, block);
    size_t biased = tb_linears_find(linears, vectors[input].biased, 0);
    if (vectors[input].is_norm) {
        *place = &override->norms[input];
        return tb_model_norm(model, block, input);
    }
    if (biased == linears.count)
        return NULL;
    *place = &override->linears[biased].bias;
    return linears.at[biased].bias;
}

tb_code tb_fold_override(tb_block_override *override, float **values, const tb_fold *fold, const tb_model *model,
                         size_t block, tb_error *err)
{
    const tb_config *config = tb_model_config(model);
    size_t total = 0;
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        total += tb_fold_channels(config, (tb_linear_input)i);
    float *next = *values = tb_alloc_array(total, sizeof **values);
    if (!next)
        return tb_fail(err, TB_ENOMEM, "no memory for the norms of block %zu", block);
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++) {
        const float **place, *own = own_vector(&place, override, model, block, (tb_linear_input)i);
        size_t n = tb_fold_channels(config, (tb_linear_input)i);
        if (!own || !fold->scales[i])
            continue;
        memcpy(next, own, n * sizeof *next);
        tb_fold_divide(next, fold->scales[i], n);
        *place = next;
        next += n;
    }
    return TB_OK;
}
