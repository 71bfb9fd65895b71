// twobit compare: quantizes a model in several ways and prints one table.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/compare.h"
#include "cli/generate.h"
#include "cli/json_out.h"
#include "cli/sampling.h"

static const tb_compare_args defaults = {.methods = TB_COMPARE_METHODS, .max_tokens = 5120, .tokens = 48};

static const tb_option options[] = {
    {"methods", 'm', TB_OPTION_TEXT, offsetof(tb_compare_args, methods), "LIST", 0, 0,
     "what to compare: method[:bits[:group]], separated by commas"},
    {"text", 0, TB_OPTION_TEXT, offsetof(tb_compare_args, text), "FILE", 0, 0,
     "text to measure on (default: a held-out text that comes with twobit)"},
    {"ctx", 'c', TB_OPTION_COUNT, offsetof(tb_compare_args, ctx), "N", 2, 1 << 24,
     "tokens per window (default 512, or the model's context when that is shorter)"},
    {"skip", 0, TB_OPTION_COUNT, offsetof(tb_compare_args, skip), "N", 0, 1 << 24,
     "positions of each window that are not scored (default 0)"},
    {"max-tokens", 0, TB_OPTION_COUNT, offsetof(tb_compare_args, max_tokens), "N", 1, 0,
     "most tokens of the text that are used, in whole windows"},
    {"calib", 0, TB_OPTION_TEXT, offsetof(tb_compare_args, calibration), "FILE", 0, 0,
     "text to calibrate on (default: the text that comes with twobit)"},
    {"calib-tokens", 0, TB_OPTION_COUNT, offsetof(tb_compare_args, calibration_tokens), "N", 1, 1 << 30,
     "most tokens of it that are used (default 16384)"},
    {"work", 'w', TB_OPTION_TEXT, offsetof(tb_compare_args, work), "DIR", 0, 0,
     "folder for the quantized models and the results (default: NAME.twobit in ~/.cache/twobit)"},
    {"fresh", 0, TB_OPTION_FLAG, offsetof(tb_compare_args, fresh), NULL, 0, 0,
     "make everything anew, whatever the folder holds"},
    {"generate", 'p', TB_OPTION_TEXT, offsetof(tb_compare_args, generate), "TEXT", 0, 0,
     "then let the original and the best under four bits continue this text"},
    {"tokens", 'n', TB_OPTION_COUNT, offsetof(tb_compare_args, tokens), "N", 1, 4096, "tokens they add"},
    {"json", 0, TB_OPTION_FLAG, offsetof(tb_compare_args, json), NULL, 0, 0,
     "print an object: rows with all figures, protocol, continuations"},
    {0},
};

static const char *const examples[] = {
    "twobit compare model.gguf",
    "the usual methods at two and three bits, measured on the text that comes with twobit",
    "twobit compare model.gguf --methods bpdq:2:64,bpdq:3:192,gptq:3 --text wiki.test.raw --max-tokens 51200",
    "three candidates on another text",
    "twobit compare model.gguf --generate \"The capital of France is\"",
    "also shows how the original and the best small model go on",
    NULL,
};

static const char notes[] =
    "Finished models and measurements are kept and used again as long as model, texts and options are the same;\n"
    "an interrupted comparison continues where it was. The best is the one with the least divergence from the\n"
    "original among those whose linears take less than four bits per weight.\n";

// ---- continuations ----

static bool collect(void *user, const char *text, size_t size)
{
    return tb_str_append(user, text, size, NULL) == TB_OK;
}

// How one model goes on: what `twobit run` prints for the same text, tokens and seed.
static tb_code continue_text(tb_str *text, const tb_comparison *c, const tb_compare_row *row, tb_error *err)
{
    static const tb_sampling_args usual = TB_SAMPLING_DEFAULTS;
    tb_sampling sampling;
    tb_model *model;
    tb_code rc = tb_sampling_init(&sampling, c->cli, &usual, err);
    if (!rc)
        rc = tb_cli_open_model(&model, c->cli, row->path, err);
    if (rc)
        return rc;
    tb_generate_options generate = {
        .tokenize = TB_TOKENIZE_BOS,
        .most = (size_t)c->args->tokens,
        .sampler = sampling.options,
        .report = &c->cli->report,
        .take = collect,
        .user = text,
    };
    tb_generate_stats stats;
    rc = tb_generate(&stats, model, c->args->generate, strlen(c->args->generate), &generate, err);
    tb_model_close(model);
    return rc;
}

static void print_continuation(const tb_comparison *c, const tb_compare_row *row, const tb_str *text)
{
    printf("\n%s:\n%s", row->name, c->args->generate);
    fwrite(tb_str_get(text), 1, text->size, stdout);
    putchar('\n');
}

static json_t *make_continuation(const tb_compare_row *row, const tb_str *text)
{
    return json_pack("{s:s, s:o}", "method", row->name, "text", tb_json_text(tb_str_get(text), text->size));
}

// Prints what both models add to the text, or appends it to `list` where that is given.
static tb_code show_continuations(const tb_comparison *c, json_t *list, tb_error *err)
{
    const tb_compare_row *rows[] = {&c->rows[0], tb_compare_best(c)};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < 2 && rows[i]; i++) {
        tb_str text = {0};
        rc = continue_text(&text, c, rows[i], err);
        tb_progress_clear(&c->cli->progress);
        if (!rc && !list)
            print_continuation(c, rows[i], &text);
        else if (!rc && json_array_append_new(list, make_continuation(rows[i], &text)))
            rc = tb_fail(err, TB_ENOMEM, "no memory for the continuations");
        tb_str_clear(&text);
    }
    return rc;
}

// ---- the command ----

static tb_code show_json(const tb_comparison *c, tb_error *err)
{
    if (!c->args->generate)
        return tb_compare_print_json(c, NULL, err);
    json_t *list = json_array();
    tb_code rc = list ? show_continuations(c, list, err) : tb_fail(err, TB_ENOMEM, "no memory for the continuations");
    if (!rc)
        return tb_compare_print_json(c, list, err);
    json_decref(list);
    return rc;
}

static tb_code show_text(const tb_comparison *c, tb_error *err)
{
    tb_code rc = tb_compare_print_table(c, err);
    if (!rc && c->args->generate) {
        fflush(stdout); // the table is there while the models write
        rc = show_continuations(c, NULL, err);
    }
    return rc;
}

static tb_code compare(tb_comparison *c, tb_error *err)
{
    tb_code rc = tb_compare_open_store(c, err);
    if (!rc) {
        c->rows[0].file_bytes = tb_checkpoint_file_bytes(tb_model_checkpoint(c->model));
        c->rows[0].linear_bits = tb_model_linear_bits(c->model);
        rc = tb_compare_make(c, err);
    }
    tb_progress_clear(&c->cli->progress);
    if (rc)
        return rc;
    return c->args->json ? show_json(c, err) : show_text(c, err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    tb_comparison c = {.cli = cli, .args = untyped, .model_path = cli->operands.items[0]};
    tb_code rc = tb_compare_plan(&c, c.args->methods, err);
    cli->misused = rc == TB_EINVAL;
    if (!rc)
        rc = tb_cli_open_model(&c.model, cli, c.model_path, err);
    if (!rc)
        rc = compare(&c, err);
    tb_model_close(c.model);
    tb_arena_clear(&c.arena);
    return rc;
}

const tb_command tb_command_compare = {
    .name = "compare",
    .summary = "quantize a model in several ways and print one table",
    .usage = "MODEL [--methods LIST] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
