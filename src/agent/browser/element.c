// A number's node, made sure of before anything is done to it: its document must be the present one of its frame, the
// browser must know the node, and it must be in a page. All three, for geometry is answered for nodes that are gone.
#include "agent/browser/act.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static const char group[] = "act"; // of objects that are held for an action

// ---- worlds ----

static tb_code find_world(int *context, tb_browser *browser, const tb_browser_id *session, const tb_browser_id *frame,
                          tb_error *err)
{
    json_t *result;
    tb_code rc =
        tb_devtools_call(&result, browser->devtools, session->text, "Page.createIsolatedWorld",
                         json_pack("{s:s, s:s}", "frameId", frame->text, "worldName", "twobit"), TB_DEVTOOLS_MS, err);
    *context = (int)json_integer_value(json_object_get(result, "executionContextId"));
    json_decref(result);
    return rc;
}

// The arguments of a call, each in an object as the protocol wants it.
static json_t *wrap(const json_t *arguments)
{
    json_t *wrapped = json_array();
    for (size_t i = 0; i < json_array_size(arguments); i++)
        json_array_append_new(wrapped, json_pack("{s:O}", "value", json_array_get(arguments, i)));
    return wrapped;
}

// Runs what `params` says, which are taken.
static tb_code run_script(json_t **value, tb_browser *browser, const tb_browser_id *session, json_t *params,
                          tb_error *err)
{
    json_t *result;
    tb_code rc = tb_devtools_call(&result, browser->devtools, session->text, "Runtime.callFunctionOn", params,
                                  TB_DEVTOOLS_MS, err);
    const json_t *exception = json_object_get(result, "exceptionDetails");
    if (!rc && exception) {
        tb_text what = tb_json_text_at(json_object_get(exception, "exception"), "description");
        rc = tb_fail(err, TB_EINVAL, "the page refuses: %.*s", (int)tb_min_size(strcspn(what.data, "\n"), 200),
                     what.data);
    }
    if (value)
        *value = rc ? NULL : json_incref(json_object_get(json_object_get(result, "result"), "value"));
    json_decref(result);
    return rc;
}

tb_code tb_element_call(json_t **value, const tb_element *element, tb_browser *browser, const char *function,
                        json_t *arguments, tb_error *err)
{
    json_t *params =
        json_pack("{s:s, s:s, s:o, s:b, s:b, s:b}", "objectId", element->object.data, "functionDeclaration", function,
                  "arguments", wrap(arguments), "returnByValue", 1, "awaitPromise", 1, "userGesture", 1);
    json_decref(arguments);
    return run_script(value, browser, &element->session, params, err);
}

tb_code tb_frame_call(json_t **value, tb_browser *browser, const tb_browser_id *session, const tb_browser_id *frame,
                      const char *function, json_t *arguments, tb_error *err)
{
    int context;
    tb_code rc = find_world(&context, browser, session, frame, err);
    if (!rc)
        rc = run_script(value, browser, session,
                        json_pack("{s:i, s:s, s:o, s:b, s:b}", "executionContextId", context, "functionDeclaration",
                                  function, "arguments", wrap(arguments), "returnByValue", 1, "awaitPromise", 1),
                        err);
    json_decref(arguments);
    return rc;
}

// ---- all frames ----

static tb_code call_in_tree(json_t *values, tb_browser *browser, const tb_browser_id *session, const json_t *tree,
                            const char *function, json_t *arguments, tb_error *err)
{
    tb_browser_id frame = tb_browser_id_of(json_object_get(tree, "frame"), "id");
    json_t *value = NULL;
    tb_code rc = tb_frame_call(&value, browser, session, &frame, function, json_incref(arguments), err);
    if (!rc && value)
        json_array_append(values, value);
    json_decref(value);
    const json_t *children = json_object_get(tree, "childFrames");
    for (size_t i = 0; i < json_array_size(children) && !rc; i++)
        rc = call_in_tree(values, browser, session, json_array_get(children, i), function, arguments, err);
    return rc;
}

tb_code tb_frames_call(json_t **values, tb_browser *browser, const char *function, json_t *arguments, tb_error *err)
{
    *values = json_array();
    tb_code rc = TB_OK;
    for (size_t i = 0; i < browser->session_count && !rc; i++) {
        if (!tb_browser_id_is(&browser->sessions[i].tab, browser->focused.text))
            continue;
        tb_browser_id session = browser->sessions[i].id;
        json_t *tree;
        rc = tb_devtools_call(&tree, browser->devtools, session.text, "Page.getFrameTree", NULL, TB_DEVTOOLS_MS, err);
        if (!rc)
            rc = call_in_tree(*values, browser, &session, json_object_get(tree, "frameTree"), function, arguments, err);
        json_decref(tree);
    }
    return rc;
}

// ---- finding ----

static void element_of(tb_element *out, const tb_index_entry *e)
{
    *out = (tb_element){.number = e->number, .session = e->session, .frame = e->frame, .tag = e->tag, .node = e->node};
}

// Makes sure of a node; *there says whether it is in a page.
static tb_code resolve(bool *there, tb_element *element, tb_browser *browser, tb_error *err)
{
    json_t *result = NULL, *connected = NULL;
    *there = false;
    tb_code rc = find_world(&element->context, browser, &element->session, &element->frame, err);
    if (!rc)
        rc = tb_devtools_call(&result, browser->devtools, element->session.text, "DOM.resolveNode",
                              json_pack("{s:I, s:i, s:s}", "backendNodeId", (json_int_t)element->node,
                                        "executionContextId", element->context, "objectGroup", group),
                              TB_DEVTOOLS_MS, err);
    tb_str_reset(&element->object);
    if (!rc) {
        tb_text id = tb_json_text_at(json_object_get(result, "object"), "objectId");
        rc = tb_str_append(&element->object, id.data, id.size, err);
    }
    if (!rc)
        rc = tb_element_call(&connected, element, browser,
                             "function() { return this.isConnected && this.ownerDocument.defaultView !== null; }", NULL,
                             err);
    *there = !rc && json_is_true(connected);
    json_decref(result);
    json_decref(connected);
    return rc == TB_EINVAL ? TB_OK : rc;
}

// The one element of the newest observation that is what `e` was; NULL: there is none, or several.
static const tb_index_entry *find_again(const tb_browser *browser, const tb_index_entry *e)
{
    const tb_index_entry *found = NULL;
    for (size_t i = 0; i < browser->entry_count; i++) {
        const tb_index_entry *other = &browser->entries[i];
        if (other->last_seen != browser->observations || other->number == e->number ||
            other->name_hash != e->name_hash || other->ordinal != e->ordinal ||
            !tb_browser_id_is(&other->role, e->role.text) || !tb_browser_id_is(&other->tag, e->tag.text) ||
            !tb_browser_id_is(&other->frame, e->frame.text))
            continue;
        if (found)
            return NULL;
        found = other;
    }
    return found;
}

static void element_clear(tb_element *element)
{
    tb_str_clear(&element->object);
    *element = (tb_element){0};
}

static tb_code find_instead(tb_element *out, tb_act *act, const tb_index_entry *gone, tb_error *err)
{
    tb_page page;
    tb_index_entry before = *gone; // entries move when there are more
    tb_code rc = tb_page_take(&page, act->browser, err);
    if (!rc)
        rc = tb_page_find_interactive(&page, act->browser, false, err);
    if (!rc)
        rc = tb_page_number(&page, act->browser, false, err);
    tb_page_clear(&page);
    if (rc)
        return rc;
    const tb_index_entry *again = find_again(act->browser, &before);
    bool there = false;
    if (again) {
        element_of(out, again);
        rc = resolve(&there, out, act->browser, err);
    }
    if (!rc && there)
        return tb_act_say(act, err, "element %zu was replaced by %zu; ", before.number, out->number);
    element_clear(out);
    return rc ? rc : tb_act_refuse(act, err, "element %zu is gone; look at the page again", before.number);
}

static tb_code find(tb_element *out, tb_act *act, size_t number, tb_error *err)
{
    *out = (tb_element){0};
    const tb_index_entry *entry = tb_index_find(act->browser, number);
    if (!entry)
        return tb_act_refuse(act, err, "index %zu does not exist in the last observation", number);
    tb_index_entry e = *entry;
    tb_browser_id loader;
    tb_code rc = tb_frame_loader(&loader, act->browser, &e.session, &e.frame, err);
    if (rc)
        return rc;
    if (!tb_browser_id_is(&loader, e.loader.text))
        return tb_act_refuse(act, err, "the page changed, element %zu is gone; look at the page again", number);
    element_of(out, &e);
    bool there;
    rc = resolve(&there, out, act->browser, err);
    if (!rc && !there) {
        element_clear(out);
        rc = find_instead(out, act, &e, err);
    }
    return rc;
}

tb_code tb_act_on_element(tb_act *act, tb_code (*use)(tb_act *act, const tb_element *element, tb_error *err),
                          tb_error *err)
{
    const json_t *index = json_object_get(act->params, "index");
    if (!json_is_integer(index) || json_integer_value(index) < 0)
        return tb_act_refuse(act, err, "'index' is missing or no number of an element");
    tb_element element;
    tb_code rc = find(&element, act, (size_t)json_integer_value(index), err);
    if (!rc && !act->result->failed)
        rc = use(act, &element, err);
    if (element.object.size) // a session that is gone holds nothing
        tb_devtools_post(act->browser->devtools, element.session.text, "Runtime.releaseObjectGroup",
                         json_pack("{s:s}", "objectGroup", group), NULL);
    element_clear(&element);
    return rc;
}

// ---- where it is ----

// What has to be added to a place in the viewport of a session to get the place in that of the tab.
static tb_code find_offset(double *x, double *y, tb_browser *browser, const tb_browser_id *session, tb_error *err)
{
    const tb_session *frame = NULL;
    for (size_t i = 0; i < browser->session_count; i++)
        if (tb_browser_id_is(&browser->sessions[i].id, session->text) && browser->sessions[i].is_frame)
            frame = &browser->sessions[i];
    if (!frame)
        return TB_OK;
    tb_browser_id target = frame->target, tab = frame->tab, owner_session = {{0}};
    tb_code rc = TB_OK;
    json_t *owner = NULL, *box = NULL;
    for (size_t i = 0; i < browser->session_count && !owner && !rc; i++) {
        if (!tb_browser_id_is(&browser->sessions[i].tab, tab.text))
            continue;
        owner_session = browser->sessions[i].id;
        rc = tb_devtools_call(&owner, browser->devtools, owner_session.text, "DOM.getFrameOwner",
                              json_pack("{s:s}", "frameId", target.text), TB_DEVTOOLS_MS, err);
        rc = rc == TB_EINVAL ? TB_OK : rc;
    }
    if (!rc && owner)
        rc = tb_devtools_call(&box, browser->devtools, owner_session.text, "DOM.getBoxModel",
                              json_pack("{s:O}", "backendNodeId", json_object_get(owner, "backendNodeId")),
                              TB_DEVTOOLS_MS, err);
    const json_t *content = json_object_get(json_object_get(box, "model"), "content");
    *x += json_number_value(json_array_get(content, 0));
    *y += json_number_value(json_array_get(content, 1));
    json_decref(owner);
    json_decref(box);
    bool goes_on = !rc && content && !tb_browser_id_is(&owner_session, session->text);
    return goes_on ? find_offset(x, y, browser, &owner_session, err) : rc;
}

// The middle of a quad's part that is within the viewport, and that part's area.
static double visible_middle(double *x, double *y, const json_t *quad, double width, double height)
{
    double left = width, right = 0, top = height, bottom = 0;
    for (size_t i = 0; i + 1 < json_array_size(quad); i += 2) {
        double px = json_number_value(json_array_get(quad, i)), py = json_number_value(json_array_get(quad, i + 1));
        left = fmin(left, px);
        right = fmax(right, px);
        top = fmin(top, py);
        bottom = fmax(bottom, py);
    }
    left = fmax(left, 0);
    top = fmax(top, 0);
    right = fmin(right, width);
    bottom = fmin(bottom, height);
    *x = (left + right) / 2;
    *y = (top + bottom) / 2;
    return right > left && bottom > top ? (right - left) * (bottom - top) : 0;
}

tb_code tb_element_point(bool *out, double *x, double *y, const tb_element *element, tb_browser *browser, tb_error *err)
{
    json_t *result;
    *out = false;
    tb_code rc = tb_devtools_call(&result, browser->devtools, element->session.text, "DOM.getContentQuads",
                                  json_pack("{s:I}", "backendNodeId", (json_int_t)element->node), TB_DEVTOOLS_MS, err);
    const json_t *quads = json_object_get(result, "quads");
    double most = 0;
    for (size_t i = 0; i < json_array_size(quads); i++) {
        double qx, qy,
            area = visible_middle(&qx, &qy, json_array_get(quads, i), (double)browser->options.width,
                                  (double)browser->options.height);
        if (area > most) {
            most = area;
            *x = qx;
            *y = qy;
            *out = true;
        }
    }
    json_decref(result);
    return rc == TB_EINVAL ? TB_OK : rc; // it has no box
}

tb_code tb_session_offset(double *x, double *y, tb_browser *browser, const tb_browser_id *session, tb_error *err)
{
    *x = *y = 0;
    return find_offset(x, y, browser, session, err);
}
