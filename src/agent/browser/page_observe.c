// One observation: the page as a text, and around it what an agent must know besides.
#include "agent/browser/page.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <nettle/base64.h>

enum {
    TITLE_CHARS = 30,
    URL_CHARS = 300,
    EMPTY_BELOW = 10, // a page with fewer elements shows nothing yet, or nothing at all
    LABEL = 4,        // characters by which a tab is called, more where that is not unique
};

// ---- tabs ----

// The shortest end of a tab's name, of four characters at least, that no other tab's has.
static const char *tab_label(const tb_browser *browser, const tb_tab *tab)
{
    const char *name = tab->target.text;
    size_t size = strlen(name), n = LABEL;
    for (size_t i = 0; i < browser->tab_count && n < size; i++) {
        const char *other = browser->tabs[i].target.text;
        size_t other_size = strlen(other);
        if (&browser->tabs[i] == tab || other_size < n || strcmp(other + other_size - n, name + size - n) != 0)
            continue;
        n++;
        i = (size_t)-1; // from the first again
    }
    return n < size ? name + size - n : name;
}

tb_tab *tb_browser_find_label(const tb_browser *browser, const char *label)
{
    for (size_t i = 0; i < browser->tab_count; i++)
        if (strcmp(tab_label(browser, &browser->tabs[i]), label) == 0)
            return &browser->tabs[i];
    return NULL;
}

static tb_code append_tabs(tb_str *out, const tb_browser *browser, tb_error *err)
{
    const tb_tab *front = tb_browser_front_tab(browser);
    tb_code rc =
        tb_str_printf(out, err, "Current tab: %s\nAvailable tabs:\n", front ? tab_label(browser, front) : "none");
    for (size_t i = 0; i < browser->tab_count && !rc; i++) {
        const tb_tab *tab = &browser->tabs[i];
        rc = tb_str_printf(out, err, "Tab %s: ", tab_label(browser, tab));
        if (!rc)
            rc = tb_append_clean(out, tb_str_get(&tab->url), URL_CHARS, err);
        if (!rc)
            rc = tb_str_append_text(out, " - ", err);
        if (!rc)
            rc = tb_append_clean(out, tb_str_get(&tab->title), TITLE_CHARS, err);
        if (!rc)
            rc = tb_str_append_text(out, "\n", err);
    }
    return rc;
}

// ---- counts ----

static void count_node(tb_observation *o, const tb_page *page, const tb_page_node *node)
{
    o->counts.shadow_roots += node->shadow == TB_SHADOW_OPEN || node->shadow == TB_SHADOW_CLOSED;
    if (node->kind != TB_NODE_ELEMENT)
        return;
    o->counts.elements++;
    o->counts.links += strcmp(node->tag, "a") == 0 && tb_page_attribute(page, node, "href");
    o->counts.images += strcmp(node->tag, "img") == 0;
    o->counts.frames += strcmp(node->tag, "iframe") == 0 || strcmp(node->tag, "frame") == 0;
    o->counts.interactive += node->interactive;
    o->listed += node->number > 0;
    o->above += node->interactive && !node->in_range && node->box.y < 0;
    o->below += node->interactive && !node->in_range && node->box.y >= 0;
}

static tb_code append_counts(tb_str *out, const tb_observation *o, tb_error *err)
{
    const tb_page_counts *c = &o->counts;
    return tb_str_printf(
        out, err, "Page: %s%zu links, %zu interactive, %zu iframes, %zu shadow roots, %zu images, %zu elements\n",
        c->elements < EMPTY_BELOW ? "it appears empty; " : "", c->links, c->interactive, c->frames, c->shadow_roots,
        c->images, c->elements);
}

// ---- the block ----

static tb_code append_position(tb_str *out, const tb_page *page, const tb_observation *o, tb_error *err)
{
    double above = page->scroll_top / page->height;
    double below = (page->content_height - page->scroll_top - page->height) / page->height;
    tb_code rc =
        tb_str_printf(out, err, "%.1f pages above, %.1f pages below\n", above > 0 ? above : 0, below > 0 ? below : 0);
    if (!rc && (o->above || o->below))
        rc = tb_str_printf(out, err, "Not listed: %zu interactive elements above, %zu below\n", o->above, o->below);
    return rc;
}

static tb_code append_notes(tb_str *out, tb_browser *browser, size_t open, tb_error *err)
{
    tb_code rc = tb_str_append(out, browser->notes.data, browser->notes.size, err);
    if (!rc && open)
        rc = tb_str_printf(out, err, "The page may still be loading (%zu requests)\n", open);
    if (!rc)
        tb_str_reset(&browser->notes);
    return rc;
}

static tb_code write_block(tb_observation *o, tb_browser *browser, const tb_page *page, size_t open, tb_error *err)
{
    tb_str *out = &o->text;
    bool at_start = page->scroll_top<1, at_end = page->scroll_top + page->height> page->content_height - 1;
    tb_code rc = append_counts(out, o, err);
    if (!rc)
        rc = append_tabs(out, browser, err);
    if (!rc)
        rc = append_position(out, page, o, err);
    if (!rc)
        rc = append_notes(out, browser, open, err);
    if (!rc)
        rc = tb_str_printf(out, err, "\n%s", at_start ? "[Start of page]\n" : "");
    if (!rc)
        rc = tb_str_append(out, o->page.data, o->page.size, err);
    return rc || !at_end ? rc : tb_str_append_text(out, "[End of page]\n", err);
}

static tb_code take_page(tb_page *page, tb_browser *browser, const tb_observe_options *options, tb_error *err)
{
    tb_code rc = tb_page_take(page, browser, err);
    if (!rc)
        rc = tb_page_find_interactive(page, browser, options->full_page, err);
    return rc ? rc : tb_page_number(page, browser, options->backend_ids, err);
}

// A page that crashed is opened once more. One that crashes again ends the browser.
static tb_code revive(tb_browser *browser, tb_error *err)
{
    const tb_tab *tab = tb_browser_front_tab(browser);
    if (!tab || !tab->crashed)
        return TB_OK;
    if (++browser->crashes > 1)
        return tb_fail(err, TB_EIO, "the page crashed twice: %.300s", tb_str_get(&tab->url));
    char *url = tb_dup_text(tb_str_get(&tab->url), tab->url.size);
    tb_code rc = url ? tb_browser_visit(browser, url, err) : tb_fail(err, TB_ENOMEM, "no memory for an address");
    tb_free(url);
    return rc == TB_EINVAL ? TB_OK : rc; // it cannot be opened any more: the browser says so on its page
}

// Waits until the page has come to rest, and lives.
static tb_code come_to_rest(size_t *open, tb_browser *browser, tb_error *err)
{
    tb_code rc = tb_browser_settle(open, browser, TB_SETTLE_MS, err);
    return rc ? rc : revive(browser, err);
}

// A page that goes while it is looked at is looked at once more.
static tb_code take_page_or_next(tb_page *page, tb_browser *browser, const tb_observe_options *options, tb_error *err)
{
    tb_code rc = take_page(page, browser, options, err);
    if (rc != TB_EINVAL)
        return rc;
    size_t open;
    tb_page_clear(page);
    rc = come_to_rest(&open, browser, err);
    return rc ? rc : take_page(page, browser, options, err);
}

static tb_code copy_tab(tb_observation *out, const tb_browser *browser, tb_error *err)
{
    const tb_tab *tab = tb_browser_front_tab(browser);
    tb_code rc = tb_str_append_text(&out->url, tab ? tb_str_get(&tab->url) : "", err);
    return rc ? rc : tb_str_append_text(&out->title, tab ? tb_str_get(&tab->title) : "", err);
}

tb_code tb_browser_observe(tb_observation *out, tb_browser *browser, const tb_observe_options *options, tb_error *err)
{
    *out = (tb_observation){0};
    tb_page page = {0};
    size_t open;
    tb_code rc = come_to_rest(&open, browser, err);
    double begin = tb_clock_seconds();
    if (!rc)
        rc = take_page_or_next(&page, browser, options, err);
    for (size_t i = 0; i < page.node_count && !rc; i++)
        count_node(out, &page, &page.nodes[i]);
    if (!rc)
        rc = tb_page_append(&out->page, &page, options->page_chars ? options->page_chars : TB_PAGE_CHARS,
                            options->show_href, err);
    if (!rc)
        rc = write_block(out, browser, &page, open, err);
    if (!rc)
        rc = copy_tab(out, browser, err);
    tb_page_clear(&page);
    out->seconds = tb_clock_seconds() - begin;
    if (rc)
        tb_observation_clear(out);
    return rc;
}

void tb_observation_clear(tb_observation *observation)
{
    tb_str_clear(&observation->text);
    tb_str_clear(&observation->page);
    tb_str_clear(&observation->url);
    tb_str_clear(&observation->title);
}

// ---- pictures ----

static tb_code append_decoded(tb_str *out, tb_text base64, tb_error *err)
{
    size_t size = BASE64_DECODE_LENGTH(base64.size);
    uint8_t *bytes = tb_alloc(size);
    if (!bytes)
        return tb_fail(err, TB_ENOMEM, "no memory for a picture of %zu bytes", size);
    struct base64_decode_ctx context;
    base64_decode_init(&context);
    bool good = base64_decode_update(&context, &size, bytes, base64.size, base64.data) && base64_decode_final(&context);
    tb_code rc =
        good ? tb_str_append(out, bytes, size, err) : tb_fail(err, TB_EFORMAT, "the browser's picture is not base64");
    tb_free(bytes);
    return rc;
}

tb_code tb_browser_append_base64(tb_str *out, tb_browser *browser, const char *method, json_t *params, tb_error *err)
{
    json_t *result;
    tb_code rc = tb_browser_call(&result, browser, method, params, err);
    if (!rc)
        rc = append_decoded(out, tb_json_text_at(result, "data"), err);
    json_decref(result);
    return rc;
}

// A tab behind another does not answer for its looks.
static tb_code bring_to_front(tb_browser *browser, tb_error *err)
{
    return tb_devtools_call(NULL, browser->devtools, NULL, "Target.activateTarget",
                            json_pack("{s:s}", "targetId", browser->focused.text), TB_DEVTOOLS_MS, err);
}

tb_code tb_browser_shoot(tb_str *out, tb_browser *browser, const tb_shot_options *options, tb_error *err)
{
    tb_code rc = bring_to_front(browser, err);
    if (rc)
        return rc;
    json_t *params = options->jpeg_quality ? json_pack("{s:s, s:i}", "format", "jpeg", "quality", options->jpeg_quality)
                                           : json_pack("{s:s}", "format", "png");
    return tb_browser_append_base64(out, browser, "Page.captureScreenshot", params, err);
}
