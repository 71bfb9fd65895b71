// How Python prints values: str() and repr().
#include <string.h>

#include "template/run.h"
#include "template/unicode.h"

// ---- strings ----

static tb_code write_escaped_character(tb_jrun *run, uint32_t c, tb_text bytes, char quote)
{
    if (c == (uint32_t)quote || c == '\\')
        return tb_jrun_printf(run, "\\%c", (char)c);
    if (c == '\n' || c == '\r' || c == '\t')
        return tb_jrun_write_text(run, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    if (tb_juni_is_printable(c))
        return tb_jrun_write(run, bytes);
    if (c < 0x100)
        return tb_jrun_printf(run, "\\x%02x", (unsigned)c);
    return c < 0x10000 ? tb_jrun_printf(run, "\\u%04x", (unsigned)c) : tb_jrun_printf(run, "\\U%08x", (unsigned)c);
}

static tb_code write_quoted(tb_jrun *run, tb_text text)
{
    bool has_single = text.size && memchr(text.data, '\'', text.size);
    bool has_double = text.size && memchr(text.data, '"', text.size);
    char quote = has_single && !has_double ? '"' : '\'';
    tb_code rc = tb_jrun_write_char(run, (unsigned char)quote);
    for (size_t at = 0, n; at < text.size && !rc; at += n) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        rc = write_escaped_character(run, c, (tb_text){text.data + at, n}, quote);
    }
    return rc ? rc : tb_jrun_write_char(run, (unsigned char)quote);
}

static tb_code write_string_repr(tb_jrun *run, tb_jvalue string)
{
    bool markup = tb_jis_markup(string);
    tb_code rc = markup ? tb_jrun_write_text(run, "Markup(") : TB_OK;
    if (!rc)
        rc = write_quoted(run, tb_jtext(string));
    return rc || !markup ? rc : tb_jrun_write_text(run, ")");
}

// ---- containers ----

static tb_code write_items(tb_jrun *run, const tb_jlist *list)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < list->count && !rc; i++) {
        if (i > 0)
            rc = tb_jrun_write_text(run, ", ");
        if (!rc)
            rc = tb_jwrite_repr(run, list->items[i]);
    }
    return rc;
}

static tb_code write_list(tb_jrun *run, tb_jvalue list)
{
    bool is_list = list.kind == TB_J_LIST;
    tb_code rc = tb_jrun_write_text(run, is_list ? "[" : "(");
    if (!rc)
        rc = write_items(run, list.as.list);
    if (!rc)
        rc = tb_jrun_write_text(run, is_list ? "]" : list.as.list->count == 1 ? ",)" : ")");
    return rc;
}

static tb_code write_pair(tb_jrun *run, tb_jvalue key, const char *between, tb_jvalue value)
{
    tb_code rc = tb_jwrite_repr(run, key);
    if (!rc)
        rc = tb_jrun_write_text(run, between);
    return rc ? rc : tb_jwrite_repr(run, value);
}

static tb_code write_dict(tb_jrun *run, const tb_jdict *dict)
{
    tb_code rc = tb_jrun_write_text(run, "{");
    for (size_t i = 0; i < dict->count && !rc; i++) {
        if (i > 0)
            rc = tb_jrun_write_text(run, ", ");
        if (!rc)
            rc = write_pair(run, dict->entries[i].key, ": ", dict->entries[i].value);
    }
    return rc ? rc : tb_jrun_write_text(run, "}");
}

static tb_code write_view_item(tb_jrun *run, tb_jview view, const tb_jentry *entry)
{
    if (view != TB_JVIEW_ITEMS)
        return tb_jwrite_repr(run, view == TB_JVIEW_KEYS ? entry->key : entry->value);
    tb_code rc = tb_jrun_write_text(run, "(");
    if (!rc)
        rc = write_pair(run, entry->key, ", ", entry->value);
    return rc ? rc : tb_jrun_write_text(run, ")");
}

static tb_code write_view(tb_jrun *run, tb_jvalue view)
{
    static const char *const names[] = {"dict_keys([", "dict_values([", "dict_items(["};
    const tb_jdict *dict = view.as.dict;
    tb_code rc = tb_jrun_write_text(run, names[view.variant]);
    for (size_t i = 0; i < dict->count && !rc; i++) {
        if (i > 0)
            rc = tb_jrun_write_text(run, ", ");
        if (!rc)
            rc = write_view_item(run, (tb_jview)view.variant, &dict->entries[i]);
    }
    return rc ? rc : tb_jrun_write_text(run, "])");
}

static tb_code write_range(tb_jrun *run, const tb_jrange *range)
{
    tb_code rc = tb_jrun_printf(run, "range(%lld, %lld", (long long)range->start, (long long)range->stop);
    if (!rc && range->step != 1)
        rc = tb_jrun_printf(run, ", %lld", (long long)range->step);
    return rc ? rc : tb_jrun_write_text(run, ")");
}

static tb_code write_namespace(tb_jrun *run, const tb_jdict *dict)
{
    tb_code rc = tb_jrun_write_text(run, "<Namespace ");
    if (!rc)
        rc = write_dict(run, dict);
    return rc ? rc : tb_jrun_write_text(run, ">");
}

static tb_code write_macro(tb_jrun *run, const tb_jmacro *macro)
{
    const tb_jstring *name = macro->def->name;
    tb_code rc = tb_jrun_write_text(run, "<Macro ");
    if (!rc)
        rc = name ? write_quoted(run, tb_jstring_text(name)) : tb_jrun_write_text(run, "anonymous");
    return rc ? rc : tb_jrun_write_text(run, ">");
}

static tb_code write_loop(tb_jrun *run, tb_jloop *loop)
{
    int64_t length, index = loop->index0 + 1;
    tb_code rc = tb_jloop_length(&length, run, loop);
    return rc ? rc : tb_jrun_printf(run, "<LoopContext %lld/%lld>", (long long)index, (long long)length);
}

// ---- all ----

static tb_code write_container(tb_jrun *run, tb_jvalue value)
{
    switch (value.kind) {
    case TB_J_LIST:
    case TB_J_TUPLE:
        return write_list(run, value);
    case TB_J_DICT:
        return write_dict(run, value.as.dict);
    case TB_J_VIEW:
        return write_view(run, value);
    case TB_J_RANGE:
        return write_range(run, value.as.range);
    case TB_J_NAMESPACE:
        return write_namespace(run, value.as.dict);
    case TB_J_MACRO:
        return write_macro(run, value.as.macro);
    case TB_J_LOOP:
        return write_loop(run, value.as.loop);
    default: // Python shows the address of the object
        return tb_jrun_fail(run, TB_EUNSUPPORTED, "printing a value of type '%s' is not supported",
                            tb_jkind_name(value.kind));
    }
}

tb_code tb_jwrite_repr(tb_jrun *run, tb_jvalue value)
{
    char number[TB_JFLOAT_TEXT];
    switch (value.kind) {
    case TB_J_UNDEFINED:
        return tb_jrun_write_text(run, "Undefined");
    case TB_J_NONE:
        return tb_jrun_write_text(run, "None");
    case TB_J_BOOL:
        return tb_jrun_write_text(run, value.as.boolean ? "True" : "False");
    case TB_J_INT:
        return tb_jrun_printf(run, "%lld", (long long)value.as.integer);
    case TB_J_FLOAT:
        tb_jfloat_repr(number, value.as.real);
        return tb_jrun_write_text(run, number);
    case TB_J_STRING:
        return write_string_repr(run, value);
    default:
        break;
    }
    tb_code rc = tb_jrun_enter(run);
    if (rc)
        return rc;
    rc = write_container(run, value);
    run->depth--;
    return rc;
}

tb_code tb_jwrite_str(tb_jrun *run, tb_jvalue value)
{
    if (value.kind == TB_J_STRING)
        return tb_jrun_write(run, tb_jtext(value));
    return value.kind == TB_J_UNDEFINED ? TB_OK : tb_jwrite_repr(run, value);
}

tb_code tb_jto_string(tb_jvalue *out, tb_jrun *run, tb_jvalue value, bool keep_markup)
{
    if (value.kind == TB_J_STRING) {
        *out = value;
        if (!keep_markup)
            out->variant = 0;
        return TB_OK;
    }
    size_t mark = tb_jrun_begin(run);
    tb_code rc = tb_jwrite_str(run, value);
    return rc ? rc : tb_jrun_take(out, run, mark);
}
