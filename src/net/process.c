// Our half of a child process: makes everything ready, forks the keeper (keeper.c), and talks to it over a socket.
#include "net/process.h"

#include "net/keeper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct tb_process {
    pid_t keeper; // 0 once it has been waited for
    int keeper_fd;
    int control; // the socket to the keeper
    tb_keeper_word program;
    tb_process_end end;
    bool ended;
};

// ---- finding the program ----

static bool can_run(const char *path)
{
    return access(path, X_OK) == 0 && !tb_path_is_folder(path);
}

tb_code tb_program_find(tb_str *out, const char *name, const char *path, tb_error *err)
{
    tb_str_reset(out);
    if (!path)
        path = getenv("PATH");
    tb_code rc = TB_OK;
    if (strchr(name, '/')) {
        rc = tb_str_append_text(out, name, err);
        if (rc || can_run(name))
            return rc;
        return tb_fail(err, TB_EIO, "cannot run '%s': %s", name,
                       tb_path_is_folder(name) ? "it is a folder" : strerror(errno));
    }
    for (const char *at = path ? path : ""; !rc && *at;) {
        size_t n = strcspn(at, ":");
        tb_str_reset(out);
        rc = n ? tb_str_printf(out, err, "%.*s/%s", (int)n, at, name) : tb_str_append_text(out, name, err);
        if (!rc && can_run(out->data))
            return TB_OK;
        at += n + (at[n] == ':');
    }
    tb_str_reset(out);
    return rc ? rc : tb_fail(err, TB_EIO, "there is no program '%s' in the folders of PATH", name);
}

// ---- its environment ----

// Whether "NAME=value" is one of that name.
static bool has_name(const char *entry, const char *name, size_t size)
{
    return strncmp(entry, name, size) == 0 && entry[size] == '=';
}

static bool is_replaced(const char *entry, const tb_process_options *options)
{
    for (const char *const *hidden = options->hidden; hidden && *hidden; hidden++)
        if (has_name(entry, *hidden, strlen(*hidden)))
            return true;
    for (const char *const *given = options->environment; given && *given; given++)
        if (has_name(entry, *given, strcspn(*given, "=")))
            return true;
    return false;
}

static size_t count_texts(const char *const *texts)
{
    size_t n = 0;
    while (texts && texts[n])
        n++;
    return n;
}

// A list of borrowed texts, for exec, which takes pointers to what is not const and changes nothing; NULL: no memory.
// Free the list with tb_free.
static char **new_list(const char *const *texts)
{
    size_t n = count_texts(texts);
    char **list = tb_alloc_array(n + 1, sizeof *list);
    if (list && n)
        memcpy(list, texts, n * sizeof *list);
    return list;
}

static char **new_environment(const tb_process_options *options)
{
    size_t given = count_texts(options->environment), n = given;
    char **list = tb_alloc_array(given + count_texts((const char *const *)environ) + 1, sizeof *list);
    if (list && given)
        memcpy(list, options->environment, given * sizeof *list);
    for (char **own = environ; list && own && *own; own++)
        if (!is_replaced(*own, options))
            list[n++] = *own;
    return list;
}

static const char *find_path(char *const *environment)
{
    for (; *environment; environment++)
        if (has_name(*environment, "PATH", 4))
            return *environment + strlen("PATH=");
    return "";
}

// ---- starting ----

// What is made before the fork, and given back after it.
typedef struct preparation {
    tb_str path;
    char **arguments, **environment;
    char *scratch; // absolute
    int descriptors[TB_MOST_PROCESS_DESCRIPTORS];
    int control[2]; // ours, the keeper's
    int failure[2]; // a pipe: to read, to write
} preparation;

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
    pair[0] = pair[1] = -1;
}

static void preparation_clear(preparation *p)
{
    close_pair(p->control);
    close_pair(p->failure);
    tb_str_clear(&p->path);
    tb_free(p->arguments);
    tb_free(p->environment);
    free(p->scratch); // realpath's
}

static tb_code open_channels(preparation *p, tb_error *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->control) != 0 || pipe(p->failure) != 0)
        return tb_fail(err, TB_EIO, "cannot make a pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++)
        fcntl(p->failure[i], F_SETFD, FD_CLOEXEC);
    return TB_OK;
}

static tb_code prepare(preparation *p, const tb_process_options *options, tb_error *err)
{
    *p = (preparation){.control = {-1, -1}, .failure = {-1, -1}};
    assert(options->descriptor_count <= TB_MOST_PROCESS_DESCRIPTORS);
    for (size_t i = 0; i < TB_MOST_PROCESS_DESCRIPTORS; i++)
        p->descriptors[i] = i < options->descriptor_count ? options->descriptors[i] : -1;
    p->arguments = new_list(options->arguments);
    p->environment = new_environment(options);
    if (!p->arguments || !p->environment)
        return tb_fail(err, TB_ENOMEM, "no memory to start '%s'", options->arguments[0]);
    p->scratch = options->scratch ? realpath(options->scratch, NULL) : NULL;
    if (options->scratch && !p->scratch)
        return tb_fail(err, TB_EIO, "cannot open '%s': %s", options->scratch, strerror(errno));
    tb_code rc = tb_program_find(&p->path, options->arguments[0], find_path(p->environment), err);
    return rc ? rc : open_channels(p, err);
}

// Reads exactly one word or number; false at the end of what can be read.
static bool read_whole(int from, void *out, size_t size)
{
    ssize_t n;
    do
        n = read(from, out, size);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)size;
}

static void wait_for_keeper(tb_process *process)
{
    while (process->keeper && waitpid(process->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    process->keeper = 0;
}

static tb_code fork_keeper(tb_process *process, preparation *p, const tb_process_options *options, tb_error *err)
{
    const char *name = options->arguments[0];
    tb_keeper_plan plan = {.path = p->path.data,
                           .arguments = p->arguments,
                           .environment = p->environment,
                           .folder = options->folder,
                           .scratch = p->scratch,
                           .descriptors = p->descriptors,
                           .descriptor_count = tb_max_size(options->descriptor_count, 3),
                           .control = p->control[1],
                           .failure = p->failure[1]};
    process->keeper = fork();
    if (process->keeper == 0)
        tb_keeper_run(&plan);
    if (process->keeper < 0) {
        process->keeper = 0;
        return tb_fail(err, TB_EIO, "cannot start '%s': %s", name, strerror(errno));
    }
    process->control = p->control[0];
    p->control[0] = -1;
    close(p->control[1]);
    close(p->failure[1]);
    p->control[1] = p->failure[1] = -1;
    int why;
    if (read_whole(p->failure[0], &why, sizeof why))
        return tb_fail(err, TB_EIO, "cannot start '%s': %s", name,
                       why == ENOENT && options->folder && !tb_path_is_folder(options->folder)
                           ? "its working folder does not exist"
                           : strerror(why));
    process->keeper_fd = pidfd_open(process->keeper, 0);
    if (process->keeper_fd < 0 || !read_whole(process->control, &process->program, sizeof process->program))
        return tb_fail(err, TB_EIO, "cannot watch '%s'", name);
    return TB_OK;
}

tb_code tb_process_start(tb_process **out, const tb_process_options *options, tb_error *err)
{
    *out = NULL;
    preparation p;
    tb_process *process = tb_new(tb_process);
    tb_code rc = prepare(&p, options, err);
    if (!rc && !process)
        rc = tb_fail(err, TB_ENOMEM, "no memory to start '%s'", options->arguments[0]);
    if (process)
        process->keeper_fd = process->control = -1;
    if (!rc)
        rc = fork_keeper(process, &p, options, err);
    preparation_clear(&p);
    if (rc)
        tb_process_close(process);
    else
        *out = process;
    return rc;
}

// ---- living with it ----

int tb_process_get_id(const tb_process *process)
{
    return process->program;
}

int tb_process_get_end_fd(const tb_process *process)
{
    return process->control;
}

static tb_process_end end_of(int status)
{
    if (WIFSIGNALED(status))
        return (tb_process_end){128 + WTERMSIG(status), WTERMSIG(status)};
    return (tb_process_end){WEXITSTATUS(status), 0};
}

// A keeper that ends without a word was killed itself, and the program with it.
static void read_end(tb_process *process)
{
    tb_keeper_word status;
    bool told = read_whole(process->control, &status, sizeof status);
    process->end = told ? end_of(status) : (tb_process_end){128 + SIGKILL, SIGKILL};
    process->ended = true;
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd source = {.fd = fd, .events = POLLIN};
    return poll(&source, 1, timeout_ms) == 1;
}

bool tb_process_wait(tb_process_end *end, tb_process *process, int timeout_ms)
{
    if (!process->ended && is_readable(process->control, timeout_ms))
        read_end(process);
    *end = process->end;
    return process->ended;
}

void tb_process_signal(tb_process *process, int signal)
{
    tb_keeper_order order = (tb_keeper_order)signal;
    ssize_t n = send(process->control, &order, sizeof order, MSG_NOSIGNAL); // none: nobody is left
    (void)n;
}

void tb_process_stop(tb_process *process, int grace_ms)
{
    if (!process->keeper)
        return;
    if (grace_ms > 0) {
        tb_process_signal(process, SIGTERM);
        is_readable(process->keeper_fd, grace_ms);
    }
    shutdown(process->control, SHUT_WR);
    wait_for_keeper(process);
}

void tb_process_close(tb_process *process)
{
    if (!process)
        return;
    tb_process_stop(process, 0);
    if (process->control >= 0)
        close(process->control);
    if (process->keeper_fd >= 0)
        close(process->keeper_fd);
    tb_free(process);
}
