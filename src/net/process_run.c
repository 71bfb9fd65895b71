#include "net/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 64 * 1024, // read at a time: as many as a pipe holds
    LOOK_MS = 200,           // the report is asked at least so often whether to stop
};

// What a program writes, and what is kept of it.
typedef struct drain {
    int fd; // -1 at its end
    tb_str *text;
    size_t most;
    bool *cut;
} drain;

static tb_code keep(drain *d, const char *bytes, size_t n, tb_error *err)
{
    size_t kept = tb_min_size(n, d->most - d->text->size);
    *d->cut |= kept < n;
    return tb_str_append(d->text, bytes, kept, err);
}

static tb_code drain_read(drain *d, tb_error *err)
{
    char piece[PIECE_BYTES];
    ssize_t n = read(d->fd, piece, sizeof piece);
    if (n > 0)
        return keep(d, piece, (size_t)n, err);
    if (n < 0 && errno == EINTR)
        return TB_OK;
    if (n < 0)
        return tb_fail(err, TB_EIO, "cannot read from a child process: %s", strerror(errno));
    close(d->fd);
    d->fd = -1;
    return TB_OK;
}

// How long to wait for the next thing to happen; 0: the time is over. A negative `timeout_ms` is none.
static int time_left(double start, int timeout_ms)
{
    double left = timeout_ms < 0 ? LOOK_MS : timeout_ms - (tb_clock_seconds() - start) * 1e3;
    return left <= 0 ? 0 : left < LOOK_MS ? (int)left + 1 : LOOK_MS;
}

// Reads until the program has ended, its time is over, or we are asked to stop.
static tb_code read_while_running(drain drains[2], bool *timed_out, tb_process *process, int timeout_ms,
                                  const tb_report *report, tb_error *err)
{
    double start = tb_clock_seconds();
    tb_code rc = TB_OK;
    for (int left = 1; !rc && left > 0;) {
        struct pollfd sources[] = {{.fd = drains[0].fd, .events = POLLIN},
                                   {.fd = drains[1].fd, .events = POLLIN},
                                   {.fd = tb_process_get_end_fd(process), .events = POLLIN}};
        left = time_left(start, timeout_ms);
        bool ready = poll(sources, 3, left) > 0;
        if (tb_report_stopped(report))
            return tb_fail(err, TB_ECANCELLED, "stopped");
        for (int i = 0; i < 2 && !rc && ready; i++)
            if (sources[i].revents)
                rc = drain_read(&drains[i], err);
        if (ready && sources[2].revents)
            return rc;
    }
    *timed_out = !rc;
    return rc;
}

// Nobody is left that could write: what lies in the pipes is all there will be.
static tb_code read_the_rest(drain drains[2], tb_error *err)
{
    tb_code rc = TB_OK;
    for (int i = 0; i < 2; i++)
        while (!rc && drains[i].fd >= 0)
            rc = drain_read(&drains[i], err);
    return rc;
}

// The program's ends of the pipes are closed here once it has its own.
static tb_code start(tb_process **process, drain drains[2], const tb_process_options *options, tb_error *err)
{
    int pipes[2][2] = {{-1, -1}, {-1, -1}};
    int descriptors[TB_MOST_PROCESS_DESCRIPTORS];
    tb_process_options piped = *options;
    piped.descriptors = descriptors;
    piped.descriptor_count = tb_max_size(options->descriptor_count, 3);
    for (size_t i = 0; i < piped.descriptor_count; i++)
        descriptors[i] = i < options->descriptor_count ? options->descriptors[i] : -1;
    tb_code rc = TB_OK;
    for (int i = 0; i < 2 && !rc; i++) {
        if (pipe(pipes[i]) != 0)
            rc = tb_fail(err, TB_EIO, "cannot make a pipe: %s", strerror(errno));
        else
            fcntl(pipes[i][0], F_SETFD, FD_CLOEXEC);
        drains[i].fd = pipes[i][0];
        descriptors[1 + i] = pipes[i][1];
    }
    if (!rc)
        rc = tb_process_start(process, &piped, err);
    for (int i = 0; i < 2; i++)
        if (pipes[i][1] >= 0)
            close(pipes[i][1]);
    return rc;
}

tb_code tb_process_run(tb_process_result *out, const tb_process_options *options, const tb_process_limits *limits,
                       const tb_report *report, tb_error *err)
{
    *out = (tb_process_result){0};
    double begin = tb_clock_seconds();
    tb_process *process = NULL;
    drain drains[] = {{-1, &out->output, limits->output_bytes, &out->output_cut},
                      {-1, &out->errors, limits->output_bytes, &out->errors_cut}};
    tb_code rc = start(&process, drains, options, err);
    if (!rc) {
        rc = read_while_running(drains, &out->timed_out, process, limits->timeout_ms, report, err);
        tb_process_stop(process, rc || out->timed_out ? limits->grace_ms : 0);
    }
    if (!rc)
        rc = read_the_rest(drains, err);
    if (!rc)
        tb_process_wait(&out->end, process, 0);
    for (int i = 0; i < 2; i++)
        if (drains[i].fd >= 0)
            close(drains[i].fd);
    tb_process_close(process);
    out->seconds = tb_clock_seconds() - begin;
    if (rc)
        tb_process_result_clear(out);
    return rc;
}

void tb_process_result_clear(tb_process_result *result)
{
    tb_str_clear(&result->output);
    tb_str_clear(&result->errors);
}
