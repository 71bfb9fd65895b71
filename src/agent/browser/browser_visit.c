// Going somewhere: the one way in which a page is opened.
#include "agent/browser/browser_state.h"

#include <string.h>

#include <jansson.h>

enum { NAVIGATE_MS = 30000 };

tb_code tb_browser_visit(tb_browser *browser, const char *url, tb_error *err)
{
    tb_tab *tab;
    tb_code rc = tb_browser_need_tab(&tab, browser, err);
    if (rc)
        return rc;
    tab->status = 0;
    tab->crashed = false;
    json_t *result;
    tb_browser_id session = tab->session;
    rc = tb_devtools_call(&result, browser->devtools, session.text, "Page.navigate", json_pack("{s:s}", "url", url),
                          NAVIGATE_MS, err);
    tb_text failure = tb_json_text_at(result, "errorText");
    // A download is no page, and aborts going there.
    bool is_download = !rc && failure.size && json_is_true(json_object_get(result, "isDownload"));
    if (!rc && failure.size && !is_download)
        rc = tb_fail(err, TB_EINVAL, "cannot open '%.300s': %.*s", url, (int)tb_min_size(failure.size, 100),
                     failure.data);
    json_decref(result);
    size_t open;
    return rc ? rc : tb_browser_settle(&open, browser, TB_SETTLE_NAVIGATION_MS, err);
}
