// Running a task's verifier, verify.py, unchanged.
#ifndef TB_AGENT_VERIFY_H
#define TB_AGENT_VERIFY_H

#include "agent/tasks.h"
#include "agent/verdict.h"

typedef struct tb_verify_options {
    const tb_apps *apps;
    tb_slot slot;       // whose ports and containers the verifier looks at
    bool fixed_ports;   // the applications' fixed ports instead of the slot's: they run without isolation
    const char *python; // NULL: python3
    bool stand_in;      // `docker` is this program, for a slot without containers (docker.h)
    bool without_judge; // no endpoint and key for a model that judges
    const tb_report *report;
} tb_verify_options;

typedef struct tb_verification {
    tb_verdict verdict;
    tb_str output, errors; // what the verifier wrote
    bool cut;              // it wrote more than is kept
    double seconds;
} tb_verification;

enum { TB_VERIFY_SECONDS = 300, TB_VERIFY_BYTES = 8 << 20 }; // the limits of a verifier

// Runs the verifier of a task to its end, or until its time is over. What comes of it, also that there is none, is in
// the verdict; fails when it cannot be started, without memory, or when asked to stop.
tb_code tb_task_verify(tb_verification *out, const tb_task *task, const tb_verify_options *options, tb_error *err);
void tb_verification_clear(tb_verification *verification);

// The result file of a verification: the official members, and `twobit` with what the audit and people want to know.
// NULL when memory ran out. `task_id` is the task's.
struct json_t *tb_verification_json(const tb_verification *verification, const char *task_id);

// Writes it as FOLDER/<task_id>_r<run>_verify.json; the folder is made where it is missing.
tb_code tb_verification_write(const tb_verification *verification, const char *task_id, const char *folder, size_t run,
                              tb_error *err);

// Fails unless `python` (NULL: python3) is there and has the module that verifiers import.
tb_code tb_python_check(const char *python, tb_error *err);

#endif
