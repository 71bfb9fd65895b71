#include "formats/json_file.h"

#include <jansson.h>

static tb_code parse(struct json_t **out, tb_text text, size_t flags, const char *what, tb_error *err)
{
    *out = NULL;
    if (text.size > TB_JSON_LIMIT)
        return tb_fail(err, TB_ELIMIT, "%s has %zu bytes of JSON, more than %zu", what, text.size, TB_JSON_LIMIT);
    json_error_t error = {0};
    json_t *value = json_loadb(text.data ? text.data : "", text.size, flags, &error);
    if (!value && json_error_code(&error) == json_error_out_of_memory)
        return tb_fail(err, TB_ENOMEM, "no memory to read %s", what);
    if (!value)
        return tb_fail(err, TB_EFORMAT, "%s is not valid JSON: line %d: %s", what, error.line, error.text);
    if (!json_is_object(value)) {
        json_decref(value);
        return tb_fail(err, TB_EFORMAT, "%s is not a JSON object", what);
    }
    *out = value;
    return TB_OK;
}

tb_code tb_json_parse(struct json_t **out, tb_text text, const char *what, tb_error *err)
{
    return parse(out, text, JSON_REJECT_DUPLICATES, what, err);
}

static tb_code parse_file(struct json_t **out, const char *path, size_t flags, tb_error *err)
{
    *out = NULL;
    tb_map map;
    tb_str what = {0};
    tb_code rc = tb_str_printf(&what, err, "'%s'", path);
    if (!rc)
        rc = tb_map_open(&map, path, err);
    if (!rc) {
        rc = parse(out, (tb_text){(const char *)map.data, map.size}, flags, what.data, err);
        tb_map_close(&map);
    }
    tb_str_clear(&what);
    return rc;
}

tb_code tb_json_file_parse(struct json_t **out, const char *path, tb_error *err)
{
    return parse_file(out, path, JSON_REJECT_DUPLICATES, err);
}

tb_code tb_json_file_parse_loosely(struct json_t **out, const char *path, tb_error *err)
{
    return parse_file(out, path, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, err);
}
