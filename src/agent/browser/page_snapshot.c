// DOMSnapshot gives per document what is asked for in columns, strings by their index. Documents of frames are put
// under the elements that show them: those of the same process by the snapshot's own word, the others by asking whose
// they are.
#include "agent/browser/page.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { MOST_FRAME_DEPTH = 16 }; // frames within frames; a page may try to nest itself for ever

// In this order in the snapshot.
enum { DISPLAY, VISIBILITY, OPACITY, CURSOR, POINTER_EVENTS, OVERFLOW_Y, BACKGROUND, STYLES };
static const char *const styles[STYLES] = {"display",        "visibility", "opacity",         "cursor",
                                           "pointer-events", "overflow-y", "background-color"};

// A document that is not in a frame of the same process.
typedef struct source {
    tb_browser_id session;
    const json_t *snapshot;      // with "documents" and "strings"
    tb_browser_id owner_session; // which knows the element that shows it; "" for the top
    int64_t owner;
} source;

typedef struct sources {
    source *items;
    size_t count;
} sources;

// ---- reading columns ----

static json_int_t number_at(const json_t *array, size_t i)
{
    const json_t *value = json_array_get(array, i);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static json_int_t number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *string_at(const json_t *strings, json_int_t i)
{
    const char *text = i >= 0 ? json_string_value(json_array_get(strings, (size_t)i)) : NULL;
    return text ? text : "";
}

static tb_rect rect_at(const json_t *array, size_t i)
{
    const json_t *r = json_array_get(array, i);
    return (tb_rect){json_number_value(json_array_get(r, 0)), json_number_value(json_array_get(r, 1)),
                     json_number_value(json_array_get(r, 2)), json_number_value(json_array_get(r, 3))};
}

const char *tb_page_attribute(const tb_page *page, const tb_page_node *node, const char *name)
{
    const json_t *strings = page->documents[node->document].strings;
    for (size_t i = 0; i + 1 < json_array_size(node->attributes); i += 2)
        if (strcmp(string_at(strings, number_at(node->attributes, i)), name) == 0)
            return string_at(strings, number_at(node->attributes, i + 1));
    return NULL;
}

// ---- nodes of one document ----

// The columns of a document, and where each of its nodes went.
typedef struct columns {
    const json_t *nodes, *layout, *strings;
    tb_page_node *local; // [count]
    size_t count;
} columns;

static const char *small_letters(tb_arena *arena, const char *name)
{
    char *copy = tb_arena_text(arena, name, strlen(name));
    for (char *c = copy; c && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static tb_node_kind kind_of(json_int_t type)
{
    switch (type) { // numbers of the DOM
    case 1:
        return TB_NODE_ELEMENT;
    case 3:
        return TB_NODE_TEXT;
    case 9:
        return TB_NODE_DOCUMENT;
    case 11:
        return TB_NODE_SHADOW;
    default:
        return TB_NODE_OTHER;
    }
}

static tb_code read_nodes(columns *c, tb_page *page, size_t document, tb_error *err)
{
    const json_t *parents = json_object_get(c->nodes, "parentIndex");
    const json_t *types = json_object_get(c->nodes, "nodeType"), *names = json_object_get(c->nodes, "nodeName");
    const json_t *values = json_object_get(c->nodes, "nodeValue"), *ids = json_object_get(c->nodes, "backendNodeId");
    const json_t *attributes = json_object_get(c->nodes, "attributes");
    for (size_t i = 0; i < c->count; i++) {
        tb_page_node *node = &c->local[i];
        json_int_t parent = number_at(parents, i);
        if (i > 0 && (parent < 0 || (size_t)parent >= i))
            return tb_fail(err, TB_EFORMAT, "a snapshot of the browser has no order");
        *node = (tb_page_node){.kind = kind_of(number_at(types, i)),
                               .parent = i ? (size_t)parent : TB_NO_NODE,
                               .document = document,
                               .tag = "",
                               .value = "",
                               .attributes = json_array_get(attributes, i),
                               .id = number_at(ids, i)};
        if (node->kind == TB_NODE_ELEMENT)
            node->tag = small_letters(&page->arena, string_at(c->strings, number_at(names, i)));
        else if (node->kind == TB_NODE_TEXT)
            node->value = string_at(c->strings, number_at(values, i));
        if (!node->tag)
            return tb_fail(err, TB_ENOMEM, "no memory for a page");
    }
    return TB_OK;
}

// Columns that few nodes have: a list of nodes, and beside it their values.
static void for_each_rare(const columns *c, const char *name, void (*set)(tb_page_node *node, const char *text))
{
    const json_t *column = json_object_get(c->nodes, name);
    const json_t *index = json_object_get(column, "index"), *values = json_object_get(column, "value");
    for (size_t i = 0; i < json_array_size(index); i++) {
        json_int_t at = number_at(index, i);
        if (at >= 0 && (size_t)at < c->count)
            set(&c->local[at], string_at(c->strings, number_at(values, i)));
    }
}

static void set_shadow(tb_page_node *node, const char *text)
{
    node->shadow = strcmp(text, "open") == 0     ? TB_SHADOW_OPEN
                   : strcmp(text, "closed") == 0 ? TB_SHADOW_CLOSED
                                                 : TB_SHADOW_BROWSER;
}

static void set_input(tb_page_node *node, const char *text)
{
    node->input = text;
}

static void set_checked(tb_page_node *node, const char *text)
{
    (void)text;
    node->checked = true;
}

static void set_selected(tb_page_node *node, const char *text)
{
    (void)text;
    node->selected = true;
}

static void set_clickable(tb_page_node *node, const char *text)
{
    (void)text;
    node->clickable = true;
}

// "rgb(…)" is opaque; "rgba(r, g, b, a)" has a < 1.
static bool is_opaque(const char *color)
{
    return strncmp(color, "rgb(", 4) == 0;
}

static void read_box(tb_page_node *node, const columns *c, size_t at, tb_rect origin)
{
    const json_t *indexes = json_array_get(json_object_get(c->layout, "styles"), at);
    const char *style[STYLES];
    for (size_t i = 0; i < STYLES; i++)
        style[i] = string_at(c->strings, number_at(indexes, i));
    node->box = rect_at(json_object_get(c->layout, "bounds"), at);
    node->box.x += origin.x;
    node->box.y += origin.y;
    node->invisible = strcmp(style[VISIBILITY], "hidden") == 0 || strcmp(style[VISIBILITY], "collapse") == 0;
    node->transparent = node->kind == TB_NODE_ELEMENT && strtod(style[OPACITY], NULL) == 0;
    node->drawn = node->box.width > 0 && node->box.height > 0 && !node->invisible && !node->transparent &&
                  strcmp(style[DISPLAY], "none") != 0;
    node->has_pointer = strcmp(style[CURSOR], "pointer") == 0;
    node->ignores_pointer = strcmp(style[POINTER_EVENTS], "none") == 0;
    node->opaque = is_opaque(style[BACKGROUND]) && strcmp(style[OPACITY], "1") == 0;
    node->paint = number_at(json_object_get(c->layout, "paintOrders"), at);
    tb_rect scroll = rect_at(json_object_get(c->layout, "scrollRects"), at);
    tb_rect client = rect_at(json_object_get(c->layout, "clientRects"), at);
    node->border_left = client.x;
    node->border_top = client.y;
    node->scroll_top = scroll.y;
    node->scroll_height = scroll.height;
    node->client_height = client.height;
    node->scrolls = (strcmp(style[OVERFLOW_Y], "auto") == 0 || strcmp(style[OVERFLOW_Y], "scroll") == 0) &&
                    scroll.height > client.height + 1 && client.height > 0; // 1: what rounding makes
}

static void read_layout(columns *c, tb_rect origin)
{
    const json_t *index = json_object_get(c->layout, "nodeIndex");
    for (size_t i = 0; i < json_array_size(index); i++) {
        json_int_t at = number_at(index, i);
        if (at >= 0 && (size_t)at < c->count)
            read_box(&c->local[at], c, i, origin);
    }
}

// Where a frame's own 0, 0 is: inside the border of its element.
static tb_rect frame_origin(const tb_page *page, size_t owner, const json_t *document)
{
    tb_rect at = {0};
    if (owner != TB_NO_NODE) {
        const tb_page_node *frame = &page->nodes[owner];
        at = (tb_rect){.x = frame->box.x + frame->border_left, .y = frame->box.y + frame->border_top};
    }
    at.x -= json_number_value(json_object_get(document, "scrollOffsetX"));
    at.y -= json_number_value(json_object_get(document, "scrollOffsetY"));
    return at;
}

// ---- putting documents together ----

static tb_code reserve_nodes(tb_page *page, size_t more, tb_error *err)
{
    size_t need = page->node_count + more;
    if (need <= page->node_capacity)
        return TB_OK;
    size_t capacity = tb_max_size(need, 2 * page->node_capacity);
    tb_page_node *grown = tb_realloc_array(page->nodes, page->node_count, capacity, sizeof *grown);
    if (!grown)
        return tb_fail(err, TB_ENOMEM, "no memory for a page of %zu nodes", need);
    page->nodes = grown;
    page->node_capacity = capacity;
    return TB_OK;
}

static tb_code add_document_entry(tb_page *page, const source *s, const json_t *document, const json_t *strings,
                                  size_t owner, tb_error *err)
{
    tb_page_document *grown =
        tb_realloc_array(page->documents, page->document_count, page->document_count + 1, sizeof *grown);
    if (!grown)
        return tb_fail(err, TB_ENOMEM, "no memory for the frames of a page");
    page->documents = grown;
    tb_page_document *d = &grown[page->document_count++];
    *d = (tb_page_document){.session = s->session, .strings = strings, .owner = owner};
    const char *frame = string_at(strings, number_of(document, "frameId"));
    memcpy(d->frame.text, frame, tb_min_size(strlen(frame), sizeof d->frame.text - 1));
    return TB_OK;
}

static tb_code add_document(tb_page *page, const sources *all, const source *s, size_t document, size_t owner,
                            size_t depth, tb_error *err);

static const source *find_source(const sources *all, const tb_browser_id *session, int64_t node)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].owner == node && tb_browser_id_is(&all->items[i].owner_session, session->text))
            return &all->items[i];
    return NULL;
}

static tb_code add_node(size_t *place, tb_page *page, const tb_page_node *node, size_t parent, tb_error *err)
{
    tb_code rc = reserve_nodes(page, 1, err);
    if (rc)
        return rc;
    *place = page->node_count++;
    page->nodes[*place] = *node;
    page->nodes[*place].parent = parent;
    page->nodes[*place].end = *place + 1;
    return TB_OK;
}

// A snapshot says of each node in which kind of shadow root it is, and leaves the root itself out: it is put between
// the host and those of its children that are in one although the host is not.
static tb_code add_below(size_t *place, tb_page *page, const columns *c, size_t i, const size_t *places, size_t *roots,
                         tb_error *err)
{
    tb_page_node node = c->local[i];
    const tb_page_node *host = &c->local[node.parent];
    size_t parent = places[node.parent];
    tb_code rc = TB_OK;
    if (node.shadow != TB_SHADOW_NONE && node.shadow != host->shadow) {
        if (!roots[node.parent]) {
            tb_page_node root = {
                .kind = TB_NODE_SHADOW, .shadow = node.shadow, .document = node.document, .tag = "", .value = ""};
            rc = add_node(&roots[node.parent], page, &root, parent, err);
        }
        parent = roots[node.parent];
    }
    node.shadow = TB_SHADOW_NONE;
    return rc ? rc : add_node(place, page, &node, parent, err);
}

// Copies the nodes of a document to the page, and behind each element of a frame what it shows.
static tb_code graft(tb_page *page, const sources *all, const source *s, const columns *c, const size_t *shown,
                     size_t owner, size_t depth, tb_error *err)
{
    size_t *places = tb_alloc_array(c->count, sizeof *places), *roots = tb_alloc_array(c->count, sizeof *roots);
    tb_code rc = places && roots ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a page");
    for (size_t i = 0; i < c->count && !rc; i++) {
        const tb_page_node *node = &c->local[i];
        rc = i ? add_below(&places[i], page, c, i, places, roots, err) : add_node(&places[0], page, node, owner, err);
        const source *other = node->kind == TB_NODE_ELEMENT ? find_source(all, &s->session, node->id) : NULL;
        if (!rc && other)
            rc = add_document(page, all, other, 0, places[i], depth + 1, err);
        else if (!rc && shown[i])
            rc = add_document(page, all, s, shown[i], places[i], depth + 1, err);
    }
    tb_free(places);
    tb_free(roots);
    return rc;
}

// Which document an element shows; 0: none, for that is the topmost.
static void read_shown(size_t *shown, const columns *c, size_t documents)
{
    const json_t *column = json_object_get(c->nodes, "contentDocumentIndex");
    const json_t *index = json_object_get(column, "index"), *values = json_object_get(column, "value");
    for (size_t i = 0; i < json_array_size(index); i++) {
        json_int_t at = number_at(index, i), document = number_at(values, i);
        if (at >= 0 && (size_t)at < c->count && document > 0 && (size_t)document < documents)
            shown[at] = (size_t)document;
    }
}

static tb_code add_document(tb_page *page, const sources *all, const source *s, size_t document, size_t owner,
                            size_t depth, tb_error *err)
{
    if (depth > MOST_FRAME_DEPTH)
        return TB_OK;
    const json_t *documents = json_object_get(s->snapshot, "documents"), *d = json_array_get(documents, document);
    columns c = {json_object_get(d, "nodes"), json_object_get(d, "layout"), json_object_get(s->snapshot, "strings"),
                 NULL, 0};
    c.count = json_array_size(json_object_get(c.nodes, "parentIndex"));
    if (c.count == 0)
        return TB_OK;
    c.local = tb_alloc_array(c.count, sizeof *c.local);
    size_t *shown = tb_alloc_array(c.count, sizeof *shown);
    tb_code rc = c.local && shown ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a page of %zu nodes", c.count);
    if (!rc)
        rc = add_document_entry(page, s, d, c.strings, owner, err);
    if (!rc)
        rc = read_nodes(&c, page, page->document_count - 1, err);
    if (!rc) {
        for_each_rare(&c, "shadowRootType", set_shadow);
        for_each_rare(&c, "textValue", set_input);
        for_each_rare(&c, "inputValue", set_input);
        for_each_rare(&c, "inputChecked", set_checked);
        for_each_rare(&c, "optionSelected", set_selected);
        for_each_rare(&c, "isClickable", set_clickable);
        read_shown(shown, &c, json_array_size(documents));
        read_layout(&c, frame_origin(page, owner, d));
        rc = graft(page, all, s, &c, shown, owner, depth, err);
    }
    tb_free(c.local);
    tb_free(shown);
    return rc;
}

// What holds for all that is in a node: that it cannot be seen through something transparent, that it is hidden from
// readers. A text is as visible as what it is in.
static void spread(tb_page *page)
{
    for (size_t i = page->node_count; i-- > 0;) {
        size_t parent = page->nodes[i].parent;
        if (parent != TB_NO_NODE && page->nodes[parent].end < page->nodes[i].end)
            page->nodes[parent].end = page->nodes[i].end;
    }
    for (size_t i = 0; i < page->node_count; i++) {
        tb_page_node *node = &page->nodes[i];
        const tb_page_node *parent = node->parent == TB_NO_NODE ? NULL : &page->nodes[node->parent];
        const char *hidden = node->kind == TB_NODE_ELEMENT ? tb_page_attribute(page, node, "aria-hidden") : NULL;
        node->hidden_from_reader = (hidden && strcmp(hidden, "true") == 0) || (parent && parent->hidden_from_reader);
        node->transparent |= parent && parent->transparent;
        node->drawn &= !node->transparent && !(node->kind == TB_NODE_TEXT && parent && parent->invisible);
    }
}

// ---- asking ----

static tb_code keep_snapshot(tb_page *page, json_t *snapshot, tb_error *err)
{
    json_t **grown =
        tb_realloc_array(page->snapshots, page->snapshot_count, page->snapshot_count + 1, sizeof(json_t *));
    if (!grown) {
        json_decref(snapshot);
        return tb_fail(err, TB_ENOMEM, "no memory for a page");
    }
    page->snapshots = grown;
    grown[page->snapshot_count++] = snapshot;
    return TB_OK;
}

static tb_code take_snapshot(source *s, tb_page *page, tb_browser *browser, tb_error *err)
{
    json_t *names = json_array(), *snapshot;
    for (size_t i = 0; i < STYLES; i++)
        json_array_append_new(names, json_string(styles[i]));
    tb_code rc = tb_devtools_call(
        &snapshot, browser->devtools, s->session.text, "DOMSnapshot.captureSnapshot",
        json_pack("{s:o, s:b, s:b}", "computedStyles", names, "includePaintOrder", 1, "includeDOMRects", 1),
        TB_DEVTOOLS_MS, err);
    s->snapshot = snapshot;
    return rc ? rc : keep_snapshot(page, snapshot, err);
}

// Asks the other sessions of the tab whose element shows a frame.
static tb_code find_owner(source *s, const tb_session *frame, tb_browser *browser, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < browser->session_count && !s->owner && !rc; i++) {
        const tb_session *other = &browser->sessions[i];
        if (!tb_browser_id_is(&other->tab, frame->tab.text) || other == frame)
            continue;
        tb_browser_id session = other->id;
        json_t *owner;
        rc = tb_devtools_call(&owner, browser->devtools, session.text, "DOM.getFrameOwner",
                              json_pack("{s:s}", "frameId", frame->target.text), TB_DEVTOOLS_MS, err);
        if (!rc) {
            s->owner = json_integer_value(json_object_get(owner, "backendNodeId"));
            s->owner_session = session;
        }
        rc = rc == TB_EINVAL ? TB_OK : rc; // not its frame
        json_decref(owner);
    }
    return rc;
}

// The tab first, then its frames in other processes.
static tb_code take_sources(sources *all, tb_page *page, tb_browser *browser, const tb_tab *tab, tb_error *err)
{
    tb_browser_id target = tab->target;
    size_t most = browser->session_count;
    tb_session *sessions = tb_alloc_array(most + 1, sizeof *sessions); // theirs may change while we ask
    all->items = tb_alloc_array(most + 1, sizeof *all->items);
    if (!sessions || !all->items) {
        tb_free(sessions);
        return tb_fail(err, TB_ENOMEM, "no memory for the frames of a page");
    }
    size_t count = 0;
    for (size_t i = 0; i < most; i++)
        if (tb_browser_id_is(&browser->sessions[i].tab, target.text))
            sessions[count++] = browser->sessions[i];
    tb_code rc = TB_OK;
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count && !rc; i++) {
            if (sessions[i].is_frame != (pass == 1))
                continue;
            source s = {.session = sessions[i].id};
            rc = take_snapshot(&s, page, browser, err);
            if (!rc && pass == 1)
                rc = find_owner(&s, &sessions[i], browser, err);
            if (!rc)
                all->items[all->count++] = s;
            else if (pass == 1 && rc == TB_EINVAL)
                rc = TB_OK; // a frame that has just gone
        }
    tb_free(sessions);
    return rc;
}

static void add_loaders(tb_page *page, const tb_browser_id *session, const json_t *tree)
{
    const json_t *frame = json_object_get(tree, "frame");
    tb_browser_id id = tb_browser_id_of(frame, "id");
    for (size_t i = 0; i < page->document_count; i++)
        if (tb_browser_id_is(&page->documents[i].session, session->text) &&
            tb_browser_id_is(&page->documents[i].frame, id.text))
            page->documents[i].loader = tb_browser_id_of(frame, "loaderId");
    const json_t *children = json_object_get(tree, "childFrames");
    for (size_t i = 0; i < json_array_size(children); i++)
        add_loaders(page, session, json_array_get(children, i));
}

static tb_code read_loaders(tb_page *page, tb_browser *browser, const sources *all, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < all->count && !rc; i++) {
        json_t *tree;
        rc = tb_devtools_call(&tree, browser->devtools, all->items[i].session.text, "Page.getFrameTree", NULL,
                              TB_DEVTOOLS_MS, err);
        add_loaders(page, &all->items[i].session, json_object_get(tree, "frameTree"));
        json_decref(tree);
    }
    return rc;
}

static void read_viewport(tb_page *page, const tb_browser *browser, const sources *all)
{
    const json_t *top = json_array_get(json_object_get(all->items[0].snapshot, "documents"), 0);
    page->width = (double)browser->options.width;
    page->height = (double)browser->options.height;
    page->scroll_top = json_number_value(json_object_get(top, "scrollOffsetY"));
    page->content_height = json_number_value(json_object_get(top, "contentHeight"));
}

// The tab as the snapshot has it: events about its title come later.
static tb_code update_tab(const sources *all, const tb_browser *browser, tb_error *err)
{
    tb_tab *tab = tb_browser_front_tab(browser);
    const json_t *top = json_array_get(json_object_get(all->items[0].snapshot, "documents"), 0);
    const json_t *strings = json_object_get(all->items[0].snapshot, "strings");
    if (!tab || !tb_browser_id_is(&tab->session, all->items[0].session.text))
        return TB_OK;
    tb_str_reset(&tab->url);
    tb_str_reset(&tab->title);
    tb_code rc = tb_str_append_text(&tab->url, string_at(strings, number_of(top, "documentURL")), err);
    return rc ? rc : tb_str_append_text(&tab->title, string_at(strings, number_of(top, "title")), err);
}

tb_code tb_page_take(tb_page *page, tb_browser *browser, tb_error *err)
{
    *page = (tb_page){0};
    sources all = {0};
    tb_tab *tab;
    tb_code rc = tb_browser_need_tab(&tab, browser, err);
    if (!rc)
        rc = take_sources(&all, page, browser, tab, err);
    if (!rc && all.count == 0)
        rc = tb_fail(err, TB_EIO, "the tab in front has gone");
    if (!rc)
        rc = add_document(page, &all, &all.items[0], 0, TB_NO_NODE, 0, err);
    if (!rc)
        rc = read_loaders(page, browser, &all, err);
    if (!rc) {
        read_viewport(page, browser, &all);
        spread(page);
        rc = update_tab(&all, browser, err);
    }
    tb_free(all.items);
    if (rc)
        tb_page_clear(page);
    return rc;
}

void tb_page_clear(tb_page *page)
{
    for (size_t i = 0; i < page->node_count; i++)
        json_decref(page->nodes[i].reader);
    for (size_t i = 0; i < page->snapshot_count; i++)
        json_decref(page->snapshots[i]);
    tb_free(page->nodes);
    tb_free(page->documents);
    tb_free(page->snapshots);
    tb_arena_clear(&page->arena);
    *page = (tb_page){0};
}
