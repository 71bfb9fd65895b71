#include "agent/audit.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "agent/lines.h"

// Half a unit of a score's third decimal, and what the arithmetic around it may add.
#define SCORE_TOLERANCE 0.0006
// Far above any weight, and far below where sums of them stop being finite.
#define MOST_WEIGHT 1e12

double tb_verify_score(const json_t *verify)
{
    return fmin(fmax(json_number_value(json_object_get(verify, "score")), 0), 1);
}

double tb_check_weight(const json_t *check)
{
    const json_t *weight = json_object_get(check, "weight");
    return weight ? fmin(fmax(json_number_value(weight), 0), MOST_WEIGHT) : 1;
}

// Sums over the checks of a result.
typedef struct check_sums {
    size_t count;
    double points, earned;
    bool all_passed;
} check_sums;

static bool contains(tb_text text, const char *word)
{
    for (size_t at = 0; at < text.size; at++)
        if (tb_starts_with(tb_text_from(text, at), word))
            return true;
    return false;
}

static unsigned doubt_of_detail(tb_text detail)
{
    if (tb_starts_with(detail, "judge error") || tb_starts_with(detail, "llm_judge"))
        return contains(detail, "error") ? TB_DOUBT_JUDGE : 0;
    return tb_starts_with(detail, "exception") || contains(detail, "not set") ? TB_DOUBT_EXCEPTION : 0;
}

static check_sums add_up(unsigned *doubts, const json_t *verify)
{
    const json_t *checks = json_object_get(verify, "checks"), *check;
    check_sums s = {.all_passed = true};
    size_t i;
    json_array_foreach(checks, i, check)
    {
        double weight = tb_check_weight(check);
        bool passed = json_is_true(json_object_get(check, "passed"));
        s.count++;
        s.points += weight;
        s.earned += passed ? weight : 0;
        s.all_passed = s.all_passed && passed;
        if (!passed)
            *doubts |= doubt_of_detail(tb_json_text_at(check, "detail"));
    }
    return s;
}

// Whether the verifier is known to have ended without its score. Results of the official harness do not tell; there a
// verifier that passes everything and yet fails by its exit status is one.
static bool lacks_score(const json_t *verify)
{
    const json_t *line = json_object_get(json_object_get(json_object_get(verify, "twobit"), "audit"), "score_line");
    bool failed = json_integer_value(json_object_get(verify, "returncode")) != 0;
    bool passed = json_is_true(json_object_get(verify, "all_pass"));
    return failed && (json_is_boolean(line) ? json_is_false(line) : passed);
}

static unsigned doubt_of_sums(const json_t *verify, const check_sums *s)
{
    double total = json_number_value(json_object_get(verify, "total"));
    double earned = json_number_value(json_object_get(verify, "earned"));
    double score = json_number_value(json_object_get(verify, "score"));
    unsigned doubts = total != s->points ? TB_DOUBT_TOTAL : 0;
    if (fabs(score - (total > 0 ? earned / total : 0)) > SCORE_TOLERANCE)
        doubts |= TB_DOUBT_SCORE;
    return doubts;
}

// The agent's side broke, not the agent: its applications, its browser's machine, its model's endpoint.
static bool broke_outside(const json_t *agent)
{
    tb_text status = tb_json_text_at(agent, "status");
    tb_text reason = tb_json_text_at(json_object_get(agent, "twobit"), "stop_reason");
    return !agent || (!tb_text_is(status, "completed") && status.size) || tb_text_is(reason, "llm_unavailable");
}

tb_audit tb_run_audit(const tb_saas_run *run, const tb_fact *fact)
{
    tb_audit a = {0};
    tb_text status = tb_json_text_at(run->verify, "status");
    bool judged = tb_text_is(status, "PASS") || tb_text_is(status, "FAIL");
    if (!judged || broke_outside(run->agent)) {
        a.error = true;
        return a;
    }
    check_sums s = add_up(&a.doubts, run->verify);
    a.doubts |= doubt_of_sums(run->verify, &s);
    if (lacks_score(run->verify))
        a.doubts |= TB_DOUBT_NO_SCORE;
    if (fact && (s.count < fact->checks || s.points < (double)fact->points))
        a.doubts |= TB_DOUBT_MISSING_CHECKS;
    a.error = (a.doubts & TB_DOUBT_NO_SCORE) != 0;
    double known = fact ? fmax((double)fact->points, s.points) : s.points;
    a.score = known > 0 && !a.error ? s.earned / known : 0;
    a.resolved = tb_text_is(status, "PASS") && s.all_passed && s.count > 0 && !a.doubts;
    return a;
}

const char *tb_doubt_text(unsigned bit)
{
    switch (bit) {
    case TB_DOUBT_NO_SCORE:
        return "the verifier ended without its score";
    case TB_DOUBT_TOTAL:
        return "its total is not the sum of its checks";
    case TB_DOUBT_SCORE:
        return "its score is not what it says was earned";
    case TB_DOUBT_MISSING_CHECKS:
        return "it has fewer checks than the task";
    case TB_DOUBT_EXCEPTION:
        return "a check failed because of the verifier";
    default:
        return "a check failed because no model judged";
    }
}
