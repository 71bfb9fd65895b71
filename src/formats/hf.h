// Inside formats: Hugging Face folders in GGUF's vocabulary. hf_config.c and hf_rope.c translate
// config.json, hf_names.c the names of tensors, hf_tokenizer.c the files about the tokenizer, hf_kvs.c
// collects metadata, hf_folder.c puts a checkpoint together.
#ifndef TB_FORMATS_HF_H
#define TB_FORMATS_HF_H

#include "formats/checkpoint.h"

struct json_t;

// Which blocks are near ones, that see a reach of keys, where "layer_types" does not say it.
typedef enum tb_hf_near {
    TB_HF_NEAR_NONE,      // whatever "sliding_window" says
    TB_HF_NEAR_ALL,       // every block
    TB_HF_NEAR_UPPER,     // blocks from "max_window_layers" on
    TB_HF_NEAR_NOPE,      // blocks without RoPE
    TB_HF_NEAR_ODD,       // the first, the third, …
    TB_HF_NEAR_ODD_LOWER, // those of them below "max_window_layers"
    TB_HF_NEAR_INNER,     // all but the first and every sixth
    TB_HF_NEAR_MOST,      // all but every "sliding_window_pattern"-th
} tb_hf_near;

// A family of models: what its config.json leaves unsaid.
typedef struct tb_hf_family {
    const char *model_type;   // of config.json
    const char *architecture; // of GGUF
    const char *activation;
    bool sandwich_norms; // norms also behind attention and ffn
    bool reduced_norms;  // all norm weights are stored minus 1
    bool sees;           // names may be those of a model with a vision tower
    bool fused;          // q, k and v are one matrix, gate and up another
    bool capped;         // "attn_logit_softcapping" and "final_logit_softcapping"
    bool grows_queries;  // "llama_4_scaling_beta"
    bool skips_rope;     // some blocks do not rotate ("no_rope_layers")
    bool tied;           // without "tie_word_embeddings"
    bool reach_switch;   // "sliding_window" counts only with "use_sliding_window"
    bool partial_rope;   // "partial_rotary_factor" counts; elsewhere any but 1 is refused
    bool renames_rope;   // "su" and "yarn" are older names of longrope
    tb_hf_near near;
    // Values of absent keys, as transformers' classes have them. kv_heads 0: as many as heads; head_size 0: width /
    // heads; reach 0: all keys.
    uint32_t vocab, blocks, width, ffn_width, heads, kv_heads, head_size, context, reach;
    double norm_eps, rope_base, local_rope_base;
    double attention_cap, final_cap; // of absent keys; null says that there is none
    uint32_t original_context; // of "original_max_position_embeddings", where it stands outside of RoPE's settings
    const char *rope;          // "rope_parameters" where there are none at all
    double query_scalar;       // attention scores are divided by its root; 0: by that of the head size
    // Mixtures of experts. expert_width 0: that of dense blocks; shared_width 0: no expert is shared.
    uint32_t experts, experts_used, expert_width, shared_width;
    uint32_t shared_experts; // the shared one is as wide as so many of the others, without "num_shared_experts"; 0: it
                             // has a width
    bool shares_to_one;      // without "norm_topk_prob"
    bool values_differ;      // "v_head_dim", "attention_value_scale", and near blocks with key heads of their own
    uint32_t value_size;     // without "v_head_dim"
    double value_scale;      // without "attention_value_scale"; null says 1
    bool mup;                // "mup_enabled" scales embeddings
    bool hybrid;             // without "layer_types" some blocks are no attention
    double rope_part;        // without "partial_rotary_factor"; 0: all of a head
    const char *period_key;  // of TB_HF_NEAR_MOST, instead of "sliding_window_pattern", and its default
    uint32_t period;
    bool expert_columns;  // experts as gpt-oss has them (hf_experts.c)
    bool varies;          // twobit's own: variants of attention, tensors under GGUF's names
    const char *ffn_norm; // GGUF's name of "post_attention_layernorm"; NULL: "ffn_norm"
} tb_hf_family;

// Factors of longrope, in the checkpoint's arena; NULL where there is no longrope.
typedef struct tb_hf_rope_factors {
    size_t count;
    float *of_short, *of_long; // [count], for sequences up to the original context, and above it
} tb_hf_rope_factors;

// What the folder reader needs to know of a config.json.
typedef struct tb_hf_model {
    const tb_hf_family *family;
    bool tied;      // the head is the embedding
    bool tied_said; // by the config, not by default
    bool sees;      // there may be a vision tower, which is left out
    tb_hf_rope_factors rope_factors;
} tb_hf_model;

// Translates a whole config.json into metadata of the checkpoint. TB_EUNSUPPORTED names a
// model type or a setting that twobit does not know.
tb_code tb_hf_config_read(tb_hf_model *out, tb_checkpoint *checkpoint, const struct json_t *config, tb_error *err);

// Lends the vocabulary's files, puts the tokenizer's settings together and adds chat templates to the metadata.
tb_code tb_hf_tokenizer_read(tb_checkpoint *checkpoint, tb_error *err);

// Adds the ids that start and end a text to the metadata, from a whole config.json and from generation_config.json.
tb_code tb_hf_token_ids_read(tb_checkpoint *checkpoint, const struct json_t *config, tb_error *err);

// One more metadata entry, without a value; NULL when there is no memory. The others add one with its value,
// copied.
tb_kv *tb_hf_new_kv(tb_checkpoint *checkpoint, const char *key);
tb_code tb_hf_add_text(tb_checkpoint *checkpoint, const char *key, tb_text value, tb_error *err);
tb_code tb_hf_add_u32(tb_checkpoint *checkpoint, const char *key, uint32_t value, tb_error *err);
tb_code tb_hf_add_u32s(tb_checkpoint *checkpoint, const char *key, const uint32_t *values, size_t n, tb_error *err);

typedef enum tb_hf_name {
    TB_HF_NAME_KNOWN,
    TB_HF_NAME_SKIPPED,  // a buffer
    TB_HF_NAME_LEFT_OUT, // of a vision tower
    TB_HF_NAME_UNKNOWN,
} tb_hf_name;

#define TB_HF_NAME_SIZE 64

// Adds what a tensor of experts in gpt-oss's layout holds, as GGUF has it, to tensors that have room for two more:
// copies, in the arena. `name` is that of the whole in GGUF, "blk.7.ffn_gate_up_exps.weight"; `scales` belong to a
// tensor of MXFP4 and are NULL for others.
tb_code tb_hf_add_experts(tb_checkpoint *out, const char *name, const tb_safetensor *from, const tb_safetensor *scales,
                          tb_error *err);

// Translates a tensor's name; `out` is filled when it is known.
tb_hf_name tb_hf_translate_name(char out[TB_HF_NAME_SIZE], const char *name, const tb_hf_model *model);

#endif
