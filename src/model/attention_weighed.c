// Tiles of queries, each in two passes over the keys: scores of all of them, which become weights row by row, then the
// mix. Results do not depend on the number of threads. Where weights are redistributed, a row needs to know those of
// the rows before it: the tiles of a head come one after the other.
#include "model/attention_weighed.h"

#include <string.h>

#include "model/attention_sweep.h"
#include "model/redistribution.h"

enum {
    TILE = 16,       // rows, as those of attention.c
    FEWEST_TILE = 4, // rows, below which each goes through the kernels by itself
};

// Of one thread.
typedef struct scratch {
    float *sweep;  // tb_sweep_scratch
    float *scores; // [tile queries][padded capacity]: of all keys that the tile sees, then weights
    float *row;    // [padded capacity]: those of one query that it sees
    float *mixed;  // [tile queries][padded head_size]
} scratch;

static size_t tile_queries(const tb_config *config)
{
    return config->heads / config->kv_heads * TILE;
}

static size_t thread_scratch(const tb_config *config, size_t capacity)
{
    size_t queries = tile_queries(config);
    return tb_sweep_scratch(config, TILE) + (queries + 1) * tb_padded(capacity) +
           queries * tb_padded(config->head_size);
}

size_t tb_weighed_scratch(const tb_config *config, size_t capacity, size_t threads)
{
    return threads * thread_scratch(config, capacity);
}

static scratch get_scratch(const tb_attention *a, size_t worker)
{
    size_t stride = tb_padded(a->scratch_capacity);
    scratch s;
    s.sweep = a->scratch + worker * thread_scratch(a->config, a->scratch_capacity);
    s.scores = s.sweep + tb_sweep_scratch(a->config, TILE);
    s.row = s.scores + tile_queries(a->config) * stride;
    s.mixed = s.row + stride;
    return s;
}

// The scores x[n] of a query as a softmax, with the sink of its head.
static void weigh_softmax(float *x, const tb_attention *a, size_t head, size_t n)
{
    const tb_kernels *kernels = &a->compute->kernels;
    float top = kernels->max_f32(x, n), sink = a->sink_logits ? a->sink_logits[head] : -INFINITY;
    top = sink > top ? sink : top;
    float sum = kernels->exp_f32(x, top, n) + (a->sink_logits ? tb_exp(sink - top) : 0);
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}

// The weights x[n] of the query at a position: tokens, from whichever the first is that it sees, and learned slots
// behind them.
static void redistribute(float *x, const tb_attention *a, size_t head, size_t position, size_t n)
{
    size_t registers = a->config->registers, tokens = n - (a->slot_keys ? a->slots : 0);
    tb_redistribute(x, a->given + head * a->given_stride, position + 1 - tokens, tokens, registers ? registers : 1,
                    a->redistribution);
}

// The scores [keys] of a query become weights, 0 where it does not see the key; those that it sees lie in `row`, too.
static void weigh_query(const tb_sweep *sweep, size_t query, float *scores, float *row)
{
    const tb_attention *a = sweep->a;
    size_t head = tb_sweep_head(sweep, query), count = 0, taken = 0;
    tb_weighing weighing = {a->weighing, a->weighing_numbers ? a->weighing_numbers[head] : 0};
    for (size_t key = 0; key < sweep->seen.count;) {
        tb_run run = tb_seen_get_run(&sweep->seen, key, SIZE_MAX);
        tb_kv_range seen = tb_sweep_see(sweep, &run, query);
        memcpy(row + count, scores + key + seen.begin, (seen.end - seen.begin) * sizeof *row);
        count += seen.end - seen.begin;
        key += run.count;
    }
    if (a->redistribution) {
        weigh_softmax(row, a, head, count);
        redistribute(row, a, head, (size_t)a->positions[tb_sweep_row(sweep, query)], count);
    } else {
        tb_weigh_scores(row, &weighing, count);
    }
    memset(scores, 0, sweep->seen.count * sizeof *scores);
    for (size_t key = 0; key < sweep->seen.count;) {
        tb_run run = tb_seen_get_run(&sweep->seen, key, SIZE_MAX);
        tb_kv_range seen = tb_sweep_see(sweep, &run, query);
        memcpy(scores + key + seen.begin, row + taken, (seen.end - seen.begin) * sizeof *row);
        taken += seen.end - seen.begin;
        key += run.count;
    }
}

// `row`: the weights of the keys that the query sees.
static void show_query(const tb_sweep *sweep, size_t query, const float *row, size_t worker)
{
    const tb_attention *a = sweep->a;
    tb_attention_piece pieces[TB_KV_SEGMENTS];
    tb_seen own;
    if (!a->probe || !a->probe->attention_row)
        return;
    size_t position = (size_t)a->positions[tb_sweep_row(sweep, query)];
    tb_seen_init(&own, a, sweep->kv_head, position, position);
    size_t count = tb_seen_get_pieces(pieces, &own, row);
    const tb_probe_place at = {.block = a->block, .span = a->span, .worker = worker};
    a->probe->attention_row(a->probe->user, &at, tb_sweep_head(sweep, query), position, pieces, count);
}

static void attend_tile(const tb_attention *a, size_t kv_head, size_t first_row, size_t rows, size_t worker)
{
    size_t n = a->config->head_size, stride = tb_padded(a->scratch_capacity);
    scratch s = get_scratch(a, worker);
    tb_sweep sweep;
    tb_sweep_init(&sweep, a, kv_head, first_row, rows, a->rows < FEWEST_TILE ? TB_SWEEP_KERNELS : TB_SWEEP_PRODUCTS,
                  s.sweep);
    for (size_t key = 0; key < sweep.seen.count;) {
        tb_run run = tb_seen_get_run(&sweep.seen, key, TB_SWEEP_KEYS);
        tb_sweep_score(&sweep, &run, s.scores + key, stride);
        key += run.count;
    }
    for (size_t q = 0; q < tb_sweep_count(&sweep); q++) {
        weigh_query(&sweep, q, s.scores + q * stride, s.row);
        show_query(&sweep, q, s.row, worker);
    }
    memset(s.mixed, 0, tb_sweep_count(&sweep) * tb_padded(n) * sizeof *s.mixed);
    for (size_t key = 0; key < sweep.seen.count;) {
        tb_run run = tb_seen_get_run(&sweep.seen, key, TB_SWEEP_KEYS);
        tb_sweep_mix(&sweep, &run, s.scores + key, stride, s.mixed);
        key += run.count;
    }
    for (size_t q = 0; q < tb_sweep_count(&sweep); q++) {
        float *out = a->out + tb_sweep_row(&sweep, q) * a->stride + tb_sweep_head(&sweep, q) * n;
        memcpy(out, s.mixed + q * tb_padded(n), n * sizeof *out);
    }
}

static size_t tile_rows(const tb_attention *a)
{
    return a->rows < FEWEST_TILE ? 1 : TILE;
}

static void attend_tiles(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_attention *a = user;
    size_t tile = tile_rows(a), tiles = (a->rows + tile - 1) / tile;
    for (size_t i = begin; i < end; i++) {
        size_t first = i % tiles * tile, left = a->rows - first;
        attend_tile(a, i / tiles, first, left < tile ? left : tile, worker);
    }
}

void tb_weighed_run(const tb_attention *a)
{
    size_t tile = tile_rows(a), tiles = (a->rows + tile - 1) / tile;
    // A thread takes a whole head where one tile needs what the one before has left.
    size_t grain = a->redistribution ? tiles : 1;
    tb_parallel(a->compute->threads, a->config->kv_heads * tiles, grain, attend_tiles, (void *)(uintptr_t)a);
}
