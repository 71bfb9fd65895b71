#include "lab/child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 64, STDOUT_LIMIT = 1 << 20 };

extern char **environ;

static const char self[] = "/proc/self/exe";

static tb_code start(pid_t *pid, int *output, const char *const *arguments, tb_error *err)
{
    // posix_spawn wants pointers to non-const for historical reasons and changes nothing.
    char name[] = "twobit";
    char *argv[MOST_ARGUMENTS] = {name};
    for (size_t i = 0; arguments[i] && i + 2 < MOST_ARGUMENTS; i++)
        memcpy(&argv[i + 1], &arguments[i], sizeof argv[0]);
    int ends[2];
    if (pipe(ends) != 0)
        return tb_fail(err, TB_EIO, "cannot make a pipe: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    int failure = posix_spawn(pid, self, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failure) {
        close(ends[0]);
        return tb_fail(err, TB_EIO, "cannot start '%s': %s", self, strerror(failure));
    }
    *output = ends[0];
    return TB_OK;
}

// Reads to the end of the pipe. Once we are asked to stop, so is the child.
static tb_code read_output(tb_str *text, int output, pid_t pid, const tb_report *report, tb_error *err)
{
    char piece[4096];
    tb_code rc = TB_OK;
    for (;;) {
        ssize_t n = read(output, piece, sizeof piece);
        if (n == 0)
            return rc;
        if (n < 0 && errno == EINTR && tb_report_stopped(report))
            kill(pid, SIGTERM);
        else if (n < 0 && errno != EINTR)
            return tb_fail(err, TB_EIO, "cannot read from a child process: %s", strerror(errno));
        else if (n > 0 && !rc)
            rc = tb_str_append(text, piece, (size_t)n, err);
    }
}

static tb_code finish(pid_t pid, const tb_report *report, tb_error *err)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return tb_fail(err, TB_EIO, "cannot wait for a child process: %s", strerror(errno));
    if (tb_report_stopped(report) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT))
        return tb_fail(err, TB_ECANCELLED, "stopped");
    if (WIFSIGNALED(status))
        return tb_fail(err, TB_EIO, "a child process was killed by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return tb_fail(err, TB_EIO, "a child process failed");
    return TB_OK;
}

tb_code tb_child_run(tb_str *output, const char *const *arguments, const tb_report *report, tb_error *err)
{
    pid_t pid;
    int from;
    tb_str text = {.limit = STDOUT_LIMIT};
    tb_code rc = start(&pid, &from, arguments, err);
    if (rc)
        return rc;
    rc = read_output(&text, from, pid, report, err);
    close(from);
    tb_code ended = finish(pid, report, rc ? NULL : err);
    if (!rc)
        rc = ended;
    if (!rc)
        rc = tb_str_append(output, text.data, text.size, err);
    tb_str_clear(&text);
    return rc;
}
