// Chromium is told to speak the DevTools protocol over its descriptors 3 and 4: no port, no WebSocket, nobody else.
#include "agent/browser/browser_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

enum {
    COMMON_ARGUMENTS = 24,
    MOST_ARGUMENTS = COMMON_ARGUMENTS + 10,
    START_MS = 60000, // a cold start of a busy machine; a warm one takes one second
    CLOSE_MS = 5000,  // what is being written to the profile is of no interest
};

// BackForwardCache must be off: with it the geometry of a page that was left is still answered for, and a click would
// hit whatever is there now. The three about backgrounds let a tab that is not in front answer at all. Smooth scrolling
// would still go on when the page is looked at.
static const char *const common_arguments[COMMON_ARGUMENTS + 1] = {
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
    "--disable-features=BackForwardCache,Translate,MediaRouter,OptimizationHints",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-breakpad",
    "--disable-smooth-scrolling",
    "--lang=en-US",
    "--force-device-scale-factor=1",
    "--hide-crash-restore-bubble",
    "--remote-debugging-pipe",
};

// ---- the program ----

static tb_code find_program(tb_str *out, const tb_browser_options *options, tb_error *err)
{
    static const char *const usual[] = {"chromium", "chromium-browser", "google-chrome", "chrome-headless-shell"};
    const char *named = options->program ? options->program : getenv("CHROME");
    if (named && *named)
        return tb_program_find(out, named, NULL, err);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (tb_program_find(out, usual[i], NULL, err) == TB_OK)
            return TB_OK;
    return tb_fail(err, TB_EIO, "there is no browser; 'tools/install-apps chromium' installs one");
}

// ---- its folder ----

static tb_code make_profile(tb_browser *browser, tb_error *err)
{
    tb_code rc = tb_make_temporary_folder(&browser->profile, "twobit-browser", err);
    return rc ? tb_fail_context(err, rc, "a folder for the browser") : TB_OK;
}

// ---- starting ----

typedef struct launch {
    tb_str program, window, folder, home, temporary, zone;
    const char *arguments[MOST_ARGUMENTS + 1];
    const char *environment[5];
    int in[2], out[2]; // pipes, as the browser sees them
} launch;

static void launch_clear(launch *l)
{
    tb_str_clear(&l->program);
    tb_str_clear(&l->window);
    tb_str_clear(&l->folder);
    tb_str_clear(&l->home);
    tb_str_clear(&l->temporary);
    tb_str_clear(&l->zone);
    for (int i = 0; i < 2; i++) {
        if (l->in[i] >= 0)
            close(l->in[i]);
        if (l->out[i] >= 0)
            close(l->out[i]);
    }
}

static void list_arguments(launch *l, const tb_browser_options *options)
{
    size_t n = 0;
    l->arguments[n++] = l->program.data;
    if (!options->headed)
        l->arguments[n++] = "--headless=new";
    if (options->no_sandbox || getuid() == 0)
        l->arguments[n++] = "--no-sandbox";
    for (size_t i = 0; common_arguments[i]; i++)
        l->arguments[n++] = common_arguments[i];
    l->arguments[n++] = l->window.data;
    l->arguments[n++] = l->folder.data;
    l->arguments[n++] = "about:blank";
}

static tb_code prepare(launch *l, const tb_browser *browser, tb_error *err)
{
    const tb_browser_options *options = &browser->options;
    tb_code rc = find_program(&l->program, options, err);
    if (!rc)
        rc = tb_str_printf(&l->window, err, "--window-size=%zu,%zu", options->width, options->height);
    if (!rc)
        rc = tb_str_printf(&l->folder, err, "--user-data-dir=%s", browser->profile.data);
    if (!rc)
        rc = tb_str_printf(&l->home, err, "HOME=%s", browser->profile.data);
    if (!rc) // Chromium leaves things there when it is killed
        rc = tb_str_printf(&l->temporary, err, "TMPDIR=%s", browser->profile.data);
    if (!rc && options->time_zone)
        rc = tb_str_printf(&l->zone, err, "TZ=%s", options->time_zone);
    if (!rc && (pipe(l->in) != 0 || pipe(l->out) != 0))
        rc = tb_fail(err, TB_EIO, "cannot make a pipe: %s", strerror(errno));
    if (rc)
        return rc;
    l->environment[0] = l->home.data;
    l->environment[1] = l->temporary.data;
    l->environment[2] = "LANG=en_US.UTF-8";
    l->environment[3] = l->zone.data; // NULL where there is none, and then the last
    list_arguments(l, options);
    return TB_OK;
}

static tb_code start(tb_browser *browser, const tb_report *report, tb_error *err)
{
    launch l = {.in = {-1, -1}, .out = {-1, -1}};
    tb_code rc = make_profile(browser, err);
    if (!rc)
        rc = prepare(&l, browser, err);
    if (!rc) {
        const int descriptors[] = {-1, -1, -1, l.in[0], l.out[1]};
        tb_process_options options = {.arguments = l.arguments,
                                      .environment = l.environment,
                                      .scratch = browser->profile.data,
                                      .descriptors = descriptors,
                                      .descriptor_count = sizeof descriptors / sizeof descriptors[0]};
        rc = tb_process_start(&browser->process, &options, err);
    }
    if (!rc) {
        rc = tb_devtools_open(&browser->devtools, l.in[1], l.out[0], tb_browser_on_event, browser, report, err);
        l.in[1] = l.out[0] = -1;
    }
    launch_clear(&l);
    return rc;
}

// ---- its first words ----

static tb_code ask_version(tb_browser *browser, tb_error *err)
{
    json_t *version;
    tb_code rc = tb_devtools_call(&version, browser->devtools, NULL, "Browser.getVersion", NULL, START_MS, err);
    if (!rc) {
        tb_text product = tb_json_text_at(version, "product");
        rc = tb_str_append(&browser->version, product.data, product.size, err);
    }
    json_decref(version);
    return rc ? tb_fail_context(err, rc, "the browser does not come up") : TB_OK;
}

static tb_code watch(tb_browser *browser, tb_error *err)
{
    tb_devtools *d = browser->devtools;
    tb_code rc = tb_devtools_call(NULL, d, NULL, "Browser.setDownloadBehavior",
                                  json_pack("{s:s, s:s, s:b}", "behavior", "allowAndName", "downloadPath",
                                            tb_browser_download_folder(browser), "eventsEnabled", 1),
                                  TB_DEVTOOLS_MS, err);
    if (!rc)
        rc = tb_devtools_call(NULL, d, NULL, "Target.setDiscoverTargets", json_pack("{s:b}", "discover", 1),
                              TB_DEVTOOLS_MS, err);
    double begin = tb_clock_seconds();
    while (!rc && !tb_browser_front_tab(browser)) {
        rc = tb_devtools_listen(d, START_MS, err);
        if (!rc && tb_clock_seconds() - begin > START_MS / 1e3 * browser->options.time_scale)
            rc = tb_fail(err, TB_EIO, "the browser opens no page");
    }
    return rc;
}

tb_code tb_browser_open(tb_browser **out, const tb_browser_options *options, const tb_report *report, tb_error *err)
{
    *out = NULL;
    tb_browser *browser = tb_new(tb_browser);
    if (!browser)
        return tb_fail(err, TB_ENOMEM, "no memory for a browser");
    browser->options = *options;
    if (browser->options.time_scale <= 0)
        browser->options.time_scale = 1;
    tb_code rc = start(browser, report, err);
    if (!rc) {
        tb_devtools_set_time_scale(browser->devtools, browser->options.time_scale);
        rc = ask_version(browser, err);
    }
    if (!rc)
        rc = watch(browser, err);
    if (rc)
        tb_browser_close(browser);
    else
        *out = browser;
    return rc;
}

void tb_browser_close(tb_browser *browser)
{
    if (!browser)
        return;
    if (browser->devtools && browser->process) {
        tb_process_end end;
        tb_devtools_post(browser->devtools, NULL, "Browser.close", NULL, NULL);
        tb_process_wait(&end, browser->process, CLOSE_MS);
    }
    if (!browser->process && browser->profile.size)
        rmdir(browser->profile.data); // empty: nothing was started that would remove it
    tb_process_close(browser->process);
    tb_devtools_close(browser->devtools);
    tb_browser_forget_all(browser);
    tb_str_clear(&browser->profile);
    tb_str_clear(&browser->version);
    tb_str_clear(&browser->notes);
    tb_free(browser->entries);
    tb_free(browser);
}

const char *tb_browser_get_version(const tb_browser *browser)
{
    return tb_str_get(&browser->version);
}

int tb_browser_get_process(const tb_browser *browser)
{
    return tb_process_get_id(browser->process);
}

tb_devtools *tb_browser_get_devtools(tb_browser *browser)
{
    return browser->devtools;
}

const char *tb_browser_get_session(const tb_browser *browser)
{
    const tb_tab *tab = tb_browser_front_tab(browser);
    return tab ? tab->session.text : "";
}
