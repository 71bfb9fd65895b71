// A run's results. On the report's page: whatever a model or a page wrote, the page has no tags but its own.
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/audit.h"
#include "agent/html_task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_own_tag(const char *at)
{
    static const char *const tags[] = {"<ol>\n",
                                       "</ol>\n",
                                       "<li value=\"",
                                       "</li>\n",
                                       "<div>",
                                       "<div class=\"dim\">",
                                       "</div>",
                                       "<code>",
                                       "</code>",
                                       "</span>",
                                       "</b>",
                                       "<span class=\"dim\">",
                                       "<b class=\"bad\">",
                                       "<div class=\"bad\">"};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (strncmp(at, tags[i], strlen(tags[i])) == 0)
            return true;
    return false;
}

static void check_page(const tb_str *html)
{
    for (const char *at = tb_str_get(html); (at = strchr(at, '<')) != NULL; at++)
        if (!is_own_tag(at))
            abort();
    if (strlen(tb_str_get(html)) != html->size || tb_utf8_valid_prefix(tb_str_get(html), html->size) != html->size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_saas_run run = {0};
    tb_str html = {0};
    tb_error err;
    if (!tb_json_read(&run.agent, (tb_text){(const char *)data, size}, "it", &err)) {
        tb_markup m = {.out = &html, .err = &err};
        tb_html_put_trajectory(&m, &run, "");
        check_page(&html);
        tb_audit audit = tb_run_audit(&(tb_saas_run){run.agent, run.agent}, NULL);
        if (!(audit.score >= 0 && audit.score <= 1))
            abort();
    }
    json_decref(run.agent);
    tb_str_clear(&html);
    return 0;
}
