// Ctrl-C and SIGTERM ask the work to stop at its next report; asked twice, the program dies at
// once. Flags of signal handlers are global by nature: this is the only state of its kind.
#ifndef TB_CLI_INTERRUPT_H
#define TB_CLI_INTERRUPT_H

#include <stdbool.h>

// Also ignores SIGPIPE and SIGXFSZ: a closed pipe or a full disk is an error of the write that
// meets it, and is cleaned up after.
void tb_interrupt_init(void);

bool tb_interrupt_requested(void);

// For a program that stops its work and goes on: from now on Ctrl-C never ends it, however often, and
// tb_interrupt_wait notices when it goes on after a pause (Ctrl-Z and `fg`).
void tb_interrupt_survive(void);

typedef enum tb_wait {
    TB_WAIT_READABLE,    // there is something to read, or its end
    TB_WAIT_INTERRUPTED, // tb_interrupt_requested() says what
    TB_WAIT_CONTINUED,   // the program went on after a pause; said once, after tb_interrupt_survive
} tb_wait;

// Waits for input. Only a read() that is under way in the very thread that takes a signal is broken
// off by it; this notices one that came before, or that another thread took.
tb_wait tb_interrupt_wait(int descriptor);

// Forgets a Ctrl-C. False when it was SIGTERM that asked: the program shall end.
bool tb_interrupt_forgive(void);

// Ends the program as the signal would have, so that shells know. Returns if there was none.
void tb_interrupt_finish(void);

#endif
