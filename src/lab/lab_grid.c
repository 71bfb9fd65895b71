#include "lab/lab_grid.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define HELDOUT_NAME "held-out"

enum { GRID_LIMIT = 1 << 20 };

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for the grid");
}

tb_code tb_lab_grid_init(tb_lab_grid *grid, tb_error *err)
{
    *grid = (tb_lab_grid){0};
    grid->models = tb_arena_array(&grid->arena, TB_MOST_GRID_MODELS, sizeof *grid->models);
    grid->texts = tb_arena_array(&grid->arena, TB_MOST_GRID_TEXTS, sizeof *grid->texts);
    grid->recipes = tb_arena_array(&grid->arena, TB_MOST_GRID_RECIPES, sizeof *grid->recipes);
    return grid->models && grid->texts && grid->recipes ? TB_OK : fail_memory(err);
}

void tb_lab_grid_clear(tb_lab_grid *grid)
{
    tb_arena_clear(&grid->arena);
    *grid = (tb_lab_grid){0};
}

// ---- names ----

// The last part of a path, without slashes behind it.
static tb_text last_part(const char *path)
{
    const char *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/')
        end--;
    const char *start = end;
    while (start > path && start[-1] != '/')
        start--;
    return (tb_text){start, (size_t)(end - start)};
}

const char *tb_lab_grid_name_of_file(tb_arena *arena, const char *path)
{
    static const char suffix[] = ".gguf";
    size_t cut = sizeof suffix - 1;
    tb_text name = last_part(path);
    if (name.size > cut && memcmp(name.data + name.size - cut, suffix, cut) == 0)
        name.size -= cut;
    return tb_arena_text(arena, name.data, name.size);
}

// ---- adding ----

static tb_code add_model(tb_lab_grid *grid, const char *name, const char *path, tb_error *err)
{
    if (grid->model_count == TB_MOST_GRID_MODELS)
        return tb_fail(err, TB_EINVAL, "more than %d models", TB_MOST_GRID_MODELS);
    if (!name || !path)
        return fail_memory(err);
    for (size_t i = 0; i < grid->model_count; i++)
        if (strcmp(grid->models[i].name, name) == 0)
            return tb_fail(err, TB_EINVAL, "two models are called '%s'; a grid file can name them", name);
    grid->models[grid->model_count++] = (tb_lab_grid_model){.name = name, .path = path};
    return TB_OK;
}

static tb_code add_text(tb_lab_grid *grid, const char *name, const char *path, tb_error *err)
{
    if (grid->text_count == TB_MOST_GRID_TEXTS)
        return tb_fail(err, TB_EINVAL, "more than %d texts", TB_MOST_GRID_TEXTS);
    for (size_t i = 0; i < grid->text_count; i++)
        if (strcmp(grid->texts[i].name, name) == 0)
            return tb_fail(err, TB_EINVAL, "two texts are called '%s'; name them, as in other=%s", name,
                           path ? path : name);
    grid->texts[grid->text_count++] = (tb_lab_grid_text){.name = name, .path = path};
    return TB_OK;
}

// Puts a recipe that was parsed at the end of the list, unless it stands there.
static tb_code keep_recipe(tb_lab_grid *grid, const tb_lab_recipe *recipe, tb_error *err)
{
    for (size_t i = 0; i < grid->recipe_count; i++)
        if (strcmp(grid->recipes[i].name, recipe->name) == 0)
            return TB_OK;
    if (grid->recipe_count == TB_MOST_GRID_RECIPES)
        return tb_fail(err, TB_EINVAL, "more than %d recipes", TB_MOST_GRID_RECIPES);
    grid->recipes[grid->recipe_count++] = *recipe;
    return TB_OK;
}

tb_code tb_lab_grid_add_model(tb_lab_grid *grid, const char *path, tb_error *err)
{
    return add_model(grid, tb_lab_grid_name_of_file(&grid->arena, path), path, err);
}

tb_code tb_lab_grid_add_also(tb_lab_grid *grid, size_t model, const char *path, tb_error *err)
{
    tb_lab_grid_model *m = &grid->models[model];
    if (m->also_count == TB_MOST_GRID_ALSO)
        return tb_fail(err, TB_EINVAL, "more than %d other files of '%s'", TB_MOST_GRID_ALSO, m->name);
    m->also[m->also_count++] = path;
    return TB_OK;
}

tb_code tb_lab_grid_add_text(tb_lab_grid *grid, const char *text, tb_error *err)
{
    if (strcmp(text, HELDOUT_NAME) == 0)
        return add_text(grid, HELDOUT_NAME, NULL, err);
    // "NAME=FILE", but "folder/a=b.txt" is a file.
    size_t n = strcspn(text, "=/");
    tb_text name = text[n] == '=' && n > 0 ? (tb_text){text, n} : last_part(text);
    const char *path = text[n] == '=' && n > 0 ? text + n + 1 : text;
    if (strcmp(path, "-") == 0 && name.data == path)
        name = (tb_text){"stdin", strlen("stdin")};
    if (name.size == 0 || path[0] == '\0')
        return tb_fail(err, TB_EINVAL, "'%s' is no text; write FILE or NAME=FILE", text);
    const char *own = tb_arena_text(&grid->arena, name.data, name.size);
    return own ? add_text(grid, own, path, err) : fail_memory(err);
}

tb_code tb_lab_grid_add_recipes(tb_lab_grid *grid, const char *list, tb_error *err)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const char *text = tb_arena_text(&grid->arena, at, strcspn(at, ","));
        tb_lab_recipe recipe;
        tb_code rc = text ? tb_lab_recipe_parse(&recipe, &grid->arena, text, err) : fail_memory(err);
        if (!rc)
            rc = keep_recipe(grid, &recipe, err);
        if (rc)
            return rc;
    }
    return TB_OK;
}

// ---- JSON ----

typedef struct grid_reader {
    tb_lab_grid *grid;
    const char *folder; // names of files are relative to it; NULL: to the working folder
} grid_reader;

// A text of the JSON file that outlives it.
static const char *keep_text(const grid_reader *r, const json_t *text)
{
    return tb_arena_text(&r->grid->arena, json_string_value(text), json_string_length(text));
}

static const char *keep_path(const grid_reader *r, const json_t *path)
{
    const char *text = json_string_value(path);
    if (!r->folder || text[0] == '/' || strcmp(text, "-") == 0)
        return keep_text(r, path);
    size_t size = strlen(r->folder) + 1 + strlen(text) + 1;
    char *whole = tb_arena_alloc(&r->grid->arena, size);
    if (whole)
        snprintf(whole, size, "%s/%s", r->folder, text);
    return whole;
}

// Fails on a key that is not in the list, which NULL ends.
static tb_code check_keys(const json_t *object, const char *const *known, const char *what, tb_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t count = 0, found = 0;
        for (; known[count]; count++)
            found += strcmp(known[count], key) == 0;
        if (found)
            continue;
        const char *meant = tb_suggest(key, known, count);
        return meant ? tb_fail(err, TB_EINVAL, "%s has an unknown key '%s'; did you mean '%s'?", what, key, meant)
                     : tb_fail(err, TB_EINVAL, "%s has an unknown key '%s'", what, key);
    }
    return TB_OK;
}

// The member when it is a text with something in it; NULL when it is missing.
static tb_code get_text(const json_t **out, const json_t *object, const char *key, const char *what, tb_error *err)
{
    *out = json_object_get(object, key);
    if (*out && !json_string_length(*out))
        return tb_fail(err, TB_EINVAL, "'%s' of %s is not a text", key, what);
    return TB_OK;
}

static tb_code read_also(const grid_reader *r, size_t model, const json_t *list, tb_error *err)
{
    if (list && !json_is_array(list))
        return tb_fail(err, TB_EINVAL, "'also' of a model is not a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *file = json_array_get(list, i);
        if (!json_string_length(file))
            return tb_fail(err, TB_EINVAL, "'also' of a model holds something else than names of files");
        const char *path = keep_path(r, file);
        tb_code rc = path ? tb_lab_grid_add_also(r->grid, model, path, err) : fail_memory(err);
        if (rc)
            return rc;
    }
    return TB_OK;
}

static tb_code read_model(const grid_reader *r, const json_t *json, tb_error *err)
{
    static const char *const known[] = {"name", "file", "also", NULL};
    tb_lab_grid *grid = r->grid;
    const json_t *name = NULL, *file = json;
    tb_code rc = TB_OK;
    if (json_is_object(json)) {
        rc = check_keys(json, known, "a model", err);
        if (!rc)
            rc = get_text(&name, json, "name", "a model", err);
        if (!rc)
            rc = get_text(&file, json, "file", "a model", err);
    }
    if (rc)
        return rc;
    if (!file || !json_string_length(file))
        return tb_fail(err, TB_EINVAL, "a model has no file");
    const char *path = keep_path(r, file);
    if (!path)
        return fail_memory(err);
    rc = add_model(grid, name ? keep_text(r, name) : tb_lab_grid_name_of_file(&grid->arena, path), path, err);
    if (!rc && json_is_object(json))
        rc = read_also(r, grid->model_count - 1, json_object_get(json, "also"), err);
    return rc;
}

static tb_code read_text(const grid_reader *r, const json_t *json, tb_error *err)
{
    static const char *const known[] = {"name", "file", NULL};
    tb_arena *arena = &r->grid->arena;
    const json_t *name = NULL, *file = json;
    tb_code rc = TB_OK;
    if (json_is_object(json)) {
        rc = check_keys(json, known, "a text", err);
        if (!rc)
            rc = get_text(&name, json, "name", "a text", err);
        if (!rc)
            rc = get_text(&file, json, "file", "a text", err);
    } else if (json_is_string(json) && strcmp(json_string_value(json), HELDOUT_NAME) == 0) {
        return add_text(r->grid, HELDOUT_NAME, NULL, err);
    } else if (!json_string_length(json)) {
        return tb_fail(err, TB_EINVAL, "a text is neither the name of a file nor an object");
    }
    if (rc)
        return rc;
    if (!file && !name)
        return tb_fail(err, TB_EINVAL, "a text has neither a name nor a file");
    const char *path = file ? keep_path(r, file) : NULL;
    tb_text part = path ? last_part(path) : (tb_text){HELDOUT_NAME, strlen(HELDOUT_NAME)};
    const char *own = name ? keep_text(r, name) : tb_arena_text(arena, part.data, part.size);
    return own && (path || !file) ? add_text(r->grid, own, path, err) : fail_memory(err);
}

static tb_code read_recipe(const grid_reader *r, const json_t *json, tb_error *err)
{
    tb_lab_recipe recipe;
    tb_code rc = tb_lab_recipe_read(&recipe, &r->grid->arena, json, err);
    return rc ? rc : keep_recipe(r->grid, &recipe, err);
}

static tb_code read_list(const grid_reader *r, const json_t *object, const char *key,
                         tb_code (*read)(const grid_reader *r, const json_t *json, tb_error *err), tb_error *err)
{
    const json_t *list = json_object_get(object, key);
    if (list && !json_is_array(list))
        return tb_fail(err, TB_EINVAL, "'%s' is not a list", key);
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < json_array_size(list); i++)
        rc = read(r, json_array_get(list, i), err);
    return rc;
}

static tb_code read_count(uint64_t *out, const json_t *object, const char *key, tb_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return TB_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return tb_fail(err, TB_EINVAL, "'%s' is not a whole number", key);
    *out = (uint64_t)json_integer_value(value);
    return TB_OK;
}

static tb_code read_grid(const grid_reader *r, const json_t *object, tb_error *err)
{
    static const char *const known[] = {"models",     "texts", "recipes", "ctx",          "skip",
                                        "max-tokens", "calib", "about",   "calib-tokens", NULL};
    tb_lab_grid *grid = r->grid;
    if (!json_is_object(object))
        return tb_fail(err, TB_EINVAL, "it is not a JSON object");
    tb_code rc = check_keys(object, known, "it", err);
    if (!rc)
        rc = read_list(r, object, "models", read_model, err);
    if (!rc)
        rc = read_list(r, object, "texts", read_text, err);
    if (!rc)
        rc = read_list(r, object, "recipes", read_recipe, err);
    if (!rc)
        rc = read_count(&grid->ctx, object, "ctx", err);
    if (!rc)
        rc = read_count(&grid->skip, object, "skip", err);
    if (!rc)
        rc = read_count(&grid->max_tokens, object, "max-tokens", err);
    if (!rc)
        rc = read_count(&grid->calibration_tokens, object, "calib-tokens", err);
    const json_t *calibration = NULL;
    if (!rc)
        rc = get_text(&calibration, object, "calib", "the grid", err);
    if (!rc && calibration && !(grid->calibration = keep_path(r, calibration)))
        rc = fail_memory(err);
    return rc;
}

tb_code tb_lab_grid_parse(tb_lab_grid *grid, const char *json, size_t size, const char *folder, tb_error *err)
{
    json_error_t why;
    grid_reader r = {grid, folder};
    json_t *object = json_loadb(json, size, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        return tb_fail(err, TB_EINVAL, "it is not JSON: %s, line %d", why.text, why.line);
    tb_code rc = read_grid(&r, object, err);
    json_decref(object);
    return rc;
}

// The folder of a file, or NULL where its name has none.
static tb_code find_folder(const char **out, tb_arena *arena, const char *path, tb_error *err)
{
    const char *slash = strrchr(path, '/');
    *out = slash ? tb_arena_text(arena, path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
    return slash && !*out ? fail_memory(err) : TB_OK;
}

tb_code tb_lab_grid_read(tb_lab_grid *grid, const char *path, tb_error *err)
{
    char *json;
    size_t size;
    const char *folder;
    tb_code rc = find_folder(&folder, &grid->arena, path, err);
    if (!rc)
        rc = tb_file_read(&json, &size, path, GRID_LIMIT, err);
    if (rc)
        return rc;
    rc = tb_lab_grid_parse(grid, json, size, folder, err);
    tb_free(json);
    return rc ? tb_fail_context(err, rc, "grid '%s'", path) : TB_OK;
}
