// twobit sink prune: which heads a model can do without.
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "cli/sink_score.h"
#include "cli/table.h"

typedef struct prune_args {
    tb_sink_args sink;
    const char *shares;
} prune_args;

static const prune_args defaults = {
    .sink = TB_SINK_ARGS_DEFAULTS,
    .shares = "0.02,0.05,0.1,0.2",
};

static const tb_option options[] = {
    {"shares", 0, TB_OPTION_TEXT, offsetof(prune_args, shares), "LIST", 0, 0,
     "shares of the heads to take out (default 0.02,0.05,0.1,0.2)"},
    {0},
};

static const char *const examples[] = {
    "twobit sink prune model.gguf --ctx 256 --sequences 8",
    "perplexity without 2, 5, 10 and 20 % of the heads: those that rest at the first token, those of small weights, "
    "random ones",
    "twobit sink prune model.gguf --shares 0.3 --text wiki.test.raw --json",
    "another share on another text, as JSON",
    NULL,
};

static const char notes[] =
    "Heads give 0, in three orders. sink: those with the largest first-token share come first, as 'sink map' measures\n"
    "it on the same sequences; 'least share' is that of the last of them, and above 0.9 a head is dormant. norm: "
    "those\n"
    "with the smallest norm of their part of the output matrix. random: three draws by --seed, the mean and the\n"
    "deviation of the three. 'more' is nats per prediction that the untouched model does not have, with its standard\n"
    "error over the sequences.\n";

// ---- text ----

static tb_code add_point(tb_table *table, const tb_prune_point *p, size_t all, tb_error *err)
{
    tb_code rc = tb_table_printf(table, err, "%zu", p->heads);
    if (!rc)
        rc = tb_table_printf(table, err, "%.1f %%", 100 * (double)p->heads / (double)all);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", p->least);
    for (unsigned k = 0; k < TB_PRUNE_ORDERS && !rc; k++)
        rc = tb_sink_add_more(table, &p->trials[k], err);
    return rc;
}

static tb_code print_text(const tb_prune_result *r, tb_error *err)
{
    static const tb_column columns[] = {
        {"heads", true},        {"of all", true},       {"least share", true},
        {"more by sink", true}, {"more by norm", true}, {"more by chance", true},
    };
    char number[TB_NUMBER_TEXT];
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < r->count && !rc; i++)
        rc = add_point(&table, &r->points[i], r->heads, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc)
        printf("\n%zu of %zu heads are dormant; perplexity of the untouched model %s\n", r->dormant, r->heads,
               tb_text_of_real(number, exp(r->untouched.nll)));
    return rc;
}

// ---- JSON ----

static json_t *make_prune(const tb_prune_result *r)
{
    json_t *points = json_array();
    for (size_t i = 0; i < r->count; i++) {
        const tb_prune_point *p = &r->points[i];
        json_t *point = json_pack("{s:I, s:o}", "heads", (json_int_t)p->heads, "least_share", tb_json_real(p->least));
        for (unsigned k = 0; k < TB_PRUNE_ORDERS; k++)
            json_object_set_new(point, tb_prune_order_name((tb_prune_order)k), tb_sink_make_trial(&p->trials[k]));
        json_array_append_new(points, point);
    }
    return json_pack("{s:I, s:I, s:I, s:o, s:o}", "predictions", (json_int_t)r->protocol.predictions, "heads",
                     (json_int_t)r->heads, "dormant", (json_int_t)r->dormant, "untouched",
                     tb_sink_make_trial(&r->untouched), "points", points);
}

// ---- the command ----

static tb_code show(const tb_sink_job *job, const tb_prune_result *r, double seconds, tb_error *err)
{
    const tb_sink_result protocol = tb_sink_protocol_result(job, &r->protocol);
    if (job->args->json)
        return tb_sink_print_json(job, &protocol, seconds, "prune", make_prune(r), NULL, err);
    tb_sink_print_protocol(job, &protocol, seconds);
    return print_text(r, err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const prune_args *args = untyped;
    tb_sink_job job = {0};
    tb_prune_result result = {0};
    double shares[TB_CLI_MOST_VALUES], start = tb_clock_seconds();
    size_t count;
    tb_code rc = tb_cli_parse_reals(shares, &count, cli, "shares", args->shares, err);
    for (size_t i = 0; i < count && !rc; i++)
        if (!(shares[i] > 0 && shares[i] < 1))
            rc = tb_fail_usage(cli, err, "option '--shares': %g is no share of the heads; it is above 0 and below 1",
                               shares[i]);
    if (!rc)
        rc = tb_sink_job_init(&job, cli, &args->sink, err);
    if (!rc)
        rc = tb_sink_prune(&result, job.model, shares, count, &job.options, tb_sink_score, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = show(&job, &result, tb_clock_seconds() - start, err);
    tb_prune_result_clear(&result);
    tb_sink_job_clear(&job);
    return rc;
}

const tb_command tb_command_sink_prune = {
    .name = "sink prune",
    .summary = "show which heads the model can do without",
    .usage = "MODEL [--shares LIST] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_sink_protocol_table, offsetof(prune_args, sink)}},
    .run = run,
};
