// The forward pass in plain loops and double precision, over the weights that a model has
// bound: slow, obvious, and the yardstick of the fast one.
#ifndef TB_FORWARD_REF_H
#define TB_FORWARD_REF_H

#include "model/weights.h"

// logits[n][vocab] after each of n tokens from position 0. The probe (may be NULL) sees what
// that of tb_seq sees; all tokens are one batch. False when memory ran out.
bool ref_forward(double *logits, const tb_model *model, const int32_t *ids, size_t n, const tb_probe *probe);

// The same of a stream: row i of a block that sees everything sees keys 0 … sinks − 1 and the `window` newest, all
// numbered afresh from 0 on, keys and query turned at those numbers.
bool ref_forward_stream(double *logits, const tb_model *model, const int32_t *ids, size_t n, size_t sinks,
                        size_t window);

// Whether the query at a position sees a key, which is not behind it.
typedef bool ref_mask(void *user, size_t block, size_t kv_head, size_t query, size_t key);

// The same as ref_forward, of blocks that see everything only what a mask lets them see.
bool ref_forward_masked(double *logits, const tb_model *model, const int32_t *ids, size_t n, ref_mask *mask,
                        void *user);

#endif
