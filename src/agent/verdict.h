// What a verifier says: the checks of a task, read from the standard error of verify.py exactly as the official harness
// reads them.
#ifndef TB_AGENT_VERDICT_H
#define TB_AGENT_VERDICT_H

#include <stdint.h>

#include "base/base.h"

struct json_t; // jansson's, included by the .c files

typedef enum tb_verdict_status {
    TB_VERDICT_ERROR, // nothing was found that could be read, or the verifier did not end
    TB_VERDICT_FAIL,
    TB_VERDICT_PASS, // every check passed
    TB_VERDICT_SKIP, // there is no verifier
} tb_verdict_status;

typedef struct tb_check {
    tb_text label, detail; // detail: "" where there is none
    uint64_t weight;
    bool passed;
} tb_check;

typedef struct tb_verdict {
    tb_arena arena;
    tb_check *checks;
    size_t check_count;
    tb_verdict_status status;
    double score; // 0 … 1, as the verifier printed it, in three decimals; else earned/total
    uint64_t earned, total;
    bool all_pass;
    bool has_score;    // it printed a score
    bool ended;        // it ran to its end, with this status
    int returncode;    // of which nothing depends
    const char *error; // why there is no result; NULL
} tb_verdict;

// Reads what was printed; fails without memory only. `returncode` and `ended` are left to who ran the verifier.
tb_code tb_verdict_parse(tb_verdict *out, tb_text printed, tb_error *err);

// One without checks.
void tb_verdict_init(tb_verdict *out, tb_verdict_status status, const char *error);
void tb_verdict_clear(tb_verdict *verdict);

const char *tb_verdict_status_name(tb_verdict_status status);

// The object of a result file, in the members of the official one. NULL when memory ran out.
struct json_t *tb_verdict_json(const tb_verdict *verdict, const char *task_id);

#endif
