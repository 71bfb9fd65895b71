// twobit saas verify: a task's verifier, run on what runs now; or what one has printed, read again.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/saas_args.h"
#include "cli/table.h"

typedef struct verify_args {
    tb_saas_args saas;
    const char *hostname, *python, *log, *result_dir;
    uint64_t slot, run;
    bool no_isolation, json;
} verify_args;

enum { EXIT_FAIL = 1, EXIT_ERROR = 4 }; // of a verdict; the commands' own failures have 1 and a sentence

static const verify_args defaults = {.hostname = "localhost"};

static const tb_option options[] = {
    {"slot", 0, TB_OPTION_COUNT, offsetof(verify_args, slot), "N", 0, 888, "the slot in which the applications run"},
    {"no-isolation", 0, TB_OPTION_FLAG, offsetof(verify_args, no_isolation), NULL, 0, 0,
     "they run on their fixed ports instead"},
    {"hostname", 0, TB_OPTION_TEXT, offsetof(verify_args, hostname), "NAME", 0, 0, "the host that they run on"},
    {"python", 0, TB_OPTION_TEXT, offsetof(verify_args, python), "FILE", 0, 0,
     "runs the verifier (default: $PYTHON, or python3)"},
    {"result-dir", 0, TB_OPTION_TEXT, offsetof(verify_args, result_dir), "DIR", 0, 0,
     "also write the result file, DIR/TASK_r<k>_verify.json"},
    {"run", 0, TB_OPTION_COUNT, offsetof(verify_args, run), "K", 0, 999, "the run whose result it is"},
    {"log", 0, TB_OPTION_TEXT, offsetof(verify_args, log), "FILE", 0, 0,
     "read what a verifier printed on standard error from a file instead; - for standard input"},
    {"json", 0, TB_OPTION_FLAG, offsetof(verify_args, json), NULL, 0, 0,
     "print the object of a result file: task_id, status, score, earned, total, all_pass, checks"},
    {0},
};

static const char *const examples[] = {
    "twobit saas verify software_004 --tasks-dir tasks --slot 2",
    "runs its verifier on the applications of slot 2",
    "python3 verify.py 2>&1 >/dev/null | twobit saas verify --log - --json",
    "reads what a verifier printed",
    NULL,
};

static const char notes[] = "The exit status is 0 when every check passed, 1 when not, 4 when there is no verdict.\n";

static tb_code print_table(const tb_verdict *v, tb_error *err)
{
    static const tb_column columns[] = {{"", false}, {"points", true}, {"check", false}, {"detail", false}};
    tb_table table;
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < v->check_count && !rc; i++) {
        const tb_check *c = &v->checks[i];
        rc = tb_table_add(&table, c->passed ? "pass" : "FAIL", err);
        if (!rc)
            rc = tb_table_printf(&table, err, "%llu", (unsigned long long)c->weight);
        if (!rc)
            rc = tb_table_add(&table, c->label.data, err);
        if (!rc)
            rc = tb_table_add(&table, c->detail.data, err);
    }
    if (!rc && v->check_count)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static tb_code print_json(const tb_verdict *v, const char *task_id, tb_error *err)
{
    tb_str text = {0};
    json_t *result = tb_verdict_json(v, task_id);
    tb_code rc =
        result ? tb_json_append_exact(&text, result, err) : tb_fail(err, TB_ENOMEM, "no memory for the result");
    if (!rc)
        puts(text.data);
    json_decref(result);
    tb_str_clear(&text);
    return rc;
}

static tb_code print_verdict(tb_cli *cli, const tb_verdict *v, const char *task_id, bool json, tb_error *err)
{
    tb_code rc = json ? print_json(v, task_id, err) : print_table(v, err);
    if (!rc && !json) {
        printf("%s%s: %llu of %llu points, score %.3f", v->check_count ? "\n" : "", tb_verdict_status_name(v->status),
               (unsigned long long)v->earned, (unsigned long long)v->total, v->score);
        printf("%s%s\n", v->error ? "; " : "", v->error ? v->error : "");
    }
    cli->exit_status = v->status == TB_VERDICT_PASS ? 0 : v->status == TB_VERDICT_FAIL ? EXIT_FAIL : EXIT_ERROR;
    return rc;
}

static tb_code read_log(tb_cli *cli, const verify_args *args, tb_error *err)
{
    char *text;
    size_t size;
    tb_verdict v;
    const char *task_id = cli->operands.count ? cli->operands.items[0] : "";
    tb_code rc = tb_text_read(&text, &size, args->log, err);
    if (rc)
        return rc;
    rc = tb_verdict_parse(&v, (tb_text){text, size}, err);
    tb_free(text);
    if (rc)
        return rc;
    v.ended = true;
    rc = print_verdict(cli, &v, task_id, args->json, err);
    tb_verdict_clear(&v);
    return rc;
}

static tb_code verify(tb_cli *cli, const tb_saas_job *job, const verify_args *args, tb_error *err)
{
    tb_verification v;
    tb_verify_options verify = {
        .apps = &job->apps,
        .fixed_ports = args->no_isolation,
        .python = tb_saas_python(args->python),
        .report = &cli->report,
    };
    tb_code rc = tb_saas_slot_init(&verify.slot, (size_t)args->slot, args->hostname, err);
    if (!rc)
        rc = tb_python_check(verify.python, err);
    if (!rc)
        rc = tb_task_verify(&v, &job->tasks.items[0], &verify, err);
    tb_progress_clear(&cli->progress);
    if (rc)
        return rc;
    const char *task_id = job->tasks.items[0].id;
    if (args->result_dir)
        rc = tb_verification_write(&v, task_id, args->result_dir, (size_t)args->run, err);
    if (!rc)
        rc = print_verdict(cli, &v.verdict, task_id, args->json, err);
    tb_verification_clear(&v);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const verify_args *args = untyped;
    tb_saas_job job;
    if (args->log && args->result_dir)
        return tb_fail_usage(cli, err, "--result-dir needs a verifier that runs, and --log runs none");
    if (args->log)
        return read_log(cli, args, err);
    if (cli->operands.count + args->saas.task_ids.count != 1)
        return tb_fail_usage(cli, err, "give one task to verify, or a file with --log");
    tb_code rc = tb_saas_job_init(&job, cli, &args->saas, &cli->operands, err);
    if (rc)
        return rc;
    if (job.tasks.count != 1)
        rc = tb_fail_usage(cli, err, "give one task to verify");
    if (!rc)
        rc = tb_saas_need_apps(&job, cli, err);
    if (!rc)
        rc = verify(cli, &job, args, err);
    tb_saas_job_clear(&job);
    return rc;
}

const tb_command tb_command_saas_verify = {
    .name = "saas verify",
    .summary = "run a task's verifier, or read what one has printed",
    .usage = "(TASK --tasks-dir DIR | --log FILE) [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 0,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .shared = {{tb_saas_task_table, offsetof(verify_args, saas)}},
    .run = run,
};
