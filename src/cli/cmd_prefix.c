// twobit prefix: keys and values of the tokens that texts begin with, computed by a model and stored.
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "model/model.h"

typedef struct prefix_args {
    const char *output, *prompt;
    bool special;
} prefix_args;

static const prefix_args defaults;

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(prefix_args, output), "FILE", 0, 0, "the file to write"},
    {"prompt", 'p', TB_OPTION_TEXT, offsetof(prefix_args, prompt), "TEXT", 0, 0,
     "text behind the BOS with which all others will begin (default none: the BOS alone)"},
    {"special", 0, TB_OPTION_FLAG, offsetof(prefix_args, special), NULL, 0, 0,
     "take control tokens written in the text, such as <|im_start|>, for what they say"},
    {0},
};

static const char *const examples[] = {
    "twobit prefix model.gguf -o bos.gguf",
    "keys and values of the BOS, the token on which attention rests",
    "twobit quantize model.gguf -o small.gguf --prefix-kv bos.gguf",
    "a quantized model that uses them, calibrated with them in place",
    "twobit prefix model.gguf -o rules.gguf -p \"Answer in one sentence.\"",
    "and those of a text with which every other will begin",
    NULL,
};

static const char notes[] =
    "Keys and values of first tokens depend on nothing behind them: they are constants of the model. Taken from the\n"
    "original they keep what quantized weights would spoil first.\n";

static tb_code make(const tb_model *model, const prefix_args *args, tb_error *err)
{
    const char *text = args->prompt ? args->prompt : "";
    tb_arena arena = {0};
    tb_prefix prefix;
    tb_code rc = tb_prefix_make_of_text(&prefix, &arena, model, (tb_text){text, strlen(text)}, args->special, err);
    if (!rc)
        rc = tb_prefix_save(&prefix, model, args->output, err);
    if (!rc)
        printf("%s: keys and values of %zu token%s\n", args->output, prefix.count, prefix.count == 1 ? "" : "s");
    tb_arena_clear(&arena);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const prefix_args *args = untyped;
    tb_model *model;
    if (!args->output)
        return tb_fail_usage(cli, err, "give the file to write with -o");
    tb_code rc = tb_cli_open_prefixed(&model, cli, cli->operands.items[0], "none", err);
    if (rc)
        return rc;
    rc = make(model, args, err);
    tb_model_close(model);
    return rc;
}

const tb_command tb_command_prefix = {
    .name = "prefix",
    .summary = "store what a model makes of the tokens that texts begin with",
    .usage = "MODEL -o FILE [-p TEXT]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
