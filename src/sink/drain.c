// Norms of keys and values, and the part of each output that the first tokens make.
//
// With b_i = Σ_{j<S} a_ij·v_j and unit vectors u_i = b_i/‖b_i‖ of n queries, the mean cosine of two different ones is
// (‖Σ u_i‖² − n)/(n² − n).
#include "sink/drain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sink/columns.h"

enum { S = TB_SINK_BIAS_TOKENS };

tb_code tb_sink_drain_init(tb_sink_drain *d, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    *d = (tb_sink_drain){.model = model, .config = c, .ctx = ctx};
    d->key_norms = tb_arena_array(arena, c->kv_heads, ctx * sizeof *d->key_norms);
    d->value_norms = tb_arena_array(arena, c->kv_heads, ctx * sizeof *d->value_norms);
    d->scratch = tb_arena_array(arena, ctx, sizeof *d->scratch);
    d->keys = tb_arena_array(arena, c->kv_heads, c->head_size * sizeof *d->keys);
    d->frequencies = tb_arena_array(arena, c->head_size, sizeof *d->frequencies);
    d->cos = tb_arena_array(arena, c->head_size, sizeof *d->cos);
    d->sin = tb_arena_array(arena, c->head_size, sizeof *d->sin);
    d->query = tb_arena_array(arena, c->head_size, sizeof *d->query);
    d->values = tb_arena_array(arena, c->kv_heads * S, c->head_size * sizeof *d->values);
    d->weights = tb_arena_array(arena, c->heads * ctx, S * sizeof *d->weights);
    d->mixed = tb_arena_array(arena, c->head_size, sizeof *d->mixed);
    d->direction = tb_arena_array(arena, c->head_size, sizeof *d->direction);
    bool ok = d->mixed && d->direction && d->key_norms && d->value_norms && d->scratch && d->keys && d->values &&
              d->weights && d->frequencies && d->cos && d->sin && d->query;
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the keys and values of %zu tokens", ctx);
}

static double dot(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

static double norm(const float *x, size_t n)
{
    return sqrt(dot(x, x, n));
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// ‖x_0‖ over the median of the others.
static double first_ratio(const tb_sink_drain *d, const double *norms)
{
    size_t n = d->ctx - 1;
    memcpy(d->scratch, norms + 1, n * sizeof *norms);
    qsort(d->scratch, n, sizeof *norms, compare);
    return ratio(norms[0], d->scratch[n / 2]);
}

// ---- queries, keys, values ----

static const float *row_of(const tb_edit_rows *rows, size_t t, size_t head, size_t n)
{
    return rows->x + t * rows->stride + head * n;
}

static void see_norms(double *norms, const tb_sink_drain *d, const tb_edit_rows *rows)
{
    size_t n = d->config->head_size;
    for (size_t h = 0; h < d->config->kv_heads; h++)
        for (size_t t = 0; t < rows->rows; t++)
            norms[h * d->ctx + t] = norm(row_of(rows, t, h, n), n);
}

static void see_keys(tb_sink_drain *d, tb_sink_value *heads, const tb_edit_rows *rows)
{
    size_t n = d->config->head_size, group = d->config->heads / d->config->kv_heads;
    see_norms(d->key_norms, d, rows);
    memcpy(d->keys, rows->x, d->config->kv_heads * n * sizeof *d->keys);
    for (size_t h = 0; h < d->config->heads; h++) {
        const double *norms = d->key_norms + h / group * d->ctx;
        heads[h].key_ratio += first_ratio(d, norms);
        heads[h].key_norm += norms[0];
    }
}

static void see_values(tb_sink_drain *d, tb_sink_value *heads, const tb_edit_rows *rows)
{
    size_t n = d->config->head_size, group = d->config->heads / d->config->kv_heads;
    see_norms(d->value_norms, d, rows);
    for (size_t h = 0; h < d->config->kv_heads; h++)
        for (size_t j = 0; j < S; j++)
            memcpy(d->values + (h * S + j) * n, row_of(rows, j, h, n), n * sizeof *d->values);
    for (size_t h = 0; h < d->config->heads; h++)
        heads[h].value_ratio += first_ratio(d, d->value_norms + h / group * d->ctx);
}

// How a position turns the pairs of a block.
typedef struct turning {
    size_t pairs;
    bool halves;
    double *cos, *sin; // [pairs]
} turning;

static void turn_to(turning *t, const tb_sink_drain *d, int32_t position)
{
    for (size_t i = 0; i < t->pairs; i++) {
        t->cos[i] = cos(position * d->frequencies[i]);
        t->sin[i] = sin(position * d->frequencies[i]);
    }
}

// What number i of a head is.
static tb_sink_turn turn_of(const turning *t, size_t i)
{
    if (i >= 2 * t->pairs)
        return TB_SINK_TURN_NONE;
    return (t->halves ? i % t->pairs : i / 2) < t->pairs / 2 ? TB_SINK_TURN_FAST : TB_SINK_TURN_SLOW;
}

// A head of a query as it was in front of RoPE.
static void turn_back(double *out, const float *x, const turning *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (double)x[i];
    for (size_t i = 0; i < t->pairs; i++) {
        size_t a = t->halves ? i : 2 * i, b = t->halves ? i + t->pairs : 2 * i + 1;
        out[a] = t->cos[i] * (double)x[a] + t->sin[i] * (double)x[b];
        out[b] = t->cos[i] * (double)x[b] - t->sin[i] * (double)x[a];
    }
}

// Adds a query's cosine with the first key, whole, in parts, and in front of RoPE; `share` of each.
static void add_cosines(tb_sink_value *head, const tb_sink_drain *d, const float *query, const float *key,
                        const turning *t, double share)
{
    size_t n = d->config->head_size;
    double lengths = norm(query, n) * norm(key, n), still = 0, parts[TB_SINK_TURNS] = {0};
    turn_back(d->query, query, t, n);
    for (size_t i = 0; i < n; i++) {
        parts[turn_of(t, i)] += (double)query[i] * (double)key[i];
        still += d->query[i] * (double)key[i];
    }
    head->still_cos += share * ratio(still, lengths);
    for (size_t i = 0; i < TB_SINK_TURNS; i++) {
        head->query_cos_of[i] += share * ratio(parts[i], lengths);
        head->query_cos += share * ratio(parts[i], lengths);
    }
}

static void see_queries(tb_sink_drain *d, tb_sink_value *heads, size_t block, const tb_edit_rows *rows)
{
    size_t n = d->config->head_size, group = d->config->heads / d->config->kv_heads;
    double share = 1 / (double)(rows->rows - 1);
    turning turns = {.cos = d->cos, .sin = d->sin};
    turns.pairs = tb_model_get_turns(d->frequencies, &turns.halves, d->model, block, d->ctx);
    for (size_t t = 1; t < rows->rows; t++) {
        turn_to(&turns, d, rows->positions[t]);
        for (size_t h = 0; h < d->config->heads; h++) {
            const float *query = row_of(rows, t, h, n);
            add_cosines(&heads[h], d, query, d->keys + h / group * n, &turns, share);
            heads[h].query_norm += share * norm(query, n);
        }
    }
}

// ---- outputs ----

void tb_sink_drain_row(tb_sink_drain *d, size_t head, size_t position, const tb_attention_piece *pieces, size_t count)
{
    tb_sink_first_weights(d->weights + (head * d->ctx + position) * S, S, pieces, count);
}

// What the first tokens give the output of a head for query t.
static void mix(const tb_sink_drain *d, size_t head, size_t t)
{
    size_t n = d->config->head_size, group = d->config->heads / d->config->kv_heads;
    const float *values = d->values + head / group * S * n, *weights = d->weights + (head * d->ctx + t) * S;
    memset(d->mixed, 0, n * sizeof *d->mixed);
    for (size_t j = 0; j < S; j++)
        for (size_t i = 0; i < n; i++)
            d->mixed[i] += weights[j] * values[j * n + i];
}

// Of the queries behind the first tokens, which see all of them.
static void see_output(const tb_sink_drain *d, tb_sink_value *head, size_t h, const tb_edit_rows *rows)
{
    size_t n = d->config->head_size, out = d->config->value_size;
    double sum = 0, square = 0, share = 0, count = 0, aligned = 0;
    memset(d->direction, 0, n * sizeof *d->direction);
    for (size_t t = S; t < rows->rows; t++, count++) {
        mix(d, h, t);
        double size = norm(d->mixed, n);
        sum += size;
        square += size * size;
        share += ratio(size, norm(row_of(rows, t, h, out), out));
        for (size_t i = 0; i < n && size > 0; i++)
            d->direction[i] += (double)d->mixed[i] / size;
    }
    for (size_t i = 0; i < n; i++)
        aligned += d->direction[i] * d->direction[i];
    double mean = ratio(sum, count);
    head->bias_share += ratio(share, count);
    head->bias_cos += ratio(aligned - count, count * count - count);
    head->bias_cv += ratio(sqrt(fmax(ratio(square, count) - mean * mean, 0)), mean);
}

void tb_sink_drain_see(tb_sink_drain *d, tb_sink_value *values, size_t block, tb_edit_stage stage,
                       const tb_edit_rows *rows)
{
    tb_sink_value *heads = values + block * d->config->heads;
    if (stage == TB_EDIT_KEY)
        see_keys(d, heads, rows);
    if (stage == TB_EDIT_VALUE)
        see_values(d, heads, rows);
    if (stage == TB_EDIT_QUERY)
        see_queries(d, heads, block, rows);
    for (size_t h = 0; stage == TB_EDIT_ATTENDED && h < d->config->heads; h++)
        see_output(d, &heads[h], h, rows);
}
