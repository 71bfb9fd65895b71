#include "agent/metrics.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lines.h"

enum { EARLY_STEPS = 5 };

#define MOST_COUNT 1e15 // doubles hold all whole numbers below it

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory for the metrics");
}

// ---- numbers ----

double tb_round(double value, int decimals)
{
    char text[400]; // the largest double has 309 digits in front of the point
    snprintf(text, sizeof text, "%.*f", decimals, value);
    return strtod(text, NULL);
}

static double mean_of(const double *values, size_t n)
{
    long double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return n ? (double)(sum / (long double)n) : 0;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Of sorted values.
static double median_of(const double *sorted, size_t n)
{
    if (n == 0)
        return 0;
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

// Sorts the values; they are whole.
static tb_step_stats step_stats(double *values, size_t n)
{
    if (n == 0)
        return (tb_step_stats){0};
    double mean = mean_of(values, n);
    qsort(values, n, sizeof *values, by_size);
    size_t p90 = (size_t)rint(0.9 * (double)(n - 1));
    return (tb_step_stats){mean, (size_t)median_of(values, n), (size_t)values[p90], (size_t)values[n - 1],
                           (size_t)values[0]};
}

// ---- what files say ----

bool tb_json_is_truthy(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(value) != 0;
    default:
        return json_is_true(value);
    }
}

static bool is_true_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value && tb_json_is_truthy(value);
}

json_t *tb_run_trajectory(const tb_saas_run *run)
{
    json_t *trajectory = json_object_get(run->agent, "trajectory");
    return json_is_array(trajectory) ? trajectory : NULL;
}

static size_t steps_of(const tb_saas_run *run)
{
    return json_array_size(tb_run_trajectory(run));
}

static bool has_passed(const json_t *verify)
{
    return is_true_at(verify, "all_pass") || tb_text_is(tb_json_text_at(verify, "status"), "PASS");
}

// Calls `each` with every result of a run's steps.
typedef void result_fn(void *user, size_t step, const json_t *result);

static void each_result(const tb_saas_run *run, result_fn *each, void *user)
{
    const json_t *step, *result;
    size_t s, i;
    json_array_foreach(tb_run_trajectory(run), s, step) json_array_foreach(json_object_get(step, "results"), i, result)
        each(user, s, result);
}

bool tb_action_is_banned(const char *name)
{
    static const char *const banned[] = {"evaluate", "screenshot", "take_screenshot", "execute_script", "js"};
    for (size_t i = 0; i < sizeof banned / sizeof banned[0]; i++)
        if (strcmp(name, banned[i]) == 0)
            return true;
    return false;
}

// ---- one task ----

// The best that any run did, check by check. Labels are taken from where they are first.
static tb_code unite_checks(double *out, const tb_results *r, size_t task, tb_error *err)
{
    json_t *weights = json_object(), *passed = json_object();
    const json_t *check;
    double total = 0, earned = 0;
    size_t i;
    bool complete = weights && passed;
    for (size_t j = 0; j < r->runs && complete; j++)
        json_array_foreach(json_object_get(tb_results_get(r, task, j)->verify, "checks"), i, check)
        {
            tb_text label = tb_json_text_at(check, "label");
            double weight = tb_check_weight(check);
            if (!json_object_getn(weights, label.data, label.size)) {
                total += weight;
                complete &= !json_object_setn_new(weights, label.data, label.size, json_real(weight));
            }
            if (is_true_at(check, "passed") && !json_object_getn(passed, label.data, label.size)) {
                earned += json_number_value(json_object_getn(weights, label.data, label.size));
                complete &= !json_object_setn_new(passed, label.data, label.size, json_true());
            }
        }
    json_decref(weights);
    json_decref(passed);
    *out = total > 0 ? earned / total : 0;
    return complete ? TB_OK : fail_memory(err);
}

static tb_code tally_task(tb_tally *t, tb_metrics *m, size_t task, const tb_facts *facts, tb_error *err)
{
    const tb_results *r = m->results;
    size_t runs = r->runs, steps = 0;
    t->task = &r->tasks->items[task];
    t->scores = tb_arena_array(&m->arena, runs, sizeof *t->scores);
    t->steps = tb_arena_array(&m->arena, runs, sizeof *t->steps);
    t->audits = tb_arena_array(&m->arena, runs, sizeof *t->audits);
    if (!t->scores || !t->steps || !t->audits)
        return fail_memory(err);
    const tb_fact *fact = facts ? tb_facts_get(facts, t->task->id) : NULL;
    t->first_pass = runs;
    for (size_t j = 0; j < runs; j++) {
        const tb_saas_run *run = tb_results_get(r, task, j);
        t->scores[j] = tb_verify_score(run->verify);
        t->steps[j] = steps_of(run);
        t->audits[j] = tb_run_audit(run, fact);
        steps += t->steps[j];
        if (has_passed(run->verify) && t->first_pass == runs)
            t->first_pass = j;
        if (t->scores[j] > t->scores[t->best_run])
            t->best_run = j;
        t->completed_any |= tb_text_is(tb_json_text_at(run->agent, "status"), "completed");
    }
    t->best = t->scores[t->best_run];
    t->mean = mean_of(t->scores, runs);
    t->mean_steps = (double)steps / (double)runs;
    return unite_checks(&t->checkpoint, r, task, err);
}

// ---- groups ----

// How often a task counts for a group: once for its domain, once for each mention of an application.
typedef size_t member_fn(const tb_task *task, const char *name);

static size_t is_in_domain(const tb_task *task, const char *name)
{
    return strcmp(task->domain, name) == 0;
}

static size_t count_site(const tb_task *task, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < task->site_count; i++)
        n += strcmp(task->sites[i], name) == 0;
    return n;
}

static size_t is_in_track(const tb_task *task, const char *name)
{
    return strcmp(tb_task_track(task), name) == 0;
}

static tb_code fill_group(tb_task_group *g, tb_metrics *m, member_fn *membership, tb_error *err)
{
    size_t tasks = m->results->tasks->count, runs = m->results->runs, n = 0;
    long double best = 0, checkpoint = 0;
    double *steps = tb_alloc_array(tasks, sizeof *steps);
    g->passes = tb_arena_array(&m->arena, runs, sizeof *g->passes);
    if (!steps || !g->passes) {
        tb_free(steps);
        return fail_memory(err);
    }
    for (size_t i = 0; i < tasks; i++) {
        const tb_tally *t = &m->tallies[i];
        size_t times = membership(t->task, g->name);
        g->tasks += times;
        best += (long double)times * t->best;
        checkpoint += (long double)times * t->checkpoint;
        for (size_t k = t->first_pass; k < runs; k++)
            g->passes[k] += times;
        if (times)
            steps[n++] = floor(t->mean_steps);
    }
    g->best = g->tasks ? (double)(best / (long double)g->tasks) : 0;
    g->checkpoint = g->tasks ? (double)(checkpoint / (long double)g->tasks) : 0;
    g->steps = step_stats(steps, n);
    tb_free(steps);
    return TB_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tb_task_group *)a)->name, ((const tb_task_group *)b)->name);
}

static void add_name(tb_task_group *groups, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(groups[i].name, name) == 0)
            return;
    groups[(*count)++].name = name;
}

static tb_code fill_groups(tb_task_group *groups, size_t count, tb_metrics *m, member_fn *membership, tb_error *err)
{
    tb_code rc = TB_OK;
    if (count)
        qsort(groups, count, sizeof *groups, by_name);
    for (size_t i = 0; i < count && !rc; i++)
        rc = fill_group(&groups[i], m, membership, err);
    return rc;
}

static tb_code group_tasks(tb_metrics *m, tb_error *err)
{
    const tb_tasks *tasks = m->results->tasks;
    size_t sites = 0;
    for (size_t i = 0; i < tasks->count; i++)
        sites += tasks->items[i].site_count;
    m->domains = tb_arena_array(&m->arena, tasks->count, sizeof *m->domains);
    m->apps = tb_arena_array(&m->arena, sites, sizeof *m->apps);
    if (!m->domains || !m->apps)
        return fail_memory(err);
    for (size_t i = 0; i < tasks->count; i++) {
        add_name(m->domains, &m->domain_count, tasks->items[i].domain);
        for (size_t k = 0; k < tasks->items[i].site_count; k++)
            add_name(m->apps, &m->app_count, tasks->items[i].sites[k]);
    }
    m->tracks[0].name = "text";
    m->tracks[1].name = "multimodal";
    tb_code rc = fill_groups(m->domains, m->domain_count, m, is_in_domain, err);
    if (!rc)
        rc = fill_groups(m->apps, m->app_count, m, count_site, err);
    for (size_t i = 0; i < 2 && !rc; i++)
        rc = fill_group(&m->tracks[i], m, is_in_track, err);
    return rc;
}

// ---- all tasks ----

static tb_code sum_up(tb_metrics *m, tb_error *err)
{
    size_t n = m->results->tasks->count, runs = m->results->runs;
    double *values = tb_alloc_array(n, sizeof *values);
    m->passes = tb_arena_array(&m->arena, runs, sizeof *m->passes);
    m->first_passes = tb_arena_array(&m->arena, runs + 1, sizeof *m->first_passes);
    if (!values || !m->passes || !m->first_passes) {
        tb_free(values);
        return fail_memory(err);
    }
    long double best = 0, mean = 0, checkpoint = 0, steps = 0;
    for (size_t i = 0; i < n; i++) {
        const tb_tally *t = &m->tallies[i];
        best += t->best;
        mean += t->mean;
        checkpoint += t->checkpoint;
        steps += t->mean_steps;
        values[i] = t->best;
        m->perfect += t->best >= 1;
        m->zero += t->best <= 0;
        m->completed_any += t->completed_any;
        m->first_passes[t->first_pass]++;
        for (size_t k = t->first_pass; k < runs; k++)
            m->passes[k]++;
    }
    m->partial = n - m->perfect - m->zero;
    m->best = (double)(best / (long double)n);
    m->mean = (double)(mean / (long double)n);
    m->checkpoint = (double)(checkpoint / (long double)n);
    m->mean_steps = (double)(steps / (long double)n);
    qsort(values, n, sizeof *values, by_size);
    m->median_best = median_of(values, n);
    tb_free(values);
    return TB_OK;
}

static tb_code count_steps(tb_metrics *m, tb_error *err)
{
    size_t n = m->results->tasks->count, runs = m->results->runs;
    double *values = tb_alloc_array(n * runs, sizeof *values);
    if (!values)
        return fail_memory(err);
    for (size_t i = 0; i < n; i++)
        values[i] = floor(m->tallies[i].mean_steps);
    m->task_steps = step_stats(values, n);
    for (size_t i = 0; i < n * runs; i++)
        values[i] = (double)m->tallies[i / runs].steps[i % runs];
    m->run_steps = step_stats(values, n * runs);
    tb_free(values);
    return TB_OK;
}

// ---- actions ----

// Adds a run's actions to the counts; returns how many of them navigate.
static size_t count_run_actions(json_t *counts, const tb_saas_run *run, bool *complete)
{
    const json_t *step;
    json_t *action, *value;
    const char *name;
    size_t navigates = 0, s, i;
    json_array_foreach(tb_run_trajectory(run), s, step) json_array_foreach(json_object_get(step, "actions"), i, action)
        json_object_foreach(action, name, value)
    {
        json_int_t seen = json_integer_value(json_object_get(counts, name));
        *complete &= !json_object_set_new(counts, name, json_integer(seen + 1));
        navigates += strcmp(name, "navigate") == 0;
    }
    return navigates;
}

// The most frequent first, of equals the one that was seen first.
static tb_code list_actions(tb_metrics *m, json_t *counts, tb_error *err)
{
    const char *name;
    json_t *value;
    m->actions = tb_arena_array(&m->arena, json_object_size(counts), sizeof *m->actions);
    if (!m->actions)
        return fail_memory(err);
    json_object_foreach(counts, name, value)
    {
        size_t count = (size_t)json_integer_value(value), at = m->action_count++;
        const char *copy = tb_arena_text(&m->arena, name, strlen(name));
        if (!copy)
            return fail_memory(err);
        for (; at > 0 && m->actions[at - 1].count < count; at--)
            m->actions[at] = m->actions[at - 1];
        m->actions[at] = (tb_action_count){copy, count};
    }
    return TB_OK;
}

static tb_code count_actions(tb_metrics *m, tb_error *err)
{
    const tb_results *r = m->results;
    size_t records = r->tasks->count * r->runs;
    json_t *counts = json_object();
    bool complete = counts != NULL;
    double navigates = 0, sites = 0;
    for (size_t i = 0; i < records && complete; i++) {
        size_t site_count = r->tasks->items[i / r->runs].site_count;
        size_t n = count_run_actions(counts, &r->items[i], &complete);
        navigates += (double)n;
        sites += (double)site_count;
        m->navigate_violators += site_count > 0 && n > site_count;
    }
    m->navigates = navigates / (double)records;
    m->sites = sites / (double)records;
    tb_code rc = complete ? list_actions(m, counts, err) : fail_memory(err);
    json_decref(counts);
    return rc;
}

// ---- health, confidence, usage ----

typedef struct health {
    size_t errors;
    bool done, early;
} health;

static void look_at_result(void *user, size_t step, const json_t *result)
{
    health *h = user;
    bool error = is_true_at(result, "error");
    h->errors += error;
    h->early |= error && step < EARLY_STEPS;
    h->done |= is_true_at(result, "is_done");
}

static void look_at_health(tb_metrics *m)
{
    const tb_results *r = m->results;
    for (size_t i = 0; i < r->tasks->count; i++) {
        health task = {0};
        bool hit = false, empty = false;
        for (size_t j = 0; j < r->runs; j++) {
            const tb_saas_run *run = tb_results_get(r, i, j);
            each_result(run, look_at_result, &task);
            m->total_steps += steps_of(run);
            hit |= steps_of(run) >= m->max_steps;
            empty |= tb_strip(tb_json_text_at(run->agent, "agent_output")).size == 0;
        }
        m->error_steps += task.errors;
        m->max_steps_hit += hit;
        m->done_present += task.done;
        m->early_fail += task.early;
        m->empty_output += empty;
    }
}

// The first `success` of a `done` that is not null; of a step's actions only the first `done` counts.
static const json_t *find_success(const tb_saas_run *run)
{
    const json_t *step, *action;
    size_t s, i;
    json_array_foreach(tb_run_trajectory(run), s, step) json_array_foreach(json_object_get(step, "actions"), i, action)
    {
        const json_t *done = json_object_get(action, "done");
        const json_t *success = json_object_get(done, "success");
        if (success && !json_is_null(success))
            return success;
        if (done)
            break;
    }
    return NULL;
}

static void count_confidence(tb_metrics *m)
{
    const tb_results *r = m->results;
    for (size_t i = 0; i < r->tasks->count * r->runs; i++) {
        const json_t *success = find_success(&r->items[i]);
        tb_text status = tb_json_text_at(r->items[i].verify, "status");
        size_t said = json_is_true(success) ? TB_SAID_TRUE : json_is_false(success) ? TB_SAID_FALSE : TB_SAID_NOTHING;
        size_t verified = tb_text_is(status, "PASS")   ? TB_VERIFIED_PASS
                          : tb_text_is(status, "FAIL") ? TB_VERIFIED_FAIL
                                                       : TB_VERIFIED_NOTHING;
        m->confidence[said][verified]++;
    }
}

// A member that counts something: what lies beyond all counts is not summed up, so that sums stay finite.
static double count_at(const json_t *object, const char *key)
{
    return fmin(fmax(json_number_value(json_object_get(object, key)), 0), MOST_COUNT);
}

static void add_usage(tb_metrics *m)
{
    const tb_results *r = m->results;
    m->usage.has_cost = true;
    for (size_t i = 0; i < r->tasks->count * r->runs; i++) {
        const json_t *own = json_object_get(r->items[i].agent, "twobit"), *usage = json_object_get(own, "usage");
        const json_t *cost = json_object_get(own, "cost");
        if (!json_is_object(usage))
            continue;
        m->usage.has_tokens = true;
        m->usage.prompt_tokens += count_at(usage, "prompt_tokens");
        m->usage.cached_tokens += count_at(usage, "cached_tokens");
        m->usage.completion_tokens += count_at(usage, "completion_tokens");
        m->usage.cost += count_at(own, "cost");
        m->usage.has_cost &= json_is_number(cost);
    }
    m->usage.has_cost &= m->usage.has_tokens;
}

// ---- strict ----

// 1 − C(n−c, k)/C(n, k), the chance that one of k runs out of n passes when c did.
static double estimate_pass(size_t n, size_t c, size_t k)
{
    double none = 1;
    for (size_t i = 0; i < k; i++)
        none *= n - i > c ? (double)(n - c - i) / (double)(n - i) : 0;
    return 1 - none;
}

static tb_code judge_strictly(tb_metrics *m, tb_error *err)
{
    tb_strict *s = &m->strict;
    size_t runs = m->results->runs;
    size_t *scored = tb_alloc_array(runs, sizeof *scored);
    s->pass_at_k = tb_arena_array(&m->arena, runs, sizeof *s->pass_at_k);
    if (!scored || !s->pass_at_k) {
        tb_free(scored);
        return fail_memory(err);
    }
    for (size_t i = 0; i < m->results->tasks->count; i++) {
        double score = 0;
        size_t n = 0, passed = 0;
        for (size_t j = 0; j < runs; j++) {
            const tb_audit *a = &m->tallies[i].audits[j];
            s->errors += a->error;
            s->suspicious += a->doubts != 0;
            s->resolved += a->resolved;
            n += !a->error;
            passed += a->resolved;
            score += a->score;
        }
        s->scored_tasks += n > 0;
        s->score += n ? score / (double)n : 0;
        for (size_t k = 0; k < n; k++) {
            s->pass_at_k[k] += estimate_pass(n, passed, k + 1);
            scored[k]++;
        }
    }
    s->runs = runs * m->results->tasks->count;
    s->score = s->scored_tasks ? s->score / (double)s->scored_tasks : 0;
    for (size_t k = 0; k < runs; k++)
        s->pass_at_k[k] = scored[k] ? s->pass_at_k[k] / (double)scored[k] : 0;
    tb_free(scored);
    return TB_OK;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp((*(const tb_tally *const *)a)->task->id, (*(const tb_tally *const *)b)->task->id);
}

static tb_code sort_by_id(tb_metrics *m, tb_error *err)
{
    size_t n = m->results->tasks->count;
    m->by_id = tb_arena_array(&m->arena, n, sizeof(const tb_tally *));
    if (!m->by_id)
        return fail_memory(err);
    for (size_t i = 0; i < n; i++)
        m->by_id[i] = &m->tallies[i];
    qsort(m->by_id, n, sizeof(const tb_tally *), compare_ids);
    return TB_OK;
}

tb_code tb_metrics_compute(tb_metrics *out, const tb_results *results, const tb_facts *facts, size_t max_steps,
                           tb_error *err)
{
    *out = (tb_metrics){.results = results, .max_steps = max_steps};
    tb_code rc = TB_OK;
    out->tallies = tb_arena_array(&out->arena, results->tasks->count, sizeof *out->tallies);
    if (!out->tallies)
        rc = fail_memory(err);
    for (size_t i = 0; i < results->tasks->count && !rc; i++)
        rc = tally_task(&out->tallies[i], out, i, facts, err);
    if (!rc)
        rc = sort_by_id(out, err);
    if (!rc)
        rc = sum_up(out, err);
    if (!rc)
        rc = group_tasks(out, err);
    if (!rc)
        rc = count_steps(out, err);
    if (!rc)
        rc = count_actions(out, err);
    if (!rc)
        rc = judge_strictly(out, err);
    if (rc) {
        tb_metrics_clear(out);
        return rc;
    }
    look_at_health(out);
    count_confidence(out);
    add_usage(out);
    return TB_OK;
}

void tb_metrics_clear(tb_metrics *metrics)
{
    tb_arena_clear(&metrics->arena);
    *metrics = (tb_metrics){0};
}
