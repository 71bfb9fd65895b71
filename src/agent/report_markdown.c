// Chapters, columns and words are those of the official report, so that whatever reads one reads ours. The writer
// remembers the first error, so that the chapters read like the text.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/saas_report.h"
#include "twobit/twobit.h"

typedef struct writer {
    tb_markup text;
    const tb_saas_report *report;
    const tb_metrics *m;
    size_t runs;
} writer;

// A text from outside as a cell of a table: one line, no markup, no end of the cell.
static void put_cell(writer *w, tb_text text)
{
    for (size_t i = 0; i < text.size && !w->text.rc; i++) {
        char c = text.data[i];
        if (c == '<')
            w->text.rc = tb_str_append_text(w->text.out, "&lt;", w->text.err);
        else if (c == '&')
            w->text.rc = tb_str_append_text(w->text.out, "&amp;", w->text.err);
        else if ((unsigned char)c < 0x20 || c == 0x7F)
            w->text.rc = tb_str_append(w->text.out, " ", 1, w->text.err);
        else {
            if (strchr("|\\`[]", c))
                w->text.rc = tb_str_append(w->text.out, "\\", 1, w->text.err);
            if (!w->text.rc)
                w->text.rc = tb_str_append(w->text.out, &c, 1, w->text.err);
        }
    }
}

static void put_name(writer *w, const char *name)
{
    put_cell(w, (tb_text){name, strlen(name)});
}

// The same as code, where nothing but the fence itself is markup.
static void put_code(writer *w, const char *name)
{
    tb_markup_put(&w->text, "`");
    for (; *name && !w->text.rc; name++) {
        char c = *name == '`' || (unsigned char)*name < 0x20 || *name == 0x7F ? ' ' : *name;
        if (c == '|')
            w->text.rc = tb_str_append(w->text.out, "\\", 1, w->text.err);
        if (!w->text.rc)
            w->text.rc = tb_str_append(w->text.out, &c, 1, w->text.err);
    }
    tb_markup_put(&w->text, "`");
}

static double percent(size_t count, size_t of)
{
    return of ? 100 * tb_round((double)count / (double)of, 4) : 0;
}

// A setting of run.json; "unknown" where it has none.
static void put_setting(writer *w, const char *name)
{
    const json_t *value = json_object_get(w->m->results->settings, name);
    if (json_is_string(value))
        put_cell(w, tb_json_get_text(value));
    else if (json_is_number(value))
        tb_markup_put(&w->text, "%.15g", json_number_value(value));
    else
        tb_markup_put(&w->text, "unknown");
}

// ---- chapters ----

static void put_head(writer *w)
{
    char human[TB_DURATION_TEXT];
    const json_t *settings = w->m->results->settings, *isolation = json_object_get(settings, "isolation");
    tb_markup_put(&w->text, "# SaaS-Bench Eval Report\n\n**Model:** ");
    put_code(w, w->report->model);
    tb_markup_put(&w->text, " • **Workers:** ");
    put_setting(w, "workers");
    tb_markup_put(&w->text, " • **Runs (pass@k):** %zu • **Isolation:** %s • **Max steps:** %zu\n**Started:** ",
                  w->runs, json_is_boolean(isolation) ? json_is_true(isolation) ? "enabled" : "disabled" : "unknown",
                  w->m->max_steps);
    put_setting(w, "started_at");
    tb_markup_put(&w->text, " • **Duration:** %s • **Tasks:** %zu\n\n---\n\n",
                  tb_duration_text(human, json_number_value(json_object_get(settings, "duration_s"))),
                  w->m->results->tasks->count);
}

static void put_overall(writer *w)
{
    const tb_metrics *m = w->m;
    size_t n = m->results->tasks->count;
    tb_markup_put(&w->text,
                  "## Overall\n\n| Metric | Value |\n|--------|------:|\n| Tasks | %zu |\n| Runs per task | %zu |\n", n,
                  w->runs);
    tb_markup_put(&w->text, "| Agent completed (any run) | %zu / %zu |\n", m->completed_any, n);
    for (size_t k = 0; k < w->runs; k++)
        tb_markup_put(&w->text, "| **pass@%zu** | **%zu / %zu (%.1f%%)** |\n", k + 1, m->passes[k], n,
                      percent(m->passes[k], n));
    tb_markup_put(&w->text, "| Avg best-of-k score | **%.3f** |\n| Avg mean-of-k score | %.3f |\n",
                  tb_round(m->best, 4), tb_round(m->mean, 4));
    tb_markup_put(&w->text, "| Avg checkpoint score (union) | %.3f |\n| Median best score | %.3f |\n",
                  tb_round(m->checkpoint, 4), tb_round(m->median_best, 4));
    tb_markup_put(&w->text, "| Perfect / Partial / Zero (best) | %zu / %zu / %zu |\n", m->perfect, m->partial, m->zero);
    tb_markup_put(&w->text, "| Avg steps per task | %.1f |\n", tb_round(m->mean_steps, 1));
    if (w->runs > 1) {
        tb_markup_put(&w->text, "| First-pass distribution | ");
        for (size_t j = 0; j < w->runs; j++)
            tb_markup_put(&w->text, "r%zu:%zu  ", j, m->first_passes[j]);
        tb_markup_put(&w->text, "never:%zu |\n", m->first_passes[w->runs]);
    }
    tb_markup_put(&w->text, "\n");
}

static void put_pass_headings(writer *w, const char *prefix)
{
    for (size_t k = 0; k < w->runs; k++)
        tb_markup_put(&w->text, " %s@%zu |", prefix, k + 1);
}

static void put_rules(writer *w, const char *rule, size_t n)
{
    for (size_t k = 0; k < n; k++)
        tb_markup_put(&w->text, "%s|", rule);
}

static void put_passes(writer *w, const tb_task_group *g)
{
    for (size_t k = 0; k < w->runs; k++)
        tb_markup_put(&w->text, " %zu (%.0f%%) |", g->passes[k], percent(g->passes[k], g->tasks));
}

static void put_domains(writer *w)
{
    tb_markup_put(&w->text, "## By Domain\n\n| Domain | Tasks |");
    put_pass_headings(w, "pass");
    tb_markup_put(&w->text, " Avg Best Score | Avg CkPt Score |\n|--------|------:|");
    put_rules(w, "-------:", w->runs);
    tb_markup_put(&w->text, "---------------:|---------------:|\n");
    for (size_t i = 0; i < w->m->domain_count; i++) {
        const tb_task_group *g = &w->m->domains[i];
        tb_markup_put(&w->text, "| ");
        put_name(w, g->name);
        tb_markup_put(&w->text, " | %zu |", g->tasks);
        put_passes(w, g);
        tb_markup_put(&w->text, " %.3f | %.3f |\n", tb_round(g->best, 4), tb_round(g->checkpoint, 4));
    }
    tb_markup_put(&w->text, "\n");
}

static void put_apps(writer *w)
{
    tb_markup_put(&w->text, "## By App\n\n| App | Used in |");
    put_pass_headings(w, "pass");
    tb_markup_put(&w->text, " Avg Best Score |\n|-----|--------:|");
    put_rules(w, "-------:", w->runs);
    tb_markup_put(&w->text, "---------------:|\n");
    for (size_t i = 0; i < w->m->app_count; i++) {
        const tb_task_group *g = &w->m->apps[i];
        tb_markup_put(&w->text, "| ");
        put_code(w, g->name);
        tb_markup_put(&w->text, " | %zu |", g->tasks);
        put_passes(w, g);
        tb_markup_put(&w->text, " %.3f |\n", tb_round(g->best, 4));
    }
    tb_markup_put(&w->text, "\n");
}

static void put_step_row(writer *w, const tb_step_stats *s)
{
    tb_markup_put(&w->text, " | %.1f | %zu | %zu | %zu |\n", tb_round(s->mean, 1), s->median, s->p90, s->most);
}

static void put_steps(writer *w)
{
    tb_markup_put(&w->text,
                  "## Step Statistics\n\n| Scope | Avg | Median | p90 | Max |\n|-------|----:|-------:|----:|----:|\n");
    tb_markup_put(&w->text, "| **Per-task avg**");
    put_step_row(w, &w->m->task_steps);
    tb_markup_put(&w->text, "| Per-run");
    put_step_row(w, &w->m->run_steps);
    for (size_t i = 0; i < w->m->domain_count; i++) {
        tb_markup_put(&w->text, "| ");
        put_name(w, w->m->domains[i].name);
        tb_markup_put(&w->text, " (task avg)");
        put_step_row(w, &w->m->domains[i].steps);
    }
    tb_markup_put(&w->text, "\n");
}

static void put_banned(writer *w)
{
    bool any = false;
    tb_markup_put(&w->text, "- **Banned actions attempted**: ");
    for (size_t i = 0; i < w->m->action_count; i++)
        if (tb_action_is_banned(w->m->actions[i].name)) {
            tb_markup_put(&w->text, "%s`%s`=%zu", any ? ", " : "", w->m->actions[i].name, w->m->actions[i].count);
            any = true;
        }
    tb_markup_put(&w->text, "%s\n\n", any ? "" : "0 ✓");
}

static void put_actions(writer *w)
{
    const tb_metrics *m = w->m;
    size_t total = 0;
    double navigates = tb_round(m->navigates, 2), sites = tb_round(m->sites, 2);
    for (size_t i = 0; i < m->action_count; i++)
        total += m->actions[i].count;
    tb_markup_put(&w->text, "## Action Distribution\n\n| Action | Count | Share |\n|--------|------:|------:|\n");
    for (size_t i = 0; i < m->action_count; i++) {
        tb_markup_put(&w->text, "| ");
        put_code(w, m->actions[i].name);
        tb_markup_put(&w->text, " | %zu | %.1f%% |\n", m->actions[i].count,
                      (double)m->actions[i].count / (double)total * 100);
    }
    tb_markup_put(&w->text,
                  "\n- **Avg `navigate` per run**: %.2f (avg sites/task: %.2f; ratio: **%.2f**, ideal ≈ 1.0)\n"
                  "- **Runs violating navigate-discipline** (n_nav > n_sites): **%zu**\n",
                  navigates, sites, tb_round(sites > 0 ? navigates / sites : 0, 2), m->navigate_violators);
    put_banned(w);
}

static void put_health(writer *w)
{
    const tb_metrics *m = w->m;
    size_t n = m->results->tasks->count;
    tb_markup_put(&w->text, "## Trajectory Health\n\n| Signal | Rate |\n|--------|-----:|\n");
    tb_markup_put(&w->text, "| Step error rate (%zu / %zu steps) | %.2f%% |\n", m->error_steps, m->total_steps,
                  percent(m->error_steps, m->total_steps));
    tb_markup_put(&w->text, "| Max-steps hit (any run) | %.2f%% |\n", percent(m->max_steps_hit, n));
    tb_markup_put(&w->text, "| `done` present (any run) | %.2f%% |\n", percent(m->done_present, n));
    tb_markup_put(&w->text, "| Early-fail (any run, error in first 5 steps) | %.2f%% |\n", percent(m->early_fail, n));
    tb_markup_put(&w->text, "| Empty output (any run) | %.2f%% |\n\n", percent(m->empty_output, n));
}

static void put_confidence(writer *w)
{
    static const char *const rows[TB_SAID] = {"`done(success=true)`", "`done(success=false)`", "no `done` action"};
    const tb_metrics *m = w->m;
    size_t records = m->results->tasks->count * w->runs;
    size_t over = m->confidence[TB_SAID_TRUE][TB_VERIFIED_FAIL] + m->confidence[TB_SAID_TRUE][TB_VERIFIED_NOTHING];
    tb_markup_put(&w->text, "## Self-Confidence Calibration\n\nEach (task × run) is one sample.\n\n"
                            "| Self-report | verify PASS | verify FAIL | verify ERROR/SKIP |\n"
                            "|-------------|------------:|------------:|------------------:|\n");
    for (size_t i = 0; i < TB_SAID; i++)
        tb_markup_put(&w->text, i == TB_SAID_TRUE ? "| %s | %zu | **%zu** | %zu |\n" : "| %s | %zu | %zu | %zu |\n",
                      rows[i], m->confidence[i][TB_VERIFIED_PASS], m->confidence[i][TB_VERIFIED_FAIL],
                      m->confidence[i][TB_VERIFIED_NOTHING]);
    tb_markup_put(&w->text, "\n- **Over-confidence rate**: %.2f%%\n- **Under-confidence rate**: %.2f%%\n\n",
                  percent(over, records), percent(m->confidence[TB_SAID_FALSE][TB_VERIFIED_PASS], records));
}

static void put_task(writer *w, const tb_tally *t)
{
    tb_str preview = {0};
    tb_markup_put(&w->text, "| %s | ", t->task->id);
    put_name(w, t->task->domain);
    tb_markup_put(&w->text, " | ");
    for (size_t i = 0; i < t->task->site_count; i++) {
        tb_markup_put(&w->text, "%s", i ? "," : "");
        put_name(w, t->task->sites[i]);
    }
    tb_markup_put(&w->text, "%s |", t->task->site_count ? "" : "—");
    for (size_t k = 0; k < w->runs; k++)
        tb_markup_put(&w->text, " %s |", t->first_pass <= k ? "✓" : "✗");
    tb_markup_put(&w->text, " %.2f | %.2f | %.0f | ", tb_round(t->best, 3), tb_round(t->checkpoint, 3),
                  tb_round(t->mean_steps, 1));
    if (!w->text.rc)
        w->text.rc = tb_append_preview(&preview, t, w->m->results, w->text.err);
    put_cell(w, (tb_text){tb_str_get(&preview), preview.size});
    tb_markup_put(&w->text, " |\n");
    tb_str_clear(&preview);
}

static void put_tasks(writer *w)
{
    size_t n = w->m->results->tasks->count;
    tb_markup_put(&w->text,
                  "## Per-task Results\n\n<details><summary>Click to expand all %zu task results</summary>\n\n"
                  "| Task ID | Domain | Sites |",
                  n);
    put_pass_headings(w, "p");
    tb_markup_put(&w->text, " Best | CkPt | Avg Steps | Output Preview |\n|---------|--------|-------|");
    put_rules(w, "----:", w->runs);
    tb_markup_put(&w->text, "-----:|-----:|----------:|----------------|\n");
    for (size_t i = 0; i < n; i++)
        put_task(w, w->m->by_id[i]);
    tb_markup_put(&w->text, "\n</details>\n\n");
}

// Behind what the official report has.
static void put_strict(writer *w)
{
    const tb_strict *s = &w->m->strict;
    tb_markup_put(&w->text,
                  "## Strict\n\nDoubtful results do not count, what broke outside the agent is counted apart%s.\n\n",
                  w->report->facts ? "" : "; how many checks each task has was not known");
    tb_markup_put(&w->text,
                  "| Metric | Value |\n|--------|------:|\n| Runs | %zu |\n| Errors outside the agent | %zu |\n",
                  s->runs, s->errors);
    tb_markup_put(&w->text, "| Suspicious | %zu |\n| Resolved runs | %zu |\n| Avg score | %.3f |\n", s->suspicious,
                  s->resolved, tb_round(s->score, 4));
    for (size_t k = 0; k < w->runs; k++)
        tb_markup_put(&w->text, "| pass@%zu, unbiased | %.1f%% |\n", k + 1, 100 * tb_round(s->pass_at_k[k], 4));
    if (w->m->usage.has_tokens)
        tb_markup_put(&w->text, "| Prompt / cached / completion tokens | %.0f / %.0f / %.0f |\n",
                      w->m->usage.prompt_tokens, w->m->usage.cached_tokens, w->m->usage.completion_tokens);
    tb_markup_put(&w->text, "\n---\n\n_twobit %s, tasks %.16s_\n", tb_version(), w->report->tasks_hash);
}

tb_code tb_report_append_markdown(tb_str *out, const tb_saas_report *report, tb_error *err)
{
    writer w = {
        .text = {out, err, TB_OK}, .report = report, .m = report->metrics, .runs = report->metrics->results->runs};
    put_head(&w);
    put_overall(&w);
    put_domains(&w);
    put_apps(&w);
    put_steps(&w);
    put_actions(&w);
    put_health(&w);
    put_confidence(&w);
    put_tasks(&w);
    put_strict(&w);
    return w.text.rc;
}
