// For fuzz targets of readers that take a path: files in a folder of the process.
#ifndef TB_FUZZ_SCRATCH_H
#define TB_FUZZ_SCRATCH_H

#include <stddef.h>

// The folder, made on first use and removed at exit; in memory where the system has /dev/shm.
const char *scratch_folder(void);

// Writes FOLDER/name and returns its path, valid until the next call.
const char *scratch_write(const char *name, const void *bytes, size_t size);

#endif
