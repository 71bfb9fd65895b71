// twobit saas lint: what is wrong with tasks, for those who write them.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/json_out.h"
#include "cli/saas_args.h"
#include "cli/table.h"

typedef struct lint_args {
    tb_saas_args saas;
    tb_saas_empty_slot_args empty_slot;
    bool no_run, json;
} lint_args;

enum { EXIT_FLAWS = 1 };

static const lint_args defaults = {.empty_slot = {.workers = TB_SAAS_WORKERS}};

static const tb_option options[] = {
    {"no-run", 0, TB_OPTION_FLAG, offsetof(lint_args, no_run), NULL, 0, 0,
     "look at texts and files only, run no verifier"},
    {"json", 0, TB_OPTION_FLAG, offsetof(lint_args, json), NULL, 0, 0, "print an object: tasks, errors, warnings"},
    {0},
};

static const char *const examples[] = {
    "twobit saas lint --tasks-dir tasks",
    "what is wrong with the tasks in a folder",
    "twobit saas lint --tasks-dir tasks my_task --no-run",
    "one of them, without running its verifier",
    NULL,
};

static const char notes[] =
    "Runs the verifiers where no application runs, as 'saas facts' does: doing nothing must earn nothing. Folders that "
    "are\n"
    "passed over are named in warnings and count as errors. The exit status is 1 when there are errors.\n";

// Folders that are no good are told of while tasks are read.
typedef struct passed_over {
    const tb_report *report;
    size_t count;
} passed_over;

static void note(void *user, tb_note_level level, const char *text)
{
    passed_over *p = user;
    p->count += level == TB_NOTE_WARNING && strncmp(text, "the folder ", strlen("the folder ")) == 0;
    if (p->report->note)
        p->report->note(p->report->user, level, text);
}

static tb_code print_table(const tb_lint *lint, const tb_tasks *tasks, size_t errors, tb_error *err)
{
    static const tb_column columns[] = {{"task", false}, {"", false}, {"flaw", false}};
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < lint->count && !rc; i++) {
        const tb_flaw *f = &lint->items[i];
        rc = tb_table_add(&table, tasks->items[f->task].id, err);
        if (!rc)
            rc = tb_table_add(&table, f->level == TB_FLAW_ERROR ? "error" : "warning", err);
        if (!rc)
            rc = tb_table_add(&table, f->text, err);
    }
    if (!rc && lint->count)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc)
        printf("%s%zu tasks, %zu errors, %zu warnings\n", lint->count ? "\n" : "", tasks->count, errors,
               lint->count - lint->errors);
    return rc;
}

static json_t *make_flaws(const tb_lint *lint, size_t task)
{
    json_t *list = json_array();
    for (size_t i = 0; i < lint->count; i++)
        if (lint->items[i].task == task)
            json_array_append_new(list, json_pack("{s:s, s:o}", "level",
                                                  lint->items[i].level == TB_FLAW_ERROR ? "error" : "warning", "text",
                                                  tb_json_text(lint->items[i].text, strlen(lint->items[i].text))));
    return list;
}

static tb_code print_json(const tb_lint *lint, const tb_tasks *tasks, size_t errors, tb_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tasks->count; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:o}", "task_id", tasks->items[i].id, "flaws", make_flaws(lint, i)));
    return tb_json_print(json_pack("{s:o, s:I, s:I}", "tasks", list, "errors", (json_int_t)errors, "warnings",
                                   (json_int_t)(lint->count - lint->errors)),
                         err);
}

static tb_code lint(const tb_saas_job *job, tb_cli *cli, const lint_args *args, size_t folders, tb_error *err)
{
    tb_facts facts = {0};
    tb_lint found = {0};
    tb_code rc = args->no_run ? TB_OK : tb_saas_measure_facts(&facts, job, cli, &args->empty_slot, err);
    if (!rc)
        rc = tb_lint_tasks(&found, &job->tasks, &job->apps, args->no_run ? NULL : &facts, err);
    size_t errors = found.errors + folders;
    if (!rc)
        rc = args->json ? print_json(&found, &job->tasks, errors, err) : print_table(&found, &job->tasks, errors, err);
    cli->exit_status = errors ? EXIT_FLAWS : 0;
    tb_lint_clear(&found);
    tb_facts_clear(&facts);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const lint_args *args = untyped;
    const tb_report report = cli->report;
    passed_over passed = {.report = &report};
    tb_saas_job job;
    cli->report = (tb_report){.note = note, .user = &passed};
    tb_code rc = tb_saas_job_init(&job, cli, &args->saas, &cli->operands, err);
    cli->report = report;
    if (rc)
        return rc;
    rc = tb_saas_need_apps(&job, cli, err);
    if (!rc)
        rc = lint(&job, cli, args, passed.count, err);
    tb_saas_job_clear(&job);
    return rc;
}

const tb_command tb_command_saas_lint = {
    .name = "saas lint",
    .summary = "find what is wrong with tasks, for those who write them",
    .usage = "--tasks-dir DIR [TASK...] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 0,
    .most_operands = SIZE_MAX,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_saas_task_table, offsetof(lint_args, saas)},
               {tb_saas_empty_slot_table, offsetof(lint_args, empty_slot)}},
    .run = run,
};
