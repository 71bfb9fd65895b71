// What an agent sees.
#ifndef TB_OBSERVATION_H
#define TB_OBSERVATION_H

#include "base/base.h"

struct tb_browser;

typedef struct tb_observe_options {
    size_t page_chars; // of the page's text; 0 means TB_PAGE_CHARS
    bool full_page;    // list what lies far from the viewport, too
    bool show_href;    // where links lead
    bool backend_ids;  // call elements by the browser's own numbers
} tb_observe_options;

enum { TB_PAGE_CHARS = 40000 };

typedef struct tb_page_counts {
    size_t elements, links, interactive, frames, shadow_roots, images;
} tb_page_counts;

typedef struct tb_observation {
    tb_str text; // the whole block
    tb_str page; // of it, the page alone
    tb_str url, title;
    tb_page_counts counts;
    size_t listed;       // elements with a number
    size_t above, below; // elements with a number, were they not too far from the viewport
    double seconds;
} tb_observation;

// Waits until the page has come to rest, and looks at it. TB_EIO when the browser fails.
tb_code tb_browser_observe(tb_observation *out, struct tb_browser *browser, const tb_observe_options *options,
                           tb_error *err);
void tb_observation_clear(tb_observation *observation);

// Appends the page as Markdown, all its frames one behind the other: what the action `extract` reads.
tb_code tb_browser_read_markdown(tb_str *out, struct tb_browser *browser, bool links, bool images, tb_error *err);

typedef struct tb_shot_options {
    int jpeg_quality; // 1 … 100; 0: PNG
} tb_shot_options;

// The viewport as a picture, appended to `out`.
tb_code tb_browser_shoot(tb_str *out, struct tb_browser *browser, const tb_shot_options *options, tb_error *err);

#endif
