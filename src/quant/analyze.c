// Hidden states go through the model block by block. A probe keeps the inputs of the projections while a block runs,
// without position 0 of each window; the spectra of the outputs follow. For the cost of skipping a block, the states in
// front of it are copied and taken through the blocks behind it: half of blocks² block runs in all, on fewer tokens.
#include "quant/analyze.h"

#include "quant/calibration.h"
#include "quant/decoded.h"
#include "quant/lieq.h"

#include <math.h>
#include <string.h>

enum {
    CALIBRATION_TOKENS = 2048, // four windows of 512: section 7 of the paper's procedure as we read it
    CHUNK = 128,               // tokens whose logits are held at once
    RANDOM_SHARE = 10,         // the energy gain looks at the leading tenth of the directions
    SPECTRUM_RUNS = 4,         // a block's spectra take about as long as so many runs of it: only for the progress
};

static const char *const score_names[TB_SCORES] = {"v2", "v1", "ppl", "free"};

const char *tb_score_name(tb_score score)
{
    return score_names[score];
}

bool tb_score_find(tb_score *out, const char *name)
{
    for (unsigned i = 0; i < TB_SCORES; i++)
        if (strcmp(score_names[i], name) == 0) {
            *out = (tb_score)i;
            return true;
        }
    return false;
}

void tb_analysis_clear(tb_analysis *analysis)
{
    tb_free(analysis->blocks);
    *analysis = (tb_analysis){0};
}

typedef struct run {
    const tb_model *model;
    const tb_analyze_options *options;
    tb_analysis *out;
    bool spectra, skipping, weights_alone; // what is computed
    size_t draws;
    tb_windows windows; // borrowed, or those in `read`
    tb_windows read;
    tb_states states;            // in front of the current block
    size_t skip_windows;         // the first ones
    float *logits;               // [CHUNK][vocab]
    double base_loss;            // of the whole model
    double done, total_progress; // in runs of one window through one block
} run;

static size_t block_count(const run *r)
{
    return r->out->block_count;
}

static tb_code advance(run *r, double runs, tb_error *err)
{
    r->done += runs;
    if (tb_report_progress(r->options->report, "analyze", r->done, r->total_progress, "steps"))
        return tb_fail(err, TB_ECANCELLED, "analysis was stopped");
    return TB_OK;
}

// ---- inputs of a block's projections ----

typedef struct inputs {
    float *x[TB_LINEAR_INPUTS]; // [kept][cols]; NULL: not wanted
    size_t cols[TB_LINEAR_INPUTS];
    size_t kept[TB_LINEAR_INPUTS];
    size_t first; // position from which on rows are kept
} inputs;

static bool is_qkv(tb_linear_kind kind)
{
    return kind == TB_LINEAR_Q || kind == TB_LINEAR_K || kind == TB_LINEAR_V;
}

static bool is_wanted(tb_projection_set set, tb_linear_kind kind)
{
    return is_qkv(kind) || (kind == TB_LINEAR_O && set != TB_PROJECT_QKV) || set == TB_PROJECT_ALL;
}

static void inputs_clear(inputs *in)
{
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        tb_free(in->x[i]);
}

static tb_code inputs_init(inputs *in, const run *r, size_t block, tb_error *err)
{
    size_t tokens = r->windows.count * r->windows.length, n;
    *in = (inputs){.first = r->states.registers + (r->options->keep_first ? 0 : 1)};
    tb_linears linears = tb_model_linears(r->model, block);
    for (size_t i = 0; i < linears.count; i++) {
        tb_linear_input input = linears.at[i].input;
        if (!is_wanted(r->options->projections, linears.at[i].kind) || in->x[input])
            continue;
        in->cols[input] = linears.at[i].matrix.cols;
        in->x[input] = tb_mul_size(&n, tokens, in->cols[input]) ? tb_alloc_array(n, sizeof(float)) : NULL;
        if (!in->x[input]) {
            inputs_clear(in);
            return tb_fail(err, TB_ENOMEM, "no memory for the inputs of block %zu on %zu tokens", block, tokens);
        }
    }
    return TB_OK;
}

static void keep_inputs(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    (void)at;
    inputs *in = user;
    size_t cols = rows->cols;
    for (size_t t = 0; t < rows->rows && in->x[input]; t++)
        if ((size_t)rows->positions[t] >= in->first)
            memcpy(in->x[input] + in->kept[input]++ * cols, rows->x + t * rows->stride, cols * sizeof(float));
}

static tb_code check_finite(const inputs *in, size_t block, tb_error *err)
{
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++)
        for (size_t k = 0; k < in->kept[i] * in->cols[i]; k++)
            if (!isfinite(in->x[i][k]))
                return tb_fail(err, TB_EINVAL, "the model is broken: numbers in block %zu are not finite", block);
    return TB_OK;
}

// ---- spectra ----

// What is measured of one projection, or the mean of several.
typedef struct spectrum {
    double rank, share;
} spectrum;

// Heads are slices of equal size; a projection that is not split is one slice.
static size_t slice_rows(const run *r, const tb_linear *linear)
{
    size_t head = tb_model_config(r->model)->head_size, rows = linear->matrix.rows;
    return r->options->per_head && is_qkv(linear->kind) && rows % head == 0 ? head : rows;
}

// Adds `part` of what each slice says to its place in `sums`.
static tb_code add_slices(spectrum *sums, const tb_projection *p, size_t rows, bool center, double part, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t first = 0; first < p->rows && !rc; first += rows) {
        double *energies;
        size_t n;
        rc = tb_projection_energies(&energies, &n, p, first, rows, center, err);
        if (rc)
            break;
        size_t leading = n / RANDOM_SHARE ? n / RANDOM_SHARE : 1;
        sums[first / rows].rank += part * tb_effective_rank(energies, n);
        sums[first / rows].share += part * tb_energy_share(energies, n, leading);
        tb_free(energies);
    }
    return rc;
}

// The mean over the random counterparts.
static tb_code add_random_slices(spectrum *sums, const run *r, tb_projection p, size_t rows, size_t block, size_t which,
                                 tb_error *err)
{
    float *weights = tb_alloc_array(p.rows * p.cols, sizeof *weights);
    if (!weights)
        return tb_fail(err, TB_ENOMEM, "no memory for random weights of %zu x %zu", p.rows, p.cols);
    tb_code rc = TB_OK;
    p.weights = weights;
    for (size_t d = 0; d < r->draws && !rc; d++) {
        tb_random_weights(weights, p.rows * p.cols, r->options->seed, block, which, d);
        rc = add_slices(sums, &p, rows, r->options->center, 1.0 / (double)r->draws, err);
    }
    tb_free(weights);
    return rc;
}

// What the slices of a projection say: [slices] each.
typedef struct slices {
    spectrum *trained, *random, *alone; // outputs of the weights, of random ones, the weights themselves
} slices;

static tb_code measure_projection(slices *out, const run *r, const tb_projection *p, size_t rows, size_t block,
                                  size_t which, tb_error *err)
{
    tb_projection alone = {.weights = p->weights, .rows = p->rows, .cols = p->cols};
    tb_code rc = TB_OK;
    if (r->spectra)
        rc = add_slices(out->trained, p, rows, r->options->center, 1, err);
    if (!rc && r->spectra)
        rc = add_random_slices(out->random, r, *p, rows, block, which, err);
    if (!rc && r->weights_alone)
        rc = add_slices(out->alone, &alone, rows, false, 1, err);
    return rc;
}

static void add_to_block(tb_block_analysis *out, const run *r, const slices *s, size_t count, size_t rows, size_t cols,
                         double part)
{
    for (size_t i = 0; i < count; i++) {
        if (r->spectra) {
            out->effective_rank += part * s->trained[i].rank;
            out->random_rank += part * s->random[i].rank;
            out->rank_gap += part * tb_rank_gap(s->random[i].rank, s->trained[i].rank);
            out->energy_gain += part * (s->trained[i].share - s->random[i].share);
        }
        if (r->weights_alone)
            out->free_gap += part * tb_rank_gap(tb_gaussian_rank(rows, cols), s->alone[i].rank);
    }
}

// Adds `part` of the mean over the slices of a projection to the block.
static tb_code add_projection(tb_block_analysis *out, const run *r, const inputs *in, size_t block, size_t which,
                              double part, tb_error *err)
{
    const tb_linear *linear = &tb_model_linears(r->model, block).at[which];
    const tb_matrix *matrix = &linear->matrix;
    size_t rows = slice_rows(r, linear), count = matrix->rows / rows;
    float *weights = NULL;
    tb_code rc = tb_matrix_decode(&weights, r->model, matrix, err);
    if (rc)
        return rc;
    tb_zero_nonfinite(weights, matrix->rows * matrix->cols);
    tb_projection p = {.inputs = in->x[linear->input],
                       .tokens = in->kept[linear->input],
                       .stride = matrix->cols,
                       .weights = weights,
                       .rows = matrix->rows,
                       .cols = matrix->cols};
    spectrum *all = tb_alloc_array(3 * count, sizeof *all);
    slices s = {0};
    if (all)
        s = (slices){all, all + count, all + 2 * count};
    rc = all ? measure_projection(&s, r, &p, rows, block, which, err)
             : tb_fail(err, TB_ENOMEM, "no memory for %zu spectra", 3 * count);
    if (!rc)
        add_to_block(out, r, &s, count, rows, matrix->cols, part / (double)count);
    tb_free(all);
    tb_free(weights);
    return rc;
}

static tb_code analyze_spectra(tb_block_analysis *out, const run *r, const inputs *in, size_t block, tb_error *err)
{
    size_t projections = 0;
    tb_linears linears = tb_model_linears(r->model, block);
    for (size_t i = 0; i < linears.count; i++)
        projections += is_wanted(r->options->projections, linears.at[i].kind);
    tb_code rc = TB_OK;
    for (size_t i = 0; i < linears.count && !rc; i++)
        if (is_wanted(r->options->projections, linears.at[i].kind))
            rc = add_projection(out, r, in, block, i, 1.0 / (double)projections, err);
    return rc;
}

// ---- skipping ----

// −log softmax(logits)[target], in nats.
static double surprise(const float *logits, size_t vocab, int32_t target)
{
    float most = logits[0];
    double sum = 0;
    for (size_t i = 1; i < vocab; i++)
        most = logits[i] > most ? logits[i] : most;
    for (size_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - (double)most);
    return (double)most + log(sum) - (double)logits[target];
}

// Mean loss of the predictions inside the windows, from states behind the last block.
static tb_code measure_loss(double *loss, const run *r, const float *x, tb_error *err)
{
    size_t length = r->windows.length, stride = r->states.stride, vocab = tb_model_vocab_size(r->model);
    double sum = 0;
    tb_code rc = TB_OK;
    for (size_t w = 0; w < r->skip_windows; w++)
        for (size_t at = 0; at + 1 < length && !rc; at += CHUNK) {
            size_t n = length - 1 - at < CHUNK ? length - 1 - at : CHUNK,
                   begin = w * r->states.length + r->states.registers + at;
            rc = tb_states_logits(r->logits, r->model, x + begin * stride, stride, n, err);
            for (size_t i = 0; i < n && !rc; i++)
                sum += surprise(r->logits + i * vocab, vocab, r->windows.ids.data[w * length + at + i + 1]);
        }
    *loss = sum / (double)(r->skip_windows * (length - 1));
    if (!rc && !isfinite(*loss))
        return tb_fail(err, TB_EINVAL, "the model is broken: its logits are not finite");
    return rc;
}

// The loss without block `block`, from the states in front of it.
static tb_code measure_skipped(double *loss, run *r, size_t block, tb_error *err)
{
    size_t count = r->skip_windows * r->states.length * r->states.stride;
    tb_states copy = r->states;
    copy.windows = r->skip_windows;
    copy.x = tb_alloc_array(count, sizeof *copy.x);
    if (!copy.x)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu hidden states", r->skip_windows * r->states.length);
    memcpy(copy.x, r->states.x, count * sizeof *copy.x);
    tb_code rc = TB_OK;
    for (size_t b = block + 1; b < block_count(r) && !rc; b++) {
        rc = tb_states_run_block(&copy, r->model, b, NULL, NULL, err);
        if (!rc)
            rc = advance(r, (double)r->skip_windows, err);
    }
    if (!rc)
        rc = measure_loss(loss, r, copy.x, err);
    tb_free(copy.x);
    return rc;
}

// ---- the pass ----

static tb_code run_block(run *r, size_t block, tb_error *err)
{
    tb_block_analysis *out = &r->out->blocks[block];
    inputs in = {0};
    tb_code rc = r->skipping ? measure_skipped(&out->loss_increase, r, block, err) : TB_OK;
    if (!rc && r->spectra)
        rc = inputs_init(&in, r, block, err);
    if (rc)
        return rc;
    tb_probe probe = {.linear_input = keep_inputs, .user = &in};
    if (r->states.x)
        rc = tb_states_run_block(&r->states, r->model, block, NULL, r->spectra ? &probe : NULL, err);
    if (!rc)
        rc = check_finite(&in, block, err);
    if (!rc && (r->spectra || r->weights_alone))
        rc = analyze_spectra(out, r, &in, block, err);
    inputs_clear(&in);
    return rc ? rc : advance(r, (double)(SPECTRUM_RUNS + r->states.windows), err);
}

// Losses become increases, now that the whole model's is known.
static tb_code finish_skipping(run *r, tb_error *err)
{
    tb_code rc = measure_loss(&r->base_loss, r, r->states.x, err);
    if (rc)
        return rc;
    r->out->perplexity = exp(r->base_loss);
    for (size_t b = 0; b < block_count(r); b++) {
        tb_block_analysis *out = &r->out->blocks[b];
        out->perplexity_drop = exp(out->loss_increase) - r->out->perplexity;
        out->loss_increase -= r->base_loss;
    }
    return TB_OK;
}

static tb_code fill_scores(run *r, tb_error *err)
{
    size_t n = block_count(r);
    double *values = tb_alloc_array(4 * n, sizeof *values);
    if (!values)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu scores", n);
    double *loss = values, *gap = values + n, *gain = values + 2 * n, *scores = values + 3 * n;
    for (size_t b = 0; b < n; b++) {
        const tb_block_analysis *out = &r->out->blocks[b];
        loss[b] = out->loss_increase;
        gap[b] = out->rank_gap;
        gain[b] = out->energy_gain;
        scores[b] = r->options->score == TB_SCORE_PPL ? loss[b] : gap[b];
        if (r->options->score == TB_SCORE_FREE)
            scores[b] = out->free_gap;
    }
    if (r->options->score == TB_SCORE_V1)
        tb_score_composite(scores, loss, gap, gain, n);
    for (size_t b = 0; b < n; b++)
        r->out->blocks[b].score = scores[b];
    tb_free(values);
    return TB_OK;
}

// ---- before the pass ----

static void choose_work(run *r)
{
    const tb_analyze_options *o = r->options;
    bool all = !o->only_score;
    r->draws = o->draws ? o->draws : 1;
    r->spectra = all || o->score == TB_SCORE_V2 || o->score == TB_SCORE_V1;
    r->skipping = all || o->score == TB_SCORE_PPL || o->score == TB_SCORE_V1;
    r->weights_alone = all || o->score == TB_SCORE_FREE;
}

static size_t count_skip_windows(const run *r)
{
    size_t tokens = r->options->skip_tokens ? r->options->skip_tokens : r->windows.length;
    size_t windows = tokens / r->windows.length;
    return windows < r->windows.count ? windows : r->windows.count;
}

// The first ones of those that somebody has read, where they are as many as would be read here.
static tb_code find_windows(run *r, tb_error *err)
{
    const tb_analyze_options *o = r->options;
    size_t tokens = o->calibration_tokens ? o->calibration_tokens : CALIBRATION_TOKENS;
    size_t wanted = o->windows && tokens > o->windows->length ? tokens / o->windows->length : 1;
    if (!o->windows || o->windows->count < wanted) {
        tb_code rc = tb_windows_read(&r->read, r->model, o->calibration_path, tokens, o->window, o->report, err);
        r->windows = r->read;
        return rc;
    }
    r->windows = *o->windows;
    r->windows.count = wanted;
    return TB_OK;
}

static tb_code read_text(run *r, tb_error *err)
{
    const tb_analyze_options *o = r->options;
    tb_code rc = find_windows(r, err);
    if (!rc && r->windows.length < 2)
        rc = tb_fail(err, TB_EINVAL, "windows of one token predict nothing");
    if (!rc && o->skip_tokens && o->skip_tokens < r->windows.length)
        rc = tb_fail(err, TB_EINVAL, "%zu tokens are too few for skipping blocks: the least is one window, %zu",
                     o->skip_tokens, r->windows.length);
    if (rc)
        return rc;
    if (!r->spectra) // the loss alone needs no more windows than it looks at
        r->windows.count = count_skip_windows(r);
    rc = tb_states_init(&r->states, r->model, r->windows.ids.data, r->windows.count, r->windows.length, err);
    if (rc)
        return rc;
    size_t kept = r->windows.length - (o->keep_first ? 0 : 1);
    r->out->tokens = r->spectra ? r->windows.count * kept : 0;
    if (!r->skipping)
        return TB_OK;
    r->skip_windows = count_skip_windows(r);
    r->out->skip_tokens = r->skip_windows * r->windows.length;
    r->logits = tb_alloc_array(CHUNK * tb_model_vocab_size(r->model), sizeof *r->logits);
    return r->logits ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the logits of %d tokens", CHUNK);
}

static tb_code prepare(run *r, tb_error *err)
{
    size_t n = tb_model_config(r->model)->blocks;
    if (r->options->projections == TB_PROJECT_ALL && tb_model_config(r->model)->experts)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "'%s' is a mixture of experts: its projections are looked at as qkv or qkvo, not all",
                       tb_checkpoint_path(tb_model_checkpoint(r->model)));
    choose_work(r);
    r->out->blocks = tb_alloc_array(n, sizeof *r->out->blocks);
    if (!r->out->blocks)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu blocks", n);
    r->out->block_count = n;
    for (size_t b = 0; b < n; b++) {
        tb_linears linears = tb_model_linears(r->model, b);
        for (size_t i = 0; i < linears.count; i++)
            r->out->blocks[b].weights += (uint64_t)linears.at[i].matrix.rows * linears.at[i].matrix.cols;
    }
    tb_code rc = r->spectra || r->skipping ? read_text(r, err) : TB_OK;
    r->total_progress = (double)(n * (SPECTRUM_RUNS + r->states.windows)) +
                        (double)(n * (n - 1) / 2 * (r->skipping ? r->skip_windows : 0));
    return rc;
}

tb_code tb_analyze(tb_analysis *out, const tb_model *model, const tb_analyze_options *options, tb_error *err)
{
    *out = (tb_analysis){0};
    run r = {.model = model, .options = options, .out = out};
    tb_code rc = prepare(&r, err);
    for (size_t b = 0; b < block_count(&r) && !rc; b++)
        rc = run_block(&r, b, err);
    if (!rc && r.skipping)
        rc = finish_skipping(&r, err);
    if (!rc)
        rc = fill_scores(&r, err);
    tb_states_clear(&r.states);
    tb_windows_clear(&r.read);
    tb_free(r.logits);
    if (rc)
        tb_analysis_clear(out);
    return rc;
}
