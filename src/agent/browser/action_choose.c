// Choosing from what drops down: a select, or what a page has made to look like one.
#include "agent/browser/act.h"

#include <string.h>

#include <jansson.h>

enum { MOST_OPTIONS = 200, TOLD_BYTES = 4000 };

// [[text, value], …] of a select or of a list box.
static const char options_script[] =
    "function(most) {"
    "  const clean = text => (text || '').replace(/\\s+/g, ' ').trim();"
    "  if (this.localName === 'select')"
    "    return [...this.options].slice(0, most).map(o => [clean(o.text), o.value]);"
    "  const owned = this.getAttribute('aria-controls') || this.getAttribute('aria-owns');"
    "  const box = owned && this.getRootNode().getElementById(owned) || this;"
    "  return [...box.querySelectorAll('[role=option], [role=menuitem], [role=menuitemradio], "
    "[role=menuitemcheckbox]')]"
    "    .slice(0, most).map(o => [clean(o.innerText), o.getAttribute('data-value') || '']);"
    "}";

// Chooses the option that is called so; true: there is one.
static const char choose_script[] =
    "function(wanted) {"
    "  const clean = text => (text || '').replace(/\\s+/g, ' ').trim();"
    "  const pick = (items, texts) => {"
    "    for (const same of [(a, b) => a === b, (a, b) => a.toLowerCase() === b.toLowerCase()])"
    "      for (const text of texts)"
    "        for (const item of items)"
    "          if (same(clean(text(item)), clean(wanted))) return item;"
    "    return null;"
    "  };"
    "  if (this.localName === 'select') {"
    "    const option = pick([...this.options].filter(o => !o.disabled), [o => o.text, o => o.value]);"
    "    if (!option) return false;"
    "    if (this.multiple) option.selected = true; else this.value = option.value, option.selected = true;"
    "    for (const name of ['input', 'change']) this.dispatchEvent(new Event(name, {bubbles: true}));"
    "    return true;"
    "  }"
    "  const owned = this.getAttribute('aria-controls') || this.getAttribute('aria-owns');"
    "  const box = owned && this.getRootNode().getElementById(owned) || this;"
    "  const items = [...box.querySelectorAll('[role=option], [role=menuitem], [role=menuitemradio], "
    "[role=menuitemcheckbox]')];"
    "  const item = pick(items, [o => o.innerText, o => o.getAttribute('data-value')]);"
    "  if (item) { item.scrollIntoView({block: 'nearest'}); item.click(); }"
    "  return !!item;"
    "}";

static tb_code tell_options(tb_str *out, const json_t *options, bool with_values, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < json_array_size(options) && out->size < TOLD_BYTES && !rc; i++) {
        const char *text = json_string_value(json_array_get(json_array_get(options, i), 0));
        const char *value = json_string_value(json_array_get(json_array_get(options, i), 1));
        rc = tb_str_printf(out, err, "%s'%.200s'", i ? ", " : "", text ? text : "");
        if (!rc && with_values && value && *value)
            rc = tb_str_printf(out, err, " (value '%.100s')", value);
    }
    return rc;
}

static tb_code read_options(json_t **options, const tb_element *element, tb_browser *browser, tb_error *err)
{
    return tb_element_call(options, element, browser, options_script, json_pack("[i]", MOST_OPTIONS), err);
}

static tb_code list(tb_act *act, const tb_element *element, tb_error *err)
{
    json_t *options;
    tb_code rc = read_options(&options, element, act->browser, err);
    if (!rc && json_array_size(options) == 0)
        rc = tb_act_refuse(act, err, "element %zu shows no options now; if it opens a list, click it and look again",
                           element->number);
    else if (!rc)
        rc = tell_options(&act->result->text, options, true, err);
    json_decref(options);
    return rc;
}

static tb_code refuse_choice(tb_act *act, const tb_element *element, const char *text, tb_error *err)
{
    json_t *options;
    tb_code rc = read_options(&options, element, act->browser, err);
    if (!rc)
        rc = tb_act_refuse(act, err, "element %zu has no option '%.200s'; there are: ", element->number, text);
    if (!rc)
        rc = tell_options(&act->result->text, options, false, err);
    json_decref(options);
    return rc;
}

static tb_code choose(tb_act *act, const tb_element *element, tb_error *err)
{
    json_t *chosen;
    const char *text = NULL;
    tb_code rc = tb_act_need_text(&text, act, "text", err);
    if (rc || !text)
        return rc;
    rc = tb_element_call(&chosen, element, act->browser, choose_script, json_pack("[s]", text), err);
    bool found = json_is_true(chosen);
    json_decref(chosen);
    if (!rc && !found)
        return refuse_choice(act, element, text, err);
    if (!rc)
        rc = tb_act_settle(act, err);
    return rc ? rc : tb_act_say(act, err, "chose '%.200s' in element %zu", text, element->number);
}

tb_code tb_act_select_dropdown(tb_act *act, tb_error *err)
{
    return tb_act_on_element(act, choose, err);
}

tb_code tb_act_dropdown_options(tb_act *act, tb_error *err)
{
    return tb_act_on_element(act, list, err);
}
