// An output of known size that is filled in any order, can be left unfinished, and taken up again
// by a later process: "PATH.partial" until it is committed to PATH. Where PATH is no file (base/target.h) it is copied
// there when it is complete, and an unfinished one is not kept.
#ifndef TB_BASE_PARTFILE_H
#define TB_BASE_PARTFILE_H

#include <stddef.h>
#include <stdint.h>

#include "twobit/error.h"

typedef struct tb_partfile tb_partfile; // one thread at a time

// Takes up the unfinished file, or makes one of `size` zero bytes; no other process can do so until it is closed.
// TB_EINVAL when there is one of another size, TB_EIO when another process is writing it or PATH is a
// folder.
tb_code tb_partfile_open(tb_partfile **out, const char *path, uint64_t size, tb_error *err);

// The name it has while it is unfinished.
const char *tb_partfile_name(const tb_partfile *file);

tb_code tb_partfile_write(tb_partfile *file, uint64_t offset, const void *bytes, size_t n, tb_error *err);
tb_code tb_partfile_read(void *bytes, size_t n, tb_partfile *file, uint64_t offset, tb_error *err);

// What was written before is on the disk before what is written after.
tb_code tb_partfile_sync(tb_partfile *file, tb_error *err);

// Gives the file its name. The handle must still be closed.
tb_code tb_partfile_commit(tb_partfile *file, tb_error *err);

// Leaves an uncommitted file as it is, for the next process to take up.
void tb_partfile_close(tb_partfile *file);

#endif
