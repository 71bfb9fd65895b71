// One pass over the sequences, each of which is a sequence of its own and goes through the model in one piece, so that
// every call of the probe shows all of its tokens.
#include <math.h>
#include <string.h>

#include "sink/columns.h"
#include "sink/drain.h"
#include "sink/mixing.h"
#include "sink/moments.h"
#include "sink/peaks.h"
#include "sink/sequences.h"
#include "sink/shape.h"

// A measurement under way. The probe's calls for a block come in order: what attention takes, its rows, the rest of the
// block, then the residual stream behind it, when no row is on its way any more.
typedef struct measurement {
    const tb_model *model;
    tb_sink_result *result;
    unsigned what;
    const int32_t *tokens; // [rows] of the sequence under way
    tb_sink_columns columns;
    double *alpha; // [blocks][heads][rows]: sums of the columns' mean weights
    tb_sink_peaks peaks;
    tb_sink_drain drain;
    tb_sink_moments moments;
    tb_sink_spots spots;
    tb_sink_shapes shapes;
} measurement;

// ---- probe ----

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    measurement *m = user;
    if (m->what & TB_SINK_WHAT_MAP)
        tb_sink_columns_add(&m->columns, at->worker, head, position, pieces, count);
    if (m->what & TB_SINK_WHAT_VALUES)
        tb_sink_drain_row(&m->drain, head, position, pieces, count);
    if (m->what & TB_SINK_WHAT_GEOMETRY)
        tb_sink_shapes_add_row(&m->shapes, head, position, pieces, count);
}

static void see_site(measurement *m, size_t block, tb_sink_site site, const tb_sink_activations *x)
{
    if (m->what & TB_SINK_WHAT_TAILS)
        tb_sink_moments_add(&m->moments, block, site, x);
}

static void see_input(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    static const tb_sink_site sites[TB_LINEAR_INPUTS] = {
        [TB_INPUT_ATTENTION] = TB_SINK_SITE_ATTENTION,
        [TB_INPUT_OUTPUT] = TB_SINK_SITE_OUTPUT,
        [TB_INPUT_FFN] = TB_SINK_SITE_FFN,
        [TB_INPUT_DOWN] = TB_SINK_SITE_DOWN,
    };
    const tb_sink_activations x = {rows->x, rows->stride, rows->rows, rows->cols, rows->positions};
    see_site(user, at->block, sites[input], &x);
}

// Changes nothing.
static void see_edit(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    measurement *m = user;
    const tb_sink_activations x = {rows->x, rows->stride, rows->rows, rows->cols, rows->positions};
    if (at->block == SIZE_MAX)
        return;
    if (m->what & TB_SINK_WHAT_VALUES)
        tb_sink_drain_see(&m->drain, m->result->values, at->block, stage, rows);
    if ((m->what & TB_SINK_WHAT_GEOMETRY) && stage == TB_EDIT_KEY)
        tb_sink_shapes_add_keys(&m->shapes, at->block, rows);
    if ((m->what & TB_SINK_WHAT_GEOMETRY) && stage == TB_EDIT_ATTENTION)
        tb_sink_shapes_add_update(&m->shapes, at->block, rows);
    if (stage == TB_EDIT_KEY || stage == TB_EDIT_VALUE)
        see_site(m, at->block, stage == TB_EDIT_KEY ? TB_SINK_SITE_KEY : TB_SINK_SITE_VALUE, &x);
}

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    measurement *m = user;
    const tb_sink_result *r = m->result;
    const tb_sink_activations x = {rows->x, rows->stride, rows->rows, rows->cols, rows->positions};
    bool embeddings = at->block == SIZE_MAX;
    if (m->what & TB_SINK_WHAT_MASSIVE)
        tb_sink_peaks_add(&m->peaks, embeddings ? 0 : at->block + 1, rows, m->tokens, m->spots.marks);
    if (m->what & TB_SINK_WHAT_GEOMETRY)
        tb_sink_shapes_add_stream(&m->shapes, embeddings ? 0 : at->block + 1, rows);
    if (embeddings)
        return;
    see_site(m, at->block, TB_SINK_SITE_STREAM, &x);
    if (m->what & TB_SINK_WHAT_MAP)
        tb_sink_columns_take(r->map.heads + at->block * r->heads, m->alpha + at->block * r->heads * r->rows,
                             m->spots.marks, at->block * TB_SINK_BANDS / r->blocks, &m->columns, r->epsilon);
    if (m->what & TB_SINK_WHAT_GEOMETRY)
        tb_sink_shapes_take_rows(&m->shapes, at->block);
}

// ---- results ----

static void average_head(tb_sink_head *h, const double *alpha, const tb_sink_result *r)
{
    double n = (double)r->sequences;
    h->first /= n, h->sink /= n, h->anywhere /= n, h->share /= n, h->argmax /= n;
    h->sink_logit /= n, h->entropy /= n, h->entropy_share /= n;
    for (size_t k = 1; k < tb_sink_columns_asked(r->rows); k++)
        if (alpha[k] > alpha[h->strongest])
            h->strongest = k;
}

static void average_value(tb_sink_value *v, double n)
{
    v->value_ratio /= n, v->key_ratio /= n, v->query_cos /= n, v->query_norm /= n, v->key_norm /= n;
    v->bias_share /= n, v->bias_cos /= n, v->bias_cv /= n, v->still_cos /= n;
    for (size_t i = 0; i < TB_SINK_TURNS; i++)
        v->query_cos_of[i] /= n;
}

static double uniform_first(size_t rows)
{
    double sum = 0;
    for (size_t n = 1; n <= rows; n++)
        sum += 1 / (double)n;
    return sum / (double)rows;
}

static void finish_map(tb_sink_map *map, const double *alpha, const tb_sink_result *r)
{
    size_t count = r->blocks * r->heads;
    double share = 1 / (double)count;
    map->uniform = uniform_first(r->rows);
    for (size_t i = 0; i < count; i++) {
        tb_sink_head *h = &map->heads[i];
        average_head(h, alpha + i * r->rows, r);
        map->text += share * alpha[i * r->rows + r->registers] / (double)r->sequences;
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

static tb_code prepare_map(measurement *m, tb_error *err)
{
    tb_sink_result *r = m->result;
    size_t heads = r->blocks * r->heads;
    r->map.heads = tb_arena_array(&r->arena, heads, sizeof *r->map.heads);
    m->alpha = tb_arena_array(&r->arena, heads, r->rows * sizeof *m->alpha);
    if (!r->map.heads || !m->alpha)
        return tb_fail(err, TB_ENOMEM, "no memory for the columns of %zu heads", heads);
    return tb_sink_columns_init(&m->columns, &r->arena, tb_model_compute(m->model)->threads, r->heads, r->rows, err);
}

static tb_code prepare_values(measurement *m, tb_error *err)
{
    tb_sink_result *r = m->result;
    r->values = tb_arena_array(&r->arena, r->blocks * r->heads, sizeof *r->values);
    if (!r->values)
        return tb_fail(err, TB_ENOMEM, "no memory for the values of %zu heads", r->blocks * r->heads);
    return tb_sink_drain_init(&m->drain, &r->arena, m->model, r->rows, err);
}

static tb_code prepare(measurement *m, tb_error *err)
{
    tb_sink_result *r = m->result;
    tb_code rc = TB_OK;
    if (m->what & TB_SINK_WHAT_MAP)
        rc = prepare_map(m, err);
    if (!rc && (m->what & TB_SINK_WHAT_MASSIVE))
        rc = tb_sink_peaks_init(&m->peaks, &r->arena, m->model, r->rows, err);
    if (!rc && (m->what & TB_SINK_WHAT_VALUES))
        rc = prepare_values(m, err);
    if (!rc && (m->what & TB_SINK_WHAT_TAILS))
        rc = tb_sink_moments_init(&m->moments, &r->arena, m->model, r->rows, err);
    if (!rc && (m->what & TB_SINK_WHAT_POSITIONS))
        rc = tb_sink_spots_init(&m->spots, &r->arena, m->model, r->rows, err);
    if (!rc && (m->what & TB_SINK_WHAT_GEOMETRY))
        rc = tb_sink_shapes_init(&m->shapes, &r->arena, m->model, r->rows, err);
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
        .attention_row = m->what & (TB_SINK_WHAT_MAP | TB_SINK_WHAT_VALUES | TB_SINK_WHAT_GEOMETRY) ? see_row : NULL,
        .linear_input = see_input,
        .edit = see_edit,
        .residual = see_residual,
        .user = m,
    };
    const tb_seq_options options = {
        .context = sequences->length, .batch = sequences->rows, .kv_cache = TB_KV_CACHE_F32};
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
        m->tokens = sequences->tokens + i * sequences->rows;
        tb_seq_truncate(seq, 0);
        rc = tb_seq_push(seq, tb_sink_text(sequences, i), sequences->length, err);
        if (!rc)
            rc = check_logits(seq, tb_model_vocab_size(m->model), err);
        if (!rc && (m->what & TB_SINK_WHAT_POSITIONS))
            tb_sink_spots_take(&m->spots, m->tokens);
    }
    tb_seq_free(seq);
    return rc;
}

static tb_code finish(measurement *m, tb_error *err)
{
    tb_sink_result *r = m->result;
    tb_code rc = TB_OK;
    if (m->what & TB_SINK_WHAT_MAP)
        finish_map(&r->map, m->alpha, r);
    for (size_t i = 0; (m->what & TB_SINK_WHAT_VALUES) && i < r->blocks * r->heads; i++)
        average_value(&r->values[i], (double)r->sequences);
    if (m->what & TB_SINK_WHAT_MASSIVE)
        rc = tb_sink_peaks_finish(&r->massive, &m->peaks, r->sequences, &r->arena, err);
    if (!rc && (m->what & TB_SINK_WHAT_TAILS))
        rc = tb_sink_moments_finish(&r->tails, &m->moments, &r->arena, err);
    if (!rc && (m->what & TB_SINK_WHAT_POSITIONS))
        rc = tb_sink_spots_finish(&r->positions, &m->spots, r->massive.rule, &r->arena, err);
    if (!rc && (m->what & TB_SINK_WHAT_GEOMETRY))
        rc = tb_sink_shapes_finish(&r->geometry, &m->shapes, r->sequences, err);
    return rc;
}

static tb_code measure_mixing(tb_sink_result *r, const tb_model *model, const tb_sink_sequences *sequences,
                              const tb_sink_options *options, tb_error *err)
{
    r->mixing = tb_arena_array(&r->arena, r->blocks + 1, sizeof *r->mixing);
    if (!r->mixing)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu stages", r->blocks + 1);
    return tb_sink_mixing_measure(r->mixing, model, sequences, options, err);
}

tb_code tb_sink_measure(tb_sink_result *out, const tb_model *model, unsigned what, const tb_sink_options *options,
                        tb_error *err)
{
    const tb_config *config = tb_model_config(model);
    tb_sink_sequences sequences;
    measurement m = {.model = model, .result = out, .what = what};
    if (what & TB_SINK_WHAT_POSITIONS)
        m.what |= TB_SINK_WHAT_MAP | TB_SINK_WHAT_MASSIVE;
    *out = (tb_sink_result){.blocks = config->blocks, .heads = config->heads, .kv_heads = config->kv_heads};
    tb_code rc = tb_sink_sequences_init(&sequences, model, options, err);
    out->ctx = sequences.length;
    out->registers = sequences.registers;
    out->rows = sequences.rows;
    out->sequences = sequences.count;
    out->bos = sequences.bos;
    out->epsilon = options->epsilon > 0 ? options->epsilon : TB_SINK_EPSILON;
    if (!rc)
        rc = prepare(&m, err);
    if (!rc)
        rc = run_sequences(&m, &sequences, options->report, err);
    if (!rc && (what & TB_SINK_WHAT_MIXING))
        rc = measure_mixing(out, model, &sequences, options, err);
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
