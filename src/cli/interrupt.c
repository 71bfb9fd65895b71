#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t requested; // the signal's number

static void on_signal(int number)
{
    requested = number;
}

void tb_interrupt_init(void)
{
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
    struct sigaction ask = {.sa_handler = on_signal};
    sigemptyset(&ask.sa_mask);
    sigaction(SIGINT, &ask, NULL);
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
