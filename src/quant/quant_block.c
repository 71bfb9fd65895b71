// Second moments of all inputs of the block are gathered in one pass with the block's own
// weights as stored, window by window on a copy, so that one set of states suffices. Then the
// matrices are quantized input by input: q, k, v share a curvature, gate and up another.
#include "quant/quant_block.h"

#include "quant/decoded.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Shares of the work, measured on SmolLM2 with BPDQ: they only smooth the progress.
#define CALIBRATION_SHARE 0.5

void tb_quant_block_clear(tb_quant_block *block)
{
    for (size_t i = 0; i < TB_LINEARS; i++)
        tb_packed_clear(&block->linears[i]);
    *block = (tb_quant_block){0};
}

static tb_code update(tb_block_progress progress, double done, tb_error *err)
{
    if (progress.update(progress.user, done))
        return tb_fail(err, TB_ECANCELLED, "quantization was stopped; the same command continues it");
    return TB_OK;
}

// ---- the weights as stored ----

// Linears with weights that are not finite, as floats with 0 in their place: what the block
// is calibrated with, because one NaN would spread over all inputs of the blocks behind.
typedef struct clean_linears {
    tb_matrix matrices[TB_LINEARS];
    float *values[TB_LINEARS];
    const tb_matrix *override[TB_LINEARS]; // NULL: the stored matrix is clean
} clean_linears;

static void clean_linears_clear(clean_linears *clean)
{
    for (size_t i = 0; i < TB_LINEARS; i++)
        tb_free(clean->values[i]);
}

static tb_code clean_linears_init(clean_linears *clean, const tb_model *model, size_t index, tb_error *err)
{
    tb_code rc = TB_OK;
    *clean = (clean_linears){0};
    for (size_t i = 0; i < TB_LINEARS && !rc; i++) {
        const tb_matrix *m = tb_model_linear(model, index, (tb_linear)i);
        rc = tb_matrix_decode(&clean->values[i], model, m, err);
        if (!rc && tb_zero_nonfinite(clean->values[i], m->rows * m->cols)) {
            clean->matrices[i] =
                (tb_matrix){.type = TB_TYPE_F32, .rows = m->rows, .cols = m->cols, .data = clean->values[i]};
            clean->override[i] = &clean->matrices[i];
        } else {
            tb_free(clean->values[i]);
            clean->values[i] = NULL;
        }
    }
    if (rc)
        clean_linears_clear(clean);
    return rc;
}

// ---- second moments ----

typedef struct moments {
    const tb_compute *compute;
    double *sums[TB_LINEAR_INPUTS]; // [cols][cols] Σ x·xᵀ
    size_t cols[TB_LINEAR_INPUTS];
    float *scratch; // [most cols][most cols]
} moments;

static void forget_moments(moments *m, tb_linear_input input)
{
    tb_free(m->sums[input]);
    m->sums[input] = NULL;
}

static void moments_clear(moments *m)
{
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        forget_moments(m, (tb_linear_input)i);
    tb_free(m->scratch);
}

static tb_code moments_init(moments *m, const tb_model *model, size_t index, tb_error *err)
{
    size_t most = 0, square;
    *m = (moments){.compute = tb_model_compute(model)};
    for (size_t i = 0; i < TB_LINEARS; i++)
        m->cols[tb_linear_get_input((tb_linear)i)] = tb_model_linear(model, index, (tb_linear)i)->cols;
    bool enough = true;
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++) {
        most = m->cols[i] > most ? m->cols[i] : most;
        m->sums[i] = tb_mul_size(&square, m->cols[i], m->cols[i]) ? tb_alloc_array(square, sizeof(double)) : NULL;
        enough = enough && m->sums[i];
    }
    m->scratch = tb_mul_size(&square, most, most) ? tb_alloc_array(square, sizeof(float)) : NULL;
    if (enough && m->scratch)
        return TB_OK;
    moments_clear(m);
    return tb_fail(err, TB_ENOMEM, "no memory for the second moments of %zu inputs", most);
}

static void add_inputs(void *user, size_t block, tb_linear_input input, const float *x, size_t stride, size_t tokens,
                       size_t cols)
{
    (void)block;
    moments *m = user;
    tb_accumulate_gram(m->compute, m->sums[input], x, stride, tokens, cols, m->scratch);
}

// Sums over all windows, run on copies.
static tb_code gather_moments(moments *m, const tb_model *model, size_t index, const tb_states *states,
                              const tb_matrix *const *override, tb_block_progress progress, tb_error *err)
{
    size_t window = states->length * states->stride;
    tb_states copy = {
        .x = tb_alloc(window * sizeof(float)), .windows = 1, .length = states->length, .stride = states->stride};
    tb_probe probe = {.linear_input = add_inputs, .user = m};
    tb_code rc = copy.x ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a window of %zu tokens", states->length);
    for (size_t w = 0; w < states->windows && !rc; w++) {
        memcpy(copy.x, states->x + w * window, window * sizeof(float));
        rc = tb_states_run_block(&copy, model, index, override, &probe, err);
        if (!rc)
            rc = update(progress, CALIBRATION_SHARE * (double)(w + 1) / (double)states->windows, err);
    }
    tb_free(copy.x);
    return rc;
}

// H = 2/N·Σ x·xᵀ.
static void scale_moments(moments *m, size_t tokens)
{
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        for (size_t k = 0; k < m->cols[i] * m->cols[i]; k++)
            m->sums[i][k] *= 2.0 / (double)tokens;
}

static tb_code calibrate(moments *m, const tb_model *model, size_t index, const tb_states *states,
                         tb_block_progress progress, tb_error *err)
{
    clean_linears clean;
    tb_code rc = moments_init(m, model, index, err);
    if (rc)
        return rc;
    rc = clean_linears_init(&clean, model, index, err);
    if (!rc) {
        rc = gather_moments(m, model, index, states, clean.override, progress, err);
        clean_linears_clear(&clean);
    }
    if (rc)
        moments_clear(m);
    else
        scale_moments(m, states->windows * states->length);
    return rc;
}

// ---- matrices ----

static tb_code quantize_linear(tb_quant_block *out, const tb_model *model, size_t index, tb_linear which,
                               const double *input_moments, const tb_curvature *curvature, tb_method method,
                               const tb_quant_options *options, tb_error *err)
{
    const tb_matrix *matrix = tb_model_linear(model, index, which);
    float *weights;
    tb_code rc = tb_matrix_decode(&weights, model, matrix, err);
    if (rc)
        return rc;
    tb_quant_problem problem = {weights, matrix->rows, matrix->cols, input_moments, curvature};
    rc = tb_quantize_matrix(&out->linears[which], &out->reports[which], method, &problem, options, err);
    tb_free(weights);
    return rc ? tb_fail_context(err, rc, "block %zu, %s", index, tb_linear_name(which)) : TB_OK;
}

// All linears that read `input`; their moments are freed as soon as nothing needs them.
static tb_code quantize_input(tb_quant_block *out, const tb_model *model, size_t index, tb_linear_input input,
                              moments *m, tb_method method, const tb_quant_options *options, tb_error *err)
{
    tb_curvature *curvature = NULL;
    const tb_method_traits *traits = tb_method_get(method);
    tb_code rc = TB_OK;
    if (traits->needs_curvature)
        rc = tb_curvature_new(&curvature, m->sums[input], m->cols[input], options, err);
    if (rc)
        return tb_fail_context(err, rc, "block %zu", index);
    if (!traits->needs_moments)
        forget_moments(m, input);
    for (size_t i = 0; i < TB_LINEARS && !rc; i++)
        if (tb_linear_get_input((tb_linear)i) == input)
            rc = quantize_linear(out, model, index, (tb_linear)i, m->sums[input], curvature, method, options, err);
    forget_moments(m, input);
    tb_curvature_free(curvature);
    return rc;
}

tb_code tb_quant_block_make(tb_quant_block *out, const tb_model *model, size_t index, const tb_states *states,
                            tb_method method, const tb_quant_options *options, tb_block_progress progress,
                            tb_error *err)
{
    moments m = {0};
    double begun = states ? CALIBRATION_SHARE : 0;
    tb_code rc = TB_OK;
    *out = (tb_quant_block){0};
    if (states)
        rc = calibrate(&m, model, index, states, progress, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < TB_LINEAR_INPUTS && !rc; i++) {
        rc = quantize_input(out, model, index, (tb_linear_input)i, &m, method, options, err);
        if (!rc)
            rc = update(progress, begun + (1 - begun) * (double)(i + 1) / TB_LINEAR_INPUTS, err);
    }
    moments_clear(&m);
    if (rc)
        tb_quant_block_clear(out);
    return rc;
}

tb_code tb_quant_block_advance(tb_states *states, const tb_model *model, size_t index, const tb_quant_block *block,
                               tb_block_progress progress, tb_error *err)
{
    const tb_matrix *override[TB_LINEARS];
    size_t window = states->length * states->stride;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < TB_LINEARS; i++)
        override[i] = &block->linears[i].view;
    for (size_t w = 0; w < states->windows && !rc; w++) {
        tb_states one = {.x = states->x + w * window, .windows = 1, .length = states->length, .stride = states->stride};
        rc = tb_states_run_block(&one, model, index, override, NULL, err);
        if (!rc)
            rc = update(progress, (double)(w + 1) / (double)states->windows, err);
    }
    return rc;
}
