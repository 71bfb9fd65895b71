#include "cli/saas_args.h"

#include <stdlib.h>
#include <string.h>

const tb_option tb_saas_task_table[] = {
    {"tasks-dir", 0, TB_OPTION_TEXT, offsetof(tb_saas_args, tasks_dir), "DIR", 0, 0,
     "folder of tasks, searched at any depth"},
    {"task-ids", 0, TB_OPTION_TEXTS, offsetof(tb_saas_args, task_ids), "ID,...", 0, 0,
     "only these tasks; may be given several times"},
    {"domain", 0, TB_OPTION_TEXT, offsetof(tb_saas_args, domain), "NAME", 0, 0, "only tasks of this domain"},
    {"allow-duplicates", 0, TB_OPTION_FLAG, offsetof(tb_saas_args, allow_duplicates), NULL, 0, 0,
     "take tasks that have one id, and call the second ID@2"},
    {"apps", 0, TB_OPTION_TEXT, offsetof(tb_saas_args, apps), "FILE", 0, 0,
     "registry of applications (default: the nearest apps.yaml in DIR or above it)"},
    {0},
};

const tb_option tb_saas_empty_slot_table[] = {
    {"workers", 0, TB_OPTION_COUNT, offsetof(tb_saas_empty_slot_args, workers), "N", 1, 256,
     "verifiers that run at a time"},
    {"slot", 0, TB_OPTION_COUNT, offsetof(tb_saas_empty_slot_args, slot), "N", 0, 888,
     "the slot whose ports must be free"},
    {"python", 0, TB_OPTION_TEXT, offsetof(tb_saas_empty_slot_args, python), "FILE", 0, 0,
     "runs the verifiers (default: $PYTHON, or python3)"},
    {0},
};

// ---- ids ----

typedef struct id_list {
    const char **items;
    size_t count;
} id_list;

static size_t count_ids(const char *text)
{
    size_t n = 1;
    for (; (text = strchr(text, ',')) != NULL; text++)
        n++;
    return n;
}

// Adds the ids of "a,b,c"; empty ones are none.
static tb_code add_ids(id_list *list, tb_arena *arena, const char *text, tb_error *err)
{
    while (text) {
        const char *comma = strchr(text, ',');
        size_t size = comma ? (size_t)(comma - text) : strlen(text);
        const char *id = tb_arena_text(arena, text, size);
        if (!id)
            return tb_fail(err, TB_ENOMEM, "no memory for the arguments");
        if (size)
            list->items[list->count++] = id;
        text = comma ? comma + 1 : NULL;
    }
    return TB_OK;
}

static tb_code collect_ids(id_list *list, tb_arena *arena, const tb_operands *operands, const tb_saas_args *args,
                           tb_error *err)
{
    size_t n = operands ? operands->count : 0;
    for (size_t i = 0; i < args->task_ids.count; i++)
        n += count_ids(args->task_ids.items[i]);
    tb_code rc = TB_OK;
    list->items = tb_arena_array(arena, n, sizeof *list->items);
    if (!list->items)
        return tb_fail(err, TB_ENOMEM, "no memory for the arguments");
    for (size_t i = 0; i < args->task_ids.count && !rc; i++)
        rc = add_ids(list, arena, args->task_ids.items[i], err);
    for (size_t i = 0; operands && i < operands->count; i++)
        list->items[list->count++] = operands->items[i];
    return rc;
}

// ---- the registry ----

static tb_code read_apps(tb_saas_job *job, const tb_saas_args *args, tb_error *err)
{
    tb_str path = {0};
    tb_code rc =
        args->apps ? tb_str_append_text(&path, args->apps, err) : tb_apps_find_file(&path, args->tasks_dir, err);
    if (!rc && path.size) {
        rc = tb_apps_read(&job->apps, path.data, err);
        job->has_apps = !rc;
    }
    tb_str_clear(&path);
    return rc;
}

static void note_unknown_apps(const tb_saas_job *job, const tb_report *report)
{
    for (size_t i = 0; i < job->tasks.count; i++)
        for (size_t k = 0; k < job->tasks.items[i].site_count; k++)
            if (!tb_apps_get(&job->apps, job->tasks.items[i].sites[k]))
                tb_report_note(report, TB_NOTE_WARNING, "the registry does not know '%s', which the task '%s' uses",
                               job->tasks.items[i].sites[k], job->tasks.items[i].id);
}

tb_code tb_saas_job_init(tb_saas_job *job, tb_cli *cli, const tb_saas_args *args, const tb_operands *operands,
                         tb_error *err)
{
    *job = (tb_saas_job){0};
    if (!args->tasks_dir)
        return tb_fail_usage(cli, err, "no tasks are given; use --tasks-dir DIR");
    id_list ids = {0};
    tb_code rc = collect_ids(&ids, &job->arena, operands, args, err);
    const tb_task_choice choice = {
        .folder = args->tasks_dir,
        .ids = ids.items,
        .id_count = ids.count,
        .domain = args->domain,
        .allow_duplicates = args->allow_duplicates,
        .report = &cli->report,
    };
    if (!rc)
        rc = tb_tasks_read(&job->tasks, &choice, err);
    cli->misused = rc == TB_EINVAL;
    if (!rc)
        rc = read_apps(job, args, err);
    if (!rc && job->has_apps)
        note_unknown_apps(job, &cli->report);
    if (rc)
        tb_saas_job_clear(job);
    return rc;
}

void tb_saas_job_clear(tb_saas_job *job)
{
    tb_tasks_clear(&job->tasks);
    tb_apps_clear(&job->apps);
    tb_arena_clear(&job->arena);
}

tb_code tb_saas_slot_init(tb_slot *slot, size_t number, const char *hostname, tb_error *err)
{
    enum { LEAST_PORT = 1024, MOST_PORT = 65535 };
    const char *base = getenv("SAAS_BASE_PORT"), *prefix = getenv("SAAS_SLOT_PREFIX");
    uint64_t port = TB_BASE_PORT;
    if (base && base[0] && (tb_parse_count(&port, base, NULL) || port < LEAST_PORT || port > MOST_PORT))
        return tb_fail(err, TB_EINVAL, "the environment variable SAAS_BASE_PORT is '%s', no port from %d to %d", base,
                       LEAST_PORT, MOST_PORT);
    if (port + (number + 1) * TB_SLOT_PORTS - 1 > MOST_PORT)
        return tb_fail(err, TB_EINVAL, "slot %zu has no ports: they would begin at %zu", number,
                       (size_t)port + number * TB_SLOT_PORTS);
    *slot = (tb_slot){
        .number = (unsigned)number,
        .base_port = (unsigned)port,
        .prefix = prefix && prefix[0] ? prefix : NULL,
        .hostname = hostname,
    };
    return TB_OK;
}

tb_code tb_saas_need_apps(const tb_saas_job *job, tb_cli *cli, tb_error *err)
{
    return job->has_apps ? TB_OK : tb_fail_usage(cli, err, "there is no registry of applications; use --apps FILE");
}

const char *tb_saas_python(const char *option)
{
    const char *python = getenv("PYTHON");
    return option ? option : python && python[0] ? python : NULL;
}

tb_code tb_saas_measure_facts(tb_facts *out, const tb_saas_job *job, tb_cli *cli, const tb_saas_empty_slot_args *args,
                              tb_error *err)
{
    tb_verify_options verify = {.apps = &job->apps, .python = tb_saas_python(args->python), .report = &cli->report};
    tb_code rc = tb_saas_slot_init(&verify.slot, (size_t)args->slot, "localhost", err);
    if (!rc)
        rc = tb_facts_measure(out, &job->tasks, &verify, (size_t)args->workers, err);
    tb_progress_clear(&cli->progress);
    return rc;
}
