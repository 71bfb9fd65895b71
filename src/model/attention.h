// Causal attention with grouped key heads over a cache. Private to model.
#ifndef TB_MODEL_ATTENTION_H
#define TB_MODEL_ATTENTION_H

#include "model/model.h"

// Keys and values of one block, one position after another per head.
typedef struct tb_kv_cache {
    tb_kv_cache_type type;
    size_t capacity;     // positions
    void *keys, *values; // [kv_heads][capacity][head_size] half or float
} tb_kv_cache;

// Everything one call of tb_attention_run needs.
typedef struct tb_attention {
    const tb_compute *compute;
    const tb_config *config;
    const tb_kv_cache *cache; // filled up to position + tokens
    size_t window;            // positions seen, the own one included; 0: all
    float scale;              // of the scores
    const float *query;       // [tokens][heads][head_size], rows of `stride`
    float *out;               // the same shape
    size_t stride;
    size_t tokens;
    size_t position;          // of the first token
    float *scratch;           // tb_attention_scratch() floats, aligned to 64 bytes
    size_t scratch_positions; // that it was made for
    size_t block;             // for the probe
    const tb_probe *probe;    // or NULL
} tb_attention;

// Floats of scratch for caches of up to `positions` positions.
size_t tb_attention_scratch(const tb_config *config, size_t positions, size_t threads);

// Stores the keys and values of one token: [kv_heads][head_size] each.
void tb_kv_cache_store(const tb_kv_cache *cache, const tb_compute *compute, const tb_config *config, size_t position,
                       const float *keys, const float *values);

// out = softmax(scale·query·keysᵀ)·values per head. Few tokens go row by row through the gemv
// kernels, more through BLAS in tiles of queries; which of the two depends on `tokens` only.
void tb_attention_run(const tb_attention *a);

#endif
