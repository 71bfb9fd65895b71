// Events are noted, and answered where they must be at once: dialogs, requests that are held. Nothing here waits.
#include "agent/browser/browser_state.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

enum { NOTE_BYTES = 500 }; // of a text of a page

// ---- names ----

tb_browser_id tb_browser_id_of(const json_t *object, const char *key)
{
    tb_browser_id name = {{0}};
    tb_text text = tb_json_text_at(object, key);
    memcpy(name.text, text.data, tb_min_size(text.size, sizeof name.text - 1));
    return name;
}

bool tb_browser_id_is(const tb_browser_id *name, const char *text)
{
    return strcmp(name->text, text) == 0;
}

// ---- lists ----

// Puts a zeroed item behind the others and returns it; NULL without memory. `list` is the address of the pointer.
static void *list_add(void *list, size_t *count, size_t size, tb_error *err)
{
    void *items;
    memcpy(&items, list, sizeof items);
    char *grown = tb_realloc_array(items, *count, *count + 1, size);
    if (!grown) {
        tb_fail(err, TB_ENOMEM, "no memory for what the browser tells");
        return NULL;
    }
    memcpy(list, &grown, sizeof grown);
    return memset(grown + (*count)++ * size, 0, size);
}

static void list_remove(void *items, size_t *count, size_t at, size_t size)
{
    char *bytes = items;
    (*count)--;
    memmove(bytes + at * size, bytes + (at + 1) * size, (*count - at) * size);
}

static tb_code set_text(tb_str *out, tb_text text, tb_error *err)
{
    tb_str_reset(out);
    return tb_str_append(out, text.data, text.size, err);
}

// ---- notes ----

// A text of a page, on one line and not too long.
static tb_code note(tb_browser *browser, const char *before, tb_text text, const char *after, tb_error *err)
{
    size_t n = tb_utf8_valid_prefix(text.data, tb_min_size(text.size, NOTE_BYTES));
    tb_code rc = tb_str_append_text(&browser->notes, before, err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = tb_str_append(&browser->notes, iscntrl((unsigned char)text.data[i]) ? " " : text.data + i, 1, err);
    return rc ? rc : tb_str_printf(&browser->notes, err, "%s%s\n", n < text.size ? "…" : "", after);
}

// ---- tabs and sessions ----

tb_tab *tb_browser_find_tab(const tb_browser *browser, const char *target)
{
    for (size_t i = 0; i < browser->tab_count; i++)
        if (tb_browser_id_is(&browser->tabs[i].target, target))
            return &browser->tabs[i];
    return NULL;
}

tb_tab *tb_browser_front_tab(const tb_browser *browser)
{
    return tb_browser_find_tab(browser, browser->focused.text);
}

static const tb_session *find_session(const tb_browser *browser, const char *id)
{
    for (size_t i = 0; i < browser->session_count; i++)
        if (tb_browser_id_is(&browser->sessions[i].id, id))
            return &browser->sessions[i];
    return NULL;
}

static void tab_clear(tb_tab *tab)
{
    tb_str_clear(&tab->url);
    tb_str_clear(&tab->title);
}

static tb_code bring_to_front(tb_browser *browser, tb_browser_id target, tb_error *err)
{
    browser->focused = target;
    return target.text[0] ? tb_devtools_post(browser->devtools, NULL, "Target.activateTarget",
                                             json_pack("{s:s}", "targetId", target.text), err)
                          : TB_OK;
}

// The front goes to the tab that opened the one in front, else to the newest.
static tb_code remove_tab(tb_browser *browser, const char *target, tb_error *err)
{
    tb_tab *tab = tb_browser_find_tab(browser, target);
    if (!tab)
        return TB_OK;
    bool in_front = tb_browser_id_is(&browser->focused, target);
    tb_browser_id opener = tab->opener;
    tab_clear(tab);
    list_remove(browser->tabs, &browser->tab_count, (size_t)(tab - browser->tabs), sizeof *tab);
    if (!in_front)
        return TB_OK;
    bool has_opener = tb_browser_find_tab(browser, opener.text) != NULL;
    bool is_left = browser->tab_count > 0;
    return bring_to_front(browser,
                          has_opener ? opener
                          : is_left  ? browser->tabs[browser->tab_count - 1].target
                                     : (tb_browser_id){{0}},
                          err);
}

static void remove_session(tb_browser *browser, const char *id)
{
    for (size_t i = 0; i < browser->session_count; i++)
        if (tb_browser_id_is(&browser->sessions[i].id, id)) {
            list_remove(browser->sessions, &browser->session_count, i, sizeof browser->sessions[0]);
            return;
        }
}

static tb_code update_tab(tb_tab *tab, const json_t *info, tb_error *err)
{
    tb_code rc = set_text(&tab->url, tb_json_text_at(info, "url"), err);
    return rc ? rc : set_text(&tab->title, tb_json_text_at(info, "title"), err);
}

static tb_code add_tab(tb_browser *browser, const char *session, const json_t *info, tb_error *err)
{
    tb_tab *tab = list_add(&browser->tabs, &browser->tab_count, sizeof *tab, err);
    if (!tab)
        return TB_ENOMEM;
    tab->target = tb_browser_id_of(info, "targetId");
    tab->opener = tb_browser_id_of(info, "openerId");
    snprintf(tab->session.text, sizeof tab->session.text, "%s", session);
    bool ours = tb_browser_find_tab(browser, tab->opener.text) != NULL;
    tb_code rc = update_tab(tab, info, err);
    return rc || !(ours || browser->tab_count == 1) ? rc : bring_to_front(browser, tab->target, err);
}

// What every session must be told, in this order. NULL stands for no parameters.
static tb_code enable(tb_browser *browser, const char *session, bool is_frame, tb_error *err)
{
    static const char *const domains[] = {"Page.enable", "DOM.enable", "Runtime.enable", "Network.enable",
                                          "Accessibility.enable"};
    tb_devtools *d = browser->devtools;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < sizeof domains / sizeof domains[0] && !rc; i++)
        rc = tb_devtools_post(d, session, domains[i], NULL, err);
    if (!rc)
        rc = tb_devtools_post(d, session, "Target.setAutoAttach",
                              json_pack("{s:b, s:b, s:b}", "autoAttach", 1, "waitForDebuggerOnStart", 0, "flatten", 1),
                              err);
    if (!rc && browser->options.sites)
        rc = tb_devtools_post(d, session, "Fetch.enable",
                              json_pack("{s:b, s:[{s:s}, {s:s}]}", "handleAuthRequests", 1, "patterns", "urlPattern",
                                        "http://*", "urlPattern", "https://*"),
                              err);
    if (rc || is_frame)
        return rc;
    rc = tb_devtools_post(d, session, "Page.setInterceptFileChooserDialog", json_pack("{s:b}", "enabled", 1), err);
    return rc ? rc
              : tb_devtools_post(d, session, "Emulation.setDeviceMetricsOverride",
                                 json_pack("{s:I, s:I, s:i, s:b}", "width", (json_int_t)browser->options.width,
                                           "height", (json_int_t)browser->options.height, "deviceScaleFactor", 1,
                                           "mobile", 0),
                                 err);
}

// Tabs are attached to one by one: where the browser attaches to all by itself, a page that opens a window waits for
// ever.
static tb_code on_target(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    (void)session;
    const json_t *info = json_object_get(params, "targetInfo");
    if (!tb_text_is(tb_json_text_at(info, "type"), "page"))
        return TB_OK;
    return tb_devtools_post(browser->devtools, NULL, "Target.attachToTarget",
                            json_pack("{s:O, s:b}", "targetId", json_object_get(info, "targetId"), "flatten", 1), err);
}

static tb_code on_attached(tb_browser *browser, const char *parent, const json_t *params, tb_error *err)
{
    const json_t *info = json_object_get(params, "targetInfo");
    tb_text type = tb_json_text_at(info, "type");
    tb_browser_id session = tb_browser_id_of(params, "sessionId"), target = tb_browser_id_of(info, "targetId");
    bool is_frame = tb_text_is(type, "iframe");
    if ((!is_frame && !tb_text_is(type, "page")) || (!is_frame && tb_browser_find_tab(browser, target.text)))
        return TB_OK;
    const tb_session *above = find_session(browser, parent);
    tb_browser_id tab = is_frame ? above ? above->tab : browser->focused : target;
    tb_session *s = list_add(&browser->sessions, &browser->session_count, sizeof *s, err);
    if (!s)
        return TB_ENOMEM;
    *s = (tb_session){.id = session, .target = target, .tab = tab, .is_frame = is_frame};
    tb_code rc = is_frame ? TB_OK : add_tab(browser, session.text, info, err);
    return rc ? rc : enable(browser, session.text, is_frame, err);
}

static tb_code on_detached(tb_browser *browser, const char *parent, const json_t *params, tb_error *err)
{
    (void)parent;
    tb_browser_id session = tb_browser_id_of(params, "sessionId");
    const tb_session *s = find_session(browser, session.text);
    tb_browser_id target = s && !s->is_frame ? s->target : (tb_browser_id){{0}};
    remove_session(browser, session.text);
    tb_devtools_give_up(browser->devtools, session.text);
    return remove_tab(browser, target.text, err);
}

static tb_code on_target_changed(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    (void)session;
    const json_t *info = json_object_get(params, "targetInfo");
    tb_browser_id target = tb_browser_id_of(info, "targetId");
    tb_tab *tab = tb_browser_find_tab(browser, target.text);
    return tab ? update_tab(tab, info, err) : TB_OK;
}

static tb_code on_target_crashed(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    (void)session;
    tb_browser_id target = tb_browser_id_of(params, "targetId");
    tb_tab *tab = tb_browser_find_tab(browser, target.text);
    if (!tab)
        return TB_OK;
    tab->crashed = true;
    tb_devtools_give_up(browser->devtools, tab->session.text);
    return note(browser, "The page crashed: ", (tb_text){tb_str_get(&tab->url), tab->url.size}, "", err);
}

// ---- requests ----

static bool is_counted(const json_t *params)
{
    static const char *const endless[] = {"WebSocket", "EventSource", "Media", "Ping", "Prefetch", "Manifest"};
    tb_text type = tb_json_text_at(params, "type");
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++)
        if (tb_text_is(type, endless[i]))
            return false;
    tb_text url = tb_json_text_at(json_object_get(params, "request"), "url");
    bool is_icon = tb_text_is(type, "Other") && url.size > 12 && strcmp(url.data + url.size - 12, "/favicon.ico") == 0;
    return !is_icon && (strncmp(url.data, "http:", 5) == 0 || strncmp(url.data, "https:", 6) == 0 ||
                        strncmp(url.data, "file:", 5) == 0);
}

static tb_request *find_request(const tb_browser *browser, const char *id)
{
    for (size_t i = 0; i < browser->request_count; i++)
        if (tb_browser_id_is(&browser->requests[i].id, id))
            return &browser->requests[i];
    return NULL;
}

// A redirect begins under the name that the request had before: it is counted once.
static tb_code on_request(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    const tb_session *s = find_session(browser, session);
    tb_browser_id id = tb_browser_id_of(params, "requestId");
    if (!s || !is_counted(params) || find_request(browser, id.text))
        return TB_OK;
    tb_request *r = list_add(&browser->requests, &browser->request_count, sizeof *r, err);
    if (!r)
        return TB_ENOMEM;
    *r = (tb_request){.id = id, .tab = s->tab, .began = tb_clock_seconds()};
    browser->last_traffic = r->began;
    return TB_OK;
}

// The document of a frame in another process is asked for in one session and comes in another: names count, not
// sessions.
static tb_code on_request_end(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    (void)session, (void)err;
    tb_browser_id id = tb_browser_id_of(params, "requestId");
    tb_request *r = find_request(browser, id.text);
    if (r) {
        list_remove(browser->requests, &browser->request_count, (size_t)(r - browser->requests), sizeof *r);
        browser->last_traffic = tb_clock_seconds();
    }
    return TB_OK;
}

static tb_code on_response(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    (void)session, (void)err;
    tb_browser_id frame = tb_browser_id_of(params, "frameId");
    tb_tab *tab = tb_browser_find_tab(browser, frame.text); // the name of a tab is that of its top frame
    if (tab && tb_text_is(tb_json_text_at(params, "type"), "Document"))
        tab->status = (int)json_integer_value(json_object_get(json_object_get(params, "response"), "status"));
    return TB_OK;
}

// ---- what may be visited ----

// The host and port of an address, as far as it has any.
static const tb_browser_site *find_site(const tb_browser *browser, const char *url)
{
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    size_t n = strcspn(begin, "/?#");
    for (size_t i = 0; i < browser->options.site_count; i++) {
        char address[300];
        const tb_browser_site *site = &browser->options.sites[i];
        int size = snprintf(address, sizeof address, "%s:%d", site->host, site->port);
        bool usual = (site->port == 80 && strncmp(url, "http:", 5) == 0) ||
                     (site->port == 443 && strncmp(url, "https:", 6) == 0);
        if (size > 0 && (size_t)size < sizeof address &&
            ((n == (size_t)size && strncmp(begin, address, n) == 0) ||
             (usual && n == strlen(site->host) && strncmp(begin, site->host, n) == 0)))
            return site;
    }
    return NULL;
}

static tb_code on_request_paused(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    json_t *id = json_object_get(params, "requestId");
    tb_text url = tb_json_text_at(json_object_get(params, "request"), "url");
    if (find_site(browser, url.data))
        return tb_devtools_post(browser->devtools, session, "Fetch.continueRequest",
                                json_pack("{s:O}", "requestId", id), err);
    tb_code rc = note(browser, "Blocked, as it is not one of the sites of this task: ", url, "", err);
    return rc ? rc
              : tb_devtools_post(browser->devtools, session, "Fetch.failRequest",
                                 json_pack("{s:O, s:s}", "requestId", id, "errorReason", "BlockedByClient"), err);
}

static tb_code on_auth_required(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    tb_text url = tb_json_text_at(json_object_get(params, "request"), "url");
    const tb_browser_site *site = find_site(browser, url.data);
    json_t *answer = site && site->user ? json_pack("{s:s, s:s, s:s}", "response", "ProvideCredentials", "username",
                                                    site->user, "password", site->password ? site->password : "")
                                        : json_pack("{s:s}", "response", "CancelAuth");
    return tb_devtools_post(
        browser->devtools, session, "Fetch.continueWithAuth",
        json_pack("{s:O, s:o}", "requestId", json_object_get(params, "requestId"), "authChallengeResponse", answer),
        err);
}

// ---- dialogs and files ----

// Answered at once: until then no command to the page is.
static tb_code on_dialog(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    tb_text type = tb_json_text_at(params, "type");
    bool accept = !tb_text_is(type, "prompt");
    char before[80];
    snprintf(before, sizeof before, "A dialog was %s: [%.20s] ", accept ? "accepted" : "dismissed", type.data);
    tb_code rc = tb_devtools_post(browser->devtools, session, "Page.handleJavaScriptDialog",
                                  json_pack("{s:b}", "accept", accept), err);
    return rc ? rc : note(browser, before, tb_json_text_at(params, "message"), "", err);
}

static tb_code on_file_chooser(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    (void)session, (void)params;
    return note(browser, "A file chooser was opened and closed; use upload_file on its element", (tb_text){"", 0}, "",
                err);
}

static tb_code on_download(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    (void)session;
    tb_download *d = list_add(&browser->downloads, &browser->download_count, sizeof *d, err);
    if (!d)
        return TB_ENOMEM;
    d->guid = tb_browser_id_of(params, "guid");
    return set_text(&d->file, tb_json_text_at(params, "suggestedFilename"), err);
}

static tb_download *find_download(const tb_browser *browser, const char *guid)
{
    for (size_t i = 0; i < browser->download_count; i++)
        if (tb_browser_id_is(&browser->downloads[i].guid, guid))
            return &browser->downloads[i];
    return NULL;
}

// A name that a file may have: no folder, no control characters, not hidden.
static tb_code append_safe_name(tb_str *out, const char *suggested, tb_error *err)
{
    const char *slash = strrchr(suggested, '/');
    const char *name = slash ? slash + 1 : suggested;
    name += strspn(name, ".");
    size_t n = tb_utf8_valid_prefix(name, tb_min_size(strlen(name), 200));
    tb_code rc = n ? TB_OK : tb_str_append_text(out, "download", err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = tb_str_append(out, iscntrl((unsigned char)name[i]) || name[i] == '\\' ? "_" : name + i, 1, err);
    return rc;
}

// Names that are taken get a number before their ending: "report (1).pdf".
static tb_code find_free_name(tb_str *path, const char *folder, const char *suggested, tb_error *err)
{
    tb_str name = {0};
    tb_code rc = append_safe_name(&name, suggested, err);
    const char *dot = rc ? NULL : strrchr(name.data, '.');
    size_t stem = dot ? (size_t)(dot - name.data) : name.size;
    if (!rc)
        rc = tb_str_printf(path, err, "%s/%s", folder, name.data);
    for (int i = 1; !rc && tb_path_exists(path->data); i++) {
        tb_str_reset(path);
        rc = tb_str_printf(path, err, "%s/%.*s (%d)%s", folder, (int)stem, name.data, i, name.data + stem);
    }
    tb_str_clear(&name);
    return rc;
}

const char *tb_browser_download_folder(const tb_browser *browser)
{
    return browser->options.downloads ? browser->options.downloads : tb_str_get(&browser->profile);
}

static tb_code keep_download(tb_browser *browser, tb_download *d, tb_error *err)
{
    const char *folder = tb_browser_download_folder(browser);
    tb_str from = {0}, to = {0};
    tb_code rc = tb_str_printf(&from, err, "%s/%s", folder, d->guid.text);
    if (!rc)
        rc = find_free_name(&to, folder, tb_str_get(&d->file), err);
    if (!rc && rename(from.data, to.data) != 0)
        rc = tb_fail(err, TB_EIO, "cannot rename '%s' to '%s': %s", from.data, to.data, strerror(errno));
    if (!rc)
        rc = note(browser, "Downloaded: ", (tb_text){to.data, to.size}, "", err);
    if (!rc)
        rc = set_text(&d->file, (tb_text){to.data, to.size}, err);
    tb_str_clear(&from);
    tb_str_clear(&to);
    return rc;
}

static tb_code on_download_progress(tb_browser *browser, const char *session, const json_t *params, tb_error *err)
{
    (void)session;
    tb_browser_id guid = tb_browser_id_of(params, "guid");
    tb_text state = tb_json_text_at(params, "state");
    tb_download *d = find_download(browser, guid.text);
    if (!d || d->state != TB_DOWNLOAD_RUNS || tb_text_is(state, "inProgress"))
        return TB_OK;
    d->state = tb_text_is(state, "completed") ? TB_DOWNLOAD_COMPLETED : TB_DOWNLOAD_CANCELLED;
    return d->state == TB_DOWNLOAD_COMPLETED
               ? keep_download(browser, d, err)
               : note(browser, "A download ended early: ", (tb_text){tb_str_get(&d->file), d->file.size}, "", err);
}

// ---- all of them ----

static const struct {
    const char *method;
    tb_code (*handle)(tb_browser *browser, const char *session, const json_t *params, tb_error *err);
} handlers[] = {
    {"Target.targetCreated", on_target},
    {"Target.attachedToTarget", on_attached},
    {"Target.detachedFromTarget", on_detached},
    {"Target.targetInfoChanged", on_target_changed},
    {"Target.targetCrashed", on_target_crashed},
    {"Network.requestWillBeSent", on_request},
    {"Network.responseReceived", on_response},
    {"Network.loadingFinished", on_request_end},
    {"Network.loadingFailed", on_request_end},
    {"Fetch.requestPaused", on_request_paused},
    {"Fetch.authRequired", on_auth_required},
    {"Page.javascriptDialogOpening", on_dialog},
    {"Page.fileChooserOpened", on_file_chooser},
    {"Browser.downloadWillBegin", on_download},
    {"Browser.downloadProgress", on_download_progress},
};

void tb_browser_on_event(void *user, const char *session, const char *method, const json_t *params)
{
    tb_browser *browser = user;
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (strcmp(handlers[i].method, method) == 0) {
            tb_error err = {0};
            tb_code rc = handlers[i].handle(browser, session, params, &err);
            if (rc && !browser->event_error.code)
                browser->event_error = err;
        }
}

void tb_browser_forget_all(tb_browser *browser)
{
    for (size_t i = 0; i < browser->tab_count; i++)
        tab_clear(&browser->tabs[i]);
    for (size_t i = 0; i < browser->download_count; i++)
        tb_str_clear(&browser->downloads[i].file);
    tb_free(browser->tabs);
    tb_free(browser->sessions);
    tb_free(browser->requests);
    tb_free(browser->downloads);
}
