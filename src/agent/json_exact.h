// JSON files of results: read as Python reads them, written as Python writes them, every number in the shortest form
// that reads back equal.
#ifndef TB_AGENT_JSON_EXACT_H
#define TB_AGENT_JSON_EXACT_H

#include "base/base.h"

struct json_t; // jansson's, included by the .c files

// Reads a file of at most `limit` bytes that holds an object. Release with json_decref.
tb_code tb_json_file(struct json_t **out, const char *path, size_t limit, tb_error *err);

// Appends a value in lines, two blanks deeper at each level.
tb_code tb_json_append_exact(tb_str *out, const struct json_t *value, tb_error *err);

// Writes an object into a file, atomically and without secrets, and releases it. NULL, which jansson gives when memory
// ran out, is TB_ENOMEM.
tb_code tb_json_file_write(struct json_t *object, const char *path, tb_error *err);

// Room for a number in its shortest form.
enum { TB_REAL_TEXT = 32 };
const char *tb_real_text(char out[TB_REAL_TEXT], double value);

#endif
