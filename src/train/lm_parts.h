// Inside train: what a small transformer is made of, and its passes.
#ifndef TB_TRAIN_LM_PARTS_H
#define TB_TRAIN_LM_PARTS_H

#include "tensor/tensor.h"
#include "train/lm.h"

typedef struct tb_lm_linear {
    tb_param *weight, *bias; // [out][in]; [1][out] or NULL
    const void *used;        // the values that products see: the weight's own, or three-valued ones
} tb_lm_linear;

// NULL in a block without.
typedef struct tb_lm_norm {
    tb_param *scale, *shift, *alpha; // the latter two of tanh only
} tb_lm_norm;

typedef struct tb_lm_block {
    tb_lm_norm attn_norm, ffn_norm, q_norm, k_norm, head_norm, post_attn_norm, post_ffn_norm;
    tb_lm_linear q, k, v, output, ffn_gate, ffn_up, ffn_down;
    tb_lm_linear gate;         // weight NULL: none; of an input-free gate it is [1][H·d] and no product
    tb_param *extra;           // [1][heads]: s, b or τ; NULL: the normalizer has none
    tb_param *slot_k, *slot_v; // [kv_heads][head_size] or NULL
} tb_lm_block;

enum { TB_LM_MATRICES = 7 }; // of a block, that may be three-valued

static inline void tb_lm_block_matrices(const tb_lm_linear *out[TB_LM_MATRICES], const tb_lm_block *b)
{
    const tb_lm_linear *const all[] = {&b->q, &b->k, &b->v, &b->output, &b->ffn_gate, &b->ffn_up, &b->ffn_down};
    for (size_t i = 0; i < TB_LM_MATRICES; i++)
        out[i] = all[i];
}

struct tb_lm {
    tb_lm_shape shape;
    tb_params *params;
    tb_param *embedding, *registers; // [vocab][width]; [registers][width] or NULL
    tb_lm_linear head;               // the embedding where they are tied
    tb_lm_norm output_norm;
    tb_lm_block *blocks;
    tb_arena arena; // of the blocks, and the three-valued matrices
    tb_arena room;  // of a pass, for `room_sequences` sequences of `room_span` rows and `room_threads` threads
    size_t room_sequences, room_span, room_threads;
    void *pass;
};

// A piece of a batch on its way.
typedef struct tb_lm_piece {
    tb_lm_batch batch;
    size_t scored; // in the whole batch
    size_t rows;   // in the whole batch, registers included
    tb_lm_penalty penalty;
    bool learns;
    size_t threads;
    const tb_lm_watch *watch;
    double *mass; // [sequences][heads] room for the watch
} tb_lm_piece;

// The passes of one precision.
typedef struct tb_lm_passes {
    // Allocates what a pass of so many sequences of `span` rows needs from lm->room.
    bool (*prepare)(tb_lm *lm, size_t sequences, size_t span, size_t threads);
    // Makes the three-valued matrices.
    void (*quantize)(tb_lm *lm, size_t threads);
    // Adds to `loss` (but `scored`), to the gradients, and to what is watched.
    void (*run)(tb_lm_loss *loss, tb_lm *lm, const tb_lm_piece *piece);
} tb_lm_passes;

extern const tb_lm_passes tb_lm_passes_f32, tb_lm_passes_f64;

// γ of clipped softmax.
static inline double tb_lm_gamma(const tb_lm_shape *shape)
{
    return -shape->clip_alpha / (double)shape->context;
}

#endif
