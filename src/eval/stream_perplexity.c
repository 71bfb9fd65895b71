// A text as one sequence: what a stream is worth, and whether it stays so.
//
// Text goes through the model in slices, because the logits of all of it would take gigabytes.
#include "eval/eval.h"

#include <math.h>

#include "eval/score.h"

enum { DEFAULT_PIECE = 512, MOST_SLICE = 256 };

// Bytes of one model's logits at a time.
#define SLICE_BYTES ((size_t)16 << 20)

typedef struct measurement {
    const tb_model *model, *reference;
    const tb_perplexity_options *options;
    const int32_t *tokens; // of the text, without BOS
    size_t piece, pieces, predictions, slice, vocab;
    size_t agreements;
    bool broken;
    tb_seq *seq, *reference_seq;
    tb_arena arena;
    int32_t *pushed;                  // [slice]
    float *logits, *reference_logits; // [slice][vocab]
    tb_prediction_score *scores;      // [slice]
    double *nll, *kl, *reference_nll; // [predictions]
} measurement;

// ---- preparation ----

static tb_code plan(measurement *m, size_t token_count, tb_error *err)
{
    const tb_perplexity_options *o = m->options;
    m->piece = o->ctx ? o->ctx : DEFAULT_PIECE;
    if (o->max_tokens && o->max_tokens < token_count)
        token_count = o->max_tokens;
    m->pieces = token_count > 0 ? (token_count - 1) / m->piece : 0;
    m->predictions = m->pieces * m->piece;
    m->vocab = tb_model_vocab_size(m->model);
    if (m->pieces == 0)
        return tb_fail(err, TB_EINVAL, "%zu tokens of text do not fill one piece of %zu predictions", token_count,
                       m->piece);
    for (size_t i = 0; i <= m->predictions; i++)
        if (m->tokens[i] < 0 || (size_t)m->tokens[i] >= m->vocab)
            return tb_fail(err, TB_EINVAL, "token %d lies outside the vocabulary", (int)m->tokens[i]);
    return TB_OK;
}

static tb_code check_reference(const measurement *m, tb_error *err)
{
    if (tb_model_prefix(m->model)->count > 1)
        return tb_fail(err, TB_EUNSUPPORTED, "a prefix of %zu tokens would take the place of text in a stream",
                       tb_model_prefix(m->model)->count);
    if (!m->reference)
        return TB_OK;
    size_t vocab = tb_model_vocab_size(m->reference), context = tb_model_context_length(m->reference);
    if (vocab != m->vocab)
        return tb_fail(err, TB_EINVAL, "the models differ in their vocabularies: %zu and %zu tokens", vocab, m->vocab);
    if (m->predictions > context)
        return tb_fail(err, TB_ELIMIT,
                       "the reference sees all of the text, and %zu tokens are more than its context of %zu",
                       m->predictions, context);
    return TB_OK;
}

static tb_code allocate(measurement *m, tb_error *err)
{
    size_t fitting = SLICE_BYTES / sizeof(float) / m->vocab, n = m->predictions;
    m->slice = fitting < 1 ? 1 : fitting > MOST_SLICE ? MOST_SLICE : fitting;
    m->pushed = tb_arena_array(&m->arena, m->slice, sizeof *m->pushed);
    m->logits = tb_arena_array(&m->arena, m->slice * m->vocab, sizeof *m->logits);
    m->reference_logits = tb_arena_array(&m->arena, m->slice * m->vocab, sizeof *m->reference_logits);
    m->scores = tb_arena_array(&m->arena, m->slice, sizeof *m->scores);
    m->nll = tb_arena_array(&m->arena, n, sizeof *m->nll);
    m->kl = tb_arena_array(&m->arena, n, sizeof *m->kl);
    m->reference_nll = tb_arena_array(&m->arena, n, sizeof *m->reference_nll);
    bool complete = m->pushed && m->logits && m->reference_logits && m->scores && m->nll && m->kl && m->reference_nll;
    return complete ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to measure %zu predictions", n);
}

static tb_code open_sequences(measurement *m, tb_error *err)
{
    const tb_seq_options plain = {.context = m->predictions, .kv_cache = TB_KV_CACHE_F32};
    tb_code rc = tb_seq_new(&m->seq, m->model, m->options->memory ? m->options->memory : &plain, err);
    if (!rc)
        tb_seq_set_probe(m->seq, m->options->probe);
    if (!rc && m->reference)
        rc = tb_seq_new(&m->reference_seq, m->reference, &plain, err);
    return rc;
}

// ---- one slice ----

// Predictions first … first + n − 1.
typedef struct slice {
    measurement *m;
    size_t first, n;
} slice;

static tb_code push(const slice *s, tb_seq *seq, float *logits, tb_error *err)
{
    measurement *m = s->m;
    for (size_t i = 0; i < s->n; i++)
        m->pushed[i] = m->tokens[s->first + i];
    if (s->first == 0)
        tb_model_begin_window(m->pushed, s->n, tb_seq_model(seq));
    return tb_seq_push_all(seq, m->pushed, s->n, logits, err);
}

static void score_range(void *user, size_t begin, size_t end, size_t worker)
{
    const slice *s = user;
    const measurement *m = s->m;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const float *reference = m->reference ? m->reference_logits + i * m->vocab : NULL;
        tb_score_prediction(&m->scores[i], m->logits + i * m->vocab, reference, m->vocab, m->tokens[s->first + i + 1]);
    }
}

static tb_code add_scores(const slice *s, tb_error *err)
{
    measurement *m = s->m;
    for (size_t i = 0; i < s->n; i++) {
        const tb_prediction_score *score = &m->scores[i];
        if (!score->reference_finite)
            return tb_fail(err, TB_EINVAL, "the reference is broken: its logits are not finite");
        m->broken |= !score->finite;
        m->nll[s->first + i] = score->nll;
        m->kl[s->first + i] = score->kl;
        m->reference_nll[s->first + i] = score->reference_nll;
        m->agreements += score->agrees;
    }
    return TB_OK;
}

static tb_code run_slice(measurement *m, size_t first, tb_error *err)
{
    size_t left = m->predictions - first;
    slice s = {m, first, left < m->slice ? left : m->slice};
    tb_code rc = push(&s, m->seq, m->logits, err);
    if (!rc && m->reference)
        rc = push(&s, m->reference_seq, m->reference_logits, err);
    if (rc)
        return rc;
    tb_parallel(tb_model_compute(m->model)->threads, s.n, 1, score_range, &s);
    rc = add_scores(&s, err);
    if (!rc &&
        tb_report_progress(m->options->report, "measure", (double)(first + s.n), (double)m->predictions, "tokens"))
        rc = tb_fail(err, TB_ECANCELLED, "the measurement was stopped");
    return rc;
}

// ---- results ----

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

static tb_code make_curve(tb_curve *curve, const measurement *m, tb_error *err)
{
    curve->points = tb_alloc_array(m->pieces, sizeof *curve->points);
    if (!curve->points)
        return tb_fail(err, TB_ENOMEM, "no memory for a curve of %zu points", m->pieces);
    curve->count = m->pieces;
    curve->dropped = tb_seq_dropped(m->seq);
    for (size_t i = 0; i < m->pieces; i++) {
        size_t first = i * m->piece;
        curve->points[i] = (tb_curve_point){
            .first = first,
            .nll = mean_of(m->nll + first, m->piece),
            .kl = mean_of(m->kl + first, m->piece),
            .reference_nll = mean_of(m->reference_nll + first, m->piece),
        };
    }
    return TB_OK;
}

// Sorts the divergences.
static void summarize(tb_perplexity_result *r, const measurement *m)
{
    tb_text_scores own = {m->pieces, m->piece, m->broken, m->nll, m->reference ? m->kl : NULL, m->agreements};
    tb_text_scores reference = {.windows = m->pieces, .predictions = m->piece, .nll = m->reference_nll};
    tb_perplexity_result other;
    tb_text_scores_summarize(r, &own);
    r->ctx = m->piece;
    if (!m->reference || r->broken)
        return;
    tb_text_scores_summarize(&other, &reference);
    r->reference_nll = other.nll;
    r->reference_perplexity = other.perplexity;
    r->reference_stderr = other.stderr_;
}

static tb_code run(tb_perplexity_result *result, tb_curve *curve, measurement *m, size_t token_count, tb_error *err)
{
    tb_code rc = plan(m, token_count, err);
    if (!rc)
        rc = check_reference(m, err);
    if (!rc)
        rc = allocate(m, err);
    if (!rc)
        rc = open_sequences(m, err);
    for (size_t first = 0; !rc && first < m->predictions; first += m->slice)
        rc = run_slice(m, first, err);
    if (!rc)
        rc = make_curve(curve, m, err);
    if (!rc)
        summarize(result, m);
    return rc;
}

tb_code tb_measure_stream(tb_perplexity_result *result, tb_curve *curve, const tb_model *model,
                          const tb_model *reference, const int32_t *tokens, size_t token_count,
                          const tb_perplexity_options *options, tb_error *err)
{
    measurement m = {.model = model, .reference = reference, .options = options, .tokens = tokens};
    *curve = (tb_curve){0};
    tb_code rc = run(result, curve, &m, token_count, err);
    tb_seq_free(m.reference_seq);
    tb_seq_free(m.seq);
    tb_arena_clear(&m.arena);
    return rc;
}

void tb_curve_clear(tb_curve *curve)
{
    tb_free(curve->points);
    *curve = (tb_curve){0};
}
