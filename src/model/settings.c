// Hyper-parameters from GGUF keys "<architecture>.<name>". Every number is bounded here, so
// that products of a few of them cannot overflow and nothing below needs to check again.
#include "model/settings.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// Far above any model for CPUs, and small enough that the product of any three fits size_t.
#define MOST_BLOCKS 1024
#define MOST_WIDTH ((uint64_t)1 << 17)
#define MOST_FFN_WIDTH ((uint64_t)1 << 20)
#define MOST_HEADS 1024
#define MOST_HEAD_SIZE 1024

// Gemma 3 27B is the one size of its family whose query scale is not the head size; GGUF
// files do not say so otherwise than by their number of blocks.
#define GEMMA3_27B_BLOCKS 62

// Reads keys of one checkpoint and architecture; the first error stays and later reads do
// nothing, so that a row of reads needs one check at its end.
typedef struct reader {
    const tb_checkpoint *checkpoint;
    const char *path;
    const tb_arch *arch;
    tb_error *err;
    tb_code rc;
    char key[128]; // of the last read
} reader;

static const char *full_key(reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch->name, name);
    return r->key;
}

static const tb_kv *find(reader *r, const char *name)
{
    return tb_checkpoint_find(r->checkpoint, full_key(r, name));
}

// A number between 1 and `most`; `absent` where the key is missing (0: it is required).
static size_t read_size(reader *r, const char *name, uint64_t most, uint64_t absent)
{
    uint64_t value = absent;
    if (!r->rc)
        r->rc = tb_checkpoint_get_u64(&value, r->checkpoint, full_key(r, name), absent == 0, r->err);
    if (!r->rc && (value == 0 || value > most))
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' is %" PRIu64 " in '%s', not between 1 and %" PRIu64, r->key, value,
                        r->path, most);
    return r->rc ? 1 : (size_t)value;
}

static double read_positive(reader *r, const char *name, double absent)
{
    double value = absent;
    if (!r->rc)
        r->rc = tb_checkpoint_get_f64(&value, r->checkpoint, full_key(r, name), absent == 0, r->err);
    if (!r->rc && !(value > 0 && value <= 1e18))
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' is %g in '%s', not a positive number", r->key, value, r->path);
    return r->rc ? 1 : value;
}

// Numbers that switch on something the forward pass does not have: absent or 0 is all it takes.
static void refuse_unless_zero(reader *r, const char *name, const char *what)
{
    double value = 0;
    if (!r->rc)
        r->rc = tb_checkpoint_get_f64(&value, r->checkpoint, full_key(r, name), false, r->err);
    if (!r->rc && value != 0)
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "'%s' asks for %s ('%s' is %g), which twobit lacks", r->path, what,
                        r->key, value);
}

static void refuse_two_directions(reader *r)
{
    bool causal = true;
    if (!r->rc)
        r->rc = tb_checkpoint_get_bool(&causal, r->checkpoint, full_key(r, "attention.causal"), false, r->err);
    if (!r->rc && !causal)
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "'%s' makes embeddings, not text ('%s' is false)", r->path, r->key);
}

static tb_code find_arch(reader *r)
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

static void read_sizes(reader *r, tb_config *c)
{
    c->blocks = read_size(r, "block_count", MOST_BLOCKS, 0);
    c->width = read_size(r, "embedding_length", MOST_WIDTH, 0);
    c->ffn_width = read_size(r, "feed_forward_length", MOST_FFN_WIDTH, 0);
    c->heads = read_size(r, "attention.head_count", MOST_HEADS, 0);
    c->kv_heads = read_size(r, "attention.head_count_kv", MOST_HEADS, c->heads);
    c->context = read_size(r, "context_length", TB_MOST_POSITIONS, 0);
    c->norm_eps = read_positive(r, "attention.layer_norm_rms_epsilon", 0);
    if (!r->rc && c->heads % c->kv_heads != 0)
        r->rc = tb_fail(r->err, TB_EFORMAT, "%zu attention heads of '%s' cannot share %zu key heads evenly", c->heads,
                        r->path, c->kv_heads);
    if (!r->rc && !find(r, "attention.key_length") && c->width % c->heads != 0)
        r->rc = tb_fail(r->err, TB_EFORMAT, "width %zu of '%s' is not a multiple of its %zu attention heads", c->width,
                        r->path, c->heads);
    c->head_size = read_size(r, "attention.key_length", MOST_HEAD_SIZE, c->width / c->heads ? c->width / c->heads : 1);
    size_t value_size = read_size(r, "attention.value_length", MOST_HEAD_SIZE, c->head_size);
    if (!r->rc && value_size != c->head_size)
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "'%s' has keys of %zu and values of %zu numbers, which twobit lacks",
                        r->path, c->head_size, value_size);
    if (!r->rc && c->head_size % 2 != 0)
        r->rc = tb_fail(r->err, TB_EFORMAT, "head size %zu of '%s' is odd", c->head_size, r->path);
}

static void read_scales(reader *r, tb_settings *s)
{
    const tb_config *c = &s->config;
    bool is_27b = s->arch->has_post_norms && c->blocks == GEMMA3_27B_BLOCKS;
    double head = is_27b ? (double)c->width / (double)c->heads : (double)c->head_size;
    s->query_scale = read_positive(r, "attention.scale", 1 / sqrt(head));
    s->embedding_scale = s->arch->scales_embedding ? sqrt((double)c->width) : 1;
}

// The factors of Llama 3: frequencies whose wave is longer than the original context over
// `low` are divided by `factor`, those shorter than it over `high` stay, and between them
// lies a smooth passage.
static float *llama3_factors(reader *r, tb_arena *arena, size_t head_size, double base)
{
    double factor = read_positive(r, "rope.scaling.factor", 0);
    double low = read_positive(r, "rope.scaling.low_freq_factor", 0);
    double high = read_positive(r, "rope.scaling.high_freq_factor", 0);
    double original = read_positive(r, "rope.scaling.original_context_length", 0);
    if (!r->rc && !(low < high))
        r->rc = tb_fail(r->err, TB_EFORMAT, "RoPE's low frequency factor %g of '%s' is not below the high one %g", low,
                        r->path, high);
    float *factors = r->rc ? NULL : tb_arena_array(arena, head_size / 2, sizeof *factors);
    if (!r->rc && !factors)
        r->rc = tb_fail(r->err, TB_ENOMEM, "no memory for the RoPE factors of '%s'", r->path);
    for (size_t i = 0; factors && i < head_size / 2; i++) {
        const double two_pi = 6.283185307179586476925286766559;
        double waves = original * pow(base, -2.0 * (double)i / (double)head_size) / two_pi; // in the original context
        double smooth = (waves - low) / (high - low);
        smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        factors[i] = (float)(1 / ((1 - smooth) / factor + smooth));
    }
    return factors;
}

static bool text_is(tb_text text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static void read_rope(reader *r, tb_settings *s, tb_arena *arena)
{
    tb_rope_settings *rope = &s->rope;
    *rope = (tb_rope_settings){.base = read_positive(r, "rope.freq_base", 10000.0), .scale = 1};
    tb_text scaling = {"none", 4};
    if (!r->rc)
        r->rc = tb_checkpoint_get_text(&scaling, r->checkpoint, full_key(r, "rope.scaling.type"), false, r->err);
    if (text_is(scaling, "linear"))
        rope->scale = 1 / read_positive(r, "rope.scaling.factor", 0);
    else if (text_is(scaling, "llama3"))
        rope->factors = llama3_factors(r, arena, s->config.head_size, rope->base);
    else if (!r->rc && !text_is(scaling, "none"))
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "RoPE scaling '%.*s' of '%s' is not known (known: linear, llama3)",
                        (int)(scaling.size < 64 ? scaling.size : 64), scaling.data, r->path);
    size_t turned = read_size(r, "rope.dimension_count", MOST_HEAD_SIZE, s->config.head_size);
    if (!r->rc && turned != s->config.head_size)
        r->rc =
            tb_fail(r->err, TB_EUNSUPPORTED, "'%s' turns %zu of the %zu numbers of a head by RoPE, which twobit lacks",
                    r->path, turned, s->config.head_size);

    s->near_rope = *rope;
    if (s->arch->near_rope_base > 0) // with a base of its own goes no scaling
        s->near_rope = (tb_rope_settings){
            .base = read_positive(r, "rope.freq_base_swa", s->arch->near_rope_base),
            .scale = 1,
        };
}

static void read_rope_pairs(reader *r, tb_settings *s)
{
    tb_text pairs = {0};
    s->rope_halves = s->arch->rope_halves;
    if (!r->rc)
        r->rc = tb_checkpoint_get_text(&pairs, r->checkpoint, "twobit.rope_pairs", false, r->err);
    if (r->rc || !pairs.data)
        return;
    if (text_is(pairs, "halves"))
        s->rope_halves = true;
    else if (text_is(pairs, "adjacent"))
        s->rope_halves = false;
    else
        r->rc = tb_fail(r->err, TB_EFORMAT, "'twobit.rope_pairs' of '%s' is neither 'halves' nor 'adjacent'", r->path);
}

// Flags per block under `name`, an array of as many booleans or numbers as there are blocks;
// flags[] keeps its values where the key is absent.
static void read_block_flags(reader *r, unsigned char *flags, const char *name, size_t blocks)
{
    const tb_kv *kv = r->rc ? NULL : find(r, name);
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
static size_t read_global_period(reader *r)
{
    static const char name[] = "attention.sliding_window_pattern";
    const tb_kv *kv = r->rc ? NULL : find(r, name);
    return !kv || kv->type == TB_KV_ARRAY ? r->arch->global_period : read_size(r, name, MOST_BLOCKS, 0);
}

static void read_block_kinds(reader *r, tb_settings *s, tb_arena *arena)
{
    const tb_arch *arch = s->arch;
    size_t blocks = s->config.blocks;
    size_t period = read_global_period(r);
    if (!r->rc && find(r, "attention.sliding_window")) {
        uint64_t reach = 0;
        r->rc = tb_checkpoint_get_u64(&reach, r->checkpoint, r->key, true, r->err);
        s->reach = reach > TB_MOST_POSITIONS ? 0 : (size_t)reach;
    }
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
    read_block_flags(r, rotated, "twobit.rope_blocks", blocks);
    s->near = near;
    s->rotated = rotated;
}

tb_code tb_settings_read(tb_settings *out, tb_arena *arena, const tb_checkpoint *checkpoint, tb_error *err)
{
    reader r = {.checkpoint = checkpoint, .path = tb_checkpoint_path(checkpoint), .err = err};
    *out = (tb_settings){0};
    if (tb_checkpoint_tensor_count(checkpoint) == 0)
        return tb_fail(err, TB_EINVAL, "'%s' holds no weights", r.path);
    tb_code rc = find_arch(&r);
    if (rc)
        return rc;
    out->arch = r.arch;
    refuse_unless_zero(&r, "expert_count", "a mixture of experts");
    refuse_unless_zero(&r, "attn_logit_softcapping", "soft-capped attention");
    refuse_unless_zero(&r, "final_logit_softcapping", "soft-capped logits");
    refuse_two_directions(&r);
    read_sizes(&r, &out->config);
    read_scales(&r, out);
    read_rope(&r, out, arena);
    read_rope_pairs(&r, out);
    read_block_kinds(&r, out, arena);
    return r.rc;
}
