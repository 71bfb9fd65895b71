// The DevTools protocol over a pair of pipes: commands with their answers, and events in between.
//
// One counter numbers all commands. Events are handed to one function while an answer is waited for, or by
// tb_devtools_listen; that function may post commands, not wait for answers.
#ifndef TB_DEVTOOLS_H
#define TB_DEVTOOLS_H

#include "base/base.h"

struct json_t;

typedef struct tb_devtools tb_devtools; // one thread at a time

// `session` is "" for the browser itself. All is borrowed for the call.
typedef void tb_devtools_on_event(void *user, const char *session, const char *method, const struct json_t *params);

// Takes both descriptors. `report` (may be NULL) is borrowed, and asked while waiting whether to stop.
tb_code tb_devtools_open(tb_devtools **out, int to, int from, tb_devtools_on_event *on_event, void *user,
                         const tb_report *report, tb_error *err);
void tb_devtools_close(tb_devtools *devtools);

// Multiplies the time that answers have; 1 in the beginning.
void tb_devtools_set_time_scale(tb_devtools *devtools, double scale);

// Sends a command and waits for its answer. `session` NULL is the browser itself; `params` are taken, NULL stands for
// none; *result (may be NULL) is for json_decref. TB_EIO when the browser has ended, TB_ELIMIT when no answer came in
// time, TB_EINVAL where the browser refuses, with its words.
tb_code tb_devtools_call(struct json_t **result, tb_devtools *devtools, const char *session, const char *method,
                         struct json_t *params, int timeout_ms, tb_error *err);

// Sends a command whose answer nobody waits for.
tb_code tb_devtools_post(tb_devtools *devtools, const char *session, const char *method, struct json_t *params,
                         tb_error *err);

// The two halves of tb_devtools_call, to have several on their way.
tb_code tb_devtools_send(uint64_t *id, tb_devtools *devtools, const char *session, const char *method,
                         struct json_t *params, tb_error *err);
tb_code tb_devtools_take(struct json_t **result, tb_devtools *devtools, uint64_t id, int timeout_ms, tb_error *err);

// Whoever waits for an answer of a session gets a refusal: the page is gone, and will not give any.
void tb_devtools_give_up(tb_devtools *devtools, const char *session);

// Handles what comes within `timeout_ms`, at least until the first message.
tb_code tb_devtools_listen(tb_devtools *devtools, int timeout_ms, tb_error *err);

// The time that most commands have.
enum { TB_DEVTOOLS_MS = 30000 };

#endif
