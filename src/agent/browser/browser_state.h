// What is known of a browser, for the files of this folder.
#ifndef TB_BROWSER_STATE_H
#define TB_BROWSER_STATE_H

#include "agent/browser/browser.h"
#include "net/net.h"

struct json_t;

// Names that the browser gives: 32 digits, and room for other styles.
enum { TB_NAME_BYTES = 48 };
typedef struct tb_browser_id {
    char text[TB_NAME_BYTES];
} tb_browser_id;

// A name from a message; one that is too long is cut, and will not be found again.
tb_browser_id tb_browser_id_of(const struct json_t *object, const char *key);
bool tb_browser_id_is(const tb_browser_id *name, const char *text);

// A tab. Its target is also the name of its top frame.
typedef struct tb_tab {
    tb_browser_id target, session, opener;
    tb_str url, title;
    int status; // of the last response to a document of the top frame; 0: none
    bool crashed;
} tb_tab;

// A session of a tab, or of a frame that runs in a process of its own; then `target` is the name of the frame.
typedef struct tb_session {
    tb_browser_id id, target, tab;
    bool is_frame;
} tb_session;

typedef struct tb_request {
    tb_browser_id id, tab;
    double began; // seconds of tb_clock_seconds
} tb_request;

typedef struct tb_download {
    tb_browser_id guid;
    tb_str file; // suggested, then where it lies
    enum { TB_DOWNLOAD_RUNS, TB_DOWNLOAD_COMPLETED, TB_DOWNLOAD_CANCELLED } state;
} tb_download;

// A number by which an element is called: of one node of one document.
typedef struct tb_index_entry {
    tb_browser_id session, frame, loader;
    int64_t node; // backendNodeId
    size_t number;
    size_t first_seen, last_seen; // observations
    tb_browser_id role, tag;
    uint64_t name_hash; // of what it is called
    size_t ordinal;     // among those with the same role, tag and name in the frame
} tb_index_entry;

struct tb_browser {
    tb_browser_options options;
    tb_process *process;
    tb_devtools *devtools;
    tb_str profile; // a folder
    tb_str version;
    tb_tab *tabs; // oldest first
    size_t tab_count;
    tb_browser_id focused; // target of the tab in front; "": there is none
    tb_session *sessions;
    size_t session_count;
    tb_request *requests; // in flight
    size_t request_count;
    double last_traffic; // when a request began or ended
    tb_download *downloads;
    size_t download_count;
    tb_str notes; // what happened since the last observation, a line each
    tb_index_entry *entries;
    size_t entry_count, entry_capacity;
    size_t observations;
    size_t crashes;       // of pages
    tb_error event_error; // of handling an event; its code is TB_OK while there was none
};

// ---- browser_events.c ----

tb_devtools_on_event tb_browser_on_event;

tb_tab *tb_browser_find_tab(const tb_browser *browser, const char *target);
tb_tab *tb_browser_front_tab(const tb_browser *browser); // NULL: there is none
void tb_browser_forget_all(tb_browser *browser);

// Where downloads lie, under names that the browser makes up until they are complete.
const char *tb_browser_download_folder(const tb_browser *browser);

// ---- browser_settle.c ----

enum { TB_SETTLE_MS = 8000, TB_SETTLE_NAVIGATION_MS = 15000 };

// Waits until no request of the tab in front is under way and none was for a while, for `most_ms` at most. *open says
// how many still are.
tb_code tb_browser_settle(size_t *open, tb_browser *browser, int most_ms, tb_error *err);

// Just waits, and handles what comes.
tb_code tb_browser_pause(tb_browser *browser, int ms, tb_error *err);

// A command to the session of the tab in front.
tb_code tb_browser_call(struct json_t **result, tb_browser *browser, const char *method, struct json_t *params,
                        tb_error *err);

// The tab that is called so in observations; NULL: there is none.
tb_tab *tb_browser_find_label(const tb_browser *browser, const char *label);

// Appends the bytes that a command to the tab in front gives as base64.
tb_code tb_browser_append_base64(tb_str *out, tb_browser *browser, const char *method, struct json_t *params,
                                 tb_error *err);

// The tab in front; TB_EIO where none is.
tb_code tb_browser_need_tab(tb_tab **out, const tb_browser *browser, tb_error *err);

#endif
