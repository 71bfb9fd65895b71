// Scores, softmax and mixing of values. Work is divided among threads by heads and tiles of
// queries, each computed by itself, so that results do not depend on the number of threads.
//
// A tile holds the queries of all heads that share a key head, for TILE tokens: its scores
// against every key are one matrix product, and so is the mixing of values. The cache is
// taken KEYS positions at a time, converted to floats where it holds halves. Scores of masked
// positions are computed and thrown away: at most TILE − 1 per query.
#include "model/attention.h"

#include <string.h>

#include "model/exp.h"

enum {
    TILE = 16,       // tokens: enough rows for BLAS, few enough that a tile's scores stay in cache
    KEYS = 256,      // positions converted at a time
    FEWEST_GEMM = 4, // tokens, below which rows go through gemv
    LANES = 8,       // of reductions: a fixed order that compilers can vectorise
};

// Scratch of one thread.
typedef struct scratch {
    float *scores;  // [rows][span], span = positions, padded
    float *rows;    // [rows][padded head_size]: queries, then results
    float *convert; // [KEYS][head_size]
    float *seen;    // [span]: a row for the probe
} scratch;

static size_t tile_rows(const tb_config *config)
{
    return config->heads / config->kv_heads * TILE;
}

static size_t thread_scratch(const tb_config *config, size_t positions)
{
    size_t rows = tile_rows(config), span = tb_padded(positions);
    return rows * span + rows * tb_padded(config->head_size) + tb_padded(KEYS * config->head_size) + span;
}

size_t tb_attention_scratch(const tb_config *config, size_t positions, size_t threads)
{
    return threads * thread_scratch(config, positions);
}

static scratch get_scratch(const tb_attention *a, size_t worker)
{
    size_t rows = tile_rows(a->config), span = tb_padded(a->scratch_positions);
    scratch s;
    s.scores = a->scratch + worker * thread_scratch(a->config, a->scratch_positions);
    s.rows = s.scores + rows * span;
    s.convert = s.rows + rows * tb_padded(a->config->head_size);
    s.seen = s.convert + tb_padded(KEYS * a->config->head_size);
    return s;
}

// ---- the cache ----

static size_t item_size(const tb_kv_cache *cache)
{
    return cache->type == TB_KV_CACHE_F16 ? sizeof(uint16_t) : sizeof(float);
}

static void *at(const tb_kv_cache *cache, void *base, size_t head, size_t position, size_t head_size)
{
    return (char *)base + (head * cache->capacity + position) * head_size * item_size(cache);
}

void tb_kv_cache_store(const tb_kv_cache *cache, const tb_compute *compute, const tb_config *config, size_t position,
                       const float *keys, const float *values)
{
    size_t n = config->head_size;
    for (size_t head = 0; head < config->kv_heads; head++) {
        void *key = at(cache, cache->keys, head, position, n), *value = at(cache, cache->values, head, position, n);
        if (cache->type == TB_KV_CACHE_F16) {
            compute->kernels.half_from_float(key, keys + head * n, n);
            compute->kernels.half_from_float(value, values + head * n, n);
        } else {
            memcpy(key, keys + head * n, n * sizeof(float));
            memcpy(value, values + head * n, n * sizeof(float));
        }
    }
}

// Rows of the cache as floats: the cache itself, or converted into `convert`.
static const float *float_rows(const tb_attention *a, void *base, size_t head, size_t first, size_t count,
                               float *convert)
{
    size_t n = a->config->head_size;
    const void *rows = at(a->cache, base, head, first, n);
    if (a->cache->type == TB_KV_CACHE_F32)
        return rows;
    memset(convert, 0, count * n * sizeof(float));
    a->compute->kernels.axpy_f16(convert, 1.0f, rows, count * n);
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

static void softmax(float *x, size_t n)
{
    float top = largest(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] = tb_exp(x[i] - top);
    float inverse = 1.0f / sum(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] *= inverse;
}

// ---- rows and tiles ----

// First position that a query at `position` sees.
static size_t first_seen(const tb_attention *a, size_t position)
{
    return a->window && position >= a->window ? position - a->window + 1 : 0;
}

// `weights` cover positions first … position.
static void show_row(const tb_attention *a, const scratch *s, size_t head, size_t position, const float *weights,
                     size_t first)
{
    if (!a->probe || !a->probe->attention_row)
        return;
    memset(s->seen, 0, first * sizeof(float));
    memcpy(s->seen + first, weights, (position + 1 - first) * sizeof(float));
    a->probe->attention_row(a->probe->user, a->block, head, position, s->seen, position + 1);
}

static void copy_query(float *row, const tb_attention *a, size_t token, size_t head)
{
    size_t n = a->config->head_size;
    const float *query = a->query + token * a->stride + head * n;
    for (size_t i = 0; i < n; i++)
        row[i] = a->scale * query[i];
    memset(row + n, 0, (tb_padded(n) - n) * sizeof(float));
}

// One head of one token.
static void attend_row(const tb_attention *a, size_t token, size_t head, size_t worker)
{
    const tb_kernels *kernels = &a->compute->kernels;
    const tb_kv_cache *cache = a->cache;
    bool half = cache->type == TB_KV_CACHE_F16;
    size_t n = a->config->head_size, kv_head = head / (a->config->heads / a->config->kv_heads);
    size_t position = a->position + token, first = first_seen(a, position), count = position + 1 - first;
    scratch s = get_scratch(a, worker);
    copy_query(s.rows, a, token, head);
    tb_matrix keys = {.type = half ? TB_TYPE_F16 : TB_TYPE_F32,
                      .rows = count,
                      .cols = n,
                      .data = at(cache, cache->keys, kv_head, first, n)};
    tb_kernels_gemv(kernels, keys.type)(s.scores, &keys, 0, count, s.rows);
    softmax(s.scores, count);
    show_row(a, &s, head, position, s.scores, first);

    float *out = a->out + token * a->stride + head * n;
    memset(out, 0, n * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        const void *value = at(cache, cache->values, kv_head, first + i, n);
        if (half)
            kernels->axpy_f16(out, s.scores[i], value, n);
        else
            kernels->axpy_f32(out, s.scores[i], value, n);
    }
}

// A tile under way: queries of the heads that share `kv_head`, of tokens first_token + 0 … tokens − 1;
// row g·tokens + i is head g of the group, token i. Positions first … first + count − 1 are seen by some of them.
typedef struct tile {
    size_t kv_head, group, first_token, tokens;
    size_t first, count, span;
    scratch s;
} tile;

static void tile_scores(const tb_attention *a, const tile *t)
{
    size_t n = a->config->head_size, row_stride = tb_padded(n);
    for (size_t g = 0; g < t->group; g++)
        for (size_t i = 0; i < t->tokens; i++)
            copy_query(t->s.rows + (g * t->tokens + i) * row_stride, a, t->first_token + i, t->kv_head * t->group + g);
    for (size_t done = 0; done < t->count; done += KEYS) {
        size_t keys = t->count - done < KEYS ? t->count - done : KEYS;
        const float *k = float_rows(a, a->cache->keys, t->kv_head, t->first + done, keys, t->s.convert);
        tb_gemm_f32(t->s.scores + done, t->span, t->s.rows, row_stride, false, k, n, true, t->group * t->tokens, keys,
                    n, 1.0f, 0.0f);
    }
}

static void tile_softmax(const tb_attention *a, const tile *t)
{
    for (size_t row = 0; row < t->group * t->tokens; row++) {
        size_t position = a->position + t->first_token + row % t->tokens;
        size_t from = first_seen(a, position) - t->first, to = position + 1 - t->first;
        float *scores = t->s.scores + row * t->span;
        softmax(scores + from, to - from);
        memset(scores, 0, from * sizeof(float));
        memset(scores + to, 0, (t->count - to) * sizeof(float));
        show_row(a, &t->s, t->kv_head * t->group + row / t->tokens, position, scores + from, from + t->first);
    }
}

static void tile_mix(const tb_attention *a, const tile *t)
{
    size_t n = a->config->head_size, row_stride = tb_padded(n);
    for (size_t done = 0; done < t->count; done += KEYS) {
        size_t keys = t->count - done < KEYS ? t->count - done : KEYS;
        const float *v = float_rows(a, a->cache->values, t->kv_head, t->first + done, keys, t->s.convert);
        tb_gemm_f32(t->s.rows, row_stride, t->s.scores + done, t->span, false, v, n, false, t->group * t->tokens, n,
                    keys, 1.0f, done ? 1.0f : 0.0f);
    }
    for (size_t g = 0; g < t->group; g++)
        for (size_t i = 0; i < t->tokens; i++)
            memcpy(a->out + (t->first_token + i) * a->stride + (t->kv_head * t->group + g) * n,
                   t->s.rows + (g * t->tokens + i) * row_stride, n * sizeof(float));
}

static void attend_tile(const tb_attention *a, size_t kv_head, size_t first_token, size_t worker)
{
    size_t left = a->tokens - first_token;
    tile t = {
        .kv_head = kv_head,
        .group = a->config->heads / a->config->kv_heads,
        .first_token = first_token,
        .tokens = left < TILE ? left : TILE,
        .first = first_seen(a, a->position + first_token),
        .s = get_scratch(a, worker),
    };
    t.count = a->position + first_token + t.tokens - t.first;
    t.span = tb_padded(t.count);
    tile_scores(a, &t);
    tile_softmax(a, &t);
    tile_mix(a, &t);
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
    size_t tiles = (a->tokens + TILE - 1) / TILE;
    for (size_t i = begin; i < end; i++)
        attend_tile(a, i / tiles, i % tiles * TILE, worker);
}

void tb_attention_run(const tb_attention *a)
{
    // A probe is called from one thread, so that thread does everything.
    size_t threads = a->probe && a->probe->attention_row ? 1 : a->compute->threads;
    size_t tiles = (a->tokens + TILE - 1) / TILE;
    if (a->tokens < FEWEST_GEMM)
        tb_parallel(threads, a->tokens * a->config->heads, 1, run_rows, (void *)(uintptr_t)a);
    else
        tb_parallel(threads, a->config->kv_heads * tiles, 1, run_tiles, (void *)(uintptr_t)a);
}
