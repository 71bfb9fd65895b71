// JSON both ways: the context that a template is rendered with, and json.dumps() for tojson.
#include "template/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "template/iter.h"

// ---- reading ----

static tb_code from_json(tb_value *out, tb_render *run, json_t *json);

static tb_code from_array(tb_value *out, tb_render *run, json_t *json)
{
    size_t n = json_array_size(json);
    tb_code rc = tb_list_new(out, run, TB_VALUE_LIST, n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = from_json(&out->as.list->items[i], run, json_array_get(json, i));
    return rc;
}

// jansson walks an object in the order in which its keys came.
static tb_code from_object(tb_value *out, tb_render *run, json_t *json)
{
    const char *name;
    json_t *member;
    tb_code rc = tb_dict_new(out, run);
    json_object_foreach(json, name, member)
    {
        tb_value key, value;
        if (!rc)
            rc = tb_string_borrow(&key, run, (tb_text){name, strlen(name)});
        if (!rc)
            rc = from_json(&value, run, member);
        if (!rc)
            rc = tb_dict_set(out->as.dict, run, key, value);
    }
    return rc;
}

// Recurses as deep as jansson reads, some two thousand levels.
static tb_code from_json(tb_value *out, tb_render *run, json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return from_object(out, run, json);
    case JSON_ARRAY:
        return from_array(out, run, json);
    case JSON_STRING:
        return tb_string_borrow(out, run, (tb_text){json_string_value(json), json_string_length(json)});
    case JSON_INTEGER:
        *out = tb_int(json_integer_value(json));
        return TB_OK;
    case JSON_REAL:
        *out = tb_float(json_real_value(json));
        return TB_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = tb_bool(json_is_true(json));
        return TB_OK;
    default:
        *out = tb_none();
        return TB_OK;
    }
}

tb_code tb_context_read(tb_value *out, void **owner, tb_render *run, tb_text text)
{
    json_error_t why;
    json_t *json = json_loadb(text.data, text.size, JSON_ALLOW_NUL, &why);
    *owner = json;
    if (!json && json_error_code(&why) == json_error_out_of_memory)
        return tb_fail(run->err, TB_ENOMEM, "no memory for the variables of the template");
    if (!json)
        return tb_fail(run->err, TB_EFORMAT, "the variables of the template are not valid JSON: %s at line %d",
                       why.text, why.line);
    if (!json_is_object(json))
        return tb_fail(run->err, TB_EFORMAT, "the variables of the template are no JSON object");
    return from_json(out, run, json);
}

void tb_context_free(void *owner)
{
    json_decref(owner);
}

// ---- writing ----

static tb_code write_value(tb_render *run, const tb_json_style *how, tb_value value, size_t level);

static tb_code write_utf16(tb_render *run, uint32_t c)
{
    if (c < 0x10000)
        return tb_render_printf(run, "\\u%04x", (unsigned)c);
    c -= 0x10000;
    return tb_render_printf(run, "\\u%04x\\u%04x", 0xD800u | (unsigned)(c >> 10), 0xDC00u | (unsigned)(c & 0x3FF));
}

// The letter of a short escape, or 0.
static char short_escape(uint32_t c)
{
    static const char characters[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    const char *at = c && c < 0x80 ? strchr(characters, (char)c) : NULL;
    return at ? letters[at - characters] : '\0';
}

static tb_code write_json_string(tb_render *run, const tb_json_style *how, tb_text text)
{
    size_t from = 0, n;
    tb_code rc = tb_render_write_text(run, "\"");
    for (size_t at = 0; at < text.size && !rc; at += n) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        char letter = short_escape(c);
        if (!letter && c >= 0x20 && (c < 0x7F || !how->ensure_ascii))
            continue;
        rc = tb_render_write(run, (tb_text){text.data + from, at - from});
        if (!rc)
            rc = letter ? tb_render_printf(run, "\\%c", letter) : write_utf16(run, c);
        from = at + n;
    }
    if (!rc)
        rc = tb_render_write(run, (tb_text){text.data + from, text.size - from});
    return rc ? rc : tb_render_write_text(run, "\"");
}

static tb_code write_json_float(tb_render *run, double value)
{
    char text[TB_FLOAT_TEXT];
    if (!isfinite(value))
        return tb_render_write_text(run, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    tb_float_repr(text, value);
    return tb_render_write_text(run, text);
}

static tb_code write_json_scalar(tb_render *run, const tb_json_style *how, tb_value value)
{
    switch (value.kind) {
    case TB_VALUE_NONE:
        return tb_render_write_text(run, "null");
    case TB_VALUE_BOOL:
        return tb_render_write_text(run, value.as.boolean ? "true" : "false");
    case TB_VALUE_INT:
        return tb_render_printf(run, "%lld", (long long)value.as.integer);
    case TB_VALUE_FLOAT:
        return write_json_float(run, value.as.real);
    case TB_VALUE_STRING:
        return write_json_string(run, how, tb_string_text(value));
    default:
        return tb_render_wrong_type(run, "writing JSON", value);
    }
}

// A line break and the indent of a level, where there are indents.
static tb_code write_break(tb_render *run, const tb_json_style *how, size_t level)
{
    tb_code rc = how->has_indent ? tb_render_write_text(run, "\n") : TB_OK;
    return rc || !how->has_indent ? rc : tb_render_write_repeated(run, how->indent, level);
}

static tb_code write_array(tb_render *run, const tb_json_style *how, const tb_list *list, size_t level)
{
    if (list->count == 0)
        return tb_render_write_text(run, "[]");
    tb_code rc = tb_render_write_text(run, "[");
    for (size_t i = 0; i < list->count && !rc; i++) {
        if (i > 0)
            rc = tb_render_write(run, how->item_separator);
        if (!rc)
            rc = write_break(run, how, level + 1);
        if (!rc)
            rc = write_value(run, how, list->items[i], level + 1);
    }
    if (!rc)
        rc = write_break(run, how, level);
    return rc ? rc : tb_render_write_text(run, "]");
}

// Keys other than text are written as text.
static tb_code write_key(tb_render *run, const tb_json_style *how, tb_value key)
{
    if (key.kind == TB_VALUE_STRING)
        return write_json_string(run, how, tb_string_text(key));
    tb_code rc = tb_render_write_text(run, "\"");
    if (!rc)
        rc = write_json_scalar(run, how, key);
    return rc ? rc : tb_render_write_text(run, "\"");
}

static tb_code write_members(tb_render *run, const tb_json_style *how, const tb_list *keys, const tb_dict *dict,
                             size_t level)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < keys->count && !rc; i++) {
        tb_value value;
        if (i > 0)
            rc = tb_render_write(run, how->item_separator);
        if (!rc)
            rc = write_break(run, how, level + 1);
        if (!rc)
            rc = write_key(run, how, keys->items[i]);
        if (!rc)
            rc = tb_render_write(run, how->key_separator);
        if (!rc)
            rc = tb_dict_get(&value, run, dict, keys->items[i]);
        if (!rc)
            rc = write_value(run, how, value, level + 1);
    }
    return rc;
}

static tb_code write_object(tb_render *run, const tb_json_style *how, tb_value object, size_t level)
{
    if (object.as.dict->count == 0)
        return tb_render_write_text(run, "{}");
    tb_value keys;
    tb_code rc = tb_value_collect(&keys, run, TB_VALUE_LIST, object);
    if (!rc && how->sort_keys)
        rc = tb_list_sort(&keys, run, keys, keys.as.list->items, false);
    if (!rc)
        rc = tb_render_write_text(run, "{");
    if (!rc)
        rc = write_members(run, how, keys.as.list, object.as.dict, level);
    if (!rc)
        rc = write_break(run, how, level);
    return rc ? rc : tb_render_write_text(run, "}");
}

static tb_code write_value(tb_render *run, const tb_json_style *how, tb_value value, size_t level)
{
    bool is_array = value.kind == TB_VALUE_LIST || value.kind == TB_VALUE_TUPLE;
    if (!is_array && value.kind != TB_VALUE_DICT)
        return write_json_scalar(run, how, value);
    tb_code rc = tb_render_enter(run);
    if (rc)
        return rc;
    rc = is_array ? write_array(run, how, value.as.list, level) : write_object(run, how, value, level);
    run->depth--;
    return rc;
}

tb_code tb_write_json(tb_render *run, const tb_json_style *how, tb_value value)
{
    return write_value(run, how, value, 0);
}
