#include "base/json_text.h"

#include <jansson.h>

#include "base/fail.h"
#include "base/utf8.h"

json_t *tb_json_text(const char *text, size_t size)
{
    tb_str utf8 = {0};
    json_t *string = NULL;
    if (!tb_append_as_utf8(&utf8, (tb_text){text, size}, NULL))
        string = json_stringn(tb_str_get(&utf8), utf8.size);
    tb_str_clear(&utf8);
    return string;
}

typedef struct sink {
    tb_str *out;
    tb_code rc;
    tb_error *err;
} sink;

static int append(const char *bytes, size_t n, void *user)
{
    sink *s = user;
    s->rc = tb_str_append(s->out, bytes, n, s->err);
    return s->rc ? -1 : 0;
}

tb_code tb_json_append(tb_str *out, const json_t *value, size_t indent, tb_error *err)
{
    sink s = {out, TB_OK, err};
    if (json_dump_callback(value, append, &s, JSON_INDENT(indent)) && !s.rc)
        return tb_fail(err, TB_ENOMEM, "no memory to write JSON");
    return s.rc;
}

tb_text tb_json_get_text(const json_t *value)
{
    return json_is_string(value) ? (tb_text){json_string_value(value), json_string_length(value)} : (tb_text){"", 0};
}

tb_text tb_json_text_at(const json_t *object, const char *key)
{
    return tb_json_get_text(json_object_get(object, key));
}

bool tb_json_bool_at(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}
