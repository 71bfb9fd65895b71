// Sanitizers know no stack but the one that a thread was started with.
#include "cli/own_stack.h"

int tb_run_on_own_stack(int (*work)(int argc, const char *const *argv), int argc, const char *const *argv)
{
    return work(argc, argv);
}
