#include "agent/tasks.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/above.h"
#include "agent/lines.h"
#include "agent/task_folders.h"

enum {
    MOST_ID = 100,
    MOST_META_BYTES = 1 << 20,        // the largest official one has 600 bytes
    MOST_DESCRIPTION_BYTES = 1 << 20, // and the largest description 11 kB
    MOST_HASHED_BYTES = 16 << 20,
};

typedef struct reader {
    tb_tasks *tasks;
    const tb_task_choice *choice;
    tb_error *err;
} reader;

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for the tasks");
}

// Copies into the arena; NULL without memory.
static const char *keep(reader *r, tb_text text)
{
    return tb_arena_text(&r->tasks->arena, text.data, text.size);
}

// ---- ids ----

static bool is_id(tb_text id)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (size_t i = 0; i < id.size; i++)
        if (!id.data[i] || !strchr(characters, id.data[i]))
            return false;
    return id.size > 0 && id.size <= MOST_ID;
}

static const tb_task *find_id(const tb_tasks *tasks, const char *id)
{
    for (size_t i = 0; i < tasks->count; i++)
        if (strcmp(tasks->items[i].id, id) == 0)
            return &tasks->items[i];
    return NULL;
}

// Gives a task whose id is taken another, or refuses it.
static tb_code settle_duplicate(reader *r, tb_task *task)
{
    const tb_task *other = find_id(r->tasks, task->id);
    if (!other)
        return TB_OK;
    if (!r->choice->allow_duplicates)
        return tb_fail(r->err, TB_EINVAL,
                       "the task_id '%s' is that of two tasks, in '%s' and '%s'; --allow-duplicates takes both",
                       task->id, other->folder, task->folder);
    char id[MOST_ID + 32];
    for (size_t n = 2; other; n++) {
        snprintf(id, sizeof id, "%s@%zu", task->id, n);
        other = find_id(r->tasks, id);
    }
    task->id = keep(r, (tb_text){id, strlen(id)});
    return task->id ? TB_OK : fail_memory(r->err);
}

// ---- meta.json ----

// The last name of a path, or of the folder that it lies in.
static tb_text name_of(const char *path, bool parent)
{
    tb_text rest = {path, strlen(path)};
    for (bool above = parent;; above = false) {
        size_t begin = rest.size;
        while (begin > 0 && rest.data[begin - 1] != '/')
            begin--;
        if (!above)
            return tb_text_from(rest, begin);
        rest.size = begin > 0 ? begin - 1 : 0;
    }
}

// A member that is a text; `otherwise` where there is none. Texts here end in no NUL of their own.
static tb_code get_text(const char **out, reader *r, const json_t *object, const char *name, tb_text otherwise)
{
    const json_t *value = json_object_get(object, name);
    tb_text text = value ? tb_json_get_text(value) : otherwise;
    if (value && (!json_is_string(value) || memchr(text.data, '\0', text.size)))
        return tb_fail(r->err, TB_EFORMAT, "'%s' is no text", name);
    *out = keep(r, text);
    return *out ? TB_OK : fail_memory(r->err);
}

static tb_code get_sites(tb_task *task, reader *r, const json_t *meta)
{
    const json_t *data = json_object_get(meta, "meta_data"), *sites = json_object_get(data, "sites");
    if ((data && !json_is_object(data)) || (sites && !json_is_array(sites)))
        return tb_fail(r->err, TB_EFORMAT, "'%s' is no %s", sites ? "sites" : "meta_data", sites ? "array" : "object");
    size_t n = json_array_size(sites);
    task->sites = tb_arena_array(&r->tasks->arena, n, sizeof *task->sites);
    if (!task->sites)
        return fail_memory(r->err);
    for (size_t i = 0; i < n; i++) {
        const json_t *site = json_array_get(sites, i);
        tb_text text = tb_json_get_text(site);
        if (!json_is_string(site) || memchr(text.data, '\0', text.size))
            return tb_fail(r->err, TB_EFORMAT, "'sites' holds something else than texts");
        if (!(task->sites[i] = keep(r, text)))
            return fail_memory(r->err);
    }
    task->site_count = n;
    return TB_OK;
}

static tb_code get_inputs(tb_task *task, reader *r, const json_t *meta)
{
    const json_t *list = json_object_get(meta, "multimodal_input");
    if (list && !json_is_array(list))
        return tb_fail(r->err, TB_EFORMAT, "'multimodal_input' is no array");
    size_t n = json_array_size(list);
    tb_code rc = TB_OK;
    task->inputs = tb_arena_array(&r->tasks->arena, n, sizeof *task->inputs);
    if (!task->inputs)
        return fail_memory(r->err);
    for (size_t i = 0; i < n && !rc; i++) {
        static const tb_text none = {"", 0};
        const json_t *item = json_array_get(list, i);
        tb_task_input *input = &task->inputs[task->input_count];
        if (!json_is_object(item))
            return tb_fail(r->err, TB_EFORMAT, "'multimodal_input' holds something else than objects");
        rc = get_text(&input->file, r, item, "file", none);
        if (!rc)
            rc = get_text(&input->type, r, item, "type", none);
        if (!rc)
            rc = get_text(&input->role, r, item, "role", none);
        if (!rc && input->file[0]) // one without a name is nothing to look for
            task->input_count++;
    }
    return rc;
}

// The id is checked before it is used in any sentence.
static tb_code get_id(tb_task *task, reader *r, const json_t *meta)
{
    tb_code rc = get_text(&task->id, r, meta, "task_id", name_of(task->folder, false));
    if (!rc && !is_id((tb_text){task->id, strlen(task->id)}))
        return tb_fail(r->err, TB_EINVAL,
                       "the task_id in '%s' can be no file name; it must have 1 to %d of A-Z a-z 0-9 . _ -",
                       task->folder, MOST_ID);
    return rc;
}

static tb_code read_meta(json_t **out, const char *path, tb_error *err)
{
    char *text;
    size_t size;
    tb_code rc = tb_file_read(&text, &size, path, MOST_META_BYTES, err);
    if (rc)
        return rc;
    rc = tb_json_read(out, tb_without_mark((tb_text){text, size}), "meta.json", err);
    tb_free(text);
    return rc;
}

// ---- one task ----

static tb_code read_description(tb_task *task, reader *r, const char *path)
{
    char *text;
    size_t size;
    tb_code rc = tb_file_read(&text, &size, path, MOST_DESCRIPTION_BYTES, r->err);
    if (rc)
        return rc;
    tb_text all = tb_without_mark((tb_text){text, size});
    if (tb_utf8_valid_prefix(all.data, all.size) != all.size)
        rc = tb_fail(r->err, TB_EFORMAT, "description.md is not UTF-8");
    else if (!(task->description.data = keep(r, all)))
        rc = fail_memory(r->err);
    task->description.size = all.size;
    tb_free(text);
    return rc;
}

// Text files of the task's folder: description.md must be there, verify.py may.
static tb_code read_files(tb_task *task, reader *r, bool *complete)
{
    tb_str path = {0};
    tb_code rc = tb_str_printf(&path, r->err, "%s/description.md", task->folder);
    *complete = !rc && tb_is_regular(path.data);
    if (*complete)
        rc = read_description(task, r, path.data);
    tb_str_reset(&path);
    if (!rc)
        rc = tb_str_printf(&path, r->err, "%s/verify.py", task->folder);
    if (!rc && tb_is_regular(path.data)) {
        task->verifier = keep(r, (tb_text){path.data, path.size});
        rc = task->verifier ? TB_OK : fail_memory(r->err);
    }
    tb_str_clear(&path);
    return rc;
}

static tb_code fill_task(tb_task *task, reader *r, const json_t *meta, bool *complete)
{
    tb_code rc = get_id(task, r, meta);
    if (!rc)
        rc = get_text(&task->domain, r, meta, "category_id", name_of(task->folder, true));
    if (!rc)
        rc = get_sites(task, r, meta);
    if (!rc)
        rc = read_files(task, r, complete);
    if (!rc && *complete)
        rc = get_inputs(task, r, meta);
    return rc;
}

// Reads the task of a meta.json. What is no task, or a damaged one, is passed over with a note.
static tb_code read_task(reader *r, const char *path)
{
    json_t *meta = NULL;
    bool complete = false;
    tb_task task = {.folder = keep(r, (tb_text){path, strlen(path) - strlen("/meta.json")})};
    if (!task.folder)
        return fail_memory(r->err);
    tb_code rc = read_meta(&meta, path, r->err);
    if (!rc)
        rc = fill_task(&task, r, meta, &complete);
    json_decref(meta);
    if (rc == TB_ENOMEM || rc == TB_EINVAL)
        return rc;
    if (rc || !complete) {
        tb_report_note(r->choice->report, TB_NOTE_WARNING, "the folder '%s' is passed over: %s", task.folder,
                       rc ? r->err->message : "it has no description.md");
        return TB_OK;
    }
    task.multimodal = task.input_count > 0 || strstr(task.folder, "/multi-m/");
    rc = settle_duplicate(r, &task);
    if (!rc)
        r->tasks->items[r->tasks->count++] = task;
    return rc;
}

// ---- all of them ----

static bool is_chosen(const tb_task *task, const tb_task_choice *choice)
{
    bool chosen = choice->id_count == 0;
    for (size_t i = 0; i < choice->id_count; i++)
        chosen |= strcmp(choice->ids[i], task->id) == 0;
    return chosen && (!choice->domain || strcmp(choice->domain, task->domain) == 0);
}

static tb_code check_ids(const tb_tasks *tasks, const tb_task_choice *choice, tb_error *err)
{
    for (size_t i = 0; i < choice->id_count; i++)
        if (!find_id(tasks, choice->ids[i]))
            return tb_fail(err, TB_EINVAL, "there is no task '%s' in '%s'", choice->ids[i], choice->folder);
    return TB_OK;
}

static void choose(tb_tasks *tasks, const tb_task_choice *choice)
{
    size_t n = 0;
    for (size_t i = 0; i < tasks->count; i++)
        if (is_chosen(&tasks->items[i], choice))
            tasks->items[n++] = tasks->items[i];
    tasks->count = n;
}

// Looks for an input where its name says, in the task's folder and above, and where we are.
static tb_code find_input(tb_task_input *input, const tb_task *task, reader *r)
{
    tb_str path = {0};
    tb_code rc = TB_OK;
    if (input->file[0] == '/')
        rc = tb_str_append_text(&path, input->file, r->err);
    else
        rc = tb_find_above(&path, task->folder, input->file, r->err);
    if (!rc && !path.size)
        rc = tb_str_append_text(&path, input->file, r->err);
    if (!rc && tb_is_regular(path.data)) {
        input->path = keep(r, (tb_text){path.data, path.size});
        rc = input->path ? TB_OK : fail_memory(r->err);
    }
    tb_str_clear(&path);
    if (!rc && !input->path)
        tb_report_note(r->choice->report, TB_NOTE_WARNING, "the task '%s' lacks its input '%s'", task->id, input->file);
    return rc;
}

static tb_code find_inputs(reader *r)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < r->tasks->count; i++)
        for (size_t k = 0; k < r->tasks->items[i].input_count && !rc; k++)
            rc = find_input(&r->tasks->items[i].inputs[k], &r->tasks->items[i], r);
    return rc;
}

tb_code tb_tasks_read(tb_tasks *out, const tb_task_choice *choice, tb_error *err)
{
    tb_error own = {0}; // reasons of what is passed over are read from it
    *out = (tb_tasks){0};
    reader r = {.tasks = out, .choice = choice, .err = err ? err : &own};
    tb_task_files files;
    tb_code rc = tb_task_files_find(&files, &out->arena, choice->folder, r.err);
    if (!rc && !(out->items = tb_arena_array(&out->arena, files.count, sizeof *out->items)))
        rc = fail_memory(r.err);
    for (size_t i = 0; i < files.count && !rc; i++)
        rc = read_task(&r, files.paths[i]);
    if (!rc && out->count == 0)
        rc = tb_fail(r.err, TB_EINVAL, "there is no task in '%s'", choice->folder);
    if (!rc)
        rc = check_ids(out, choice, r.err);
    if (!rc) {
        choose(out, choice);
        rc = out->count ? find_inputs(&r)
                        : tb_fail(r.err, TB_EINVAL, "no task of '%s' is left to work on", choice->folder);
    }
    if (rc)
        tb_tasks_clear(out);
    return rc;
}

void tb_tasks_clear(tb_tasks *tasks)
{
    tb_arena_clear(&tasks->arena);
    *tasks = (tb_tasks){0};
}

const char *tb_task_track(const tb_task *task)
{
    return task->multimodal ? "multimodal" : "text";
}

// ---- what they are made of ----

// A file and its size; a missing one is one of no bytes.
static tb_code hash_file(tb_hash *hash, const char *folder, const char *name, tb_error *err)
{
    tb_str path = {0};
    char *text = NULL, length[32];
    size_t size = 0;
    tb_code rc = tb_str_printf(&path, err, "%s/%s", folder, name);
    if (!rc && tb_is_regular(path.data))
        rc = tb_file_read(&text, &size, path.data, MOST_HASHED_BYTES, err);
    if (!rc) {
        snprintf(length, sizeof length, "%zu:", size);
        tb_hash_update(hash, length, strlen(length));
        tb_hash_update(hash, text ? text : "", size);
    }
    tb_free(text);
    tb_str_clear(&path);
    return rc;
}

tb_code tb_tasks_hash(char out[65], const tb_tasks *tasks, tb_error *err)
{
    static const char *const names[] = {"meta.json", "description.md", "verify.py"};
    tb_hash *hash = tb_hash_new();
    tb_code rc = hash ? TB_OK : fail_memory(err);
    for (size_t i = 0; i < tasks->count && !rc; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0] && !rc; k++)
            rc = hash_file(hash, tasks->items[i].folder, names[k], err);
    if (!rc)
        tb_hash_hex(hash, out);
    tb_hash_free(hash);
    return rc;
}
