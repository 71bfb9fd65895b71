// A click goes where the element is seen; where something else is hit it goes to the element itself, by script, and the
// result says so.
#include "agent/browser/act.h"

#include <string.h>

#include <jansson.h>

enum {
    SCROLLED_MS = 50,   // what follows the scrolling
    ANIMATION_MS = 500, // what covers an element may be on its way
    LOOK_MS = 100,
    DOWNLOAD_MS = 500,     // for a download to begin
    DOWNLOADED_MS = 30000, // for it to end
};

// Whether a click on `hit` reaches the element: it is the element, in it, or a label of it.
static const char reaches[] =
    "function(hit) {"
    "  for (let node = hit; node; node = node.parentNode || node.host)"
    "    if (node === this || (node.localName === 'label' && node.control === this)) return '';"
    "  return hit ? hit.localName || 'text' : 'nothing';"
    "}";

// The object of the node at a point, in the element's world. "" where there is none, or in another frame.
static tb_code hit_object(tb_str *out, const tb_element *element, tb_browser *browser, double x, double y,
                          tb_error *err)
{
    json_t *at = NULL, *node = NULL;
    tb_code rc = tb_devtools_call(&at, browser->devtools, element->session.text, "DOM.getNodeForLocation",
                                  json_pack("{s:I, s:I}", "x", (json_int_t)x, "y", (json_int_t)y), TB_DEVTOOLS_MS, err);
    if (!rc)
        rc = tb_devtools_call(&node, browser->devtools, element->session.text, "DOM.resolveNode",
                              json_pack("{s:O, s:i, s:s}", "backendNodeId", json_object_get(at, "backendNodeId"),
                                        "executionContextId", element->context, "objectGroup", "act"),
                              TB_DEVTOOLS_MS, err);
    tb_text id = tb_json_text_at(json_object_get(node, "object"), "objectId");
    if (!rc)
        rc = tb_str_append(out, id.data, id.size, err);
    json_decref(at);
    json_decref(node);
    return rc == TB_EINVAL ? TB_OK : rc;
}

// The tag of what is hit in place of the element; "" where the element is.
static tb_code find_cover(tb_browser_id *cover, const tb_element *element, tb_browser *browser, double x, double y,
                          tb_error *err)
{
    tb_str object = {0};
    json_t *result = NULL;
    *cover = (tb_browser_id){"another frame"};
    tb_code rc = hit_object(&object, element, browser, x, y, err);
    if (!rc && object.size)
        rc = tb_devtools_call(&result, browser->devtools, element->session.text, "Runtime.callFunctionOn",
                              json_pack("{s:s, s:s, s:[{s:s}], s:b}", "objectId", element->object.data,
                                        "functionDeclaration", reaches, "arguments", "objectId", object.data,
                                        "returnByValue", 1),
                              TB_DEVTOOLS_MS, err);
    if (!rc && result)
        *cover = tb_browser_id_of(json_object_get(result, "result"), "value");
    json_decref(result);
    tb_str_clear(&object);
    return rc;
}

static tb_code post_mouse(tb_browser *browser, const char *type, double x, double y, int buttons, tb_error *err)
{
    const tb_tab *tab = tb_browser_front_tab(browser);
    return tb_devtools_post(browser->devtools, tab ? tab->session.text : "", "Input.dispatchMouseEvent",
                            json_pack("{s:s, s:f, s:f, s:s, s:i, s:i}", "type", type, "x", x, "y", y, "button",
                                      buttons || strcmp(type, "mouseReleased") == 0 ? "left" : "none", "buttons",
                                      buttons, "clickCount", strcmp(type, "mouseMoved") == 0 ? 0 : 1),
                            err);
}

// None of the three waits for the answer to the one before: a dialog that one of them opens holds that back.
static tb_code click_at(tb_browser *browser, double x, double y, tb_error *err)
{
    tb_code rc = post_mouse(browser, "mouseMoved", x, y, 0, err);
    if (!rc)
        rc = post_mouse(browser, "mousePressed", x, y, 1, err);
    return rc ? rc : post_mouse(browser, "mouseReleased", x, y, 0, err);
}

// By script, and not waiting either.
static tb_code click_by_script(const tb_element *element, tb_browser *browser, tb_error *err)
{
    return tb_devtools_post(browser->devtools, element->session.text, "Runtime.callFunctionOn",
                            json_pack("{s:s, s:s, s:b}", "objectId", element->object.data, "functionDeclaration",
                                      "function() { this.click(); }", "userGesture", 1),
                            err);
}

tb_code tb_element_click(tb_browser_id *covered_by, const tb_element *element, tb_browser *browser, tb_error *err)
{
    double x = 0, y = 0, left, top;
    bool seen = false;
    *covered_by = (tb_browser_id){{0}};
    tb_code rc = tb_devtools_call(NULL, browser->devtools, element->session.text, "DOM.scrollIntoViewIfNeeded",
                                  json_pack("{s:I}", "backendNodeId", (json_int_t)element->node), TB_DEVTOOLS_MS, err);
    rc = rc == TB_EINVAL ? TB_OK : rc; // it has no box
    if (!rc)
        rc = tb_browser_pause(browser, SCROLLED_MS, err);
    double begin = tb_clock_seconds();
    do {
        if (!rc)
            rc = tb_element_point(&seen, &x, &y, element, browser, err);
        if (!rc && seen)
            rc = find_cover(covered_by, element, browser, x, y, err);
        else if (!rc)
            *covered_by = (tb_browser_id){"nothing, for it has no box"};
        if (!rc && covered_by->text[0])
            rc = tb_browser_pause(browser, LOOK_MS, err);
    } while (!rc && covered_by->text[0] && (tb_clock_seconds() - begin) * 1e3 < ANIMATION_MS);
    if (rc || covered_by->text[0])
        return rc ? rc : click_by_script(element, browser, err);
    rc = tb_session_offset(&left, &top, browser, &element->session, err);
    return rc ? rc : click_at(browser, x + left, y + top, err);
}

// ---- the action ----

static size_t count_running(const tb_browser *browser)
{
    size_t n = 0;
    for (size_t i = 0; i < browser->download_count; i++)
        n += browser->downloads[i].state == TB_DOWNLOAD_RUNS;
    return n;
}

static tb_code wait_for_downloads(tb_browser *browser, tb_error *err)
{
    double begin = tb_clock_seconds();
    tb_code rc = tb_browser_pause(browser, DOWNLOAD_MS, err);
    while (!rc && count_running(browser) && (tb_clock_seconds() - begin) * 1e3 < DOWNLOADED_MS)
        rc = tb_browser_pause(browser, LOOK_MS, err);
    return rc;
}

// -1: it is nothing that can be checked.
static tb_code read_checked(int *out, const tb_element *element, tb_browser *browser, tb_error *err)
{
    json_t *value;
    tb_code rc = tb_element_call(
        &value, element, browser,
        "function() { return this.type === 'checkbox' || this.type === 'radio' ? this.checked : null; }", NULL, err);
    *out = json_is_boolean(value) ? json_is_true(value) : -1;
    json_decref(value);
    return rc;
}

// A page may have swallowed the click on the box itself. A radio button that was chosen stays so.
static tb_code make_sure_it_is_checked(tb_act *act, const tb_element *element, int before, tb_error *err)
{
    int after;
    tb_code rc = read_checked(&after, element, act->browser, err);
    if (rc == TB_EINVAL)
        return TB_OK; // it went with its page
    if (rc || after != before || (before == 1 && act->result->text.size == 0))
        return rc;
    return click_by_script(element, act->browser, err);
}

static tb_code refuse_by_kind(tb_act *act, const tb_element *element, tb_error *err)
{
    json_t *value;
    if (tb_browser_id_is(&element->tag, "select"))
        return tb_act_refuse(act, err, "element %zu is a select; use select_dropdown or dropdown_options",
                             element->number);
    if (!tb_browser_id_is(&element->tag, "input"))
        return TB_OK;
    tb_code rc = tb_element_call(&value, element, act->browser, "function() { return this.type; }", NULL, err);
    bool is_file = tb_text_is(tb_json_get_text(value), "file");
    json_decref(value);
    return rc || !is_file ? rc
                          : tb_act_refuse(act, err, "element %zu is a file field; use upload_file", element->number);
}

static tb_code click_element(tb_act *act, const tb_element *element, tb_error *err)
{
    tb_browser *browser = act->browser;
    int checked = -1;
    tb_browser_id cover;
    tb_code rc = refuse_by_kind(act, element, err);
    if (rc || act->result->failed)
        return rc;
    rc = read_checked(&checked, element, browser, err);
    if (!rc)
        rc = tb_element_click(&cover, element, browser, err);
    if (!rc)
        rc = wait_for_downloads(browser, err);
    if (!rc && checked == 0)
        rc = make_sure_it_is_checked(act, element, checked, err);
    if (!rc)
        rc = tb_act_settle(act, err);
    if (!rc)
        rc = tb_act_say(act, err, "clicked element %zu", element->number);
    return rc || !cover.text[0] ? rc : tb_act_say(act, err, " by script, for it is covered by %s", cover.text);
}

static tb_code click_point(tb_act *act, tb_error *err)
{
    double x = tb_act_number(act, "coordinate_x", -1), y = tb_act_number(act, "coordinate_y", -1);
    if (x < 0 || y < 0 || x >= (double)act->browser->options.width || y >= (double)act->browser->options.height)
        return tb_act_refuse(act, err, "that point is not in the viewport");
    tb_code rc = click_at(act->browser, x, y, err);
    if (!rc)
        rc = wait_for_downloads(act->browser, err);
    if (!rc)
        rc = tb_act_settle(act, err);
    return rc ? rc : tb_act_say(act, err, "clicked at %.0f, %.0f", x, y);
}

tb_code tb_act_click(tb_act *act, tb_error *err)
{
    if (json_object_get(act->params, "coordinate_x"))
        return click_point(act, err);
    return tb_act_on_element(act, click_element, err);
}
