// Looking for something in the page without a model: texts, and elements by selectors of CSS.
#include "agent/browser/act.h"

#include <string.h>

#include <jansson.h>

enum { USUAL_CONTEXT = 150, USUAL_MATCHES = 25, USUAL_ELEMENTS = 50, MOST_RESULTS = 1000, TEXT_BYTES = 300 };

// The matches in a frame's text, each with what stands around it. A pattern that is none throws.
static const char search_script[] =
    "function(pattern, regex, sensitive, context, scope, most) {"
    "  const root = scope ? document.querySelector(scope) : document.body;"
    "  if (!root) return {count: 0, matches: []};"
    "  const text = root.innerText.replace(/[ \\t\\n\\r]+/g, ' ');"
    "  const source = regex ? pattern : pattern.replace(/[.*+?^${}()|[\\]\\\\]/g, '\\\\$&');"
    "  const matches = []; let count = 0;"
    "  for (const m of text.matchAll(new RegExp(source, sensitive ? 'g' : 'gi'))) {"
    "    if (!m[0] || count++ >= most) continue;"
    "    matches.push(text.slice(Math.max(0, m.index - context), m.index + m[0].length + context).trim());"
    "  }"
    "  return {count, matches};"
    "}";

static const char elements_script[] =
    "function(selector, names, most, withText) {"
    "  const found = [...document.querySelectorAll(selector)];"
    "  const line = e => '<' + e.localName + (names || ['id', 'name', 'class', 'href', 'value', 'type'])"
    "    .filter(n => e.getAttribute(n)).map(n => ' ' + n + '=' + e.getAttribute(n)).join('') + '>' +"
    "    (withText ? ' ' + (e.innerText || '').replace(/\\s+/g, ' ').trim().slice(0, 150) : '');"
    "  return {count: found.length, matches: found.slice(0, most).map(line)};"
    "}";

// Tells what the frames found, a line each.
static tb_code tell_matches(tb_act *act, const json_t *values, size_t most, const char *what, tb_error *err)
{
    size_t count = 0, told = 0;
    for (size_t i = 0; i < json_array_size(values); i++)
        count += (size_t)json_integer_value(json_object_get(json_array_get(values, i), "count"));
    if (count == 0)
        return tb_act_say(act, err, "no %s found", what);
    tb_code rc = tb_act_say(act, err, "%zu %s found:\n", count, what);
    for (size_t i = 0; i < json_array_size(values) && !rc; i++) {
        const json_t *matches = json_object_get(json_array_get(values, i), "matches");
        for (size_t k = 0; k < json_array_size(matches) && told < most && !rc; k++, told++) {
            rc = tb_str_append_text(&act->result->text, "- ", err);
            if (!rc)
                rc = tb_append_clean(&act->result->text, tb_json_get_text(json_array_get(matches, k)).data, SIZE_MAX,
                                     err);
            if (!rc)
                rc = tb_str_append_text(&act->result->text, "\n", err);
        }
    }
    return rc;
}

static size_t read_count(const tb_act *act, const char *name, double otherwise, double most)
{
    double n = tb_act_number(act, name, otherwise);
    return n < 1 ? 1 : n > most ? (size_t)most : (size_t)n;
}

static tb_code ask_frames(tb_act *act, const char *script, json_t *arguments, size_t most, const char *what,
                          tb_error *err)
{
    json_t *values;
    tb_code rc = tb_frames_call(&values, act->browser, script, arguments, err);
    if (!rc)
        rc = tell_matches(act, values, most, what, err);
    json_decref(arguments);
    json_decref(values);
    return rc;
}

tb_code tb_act_search_page(tb_act *act, tb_error *err)
{
    const char *pattern = NULL;
    tb_code rc = tb_act_need_text(&pattern, act, "pattern", err);
    if (rc || !pattern)
        return rc;
    size_t most = read_count(act, "max_results", USUAL_MATCHES, MOST_RESULTS);
    size_t context = read_count(act, "context_chars", USUAL_CONTEXT, TEXT_BYTES * 10);
    const char *scope = json_string_value(json_object_get(act->params, "css_scope"));
    return ask_frames(act, search_script,
                      json_pack("[s, b, b, I, s, I]", pattern, tb_act_flag(act, "regex", false),
                                tb_act_flag(act, "case_sensitive", false), (json_int_t)context, scope ? scope : "",
                                (json_int_t)most),
                      most, "matches", err);
}

tb_code tb_act_find_elements(tb_act *act, tb_error *err)
{
    const char *selector = NULL;
    tb_code rc = tb_act_need_text(&selector, act, "selector", err);
    if (rc || !selector)
        return rc;
    size_t most = read_count(act, "max_results", USUAL_ELEMENTS, MOST_RESULTS);
    json_t *names = json_object_get(act->params, "attributes");
    return ask_frames(act, elements_script,
                      json_pack("[s, o, I, b]", selector, json_is_array(names) ? json_incref(names) : json_null(),
                                (json_int_t)most, tb_act_flag(act, "include_text", true)),
                      most, "elements", err);
}
