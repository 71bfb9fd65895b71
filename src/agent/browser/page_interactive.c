// What one can do something with. The rules are those of the specification of SaaS-Bench's runner: a node is looked at
// by its tag, its role, its attributes, its listeners and its cursor, and left out where it cannot be hit.
#include "agent/browser/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum {
    MARGIN = 1000,       // pixels above and below the viewport that are looked at
    LEAST_FRAME = 100,   // pixels of a frame that can be worked in, each way
    MOST_ASKED = 1000,   // nodes that the accessibility tree is asked about: more than a page's text has lines
    ASKED_AT_ONCE = 100, // commands on their way; each answer is less than 4 kB
};

static const double same_box = 0.99; // of a box's area: the rest is rounding and borders

// ---- what a node is ----

static bool is_one_of(const char *word, const char *const *words)
{
    for (; word && *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static bool has_working_role(const char *role, bool reacts)
{
    static const char *const always[] = {"button",        "link",       "textbox",  "searchbox", "combobox",
                                         "listbox",       "option",     "checkbox", "radio",     "switch",
                                         "slider",        "spinbutton", "menuitem", "tab",       "menuitemcheckbox",
                                         "menuitemradio", "treeitem",   NULL};
    static const char *const reacting[] = {"gridcell", "row", "columnheader", NULL};
    return is_one_of(role, always) || (reacts && is_one_of(role, reacting));
}

static bool is_hidden_field(const tb_page *page, const tb_page_node *node)
{
    const char *type = tb_page_attribute(page, node, "type");
    return type && strcmp(type, "hidden") == 0;
}

static bool has_working_tag(const tb_page *page, const tb_page_node *node)
{
    static const char *const always[] = {"button", "select", "textarea", "summary", "details", "option", NULL};
    const char *tag = node->tag;
    if (is_one_of(tag, always))
        return true;
    if (strcmp(tag, "a") == 0)
        return tb_page_attribute(page, node, "href") != NULL;
    if (strcmp(tag, "input") == 0)
        return !is_hidden_field(page, node);
    if (strcmp(tag, "label") == 0)
        return tb_page_attribute(page, node, "for") == NULL;
    return strcmp(tag, "iframe") == 0 && node->box.width > LEAST_FRAME && node->box.height > LEAST_FRAME;
}

static bool is_editable(const tb_page *page, const tb_page_node *node)
{
    const char *editable = tb_page_attribute(page, node, "contenteditable");
    return editable && strcmp(editable, "false") != 0;
}

static bool can_be_focused(const tb_page *page, const tb_page_node *node)
{
    const char *order = tb_page_attribute(page, node, "tabindex");
    return order && *order && atoi(order) >= 0;
}

static bool reacts_to_clicks(const tb_page *page, const tb_page_node *node)
{
    return node->clickable || tb_page_attribute(page, node, "onclick") || tb_page_attribute(page, node, "onmousedown");
}

// The outermost of nodes over which the cursor is a hand.
static bool begins_pointer(const tb_page *page, const tb_page_node *node)
{
    return node->has_pointer && (node->parent == TB_NO_NODE || !page->nodes[node->parent].has_pointer);
}

// The whole page may listen to clicks, and be focusable: that makes nothing of it.
static bool is_the_page(const tb_page_node *node)
{
    return strcmp(node->tag, "html") == 0 || strcmp(node->tag, "body") == 0;
}

static bool works(const tb_page *page, const tb_page_node *node)
{
    if (is_editable(page, node))
        return true;
    if (is_the_page(node))
        return false;
    bool reacts = reacts_to_clicks(page, node) || can_be_focused(page, node);
    return has_working_tag(page, node) || reacts || begins_pointer(page, node) || node->scrolls ||
           has_working_role(tb_page_attribute(page, node, "role"), reacts);
}

static bool is_file_field(const tb_page *page, const tb_page_node *node)
{
    const char *type = tb_page_attribute(page, node, "type");
    return strcmp(node->tag, "input") == 0 && type && strcmp(type, "file") == 0;
}

static bool is_disabled(const tb_page *page, const tb_page_node *node)
{
    static const char *const fields[] = {"button", "input", "select", "textarea", "option", "fieldset", NULL};
    const char *said = tb_page_attribute(page, node, "aria-disabled");
    return (is_one_of(node->tag, fields) && tb_page_attribute(page, node, "disabled")) ||
           (said && strcmp(said, "true") == 0);
}

// ---- boxes ----

static double shared_area(tb_rect a, tb_rect b)
{
    double width = fmin(a.x + a.width, b.x + b.width) - fmax(a.x, b.x);
    double height = fmin(a.y + a.height, b.y + b.height) - fmax(a.y, b.y);
    return width > 0 && height > 0 ? width * height : 0;
}

static bool lies_within(tb_rect inner, tb_rect outer)
{
    return shared_area(inner, outer) >= same_box * inner.width * inner.height;
}

static bool is_near(tb_rect box, double top, double bottom)
{
    return box.y < bottom + MARGIN && box.y + box.height > top - MARGIN;
}

// Near the viewport, and near that of every frame it is in.
static bool is_in_range(const tb_page *page, const tb_page_node *node)
{
    if (!is_near(node->box, 0, page->height))
        return false;
    for (size_t owner = page->documents[node->document].owner; owner != TB_NO_NODE;
         owner = page->documents[page->nodes[owner].document].owner) {
        tb_rect frame = page->nodes[owner].box;
        if (!is_near(node->box, frame.y, frame.y + frame.height))
            return false;
    }
    return true;
}

// ---- what covers what ----

// Whether `node`, which lies in `box`, is behind an opaque node of its document. What is in it does not cover it.
static bool is_covered_in_document(const tb_page *page, size_t node, tb_rect box)
{
    const tb_page_node *n = &page->nodes[node];
    for (size_t i = 0; i < page->node_count; i++) {
        const tb_page_node *other = &page->nodes[i];
        bool inside = i >= node && i < n->end;
        bool around = node >= i && node < other->end;
        if (other->document == n->document && other->opaque && other->drawn && other->paint > n->paint && !inside &&
            !around && !other->ignores_pointer && lies_within(box, other->box))
            return true;
    }
    return false;
}

static bool is_covered(const tb_page *page, size_t node)
{
    tb_rect box = page->nodes[node].box;
    for (; node != TB_NO_NODE; node = page->documents[page->nodes[node].document].owner)
        if (is_covered_in_document(page, node, box))
            return true;
    return false;
}

// ---- one node after the other ----

// A part of a link or button that does nothing of its own. Fields, and what has a role or a listener, are more than
// that.
static bool is_mere_part(const tb_page *page, const tb_page_node *node)
{
    static const char *const fields[] = {"input", "select", "textarea", "option", "iframe", NULL};
    if (is_one_of(node->tag, fields) || tb_page_attribute(page, node, "role") || reacts_to_clicks(page, node))
        return false;
    for (size_t i = node->parent; i != TB_NO_NODE; i = page->nodes[i].parent) {
        const tb_page_node *around = &page->nodes[i];
        const char *role = tb_page_attribute(page, around, "role");
        bool is_button = strcmp(around->tag, "a") == 0 || strcmp(around->tag, "button") == 0 ||
                         (role && (strcmp(role, "button") == 0 || strcmp(role, "link") == 0));
        if (is_button && around->kind == TB_NODE_ELEMENT)
            return around->interactive && lies_within(node->box, around->box);
    }
    return false;
}

static void judge(tb_page *page, size_t i)
{
    tb_page_node *node = &page->nodes[i];
    bool file = is_file_field(page, node);
    if (node->hidden_from_reader || (!node->drawn && !file) || (node->ignores_pointer && !file) || !works(page, node))
        return;
    if (is_mere_part(page, node) || (node->in_range && !file && is_covered(page, i)))
        return;
    node->disabled = is_disabled(page, node);
    node->interactive = !node->disabled;
}

// What lies in the browser's own parts of a field, and what is a drawing.
static bool has_no_parts(const tb_page *page, const tb_page_node *node)
{
    return node->shadow == TB_SHADOW_BROWSER ||
           (node->parent != TB_NO_NODE && strcmp(page->nodes[node->parent].tag, "svg") == 0);
}

static void judge_all(tb_page *page, bool full_page)
{
    for (size_t i = 0; i < page->node_count; i++) {
        tb_page_node *node = &page->nodes[i];
        // A file field that is not drawn lies nowhere, and is exempt.
        node->in_range = full_page || is_in_range(page, node) || (!node->drawn && is_file_field(page, node));
    }
    for (size_t i = 0; i < page->node_count;) {
        tb_page_node *node = &page->nodes[i];
        if (has_no_parts(page, node)) {
            i = node->end;
            continue;
        }
        if (node->kind == TB_NODE_ELEMENT)
            judge(page, i);
        i++;
    }
}

// ---- the accessibility tree ----

static tb_code ask_some(tb_page *page, tb_browser *browser, const size_t *nodes, size_t count, tb_error *err)
{
    uint64_t ids[ASKED_AT_ONCE];
    size_t sent = 0;
    tb_code rc = TB_OK;
    for (; sent < count && !rc; sent++) {
        const tb_page_node *node = &page->nodes[nodes[sent]];
        rc = tb_devtools_send(&ids[sent], browser->devtools, page->documents[node->document].session.text,
                              "Accessibility.getPartialAXTree",
                              json_pack("{s:I, s:b}", "backendNodeId", (json_int_t)node->id, "fetchRelatives", 0), err);
    }
    for (size_t i = 0; i < sent && !rc; i++) {
        json_t *result;
        rc = tb_devtools_take(&result, browser->devtools, ids[i], TB_DEVTOOLS_MS, err);
        page->nodes[nodes[i]].reader = json_incref(json_array_get(json_object_get(result, "nodes"), 0));
        json_decref(result);
        rc = rc == TB_EINVAL ? TB_OK : rc; // a node that has just gone
    }
    return rc;
}

static tb_code ask_reader(tb_page *page, tb_browser *browser, tb_error *err)
{
    size_t some[ASKED_AT_ONCE], count = 0, asked = 0;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < page->node_count && asked < MOST_ASKED && !rc; i++) {
        const tb_page_node *node = &page->nodes[i];
        if ((!node->interactive && !node->disabled) || !node->in_range)
            continue;
        some[count++] = i;
        asked++;
        if (count == ASKED_AT_ONCE) {
            rc = ask_some(page, browser, some, count, err);
            count = 0;
        }
    }
    return rc ? rc : ask_some(page, browser, some, count, err);
}

tb_code tb_page_find_interactive(tb_page *page, tb_browser *browser, bool full_page, tb_error *err)
{
    judge_all(page, full_page);
    return ask_reader(page, browser, err);
}

const char *tb_reader_text(const tb_page_node *node, const char *key)
{
    return tb_json_get_text(json_object_get(json_object_get(node->reader, key), "value")).data;
}

const char *tb_reader_property(const tb_page_node *node, const char *name, char number[32])
{
    const json_t *properties = json_object_get(node->reader, "properties");
    for (size_t i = 0; i < json_array_size(properties); i++) {
        const json_t *property = json_array_get(properties, i);
        const json_t *value = json_object_get(json_object_get(property, "value"), "value");
        if (!tb_text_is(tb_json_text_at(property, "name"), name))
            continue;
        if (json_is_boolean(value))
            return json_is_true(value) ? "true" : "false";
        if (json_is_number(value)) {
            snprintf(number, 32, "%g", json_number_value(value));
            return number;
        }
        return tb_json_get_text(value).data;
    }
    return NULL;
}
