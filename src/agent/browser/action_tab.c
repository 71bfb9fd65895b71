// Actions on tabs: going somewhere, back, to another one.
#include "agent/browser/act.h"

#include <string.h>

#include <jansson.h>

enum { LONGEST_WAIT = 30, USUAL_WAIT = 3 }; // seconds

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

// Waits until a tab has come, or has gone.
static tb_code wait_for_tab(tb_browser *browser, const tb_browser_id *target, bool there, tb_error *err)
{
    double most = TB_DEVTOOLS_MS / 1e3 * browser->options.time_scale, begin = tb_clock_seconds();
    tb_code rc = TB_OK;
    while (!rc && (tb_browser_find_tab(browser, target->text) != NULL) != there) {
        if (tb_clock_seconds() - begin > most)
            return tb_fail(err, TB_ELIMIT, "the browser does not %s a tab", there ? "open" : "close");
        rc = tb_devtools_listen(browser->devtools, TB_DEVTOOLS_MS, err);
    }
    return rc;
}

static tb_code open_tab(tb_act *act, tb_error *err)
{
    json_t *result;
    tb_browser *browser = act->browser;
    tb_code rc = tb_devtools_call(&result, browser->devtools, NULL, "Target.createTarget",
                                  json_pack("{s:s}", "url", "about:blank"), TB_DEVTOOLS_MS, err);
    tb_browser_id target = tb_browser_id_of(result, "targetId");
    json_decref(result);
    if (!rc)
        rc = wait_for_tab(browser, &target, true, err);
    if (!rc)
        browser->focused = target;
    return rc;
}

tb_code tb_act_navigate(tb_act *act, tb_error *err)
{
    const char *url = NULL;
    tb_code rc = tb_act_need_text(&url, act, "url", err);
    if (rc || !url)
        return rc;
    if (!has_scheme(url, "http://") && !has_scheme(url, "https://") && strcmp(url, "about:blank") != 0)
        return tb_act_refuse(act, err, "'%.300s' is no address of the web; it begins with http:// or https://", url);
    if (tb_act_flag(act, "new_tab", false))
        rc = open_tab(act, err);
    if (!rc)
        rc = tb_browser_visit(act->browser, url, err);
    const tb_tab *tab = tb_browser_front_tab(act->browser);
    if (!rc)
        rc = tb_act_say(act, err, "opened %.300s", url);
    return !rc && tab && tab->status >= 400 ? tb_act_say(act, err, "; the server answered with status %d", tab->status)
                                            : rc;
}

tb_code tb_act_search(tb_act *act, tb_error *err)
{
    return tb_act_refuse(act, err, "there is no internet search here");
}

tb_code tb_act_go_back(tb_act *act, tb_error *err)
{
    json_t *history;
    tb_code rc = tb_browser_call(&history, act->browser, "Page.getNavigationHistory", NULL, err);
    json_int_t current = json_integer_value(json_object_get(history, "currentIndex"));
    const json_t *entry = current > 0 ? json_array_get(json_object_get(history, "entries"), (size_t)current - 1) : NULL;
    if (!rc && !entry)
        rc = tb_act_refuse(act, err, "there is no page before this one");
    else if (!rc)
        rc = tb_browser_call(NULL, act->browser, "Page.navigateToHistoryEntry",
                             json_pack("{s:O}", "entryId", json_object_get(entry, "id")), err);
    json_decref(history);
    size_t open;
    if (rc || act->result->failed)
        return rc;
    rc = tb_browser_settle(&open, act->browser, TB_SETTLE_NAVIGATION_MS, err);
    return rc ? rc : tb_act_say(act, err, "went back");
}

tb_code tb_act_wait(tb_act *act, tb_error *err)
{
    double seconds = tb_act_number(act, "seconds", USUAL_WAIT) - 1; // looking at the page takes the rest
    seconds = seconds < 0 ? 0 : seconds > LONGEST_WAIT ? LONGEST_WAIT : seconds;
    tb_code rc = tb_browser_pause(act->browser, (int)(seconds * 1000), err);
    if (!rc)
        rc = tb_act_settle(act, err);
    return rc ? rc : tb_act_say(act, err, "waited");
}

// The tab that the parameter names; NULL: the action was refused.
static tb_code need_tab(tb_tab **out, tb_act *act, tb_error *err)
{
    const char *label = NULL;
    *out = NULL;
    tb_code rc = tb_act_need_text(&label, act, "tab_id", err);
    if (rc || !label)
        return rc;
    *out = tb_browser_find_label(act->browser, label);
    return *out ? TB_OK : tb_act_refuse(act, err, "there is no tab '%.50s'", label);
}

tb_code tb_act_switch(tb_act *act, tb_error *err)
{
    tb_tab *tab;
    tb_code rc = need_tab(&tab, act, err);
    if (rc || !tab)
        return rc;
    act->browser->focused = tab->target;
    rc = tb_devtools_call(NULL, act->browser->devtools, NULL, "Target.activateTarget",
                          json_pack("{s:s}", "targetId", act->browser->focused.text), TB_DEVTOOLS_MS, err);
    if (!rc)
        rc = tb_act_settle(act, err);
    return rc ? rc : tb_act_say(act, err, "switched tabs");
}

tb_code tb_act_close(tb_act *act, tb_error *err)
{
    tb_tab *tab;
    tb_code rc = need_tab(&tab, act, err);
    if (rc || !tab)
        return rc;
    tb_browser *browser = act->browser;
    tb_browser_id target = tab->target;
    if (browser->tab_count == 1) // the browser would end
        rc = open_tab(act, err);
    if (!rc)
        rc = tb_devtools_call(NULL, browser->devtools, NULL, "Target.closeTarget",
                              json_pack("{s:s}", "targetId", target.text), TB_DEVTOOLS_MS, err);
    if (!rc)
        rc = wait_for_tab(browser, &target, false, err);
    if (!rc)
        rc = tb_devtools_call(NULL, browser->devtools, NULL, "Target.activateTarget",
                              json_pack("{s:s}", "targetId", browser->focused.text), TB_DEVTOOLS_MS, err);
    if (!rc)
        rc = tb_act_settle(act, err);
    return rc ? rc : tb_act_say(act, err, "closed a tab");
}
