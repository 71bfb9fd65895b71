// A model: settings and the bound weights. Private to model.
#ifndef TB_MODEL_WEIGHTS_H
#define TB_MODEL_WEIGHTS_H

#include "model/settings.h"

// What TB_NORM_TANH has beside its weight.
typedef struct tb_tanh_norm {
    const float *alpha; // [1]
    const float *bias;  // [width]
} tb_tanh_norm;

typedef struct tb_block {
    tb_linears linears;
    const float *attention_norm;                      // [width]
    const float *ffn_norm;                            // [width]
    const float *attention_post_norm, *ffn_post_norm; // [width], or NULL
    const float *query_norm, *key_norm;               // [head_size], or NULL
    const float *sink_logits;                         // [heads], or NULL
    const float *mix_norm;                            // [heads][head_size], or NULL
    const float *free_gate;                           // as long as the gate, or NULL
    const float *sink_keys, *sink_values;             // [kv_heads][head_size], or NULL
    const float *weighing;                            // [heads], where the kind has a number per head
    tb_tanh_norm attention_tanh, ffn_tanh;            // of TB_NORM_TANH
    tb_matrix router;                                 // [experts][width]; no rows: the block is dense
    const float *router_bias;                         // [experts], or NULL
    const float *choice_bias;                         // [experts], or NULL: joins the shares while experts are chosen
    const float *shared_gate;                         // [width]: of the shared expert, or NULL
} tb_block;

struct tb_model {
    tb_checkpoint *checkpoint;
    tb_tokenizer *tokenizer; // NULL: the file has none
    tb_compute compute;
    tb_settings settings;
    tb_block *blocks;          // [config.blocks]
    size_t linear_count;       // of all blocks
    tb_matrix embedding, head; // [vocab][width]; the same where tied
    bool tied;
    const float *output_norm; // [width]
    tb_tanh_norm output_tanh;
    tb_matrix registers; // [registers][width]
    uint64_t parameters;
    tb_text chat_template;
    tb_prefix prefix;           // in the checkpoint, or in
    tb_checkpoint *prefix_file; // or NULL
    tb_arena arena;             // everything above that is not in the checkpoint's mapping
};

// Finds all tensors of the network in model->checkpoint and checks their shapes against
// model->settings, which it completes with RoPE and the vocabulary's size. A tensor that is missing, has another
// shape, or that the forward pass would not use is an error that names it.
tb_code tb_model_bind(tb_model *model, tb_error *err);

#endif
