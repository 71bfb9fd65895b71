// twobit saas facts: what is known of tasks without any agent.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json_out.h"
#include "cli/saas_args.h"
#include "cli/table.h"

typedef struct facts_args {
    tb_saas_args saas;
    tb_saas_empty_slot_args empty_slot;
    const char *output;
    bool json;
} facts_args;

static const facts_args defaults = {.empty_slot = {.workers = TB_SAAS_WORKERS}};

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(facts_args, output), "FILE", 0, 0,
     "also write the facts of each task: task-facts.json, which reports compare with"},
    {"json", 0, TB_OPTION_FLAG, offsetof(facts_args, json), NULL, 0, 0, "print an object: checks, points, mean_score"},
    {0},
};

static const char *const examples[] = {
    "twobit saas facts --tasks-dir tasks",
    "how many checks and points each task has, and what doing nothing earns",
    "twobit saas facts --tasks-dir tasks -o tasks/task-facts.json",
    "kept for reports, which find there what a result has lost",
    NULL,
};

static const char notes[] =
    "Runs every verifier on a slot in which nothing runs: 'docker' answers that there is no such container, no port\n"
    "listens, and no model judges. What a verifier prints then are all its checks, unless it gave up before.\n";

static tb_code add_row(tb_table *table, const tb_task *task, const tb_fact *fact, tb_error *err)
{
    tb_code rc = tb_table_add(table, task->id, err);
    if (!rc)
        rc = tb_table_add(table, task->domain, err);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", fact->checks);
    if (!rc)
        rc = tb_table_printf(table, err, "%llu", (unsigned long long)fact->points);
    if (!rc)
        rc = tb_table_printf(table, err, "%llu", (unsigned long long)fact->earned);
    return rc ? rc
              : tb_table_add(table,
                             fact->complete ? ""
                             : fact->checks ? "gave up early"
                                            : tb_verdict_status_name(fact->status),
                             err);
}

static tb_code print_table(const tb_tasks *tasks, const tb_facts *facts, tb_error *err)
{
    static const tb_column columns[] = {
        {"task", false}, {"domain", false}, {"checks", true}, {"points", true}, {"for nothing", true}, {"", false},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < facts->count && !rc; i++)
        rc = add_row(&table, &tasks->items[i], &facts->items[i], err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc) {
        tb_facts_sum sum = tb_facts_add_up(facts);
        printf("\n%zu tasks, %zu checks, %llu points; doing nothing scores %.5f\n", facts->count, sum.checks,
               (unsigned long long)sum.points, sum.mean_score);
    }
    return rc;
}

static tb_code print_json(const tb_facts *facts, tb_error *err)
{
    tb_facts_sum sum = tb_facts_add_up(facts);
    char score[32];
    snprintf(score, sizeof score, "%.5f", sum.mean_score); // five decimals are what is compared
    return tb_json_print(json_pack("{s:I, s:I, s:f}", "checks", (json_int_t)sum.checks, "points",
                                   (json_int_t)sum.points, "mean_score", strtod(score, NULL)),
                         err);
}

static tb_code measure(const tb_saas_job *job, tb_cli *cli, const facts_args *args, tb_error *err)
{
    tb_facts facts = {0};
    tb_code rc = args->output ? tb_cli_check_output(args->output, err) : TB_OK;
    if (!rc)
        rc = tb_saas_measure_facts(&facts, job, cli, &args->empty_slot, err);
    if (!rc && args->output)
        rc = tb_facts_write(&facts, args->output, err);
    if (!rc)
        rc = args->json ? print_json(&facts, err) : print_table(&job->tasks, &facts, err);
    tb_facts_clear(&facts);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const facts_args *args = untyped;
    tb_saas_job job;
    tb_code rc = tb_saas_job_init(&job, cli, &args->saas, &cli->operands, err);
    if (rc)
        return rc;
    rc = tb_saas_need_apps(&job, cli, err);
    if (!rc)
        rc = measure(&job, cli, args, err);
    tb_saas_job_clear(&job);
    return rc;
}

const tb_command tb_command_saas_facts = {
    .name = "saas facts",
    .summary = "count the checks and points of tasks, and what doing nothing earns",
    .usage = "--tasks-dir DIR [TASK...] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 0,
    .most_operands = SIZE_MAX,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_saas_task_table, offsetof(facts_args, saas)},
               {tb_saas_empty_slot_table, offsetof(facts_args, empty_slot)}},
    .run = run,
};
