// fork and not posix_spawn, because a child must be told to die with its parent between the two halves: killed in any
// way, we would leave it working on, and the next run would meet it.
#include "lab/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 64, STDOUT_LIMIT = 1 << 20 };

static const char self[] = "/proc/self/exe";

static tb_code open_pipe(int ends[2], tb_error *err)
{
    if (pipe(ends) != 0)
        return tb_fail(err, TB_EIO, "cannot make a pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++)
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    return TB_OK;
}

// In the child: what fails is written to `failure` as an errno. Async-signal-safe throughout.
static void become_twobit(char *const *argv, pid_t parent, int output, int failure)
{
    // Also where the parent died before we asked for its death to reach us.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && dup2(output, STDOUT_FILENO) >= 0)
        execv(self, argv);
    int why = errno;
    ssize_t n = write(failure, &why, sizeof why);
    (void)n;
    _exit(127);
}

// Waits until the child has become another program, or cannot. Its errno, or 0.
static int read_failure(int from)
{
    int why = 0;
    ssize_t n;
    do
        n = read(from, &why, sizeof why);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof why ? why : 0;
}

static tb_code fork_child(pid_t *pid, char *const *argv, const int output[2], const int failure[2], tb_error *err)
{
    pid_t parent = getpid();
    *pid = fork();
    if (*pid == 0)
        become_twobit(argv, parent, output[1], failure[1]);
    int why = *pid < 0 ? errno : 0;
    close(failure[1]);
    close(output[1]);
    if (!why && (why = read_failure(failure[0])) != 0)
        waitpid(*pid, NULL, 0);
    return why ? tb_fail(err, TB_EIO, "cannot start '%s': %s", self, strerror(why)) : TB_OK;
}

static tb_code start(pid_t *pid, int *from, const char *const *arguments, tb_error *err)
{
    // execv wants pointers to non-const for historical reasons and changes nothing.
    char name[] = "twobit";
    char *argv[MOST_ARGUMENTS] = {name};
    for (size_t i = 0; arguments[i] && i + 2 < MOST_ARGUMENTS; i++)
        memcpy(&argv[i + 1], &arguments[i], sizeof argv[0]);
    int output[2], failure[2];
    tb_code rc = open_pipe(output, err);
    if (rc)
        return rc;
    rc = open_pipe(failure, err);
    if (rc) {
        close(output[0]);
        close(output[1]);
        return rc;
    }
    rc = fork_child(pid, argv, output, failure, err);
    close(failure[0]);
    if (rc)
        close(output[0]);
    else
        *from = output[0];
    return rc;
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
