// Inside browser: one look at the page in front, as a tree of nodes over all its frames and shadow roots.
//
// The nodes come from DOM snapshots, one per process that draws a part of the page; the accessibility tree is asked
// about those nodes only that may get a number. (Asking for the whole tree costs a second and nine megabytes for a page
// of 20,000 nodes; asking about one node costs a seventh of a millisecond.)
#ifndef TB_PAGE_H
#define TB_PAGE_H

#include "agent/browser/browser_state.h"

// CSS pixels; 0, 0 is the viewport's corner.
typedef struct tb_rect {
    double x, y, width, height;
} tb_rect;

typedef enum tb_node_kind {
    TB_NODE_OTHER,
    TB_NODE_ELEMENT,
    TB_NODE_TEXT,
    TB_NODE_DOCUMENT,
    TB_NODE_SHADOW
} tb_node_kind;

typedef enum tb_shadow { TB_SHADOW_NONE, TB_SHADOW_OPEN, TB_SHADOW_CLOSED, TB_SHADOW_BROWSER } tb_shadow;

#define TB_NO_NODE SIZE_MAX

// Texts are borrowed from the page's snapshots and live as long as it does.
typedef struct tb_page_node {
    tb_node_kind kind;
    tb_shadow shadow;   // of a shadow root
    size_t parent, end; // TB_NO_NODE: none; one past the last of its subtree
    size_t document;
    const char *tag;                 // in small letters; "" unless it is an element
    const char *value;               // of a text
    const struct json_t *attributes; // pairs of indexes into the document's strings
    int64_t id;                      // backendNodeId
    bool drawn;                      // has a box, is neither transparent nor invisible
    bool transparent, invisible;     // opacity: 0 here or around it; visibility: hidden
    bool clickable;                  // has a listener for clicks
    bool has_pointer;                // the cursor becomes a hand
    bool ignores_pointer;            // pointer-events: none
    bool opaque;                     // has a background that nothing shines through
    bool hidden_from_reader;         // aria-hidden, or in what is
    bool checked, selected;
    const char *input; // what a field contains; NULL: unknown
    tb_rect box;
    long long paint; // order in which boxes of a document are painted
    double border_left, border_top;
    double scroll_top, scroll_height, client_height; // of what scrolls
    bool scrolls;
    // Set by page_interactive.c:
    bool interactive;      // gets a number
    bool disabled;         // would get one, if it were not
    bool in_range;         // lies near enough the viewport to be listed
    struct json_t *reader; // what the accessibility tree says of it; NULL: it was not asked
    size_t number;         // 0: none
    bool is_new;
} tb_page_node;

typedef struct tb_page_document {
    tb_browser_id session, frame, loader;
    const struct json_t *strings;
    size_t owner; // the frame's element; TB_NO_NODE for the topmost
} tb_page_document;

typedef struct tb_page {
    tb_page_node *nodes; // a node stands before what is in it
    size_t node_count, node_capacity;
    tb_page_document *documents;
    size_t document_count;
    struct json_t **snapshots; // which texts are borrowed from
    size_t snapshot_count;
    tb_arena arena;
    double width, height; // of the viewport
    double scroll_top, content_height;
} tb_page;

// ---- page_snapshot.c ----

tb_code tb_page_take(tb_page *page, tb_browser *browser, tb_error *err);
void tb_page_clear(tb_page *page);

// An attribute's value; NULL: it has none of that name.
const char *tb_page_attribute(const tb_page *page, const tb_page_node *node, const char *name);

// ---- page_interactive.c ----

// Sets what is interactive, in range, and what the accessibility tree says of that.
tb_code tb_page_find_interactive(tb_page *page, tb_browser *browser, bool full_page, tb_error *err);

// A property that the accessibility tree knows, as text in `number` where it is none; NULL: it says nothing of it.
const char *tb_reader_property(const tb_page_node *node, const char *name, char number[32]);
// Role, name and value; "" where unknown.
const char *tb_reader_text(const tb_page_node *node, const char *key);

// ---- page_index.c ----

// Gives numbers to what is interactive and in range.
tb_code tb_page_number(tb_page *page, tb_browser *browser, bool backend_ids, tb_error *err);

// The element of a number that was given; NULL: it never was.
tb_index_entry *tb_index_find(const tb_browser *browser, size_t number);

// The frame's present document.
tb_code tb_frame_loader(tb_browser_id *out, tb_browser *browser, const tb_browser_id *session,
                        const tb_browser_id *frame, tb_error *err);

// ---- page_text.c ----

// Appends the page, a node a line. `limit` is in bytes.
tb_code tb_page_append(tb_str *out, const tb_page *page, size_t limit, bool show_href, tb_error *err);

// Appends a text of the page as people see it: without the letters of icon fonts, blanks joined, cut at `most`
// characters.
tb_code tb_append_clean(tb_str *out, const char *text, size_t most, tb_error *err);

#endif
