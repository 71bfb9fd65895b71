// Files: read-only mappings, whole-file reads with a maximum, and outputs that appear
// complete or not at all.
#ifndef TB_BASE_FILE_H
#define TB_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "twobit/error.h"

typedef struct tb_map {
    const unsigned char *data; // NULL when nothing is mapped, or the file is empty
    size_t size;
} tb_map;

// Maps a regular file read-only. The mapping outlives later changes of the file's name, not
// of its length: do not truncate a model that runs.
tb_code tb_map_open(tb_map *out, const char *path, tb_error *err);
void tb_map_close(tb_map *map);

// Reads a whole file (also a pipe) of at most `limit` bytes into new memory with a NUL
// behind it; free with tb_free.
tb_code tb_file_read(char **out, size_t *size, const char *path, size_t limit, tb_error *err);

// Reads a text of any bytes: a file, or standard input for "-". At most a gigabyte: nothing here works on more.
tb_code tb_text_read(char **out, size_t *size, const char *path, tb_error *err);

bool tb_path_is_folder(const char *path);
bool tb_path_exists(const char *path);

// An output file. Bytes go to "PATH.tmp-<pid>" beside the target (base/target.h), which is synced and
// renamed over it on commit; close without commit removes it. A target that streams is written
// as the bytes come. One thread at a time.
typedef struct tb_outfile tb_outfile;

tb_code tb_outfile_open(tb_outfile **out, const char *path, tb_error *err);
tb_code tb_outfile_write(tb_outfile *file, const void *bytes, size_t n, tb_error *err);
tb_code tb_outfile_write_zeros(tb_outfile *file, size_t n, tb_error *err);

// Bytes written so far.
size_t tb_outfile_position(const tb_outfile *file);

// Makes the file appear under its name. The handle must still be closed.
tb_code tb_outfile_commit(tb_outfile *file, tb_error *err);
void tb_outfile_close(tb_outfile *file);

// Writes a whole small file at once, atomically.
tb_code tb_file_write(const char *path, const void *bytes, size_t n, tb_error *err);

#endif
