// Whether a verifier's result can be believed. The official numbers stay as they are; the strict ones do not count what
// is doubtful.
#ifndef TB_AGENT_AUDIT_H
#define TB_AGENT_AUDIT_H

#include "agent/facts.h"
#include "agent/results.h"

// Why a result is doubtful, as bits.
enum {
    TB_DOUBT_NO_SCORE = 1,       // the verifier did not end with its score, and said so by its exit status
    TB_DOUBT_TOTAL = 2,          // its total is not the sum of its checks
    TB_DOUBT_SCORE = 4,          // its score is not earned/total
    TB_DOUBT_MISSING_CHECKS = 8, // it has fewer checks or points than the task is known to have
    TB_DOUBT_EXCEPTION = 16,     // a check failed because of the verifier: an exception, a variable that is not set
    TB_DOUBT_JUDGE = 32,         // or because no model judged
};
enum { TB_DOUBTS = 6 };

typedef struct tb_audit {
    unsigned doubts;
    bool error;    // something broke outside the agent: there is nothing to score
    bool resolved; // every check that the task is known to have passed, and nothing is doubtful
    double score;  // points of passed checks among the points that the task is known to have
} tb_audit;

// `fact` may be NULL: nothing is known of the task.
tb_audit tb_run_audit(const tb_saas_run *run, const tb_fact *fact);

// The score of a verifier's result, 0 … 1, and the weight of a check in one, 0 … 1e12: what lies beyond, or is no
// number, counts as the nearest that can be summed up. Without a weight it is 1.
double tb_verify_score(const struct json_t *verify);
double tb_check_weight(const struct json_t *check);

// A sentence about the doubt with this bit.
const char *tb_doubt_text(unsigned bit);

#endif
