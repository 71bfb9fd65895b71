// How Python prints values: str() and repr().
#include <string.h>

#include "template/run.h"
#include "template/unicode.h"

// ---- strings ----

static tb_code write_escaped_character(tb_render *run, uint32_t c, tb_piece bytes, char quote)
{
    tb_origin origin = tb_piece_origin(bytes);
    if (c == (uint32_t)quote || c == '\\')
        return tb_render_printf(run, origin, "\\%c", (char)c);
    if (c == '\n' || c == '\r' || c == '\t')
        return tb_render_printf(run, origin, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    if (tb_unicode_is_printable(c))
        return tb_render_write(run, bytes);
    return tb_render_printf(run, origin, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

static tb_code write_quoted(tb_render *run, tb_piece text)
{
    bool has_single = text.size && memchr(text.data, '\'', text.size);
    bool has_double = text.size && memchr(text.data, '"', text.size);
    const char *quote = has_single && !has_double ? "\"" : "'";
    tb_code rc = tb_render_write_text(run, quote);
    for (size_t at = 0, n; at < text.size && !rc; at += n) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        rc = write_escaped_character(run, c, tb_piece_cut(text, at, n), *quote);
    }
    return rc ? rc : tb_render_write_text(run, quote);
}

static tb_code write_string_repr(tb_render *run, tb_value string)
{
    bool markup = tb_value_is_markup(string);
    tb_code rc = markup ? tb_render_write_text(run, "Markup(") : TB_OK;
    if (!rc)
        rc = write_quoted(run, tb_value_text(string));
    return rc || !markup ? rc : tb_render_write_text(run, ")");
}

// ---- containers ----

static tb_code write_items(tb_render *run, const tb_list *list)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < list->count && !rc; i++) {
        if (i > 0)
            rc = tb_render_write_text(run, ", ");
        if (!rc)
            rc = tb_write_repr(run, list->items[i]);
    }
    return rc;
}

static tb_code write_list(tb_render *run, tb_value list)
{
    bool is_list = list.kind == TB_VALUE_LIST;
    tb_code rc = tb_render_write_text(run, is_list ? "[" : "(");
    if (!rc)
        rc = write_items(run, list.as.list);
    if (!rc)
        rc = tb_render_write_text(run, is_list ? "]" : list.as.list->count == 1 ? ",)" : ")");
    return rc;
}

static tb_code write_pair(tb_render *run, tb_value key, const char *between, tb_value value)
{
    tb_code rc = tb_write_repr(run, key);
    if (!rc)
        rc = tb_render_write_text(run, between);
    return rc ? rc : tb_write_repr(run, value);
}

static tb_code write_dict(tb_render *run, const tb_dict *dict)
{
    tb_code rc = tb_render_write_text(run, "{");
    for (size_t i = 0; i < dict->count && !rc; i++) {
        if (i > 0)
            rc = tb_render_write_text(run, ", ");
        if (!rc)
            rc = write_pair(run, dict->entries[i].key, ": ", dict->entries[i].value);
    }
    return rc ? rc : tb_render_write_text(run, "}");
}

static tb_code write_view_item(tb_render *run, tb_view_kind view, const tb_dict_entry *entry)
{
    if (view != TB_VIEW_ITEMS)
        return tb_write_repr(run, view == TB_VIEW_KEYS ? entry->key : entry->value);
    tb_code rc = tb_render_write_text(run, "(");
    if (!rc)
        rc = write_pair(run, entry->key, ", ", entry->value);
    return rc ? rc : tb_render_write_text(run, ")");
}

static tb_code write_view(tb_render *run, tb_value view)
{
    static const char *const names[] = {"dict_keys([", "dict_values([", "dict_items(["};
    const tb_dict *dict = view.as.dict;
    tb_code rc = tb_render_write_text(run, names[view.variant]);
    for (size_t i = 0; i < dict->count && !rc; i++) {
        if (i > 0)
            rc = tb_render_write_text(run, ", ");
        if (!rc)
            rc = write_view_item(run, (tb_view_kind)view.variant, &dict->entries[i]);
    }
    return rc ? rc : tb_render_write_text(run, "])");
}

static tb_code write_range(tb_render *run, const tb_range *range)
{
    tb_code rc =
        tb_render_printf(run, TB_FROM_TEMPLATE, "range(%lld, %lld", (long long)range->start, (long long)range->stop);
    if (!rc && range->step != 1)
        rc = tb_render_printf(run, TB_FROM_TEMPLATE, ", %lld", (long long)range->step);
    return rc ? rc : tb_render_write_text(run, ")");
}

static tb_code write_namespace(tb_render *run, const tb_dict *dict)
{
    tb_code rc = tb_render_write_text(run, "<Namespace ");
    if (!rc)
        rc = write_dict(run, dict);
    return rc ? rc : tb_render_write_text(run, ">");
}

static tb_code write_macro(tb_render *run, const tb_macro *macro)
{
    const tb_string *name = macro->def->name;
    tb_code rc = tb_render_write_text(run, "<Macro ");
    if (!rc)
        rc = name ? write_quoted(run, name->text) : tb_render_write_text(run, "anonymous");
    return rc ? rc : tb_render_write_text(run, ">");
}

static tb_code write_loop(tb_render *run, tb_loop *loop)
{
    int64_t length, index = loop->index0 + 1;
    tb_code rc = tb_loop_length(&length, run, loop);
    return rc ? rc
              : tb_render_printf(run, TB_FROM_TEMPLATE, "<LoopContext %lld/%lld>", (long long)index, (long long)length);
}

// ---- all ----

static tb_code write_container(tb_render *run, tb_value value)
{
    switch (value.kind) {
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
        return write_list(run, value);
    case TB_VALUE_DICT:
        return write_dict(run, value.as.dict);
    case TB_VALUE_VIEW:
        return write_view(run, value);
    case TB_VALUE_RANGE:
        return write_range(run, value.as.range);
    case TB_VALUE_NAMESPACE:
        return write_namespace(run, value.as.dict);
    case TB_VALUE_MACRO:
        return write_macro(run, value.as.macro);
    case TB_VALUE_LOOP:
        return write_loop(run, value.as.loop);
    default: // Python shows the address of the object
        return tb_render_fail(run, TB_EUNSUPPORTED, "printing a value of type '%s' is not supported",
                              tb_value_kind_name(value.kind));
    }
}

tb_code tb_write_repr(tb_render *run, tb_value value)
{
    char number[TB_FLOAT_TEXT];
    tb_origin origin = (tb_origin)value.origin;
    tb_code rc;
    switch (value.kind) {
    case TB_VALUE_UNDEFINED:
        return tb_render_write_text(run, "Undefined");
    case TB_VALUE_NONE:
        return tb_render_printf(run, origin, "None");
    case TB_VALUE_BOOL:
        return tb_render_printf(run, origin, value.as.boolean ? "True" : "False");
    case TB_VALUE_INT:
        return tb_render_printf(run, origin, "%lld", (long long)value.as.integer);
    case TB_VALUE_FLOAT:
        tb_float_repr(number, value.as.real);
        rc = tb_render_work(run, TB_STEPS_PER_FLOAT);
        return rc ? rc : tb_render_printf(run, origin, "%s", number);
    case TB_VALUE_STRING:
        return write_string_repr(run, value);
    default:
        break;
    }
    rc = tb_render_enter(run);
    if (rc)
        return rc;
    rc = write_container(run, value);
    run->depth--;
    return rc;
}

tb_code tb_write_str(tb_render *run, tb_value value)
{
    if (value.kind == TB_VALUE_STRING)
        return tb_render_write(run, tb_value_text(value));
    return value.kind == TB_VALUE_UNDEFINED ? TB_OK : tb_write_repr(run, value);
}

tb_code tb_to_string(tb_value *out, tb_render *run, tb_value value, bool keep_markup)
{
    if (value.kind == TB_VALUE_STRING) {
        *out = value;
        if (!keep_markup)
            out->variant = 0;
        return TB_OK;
    }
    size_t mark = tb_render_begin(run);
    tb_code rc = tb_write_str(run, value);
    return rc ? rc : tb_render_take(out, run, mark);
}
