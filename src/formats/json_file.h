// Inside formats: JSON from outside: one value, bounded size.
#ifndef TB_FORMATS_JSON_FILE_H
#define TB_FORMATS_JSON_FILE_H

#include "formats/formats.h"

struct json_t; // jansson's, included by the .c files

// Most bytes of JSON text. The headers of the largest models of the families known here have
// a tenth of it; parsed, hostile text takes up to twenty times its size.
#define TB_JSON_LIMIT ((size_t)8 << 20)

// Parses `text`, which `what` names in messages ("config.json of 'folder'"), strictly: no key twice in an object. The
// value must be an object. Release with json_decref.
tb_code tb_json_parse(struct json_t **out, tb_text text, const char *what, tb_error *err);

// Reads a file of Python's writing, as Python reads it (tb_json_read).
tb_code tb_json_file_read(struct json_t **out, const char *path, tb_error *err);

#endif
