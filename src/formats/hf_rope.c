// RoPE in a config.json. Newer files keep all of it in "rope_parameters", which Gemma divides by kind of block; older
// ones have "rope_scaling" and keys of their own. Where both are there "rope_scaling" wins, as in transformers.
#include "formats/hf_config.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

typedef struct rope_reader {
    tb_hf_config *c;
    const json_t *settings; // of the blocks that see everything; may be NULL
    tb_hf_rope_factors *factors;
} rope_reader;

static double read_number(const rope_reader *r, const char *name, double absent)
{
    return tb_hf_read_positive(r->c, r->settings, name, absent);
}

// Tokens that the model was trained on before its context was stretched.
static double original_context(const rope_reader *r)
{
    static const char name[] = "original_max_position_embeddings";
    double context = r->c->family->original_context;
    if (context == 0)
        context = read_number(r, name, r->c->context);
    return fmin(tb_hf_read_positive(r->c, r->c->json, name, context), INT32_MAX);
}

static void put_original_context(const rope_reader *r)
{
    tb_hf_put_u32(r->c, "rope.scaling.original_context_length", (uint32_t)fmax(original_context(r), 1));
}

// How far the context was stretched, where "factor" does not say it.
static double stretch(const rope_reader *r)
{
    return read_number(r, "factor", r->c->context / original_context(r));
}

// ---- kinds of scaling ----

static void put_linear(const rope_reader *r)
{
    tb_hf_put_f32(r->c, "rope.scaling.factor", read_number(r, "factor", 0));
}

static void put_llama3(const rope_reader *r)
{
    put_linear(r);
    tb_hf_put_f32(r->c, "rope.scaling.low_freq_factor", read_number(r, "low_freq_factor", 0));
    tb_hf_put_f32(r->c, "rope.scaling.high_freq_factor", read_number(r, "high_freq_factor", 0));
    put_original_context(r);
}

static void put_dynamic(const rope_reader *r)
{
    put_linear(r);
    tb_hf_put_u32(r->c, "rope.scaling.original_context_length", r->c->context); // whatever "original…" says
}

static double yarn_magnitude(double factor, double multiplier)
{
    return factor <= 1 ? 1 : 0.1 * multiplier * log(factor) + 1;
}

// 0 for what is absent or null.
static double number_or_0(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void put_yarn(const rope_reader *r)
{
    double factor = stretch(r);
    double mscale = number_or_0(r->settings, "mscale"), all_dim = number_or_0(r->settings, "mscale_all_dim");
    double magnitude = yarn_magnitude(factor, 1);
    if (mscale != 0 && all_dim != 0)
        magnitude = yarn_magnitude(factor, mscale) / yarn_magnitude(factor, all_dim);
    tb_hf_put_f32(r->c, "rope.scaling.factor", factor);
    put_original_context(r);
    tb_hf_put_f32(r->c, "rope.scaling.yarn_attn_factor", read_number(r, "attention_factor", magnitude));
    tb_hf_put_f32(r->c, "rope.scaling.yarn_beta_fast", read_number(r, "beta_fast", 32));
    tb_hf_put_f32(r->c, "rope.scaling.yarn_beta_slow", read_number(r, "beta_slow", 1));
    if (json_is_false(json_object_get(r->settings, "truncate")))
        tb_hf_put_bool(r->c, "twobit.yarn_whole_pairs", false);
}

// One number for every pair that turns.
static float *read_factors(const rope_reader *r, const char *name)
{
    tb_hf_config *c = r->c;
    const json_t *list = tb_hf_member(r->settings, name);
    if (!json_is_array(list) || json_array_size(list) != r->factors->count)
        tb_hf_refuse(c, name, "it must have a number for every pair that RoPE turns");
    float *factors = c->rc ? NULL : tb_arena_array(&c->out->arena, r->factors->count, sizeof *factors);
    if (!factors && !c->rc)
        c->rc = tb_checkpoint_no_memory(c->out, c->err);
    for (size_t i = 0; factors && i < r->factors->count; i++) {
        factors[i] = (float)json_number_value(json_array_get(list, i));
        if (!(factors[i] > 0))
            tb_hf_refuse(c, name, "its numbers must be positive");
    }
    return factors;
}

static void put_longrope(const rope_reader *r)
{
    double original = original_context(r), factor = stretch(r);
    double magnitude = factor <= 1 ? 1 : sqrt(1 + log(factor) / log(fmax(original, 2)));
    put_original_context(r);
    tb_hf_put_f32(r->c, "rope.scaling.attn_factor", read_number(r, "attention_factor", magnitude));
    r->factors->of_short = read_factors(r, "short_factor");
    r->factors->of_long = read_factors(r, "long_factor");
}

static void put_nothing(const rope_reader *r)
{
    (void)r;
}

static const struct {
    const char *name;
    void (*put)(const rope_reader *r);
} kinds[] = {
    {"default", put_nothing}, {"linear", put_linear}, {"llama3", put_llama3},
    {"dynamic", put_dynamic}, {"yarn", put_yarn},     {"longrope", put_longrope},
};

// `rope` may be NULL. Numbers of a scaling without its type are refused, not overlooked.
static const char *rope_type(tb_hf_config *c, const json_t *rope)
{
    const json_t *type = tb_hf_member(rope, "rope_type");
    if (!type)
        type = tb_hf_member(rope, "type");
    if (type ? !json_is_string(type) : tb_hf_member(rope, "factor") != NULL)
        tb_hf_refuse(c, "rope_scaling", "it has no type");
    const char *name = json_is_string(type) ? json_string_value(type) : "default";
    bool renamed = c->family->renames_rope && (strcmp(name, "su") == 0 || strcmp(name, "yarn") == 0);
    return renamed ? "longrope" : name;
}

static void translate_scaling(const rope_reader *r)
{
    const char *name = rope_type(r->c, r->settings);
    size_t i = 0;
    while (i < sizeof kinds / sizeof kinds[0] && strcmp(kinds[i].name, name) != 0)
        i++;
    if (i == sizeof kinds / sizeof kinds[0]) {
        tb_hf_refuse_unsupported(r->c, "rope_type", name);
        return;
    }
    if (kinds[i].put != put_nothing)
        tb_hf_put_arch_text(r->c, "rope.scaling.type", kinds[i].name);
    kinds[i].put(r);
}

// ---- all of it ----

// The base of near blocks, where the family has one: in `local`, or a key of its own.
static void translate_local_rope(tb_hf_config *c, const json_t *local)
{
    if (c->family->local_rope_base <= 0)
        return;
    double base = tb_hf_read_positive(c, c->json, "swa_rope_theta", c->family->local_rope_base);
    base = tb_hf_read_positive(c, c->json, "rope_local_base_freq", base);
    tb_hf_put_f32(c, "rope.freq_base_swa", tb_hf_read_positive(c, local, "rope_theta", base));
    double part = c->family->rope_part > 0 ? c->family->rope_part : 1;
    part = tb_hf_read_positive(c, c->json, "partial_rotary_factor", part);
    const json_t *full = tb_hf_member(tb_hf_member(c->json, "rope_parameters"), "full_attention");
    if (tb_hf_read_positive(c, local, "partial_rotary_factor", part) !=
        tb_hf_read_positive(c, full, "partial_rotary_factor", part))
        tb_hf_refuse_unsupported(c, "partial_rotary_factor of sliding_attention", NULL);
    const char *type = rope_type(c, local);
    if (strcmp(type, "default") != 0)
        tb_hf_refuse_unsupported(c, "rope_type of sliding_attention", type);
}

// How many numbers of a head turn.
static uint32_t translate_rope_size(const rope_reader *r)
{
    tb_hf_config *c = r->c;
    static const char name[] = "partial_rotary_factor";
    double part = read_number(
        r, name, tb_hf_read_positive(c, c->json, name, c->family->rope_part > 0 ? c->family->rope_part : 1));
    uint32_t size = part < 1 ? (uint32_t)(c->head_size * part) : c->head_size;
    if (part < 1 && !c->family->partial_rope)
        tb_hf_refuse_unsupported(c, name, NULL);
    if (size == 0 || part > 1)
        tb_hf_refuse(c, name, "it must be a part of a head");
    tb_hf_put_u32(c, "rope.dimension_count", size);
    return size;
}

// Scores may grow with the position of the query.
static void translate_query_growth(const rope_reader *r)
{
    static const char name[] = "llama_4_scaling_beta";
    double rate = r->c->family->grows_queries ? number_or_0(r->settings, name) : 0;
    if (rate < 0)
        tb_hf_refuse(r->c, name, "it must be a positive number");
    if (rate <= 0)
        return;
    tb_hf_put_f32(r->c, "attention.temperature_scale", rate);
    tb_hf_put_u32(r->c, "attention.temperature_length", (uint32_t)fmax(original_context(r), 1));
}

// The settings of RoPE that count: a new object, or NULL when there are none. Where they are divided by kind of block,
// those of full attention, which "rope_scaling" changes key by key.
static json_t *choose_settings(tb_hf_config *c)
{
    const json_t *parameters = tb_hf_member(c->json, "rope_parameters"), *old = tb_hf_member(c->json, "rope_scaling");
    const json_t *full = tb_hf_member(parameters, "full_attention");
    if ((parameters && !json_is_object(parameters)) || (old && !json_is_object(old)))
        tb_hf_refuse(c, old && !json_is_object(old) ? "rope_scaling" : "rope_parameters", "it must be an object");
    json_t *chosen =
        c->family->rope && !parameters && !json_object_size(old) ? json_loads(c->family->rope, 0, NULL) : json_object();
    const json_t *parts[] = {full ? full : json_object_size(old) ? NULL : parameters, old};
    for (size_t i = 0; i < 2 && !c->rc; i++)
        if (!chosen || (parts[i] && json_object_update(chosen, (json_t *)(uintptr_t)parts[i])))
            c->rc = tb_checkpoint_no_memory(c->out, c->err);
    return chosen;
}

void tb_hf_translate_rope(tb_hf_config *c, tb_hf_rope_factors *factors)
{
    json_t *settings = choose_settings(c);
    rope_reader r = {c, settings, factors};
    double base = tb_hf_read_positive(c, c->json, "rope_theta", c->family->rope_base);
    *factors = (tb_hf_rope_factors){.count = translate_rope_size(&r) / 2};
    tb_hf_put_f32(c, "rope.freq_base", read_number(&r, "rope_theta", base));
    translate_local_rope(c, tb_hf_member(tb_hf_member(c->json, "rope_parameters"), "sliding_attention"));
    translate_scaling(&r);
    translate_query_growth(&r);
    tb_hf_put_text(c, "twobit.rope_pairs", "halves");
    json_decref(settings);
}
