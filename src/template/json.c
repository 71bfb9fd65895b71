// JSON both ways: the context that a template is rendered with, and json.dumps() for tojson.
#include "template/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "template/iter.h"

// ---- reading ----

static tb_value from_json(tb_render *run, json_t *json, tb_origin origin);

static tb_value from_array(tb_render *run, json_t *json, tb_origin origin)
{
    size_t n = json_array_size(json);
    tb_value list = tb_list_new(run, TB_VALUE_LIST, n);
    for (size_t i = 0; i < n && !run->rc; i++)
        list.as.list->items[i] = from_json(run, json_array_get(json, i), origin);
    return list;
}

static tb_value from_text(tb_render *run, const char *text, size_t size, tb_origin origin)
{
    return tb_string_borrow(run, tb_piece_of((tb_text){text, size}, origin));
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
static void add_members(tb_dict *dict, tb_render *run, json_t *json, tb_origin origin)
{
    const char *name;
    json_t *member;
    json_object_foreach(json, name, member)
    {
        tb_origin its_own = is_known_role(name, member) ? TB_FROM_TEMPLATE : origin;
        if (!run->rc)
            tb_dict_set(run, dict, from_text(run, name, strlen(name), origin), from_json(run, member, its_own));
    }
}

static tb_value from_object(tb_render *run, json_t *json, tb_origin origin)
{
    tb_value dict = tb_dict_new(run);
    if (!run->rc)
        add_members(dict.as.dict, run, json, origin);
    return dict;
}

// Recurses as deep as jansson reads, some two thousand levels.
static tb_value from_json(tb_render *run, json_t *json, tb_origin origin)
{
    tb_value value = tb_none();
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return from_object(run, json, origin);
    case JSON_ARRAY:
        return from_array(run, json, origin);
    case JSON_STRING:
        return from_text(run, json_string_value(json), json_string_length(json), origin);
    case JSON_INTEGER:
        value = tb_int(json_integer_value(json));
        break;
    case JSON_REAL:
        value = tb_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value = tb_bool(json_is_true(json));
        break;
    default:
        break;
    }
    value.origin = (uint8_t)origin;
    return value;
}

static json_t *load_object(tb_render *run, tb_text text)
{
    json_error_t why;
    json_t *json = json_loadb(text.data, text.size, JSON_ALLOW_NUL, &why);
    if (!json && json_error_code(&why) == json_error_out_of_memory)
        run->rc = tb_fail(run->err, TB_ENOMEM, "no memory for the variables of the template");
    else if (!json)
        run->rc = tb_fail(run->err, TB_EFORMAT, "the variables of the template are not valid JSON: %s at line %d",
                          why.text, why.line);
    else if (!json_is_object(json))
        run->rc = tb_fail(run->err, TB_EFORMAT, "the variables of the template are no JSON object");
    return json;
}

void tb_context_read(void *owners[2], tb_render *run, tb_text variables, tb_text conversation)
{
    const tb_text texts[] = {variables, conversation};
    static const tb_origin origins[] = {TB_FROM_TEMPLATE, TB_FROM_CONVERSATION};
    tb_value context = tb_dict_new(run);
    for (size_t i = 0; i < 2 && !run->rc; i++) {
        json_t *object = owners[i] = load_object(run, texts[i]);
        if (!run->rc)
            add_members(context.as.dict, run, object, origins[i]);
    }
    run->context = context.as.dict;
}

void tb_context_free(void *owners[2])
{
    json_decref(owners[0]);
    json_decref(owners[1]);
}

// ---- writing ----

static void write_value(tb_render *run, const tb_json_style *how, tb_value value, size_t level);

static void write_utf16(tb_render *run, tb_origin origin, uint32_t c)
{
    if (c >= 0x10000) {
        c -= 0x10000;
        tb_render_printf(run, origin, "\\u%04x", 0xD800u | (unsigned)(c >> 10));
        c = 0xDC00u | (c & 0x3FF);
    }
    tb_render_printf(run, origin, "\\u%04x", (unsigned)c);
}

// The letter of a short escape, or 0.
static char short_escape(uint32_t c)
{
    static const char characters[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    const char *at = c && c < 0x80 ? strchr(characters, (char)c) : NULL;
    return at ? letters[at - characters] : '\0';
}

static void write_json_string(tb_render *run, const tb_json_style *how, tb_piece text)
{
    size_t from = 0, n;
    tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
    tb_render_write_text(run, "\"");
    for (size_t at = 0; at < text.size && !run->rc; at += n) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        char letter = short_escape(c);
        if (!letter && c >= 0x20 && (c < 0x7F || !how->ensure_ascii))
            continue;
        tb_render_write(run, tb_piece_cut(text, from, at - from));
        if (letter)
            tb_render_printf(run, tb_piece_origin_at(text, at), "\\%c", letter);
        else
            write_utf16(run, tb_piece_origin_at(text, at), c);
        from = at + n;
    }
    tb_render_write(run, tb_piece_behind(text, from));
    tb_render_write_text(run, "\"");
}

static void write_json_scalar(tb_render *run, const tb_json_style *how, tb_value value)
{
    static const char *const words[] = {"null", "false", "true", "NaN", "Infinity", "-Infinity"};
    if (value.kind == TB_VALUE_STRING)
        write_json_string(run, how, tb_value_text(value));
    else if (value.kind == TB_VALUE_NONE || tb_value_is_number(value))
        tb_write_scalar(run, words, value);
    else
        tb_render_wrong_type(run, "writing JSON", value);
}

// A line break and the indent of a level, where there are indents.
static void write_break(tb_render *run, const tb_json_style *how, size_t level)
{
    if (!how->has_indent)
        return;
    tb_render_write_text(run, "\n");
    tb_render_write_repeated(run, how->indent, level);
}

// What stands between items and in front of the first.
static void write_separator(tb_render *run, const tb_json_style *how, size_t i, size_t level)
{
    if (i > 0)
        tb_render_write(run, how->item_separator);
    write_break(run, how, level);
}

static void write_array(tb_render *run, const tb_json_style *how, const tb_list *list, size_t level)
{
    tb_render_write_text(run, "[");
    for (size_t i = 0; i < list->count && !run->rc; i++) {
        write_separator(run, how, i, level + 1);
        write_value(run, how, list->items[i], level + 1);
    }
    if (list->count > 0)
        write_break(run, how, level);
    tb_render_write_text(run, "]");
}

// Keys other than text are written as text.
static void write_key(tb_render *run, const tb_json_style *how, tb_value key)
{
    const char *quote = key.kind == TB_VALUE_STRING ? "" : "\"";
    tb_render_write_text(run, quote);
    write_json_scalar(run, how, key);
    tb_render_write_text(run, quote);
}

static void write_object(tb_render *run, const tb_json_style *how, tb_value object, size_t level)
{
    tb_value keys = tb_value_collect(run, TB_VALUE_LIST, object);
    if (how->sort_keys)
        keys = tb_list_sort(run, keys, tb_value_list(keys)->items, false);
    tb_render_write_text(run, "{");
    for (size_t i = 0; i < tb_value_list(keys)->count && !run->rc; i++) {
        tb_value key = keys.as.list->items[i];
        write_separator(run, how, i, level + 1);
        write_key(run, how, key);
        tb_render_write(run, how->key_separator);
        write_value(run, how, tb_dict_get(run, object.as.dict, key), level + 1);
    }
    if (object.as.dict->count > 0)
        write_break(run, how, level);
    tb_render_write_text(run, "}");
}

static void write_value(tb_render *run, const tb_json_style *how, tb_value value, size_t level)
{
    bool is_array = value.kind == TB_VALUE_LIST || value.kind == TB_VALUE_TUPLE;
    if (!is_array && value.kind != TB_VALUE_DICT) {
        write_json_scalar(run, how, value);
        return;
    }
    if (!tb_render_enter(run))
        return;
    if (is_array)
        write_array(run, how, value.as.list, level);
    else
        write_object(run, how, value, level);
    run->depth--;
}

void tb_write_json(tb_render *run, const tb_json_style *how, tb_value value)
{
    write_value(run, how, value, 0);
}
