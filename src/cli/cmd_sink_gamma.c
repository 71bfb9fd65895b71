// twobit sink gamma: what more or less attention on the first token does.
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "cli/sink_score.h"
#include "cli/table.h"

typedef struct gamma_args {
    tb_sink_args sink;
    const char *gammas;
} gamma_args;

static const gamma_args defaults = {
    .sink = TB_SINK_ARGS_DEFAULTS,
    .gammas = "0,0.3,0.6,1,1.5,2,3",
};

static const tb_option options[] = {
    {"gammas", 0, TB_OPTION_TEXT, offsetof(gamma_args, gammas), "LIST", 0, 0,
     "the factors (default 0,0.3,0.6,1,1.5,2,3)"},
    {0},
};

static const char *const examples[] = {
    "twobit sink gamma model.gguf --ctx 512 --sequences 8",
    "perplexity and entropy of the output over the factor of the first token's weight",
    "twobit sink gamma small.gguf --gammas 0.8,0.9,1,1.1,1.25 --text wiki.test.raw --json",
    "a finer grid on another text, as JSON",
    NULL,
};

static const char notes[] =
    "A factor multiplies the weight of the first token in every head, before weights are made to sum to 1: what\n"
    "--sink-gamma of run, chat and perplexity does. Predictions at positions 1 ... T-2 are scored. 'more' is what the\n"
    "untouched model does not have, with its standard error over the sequences; KL is from the untouched model.\n"
    "Without a text to be right about, ZeroTuning takes the factor of the least entropy.\n";

static tb_code add_row(tb_table *table, double gamma, const tb_sink_trial *trial, tb_error *err)
{
    char number[TB_NUMBER_TEXT];
    tb_code rc = tb_table_printf(table, err, "%g", gamma);
    if (!rc)
        rc = tb_table_add(table, tb_text_of_real(number, exp(trial->nll)), err);
    if (!rc)
        rc = tb_sink_add_more(table, trial, err);
    if (!rc)
        rc = tb_table_printf(table, err, "%.4f", trial->kl);
    return rc ? rc : tb_table_printf(table, err, "%.4f", trial->entropy);
}

static tb_code print_text(const tb_gamma_result *r, const double *gammas, tb_error *err)
{
    static const tb_column columns[] = {
        {"factor", true}, {"perplexity", true}, {"more, nats", true}, {"KL", true}, {"entropy of the output", true},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < r->count && !rc; i++)
        rc = add_row(&table, gammas[i], &r->trials[i], err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc)
        printf("\nleast perplexity with %g, least entropy of the output with %g\n", gammas[r->least_nll],
               gammas[r->least_entropy]);
    return rc;
}

static json_t *make_gamma(const tb_gamma_result *r, const double *gammas)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < r->count; i++) {
        json_t *row = tb_sink_make_trial(&r->trials[i]);
        json_object_set_new(row, "gamma", tb_json_real(gammas[i]));
        json_array_append_new(rows, row);
    }
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "predictions", (json_int_t)r->protocol.predictions, "untouched",
                     tb_sink_make_trial(r->untouched), "least_perplexity", tb_json_real(gammas[r->least_nll]),
                     "least_entropy", tb_json_real(gammas[r->least_entropy]), "rows", rows);
}

static tb_code show(const tb_sink_job *job, const tb_gamma_result *r, const double *gammas, double seconds,
                    tb_error *err)
{
    const tb_sink_result protocol = tb_sink_protocol_result(job, &r->protocol);
    if (job->args->json)
        return tb_sink_print_json(job, &protocol, seconds, "gamma", make_gamma(r, gammas), NULL, err);
    tb_sink_print_protocol(job, &protocol, seconds);
    return print_text(r, gammas, err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const gamma_args *args = untyped;
    tb_sink_job job = {0};
    tb_gamma_result result = {0};
    double gammas[TB_CLI_MOST_VALUES], start = tb_clock_seconds();
    size_t count;
    tb_code rc = tb_cli_parse_reals(gammas, &count, cli, "gammas", args->gammas, err);
    for (size_t i = 0; i < count && !rc; i++)
        if (!(gammas[i] >= 0 && gammas[i] <= TB_MOST_GAMMA))
            rc = tb_fail_usage(cli, err, "option '--gammas': %g is no factor; it is at least 0 and at most %g",
                               gammas[i], TB_MOST_GAMMA);
    if (!rc)
        rc = tb_sink_job_init(&job, cli, &args->sink, err);
    if (!rc)
        rc = tb_sink_sweep_gamma(&result, job.model, gammas, count, &job.options, tb_sink_score, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = show(&job, &result, gammas, tb_clock_seconds() - start, err);
    tb_gamma_result_clear(&result);
    tb_sink_job_clear(&job);
    return rc;
}

const tb_command tb_command_sink_gamma = {
    .name = "sink gamma",
    .summary = "show what more or less attention on the first token does",
    .usage = "MODEL [--gammas LIST] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_sink_protocol_table, offsetof(gamma_args, sink)}},
    .run = run,
};
