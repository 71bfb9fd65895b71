// Second moments of all inputs of the block are gathered in one pass with the block's own
// weights as stored, window by window on a copy, so that one set of states suffices. Then the
// matrices are quantized input by input: q, k, v share a curvature, gate and up another, those of each expert one of
// its own, of the tokens that went through it. Where inputs are scaled, all scales are found before the first matrix
// is touched.
#include "quant/quant_block.h"

#include "quant/awq.h"
#include "quant/decoded.h"
#include "quant/held_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// Shares of the work, measured on SmolLM2 with BPDQ: they only smooth the progress.
#define CALIBRATION_SHARE 0.5

tb_code tb_quant_block_init(tb_quant_block *block, const tb_model *model, size_t index, tb_error *err)
{
    size_t count = tb_model_linears(model, index).count;
    *block = (tb_quant_block){.linears = tb_alloc_array(count, sizeof *block->linears)};
    if (!block->linears)
        return tb_fail(err, TB_ENOMEM, "no memory for the matrices of block %zu", index);
    block->count = count;
    return TB_OK;
}

void tb_quant_block_clear(tb_quant_block *block)
{
    for (size_t i = 0; i < block->count; i++)
        tb_packed_clear(&block->linears[i].packed);
    tb_free(block->linears);
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
typedef struct clean_linear {
    float *values; // NULL: the stored matrix is clean
    tb_matrix matrix;
} clean_linear;

typedef struct clean_linears {
    clean_linear *own;
    tb_linear_override *overrides;
    size_t count;
} clean_linears;

static void clean_linears_clear(clean_linears *clean)
{
    for (size_t i = 0; i < clean->count; i++)
        tb_free(clean->own[i].values);
    tb_free(clean->own);
    tb_free(clean->overrides);
}

static tb_code clean(clean_linear *out, tb_linear_override *override, const tb_model *model, const tb_matrix *stored,
                     tb_error *err)
{
    float *values;
    tb_code rc = tb_matrix_decode(&values, model, stored, err);
    if (rc)
        return rc;
    if (!tb_zero_nonfinite(values, stored->rows * stored->cols)) {
        tb_free(values);
        return TB_OK;
    }
    out->values = values;
    out->matrix = (tb_matrix){.type = TB_TYPE_F32, .rows = stored->rows, .cols = stored->cols, .data = values};
    override->matrix = &out->matrix;
    return TB_OK;
}

static tb_code clean_linears_init(clean_linears *out, const tb_model *model, size_t index, tb_error *err)
{
    tb_linears linears = tb_model_linears(model, index);
    tb_code rc = TB_OK;
    *out = (clean_linears){.own = tb_alloc_array(linears.count, sizeof *out->own),
                           .overrides = tb_alloc_array(linears.count, sizeof *out->overrides)};
    if (out->own && out->overrides)
        out->count = linears.count;
    else
        rc = tb_fail(err, TB_ENOMEM, "no memory for the matrices of block %zu", index);
    for (size_t i = 0; i < out->count && !rc; i++)
        rc = clean(&out->own[i], &out->overrides[i], model, &linears.at[i].matrix, err);
    if (rc)
        clean_linears_clear(out);
    return rc;
}

// ---- second moments ----

// What some linears of the block read: all of one kind of input, or those of one expert.
typedef struct source {
    tb_linear_input input;
    size_t expert, cols;
    double *sums;     // [cols][cols] Σ x·xᵀ
    double *loudness; // [cols] Σ |x|; NULL: not wanted
    size_t tokens;    // that were summed
} source;

typedef struct moments {
    const tb_compute *compute;
    source *at; // [count], in the order in which the linears are used
    size_t count;
    float *scratch;   // [most cols][most cols]
    size_t registers; // positions below are no tokens
    size_t prefixed;  // positions of the window under way below have the keys and values of the prefix
} moments;

static void forget_sums(source *s)
{
    tb_free(s->sums);
    s->sums = NULL;
}

static void moments_clear(moments *m)
{
    for (size_t i = 0; i < m->count; i++) {
        forget_sums(&m->at[i]);
        tb_free(m->at[i].loudness);
    }
    tb_free(m->at);
    tb_free(m->scratch);
}

static bool is_read_by(const source *s, const tb_linear *linear)
{
    return linear->input == s->input && linear->expert == s->expert;
}

// NULL: nobody asked for it.
static source *find_source(const moments *m, tb_linear_input input, size_t expert)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->at[i].input == input && m->at[i].expert == expert)
            return &m->at[i];
    return NULL;
}

// What the linears of a block read, without room for sums.
static tb_code list_sources(moments *m, const tb_model *model, size_t index, tb_error *err)
{
    tb_linears linears = tb_model_linears(model, index);
    *m = (moments){.compute = tb_model_compute(model),
                   .at = tb_alloc_array(linears.count, sizeof *m->at),
                   .registers = tb_model_config(model)->registers};
    if (!m->at)
        return tb_fail(err, TB_ENOMEM, "no memory for the inputs of block %zu", index);
    for (size_t i = 0; i < linears.count; i++) {
        const tb_linear *l = &linears.at[i];
        if (!find_source(m, l->input, l->expert))
            m->at[m->count++] = (source){.input = l->input, .expert = l->expert, .cols = l->matrix.cols};
    }
    return TB_OK;
}

static tb_code make_room_for_sums(moments *m, bool with_loudness, tb_error *err)
{
    size_t most = 0, square;
    bool enough = true;
    for (size_t i = 0; i < m->count; i++) {
        source *s = &m->at[i];
        most = s->cols > most ? s->cols : most;
        s->sums = tb_mul_size(&square, s->cols, s->cols) ? tb_alloc_array(square, sizeof(double)) : NULL;
        s->loudness = with_loudness ? tb_alloc_array(s->cols, sizeof(double)) : NULL;
        enough = enough && s->sums && (s->loudness || !with_loudness);
    }
    m->scratch = tb_mul_size(&square, most, most) ? tb_alloc_array(square, sizeof(float)) : NULL;
    if (enough && m->scratch)
        return TB_OK;
    return tb_fail(err, TB_ENOMEM, "no memory for the second moments of %zu inputs", most);
}

static void add_inputs(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    const moments *m = user;
    source *s = find_source(m, input, at->expert);
    size_t left_out = m->registers > m->prefixed ? m->registers : m->prefixed;
    size_t first = 0; // registers and the prefix are computed once, and are few and loud
    while (first < rows->rows && (size_t)rows->positions[first] < left_out)
        first++;
    if (!s || first == rows->rows)
        return;
    const float *x = rows->x + first * rows->stride;
    tb_accumulate_gram(m->compute, s->sums, x, rows->stride, rows->rows - first, rows->cols, m->scratch);
    for (size_t t = first; t < rows->rows && s->loudness; t++)
        for (size_t c = 0; c < rows->cols; c++)
            s->loudness[c] += fabs((double)rows->x[t * rows->stride + c]);
    s->tokens += rows->rows - first;
}

// Sums over all windows, run on copies.
static tb_code gather_moments(moments *m, const tb_block_job *job, const tb_block_override *override, tb_error *err)
{
    const tb_states *states = job->states;
    size_t window = states->length * states->stride;
    tb_states copy = {
        .x = tb_alloc(window * sizeof(float)), .windows = 1, .length = states->length, .stride = states->stride};
    tb_probe probe = {.linear_input = add_inputs, .user = m};
    tb_code rc = copy.x ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a window of %zu tokens", states->length);
    for (size_t w = 0; w < states->windows && !rc; w++) {
        memcpy(copy.x, states->x + w * window, window * sizeof(float));
        copy.prefixed = states->prefixed ? states->prefixed + w : NULL;
        m->prefixed = copy.prefixed ? *copy.prefixed : 0;
        rc = tb_states_run_block(&copy, job->model, job->index, override, &probe, err);
        if (!rc)
            rc = update(job->progress, CALIBRATION_SHARE * (double)(w + 1) / (double)states->windows, err);
    }
    tb_free(copy.x);
    return rc;
}

// H = 2/N·Σ x·xᵀ. An expert that no token went through keeps zeros: its inputs count as dead.
static void scale_moments(moments *m)
{
    for (size_t i = 0; i < m->count; i++) {
        source *s = &m->at[i];
        for (size_t k = 0; k < s->cols * s->cols && s->tokens; k++)
            s->sums[k] *= 2.0 / (double)s->tokens;
    }
}

static tb_code calibrate(moments *m, const tb_block_job *job, tb_error *err)
{
    clean_linears clean;
    tb_code rc = make_room_for_sums(m, tb_method_get(job->method)->scales_inputs, err);
    if (rc)
        return rc;
    rc = clean_linears_init(&clean, job->model, job->index, err);
    if (!rc) {
        tb_block_override override = {.linears = clean.overrides};
        rc = gather_moments(m, job, &override, err);
        clean_linears_clear(&clean);
    }
    if (!rc)
        scale_moments(m);
    return rc;
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
static void sample_weights(float *out, tb_linears linears, tb_linear_input input)
{
    for (size_t i = 0; i < linears.count; i++) {
        const tb_matrix *m = &linears.at[i].matrix;
        size_t count = linears.at[i].input == input ? sampled_rows(m) : 0;
        for (size_t r = 0; r < count; r++, out += m->cols) {
            tb_matrix_decode_row(out, m, r * m->rows / count);
            tb_zero_nonfinite(out, m->cols);
        }
    }
}

static tb_code scale_input(tb_fold *fold, const tb_block_job *job, const source *s, tb_error *err)
{
    tb_linear_input input = s->input;
    const tb_config *config = tb_model_config(job->model);
    tb_linears linears = tb_model_linears(job->model, job->index);
    tb_awq_problem problem = {
        .moments = s->sums, .loudness = s->loudness, .cols = s->cols, .channels = tb_fold_channels(config, input)};
    for (size_t i = 0; i < linears.count; i++)
        if (linears.at[i].input == input)
            problem.rows += sampled_rows(&linears.at[i].matrix);
    float *weights = tb_alloc_array(problem.rows * problem.cols, sizeof *weights);
    size_t *channel = tb_alloc_array(problem.cols, sizeof *channel);
    fold->scales[input] = tb_alloc_array(problem.channels, sizeof *fold->scales[input]);
    tb_code rc = TB_OK;
    if (!weights || !channel || !fold->scales[input])
        rc = tb_fail(err, TB_ENOMEM, "no memory to scale %zu inputs", problem.cols);
    if (!rc) {
        sample_weights(weights, linears, input);
        for (size_t c = 0; c < problem.cols; c++)
            channel[c] = tb_fold_channel(config, input, c);
        problem.weights = weights;
        problem.channel = channel;
        rc = tb_awq_search(fold->scales[input], &fold->alphas[input], &problem, job->options, err);
    }
    tb_free(channel);
    tb_free(weights);
    return rc;
}

// Finds the scales of all inputs with the weights as they were, then puts the moments into scaled coordinates.
static tb_code scale_inputs(tb_fold *fold, const tb_block_job *job, moments *m, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < m->count && !rc; i++)
        rc = scale_input(fold, job, &m->at[i], err);
    for (size_t i = 0; i < m->count && !rc; i++)
        tb_fold_moments(m->at[i].sums, fold, tb_model_config(job->model), m->at[i].input);
    return rc;
}

// ---- matrices ----

static tb_code quantize_linear(tb_quant_linear *out, const tb_block_job *job, size_t which, const tb_fold *fold,
                               const double *sums, const tb_curvature *curvature, tb_error *err)
{
    const tb_linear *linear = &tb_model_linears(job->model, job->index).at[which];
    const tb_matrix *matrix = &linear->matrix;
    tb_quant_options options = *job->options;
    float *weights;
    tb_code rc = tb_matrix_decode(&weights, job->model, matrix, err);
    if (rc)
        return rc;
    tb_fold_weights(weights, fold, tb_model_config(job->model), linear);
    options.bits = tb_linear_bits(linear, options.bits);
    tb_quant_problem problem = {weights, matrix->rows, matrix->cols, sums, curvature};
    if (tb_is_held_out(job->held_out, which, linear, job->method))
        rc = tb_held_out_pack(&out->packed, &out->report, matrix, weights, job->method, options.threads, err);
    else
        rc = tb_quantize_matrix(&out->packed, &out->report, job->method, &problem, &options, err);
    tb_free(weights);
    return rc ? tb_fail_context(err, rc, "block %zu, %s", job->index, linear->stem) : TB_OK;
}

// All linears that read a source; its sums are freed as soon as nothing needs them.
static tb_code quantize_source(tb_quant_block *out, const tb_block_job *job, source *s, tb_error *err)
{
    tb_curvature *curvature = NULL;
    const tb_method_traits *traits = tb_method_get(job->method);
    tb_linears linears = tb_model_linears(job->model, job->index);
    tb_code rc = TB_OK;
    if (traits->needs_curvature && s->sums) {
        if (!job->options->no_shrinkage)
            tb_moments_shrink(s->sums, s->cols, s->tokens);
        rc = tb_curvature_new(&curvature, s->sums, s->cols, job->options, err);
    }
    if (rc)
        return tb_fail_context(err, rc, "block %zu", job->index);
    if (!traits->needs_moments)
        forget_sums(s);
    for (size_t i = 0; i < linears.count && !rc; i++) {
        if (!is_read_by(s, &linears.at[i]))
            continue;
        rc = quantize_linear(&out->linears[i], job, i, &out->fold, s->sums, curvature, err);
        out->linears[i].report.tokens = s->tokens;
    }
    forget_sums(s);
    tb_curvature_free(curvature);
    return rc;
}

tb_code tb_quant_block_make(tb_quant_block *out, const tb_block_job *job, tb_error *err)
{
    moments m = {0};
    double begun = job->states ? CALIBRATION_SHARE : 0;
    tb_code rc = tb_quant_block_init(out, job->model, job->index, err);
    if (!rc)
        rc = list_sources(&m, job->model, job->index, err);
    if (!rc && job->states)
        rc = calibrate(&m, job, err);
    if (!rc && tb_method_get(job->method)->scales_inputs)
        rc = scale_inputs(&out->fold, job, &m, err);
    for (size_t i = 0; i < m.count && !rc; i++) {
        rc = quantize_source(out, job, &m.at[i], err);
        if (!rc)
            rc = update(job->progress, begun + (1 - begun) * (double)(i + 1) / (double)m.count, err);
    }
    moments_clear(&m);
    if (rc)
        tb_quant_block_clear(out);
    return rc;
}

tb_code tb_quant_block_advance(tb_states *states, const tb_model *model, size_t index, const tb_quant_block *block,
                               tb_block_progress progress, tb_error *err)
{
    tb_block_override override = {.linears = tb_alloc_array(block->count, sizeof *override.linears)};
    float *vectors = NULL;
    size_t window = states->length * states->stride;
    if (!override.linears)
        return tb_fail(err, TB_ENOMEM, "no memory for the matrices of block %zu", index);
    for (size_t i = 0; i < block->count; i++)
        override.linears[i].matrix = &block->linears[i].packed.view;
    tb_code rc = tb_fold_override(&override, &vectors, &block->fold, model, index, err);
    for (size_t w = 0; w < states->windows && !rc; w++) {
        tb_states one = {.x = states->x + w * window, .windows = 1, .length = states->length, .stride = states->stride};
        one.prefixed = states->prefixed ? states->prefixed + w : NULL;
        rc = tb_states_run_block(&one, model, index, &override, NULL, err);
        if (!rc)
            rc = update(progress, (double)(w + 1) / (double)states->windows, err);
    }
    tb_free(vectors);
    tb_free(override.linears);
    return rc;
}
