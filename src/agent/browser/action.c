// The table of actions, their parameters, and what holds for all of them.
#include "agent/browser/action.h"

#include "agent/browser/act.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

enum { SENTENCE = 1000 }; // bytes of a sentence that is made from a format

static const struct {
    const char *name;
    tb_act_function *function;
    bool ends_list;
} actions[] = {
    {"navigate", tb_act_navigate, true},
    {"search", tb_act_search, true},
    {"go_back", tb_act_go_back, true},
    {"wait", tb_act_wait, false},
    {"click", tb_act_click, false},
    {"input", tb_act_input, false},
    {"send_keys", tb_act_send_keys, false},
    {"scroll", tb_act_scroll, false},
    {"find_text", tb_act_find_text, false},
    {"select_dropdown", tb_act_select_dropdown, false},
    {"dropdown_options", tb_act_dropdown_options, false},
    {"upload_file", tb_act_upload_file, false},
    {"switch", tb_act_switch, true},
    {"close", tb_act_close, true},
    {"search_page", tb_act_search_page, false},
    {"find_elements", tb_act_find_elements, false},
    {"save_as_pdf", tb_act_save_as_pdf, false},
};

enum { ACTIONS = sizeof actions / sizeof actions[0] };

const char *tb_action_name(size_t i)
{
    return i < ACTIONS ? actions[i].name : NULL;
}

// ---- telling ----

static tb_code tell(tb_act *act, const char *format, va_list args, tb_error *err)
{
    char text[SENTENCE];
    vsnprintf(text, sizeof text, format, args);
    return tb_str_append(&act->result->text, text, tb_utf8_valid_prefix(text, strlen(text)), err);
}

tb_code tb_act_refuse(tb_act *act, tb_error *err, const char *format, ...)
{
    va_list args;
    act->result->failed = true;
    tb_str_reset(&act->result->text);
    va_start(args, format);
    tb_code rc = tell(act, format, args, err);
    va_end(args);
    return rc;
}

tb_code tb_act_say(tb_act *act, tb_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tb_code rc = tell(act, format, args, err);
    va_end(args);
    return rc;
}

// ---- parameters ----

tb_code tb_act_need_text(const char **out, tb_act *act, const char *name, tb_error *err)
{
    const char *text = json_string_value(json_object_get(act->params, name));
    if (!text)
        return tb_act_refuse(act, err, "'%s' is missing or no text", name);
    *out = text;
    return TB_OK;
}

bool tb_act_flag(const tb_act *act, const char *name, bool otherwise)
{
    return tb_json_bool_at(act->params, name, otherwise);
}

double tb_act_number(const tb_act *act, const char *name, double otherwise)
{
    const json_t *value = json_object_get(act->params, name);
    return json_is_number(value) && isfinite(json_number_value(value)) ? json_number_value(value) : otherwise;
}

tb_code tb_act_settle(tb_act *act, tb_error *err)
{
    size_t open;
    return tb_browser_settle(&open, act->browser, TB_SETTLE_MS, err);
}

// ---- doing ----

// Where the browser was, to say what became of that.
typedef struct position {
    tb_browser_id tab;
    tb_str url;
    size_t tabs;
} position;

static tb_code note_position(position *p, const tb_browser *browser, tb_error *err)
{
    const tb_tab *tab = tb_browser_front_tab(browser);
    *p = (position){.tab = browser->focused, .tabs = browser->tab_count};
    return tb_str_append_text(&p->url, tab ? tb_str_get(&tab->url) : "", err);
}

// The address without what is behind '#', which leads nowhere else.
static bool is_same_page(const char *a, const char *b)
{
    size_t n = strcspn(a, "#");
    return n == strcspn(b, "#") && strncmp(a, b, n) == 0;
}

static tb_code tell_moves(tb_act *act, const position *before, tb_error *err)
{
    const tb_tab *tab = tb_browser_front_tab(act->browser);
    if (!tab || act->result->failed)
        return TB_OK;
    if (!tb_browser_id_is(&tab->target, before->tab.text)) {
        act->result->ends_list = true;
        return tb_act_say(act, err, "; another tab is in front now: %.300s", tb_str_get(&tab->url));
    }
    if (is_same_page(tb_str_get(&tab->url), tb_str_get(&before->url)))
        return TB_OK;
    act->result->ends_list = true;
    return tb_act_say(act, err, "; the page is now %.300s", tb_str_get(&tab->url));
}

static size_t find_action(const char *name)
{
    size_t i = 0;
    while (i < ACTIONS && strcmp(actions[i].name, name) != 0)
        i++;
    return i;
}

static tb_code refuse_unknown(tb_act *act, const char *name, tb_error *err)
{
    const char *names[ACTIONS];
    for (size_t i = 0; i < ACTIONS; i++)
        names[i] = actions[i].name;
    const char *meant = tb_suggest(name, names, ACTIONS);
    return meant ? tb_act_refuse(act, err, "there is no action '%.100s'; did you mean '%s'?", name, meant)
                 : tb_act_refuse(act, err, "there is no action '%.100s'", name);
}

tb_code tb_browser_act(tb_action_result *out, tb_browser *browser, const char *name, const json_t *params,
                       tb_error *err)
{
    *out = (tb_action_result){0};
    tb_act act = {browser, params, out};
    size_t which = find_action(name);
    if (which == ACTIONS)
        return refuse_unknown(&act, name, err);
    position before;
    tb_error failure = {0};
    tb_code rc = note_position(&before, browser, err);
    if (!rc)
        rc = actions[which].function(&act, &failure);
    out->ends_list = actions[which].ends_list || out->failed;
    if (rc == TB_EINVAL || rc == TB_ELIMIT) // the page refuses, or does not answer: the browser is well
        rc = tb_act_refuse(&act, err, "%s", failure.message);
    else if (rc && err)
        *err = failure;
    if (!rc)
        rc = tell_moves(&act, &before, err);
    tb_str_clear(&before.url);
    if (rc)
        tb_action_result_clear(out);
    return rc;
}

void tb_action_result_clear(tb_action_result *result)
{
    tb_str_clear(&result->text);
}
