#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t requested; // the signal's number
static volatile sig_atomic_t continued;

// What handlers write to and tb_interrupt_wait looks at; -1 when there was no pipe to be had.
static int wake[2] = {-1, -1};

static void wake_waiter(void)
{
    int before = errno;
    // A full pipe is as good as a byte in it.
    ssize_t n = write(wake[1], "", 1);
    (void)n;
    errno = before;
}

static void on_signal(int number)
{
    requested = number;
    wake_waiter();
}

static void on_continue(int number)
{
    (void)number;
    continued = 1;
    wake_waiter();
}

static void open_wake_pipe(void)
{
    if (pipe(wake) != 0)
        return;
    for (int i = 0; i < 2; i++) {
        fcntl(wake[i], F_SETFL, O_NONBLOCK);
        fcntl(wake[i], F_SETFD, FD_CLOEXEC);
    }
}

void tb_interrupt_init(void)
{
    open_wake_pipe();
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

bool tb_interrupt_requested(void)
{
    return requested != 0;
}

void tb_interrupt_survive(void)
{
    // Restarting: what is being written goes on; whoever waits for input waits in tb_interrupt_wait, which is told.
    struct sigaction ask = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction note = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
    sigemptyset(&ask.sa_mask);
    sigemptyset(&note.sa_mask);
    sigaction(SIGINT, &ask, NULL);
    sigaction(SIGCONT, &note, NULL);
}

static void empty_pipe(void)
{
    char bytes[64];
    while (read(wake[0], bytes, sizeof bytes) > 0)
        ;
}

tb_wait tb_interrupt_wait(int descriptor)
{
    for (;;) {
        if (requested)
            return TB_WAIT_INTERRUPTED;
        if (continued) {
            continued = 0;
            return TB_WAIT_CONTINUED;
        }
        struct pollfd files[] = {{.fd = descriptor, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
        int n = poll(files, 2, -1);
        if (n > 0 && files[1].revents)
            empty_pipe();
        else if (n > 0 || errno != EINTR)
            return TB_WAIT_READABLE; // or the read will say what is wrong
    }
}

bool tb_interrupt_forgive(void)
{
    if (requested == SIGTERM)
        return false;
    requested = 0;
    return true;
}

void tb_interrupt_finish(void)
{
    if (!requested)
        return;
    signal(requested, SIG_DFL);
    raise(requested);
}
