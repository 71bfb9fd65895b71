// JSON that the program writes: results as one object on stdout.
#ifndef TB_CLI_JSON_OUT_H
#define TB_CLI_JSON_OUT_H

#include <stddef.h>

#include "base/base.h"

struct json_t;

// A new number; null where JSON has none (NaN, infinity). NULL when memory ran out.
struct json_t *tb_json_real(double value);

// Prints the object with a newline behind it and releases it. NULL, which jansson gives when
// memory ran out, is TB_ENOMEM.
tb_code tb_json_print(struct json_t *object, tb_error *err);

// The same text into a file.
tb_code tb_json_write(struct json_t *object, const char *path, tb_error *err);

#endif
