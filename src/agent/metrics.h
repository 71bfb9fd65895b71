// The official metrics of a result folder, and beside them the strict ones.
//
// Official: a missing result scores 0, a verifier's score counts as printed, pass@k looks at the first k runs. Strict:
// what the verifier's output makes doubtful does not count (audit.h), what broke outside the agent is counted apart,
// and pass@k is the unbiased estimate 1 − C(n−c, k)/C(n, k).
#ifndef TB_AGENT_METRICS_H
#define TB_AGENT_METRICS_H

#include "agent/audit.h"
#include "agent/facts.h"
#include "agent/results.h"

// One task over its runs; arrays are [runs].
typedef struct tb_tally {
    const tb_task *task;
    double *scores;
    size_t *steps;
    tb_audit *audits;
    size_t first_pass; // the run that passed first; `runs` where none did
    size_t best_run;
    double best, mean, checkpoint; // checkpoint: of the union of what passed in any run
    double mean_steps;
    bool completed_any;
} tb_tally;

typedef struct tb_step_stats {
    double mean;
    size_t median, p90, most, least;
} tb_step_stats;

// Tasks of one domain, or that use one application.
typedef struct tb_task_group {
    const char *name;
    size_t tasks;
    size_t *passes; // [runs] tasks passed within the first k + 1 runs
    double best, checkpoint;
    tb_step_stats steps;
} tb_task_group;

typedef struct tb_action_count {
    const char *name;
    size_t count;
} tb_action_count;

enum { TB_SAID_TRUE, TB_SAID_FALSE, TB_SAID_NOTHING, TB_SAID };                // what the agent says of its success
enum { TB_VERIFIED_PASS, TB_VERIFIED_FAIL, TB_VERIFIED_NOTHING, TB_VERIFIED }; // and the verifier

// What counts where nothing doubtful does.
typedef struct tb_strict {
    size_t runs;       // of all tasks
    size_t errors;     // of them, where something broke outside the agent
    size_t suspicious; // where the verifier's output is doubtful
    size_t resolved;
    double score;      // mean over the tasks that have a run without an error
    double *pass_at_k; // [runs] mean over these tasks of the unbiased estimate; of those with k such runs
    size_t scored_tasks;
} tb_strict;

// Sums over all calls of models that results tell of.
typedef struct tb_usage {
    double prompt_tokens, cached_tokens, completion_tokens, cost;
    bool has_tokens, has_cost; // cost: only where every run that has tokens has one
} tb_usage;

typedef struct tb_metrics {
    tb_arena arena;
    const tb_results *results;
    tb_tally *tallies;      // [tasks], in the order of tasks
    const tb_tally **by_id; // [tasks] the same in the order of ids, as official tables have them
    size_t max_steps;       // of a run
    size_t completed_any;
    size_t *passes; // [runs]
    double best, mean, checkpoint, median_best, mean_steps;
    size_t perfect, partial, zero;
    size_t *first_passes;          // [runs + 1] by the run that passed first; the last: never
    tb_task_group *domains, *apps; // sorted by name
    tb_task_group tracks[2];       // "text" and "multimodal": 0 tasks where there are none
    size_t domain_count, app_count;
    tb_step_stats task_steps, run_steps;
    tb_action_count *actions; // the most frequent first
    size_t action_count;
    double navigates, sites; // means over runs
    size_t navigate_violators;
    size_t total_steps, error_steps;
    size_t max_steps_hit, done_present, early_fail, empty_output; // tasks
    size_t confidence[TB_SAID][TB_VERIFIED];
    tb_strict strict;
    tb_usage usage;
} tb_metrics;

// `facts` may be NULL: nothing is known. `results` is kept, not copied.
tb_code tb_metrics_compute(tb_metrics *out, const tb_results *results, const tb_facts *facts, size_t max_steps,
                           tb_error *err);
void tb_metrics_clear(tb_metrics *metrics);

// Names of actions that agents are told not to use.
bool tb_action_is_banned(const char *name);

// A run's trajectory; an empty array where it has none. Borrowed.
struct json_t *tb_run_trajectory(const tb_saas_run *run);

// Whether Python would take a value for true; NULL is not.
bool tb_json_is_truthy(const struct json_t *value);

// Rounded to decimals as Python rounds.
double tb_round(double value, int decimals);

#endif
