// A node a line: its number, tag and attributes, or a text; TABs say what is in what, among the nodes that are listed.
#include "agent/browser/page.h"

#include <stdio.h>
#include <string.h>

enum {
    VALUE_CHARS = 100, // of an attribute; longer ones are cut
    LEAST_TEXT = 2,    // a single character alone says nothing
    SHOWN_OPTIONS = 4, // of a select
    MOST_OPEN = 64,    // shadow roots and frames within each other that are marked; deeper ones are not
    REPEATED = 5,      // characters from which on a value that is there already is left out
};

// ---- clean texts ----

// Letters of icon fonts and characters without width.
static bool is_dropped(uint32_t c)
{
    return (c >= 0xE000 && c <= 0xF8FF) || (c >= 0xF0000 && c <= 0x10FFFD) || (c >= 0x200B && c <= 0x200D) ||
           c == 0x2060 || c == 0xFEFF || (c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f') || c == 0x7F;
}

static bool is_blank(uint32_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == 0xA0;
}

tb_code tb_append_clean(tb_str *out, const char *text, size_t most, tb_error *err)
{
    size_t size = strlen(text), chars = 0;
    bool blank = false;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < size && !rc;) {
        uint32_t c;
        size_t n = tb_utf8_decode(&c, text + i, size - i);
        if (n == 0)
            break; // jansson lets nothing but UTF-8 through
        const char *at = text + i;
        i += n;
        if (is_blank(c))
            blank = chars > 0;
        if (is_blank(c) || is_dropped(c))
            continue;
        if (chars + blank >= most)
            return tb_str_append_text(out, "…", err);
        if (blank)
            rc = tb_str_append(out, " ", 1, err);
        if (!rc)
            rc = tb_str_append(out, at, n, err);
        chars += 1u + blank;
        blank = false;
    }
    return rc;
}

// ---- attributes ----

typedef enum value_source {
    FROM_ATTRIBUTE,
    FROM_SWITCH, // an attribute that is true where it stands without a value
    FROM_READER,
    FROM_READER_IF_TRUE,
    FROM_FIELD,
    FROM_KIND,
    FROM_LINK,
} value_source;

// In the order in which they are printed. What the accessibility tree knows is the present state, not what the document
// said in the beginning.
static const struct {
    const char *name;
    value_source source;
    const char *asked; // in the tree; NULL: the same name
    bool may_repeat;
} attributes[] = {
    {"title", FROM_ATTRIBUTE, NULL, true},
    {"type", FROM_ATTRIBUTE, NULL, false},
    {"checked", FROM_READER, NULL, false},
    {"id", FROM_ATTRIBUTE, NULL, false},
    {"name", FROM_ATTRIBUTE, NULL, false},
    {"role", FROM_ATTRIBUTE, NULL, false},
    {"value", FROM_FIELD, NULL, true},
    {"placeholder", FROM_ATTRIBUTE, NULL, true},
    {"data-date-format", FROM_ATTRIBUTE, NULL, false},
    {"alt", FROM_ATTRIBUTE, NULL, false},
    {"aria-label", FROM_ATTRIBUTE, NULL, true},
    {"aria-expanded", FROM_ATTRIBUTE, NULL, false},
    {"data-state", FROM_ATTRIBUTE, NULL, false},
    {"aria-checked", FROM_ATTRIBUTE, NULL, false},
    {"min", FROM_ATTRIBUTE, NULL, false},
    {"max", FROM_ATTRIBUTE, NULL, false},
    {"minlength", FROM_ATTRIBUTE, NULL, false},
    {"maxlength", FROM_ATTRIBUTE, NULL, false},
    {"step", FROM_ATTRIBUTE, NULL, false},
    {"pattern", FROM_ATTRIBUTE, NULL, false},
    {"accept", FROM_ATTRIBUTE, NULL, false},
    {"multiple", FROM_SWITCH, NULL, false},
    {"inputmode", FROM_ATTRIBUTE, NULL, false},
    {"autocomplete", FROM_ATTRIBUTE, NULL, false},
    {"list", FROM_ATTRIBUTE, NULL, false},
    {"format", FROM_KIND, NULL, true},
    {"contenteditable", FROM_SWITCH, NULL, false},
    {"selected", FROM_READER_IF_TRUE, NULL, false},
    {"expanded", FROM_READER, NULL, false},
    {"pressed", FROM_READER, NULL, false},
    {"disabled", FROM_READER_IF_TRUE, NULL, false},
    {"invalid", FROM_READER_IF_TRUE, NULL, false},
    {"required", FROM_READER_IF_TRUE, NULL, false},
    {"haspopup", FROM_READER, "hasPopup", false},
    {"level", FROM_READER, NULL, false},
    {"valuetext", FROM_READER, NULL, false},
    {"href", FROM_LINK, NULL, false},
};

enum { ATTRIBUTES = sizeof attributes / sizeof attributes[0] };

static const char *format_of(const char *type)
{
    static const char *const formats[][2] = {{"date", "YYYY-MM-DD"},
                                             {"time", "HH:MM"},
                                             {"datetime-local", "YYYY-MM-DDTHH:MM"},
                                             {"month", "YYYY-MM"},
                                             {"week", "YYYY-W##"}};
    for (size_t i = 0; type && i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(type, formats[i][0]) == 0)
            return formats[i][1];
    return NULL;
}

// What a field contains now. Passwords are nobody's business.
static const char *field_value(const tb_page *page, const tb_page_node *node)
{
    const char *type = tb_page_attribute(page, node, "type");
    if (type && strcmp(type, "password") == 0)
        return NULL;
    if (tb_page_attribute(page, node, "contenteditable"))
        return NULL; // stands below as text
    const char *said = tb_reader_text(node, "value");
    return *said ? said : node->input ? node->input : tb_page_attribute(page, node, "value");
}

static const char *attribute_value(const tb_page *page, const tb_page_node *node, size_t which, bool show_href,
                                   char number[32])
{
    const char *name = attributes[which].name, *value;
    switch (attributes[which].source) {
    case FROM_FIELD:
        return field_value(page, node);
    case FROM_KIND:
        return strcmp(node->tag, "input") == 0 ? format_of(tb_page_attribute(page, node, "type")) : NULL;
    case FROM_LINK:
        return show_href ? tb_page_attribute(page, node, "href") : NULL;
    case FROM_READER_IF_TRUE:
        value = tb_reader_property(node, name, number);
        return value && strcmp(value, "true") == 0 ? value : NULL;
    case FROM_READER:
        value = tb_reader_property(node, attributes[which].asked ? attributes[which].asked : name, number);
        return value && attributes[which].asked && strcmp(value, "false") == 0 ? NULL : value;
    case FROM_SWITCH:
        value = tb_page_attribute(page, node, name);
        return value && !*value ? "true" : value;
    default:
        value = tb_page_attribute(page, node, name);
        bool says_the_tag = strcmp(name, "type") == 0 || strcmp(name, "role") == 0;
        return value && says_the_tag && strcmp(value, node->tag) == 0 ? NULL : value;
    }
}

static bool is_repeated(const char *value, const char *const *before, size_t count)
{
    if (strlen(value) <= REPEATED)
        return false;
    for (size_t i = 0; i < count; i++)
        if (before[i] && strcmp(before[i], value) == 0)
            return true;
    return false;
}

static tb_code append_attributes(tb_str *out, const tb_page *page, const tb_page_node *node, bool show_href,
                                 tb_error *err)
{
    const char *values[ATTRIBUTES];
    char numbers[ATTRIBUTES][32];
    tb_code rc = TB_OK;
    for (size_t i = 0; i < ATTRIBUTES && !rc; i++) {
        values[i] = attribute_value(page, node, i, show_href, numbers[i]);
        if (!values[i] || (!attributes[i].may_repeat && is_repeated(values[i], values, i)))
            continue;
        size_t before = out->size;
        rc = tb_str_printf(out, err, " %s=", attributes[i].name);
        size_t begin = out->size;
        if (!rc)
            rc = tb_append_clean(out, values[i], VALUE_CHARS, err);
        if (!rc && out->size == begin)
            tb_str_truncate(out, before);
    }
    return rc;
}

// ---- a select's options ----

// The texts within a node, cleaned.
static tb_code append_inner_text(tb_str *out, const tb_page *page, size_t node, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = node + 1; i < page->nodes[node].end && !rc; i++)
        if (page->nodes[i].kind == TB_NODE_TEXT)
            rc = tb_append_clean(out, page->nodes[i].value, VALUE_CHARS, err);
    return rc;
}

static tb_code append_options(tb_str *out, const tb_page *page, size_t select, tb_error *err)
{
    size_t count = 0;
    for (size_t i = select + 1; i < page->nodes[select].end; i++)
        count += strcmp(page->nodes[i].tag, "option") == 0;
    tb_code rc = tb_str_printf(out, err, " compound_components=(name=Options,role=listbox,count=%zu,options=", count);
    size_t shown = 0;
    for (size_t i = select + 1; i < page->nodes[select].end && shown < SHOWN_OPTIONS && !rc; i++)
        if (strcmp(page->nodes[i].tag, "option") == 0) {
            rc = shown++ ? tb_str_append_text(out, "|", err) : TB_OK;
            if (!rc)
                rc = append_inner_text(out, page, i, err);
        }
    return rc ? rc : tb_str_append_text(out, ")", err);
}

// ---- lines ----

// What is marked where it begins and where it ends.
typedef struct open_part {
    size_t node, begin, size; // the node; the text's size before and behind the line that opens it
    size_t depth;
} open_part;

typedef struct writer {
    tb_str *out;
    const tb_page *page;
    bool show_href;
    open_part open[MOST_OPEN];
    size_t open_count;
} writer;

static tb_code indent(writer *w, size_t depth, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < depth && !rc; i++)
        rc = tb_str_append(w->out, "\t", 1, err);
    return rc;
}

static bool hosts_shadow(const tb_page *page, size_t node, tb_shadow shadow)
{
    for (size_t i = node + 1; i < page->nodes[node].end; i = page->nodes[i].end)
        if (page->nodes[i].shadow == shadow)
            return true;
    return false;
}

static tb_code write_marks(writer *w, size_t i, tb_error *err)
{
    const tb_page_node *node = &w->page->nodes[i];
    tb_code rc = TB_OK;
    if (strcmp(node->tag, "iframe") == 0 || strcmp(node->tag, "frame") == 0)
        rc = tb_str_append_text(w->out, "|IFRAME|", err);
    else if (hosts_shadow(w->page, i, TB_SHADOW_OPEN))
        rc = tb_str_append_text(w->out, "|SHADOW(open)|", err);
    else if (hosts_shadow(w->page, i, TB_SHADOW_CLOSED))
        rc = tb_str_append_text(w->out, "|SHADOW(closed)|", err);
    if (!rc && node->scrolls)
        rc = tb_str_append_text(w->out, "|scroll element", err);
    if (!rc && node->number)
        rc = tb_str_printf(w->out, err, "%s[%zu]", node->is_new ? "*" : "", node->number);
    return rc;
}

static tb_code write_element(writer *w, size_t i, size_t depth, tb_error *err)
{
    const tb_page_node *node = &w->page->nodes[i];
    tb_code rc = indent(w, depth, err);
    if (!rc)
        rc = write_marks(w, i, err);
    if (!rc)
        rc = tb_str_printf(w->out, err, "<%s", node->tag);
    if (!rc)
        rc = append_attributes(w->out, w->page, node, w->show_href, err);
    if (!rc && strcmp(node->tag, "select") == 0)
        rc = append_options(w->out, w->page, i, err);
    if (!rc)
        rc = tb_str_append_text(w->out, " />", err);
    if (!rc && node->scrolls)
        rc = tb_str_printf(w->out, err, " (%.1f pages above, %.1f pages below)", node->scroll_top / node->client_height,
                           (node->scroll_height - node->scroll_top - node->client_height) / node->client_height);
    return rc ? rc : tb_str_append_text(w->out, "\n", err);
}

static tb_code write_text(writer *w, const tb_page_node *node, size_t depth, tb_error *err)
{
    size_t before = w->out->size;
    tb_code rc = indent(w, depth, err);
    size_t begin = w->out->size;
    if (!rc)
        rc = tb_append_clean(w->out, node->value, SIZE_MAX, err);
    if (!rc && w->out->size < begin + LEAST_TEXT)
        tb_str_truncate(w->out, before);
    else if (!rc)
        rc = tb_str_append_text(w->out, "\n", err);
    return rc;
}

// What could be listed in a frame, were it nearer.
static size_t count_far(const tb_page *page, size_t frame)
{
    size_t n = 0;
    for (size_t i = frame + 1; i < page->nodes[frame].end; i++)
        n += page->nodes[i].interactive && !page->nodes[i].in_range;
    return n;
}

static tb_code begin_part(writer *w, size_t i, size_t depth, tb_error *err)
{
    const tb_page_node *node = &w->page->nodes[i];
    size_t before = w->out->size;
    tb_code rc = TB_OK;
    if (node->kind == TB_NODE_SHADOW)
        rc = indent(w, depth, err);
    if (!rc && node->kind == TB_NODE_SHADOW)
        rc = tb_str_append_text(w->out, node->shadow == TB_SHADOW_OPEN ? "Open Shadow\n" : "Closed Shadow\n", err);
    if (!rc && w->open_count < MOST_OPEN)
        w->open[w->open_count++] = (open_part){i, before, w->out->size, depth};
    return rc;
}

// A shadow root in which nothing is listed is not shown at all.
static tb_code end_part(writer *w, tb_error *err)
{
    const open_part *part = &w->open[--w->open_count];
    bool is_shadow = w->page->nodes[part->node].kind == TB_NODE_SHADOW;
    size_t far = is_shadow ? 0 : count_far(w->page, part->node);
    if (is_shadow && w->out->size == part->size) {
        tb_str_truncate(w->out, part->begin);
        return TB_OK;
    }
    if (!is_shadow && !far)
        return TB_OK;
    tb_code rc = indent(w, part->depth, err);
    if (rc)
        return rc;
    return is_shadow ? tb_str_append_text(w->out, "Shadow End\n", err)
                     : tb_str_printf(w->out, err, "... (%zu more elements below - scroll to reveal)\n", far);
}

// ---- the walk ----

// Nothing in it is listed: parts of the browser's own, options that a select has told, drawings, what is no text.
static bool is_closed(const tb_page_node *node)
{
    static const char *const silent[] = {"script", "style",    "noscript", "head", "template",
                                         "select", "textarea", "svg",      NULL};
    for (size_t i = 0; silent[i]; i++)
        if (strcmp(node->tag, silent[i]) == 0)
            return true;
    return node->shadow == TB_SHADOW_BROWSER;
}

static bool is_frame(const tb_page_node *node)
{
    return (strcmp(node->tag, "iframe") == 0 || strcmp(node->tag, "frame") == 0) && node->drawn;
}

static bool is_listed(const tb_page_node *node)
{
    return node->in_range && (node->number || node->disabled || is_frame(node));
}

static tb_code write_node(writer *w, size_t i, size_t depth, tb_error *err)
{
    const tb_page_node *node = &w->page->nodes[i];
    tb_code rc = TB_OK;
    if (is_listed(node))
        rc = write_element(w, i, depth, err);
    else if (node->kind == TB_NODE_TEXT && node->drawn && node->in_range && !node->hidden_from_reader)
        rc = write_text(w, node, depth, err);
    bool begins =
        (node->kind == TB_NODE_SHADOW && node->shadow != TB_SHADOW_BROWSER) || (is_frame(node) && node->in_range);
    return rc || !begins ? rc : begin_part(w, i, depth + is_frame(node), err);
}

// Cuts at the end of a line. A character of UTF-8 is never cut, for lines are not.
static tb_code cut(tb_str *out, size_t begin, size_t limit, tb_error *err)
{
    if (out->size - begin <= limit)
        return TB_OK;
    size_t size = begin + limit;
    while (size > begin && out->data[size - 1] != '\n')
        size--;
    tb_str_truncate(out, size);
    return tb_str_printf(
        out, err, "... (the page's text was cut at %zu characters; scroll, or use find_text or search_page)\n", limit);
}

tb_code tb_page_append(tb_str *out, const tb_page *page, size_t limit, bool show_href, tb_error *err)
{
    size_t begin = out->size;
    size_t *depths = tb_alloc_array(page->node_count + 1, sizeof *depths);
    if (!depths)
        return tb_fail(err, TB_ENOMEM, "no memory for a page of %zu nodes", page->node_count);
    writer w = {.out = out, .page = page, .show_href = show_href};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < page->node_count && !rc && out->size - begin <= limit;) {
        const tb_page_node *node = &page->nodes[i];
        while (!rc && w.open_count && i >= page->nodes[w.open[w.open_count - 1].node].end)
            rc = end_part(&w, err);
        if (node->parent != TB_NO_NODE)
            depths[i] = depths[node->parent] + is_listed(&page->nodes[node->parent]);
        if (!rc)
            rc = write_node(&w, i, depths[i], err);
        i = is_closed(node) ? node->end : i + 1;
    }
    while (!rc && w.open_count)
        rc = end_part(&w, err);
    tb_free(depths);
    return rc ? rc : cut(out, begin, limit, err);
}
