// twobit sink positions: which tokens become sinks.
#include <jansson.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/sink_args.h"
#include "cli/sink_plot.h"
#include "cli/table.h"

static const char *const examples[] = {
    "twobit sink positions model.gguf",
    "whether only the first token is a sink, and which others are",
    "twobit sink positions model.gguf --ctx 512 --plot positions.svg",
    "in longer sequences, with a histogram of the positions",
    NULL,
};

static const char notes[] =
    "A token is a sink where the queries of some head give it more than ε on average; massive, where its residual\n"
    "stream has a massive activation at some stage. Heads are counted in the first, middle and last third of the "
    "blocks.\n";

enum { MOST_SHOWN = 15 };

static tb_code add_spot(tb_table *table, const tb_sink_spot *s, const char *token, tb_error *err)
{
    const size_t counts[] = {s->seen, s->sinks, s->massive};
    double times = s->sinks ? (double)s->sinks : 1;
    tb_code rc = tb_table_add(table, token, err);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && !rc; i++)
        rc = tb_table_printf(table, err, "%zu", counts[i]);
    for (size_t band = 0; band < TB_SINK_BANDS && !rc; band++)
        rc = tb_table_printf(table, err, "%.1f", (double)s->heads[band] / times);
    return rc ? rc : tb_table_printf(table, err, "%.1f", s->position);
}

static tb_code print_spots(const tb_sink_positions *p, const tb_model *model, tb_error *err)
{
    static const tb_column columns[] = {
        {"\ntoken", false},
        {"\nseen", true},
        {"\na sink", true},
        {"\nmassive", true},
        {"heads, first\nthird", true},
        {"\nmiddle", true},
        {"\nlast", true},
        {"mean\nposition", true},
    };
    char token[TB_SINK_TOKEN_TEXT];
    tb_table table;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    tb_code rc = add_spot(&table, &p->first, "the first", err);
    for (size_t i = 0; i < p->token_count && i < MOST_SHOWN && !rc; i++)
        rc = add_spot(&table, &p->tokens[i], tb_sink_token_text(token, model, p->tokens[i].token), err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (p->token_count > MOST_SHOWN)
        printf("and %zu more (--json has them)\n", p->token_count - MOST_SHOWN);
    return rc;
}

static void print_class(const tb_sink_result *r)
{
    const tb_sink_positions *p = &r->positions;
    printf("\nfirst token a sink in %zu of %zu sequences; %.2f other sinks a sequence: %s\n", p->first.sinks,
           r->sequences, (double)p->others / (double)r->sequences, tb_sink_class_name(tb_sink_class_of(r)));
}

static tb_code print_positions(const tb_model *model, const tb_sink_result *r, tb_error *err)
{
    tb_code rc = print_spots(&r->positions, model, err);
    if (!rc)
        print_class(r);
    return rc;
}

static json_t *make_spot(const tb_sink_spot *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:[I, I, I], s:o}", "token", (json_int_t)s->token, "seen",
                     (json_int_t)s->seen, "sinks", (json_int_t)s->sinks, "massive", (json_int_t)s->massive, "heads",
                     (json_int_t)s->heads[0], (json_int_t)s->heads[1], (json_int_t)s->heads[2], "position",
                     tb_json_real(s->position));
}

static json_t *make_counts(const size_t *counts, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer((json_int_t)counts[i]));
    return list;
}

static json_t *make_positions(const tb_sink_result *r)
{
    const tb_sink_positions *p = &r->positions;
    json_t *tokens = json_array();
    for (size_t i = 0; i < p->token_count; i++)
        json_array_append_new(tokens, make_spot(&p->tokens[i]));
    return json_pack("{s:s, s:o, s:I, s:o, s:o, s:o}", "class", tb_sink_class_name(tb_sink_class_of(r)), "first",
                     make_spot(&p->first), "others", (json_int_t)p->others, "tokens", tokens, "sinks_at",
                     make_counts(p->sinks, r->rows), "massive_at", make_counts(p->massive, r->rows));
}

static const tb_sink_view view = {
    .what = TB_SINK_WHAT_POSITIONS,
    .key = "positions",
    .make = make_positions,
    .print = print_positions,
    .plot = tb_sink_plot_positions,
};

static tb_code run(tb_cli *cli, const void *args, tb_error *err)
{
    return tb_sink_run(cli, args, &view, err);
}

const tb_command tb_command_sink_positions = {
    .name = "sink positions",
    .summary = "show which tokens become sinks",
    .usage = "MODEL [--plot FILE] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = tb_sink_option_table,
    .defaults = &tb_sink_args_default,
    .args_size = sizeof tb_sink_args_default,
    .shared = {{tb_sink_protocol_table, 0}},
    .run = run,
};
