// What is wrong with tasks, for those who write them.
#ifndef TB_AGENT_LINT_H
#define TB_AGENT_LINT_H

#include "agent/facts.h"

typedef enum tb_flaw_level {
    TB_FLAW_ERROR,   // the task cannot be run, or its score means nothing
    TB_FLAW_WARNING, // it can, but somebody should look
} tb_flaw_level;

typedef struct tb_flaw {
    size_t task; // of the tasks
    tb_flaw_level level;
    const char *text;
} tb_flaw;

typedef struct tb_lint {
    tb_arena arena;
    tb_flaw *items; // task by task
    size_t count, errors;
} tb_lint;

// Looks at the texts and files of tasks, and at the facts of the same tasks in the same order; NULL: their verifiers
// were not run.
tb_code tb_lint_tasks(tb_lint *out, const tb_tasks *tasks, const tb_apps *apps, const tb_facts *facts, tb_error *err);
void tb_lint_clear(tb_lint *lint);

#endif
