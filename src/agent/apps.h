// The registry of applications: which there are, and which ports and container names they get.
//
// A slot is a place for one set of applications: its ports are base + slot · 40 + the application's index, its
// containers are called <prefix>_<slot>_<application>.
#ifndef TB_AGENT_APPS_H
#define TB_AGENT_APPS_H

#include <stddef.h>

#include "base/base.h"

enum { TB_SLOT_PORTS = 40, TB_MOST_APPS = TB_SLOT_PORTS };

typedef struct tb_app {
    const char *key;
    unsigned index;               // of its port within a slot
    unsigned fixed_port;          // where it runs when nobody isolates it; 0: nowhere
    unsigned extra_offset;        // a second port, so much behind the first; 0: none
    const char *container_suffix; // behind the name of the application's container
    const char *db_suffix;        // and behind that of its database; NULL: no variable names one
} tb_app;

typedef struct tb_apps {
    tb_arena arena;
    tb_app items[TB_MOST_APPS];
    size_t count;
} tb_apps;

// Reads a registry in the official form, apps.yaml.
tb_code tb_apps_read(tb_apps *out, const char *path, tb_error *err);

// The same from the text of one, which `what` names in messages.
tb_code tb_apps_parse(tb_apps *out, tb_text text, const char *what, tb_error *err);

// The registry that belongs to a folder of tasks: the nearest apps.yaml in it or above it, else the nearest
// saas_bench/apps.yaml. Leaves *path empty where there is none.
tb_code tb_apps_find_file(tb_str *path, const char *tasks_folder, tb_error *err);

// NULL: unknown.
const tb_app *tb_apps_get(const tb_apps *apps, const char *key);

void tb_apps_clear(tb_apps *apps);

enum { TB_BASE_PORT = 30000 };

// Where a slot lies. Zeroed fields mean the defaults: TB_BASE_PORT, "rollout", "localhost".
typedef struct tb_slot {
    unsigned number;
    unsigned base_port;
    const char *prefix;
    const char *hostname;
} tb_slot;

const char *tb_slot_hostname(const tb_slot *slot);
unsigned tb_slot_port(const tb_slot *slot, const tb_app *app);

#endif
