// A browser that is driven over the DevTools pipe: Debian's Chromium, or one of its kin.
//
//   devtools_reader.c   messages out of bytes
//   devtools.c          commands, answers, events
//   browser_launch.c    starting and ending it, with a profile of its own
//   browser_events.c    what it tells unasked: tabs, requests, dialogs, downloads
//   browser_settle.c    waiting until a page has come to rest
//   browser_visit.c     going somewhere
//   page_snapshot.c     the nodes of a page, its frames and shadow roots put together
//   page_interactive.c  which of them one can do something with
//   page_index.c        the numbers by which these are called
//   page_text.c         the page as a text
//   page_markdown.c     the page as Markdown
//   page_observe.c      one observation: that text and what belongs to it
//   element.c           a number's node, as long as it lives, and scripts on it
//   action.c            the actions of an agent; action_*.c each a family of them
//
// Two kinds of failure: a tb_code where the browser itself fails, and the error of an action's result, which is for
// whoever acts. SIGPIPE must be ignored, as the program does: a browser may die while something is written to it.
#ifndef TB_BROWSER_H
#define TB_BROWSER_H

#include "agent/browser/action.h"
#include "agent/browser/devtools.h"
#include "agent/browser/observation.h"
#include "base/base.h"

// A site that may be visited.
typedef struct tb_browser_site {
    const char *host;
    int port;
    const char *user, *password; // for HTTP authentication; NULL: none
} tb_browser_site;

// All is borrowed while the browser is open.
typedef struct tb_browser_options {
    const char *program;        // NULL: what CHROME in the environment names, else the first of the usual ones in PATH
    size_t width, height;       // of the viewport, in CSS pixels
    bool headed;                // with a window
    bool no_sandbox;            // always so for root, whom Chromium refuses otherwise
    const char *time_zone;      // NULL: ours
    const char *downloads;      // where downloaded files go, with its whole path; NULL: into the profile, and with it
    const char *const *uploads; // files that a page may be given, besides the downloaded ones
    size_t upload_count;
    const tb_browser_site *sites; // what may be visited; NULL: anything
    size_t site_count;
    double time_scale; // multiplies every time limit; 0 means 1
} tb_browser_options;

typedef struct tb_browser tb_browser; // one thread at a time

// Starts a browser with an empty profile. However we end, it does not outlive us, nor does its profile. TB_EIO when
// there is none, or it does not come up.
tb_code tb_browser_open(tb_browser **out, const tb_browser_options *options, const tb_report *report, tb_error *err);
void tb_browser_close(tb_browser *browser);

// Opens an address, of any kind, in the tab in front, and waits until the page has come to rest. TB_EINVAL when it
// cannot be opened, with the browser's word for why: "net::ERR_CONNECTION_REFUSED".
tb_code tb_browser_visit(tb_browser *browser, const char *url, tb_error *err);

// What it calls itself: "Chrome/156.0.8078.114". Borrowed.
const char *tb_browser_get_version(const tb_browser *browser);

// The process that leads its group.
int tb_browser_get_process(const tb_browser *browser);

// The protocol below, and the session of the tab in front: for what is asked here only once. Borrowed.
tb_devtools *tb_browser_get_devtools(tb_browser *browser);
const char *tb_browser_get_session(const tb_browser *browser);

#endif
