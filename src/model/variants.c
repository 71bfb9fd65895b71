// The variants of attention that twobit's own architecture may have, from its keys (docs/formats.md has them all). Here
// every key counts: a model whose file says more than is understood is another model.
#include "model/key_reader.h"

#include <math.h>
#include <string.h>

enum { MOST_LEARNED = 1024 }; // registers, or learned keys of a head

// ---- keys that may be there ----

// Of the architecture.
static const char *const known[] = {
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "attention.scale",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.normalizer",
    "attention.clip_alpha",
    "attention.sigmoid_bias",
    "attention.gate",
    "attention.kv_bias",
    "registers",
    "norm",
    "ffn",
    "rope.freq_base",
    "rope.dimension_count",
};

// Of any file that twobit writes.
static const char *const of_files[] = {
    "format_version", "generator", "method", "bits",        "block_bits",
    "group",          "recipe",    "source", "calibration", "rope_pairs",
};

static const char *const known_beginnings[] = {
    "rope.scaling.", "twobit.",                            // of the architecture
    "matrix.",       "checksum.", "tokenizer.", "prefix.", // of files
};

static bool starts_with(tb_text text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.size >= n && memcmp(text.data, prefix, n) == 0;
}

static bool is_listed(tb_text name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (tb_text_is(name, list[i]))
            return true;
    return false;
}

// `name`: behind the architecture's.
static bool is_known(tb_text name)
{
    for (size_t i = 0; i < sizeof known_beginnings / sizeof known_beginnings[0]; i++)
        if (starts_with(name, known_beginnings[i]))
            return true;
    return is_listed(name, known, sizeof known / sizeof known[0]) ||
           is_listed(name, of_files, sizeof of_files / sizeof of_files[0]);
}

static void refuse_unknown_keys(tb_key_reader *r)
{
    size_t prefix = strlen(r->arch->name) + 1;
    for (size_t i = 0; i < tb_checkpoint_kv_count(r->checkpoint) && !r->rc; i++) {
        tb_text key = tb_checkpoint_kv_at(r->checkpoint, i)->key;
        if (!starts_with(key, tb_full_key(r, "")) || is_known((tb_text){key.data + prefix, key.size - prefix}))
            continue;
        int shown = key.size < 128 ? (int)key.size : 128;
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "'%s' has a key '%.*s' that twobit does not know", r->path, shown,
                        key.data);
    }
}

// ---- values ----

// Which of the texts a key's value is; the first where it is absent.
static size_t read_choice(tb_key_reader *r, const char *name, const char *const *texts, size_t count)
{
    tb_text value = {texts[0], strlen(texts[0])};
    if (!r->rc)
        r->rc = tb_checkpoint_get_text(&value, r->checkpoint, tb_full_key(r, name), false, r->err);
    for (size_t i = 0; i < count && !r->rc; i++)
        if (tb_text_is(value, texts[i]))
            return i;
    int shown = value.size < 64 ? (int)value.size : 64;
    if (!r->rc)
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "'%s' of '%s' is '%.*s', which twobit does not know", r->key, r->path,
                        shown, value.data);
    return 0;
}

#define READ_CHOICE(r, name, texts) read_choice(r, name, texts, sizeof(texts) / sizeof(texts)[0])

// A number that goes with one choice only.
static double read_number_of(tb_key_reader *r, const char *name, bool chosen, double absent, double least)
{
    double value = absent;
    bool found = !r->rc && tb_find_key(r, name);
    if (found && !chosen)
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' has '%s', which does not go with its normalizer", r->path, r->key);
    else if (found)
        r->rc = tb_checkpoint_get_f64(&value, r->checkpoint, r->key, true, r->err);
    if (!r->rc && !(value >= least && value <= 1e6))
        r->rc =
            tb_fail(r->err, TB_EFORMAT, "'%s' is %g in '%s', not between %g and 1e6", r->key, value, r->path, least);
    return value;
}

static void read_normalizer(tb_key_reader *r, tb_arch *arch, tb_settings *s)
{
    static const char *const texts[] = {"softmax", "softmax1", "sink",     "clip",
                                        "sigmoid", "relu",     "softpick", "elastic"};
    static const tb_weighing_kind kinds[] = {TB_SOFTMAX, TB_SOFTMAX, TB_SOFTMAX,  TB_CLIP,
                                             TB_SIGMOID, TB_RELU,    TB_SOFTPICK, TB_ELASTIC};
    size_t choice = READ_CHOICE(r, "attention.normalizer", texts);
    double context = (double)s->config.context;
    arch->weighing = kinds[choice];
    arch->adds_one = choice == 1;
    arch->has_sink_logits = choice == 2;
    s->clip = read_number_of(r, "attention.clip_alpha", arch->weighing == TB_CLIP, 4, 0) / context;
    s->sigmoid_bias = read_number_of(r, "attention.sigmoid_bias", arch->weighing == TB_SIGMOID, -log(context), -1e6);
}

static void read_gate(tb_key_reader *r, tb_arch *arch)
{
    static const char *const texts[] = {"none", "head", "elem", "value", "shared", "input-free"};
    static const tb_gate gates[] = {TB_GATE_NONE,  TB_GATE_HEAD,   TB_GATE_ELEMENT,
                                    TB_GATE_VALUE, TB_GATE_SHARED, TB_GATE_ELEMENT};
    size_t choice = READ_CHOICE(r, "attention.gate", texts);
    arch->gate = gates[choice];
    arch->gate_source = choice == 5 ? TB_GATE_FREE : TB_GATE_OF_LINEAR;
}

static void read_sink_keys(tb_key_reader *r, tb_arch *arch, tb_config *config)
{
    static const char *const texts[] = {"none", "k", "kv"};
    size_t choice = READ_CHOICE(r, "attention.kv_bias", texts);
    arch->has_sink_keys = choice >= 1;
    arch->has_sink_values = choice == 2;
    config->sink_keys = choice >= 1;
}

static void read_norm(tb_key_reader *r, tb_arch *arch)
{
    static const char *const texts[] = {"rms", "ss", "headwise", "qk", "sandwich", "dyntanh"};
    size_t choice = READ_CHOICE(r, "norm", texts);
    arch->norm = choice == 1 ? TB_NORM_SCALE : choice == 5 ? TB_NORM_TANH : TB_NORM_RMS;
    arch->has_mix_norms = choice == 2;
    arch->has_head_norms = choice == 3;
    arch->has_post_norms = choice == 4;
}

// A number of rows that are no tokens; 0 where the key is absent.
static size_t read_learned(tb_key_reader *r, const char *name)
{
    uint64_t count = 0;
    if (!r->rc)
        r->rc = tb_checkpoint_get_u64(&count, r->checkpoint, tb_full_key(r, name), false, r->err);
    if (!r->rc && count > MOST_LEARNED)
        r->rc = tb_fail(r->err, TB_EFORMAT, "'%s' of '%s' is more than %d", r->key, r->path, MOST_LEARNED);
    return r->rc ? 0 : (size_t)count;
}

static void read_activation(tb_key_reader *r, tb_arch *arch)
{
    static const char *const texts[] = {"swiglu", "geglu"};
    arch->activation = READ_CHOICE(r, "ffn", texts) ? TB_GELU_TANH : TB_SILU;
}

// ---- other architectures ----

// A gate in the query matrix, where the file says another one than the family's.
static void read_query_gate(tb_key_reader *r, tb_arch *arch)
{
    static const char *const texts[] = {"", "elem of head", "elem of group", "head of group"};
    size_t choice = READ_CHOICE(r, "twobit.query_gate", texts);
    if (choice == 0)
        return;
    arch->gate = choice == 3 ? TB_GATE_HEAD : TB_GATE_ELEMENT;
    arch->gate_source = choice == 1 ? TB_GATE_OF_HEADS : TB_GATE_OF_GROUPS;
}

// What models of other families may have besides.
static void read_additions(tb_key_reader *r, tb_arch *arch, tb_config *config)
{
    read_query_gate(r, arch);
    config->registers = read_learned(r, "twobit.registers");
    config->sink_keys = read_learned(r, "twobit.sink_keys");
    arch->has_sink_keys = arch->has_sink_values = config->sink_keys > 0;
}

static void read_all(tb_key_reader *r, tb_arch *arch, tb_settings *settings)
{
    refuse_unknown_keys(r);
    read_normalizer(r, arch, settings);
    read_gate(r, arch);
    read_sink_keys(r, arch, &settings->config);
    settings->config.registers = read_learned(r, "registers");
    read_norm(r, arch);
    read_activation(r, arch);
}

void tb_variant_read(tb_key_reader *r, tb_settings *settings, tb_arena *arena)
{
    tb_arch *arch = r->rc ? NULL : tb_arena_array(arena, 1, sizeof *arch);
    if (!arch && !r->rc)
        r->rc = tb_fail(r->err, TB_ENOMEM, "no memory for the settings of '%s'", r->path);
    if (r->rc)
        return;
    *arch = *r->arch;
    if (arch->varies)
        read_all(r, arch, settings);
    else
        read_additions(r, arch, &settings->config);
    r->arch = settings->arch = arch;
}
