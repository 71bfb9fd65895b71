// Help pages, made from the command's row and its option table.
#include "cli/cli.h"

static tb_code append_examples(tb_str *text, const char *const *examples, tb_error *err)
{
    tb_code rc = TB_OK;
    for (; !rc && *examples; examples += 2)
        rc = tb_str_printf(text, err, "  %s\n      %s\n", examples[0], examples[1]);
    return rc;
}

static tb_code append_page(tb_str *text, const tb_command *c, tb_error *err)
{
    static const tb_common_options common;
    tb_code rc = tb_str_printf(text, err, "twobit %s: %s\n\nExamples:\n", c->name, c->summary);
    if (!rc)
        rc = append_examples(text, c->examples, err);
    if (!rc)
        rc = tb_str_printf(text, err, "\nUsage: twobit %s %s\n\nOptions:\n", c->name, c->usage);
    if (!rc)
        rc = tb_options_describe(text, c->options, c->defaults, err);
    for (size_t i = 0; !rc && i < TB_MOST_SHARED_OPTIONS && c->shared[i].options; i++)
        rc = tb_options_describe(text, c->shared[i].options, (const char *)c->defaults + c->shared[i].offset, err);
    if (!rc)
        rc = tb_str_append_text(text, "\nOptions of every command:\n", err);
    if (!rc)
        rc = tb_options_describe(text, tb_common_option_table, &common, err);
    if (!rc && c->notes)
        rc = tb_str_printf(text, err, "\n%s", c->notes);
    return rc;
}

tb_code tb_command_help(tb_cli *cli, tb_error *err)
{
    tb_str text = {0};
    tb_code rc = append_page(&text, cli->command, err);
    if (!rc)
        tb_cli_stream(cli, tb_str_get(&text), text.size);
    tb_str_clear(&text);
    return rc;
}
