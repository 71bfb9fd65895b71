// Between texts of any bytes and JSON, as jansson holds it.
#ifndef TB_BASE_JSON_TEXT_H
#define TB_BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct json_t;

// A new string of any bytes: those that are not UTF-8 become U+FFFD. NULL when memory ran out.
struct json_t *tb_json_text(const char *text, size_t size);

// A value's text, borrowed from it; "" where it is no string. NULL is no value.
tb_text tb_json_get_text(const struct json_t *value);

// The same of a member of an object, and a member that is true or false; `otherwise` where it is neither.
tb_text tb_json_text_at(const struct json_t *object, const char *key);
bool tb_json_bool_at(const struct json_t *object, const char *key, bool otherwise);

// Appends the JSON text of a value, broken into lines where `indent` is not 0.
tb_code tb_json_append(tb_str *out, const struct json_t *value, size_t indent, tb_error *err);

#endif
