// Causal attention with grouped heads over the segments of a memory. Private to model.
#ifndef TB_MODEL_ATTENTION_H
#define TB_MODEL_ATTENTION_H

#include "model/kv.h"

// Everything one call of tb_attention_run needs.
typedef struct tb_attention {
    const tb_compute *compute;
    const tb_config *config;
    const tb_kv_block *kv;                // holds the keys and values of these rows too
    float scale;                          // of the scores
    float cap;                            // a score s becomes cap·tanh(s/cap); 0: it stays
    tb_query_growth growth;               // of the scores with the position of the query
    const float *sink_logits;             // [heads] or NULL: e^sink joins the sum of a row's weights, and has no value
    tb_weighing_kind weighing;            // how scores become weights; sink logits belong to TB_SOFTMAX
    const float *weighing_numbers;        // [heads], where the kind has them
    const float *slot_keys, *slot_values; // [kv_heads][slots][head_size] or NULL: keys besides that every query sees
    size_t slots;
    double skip;             // pages that have together at most so much weight are not read; 0: all are
    const float *first_bias; // [heads] or NULL: joins the score of the key at position 0, behind the cap
    const tb_redistribution *redistribution; // of a softmax's weights; NULL: they stay as they are
    float *given;                            // [heads][given_stride]: what it knows (redistribution.h), by position
    size_t given_stride;
    const float *query; // [rows][heads][head_size], rows of `stride`
    // The same queries as pinned segments see them: turned at a position that stands still while theirs goes on. NULL:
    // no segment is pinned.
    const float *pinned_query;
    float *out; // the same shape
    size_t stride;
    size_t rows;
    const int32_t *positions; // [rows], ascending
    float *scratch;           // tb_attention_scratch() floats, aligned to 64 bytes
    size_t scratch_capacity;  // that it was made for
    size_t block, span;       // for the probe
    const tb_probe *probe;    // or NULL
} tb_attention;

// Floats of scratch for heads that show up to `capacity` keys. `redistributes`: some calls may have `redistribution`.
size_t tb_attention_scratch(const tb_config *config, tb_weighing_kind weighing, bool redistributes, size_t capacity,
                            size_t threads);

// out = softmax(scale·query·keysᵀ)·values per head, over all rows that the segments show to a query; 0 where they
// show none. Up to three rows go one by one through the kernels, more through BLAS in tiles: which of the two
// depends on `rows` only. However the memory is cut into segments, the exact result is the same; its roundings are
// those of the runs that the segments are read in. Where `weighing` is no softmax, the weights are what it says.
void tb_attention_run(const tb_attention *a);

// Shows the weights of all rows to the heads that observe them.
void tb_attention_observe(const tb_attention *a);

#endif
