// twobit compare: what is compared, and what is shown of it. The work is done by lab.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/compare_show.h"
#include "cli/json_out.h"
#include "cli/plot.h"
#include "generate/generate.h"

enum { MAX_TOKENS = 5120 };

typedef struct compare_args {
    const char *methods, *grid, *calibration, *work, *generate, *against, *csv, *markdown, *plot;
    tb_option_texts texts, also;
    uint64_t ctx, skip, max_tokens, calibration_tokens, tokens;
    bool fresh, speed, json;
} compare_args;

static const compare_args defaults = {.tokens = 48};

static const tb_option options[] = {
    {"methods", 'm', TB_OPTION_TEXT, offsetof(compare_args, methods), "LIST", 0, 0,
     "recipes, separated by commas: method[:bits[:group]], and options of quantize behind +, as in gptq:3+head=6 or "
     "bpdq+lieq=2.25 (default " TB_COMPARE_METHODS ")"},
    {"grid", 0, TB_OPTION_TEXT, offsetof(compare_args, grid), "FILE", 0, 0,
     "JSON file with models, texts and recipes; what the command line says of them counts instead"},
    {"text", 0, TB_OPTION_TEXTS, offsetof(compare_args, texts), "[NAME=]FILE", 0, 0,
     "text to measure on; may be given several times (default: held-out, a text that comes with twobit)"},
    {"also", 0, TB_OPTION_TEXTS, offsetof(compare_args, also), "FILE", 0, 0,
     "also measure this file of the same model, whoever made it; may be given several times"},
    {"against", 0, TB_OPTION_TEXT, offsetof(compare_args, against), "RECIPE", 0, 0,
     "also show how many more nats per token each row has than this one, window by window"},
    {"ctx", 'c', TB_OPTION_COUNT, offsetof(compare_args, ctx), "N", 2, 1 << 24,
     "tokens per window (default 512, or the model's context when that is shorter)"},
    {"skip", 0, TB_OPTION_COUNT, offsetof(compare_args, skip), "N", 0, 1 << 24,
     "positions of each window that are not scored (default 0)"},
    {"max-tokens", 0, TB_OPTION_COUNT, offsetof(compare_args, max_tokens), "N", 1, 0,
     "most tokens of each text that are used, in whole windows (default 5120)"},
    {"calib", 0, TB_OPTION_TEXT, offsetof(compare_args, calibration), "FILE", 0, 0,
     "text to calibrate on (default: the text that comes with twobit)"},
    {"calib-tokens", 0, TB_OPTION_COUNT, offsetof(compare_args, calibration_tokens), "N", 1, 1 << 30,
     "most tokens of it that are used (default 16384)"},
    {"speed", 0, TB_OPTION_FLAG, offsetof(compare_args, speed), NULL, 0, 0, "also measure tokens per second"},
    {"work", 'w', TB_OPTION_TEXT, offsetof(compare_args, work), "DIR", 0, 0,
     "folder for the quantized models and the results (default: compare in ~/.cache/twobit)"},
    {"fresh", 0, TB_OPTION_FLAG, offsetof(compare_args, fresh), NULL, 0, 0,
     "make everything anew, whatever the folder holds"},
    {"generate", 'p', TB_OPTION_TEXT, offsetof(compare_args, generate), "TEXT", 0, 0,
     "then let the original and the best under four bits continue this text"},
    {"tokens", 'n', TB_OPTION_COUNT, offsetof(compare_args, tokens), "N", 1, 4096, "tokens they add"},
    {"markdown", 0, TB_OPTION_TEXT, offsetof(compare_args, markdown), "FILE", 0, 0, "write the table there as well"},
    {"csv", 0, TB_OPTION_TEXT, offsetof(compare_args, csv), "FILE", 0, 0, "write a line for each recipe on each text"},
    {"plot", 0, TB_OPTION_TEXT, offsetof(compare_args, plot), "FILE", 0, 0,
     "draw perplexity over the size of the file: .svg or .png (needs gnuplot)"},
    {"json", 0, TB_OPTION_FLAG, offsetof(compare_args, json), NULL, 0, 0,
     "print an object: rows with all figures, models, texts, protocol, continuations"},
    {0},
};

static const char *const examples[] = {
    "twobit compare model.gguf",
    "the usual methods at two and three bits, measured on the text that comes with twobit",
    "twobit compare model.gguf -m bpdq:2,bpdq:3:192,gptq:3+head=6 --text wiki=wiki.test.raw --max-tokens 51200",
    "three recipes on another text",
    "twobit compare small.gguf large.gguf --grid share/grids/laboratory.json --text a.txt --text b.txt --plot "
    "front.svg",
    "the whole laboratory: two models, two texts, every method; a picture of what is worth its size",
    "twobit compare model.gguf -m bpdq:2,bpdq:3 --also model-q2_k.gguf",
    "beside a file that another program made",
    "twobit compare model.gguf --generate \"The capital of France is\"",
    "also shows how the original and the best small model go on",
    NULL,
};

static const char notes[] =
    "Quantized models and results are kept and used again as long as model, texts and options are the same. A\n"
    "comparison that was interrupted, however, goes on where it was: behind the last block that was quantized and the\n"
    "last few windows of text that were measured. The best is the one with the least divergence from the original\n"
    "among those whose linears take less than four bits per weight.\n";

// The command while it runs.
typedef struct comparing {
    tb_cli *cli;
    const compare_args *args;
    tb_comparison made;
} comparing;

// ---- continuations ----

static bool collect(void *user, const char *text, size_t size)
{
    return tb_str_append(user, text, size, NULL) == TB_OK;
}

// How one model goes on: what `twobit run` prints for the same text, tokens and seed.
static tb_code continue_text(tb_str *text, const comparing *c, const tb_compare_row *row, tb_error *err)
{
    static const tb_sampling_args usual = TB_SAMPLING_DEFAULTS;
    tb_sampling sampling;
    tb_model *model;
    tb_code rc = tb_sampling_init(&sampling, &usual, c->cli->common.seed, err);
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

static void print_continuation(const comparing *c, const tb_compare_model *m, const tb_compare_row *row,
                               const tb_str *text)
{
    if (c->made.grid.model_count > 1)
        printf("\n%s, %s:\n%s", m->source->name, row->name, c->args->generate);
    else
        printf("\n%s:\n%s", row->name, c->args->generate);
    fwrite(tb_str_get(text), 1, text->size, stdout);
    putchar('\n');
}

static json_t *make_continuation(const tb_compare_model *m, const tb_compare_row *row, const tb_str *text)
{
    return json_pack("{s:o, s:o, s:o}", "model", tb_json_text(m->source->name, strlen(m->source->name)), "recipe",
                     tb_json_text(row->name, strlen(row->name)), "text", tb_json_text(tb_str_get(text), text->size));
}

// Prints what the original and the best add to the text, or appends it to `list` where that is given.
static tb_code continue_model(const comparing *c, const tb_compare_model *m, json_t *list, tb_error *err)
{
    const tb_compare_row *rows[] = {&m->rows[0], tb_compare_best(m)};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < 2 && rows[i]; i++) {
        tb_str text = {0};
        rc = continue_text(&text, c, rows[i], err);
        tb_progress_clear(&c->cli->progress);
        if (!rc && !list)
            print_continuation(c, m, rows[i], &text);
        else if (!rc && json_array_append_new(list, make_continuation(m, rows[i], &text)))
            rc = tb_fail(err, TB_ENOMEM, "no memory for the continuations");
        tb_str_clear(&text);
    }
    return rc;
}

static tb_code show_continuations(const comparing *c, json_t *list, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < c->made.grid.model_count; i++)
        rc = continue_model(c, &c->made.models[i], list, err);
    return rc;
}

// ---- results ----

static tb_code show_json(const comparing *c, tb_error *err)
{
    if (!c->args->generate)
        return tb_compare_print_json(&c->made, NULL, err);
    json_t *list = json_array();
    tb_code rc = list ? show_continuations(c, list, err) : tb_fail(err, TB_ENOMEM, "no memory for the continuations");
    if (!rc)
        return tb_compare_print_json(&c->made, list, err);
    json_decref(list);
    return rc;
}

static tb_code show_text(const comparing *c, tb_error *err)
{
    tb_code rc = tb_compare_print_table(&c->made, err);
    if (!rc && c->args->generate) {
        fflush(stdout); // the table is there while the models write
        rc = show_continuations(c, NULL, err);
    }
    return rc;
}

static tb_code write_files(const comparing *c, tb_error *err)
{
    const compare_args *a = c->args;
    tb_code rc = a->markdown ? tb_compare_write_markdown(&c->made, a->markdown, err) : TB_OK;
    if (!rc && a->csv)
        rc = tb_compare_write_csv(&c->made, a->csv, err);
    return rc || !a->plot ? rc : tb_compare_draw(&c->made, a->plot, err);
}

// Recipes that could not be made have been noted; the program must not seem to have succeeded.
static tb_code count_missing(const comparing *c, tb_error *err)
{
    size_t missing = 0;
    for (size_t i = 0; i < c->made.grid.model_count; i++)
        for (size_t r = 0; r < c->made.models[i].count; r++)
            missing += c->made.models[i].rows[r].missing != NULL;
    return missing ? tb_fail(err, TB_EIO, "%zu recipe%s could not be made", missing, missing == 1 ? "" : "s") : TB_OK;
}

// ---- before anything is made ----

// The command line goes before the grid file.
static tb_code fill_grid(comparing *c, tb_error *err)
{
    tb_cli *cli = c->cli;
    const compare_args *a = c->args;
    tb_lab_grid *grid = &c->made.grid;
    tb_code rc = a->grid ? tb_lab_grid_read(grid, a->grid, err) : TB_OK;
    if (rc)
        return rc;
    grid->model_count = cli->operands.count ? 0 : grid->model_count;
    grid->text_count = a->texts.count ? 0 : grid->text_count;
    grid->recipe_count = a->methods ? 0 : grid->recipe_count;
    for (size_t i = 0; !rc && i < cli->operands.count; i++)
        rc = tb_lab_grid_add_model(grid, cli->operands.items[i], err);
    for (size_t i = 0; !rc && i < a->texts.count; i++)
        rc = tb_lab_grid_add_text(grid, a->texts.items[i], err);
    if (!rc && grid->text_count == 0)
        rc = tb_lab_grid_add_text(grid, "held-out", err);
    if (!rc && (a->methods || grid->recipe_count == 0))
        rc = tb_lab_grid_add_recipes(grid, a->methods ? a->methods : TB_COMPARE_METHODS, err);
    if (!rc && grid->model_count == 0)
        rc = tb_fail(err, TB_EINVAL, "the model is missing");
    if (!rc && a->also.count && grid->model_count > 1)
        rc = tb_fail(err, TB_EINVAL, "--also needs a single model; a grid file can say which model a file belongs to");
    for (size_t i = 0; !rc && i < a->also.count; i++)
        rc = tb_lab_grid_add_also(grid, 0, a->also.items[i], err);
    return rc;
}

// The base row's name, as the grid calls it.
static tb_code choose_base(comparing *c, tb_error *err)
{
    const char *wanted = c->args->against;
    tb_lab_recipe recipe;
    c->made.options.against = wanted;
    if (!wanted || strcmp(wanted, TB_COMPARE_ORIGINAL) == 0)
        return TB_OK;
    for (int parsed = 0; parsed < 2; parsed++) { // as it is written, then as we would write it
        for (size_t i = 0; i < c->made.grid.recipe_count; i++)
            if (strcmp(c->made.grid.recipes[i].name, wanted) == 0) {
                c->made.options.against = c->made.grid.recipes[i].name;
                return TB_OK;
            }
        if (parsed == 0 && !tb_lab_recipe_parse(&recipe, &c->made.grid.arena, wanted, NULL))
            wanted = recipe.name;
    }
    return tb_fail(err, TB_EINVAL, "--against '%s' is none of the recipes", c->args->against);
}

static uint64_t first_of(uint64_t a, uint64_t b, uint64_t otherwise)
{
    return a ? a : b ? b : otherwise;
}

static void set_options(comparing *c)
{
    const compare_args *a = c->args;
    const tb_common_options *common = &c->cli->common;
    const tb_lab_grid *grid = &c->made.grid;
    tb_lab_options *o = &c->made.options;
    o->work = a->work;
    o->calibration = a->calibration ? a->calibration : grid->calibration;
    o->calibration_tokens = first_of(a->calibration_tokens, grid->calibration_tokens, 0);
    o->protocol = (tb_perplexity_options){
        .ctx = (size_t)first_of(a->ctx, grid->ctx, 0),
        .skip = (size_t)first_of(a->skip, grid->skip, 0),
        .max_tokens = (size_t)first_of(a->max_tokens, grid->max_tokens, MAX_TOKENS),
    };
    o->fresh = a->fresh;
    o->speed = a->speed;
    o->threads = common->threads;
    o->seed = common->seed;
    o->cpu = common->cpu;
    o->quiet = common->quiet;
    o->report = &c->cli->report;
}

static tb_code plan(comparing *c, tb_error *err)
{
    tb_code rc = tb_lab_grid_init(&c->made.grid, err);
    if (!rc)
        rc = fill_grid(c, err);
    if (!rc)
        rc = choose_base(c, err);
    if (!rc && c->args->plot)
        rc = tb_plot_check(c->args->plot, err);
    c->cli->misused = rc == TB_EINVAL;
    if (!rc)
        set_options(c);
    return rc;
}

// ---- the work ----

static tb_code compare(comparing *c, tb_error *err)
{
    tb_code rc = tb_compare(&c->made, err);
    tb_progress_clear(&c->cli->progress);
    if (!rc)
        rc = write_files(c, err);
    if (!rc)
        rc = c->args->json ? show_json(c, err) : show_text(c, err);
    if (rc == TB_ECANCELLED)
        tb_fail(err, rc, "stopped; the same command continues where it was");
    return rc ? rc : count_missing(c, err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    comparing c = {.cli = cli, .args = untyped};
    tb_code rc = plan(&c, err);
    if (!rc)
        rc = compare(&c, err);
    tb_comparison_clear(&c.made);
    return rc;
}

const tb_command tb_command_compare = {
    .name = "compare",
    .summary = "quantize a model in several ways and print one table",
    .usage = "MODEL... [--methods LIST] [--text FILE]... [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 0, // a grid file may name models
    .most_operands = TB_MOST_GRID_MODELS,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
