// twobit saas report: what came of a model's runs, for programs and for people.
#include <stdio.h>
#include <string.h>

#include "cli/saas_outcome.h"
#include "cli/table.h"

typedef struct report_args {
    tb_saas_args saas;
    tb_saas_result_args result;
    bool json;
} report_args;

static const report_args defaults = {.result = {.max_steps = TB_SAAS_MAX_STEPS}};

static const tb_option options[] = {
    {"json", 0, TB_OPTION_FLAG, offsetof(report_args, json), NULL, 0, 0,
     "print what is in summary.json instead of a table"},
    {0},
};

static const char *const examples[] = {
    "twobit saas report --tasks-dir tasks --result-dir results",
    "writes summary.json, report.md, report.html, results.csv and junit.xml beside the results",
    "twobit saas report --tasks-dir tasks --result-dir results --model org/model --domain Media --json",
    "of one of several models, of one domain, as JSON",
    NULL,
};

static const char notes[] =
    "A task without a result scores 0, as in the official report; the strict numbers beside it leave out what broke\n"
    "outside the agent and do not count what is doubtful.\n";

static tb_code add_row(tb_table *table, const tb_metrics *m, const tb_task_group *g, tb_error *err)
{
    tb_code rc = tb_table_add(table, g->name, err);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", g->tasks);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", g->best);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", g->passes[m->results->runs - 1]);
    return rc ? rc : tb_table_printf(table, err, "%.1f", g->steps.mean);
}

static tb_code print_table(const tb_metrics *m, tb_error *err)
{
    static const tb_column columns[] = {
        {"domain", false}, {"tasks", true}, {"best score", true}, {"passed", true}, {"steps", true}};
    const tb_task_group all = {"all", m->results->tasks->count, m->passes, m->best, m->checkpoint, m->task_steps};
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < m->domain_count && !rc; i++)
        rc = add_row(&table, m, &m->domains[i], err);
    if (!rc)
        rc = add_row(&table, m, &all, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc)
        printf("\nstrictly: score %.3f, %zu of %zu runs resolved; %zu suspicious, %zu broken outside the agent\n",
               m->strict.score, m->strict.resolved, m->strict.runs, m->strict.suspicious, m->strict.errors);
    return rc;
}

static tb_code print_summary(const tb_saas_report *report, tb_error *err)
{
    tb_str text = {0};
    tb_code rc = tb_report_append_summary(&text, report, err);
    if (!rc)
        fputs(text.data, stdout);
    tb_str_clear(&text);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const report_args *args = untyped;
    tb_saas_outcome o;
    tb_code rc =
        tb_saas_outcome_init(&o, cli, &args->saas, &args->result, args->result.result_dir, &cli->operands, err);
    if (rc)
        return rc;
    rc = tb_report_write(&o.report, o.folder.data, err);
    if (!rc)
        rc = args->json ? print_summary(&o.report, err) : print_table(&o.metrics, err);
    if (!rc)
        tb_report_note(&cli->report, TB_NOTE_INFO, "the report is in '%s'", o.folder.data);
    tb_saas_outcome_clear(&o);
    return rc;
}

const tb_command tb_command_saas_report = {
    .name = "saas report",
    .summary = "sum up a model's results: tables, pages, files for programs",
    .usage = "--tasks-dir DIR --result-dir DIR [TASK...] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 0,
    .most_operands = SIZE_MAX,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_saas_task_table, offsetof(report_args, saas)},
               {tb_saas_result_table, offsetof(report_args, result)}},
    .run = run,
};
