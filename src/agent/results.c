#include "agent/results.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/above.h"
#include "agent/json_exact.h"

enum {
    MOST_BYTES = 64 << 20, // 400 steps of 60,000 characters, the most a step's results may have, are 24 MB
    MOST_RUNS = 1000,
    MOST_INDEX_DIGITS = 6,
};

// ---- the folder ----

// Calls `each` with the names in a folder until it fails; what cannot be opened has none.
typedef tb_code name_fn(void *user, const char *name, tb_error *err);

static tb_code each_name(const char *folder, name_fn *each, void *user, tb_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return tb_fail(err, TB_EIO, "cannot open the folder '%s': %s", folder, strerror(errno));
    tb_code rc = TB_OK;
    const struct dirent *entry;
    while (!rc && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            rc = each(user, entry->d_name, err);
    closedir(dir);
    return rc;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

static tb_code find_result(void *user, const char *name, tb_error *err)
{
    (void)err;
    *(bool *)user |= ends_with(name, "_verify.json") || strcmp(name, "run.json") == 0;
    return TB_OK;
}

static bool holds_results(const char *folder)
{
    bool found = false;
    return tb_path_is_folder(folder) && !each_name(folder, find_result, &found, NULL) && found;
}

// Folders of models in a result folder.
typedef struct model_search {
    const char *folder;
    tb_str path;  // of the last one
    tb_str names; // of all
    size_t count;
} model_search;

static tb_code find_model(void *user, const char *name, tb_error *err)
{
    model_search *s = user;
    tb_str path = {0};
    tb_code rc = tb_str_printf(&path, err, "%s/%s", s->folder, name);
    if (!rc && holds_results(path.data)) {
        rc = tb_str_printf(&s->names, err, "%s'%s'", s->count++ ? ", " : "", name);
        tb_str_clear(&s->path);
        s->path = path;
        return rc;
    }
    tb_str_clear(&path);
    return rc;
}

static tb_code find_only_model(tb_str *out, const char *folder, tb_error *err)
{
    model_search s = {.folder = folder};
    tb_code rc = each_name(folder, find_model, &s, err);
    if (!rc && s.count == 1)
        rc = tb_str_append(out, s.path.data, s.path.size, err);
    else if (!rc && s.count == 0)
        rc = tb_fail(err, TB_EINVAL, "there are no results in '%s'", folder);
    else if (!rc)
        rc = tb_fail(err, TB_EINVAL, "'%s' holds the results of several models: %s; choose one with --model", folder,
                     s.names.data);
    tb_str_clear(&s.path);
    tb_str_clear(&s.names);
    return rc;
}

tb_code tb_results_find_folder(tb_str *out, const char *folder, const char *model, tb_error *err)
{
    tb_str_reset(out);
    if (holds_results(folder))
        return tb_str_append_text(out, folder, err);
    if (!model)
        return find_only_model(out, folder, err);
    tb_code rc = tb_str_printf(out, err, "%s/", folder);
    for (const char *c = model; *c && !rc; c++)
        rc = tb_str_append(out, *c == '/' || *c == ':' ? "_" : c, 1, err);
    if (!rc && !holds_results(out->data))
        rc = tb_fail(err, TB_EINVAL, "there are no results in '%s'", out->data);
    return rc;
}

// ---- which runs there are ----

typedef struct run_search {
    const tb_tasks *tasks;
    bool found[MOST_RUNS];
    bool plain; // a result without an index, as older versions of the official harness wrote them
} run_search;

static bool is_task(const tb_tasks *tasks, const char *name, size_t size)
{
    for (size_t i = 0; i < tasks->count; i++)
        if (strlen(tasks->items[i].id) == size && memcmp(tasks->items[i].id, name, size) == 0)
            return true;
    return false;
}

// "TASK_r<k>" at the start of a name of `size` bytes: k, or −1.
static long find_index(const tb_tasks *tasks, const char *name, size_t size)
{
    size_t digits = 0;
    while (digits < size && isdigit((unsigned char)name[size - 1 - digits]))
        digits++;
    size_t begin = size - digits;
    if (digits == 0 || digits > MOST_INDEX_DIGITS || begin < 2 || memcmp(name + begin - 2, "_r", 2) != 0 ||
        !is_task(tasks, name, begin - 2))
        return -1;
    return strtol(name + begin, NULL, 10);
}

static tb_code find_run(void *user, const char *name, tb_error *err)
{
    run_search *s = user;
    size_t size = strlen(name);
    if (ends_with(name, "_verify.json"))
        size -= strlen("_verify.json");
    else if (ends_with(name, ".json"))
        size -= strlen(".json");
    else
        return TB_OK;
    long index = find_index(s->tasks, name, size);
    if (index >= MOST_RUNS)
        return tb_fail(err, TB_ELIMIT, "'%s' is of more than %d runs", name, MOST_RUNS);
    if (index >= 0)
        s->found[index] = true;
    else if (is_task(s->tasks, name, size))
        s->plain = true;
    return TB_OK;
}

static tb_code find_runs(tb_results *r, tb_error *err)
{
    run_search *s = tb_new(run_search);
    if (!s)
        return tb_fail(err, TB_ENOMEM, "no memory for the results in '%s'", r->folder);
    s->tasks = r->tasks;
    tb_code rc = each_name(r->folder, find_run, s, err);
    s->found[0] |= s->plain;
    for (size_t i = 0; i < MOST_RUNS && !rc; i++)
        r->runs += s->found[i];
    r->indexes = tb_arena_array(&r->arena, r->runs, sizeof *r->indexes);
    size_t n = 0;
    for (size_t i = 0; i < MOST_RUNS && !rc && r->indexes; i++)
        if (s->found[i])
            r->indexes[n++] = i;
    tb_free(s);
    if (!rc && !r->indexes)
        rc = tb_fail(err, TB_ENOMEM, "no memory for the results in '%s'", r->folder);
    if (!rc && r->runs == 0)
        rc = tb_fail(err, TB_EINVAL, "there is no result of these tasks in '%s'", r->folder);
    return rc;
}

// ---- files ----

// Reads a file where it is there; a damaged one is missing.
static tb_code read_file(json_t **out, const char *path, const tb_report *report, tb_error *err)
{
    tb_error own = {0};
    *out = NULL;
    if (!tb_is_regular(path))
        return TB_OK;
    tb_code rc = tb_json_file(out, path, MOST_BYTES, &own);
    if (rc == TB_ENOMEM)
        return tb_fail(err, rc, "%s", own.message);
    if (rc)
        tb_report_note(report, TB_NOTE_WARNING, "a result counts as missing: %s", own.message);
    return TB_OK;
}

// FOLDER/TASK_r<index>SUFFIX.json; of the first run also FOLDER/TASKSUFFIX.json.
static tb_code read_result(json_t **out, const tb_results *r, const tb_task *task, size_t index, const char *suffix,
                           const tb_report *report, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = tb_str_printf(&path, err, "%s/%s_r%zu%s.json", r->folder, task->id, index, suffix);
    if (!rc)
        rc = read_file(out, path.data, report, err);
    if (!rc && !*out && index == 0) {
        tb_str_reset(&path);
        rc = tb_str_printf(&path, err, "%s/%s%s.json", r->folder, task->id, suffix);
        if (!rc)
            rc = read_file(out, path.data, report, err);
    }
    tb_str_clear(&path);
    return rc;
}

static tb_code read_settings(tb_results *r, const tb_report *report, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = tb_str_printf(&path, err, "%s/run.json", r->folder);
    if (!rc)
        rc = read_file(&r->settings, path.data, report, err);
    tb_str_clear(&path);
    return rc;
}

static tb_code read_all(tb_results *r, const tb_report *report, tb_error *err)
{
    size_t count;
    if (!tb_mul_size(&count, r->tasks->count, r->runs) ||
        !(r->items = tb_arena_array(&r->arena, count, sizeof *r->items)))
        return tb_fail(err, TB_ENOMEM, "no memory for the results in '%s'", r->folder);
    tb_code rc = TB_OK;
    for (size_t i = 0; i < count && !rc; i++) {
        const tb_task *task = &r->tasks->items[i / r->runs];
        size_t index = r->indexes[i % r->runs];
        rc = read_result(&r->items[i].agent, r, task, index, "", report, err);
        if (!rc)
            rc = read_result(&r->items[i].verify, r, task, index, "_verify", report, err);
    }
    return rc;
}

tb_code tb_results_read(tb_results *out, const char *folder, const tb_tasks *tasks, const tb_report *report,
                        tb_error *err)
{
    *out = (tb_results){.tasks = tasks};
    out->folder = tb_arena_text(&out->arena, folder, strlen(folder));
    tb_code rc = out->folder ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the results in '%s'", folder);
    if (!rc)
        rc = find_runs(out, err);
    if (!rc)
        rc = read_settings(out, report, err);
    if (!rc)
        rc = read_all(out, report, err);
    if (rc)
        tb_results_clear(out);
    return rc;
}

void tb_results_clear(tb_results *r)
{
    for (size_t i = 0; r->items && i < r->tasks->count * r->runs; i++) {
        json_decref(r->items[i].agent);
        json_decref(r->items[i].verify);
    }
    json_decref(r->settings);
    tb_arena_clear(&r->arena);
    *r = (tb_results){0};
}

const tb_saas_run *tb_results_get(const tb_results *results, size_t task, size_t run)
{
    return &results->items[task * results->runs + run];
}
