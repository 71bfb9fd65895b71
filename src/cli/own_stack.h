// The stack that the program works on, however small the one is that it was started with (ulimit -s).
#ifndef TB_CLI_OWN_STACK_H
#define TB_CLI_OWN_STACK_H

// Calls `work` on a stack of its own, in the same thread, and returns its result. Without memory for one it says so on
// stderr and returns 1.
int tb_run_on_own_stack(int (*work)(int argc, const char *const *argv), int argc, const char *const *argv);

#endif
