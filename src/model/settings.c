// Hyper-parameters from GGUF keys "<architecture>.<name>". Every number is bounded here, so
// that products of a few of them cannot overflow and nothing below needs to check again.
#include "model/key_reader.h"

#include <inttypes.h>
#include <math.h>

// Far above any model for CPUs, and small enough that the product of any three fits size_t.
#define MOST_BLOCKS 1024
#define MOST_WIDTH ((uint64_t)1 << 17)
#define MOST_FFN_WIDTH ((uint64_t)1 << 20)
#define MOST_HEADS 1024
#define MOST_HEAD_SIZE 1024
#define MOST_EXPERTS 1024

static void refuse_two_directions(tb_key_reader *r)
{
    bool causal = true;
    if (!r->rc)
        r->rc = tb_checkpoint_get_bool(&causal, r->checkpoint, tb_full_key(r, "attention.causal"), false, r->err);
    if (!r->rc && !causal)
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "'%s' makes embeddings, not text ('%s' is false)", r->path, r->key);
}

static tb_code find_arch(tb_key_reader *r)
{
    tb_text name;
    tb_code rc = tb_checkpoint_get_text(&name, r->checkpoint, "general.architecture", true, r->err);
    if (rc)
        return rc;
    r->arch = tb_arch_find(name);
    if (r->arch && r->arch->lacks)
        return tb_fail(r->err, TB_EUNSUPPORTED, "architecture '%s' of '%s' needs %s, which twobit lacks", r->arch->name,
                       r->path, r->arch->lacks);
    if (!r->arch) {
        char list[256];
        tb_arch_list(list, sizeof list);
        int size = name.size < 64 ? (int)name.size : 64;
        return tb_fail(r->err, TB_EUNSUPPORTED, "architecture '%.*s' of '%s' is not known (known: %s)", size, name.data,
                       r->path, list);
    }
    return TB_OK;
}

static void read_sizes(tb_key_reader *r, tb_config *c)
{
    c->blocks = tb_read_size(r, "block_count", MOST_BLOCKS, 0);
    c->width = tb_read_size(r, "embedding_length", MOST_WIDTH, 0);
    c->ffn_width = tb_read_size(r, "feed_forward_length", MOST_FFN_WIDTH, 0);
    c->heads = tb_read_size(r, "attention.head_count", MOST_HEADS, 0);
    c->kv_heads = r->arch->values_differ ? 1 : tb_read_size(r, "attention.head_count_kv", MOST_HEADS, c->heads);
    c->context = tb_read_size(r, "context_length", TB_MOST_POSITIONS, 0);
    c->norm_eps = tb_read_positive(r, "attention.layer_norm_rms_epsilon", 0);
    if (!r->rc && c->heads % c->kv_heads != 0)
        r->rc = tb_fail(r->err, TB_EFORMAT, "%zu attention heads of '%s' cannot share %zu key heads evenly", c->heads,
                        r->path, c->kv_heads);
    if (!r->rc && !tb_find_key(r, "attention.key_length") && c->width % c->heads != 0)
        r->rc = tb_fail(r->err, TB_EFORMAT, "width %zu of '%s' is not a multiple of its %zu attention heads", c->width,
                        r->path, c->heads);
    c->head_size =
        tb_read_size(r, "attention.key_length", MOST_HEAD_SIZE, c->width / c->heads ? c->width / c->heads : 1);
    c->value_size = tb_read_size(r, "attention.value_length", MOST_HEAD_SIZE, c->head_size);
    bool fits = r->arch->values_differ ? c->value_size <= c->head_size : c->value_size == c->head_size;
    if (!r->rc && !fits)
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "'%s' has keys of %zu and values of %zu numbers, which twobit lacks",
                        r->path, c->head_size, c->value_size);
    if (!r->rc && c->head_size % 2 != 0)
        r->rc = tb_fail(r->err, TB_EFORMAT, "head size %zu of '%s' is odd", c->head_size, r->path);
}

// Key heads of every block, where blocks may differ: a number, or a list of them.
static void read_kv_heads(tb_key_reader *r, tb_settings *s, tb_arena *arena)
{
    static const char name[] = "attention.head_count_kv";
    tb_config *c = &s->config;
    size_t *heads = r->rc ? NULL : tb_arena_array(arena, c->blocks, sizeof *heads);
    if (!heads && !r->rc)
        r->rc = tb_fail(r->err, TB_ENOMEM, "no memory for %zu blocks of '%s'", c->blocks, r->path);
    const tb_kv *kv = r->rc ? NULL : tb_find_key(r, name);
    bool listed = r->arch->values_differ && kv && kv->type == TB_KV_ARRAY;
    if (listed && (kv->value.array.type == TB_KV_TEXT || kv->value.array.count != c->blocks))
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' of '%s' is not a list of %zu numbers", r->key, r->path, c->blocks);
    size_t same = listed ? 0 : r->arch->values_differ ? tb_read_size(r, name, MOST_HEADS, c->heads) : c->kv_heads;
    for (size_t i = 0; i < c->blocks && !r->rc; i++) {
        double count = listed ? tb_kv_array_f64(kv, i) : (double)same;
        if (!(count >= 1 && count <= MOST_HEADS && count == floor(count)))
            r->rc = tb_fail(r->err, TB_EFORMAT, "block %zu of '%s' has %g key heads", i, r->path, count);
        heads[i] = r->rc ? 1 : (size_t)count;
        c->kv_heads = heads[i] > c->kv_heads ? heads[i] : c->kv_heads;
    }
    for (size_t i = 0; i < c->blocks && !r->rc; i++)
        if (c->kv_heads % heads[i] != 0 || c->heads % c->kv_heads != 0)
            r->rc = tb_fail(r->err, TB_EFORMAT, "%zu and %zu key heads of '%s' cannot be shared by %zu heads evenly",
                            heads[i], c->kv_heads, r->path, c->heads);
    s->kv_heads = heads;
}

// Numbers of llama.cpp for how shares come from a router's scores: a softmax over all experts, or over those chosen,
// which is the same once they sum to 1.
static void read_gating(tb_key_reader *r, tb_settings *s)
{
    enum { SOFTMAX = 1, SIGMOID = 2, SOFTMAX_OF_CHOSEN = 3 };
    uint64_t gating = s->arch->gating == TB_GATING_SIGMOID ? SIGMOID : SOFTMAX;
    if (!r->rc)
        r->rc = tb_checkpoint_get_u64(&gating, r->checkpoint, tb_full_key(r, "expert_gating_func"), false, r->err);
    if (!r->rc && gating != SOFTMAX && gating != SIGMOID && !(gating == SOFTMAX_OF_CHOSEN && s->shares_to_one))
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED,
                        "'%s' has a router of another kind ('%s' is %" PRIu64 "), which twobit lacks", r->path, r->key,
                        gating);
    s->gating = gating == SIGMOID ? TB_GATING_SIGMOID : TB_GATING_SOFTMAX;
    s->expert_scale = tb_read_positive(r, "expert_weights_scale", 1);
    tb_refuse_unless(r, "expert_group_count", 1, "experts in groups");
}

static void read_experts(tb_key_reader *r, tb_settings *s)
{
    tb_config *c = &s->config;
    if (!s->arch->has_experts) {
        tb_refuse_unless(r, "expert_count", 0, "a mixture of experts");
        return;
    }
    c->experts = tb_read_size(r, "expert_count", MOST_EXPERTS, 0);
    c->experts_used = tb_read_size(r, "expert_used_count", MOST_EXPERTS, 0);
    c->expert_width = tb_read_size(r, "expert_feed_forward_length", MOST_FFN_WIDTH, c->ffn_width);
    if (tb_find_key(r, "expert_shared_feed_forward_length"))
        c->shared_width = tb_read_size(r, "expert_shared_feed_forward_length", MOST_FFN_WIDTH, 0);
    if (!r->rc && c->experts_used > c->experts)
        r->rc = tb_fail(r->err, TB_EFORMAT, "tokens of '%s' go through %zu experts, but there are %zu", r->path,
                        c->experts_used, c->experts);
    s->shares_to_one = s->arch->shares_to_one;
    if (!r->rc)
        r->rc = tb_checkpoint_get_bool(&s->shares_to_one, r->checkpoint, tb_full_key(r, "expert_weights_norm"), false,
                                       r->err);
    read_gating(r, s);
}

// How much of a head RoPE turns.
static size_t read_rope_size(tb_key_reader *r, const tb_config *c)
{
    size_t size = tb_read_size(r, "rope.dimension_count", c->head_size, c->head_size);
    if (!r->rc && size % 2 != 0)
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' is %zu in '%s', an odd number", r->key, size, r->path);
    return size;
}

// A number that switches something off when it is 0.
static double read_switch(tb_key_reader *r, const char *name, double absent)
{
    double value = absent;
    if (!r->rc)
        r->rc = tb_checkpoint_get_f64(&value, r->checkpoint, tb_full_key(r, name), false, r->err);
    if (!r->rc && !(value >= 0 && value <= 1e6))
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' is %g in '%s', not between 0 and 1e6", r->key, value, r->path);
    return value;
}

// The length is a key of its own, or that of the original context.
static void read_growth(tb_key_reader *r, tb_settings *s)
{
    s->query_growth.rate = read_switch(r, "attention.temperature_scale", 0);
    if (s->query_growth.rate == 0)
        return;
    size_t original = tb_read_size(r, "rope.scaling.original_context_length", TB_MOST_POSITIONS, s->config.context);
    s->query_growth.length = tb_read_size(r, "attention.temperature_length", TB_MOST_POSITIONS, original);
}

// The 27B sizes of Gemma 2 and 3 are the ones whose query scale is not the head size; GGUF files do not say so
// otherwise than by their number of blocks.
static void read_scales(tb_key_reader *r, tb_settings *s)
{
    const tb_config *c = &s->config;
    bool is_27b = c->blocks == s->arch->odd_scale_blocks;
    double head = is_27b ? (double)c->width / (double)c->heads : (double)c->head_size;
    s->query_scale = tb_read_positive(r, "attention.scale", 1 / sqrt(head));
    s->embedding_scale = tb_read_positive(r, "embedding_scale", s->arch->scales_embedding ? sqrt((double)c->width) : 1);
    s->value_scale = tb_read_positive(r, "attention.value_scale", 1);
    s->attention_cap = read_switch(r, "attn_logit_softcapping", s->arch->attention_cap);
    s->final_cap = read_switch(r, "final_logit_softcapping", s->arch->final_cap);
}

// Flags per block under `name`, an array of as many booleans or numbers as there are blocks;
// flags[] keeps its values where the key is absent.
static void read_block_flags(tb_key_reader *r, unsigned char *flags, const char *name, size_t blocks)
{
    const tb_kv *kv = r->rc ? NULL : tb_find_key(r, name);
    if (!kv || kv->type != TB_KV_ARRAY)
        return;
    if (kv->value.array.type == TB_KV_TEXT || kv->value.array.count != blocks) {
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' of '%s' is not a list of %zu flags", r->key, r->path, blocks);
        return;
    }
    for (size_t i = 0; i < blocks; i++)
        flags[i] = tb_kv_array_f64(kv, i) != 0;
}

// The pattern of near blocks may be one number, the period, instead of a flag for every block.
static size_t read_global_period(tb_key_reader *r)
{
    static const char name[] = "attention.sliding_window_pattern";
    const tb_kv *kv = r->rc ? NULL : tb_find_key(r, name);
    return !kv || kv->type == TB_KV_ARRAY ? r->arch->global_period : tb_read_size(r, name, MOST_BLOCKS, 0);
}

static void read_block_kinds(tb_key_reader *r, tb_settings *s, tb_arena *arena)
{
    const tb_arch *arch = s->arch;
    size_t blocks = s->config.blocks;
    size_t period = read_global_period(r);
    uint64_t reach = arch->default_reach;
    if (!r->rc)
        r->rc = tb_checkpoint_get_u64(&reach, r->checkpoint, tb_full_key(r, "attention.sliding_window"), false, r->err);
    s->reach = reach > TB_MOST_POSITIONS ? 0 : (size_t)reach;
    unsigned char *flags = r->rc ? NULL : tb_arena_array(arena, 2 * blocks, 1);
    if (!r->rc && !flags)
        r->rc = tb_fail(r->err, TB_ENOMEM, "no memory for %zu blocks of '%s'", blocks, r->path);
    if (r->rc)
        return;
    unsigned char *near = flags, *rotated = flags + blocks;
    for (size_t i = 0; i < blocks; i++) {
        near[i] = s->reach && !(period && (i + 1) % period == 0);
        rotated[i] = !(arch->unrotated_period && (i + 1) % arch->unrotated_period == 0);
    }
    if (s->reach)
        read_block_flags(r, near, "attention.sliding_window_pattern", blocks);
    for (size_t i = 0; i < blocks && arch->rotates_near_only; i++)
        rotated[i] = near[i];
    read_block_flags(r, rotated, "twobit.rope_blocks", blocks);
    s->near = near;
    s->rotated = rotated;
}

size_t tb_gate_length(tb_gate gate, const tb_config *config)
{
    switch (gate) {
    case TB_GATE_HEAD:
        return config->heads;
    case TB_GATE_ELEMENT:
        return config->heads * config->head_size;
    case TB_GATE_SHARED:
        return config->head_size;
    case TB_GATE_VALUE:
        return config->kv_heads * config->head_size;
    default:
        return 0;
    }
}

tb_code tb_settings_read(tb_settings *out, tb_arena *arena, const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_key_reader r = {.checkpoint = checkpoint, .path = tb_checkpoint_path(checkpoint), .err = err};
    *out = (tb_settings){0};
    if (tb_checkpoint_tensor_count(checkpoint) == 0)
        return tb_fail(err, TB_EINVAL, "'%s' holds no weights", r.path);
    tb_code rc = find_arch(&r);
    if (rc)
        return rc;
    out->arch = r.arch;
    refuse_two_directions(&r);
    read_sizes(&r, &out->config);
    read_kv_heads(&r, out, arena);
    read_experts(&r, out);
    tb_variant_read(&r, out, arena);
    out->rope_size = read_rope_size(&r, &out->config);
    read_scales(&r, out);
    read_growth(&r, out);
    read_block_kinds(&r, out, arena);
    return r.rc;
}
