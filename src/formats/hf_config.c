// config.json as GGUF metadata. What the families leave unsaid stands in hf_families.c; settings
// that change the computation and that twobit does not know are refused by name.
#include "formats/hf_config.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

// Far above any model known; bounds the lists that have an element per block.
#define MOST_BLOCKS 4096

// ---- settings ----

// A size that follows from others where it is null, or absent and the family has none of its own.
static uint32_t read_derived(tb_hf_config *c, const char *name, uint32_t of_family, uint32_t derived)
{
    bool is_null = json_is_null(json_object_get(c->json, name));
    return tb_hf_read_count(c, name, is_null || !of_family ? derived : of_family);
}

static void translate_sizes(tb_hf_config *c)
{
    const tb_hf_family *f = c->family;
    c->blocks = tb_hf_read_count(c, "num_hidden_layers", f->blocks);
    if (c->blocks > MOST_BLOCKS && !c->rc)
        c->rc = tb_fail(c->err, TB_ELIMIT, "'num_hidden_layers' of '%s' is %" PRIu32 ", more than %d", c->out->path,
                        c->blocks, MOST_BLOCKS);
    uint32_t width = tb_hf_read_count(c, "hidden_size", f->width);
    uint32_t heads = tb_hf_read_count(c, "num_attention_heads", f->heads);
    c->head_size = read_derived(c, "head_dim", f->head_size, width / heads ? width / heads : 1);
    tb_hf_put_u32(c, "block_count", c->blocks);
    c->context = tb_hf_read_count(c, "max_position_embeddings", f->context);
    tb_hf_put_u32(c, "context_length", c->context);
    tb_hf_put_u32(c, "embedding_length", width);
    tb_hf_put_u32(c, "feed_forward_length", tb_hf_read_count(c, "intermediate_size", f->ffn_width));
    tb_hf_put_u32(c, "vocab_size", tb_hf_read_count(c, "vocab_size", f->vocab));
    tb_hf_put_u32(c, "attention.head_count", heads);
    c->kv_heads = read_derived(c, "num_key_value_heads", f->kv_heads, heads);
    if (!f->values_differ)
        tb_hf_put_u32(c, "attention.head_count_kv", c->kv_heads);
    tb_hf_put_u32(c, "attention.key_length", c->head_size);
    tb_hf_put_u32(c, "attention.value_length",
                  f->values_differ ? tb_hf_read_count(c, "v_head_dim", f->value_size) : c->head_size);
    tb_hf_put_f32(c, "attention.layer_norm_rms_epsilon", tb_hf_read_positive(c, c->json, "rms_norm_eps", f->norm_eps));
    if (f->query_scalar > 0)
        tb_hf_put_f32(c, "attention.scale",
                      1 / sqrt(tb_hf_read_positive(c, c->json, "query_pre_attn_scalar", f->query_scalar)));
}

static unsigned char *new_flags(tb_hf_config *c)
{
    unsigned char *flags = c->rc ? NULL : tb_arena_alloc(&c->out->arena, c->blocks);
    if (!flags && !c->rc)
        c->rc = tb_checkpoint_no_memory(c->out, c->err);
    return flags;
}

// Which blocks rotate; NULL for all, or after an error.
static const unsigned char *translate_rope_blocks(tb_hf_config *c)
{
    unsigned char *rotates = c->family->skips_rope ? new_flags(c) : NULL;
    if (!rotates)
        return NULL;
    const json_t *list = tb_hf_member(c->json, "no_rope_layers"); // 1 where a block rotates, despite its name
    uint32_t interval = tb_hf_read_count(c, "no_rope_layer_interval", 4);
    if (list && json_array_size(list) < c->blocks)
        tb_hf_refuse(c, "no_rope_layers", "it must have a number for every block");
    for (size_t i = 0; i < c->blocks && !c->rc; i++) {
        const json_t *item = json_array_get(list, i);
        if (list && !json_is_integer(item))
            tb_hf_refuse(c, "no_rope_layers", "it must have a number for every block");
        rotates[i] = list ? json_integer_value(item) != 0 : (i + 1) % interval != 0;
    }
    tb_hf_put_flags(c, "twobit.rope_blocks", rotates);
    return rotates;
}

// Fills near[] from "layer_types".
static void read_layer_types(tb_hf_config *c, unsigned char *near, const json_t *types)
{
    if (json_array_size(types) != c->blocks)
        tb_hf_refuse(c, "layer_types", "it must name a kind for every block");
    for (size_t i = 0; i < c->blocks && !c->rc; i++) {
        const char *kind = json_string_value(json_array_get(types, i));
        near[i] = kind && strcmp(kind, "sliding_attention") == 0;
        if (!near[i] && (!kind || strcmp(kind, "full_attention") != 0))
            tb_hf_refuse_unsupported(c, "layer_types", kind);
    }
}

static void derive_near(tb_hf_config *c, unsigned char *near, const unsigned char *rotates)
{
    tb_hf_near kind = c->family->near;
    const char *key =
        tb_hf_member(c->json, "sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
    bool counts = kind == TB_HF_NEAR_UPPER || kind == TB_HF_NEAR_ODD_LOWER;
    uint32_t upper = counts ? tb_hf_read_whole(c, "max_window_layers", 0, 28) : 0;
    if (c->family->period_key)
        key = c->family->period_key;
    uint32_t period = kind == TB_HF_NEAR_MOST ? tb_hf_read_count(c, key, c->family->period ? c->family->period : 6) : 1;
    for (size_t i = 0; i < c->blocks; i++)
        near[i] = kind == TB_HF_NEAR_ALL || (kind == TB_HF_NEAR_UPPER && i >= upper) ||
                  (kind == TB_HF_NEAR_ODD && i % 2 == 0) || (kind == TB_HF_NEAR_ODD_LOWER && i % 2 == 0 && i < upper) ||
                  (kind == TB_HF_NEAR_NOPE && rotates && !rotates[i]) ||
                  (kind == TB_HF_NEAR_INNER && i > 0 && (i + 1) % 6 != 0) ||
                  (kind == TB_HF_NEAR_MOST && (i + 1) % period != 0);
}

// How many keys near blocks see; 0 when all do. A key that is there with the value null
// says none; one that is absent leaves it to the family.
static uint32_t read_reach(tb_hf_config *c)
{
    const tb_hf_family *f = c->family;
    if (f->near == TB_HF_NEAR_NONE || (f->reach_switch && !tb_hf_read_bool(c, "use_sliding_window", false)))
        return 0;
    if (f->values_differ && tb_hf_member(c->json, "sliding_window_size")) // those before the token
        return tb_hf_read_count(c, "sliding_window_size", 0) + 1;
    const json_t *value = json_object_get(c->json, "sliding_window");
    if (value ? json_is_null(value) : !f->reach)
        return 0;
    return tb_hf_read_count(c, "sliding_window", f->reach);
}

// Near blocks have twice the key heads, or as many as the file says; values are scaled.
static void translate_values(tb_hf_config *c, const unsigned char *near)
{
    if (!c->family->values_differ || c->rc)
        return;
    uint32_t of_near = tb_hf_read_count(c, "swa_num_key_value_heads", 2 * c->kv_heads);
    uint32_t *heads = tb_arena_array(&c->out->arena, c->blocks, sizeof *heads);
    for (size_t i = 0; heads && i < c->blocks; i++)
        heads[i] = near && near[i] ? of_near : c->kv_heads;
    if (!c->rc)
        c->rc = heads ? tb_hf_add_u32s(c->out, "mimo2.attention.head_count_kv", heads, c->blocks, c->err)
                      : tb_checkpoint_no_memory(c->out, c->err);
    bool none = json_is_null(json_object_get(c->json, "attention_value_scale"));
    tb_hf_put_f32(c, "attention.value_scale",
                  none ? 1 : tb_hf_read_positive(c, c->json, "attention_value_scale", c->family->value_scale));
}

// Fills near[] from a list of 1 for near blocks.
static void read_layer_pattern(tb_hf_config *c, unsigned char *near, const json_t *pattern)
{
    if (json_array_size(pattern) != c->blocks)
        tb_hf_refuse(c, "hybrid_layer_pattern", "it must have a number for every block");
    for (size_t i = 0; i < c->blocks && !c->rc; i++)
        near[i] = json_integer_value(json_array_get(pattern, i)) == 1;
}

static void translate_reach(tb_hf_config *c, const unsigned char *rotates)
{
    uint32_t reach = read_reach(c);
    const json_t *types = tb_hf_member(c->json, "layer_types");
    if (c->family->hybrid && !types)
        tb_hf_refuse_unsupported(c, "layer_types", "(none), so that some are linear_attention");
    unsigned char *near = reach || types ? new_flags(c) : NULL;
    if (!near)
        return;
    const json_t *pattern = c->family->values_differ ? tb_hf_member(c->json, "hybrid_layer_pattern") : NULL;
    if (!types && pattern)
        read_layer_pattern(c, near, pattern);
    else if (types) // which must be known also where all blocks see everything
        read_layer_types(c, near, types);
    else
        derive_near(c, near, rotates);
    translate_values(c, near);
    if (!reach || !memchr(near, 1, c->blocks))
        return;
    tb_hf_put_u32(c, "attention.sliding_window", reach);
    tb_hf_put_flags(c, "attention.sliding_window_pattern", near);
}

// A cap that is null is none; one in a family without is refused.
static void translate_cap(tb_hf_config *c, const char *name, double absent)
{
    bool said = tb_hf_member(c->json, name) != NULL, none = json_is_null(json_object_get(c->json, name));
    if (!c->family->capped && said)
        tb_hf_refuse_unsupported(c, name, NULL);
    double cap = said ? tb_hf_read_positive(c, c->json, name, 0) : none ? 0 : absent;
    if (c->family->capped)
        tb_hf_put_f32(c, name, cap);
}

// The name under which a file has the number of experts.
static const char *experts_key(const tb_hf_config *c)
{
    static const char *const names[] = {"num_experts", "num_local_experts", "n_routed_experts"};
    size_t i = 0;
    while (i + 1 < sizeof names / sizeof names[0] && !tb_hf_member(c->json, names[i]))
        i++;
    return names[i];
}

// The product of two counts, cut to what a count may be.
static uint32_t multiply(tb_hf_config *c, const char *a, uint32_t absent_a, const char *b, uint32_t absent_b)
{
    uint64_t product = (uint64_t)tb_hf_read_count(c, a, absent_a) * tb_hf_read_count(c, b, absent_b);
    return product < INT32_MAX ? (uint32_t)product : INT32_MAX;
}

// Embeddings by the root of the width, where a switch says so.
static void translate_embedding_scale(tb_hf_config *c)
{
    if (c->family->mup)
        tb_hf_put_f32(
            c, "embedding_scale",
            tb_hf_read_bool(c, "mup_enabled", false) ? sqrt(tb_hf_read_count(c, "hidden_size", c->family->width)) : 1);
}

// A gate within the query matrix, which research models have behind the rows of the heads that share a key head.
static void translate_query_gate(tb_hf_config *c)
{
    if (tb_hf_read_bool(c, "headwise_attn_output_gate", false))
        tb_hf_put_arch_text(c, "twobit.query_gate", "head of group");
    else if (tb_hf_read_bool(c, "elementwise_attn_output_gate", false))
        tb_hf_put_arch_text(c, "twobit.query_gate", "elem of group");
}

// Rows that are no tokens: embeddings in front of the text, and keys that every query sees.
static void translate_learned_rows(tb_hf_config *c)
{
    static const char *const unknown[] = {"param_sink_scalar", "param_sink_of_head_num"};
    if (c->family->varies)
        return;
    if (tb_hf_member(c->json, "num_memory_tokens"))
        tb_hf_put_u32(c, "twobit.registers", tb_hf_read_whole(c, "num_memory_tokens", 0, 0));
    if (!tb_hf_member(c->json, "param_sink_number"))
        return;
    tb_hf_put_u32(c, "twobit.sink_keys", tb_hf_read_whole(c, "param_sink_number", 0, 0));
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        if (tb_hf_member(c->json, unknown[i]))
            tb_hf_refuse_unsupported(c, unknown[i], NULL);
}

// A mixture of experts. Which blocks are one, the tensors say.
static void translate_experts(tb_hf_config *c)
{
    const tb_hf_family *f = c->family;
    const char *scale = tb_hf_member(c->json, "route_scale") ? "route_scale" : "routed_scaling_factor";
    if (!f->experts)
        return;
    tb_hf_put_u32(c, "expert_count", tb_hf_read_count(c, experts_key(c), f->experts));
    tb_hf_put_u32(c, "expert_used_count", tb_hf_read_count(c, "num_experts_per_tok", f->experts_used));
    if (f->expert_width)
        tb_hf_put_u32(c, "expert_feed_forward_length", tb_hf_read_count(c, "moe_intermediate_size", f->expert_width));
    if (f->shared_width)
        tb_hf_put_u32(c, "expert_shared_feed_forward_length",
                      tb_hf_read_count(c, "shared_expert_intermediate_size", f->shared_width));
    if (f->shared_experts)
        tb_hf_put_u32(c, "expert_shared_feed_forward_length",
                      multiply(c, "num_shared_experts", f->shared_experts, "moe_intermediate_size", f->expert_width));
    static const char *const groups[] = {"n_group", "topk_group"};
    for (size_t i = 0; i < 2; i++)
        if (tb_hf_member(c->json, groups[i]) && tb_hf_read_count(c, groups[i], 1) != 1)
            tb_hf_refuse_unsupported(c, groups[i], NULL);
    tb_hf_put_bool(c, "expert_weights_norm", tb_hf_read_bool(c, "norm_topk_prob", f->shares_to_one));
    if (tb_hf_member(c->json, scale))
        tb_hf_put_f32(c, "expert_weights_scale", tb_hf_read_positive(c, c->json, scale, 1));
}

// ---- what twobit does not do ----

static void refuse_quantization(tb_hf_config *c, const json_t *whole)
{
    const json_t *quantization = tb_hf_member(whole, "quantization_config");
    const char *method = json_string_value(tb_hf_member(quantization, "quant_method"));
    bool known = c->family->expert_columns && method && strcmp(method, "mxfp4") == 0;
    if (quantization && !known)
        tb_hf_refuse_unsupported(c, "quantization_config", method);
}

// The activation of gpt-oss has two numbers.
static void refuse_other_clamps(tb_hf_config *c)
{
    static const struct {
        const char *name;
        double value;
    } clamps[] = {{"swiglu_alpha", 1.702}, {"swiglu_limit", 7}};
    for (size_t i = 0; c->family->expert_columns && i < sizeof clamps / sizeof clamps[0]; i++)
        if (tb_hf_read_positive(c, c->json, clamps[i].name, clamps[i].value) != clamps[i].value)
            tb_hf_refuse_unsupported(c, clamps[i].name, NULL);
}

static void refuse_unknown_settings(tb_hf_config *c)
{
    static const char *const unknown[] = {"num_local_experts", "num_experts"};
    for (size_t i = 0; !c->family->experts && i < sizeof unknown / sizeof unknown[0]; i++)
        if (tb_hf_member(c->json, unknown[i]))
            tb_hf_refuse_unsupported(c, unknown[i], NULL);
    if (tb_hf_read_bool(c, "use_bidirectional_attention", false))
        tb_hf_refuse_unsupported(c, "use_bidirectional_attention", NULL);
    static const char *const keys[] = {"hidden_act", "hidden_activation"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *activation = json_string_value(tb_hf_member(c->json, keys[i]));
        if (activation && strcmp(activation, c->family->activation) != 0)
            tb_hf_refuse_unsupported(c, keys[i], activation);
    }
}

// Models with a vision tower have the text model's settings inside theirs.
static const struct {
    const char *model_type, *text_type; // text_type: of the inner settings, where they say none of their own
} seeing[] = {{"gemma3", "gemma3_text"}, {"mistral3", "mistral"}};

// Sets the family, and for models with a vision tower the part of the config that is the text model's.
static tb_code choose_family(tb_hf_config *c, bool *sees)
{
    const char *type = json_string_value(tb_hf_member(c->json, "model_type"));
    if (!type)
        tb_hf_refuse(c, "model_type", "it is missing");
    for (size_t i = 0; type && i < sizeof seeing / sizeof seeing[0]; i++) {
        if (strcmp(type, seeing[i].model_type) != 0)
            continue;
        *sees = true;
        c->json = tb_hf_member(c->json, "text_config");
        if (!json_is_object(c->json))
            tb_hf_refuse(c, "text_config", "it is missing");
        const char *inner = json_string_value(tb_hf_member(c->json, "model_type"));
        type = inner && strcmp(inner, type) != 0 ? inner : seeing[i].text_type;
    }
    c->family = type ? tb_hf_find_family(type) : NULL;
    *sees = *sees || (c->family && c->family->sees);
    if (!c->rc && !c->family)
        c->rc = tb_fail(
            c->err, TB_EUNSUPPORTED,
            "model type '%.64s' of '%s' is not known (known: llama, mistral, mistral3, ministral3, qwen2, qwen3, "
            "gemma2, gemma3, phi3, smollm3, qwen2_moe, qwen3_moe, qwen3_next, afmoe, mimo_v2_flash, gpt_oss, twobit)",
            type, c->out->path);
    return c->rc;
}

// What the outer settings say of the head goes before what the inner ones say.
static void read_tied(tb_hf_model *out, tb_hf_config *c, const json_t *whole)
{
    static const char name[] = "tie_word_embeddings";
    const json_t *json = tb_hf_member(whole, name) ? whole : c->json;
    out->tied_said = tb_hf_member(json, name) != NULL;
    out->tied = out->tied_said ? json_is_true(tb_hf_member(json, name)) : c->family->tied || c->json != whole;
    if (out->tied_said && !json_is_boolean(tb_hf_member(json, name)))
        tb_hf_refuse(c, name, "it must be true or false");
}

tb_code tb_hf_config_read(tb_hf_model *out, tb_checkpoint *checkpoint, const struct json_t *json, tb_error *err)
{
    tb_hf_config c = {.json = json, .out = checkpoint, .err = err};
    *out = (tb_hf_model){0};
    if (choose_family(&c, &out->sees))
        return c.rc;
    out->family = c.family;
    read_tied(out, &c, json);
    refuse_quantization(&c, json);
    refuse_unknown_settings(&c);
    refuse_other_clamps(&c);
    tb_hf_put_text(&c, "general.architecture", c.family->architecture);
    translate_sizes(&c);
    translate_experts(&c);
    translate_embedding_scale(&c);
    translate_query_gate(&c);
    translate_learned_rows(&c);
    tb_hf_translate_variants(&c);
    translate_cap(&c, "attn_logit_softcapping", c.family->attention_cap);
    translate_cap(&c, "final_logit_softcapping", c.family->final_cap);
    tb_hf_translate_rope(&c, &out->rope_factors);
    translate_reach(&c, translate_rope_blocks(&c));
    return c.rc;
}
