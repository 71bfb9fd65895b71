// The browser writes whether we listen or not, and blocks when its pipe is full: so while there is something to send
// that it does not take, what it has to say is read.
#define _GNU_SOURCE // F_SETPIPE_SZ
#include "agent/browser/devtools.h"

#include "agent/browser/devtools_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

enum {
    PIECE_BYTES = 64 * 1024,
    LOOK_MS = 200,           // the report is asked at least so often whether to stop
    PIPE_BYTES = 1024 * 1024 // as many as anybody may ask for: a snapshot then comes in few turns of two processes
};

// An answer that somebody waits for.
typedef struct expected {
    uint64_t id;
    char session[64]; // "" is the browser itself
    json_t *answer;   // NULL: has not come
} expected;

struct tb_devtools {
    int to, from;
    tb_devtools_on_event *on_event;
    void *user;
    const tb_report *report;
    double time_scale;
    uint64_t last_id;
    tb_devtools_reader reader;
    tb_str outbox; // what the browser has not taken yet
    size_t sent;
    expected *expected;
    size_t expected_count, expected_capacity;
};

tb_code tb_devtools_open(tb_devtools **out, int to, int from, tb_devtools_on_event *on_event, void *user,
                         const tb_report *report, tb_error *err)
{
    *out = tb_new(tb_devtools);
    if (!*out) {
        close(to);
        close(from);
        return tb_fail(err, TB_ENOMEM, "no memory to talk to a browser");
    }
    **out =
        (tb_devtools){.to = to, .from = from, .on_event = on_event, .user = user, .report = report, .time_scale = 1};
    fcntl(to, F_SETFL, O_NONBLOCK);
    fcntl(from, F_SETFL, O_NONBLOCK);
    fcntl(from, F_SETPIPE_SZ, PIPE_BYTES);
    return TB_OK;
}

void tb_devtools_close(tb_devtools *devtools)
{
    if (!devtools)
        return;
    close(devtools->to);
    close(devtools->from);
    tb_devtools_reader_clear(&devtools->reader);
    tb_str_clear(&devtools->outbox);
    for (size_t i = 0; i < devtools->expected_count; i++)
        json_decref(devtools->expected[i].answer);
    tb_free(devtools->expected);
    tb_free(devtools);
}

void tb_devtools_set_time_scale(tb_devtools *devtools, double scale)
{
    devtools->time_scale = scale;
}

// ---- what comes ----

static expected *find_expected(const tb_devtools *devtools, uint64_t id)
{
    for (size_t i = 0; i < devtools->expected_count; i++)
        if (devtools->expected[i].id == id)
            return &devtools->expected[i];
    return NULL;
}

static void handle(tb_devtools *devtools, json_t *message)
{
    const json_t *id = json_object_get(message, "id");
    const char *method = json_string_value(json_object_get(message, "method"));
    const char *session = json_string_value(json_object_get(message, "sessionId"));
    if (json_is_integer(id)) {
        expected *e = find_expected(devtools, (uint64_t)json_integer_value(id));
        if (e && !e->answer)
            e->answer = json_incref(message);
    } else if (method) {
        devtools->on_event(devtools->user, session ? session : "", method, json_object_get(message, "params"));
    }
}

static tb_code handle_all(tb_devtools *devtools, tb_error *err)
{
    for (;;) {
        json_t *message;
        tb_code rc = tb_devtools_reader_next(&message, &devtools->reader, err);
        if (rc || !message)
            return rc;
        handle(devtools, message);
        json_decref(message);
    }
}

static tb_code fail_ended(tb_error *err)
{
    return tb_fail(err, TB_EIO, "the browser has ended");
}

static tb_code read_piece(tb_devtools *devtools, tb_error *err)
{
    char piece[PIECE_BYTES];
    ssize_t n = read(devtools->from, piece, sizeof piece);
    if (n > 0)
        return tb_devtools_reader_feed(&devtools->reader, piece, (size_t)n, err);
    return n < 0 && (errno == EINTR || errno == EAGAIN) ? TB_OK : fail_ended(err);
}

// ---- what goes ----

static tb_code write_piece(tb_devtools *devtools, tb_error *err)
{
    tb_str *outbox = &devtools->outbox;
    ssize_t n = write(devtools->to, outbox->data + devtools->sent, outbox->size - devtools->sent);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? TB_OK : fail_ended(err);
    devtools->sent += (size_t)n;
    if (devtools->sent == outbox->size) {
        tb_str_reset(outbox);
        devtools->sent = 0;
    }
    return TB_OK;
}

// One turn of at most `wait_ms`: sends and reads what can be. *came says whether there was something to read.
static tb_code turn(bool *came, tb_devtools *devtools, int wait_ms, tb_error *err)
{
    struct pollfd ends[] = {{.fd = devtools->from, .events = POLLIN},
                            {.fd = devtools->outbox.size ? devtools->to : -1, .events = POLLOUT}};
    int ready = poll(ends, 2, wait_ms < LOOK_MS ? wait_ms : LOOK_MS);
    *came = ready > 0 && ends[0].revents;
    if (tb_report_stopped(devtools->report))
        return tb_fail(err, TB_ECANCELLED, "stopped");
    tb_code rc = *came ? read_piece(devtools, err) : TB_OK;
    if (!rc && ready > 0 && ends[1].revents)
        rc = write_piece(devtools, err);
    return rc ? rc : handle_all(devtools, err);
}

static int time_left(double begin, double timeout_ms)
{
    double left = timeout_ms - (tb_clock_seconds() - begin) * 1e3;
    return left <= 0 ? 0 : left > 1e9 ? 1000000000 : (int)left + 1;
}

tb_code tb_devtools_listen(tb_devtools *devtools, int timeout_ms, tb_error *err)
{
    double begin = tb_clock_seconds();
    bool came = false;
    int left;
    tb_code rc;
    do {
        left = time_left(begin, timeout_ms);
        rc = turn(&came, devtools, left, err);
    } while (!rc && !came && left > 0);
    return rc;
}

static tb_code expect(tb_devtools *devtools, uint64_t id, const char *session, tb_error *err)
{
    if (devtools->expected_count == devtools->expected_capacity) {
        size_t capacity = 2 * devtools->expected_capacity + 8;
        expected *grown =
            tb_realloc_array(devtools->expected, devtools->expected_count, capacity, sizeof *devtools->expected);
        if (!grown)
            return tb_fail(err, TB_ENOMEM, "no memory for commands to a browser");
        devtools->expected = grown;
        devtools->expected_capacity = capacity;
    }
    expected *e = &devtools->expected[devtools->expected_count++];
    *e = (expected){.id = id};
    snprintf(e->session, sizeof e->session, "%s", session ? session : "");
    return TB_OK;
}

void tb_devtools_give_up(tb_devtools *devtools, const char *session)
{
    for (size_t i = 0; i < devtools->expected_count; i++) {
        expected *e = &devtools->expected[i];
        if (!e->answer && strcmp(e->session, session) == 0)
            e->answer = json_pack("{s:{s:s}}", "error", "message", "the page is gone");
    }
}

static void expect_no_more(tb_devtools *devtools, uint64_t id)
{
    expected *e = find_expected(devtools, id);
    if (!e)
        return;
    json_decref(e->answer);
    *e = devtools->expected[--devtools->expected_count];
}

static tb_code put_in_outbox(tb_devtools *devtools, const char *session, const char *method, json_t *params,
                             tb_error *err)
{
    json_t *command = json_pack("{s:I, s:s, s:o}", "id", (json_int_t)++devtools->last_id, "method", method, "params",
                                params ? params : json_object());
    size_t before = devtools->outbox.size;
    if (!command || (session && *session && json_object_set_new(command, "sessionId", json_string(session)) != 0)) {
        json_decref(command);
        return tb_fail(err, TB_ENOMEM, "no memory for '%s'", method);
    }
    tb_code rc = tb_json_append(&devtools->outbox, command, 0, err);
    if (!rc)
        rc = tb_str_append(&devtools->outbox, "", 1, err);
    if (rc)
        tb_str_truncate(&devtools->outbox, before);
    json_decref(command);
    return rc;
}

tb_code tb_devtools_post(tb_devtools *devtools, const char *session, const char *method, json_t *params, tb_error *err)
{
    tb_code rc = put_in_outbox(devtools, session, method, params, err);
    return rc ? rc : write_piece(devtools, err);
}

tb_code tb_devtools_send(uint64_t *id, tb_devtools *devtools, const char *session, const char *method, json_t *params,
                         tb_error *err)
{
    *id = devtools->last_id + 1;
    tb_code rc = tb_devtools_post(devtools, session, method, params, err);
    return rc ? rc : expect(devtools, *id, session, err);
}

static tb_code take_result(json_t **result, const json_t *answer, tb_error *err)
{
    const json_t *error = json_object_get(answer, "error");
    if (error) {
        tb_text message = tb_json_text_at(error, "message");
        return tb_fail(err, TB_EINVAL, "the browser refuses: %.*s", (int)tb_min_size(message.size, 300), message.data);
    }
    if (result)
        *result = json_incref(json_object_get(answer, "result"));
    return TB_OK;
}

tb_code tb_devtools_take(json_t **result, tb_devtools *devtools, uint64_t id, int timeout_ms, tb_error *err)
{
    double begin = tb_clock_seconds();
    tb_code rc = TB_OK;
    if (result)
        *result = NULL;
    const json_t *answer = find_expected(devtools, id)->answer;
    for (int left = 1; !rc && !answer && left > 0;) {
        bool came;
        left = time_left(begin, timeout_ms * devtools->time_scale);
        rc = turn(&came, devtools, left, err);
        answer = find_expected(devtools, id)->answer;
    }
    if (!rc)
        rc = answer ? take_result(result, answer, err) : tb_fail(err, TB_ELIMIT, "the browser does not answer");
    expect_no_more(devtools, id);
    return rc;
}

tb_code tb_devtools_call(json_t **result, tb_devtools *devtools, const char *session, const char *method,
                         json_t *params, int timeout_ms, tb_error *err)
{
    uint64_t id;
    if (result)
        *result = NULL;
    tb_code rc = tb_devtools_send(&id, devtools, session, method, params, err);
    return rc ? rc : tb_devtools_take(result, devtools, id, timeout_ms, err);
}
