// twobit saas list: the tasks in a folder, and what each says to the agent.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/json_out.h"
#include "cli/saas_args.h"
#include "cli/table.h"

typedef struct list_args {
    tb_saas_args saas;
    const char *show, *hostname;
    uint64_t slot;
    bool json;
} list_args;

static const list_args defaults = {.hostname = "localhost"};

static const tb_option options[] = {
    {"show", 0, TB_OPTION_TEXT, offsetof(list_args, show), "WHAT", 0, 0,
     "print what the agent reads instead: prompt or todo"},
    {"slot", 0, TB_OPTION_COUNT, offsetof(list_args, slot), "N", 0, 888, "the slot whose addresses are in the prompt"},
    {"hostname", 0, TB_OPTION_TEXT, offsetof(list_args, hostname), "NAME", 0, 0, "the host of these addresses"},
    {"json", 0, TB_OPTION_FLAG, offsetof(list_args, json), NULL, 0, 0, "print an object: tasks"},
    {0},
};

static const char *const examples[] = {
    "twobit saas list --tasks-dir tasks",
    "every task: domain, applications, steps, inputs",
    "twobit saas list --tasks-dir tasks --domain Media --json",
    "those of one domain, as JSON",
    "twobit saas list --tasks-dir tasks media_066 --show prompt",
    "what the agent is asked to do",
    NULL,
};

// ---- as JSON ----

static tb_code add_step(void *steps, tb_text step, tb_error *err)
{
    return json_array_append_new(steps, tb_json_text(step.data, step.size))
               ? tb_fail(err, TB_ENOMEM, "no memory for the result")
               : TB_OK;
}

static json_t *make_inputs(const tb_task *task)
{
    json_t *inputs = json_array();
    for (size_t i = 0; i < task->input_count; i++) {
        const tb_task_input *input = &task->inputs[i];
        json_array_append_new(inputs,
                              json_pack("{s:o, s:o, s:o, s:o}", "file", tb_json_text(input->file, strlen(input->file)),
                                        "type", tb_json_text(input->type, strlen(input->type)), "role",
                                        tb_json_text(input->role, strlen(input->role)), "path",
                                        input->path ? tb_json_text(input->path, strlen(input->path)) : json_null()));
    }
    return inputs;
}

static json_t *make_task(const tb_task *task)
{
    json_t *sites = json_array(), *steps = json_array();
    for (size_t i = 0; i < task->site_count; i++)
        json_array_append_new(sites, tb_json_text(task->sites[i], strlen(task->sites[i])));
    tb_task_each_step(task, add_step, steps, NULL);
    return json_pack("{s:s, s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "task_id", task->id, "category_id",
                     tb_json_text(task->domain, strlen(task->domain)), "sites", sites, "verifier",
                     task->verifier != NULL, "multimodal", task->multimodal, "inputs", make_inputs(task), "steps",
                     steps, "folder", tb_json_text(task->folder, strlen(task->folder)));
}

static tb_code print_json(const tb_tasks *tasks, tb_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tasks->count; i++)
        json_array_append_new(list, make_task(&tasks->items[i]));
    return tb_json_print(json_pack("{s:o}", "tasks", list), err);
}

// ---- for people ----

static tb_code add_row(tb_table *table, const tb_task *task, tb_error *err)
{
    tb_str sites = {0};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < task->site_count && !rc; i++)
        rc = tb_str_printf(&sites, err, "%s%s", i ? " " : "", task->sites[i]);
    if (!rc)
        rc = tb_table_add(table, task->id, err);
    if (!rc)
        rc = tb_table_add(table, task->domain, err);
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", tb_task_count_steps(task));
    if (!rc)
        rc = tb_table_printf(table, err, "%zu", task->input_count);
    if (!rc)
        rc = tb_table_add(table, task->verifier ? "yes" : "no", err);
    if (!rc)
        rc = tb_table_add(table, tb_str_get(&sites), err);
    tb_str_clear(&sites);
    return rc;
}

static tb_code print_table(const tb_tasks *tasks, tb_error *err)
{
    static const tb_column columns[] = {
        {"task", false},  {"domain", false},   {"steps", true},
        {"inputs", true}, {"verifier", false}, {"applications", false},
    };
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < tasks->count && !rc; i++)
        rc = add_row(&table, &tasks->items[i], err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc)
        printf("\n%zu tasks\n", tasks->count);
    return rc;
}

static tb_code print_shown(const tb_saas_job *job, const list_args *args, tb_error *err)
{
    tb_slot slot;
    tb_str text = {0};
    tb_code rc = tb_saas_slot_init(&slot, (size_t)args->slot, args->hostname, err);
    for (size_t i = 0; i < job->tasks.count && !rc; i++) {
        const tb_task *task = &job->tasks.items[i];
        if (i > 0)
            rc = tb_str_append_text(&text, "\n", err);
        if (!rc)
            rc = strcmp(args->show, "todo") == 0 ? tb_task_append_todo(&text, task, err)
                                                 : tb_task_append_prompt(&text, task, &job->apps, &slot, err);
    }
    if (!rc)
        fputs(tb_str_get(&text), stdout);
    tb_str_clear(&text);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const list_args *args = untyped;
    tb_saas_job job;
    if (args->show && strcmp(args->show, "prompt") != 0 && strcmp(args->show, "todo") != 0)
        return tb_fail_usage(cli, err, "unknown thing to show '%s'; use prompt or todo", args->show);
    if (args->show && args->json)
        return tb_fail_usage(cli, err, "--show prints text, --json an object; give one of them");
    tb_code rc = tb_saas_job_init(&job, cli, &args->saas, &cli->operands, err);
    if (rc)
        return rc;
    if (args->show)
        rc = print_shown(&job, args, err);
    else
        rc = args->json ? print_json(&job.tasks, err) : print_table(&job.tasks, err);
    tb_saas_job_clear(&job);
    return rc;
}

const tb_command tb_command_saas_list = {
    .name = "saas list",
    .summary = "list the tasks in a folder, and what each says to the agent",
    .usage = "--tasks-dir DIR [TASK...] [options]",
    .examples = examples,
    .least_operands = 0,
    .most_operands = SIZE_MAX,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_saas_task_table, offsetof(list_args, saas)}},
    .run = run,
};
