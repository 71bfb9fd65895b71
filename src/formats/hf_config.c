// config.json as GGUF metadata. What the families leave unsaid stands in one table; settings
// that change the computation and that twobit does not know are refused by name.
#include "formats/hf.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

// Far above any model known; bounds the lists that have an element per block.
#define MOST_BLOCKS 4096

static const tb_hf_family families[] = {
    {.model_type = "llama", .architecture = "llama", .activation = "silu", .rope_base = 10000},
    {.model_type = "mistral",
     .architecture = "llama",
     .activation = "silu",
     .windows = TB_HF_ALL_WINDOWS,
     .kv_heads = 8,
     .window = 4096,
     .rope_base = 10000},
    {.model_type = "qwen2",
     .architecture = "qwen2",
     .activation = "silu",
     .window_switch = true,
     .windows = TB_HF_UPPER_WINDOWS,
     .window = 4096,
     .rope_base = 10000},
    {.model_type = "qwen3",
     .architecture = "qwen3",
     .activation = "silu",
     .window_switch = true,
     .windows = TB_HF_UPPER_WINDOWS,
     .head_size = 128,
     .window = 4096,
     .rope_base = 10000},
    {.model_type = "smollm3",
     .architecture = "smollm3",
     .activation = "silu",
     .skips_rope = true,
     .tied = true,
     .window_switch = true,
     .windows = TB_HF_NOPE_WINDOWS,
     .kv_heads = 4,
     .rope_base = 2000000},
    {.model_type = "gemma3_text",
     .architecture = "gemma3",
     .activation = "gelu_pytorch_tanh",
     .sandwich_norms = true,
     .tied = true,
     .windows = TB_HF_MOST_WINDOWS,
     .vocab = 262208,
     .heads = 8,
     .kv_heads = 4,
     .head_size = 256,
     .context = 131072,
     .window = 4096,
     .norm_eps = 1e-6,
     .rope_base = 1000000,
     .local_rope_base = 10000,
     .query_scalar = 256},
};

// Reads of one config. The first error stays and later reads do nothing, so that a row of
// reads needs one check at its end.
typedef struct config {
    const json_t *json; // the text model's own part
    const tb_hf_family *family;
    tb_checkpoint *out;
    tb_error *err;
    tb_code rc;
    uint32_t blocks, head_size;
} config;

static void refuse(config *c, const char *name, const char *what)
{
    if (!c->rc)
        c->rc = tb_fail(c->err, TB_EFORMAT, "config.json of '%s' has no valid '%s': %s", c->out->path, name, what);
}

// A setting that is understood and not done; `value` where it is a text.
static void refuse_unsupported(config *c, const char *name, const char *value)
{
    if (!c->rc)
        c->rc = tb_fail(c->err, TB_EUNSUPPORTED, "config.json of '%s' has '%s'%s%.64s, which twobit lacks",
                        c->out->path, name, value ? " = " : "", value ? value : "");
}

// ---- reading ----

// NULL also for JSON's null.
static const json_t *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

// A whole number from `least` to 2^31 − 1; `absent` where the key is missing (0: it is required).
static uint32_t read_whole(config *c, const char *name, uint32_t least, uint32_t absent)
{
    const json_t *value = member(c->json, name);
    if (!value && absent)
        return absent;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < least || number > INT32_MAX) {
        refuse(c, name, value ? "it must be a positive number" : "it is missing");
        return 1;
    }
    return (uint32_t)number;
}

static uint32_t read_count(config *c, const char *name, uint32_t absent)
{
    return read_whole(c, name, 1, absent);
}

// A positive number of `object`, which may be NULL.
static double read_positive(config *c, const json_t *object, const char *name, double absent)
{
    const json_t *value = member(object, name);
    if (!value && absent > 0)
        return absent;
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number > 0 && number <= 1e30)) {
        refuse(c, name, value ? "it must be a positive number" : "it is missing");
        return 1;
    }
    return number;
}

static bool read_bool(config *c, const char *name, bool absent)
{
    const json_t *value = member(c->json, name);
    if (value && !json_is_boolean(value))
        refuse(c, name, "it must be true or false");
    return value ? json_is_true(value) : absent;
}

// ---- writing ----

static tb_kv *new_kv(config *c, const char *key)
{
    tb_kv *kv = c->rc ? NULL : tb_hf_new_kv(c->out, key);
    if (!kv && !c->rc)
        c->rc = tb_checkpoint_no_memory(c->out, c->err);
    return kv;
}

// An entry under "ARCHITECTURE.name".
static tb_kv *new_arch_kv(config *c, const char *name)
{
    tb_str key = {0};
    if (!c->rc)
        c->rc = tb_str_printf(&key, c->err, "%s.%s", c->family->architecture, name);
    tb_kv *kv = new_kv(c, tb_str_get(&key));
    tb_str_clear(&key);
    return kv;
}

static void put_u32(config *c, const char *name, uint32_t value)
{
    tb_kv *kv = new_arch_kv(c, name);
    if (kv) {
        kv->type = TB_KV_U32;
        kv->value.u = value;
    }
}

static void put_f32(config *c, const char *name, double value)
{
    tb_kv *kv = new_arch_kv(c, name);
    if (kv) {
        kv->type = TB_KV_F32;
        kv->value.f = (double)(float)value;
    }
}

// Booleans, one per block; the array is the checkpoint's.
static void put_flags(config *c, const char *name, const unsigned char *flags)
{
    tb_kv *kv = new_arch_kv(c, name);
    if (!kv)
        return;
    kv->type = TB_KV_ARRAY;
    kv->value.array.type = TB_KV_BOOL;
    kv->value.array.count = c->blocks;
    kv->value.array.data = flags;
    kv->value.array.texts = NULL;
}

// Under the whole key.
static void put_text(config *c, const char *key, const char *value)
{
    if (!c->rc)
        c->rc = tb_hf_add_text(c->out, key, (tb_text){value, strlen(value)}, c->err);
}

// ---- settings ----

static void translate_sizes(config *c)
{
    const tb_hf_family *f = c->family;
    c->blocks = read_count(c, "num_hidden_layers", 0);
    if (c->blocks > MOST_BLOCKS && !c->rc)
        c->rc = tb_fail(c->err, TB_ELIMIT, "'num_hidden_layers' of '%s' is %" PRIu32 ", more than %d", c->out->path,
                        c->blocks, MOST_BLOCKS);
    uint32_t width = read_count(c, "hidden_size", 0);
    uint32_t heads = read_count(c, "num_attention_heads", f->heads);
    c->head_size = read_count(c, "head_dim", f->head_size ? f->head_size : width / heads ? width / heads : 1);
    put_u32(c, "block_count", c->blocks);
    put_u32(c, "context_length", read_count(c, "max_position_embeddings", f->context));
    put_u32(c, "embedding_length", width);
    put_u32(c, "feed_forward_length", read_count(c, "intermediate_size", 0));
    put_u32(c, "vocab_size", read_count(c, "vocab_size", f->vocab));
    put_u32(c, "attention.head_count", heads);
    put_u32(c, "attention.head_count_kv", read_count(c, "num_key_value_heads", f->kv_heads ? f->kv_heads : heads));
    put_u32(c, "attention.key_length", c->head_size);
    put_u32(c, "attention.value_length", c->head_size);
    put_f32(c, "attention.layer_norm_rms_epsilon", read_positive(c, c->json, "rms_norm_eps", f->norm_eps));
    if (f->query_scalar > 0)
        put_f32(c, "attention.scale", 1 / sqrt(read_positive(c, c->json, "query_pre_attn_scalar", f->query_scalar)));
}

// `rope` may be NULL. Numbers of a scaling without its type are refused, not overlooked.
static const char *rope_type(config *c, const json_t *rope)
{
    const json_t *type = member(rope, "rope_type");
    if (!type)
        type = member(rope, "type");
    if (type ? !json_is_string(type) : member(rope, "factor") != NULL)
        refuse(c, "rope_scaling", "it has no type");
    return json_is_string(type) ? json_string_value(type) : "default";
}

static void put_rope_numbers(config *c, const json_t *rope)
{
    put_f32(c, "rope.scaling.low_freq_factor", read_positive(c, rope, "low_freq_factor", 0));
    put_f32(c, "rope.scaling.high_freq_factor", read_positive(c, rope, "high_freq_factor", 0));
    put_u32(c, "rope.scaling.original_context_length",
            (uint32_t)fmin(read_positive(c, rope, "original_max_position_embeddings", 0), INT32_MAX));
}

static void put_scaling_type(config *c, const char *name)
{
    tb_str key = {0};
    if (!c->rc)
        c->rc = tb_str_printf(&key, c->err, "%s.rope.scaling.type", c->family->architecture);
    put_text(c, tb_str_get(&key), name);
    tb_str_clear(&key);
}

static void translate_scaling(config *c, const json_t *rope)
{
    const char *name = rope_type(c, rope);
    if (strcmp(name, "default") == 0)
        return;
    bool llama3 = strcmp(name, "llama3") == 0;
    if (!llama3 && strcmp(name, "linear") != 0) {
        refuse_unsupported(c, "rope_type", name);
        return;
    }
    put_scaling_type(c, name);
    put_f32(c, "rope.scaling.factor", read_positive(c, rope, "factor", 0));
    if (llama3)
        put_rope_numbers(c, rope);
}

// The base of blocks with a window, where the family has one: in `local`, or a key of its own.
static void translate_local_rope(config *c, const json_t *local)
{
    if (c->family->local_rope_base <= 0)
        return;
    double base = read_positive(c, c->json, "rope_local_base_freq", c->family->local_rope_base);
    put_f32(c, "rope.freq_base_swa", read_positive(c, local, "rope_theta", base));
    const char *type = rope_type(c, local);
    if (strcmp(type, "default") != 0)
        refuse_unsupported(c, "rope_type of sliding_attention", type);
}

// Newer files keep all of RoPE in "rope_parameters", which Gemma divides by kind of block;
// older ones have "rope_scaling" and keys of their own.
static void translate_rope(config *c)
{
    const json_t *rope = member(c->json, "rope_parameters");
    const json_t *local = member(rope, "sliding_attention"), *full = member(rope, "full_attention");
    if (!rope)
        rope = member(c->json, "rope_scaling");
    if (rope && !json_is_object(rope))
        refuse(c, "rope_scaling", "it must be an object");
    rope = full ? full : rope;
    double base = read_positive(c, c->json, "rope_theta", c->family->rope_base);
    put_u32(c, "rope.dimension_count", c->head_size);
    put_f32(c, "rope.freq_base", read_positive(c, rope, "rope_theta", base));
    translate_local_rope(c, local);
    translate_scaling(c, rope);
    if (read_positive(c, c->json, "partial_rotary_factor", 1) < 1 ||
        read_positive(c, rope, "partial_rotary_factor", 1) < 1)
        refuse_unsupported(c, "partial_rotary_factor", NULL);
    put_text(c, "twobit.rope_pairs", "halves");
}

static unsigned char *new_flags(config *c)
{
    unsigned char *flags = c->rc ? NULL : tb_arena_alloc(&c->out->arena, c->blocks);
    if (!flags && !c->rc)
        c->rc = tb_checkpoint_no_memory(c->out, c->err);
    return flags;
}

// Which blocks rotate; NULL for all, or after an error.
static const unsigned char *translate_rope_blocks(config *c)
{
    unsigned char *rotates = c->family->skips_rope ? new_flags(c) : NULL;
    if (!rotates)
        return NULL;
    const json_t *list = member(c->json, "no_rope_layers"); // 1 where a block rotates, despite its name
    uint32_t interval = read_count(c, "no_rope_layer_interval", 4);
    if (list && json_array_size(list) < c->blocks)
        refuse(c, "no_rope_layers", "it must have a number for every block");
    for (size_t i = 0; i < c->blocks && !c->rc; i++) {
        const json_t *item = json_array_get(list, i);
        if (list && !json_is_integer(item))
            refuse(c, "no_rope_layers", "it must have a number for every block");
        rotates[i] = list ? json_integer_value(item) != 0 : (i + 1) % interval != 0;
    }
    put_flags(c, "twobit.rope_blocks", rotates);
    return rotates;
}

// Fills windowed[] from "layer_types".
static void read_layer_types(config *c, unsigned char *windowed, const json_t *types)
{
    if (json_array_size(types) != c->blocks)
        refuse(c, "layer_types", "it must name a kind for every block");
    for (size_t i = 0; i < c->blocks && !c->rc; i++) {
        const char *kind = json_string_value(json_array_get(types, i));
        windowed[i] = kind && strcmp(kind, "sliding_attention") == 0;
        if (!windowed[i] && (!kind || strcmp(kind, "full_attention") != 0))
            refuse_unsupported(c, "layer_types", kind);
    }
}

static void derive_windows(config *c, unsigned char *windowed, const unsigned char *rotates)
{
    tb_hf_windows windows = c->family->windows;
    const char *key = member(c->json, "sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
    uint32_t upper = windows == TB_HF_UPPER_WINDOWS ? read_whole(c, "max_window_layers", 0, 28) : 0;
    uint32_t period = windows == TB_HF_MOST_WINDOWS ? read_count(c, key, 6) : 1;
    for (size_t i = 0; i < c->blocks; i++)
        windowed[i] = windows == TB_HF_ALL_WINDOWS || (windows == TB_HF_UPPER_WINDOWS && i >= upper) ||
                      (windows == TB_HF_NOPE_WINDOWS && rotates && !rotates[i]) ||
                      (windows == TB_HF_MOST_WINDOWS && (i + 1) % period != 0);
}

// The size of the window; 0 when the model has none. A key that is there with the value null
// says none; one that is absent leaves it to the family.
static uint32_t read_window(config *c)
{
    const tb_hf_family *f = c->family;
    if (f->windows == TB_HF_NO_WINDOWS || (f->window_switch && !read_bool(c, "use_sliding_window", false)))
        return 0;
    const json_t *value = json_object_get(c->json, "sliding_window");
    if (value ? json_is_null(value) : !f->window)
        return 0;
    return read_count(c, "sliding_window", f->window);
}

static void translate_windows(config *c, const unsigned char *rotates)
{
    uint32_t window = read_window(c);
    const json_t *types = member(c->json, "layer_types");
    unsigned char *windowed = window || types ? new_flags(c) : NULL;
    if (!windowed)
        return;
    if (types) // which must be known also where there is no window
        read_layer_types(c, windowed, types);
    else
        derive_windows(c, windowed, rotates);
    if (!window || !memchr(windowed, 1, c->blocks))
        return;
    put_u32(c, "attention.sliding_window", window);
    put_flags(c, "attention.sliding_window_pattern", windowed);
}

// ---- what twobit does not do ----

static void refuse_quantization(config *c, const json_t *whole)
{
    const json_t *quantization = member(whole, "quantization_config");
    if (quantization)
        refuse_unsupported(c, "quantization_config", json_string_value(member(quantization, "quant_method")));
}

static void refuse_unknown_settings(config *c)
{
    static const char *const unknown[] = {"attn_logit_softcapping", "final_logit_softcapping", "num_local_experts",
                                          "num_experts"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        if (member(c->json, unknown[i]))
            refuse_unsupported(c, unknown[i], NULL);
    if (read_bool(c, "use_bidirectional_attention", false))
        refuse_unsupported(c, "use_bidirectional_attention", NULL);
    static const char *const keys[] = {"hidden_act", "hidden_activation"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *activation = json_string_value(member(c->json, keys[i]));
        if (activation && strcmp(activation, c->family->activation) != 0)
            refuse_unsupported(c, keys[i], activation);
    }
}

static const tb_hf_family *find_family(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

// Sets the family, and for models with a vision tower the part of the config that is the text model's.
static tb_code choose_family(config *c)
{
    const char *type = json_string_value(member(c->json, "model_type"));
    if (type && strcmp(type, "gemma3") == 0) {
        c->json = member(c->json, "text_config");
        type = "gemma3_text";
        if (!json_is_object(c->json))
            refuse(c, "text_config", "it is missing");
    }
    if (!type)
        refuse(c, "model_type", "it is missing");
    c->family = type ? find_family(type) : NULL;
    if (!c->rc && !c->family)
        c->rc =
            tb_fail(c->err, TB_EUNSUPPORTED,
                    "model type '%.64s' of '%s' is not known (known: llama, mistral, qwen2, qwen3, gemma3, smollm3)",
                    type, c->out->path);
    return c->rc;
}

tb_code tb_hf_config_read(tb_hf_model *out, tb_checkpoint *checkpoint, const struct json_t *json, tb_error *err)
{
    config c = {.json = json, .out = checkpoint, .err = err};
    if (choose_family(&c))
        return c.rc;
    bool tied = read_bool(&c, "tie_word_embeddings", c.family->tied);
    *out = (tb_hf_model){c.family, tied};
    refuse_quantization(&c, json);
    refuse_unknown_settings(&c);
    put_text(&c, "general.architecture", c.family->architecture);
    translate_sizes(&c);
    translate_rope(&c);
    translate_windows(&c, translate_rope_blocks(&c));
    return c.rc;
}
