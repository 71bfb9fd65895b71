// Not a thread with a stack of its own: signals are delivered to the first thread, whose reads they must break off, and
// MPI wants to be called from it.
#include "cli/own_stack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

// What Linux gives a program by default, and what the limits on nested templates and JSON are made for. Pages that
// nobody touches cost nothing.
#define STACK_BYTES ((size_t)8 << 20)

// makecontext passes nothing but ints.
static struct {
    int (*work)(int argc, const char *const *argv);
    int argc;
    const char *const *argv;
    int status;
} call;

static void run_call(void)
{
    call.status = call.work(call.argc, call.argv);
}

// The lowest page is closed: who runs out of stack is stopped there.
static void *map_stack(void)
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return NULL;
    mprotect(stack, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE);
    return stack;
}

int tb_run_on_own_stack(int (*work)(int argc, const char *const *argv), int argc, const char *const *argv)
{
    ucontext_t here, there;
    void *stack = map_stack();
    if (!stack || getcontext(&there) != 0) {
        fprintf(stderr, "twobit: no memory for a stack: %s\n", strerror(errno));
        return 1;
    }
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = STACK_BYTES;
    there.uc_link = &here;
    call.work = work;
    call.argc = argc;
    call.argv = argv;
    makecontext(&there, run_call, 0);
    swapcontext(&here, &there);
    munmap(stack, STACK_BYTES);
    return call.status;
}
