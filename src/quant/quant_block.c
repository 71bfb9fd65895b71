// Second moments of all inputs of the block are gathered in one pass with the block's own
// weights as stored, window by window on a copy, so that one set of states suffices. Then the
// matrices are quantized input by input: q, k, v share a curvature, gate and up another. Where inputs are scaled, all
// scales are found before the first matrix is touched.
#include "quant/quant_block.h"

#include "quant/awq.h"
#include "quant/decoded.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// Shares of the work, measured on SmolLM2 with BPDQ: they only smooth the progress.
#define CALIBRATION_SHARE 0.5

void tb_quant_block_clear(tb_quant_block *block)
{
    for (size_t i = 0; i < TB_LINEARS; i++)
        tb_packed_clear(&block->linears[i]);
    tb_fold_clear(&block->fold);
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
    tb_block_override override; // NULL: the stored matrix is clean
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
            clean->override.linears[i] = &clean->matrices[i];
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
    double *sums[TB_LINEAR_INPUTS];     // [cols][cols] Σ x·xᵀ
    double *loudness[TB_LINEAR_INPUTS]; // [cols] Σ |x|; NULL: not wanted
    size_t cols[TB_LINEAR_INPUTS];
    size_t tokens;  // that were summed
    float *scratch; // [most cols][most cols]
} moments;

static void forget_moments(moments *m, tb_linear_input input)
{
    tb_free(m->sums[input]);
    m->sums[input] = NULL;
}

static void moments_clear(moments *m)
{
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++) {
        forget_moments(m, (tb_linear_input)i);
        tb_free(m->loudness[i]);
    }
    tb_free(m->scratch);
}

static tb_code moments_init(moments *m, const tb_model *model, size_t index, bool with_loudness, tb_error *err)
{
    size_t most = 0, square;
    *m = (moments){.compute = tb_model_compute(model)};
    for (size_t i = 0; i < TB_LINEARS; i++)
        m->cols[tb_linear_get_input((tb_linear)i)] = tb_model_linear(model, index, (tb_linear)i)->cols;
    bool enough = true;
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++) {
        most = m->cols[i] > most ? m->cols[i] : most;
        m->sums[i] = tb_mul_size(&square, m->cols[i], m->cols[i]) ? tb_alloc_array(square, sizeof(double)) : NULL;
        m->loudness[i] = with_loudness ? tb_alloc_array(m->cols[i], sizeof(double)) : NULL;
        enough = enough && m->sums[i] && (m->loudness[i] || !with_loudness);
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
    double *loudness = m->loudness[input];
    for (size_t t = 0; t < tokens && loudness; t++)
        for (size_t c = 0; c < cols; c++)
            loudness[c] += fabs((double)x[t * stride + c]);
}

// Sums over all windows, run on copies.
static tb_code gather_moments(moments *m, const tb_model *model, size_t index, const tb_states *states,
                              const tb_block_override *override, tb_block_progress progress, tb_error *err)
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
static void scale_moments(moments *m)
{
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        for (size_t k = 0; k < m->cols[i] * m->cols[i]; k++)
            m->sums[i][k] *= 2.0 / (double)m->tokens;
}

static tb_code calibrate(moments *m, const tb_model *model, size_t index, const tb_states *states, bool with_loudness,
                         tb_block_progress progress, tb_error *err)
{
    clean_linears clean;
    tb_code rc = moments_init(m, model, index, with_loudness, err);
    if (rc)
        return rc;
    rc = clean_linears_init(&clean, model, index, err);
    if (!rc) {
        rc = gather_moments(m, model, index, states, &clean.override, progress, err);
        clean_linears_clear(&clean);
    }
    if (rc) {
        moments_clear(m);
        return rc;
    }
    m->tokens = states->windows * states->length;
    scale_moments(m);
    return TB_OK;
}

// ---- scales of inputs ----

// Rows of each matrix that the search for scales looks at, evenly spread: it compares twenty-one scalings, and each
// costs as much as quantizing the rows.
enum { SEARCH_ROWS = 128 };

static size_t sampled_rows(const tb_matrix *m)
{
    return m->rows < SEARCH_ROWS ? m->rows : SEARCH_ROWS;
}

// Rows of all linears that read `input`, one under the other; finite.
static void sample_weights(float *out, const tb_model *model, size_t index, tb_linear_input input)
{
    for (size_t i = 0; i < TB_LINEARS; i++) {
        const tb_matrix *m = tb_model_linear(model, index, (tb_linear)i);
        size_t count = tb_linear_get_input((tb_linear)i) == input ? sampled_rows(m) : 0;
        for (size_t r = 0; r < count; r++, out += m->cols) {
            tb_matrix_decode_row(out, m, r * m->rows / count);
            tb_zero_nonfinite(out, m->cols);
        }
    }
}

static tb_code scale_input(tb_fold *fold, const tb_model *model, size_t index, tb_linear_input input, const moments *m,
                           const tb_quant_options *options, tb_error *err)
{
    const tb_config *config = tb_model_config(model);
    tb_awq_problem problem = {.moments = m->sums[input],
                              .loudness = m->loudness[input],
                              .cols = m->cols[input],
                              .channels = tb_fold_channels(config, input)};
    for (size_t i = 0; i < TB_LINEARS; i++)
        if (tb_linear_get_input((tb_linear)i) == input)
            problem.rows += sampled_rows(tb_model_linear(model, index, (tb_linear)i));
    float *weights = tb_alloc_array(problem.rows * problem.cols, sizeof *weights);
    size_t *channel = tb_alloc_array(problem.cols, sizeof *channel);
    fold->scales[input] = tb_alloc_array(problem.channels, sizeof *fold->scales[input]);
    tb_code rc = TB_OK;
    if (!weights || !channel || !fold->scales[input])
        rc = tb_fail(err, TB_ENOMEM, "no memory to scale %zu inputs", problem.cols);
    if (!rc) {
        sample_weights(weights, model, index, input);
        for (size_t c = 0; c < problem.cols; c++)
            channel[c] = tb_fold_channel(config, input, c);
        problem.weights = weights;
        problem.channel = channel;
        rc = tb_awq_search(fold->scales[input], &fold->alphas[input], &problem, options, err);
    }
    tb_free(channel);
    tb_free(weights);
    return rc;
}

// Finds the scales of all inputs with the weights as they were, then puts the moments into scaled coordinates.
static tb_code scale_inputs(tb_fold *fold, const tb_model *model, size_t index, moments *m,
                            const tb_quant_options *options, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < TB_LINEAR_INPUTS && !rc; i++)
        rc = scale_input(fold, model, index, (tb_linear_input)i, m, options, err);
    for (size_t i = 0; i < TB_LINEAR_INPUTS && !rc; i++)
        tb_fold_moments(m->sums[i], fold, tb_model_config(model), (tb_linear_input)i);
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
    tb_fold_weights(weights, matrix->rows, matrix->cols, &out->fold, tb_model_config(model), which);
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
    if (traits->needs_curvature && !options->no_shrinkage)
        tb_moments_shrink(m->sums[input], m->cols[input], m->tokens);
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
    bool scales_inputs = tb_method_get(method)->scales_inputs;
    tb_code rc = TB_OK;
    *out = (tb_quant_block){0};
    if (states)
        rc = calibrate(&m, model, index, states, scales_inputs, progress, err);
    if (rc)
        return rc;
    if (scales_inputs)
        rc = scale_inputs(&out->fold, model, index, &m, options, err);
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
    tb_block_override override = {0};
    float *vectors;
    size_t window = states->length * states->stride;
    for (size_t i = 0; i < TB_LINEARS; i++)
        override.linears[i] = &block->linears[i].view;
    tb_code rc = tb_fold_override(&override, &vectors, &block->fold, model, index, err);
    for (size_t w = 0; w < states->windows && !rc; w++) {
        tb_states one = {.x = states->x + w * window, .windows = 1, .length = states->length, .stride = states->stride};
        rc = tb_states_run_block(&one, model, index, &override, NULL, err);
        if (!rc)
            rc = update(progress, (double)(w + 1) / (double)states->windows, err);
    }
    tb_free(vectors);
    return rc;
}
