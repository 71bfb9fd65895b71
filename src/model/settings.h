// What a checkpoint's metadata says about the network: sizes, and the traits of its family.
// Private to model.
#ifndef TB_MODEL_SETTINGS_H
#define TB_MODEL_SETTINGS_H

#include "base/base.h"
#include "model/model.h"
#include "model/weighing.h"
#include "model/rope.h"

// Longest sequence, and longest context a model may claim.
#define TB_MOST_POSITIONS ((size_t)1 << 24)

typedef enum tb_activation {
    TB_SILU,
    TB_GELU_TANH,
    TB_CLAMPED, // (min(gate, 7)·σ(1.702·min(gate, 7)))·(up cut to ±7, + 1)
} tb_activation;

// What stands in front of the parts of a block and of the head.
typedef enum tb_norm {
    TB_NORM_RMS,
    TB_NORM_SCALE, // RMSNorm with one factor for all channels
    TB_NORM_TANH,  // weight ⊙ tanh(α·x) + bias
} tb_norm;

// What multiplies the output of attention, as σ of it.
typedef enum tb_gate {
    TB_GATE_NONE,
    TB_GATE_HEAD,    // one number for every query head
    TB_GATE_ELEMENT, // one for every number of every query head
    TB_GATE_SHARED,  // one for every number of a head, the same for all heads
    TB_GATE_VALUE,   // one for every number of the values, in front of attention
} tb_gate;

// Where a gate comes from.
typedef enum tb_gate_source {
    TB_GATE_OF_LINEAR, // a matrix of its own
    TB_GATE_FREE,      // a vector: the input has no part in it
    TB_GATE_OF_HEADS,  // rows of the query matrix behind those of every head
    TB_GATE_OF_GROUPS, // rows of the query matrix behind those of the heads that share a key head
} tb_gate_source;

// How a router's scores become shares.
typedef enum tb_gating { TB_GATING_SOFTMAX, TB_GATING_SIGMOID } tb_gating;

// One row per architecture: how it differs from plain Llama. There is one forward pass, and
// these are its switches. Blocks are counted from 1 in the periods: period 6 means blocks
// 6, 12, … .
typedef struct tb_arch {
    const char *name;
    const char *lacks; // NULL: supported; else what the forward pass lacks for it
    tb_activation activation;
    bool rope_halves;        // RoPE turns (i, i + n/2) together; else (2i, 2i + 1)
    bool needs_qkv_bias;     // biases are optional elsewhere
    bool has_head_norms;     // RMSNorm of every query and key head before RoPE
    bool has_post_norms;     // RMSNorm of what attention and FFN give, before it is added
    bool scales_embedding;   // by sqrt(width)
    size_t global_period;    // every n-th block sees all positions in spite of a reach; 0: none does
    size_t default_reach;    // of near blocks, where the file does not say it; 0: they see all
    double attention_cap;    // of the scores, where the file does not say it; 0: none
    double final_cap;        // of the logits, the same
    size_t odd_scale_blocks; // the size of the family whose scores are scaled by width/heads has so many; 0: no size
    double near_rope_base;   // RoPE base of near blocks; 0: the same as elsewhere
    size_t unrotated_period; // every n-th block has no RoPE; 0: all have
    bool has_experts;        // blocks with a router are a mixture of experts
    bool shares_to_one;      // the shares of the experts that a row chose sum to 1, where the file does not say it
    tb_gating gating;        // where the file does not say it
    bool values_differ;      // a value may be smaller than a key, and blocks may have fewer key heads than others
    bool may_have_sinks;     // a block may have sink logits: where its tensor is there
    bool rotates_near_only;  // blocks that see everything have no RoPE
    bool has_sink_logits;    // one for every query head
    bool adds_one;           // every query head has the sink logit 0
    bool splits_pairs;       // YaRN's borders are not rounded to whole pairs, where the file does not say it
    const char *ffn_norm;    // the norm in front of the feed-forward part; NULL: "ffn_norm"
    tb_norm norm;
    bool has_mix_norms; // RMSNorm of what each head mixes, in front of a gate
    tb_gate gate;
    tb_gate_source gate_source;
    bool has_sink_keys, has_sink_values; // a key of every key head that all queries see, and its value; else that is 0
    tb_weighing_kind weighing;
    bool varies; // the file says which variant of attention it has (variants.c)
} tb_arch;

// Scores of the query at a position are multiplied by 1 + rate·ln(1 + ⌊position/length⌋).
typedef struct tb_query_growth {
    double rate;   // 0: they are not
    size_t length; // tokens
} tb_query_growth;

// How many numbers a gate has for a row.
size_t tb_gate_length(tb_gate gate, const tb_config *config);

static inline bool tb_gate_is_in_query(const tb_arch *arch)
{
    return arch->gate && (arch->gate_source == TB_GATE_OF_HEADS || arch->gate_source == TB_GATE_OF_GROUPS);
}

typedef struct tb_settings {
    tb_config config;
    const tb_arch *arch; // the family's row, or what the file makes of it
    double embedding_scale;
    tb_query_growth query_growth;
    double attention_cap, final_cap; // x becomes cap·tanh(x/cap), for scores and for logits; 0: none
    double query_scale;              // of the scores
    double value_scale;              // of the values
    const size_t *kv_heads;          // [blocks] as the matrices have them; config has the most of any block
    size_t reach;                    // near blocks see this many positions, their own included; 0: all
    size_t rope_size;                // numbers of a head that RoPE turns
    bool shares_to_one;              // of the experts that a row chose
    tb_gating gating;
    double expert_scale;                 // of their shares
    double clip, sigmoid_bias;           // numbers of the normalizer, where it is TB_CLIP or TB_SIGMOID
    tb_rope rope, near_rope;             // of blocks that see everything, and of near ones
    const unsigned char *near, *rotated; // [blocks] 0 or 1
} tb_settings;

// The row of an architecture; NULL when there is none.
const tb_arch *tb_arch_find(tb_text name);
// The supported ones as "a, b, c", cut to `capacity` bytes with the NUL.
void tb_arch_list(char *out, size_t capacity);

// Reads and checks everything but RoPE; arrays lie in `arena`. TB_EUNSUPPORTED names what
// is not known, TB_EFORMAT what makes no sense.
tb_code tb_settings_read(tb_settings *out, tb_arena *arena, const tb_checkpoint *checkpoint, tb_error *err);

// What GGUF files may have as tensors of RoPE; NULL: absent. Frequencies are divided by factors.
typedef struct tb_rope_tensors {
    const float *factors;                      // [rope_size/2]
    const float *short_factors, *long_factors; // [rope_size/2]: in sequences up to the original context, and above it
} tb_rope_tensors;

// Sets rope and near_rope of settings that are complete but for them; arrays lie in `arena`.
tb_code tb_rope_settings_read(tb_settings *settings, tb_arena *arena, const tb_checkpoint *checkpoint,
                              const tb_rope_tensors *tensors, tb_error *err);

#endif
