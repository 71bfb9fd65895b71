// Perplexity and divergence over the windows of a text.
//
// Windows go through the models in batches, block by block, so that each weight is decoded once
// per batch; then head and scores follow in slices of positions, because the logits of a
// whole batch would take hundreds of megabytes. The measured models and the reference share
// the pass over the text; nothing is kept but one number or two per prediction.
#include "eval/eval.h"

#include <math.h>
#include <stdint.h>

#include "eval/score.h"

enum {
    DEFAULT_CTX = 512,
    BATCH_TOKENS = 1024, // enough to make the decoding of weights cheap beside the products
};

// Bytes of one model's logits at a time.
#define SLICE_BYTES ((size_t)16 << 20)

// What is kept of one model's predictions: [windows · per_window] each.
typedef struct tally {
    double *nll, *kl;
    size_t agreements;
    bool broken; // a logit was not finite
} tally;

typedef struct measurement {
    const tb_model *const *models; // [count]
    size_t count;
    const tb_model *reference; // may be NULL
    const int32_t *tokens;
    size_t ctx, skip, windows, per_window; // per_window: predictions scored in each
    size_t batch;                          // windows per batch
    size_t slice;                          // positions per slice
    size_t vocab;
    size_t threads;
    const tb_report *report;

    tb_arena arena;
    int32_t *batch_tokens;   // [batch · ctx]
    tb_states *states;       // [count + 1]: of each model, then of the reference
    float *logits;           // [slice][vocab] of a measured model
    float *reference_logits; // the same of the reference
    tb_score *scores;        // [slice]
    tally *tallies;          // [count]
    double *reference_nll;   // [windows · per_window]
} measurement;

// ---- preparation ----

static size_t shortest_context(const measurement *m)
{
    size_t context = m->reference ? tb_model_context_length(m->reference) : SIZE_MAX;
    for (size_t i = 0; i < m->count; i++) {
        size_t own = tb_model_context_length(m->models[i]);
        context = own < context ? own : context;
    }
    return context;
}

static tb_code plan_windows(measurement *m, size_t token_count, const tb_perplexity_options *options, tb_error *err)
{
    size_t context = shortest_context(m);
    m->ctx = options->ctx ? options->ctx : context < DEFAULT_CTX ? context : DEFAULT_CTX;
    m->skip = options->skip;
    if (m->ctx > context)
        return tb_fail(err, TB_ELIMIT, "windows of %zu tokens are longer than the model's context of %zu", m->ctx,
                       context);
    if (m->ctx < 2 || m->skip > m->ctx - 2)
        return tb_fail(err, TB_EINVAL, "no prediction is left in windows of %zu tokens when %zu are skipped", m->ctx,
                       m->skip);
    if (options->max_tokens && options->max_tokens < token_count)
        token_count = options->max_tokens;
    m->windows = token_count / m->ctx;
    if (m->windows == 0)
        return tb_fail(err, TB_EINVAL, "%zu tokens of text do not fill one window of %zu", token_count, m->ctx);
    m->per_window = m->ctx - 1 - m->skip;
    m->batch = m->ctx < BATCH_TOKENS ? BATCH_TOKENS / m->ctx : 1;
    if (m->batch > m->windows)
        m->batch = m->windows;
    return TB_OK;
}

static tb_code check_vocabularies(measurement *m, tb_error *err)
{
    const tb_model *first = m->reference ? m->reference : m->models[0];
    m->vocab = tb_model_vocab_size(first);
    for (size_t i = 0; i < m->count; i++)
        if (tb_model_vocab_size(m->models[i]) != m->vocab)
            return tb_fail(err, TB_EINVAL, "the models differ in their vocabularies: %zu and %zu tokens", m->vocab,
                           tb_model_vocab_size(m->models[i]));
    return TB_OK;
}

static tb_code check_tokens(const measurement *m, tb_error *err)
{
    for (size_t i = 0; i < m->windows * m->ctx; i++)
        if (m->tokens[i] < 0 || (size_t)m->tokens[i] >= m->vocab)
            return tb_fail(err, TB_EINVAL, "token %d lies outside the vocabulary", (int)m->tokens[i]);
    return TB_OK;
}

static tb_code allocate(measurement *m, tb_error *err)
{
    size_t predictions = m->windows * m->per_window;
    size_t fitting = SLICE_BYTES / sizeof(float) / m->vocab;
    m->slice = fitting < 1 ? 1 : fitting > m->per_window ? m->per_window : fitting;
    m->batch_tokens = tb_arena_array(&m->arena, m->batch * m->ctx, sizeof *m->batch_tokens);
    m->states = tb_arena_array(&m->arena, m->count + 1, sizeof *m->states);
    m->logits = tb_arena_array(&m->arena, m->slice * m->vocab, sizeof *m->logits);
    m->reference_logits = tb_arena_array(&m->arena, m->slice * m->vocab, sizeof *m->reference_logits);
    m->scores = tb_arena_array(&m->arena, m->slice, sizeof *m->scores);
    m->tallies = tb_arena_array(&m->arena, m->count, sizeof *m->tallies);
    m->reference_nll = tb_arena_array(&m->arena, predictions, sizeof *m->reference_nll);
    bool complete =
        m->batch_tokens && m->states && m->logits && m->reference_logits && m->scores && m->tallies && m->reference_nll;
    for (size_t i = 0; complete && i < m->count; i++) {
        m->tallies[i].nll = tb_arena_array(&m->arena, predictions, sizeof(double));
        m->tallies[i].kl = tb_arena_array(&m->arena, predictions, sizeof(double));
        complete = m->tallies[i].nll && m->tallies[i].kl;
    }
    return complete ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to measure %zu predictions", predictions);
}

// ---- the pass ----

// Tells how far the pass is. A batch has a turn for the blocks of each model and one for the scores;
// `turn` and a `part` of it are behind us.
static tb_code tell_progress(const measurement *m, size_t first, size_t windows, size_t turn, double part,
                             tb_error *err)
{
    size_t turns = m->count + (m->reference != NULL) + 1;
    double batch = ((double)turn + part) / (double)turns;
    double done = ((double)first + batch * (double)windows) * (double)m->ctx;
    if (tb_report_progress(m->report, "measure", done, (double)(m->windows * m->ctx), "tokens"))
        return tb_fail(err, TB_ECANCELLED, "the measurement was stopped");
    return TB_OK;
}

static void take_batch_tokens(measurement *m, const tb_model *model, size_t first, size_t windows)
{
    const tb_tokenizer *tokenizer = tb_model_tokenizer(model);
    for (size_t i = 0; i < windows * m->ctx; i++)
        m->batch_tokens[i] = m->tokens[first * m->ctx + i];
    if (!tokenizer || !tb_tokenizer_adds_bos(tokenizer))
        return;
    for (size_t w = 0; w < windows; w++)
        m->batch_tokens[w * m->ctx] = tb_tokenizer_bos(tokenizer);
}

// Hidden states of a batch after the last block; `turn` counts the models of this batch.
static tb_code run_blocks(measurement *m, size_t turn, const tb_model *model, size_t first, size_t windows,
                          tb_error *err)
{
    tb_states *states = &m->states[turn];
    size_t blocks = tb_model_config(model)->blocks;
    take_batch_tokens(m, model, first, windows);
    tb_states_clear(states);
    tb_code rc = tb_states_init(states, model, m->batch_tokens, windows, m->ctx, err);
    for (size_t b = 0; !rc && b < blocks; b++) {
        rc = tb_states_run_block(states, model, b, NULL, NULL, err);
        if (!rc)
            rc = tell_progress(m, first, windows, turn, (double)(b + 1) / (double)blocks, err);
    }
    return rc;
}

// A slice: `n` predictions from position `position` of window `window` of the batch on.
typedef struct slice {
    size_t window, position, n;
    const int32_t *targets; // [n]
} slice;

static tb_code make_logits(const measurement *m, float *logits, size_t turn, const tb_model *model, const slice *s,
                           tb_error *err)
{
    const tb_states *states = &m->states[turn];
    const float *x = states->x + (s->window * states->length + s->position) * states->stride;
    return tb_states_logits(logits, model, x, states->stride, s->n, err);
}

typedef struct score_job {
    measurement *m;
    const slice *slice;
} score_job;

static void score_range(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const score_job *job = user;
    measurement *m = job->m;
    for (size_t i = begin; i < end; i++) {
        const float *reference = m->reference ? m->reference_logits + i * m->vocab : NULL;
        tb_score_prediction(&m->scores[i], m->logits + i * m->vocab, reference, m->vocab, job->slice->targets[i]);
    }
}

// Adds a slice's scores to a model's tally; `at` is the place of its first prediction.
static tb_code add_scores(measurement *m, tally *t, size_t at, size_t n, tb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const tb_score *score = &m->scores[i];
        if (!score->reference_finite)
            return tb_fail(err, TB_EINVAL, "the reference is broken: its logits are not finite");
        if (!score->finite) {
            t->broken = true;
            continue;
        }
        t->nll[at + i] = score->nll;
        t->kl[at + i] = score->kl;
        t->agreements += score->agrees;
        m->reference_nll[at + i] = score->reference_nll;
    }
    return TB_OK;
}

static tb_code score_slice(measurement *m, const slice *s, size_t at, tb_error *err)
{
    tb_code rc = TB_OK;
    if (m->reference)
        rc = make_logits(m, m->reference_logits, m->count, m->reference, s, err);
    for (size_t i = 0; !rc && i < m->count; i++) {
        rc = make_logits(m, m->logits, i, m->models[i], s, err);
        if (rc)
            break;
        tb_parallel(m->threads, s->n, 1, score_range, &(score_job){m, s});
        rc = add_scores(m, &m->tallies[i], at, s->n, err);
    }
    return rc;
}

// Scores window `window` of the batch that starts at window `first`.
static tb_code score_window(measurement *m, size_t first, size_t window, tb_error *err)
{
    tb_code rc = TB_OK;
    const int32_t *tokens = m->tokens + (first + window) * m->ctx;
    for (size_t done = 0; !rc && done < m->per_window; done += m->slice) {
        size_t left = m->per_window - done, position = m->skip + done;
        slice s = {window, position, left < m->slice ? left : m->slice, tokens + position + 1};
        rc = score_slice(m, &s, (first + window) * m->per_window + done, err);
    }
    return rc;
}

static tb_code run_batch(measurement *m, size_t first, tb_error *err)
{
    size_t left = m->windows - first, windows = left < m->batch ? left : m->batch;
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < m->count; i++)
        rc = run_blocks(m, i, m->models[i], first, windows, err);
    if (!rc && m->reference)
        rc = run_blocks(m, m->count, m->reference, first, windows, err);
    for (size_t w = 0; !rc && w < windows; w++) {
        rc = score_window(m, first, w, err);
        if (!rc)
            rc = tell_progress(m, first, windows, m->count + (m->reference != NULL), (double)(w + 1) / (double)windows,
                               err);
    }
    return rc;
}

// ---- results ----

static void fill_result(tb_perplexity_result *r, const measurement *m, const tally *t)
{
    size_t predictions = m->windows * m->per_window;
    tb_mean nll = tb_mean_of_windows(t->nll, m->windows, m->per_window);
    *r = (tb_perplexity_result){.ctx = m->ctx, .skip = m->skip, .windows = m->windows, .tokens = predictions};
    r->broken = t->broken;
    if (r->broken)
        return;
    r->nll = nll.mean;
    r->nll_stderr = nll.error;
    r->perplexity = exp(nll.mean);
    r->stderr_ = r->perplexity * nll.error;
    r->has_reference = m->reference != NULL;
    if (!r->has_reference)
        return;
    tb_mean reference = tb_mean_of_windows(m->reference_nll, m->windows, m->per_window);
    r->reference_nll = reference.mean;
    r->reference_perplexity = exp(reference.mean);
    r->reference_stderr = r->reference_perplexity * reference.error;
    tb_mean kl = tb_mean_of_windows(t->kl, m->windows, m->per_window);
    r->kl_mean = kl.mean;
    r->kl_stderr = kl.error;
    r->kl_p99 = tb_percentile(t->kl, predictions, 0.99);
    r->kl_max = t->kl[predictions - 1]; // tb_percentile has sorted them
    r->top1_agreement = (double)t->agreements / (double)predictions;
}

static tb_code measure(measurement *m, tb_perplexity_result *results, size_t token_count,
                       const tb_perplexity_options *options, tb_error *err)
{
    tb_code rc = plan_windows(m, token_count, options, err);
    if (!rc)
        rc = check_vocabularies(m, err);
    if (!rc)
        rc = check_tokens(m, err);
    if (!rc)
        rc = allocate(m, err);
    for (size_t first = 0; !rc && first < m->windows; first += m->batch)
        rc = run_batch(m, first, err);
    for (size_t i = 0; !rc && i < m->count; i++)
        fill_result(&results[i], m, &m->tallies[i]);
    return rc;
}

tb_code tb_measure_perplexities(tb_perplexity_result *results, const tb_model *const *models, size_t count,
                                const tb_model *reference, const int32_t *tokens, size_t token_count,
                                const tb_perplexity_options *options, tb_error *err)
{
    measurement m = {
        .models = models,
        .count = count,
        .reference = reference,
        .tokens = tokens,
        .threads = tb_model_compute(models[0])->threads,
        .report = options->report,
    };
    tb_code rc = measure(&m, results, token_count, options, err);
    for (size_t i = 0; m.states && i <= count; i++)
        tb_states_clear(&m.states[i]);
    tb_arena_clear(&m.arena);
    return rc;
}

tb_code tb_measure_perplexity(tb_perplexity_result *result, const tb_model *model, const tb_model *reference,
                              const int32_t *tokens, size_t token_count, const tb_perplexity_options *options,
                              tb_error *err)
{
    return tb_measure_perplexities(result, &model, 1, reference, tokens, token_count, options, err);
}
