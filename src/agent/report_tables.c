// results.csv and junit.xml: one row, one test case, per task and run.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/json_exact.h"
#include "agent/saas_report.h"

// A row's task and run.
typedef struct row {
    const tb_tally *tally;
    const tb_saas_run *run;
    size_t index;
    const tb_audit *audit;
} row;

typedef void row_fn(void *user, const row *r);

static void each_row(const tb_metrics *m, row_fn *each, void *user)
{
    const tb_results *results = m->results;
    for (size_t i = 0; i < results->tasks->count; i++)
        for (size_t j = 0; j < results->runs; j++)
            each(user, &(row){&m->tallies[i], tb_results_get(results, i, j), j, &m->tallies[i].audits[j]});
}

static tb_text text_or(tb_text text, const char *otherwise)
{
    return text.size ? text : (tb_text){otherwise, strlen(otherwise)};
}

static tb_text verify_status(const tb_saas_run *run)
{
    return text_or(tb_json_text_at(run->verify, "status"), "missing");
}

// ---- CSV ----

typedef struct csv {
    tb_str *out;
    tb_error *err;
    tb_code rc;
    const size_t *indexes;
} csv;

static void put(csv *c, const char *text, size_t size)
{
    if (!c->rc)
        c->rc = tb_str_append(c->out, text, size, c->err);
}

// In quotes. What a spreadsheet would take for a formula gets an apostrophe in front.
static void put_field(csv *c, tb_text text)
{
    put(c, "\"'", text.size && strchr("=+-@\t\r", text.data[0]) ? 2 : 1);
    for (size_t i = 0; i < text.size; i++) {
        put(c, text.data + i, 1);
        put(c, "\"", text.data[i] == '"');
    }
    put(c, "\",", 2);
}

static void put_number(csv *c, double value)
{
    char text[TB_REAL_TEXT];
    bool whole = value >= 0 && value < 1e15 && value == (double)(uint64_t)value;
    if (whole)
        snprintf(text, sizeof text, "%.0f", value);
    else
        tb_real_text(text, value);
    put(c, text, strlen(text));
    put(c, ",", 1);
}

static double number_at(const tb_saas_run *run, const char *name)
{
    return json_number_value(json_object_get(run->verify, name));
}

static void put_row(void *user, const row *r)
{
    csv *c = user;
    tb_str doubts = {0};
    for (unsigned bit = 0; bit < TB_DOUBTS && !c->rc; bit++)
        if (r->audit->doubts & 1u << bit)
            c->rc = tb_str_printf(&doubts, c->err, "%s%s", doubts.size ? "; " : "", tb_doubt_text(1u << bit));
    put(c, r->tally->task->id, strlen(r->tally->task->id));
    put(c, ",", 1);
    put_field(c, (tb_text){r->tally->task->domain, strlen(r->tally->task->domain)});
    put_number(c, (double)c->indexes[r->index]);
    put_field(c, text_or(tb_json_text_at(r->run->agent, "status"), "missing"));
    put_field(c, tb_json_text_at(json_object_get(r->run->agent, "twobit"), "stop_reason"));
    put_number(c, (double)r->tally->steps[r->index]);
    put_field(c, verify_status(r->run));
    put_number(c, r->tally->scores[r->index]);
    put_number(c, number_at(r->run, "earned"));
    put_number(c, number_at(r->run, "total"));
    put_number(c, r->audit->error);
    put_number(c, r->audit->resolved);
    put_number(c, r->audit->score);
    put_field(c, (tb_text){tb_str_get(&doubts), doubts.size});
    if (!c->rc)
        tb_str_truncate(c->out, c->out->size - 1); // the comma behind the last field
    put(c, "\n", 1);
    tb_str_clear(&doubts);
}

tb_code tb_report_append_csv(tb_str *out, const tb_saas_report *report, tb_error *err)
{
    static const char heading[] = "task_id,domain,run,agent_status,stop_reason,steps,verify_status,score,earned,total,"
                                  "strict_error,strict_resolved,strict_score,doubts\n";
    csv c = {.out = out, .err = err, .indexes = report->metrics->results->indexes};
    put(&c, heading, strlen(heading));
    each_row(report->metrics, put_row, &c);
    return c.rc;
}

// ---- JUnit ----

typedef struct totals {
    size_t failures, errors, skipped;
} totals;

static bool is_skipped(const row *r)
{
    return tb_text_is(verify_status(r->run), "SKIP");
}

static void count_row(void *user, const row *r)
{
    totals *t = user;
    t->skipped += is_skipped(r);
    t->errors += !is_skipped(r) && r->audit->error;
    t->failures += !r->audit->error && !r->audit->resolved;
}

static void put_checks(tb_markup *m, const tb_saas_run *run)
{
    const json_t *check;
    size_t i;
    json_array_foreach(json_object_get(run->verify, "checks"), i, check)
    {
        tb_text detail = tb_json_text_at(check, "detail");
        tb_markup_put(m, "%s ", json_is_true(json_object_get(check, "passed")) ? "pass" : "FAIL");
        tb_markup_text_cut(m, tb_json_text_at(check, "label"), 1000);
        tb_markup_put(m, "%s", detail.size ? ": " : "");
        tb_markup_text_cut(m, detail, 1000);
        tb_markup_put(m, "\n");
    }
}

static void put_doubts(tb_markup *m, const tb_audit *audit)
{
    for (unsigned bit = 0; bit < TB_DOUBTS; bit++)
        if (audit->doubts & 1u << bit)
            tb_markup_put(m, "%s\n", tb_doubt_text(1u << bit));
}

typedef struct junit {
    tb_markup m;
    const size_t *indexes;
} junit;

static void put_error(tb_markup *m, const row *r)
{
    tb_markup_put(m, "<error message=\"verifier: ");
    tb_markup_text_cut(m, verify_status(r->run), 100);
    tb_markup_put(m, ", agent: ");
    tb_markup_text_cut(m, text_or(tb_json_text_at(r->run->agent, "status"), "missing"), 100);
    tb_markup_put(m, "\">");
    tb_markup_text_cut(m, tb_json_text_at(r->run->verify, "error"), 1000);
    tb_markup_put(m, "\n");
    put_doubts(m, r->audit);
    tb_markup_put(m, "</error>");
}

static void put_failure(tb_markup *m, const row *r)
{
    tb_markup_put(m, "<failure message=\"%.0f of %.0f points\">", number_at(r->run, "earned"),
                  number_at(r->run, "total"));
    put_doubts(m, r->audit);
    put_checks(m, r->run);
    tb_markup_put(m, "</failure>");
}

static void put_case(void *user, const row *r)
{
    junit *j = user;
    const json_t *seconds = json_object_get(json_object_get(json_object_get(r->run->agent, "twobit"), "times"), "job");
    tb_markup_put(&j->m, "<testcase classname=\"");
    tb_markup_word(&j->m, r->tally->task->domain);
    tb_markup_put(&j->m, "\" name=\"%s_r%zu\" time=\"%.3f\">", r->tally->task->id, j->indexes[r->index],
                  json_number_value(seconds));
    if (is_skipped(r))
        tb_markup_put(&j->m, "<skipped/>");
    else if (r->audit->error)
        put_error(&j->m, r);
    else if (!r->audit->resolved)
        put_failure(&j->m, r);
    tb_markup_put(&j->m, "</testcase>\n");
}

tb_code tb_report_append_junit(tb_str *out, const tb_saas_report *report, tb_error *err)
{
    totals t = {0};
    junit j = {.m = {.out = out, .err = err}, .indexes = report->metrics->results->indexes};
    each_row(report->metrics, count_row, &t);
    tb_markup_put(&j.m, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"");
    tb_markup_word(&j.m, report->model);
    tb_markup_put(&j.m, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\">\n",
                  report->metrics->strict.runs, t.failures, t.errors, t.skipped);
    each_row(report->metrics, put_case, &j);
    tb_markup_put(&j.m, "</testsuite>\n</testsuites>\n");
    return j.m.rc;
}
