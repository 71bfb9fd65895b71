// A small transformer and its gradients, for training on a CPU. Part of train.h.
//
// A pass takes a few sequences through all blocks and keeps what enters each block; on the way back a block computes
// again what it needs. Products go through tensor's GEMM, attention in tiles of queries per head. All that a model may
// be (how attention's weights are made, gates, learned keys, norms) is in tb_lm_shape; each has its gradient, checked
// in double.
#ifndef TB_TRAIN_LM_H
#define TB_TRAIN_LM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "train/params.h"

// How scores z of the keys that a query sees become weights w. n: how many it sees.
typedef enum tb_lm_normalizer {
    TB_LM_SOFTMAX,
    TB_LM_SOFTMAX1, // e^z/(1 + Σe^z)
    TB_LM_SINK,     // e^z/(e^s + Σe^z), s learned per head
    TB_LM_CLIP,     // softmax p, γ = −α/context: clip((1 − γ)·p + γ, 0, 1)
    TB_LM_SIGMOID,  // σ(z + b), b learned per head, −ln(context) at first
    TB_LM_RELU,     // max(z, 0)/n
    TB_LM_SOFTPICK, // max(e^z − 1, 0)/Σ|e^z − 1|
    TB_LM_ELASTIC,  // softmax p: max(p + τ/n, 0), τ learned per head, −1 at first
    TB_LM_NORMALIZERS
} tb_lm_normalizer;

// What the heads' outputs are multiplied with: σ of a product with the block's normalised input.
typedef enum tb_lm_gate {
    TB_LM_GATE_NONE,
    TB_LM_GATE_HEAD,       // one for each head
    TB_LM_GATE_ELEM,       // one for each element of each head
    TB_LM_GATE_VALUE,      // one for each element of each value, before values are mixed
    TB_LM_GATE_SHARED,     // one for each element, the same for all heads
    TB_LM_GATE_INPUT_FREE, // one for each element of each head that is learned by itself
    TB_LM_GATES
} tb_lm_gate;

// A key that every query sees, learned per KV head, not rotated; its value is 0 or learned too.
typedef enum tb_lm_kv_bias { TB_LM_KV_BIAS_NONE, TB_LM_KV_BIAS_K, TB_LM_KV_BIAS_KV, TB_LM_KV_BIASES } tb_lm_kv_bias;

typedef enum tb_lm_norm_kind {
    TB_LM_NORM_RMS,
    TB_LM_NORM_SS,       // RMS with a single scale
    TB_LM_NORM_HEADWISE, // RMS, and over each head's output
    TB_LM_NORM_QK,       // RMS, and over queries and keys per head
    TB_LM_NORM_SANDWICH, // RMS, and over what each half of a block adds
    TB_LM_NORM_DYNTANH,  // γ·tanh(αx) + β
    TB_LM_NORMS
} tb_lm_norm_kind;

typedef enum tb_lm_ffn { TB_LM_SWIGLU, TB_LM_GEGLU, TB_LM_FFNS } tb_lm_ffn;

// What is added to the cross-entropy, from the residual stream h behind blocks.
typedef enum tb_lm_penalty {
    TB_LM_PLAIN,
    TB_LM_TWEO,  // λ·mean over blocks and elements of (|h|/τ)^4, λ = 0.01, τ = 3
    TB_LM_ZLOSS, // λ·mean over tokens of (ln Σ e^|h|)² behind the last block, λ = 1e-7
    TB_LM_PENALTIES
} tb_lm_penalty;

// The words by which files and options call them.
extern const char *const tb_lm_normalizer_names[TB_LM_NORMALIZERS];
extern const char *const tb_lm_gate_names[TB_LM_GATES];
extern const char *const tb_lm_kv_bias_names[TB_LM_KV_BIASES];
extern const char *const tb_lm_norm_names[TB_LM_NORMS];
extern const char *const tb_lm_ffn_names[TB_LM_FFNS];
extern const char *const tb_lm_penalty_names[TB_LM_PENALTIES];

typedef struct tb_lm_shape {
    size_t vocab, width, blocks, heads, kv_heads, head_size, ffn_width;
    size_t context;   // tokens of a sequence, at most
    size_t registers; // learned vectors in front of every sequence
    size_t reach;     // how many positions a query sees, its own among them; 0: all before it
    tb_lm_normalizer normalizer;
    tb_lm_gate gate;
    tb_lm_kv_bias kv_bias;
    tb_lm_norm_kind norm;
    tb_lm_ffn ffn;
    double clip_alpha;
    double rope_base, norm_epsilon;
    bool tied;    // the head is the embedding
    bool biases;  // of the products for queries, keys and values
    bool ternary; // matrices of blocks are used as s·{−1, 0, 1}, s = mean |w|; gradients go straight through
} tb_lm_shape;

// TB_EINVAL with a sentence where the numbers do not fit one another.
tb_code tb_lm_shape_check(const tb_lm_shape *shape, tb_error *err);

typedef struct tb_lm tb_lm;

// A model with weights drawn from `seed`. Parameters have GGUF's names (docs/formats.md).
tb_code tb_lm_new(tb_lm **out, const tb_lm_shape *shape, tb_precision precision, uint64_t seed, tb_error *err);
void tb_lm_free(tb_lm *lm);

const tb_lm_shape *tb_lm_get_shape(const tb_lm *lm);
tb_params *tb_lm_params(tb_lm *lm);

// Sequences of one length, at most the context.
typedef struct tb_lm_batch {
    const int32_t *tokens;  // [sequences][length]
    const int32_t *targets; // [sequences][length]: what follows each; −1: not scored
    size_t sequences, length;
} tb_lm_batch;

// What a pass may tell besides. All averages over the scored sequences of the batch; arrays are the caller's.
typedef struct tb_lm_watch {
    double *first_mass;    // [blocks][heads]: weight on position 0, averaged over queries behind it
    double *largest;       // [blocks]: |h| behind the block
    double *kurtosis;      // [blocks]: of h, averaged over tokens; 3 for a normal distribution
    double *gradient_norm; // [registers + length]: of the loss by the embedding of each position
} tb_lm_watch;

typedef struct tb_lm_loss {
    double sum;     // cross-entropy in nats over scored tokens
    double penalty; // what the penalty adds to the mean of it
    size_t scored;
} tb_lm_loss;

// Runs a batch; with `learns` adds the gradients of (sum/scored + penalty) to those of the parameters, which
// tb_lm_clear_gradients sets to 0. The batch is worked on in pieces, whose size follows from the shape alone, and
// weighs the same however it is cut. `watch` may be NULL, as may each of its arrays.
tb_code tb_lm_run(tb_lm_loss *loss, tb_lm *lm, const tb_lm_batch *batch, tb_lm_penalty penalty, bool learns,
                  size_t threads, const tb_lm_watch *watch, tb_error *err);
void tb_lm_clear_gradients(tb_lm *lm);

// Rows of attention by themselves, as the pass computes them: w[n] from z[n], in single or double precision; `gamma` is
// that of clip, `extra` s, b or τ of the head. Returns the weight that no key gets (softmax1, sink), else 0. Keys with
// z = −∞ are not seen and get 0.
float tb_lm_weigh_f32(float *w, const float *z, size_t n, tb_lm_normalizer normalizer, float gamma, float extra);
double tb_lm_weigh_f64(double *w, const double *z, size_t n, tb_lm_normalizer normalizer, double gamma, double extra);

// The way back, in double: dz[n] holds the scores and gets the gradients by them from g[n], those by w. `rest` is what
// weighing returned. Returns the gradient by `extra`.
double tb_lm_unweigh_f64(double *dz, const double *w, const double *g, size_t n, tb_lm_normalizer normalizer,
                         double gamma, double rest);

#endif
