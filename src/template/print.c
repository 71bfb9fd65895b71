// How Python prints values: str() and repr().
#include <math.h>
#include <string.h>

#include "template/run.h"
#include "template/unicode.h"

// ---- strings ----

static void write_escaped_character(tb_render *run, uint32_t c, tb_piece bytes, char quote)
{
    tb_origin origin = tb_piece_origin(bytes);
    if (c == (uint32_t)quote || c == '\\')
        tb_render_printf(run, origin, "\\%c", (char)c);
    else if (c == '\n' || c == '\r' || c == '\t')
        tb_render_printf(run, origin, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else if (tb_unicode_is_printable(c))
        tb_render_write(run, bytes);
    else
        tb_render_printf(run, origin, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

static void write_quoted(tb_render *run, tb_piece text)
{
    bool has_single = text.size && memchr(text.data, '\'', text.size);
    bool has_double = text.size && memchr(text.data, '"', text.size);
    const char *quote = has_single && !has_double ? "\"" : "'";
    tb_render_write_text(run, quote);
    for (size_t at = 0, n; at < text.size && !run->rc; at += n) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        write_escaped_character(run, c, tb_piece_cut(text, at, n), *quote);
    }
    tb_render_write_text(run, quote);
}

static void write_string_repr(tb_render *run, tb_value string)
{
    bool markup = tb_value_is_markup(string);
    tb_render_write_text(run, markup ? "Markup(" : "");
    write_quoted(run, tb_value_text(string));
    tb_render_write_text(run, markup ? ")" : "");
}

// ---- containers ----

static void write_list(tb_render *run, tb_value value)
{
    const tb_list *list = value.as.list;
    bool is_list = value.kind == TB_VALUE_LIST;
    tb_render_write_text(run, is_list ? "[" : "(");
    for (size_t i = 0; i < list->count && !run->rc; i++) {
        tb_render_write_text(run, i > 0 ? ", " : "");
        tb_write_repr(run, list->items[i]);
    }
    tb_render_write_text(run, is_list ? "]" : list->count == 1 ? ",)" : ")");
}

static void write_pair(tb_render *run, const tb_dict_entry *entry, const char *between)
{
    tb_write_repr(run, entry->key);
    tb_render_write_text(run, between);
    tb_write_repr(run, entry->value);
}

static void write_dict(tb_render *run, const tb_dict *dict)
{
    tb_render_write_text(run, "{");
    for (size_t i = 0; i < dict->count && !run->rc; i++) {
        tb_render_write_text(run, i > 0 ? ", " : "");
        write_pair(run, &dict->entries[i], ": ");
    }
    tb_render_write_text(run, "}");
}

static void write_view_item(tb_render *run, tb_view_kind view, const tb_dict_entry *entry)
{
    if (view != TB_VIEW_ITEMS) {
        tb_write_repr(run, view == TB_VIEW_KEYS ? entry->key : entry->value);
        return;
    }
    tb_render_write_text(run, "(");
    write_pair(run, entry, ", ");
    tb_render_write_text(run, ")");
}

static void write_view(tb_render *run, tb_value view)
{
    static const char *const names[] = {"dict_keys([", "dict_values([", "dict_items(["};
    const tb_dict *dict = view.as.dict;
    tb_render_write_text(run, names[view.variant]);
    for (size_t i = 0; i < dict->count && !run->rc; i++) {
        tb_render_write_text(run, i > 0 ? ", " : "");
        write_view_item(run, (tb_view_kind)view.variant, &dict->entries[i]);
    }
    tb_render_write_text(run, "])");
}

static void write_range(tb_render *run, const tb_range *range)
{
    tb_render_printf(run, TB_FROM_TEMPLATE, "range(%lld, %lld", (long long)range->start, (long long)range->stop);
    if (range->step != 1)
        tb_render_printf(run, TB_FROM_TEMPLATE, ", %lld", (long long)range->step);
    tb_render_write_text(run, ")");
}

static void write_macro(tb_render *run, const tb_string *name)
{
    tb_render_write_text(run, "<Macro ");
    if (name)
        write_quoted(run, name->text);
    else
        tb_render_write_text(run, "anonymous");
    tb_render_write_text(run, ">");
}

// ---- all ----

static void write_container(tb_render *run, tb_value value)
{
    switch (value.kind) {
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
        write_list(run, value);
        break;
    case TB_VALUE_DICT:
        write_dict(run, value.as.dict);
        break;
    case TB_VALUE_VIEW:
        write_view(run, value);
        break;
    case TB_VALUE_RANGE:
        write_range(run, value.as.range);
        break;
    case TB_VALUE_NAMESPACE:
        tb_render_write_text(run, "<Namespace ");
        write_dict(run, value.as.dict);
        tb_render_write_text(run, ">");
        break;
    case TB_VALUE_MACRO:
        write_macro(run, value.as.macro->def->name);
        break;
    case TB_VALUE_LOOP:
        tb_render_printf(run, TB_FROM_TEMPLATE, "<LoopContext %lld/%lld>", (long long)value.as.loop->index0 + 1,
                         (long long)tb_loop_length(run, value.as.loop));
        break;
    default: // Python shows the address of the object
        tb_render_fail(run, TB_EUNSUPPORTED, "printing a value of type '%s' is not supported",
                       tb_value_kind_name(value.kind));
    }
}

void tb_write_scalar(tb_render *run, const char *const words[6], tb_value value)
{
    char number[TB_FLOAT_TEXT];
    tb_origin origin = (tb_origin)value.origin;
    if (value.kind == TB_VALUE_NONE) {
        tb_render_printf(run, origin, "%s", words[0]);
    } else if (value.kind == TB_VALUE_BOOL) {
        tb_render_printf(run, origin, "%s", words[1 + value.as.boolean]);
    } else if (value.kind == TB_VALUE_INT) {
        tb_render_printf(run, origin, "%lld", (long long)value.as.integer);
    } else if (!isfinite(value.as.real)) {
        tb_render_printf(run, origin, "%s", words[isnan(value.as.real) ? 3 : value.as.real > 0 ? 4 : 5]);
    } else {
        tb_render_work(run, TB_STEPS_PER_FLOAT);
        tb_float_repr(number, value.as.real);
        tb_render_printf(run, origin, "%s", number);
    }
}

void tb_write_repr(tb_render *run, tb_value value)
{
    static const char *const words[] = {"None", "False", "True", "nan", "inf", "-inf"};
    if (value.kind == TB_VALUE_UNDEFINED) {
        tb_render_write_text(run, "Undefined");
    } else if (value.kind == TB_VALUE_NONE || tb_value_is_number(value)) {
        tb_write_scalar(run, words, value);
    } else if (value.kind == TB_VALUE_STRING) {
        write_string_repr(run, value);
    } else if (tb_render_enter(run)) {
        write_container(run, value);
        run->depth--;
    }
}

void tb_write_str(tb_render *run, tb_value value)
{
    if (value.kind == TB_VALUE_STRING)
        tb_render_write(run, tb_value_text(value));
    else if (value.kind != TB_VALUE_UNDEFINED)
        tb_write_repr(run, value);
}

tb_value tb_to_string(tb_render *run, tb_value value, bool keep_markup)
{
    if (value.kind == TB_VALUE_STRING) {
        value.variant = keep_markup ? value.variant : 0;
        return value;
    }
    size_t mark = tb_render_begin(run);
    tb_write_str(run, value);
    return tb_render_take(run, mark);
}
