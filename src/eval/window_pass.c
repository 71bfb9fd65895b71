// The pass over the windows of a text.
//
// Windows go through the models in batches, block by block, so that each weight is decoded once
// per batch; then head and scores follow in slices of positions, because the logits of a
// whole batch would take hundreds of megabytes. The measured models and the reference share
// the pass over the text; what is said about a batch is handed over when the batch is complete.
//
// Batches are cut from the text at fixed places, whichever of their windows are wanted: a window's scores are the
// same bits whether the pass begins with it or was interrupted before it.
#include "eval/eval.h"

#include <stdint.h>

#include "eval/score.h"

enum {
    DEFAULT_CTX = 512,
    BATCH_TOKENS = 1024, // enough to make the decoding of weights cheap beside the products
};

// Bytes of one model's logits at a time.
#define SLICE_BYTES ((size_t)16 << 20)

typedef struct measurement {
    const tb_window_pass *pass;
    tb_window_plan plan;
    size_t batch; // windows per batch
    size_t slice; // positions per slice
    size_t vocab;
    size_t threads;

    tb_arena arena;
    int32_t *batch_tokens;       // [batch · ctx]
    bool *wanted;                // [count]: models that take part in this batch
    tb_states *states;           // [count + 1]: of each model, then of the reference
    float *logits;               // [slice][vocab] of a measured model
    float *reference_logits;     // the same of the reference
    tb_prediction_score *scores; // [slice]
    double *nll, *kl;            // [count + 1][batch][predictions]; the reference has no kl
    tb_window_scores *said;      // [count + 1][batch]
    tb_window_scores *taken;     // the same without what was not wanted
} measurement;

// ---- preparation ----

size_t tb_window_pass_context(const tb_window_pass *pass)
{
    size_t context = pass->reference ? tb_model_context_length(pass->reference) : SIZE_MAX;
    for (size_t i = 0; i < pass->count; i++) {
        size_t own = tb_model_context_length(pass->models[i]);
        context = own < context ? own : context;
    }
    return context;
}

static bool cuts_prompts(const tb_seq_options *memory)
{
    return memory && (memory->eviction == TB_EVICT_SNAPKV || memory->eviction == TB_EVICT_PYRAMID);
}

tb_code tb_window_plan_init(tb_window_plan *plan, size_t context, size_t token_count,
                            const tb_perplexity_options *options, tb_error *err)
{
    size_t ctx = options->ctx ? options->ctx : context < DEFAULT_CTX ? context : DEFAULT_CTX;
    if (ctx > context)
        return tb_fail(err, TB_ELIMIT, "windows of %zu tokens are longer than the model's context of %zu", ctx,
                       context);
    bool prompts = cuts_prompts(options->memory);
    size_t skip = prompts && options->skip == 0 ? ctx / 2 : options->skip;
    if (ctx < 2 || skip > ctx - 2)
        return tb_fail(err, TB_EINVAL, "no prediction is left in windows of %zu tokens when %zu are skipped", ctx,
                       skip);
    if (options->max_tokens && options->max_tokens < token_count)
        token_count = options->max_tokens;
    if (token_count < ctx)
        return tb_fail(err, TB_EINVAL, "%zu tokens of text do not fill one window of %zu", token_count, ctx);
    *plan = (tb_window_plan){.ctx = ctx,
                             .skip = skip,
                             .prompt = prompts ? skip : 0,
                             .windows = token_count / ctx,
                             .predictions = ctx - 1 - skip};
    return TB_OK;
}

static tb_code plan_batches(measurement *m, tb_error *err)
{
    const tb_window_pass *pass = m->pass;
    tb_code rc = tb_window_plan_init(&m->plan, tb_window_pass_context(pass), pass->token_count, pass->options, err);
    if (rc)
        return rc;
    m->batch = m->plan.ctx < BATCH_TOKENS ? BATCH_TOKENS / m->plan.ctx : 1;
    if (m->batch > m->plan.windows)
        m->batch = m->plan.windows;
    return TB_OK;
}

static tb_code check_vocabularies(measurement *m, tb_error *err)
{
    const tb_window_pass *pass = m->pass;
    m->vocab = tb_model_vocab_size(pass->reference ? pass->reference : pass->models[0]);
    for (size_t i = 0; i < pass->count; i++)
        if (tb_model_vocab_size(pass->models[i]) != m->vocab)
            return tb_fail(err, TB_EINVAL, "the models differ in their vocabularies: %zu and %zu tokens", m->vocab,
                           tb_model_vocab_size(pass->models[i]));
    return TB_OK;
}

// Predictions of tokens that a prefix takes the place of would say nothing.
static tb_code check_prefixes(const measurement *m, tb_error *err)
{
    const tb_window_pass *pass = m->pass;
    size_t longest = pass->reference ? tb_model_prefix(pass->reference)->count : 0;
    for (size_t i = 0; i < pass->count; i++) {
        size_t own = tb_model_prefix(pass->models[i])->count;
        longest = own > longest ? own : longest;
    }
    if (longest <= m->plan.skip + 1)
        return TB_OK;
    return tb_fail(
        err, TB_EINVAL,
        "the model's prefix takes the place of the first %zu tokens of a window: skip %zu predictions at least",
        longest, longest - 1);
}

static tb_code check_tokens(const measurement *m, tb_error *err)
{
    const int32_t *tokens = m->pass->tokens;
    for (size_t i = 0; i < m->plan.windows * m->plan.ctx; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= m->vocab)
            return tb_fail(err, TB_EINVAL, "token %d lies outside the vocabulary", (int)tokens[i]);
    return TB_OK;
}

static tb_code allocate(measurement *m, tb_error *err)
{
    size_t subjects = m->pass->count + 1, windows = subjects * m->batch;
    size_t fitting = SLICE_BYTES / sizeof(float) / m->vocab;
    m->slice = fitting < 1 ? 1 : fitting > m->plan.predictions ? m->plan.predictions : fitting;
    m->batch_tokens = tb_arena_array(&m->arena, m->batch * m->plan.ctx, sizeof *m->batch_tokens);
    m->wanted = tb_arena_array(&m->arena, subjects, sizeof *m->wanted);
    m->states = tb_arena_array(&m->arena, subjects, sizeof *m->states);
    m->logits = tb_arena_array(&m->arena, m->slice * m->vocab, sizeof *m->logits);
    m->reference_logits = tb_arena_array(&m->arena, m->slice * m->vocab, sizeof *m->reference_logits);
    m->scores = tb_arena_array(&m->arena, m->slice, sizeof *m->scores);
    m->nll = tb_arena_array(&m->arena, windows * m->plan.predictions, sizeof *m->nll);
    m->kl = tb_arena_array(&m->arena, windows * m->plan.predictions, sizeof *m->kl);
    m->said = tb_arena_array(&m->arena, windows, sizeof *m->said);
    m->taken = tb_arena_array(&m->arena, windows, sizeof *m->taken);
    bool complete = m->batch_tokens && m->wanted && m->states && m->logits && m->reference_logits && m->scores &&
                    m->nll && m->kl && m->said && m->taken;
    return complete ? TB_OK
                    : tb_fail(err, TB_ENOMEM, "no memory to measure %zu windows of %zu predictions", m->batch,
                              m->plan.predictions);
}

// ---- one batch ----

// Windows `first` … of the text, of which the models `wanted` take part.
typedef struct batch {
    size_t first, windows;
    size_t turns, turn; // a turn for the blocks of each model and one for the scores; those behind us
} batch;

static tb_code tell_progress(const measurement *m, const batch *b, double part, tb_error *err)
{
    double share = ((double)b->turn + part) / (double)b->turns;
    double done = ((double)b->first + share * (double)b->windows) * (double)m->plan.ctx;
    if (tb_report_progress(m->pass->options->report, "measure", done, (double)(m->plan.windows * m->plan.ctx),
                           "tokens"))
        return tb_fail(err, TB_ECANCELLED, "the measurement was stopped");
    return TB_OK;
}

static void take_batch_tokens(measurement *m, const tb_model *model, const batch *b)
{
    size_t ctx = m->plan.ctx;
    for (size_t i = 0; i < b->windows * ctx; i++)
        m->batch_tokens[i] = m->pass->tokens[b->first * ctx + i];
    for (size_t w = 0; w < b->windows; w++)
        tb_model_begin_window(m->batch_tokens + w * ctx, ctx, model);
}

// Hidden states of the batch after the last block of subject `index`.
static tb_code run_blocks(measurement *m, size_t index, const tb_model *model, batch *b, tb_error *err)
{
    tb_states *states = &m->states[index];
    size_t blocks = tb_model_config(model)->blocks;
    take_batch_tokens(m, model, b);
    tb_states_clear(states);
    tb_code rc = tb_states_init(states, model, m->batch_tokens, b->windows, m->plan.ctx, err);
    bool measured = index < m->pass->count;
    if (measured) {
        states->memory = m->pass->options->memory;
        states->prompt = m->plan.prompt;
    }
    for (size_t i = 0; !rc && i < blocks; i++) {
        rc = tb_states_run_block(states, model, i, NULL, measured ? m->pass->options->probe : NULL, err);
        if (!rc)
            rc = tell_progress(m, b, (double)(i + 1) / (double)blocks, err);
    }
    b->turn++;
    return rc;
}

// A slice: `n` predictions from position `position` of window `window` of the batch on.
typedef struct slice {
    size_t window, position, n;
    const int32_t *targets; // [n]
} slice;

static tb_code make_logits(const measurement *m, float *logits, size_t index, const tb_model *model, const slice *s,
                           tb_error *err)
{
    const tb_states *states = &m->states[index];
    size_t row = s->window * states->length + states->registers + s->position;
    const float *x = states->x + row * states->stride;
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
        const float *reference = m->pass->reference ? m->reference_logits + i * m->vocab : NULL;
        tb_score_prediction(&m->scores[i], m->logits + i * m->vocab, reference, m->vocab, job->slice->targets[i]);
    }
}

static size_t said_index(const measurement *m, size_t subject, size_t window)
{
    return subject * m->batch + window;
}

// Adds a slice's scores to what is said of a model, and what they say of the reference to that.
static tb_code add_scores(measurement *m, size_t subject, const slice *s, tb_error *err)
{
    size_t own = said_index(m, subject, s->window), reference = said_index(m, m->pass->count, s->window);
    size_t predictions = m->plan.predictions, at = s->position - m->plan.skip;
    tb_window_scores *said = &m->said[own];
    for (size_t i = 0; i < s->n; i++) {
        const tb_prediction_score *score = &m->scores[i];
        if (!score->reference_finite)
            return tb_fail(err, TB_EINVAL, "the reference is broken: its logits are not finite");
        m->nll[own * predictions + at + i] = score->nll;
        m->kl[own * predictions + at + i] = score->kl;
        m->nll[reference * predictions + at + i] = score->reference_nll;
        said->agreements += score->agrees;
        said->broken |= !score->finite;
    }
    return TB_OK;
}

static tb_code score_slice(measurement *m, const slice *s, tb_error *err)
{
    const tb_window_pass *pass = m->pass;
    tb_code rc = TB_OK;
    if (pass->reference)
        rc = make_logits(m, m->reference_logits, pass->count, pass->reference, s, err);
    for (size_t i = 0; !rc && i < pass->count; i++) {
        if (!m->wanted[i])
            continue;
        rc = make_logits(m, m->logits, i, pass->models[i], s, err);
        if (rc)
            break;
        tb_parallel(m->threads, s->n, 1, score_range, &(score_job){m, s});
        rc = add_scores(m, i, s, err);
    }
    return rc;
}

static tb_code score_window(measurement *m, size_t window, const batch *b, tb_error *err)
{
    tb_code rc = TB_OK;
    const int32_t *tokens = m->pass->tokens + (b->first + window) * m->plan.ctx;
    for (size_t done = 0; !rc && done < m->plan.predictions; done += m->slice) {
        size_t left = m->plan.predictions - done, position = m->plan.skip + done;
        slice s = {window, position, left < m->slice ? left : m->slice, tokens + position + 1};
        rc = score_slice(m, &s, err);
    }
    return rc ? rc : tell_progress(m, b, (double)(window + 1) / (double)b->windows, err);
}

// ---- handing over ----

static bool wants(const tb_window_pass *pass, size_t model, size_t window)
{
    return !pass->wants || pass->wants(pass->user, model, window);
}

// Which models take part in the batch; how many.
static size_t find_wanted(measurement *m, const batch *b)
{
    size_t count = 0;
    for (size_t i = 0; i < m->pass->count; i++) {
        m->wanted[i] = false;
        for (size_t w = 0; w < b->windows; w++)
            m->wanted[i] |= wants(m->pass, i, b->first + w);
        count += m->wanted[i];
    }
    return count;
}

static void begin_scores(measurement *m, const batch *b)
{
    size_t subjects = m->pass->count + 1, predictions = m->plan.predictions;
    for (size_t i = 0; i < subjects; i++)
        for (size_t w = 0; w < b->windows; w++) {
            size_t at = said_index(m, i, w);
            bool measured = i < m->pass->count, compared = measured && m->pass->reference;
            m->said[at] = (tb_window_scores){.model = i,
                                             .window = b->first + w,
                                             .predictions = predictions,
                                             .nll = m->nll + at * predictions,
                                             .kl = compared ? m->kl + at * predictions : NULL,
                                             .agreements = measured ? 0 : predictions};
        }
}

static tb_code hand_over(measurement *m, const batch *b, tb_error *err)
{
    const tb_window_pass *pass = m->pass;
    size_t n = 0;
    for (size_t i = 0; i < pass->count; i++)
        for (size_t w = 0; w < b->windows; w++)
            if (m->wanted[i] && wants(pass, i, b->first + w))
                m->taken[n++] = m->said[said_index(m, i, w)];
    for (size_t w = 0; pass->reference && w < b->windows; w++)
        m->taken[n++] = m->said[said_index(m, pass->count, w)];
    return pass->take(pass->user, m->taken, n, err);
}

static tb_code run_batch(measurement *m, size_t first, tb_error *err)
{
    const tb_window_pass *pass = m->pass;
    size_t left = m->plan.windows - first;
    batch b = {.first = first, .windows = left < m->batch ? left : m->batch};
    size_t wanted = find_wanted(m, &b);
    if (wanted == 0)
        return TB_OK;
    b.turns = wanted + (pass->reference != NULL) + 1;
    begin_scores(m, &b);
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < pass->count; i++)
        if (m->wanted[i])
            rc = run_blocks(m, i, pass->models[i], &b, err);
    if (!rc && pass->reference)
        rc = run_blocks(m, pass->count, pass->reference, &b, err);
    for (size_t w = 0; !rc && w < b.windows; w++)
        rc = score_window(m, w, &b, err);
    return rc ? rc : hand_over(m, &b, err);
}

static tb_code run_pass(measurement *m, tb_error *err)
{
    tb_code rc = plan_batches(m, err);
    if (!rc)
        rc = check_vocabularies(m, err);
    if (!rc)
        rc = check_prefixes(m, err);
    if (!rc)
        rc = check_tokens(m, err);
    if (!rc)
        rc = allocate(m, err);
    for (size_t first = 0; !rc && first < m->plan.windows; first += m->batch)
        rc = run_batch(m, first, err);
    return rc;
}

tb_code tb_measure_windows(const tb_window_pass *pass, tb_error *err)
{
    measurement m = {.pass = pass, .threads = tb_model_compute(pass->models[0])->threads};
    tb_code rc = run_pass(&m, err);
    for (size_t i = 0; m.states && i <= pass->count; i++)
        tb_states_clear(&m.states[i]);
    tb_arena_clear(&m.arena);
    return rc;
}
