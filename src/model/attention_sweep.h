// Queries on their way over the keys that a KV head shows them: what every form of attention is made of. Private to
// attention.
#ifndef TB_MODEL_ATTENTION_SWEEP_H
#define TB_MODEL_ATTENTION_SWEEP_H

#include "model/attention.h"

// Keys that are scored and mixed at a time. With their scores for all queries of a sweep they stay in the cache.
enum { TB_SWEEP_KEYS = 256 };

// What a KV head shows to the queries at some positions: keys 0 … count − 1, counted through the segments.
typedef struct tb_seen {
    size_t count, segment_count;
    tb_kv_segment segments[TB_KV_SEGMENTS];
    tb_kv_range rows[TB_KV_SEGMENTS];
    size_t first[TB_KV_SEGMENTS]; // key that rows[i].begin is
} tb_seen;

// For queries at positions `first` … `last`: each of them sees part of it.
void tb_seen_init(tb_seen *seen, const tb_attention *a, size_t kv_head, size_t first, size_t last);

// What a probe is shown of the weights [count] of a query that sees all of it; returns the number of pieces.
size_t tb_seen_get_pieces(tb_attention_piece pieces[TB_KV_SEGMENTS], const tb_seen *seen, const float *weights);

// Keys that lie one behind the other: rows of one segment.
typedef struct tb_run {
    const tb_kv_segment *segment;
    size_t begin, count; // rows
} tb_run;

// The run that begins with a key, of at most `most` ≥ 1 keys.
tb_run tb_seen_get_run(const tb_seen *seen, size_t key, size_t most);

// How scores and mixes are computed. KERNELS take keys and values as they are stored, PRODUCTS are BLAS's, of rows
// converted to floats: worth it for many queries, and the same bits with every set of our kernels.
typedef enum tb_sweep_way { TB_SWEEP_KERNELS, TB_SWEEP_PRODUCTS } tb_sweep_way;

// The queries of all heads that share a KV head, of rows first_row + 0 … rows − 1: query g·rows + i is that of head g
// of the group in row i.
typedef struct tb_sweep {
    const tb_attention *a;
    tb_sweep_way way;
    size_t kv_head, first_head, group, first_row, rows;
    float *queries, *pinned; // [group·rows][padded head_size], scaled; for pinned segments
    float *convert;          // of a run's keys or values
    tb_seen seen;
} tb_sweep;

// Floats of memory for a sweep of up to `rows` rows.
size_t tb_sweep_scratch(const tb_config *config, size_t rows);
void tb_sweep_init(tb_sweep *sweep, const tb_attention *a, size_t kv_head, size_t first_row, size_t rows,
                   tb_sweep_way way, float *scratch);

static inline size_t tb_sweep_count(const tb_sweep *sweep)
{
    return sweep->group * sweep->rows;
}

static inline size_t tb_sweep_head(const tb_sweep *sweep, size_t query)
{
    return sweep->first_head + query / sweep->rows;
}

static inline size_t tb_sweep_row(const tb_sweep *sweep, size_t query)
{
    return sweep->first_row + query % sweep->rows;
}

// The keys of a run that a query sees: [begin, end) of 0 … count.
tb_kv_range tb_sweep_see(const tb_sweep *sweep, const tb_run *run, size_t query);

// Scores of all queries with the keys of a run, cap and bias included, at scores + query·stride.
void tb_sweep_score(const tb_sweep *sweep, const tb_run *run, float *scores, size_t stride);

// mixed[query] [padded head_size] += Σ weights[query·stride + key]·value[key]
void tb_sweep_mix(const tb_sweep *sweep, const tb_run *run, const float *weights, size_t stride, float *mixed);

#endif
