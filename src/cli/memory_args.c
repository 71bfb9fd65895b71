#include "cli/memory_args.h"

#include <stdio.h>
#include <string.h>

#include "model/model.h"

const tb_option tb_memory_option_table[] = {
    {"stream", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, stream), "S:W", 0, 0,
     "a text without end: each token sees the first S and the last W, all others are dropped"},
    {"kv", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, kv), "FORM", 0, 0,
     "keys and values as f16, f32, q8, or k2v2:g64:r128: old ones in 2 bits, in groups of 64 tokens, the last 128 as "
     "f16"},
    {"evict", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, evict), "METHOD:N", 0, 0,
     "each head keeps N tokens, chosen by h2o, a2sf, vatp or keydiff, or of a prompt N, chosen by snapkv or pyramid; "
     "others are forgotten"},
    {"keep-sinks", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, keep_sinks), "N", 0, 0,
     "with few bits or --evict: keep the first N tokens, as f16 (default 4)"},
    {"dynamic-sinks", 0, TB_OPTION_REAL, offsetof(tb_memory_args, apart), "RATIO", 1, 1e9,
     "with few bits: keep tokens as f16, too, that have an activation of RATIO times their median"},
    {"head-split", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, head_split), "FILE[:F[:S:W]]", 0, 0,
     "a file of twobit sink split: the share F of the heads that reads farthest keeps all tokens, others the first S "
     "and the last W (default 64:256)"},
    {"prefix-kv", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, prefix_kv), "FILE", 0, 0,
     "stored keys and values of the first tokens: none, a file of twobit prefix, or auto: the model's own (default)"},
    {"sink-gamma", 0, TB_OPTION_REAL, offsetof(tb_memory_args, sink_gamma), "F", 0, TB_MOST_GAMMA,
     "multiply the attention that goes to the first token by F"},
    {"sink-gamma-heads", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, sink_gamma_heads), "FILE", 0, 0,
     "the same in single heads, besides: lines of a block, a head and its F"},
    {"sink-alpha", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, sink_alpha), "A", 0, 0,
     "leave sinks behind the first token A times their attention; others get the rest in proportion, or with A:alike "
     "alike"},
    {"skip-mass", 0, TB_OPTION_REAL, offsetof(tb_memory_args, skip_mass), "DELTA", 0, 0.999,
     "do not read keys that get at most this share of a head's attention together"},
    {0},
};

// First tokens that stay as they are, where others are in few bits: as many as models spend attention on without need.
enum { DEFAULT_SINKS = 4 };

// The number in front of `end`.
static tb_code parse_part(size_t *out, const char *text, const char *end, tb_error *err)
{
    char digits[24];
    uint64_t value = 0;
    snprintf(digits, sizeof digits, "%.*s", (int)(end - text < 23 ? end - text : 23), text);
    tb_code rc = tb_parse_count(&value, digits, err);
    *out = (size_t)value;
    return rc;
}

// "S:W"
static tb_code read_stream(tb_seq_options *options, const char *text, tb_error *err)
{
    const char *colon = strchr(text, ':');
    if (!colon)
        return tb_fail(err, TB_EINVAL, "'%s' is not two numbers of tokens, S:W", text);
    tb_code rc = parse_part(&options->keep_sinks, text, colon, err);
    if (!rc)
        rc = parse_part(&options->window, colon + 1, text + strlen(text), err);
    if (rc)
        return rc;
    if (options->window == 0)
        return tb_fail(err, TB_EINVAL, "the window of '%s' is empty; a token sees itself at least", text);
    if (options->keep_sinks > options->window)
        return tb_fail(err, TB_EINVAL, "'%s' keeps more first tokens than its window has", text);
    if (options->context)
        return tb_fail(err, TB_EINVAL, "a stream has no end; it goes without '--ctx'");
    return TB_OK;
}

// A text in which no file of factors is that long.
enum { MOST_FACTORS = 1 << 24 };

static tb_code read_factors(tb_seq_options *options, const char *path, tb_error *err)
{
    tb_head_bias *list = NULL;
    tb_text text = {0};
    char *bytes = NULL;
    tb_code rc = tb_file_read(&bytes, &text.size, path, MOST_FACTORS, err);
    text.data = bytes;
    if (!rc)
        rc = tb_head_gammas_parse(&list, &options->head_bias_count, text, path, err);
    options->head_biases = list;
    tb_free(bytes);
    return rc;
}

void tb_memory_args_clear(tb_seq_options *options)
{
    tb_free((void *)(uintptr_t)options->head_biases);
    options->head_biases = NULL;
    options->head_bias_count = 0;
    tb_head_split_close((tb_head_split *)(uintptr_t)options->head_split);
    options->head_split = NULL;
}

static tb_code read_sinks(tb_seq_options *options, const tb_memory_args *args, tb_error *err)
{
    uint64_t sinks = DEFAULT_SINKS;
    if (args->keep_sinks && args->stream)
        return tb_fail(err, TB_EINVAL, "'--stream' says already how many first tokens are kept");
    bool counts = options->kv_bits.keys || options->eviction;
    if (args->keep_sinks && !counts)
        return tb_fail(err, TB_EINVAL, "all tokens are kept as they are; it goes with '--evict' or '--kv' of few bits");
    tb_code rc = args->keep_sinks ? tb_parse_count(&sinks, args->keep_sinks, err) : TB_OK;
    if (!rc && counts && !args->stream)
        options->keep_sinks = (size_t)sinks;
    return rc;
}

tb_code tb_memory_args_read(tb_seq_options *options, const tb_memory_args *args, tb_error *err)
{
    tb_code rc = args->stream ? read_stream(options, args->stream, err) : TB_OK;
    if (rc)
        return tb_fail_context(err, rc, "option '--stream'");
    rc = args->kv ? tb_seq_options_set_kv(options, args->kv, err) : TB_OK;
    if (rc)
        return tb_fail_context(err, rc, "option '--kv'");
    options->sink_bias = tb_sink_bias_of(args->sink_gamma);
    rc = args->sink_alpha ? tb_seq_options_set_redistribution(options, args->sink_alpha, err) : TB_OK;
    if (rc)
        return tb_fail_context(err, rc, "option '--sink-alpha'");
    rc = args->sink_gamma_heads ? read_factors(options, args->sink_gamma_heads, err) : TB_OK;
    if (rc)
        return rc;
    options->skip_mass = args->skip_mass;
    options->apart_ratio = args->apart;
    if (args->apart > 0 && !options->kv_bits.keys)
        return tb_fail(err, TB_EINVAL,
                       "all tokens are kept as they are; '--dynamic-sinks' goes with '--kv' of few bits");
    if (args->evict && args->stream)
        return tb_fail(err, TB_EINVAL, "'--stream' drops tokens by their age; it goes without '--evict'");
    rc = args->evict ? tb_seq_options_set_eviction(options, args->evict, err) : TB_OK;
    if (rc)
        return tb_fail_context(err, rc, "option '--evict'");
    rc = read_sinks(options, args, err);
    return rc ? tb_fail_context(err, rc, "option '--keep-sinks'") : TB_OK;
}

tb_code tb_memory_args_open(tb_seq_options *options, const tb_memory_args *args, const tb_model *model, tb_error *err)
{
    tb_head_split *split = NULL;
    tb_code rc = args->head_split ? tb_head_split_open(&split, args->head_split, model, err) : TB_OK;
    options->head_split = split;
    return rc ? tb_fail_context(err, rc, "option '--head-split'") : TB_OK;
}

tb_code tb_memory_args_describe(tb_str *out, const tb_memory_args *args, tb_error *err)
{
    const struct {
        const char *name, *value;
    } texts[] = {{"stream", args->stream},
                 {"kv", args->kv},
                 {"evict", args->evict},
                 {"keep-sinks", args->keep_sinks},
                 {"head-split", args->head_split},
                 {"prefix-kv", args->prefix_kv},
                 {"sink-gamma-heads", args->sink_gamma_heads},
                 {"sink-alpha", args->sink_alpha}};
    const char *gap = "";
    tb_code rc = TB_OK;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && !rc; i++) {
        if (!texts[i].value)
            continue;
        rc = tb_str_printf(out, err, "%s--%s %s", gap, texts[i].name, texts[i].value);
        gap = " ";
    }
    if (!rc && args->apart != 0) {
        rc = tb_str_printf(out, err, "%s--dynamic-sinks %g", gap, args->apart);
        gap = " ";
    }
    if (!rc && args->skip_mass != 0) {
        rc = tb_str_printf(out, err, "%s--skip-mass %g", gap, args->skip_mass);
        gap = " ";
    }
    if (!rc && args->sink_gamma != 1)
        rc = tb_str_printf(out, err, "%s--sink-gamma %g", gap, args->sink_gamma);
    return rc;
}
