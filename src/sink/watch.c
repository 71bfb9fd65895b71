// One pass over the sequences, each of which is a sequence of its own and goes through the model in one piece, so that
// every call of the probe shows all of its tokens.
#include <math.h>
#include <string.h>

#include "sink/columns.h"
#include "sink/peaks.h"
#include "sink/sequences.h"

// A measurement under way. The probe's calls for a block come in order: rows of attention, then the residual stream
// behind it, when no row is on its way any more.
typedef struct measurement {
    const tb_model *model;
    tb_sink_result *result;
    unsigned what;
    const int32_t *tokens; // of the sequence under way
    tb_sink_columns columns;
    double *alpha; // [blocks][heads][ctx]: sums of the columns' mean weights
    tb_sink_peaks peaks;
} measurement;

// ---- probe ----

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    measurement *m = user;
    tb_sink_columns_add(&m->columns, at->worker, head, position, pieces, count);
}

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    measurement *m = user;
    const tb_sink_result *r = m->result;
    bool embeddings = at->block == SIZE_MAX;
    if (m->what & TB_SINK_WHAT_MASSIVE)
        tb_sink_peaks_add(&m->peaks, embeddings ? 0 : at->block + 1, rows, m->tokens);
    if ((m->what & TB_SINK_WHAT_MAP) && !embeddings)
        tb_sink_columns_take(r->map.heads + at->block * r->heads, m->alpha + at->block * r->heads * r->ctx, &m->columns,
                             r->epsilon);
}

// ---- results ----

static void average_head(tb_sink_head *h, const double *alpha, const tb_sink_result *r)
{
    double n = (double)r->sequences;
    h->first /= n, h->sink /= n, h->anywhere /= n, h->share /= n, h->argmax /= n;
    h->sink_logit /= n, h->entropy /= n, h->entropy_share /= n;
    for (size_t k = 1; k < tb_sink_columns_asked(r->ctx); k++)
        if (alpha[k] > alpha[h->strongest])
            h->strongest = k;
}

static double uniform_first(size_t ctx)
{
    double sum = 0;
    for (size_t n = 1; n <= ctx; n++)
        sum += 1 / (double)n;
    return sum / (double)ctx;
}

static void finish_map(tb_sink_map *map, const double *alpha, const tb_sink_result *r)
{
    size_t count = r->blocks * r->heads;
    double share = 1 / (double)count;
    map->uniform = uniform_first(r->ctx);
    for (size_t i = 0; i < count; i++) {
        tb_sink_head *h = &map->heads[i];
        average_head(h, alpha + i * r->ctx, r);
        map->first += share * h->first;
        map->sink += share * h->sink;
        map->anywhere += share * h->anywhere;
        map->share += share * h->share;
        map->argmax += share * h->argmax;
        map->sink_logit += share * h->sink_logit;
        map->entropy += share * h->entropy;
        map->entropy_share += share * h->entropy_share;
    }
}

// ---- the pass ----

static tb_code prepare(measurement *m, tb_error *err)
{
    tb_sink_result *r = m->result;
    size_t heads = r->blocks * r->heads, threads = tb_model_compute(m->model)->threads;
    tb_code rc = TB_OK;
    if (m->what & TB_SINK_WHAT_MAP) {
        r->map.heads = tb_arena_array(&r->arena, heads, sizeof *r->map.heads);
        m->alpha = tb_arena_array(&r->arena, heads, r->ctx * sizeof *m->alpha);
        if (!r->map.heads || !m->alpha)
            return tb_fail(err, TB_ENOMEM, "no memory for the columns of %zu heads", heads);
        rc = tb_sink_columns_init(&m->columns, &r->arena, threads, r->heads, r->ctx, err);
    }
    if (!rc && (m->what & TB_SINK_WHAT_MASSIVE))
        rc = tb_sink_peaks_init(&m->peaks, &r->arena, m->model, r->ctx, err);
    return rc;
}

static tb_code check_logits(const tb_seq *seq, size_t vocab, tb_error *err)
{
    const float *logits = tb_seq_logits(seq);
    for (size_t i = 0; i < vocab; i++)
        if (!isfinite(logits[i]))
            return tb_fail(err, TB_EINVAL, "the model is broken: its logits are not finite");
    return TB_OK;
}

static tb_code run_sequences(measurement *m, const tb_sink_sequences *sequences, const tb_report *report, tb_error *err)
{
    const tb_probe probe = {
        .attention_row = m->what & TB_SINK_WHAT_MAP ? see_row : NULL, .residual = see_residual, .user = m};
    const tb_seq_options options = {
        .context = sequences->length, .batch = sequences->length, .kv_cache = TB_KV_CACHE_F32};
    tb_seq *seq;
    tb_code rc = tb_seq_new(&seq, m->model, &options, err);
    if (rc)
        return rc;
    tb_seq_set_probe(seq, &probe);
    for (size_t i = 0; i < sequences->count && !rc; i++) {
        if (tb_report_progress(report, "sequences", (double)i, (double)sequences->count, "sequences")) {
            rc = tb_fail(err, TB_ECANCELLED, "stopped");
            break;
        }
        m->tokens = sequences->tokens + i * sequences->length;
        tb_seq_truncate(seq, 0);
        rc = tb_seq_push(seq, m->tokens, sequences->length, err);
        if (!rc)
            rc = check_logits(seq, tb_model_vocab_size(m->model), err);
    }
    tb_seq_free(seq);
    return rc;
}

static tb_code finish(measurement *m, tb_error *err)
{
    tb_sink_result *r = m->result;
    if (m->what & TB_SINK_WHAT_MAP)
        finish_map(&r->map, m->alpha, r);
    if (m->what & TB_SINK_WHAT_MASSIVE)
        return tb_sink_peaks_finish(&r->massive, &m->peaks, r->sequences, &r->arena, err);
    return TB_OK;
}

tb_code tb_sink_measure(tb_sink_result *out, const tb_model *model, unsigned what, const tb_sink_options *options,
                        tb_error *err)
{
    const tb_config *config = tb_model_config(model);
    tb_sink_sequences sequences;
    measurement m = {.model = model, .result = out, .what = what};
    *out = (tb_sink_result){.blocks = config->blocks, .heads = config->heads};
    tb_code rc = tb_sink_sequences_init(&sequences, model, options, err);
    out->ctx = sequences.length;
    out->sequences = sequences.count;
    out->bos = sequences.bos;
    out->epsilon = options->epsilon > 0 ? options->epsilon : TB_SINK_EPSILON;
    if (!rc)
        rc = prepare(&m, err);
    if (!rc)
        rc = run_sequences(&m, &sequences, options->report, err);
    if (!rc)
        rc = finish(&m, err);
    tb_sink_sequences_clear(&sequences);
    return rc;
}

void tb_sink_result_clear(tb_sink_result *result)
{
    tb_arena_clear(&result->arena);
    *result = (tb_sink_result){0};
}
