// Calls only what may be called between fork and exec in a program with threads. It waits for two things: orders from
// the parent, whose death ends the socket, and deaths of children. Being a subreaper it inherits whatever the program
// leaves behind, so that a /proc that names us as parent is all it needs to look for.
#define _GNU_SOURCE // close_range, getdents64
#include "net/keeper.h"

#include "net/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ENTRY_BYTES = 4096, // of a folder, read at a time
    STAT_BYTES = 512,   // more than /proc/PID/stat has before and in its fourth field
    MOST_DEPTH = 64,    // folders within folders of a scratch folder; deeper ones are left
    EXIT_UNSTARTED = 127,
};

// ---- the program ----

static void restore_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); // fails for the two that cannot be changed, which is as well
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Moves descriptors to 0, 1, 2 …: first all out of the way, then each to its place. Everything else closes with exec.
static bool place_descriptors(const int *descriptors, size_t count)
{
    int high[TB_MOST_PROCESS_DESCRIPTORS];
    int least = (int)count;
    for (size_t i = 0; i < count; i++) {
        int from = descriptors[i] >= 0 ? descriptors[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
        high[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, least);
        if (high[i] < 0)
            return false;
    }
    for (size_t i = 0; i < count; i++)
        if (dup2(high[i], (int)i) < 0)
            return false;
    return close_range((unsigned)least, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

static void say_failure(int to)
{
    int why = errno;
    ssize_t n = write(to, &why, sizeof why);
    (void)n;
    _exit(EXIT_UNSTARTED);
}

static void become_program(const tb_keeper_plan *plan, pid_t keeper)
{
    // `failure` must not stand where a descriptor of the program goes.
    int failure = fcntl(plan->failure, F_DUPFD_CLOEXEC, (int)plan->descriptor_count);
    // Also where the keeper died before we asked for its death to reach us.
    if (failure < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != keeper)
        _exit(EXIT_UNSTARTED);
    setsid();
    restore_signals();
    if ((!plan->folder || chdir(plan->folder) == 0) && place_descriptors(plan->descriptors, plan->descriptor_count))
        execve(plan->path, plan->arguments, plan->environment);
    say_failure(failure);
}

// ---- what runs ----

static void say(int control, tb_keeper_word word)
{
    ssize_t n = send(control, &word, sizeof word, MSG_NOSIGNAL); // a parent that died needs no answer
    (void)n;
}

// The number that a name consists of; 0: it is none.
static pid_t read_pid(const char *name)
{
    pid_t pid = 0;
    for (; *name >= '0' && *name <= '9' && pid < 100000000; name++)
        pid = pid * 10 + (*name - '0');
    return *name == '\0' ? pid : 0;
}

// The parent of a process, from "PID (any name) STATE PARENT …"; 0: unknown, or it is gone.
static pid_t find_parent(int processes, const char *name)
{
    char text[STAT_BYTES];
    int folder = openat(processes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = folder < 0 ? -1 : openat(folder, "stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (folder >= 0)
        close(folder);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    pid_t parent = 0;
    for (at = at && strlen(at) > 4 ? at + 4 : ""; *at >= '0' && *at <= '9'; at++)
        parent = parent * 10 + (*at - '0');
    return parent;
}

static void kill_own_children(void)
{
    _Alignas(struct dirent64) char entries[ENTRY_BYTES];
    int processes = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t n;
    while (processes >= 0 && (n = getdents64(processes, entries, sizeof entries)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
            pid_t pid = read_pid(entry->d_name);
            if (pid > 0 && find_parent(processes, entry->d_name) == getpid())
                kill(pid, SIGKILL);
            at += entry->d_reclen;
        }
    if (processes >= 0)
        close(processes);
}

// Those of a killed process become ours: again, until there are none.
static void kill_all(int control, pid_t program)
{
    kill(-program, SIGKILL);
    pid_t pid;
    do {
        kill_own_children();
        int status;
        pid = waitpid(-1, &status, 0);
        if (pid == program)
            say(control, status);
    } while (pid > 0 || errno == EINTR);
}

// ---- the scratch folder ----

static void remove_entries(int folder, int depth);

static bool remove_entry(int folder, const char *name, int depth)
{
    if (unlinkat(folder, name, 0) == 0)
        return true;
    int inner = depth < MOST_DEPTH ? openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (inner < 0)
        return false;
    remove_entries(inner, depth + 1);
    close(inner);
    return unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

// Entries that go while a folder is read may hide others: it is read again until none goes.
static void remove_entries(int folder, int depth)
{
    _Alignas(struct dirent64) char entries[ENTRY_BYTES];
    for (bool removed = true; removed;) {
        removed = false;
        lseek(folder, 0, SEEK_SET);
        ssize_t n;
        while ((n = getdents64(folder, entries, sizeof entries)) > 0)
            for (ssize_t at = 0; at < n;) {
                const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                    removed |= remove_entry(folder, entry->d_name, depth);
                at += entry->d_reclen;
            }
    }
}

// ---- waiting ----

// Reaps who has died, and says so of the program. False when nobody is left.
static bool reap(int control, pid_t program)
{
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == program)
            say(control, status);
    return pid == 0;
}

// False when the parent wants no more, or is gone.
static bool obey(int control, pid_t program)
{
    tb_keeper_order order;
    ssize_t n = recv(control, &order, sizeof order, 0);
    if (n == (ssize_t)sizeof order)
        kill(-program, order);
    return n > 0 || (n < 0 && errno == EINTR);
}

static void wait_for_the_end(int control, int deaths, pid_t program)
{
    struct pollfd sources[] = {{.fd = control, .events = POLLIN}, {.fd = deaths, .events = POLLIN}};
    bool more = reap(control, program); // who died before we looked
    while (more) {
        if (poll(sources, 2, -1) < 0)
            continue;
        if (sources[1].revents) {
            struct signalfd_siginfo info;
            ssize_t n = read(deaths, &info, sizeof info);
            (void)n;
            more = reap(control, program);
        }
        if (more && sources[0].revents)
            more = obey(control, program);
    }
}

// Keeps nothing of what the parent has open, for a pipe would not end; the socket becomes 0, the deaths 1.
static void keep_two(int control, int deaths)
{
    int high = fcntl(control, F_DUPFD_CLOEXEC, 2);
    dup2(deaths, 1);
    dup2(high, 0);
    close_range(2, ~0u, 0);
}

void tb_keeper_run(const tb_keeper_plan *plan)
{
    pid_t self = getpid();
    prctl(PR_SET_NAME, "twobit-keeper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setsid(); // away from the terminal
    sigset_t all, death;
    sigfillset(&all); // nobody but the parent ends us
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&death);
    sigaddset(&death, SIGCHLD);
    signal(SIGCHLD, SIG_DFL); // ignored ones leave no status
    int deaths = signalfd(-1, &death, SFD_CLOEXEC);
    pid_t program = deaths < 0 ? -1 : fork();
    if (program == 0)
        become_program(plan, self);
    if (program < 0)
        say_failure(plan->failure);
    keep_two(plan->control, deaths);
    say(0, program);
    wait_for_the_end(0, 1, program);
    kill_all(0, program);
    if (plan->scratch)
        remove_entry(AT_FDCWD, plan->scratch, 0);
    _exit(0);
}
