#include "formats/json_file.h"

#include <jansson.h>

static tb_code check_size(tb_text text, const char *what, tb_error *err)
{
    if (text.size > TB_JSON_LIMIT)
        return tb_fail(err, TB_ELIMIT, "%s has %zu bytes of JSON, more than %zu", what, text.size, TB_JSON_LIMIT);
    return TB_OK;
}

tb_code tb_json_parse(struct json_t **out, tb_text text, const char *what, tb_error *err)
{
    *out = NULL;
    tb_code rc = check_size(text, what, err);
    if (rc)
        return rc;
    json_error_t error = {0};
    json_t *value = json_loadb(text.data ? text.data : "", text.size, JSON_REJECT_DUPLICATES, &error);
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

tb_code tb_json_file_read(struct json_t **out, const char *path, tb_error *err)
{
    *out = NULL;
    tb_map map;
    tb_str what = {0};
    tb_code rc = tb_str_printf(&what, err, "'%s'", path);
    if (!rc)
        rc = tb_map_open(&map, path, err);
    if (!rc) {
        tb_text text = {(const char *)map.data, map.size};
        rc = check_size(text, what.data, err);
        if (!rc)
            rc = tb_json_read(out, text, what.data, err);
        tb_map_close(&map);
    }
    tb_str_clear(&what);
    return rc;
}
