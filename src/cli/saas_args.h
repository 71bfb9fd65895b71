// What the commands of twobit saas share.
#ifndef TB_CLI_SAAS_ARGS_H
#define TB_CLI_SAAS_ARGS_H

#include "agent/agent.h"
#include "cli/cli.h"

// Which tasks.
typedef struct tb_saas_args {
    const char *tasks_dir, *domain, *apps;
    tb_option_texts task_ids; // each may be several, with commas between them
    bool allow_duplicates;
} tb_saas_args;

extern const tb_option tb_saas_task_table[];

// How verifiers run where no application does.
typedef struct tb_saas_empty_slot_args {
    const char *python;
    uint64_t slot, workers;
} tb_saas_empty_slot_args;

enum { TB_SAAS_WORKERS = 4 }; // the default

extern const tb_option tb_saas_empty_slot_table[];

typedef struct tb_saas_job {
    tb_arena arena;
    tb_tasks tasks;
    tb_apps apps; // empty where there is no registry
    bool has_apps;
} tb_saas_job;

// Reads the tasks asked for, by options and by the operands (NULL: none), and the registry that --apps names or that
// belongs to the folder; warns of applications that are not in it.
tb_code tb_saas_job_init(tb_saas_job *job, tb_cli *cli, const tb_saas_args *args, const tb_operands *operands,
                         tb_error *err);
void tb_saas_job_clear(tb_saas_job *job);

// Fails where there is no registry, for commands that need one.
tb_code tb_saas_need_apps(const tb_saas_job *job, tb_cli *cli, tb_error *err);

// What runs verifiers: the option's value, else that of the environment variable PYTHON; NULL: the usual one.
const char *tb_saas_python(const char *option);

// Slot `number` of this machine, as SAAS_BASE_PORT and SAAS_SLOT_PREFIX place it.
tb_code tb_saas_slot_init(tb_slot *slot, size_t number, const char *hostname, tb_error *err);

// What the tasks' verifiers say there. Clear `out` also after failure.
tb_code tb_saas_measure_facts(tb_facts *out, const tb_saas_job *job, tb_cli *cli, const tb_saas_empty_slot_args *args,
                              tb_error *err);

#endif
