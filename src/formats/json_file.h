// Inside formats: JSON from outside: one value, bounded size; strictly, with no key twice in an object,
// unless said otherwise.
#ifndef TB_FORMATS_JSON_FILE_H
#define TB_FORMATS_JSON_FILE_H

#include "formats/formats.h"

struct json_t; // jansson's, included by the .c files

// Most bytes of JSON text. The headers of the largest models of the families known here have
// a tenth of it; parsed, hostile text takes up to twenty times its size.
#define TB_JSON_LIMIT ((size_t)8 << 20)

// Parses `text`, which `what` names in messages ("config.json of 'folder'"). The value must be
// an object. Release with json_decref.
tb_code tb_json_parse(struct json_t **out, tb_text text, const char *what, tb_error *err);

// The same for a whole file.
tb_code tb_json_file_parse(struct json_t **out, const char *path, tb_error *err);

// As Python reads a file, for those that hold all kinds of settings: the last of equal keys counts, texts may
// hold NUL, and numbers any number of digits ("model_max_length" has 31). All numbers come as floating ones.
tb_code tb_json_file_parse_loosely(struct json_t **out, const char *path, tb_error *err);

#endif
