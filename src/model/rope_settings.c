// RoPE as keys and tensors of a checkpoint say it: a base, and a kind of scaling that makes the original context reach
// further. Every kind but dynamic ends as a list of frequencies.
#include "model/key_reader.h"

#include <math.h>
#include <string.h>

#define TWO_PI 6.283185307179586476925286766559

// What the kinds of scaling have in common to work with.
typedef struct rope_reader {
    tb_key_reader keys;
    tb_arena *arena;
    const tb_rope_tensors *tensors;
    const tb_settings *settings;
    tb_rope *out;
} rope_reader;

// Room for as many frequencies as there are pairs; NULL after an error.
static double *new_frequencies(rope_reader *r)
{
    double *frequencies = r->keys.rc ? NULL : tb_arena_array(r->arena, r->out->pairs, sizeof *frequencies);
    if (!frequencies && !r->keys.rc)
        r->keys.rc = tb_fail(r->keys.err, TB_ENOMEM, "no memory for the RoPE frequencies of '%s'", r->keys.path);
    return frequencies;
}

// frequencies[i] /= factors[i], which must be positive; `factors` may be NULL.
static void divide(rope_reader *r, double *frequencies, const float *factors)
{
    for (size_t i = 0; factors && i < r->out->pairs && !r->keys.rc; i++) {
        if (factors[i] > 0)
            frequencies[i] /= (double)factors[i];
        else
            r->keys.rc = tb_fail(r->keys.err, TB_EFORMAT, "a RoPE factor of '%s' is not positive", r->keys.path);
    }
}

static double read_original_context(rope_reader *r)
{
    return (double)tb_read_size(&r->keys, "rope.scaling.original_context_length", TB_MOST_POSITIONS,
                                r->settings->config.context);
}

// ---- kinds of scaling ----

static void scale_linearly(rope_reader *r, double factor)
{
    for (size_t i = 0; i < r->out->pairs; i++)
        r->out->frequencies[i] = 1 / factor * r->out->frequencies[i];
}

static void scale_linear(rope_reader *r)
{
    scale_linearly(r, tb_read_positive(&r->keys, "rope.scaling.factor", 0));
}

// A factor without a kind is linear; it has a key of today and one of old, and 0 says that there is none.
static void scale_as_unsaid(rope_reader *r)
{
    static const char *const names[] = {"rope.scaling.factor", "rope.scale_linear"};
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !r->keys.rc; i++) {
        if (!tb_find_key(&r->keys, names[i]))
            continue;
        double factor = 0;
        r->keys.rc = tb_checkpoint_get_f64(&factor, r->keys.checkpoint, r->keys.key, true, r->keys.err);
        if (!r->keys.rc && factor != 0)
            scale_linearly(r, tb_read_positive(&r->keys, names[i], 0));
        return;
    }
}

// Llama 3: frequencies whose wave is longer than the original context over `low` are divided by `factor`, those shorter
// than it over `high` stay, and between them lies a smooth passage. A file may have the divisors as a tensor instead.
static void scale_llama3(rope_reader *r)
{
    tb_key_reader *k = &r->keys;
    if (r->tensors->factors)
        return;
    double factor = tb_read_positive(k, "rope.scaling.factor", 0);
    double low = tb_read_positive(k, "rope.scaling.low_freq_factor", 0);
    double high = tb_read_positive(k, "rope.scaling.high_freq_factor", 0);
    double original = tb_read_positive(k, "rope.scaling.original_context_length", 0);
    if (!k->rc && !(low < high))
        k->rc = tb_fail(k->err, TB_EFORMAT, "RoPE's low frequency factor %g of '%s' is not below the high one %g", low,
                        k->path, high);
    for (size_t i = 0; i < r->out->pairs; i++) {
        double waves = original * r->out->frequencies[i] / TWO_PI; // in the original context
        double smooth = (waves - low) / (high - low);
        smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        r->out->frequencies[i] /= (double)(float)(1 / ((1 - smooth) / factor + smooth));
    }
}

// The pair that turns `turns` times in the original context, as a real number.
static double pair_of_turns(const rope_reader *r, double turns, double original)
{
    return (double)r->out->pairs * log(original / (turns * TWO_PI)) / log(r->out->base);
}

// YaRN's "mscale".
static double yarn_magnitude(double factor, double multiplier)
{
    return factor <= 1 ? 1 : 0.1 * multiplier * log(factor) + 1;
}

static double read_yarn_magnitude(rope_reader *r, double factor)
{
    tb_key_reader *k = &r->keys;
    double magnitude = yarn_magnitude(factor, 1), multiplier = 0;
    if (!k->rc)
        k->rc = tb_checkpoint_get_f64(&multiplier, k->checkpoint, tb_full_key(k, "rope.scaling.yarn_log_multiplier"),
                                      false, k->err);
    if (!k->rc && multiplier < 0)
        k->rc = tb_fail(k->err, TB_EFORMAT, "'%s' is %g in '%s', a negative number", k->key, multiplier, k->path);
    magnitude /= yarn_magnitude(factor, k->rc ? 0 : multiplier);
    magnitude = tb_read_positive(k, "rope.scaling.yarn_attn_factor", magnitude);
    return magnitude * tb_read_positive(k, "rope.scaling.attn_factor", 1);
}

// YaRN (arXiv 2309.00071): pairs that turn often in the original context stay, those that turn little are divided by
// the factor, and between them lies a ramp over the pairs.
static void scale_yarn(rope_reader *r)
{
    tb_key_reader *k = &r->keys;
    tb_refuse_unless(k, "rope.scaling.yarn_ext_factor", 1, "YaRN with another share of extrapolation");
    double factor = tb_read_positive(k, "rope.scaling.factor", 0), original = read_original_context(r);
    double low = pair_of_turns(r, tb_read_positive(k, "rope.scaling.yarn_beta_fast", 32), original);
    double high = pair_of_turns(r, tb_read_positive(k, "rope.scaling.yarn_beta_slow", 1), original);
    bool whole = !r->settings->arch->splits_pairs;
    if (!k->rc)
        k->rc = tb_checkpoint_get_bool(&whole, k->checkpoint, tb_full_key(k, "twobit.yarn_whole_pairs"), false, k->err);
    low = fmax(whole ? floor(low) : low, 0);
    high = fmin(whole ? ceil(high) : high, (double)(2 * r->out->pairs - 1));
    double width = high == low ? 0.001 : high - low; // as the paper's program has it
    for (size_t i = 0; i < r->out->pairs; i++) {
        double ramp = fmin(fmax(((double)i - low) / width, 0), 1), frequency = r->out->frequencies[i];
        r->out->frequencies[i] = frequency / factor * ramp + frequency * (1 - ramp);
    }
    r->out->magnitude = read_yarn_magnitude(r, factor);
}

// longrope (arXiv 2402.13753): two lists of divisors, and a magnitude that comes from how far the context was stretched
// where the file does not say it.
static void scale_longrope(rope_reader *r)
{
    tb_key_reader *k = &r->keys;
    const tb_rope_tensors *tensors = r->tensors;
    double original = read_original_context(r);
    double stretch = tb_read_positive(k, "rope.scaling.factor", (double)r->settings->config.context / original);
    double magnitude = stretch <= 1 ? 1 : sqrt(1 + log(stretch) / log(original));
    r->out->magnitude = tb_read_positive(k, "rope.scaling.attn_factor", magnitude);
    if (!k->rc && (!tensors->short_factors || !tensors->long_factors))
        k->rc = tb_fail(k->err, TB_EFORMAT, "'%s' lacks RoPE factors of longrope ('rope_factors_%s.weight')", k->path,
                        tensors->short_factors ? "long" : "short");
    double *frequencies = new_frequencies(r);
    if (!frequencies)
        return;
    memcpy(frequencies, r->out->frequencies, r->out->pairs * sizeof *frequencies);
    divide(r, frequencies, tensors->long_factors);
    divide(r, r->out->frequencies, tensors->short_factors);
    r->out->long_frequencies = frequencies;
    r->out->original = (size_t)original;
}

static void scale_dynamic(rope_reader *r)
{
    r->out->factor = tb_read_positive(&r->keys, "rope.scaling.factor", 0);
    r->out->original = (size_t)read_original_context(r);
}

static void scale_not(rope_reader *r)
{
    (void)r;
}

static const struct {
    const char *name;
    void (*scale)(rope_reader *r);
    bool is_steady; // the same frequencies at every length
} kinds[] = {
    {"none", scale_not, true},  {"linear", scale_linear, true},      {"llama3", scale_llama3, true},
    {"yarn", scale_yarn, true}, {"longrope", scale_longrope, false}, {"dynamic", scale_dynamic, false},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

// ---- all of it ----

static void start(rope_reader *r, tb_rope *out, bool halves, double base)
{
    *out = (tb_rope){.pairs = r->settings->rope_size / 2, .halves = halves, .magnitude = 1, .base = base};
    r->out = out;
    out->frequencies = new_frequencies(r);
    if (out->frequencies)
        tb_rope_base_frequencies(out->frequencies, out->pairs, base);
    else
        out->pairs = 0;
}

static void scale_as(rope_reader *r, tb_text name)
{
    tb_key_reader *k = &r->keys;
    size_t i = 0;
    while (i < KINDS && !tb_text_is(name, kinds[i].name))
        i++;
    if (i == KINDS) {
        k->rc = tb_fail(k->err, TB_EUNSUPPORTED,
                        "RoPE scaling '%.*s' of '%s' is not known (known: linear, llama3, yarn, longrope, dynamic)",
                        (int)(name.size < 64 ? name.size : 64), name.data, k->path);
        return;
    }
    kinds[i].scale(r);
    if (!k->rc && r->tensors->factors && !kinds[i].is_steady)
        k->rc = tb_fail(k->err, TB_EUNSUPPORTED, "'%s' has RoPE scaling '%s' and 'rope_freqs.weight' as well", k->path,
                        kinds[i].name);
}

// Files from before there was a type for longrope have its tensors only.
static void scale(rope_reader *r)
{
    tb_key_reader *k = &r->keys;
    tb_text name = {0};
    if (!k->rc)
        k->rc = tb_checkpoint_get_text(&name, k->checkpoint, tb_full_key(k, "rope.scaling.type"), false, k->err);
    if (k->rc)
        return;
    if (r->tensors->long_factors || r->tensors->short_factors)
        scale_longrope(r);
    else if (name.data)
        scale_as(r, name);
    else
        scale_as_unsaid(r);
    divide(r, r->out->frequencies, r->tensors->factors);
}

static bool read_halves(tb_key_reader *k)
{
    tb_text pairs = {0};
    if (!k->rc)
        k->rc = tb_checkpoint_get_text(&pairs, k->checkpoint, "twobit.rope_pairs", false, k->err);
    if (k->rc || !pairs.data)
        return k->arch->rope_halves;
    if (!tb_text_is(pairs, "halves") && !tb_text_is(pairs, "adjacent"))
        k->rc = tb_fail(k->err, TB_EFORMAT, "'twobit.rope_pairs' of '%s' is neither 'halves' nor 'adjacent'", k->path);
    return tb_text_is(pairs, "halves");
}

tb_code tb_rope_settings_read(tb_settings *settings, tb_arena *arena, const tb_checkpoint *checkpoint,
                              const tb_rope_tensors *tensors, tb_error *err)
{
    const tb_arch *arch = settings->arch;
    rope_reader r = {
        .keys = {.checkpoint = checkpoint, .path = tb_checkpoint_path(checkpoint), .arch = arch, .err = err},
        .arena = arena,
        .tensors = tensors,
        .settings = settings,
    };
    bool halves = read_halves(&r.keys);
    start(&r, &settings->rope, halves, tb_read_positive(&r.keys, "rope.freq_base", 10000.0));
    scale(&r);
    settings->near_rope = settings->rope;
    if (arch->near_rope_base > 0) // with a base of its own goes no scaling
        start(&r, &settings->near_rope, halves, tb_read_positive(&r.keys, "rope.freq_base_swa", arch->near_rope_base));
    return r.keys.rc;
}
