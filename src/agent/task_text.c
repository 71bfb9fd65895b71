// What a task says to the agent. Steps are found as the official loader's regular expressions find them, which are
// written above each function; \s there is white space, also at the end of a line.
#include "agent/tasks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/lines.h"

// ---- matching: each returns the bytes matched at the start of the text, 0 for none ----

static size_t skip_spaces(tb_text text, size_t at)
{
    size_t n;
    while ((n = tb_space_size(tb_text_from(text, at))) > 0)
        at += n;
    return at;
}

static size_t skip_all(tb_text text, size_t at, char c)
{
    while (at < text.size && text.data[at] == c)
        at++;
    return at;
}

// "step" or "steps", whatever the case; the position behind, 0 for none.
static size_t skip_word(tb_text text, size_t at)
{
    static const char word[] = "step";
    if (text.size - at < strlen(word) || strncasecmp(text.data + at, word, strlen(word)) != 0)
        return 0;
    at += strlen(word);
    return at < text.size && tolower((unsigned char)text.data[at]) == 's' ? at + 1 : at;
}

// \*\*\s*Steps?\s*:\s*\*\*
static size_t match_bold(tb_text text)
{
    if (!tb_starts_with(text, "**"))
        return 0;
    size_t at = skip_word(text, skip_spaces(text, 2));
    if (!at)
        return 0;
    at = skip_spaces(text, at);
    if (at == text.size || text.data[at] != ':')
        return 0;
    at = skip_spaces(text, at + 1);
    return tb_starts_with(tb_text_from(text, at), "**") ? at + 2 : 0;
}

// #+\s*Steps?\s*$, at the start of a line
static size_t match_heading(tb_text text)
{
    size_t hashes = skip_all(text, 0, '#');
    size_t at = hashes ? skip_word(text, skip_spaces(text, hashes)) : 0;
    if (!at)
        return 0;
    size_t end = skip_spaces(text, at);
    if (end == text.size)
        return end;
    while (end > at && text.data[end] != '\n') // the last end of a line among the white space
        end--;
    return text.data[end] == '\n' ? end : 0;
}

// \s*(\*\*[^*]+\*\*|#+\s+\S)
static bool match_end(tb_text text)
{
    size_t at = skip_spaces(text, 0);
    tb_text rest = tb_text_from(text, at);
    if (tb_starts_with(rest, "**")) {
        size_t end = 2;
        while (end < rest.size && rest.data[end] != '*')
            end++;
        return end > 2 && tb_starts_with(tb_text_from(rest, end), "**");
    }
    size_t hashes = skip_all(rest, 0, '#'), behind = skip_spaces(rest, hashes);
    return hashes > 0 && behind > hashes && behind < rest.size;
}

// \s*\d+\.\s+(.*\S)\s*, a whole line
static bool match_step(tb_text *step, tb_text line)
{
    line = tb_strip(line);
    size_t at = 0;
    while (at < line.size && isdigit((unsigned char)line.data[at]))
        at++;
    if (at == 0 || at == line.size || line.data[at] != '.')
        return false;
    size_t begin = skip_spaces(line, at + 1);
    *step = tb_text_from(line, begin);
    return begin > at + 1 && step->size > 0;
}

// ---- steps ----

// What stands behind the words that announce the steps.
static bool find_begin(tb_text *out, tb_text text)
{
    size_t n;
    for (size_t at = 0; at < text.size; at++)
        if ((n = match_bold(tb_text_from(text, at))) > 0) {
            *out = tb_text_from(text, at + n);
            return true;
        }
    for (size_t at = 0; at < text.size; at++)
        if ((at == 0 || text.data[at - 1] == '\n') && (n = match_heading(tb_text_from(text, at))) > 0) {
            *out = tb_text_from(text, at + n);
            return true;
        }
    return false;
}

static void cut_at_end(tb_text *text)
{
    for (size_t at = 0; at < text->size; at++)
        if (text->data[at] == '\n' && match_end(tb_text_from(*text, at + 1))) {
            text->size = at;
            return;
        }
}

tb_code tb_task_each_step(const tb_task *task, tb_step_fn *each, void *user, tb_error *err)
{
    tb_text rest, line, step;
    tb_code rc = TB_OK;
    if (!find_begin(&rest, task->description))
        return TB_OK;
    cut_at_end(&rest);
    while (!rc && tb_next_line(&line, &rest))
        if (match_step(&step, line))
            rc = each(user, step, err);
    return rc;
}

static tb_code count_step(void *user, tb_text step, tb_error *err)
{
    (void)step, (void)err;
    ++*(size_t *)user;
    return TB_OK;
}

size_t tb_task_count_steps(const tb_task *task)
{
    size_t n = 0;
    tb_task_each_step(task, count_step, &n, NULL);
    return n;
}

// ---- the prompt ----

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const tb_app *const *)a)->key, (*(const tb_app *const *)b)->key);
}

static size_t find_apps(const tb_app *found[TB_MOST_APPS], const tb_task *task, const tb_apps *apps)
{
    size_t n = 0;
    for (size_t i = 0; i < task->site_count && n < TB_MOST_APPS; i++) {
        const tb_app *app = tb_apps_get(apps, task->sites[i]);
        bool again = false;
        for (size_t k = 0; k < n; k++)
            again |= found[k] == app;
        if (app && !again)
            found[n++] = app;
    }
    qsort(found, n, sizeof(const tb_app *), by_key);
    return n;
}

static tb_code append_urls(tb_str *out, const tb_task *task, const tb_apps *apps, const tb_slot *slot, tb_error *err)
{
    const tb_app *found[TB_MOST_APPS];
    size_t n = find_apps(found, task, apps);
    if (n == 0)
        return TB_OK;
    tb_code rc = tb_str_append_text(
        out,
        "## Application Access URLs\n\n"
        "Each application of this task is at exactly one address, listed below. No other address works: not the\n"
        "application's name, not what its documentation says, not its default port. Open an address once, then move "
        "by\n"
        "clicking in the application.\n\n",
        err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = tb_str_printf(out, err, "- %s: http://%s:%u\n", found[i]->key, tb_slot_hostname(slot),
                           tb_slot_port(slot, found[i]));
    return rc ? rc : tb_str_append_text(out, "\n", err);
}

tb_code tb_task_append_prompt(tb_str *out, const tb_task *task, const tb_apps *apps, const tb_slot *slot, tb_error *err)
{
    tb_text description = tb_strip(task->description);
    tb_code rc = append_urls(out, task, apps, slot, err);
    if (!rc)
        rc = tb_str_append(out, description.data, description.size, err);
    return rc ? rc : tb_str_append_text(out, "\n", err);
}

static tb_code append_step(void *user, tb_text step, tb_error *err)
{
    return tb_str_printf(user, err, "- [ ] %.*s\n", (int)step.size, step.data);
}

tb_code tb_task_append_todo(tb_str *out, const tb_task *task, tb_error *err)
{
    tb_code rc = tb_str_printf(out, err, "# Task: %s\n\n## Plan (you may adjust as needed)\n\n", task->id);
    if (!rc && tb_task_count_steps(task) == 0)
        rc = tb_str_append_text(out, "- [ ] (no steps were found in the task: make a plan of your own)\n", err);
    else if (!rc)
        rc = tb_task_each_step(task, append_step, out, err);
    if (!rc)
        rc = tb_str_append_text(out,
                                "\n## Notes\n"
                                "- Mark an item [x] when it is done and [-] when it is skipped.\n"
                                "- Add items for what is found on the way.\n"
                                "- Do not stop at a required field that the task says nothing of.\n",
                                err);
    return rc;
}
