// For tests: a folder that exists while a test group runs, and files in it.
#ifndef TB_TEST_TEMP_FOLDER_H
#define TB_TEST_TEMP_FOLDER_H

#include <stddef.h>

// cmocka group fixtures: make the folder, remove it with its files.
int temp_folder_make(void **state);
int temp_folder_remove(void **state);

// FOLDER/name; valid until the call after the next seven.
const char *temp_path(const char *name);

// Writes a file into the folder; `name` may be in subfolders, which are made.
void temp_write(const char *name, const void *bytes, size_t size);

void temp_delete(const char *name);

#endif
