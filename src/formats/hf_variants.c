// The variants of attention in a config.json of twobit's own models (docs/formats.md). Their values are checked where
// the model reads them; here every key must be one that somebody reads.
#include "formats/hf_config.h"

#include <jansson.h>
#include <string.h>

typedef enum value_kind { TEXT, NUMBER, COUNT } value_kind;

// The last word of each metadata key is the name here.
static const struct {
    const char *name, *key;
    value_kind kind;
} variants[] = {
    {"normalizer", "attention.normalizer", TEXT},
    {"clip_alpha", "attention.clip_alpha", NUMBER},
    {"sigmoid_bias", "attention.sigmoid_bias", NUMBER},
    {"gate", "attention.gate", TEXT},
    {"kv_bias", "attention.kv_bias", TEXT},
    {"scale", "attention.scale", NUMBER},
    {"registers", "registers", COUNT},
    {"norm", "norm", TEXT},
    {"ffn", "ffn", TEXT},
};

enum { VARIANTS = sizeof variants / sizeof variants[0] };

// Read elsewhere, or told for other programs and for people.
static const char *const others[] = {
    "architectures",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "layer_types",
    "max_position_embeddings",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "partial_rotary_factor",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "torch_dtype",
    "training",
    "transformers_version",
    "vocab_size",
};

static bool is_known(const char *name)
{
    for (size_t i = 0; i < VARIANTS; i++)
        if (strcmp(variants[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(others[i], name) == 0)
            return true;
    return false;
}

static void put_text(tb_hf_config *c, const char *key, const json_t *value)
{
    const char *copy = tb_arena_text(&c->out->arena, json_string_value(value), json_string_length(value));
    if (copy)
        tb_hf_put_arch_text(c, key, copy);
    else
        c->rc = tb_checkpoint_no_memory(c->out, c->err);
}

static void translate(tb_hf_config *c, size_t which)
{
    const char *name = variants[which].name, *key = variants[which].key;
    const json_t *value = tb_hf_member(c->json, name);
    if (!value)
        return;
    if (variants[which].kind == COUNT)
        tb_hf_put_u32(c, key, tb_hf_read_whole(c, name, 0, 0));
    else if (variants[which].kind == TEXT && json_is_string(value))
        put_text(c, key, value);
    else if (variants[which].kind == NUMBER && json_is_number(value))
        tb_hf_put_f32(c, key, json_number_value(value));
    else
        tb_hf_refuse(c, name, variants[which].kind == TEXT ? "it must be a text" : "it must be a number");
}

void tb_hf_translate_variants(tb_hf_config *c)
{
    if (!c->family->varies)
        return;
    void *at = json_object_iter((json_t *)(uintptr_t)c->json);
    for (; at && !c->rc; at = json_object_iter_next((json_t *)(uintptr_t)c->json, at))
        if (!is_known(json_object_iter_key(at)))
            tb_hf_refuse_unsupported(c, json_object_iter_key(at), NULL);
    for (size_t i = 0; i < VARIANTS && !c->rc; i++)
        translate(c, i);
}
