// Scores, softmax and mixing of values. Work is divided among threads by heads and tiles of
// queries, each computed by itself, so that results do not depend on the number of threads.
//
// A tile holds the queries of all heads that share a key head, for TILE rows: its scores
// against every key are one matrix product, and so is the mixing of values. A segment is
// taken KEYS rows at a time, converted to floats where it holds halves. Scores of masked
// keys are computed and thrown away: at most TILE − 1 per query and segment.
//
// Each segment is a softmax of its own, and tb_softmax_join adds it to those before. The first is taken as it is: where
// there is one segment and no sink, nothing is rounded again.
#include "model/attention.h"

#include <string.h>

enum {
    TILE = 16,       // rows: enough for BLAS, few enough that a tile's scores stay in cache
    KEYS = 256,      // rows of a segment converted at a time
    FEWEST_GEMM = 4, // rows, below which each goes through gemv
    LANES = 8,       // of reductions: a fixed order that compilers can vectorise
};

// Scratch of one thread.
typedef struct scratch {
    float *scores;     // [tile rows][span], span = capacity, padded
    float *queries;    // [tile rows][padded head_size]
    float *pinned;     // the same
    float *mixed;      // [tile rows][padded head_size]: values of one segment
    float *convert;    // [KEYS][head_size]
    tb_softmax *parts; // [tile rows][TB_KV_SEGMENTS]
    tb_softmax *all;   // [tile rows]
} scratch;

static size_t tile_queries(const tb_config *config)
{
    return config->heads / config->kv_heads * TILE;
}

static size_t thread_scratch(const tb_config *config, size_t capacity)
{
    size_t queries = tile_queries(config), joined = (TB_KV_SEGMENTS + 1) * sizeof(tb_softmax) / sizeof(float);
    return queries * (tb_padded(capacity) + 3 * tb_padded(config->head_size)) + tb_padded(KEYS * config->head_size) +
           tb_padded(queries * joined);
}

size_t tb_attention_scratch(const tb_config *config, size_t capacity, size_t threads)
{
    return threads * thread_scratch(config, capacity);
}

static scratch get_scratch(const tb_attention *a, size_t worker)
{
    size_t queries = tile_queries(a->config), n = tb_padded(a->config->head_size);
    scratch s;
    s.scores = a->scratch + worker * thread_scratch(a->config, a->scratch_capacity);
    s.queries = s.scores + queries * tb_padded(a->scratch_capacity);
    s.pinned = s.queries + queries * n;
    s.mixed = s.pinned + queries * n;
    s.convert = s.mixed + queries * n;
    s.parts = (tb_softmax *)(void *)(s.convert + tb_padded(KEYS * a->config->head_size));
    s.all = s.parts + queries * TB_KV_SEGMENTS;
    return s;
}

// ---- segments ----

static size_t segments_of(tb_kv_segment *out, const tb_attention *a, size_t kv_head)
{
    const tb_kv_head *head = &a->kv->heads[kv_head];
    size_t count = head->policy->segments(out, head);
    for (size_t i = 0; a->probe && i < count; i++)
        out[i].hidden = a->probe->hidden;
    return count;
}

static const void *row_at(const tb_kv_segment *segment, const void *base, size_t row, size_t head_size)
{
    size_t item = segment->type == TB_KV_CACHE_F16 ? sizeof(uint16_t) : sizeof(float);
    return (const char *)base + row * head_size * item;
}

static size_t position_at(const tb_kv_segment *segment, size_t row)
{
    return segment->positions ? (size_t)segment->positions[row] : segment->first + row;
}

// `count` rows of a segment's keys or values from row `first` on, as they are stored or, where the segment has a form
// of its own, as floats in `convert`.
static tb_matrix stored_rows(const tb_attention *a, const tb_kv_segment *segment, bool values, size_t first,
                             size_t count, float *convert)
{
    size_t n = a->config->head_size;
    tb_matrix rows = {.type = TB_TYPE_F32, .rows = count, .cols = n, .data = convert};
    if (segment->decode) {
        segment->decode(convert, segment, values, first, first + count);
        return rows;
    }
    rows.type = segment->type == TB_KV_CACHE_F16 ? TB_TYPE_F16 : TB_TYPE_F32;
    rows.data = row_at(segment, values ? segment->values : segment->keys, first, n);
    return rows;
}

// The same as floats: themselves, or converted.
static const float *float_rows(const tb_attention *a, const tb_kv_segment *segment, bool values, size_t first,
                               size_t count, float *convert)
{
    size_t n = a->config->head_size;
    tb_matrix rows = stored_rows(a, segment, values, first, count, convert);
    if (rows.type == TB_TYPE_F32)
        return rows.data;
    memset(convert, 0, count * n * sizeof(float));
    a->compute->kernels.axpy_f16(convert, 1.0f, rows.data, count * n);
    return convert;
}

// ---- softmax ----

static float largest(const float *x, size_t n)
{
    float lanes[LANES];
    for (size_t j = 0; j < LANES; j++)
        lanes[j] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
    for (; i < n; i++)
        lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    for (size_t j = 1; j < LANES; j++)
        lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
    return lanes[0];
}

static float sum(const float *x, size_t n)
{
    float lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += x[i + j];
    for (; i < n; i++)
        lanes[0] += x[i];
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// Over the scores of the keys that a head sees of a segment. They may have a cap, and the first key a bias.
static tb_softmax softmax(const tb_attention *a, size_t head, const tb_kv_segment *segment, tb_kv_range seen, float *x)
{
    size_t n = seen.end - seen.begin;
    for (size_t i = 0; a->cap > 0 && i < n; i++)
        x[i] = a->cap * tb_tanh(x[i] / a->cap);
    if (a->first_bias && position_at(segment, seen.begin) == 0)
        x[0] += a->first_bias[head];
    tb_softmax result = {.top = largest(x, n)};
    for (size_t i = 0; i < n; i++)
        x[i] = tb_exp(x[i] - result.top);
    result.sum = sum(x, n);
    float inverse = 1.0f / result.sum;
    for (size_t i = 0; i < n; i++)
        x[i] *= inverse;
    return result;
}

static tb_softmax begin_softmax(const tb_attention *a, size_t head)
{
    if (a->sink_logits)
        return (tb_softmax){.top = a->sink_logits[head], .sum = 1};
    return (tb_softmax){.top = -INFINITY};
}

void tb_softmax_join(tb_softmax *all, float *out, tb_softmax more, const float *part, size_t n)
{
    if (more.sum == 0)
        return;
    if (all->sum == 0) {
        *all = more;
        memcpy(out, part, n * sizeof *out);
        return;
    }
    float top = more.top > all->top ? more.top : all->top;
    float kept = all->sum * tb_exp(all->top - top), added = more.sum * tb_exp(more.top - top), sum = kept + added;
    float old_share = kept / sum, new_share = added / sum;
    for (size_t i = 0; i < n; i++)
        out[i] = old_share * out[i] + new_share * part[i];
    *all = (tb_softmax){top, sum};
}

// ---- probe ----

// What a query sees of a segment.
typedef struct view {
    const tb_kv_segment *segment;
    tb_kv_range seen;
    float *weights; // [seen] of the segment's own softmax
    tb_softmax part;
} view;

// Makes the weights those of the whole row, and shows them.
static void show_row(const tb_attention *a, size_t worker, size_t head, size_t row, tb_softmax all, const view *views,
                     size_t count)
{
    tb_attention_piece pieces[TB_KV_SEGMENTS];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const view *v = &views[i];
        if (v->part.sum == 0)
            continue;
        float share = v->part.sum * tb_exp(v->part.top - all.top) / all.sum;
        size_t keys = v->seen.end - v->seen.begin;
        for (size_t k = 0; k < keys; k++)
            v->weights[k] *= share;
        const int32_t *positions = v->segment->positions;
        pieces[n++] = (tb_attention_piece){
            .weights = v->weights,
            .count = keys,
            .positions = positions ? positions + v->seen.begin : NULL,
            .first = v->segment->first + v->seen.begin,
        };
    }
    const tb_probe_place at = {.block = a->block, .span = a->span, .worker = worker};
    a->probe->attention_row(a->probe->user, &at, head, (size_t)a->positions[row], pieces, n);
}

static bool is_shown(const tb_attention *a)
{
    return a->probe && a->probe->attention_row;
}

// ---- one query ----

// Scores of the query at a position are multiplied by 1 + rate·ln(1 + ⌊position/length⌋).
static float scale_at(const tb_attention *a, size_t row)
{
    if (a->growth.rate == 0)
        return a->scale;
    size_t lengths = (size_t)a->positions[row] / a->growth.length;
    return a->scale * (float)(1 + a->growth.rate * log1p((double)lengths));
}

static void copy_query(float *to, const tb_attention *a, const float *queries, size_t row, size_t head)
{
    size_t n = a->config->head_size;
    const float *query = queries + row * a->stride + head * n;
    float scale = scale_at(a, row);
    for (size_t i = 0; i < n; i++)
        to[i] = scale * query[i];
    memset(to + n, 0, (tb_padded(n) - n) * sizeof(float));
}

// Those that `head` scores keys with, of a row that is number `index` of the scratch.
static void copy_queries(const scratch *s, const tb_attention *a, size_t row, size_t head, size_t index)
{
    size_t at = index * tb_padded(a->config->head_size);
    copy_query(s->queries + at, a, a->query, row, head);
    if (a->pinned_query)
        copy_query(s->pinned + at, a, a->pinned_query, row, head);
}

// Queries of the scratch as a segment sees them.
static const float *queries_for(const scratch *s, const tb_attention *a, const tb_kv_segment *segment)
{
    return segment->pinned && a->pinned_query ? s->pinned : s->queries;
}

static float *out_at(const tb_attention *a, size_t row, size_t head)
{
    return a->out + row * a->stride + head * a->config->head_size;
}

// mixed [head_size] += weights [rows] · rows.
static void mix_rows(float *mixed, const tb_attention *a, const tb_matrix *rows, const float *weights)
{
    const tb_kernels *kernels = &a->compute->kernels;
    for (size_t i = 0; i < rows->rows; i++) {
        if (rows->type == TB_TYPE_F16)
            kernels->axpy_f16(mixed, weights[i], (const uint16_t *)rows->data + i * rows->cols, rows->cols);
        else
            kernels->axpy_f32(mixed, weights[i], (const float *)rows->data + i * rows->cols, rows->cols);
    }
}

// v->part, and s->mixed ← values of one segment, of which the query sees at least one key.
static void attend_segment(view *v, const tb_attention *a, size_t head, const scratch *s)
{
    const tb_kernels *kernels = &a->compute->kernels;
    const tb_kv_segment *segment = v->segment;
    size_t n = a->config->head_size, count = v->seen.end - v->seen.begin;
    for (size_t done = 0; done < count; done += KEYS) {
        size_t rows = count - done < KEYS ? count - done : KEYS;
        tb_matrix keys = stored_rows(a, segment, false, v->seen.begin + done, rows, s->convert);
        tb_kernels_product(kernels, keys.type)->gemv(v->weights + done, &keys, 0, rows, queries_for(s, a, segment));
    }
    v->part = softmax(a, head, segment, v->seen, v->weights);

    memset(s->mixed, 0, n * sizeof(float));
    for (size_t done = 0; done < count; done += KEYS) {
        size_t rows = count - done < KEYS ? count - done : KEYS;
        tb_matrix values = stored_rows(a, segment, true, v->seen.begin + done, rows, s->convert);
        mix_rows(s->mixed, a, &values, v->weights + done);
    }
}

static void attend_row(const tb_attention *a, size_t row, size_t head, size_t worker)
{
    size_t n = a->config->head_size, used = 0;
    scratch s = get_scratch(a, worker);
    tb_kv_segment segments[TB_KV_SEGMENTS];
    view views[TB_KV_SEGMENTS];
    size_t count = segments_of(segments, a, head / (a->config->heads / a->config->kv_heads));
    tb_softmax all = begin_softmax(a, head);
    float *out = out_at(a, row, head);
    memset(out, 0, n * sizeof *out);
    copy_queries(&s, a, row, head, 0);
    for (size_t i = 0; i < count; i++) {
        view *v = &views[i];
        *v = (view){
            .segment = &segments[i],
            .seen = tb_kv_get_seen(&segments[i], (size_t)a->positions[row]),
            .weights = s.scores + used,
        };
        used += v->seen.end - v->seen.begin;
        if (v->seen.begin < v->seen.end) {
            attend_segment(v, a, head, &s);
            tb_softmax_join(&all, out, v->part, s.mixed, n);
        }
    }
    if (is_shown(a))
        show_row(a, worker, head, row, all, views, count);
}

// ---- a tile of queries ----

// A tile under way: the queries of the heads that share `kv_head`, of rows first_row + 0 … rows − 1; query
// g·rows + i is head g of the group in row i.
typedef struct tile {
    const tb_attention *a;
    size_t kv_head, group, first_row, rows;
    size_t span; // from one query's scores to the next's
    scratch s;
} tile;

// What the queries of a tile see together of a segment: keys begin … begin + count − 1, with scores that begin `offset`
// behind those of the first segment.
typedef struct tile_segment {
    const tb_kv_segment *segment;
    size_t index, begin, count, offset;
} tile_segment;

static size_t position_of(const tile *t, size_t query)
{
    return (size_t)t->a->positions[t->first_row + query % t->rows];
}

static size_t head_of(const tile *t, size_t query)
{
    return t->kv_head * t->group + query / t->rows;
}

static float *tile_out(const tile *t, size_t query)
{
    return out_at(t->a, t->first_row + query % t->rows, head_of(t, query));
}

static void begin_tile(const tile *t)
{
    size_t n = t->a->config->head_size;
    for (size_t q = 0; q < t->group * t->rows; q++) {
        copy_queries(&t->s, t->a, t->first_row + q % t->rows, head_of(t, q), q);
        t->s.all[q] = begin_softmax(t->a, head_of(t, q));
        memset(tile_out(t, q), 0, n * sizeof(float));
    }
}

static void tile_scores(const tile *t, const tile_segment *p)
{
    size_t n = t->a->config->head_size;
    const float *queries = queries_for(&t->s, t->a, p->segment);
    for (size_t done = 0; done < p->count; done += KEYS) {
        size_t keys = p->count - done < KEYS ? p->count - done : KEYS;
        const float *k = float_rows(t->a, p->segment, false, p->begin + done, keys, t->s.convert);
        tb_gemm_f32(t->s.scores + p->offset + done, t->span, queries, tb_padded(n), false, k, n, true,
                    t->group * t->rows, keys, n, 1.0f, 0.0f);
    }
}

// Weights that a query does not see become 0.
static void tile_softmax(const tile *t, const tile_segment *p)
{
    for (size_t q = 0; q < t->group * t->rows; q++) {
        tb_kv_range seen = tb_kv_get_seen(p->segment, position_of(t, q));
        size_t from = seen.begin - p->begin, to = seen.end - p->begin;
        float *scores = t->s.scores + q * t->span + p->offset;
        t->s.parts[q * TB_KV_SEGMENTS + p->index] =
            from < to ? softmax(t->a, head_of(t, q), p->segment, seen, scores + from) : (tb_softmax){0};
        memset(scores, 0, from * sizeof(float));
        memset(scores + to, 0, (p->count - to) * sizeof(float));
    }
}

static void tile_mix(const tile *t, const tile_segment *p)
{
    size_t n = t->a->config->head_size, stride = tb_padded(n);
    for (size_t done = 0; done < p->count; done += KEYS) {
        size_t keys = p->count - done < KEYS ? p->count - done : KEYS;
        const float *v = float_rows(t->a, p->segment, true, p->begin + done, keys, t->s.convert);
        tb_gemm_f32(t->s.mixed, stride, t->s.scores + p->offset + done, t->span, false, v, n, false, t->group * t->rows,
                    n, keys, 1.0f, done ? 1.0f : 0.0f);
    }
    for (size_t q = 0; q < t->group * t->rows; q++)
        tb_softmax_join(&t->s.all[q], tile_out(t, q), t->s.parts[q * TB_KV_SEGMENTS + p->index],
                        t->s.mixed + q * stride, n);
}

static void show_tile(const tile *t, const tile_segment *parts, size_t count, size_t worker)
{
    for (size_t q = 0; q < t->group * t->rows; q++) {
        view views[TB_KV_SEGMENTS];
        for (size_t i = 0; i < count; i++) {
            view *v = &views[i];
            *v = (view){
                .segment = parts[i].segment,
                .seen = tb_kv_get_seen(parts[i].segment, position_of(t, q)),
                .part = t->s.parts[q * TB_KV_SEGMENTS + i],
            };
            v->weights = t->s.scores + q * t->span + parts[i].offset + v->seen.begin - parts[i].begin;
        }
        show_row(t->a, worker, head_of(t, q), t->first_row + q % t->rows, t->s.all[q], views, count);
    }
}

static void attend_tile(const tb_attention *a, size_t kv_head, size_t first_row, size_t worker)
{
    size_t left = a->rows - first_row, seen = 0;
    tile t = {
        .a = a,
        .kv_head = kv_head,
        .group = a->config->heads / a->config->kv_heads,
        .first_row = first_row,
        .rows = left < TILE ? left : TILE,
        .s = get_scratch(a, worker),
    };
    tb_kv_segment segments[TB_KV_SEGMENTS];
    tile_segment parts[TB_KV_SEGMENTS];
    size_t count = segments_of(segments, a, kv_head);
    for (size_t i = 0; i < count; i++) {
        size_t begin = tb_kv_get_seen(&segments[i], (size_t)a->positions[first_row]).begin;
        size_t end = tb_kv_get_seen(&segments[i], (size_t)a->positions[first_row + t.rows - 1]).end;
        parts[i] = (tile_segment){&segments[i], i, begin, end - begin, seen};
        seen += end - begin;
    }
    t.span = tb_padded(seen);
    begin_tile(&t);
    for (size_t i = 0; i < count; i++) {
        tile_scores(&t, &parts[i]);
        tile_softmax(&t, &parts[i]);
        tile_mix(&t, &parts[i]);
    }
    if (is_shown(a))
        show_tile(&t, parts, count, worker);
}

static void run_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_attention *a = user;
    for (size_t i = begin; i < end; i++)
        attend_row(a, i / a->config->heads, i % a->config->heads, worker);
}

static void run_tiles(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_attention *a = user;
    size_t tiles = (a->rows + TILE - 1) / TILE;
    for (size_t i = begin; i < end; i++)
        attend_tile(a, i / tiles, i % tiles * TILE, worker);
}

void tb_attention_run(const tb_attention *a)
{
    size_t tiles = (a->rows + TILE - 1) / TILE;
    if (a->rows < FEWEST_GEMM)
        tb_parallel(a->compute->threads, a->rows * a->config->heads, 1, run_rows, (void *)(uintptr_t)a);
    else
        tb_parallel(a->compute->threads, a->config->kv_heads * tiles, 1, run_tiles, (void *)(uintptr_t)a);
}
