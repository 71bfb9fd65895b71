// Pages with long polling never say that they have loaded. What counts is whether requests are under way, and those
// that have been for long do not count.
#include "agent/browser/browser_state.h"

#include <jansson.h>

enum {
    LEAST_MS = 250, // a page needs some time to ask for anything at all
    IDLE_MS = 500,  // without a request that begins or ends
    FRAME_MS = 300, // to draw what came
    OLD_MS = 5000,  // a request that takes longer waits for something to happen
    ONE_LOOK_MS = 50,
};

tb_code tb_browser_need_tab(tb_tab **out, const tb_browser *browser, tb_error *err)
{
    *out = tb_browser_front_tab(browser);
    return *out ? TB_OK : tb_fail(err, TB_EIO, "the browser has no tab");
}

tb_code tb_browser_call(json_t **result, tb_browser *browser, const char *method, json_t *params, tb_error *err)
{
    tb_tab *tab;
    if (result)
        *result = NULL;
    tb_code rc = tb_browser_need_tab(&tab, browser, err);
    if (rc) {
        json_decref(params);
        return rc;
    }
    tb_browser_id session = tab->session; // tabs may go while we wait
    return tb_devtools_call(result, browser->devtools, session.text, method, params, TB_DEVTOOLS_MS, err);
}

tb_code tb_browser_pause(tb_browser *browser, int ms, tb_error *err)
{
    double begin = tb_clock_seconds();
    tb_code rc = TB_OK;
    for (double left = ms; !rc && left > 0; left = ms - (tb_clock_seconds() - begin) * 1e3)
        rc = tb_devtools_listen(browser->devtools, (int)left + 1, err);
    return rc;
}

// Requests of the tab in front that are under way, without the old ones.
static size_t count_open(const tb_browser *browser)
{
    size_t n = 0;
    double now = tb_clock_seconds();
    for (size_t i = 0; i < browser->request_count; i++) {
        const tb_request *r = &browser->requests[i];
        n += tb_browser_id_is(&r->tab, browser->focused.text) && (now - r->began) * 1e3 < OLD_MS;
    }
    return n;
}

// Lets the page draw what came. *read says whether all of its text was, too. One that is being left may not answer:
// that is no failure.
static tb_code draw(bool *read, tb_browser *browser, tb_error *err)
{
    // A tab that is behind another draws nothing: it is given as long as a few frames take.
    static const char script[] = "new Promise(done => {"
                                 "  const say = () => done(document.readyState != 'loading');"
                                 "  requestAnimationFrame(say); setTimeout(say, 100);"
                                 "})";
    const tb_tab *tab = tb_browser_front_tab(browser);
    *read = true;
    if (!tab || tab->crashed)
        return TB_OK;
    json_t *result;
    tb_browser_id session = tab->session;
    tb_code rc = tb_devtools_call(&result, browser->devtools, session.text, "Runtime.evaluate",
                                  json_pack("{s:s, s:b}", "expression", script, "awaitPromise", 1), FRAME_MS, err);
    *read = rc != TB_ELIMIT && !json_is_false(json_object_get(json_object_get(result, "result"), "value"));
    json_decref(result);
    return rc == TB_ELIMIT || rc == TB_EINVAL ? TB_OK : rc;
}

static bool has_time(const tb_browser *browser, double begin, int most_ms)
{
    return (tb_clock_seconds() - begin) * 1e3 < most_ms * browser->options.time_scale;
}

static bool is_idle(const tb_browser *browser)
{
    return count_open(browser) == 0 && (tb_clock_seconds() - browser->last_traffic) * 1e3 >= IDLE_MS;
}

tb_code tb_browser_settle(size_t *open, tb_browser *browser, int most_ms, tb_error *err)
{
    double begin = tb_clock_seconds();
    tb_code rc = tb_browser_pause(browser, LEAST_MS, err);
    for (bool read = false; !rc && !read;) {
        while (!rc && !is_idle(browser) && has_time(browser, begin, most_ms))
            rc = tb_devtools_listen(browser->devtools, ONE_LOOK_MS, err);
        if (!rc)
            rc = draw(&read, browser, err);
        read |= !has_time(browser, begin, most_ms);
    }
    *open = count_open(browser);
    if (!rc && browser->event_error.code) {
        rc = browser->event_error.code;
        if (err)
            *err = browser->event_error;
    }
    return rc;
}
