// Child processes that leave nothing behind.
//
// Between us and each program stands a keeper: a process that does nothing but wait. It adopts whatever the program
// starts, also what detaches itself, and when the process is closed, or we die in whatever way, SIGKILL included, it
// kills all of that, removes the scratch folder, and ends.
//
// The program leads a session and a process group of its own (Ctrl-C on our terminal does not reach it), with default
// signal handling, and holds no descriptor but those named.
#ifndef TB_NET_PROCESS_H
#define TB_NET_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

// What a program is given. All is borrowed, until tb_process_start returns.
typedef struct tb_process_options {
    const char *const *arguments;   // NULL ends them; the first is the program, looked for in its own PATH
    const char *const *environment; // "NAME=value", in place of or besides ours; NULL ends them, and may stand for none
    const char *const *hidden;      // names of our environment that it does not get; likewise
    const char *folder;             // it works there; NULL: where we do
    const char *scratch;            // a folder that is removed with all in it once nothing runs any more; NULL: none
    const int *descriptors;         // what it gets as 0, 1, 2, 3 …; -1 is /dev/null
    size_t descriptor_count;        // those missing of the first three are /dev/null
} tb_process_options;

enum { TB_MOST_PROCESS_DESCRIPTORS = 8 };

// How a program ended.
typedef struct tb_process_end {
    int status; // its exit status; 128 + the signal that killed it, as shells say it
    int signal; // that signal; 0: none
} tb_process_end;

typedef struct tb_process tb_process; // one thread at a time

// TB_EIO when the program cannot be started: there is none, it must not be run, its folder does not exist.
tb_code tb_process_start(tb_process **out, const tb_process_options *options, tb_error *err);

// The program's process, and group.
int tb_process_get_id(const tb_process *process);

// A descriptor that poll finds readable once the program has ended. Borrowed.
int tb_process_get_end_fd(const tb_process *process);

// Waits for the program's own end, not for what it has started; a negative `timeout_ms` is for ever. False when the
// time is over, or a signal came to us.
bool tb_process_wait(tb_process_end *end, tb_process *process, int timeout_ms);

// Sends a signal to the program's group.
void tb_process_signal(tb_process *process, int signal);

// SIGTERM to the group, and after `grace_ms` SIGKILL to all that was ever started. When it returns nothing runs any
// more, and the scratch folder is gone.
void tb_process_stop(tb_process *process, int grace_ms);

// Stops it without grace where it has not been stopped. Accepts NULL.
void tb_process_close(tb_process *process);

// Finds a program as the shell would: `name` in the folders of `path` (NULL: those of our PATH), or as it stands where
// it has a slash. TB_EIO when there is none.
tb_code tb_program_find(tb_str *out, const char *name, const char *path, tb_error *err);

// ---- a program that is run to its end ----

typedef struct tb_process_limits {
    int timeout_ms;      // then SIGTERM to the group; negative: none
    int grace_ms;        // then SIGKILL to all
    size_t output_bytes; // kept of standard output and of standard error, each; the rest is read and dropped
} tb_process_limits;

typedef struct tb_process_result {
    tb_process_end end;
    tb_str output, errors;
    bool output_cut, errors_cut; // more was written than was to be kept
    bool timed_out;
    double seconds;
} tb_process_result;

// Runs a program to its end; standard output and error are read, whatever `options` says of them. What it has
// started and left behind is killed. A failure of the program is no failure of this function. TB_ECANCELLED when
// `report` (may be NULL) asks to stop.
tb_code tb_process_run(tb_process_result *out, const tb_process_options *options, const tb_process_limits *limits,
                       const tb_report *report, tb_error *err);

void tb_process_result_clear(tb_process_result *result);

#endif
