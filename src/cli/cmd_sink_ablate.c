// twobit sink ablate: what happens to a model without its sinks.
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "cli/sink_score.h"
#include "cli/table.h"

static const tb_option no_options[] = {{0}};

static const char *const examples[] = {
    "twobit sink ablate model.gguf --sequences 16",
    "sixteen experiments on causes: what the model predicts, and where its sinks are, without one thing",
    "twobit sink ablate model.gguf --bos never --ctx 256 --sequences 4 --json",
    "in longer sequences without a BOS, as JSON",
    NULL,
};

static const char notes[] =
    "Each experiment changes one thing in the forward pass and leaves the model as it is. Predictions at positions\n"
    "1 ... T-2 are scored: perplexity, its ratio to the untouched model's, KL divergence from it. Sink_0, Sink_* and "
    "the\n"
    "first-token share are as in 'sink map', max |h| as in 'sink massive'. α_T/4: mean weight of position T/4 in the\n"
    "blocks behind the emergence, where 'move' puts the first token's stream.\n";

// ---- text ----

static const char *text_of_ratio(char out[TB_NUMBER_TEXT], const tb_ablation *a, bool first)
{
    if (first)
        return "";
    if (a->identical)
        return "same bits";
    return tb_text_of_real(out, a->ratio);
}

static tb_code add_map(tb_table *table, const tb_ablation *a, tb_error *err)
{
    tb_code rc = tb_table_printf(table, err, "%.1f %%", 100 * a->sink);
    if (!rc)
        rc = tb_table_printf(table, err, "%.1f %%", 100 * a->anywhere);
    if (!rc)
        rc = tb_table_printf(table, err, "%.1f %%", 100 * a->share);
    return rc ? rc : tb_table_printf(table, err, "%.3f", a->moved);
}

enum { FIGURES = 8, MAP_FIGURES = 4 };

static tb_code add_nothing(tb_table *table, size_t cells, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < cells && !rc; i++)
        rc = tb_table_add(table, "-", err);
    return rc;
}

static tb_code add_row(tb_table *table, const tb_ablation *a, tb_ablation_kind kind, tb_error *err)
{
    char number[TB_NUMBER_TEXT];
    tb_code rc = tb_table_add(table, tb_ablation_id(kind), err);
    if (!rc && a->objects)
        rc = tb_table_printf(table, err, "%s (%zu)", tb_ablation_name(kind), a->objects);
    else if (!rc)
        rc = tb_table_add(table, tb_ablation_name(kind), err);
    if (rc || !a->ran)
        return rc ? rc : add_nothing(table, FIGURES, err);
    rc = tb_table_add(table, tb_text_of_real(number, exp(a->nll)), err);
    if (!rc)
        rc = tb_table_add(table, text_of_ratio(number, a, kind == TB_ABLATE_NOTHING), err);
    if (!rc)
        rc = tb_table_printf(table, err, "%.4f", a->kl);
    if (!rc)
        rc = tb_table_add(table, tb_text_of_real(number, a->largest), err);
    if (rc)
        return rc;
    return a->has_map ? add_map(table, a, err) : add_nothing(table, MAP_FIGURES, err);
}

static tb_code print_text(const tb_ablation_result *r, tb_error *err)
{
    static const tb_column columns[] = {
        {"", false},       {"what is changed", false}, {"perplexity", true}, {"times", true},      {"KL", true},
        {"max |h|", true}, {"Sink_0", true},           {"Sink_*", true},     {"share of 0", true}, {"α_T/4", true},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (unsigned k = 0; k < TB_ABLATIONS && !rc; k++)
        rc = add_row(&table, &r->rows[k], (tb_ablation_kind)k, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (r->emergence)
        printf("\nmassive activations emerge at stage %zu\n", r->emergence);
    else
        printf("\nthere are no massive activations\n");
    return rc;
}

// ---- JSON ----

static json_t *make_row(const tb_ablation *a, tb_ablation_kind kind)
{
    json_t *row = json_pack("{s:s, s:s, s:b, s:I}", "id", tb_ablation_id(kind), "name", tb_ablation_name(kind), "ran",
                            a->ran, "objects", (json_int_t)a->objects);
    if (a->ran)
        json_object_update_new(row, json_pack("{s:o, s:o, s:o, s:I, s:b, s:o}", "perplexity", tb_json_real(exp(a->nll)),
                                              "ratio", tb_json_real(a->ratio), "kl", tb_json_real(a->kl), "broken",
                                              (json_int_t)a->broken, "identical", a->identical, "largest",
                                              tb_json_real(a->largest)));
    if (a->ran && a->has_map)
        json_object_update_new(row, json_pack("{s:o, s:o, s:o, s:o}", "sink_0", tb_json_real(a->sink), "sink_any",
                                              tb_json_real(a->anywhere), "first_share", tb_json_real(a->share),
                                              "alpha_moved", tb_json_real(a->moved)));
    return row;
}

static json_t *make_ablate(const tb_ablation_result *r)
{
    json_t *rows = json_array();
    for (unsigned k = 0; k < TB_ABLATIONS; k++)
        json_array_append_new(rows, make_row(&r->rows[k], (tb_ablation_kind)k));
    return json_pack("{s:o, s:I, s:o}", "emergence",
                     r->emergence ? json_integer((json_int_t)r->emergence) : json_null(), "predictions",
                     (json_int_t)r->predictions, "rows", rows);
}

// ---- the command ----

static tb_code show(const tb_sink_job *job, const tb_ablation_result *r, double seconds, tb_error *err)
{
    const tb_sink_result protocol = {
        .ctx = r->ctx, .registers = r->registers, .sequences = r->sequences, .bos = r->bos, .epsilon = r->epsilon};
    if (job->args->json)
        return tb_sink_print_json(job, &protocol, seconds, "ablate", make_ablate(r), NULL, err);
    tb_sink_print_protocol(job, &protocol, seconds);
    return print_text(r, err);
}

static tb_code run(tb_cli *cli, const void *args, tb_error *err)
{
    tb_sink_job job;
    tb_ablation_result result;
    double start = tb_clock_seconds();
    tb_code rc = tb_sink_job_init(&job, cli, args, err);
    if (!rc)
        rc = tb_sink_ablate(&result, job.model, &job.options, tb_sink_score, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = show(&job, &result, tb_clock_seconds() - start, err);
    tb_sink_job_clear(&job);
    return rc;
}

const tb_command tb_command_sink_ablate = {
    .name = "sink ablate",
    .summary = "show what happens without the sinks: experiments on causes",
    .usage = "MODEL [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = no_options,
    .defaults = &tb_sink_args_default,
    .args_size = sizeof tb_sink_args_default,
    .shared = {{tb_sink_protocol_table, 0}},
    .run = run,
};
