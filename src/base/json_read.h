// JSON as Python writes and reads it.
#ifndef TB_BASE_JSON_READ_H
#define TB_BASE_JSON_READ_H

#include "base/str.h"

struct json_t; // jansson's, included by the .c files

// Parses `text`, which `what` names in messages ("'config.json'"); the value must be an object. As in Python the last
// of equal keys counts, texts may hold NUL, integers may have any size (large ones come as floating numbers), and there
// are NaN, Infinity and -Infinity. Those three, and numbers too large for a double, come as texts, so that whoever asks
// for a number there finds none. Release with json_decref.
tb_code tb_json_read(struct json_t **out, tb_text text, const char *what, tb_error *err);

#endif
