// The result folder of a model: what its agent did in each run of each task, and what the verifier said.
//
//   <task>_r<k>.json          of the agent
//   <task>_r<k>_verify.json   of the verifier
//   run.json                  of the whole: model, settings, times; may be missing
//
// Everything in these files comes from outside: whatever is missing or of another kind counts as it would for Python's
// get() with a default.
#ifndef TB_AGENT_RESULTS_H
#define TB_AGENT_RESULTS_H

#include "agent/tasks.h"

struct json_t; // jansson's, included by the .c files

// One run of a task. NULL: there is no such file.
typedef struct tb_saas_run {
    struct json_t *agent, *verify;
} tb_saas_run;

typedef struct tb_results {
    tb_arena arena;
    const char *folder;
    const tb_tasks *tasks;
    struct json_t *settings; // run.json; NULL: there is none
    size_t *indexes;         // [runs] k of each run, ascending
    size_t runs;             // 1 at least
    tb_saas_run *items;      // [tasks][runs]
} tb_results;

// The folder in `folder` that holds the results of `model` (NULL: of the only one there), or `folder` itself where
// results lie in it. TB_EINVAL says which there are.
tb_code tb_results_find_folder(tb_str *out, const char *folder, const char *model, tb_error *err);

// Reads all runs that any of the tasks has; files that are damaged are missing, with a warning. `tasks` is kept, not
// copied. TB_EINVAL where there is no result at all.
tb_code tb_results_read(tb_results *out, const char *folder, const tb_tasks *tasks, const tb_report *report,
                        tb_error *err);
void tb_results_clear(tb_results *results);

const tb_saas_run *tb_results_get(const tb_results *results, size_t task, size_t run);

#endif
