// Ctrl-C and SIGTERM ask the work to stop at its next report; asked twice, the program dies at
// once. Flags of signal handlers are global by nature: this is the only state of its kind.
#ifndef TB_CLI_INTERRUPT_H
#define TB_CLI_INTERRUPT_H

#include <stdbool.h>

// Also ignores SIGPIPE and SIGXFSZ: a closed pipe or a full disk is an error of the write that
// meets it, and is cleaned up after.
void tb_interrupt_init(void);

bool tb_interrupt_requested(void);

// For a program that stops its work and goes on: from now on Ctrl-C never ends it, however often.
void tb_interrupt_survive(void);

// Forgets a Ctrl-C. False when it was SIGTERM that asked: the program shall end.
bool tb_interrupt_forgive(void);

// Ends the program as the signal would have, so that shells know. Returns if there was none.
void tb_interrupt_finish(void);

#endif
