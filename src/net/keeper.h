// The process that stands between us and a program: see process.h.
#ifndef TB_NET_KEEPER_H
#define TB_NET_KEEPER_H

#include <stddef.h>

// Everything was made ready before the fork, for after it nothing may be allocated: other threads of the parent may
// have held the allocator's locks.
typedef struct tb_keeper_plan {
    const char *path;        // of the program
    char **arguments;        // NULL ends them
    char **environment;      // NULL ends them
    const char *folder;      // NULL: where we are
    const char *scratch;     // NULL: none
    const int *descriptors;  // [descriptor_count] -1 is /dev/null
    size_t descriptor_count; // 3 at least
    int control;             // our end of a socket: the parent writes signals, we answer (tb_keeper_word)
    int failure;             // a pipe: an errno where the program cannot be started, its end where it can
} tb_keeper_plan;

// What the keeper says: first the program's process, then the status that waitpid gave.
typedef int tb_keeper_word;

// What the parent says: the number of a signal for the program's group. The socket's end means: clean up and go.
typedef unsigned char tb_keeper_order;

// Called in the child of a fork; does not return.
void tb_keeper_run(const tb_keeper_plan *plan);

#endif
