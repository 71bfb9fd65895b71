// The forward pass: one block, the embedding before all of them, the head behind. It runs in
// a workspace that is allocated once. Private to model.
#ifndef TB_MODEL_FORWARD_H
#define TB_MODEL_FORWARD_H

#include "model/attention.h"
#include "model/rope.h"
#include "model/weights.h"

// Activations of up to `batch` tokens. Rows are padded as the kernels want it; the padding is
// zero and stays so.
typedef struct tb_workspace {
    const tb_model *model;
    const tb_probe *probe; // or NULL; borrowed
    size_t batch, positions;
    size_t length; // of the sequence, with what is being computed: some kinds of RoPE depend on it
    size_t width_stride, query_stride, key_stride, ffn_stride;
    float *normed, *delta;   // [batch][width_stride]
    float *query, *attended; // [batch][query_stride]
    float *key, *value;      // [batch][key_stride]
    float *gate, *up;        // [batch][ffn_stride]
    float *matmul_scratch, *attention_scratch;
    tb_rope_table rope, near_rope; // angles of the rows
    tb_arena arena;                // owns all of it
} tb_workspace;

// For sequences of up to `positions` tokens. Clear also after failure.
tb_code tb_workspace_init(tb_workspace *w, const tb_model *model, size_t batch, size_t positions, tb_error *err);
void tb_workspace_clear(tb_workspace *w);

// x[tokens][width_stride] ← embeddings.
void tb_forward_embed(float *x, const tb_workspace *w, const int32_t *ids, size_t tokens);

// One block in place over x[tokens][width_stride], tokens ≤ batch, at positions[tokens]. `kv` remembers the earlier
// ones and takes in these. `override` may be NULL.
void tb_forward_block(float *x, const tb_workspace *w, size_t block, const tb_block_override *override, tb_kv_block *kv,
                      size_t tokens, const int32_t *positions);

// logits[n][vocab] ← final norm and head of x[n] (rows of `stride`), n ≤ batch.
void tb_forward_head(float *logits, const tb_workspace *w, const float *x, size_t stride, size_t n);

#endif
