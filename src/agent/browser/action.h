// What an agent can do in a browser. Names and parameters are those of the agent that SaaS-Bench uses.
#ifndef TB_ACTION_H
#define TB_ACTION_H

#include "base/base.h"

struct json_t;
struct tb_browser;

typedef struct tb_action_result {
    tb_str text;    // what was done or found, for whoever acts; where `failed`, why not
    bool failed;    // not, or not as it was asked for
    bool ends_list; // of actions that were given together: what follows was meant for another page
} tb_action_result;

// A name in the order of the table; NULL behind the last.
const char *tb_action_name(size_t i);

// Does one action and waits until the page has come to rest. `params` is an object. What is wrong with name or
// parameters, or goes wrong on the page, is told in the result; TB_EIO is for a browser that fails.
tb_code tb_browser_act(tb_action_result *out, struct tb_browser *browser, const char *name, const struct json_t *params,
                       tb_error *err);
void tb_action_result_clear(tb_action_result *result);

#endif
