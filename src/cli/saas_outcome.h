// The results of a model, read and summed up: what 'saas report' and 'saas compare' begin with.
#ifndef TB_CLI_SAAS_OUTCOME_H
#define TB_CLI_SAAS_OUTCOME_H

#include "cli/saas_args.h"

enum { TB_SAAS_MAX_STEPS = 400 }; // of the official harness

typedef struct tb_saas_result_args {
    const char *result_dir, *model, *facts;
    uint64_t max_steps;
} tb_saas_result_args;

extern const tb_option tb_saas_result_table[];

typedef struct tb_saas_outcome {
    tb_saas_job job;
    tb_str folder, model;
    char tasks_hash[65];
    tb_facts facts;
    bool has_facts;
    tb_results results;
    tb_metrics metrics;
    tb_saas_report report;
} tb_saas_outcome;

// Operands are ids of tasks where `result_dir` is that of the arguments. The outcome must not be moved: its parts point
// at each other.
tb_code tb_saas_outcome_init(tb_saas_outcome *out, tb_cli *cli, const tb_saas_args *tasks,
                             const tb_saas_result_args *args, const char *result_dir, const tb_operands *operands,
                             tb_error *err);
void tb_saas_outcome_clear(tb_saas_outcome *outcome);

#endif
