// Numbers are given in the order in which nodes are first seen, and never again to another node. A node is known by the
// browser's number of it, which holds as long as its document; documents are known by their loader.
#include "agent/browser/page.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

tb_index_entry *tb_index_find(const tb_browser *browser, size_t number)
{
    for (size_t i = browser->entry_count; i-- > 0;)
        if (browser->entries[i].number == number)
            return &browser->entries[i];
    return NULL;
}

static bool is_of(const tb_index_entry *e, const tb_page_document *d)
{
    return tb_browser_id_is(&e->loader, d->loader.text) && tb_browser_id_is(&e->frame, d->frame.text) &&
           tb_browser_id_is(&e->session, d->session.text);
}

// FNV-1a.
static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

static tb_code add_entry(tb_index_entry **out, tb_browser *browser, tb_error *err)
{
    if (browser->entry_count == browser->entry_capacity) {
        size_t capacity = 2 * browser->entry_capacity + 64;
        tb_index_entry *grown = tb_realloc_array(browser->entries, browser->entry_count, capacity, sizeof *grown);
        if (!grown)
            return tb_fail(err, TB_ENOMEM, "no memory for the elements of a page");
        browser->entries = grown;
        browser->entry_capacity = capacity;
    }
    *out = &browser->entries[browser->entry_count++];
    **out = (tb_index_entry){.number = browser->entry_count};
    return TB_OK;
}

// What is found by number is looked for among the newest first: most nodes were seen in the observation before.
static tb_index_entry *find_node(const tb_browser *browser, const tb_page_document *d, int64_t node)
{
    for (size_t i = browser->entry_count; i-- > 0;)
        if (browser->entries[i].node == node && is_of(&browser->entries[i], d))
            return &browser->entries[i];
    return NULL;
}

// Whether anything of a document was seen before this observation.
static bool was_seen(const tb_browser *browser, const tb_page_document *d)
{
    for (size_t i = browser->entry_count; i-- > 0;)
        if (browser->entries[i].first_seen < browser->observations && is_of(&browser->entries[i], d))
            return true;
    return false;
}

static void set_name(tb_browser_id *out, const char *text)
{
    snprintf(out->text, sizeof out->text, "%s", text);
}

// What is needed to find it again in another document.
static void describe(tb_index_entry *e, const tb_browser *browser, const tb_page_document *d, const tb_page_node *node)
{
    set_name(&e->role, tb_reader_text(node, "role"));
    set_name(&e->tag, node->tag);
    e->name_hash = hash_text(tb_reader_text(node, "name"));
    e->ordinal = 0;
    for (size_t i = 0; i < browser->entry_count; i++) {
        const tb_index_entry *other = &browser->entries[i];
        e->ordinal += other != e && other->last_seen == browser->observations && other->name_hash == e->name_hash &&
                      tb_browser_id_is(&other->role, e->role.text) && tb_browser_id_is(&other->tag, e->tag.text) &&
                      is_of(other, d);
    }
    e->last_seen = browser->observations;
}

tb_code tb_page_number(tb_page *page, tb_browser *browser, bool backend_ids, tb_error *err)
{
    browser->observations++;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < page->node_count && !rc; i++) {
        tb_page_node *node = &page->nodes[i];
        if (!node->interactive || !node->in_range)
            continue;
        const tb_page_document *d = &page->documents[node->document];
        tb_index_entry *e = find_node(browser, d, node->id);
        if (!e) {
            node->is_new = was_seen(browser, d);
            rc = add_entry(&e, browser, err);
            if (rc)
                return rc;
            e->session = d->session;
            e->frame = d->frame;
            e->loader = d->loader;
            e->node = node->id;
            e->first_seen = browser->observations;
            if (backend_ids)
                e->number = (size_t)node->id;
        }
        node->number = e->number;
        describe(e, browser, d, node);
    }
    return rc;
}

static const json_t *find_frame(const json_t *tree, const char *frame)
{
    const json_t *own = json_object_get(tree, "frame");
    if (tb_text_is(tb_json_text_at(own, "id"), frame))
        return own;
    const json_t *children = json_object_get(tree, "childFrames"), *found = NULL;
    for (size_t i = 0; i < json_array_size(children) && !found; i++)
        found = find_frame(json_array_get(children, i), frame);
    return found;
}

tb_code tb_frame_loader(tb_browser_id *out, tb_browser *browser, const tb_browser_id *session,
                        const tb_browser_id *frame, tb_error *err)
{
    json_t *tree;
    *out = (tb_browser_id){{0}};
    tb_code rc =
        tb_devtools_call(&tree, browser->devtools, session->text, "Page.getFrameTree", NULL, TB_DEVTOOLS_MS, err);
    if (!rc)
        *out = tb_browser_id_of(find_frame(json_object_get(tree, "frameTree"), frame->text), "loaderId");
    json_decref(tree);
    return rc == TB_EINVAL ? TB_OK : rc; // a session that has gone has no document
}
