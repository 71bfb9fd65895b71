// Rows of attention become sums.
#include "sink/columns.h"

#include <math.h>
#include <string.h>

#define UNITS 4294967296.0 // in 1

// What a weight may be at most. Softmax stays below 1 and a rounding; rows that need not sum to 1 may hold more, and
// NaN counts as 0. 2^14 · 2^32 leaves room for TB_SINK_MOST_CTX rows.
#define MOST_WEIGHT 16384.0f

tb_code tb_sink_columns_init(tb_sink_columns *c, tb_arena *arena, size_t workers, size_t heads, size_t ctx,
                             tb_error *err)
{
    size_t all = workers * heads;
    *c = (tb_sink_columns){.workers = workers, .heads = heads, .ctx = ctx};
    c->weights = tb_arena_array(arena, all, ctx * sizeof *c->weights);
    c->seen = tb_arena_array(arena, all, (ctx + 1) * sizeof *c->seen);
    c->sums = tb_arena_array(arena, all, TB_SINK_SUMS * sizeof *c->sums);
    if (!c->weights || !c->seen || !c->sums)
        return tb_fail(err, TB_ENOMEM, "no memory for the columns of %zu heads", heads);
    return TB_OK;
}

static int64_t units_of(double x)
{
    return (int64_t)(x * UNITS);
}

void tb_sink_first_weights(float *out, size_t n, const tb_attention_piece *pieces, size_t count)
{
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < pieces[i].count; k++) {
            size_t at = tb_attention_piece_position(&pieces[i], k);
            if (at >= n)
                break;
            out[at] = pieces[i].weights[k];
        }
}

// ---- a row ----

enum { LANES = 8 }; // of sums: a fixed order that compilers can vectorise

// A row under way.
typedef struct row {
    double entropy, total;
    float largest, first; // first: of position 0
    size_t keys;
    bool sees_first;
} row;

static float within_range(float weight)
{
    float positive = weight > 0 ? weight : 0;
    return positive < MOST_WEIGHT ? positive : MOST_WEIGHT;
}

// Adds LANES weights in units, rounded: the sum of a number below 2^47 and 2^52 has the number in its last bits.
static void add_units(int64_t *restrict sums, const float *restrict weights)
{
    static const double shift = 0x1p52;
    double shifted[LANES];
    int64_t bits[LANES], none;
    for (size_t j = 0; j < LANES; j++)
        shifted[j] = (double)within_range(weights[j]) * UNITS + shift;
    memcpy(bits, shifted, sizeof bits);
    memcpy(&none, &shift, sizeof none);
    for (size_t j = 0; j < LANES; j++)
        sums[j] += bits[j] - none;
}

static void add_weights(int64_t *restrict sums, const float *restrict weights, size_t n)
{
    int64_t more[LANES] = {0};
    float rest[LANES] = {0};
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        add_units(sums + i, weights + i);
    memcpy(rest, weights + whole, (n - whole) * sizeof *rest);
    add_units(more, rest);
    for (size_t i = whole; i < n; i++)
        sums[i] += more[i - whole];
}

// −w·ln w, off by at most 4.5e-8 (measured over all floats in [2^-30, 1]); 0 at 0. With w = 2^e·(1 + f), 1 + f between
// the square roots of 1/2 and 2, and the polynomial of Cephes' logf.
static float spread_of(float weight)
{
    union {
        float value;
        int32_t bits;
    } x = {weight}, root = {0.70710678f};
    int32_t e = (x.bits - root.bits) >> 23;
    x.bits -= e * (1 << 23);
    float f = x.value - 1, p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    float log = f * f * f * p - 0.5f * f * f + f + (float)e * 0.69314718056f;
    return weight > 0 ? -weight * log : 0;
}

static void add_columns(tb_sink_columns *c, size_t lane, const tb_attention_piece *piece)
{
    int64_t *weights = c->weights + lane * c->ctx;
    int32_t *seen = c->seen + lane * (c->ctx + 1);
    if (!piece->positions) {
        add_weights(weights + piece->first, piece->weights, piece->count);
        seen[piece->first]++;
        seen[piece->first + piece->count]--;
        return;
    }
    for (size_t i = 0; i < piece->count; i++) {
        size_t at = (size_t)piece->positions[i];
        add_weights(weights + at, piece->weights + i, 1);
        seen[at]++;
        seen[at + 1]--;
    }
}

// Sums of a row, LANES at a time.
typedef struct lanes {
    double entropy[LANES], total[LANES];
    float largest[LANES];
} lanes;

static void add_lanes(lanes *restrict l, const float *restrict weights)
{
    for (size_t j = 0; j < LANES; j++) {
        float weight = within_range(weights[j]);
        l->entropy[j] += (double)spread_of(weight);
        l->total[j] += (double)weight;
        l->largest[j] = weight > l->largest[j] ? weight : l->largest[j];
    }
}

static void look_at(row *r, const tb_attention_piece *piece)
{
    lanes l = {0};
    float rest[LANES] = {0};
    size_t whole = piece->count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        add_lanes(&l, piece->weights + i);
    memcpy(rest, piece->weights + whole, (piece->count - whole) * sizeof *rest);
    add_lanes(&l, rest);
    for (size_t j = 0; j < LANES; j++) {
        r->entropy += l.entropy[j];
        r->total += l.total[j];
        r->largest = l.largest[j] > r->largest ? l.largest[j] : r->largest;
    }
    if (piece->count && tb_attention_piece_position(piece, 0) == 0) {
        r->first = within_range(piece->weights[0]);
        r->sees_first = true;
    }
    r->keys += piece->count;
}

void tb_sink_columns_add(tb_sink_columns *c, size_t worker, size_t head, size_t position,
                         const tb_attention_piece *pieces, size_t count)
{
    size_t lane = worker * c->heads + head;
    int64_t *sums = c->sums + lane * TB_SINK_SUMS;
    row r = {0};
    for (size_t i = 0; i < count; i++) {
        look_at(&r, &pieces[i]);
        add_columns(c, lane, &pieces[i]);
    }
    sums[TB_SINK_COUNT_ROWS]++;
    sums[TB_SINK_SUM_ENTROPY] += units_of(r.entropy);
    sums[TB_SINK_SUM_SINK_LOGIT] += units_of(fmax(1 - r.total, 0));
    if (r.keys > 1) {
        sums[TB_SINK_COUNT_WIDE]++;
        sums[TB_SINK_SUM_ENTROPY_SHARE] += units_of(r.entropy / log((double)r.keys));
    }
    if (position > 0 && r.sees_first) {
        sums[TB_SINK_COUNT_LATER]++;
        sums[TB_SINK_SUM_FIRST] += units_of((double)r.first);
        sums[TB_SINK_COUNT_ARGMAX] += r.first > 0 && r.first == r.largest; // of equals the first
    }
}

// ---- a block ----

static void add_all(int64_t *to, const int64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

// The sums of all workers join those of the first.
static void join_workers(tb_sink_columns *c)
{
    size_t bounds = c->heads * (c->ctx + 1);
    for (size_t worker = 1; worker < c->workers; worker++) {
        add_all(c->weights, c->weights + worker * c->heads * c->ctx, c->heads * c->ctx);
        add_all(c->sums, c->sums + worker * c->heads * TB_SINK_SUMS, c->heads * TB_SINK_SUMS);
        for (size_t i = 0; i < bounds; i++)
            c->seen[i] += c->seen[worker * bounds + i];
    }
}

static double mean_of(int64_t sum, int64_t count, double units)
{
    return count ? (double)sum / units / (double)count : 0;
}

static void take_sums(tb_sink_head *head, const int64_t *sums)
{
    head->share += mean_of(sums[TB_SINK_SUM_FIRST], sums[TB_SINK_COUNT_LATER], UNITS);
    head->argmax += mean_of(sums[TB_SINK_COUNT_ARGMAX], sums[TB_SINK_COUNT_LATER], 1);
    head->sink_logit += mean_of(sums[TB_SINK_SUM_SINK_LOGIT], sums[TB_SINK_COUNT_ROWS], UNITS);
    head->entropy += mean_of(sums[TB_SINK_SUM_ENTROPY], sums[TB_SINK_COUNT_ROWS], UNITS);
    head->entropy_share += mean_of(sums[TB_SINK_SUM_ENTROPY_SHARE], sums[TB_SINK_COUNT_WIDE], UNITS);
}

// A column of one head, by its mean weight. What a token gives itself alone makes no sink.
static bool is_sink(size_t k, size_t ctx, double mean, int64_t rows, double epsilon)
{
    return mean > epsilon && rows > 1 && k < tb_sink_columns_asked(ctx);
}

void tb_sink_columns_take(tb_sink_head *heads, double *alpha, tb_sink_mark *marks, size_t band, tb_sink_columns *c,
                          double epsilon)
{
    join_workers(c);
    for (size_t h = 0; h < c->heads; h++) {
        bool anywhere = false;
        int64_t rows = 0;
        take_sums(&heads[h], c->sums + h * TB_SINK_SUMS);
        for (size_t k = 0; k < c->ctx; k++) {
            rows += c->seen[h * (c->ctx + 1) + k];
            double mean = mean_of(c->weights[h * c->ctx + k], rows, UNITS);
            bool sink = is_sink(k, c->ctx, mean, rows, epsilon);
            alpha[h * c->ctx + k] += mean;
            heads[h].first += k == 0 ? mean : 0;
            heads[h].sink += k == 0 && sink;
            anywhere |= sink;
            if (marks)
                marks[k].heads[band] += sink;
        }
        heads[h].anywhere += anywhere;
    }
    size_t all = c->workers * c->heads;
    memset(c->weights, 0, all * c->ctx * sizeof *c->weights);
    memset(c->seen, 0, all * (c->ctx + 1) * sizeof *c->seen);
    memset(c->sums, 0, all * TB_SINK_SUMS * sizeof *c->sums);
}
