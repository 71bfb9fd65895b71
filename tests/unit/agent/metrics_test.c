// agent: what results amount to. The golden vector is that of the specification, made with the official tool.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/intervals.h"
#include "agent/metrics.h"
#include "agent/saas_report.h"

static char folder[] = "/tmp/twobit-metrics-XXXXXX";
static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static const char *sites_1[] = {"a", "b"}, *sites_2[] = {"a"}, *sites_3[] = {"b", "c", "d"};
static tb_task items[] = {
    {.id = "d1_1", .domain = "D1", .sites = sites_1, .site_count = 2},
    {.id = "d1_2", .domain = "D1", .sites = sites_2, .site_count = 1},
    {.id = "d2_1", .domain = "D2", .sites = sites_3, .site_count = 3},
};
static const tb_tasks tasks = {.items = items, .count = 3};

static void write_text(const char *name, const char *text)
{
    OK(tb_file_write(name, text, strlen(text), &err));
}

// An agent's result of so many steps.
static void write_agent(const char *name, const char *status, size_t steps)
{
    json_t *trajectory = json_array();
    for (size_t i = 0; i < steps; i++)
        json_array_append_new(trajectory,
                              json_pack("{s:i, s:[{s:{}}], s:[]}", "step", (int)i + 1, "actions", "click", "results"));
    json_t *agent = json_pack("{s:s, s:s, s:o}", "status", status, "agent_output", "", "trajectory", trajectory);
    char *text = json_dumps(agent, JSON_COMPACT);
    write_text(name, text);
    free(text);
    json_decref(agent);
}

// A verifier's result from "c1:1 pass, c2:2 fail" as 'p' and 'f' over weights 1, 2, 3.
static void write_verify(const char *name, const char *checks, double score)
{
    json_t *list = json_array();
    double earned = 0, total = 0;
    bool all = true;
    for (size_t i = 0; checks[i]; i++) {
        char label[32];
        snprintf(label, sizeof label, "c%zu", i + 1);
        bool passed = checks[i] == 'p';
        all = all && passed;
        total += (double)(i + 1);
        earned += passed ? (double)(i + 1) : 0;
        json_array_append_new(list, json_pack("{s:s, s:i, s:b, s:s}", "label", label, "weight", (int)i + 1, "passed",
                                              passed, "detail", ""));
    }
    json_t *verify = json_pack("{s:s, s:f, s:f, s:f, s:b, s:o, s:i}", "status", all ? "PASS" : "FAIL", "score", score,
                               "earned", earned, "total", total, "all_pass", all, "checks", list, "returncode", 0);
    char *text = json_dumps(verify, JSON_COMPACT);
    write_text(name, text);
    free(text);
    json_decref(verify);
}

static int enter_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    write_agent("d1_1_r0.json", "completed", 11);
    write_verify("d1_1_r0_verify.json", "pfp", 0.667);
    write_agent("d1_1_r1.json", "completed", 14);
    write_verify("d1_1_r1_verify.json", "ppp", 1);
    write_agent("d1_2_r0.json", "error", 0);
    write_text("d1_2_r0_verify.json",
               "{\"status\":\"ERROR\",\"score\":0.0,\"checks\":[],\"error\":\"timeout after 300s\"}");
    write_agent("d1_2_r1.json", "completed", 21);
    write_verify("d1_2_r1_verify.json", "pf", 0.333);
    write_agent("d2_1_r0.json", "completed", 20);
    write_verify("d2_1_r0_verify.json", "fp", 0.667);
    return 0;
}

static int leave_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void assert_near(double value, double expected)
{
    if (fabs(value - expected) > 1e-9)
        fail_msg("%.12g is not %.12g", value, expected);
}

static void assert_steps(const tb_step_stats *s, double mean, size_t median, size_t p90, size_t most, size_t least)
{
    assert_near(tb_round(s->mean, 1), mean);
    assert_int_equal(s->median, median);
    assert_int_equal(s->p90, p90);
    assert_int_equal(s->most, most);
    assert_int_equal(s->least, least);
}

static void metrics__are_those_of_the_golden_vector(void **state)
{
    (void)state;
    tb_results results;
    tb_metrics m;
    OK(tb_results_read(&results, ".", &tasks, NULL, &err));
    OK(tb_metrics_compute(&m, &results, NULL, 20, &err));
    assert_int_equal(results.runs, 2);
    assert_int_equal(m.passes[0], 0);
    assert_int_equal(m.passes[1], 1);
    assert_near(tb_round(m.best, 4), 0.6667);
    assert_near(tb_round(m.mean, 4), 0.4445);
    assert_near(tb_round(m.checkpoint, 4), 0.6667);
    assert_near(tb_round(m.median_best, 4), 0.667);
    assert_int_equal(m.perfect, 1);
    assert_int_equal(m.partial, 2);
    assert_int_equal(m.zero, 0);
    assert_near(tb_round(m.mean_steps, 1), 11.0);
    assert_int_equal(m.first_passes[0], 0);
    assert_int_equal(m.first_passes[1], 1);
    assert_int_equal(m.first_passes[2], 2);
    assert_near(tb_round(m.domains[0].best, 4), 0.6665);
    static const double apps[] = {0.6665, 0.8335, 0.667, 0.667};
    assert_int_equal(m.app_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_near(tb_round(m.apps[i].best, 4), apps[i]);
    assert_steps(&m.task_steps, 10.7, 10, 12, 12, 10);
    assert_steps(&m.run_steps, 11, 12, 20, 21, 0);
    assert_int_equal(m.max_steps_hit, 2);
    tb_metrics_clear(&m);
    tb_results_clear(&results);
}

static void metrics__of_a_task_depend_on_its_files_only(void **state)
{
    (void)state;
    tb_results all, fewer;
    tb_metrics before, after;
    OK(tb_results_read(&all, ".", &tasks, NULL, &err));
    OK(tb_metrics_compute(&before, &all, NULL, 20, &err));
    assert_int_equal(rename("d1_1_r1_verify.json", "away"), 0);
    OK(tb_results_read(&fewer, ".", &tasks, NULL, &err));
    OK(tb_metrics_compute(&after, &fewer, NULL, 20, &err));
    assert_int_equal(rename("away", "d1_1_r1_verify.json"), 0);
    assert_near(after.tallies[0].best, 0.667);
    assert_int_equal(after.passes[1], 0);
    for (size_t i = 1; i < 3; i++) {
        assert_near(after.tallies[i].best, before.tallies[i].best);
        assert_near(after.tallies[i].mean, before.tallies[i].mean);
        assert_near(after.tallies[i].checkpoint, before.tallies[i].checkpoint);
    }
    tb_metrics_clear(&before);
    tb_metrics_clear(&after);
    tb_results_clear(&all);
    tb_results_clear(&fewer);
}

static void strict__counts_apart_what_broke_outside(void **state)
{
    (void)state;
    tb_results results;
    tb_metrics m;
    tb_fact fact[] = {{.task_id = "d1_1", .checks = 4, .points = 10, .complete = true}};
    const tb_facts facts = {.items = fact, .count = 1};
    OK(tb_results_read(&results, ".", &tasks, NULL, &err));
    OK(tb_metrics_compute(&m, &results, &facts, 20, &err));
    // Errors: d1_2's first run, d2_1's missing one. Both of d1_1 lack a check; so it is not resolved.
    assert_int_equal(m.strict.runs, 6);
    assert_int_equal(m.strict.errors, 2);
    assert_int_equal(m.strict.suspicious, 2);
    assert_int_equal(m.strict.resolved, 0);
    assert_int_equal(m.tallies[0].audits[1].doubts, TB_DOUBT_MISSING_CHECKS);
    assert_near(m.tallies[0].audits[1].score, 0.6);
    assert_near(m.strict.score, (0.5 * (0.4 + 0.6) + 1.0 / 3 + 2.0 / 3) / 3);
    tb_metrics_clear(&m);
    OK(tb_metrics_compute(&m, &results, NULL, 20, &err));
    assert_int_equal(m.strict.resolved, 1);
    assert_near(m.strict.pass_at_k[0], 0.5 / 3);
    assert_near(m.strict.pass_at_k[1], 1);
    tb_metrics_clear(&m);
    tb_results_clear(&results);
}

// ---- the audit ----

static tb_audit audit_of(const char *agent, const char *verify, const tb_fact *fact)
{
    tb_saas_run run = {json_loads(agent, 0, NULL), json_loads(verify, 0, NULL)};
    assert_non_null(run.verify);
    tb_audit a = tb_run_audit(&run, fact);
    json_decref(run.agent);
    json_decref(run.verify);
    return a;
}

static void audit__finds_what_is_doubtful(void **state)
{
    (void)state;
    static const char done[] = "{\"status\":\"completed\"}";
#define CHECK(detail, passed) "{\"label\":\"a\",\"weight\":2,\"passed\":" passed ",\"detail\":\"" detail "\"}"
#define VERIFY(status, score, earned, total, code, more, check)                                                        \
    "{\"status\":\"" status "\",\"score\":" score ",\"earned\":" earned ",\"total\":" total ",\"all_pass\":" more      \
    ",\"returncode\":" code ",\"checks\":[" check "]}"
    static const char good[] = VERIFY("PASS", "1.0", "2", "2", "0", "true", CHECK("", "true"));
    tb_audit a = audit_of(done, good, NULL);
    assert_true(a.resolved && !a.doubts && !a.error);
    a = audit_of(done, VERIFY("PASS", "1.0", "3", "3", "0", "true", CHECK("", "true")), NULL);
    assert_int_equal(a.doubts, TB_DOUBT_TOTAL);
    a = audit_of(done, VERIFY("FAIL", "0.9", "0", "2", "1", "false", CHECK("", "false")), NULL);
    assert_int_equal(a.doubts, TB_DOUBT_SCORE);
    a = audit_of(done, VERIFY("FAIL", "0.333", "1", "3", "1", "false", CHECK("", "false")), NULL);
    assert_int_equal(a.doubts, TB_DOUBT_TOTAL);
    a = audit_of(done, VERIFY("PASS", "1.0", "2", "2", "1", "true", CHECK("", "true")), NULL);
    assert_int_equal(a.doubts, TB_DOUBT_NO_SCORE);
    assert_true(a.error && !a.resolved);
    static const char *const failed[] = {"exception: x", "PORT not set", "judge error: x", "llm_judge error: x",
                                         "llm_judge_vision error: x"};
    for (size_t i = 0; i < 5; i++) {
        char text[512];
        snprintf(text, sizeof text, VERIFY("FAIL", "0.0", "0", "2", "1", "false", CHECK("%s", "false")), failed[i]);
        a = audit_of(done, text, NULL);
        assert_int_equal(a.doubts, i < 2 ? TB_DOUBT_EXCEPTION : TB_DOUBT_JUDGE);
        assert_false(a.error);
    }
    const tb_fact more = {.checks = 2, .points = 2}, heavier = {.checks = 1, .points = 8},
                  same = {.checks = 1, .points = 2};
    assert_int_equal(audit_of(done, good, &more).doubts, TB_DOUBT_MISSING_CHECKS);
    assert_near(audit_of(done, good, &heavier).score, 0.25);
    assert_true(audit_of(done, good, &same).resolved);
    assert_true(audit_of("{\"status\":\"infra_error\"}", good, NULL).error);
    assert_true(
        audit_of("{\"status\":\"completed\",\"twobit\":{\"stop_reason\":\"llm_unavailable\"}}", good, NULL).error);
    assert_true(audit_of(done, "{\"status\":\"SKIP\"}", NULL).error);
}

// ---- numbers ----

static void rounding__is_that_of_python(void **state)
{
    (void)state;
    assert_near(tb_round(0.125, 2), 0.12);
    assert_near(tb_round(2.675, 2), 2.67);
    assert_near(tb_round(0.5, 0), 0);
    assert_near(tb_round(1.5, 0), 2);
    assert_near(tb_round(-0.125, 2), -0.12);
}

static void intervals__hold_the_mean(void **state)
{
    (void)state;
    static const double same[] = {0.5, 0.5, 0.5}, mixed[] = {0, 0, 0, 1, 1, 1, 1, 1};
    tb_interval i, again;
    OK(tb_interval_of_mean(&i, same, 3, &err));
    assert_near(i.low, 0.5);
    assert_near(i.high, 0.5);
    OK(tb_interval_of_mean(&i, mixed, 8, &err));
    OK(tb_interval_of_mean(&again, mixed, 8, &err));
    assert_near(i.mean, 0.625);
    assert_true(i.low < i.mean && i.mean < i.high && i.low >= 0 && i.high <= 1);
    assert_true(i.low == again.low && i.high == again.high);
    OK(tb_interval_of_mean(&i, NULL, 0, &err));
    assert_near(i.mean, 0);
}

static void sign_test__is_the_binomial_one(void **state)
{
    (void)state;
    assert_near(tb_sign_test(0, 0), 1);
    assert_near(tb_sign_test(5, 0), 2.0 / 32);
    assert_near(tb_sign_test(1, 4), 2 * 6.0 / 32);
    assert_near(tb_sign_test(3, 3), 1);
    assert_true(tb_sign_test(5000, 0) == 0);
}

// ---- reports ----

#define EVIL "<script>alert(1)</script>\\\"'&|`x\\u202e\\u0007"

static void reports__escape_what_comes_from_outside(void **state)
{
    (void)state;
    tb_results results;
    tb_metrics m;
    tb_str html = {0}, xml = {0}, markdown = {0};
    write_text("d2_1_r1.json", "{\"status\":\""
                               "completed\",\"agent_output\":\"" EVIL "\",\"trajectory\":[{\"url\":\"" EVIL
                               "\",\"title\":\"" EVIL "\",\"thought\":{\"memory\":\"" EVIL "\"},\"actions\":[{\""
                               "<script>alert(1)</script>"
                               "\":{\"x\":\"" EVIL "\"}}],\"results\":[{\"error\":\"" EVIL
                               "\",\"extracted_content\":\"" EVIL "\"}]}]}");
    write_text("d2_1_r1_verify.json",
               "{\"status\":\"FAIL\",\"score\":0.9,\"checks\":[{\"label\":\"" EVIL
               "\",\"weight\":1,\"passed\":false,\"detail\":\"" EVIL "\"}],\"error\":\"" EVIL "\"}");
    OK(tb_results_read(&results, ".", &tasks, NULL, &err));
    OK(tb_metrics_compute(&m, &results, NULL, 20, &err));
    const tb_saas_report report = {&m, "<script>alert(1)</script>", "tasks", "0123456789abcdef", NULL};
    OK(tb_report_append_html(&html, &report, &err));
    OK(tb_report_append_junit(&xml, &report, &err));
    OK(tb_report_append_markdown(&markdown, &report, &err));
    assert_null(strstr(html.data, "<script>alert"));
    assert_non_null(
        strstr(html.data, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;|`x\xEF\xBF\xBD\xEF\xBF\xBD"));
    assert_null(strstr(xml.data, "<script>"));
    assert_non_null(
        strstr(markdown.data, "| &lt;script>alert(1)&lt;/script>\"'&amp;\\|\\`x")); // beside code, which is none
    tb_str_clear(&html);
    tb_str_clear(&xml);
    tb_str_clear(&markdown);
    tb_metrics_clear(&m);
    tb_results_clear(&results);
    unlink("d2_1_r1.json");
    unlink("d2_1_r1_verify.json");
}

static void results__that_are_damaged_are_missing(void **state)
{
    (void)state;
    tb_results results;
    tb_metrics m;
    tb_str summary = {0};
    write_text("d2_1_r1.json", "{\"status\":");
    write_text("d2_1_r0.json",
               "{\"twobit\":{\"usage\":{\"prompt_tokens\":1e308,\"cached_tokens\":-1},\"cost\":1e308}}");
    write_text("run.json", "{\"duration_s\":1e308,\"workers\":[],\"model\":3}");
    write_text("d2_1_r1_verify.json",
               "{\"score\":-1e308,\"status\":3,\"checks\":[3,{}],\"all_pass\":null,\"total\":[],\"returncode\":{}}");
    OK(tb_results_read(&results, ".", &tasks, NULL, &err));
    assert_null(tb_results_get(&results, 2, 1)->agent);
    OK(tb_metrics_compute(&m, &results, NULL, 20, &err));
    assert_near(m.tallies[2].scores[1], 0);
    assert_true(m.tallies[2].audits[1].error);
    const tb_saas_report report = {&m, "m", "tasks", "0123456789abcdef", NULL};
    OK(tb_report_append_summary(&summary, &report, &err));
    json_t *json = json_loads(summary.data, 0, NULL);
    assert_non_null(json);
    json_decref(json);
    tb_str_clear(&summary);
    tb_metrics_clear(&m);
    tb_results_clear(&results);
    unlink("run.json");
    write_agent("d2_1_r0.json", "completed", 20);
    unlink("d2_1_r1.json");
    unlink("d2_1_r1_verify.json");
}

// ---- memory ----

static tb_code sum_up_and_write(void)
{
    tb_results results;
    tb_metrics m = {0};
    tb_code rc = tb_results_read(&results, ".", &tasks, NULL, &err);
    if (!rc)
        rc = tb_metrics_compute(&m, &results, NULL, 20, &err);
    const tb_saas_report report = {&m, "model", "tasks", "0123456789abcdef", NULL};
    if (!rc)
        rc = tb_report_write(&report, ".", &err);
    tb_metrics_clear(&m);
    tb_results_clear(&results);
    return rc;
}

static void reports__survive_any_failed_allocation(void **state)
{
    (void)state;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc == TB_ENOMEM; n++) {
        tb_mem_fail_after(n);
        rc = sum_up_and_write();
        tb_mem_fail_after(-1);
        if (n > 100000)
            fail_msg("never ends");
    }
    assert_int_equal(rc, TB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics__are_those_of_the_golden_vector),
        cmocka_unit_test(metrics__of_a_task_depend_on_its_files_only),
        cmocka_unit_test(strict__counts_apart_what_broke_outside),
        cmocka_unit_test(audit__finds_what_is_doubtful),
        cmocka_unit_test(rounding__is_that_of_python),
        cmocka_unit_test(intervals__hold_the_mean),
        cmocka_unit_test(sign_test__is_the_binomial_one),
        cmocka_unit_test(reports__escape_what_comes_from_outside),
        cmocka_unit_test(results__that_are_damaged_are_missing),
        cmocka_unit_test(reports__survive_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
