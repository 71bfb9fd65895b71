// Moving what is seen.
#include "agent/browser/act.h"

#include <string.h>

#include <jansson.h>

enum { ALL_PAGES = 10 }; // so many mean the end

// Where a page, or something that scrolls in it, is: [top, height of what is seen, height of it all].
static const char position_script[] = "function(element) {"
                                      "  const box = this && this.scrollTop !== undefined && this.localName ? this : "
                                      "document.scrollingElement || document.body;"
                                      "  return [box.scrollTop, box.clientHeight, box.scrollHeight];"
                                      "}";

static const char move_script[] =
    "function(pixels) {"
    "  const box = this && this.scrollTop !== undefined && this.localName ? this : document.scrollingElement || "
    "document.body;"
    "  box.scrollBy({top: pixels, behavior: 'instant'});"
    "}";

static const char end_script[] = "function(down) {"
                                 "  const box = this && this.scrollTop !== undefined && this.localName ? this : "
                                 "document.scrollingElement || document.body;"
                                 "  box.scrollTop = down ? box.scrollHeight : 0;"
                                 "}";

// Scrolls to the first text in which it is found and that is seen; says whether there was one.
static const char find_script[] =
    "function(text) {"
    "  const wanted = text.toLowerCase();"
    "  const find = root => {"
    "    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);"
    "    for (let node = walker.currentNode; node; node = walker.nextNode()) {"
    "      if (node.shadowRoot) { const inner = find(node.shadowRoot); if (inner) return inner; }"
    "      if (node.nodeType !== Node.TEXT_NODE || !node.data.toLowerCase().includes(wanted)) continue;"
    "      const parent = node.parentElement;"
    "      if (parent && parent.checkVisibility() && parent.getClientRects().length) return parent;"
    "    }"
    "    return null;"
    "  };"
    "  const found = find(document.documentElement);"
    "  if (found) found.scrollIntoView({block: 'center'});"
    "  return !!found;"
    "}";

// Calls a script on the element, or on the page where none is given (its object is empty).
static tb_code call(json_t **value, tb_act *act, const tb_element *element, const char *script, json_t *arguments,
                    tb_error *err)
{
    if (element->object.size)
        return tb_element_call(value, element, act->browser, script, arguments, err);
    tb_tab *tab;
    tb_code rc = tb_browser_need_tab(&tab, act->browser, err);
    if (rc) {
        json_decref(arguments);
        return rc;
    }
    tb_browser_id session = tab->session, frame = tab->target;
    return tb_frame_call(value, act->browser, &session, &frame, script, arguments, err);
}

static tb_code turn_wheel(tb_act *act, const tb_element *element, double pixels, tb_error *err)
{
    double x = (double)act->browser->options.width / 2, y = (double)act->browser->options.height / 2;
    bool seen = true;
    tb_code rc = TB_OK;
    if (element->object.size) {
        double left, top;
        rc = tb_element_point(&seen, &x, &y, element, act->browser, err);
        if (!rc)
            rc = tb_session_offset(&left, &top, act->browser, &element->session, err);
        if (!rc) {
            x += left;
            y += top;
        }
    }
    if (rc || !seen)
        return rc ? rc : tb_act_refuse(act, err, "element %zu is not in the viewport", element->number);
    return tb_browser_call(
        NULL, act->browser, "Input.dispatchMouseEvent",
        json_pack("{s:s, s:f, s:f, s:i, s:f}", "type", "mouseWheel", "x", x, "y", y, "deltaX", 0, "deltaY", pixels),
        err);
}

static tb_code tell_position(tb_act *act, const tb_element *element, tb_error *err)
{
    json_t *at;
    tb_code rc = call(&at, act, element, position_script, NULL, err);
    double top = json_number_value(json_array_get(at, 0)), seen = json_number_value(json_array_get(at, 1));
    double below = json_number_value(json_array_get(at, 2)) - top - seen;
    json_decref(at);
    return rc ? rc
              : tb_act_say(act, err, "scrolled; %.1f pages above, %.1f pages below", seen > 0 ? top / seen : 0,
                           seen > 0 && below > 0 ? below / seen : 0);
}

// Turns the wheel, as a person does. What a wheel does not reach, for the browser still gives its turns to what was
// scrolled before, is moved by script.
static tb_code move(tb_act *act, const tb_element *element, double pages, tb_error *err)
{
    json_t *before, *after = NULL;
    tb_code rc = call(&before, act, element, position_script, NULL, err);
    double height =
        element->object.size ? json_number_value(json_array_get(before, 1)) : (double)act->browser->options.height;
    if (!rc)
        rc = turn_wheel(act, element, pages * height, err);
    if (!rc)
        rc = tb_act_settle(act, err);
    if (!rc && !act->result->failed)
        rc = call(&after, act, element, position_script, NULL, err);
    if (!rc && after && json_equal(before, after))
        rc = call(NULL, act, element, move_script, json_pack("[f]", pages * height), err);
    json_decref(before);
    json_decref(after);
    return rc;
}

static tb_code scroll(tb_act *act, const tb_element *element, tb_error *err)
{
    bool down = tb_act_flag(act, "down", true);
    double pages = tb_act_number(act, "pages", 1);
    tb_code rc = pages >= ALL_PAGES ? call(NULL, act, element, end_script, json_pack("[b]", down), err)
                                    : move(act, element, down ? pages : -pages, err);
    if (!rc && !act->result->failed)
        rc = tb_act_settle(act, err);
    return rc || act->result->failed ? rc : tell_position(act, element, err);
}

tb_code tb_act_scroll(tb_act *act, tb_error *err)
{
    static const tb_element page = {0};
    const json_t *index = json_object_get(act->params, "index");
    return index && !json_is_null(index) ? tb_act_on_element(act, scroll, err) : scroll(act, &page, err);
}

static bool has_true(const json_t *values)
{
    for (size_t i = 0; i < json_array_size(values); i++)
        if (json_is_true(json_array_get(values, i)))
            return true;
    return false;
}

tb_code tb_act_find_text(tb_act *act, tb_error *err)
{
    const char *text = NULL;
    tb_code rc = tb_act_need_text(&text, act, "text", err);
    if (rc || !text)
        return rc;
    json_t *arguments = json_pack("[s]", text), *values;
    rc = tb_frames_call(&values, act->browser, find_script, arguments, err);
    bool found = has_true(values);
    json_decref(arguments);
    json_decref(values);
    if (!rc)
        rc = tb_act_settle(act, err);
    if (rc)
        return rc;
    return found ? tb_act_say(act, err, "scrolled to '%.200s'", text)
                 : tb_act_refuse(act, err, "the text '%.200s' is not on the page", text);
}
