// twobit saas compare: two results of the same tasks, task by task.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/json_out.h"
#include "cli/saas_outcome.h"
#include "cli/table.h"

typedef struct compare_args {
    tb_saas_args saas;
    bool json;
} compare_args;

static const compare_args defaults;

static const tb_option options[] = {
    {"json", 0, TB_OPTION_FLAG, offsetof(compare_args, json), NULL, 0, 0,
     "print an object: first, second, all, domains, tasks, left_out"},
    {0},
};

static const char *const examples[] = {
    "twobit saas compare results/model-a results/model-b --tasks-dir tasks",
    "which is better, by how much, and how sure that is",
    NULL,
};

static const char notes[] =
    "A and B are folders of results. Compared are mean scores over the runs of each task, over the tasks that have a\n"
    "result in both: the difference B - A with the 95 % interval of the bootstrap over tasks, and the sign test.\n"
    "Differences of single runs are noise: more runs of each task make the interval narrower.\n";

// ---- as JSON ----

static json_t *make_pairing(const tb_pairing *p)
{
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "tasks", (json_int_t)p->tasks, "first",
                     tb_json_real(p->first), "second", tb_json_real(p->second), "difference",
                     tb_json_real(p->difference.mean), "low", tb_json_real(p->difference.low), "high",
                     tb_json_real(p->difference.high), "better", (json_int_t)p->better, "worse", (json_int_t)p->worse,
                     "same", (json_int_t)p->same, "p_value", tb_json_real(p->p_value));
}

static json_t *make_tasks(const tb_saas_comparison *c)
{
    json_t *tasks = json_array();
    for (size_t i = 0; i < c->first->results->tasks->count; i++)
        if (c->paired[i])
            json_array_append_new(tasks, json_pack("{s:s, s:o, s:o}", "task_id", c->first->tallies[i].task->id, "first",
                                                   tb_json_real(c->first->tallies[i].mean), "second",
                                                   tb_json_real(c->second->tallies[i].mean)));
    return tasks;
}

static tb_code print_json(const tb_saas_comparison *c, const tb_saas_outcome *first, const tb_saas_outcome *second,
                          tb_error *err)
{
    json_t *domains = json_object();
    for (size_t i = 0; i < c->domain_count; i++)
        json_object_set_new(domains, c->domains[i].name, make_pairing(&c->domains[i]));
    return tb_json_print(json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "first",
                                   tb_json_text(first->model.data, first->model.size), "second",
                                   tb_json_text(second->model.data, second->model.size), "all", make_pairing(&c->all),
                                   "domains", domains, "tasks", make_tasks(c), "left_out", (json_int_t)c->unpaired),
                         err);
}

// ---- for people ----

static tb_code add_row(tb_table *table, const tb_pairing *p, tb_error *err)
{
    tb_code rc = tb_table_add(table, p->name ? p->name : "all", err);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", p->tasks);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", p->first);
    if (!rc)
        rc = tb_table_printf(table, err, "%.3f", p->second);
    if (!rc)
        rc = tb_table_printf(table, err, "%+.3f", p->difference.mean);
    if (!rc)
        rc = tb_table_printf(table, err, "%+.3f … %+.3f", p->difference.low, p->difference.high);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu / %zu / %zu", p->better, p->worse, p->same);
    return rc ? rc : tb_table_printf(table, err, "%.3f", p->p_value);
}

static tb_code print_table(const tb_saas_comparison *c, const tb_saas_outcome *first, const tb_saas_outcome *second,
                           tb_error *err)
{
    static const tb_column columns[] = {{"\ndomain", false},
                                        {"\ntasks", true},
                                        {"score\nof A", true},
                                        {"score\nof B", true},
                                        {"\nB - A", true},
                                        {"\n95 % interval", true},
                                        {"better / worse\n/ same", true},
                                        {"sign\ntest p", true}};
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < c->domain_count && !rc; i++)
        rc = add_row(&table, &c->domains[i], err);
    if (!rc)
        rc = add_row(&table, &c->all, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc)
        printf("\nA: %s, runs of each task: %zu; B: %s, %zu; tasks left out: %zu\n", tb_str_get(&first->model),
               first->results.runs, tb_str_get(&second->model), second->results.runs, c->unpaired);
    return rc;
}

static tb_code compare(const tb_saas_outcome *first, const tb_saas_outcome *second, const compare_args *args,
                       tb_error *err)
{
    tb_saas_comparison c;
    tb_code rc = tb_saas_compare(&c, &first->metrics, &second->metrics, err);
    if (rc)
        return rc;
    rc = args->json ? print_json(&c, first, second, err) : print_table(&c, first, second, err);
    tb_saas_comparison_clear(&c);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const compare_args *args = untyped;
    const tb_saas_result_args own = {.max_steps = TB_SAAS_MAX_STEPS};
    tb_saas_outcome first = {0}, second = {0};
    if (cli->operands.count < 2)
        return tb_fail_usage(cli, err, "give two folders of results");
    tb_code rc = tb_saas_outcome_init(&first, cli, &args->saas, &own, cli->operands.items[0], NULL, err);
    if (!rc)
        rc = tb_saas_outcome_init(&second, cli, &args->saas, &own, cli->operands.items[1], NULL, err);
    if (!rc)
        rc = compare(&first, &second, args, err);
    tb_saas_outcome_clear(&first);
    tb_saas_outcome_clear(&second);
    return rc;
}

const tb_command tb_command_saas_compare = {
    .name = "saas compare",
    .summary = "compare two results of the same tasks, task by task",
    .usage = "A B --tasks-dir DIR [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 0,
    .most_operands = 2,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_saas_task_table, offsetof(compare_args, saas)}},
    .run = run,
};
