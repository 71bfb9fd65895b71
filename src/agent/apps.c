#include "agent/apps.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/above.h"
#include "agent/lines.h"
#include "agent/yaml_subset.h"

enum { MOST_PORT = 65535, MOST_BYTES = 1 << 20 }; // the official file has 8 kB

// What the official harness knows of containers beyond the registry: where an application's container is not called
// after it alone, and which have a variable that names their database's.
static const struct naming {
    const char *key, *container_suffix, *db_suffix;
} namings[] = {
    {"onlyoffice", "-community", "-mysql"},
    {"mattermost", "", "-postgres"},
    {"owncloud", "", "-mariadb"},
    {"openproject", "", ""},
    {"metabase", "", ""},
    {"baserow", "", ""},
    {"twenty", "", ""},
    {"bigcapital", "", ""},
    {"hrms", "", ""},
    {"pretix", "", ""},
    {"openemr", "", ""},
    {"roundcubemail", "", ""},
    {"e-label", "", ""},
};

static const char *const fields[] = {
    "app_index",  "fixed_port",     "container_port",        "start",           "health_path", "startup_wait",
    "start_type", "pg_port_offset", "compose_template_file", "compose_volumes",
};

static void set_naming(tb_app *app)
{
    app->container_suffix = "";
    for (size_t i = 0; i < sizeof namings / sizeof namings[0]; i++)
        if (strcmp(namings[i].key, app->key) == 0) {
            app->container_suffix = namings[i].container_suffix;
            app->db_suffix = namings[i].db_suffix;
        }
}

static bool is_field(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(fields[i], name) == 0)
            return true;
    return false;
}

// A member that is a whole number of 0 … most; `otherwise` where there is none.
static tb_code get_number(unsigned *out, const json_t *app, const char *name, unsigned most, unsigned otherwise,
                          const char *key, const char *what, tb_error *err)
{
    const json_t *value = json_object_get(app, name);
    *out = otherwise;
    if (!value)
        return TB_OK;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > most)
        return tb_fail(err, TB_EFORMAT, "%s: '%s' of '%s' is no whole number from 0 to %u", what, name, key, most);
    *out = (unsigned)number;
    return TB_OK;
}

static tb_code check_fields(const json_t *app, const char *key, const char *what, tb_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)app, name, value) // the cast is jansson's wish; nothing is changed
    {
        if (!is_field(name))
            return tb_fail(err, TB_EFORMAT, "%s: '%s' has the unknown field '%s'", what, key, name);
    }
    return json_object_get(app, "app_index") ? TB_OK : tb_fail(err, TB_EFORMAT, "%s: '%s' has no app_index", what, key);
}

static tb_code check_clash(const tb_apps *apps, const tb_app *app, const char *what, tb_error *err)
{
    for (size_t i = 0; i < apps->count; i++)
        if (apps->items[i].index == app->index)
            return tb_fail(err, TB_EFORMAT, "%s: '%s' and '%s' have the same app_index %u", what, apps->items[i].key,
                           app->key, app->index);
    return TB_OK;
}

static tb_code add_app(tb_apps *apps, const char *key, const json_t *member, const char *what, tb_error *err)
{
    if (apps->count == TB_MOST_APPS)
        return tb_fail(err, TB_ELIMIT, "%s has more than %d applications", what, TB_MOST_APPS);
    if (!json_is_object(member))
        return tb_fail(err, TB_EFORMAT, "%s: '%s' is not described by fields", what, key);
    tb_app app = {.key = tb_arena_text(&apps->arena, key, strlen(key))};
    if (!app.key)
        return tb_fail(err, TB_ENOMEM, "no memory for %s", what);
    tb_code rc = check_fields(member, key, what, err);
    if (!rc)
        rc = get_number(&app.index, member, "app_index", TB_SLOT_PORTS - 1, 0, key, what, err);
    if (!rc)
        rc = get_number(&app.fixed_port, member, "fixed_port", MOST_PORT, 0, key, what, err);
    if (!rc)
        rc = get_number(&app.extra_offset, member, "pg_port_offset", TB_SLOT_PORTS - 1, 0, key, what, err);
    if (!rc)
        rc = check_clash(apps, &app, what, err);
    if (rc)
        return rc;
    set_naming(&app);
    apps->items[apps->count++] = app;
    return TB_OK;
}

tb_code tb_apps_parse(tb_apps *out, tb_text text, const char *what, tb_error *err)
{
    *out = (tb_apps){0};
    json_t *file;
    tb_code rc = tb_yaml_read(&file, tb_without_mark(text), what, err);
    if (rc)
        return rc;
    json_t *list = json_object_get(file, "apps"), *member;
    const char *key;
    if (!json_is_object(list) || json_object_size(file) != 1)
        rc = tb_fail(err, TB_EFORMAT, "%s must hold 'apps:' and nothing else", what);
    else
        json_object_foreach(list, key, member)
        {
            if (!rc)
                rc = add_app(out, key, member, what, err);
        }
    json_decref(file);
    if (rc)
        tb_apps_clear(out);
    return rc;
}

tb_code tb_apps_read(tb_apps *out, const char *path, tb_error *err)
{
    char *text;
    size_t size;
    tb_str what = {0};
    *out = (tb_apps){0};
    tb_code rc = tb_file_read(&text, &size, path, MOST_BYTES, err);
    if (rc)
        return rc;
    rc = tb_str_printf(&what, err, "'%s'", path);
    if (!rc)
        rc = tb_apps_parse(out, (tb_text){text, size}, what.data, err);
    tb_str_clear(&what);
    tb_free(text);
    return rc;
}

tb_code tb_apps_find_file(tb_str *path, const char *tasks_folder, tb_error *err)
{
    tb_code rc = tb_find_above(path, tasks_folder, "apps.yaml", err);
    return rc || path->size ? rc : tb_find_above(path, tasks_folder, "saas_bench/apps.yaml", err);
}

const tb_app *tb_apps_get(const tb_apps *apps, const char *key)
{
    for (size_t i = 0; i < apps->count; i++)
        if (strcmp(apps->items[i].key, key) == 0)
            return &apps->items[i];
    return NULL;
}

void tb_apps_clear(tb_apps *apps)
{
    tb_arena_clear(&apps->arena);
    *apps = (tb_apps){0};
}

const char *tb_slot_hostname(const tb_slot *slot)
{
    return slot->hostname ? slot->hostname : "localhost";
}

unsigned tb_slot_port(const tb_slot *slot, const tb_app *app)
{
    unsigned base = slot->base_port ? slot->base_port : TB_BASE_PORT;
    return base + slot->number * TB_SLOT_PORTS + app->index;
}
