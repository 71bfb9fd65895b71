#include "cli/saas_outcome.h"

#include <jansson.h>
#include <string.h>

const tb_option tb_saas_result_table[] = {
    {"result-dir", 0, TB_OPTION_TEXT, offsetof(tb_saas_result_args, result_dir), "DIR", 0, 0,
     "folder of results, or the folder of one model in it"},
    {"model", 0, TB_OPTION_TEXT, offsetof(tb_saas_result_args, model), "NAME", 0, 0,
     "which model's results, where there are several"},
    {"max-steps", 0, TB_OPTION_COUNT, offsetof(tb_saas_result_args, max_steps), "N", 1, 1000000,
     "steps that a run could have, where run.json does not say"},
    {"facts", 0, TB_OPTION_TEXT, offsetof(tb_saas_result_args, facts), "FILE", 0, 0,
     "what is known of the tasks (default: the nearest task-facts.json in the tasks' folder or above it)"},
    {0},
};

static tb_code read_facts(tb_saas_outcome *o, const tb_saas_args *tasks, const tb_saas_result_args *args, tb_error *err)
{
    tb_str path = {0};
    tb_code rc =
        args->facts ? tb_str_append_text(&path, args->facts, err) : tb_facts_find_file(&path, tasks->tasks_dir, err);
    if (!rc && path.size) {
        rc = tb_facts_read(&o->facts, path.data, err);
        o->has_facts = !rc;
    }
    tb_str_clear(&path);
    return rc;
}

// As run.json calls the model, else as it was asked for, else as its folder is called.
static tb_code name_model(tb_saas_outcome *o, const tb_saas_result_args *args, tb_error *err)
{
    tb_text name = tb_json_text_at(o->results.settings, "model");
    if (name.size)
        return tb_str_append(&o->model, name.data, name.size, err);
    const char *slash = strrchr(o->folder.data, '/');
    return tb_str_append_text(&o->model,
                              args->model         ? args->model
                              : slash && slash[1] ? slash + 1
                                                  : o->folder.data,
                              err);
}

static size_t max_steps(const tb_saas_outcome *o, const tb_saas_result_args *args)
{
    json_int_t steps = json_integer_value(json_object_get(o->results.settings, "max_steps"));
    return steps > 0 ? (size_t)steps : (size_t)args->max_steps;
}

static tb_code read_outcome(tb_saas_outcome *o, tb_cli *cli, const tb_saas_args *tasks, const tb_saas_result_args *args,
                            const char *result_dir, tb_error *err)
{
    tb_code rc = tb_results_find_folder(&o->folder, result_dir, args->model, err);
    if (!rc)
        rc = tb_results_read(&o->results, o->folder.data, &o->job.tasks, &cli->report, err);
    if (!rc)
        rc = name_model(o, args, err);
    if (!rc)
        rc = read_facts(o, tasks, args, err);
    if (!rc)
        rc = tb_tasks_hash(o->tasks_hash, &o->job.tasks, err);
    const tb_facts *facts = o->has_facts ? &o->facts : NULL;
    if (!rc)
        rc = tb_metrics_compute(&o->metrics, &o->results, facts, max_steps(o, args), err);
    o->report = (tb_saas_report){&o->metrics, o->model.data, tasks->tasks_dir, o->tasks_hash, facts};
    return rc;
}

tb_code tb_saas_outcome_init(tb_saas_outcome *out, tb_cli *cli, const tb_saas_args *tasks,
                             const tb_saas_result_args *args, const char *result_dir, const tb_operands *operands,
                             tb_error *err)
{
    *out = (tb_saas_outcome){0};
    if (!result_dir)
        return tb_fail_usage(cli, err, "no results are given; use --result-dir DIR");
    tb_code rc = tb_saas_job_init(&out->job, cli, tasks, operands, err);
    if (!rc)
        rc = read_outcome(out, cli, tasks, args, result_dir, err);
    if (rc)
        tb_saas_outcome_clear(out);
    return rc;
}

void tb_saas_outcome_clear(tb_saas_outcome *o)
{
    tb_metrics_clear(&o->metrics);
    tb_results_clear(&o->results);
    tb_facts_clear(&o->facts);
    tb_saas_job_clear(&o->job);
    tb_str_clear(&o->folder);
    tb_str_clear(&o->model);
}
