// report.html: one page with everything inside, which opens from a disk and needs no network. It works without its
// script, which sorts the table of tasks; the page's policy lets nothing else run.
#include <jansson.h>
#include <math.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/html_task.h"
#include "agent/intervals.h"
#include "agent/saas_report.h"
#include "twobit/twobit.h"

enum { SHA256_BYTES = 32, MOST_REASON = 80 };

typedef struct page {
    tb_markup m;
    const tb_saas_report *report;
    const tb_metrics *metrics;
    size_t tasks, runs;
} page;

static const char style[] =
    ":root{color-scheme:light dark;--ink:#222;--dim:#666;--line:#ddd;--paper:#fff;--bar:#1f5f8b;--good:#2a7f3f;"
    "--bad:#b3261e}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--dim:#999;--line:#444;--paper:#1b1b1b;--bar:#6ab0de;"
    "--good:#7ccf8f;--bad:#f2938c}}\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1060px;margin:2em auto;padding:0 1em;color:var(--ink);"
    "background:var(--paper)}\n"
    "h1{font-size:1.6em}h2{margin-top:2em;border-bottom:1px solid var(--line)}h4{margin:1em 0 .2em}\n"
    "table{border-collapse:collapse;font-size:.92em}td,th{padding:.15em .6em;text-align:left;vertical-align:top;"
    "border-bottom:1px solid var(--line)}.n{text-align:right;white-space:nowrap}\n"
    "th[data-sort]{cursor:pointer}.dim{color:var(--dim)}.good{color:var(--good)}.bad{color:var(--bad)}\n"
    "pre,td,li,p{overflow-wrap:anywhere}pre{white-space:pre-wrap}.task{border-bottom:1px solid var(--line)}\n"
    "li{margin:.6em 0}.beside{display:flex;flex-wrap:wrap;gap:2em}svg text{fill:var(--ink);font-size:12px}\n"
    "svg .bar{fill:var(--bar)}svg .range{stroke:var(--ink)}img{max-width:100%;height:auto}\n";

static const char script[] =
    "for(const h of document.querySelectorAll('th[data-sort]'))h.addEventListener('click',()=>{"
    "const t=h.closest('table'),i=[...h.parentNode.children].indexOf(h),b=t.tBodies[0],d=h.dataset.down==='1'?-1:1;"
    "h.dataset.down=d===1?'1':'0';const v=r=>r.cells[i].dataset.value??r.cells[i].textContent;"
    "[...b.rows].sort((x,y)=>{const p=v(x),q=v(y),n=p-q;return d*(isNaN(n)?(p<q?-1:p>q?1:0):n)})"
    ".forEach(r=>b.append(r))});";

// ---- the head ----

static unsigned digit_of(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

// The script's SHA-256 as policies name it.
static tb_code hash_script(char out[BASE64_ENCODE_RAW_LENGTH(SHA256_BYTES) + 1], tb_error *err)
{
    char hex[65];
    uint8_t bytes[SHA256_BYTES];
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_fail(err, TB_ENOMEM, "no memory for a hash");
    tb_hash_update(hash, script, strlen(script));
    tb_hash_hex(hash, hex);
    tb_hash_free(hash);
    for (size_t i = 0; i < SHA256_BYTES; i++)
        bytes[i] = (uint8_t)(digit_of(hex[2 * i]) << 4 | digit_of(hex[2 * i + 1]));
    base64_encode_raw(out, SHA256_BYTES, bytes);
    out[BASE64_ENCODE_RAW_LENGTH(SHA256_BYTES)] = '\0';
    return TB_OK;
}

static void put_head(page *p)
{
    char hash[BASE64_ENCODE_RAW_LENGTH(SHA256_BYTES) + 1] = "";
    if (!p->m.rc)
        p->m.rc = hash_script(hash, p->m.err);
    tb_markup_put(&p->m,
                  "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data: 'self'; "
                  "style-src 'unsafe-inline'; script-src 'sha256-%s'\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width\">\n<title>SaaS-Bench: ",
                  hash);
    tb_markup_word(&p->m, p->report->model);
    tb_markup_put(&p->m, "</title>\n<style>\n%s</style></head><body>\n<h1>SaaS-Bench: ", style);
    tb_markup_word(&p->m, p->report->model);
    tb_markup_put(&p->m, "</h1>\n");
}

static void put_setting(page *p, const char *name, const char *label)
{
    const json_t *value = json_object_get(p->metrics->results->settings, name);
    if (!value || json_is_null(value))
        return;
    char *text =
        json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    tb_markup_put(&p->m, "; %s ", label);
    tb_markup_text_cut(&p->m, text ? (tb_text){text, strlen(text)} : tb_json_get_text(value), 1000);
    free(text);
}

static void put_settings(page *p)
{
    tb_markup_put(&p->m, "<p class=\"dim\">%zu tasks (hash %.16s), runs of each: %zu, at most %zu steps", p->tasks,
                  p->report->tasks_hash, p->runs, p->metrics->max_steps);
    put_setting(p, "started_at", "started");
    put_setting(p, "duration_s", "seconds");
    put_setting(p, "workers", "workers");
    put_setting(p, "hostname", "host");
    put_setting(p, "isolation", "isolation");
    put_setting(p, "prompt_hash", "prompt");
    put_setting(p, "configuration", "configuration");
    tb_markup_put(&p->m, "; twobit %s</p>\n", tb_version());
}

// ---- official and strict ----

static void put_row(page *p, const char *name, const char *format, double value)
{
    char text[64];
    snprintf(text, sizeof text, format, value);
    tb_markup_put(&p->m, "<tr><td>%s</td><td class=\"n\">%s</td></tr>\n", name, text);
}

static void put_official(page *p)
{
    const tb_metrics *m = p->metrics;
    tb_markup_put(&p->m, "<div><h3>Official</h3><table>\n");
    put_row(p, "best score, mean over tasks", "%.4f", m->best);
    put_row(p, "mean score", "%.4f", m->mean);
    put_row(p, "checkpoint score (union of runs)", "%.4f", m->checkpoint);
    put_row(p, "median best score", "%.4f", m->median_best);
    for (size_t k = 0; k < p->runs; k++) {
        tb_markup_put(&p->m, "<tr><td>pass@%zu</td><td class=\"n\">%zu of %zu (%.1f %%)</td></tr>\n", k + 1,
                      m->passes[k], p->tasks, 100 * (double)m->passes[k] / (double)p->tasks);
    }
    tb_markup_put(&p->m, "<tr><td>perfect, partial, zero</td><td class=\"n\">%zu, %zu, %zu</td></tr>\n", m->perfect,
                  m->partial, m->zero);
    put_row(p, "steps per task", "%.1f", m->mean_steps);
    tb_markup_put(&p->m, "</table></div>\n");
}

static void put_strict(page *p)
{
    const tb_strict *s = &p->metrics->strict;
    tb_markup_put(&p->m, "<div><h3>Strict</h3><table>\n");
    put_row(p, "score, mean over scored tasks", "%.4f", s->score);
    put_row(p, "scored tasks", "%.0f", (double)s->scored_tasks);
    for (size_t k = 0; k < p->runs; k++)
        tb_markup_put(&p->m, "<tr><td>pass@%zu, unbiased</td><td class=\"n\">%.1f %%</td></tr>\n", k + 1,
                      100 * s->pass_at_k[k]);
    put_row(p, "resolved runs", "%.0f", (double)s->resolved);
    put_row(p, "suspicious results", "%.0f", (double)s->suspicious);
    put_row(p, "broken outside the agent", "%.0f", (double)s->errors);
    tb_markup_put(&p->m, "</table><p class=\"dim\">%s</p></div>\n",
                  p->report->facts ? "Beside what the tasks are known to check."
                                   : "How many checks the tasks have was not known.");
}

static void put_scores(page *p)
{
    tb_markup_put(&p->m, "<h2>Scores</h2>\n<div class=\"beside\">\n");
    put_official(p);
    put_strict(p);
    tb_markup_put(&p->m, "</div>\n");
}

// ---- domains and applications ----

enum { BAR_LEFT = 130, BAR_WIDTH = 500, BAR_HEIGHT = 26 };

static double place_of(double score)
{
    return BAR_LEFT + BAR_WIDTH * fmin(fmax(score, 0), 1);
}

// A bar of the mean, and a line over the interval.
static void put_bar(page *p, const char *name, size_t tasks, const tb_interval *i, size_t row)
{
    size_t y = row * BAR_HEIGHT + 4;
    tb_markup_put(&p->m, "<text x=\"0\" y=\"%zu\">", y + 13);
    tb_markup_text_cut(&p->m, (tb_text){name, strlen(name)}, 18);
    tb_markup_put(&p->m, "</text><rect class=\"bar\" x=\"%d\" y=\"%zu\" width=\"%.1f\" height=\"16\"/>", BAR_LEFT, y,
                  place_of(i->mean) - BAR_LEFT);
    tb_markup_put(&p->m, "<line class=\"range\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%zu\" y2=\"%zu\"/>", place_of(i->low),
                  place_of(i->high), y + 8, y + 8);
    tb_markup_put(&p->m, "<text x=\"%d\" y=\"%zu\">%.3f (%.3f … %.3f), %zu tasks</text>\n", BAR_LEFT + BAR_WIDTH + 10,
                  y + 13, i->mean, i->low, i->high, tasks);
}

// A bar of the best scores of those tasks that belong to it.
typedef bool belongs_fn(const tb_task *task, const char *name);

static bool is_in_domain(const tb_task *task, const char *name)
{
    return strcmp(task->domain, name) == 0;
}

static bool is_in_track(const tb_task *task, const char *name)
{
    return strcmp(tb_task_track(task), name) == 0;
}

static bool is_any(const tb_task *task, const char *name)
{
    (void)task, (void)name;
    return true;
}

// `scores` is scratch for all tasks. Nothing is drawn of none.
static void put_group(page *p, const char *name, belongs_fn *belongs, double *scores, size_t *row)
{
    size_t n = 0;
    tb_interval interval = {0};
    for (size_t i = 0; i < p->tasks; i++)
        if (belongs(p->metrics->tallies[i].task, name))
            scores[n++] = p->metrics->tallies[i].best;
    if (!p->m.rc)
        p->m.rc = tb_interval_of_mean(&interval, scores, n, p->m.err);
    if (n)
        put_bar(p, name, n, &interval, (*row)++);
}

static void put_bars(page *p, double *scores)
{
    const tb_metrics *m = p->metrics;
    size_t row = 0, rows = m->domain_count + 3; // two tracks and all
    tb_markup_put(&p->m, "<svg role=\"img\" width=\"%d\" height=\"%zu\">\n", BAR_LEFT + BAR_WIDTH + 230,
                  rows * BAR_HEIGHT + 8);
    for (size_t i = 0; i < m->domain_count; i++)
        put_group(p, m->domains[i].name, is_in_domain, scores, &row);
    for (size_t i = 0; i < 2; i++)
        put_group(p, m->tracks[i].name, is_in_track, scores, &row);
    put_group(p, "all", is_any, scores, &row);
    tb_markup_put(&p->m, "</svg>\n");
}

static void put_domains(page *p)
{
    double *scores = tb_alloc_array(p->tasks, sizeof *scores);
    if (!scores && !p->m.rc)
        p->m.rc = tb_fail(p->m.err, TB_ENOMEM, "no memory for the page");
    tb_markup_put(&p->m, "<h2>Domains and tracks</h2>\n");
    if (scores)
        put_bars(p, scores);
    tb_markup_put(&p->m, "<p class=\"dim\">Best score, and the 95 %% interval of its mean: 10,000 samples of the "
                         "tasks with replacement.</p>\n");
    tb_free(scores);
}

static void put_apps(page *p)
{
    const tb_metrics *m = p->metrics;
    tb_markup_put(&p->m, "<h2>Applications</h2>\n<table><tr><th>application</th><th class=\"n\">tasks</th><th "
                         "class=\"n\">best score</th><th class=\"n\">passed</th></tr>\n");
    for (size_t i = 0; i < m->app_count; i++) {
        const tb_task_group *g = &m->apps[i];
        tb_markup_put(&p->m, "<tr><td>");
        tb_markup_word(&p->m, g->name);
        tb_markup_put(&p->m, "</td><td class=\"n\">%zu</td><td class=\"n\">%.3f</td><td class=\"n\">%zu</td></tr>\n",
                      g->tasks, g->best, g->passes[p->runs - 1]);
    }
    tb_markup_put(&p->m, "</table>\n");
}

// ---- steps, tokens, actions, confidence ----

enum { BINS = 20, BIN_WIDTH = 30, HISTOGRAM_HEIGHT = 100 };

// Of the steps of all runs, from 0 to the most that there were.
static void put_histogram(page *p)
{
    size_t bins[BINS] = {0}, most = 1, width = p->metrics->run_steps.most / BINS + 1;
    for (size_t i = 0; i < p->tasks; i++)
        for (size_t j = 0; j < p->runs; j++)
            bins[p->metrics->tallies[i].steps[j] / width]++;
    for (size_t b = 0; b < BINS; b++)
        most = tb_max_size(most, bins[b]);
    tb_markup_put(&p->m, "<svg role=\"img\" width=\"%d\" height=\"%d\">\n", BINS * BIN_WIDTH + 40,
                  HISTOGRAM_HEIGHT + 40);
    for (size_t b = 0; b < BINS; b++) {
        double height = (double)HISTOGRAM_HEIGHT * (double)bins[b] / (double)most;
        tb_markup_put(
            &p->m,
            "<rect class=\"bar\" x=\"%zu\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"><title>%zu … %zu steps: %zu "
            "runs</title></rect>",
            b * BIN_WIDTH, 15 + HISTOGRAM_HEIGHT - height, BIN_WIDTH - 2, height, b * width, (b + 1) * width - 1,
            bins[b]);
        if (b % 4 == 0)
            tb_markup_put(&p->m, "<text x=\"%zu\" y=\"%d\">%zu</text>\n", b * BIN_WIDTH, HISTOGRAM_HEIGHT + 32,
                          b * width);
    }
    tb_markup_put(&p->m, "</svg>\n");
}

static void put_steps(page *p)
{
    const tb_metrics *m = p->metrics;
    const tb_usage *u = &m->usage;
    tb_markup_put(&p->m, "<h2>Steps</h2>\n");
    put_histogram(p);
    tb_markup_put(&p->m,
                  "<p>Steps per run: mean %.1f, median %zu, 90 %% below %zu, most %zu. %zu of %zu steps had an error; "
                  "%zu tasks reached the limit.</p>\n",
                  m->run_steps.mean, m->run_steps.median, m->run_steps.p90, m->run_steps.most, m->error_steps,
                  m->total_steps, m->max_steps_hit);
    if (u->has_tokens)
        tb_markup_put(&p->m, "<p>Tokens: %.0f of prompts, %.0f of them cached, %.0f of answers.", u->prompt_tokens,
                      u->cached_tokens, u->completion_tokens);
    if (u->has_cost)
        tb_markup_put(&p->m, " Cost: %.2f.", u->cost);
    tb_markup_put(&p->m, "%s<table><tr><th>action</th><th class=\"n\">count</th><th></th></tr>\n",
                  u->has_tokens ? "</p>\n" : "");
    for (size_t i = 0; i < m->action_count; i++) {
        tb_markup_put(&p->m, "<tr><td><code>");
        tb_markup_text_cut(&p->m, (tb_text){m->actions[i].name, strlen(m->actions[i].name)}, 100);
        tb_markup_put(&p->m, "</code></td><td class=\"n\">%zu</td><td class=\"bad\">%s</td></tr>\n",
                      m->actions[i].count, tb_action_is_banned(m->actions[i].name) ? "banned" : "");
    }
    tb_markup_put(&p->m, "</table>\n");
}

static void put_confidence(page *p)
{
    static const char *const rows[TB_SAID] = {"success", "failure", "nothing"};
    tb_markup_put(&p->m,
                  "<h2>What agents said, and what was found</h2>\n<table><tr><th>said</th><th class=\"n\">PASS</th><th "
                  "class=\"n\">FAIL</th><th class=\"n\">no verdict</th></tr>\n");
    for (size_t i = 0; i < TB_SAID; i++)
        tb_markup_put(&p->m,
                      "<tr><td>%s</td><td class=\"n\">%zu</td><td class=\"n\">%zu</td><td class=\"n\">%zu</td></tr>\n",
                      rows[i], p->metrics->confidence[i][TB_VERIFIED_PASS], p->metrics->confidence[i][TB_VERIFIED_FAIL],
                      p->metrics->confidence[i][TB_VERIFIED_NOTHING]);
    tb_markup_put(&p->m, "</table>\n");
}

// ---- why runs ended ----

// Counts of "reason / verdict" over the runs that were not resolved.
static json_t *count_ends(const page *p)
{
    json_t *counts = json_object();
    for (size_t i = 0; i < p->tasks; i++)
        for (size_t j = 0; j < p->runs; j++) {
            const tb_saas_run *run = tb_results_get(p->metrics->results, i, j);
            const tb_audit *audit = &p->metrics->tallies[i].audits[j];
            tb_text reason = tb_json_text_at(json_object_get(run->agent, "twobit"), "stop_reason");
            if (!reason.size)
                reason = run->agent ? tb_json_text_at(run->agent, "status") : (tb_text){"no result", 9};
            reason.size = tb_utf8_valid_prefix(reason.data, tb_min_size(reason.size, MOST_REASON));
            if (!audit->resolved && counts) {
                char key[128];
                snprintf(key, sizeof key, "%.*s%s", (int)reason.size, reason.data,
                         audit->error ? ", broken outside the agent" : "");
                json_object_set_new(counts, key, json_integer(json_integer_value(json_object_get(counts, key)) + 1));
            }
        }
    return counts;
}

static void put_ends(page *p)
{
    json_t *counts = count_ends(p), *value;
    const char *key;
    tb_markup_put(&p->m, "<h2>How runs ended that did not resolve their task</h2>\n<table><tr><th>end</th><th "
                         "class=\"n\">runs</th></tr>\n");
    json_object_foreach(counts, key, value)
    {
        tb_markup_put(&p->m, "<tr><td>");
        tb_markup_word(&p->m, key);
        tb_markup_put(&p->m, "</td><td class=\"n\">%lld</td></tr>\n", (long long)json_integer_value(value));
    }
    tb_markup_put(&p->m, "</table>\n");
    json_decref(counts);
}

// ---- tasks ----

static void put_task_row(page *p, const tb_tally *t)
{
    size_t doubts = 0, errors = 0;
    double strict = 0;
    for (size_t j = 0; j < p->runs; j++) {
        doubts += t->audits[j].doubts != 0;
        errors += t->audits[j].error;
        strict = fmax(strict, t->audits[j].score);
    }
    tb_markup_put(&p->m, "<tr><td><a href=\"#t-%s\">%s</a></td><td>", t->task->id, t->task->id);
    tb_markup_word(&p->m, t->task->domain);
    tb_markup_put(&p->m, "</td><td>");
    for (size_t i = 0; i < t->task->site_count; i++) {
        tb_markup_put(&p->m, "%s", i ? " " : "");
        tb_markup_word(&p->m, t->task->sites[i]);
    }
    tb_markup_put(
        &p->m,
        "</td><td class=\"n %s\">%s</td><td class=\"n\">%.3f</td><td class=\"n\">%.3f</td><td class=\"n\">%.0f</td>"
        "<td class=\"bad\">%s%s%s</td></tr>\n",
        t->first_pass < p->runs ? "good" : "", t->first_pass < p->runs ? "✓" : "✗", t->best, strict, t->mean_steps,
        doubts ? "suspicious" : "", doubts && errors ? ", " : "", errors ? "broken" : "");
}

static void put_tasks(page *p)
{
    tb_markup_put(
        &p->m, "<h2>Tasks</h2>\n<table><thead><tr><th data-sort>task</th><th data-sort>domain</th><th "
               "data-sort>applications</th><th data-sort class=\"n\">passed</th><th data-sort class=\"n\">best</th><th "
               "data-sort class=\"n\">strictly</th><th data-sort class=\"n\">steps</th><th "
               "data-sort></th></tr></thead><tbody>\n");
    for (size_t i = 0; i < p->tasks; i++)
        put_task_row(p, p->metrics->by_id[i]);
    tb_markup_put(&p->m, "</tbody></table>\n<h2>Task by task</h2>\n");
    for (size_t i = 0; i < p->tasks; i++)
        tb_html_put_task(&p->m, p->report, p->metrics->by_id[i]);
}

tb_code tb_report_append_html(tb_str *out, const tb_saas_report *report, tb_error *err)
{
    page p = {
        .m = {.out = out, .err = err},
        .report = report,
        .metrics = report->metrics,
        .tasks = report->metrics->results->tasks->count,
        .runs = report->metrics->results->runs,
    };
    put_head(&p);
    put_settings(&p);
    put_scores(&p);
    put_domains(&p);
    put_apps(&p);
    put_steps(&p);
    put_confidence(&p);
    put_ends(&p);
    put_tasks(&p);
    tb_markup_put(&p.m, "<script>%s</script>\n</body></html>\n", script);
    return p.m.rc;
}
