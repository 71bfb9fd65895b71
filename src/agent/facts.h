// What is known of tasks without any agent: how many checks and points each has, counted by running its verifier where
// no application runs. A result that shows fewer has lost some.
#ifndef TB_AGENT_FACTS_H
#define TB_AGENT_FACTS_H

#include "agent/verify.h"

enum { TB_FACT_LABEL = 80 };

typedef struct tb_fact {
    const char *task_id;
    size_t checks;
    uint64_t points, earned; // earned: by doing nothing
    double score;
    tb_verdict_status status;
    bool complete;                      // the verifier came to its end; else it may have more checks
    char repeated_label[TB_FACT_LABEL]; // that two checks have, cut; "": there is none. Not kept in the file
} tb_fact;

typedef struct tb_facts {
    tb_arena arena;
    tb_fact *items;
    size_t count;
} tb_facts;

// Runs the verifiers of all tasks, `workers` at a time, on a slot without anything in it. TB_EIO when something listens
// on one of the slot's ports: it might answer.
tb_code tb_facts_measure(tb_facts *out, const tb_tasks *tasks, const tb_verify_options *options, size_t workers,
                         tb_error *err);

// The mean of the scores, and sums over all tasks.
typedef struct tb_facts_sum {
    size_t checks;
    uint64_t points;
    double mean_score;
} tb_facts_sum;

tb_facts_sum tb_facts_add_up(const tb_facts *facts);

// Reads and writes task-facts.json.
tb_code tb_facts_read(tb_facts *out, const char *path, tb_error *err);
tb_code tb_facts_write(const tb_facts *facts, const char *path, tb_error *err);

// The facts that belong to a folder of tasks: the nearest task-facts.json in it or above it. Leaves *path empty where
// there is none.
tb_code tb_facts_find_file(tb_str *path, const char *tasks_folder, tb_error *err);

// NULL: nothing is known.
const tb_fact *tb_facts_get(const tb_facts *facts, const char *task_id);
void tb_facts_clear(tb_facts *facts);

#endif
