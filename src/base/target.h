// What an output path is. Every output goes through here, so that nothing but a file is ever replaced.
#ifndef TB_BASE_TARGET_H
#define TB_BASE_TARGET_H

#include <stdbool.h>

#include "base/str.h"
#include "twobit/error.h"

typedef struct tb_target {
    char *name;      // as the caller wrote it, for sentences
    char *path;      // what is written, behind all links; a file that does not exist yet may be created there
    bool streams;    // a device, a pipe or an open descriptor: written as the bytes come, and never replaced
    int descriptor;  // of this process, which the path names, as /dev/stdout does; else -1
    char *temporary; // the folder where work on what streams goes on; NULL before there is any
} tb_target;

// TB_EIO when the path is a folder, or its own folder does not exist.
tb_code tb_target_find(tb_target *out, const char *path, tb_error *err);

// Removes the folder for temporary files and what is left there. Accepts a zeroed target.
void tb_target_clear(tb_target *target);

// A descriptor that writes what streams; -1 with a reason in `err`.
int tb_target_open(const tb_target *target, tb_error *err);

// What streams goes where descriptor `fd` writes, too.
bool tb_target_is(const tb_target *target, int fd);

// Appends a path, ending in `suffix`, for what becomes the output in the end: beside the file; in a folder of its own
// among the temporary files where the target streams, for the next process to find nothing there.
tb_code tb_target_work_path(tb_str *out, tb_target *target, const char *suffix, tb_error *err);

// Appends the path of a new folder among the temporary files, STEM-XXXXXX; empties *out where there is none. It is the
// caller's to remove.
tb_code tb_make_temporary_folder(tb_str *out, const char *stem, tb_error *err);

// The finished file `from` becomes the output: takes its name, or is copied into what streams.
tb_code tb_target_take(const tb_target *target, const char *from, tb_error *err);

// Writes all bytes to a descriptor; `name` is for the sentence.
tb_code tb_write_all(int fd, const void *bytes, size_t n, const char *name, tb_error *err);

#endif
