// twobit sink super: the single weights through which massive activations are made.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "cli/table.h"

typedef struct super_args {
    const char *prompt;
    double spike;
    uint64_t most;
    bool json;
} super_args;

static const super_args defaults = {.spike = TB_SUPER_SPIKE, .most = TB_SUPER_MOST};

static const tb_option options[] = {
    {"prompt", 'p', TB_OPTION_TEXT, offsetof(super_args, prompt), "TEXT", 0, 0,
     "what the model reads meanwhile (default: the paper's sentence; for a mixture of experts 512 tokens of twobit's "
     "calibration text)"},
    {"spike", 0, TB_OPTION_REAL, offsetof(super_args, spike), "X", 0.001, 1e30,
     "an activation is a spike where its magnitude is above"},
    {"most", 0, TB_OPTION_COUNT, offsetof(super_args, most), "N", 1, 1024, "most weights to look for"},
    {"json", 0, TB_OPTION_FLAG, offsetof(super_args, json), NULL, 0, 0, "print an object"},
    {0},
};

static const char *const examples[] = {
    "twobit sink super model.gguf",
    "the super weights of a model, in a few passes over one sentence",
    "twobit sink super model.gguf --spike 20 --json",
    "also those of smaller spikes, as JSON",
    NULL,
};

static const char notes[] =
    "In the first block where the largest input and the largest output of the down matrix both are spikes, at the "
    "same\n"
    "token, the weight between them is a super weight. It is taken out and the pass repeated until no spike is left.\n"
    "In a mixture of experts super experts are looked for instead: the largest of what each puts out, in one pass.\n"
    "A BOS begins the prompt where the tokenizer's settings add one. Blocks, rows and columns count from 0.\n";

// What was read, as it is called.
static const char *prompt_of(const super_args *args, const tb_model *model)
{
    if (args->prompt)
        return args->prompt;
    return tb_model_config(model)->experts ? "calibration text of twobit" : TB_SUPER_PROMPT;
}

static void print_protocol(const tb_cli *cli, const super_args *args, const tb_model *model, size_t count)
{
    const tb_config *c = tb_model_config(model);
    printf("model      %s: %s, %zu blocks of width %zu, ", tb_sink_model_name(cli->operands.items[0]),
           tb_model_architecture(model), c->blocks, c->width);
    if (c->experts)
        printf("%zu experts%s\n", c->experts, c->shared_width ? " and a shared one" : "");
    else
        printf("feed-forward %zu\n", c->ffn_width);
    printf("protocol   \"%s\": %zu tokens, %s", prompt_of(args, model), count,
           tb_tokenizer_adds_bos(tb_model_tokenizer(model)) ? "BOS in front" : "no BOS");
    if (c->experts)
        printf("\n\n");
    else
        printf("; spikes above %g\n\n", args->spike);
}

static tb_code add_weight(tb_table *table, const tb_super_weight *w, const tb_model *model, tb_error *err)
{
    const double reals[] = {w->weight, w->input, w->output, w->weight * w->input / w->output};
    char number[TB_NUMBER_TEXT], token[TB_SINK_TOKEN_TEXT];
    tb_code rc = tb_table_printf(table, err, "%zu", w->block);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", w->row);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", w->col);
    for (size_t i = 0; i < 3 && !rc; i++)
        rc = tb_table_add(table, tb_text_of_real(number, reals[i]), err);
    if (!rc)
        rc = tb_table_printf(table, err, "%.0f %%", 100 * reals[3]);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", w->position);
    return rc ? rc : tb_table_add(table, tb_sink_token_text(token, model, w->token), err);
}

static void print_largest(const tb_super_result *r)
{
    size_t in = 0, out = 0;
    for (size_t b = 1; b < r->block_count; b++) {
        in = r->blocks[b].input > r->blocks[in].input ? b : in;
        out = r->blocks[b].output > r->blocks[out].output ? b : out;
    }
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    printf("\nlargest input of a down matrix %s (block %zu), largest output %s (block %zu)\n",
           tb_text_of_real(a, r->blocks[in].input), in, tb_text_of_real(b, r->blocks[out].output), out);
}

static tb_code print_text(const tb_super_result *r, const tb_model *model, tb_error *err)
{
    static const tb_column columns[] = {
        {"block", true},  {"row", true},   {"column", true},   {"weight", true}, {"input", true},
        {"output", true}, {"of it", true}, {"position", true}, {"token", false},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < r->count && !rc; i++)
        rc = add_weight(&table, &r->weights[i], model, err);
    if (!rc && r->count)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!r->count)
        printf("no super weights\n");
    if (!r->complete)
        printf("and more (--most)\n");
    print_largest(r);
    return rc;
}

static json_t *make_weight(const tb_super_weight *w)
{
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I}", "block", (json_int_t)w->block, "row",
                     (json_int_t)w->row, "column", (json_int_t)w->col, "weight", tb_json_real(w->weight), "input",
                     tb_json_real(w->input), "output", tb_json_real(w->output), "position", (json_int_t)w->position,
                     "token", (json_int_t)w->token);
}

static tb_code print_json(const tb_cli *cli, const super_args *args, const tb_super_result *r, const tb_model *model,
                          tb_error *err)
{
    const char *path = cli->operands.items[0];
    json_t *weights = json_array(), *blocks = json_array();
    for (size_t i = 0; i < r->count; i++)
        json_array_append_new(weights, make_weight(&r->weights[i]));
    for (size_t b = 0; b < r->block_count; b++)
        json_array_append_new(blocks, json_pack("{s:o, s:o}", "input", tb_json_real(r->blocks[b].input), "output",
                                                tb_json_real(r->blocks[b].output)));
    return tb_json_print(json_pack("{s:o, s:o, s:b, s:o, s:b, s:o, s:o}", "model", tb_json_text(path, strlen(path)),
                                   "prompt", tb_json_text(prompt_of(args, model), strlen(prompt_of(args, model))),
                                   "bos", tb_tokenizer_adds_bos(tb_model_tokenizer(model)), "spike",
                                   tb_json_real(r->spike), "complete", r->complete, "weights", weights, "blocks",
                                   blocks),
                         err);
}

static tb_code search(tb_cli *cli, const super_args *args, const tb_model *model, const int32_t *ids, size_t count,
                      tb_error *err)
{
    tb_super_result result = {0};
    const tb_super_options find = {args->spike, (size_t)args->most, &cli->report};
    tb_code rc = tb_sink_find_super(&result, model, ids, count, &find, err);
    tb_progress_clear(&cli->progress);
    if (!rc && args->json)
        rc = print_json(cli, args, &result, model, err);
    else if (!rc) {
        print_protocol(cli, args, model, count);
        rc = print_text(&result, model, err);
    }
    tb_super_result_clear(&result);
    return rc;
}

// ---- mixtures of experts ----

static size_t count_unseen(const tb_super_experts *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->block_count * r->experts; i++)
        count += r->all[i].rows == 0;
    return count;
}

static tb_code add_expert(tb_table *table, const tb_super_expert *e, const tb_model *model, tb_error *err)
{
    const size_t counts[] = {e->block, e->expert};
    char number[TB_NUMBER_TEXT], token[TB_SINK_TOKEN_TEXT];
    tb_code rc = TB_OK;
    for (size_t i = 0; i < 2 && !rc; i++)
        rc = tb_table_printf(table, err, "%zu", counts[i]);
    if (!rc)
        rc = tb_table_add(table, tb_text_of_real(number, e->output), err);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", e->channel);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", e->rows);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", e->position);
    return rc ? rc : tb_table_add(table, tb_sink_token_text(token, model, e->token), err);
}

static tb_code print_experts(const tb_super_experts *r, const tb_model *model, tb_error *err)
{
    static const tb_column columns[] = {
        {"block", true},  {"expert", true},   {"output", true}, {"channel", true},
        {"tokens", true}, {"position", true}, {"token", false},
    };
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < r->count && !rc; i++)
        rc = add_expert(&table, &r->found[i], model, err);
    if (!rc && r->count)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!r->count)
        printf("no super experts\n");
    printf("\nlargest output of an expert %s; super experts are above %s; %zu of %zu experts saw no token\n",
           tb_text_of_real(a, r->largest), tb_text_of_real(b, r->threshold), count_unseen(r),
           r->block_count * r->experts);
    return rc;
}

static json_t *make_expert(const tb_super_expert *e)
{
    return json_pack("{s:I, s:I, s:o, s:I, s:I, s:I, s:I}", "block", (json_int_t)e->block, "expert",
                     (json_int_t)e->expert, "output", tb_json_real(e->output), "channel", (json_int_t)e->channel,
                     "tokens", (json_int_t)e->rows, "position", (json_int_t)e->position, "token", (json_int_t)e->token);
}

static tb_code print_experts_json(const tb_cli *cli, const super_args *args, const tb_super_experts *r,
                                  const tb_model *model, tb_error *err)
{
    const char *path = cli->operands.items[0], *prompt = prompt_of(args, model);
    json_t *found = json_array(), *outputs = json_array();
    for (size_t i = 0; i < r->count; i++)
        json_array_append_new(found, make_expert(&r->found[i]));
    for (size_t b = 0; b < r->block_count; b++) {
        json_t *block = json_array();
        for (size_t e = 0; e < r->experts; e++)
            json_array_append_new(block, tb_json_real(r->all[b * r->experts + e].output));
        json_array_append_new(outputs, block);
    }
    return tb_json_print(json_pack("{s:o, s:o, s:b, s:o, s:o, s:I, s:o, s:o}", "model",
                                   tb_json_text(path, strlen(path)), "prompt", tb_json_text(prompt, strlen(prompt)),
                                   "bos", tb_tokenizer_adds_bos(tb_model_tokenizer(model)), "threshold",
                                   tb_json_real(r->threshold), "largest", tb_json_real(r->largest), "unseen",
                                   (json_int_t)count_unseen(r), "experts", found, "outputs", outputs),
                         err);
}

static tb_code search_experts(tb_cli *cli, const super_args *args, const tb_model *model, const int32_t *ids,
                              size_t count, tb_error *err)
{
    tb_super_experts result = {0};
    tb_code rc = tb_sink_find_super_experts(&result, model, ids, count, err);
    if (!rc && args->json)
        rc = print_experts_json(cli, args, &result, model, err);
    else if (!rc) {
        print_protocol(cli, args, model, count);
        rc = print_experts(&result, model, err);
    }
    tb_super_experts_clear(&result);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const super_args *args = untyped;
    tb_model *model;
    int32_t *ids = NULL;
    size_t count;
    tb_code rc = tb_cli_open_model(&model, cli, cli->operands.items[0], err);
    if (rc)
        return rc;
    rc = tb_sink_super_tokens(&ids, &count, model, args->prompt, err);
    if (!rc && tb_model_config(model)->experts)
        rc = search_experts(cli, args, model, ids, count, err);
    else if (!rc)
        rc = search(cli, args, model, ids, count, err);
    tb_free_ids(ids);
    tb_model_close(model);
    return rc;
}

const tb_command tb_command_sink_super = {
    .name = "sink super",
    .summary = "find the single weights that make massive activations",
    .usage = "MODEL [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
