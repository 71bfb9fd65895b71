// Work in progress that one process has at a time: an open file that is locked as long as it stays open. The kernel
// gives the lock back however the process ends.
#ifndef TB_BASE_LOCK_H
#define TB_BASE_LOCK_H

#include "base/fail.h"
#include "base/target.h"

// Opens `path` for reading and writing, makes it when missing, and locks it. *fd keeps the lock until it is closed;
// children that run another program do not inherit it. TB_EIO: cannot be opened, or someone has it: "another process
// (PID) is writing 'OUTPUT'".
tb_code tb_lock_open(int *fd, const char *path, const char *output, tb_error *err);

// The lock of an output that is not written in place: a file, which is gone when the lock is given back.
typedef struct tb_output_lock {
    char *path; // NULL: not taken
    int fd;
} tb_output_lock;

// OUTPUT.lock. Fails as tb_lock_open does; there is nothing to give back then. What streams has no lock.
tb_code tb_output_lock_take(tb_output_lock *lock, const tb_target *output, tb_error *err);
// FOLDER/lock, for all outputs in a folder that is there. Fails likewise.
tb_code tb_output_lock_take_folder(tb_output_lock *lock, const char *folder, tb_error *err);
// Accepts a zeroed lock.
void tb_output_lock_give(tb_output_lock *lock);

#endif
