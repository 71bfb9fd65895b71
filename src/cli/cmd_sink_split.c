// twobit sink split: which heads read far, for --head-split.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/table.h"
#include "sink/sink.h"

enum {
    LENGTH = 1024, // of a text: a quarter of its queries has 448 tokens at least that a short memory would not
    PROMPTS = 16,
    TEXTS = 4, // a leak counts a tenth of a recall, and is a mean over many more queries
    MOST_SHOWN = 20,
};

typedef struct split_args {
    const char *output, *text;
    uint64_t ctx, prompts;
    bool json;
} split_args;

static const split_args defaults = {.ctx = LENGTH, .prompts = PROMPTS};

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(split_args, output), "FILE", 0, 0, "the file to write"},
    {"text", 0, TB_OPTION_TEXT, offsetof(split_args, text), "FILE", 0, 0,
     "what stands around the numbers; - for standard input (default: the text that twobit calibrates on)"},
    {"ctx", 'c', TB_OPTION_COUNT, offsetof(split_args, ctx), "N", 8, TB_SINK_MOST_CTX,
     "tokens of each text (default 1024, or the model's context when that is shorter)"},
    {"prompts", 0, TB_OPTION_COUNT, offsetof(split_args, prompts), "M", 1, 4096,
     "texts that end in a question (default 16)"},
    {"json", 0, TB_OPTION_FLAG, offsetof(split_args, json), NULL, 0, 0, "print an object"},
    {0},
};

static const char *const examples[] = {
    "twobit sink split model.gguf -o heads.json",
    "find the heads that fetch what was asked for, and store how far each reads",
    "twobit run model.gguf -f long.txt --head-split heads.json",
    "half of the heads keep everything, the others 64 tokens and the last 256",
    NULL,
};

static const char notes[] =
    "A text has ten numbers in it, and its end asks for one. Recall: the attention that goes to the number where it\n"
    "stands while it is written. Leak: that behind the first 64 tokens and in front of the last 256, in plain texts. "
    "A\n"
    "KV head is ranked by recall + leak/10 of its best query head.\n";

// A KV head and its place, for sorting.
typedef struct place {
    size_t block, head;
    tb_sink_reach reach;
} place;

static int by_score(const void *a, const void *b)
{
    const place *x = a, *y = b;
    return (x->reach.score < y->reach.score) - (x->reach.score > y->reach.score);
}

// ---- showing ----

static tb_code add_head(tb_table *table, const place *p, tb_error *err)
{
    tb_code rc = tb_table_printf(table, err, "%zu", p->block);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", p->head);
    if (!rc)
        rc = tb_table_printf(table, err, "%.4f", p->reach.recall);
    if (!rc)
        rc = tb_table_printf(table, err, "%.4f", p->reach.leak);
    return rc ? rc : tb_table_printf(table, err, "%.4f", p->reach.score);
}

static tb_code print_table(const place *places, size_t count, tb_error *err)
{
    static const tb_column columns[] = {
        {"block", true}, {"KV head", true}, {"recall", true}, {"leak", true}, {"score", true}};
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < count && i < MOST_SHOWN && !rc; i++)
        rc = add_head(&table, &places[i], err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static tb_code print_text(const tb_sink_reach *reach, const tb_model *model, const split_args *args,
                          const tb_sink_reach_options *o, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    size_t n = c->blocks * c->kv_heads;
    char a[TB_NUMBER_TEXT];
    place *places = tb_alloc_array(n, sizeof *places);
    if (!places)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu heads", n);
    for (size_t i = 0; i < n; i++)
        places[i] = (place){i / c->kv_heads, i % c->kv_heads, reach[i]};
    qsort(places, n, sizeof *places, by_score);
    printf("measured   %zu texts of %zu tokens that end in a question, %zu plain ones\n", o->prompt_count, o->length,
           o->text_count);
    printf("%s: the scores of %s KV heads\n\n", args->output, tb_text_of_count(a, n));
    tb_code rc = print_table(places, n, err);
    tb_free(places);
    return rc;
}

static tb_code print_json(const tb_sink_reach *reach, const tb_model *model, const tb_cli *cli,
                          const tb_sink_reach_options *o, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    const char *path = cli->operands.items[0];
    json_t *heads = json_array();
    for (size_t i = 0; i < c->blocks * c->kv_heads; i++)
        json_array_append_new(heads,
                              json_pack("{s:I, s:I, s:o, s:o, s:o}", "block", (json_int_t)(i / c->kv_heads), "kv_head",
                                        (json_int_t)(i % c->kv_heads), "recall", tb_json_real(reach[i].recall), "leak",
                                        tb_json_real(reach[i].leak), "score", tb_json_real(reach[i].score)));
    return tb_json_print(json_pack("{s:o, s:I, s:I, s:I, s:I, s:o}", "model", tb_json_text(path, strlen(path)), "ctx",
                                   (json_int_t)o->length, "prompts", (json_int_t)o->prompt_count, "texts",
                                   (json_int_t)o->text_count, "seed", (json_int_t)cli->common.seed, "heads", heads),
                         err);
}

// ---- finding ----

static tb_code store(const tb_sink_reach *reach, const tb_model *model, const char *path, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    size_t n = c->blocks * c->kv_heads;
    tb_head_scores scores = {c->blocks, c->kv_heads, tb_alloc_array(n, sizeof *scores.scores), ""};
    tb_code rc = scores.scores ? tb_model_origin(scores.source, model, err)
                               : tb_fail(err, TB_ENOMEM, "no memory for %zu heads", n);
    for (size_t i = 0; i < n && !rc; i++)
        scores.scores[i] = reach[i].score;
    if (!rc)
        rc = tb_head_scores_write(&scores, path, err);
    tb_head_scores_clear(&scores);
    return rc;
}

static tb_code find(tb_sink_reach *reach, tb_arena *arena, tb_cli *cli, const split_args *args, const tb_model *model,
                    const int32_t *text, size_t count, tb_error *err)
{
    size_t context = tb_model_context_length(model);
    size_t length = args->ctx == LENGTH && context < LENGTH ? context : (size_t)args->ctx;
    if (length > context)
        return tb_fail(err, TB_ELIMIT, "texts of %zu tokens are longer than the model's context of %zu", length,
                       context);
    tb_sink_prompt *prompts = tb_arena_array(arena, (size_t)args->prompts, sizeof *prompts);
    if (!prompts)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu prompts", (size_t)args->prompts);
    tb_code rc =
        tb_sink_make_passkeys(prompts, arena, model, (size_t)args->prompts, length, text, count, cli->common.seed, err);
    if (rc)
        return rc;
    const tb_sink_reach_options o = {.prompts = prompts,
                                     .prompt_count = (size_t)args->prompts,
                                     .texts = text,
                                     .text_count = tb_min_size(TEXTS, count / length),
                                     .length = length,
                                     .report = &cli->report};
    rc = tb_sink_measure_reach(reach, model, &o, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = store(reach, model, args->output, err);
    if (rc)
        return rc;
    return args->json ? print_json(reach, model, cli, &o, err) : print_text(reach, model, args, &o, err);
}

static tb_code run_on(tb_cli *cli, const split_args *args, const tb_model *model, tb_error *err)
{
    const tb_config *c = tb_model_config(model);
    int32_t *text = NULL;
    size_t count;
    tb_arena arena = {0};
    tb_sink_reach *reach = tb_arena_array(&arena, c->blocks, c->kv_heads * sizeof *reach);
    tb_code rc = reach ? tb_cli_read_tokens(&text, &count, model, args->text, TB_TEXT_CALIBRATION, err)
                       : tb_fail(err, TB_ENOMEM, "no memory for %zu heads", c->blocks * c->kv_heads);
    if (!rc)
        rc = find(reach, &arena, cli, args, model, text, count, err);
    tb_free_ids(text);
    tb_arena_clear(&arena);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const split_args *args = untyped;
    tb_model *model;
    if (!args->output)
        return tb_fail_usage(cli, err, "give the file to write with -o");
    tb_code rc = tb_cli_check_output(args->output, err);
    if (!rc)
        rc = tb_cli_open_prefixed(&model, cli, cli->operands.items[0], "none", err);
    if (rc)
        return rc;
    rc = run_on(cli, args, model, err);
    tb_model_close(model);
    return rc;
}

const tb_command tb_command_sink_split = {
    .name = "sink split",
    .summary = "find the heads that read far, and store them",
    .usage = "MODEL -o FILE [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
