// JSON both ways: the context that a template is rendered with, and json.dumps() for tojson.
#include "template/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "template/iter.h"

// ---- reading ----

static tb_code from_json(tb_value *out, tb_render *run, json_t *json, tb_origin origin);

static tb_code from_array(tb_value *out, tb_render *run, json_t *json, tb_origin origin)
{
    size_t n = json_array_size(json);
    tb_code rc = tb_list_new(out, run, TB_VALUE_LIST, n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = from_json(&out->as.list->items[i], run, json_array_get(json, i), origin);
    return rc;
}

// Roles are the words of the format of messages. Some templates make control tokens of them: '<|' + role + '|>'.
static bool is_known_role(const char *name, const json_t *json)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};
    const char *text = json_string_value(json);
    if (!text || strcmp(name, "role") != 0)
        return false;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (tb_text_is((tb_text){text, json_string_length(json)}, roles[i]))
            return true;
    return false;
}

// Adds the members to a dict. jansson walks an object in the order in which its keys came.
static tb_code add_members(tb_dict *dict, tb_render *run, json_t *json, tb_origin origin)
{
    const char *name;
    json_t *member;
    tb_code rc = TB_OK;
    json_object_foreach(json, name, member)
    {
        tb_value key, value;
        if (!rc)
            rc = tb_string_borrow(&key, run, tb_piece_of((tb_text){name, strlen(name)}, origin));
        if (!rc)
            rc = from_json(&value, run, member, is_known_role(name, member) ? TB_FROM_TEMPLATE : origin);
        if (!rc)
            rc = tb_dict_set(dict, run, key, value);
    }
    return rc;
}

static tb_code from_object(tb_value *out, tb_render *run, json_t *json, tb_origin origin)
{
    tb_code rc = tb_dict_new(out, run);
    return rc ? rc : add_members(out->as.dict, run, json, origin);
}

// Recurses as deep as jansson reads, some two thousand levels.
static tb_code from_json(tb_value *out, tb_render *run, json_t *json, tb_origin origin)
{
    tb_code rc = TB_OK;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return from_object(out, run, json, origin);
    case JSON_ARRAY:
        return from_array(out, run, json, origin);
    case JSON_STRING:
        return tb_string_borrow(out, run,
                                tb_piece_of((tb_text){json_string_value(json), json_string_length(json)}, origin));
    case JSON_INTEGER:
        *out = tb_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *out = tb_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = tb_bool(json_is_true(json));
        break;
    default:
        *out = tb_none();
    }
    out->origin = (uint8_t)origin;
    return rc;
}

static tb_code load_object(json_t **out, const tb_render *run, tb_text text)
{
    json_error_t why;
    json_t *json = *out = json_loadb(text.data, text.size, JSON_ALLOW_NUL, &why);
    if (!json && json_error_code(&why) == json_error_out_of_memory)
        return tb_fail(run->err, TB_ENOMEM, "no memory for the variables of the template");
    if (!json)
        return tb_fail(run->err, TB_EFORMAT, "the variables of the template are not valid JSON: %s at line %d",
                       why.text, why.line);
    if (!json_is_object(json))
        return tb_fail(run->err, TB_EFORMAT, "the variables of the template are no JSON object");
    return TB_OK;
}

tb_code tb_context_read(void *owners[2], tb_render *run, tb_text variables, tb_text conversation)
{
    const tb_text texts[] = {variables, conversation};
    static const tb_origin origins[] = {TB_FROM_TEMPLATE, TB_FROM_CONVERSATION};
    tb_value context;
    tb_code rc = tb_dict_new(&context, run);
    for (size_t i = 0; i < 2 && !rc; i++) {
        json_t *object;
        rc = load_object(&object, run, texts[i]);
        owners[i] = object;
        if (!rc)
            rc = add_members(context.as.dict, run, object, origins[i]);
    }
    run->context = rc ? NULL : context.as.dict;
    return rc;
}

void tb_context_free(void *owners[2])
{
    json_decref(owners[0]);
    json_decref(owners[1]);
}

// ---- writing ----

static tb_code write_value(tb_render *run, const tb_json_style *how, tb_value value, size_t level);

static tb_code write_utf16(tb_render *run, tb_origin origin, uint32_t c)
{
    if (c < 0x10000)
        return tb_render_printf(run, origin, "\\u%04x", (unsigned)c);
    c -= 0x10000;
    return tb_render_printf(run, origin, "\\u%04x\\u%04x", 0xD800u | (unsigned)(c >> 10),
                            0xDC00u | (unsigned)(c & 0x3FF));
}

// The letter of a short escape, or 0.
static char short_escape(uint32_t c)
{
    static const char characters[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    const char *at = c && c < 0x80 ? strchr(characters, (char)c) : NULL;
    return at ? letters[at - characters] : '\0';
}

static tb_code write_json_string(tb_render *run, const tb_json_style *how, tb_piece text)
{
    size_t from = 0, n;
    tb_code rc = tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
    if (!rc)
        rc = tb_render_write_text(run, "\"");
    for (size_t at = 0; at < text.size && !rc; at += n) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        char letter = short_escape(c);
        if (!letter && c >= 0x20 && (c < 0x7F || !how->ensure_ascii))
            continue;
        tb_origin origin = tb_piece_origin_at(text, at);
        rc = tb_render_write(run, tb_piece_cut(text, from, at - from));
        if (!rc)
            rc = letter ? tb_render_printf(run, origin, "\\%c", letter) : write_utf16(run, origin, c);
        from = at + n;
    }
    if (!rc)
        rc = tb_render_write(run, tb_piece_cut(text, from, text.size - from));
    return rc ? rc : tb_render_write_text(run, "\"");
}

static tb_code write_json_float(tb_render *run, tb_origin origin, double value)
{
    char text[TB_FLOAT_TEXT];
    if (!isfinite(value))
        return tb_render_printf(run, origin, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    tb_float_repr(text, value);
    tb_code rc = tb_render_work(run, TB_STEPS_PER_FLOAT);
    return rc ? rc : tb_render_printf(run, origin, "%s", text);
}

static tb_code write_json_scalar(tb_render *run, const tb_json_style *how, tb_value value)
{
    tb_origin origin = (tb_origin)value.origin;
    switch (value.kind) {
    case TB_VALUE_NONE:
        return tb_render_printf(run, origin, "null");
    case TB_VALUE_BOOL:
        return tb_render_printf(run, origin, value.as.boolean ? "true" : "false");
    case TB_VALUE_INT:
        return tb_render_printf(run, origin, "%lld", (long long)value.as.integer);
    case TB_VALUE_FLOAT:
        return write_json_float(run, origin, value.as.real);
    case TB_VALUE_STRING:
        return write_json_string(run, how, tb_value_text(value));
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
        return write_json_string(run, how, tb_value_text(key));
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
