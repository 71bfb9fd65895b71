// Task folders, as they are published: meta.json, description.md, verify.py.
#ifndef TB_AGENT_TASKS_H
#define TB_AGENT_TASKS_H

#include "agent/apps.h"

// A file that a task gives to the agent.
typedef struct tb_task_input {
    const char *file, *type, *role; // as meta.json has them; "" where it has not
    const char *path;               // where it lies; NULL: it is missing
} tb_task_input;

typedef struct tb_task {
    const char *id;     // also part of file names: letters, digits, '.', '_', '-', at most 100
    const char *domain; // meta.json calls it category_id
    const char *folder;
    const char *verifier; // path of verify.py; NULL: there is none
    tb_text description;
    const char **sites; // keys of applications, of which the registry may know none
    size_t site_count;
    tb_task_input *inputs;
    size_t input_count;
    bool multimodal; // it has inputs, or lies in the official track of tasks that want eyes
} tb_task;

typedef struct tb_tasks {
    tb_arena arena;
    tb_task *items; // in the order of their paths, compared name by name
    size_t count;
} tb_tasks;

typedef struct tb_task_choice {
    const char *folder;      // searched at any depth; links to folders are not followed
    const char *const *ids;  // only these; each must be there
    size_t id_count;         // 0: all
    const char *domain;      // only those of this domain; NULL: all
    bool allow_duplicates;   // a task with an id that was seen before is called ID@2, ID@3 …
    const tb_report *report; // is told of folders that are no good, which are passed over; may be NULL
} tb_task_choice;

// TB_EINVAL where two tasks have one id, an id is none, or an id asked for is not there.
tb_code tb_tasks_read(tb_tasks *out, const tb_task_choice *choice, tb_error *err);
void tb_tasks_clear(tb_tasks *tasks);

// The SHA-256 of what the tasks are made of: meta.json, description.md, verify.py of each, in their order. Reports of
// one hash are of the same tasks.
tb_code tb_tasks_hash(char out[65], const tb_tasks *tasks, tb_error *err);

// The list of steps in a task's description, for a plan. Each is called with one of them, until one fails.
typedef tb_code tb_step_fn(void *user, tb_text step, tb_error *err);
tb_code tb_task_each_step(const tb_task *task, tb_step_fn *each, void *user, tb_error *err);
size_t tb_task_count_steps(const tb_task *task);

// "text" or "multimodal".
const char *tb_task_track(const tb_task *task);

// Appends what the agent is asked to do: where the applications are, then the description. Applications that the
// registry does not know are left out; without any there is nothing to say of them.
tb_code tb_task_append_prompt(tb_str *out, const tb_task *task, const tb_apps *apps, const tb_slot *slot,
                              tb_error *err);

// Appends the plan that the agent finds in todo.md.
tb_code tb_task_append_todo(tb_str *out, const tb_task *task, tb_error *err);

#endif
