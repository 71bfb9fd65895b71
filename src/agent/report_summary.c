#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/json_exact.h"
#include "agent/lines.h"
#include "agent/saas_report.h"
#include "twobit/version.h"

enum { PREVIEW = 80, CUT_PREVIEW = 77 }; // characters; "..." stands behind what was cut

const char *tb_duration_text(char out[TB_DURATION_TEXT], double seconds)
{
    unsigned long long s = seconds > 0 && seconds < 1e15 ? (unsigned long long)seconds : 0;
    if (s >= 3600)
        snprintf(out, TB_DURATION_TEXT, "%lluh %llum %llus", s / 3600, s / 60 % 60, s % 60);
    else if (s >= 60)
        snprintf(out, TB_DURATION_TEXT, "%llum %llus", s / 60, s % 60);
    else
        snprintf(out, TB_DURATION_TEXT, "%llus", s);
    return out;
}

// Appends a text with each run of white space as one blank.
static tb_code append_collapsed(tb_str *out, tb_text text, tb_error *err)
{
    tb_code rc = TB_OK;
    text = tb_strip(text);
    for (size_t at = 0; at < text.size && !rc;) {
        uint32_t c;
        size_t n = tb_space_size(tb_text_from(text, at));
        if (n) {
            rc = tb_str_append(out, " ", 1, err);
            while ((n = tb_space_size(tb_text_from(text, at))) > 0)
                at += n;
        } else {
            n = tb_utf8_decode(&c, text.data + at, text.size - at);
            rc = tb_str_append(out, text.data + at, n ? n : 1, err);
            at += n ? n : 1;
        }
    }
    return rc;
}

// Bytes of the first `characters` characters; the whole size where there are not so many.
static size_t size_of(tb_text text, size_t characters)
{
    size_t at = 0;
    for (size_t i = 0; i < characters && at < text.size; i++) {
        uint32_t c;
        size_t n = tb_utf8_decode(&c, text.data + at, text.size - at);
        at += n ? n : 1;
    }
    return at;
}

tb_code tb_append_preview(tb_str *out, const tb_tally *tally, const tb_results *results, tb_error *err)
{
    tb_str line = {0};
    size_t task = (size_t)(tally->task - results->tasks->items);
    tb_text said = tb_json_text_at(tb_results_get(results, task, tally->best_run)->agent, "agent_output");
    tb_code rc = append_collapsed(&line, said, err);
    tb_text text = {tb_str_get(&line), line.size};
    bool whole = size_of(text, PREVIEW) == text.size;
    if (!rc)
        rc = tb_str_append(out, text.data, whole ? text.size : size_of(text, CUT_PREVIEW), err);
    if (!rc && !whole)
        rc = tb_str_append_text(out, "...", err);
    tb_str_clear(&line);
    return rc;
}

// ---- pieces ----

static json_t *make_text(const char *text)
{
    return tb_json_text(text, strlen(text));
}

static json_t *make_count(size_t count)
{
    return json_integer((json_int_t)count);
}

static json_t *make_round(double value, int decimals)
{
    return json_real(tb_round(value, decimals));
}

static json_t *make_rate(size_t count, size_t of)
{
    return make_round(of ? (double)count / (double)of : 0, 4);
}

// Of run.json; null where it has none.
static json_t *copy_setting(const tb_saas_report *r, const char *name)
{
    json_t *value = json_object_get(r->metrics->results->settings, name);
    return value ? json_incref(value) : json_null();
}

// "1" … "K" with how many of `of` tasks passed within so many runs.
static json_t *make_passes(const size_t *passes, size_t runs, size_t of)
{
    json_t *object = json_object();
    for (size_t k = 0; k < runs; k++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", k + 1);
        json_object_set_new(object, key,
                            json_pack("{s:o, s:o}", "count", make_count(passes[k]), "rate", make_rate(passes[k], of)));
    }
    return object;
}

static json_t *make_steps(const tb_step_stats *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "avg", make_round(s->mean, 1), "median", make_count(s->median), "p90",
                     make_count(s->p90), "max", make_count(s->most), "min", make_count(s->least));
}

// ---- chapters ----

static json_t *make_first_passes(const tb_metrics *m)
{
    json_t *object = json_object();
    for (size_t j = 0; j < m->results->runs; j++) {
        char key[24];
        snprintf(key, sizeof key, "r%zu", j);
        json_object_set_new(object, key, make_count(m->first_passes[j]));
    }
    json_object_set_new(object, "never", make_count(m->first_passes[m->results->runs]));
    return object;
}

static json_t *make_overall(const tb_metrics *m)
{
    size_t n = m->results->tasks->count, runs = m->results->runs;
    json_t *buckets = json_pack("{s:o, s:o, s:o}", "perfect", make_count(m->perfect), "partial", make_count(m->partial),
                                "zero", make_count(m->zero));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "total", make_count(n), "runs",
                     make_count(runs), "agent_completed_any", make_count(m->completed_any), "pass_at_k",
                     make_passes(m->passes, runs, n), "avg_best_score", make_round(m->best, 4), "avg_mean_score",
                     make_round(m->mean, 4), "avg_checkpoint_score", make_round(m->checkpoint, 4), "median_best_score",
                     make_round(m->median_best, 4), "score_buckets", buckets, "avg_steps_per_task",
                     make_round(m->mean_steps, 1), "first_pass_distribution", make_first_passes(m));
}

static json_t *make_groups(const tb_metrics *m, const tb_task_group *groups, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        const tb_task_group *g = &groups[i];
        json_object_set_new(object, g->name,
                            json_pack("{s:o, s:o, s:o, s:o}", "total", make_count(g->tasks), "pass_at_k",
                                      make_passes(g->passes, m->results->runs, g->tasks), "avg_best_score",
                                      make_round(g->best, 4), "avg_checkpoint_score", make_round(g->checkpoint, 4)));
    }
    return object;
}

static json_t *make_apps(const tb_metrics *m)
{
    json_t *object = json_object();
    for (size_t i = 0; i < m->app_count; i++) {
        const tb_task_group *g = &m->apps[i];
        json_object_set_new(object, g->name,
                            json_pack("{s:o, s:o, s:o}", "used_in", make_count(g->tasks), "pass_at_k",
                                      make_passes(g->passes, m->results->runs, g->tasks), "avg_best_score",
                                      make_round(g->best, 4)));
    }
    return object;
}

static json_t *make_step_chapter(const tb_metrics *m)
{
    json_t *domains = json_object();
    for (size_t i = 0; i < m->domain_count; i++)
        json_object_set_new(domains, m->domains[i].name, make_steps(&m->domains[i].steps));
    return json_pack("{s:o, s:o, s:o}", "per_task_avg", make_steps(&m->task_steps), "per_run",
                     make_steps(&m->run_steps), "by_domain", domains);
}

static json_t *make_actions(const tb_metrics *m)
{
    json_t *all = json_object(), *banned = json_object();
    double navigates = tb_round(m->navigates, 2), sites = tb_round(m->sites, 2);
    for (size_t i = 0; i < m->action_count; i++) {
        json_object_set_new(all, m->actions[i].name, make_count(m->actions[i].count));
        if (tb_action_is_banned(m->actions[i].name))
            json_object_set_new(banned, m->actions[i].name, make_count(m->actions[i].count));
    }
    return json_pack("{s:o, s:o, s:f, s:f, s:o, s:o}", "by_action", all, "banned_attempted", banned, "navigate_per_run",
                     navigates, "sites_per_task", sites, "nav_to_sites_ratio",
                     make_round(sites > 0 ? navigates / sites : 0, 2), "navigate_violators",
                     make_count(m->navigate_violators));
}

static json_t *make_health(const tb_metrics *m)
{
    size_t n = m->results->tasks->count;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "step_error_rate",
                     make_rate(m->error_steps, m->total_steps), "max_steps_hit_rate", make_rate(m->max_steps_hit, n),
                     "done_present_rate", make_rate(m->done_present, n), "early_fail_rate", make_rate(m->early_fail, n),
                     "empty_output_rate", make_rate(m->empty_output, n), "total_steps", make_count(m->total_steps),
                     "total_error_steps", make_count(m->error_steps));
}

static json_t *make_confidence(const tb_metrics *m)
{
    static const char *const rows[TB_SAID] = {"done_success_true", "done_success_false", "no_done_action"};
    static const char *const columns[TB_VERIFIED] = {"verify_PASS", "verify_FAIL", "verify_ERROR_SKIP"};
    json_t *matrix = json_object();
    for (size_t i = 0; i < TB_SAID; i++) {
        json_t *row = json_object();
        for (size_t k = 0; k < TB_VERIFIED; k++)
            json_object_set_new(row, columns[k], make_count(m->confidence[i][k]));
        json_object_set_new(matrix, rows[i], row);
    }
    size_t records = m->results->tasks->count * m->results->runs;
    size_t over = m->confidence[TB_SAID_TRUE][TB_VERIFIED_FAIL] + m->confidence[TB_SAID_TRUE][TB_VERIFIED_NOTHING];
    return json_pack("{s:o, s:o, s:o}", "matrix", matrix, "over_confidence_rate", make_rate(over, records),
                     "under_confidence_rate", make_rate(m->confidence[TB_SAID_FALSE][TB_VERIFIED_PASS], records));
}

// ---- tasks ----

static json_t *make_sites(const tb_task *task)
{
    json_t *sites = json_array();
    for (size_t i = 0; i < task->site_count; i++)
        json_array_append_new(sites, make_text(task->sites[i]));
    return sites;
}

static json_t *make_preview(const tb_tally *t, const tb_metrics *m)
{
    tb_str line = {0};
    json_t *preview = tb_append_preview(&line, t, m->results, NULL) ? NULL : tb_json_text(tb_str_get(&line), line.size);
    tb_str_clear(&line);
    return preview;
}

// What strict reading makes of each run.
static json_t *make_audits(const tb_tally *t, size_t runs)
{
    json_t *list = json_array();
    for (size_t j = 0; j < runs; j++) {
        const tb_audit *a = &t->audits[j];
        json_t *doubts = json_array();
        for (unsigned bit = 0; bit < TB_DOUBTS; bit++)
            if (a->doubts & 1u << bit)
                json_array_append_new(doubts, json_string(tb_doubt_text(1u << bit)));
        json_array_append_new(list, json_pack("{s:b, s:b, s:o, s:o}", "error", a->error, "resolved", a->resolved,
                                              "score", make_round(a->score, 3), "doubts", doubts));
    }
    return list;
}

static json_t *make_task(const tb_tally *t, const tb_metrics *m)
{
    size_t runs = m->results->runs;
    json_t *passes = json_object(), *scores = json_array(), *steps = json_array();
    for (size_t j = 0; j < runs; j++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", j + 1);
        json_object_set_new(passes, key, json_boolean(t->first_pass <= j));
        json_array_append_new(scores, make_round(t->scores[j], 3));
        json_array_append_new(steps, make_count(t->steps[j]));
    }
    json_t *row =
        json_pack("{s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "task_id", t->task->id, "domain",
                  make_text(t->task->domain), "sites", make_sites(t->task), "agent_completed_any", t->completed_any,
                  "pass_at_k", passes, "first_pass_idx", t->first_pass < runs ? make_count(t->first_pass) : json_null(),
                  "best_score", make_round(t->best, 3), "mean_score", make_round(t->mean, 3), "checkpoint_score",
                  make_round(t->checkpoint, 3), "scores_per_run", scores, "steps_per_run", steps, "avg_steps",
                  make_round(t->mean_steps, 1), "agent_output_preview", make_preview(t, m));
    if (runs == 1) {
        json_object_set_new(row, "pass", json_boolean(t->first_pass == 0));
        json_object_set_new(row, "score", make_round(t->best, 3));
        json_object_set_new(row, "n_steps", make_count(t->steps[0]));
    }
    json_object_set_new(row, "twobit", json_pack("{s:o}", "runs", make_audits(t, runs)));
    return row;
}

static json_t *make_tasks(const tb_metrics *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->results->tasks->count; i++)
        json_array_append_new(list, make_task(m->by_id[i], m));
    return list;
}

// ---- what is ours ----

static json_t *make_strict(const tb_metrics *m)
{
    const tb_strict *s = &m->strict;
    json_t *estimates = json_object();
    for (size_t k = 0; k < m->results->runs; k++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", k + 1);
        json_object_set_new(estimates, key, make_round(s->pass_at_k[k], 4));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "runs", make_count(s->runs), "errors",
                     make_count(s->errors), "suspicious", make_count(s->suspicious), "resolved",
                     make_count(s->resolved), "scored_tasks", make_count(s->scored_tasks), "avg_score",
                     make_round(s->score, 4), "pass_at_k", estimates);
}

static json_t *make_usage(const tb_usage *u)
{
    if (!u->has_tokens)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:o}", "prompt_tokens", u->prompt_tokens, "cached_tokens", u->cached_tokens,
                     "completion_tokens", u->completion_tokens, "cost", u->has_cost ? json_real(u->cost) : json_null());
}

static json_t *make_own(const tb_saas_report *r)
{
    return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "version", TB_VERSION, "tasks_hash", r->tasks_hash,
                     "facts_known", r->facts != NULL, "strict", make_strict(r->metrics), "tracks",
                     make_groups(r->metrics, r->metrics->tracks, 2), "usage", make_usage(&r->metrics->usage),
                     "configuration", copy_setting(r, "configuration"), "prompt_hash", copy_setting(r, "prompt_hash"));
}

static json_t *make_run(const tb_saas_report *r)
{
    char human[TB_DURATION_TEXT];
    const json_t *settings = r->metrics->results->settings;
    tb_duration_text(human, json_number_value(json_object_get(settings, "duration_s")));
    return json_pack("{s:o, s:o, s:o, s:s}", "started_at", copy_setting(r, "started_at"), "ended_at",
                     copy_setting(r, "ended_at"), "duration_s", copy_setting(r, "duration_s"), "duration_human", human);
}

static json_t *make_summary(const tb_saas_report *r)
{
    const tb_metrics *m = r->metrics;
    json_t *head =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "tasks_dir", make_text(r->tasks_dir), "model",
                  make_text(r->model), "workers", copy_setting(r, "workers"), "hostname", copy_setting(r, "hostname"),
                  "isolation", copy_setting(r, "isolation"), "max_steps", make_count(m->max_steps), "run", make_run(r));
    json_t *rest = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "overall", make_overall(m), "by_domain",
                             make_groups(m, m->domains, m->domain_count), "by_app", make_apps(m), "steps",
                             make_step_chapter(m), "actions", make_actions(m), "trajectory_health", make_health(m),
                             "confidence", make_confidence(m), "tasks", make_tasks(m), "twobit", make_own(r));
    bool complete = head && rest && json_object_update(head, rest) == 0;
    json_decref(rest);
    if (complete)
        return head;
    json_decref(head);
    return NULL;
}

tb_code tb_report_append_summary(tb_str *out, const tb_saas_report *report, tb_error *err)
{
    json_t *summary = make_summary(report);
    if (!summary)
        return tb_fail(err, TB_ENOMEM, "no memory for the summary");
    tb_code rc = tb_json_append_exact(out, summary, err);
    json_decref(summary);
    return rc ? rc : tb_str_append(out, "\n", 1, err);
}
