// Two results of the same tasks, task by task.
#ifndef TB_AGENT_SAAS_COMPARE_H
#define TB_AGENT_SAAS_COMPARE_H

#include "agent/intervals.h"
#include "agent/metrics.h"

// Over the tasks of one domain, or over all.
typedef struct tb_pairing {
    const char *name; // NULL: all
    size_t tasks;
    double first, second;       // mean scores
    tb_interval difference;     // second − first, over tasks
    size_t better, worse, same; // tasks in which the second scores more, less, the same
    double p_value;             // of the sign test on those
} tb_pairing;

typedef struct tb_saas_comparison {
    tb_arena arena;
    const tb_metrics *first, *second;
    bool *paired; // [tasks] both have a result
    size_t unpaired;
    tb_pairing all;
    tb_pairing *domains; // sorted by name; those with a pair
    size_t domain_count;
} tb_saas_comparison;

// Compares the mean scores of tasks over their runs. Both must be of the same tasks, in the same order; tasks without a
// result in either are left out. TB_EINVAL where none is left.
tb_code tb_saas_compare(tb_saas_comparison *out, const tb_metrics *first, const tb_metrics *second, tb_error *err);
void tb_saas_comparison_clear(tb_saas_comparison *comparison);

#endif
