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

static const super_args defaults = {.prompt = TB_SUPER_PROMPT, .spike = TB_SUPER_SPIKE, .most = TB_SUPER_MOST};

static const tb_option options[] = {
    {"prompt", 'p', TB_OPTION_TEXT, offsetof(super_args, prompt), "TEXT", 0, 0, "what the model reads meanwhile"},
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
    "A BOS begins the prompt where the tokenizer's settings add one. Blocks, rows and columns count from 0.\n";

static void print_protocol(const tb_cli *cli, const super_args *args, const tb_model *model, size_t count)
{
    const tb_config *c = tb_model_config(model);
    printf("model      %s: %s, %zu blocks of width %zu, feed-forward %zu\n", tb_sink_model_name(cli->operands.items[0]),
           tb_model_architecture(model), c->blocks, c->width, c->ffn_width);
    printf("protocol   \"%s\": %zu tokens, %s; spikes above %g\n\n", args->prompt, count,
           tb_tokenizer_adds_bos(tb_model_tokenizer(model)) ? "BOS in front" : "no BOS", args->spike);
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
                                   "prompt", tb_json_text(args->prompt, strlen(args->prompt)), "bos",
                                   tb_tokenizer_adds_bos(tb_model_tokenizer(model)), "spike", tb_json_real(r->spike),
                                   "complete", r->complete, "weights", weights, "blocks", blocks),
                         err);
}

static tb_code search(tb_cli *cli, const super_args *args, const tb_model *model, tb_error *err)
{
    int32_t *ids = NULL;
    size_t count;
    tb_super_result result = {0};
    const tb_super_options find = {args->spike, (size_t)args->most, &cli->report};
    tb_code rc = tb_model_tokenize(model, args->prompt, strlen(args->prompt), TB_TOKENIZE_BOS, &ids, &count, err);
    if (!rc)
        rc = tb_sink_find_super(&result, model, ids, count, &find, err);
    tb_progress_clear(&cli->progress);
    if (!rc && args->json)
        rc = print_json(cli, args, &result, model, err);
    else if (!rc) {
        print_protocol(cli, args, model, count);
        rc = print_text(&result, model, err);
    }
    tb_super_result_clear(&result);
    tb_free_ids(ids);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    tb_model *model;
    tb_code rc = tb_cli_open_model(&model, cli, cli->operands.items[0], err);
    if (rc)
        return rc;
    rc = search(cli, untyped, model, err);
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
