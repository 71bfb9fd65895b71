// What commands do before their own work: options that all share, opening the model, reading text.
#include "cli/cli.h"
#include "model/model.h"
#include "text/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const tb_option tb_common_option_table[] = {
    {"threads", 't', TB_OPTION_COUNT, offsetof(tb_common_options, threads), "N", 1, 1024,
     "threads (default: all processors)"},
    {"seed", 0, TB_OPTION_COUNT, offsetof(tb_common_options, seed), "N", 0, 0, "seed of everything random (default 0)"},
    {"cpu", 0, TB_OPTION_TEXT, offsetof(tb_common_options, cpu), "LEVEL", 0, 0,
     "highest kernel level: scalar, avx2, avx512, vnni or native (default native)"},
    {"quiet", 'q', TB_OPTION_FLAG, offsetof(tb_common_options, quiet), NULL, 0, 0, "only results, warnings and errors"},
    {"verbose", 'v', TB_OPTION_FLAG, offsetof(tb_common_options, verbose), NULL, 0, 0, "say more"},
    {"help", 'h', TB_OPTION_FLAG, offsetof(tb_common_options, help), NULL, 0, 0, "this page"},
    {0},
};

tb_code tb_fail_usage(tb_cli *cli, tb_error *err, const char *format, ...)
{
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli->misused = true;
    return tb_fail(err, TB_EINVAL, "%s", text);
}

tb_code tb_cli_open_model(tb_model **out, const tb_cli *cli, const char *path, tb_error *err)
{
    return tb_cli_open_prefixed(out, cli, path, NULL, err);
}

tb_code tb_cli_open_prefixed(tb_model **out, const tb_cli *cli, const char *path, const char *prefix_kv, tb_error *err)
{
    tb_model_options options = {.threads = (size_t)cli->common.threads, .cpu = cli->common.cpu, .prefix_kv = prefix_kv};
    tb_code rc = tb_model_open(out, path, &options, err);
    const tb_checkpoint *checkpoint = rc ? NULL : tb_model_checkpoint(*out);
    for (size_t i = 0; checkpoint && tb_checkpoint_note(checkpoint, i); i++)
        tb_report_note(&cli->report, TB_NOTE_WARNING, "%s", tb_checkpoint_note(checkpoint, i));
    return rc;
}

bool tb_cli_stream(tb_cli *cli, const char *text, size_t size)
{
    if (fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0)
        return true;
    if (!cli->output_errno)
        cli->output_errno = errno;
    return false;
}

size_t tb_cli_threads(const tb_cli *cli)
{
    return cli->common.threads ? (size_t)cli->common.threads : tb_cpu_count();
}

tb_code tb_cli_read_tokens(int32_t **ids, size_t *count, const tb_model *model, const char *path,
                           tb_builtin_text otherwise, tb_error *err)
{
    *ids = NULL;
    *count = 0;
    tb_text builtin = tb_builtin_text_get(otherwise);
    if (!path)
        return tb_model_tokenize(model, builtin.data, builtin.size, 0, ids, count, err);
    char *text;
    size_t size;
    tb_code rc = tb_text_read(&text, &size, path, err);
    if (rc)
        return rc;
    rc = tb_model_tokenize(model, text, size, 0, ids, count, err);
    tb_free(text);
    return rc;
}

tb_code tb_cli_check_output(const char *path, tb_error *err)
{
    tb_target target;
    tb_outfile *probe;
    tb_code rc = tb_target_find(&target, path, err);
    if (!rc && !target.streams) { // whoever reads a pipe would take the end of the probe for the end of the output
        rc = tb_outfile_open(&probe, path, err);
        tb_outfile_close(probe); // without commit: it leaves no trace
    }
    tb_target_clear(&target);
    return rc;
}

tb_code tb_cli_parse_reals(double *values, size_t *count, tb_cli *cli, const char *option, const char *text,
                           tb_error *err)
{
    char word[64];
    for (*count = 0;; text++) {
        size_t n = strcspn(text, ",");
        if (*count == TB_CLI_MOST_VALUES)
            return tb_fail_usage(cli, err, "option '--%s' takes %d values at most", option, TB_CLI_MOST_VALUES);
        if (n >= sizeof word)
            return tb_fail_usage(cli, err, "option '--%s': a value is too long", option);
        memcpy(word, text, n);
        word[n] = '\0';
        if (tb_parse_real(&values[(*count)++], word, err)) {
            cli->misused = true;
            return tb_fail_context(err, TB_EINVAL, "option '--%s'", option);
        }
        text += n;
        if (!*text)
            return TB_OK;
    }
}
