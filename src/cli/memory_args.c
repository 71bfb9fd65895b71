#include "cli/memory_args.h"

#include <stdio.h>
#include <string.h>

const tb_option tb_memory_option_table[] = {
    {"stream", 0, TB_OPTION_TEXT, offsetof(tb_memory_args, stream), "S:W", 0, 0,
     "a text without end: each token sees the first S and the last W, all others are dropped"},
    {0},
};

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

tb_code tb_memory_args_read(tb_seq_options *options, const tb_memory_args *args, tb_error *err)
{
    tb_code rc = args->stream ? read_stream(options, args->stream, err) : TB_OK;
    return rc ? tb_fail_context(err, rc, "option '--stream'") : TB_OK;
}
