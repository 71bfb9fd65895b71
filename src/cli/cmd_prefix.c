// twobit prefix: keys and values of the tokens that texts begin with, computed by a model and stored.
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "eval/eval.h"

typedef struct prefix_args {
    const char *output, *prompt, *find, *text;
    uint64_t sequences, ctx;
    double ratio;
    bool special;
} prefix_args;

static const prefix_args defaults;

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(prefix_args, output), "FILE", 0, 0, "the file to write"},
    {"prompt", 'p', TB_OPTION_TEXT, offsetof(prefix_args, prompt), "TEXT", 0, 0,
     "text behind the BOS with which all others will begin (default none: the BOS alone)"},
    {"special", 0, TB_OPTION_FLAG, offsetof(prefix_args, special), NULL, 0, 0,
     "take control tokens written in the text, such as <|im_start|>, for what they say"},
    {"find", 0, TB_OPTION_TEXT, offsetof(prefix_args, find), "HOW", 0, 0,
     "search the tokens that carry massive activations instead: outliers (those that do it most often) or greedy "
     "(those "
     "behind which rounding costs least)"},
    {"text", 0, TB_OPTION_TEXT, offsetof(prefix_args, text), "FILE", 0, 0,
     "with --find: the text that is searched (default: the calibration text of twobit)"},
    {"sequences", 0, TB_OPTION_COUNT, offsetof(prefix_args, sequences), "N", 1, 1 << 20,
     "with --find: most windows of it (default 64)"},
    {"ctx", 'c', TB_OPTION_COUNT, offsetof(prefix_args, ctx), "N", 1, 1 << 20,
     "with --find: tokens of a window (default 512, or the model's context when that is shorter)"},
    {"ratio", 0, TB_OPTION_REAL, offsetof(prefix_args, ratio), "X", 1, 1e30,
     "with --find: a token is an outlier where a down matrix reads X times the median of it (default 64)"},
    {0},
};

static const char *const examples[] = {
    "twobit prefix model.gguf -o bos.gguf",
    "keys and values of the BOS, the token on which attention rests",
    "twobit quantize model.gguf -o small.gguf --prefix-kv bos.gguf",
    "a quantized model that uses them, calibrated with them in place",
    "twobit prefix model.gguf -o rules.gguf -p \"Answer in one sentence.\"",
    "and those of a text with which every other will begin",
    "twobit prefix model.gguf -o found.gguf --find outliers",
    "of the tokens that carry massive activations wherever they stand, and the BOS",
    NULL,
};

static const char notes[] =
    "Keys and values of first tokens depend on nothing behind them: they are constants of the model. Taken from the\n"
    "original they keep what quantized weights would spoil first.\n";

static tb_code save(const tb_prefix *prefix, const tb_model *model, const prefix_args *args, tb_error *err)
{
    tb_code rc = tb_prefix_save(prefix, model, args->output, err);
    if (!rc)
        printf("%s: keys and values of %zu token%s\n", args->output, prefix->count, prefix->count == 1 ? "" : "s");
    return rc;
}

static tb_code make(const tb_model *model, const prefix_args *args, tb_error *err)
{
    const char *text = args->prompt ? args->prompt : "";
    tb_arena arena = {0};
    tb_prefix prefix;
    tb_code rc = tb_prefix_make_of_text(&prefix, &arena, model, (tb_text){text, strlen(text)}, args->special, err);
    if (!rc)
        rc = save(&prefix, model, args, err);
    tb_arena_clear(&arena);
    return rc;
}

// ---- searched ----

static void print_found(const tb_prefix_found *found, const tb_model *model, bool greedy)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT], token[TB_SINK_TOKEN_TEXT];
    printf("searched    %zu windows of %zu tokens; %.1f outliers in a window, in the block that has most\n",
           found->sequences, found->length, found->outliers);
    printf("tokens     ");
    for (size_t i = 0; i < found->count; i++)
        printf(" %s", tb_sink_token_text(token, model, found->tokens[i]));
    printf("\ninputs of down matrices: the largest of a token over the median, %s without and %s behind it\n",
           tb_text_of_real(a, found->before), tb_text_of_real(b, found->after));
    for (size_t i = 0; greedy && i <= found->count; i++)
        printf("%zu token%s: rounding to 8 bits costs %.6f of the inputs\n", i, i == 1 ? "" : "s", found->errors[i]);
}

static tb_code search(tb_cli *cli, const tb_model *model, const prefix_args *args, tb_prefix_rule rule, tb_error *err)
{
    int32_t *ids = NULL;
    tb_prefix_search how = {.rule = rule,
                            .sequences = (size_t)args->sequences,
                            .length = (size_t)args->ctx,
                            .ratio = args->ratio,
                            .report = &cli->report};
    tb_prefix_found found;
    tb_arena arena = {0};
    tb_prefix prefix;
    tb_code rc = tb_cli_read_tokens(&ids, &how.token_count, model, args->text, TB_TEXT_CALIBRATION, err);
    how.tokens = ids;
    if (!rc)
        rc = tb_prefix_find(&found, model, &how, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = tb_prefix_make(&prefix, &arena, model, found.tokens, found.count, err);
    if (!rc)
        rc = save(&prefix, model, args, err);
    if (!rc)
        print_found(&found, model, rule == TB_PREFIX_GREEDY);
    tb_arena_clear(&arena);
    tb_free_ids(ids);
    return rc;
}

// What was asked for, and whether it goes together.
static tb_code read_args(tb_prefix_rule *rule, tb_cli *cli, const prefix_args *args, tb_error *err)
{
    *rule = args->find && strcmp(args->find, "greedy") == 0 ? TB_PREFIX_GREEDY : TB_PREFIX_OUTLIERS;
    if (!args->output)
        return tb_fail_usage(cli, err, "give the file to write with -o");
    if (args->find && *rule != TB_PREFIX_GREEDY && strcmp(args->find, "outliers") != 0)
        return tb_fail_usage(cli, err, "'--find %s' is neither outliers nor greedy", args->find);
    if (args->find && (args->prompt || args->special))
        return tb_fail_usage(cli, err, "'--find' chooses the tokens: it goes without '--prompt'");
    if (!args->find && (args->text || args->sequences || args->ctx || args->ratio > 0))
        return tb_fail_usage(cli, err, "'--text', '--sequences', '--ctx' and '--ratio' say how '--find' searches");
    return TB_OK;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const prefix_args *args = untyped;
    tb_model *model;
    tb_prefix_rule rule;
    tb_code rc = read_args(&rule, cli, args, err);
    if (!rc)
        rc = tb_cli_open_prefixed(&model, cli, cli->operands.items[0], "none", err);
    if (rc)
        return rc;
    rc = args->find ? search(cli, model, args, rule, err) : make(model, args, err);
    tb_model_close(model);
    return rc;
}

const tb_command tb_command_prefix = {
    .name = "prefix",
    .summary = "store what a model makes of the tokens that texts begin with",
    .usage = "MODEL -o FILE [-p TEXT | --find outliers|greedy]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
