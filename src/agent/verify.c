#include "agent/verify.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/json_exact.h"
#include "net/net.h"

enum { MOST_VARIABLES = 4 * TB_MOST_APPS, PYTHON_CHECK_SECONDS = 120 };

static const char timed_out[] = "timeout after 300s";

// Of the model's endpoint verifiers know nothing but what is handed to the judge.
static const char *const hidden[] = {"LLM_API_KEY", "LLM_BASE_URL", "LLM_MODEL", NULL};
static const char *const hidden_without_judge[] = {"LLM_API_KEY",     "LLM_BASE_URL", "LLM_MODEL", "MINDRA_API_KEY",
                                                   "MINDRA_BASE_URL", "MINDRA_MODEL", NULL};

// ---- the environment ----

typedef struct environment {
    tb_arena arena;
    const char *items[MOST_VARIABLES + 1];
    size_t count;
    tb_str text;
    tb_error *err;
    tb_code rc;
} environment;

static void add(environment *e, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

// The first failure is kept, so that what is added reads as a list.
static void add(environment *e, const char *format, ...)
{
    char text[PATH_MAX + 4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (e->rc)
        return;
    if (n < 0 || n >= (int)sizeof text || e->count == MOST_VARIABLES)
        e->rc = tb_fail(e->err, TB_ELIMIT, "the environment of a verifier would be too large");
    else if (!(e->items[e->count++] = tb_arena_text(&e->arena, text, (size_t)n)))
        e->rc = tb_fail(e->err, TB_ENOMEM, "no memory for the environment of a verifier");
}

// "e-label" is E_LABEL in the names of variables.
static const char *variable_of(char *out, size_t size, const char *key)
{
    size_t n = 0;
    for (; key[n] && n + 1 < size; n++)
        out[n] = key[n] == '-' ? '_' : (char)toupper((unsigned char)key[n]);
    out[n] = '\0';
    return out;
}

static void add_app(environment *e, const tb_app *app, const tb_verify_options *o)
{
    char name[128];
    variable_of(name, sizeof name, app->key);
    const char *prefix = o->slot.prefix ? o->slot.prefix : "rollout";
    unsigned port = o->fixed_ports ? app->fixed_port : tb_slot_port(&o->slot, app);
    if (port)
        add(e, "%s_PORT=%u", name, port);
    add(e, "%s_CONTAINER=%s_%u_%s%s", name, prefix, o->slot.number, app->key, app->container_suffix);
    if (app->db_suffix)
        add(e, "%s_DB_CONTAINER=%s_%u_%s%s", name, prefix, o->slot.number, app->key, app->db_suffix);
}

// The judge's own variable where it is set, else that of the model under test.
static void add_judge(environment *e, const char *what)
{
    char judge[32], model[32];
    snprintf(judge, sizeof judge, "MINDRA_%s", what);
    snprintf(model, sizeof model, "LLM_%s", what);
    const char *value = getenv(model);
    if (!getenv(judge) && value && value[0])
        add(e, "%s=%s", judge, value);
}

static void add_all(environment *e, const tb_task *task, const tb_verify_options *o, const char *stand_in)
{
    const char *path = getenv("PATH"), *direct = getenv("no_proxy");
    add(e, "SERVER_HOSTNAME=%s", tb_slot_hostname(&o->slot));
    for (size_t i = 0; i < task->site_count; i++) {
        const tb_app *app = tb_apps_get(o->apps, task->sites[i]);
        if (app)
            add_app(e, app, o);
    }
    if (!o->without_judge) {
        add_judge(e, "API_KEY");
        add_judge(e, "BASE_URL");
        add_judge(e, "MODEL");
    }
    add(e, "PYTHONDONTWRITEBYTECODE=1");
    add(e, "PYTHONUTF8=1");
    // The applications are asked themselves, whatever stands between this machine and others.
    add(e, "no_proxy=%s%s%s,localhost,127.0.0.1", direct ? direct : "", direct ? "," : "", tb_slot_hostname(&o->slot));
    if (stand_in)
        add(e, "PATH=%s:%s", stand_in, path ? path : "/usr/bin:/bin");
}

// ---- the stand-in ----

static const char *name_link(char out[PATH_MAX], const char *folder)
{
    snprintf(out, PATH_MAX, "%s/docker", folder);
    return out;
}

// A folder that holds nothing but a `docker` which is this program. It is left to the process that runs with it.
static tb_code make_stand_in(tb_str *out, tb_error *err)
{
    char program[PATH_MAX], link[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n < 0)
        return tb_fail(err, TB_EIO, "cannot find this program: %s", strerror(errno));
    program[n] = '\0';
    tb_code rc = tb_make_temporary_folder(out, "twobit-docker", err);
    if (rc || symlink(program, name_link(link, out->data)) == 0)
        return rc;
    rc = tb_fail(err, TB_EIO, "cannot make the link '%s': %s", link, strerror(errno));
    rmdir(out->data);
    tb_str_clear(out);
    return rc;
}

static void remove_stand_in(const char *folder)
{
    char link[PATH_MAX];
    unlink(name_link(link, folder));
    rmdir(folder);
}

// ---- running ----

// A path is taken from where we work, not from the task's folder.
static tb_code find_python(tb_str *out, const char *python, tb_error *err)
{
    char folder[PATH_MAX];
    if (!python || !strchr(python, '/') || python[0] == '/')
        return tb_str_append_text(out, python ? python : "python3", err);
    if (!getcwd(folder, sizeof folder))
        return tb_fail(err, TB_EIO, "cannot find '%s': %s", python, strerror(errno));
    return tb_str_printf(out, err, "%s/%s", folder, python);
}

static tb_code run(tb_process_result *result, const tb_task *task, const tb_verify_options *o, environment *e,
                   const char *stand_in, tb_error *err)
{
    static const tb_process_limits limits = {.timeout_ms = TB_VERIFY_SECONDS * 1000, .output_bytes = TB_VERIFY_BYTES};
    char verifier[PATH_MAX], folder[PATH_MAX];
    if (!realpath(task->verifier, verifier) || !realpath(task->folder, folder))
        return tb_fail(err, TB_EIO, "cannot find '%s': %s", task->verifier, strerror(errno));
    tb_str python = {0};
    tb_code rc = find_python(&python, o->python, err);
    const char *arguments[] = {tb_str_get(&python), verifier, NULL};
    const tb_process_options options = {
        .arguments = arguments,
        .environment = e->items,
        .hidden = o->without_judge ? hidden_without_judge : hidden,
        .folder = folder,
        .scratch = stand_in,
    };
    if (!rc)
        rc = tb_process_run(result, &options, &limits, o->report, err);
    tb_str_clear(&python);
    return rc;
}

static tb_code judge(tb_verification *out, tb_process_result *result, tb_error *err)
{
    out->output = result->output;
    out->errors = result->errors;
    out->cut = result->output_cut || result->errors_cut;
    out->seconds = result->seconds;
    if (result->timed_out) {
        tb_verdict_init(&out->verdict, TB_VERDICT_ERROR, timed_out);
        return TB_OK;
    }
    tb_code rc = tb_verdict_parse(&out->verdict, (tb_text){tb_str_get(&out->errors), out->errors.size}, err);
    out->verdict.ended = !rc;
    // As Python's subprocess has it: the signal that killed it, negative.
    out->verdict.returncode = result->end.signal ? -result->end.signal : result->end.status;
    return rc;
}

tb_code tb_task_verify(tb_verification *out, const tb_task *task, const tb_verify_options *options, tb_error *err)
{
    tb_str stand_in = {0};
    environment e = {.err = err};
    tb_process_result result = {0};
    *out = (tb_verification){0};
    if (!task->verifier) {
        tb_verdict_init(&out->verdict, TB_VERDICT_SKIP, "no verify.py");
        return TB_OK;
    }
    tb_code rc = options->stand_in ? make_stand_in(&stand_in, err) : TB_OK;
    if (rc)
        return rc;
    add_all(&e, task, options, stand_in.data);
    rc = e.rc;
    if (!rc)
        rc = run(&result, task, options, &e, stand_in.data, err);
    if (stand_in.data)
        remove_stand_in(stand_in.data); // where the process did not come to do it
    tb_str_clear(&stand_in);
    tb_arena_clear(&e.arena);
    if (!rc)
        rc = judge(out, &result, err);
    if (rc)
        tb_verification_clear(out);
    return rc;
}

void tb_verification_clear(tb_verification *v)
{
    tb_verdict_clear(&v->verdict);
    tb_str_clear(&v->output);
    tb_str_clear(&v->errors);
    *v = (tb_verification){0};
}

// ---- the result file ----

// The last of what was written: enough to see why a verifier ended.
static json_t *make_tail(const tb_str *text)
{
    enum { TAIL = 4000 };
    size_t at = text->size > TAIL ? text->size - TAIL : 0;
    while (at > 0 && at < text->size && ((unsigned char)text->data[at] & 0xC0) == 0x80)
        at++;
    return tb_json_text(tb_str_get(text) + at, text->size - at);
}

json_t *tb_verification_json(const tb_verification *v, const char *task_id)
{
    json_t *own = json_pack("{s:{s:b, s:b}, s:I, s:o, s:o, s:i}", "audit", "score_line", v->verdict.has_score,
                            "output_cut", v->cut, "wall_ms", (json_int_t)(v->seconds * 1e3), "stdout_tail",
                            make_tail(&v->output), "stderr_tail", make_tail(&v->errors), "attempts", 1);
    json_t *result = tb_verdict_json(&v->verdict, task_id);
    if (result && own && json_object_set_new(result, "twobit", own) == 0)
        return result;
    json_decref(result);
    return NULL;
}

tb_code tb_verification_write(const tb_verification *v, const char *task_id, const char *folder, size_t run,
                              tb_error *err)
{
    tb_str path = {0};
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return tb_fail(err, TB_EIO, "cannot create the folder '%s': %s", folder, strerror(errno));
    tb_code rc = tb_str_printf(&path, err, "%s/%s_r%zu_verify.json", folder, task_id, run);
    if (!rc)
        rc = tb_json_file_write(tb_verification_json(v, task_id), path.data, err);
    tb_str_clear(&path);
    return rc;
}

tb_code tb_python_check(const char *python, tb_error *err)
{
    static const tb_process_limits limits = {.timeout_ms = PYTHON_CHECK_SECONDS * 1000, .output_bytes = 4096};
    const char *arguments[] = {python ? python : "python3", "-c", "import requests", NULL};
    const tb_process_options options = {.arguments = arguments};
    tb_process_result result;
    tb_code rc = tb_process_run(&result, &options, &limits, NULL, err);
    if (rc)
        return rc;
    if (result.end.status != 0)
        rc = tb_fail(err, TB_EIO, "'%s' lacks the module 'requests', which verifiers import (Debian: python3-requests)",
                     arguments[0]);
    tb_process_result_clear(&result);
    return rc;
}
