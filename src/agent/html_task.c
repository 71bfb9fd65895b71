// Texts of models and pages are cut, because a run of all tasks has some ten thousand steps: a page of them must still
// open. The files beside it have them whole.
#include "agent/html_task.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROMPT = 20000, MOST_DETAIL = 2000, MOST_RESULT = 600, MOST_NAME = 200 };

// ---- steps ----

static void put_labelled(tb_markup *m, const char *label, tb_text text, size_t most)
{
    if (text.size == 0)
        return;
    tb_markup_put(m, "<div><span class=\"dim\">%s</span> ", label);
    tb_markup_text_cut(m, text, most);
    tb_markup_put(m, "</div>");
}

// An action's name and its parameters, as JSON.
static void put_action(tb_markup *m, const char *name, const json_t *parameters)
{
    char *text = json_dumps(parameters, JSON_COMPACT | JSON_ENCODE_ANY);
    tb_markup_put(m, "<div><code>");
    tb_markup_text_cut(m, (tb_text){name, strlen(name)}, MOST_NAME);
    tb_markup_put(m, "</code>%s ", tb_action_is_banned(name) ? " <b class=\"bad\">banned</b>" : "");
    if (text && strcmp(text, "{}") != 0 && strcmp(text, "null") != 0)
        tb_markup_text_cut(m, (tb_text){text, strlen(text)}, MOST_RESULT);
    tb_markup_put(m, "</div>");
    free(text);
}

static void put_result(tb_markup *m, const json_t *result)
{
    tb_text error = tb_json_text_at(result, "error"), content = tb_json_text_at(result, "extracted_content");
    if (error.size) {
        tb_markup_put(m, "<div class=\"bad\">");
        tb_markup_text_cut(m, error, MOST_RESULT);
        tb_markup_put(m, "</div>");
    }
    put_labelled(m, "→", content, MOST_RESULT);
}

static void put_shot(tb_markup *m, const char *shots, json_int_t number)
{
    if (!shots[0])
        return;
    tb_markup_put(m, "<a href=\"");
    tb_markup_word(m, shots);
    tb_markup_put(m, "/%lld.jpg\"><img loading=\"lazy\" width=\"320\" alt=\"step %lld\" src=\"", (long long)number,
                  (long long)number);
    tb_markup_word(m, shots);
    tb_markup_put(m, "/%lld.jpg\"></a>", (long long)number);
}

static void put_step(tb_markup *m, const json_t *step, size_t index, const char *shots)
{
    const json_t *given = json_object_get(step, "step"), *thought = json_object_get(step, "thought"), *item;
    json_int_t number = json_is_integer(given) ? json_integer_value(given) : (json_int_t)index + 1;
    json_t *action, *value;
    const char *name;
    size_t i;
    tb_markup_put(m, "<li value=\"%lld\"><div class=\"dim\">", (long long)number);
    tb_markup_text_cut(m, tb_json_text_at(step, "url"), MOST_NAME);
    tb_markup_put(m, " ");
    tb_markup_text_cut(m, tb_json_text_at(step, "title"), MOST_NAME);
    tb_markup_put(m, "</div>");
    put_labelled(m, "evaluation", tb_json_text_at(thought, "evaluation"), MOST_RESULT);
    put_labelled(m, "memory", tb_json_text_at(thought, "memory"), MOST_RESULT);
    put_labelled(m, "next", tb_json_text_at(thought, "next_goal"), MOST_RESULT);
    json_array_foreach(json_object_get(step, "actions"), i, action) json_object_foreach(action, name, value)
        put_action(m, name, value);
    json_array_foreach(json_object_get(step, "results"), i, item) put_result(m, item);
    put_shot(m, shots, number);
    tb_markup_put(m, "</li>\n");
}

void tb_html_put_trajectory(tb_markup *m, const tb_saas_run *run, const char *shots)
{
    const json_t *step;
    size_t i;
    tb_markup_put(m, "<ol>\n");
    json_array_foreach(tb_run_trajectory(run), i, step) put_step(m, step, i, shots);
    tb_markup_put(m, "</ol>\n");
}

// ---- checks ----

static void put_checks(tb_markup *m, const json_t *verify)
{
    const json_t *check;
    size_t i;
    tb_markup_put(m, "<table><tr><th></th><th class=\"n\">points</th><th>check</th><th>evidence</th></tr>\n");
    json_array_foreach(json_object_get(verify, "checks"), i, check)
    {
        bool passed = json_is_true(json_object_get(check, "passed"));
        tb_markup_put(m, "<tr><td class=\"%s\">%s</td><td class=\"n\">%.0f</td><td>", passed ? "good" : "bad",
                      passed ? "✓" : "✗", tb_check_weight(check));
        tb_markup_text_cut(m, tb_json_text_at(check, "label"), MOST_DETAIL);
        tb_markup_put(m, "</td><td>");
        tb_markup_text_cut(m, tb_json_text_at(check, "detail"), MOST_DETAIL);
        tb_markup_put(m, "</td></tr>\n");
    }
    tb_markup_put(m, "</table>\n");
}

static void put_doubts(tb_markup *m, const tb_audit *audit)
{
    for (unsigned bit = 0; bit < TB_DOUBTS; bit++)
        if (audit->doubts & 1u << bit)
            tb_markup_put(m, "<p class=\"bad\">Suspicious: %s.</p>\n", tb_doubt_text(1u << bit));
}

// ---- runs ----

// "shots/TASK_r<k>" where that folder is there, else "".
static tb_code find_shots(tb_str *out, const tb_results *results, const char *task_id, size_t index, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = tb_str_printf(&path, err, "%s/shots/%s_r%zu", results->folder, task_id, index);
    if (!rc && tb_path_is_folder(path.data))
        rc = tb_str_printf(out, err, "shots/%s_r%zu", task_id, index);
    tb_str_clear(&path);
    return rc;
}

static void put_outcome(tb_markup *m, const tb_saas_run *run, const tb_tally *t, size_t j)
{
    tb_text status = tb_json_text_at(run->verify, "status");
    tb_text reason = tb_json_text_at(json_object_get(run->agent, "twobit"), "stop_reason");
    tb_markup_put(m, "<p>verifier: <b>");
    tb_markup_text_cut(m, status.size ? status : (tb_text){"missing", 7}, MOST_NAME);
    tb_markup_put(m, "</b>, score %.3f, strictly %.3f%s; agent: ", t->scores[j], t->audits[j].score,
                  t->audits[j].error ? " (broken outside the agent)" : "");
    tb_text agent = tb_json_text_at(run->agent, "status");
    tb_markup_text_cut(m, agent.size ? agent : (tb_text){"missing", 7}, MOST_NAME);
    tb_markup_put(m, reason.size ? ", " : "");
    tb_markup_text_cut(m, reason, MOST_NAME);
    tb_markup_put(m, "; %zu steps</p>\n", t->steps[j]);
    put_labelled(m, "verifier's error:", tb_json_text_at(run->verify, "error"), MOST_DETAIL);
    put_labelled(m, "agent's error:", tb_json_text_at(run->agent, "error"), MOST_DETAIL);
}

static void put_run(tb_markup *m, const tb_saas_report *report, const tb_tally *t, size_t task, size_t j)
{
    const tb_results *results = report->metrics->results;
    const tb_saas_run *run = tb_results_get(results, task, j);
    tb_str shots = {0};
    tb_markup_put(m, "<h4>run %zu</h4>\n", results->indexes[j]);
    put_outcome(m, run, t, j);
    put_doubts(m, &t->audits[j]);
    put_checks(m, run->verify);
    put_labelled(m, "said at the end:", tb_json_text_at(run->agent, "agent_output"), MOST_DETAIL);
    if (t->steps[j]) {
        if (!m->rc)
            m->rc = find_shots(&shots, results, t->task->id, results->indexes[j], m->err);
        tb_markup_put(m, "<details><summary>%zu steps</summary>\n", t->steps[j]);
        tb_html_put_trajectory(m, run, tb_str_get(&shots));
        tb_markup_put(m, "</details>\n");
        tb_str_clear(&shots);
    }
}

void tb_html_put_task(tb_markup *m, const tb_saas_report *report, const tb_tally *t)
{
    size_t task = (size_t)(t->task - report->metrics->results->tasks->items);
    tb_markup_put(m, "<details class=\"task\" id=\"t-%s\"><summary><b>%s</b> %.3f</summary>\n", t->task->id,
                  t->task->id, t->best);
    tb_markup_put(m, "<details><summary>what was asked</summary><pre>");
    tb_markup_text_cut(m, t->task->description, MOST_PROMPT);
    tb_markup_put(m, "</pre></details>\n");
    for (size_t j = 0; j < report->metrics->results->runs; j++)
        put_run(m, report, t, task, j);
    tb_markup_put(m, "</details>\n");
}
