#include "agent/json_exact.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lines.h"
#include "agent/secrets.h"

enum { DOUBLE_DIGITS = 17 }; // suffice for every double

tb_code tb_json_file(json_t **out, const char *path, size_t limit, tb_error *err)
{
    char *text;
    size_t size;
    tb_str what = {0};
    *out = NULL;
    tb_code rc = tb_file_read(&text, &size, path, limit, err);
    if (rc)
        return rc;
    rc = tb_str_printf(&what, err, "'%s'", path);
    if (!rc)
        rc = tb_json_read(out, tb_without_mark((tb_text){text, size}), what.data, err);
    tb_str_clear(&what);
    tb_free(text);
    return rc;
}

// In plain digits where Python's repr has them, else with an exponent.
const char *tb_real_text(char out[TB_REAL_TEXT], double value)
{
    bool plain = value == 0 || (fabs(value) >= 1e-4 && fabs(value) < 1e16);
    for (int digits = 1; digits <= DOUBLE_DIGITS + 4; digits++) { // as many decimals as 1e-4 needs
        snprintf(out, TB_REAL_TEXT, plain ? "%.*f" : "%.*e", plain ? digits : digits - 1, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return out;
}

// ---- writing ----

typedef struct writer {
    tb_str *out;
    tb_error *err;
    tb_code rc;
} writer;

static void put(writer *w, const char *text, size_t size)
{
    if (!w->rc)
        w->rc = tb_str_append(w->out, text, size, w->err);
}

static void put_line(writer *w, size_t depth)
{
    put(w, "\n", 1);
    for (size_t i = 0; i < depth; i++)
        put(w, "  ", 2);
}

static int put_piece(const char *text, size_t size, void *user)
{
    writer *w = user;
    put(w, text, size);
    return w->rc ? -1 : 0;
}

// What jansson writes as we want it.
static void put_plain(writer *w, const json_t *value)
{
    if (json_dump_callback(value, put_piece, w, JSON_ENCODE_ANY) && !w->rc)
        w->rc = tb_fail(w->err, TB_ENOMEM, "no memory to write JSON");
}

static void put_value(writer *w, const json_t *value, size_t depth);

static void put_array(writer *w, const json_t *array, size_t depth)
{
    size_t n = json_array_size(array);
    put(w, "[", 1);
    for (size_t i = 0; i < n && !w->rc; i++) {
        put(w, ",", i > 0);
        put_line(w, depth + 1);
        put_value(w, json_array_get(array, i), depth + 1);
    }
    if (n)
        put_line(w, depth);
    put(w, "]", 1);
}

static void put_object(writer *w, json_t *object, size_t depth)
{
    const char *key;
    json_t *value;
    bool first = true;
    put(w, "{", 1);
    json_object_foreach(object, key, value)
    {
        put(w, ",", !first);
        put_line(w, depth + 1);
        json_t *name = json_string(key);
        put_plain(w, name);
        json_decref(name);
        put(w, ": ", 2);
        put_value(w, value, depth + 1);
        first = false;
    }
    if (!first)
        put_line(w, depth);
    put(w, "}", 1);
}

static void put_real(writer *w, double value)
{
    char text[TB_REAL_TEXT];
    tb_real_text(text, value);
    put(w, text, strlen(text));
}

static void put_value(writer *w, const json_t *value, size_t depth)
{
    if (json_is_array(value))
        put_array(w, value, depth);
    else if (json_is_object(value))
        put_object(w, (json_t *)value, depth); // jansson walks over objects that it may change only
    else if (json_is_real(value))
        put_real(w, json_real_value(value));
    else
        put_plain(w, value);
}

tb_code tb_json_append_exact(tb_str *out, const json_t *value, tb_error *err)
{
    writer w = {.out = out, .err = err};
    put_value(&w, value, 0);
    return w.rc;
}

tb_code tb_json_file_write(json_t *object, const char *path, tb_error *err)
{
    tb_str text = {0};
    tb_code rc =
        object ? tb_json_append_exact(&text, object, err) : tb_fail(err, TB_ENOMEM, "no memory for '%s'", path);
    json_decref(object);
    if (!rc)
        rc = tb_str_append_text(&text, "\n", err);
    if (!rc)
        rc = tb_hide_secrets(&text, err);
    if (!rc)
        rc = tb_file_write(path, text.data, text.size, err);
    tb_str_clear(&text);
    return rc;
}
