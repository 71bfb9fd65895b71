// Filters on text and numbers. Those on sequences are in sequence_filters.c.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "template/builtin.h"
#include "template/format.h"
#include "template/iter.h"
#include "template/json.h"
#include "template/run.h"
#include "template/text_search.h"
#include "template/unicode.h"

// A method of the subject as a string, given the first `count` arguments of the filter that are there.
static tb_code as_method(tb_value *out, tb_render *run, const tb_call *call, const char *name, size_t count)
{
    tb_value string;
    tb_call method = {.values = call->args};
    const tb_builtin *function = tb_builtin_find(tb_string_methods, (tb_text){name, strlen(name)});
    while (method.count < count && call->args[method.count].kind != TB_VALUE_MISSING)
        method.count++;
    tb_code rc = tb_to_string(&string, run, call->self, true);
    return rc ? rc : tb_builtin_call(out, run, function, "filter", string, &method);
}

// ---- case and space ----

static tb_code run_upper(tb_value *out, tb_render *run, const tb_call *call)
{
    return as_method(out, run, call, "upper", 0);
}

static tb_code run_lower(tb_value *out, tb_render *run, const tb_call *call)
{
    return as_method(out, run, call, "lower", 0);
}

static tb_code run_capitalize(tb_value *out, tb_render *run, const tb_call *call)
{
    return as_method(out, run, call, "capitalize", 0);
}

static tb_code run_trim(tb_value *out, tb_render *run, const tb_call *call)
{
    return as_method(out, run, call, "strip", 1);
}

static tb_code run_center(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_call method = *call;
    if (method.args[0].kind == TB_VALUE_MISSING)
        method.args[0] = tb_int(80);
    return as_method(out, run, &method, "center", 1);
}

static bool separates_words(uint32_t c)
{
    return tb_unicode_is_space(c) || (c < 0x80 && c && strchr("-({[<", (char)c));
}

// Unlike str.title(), words end at white space, hyphens and opening brackets only.
static tb_code run_title(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string;
    size_t n, mark = tb_render_begin(run);
    tb_code rc = tb_to_string(&string, run, call->self, false);
    if (rc)
        return rc;
    tb_text text = tb_string_text(string);
    for (size_t at = 0; at < text.size && !rc;) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        bool separator = separates_words(c);
        size_t first = at + n, end = first;
        while (end < text.size) {
            n = tb_utf8_decode(&c, text.data + end, text.size - end);
            if (separates_words(c) != separator)
                break;
            end += n;
        }
        rc = tb_write_converted(run, (tb_text){text.data + at, first - at}, TB_CASE_UPPER);
        if (!rc)
            rc = tb_write_converted(run, (tb_text){text.data + first, end - first}, TB_CASE_LOWER);
        at = end;
    }
    return rc ? rc : tb_render_take(out, run, mark);
}

// ---- strings ----

static tb_code run_string(tb_value *out, tb_render *run, const tb_call *call)
{
    return tb_to_string(out, run, call->self, true);
}

static tb_code run_safe(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_code rc = tb_to_string(out, run, call->self, true);
    out->variant = TB_VALUE_MARKUP;
    return rc;
}

static tb_code run_escape(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string;
    tb_code rc = tb_to_string(&string, run, call->self, true);
    return rc ? rc : tb_string_escape(out, run, string);
}

static tb_code run_forceescape(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string;
    tb_code rc = tb_to_string(&string, run, call->self, false);
    return rc ? rc : tb_string_escape(out, run, string);
}

static tb_code run_replace(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string, old, new;
    int64_t count = -1;
    tb_code rc = tb_to_string(&string, run, call->self, false);
    if (!rc)
        rc = tb_to_string(&old, run, call->args[0], false);
    if (!rc)
        rc = tb_to_string(&new, run, call->args[1], false);
    if (!rc && tb_argument_given(call->args[2]))
        rc = tb_argument_int(&count, run, "replace", call->args[2], -1);
    size_t mark = tb_render_begin(run);
    if (!rc)
        rc = tb_write_replaced(run, tb_string_text(string), tb_string_text(old), tb_string_text(new), count);
    return rc ? rc : tb_render_take(out, run, mark);
}

static tb_code run_wordcount(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string;
    tb_code rc = tb_to_string(&string, run, call->self, true);
    if (!rc)
        rc = tb_render_work(run, 1 + string.as.string->size / 16);
    if (!rc)
        *out = tb_int((int64_t)tb_count_words(tb_string_text(string)));
    return rc;
}

// "%s and %s"|format(a, b)
static tb_code run_format(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string, arguments;
    if (call->count && call->keyword_count)
        return tb_render_fail(run, TB_EINVAL, "the filter 'format' takes arguments by position or by name, not both");
    tb_code rc = tb_to_string(&string, run, call->self, true);
    if (!rc && call->keyword_count == 0)
        rc = tb_list_from(&arguments, run, TB_VALUE_TUPLE, call->values, call->count);
    else if (!rc)
        rc = tb_dict_new(&arguments, run);
    for (size_t i = 0; i < call->keyword_count && !rc; i++) {
        rc = tb_dict_set(arguments.as.dict, run, tb_string_value(call->keywords[i].name), call->keywords[i].value);
    }
    return rc ? rc : tb_format_percent(out, run, string, arguments);
}

static tb_code write_indented(tb_render *run, const tb_list *lines, tb_text indent, bool first, bool blank)
{
    tb_code rc = first ? tb_render_write(run, indent) : TB_OK;
    for (size_t i = 0; i < lines->count && !rc; i++) {
        tb_text line = tb_string_text(lines->items[i]);
        if (i > 0)
            rc = tb_render_write_text(run, "\n");
        if (!rc && i > 0 && (blank || line.size > 0))
            rc = tb_render_write(run, indent);
        if (!rc)
            rc = tb_render_write(run, line);
    }
    return rc;
}

static tb_code run_indent(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value lines, indent = call->args[0], text, line_end;
    if (call->self.kind != TB_VALUE_STRING)
        return tb_render_wrong_type(run, "the filter 'indent'", call->self);
    tb_code rc = TB_OK;
    if (indent.kind != TB_VALUE_STRING) {
        tb_value space, width = indent.kind == TB_VALUE_MISSING ? tb_int(4) : indent;
        rc = tb_string_borrow(&space, run, (tb_text){" ", 1});
        if (!rc)
            rc = tb_arith(&indent, run, TB_OPERATOR_MUL, space, width);
        if (!rc && indent.kind != TB_VALUE_STRING)
            rc = tb_render_wrong_type(run, "an indent", width);
    }
    if (!rc) // a line break at the end makes an empty last line of one that is there
        rc = tb_string_borrow(&line_end, run, (tb_text){"\n", 1});
    if (!rc)
        rc = tb_string_concat(&text, run, call->self, line_end);
    if (!rc)
        rc = tb_split_lines(&lines, run, text, false);
    size_t mark = tb_render_begin(run);
    if (!rc)
        rc = write_indented(run, lines.as.list, tb_string_text(indent), tb_argument_truth(call->args[1], false),
                            tb_argument_truth(call->args[2], false));
    if (!rc)
        rc = tb_render_take(out, run, mark);
    out->variant = call->self.variant;
    return rc;
}

// The first `length` characters, back to the last space unless words may be cut, and `end`.
static tb_code cut_and_end(tb_value *out, tb_render *run, tb_value string, size_t length, bool cut_words, tb_value end)
{
    tb_value head;
    size_t at = TB_NOWHERE;
    tb_code rc = tb_string_cut(&head, run, string, 0, length);
    if (!rc && !cut_words)
        rc = tb_find_last_text(&at, run, tb_string_text(head), (tb_text){" ", 1}, head.as.string->size);
    if (!rc && at != TB_NOWHERE)
        rc = tb_string_borrow(&head, run, (tb_text){head.as.string->data, at});
    head.variant = string.variant;
    return rc ? rc : tb_arith(out, run, TB_OPERATOR_ADD, head, end);
}

static tb_code run_truncate(tb_value *out, tb_render *run, const tb_call *call)
{
    int64_t length, leeway;
    size_t size;
    tb_value end = call->args[2];
    tb_code rc = tb_argument_int(&length, run, "truncate", call->args[0], 255);
    if (!rc)
        rc = tb_argument_int(&leeway, run, "truncate", tb_argument_given(call->args[3]) ? call->args[3] : (tb_value){0},
                             5);
    if (!rc && end.kind == TB_VALUE_MISSING)
        rc = tb_string_borrow(&end, run, (tb_text){"...", 3});
    if (!rc && end.kind != TB_VALUE_STRING)
        rc = tb_render_wrong_type(run, "the end of truncate", end);
    if (!rc && (length < (int64_t)end.as.string->length || leeway < 0))
        rc = tb_render_fail(run, TB_EINVAL, "the filter 'truncate' has no room");
    if (!rc && !tb_value_length(&size, call->self))
        rc = tb_render_wrong_type(run, "the filter 'truncate'", call->self);
    if (rc)
        return rc;
    if ((int64_t)size <= length || (int64_t)size - length <= leeway) {
        *out = call->self;
        return TB_OK;
    }
    if (call->self.kind != TB_VALUE_STRING)
        return tb_render_wrong_type(run, "the filter 'truncate'", call->self);
    return cut_and_end(out, run, call->self, (size_t)length - end.as.string->length,
                       tb_argument_truth(call->args[1], false), end);
}

// ---- URLs and attributes ----

static tb_code write_quoted(tb_render *run, tb_value value, bool in_query)
{
    tb_value string;
    tb_code rc = tb_to_string(&string, run, value, false);
    for (size_t i = 0; !rc && i < string.as.string->size; i++) {
        char c = string.as.string->data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr(in_query ? "_.-~" : "_.-~/", c));
        if (in_query && c == ' ')
            rc = tb_render_write_text(run, "+");
        else
            rc = plain ? tb_render_write(run, (tb_text){&c, 1}) : tb_render_printf(run, "%%%02X", (unsigned char)c);
    }
    return rc;
}

static tb_code write_query(tb_render *run, tb_value value)
{
    tb_value pairs;
    if (value.kind == TB_VALUE_DICT)
        value = (tb_value){.kind = TB_VALUE_VIEW, .variant = TB_VIEW_ITEMS, .as.dict = value.as.dict};
    tb_code rc = tb_value_collect(&pairs, run, TB_VALUE_LIST, value);
    for (size_t i = 0; !rc && i < pairs.as.list->count; i++) {
        tb_value pair;
        rc = tb_value_collect(&pair, run, TB_VALUE_TUPLE, pairs.as.list->items[i]);
        if (!rc && pair.as.list->count != 2)
            rc = tb_render_fail(run, TB_EINVAL, "the filter 'urlencode' takes pairs");
        if (!rc && i > 0)
            rc = tb_render_write_text(run, "&");
        if (!rc)
            rc = write_quoted(run, pair.as.list->items[0], true);
        if (!rc)
            rc = tb_render_write_text(run, "=");
        if (!rc)
            rc = write_quoted(run, pair.as.list->items[1], true);
    }
    return rc;
}

static tb_code run_urlencode(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t mark = tb_render_begin(run);
    bool is_text = call->self.kind == TB_VALUE_STRING || !tb_value_is_iterable(call->self);
    tb_code rc = is_text ? write_quoted(run, call->self, false) : write_query(run, call->self);
    return rc ? rc : tb_render_take(out, run, mark);
}

static tb_code write_attribute(tb_render *run, tb_value key, tb_value value, bool space)
{
    if (key.kind != TB_VALUE_STRING)
        return tb_render_wrong_type(run, "the name of an attribute", key);
    tb_text name = tb_string_text(key);
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] && strchr(" \t\n\r\f\v/>=", name.data[i]))
            return tb_render_fail(run, TB_EINVAL, "the name of an attribute has a character that ends it");
    tb_code rc = tb_to_string(&value, run, value, true);
    if (!rc)
        rc = tb_string_escape(&key, run, key);
    if (!rc)
        rc = tb_string_escape(&value, run, value);
    if (!rc && space)
        rc = tb_render_write_text(run, " ");
    if (!rc)
        rc = tb_render_write(run, tb_string_text(key));
    if (!rc)
        rc = tb_render_write_text(run, "=\"");
    if (!rc)
        rc = tb_render_write(run, tb_string_text(value));
    return rc ? rc : tb_render_write_text(run, "\"");
}

static tb_code run_xmlattr(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t mark = tb_render_begin(run);
    bool space = tb_argument_truth(call->args[0], true);
    tb_code rc = TB_OK;
    if (call->self.kind != TB_VALUE_DICT)
        return tb_render_wrong_type(run, "the filter 'xmlattr'", call->self);
    for (size_t i = 0; !rc && i < call->self.as.dict->count; i++) {
        const tb_dict_entry *entry = &call->self.as.dict->entries[i];
        if (entry->value.kind == TB_VALUE_NONE || entry->value.kind == TB_VALUE_UNDEFINED)
            continue;
        rc = write_attribute(run, entry->key, entry->value, space);
        space = true;
    }
    return rc ? rc : tb_render_take(out, run, mark);
}

// ---- numbers ----

static tb_code run_abs(tb_value *out, tb_render *run, const tb_call *call)
{
    if (!tb_value_is_number(call->self))
        return tb_render_wrong_type(run, "the filter 'abs'", call->self);
    if (call->self.kind == TB_VALUE_FLOAT) {
        *out = tb_float(fabs(call->self.as.real));
        return TB_OK;
    }
    return tb_negate(out, run, tb_value_as_int(call->self) < 0 ? TB_OPERATOR_SUB : TB_OPERATOR_ADD, call->self);
}

// float(value), with *found false where Python raises TypeError or ValueError.
static tb_code read_float(double *out, bool *found, tb_render *run, tb_value value)
{
    *found = tb_value_is_number(value);
    *out = *found ? tb_value_as_double(value) : 0;
    if (value.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, value);
    return value.kind == TB_VALUE_STRING ? tb_parse_float(out, found, run, tb_string_text(value)) : TB_OK;
}

static tb_code run_float(tb_value *out, tb_render *run, const tb_call *call)
{
    double real;
    bool found;
    tb_code rc = read_float(&real, &found, run, call->self);
    *out = found ? tb_float(real) : call->args[0].kind == TB_VALUE_MISSING ? tb_float(0) : call->args[0];
    return rc;
}

// int(value), or of a text that is no integer int(float(value)), or the default.
static tb_code run_int(tb_value *out, tb_render *run, const tb_call *call)
{
    int64_t base, number = 0;
    double real;
    bool found = tb_value_is_integral(call->self);
    tb_code rc = tb_argument_int(&base, run, "the filter 'int'", call->args[1], 10);
    if (!rc && found)
        number = tb_value_as_int(call->self);
    else if (!rc && call->self.kind == TB_VALUE_STRING)
        rc = tb_parse_int(&number, &found, run, tb_string_text(call->self),
                          base >= 0 && base <= 36 ? (unsigned)base : 1);
    if (!rc && !found) {
        rc = read_float(&real, &found, run, call->self);
        found &= isfinite(real) != 0;
        if (!rc && found)
            rc = tb_truncate_number(&number, run, real);
    }
    *out = found ? tb_int(number) : call->args[0].kind == TB_VALUE_MISSING ? tb_int(0) : call->args[0];
    return rc;
}

// floor or ceil(value * 10**precision) / 10**precision
static tb_code round_one_way(tb_value *out, tb_render *run, tb_value value, int64_t precision, bool up)
{
    tb_value unit, product;
    tb_code rc = tb_arith(&unit, run, TB_OPERATOR_POW, tb_int(10), tb_int(precision));
    if (!rc)
        rc = tb_arith(&product, run, TB_OPERATOR_MUL, value, unit);
    if (!rc && !tb_value_is_number(product))
        return tb_render_wrong_type(run, "the filter 'round'", value);
    if (!rc && product.kind == TB_VALUE_FLOAT) {
        int64_t whole;
        rc = tb_truncate_number(&whole, run, up ? ceil(product.as.real) : floor(product.as.real));
        product = tb_int(whole);
    }
    return rc ? rc : tb_arith(out, run, TB_OPERATOR_DIV, product, unit);
}

static tb_code run_round(tb_value *out, tb_render *run, const tb_call *call)
{
    int64_t precision;
    tb_text method;
    tb_code rc = tb_argument_int(&precision, run, "the filter 'round'", call->args[0], 0);
    if (!rc)
        rc = tb_argument_text(&method, run, "the filter 'round'", call->args[1], "common");
    if (rc)
        return rc;
    if (tb_text_is(method, "common"))
        return tb_round_number(out, run, call->self, precision);
    bool up = tb_text_is(method, "ceil");
    if (!up && !tb_text_is(method, "floor"))
        return tb_render_fail(run, TB_EINVAL, "the filter 'round' knows the methods common, ceil and floor");
    return round_one_way(out, run, call->self, precision, up);
}

static tb_code run_filesizeformat(tb_value *out, tb_render *run, const tb_call *call)
{
    static const char prefixes[] = "kMGTPEZY";
    bool binary = tb_argument_truth(call->args[0], false), found;
    double base = binary ? 1024 : 1000, bytes, unit;
    size_t mark = tb_render_begin(run), i = 0;
    tb_code rc = read_float(&bytes, &found, run, call->self);
    if (!rc && (!found || !isfinite(bytes)))
        rc = tb_render_wrong_type(run, "the filter 'filesizeformat'", call->self);
    if (rc)
        return rc;
    if (bytes == 1) {
        rc = tb_render_write_text(run, "1 Byte");
    } else if (bytes < base) {
        rc = tb_render_printf(run, "%.0f Bytes", trunc(bytes));
    } else {
        for (unit = base * base; bytes >= unit && prefixes[i + 1]; i++)
            unit *= base;
        rc = tb_render_printf(run, "%.1f %c%s", base * bytes / unit, binary && i == 0 ? 'K' : prefixes[i],
                              binary ? "iB" : "B");
    }
    return rc ? rc : tb_render_take(out, run, mark);
}

// ---- JSON ----

// A pair of separators; json.dumps takes anything that unpacks to two strings.
static tb_code read_separators(tb_json_style *how, tb_render *run, tb_value separators)
{
    tb_value pair;
    tb_code rc = tb_value_collect(&pair, run, TB_VALUE_TUPLE, separators);
    if (!rc && pair.as.list->count != 2)
        rc = tb_render_fail(run, TB_EINVAL, "the separators of tojson are not two");
    if (!rc)
        rc = tb_argument_text(&how->item_separator, run, "a separator of tojson", pair.as.list->items[0], NULL);
    return rc ? rc : tb_argument_text(&how->key_separator, run, "a separator of tojson", pair.as.list->items[1], NULL);
}

static tb_code read_indent(tb_json_style *how, tb_render *run, tb_value indent)
{
    tb_value space, spaces = indent;
    tb_code rc = TB_OK;
    if (indent.kind != TB_VALUE_STRING) {
        if (!tb_value_is_integral(indent))
            return tb_render_wrong_type(run, "the indent of tojson", indent);
        rc = tb_string_borrow(&space, run, (tb_text){" ", 1});
        if (!rc)
            rc = tb_arith(&spaces, run, TB_OPERATOR_MUL, space, indent);
    }
    how->has_indent = true;
    how->item_separator = (tb_text){",", 1};
    if (!rc)
        how->indent = tb_string_text(spaces);
    return rc;
}

static tb_code run_tojson(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_json_style how = {
        .ensure_ascii = tb_argument_truth(call->args[0], false),
        .sort_keys = tb_argument_truth(call->args[3], false),
        .item_separator = {", ", 2},
        .key_separator = {": ", 2},
    };
    tb_code rc = tb_argument_given(call->args[1]) ? read_indent(&how, run, call->args[1]) : TB_OK;
    if (!rc && tb_argument_given(call->args[2]))
        rc = read_separators(&how, run, call->args[2]);
    size_t mark = tb_render_begin(run);
    if (!rc)
        rc = tb_write_json(run, &how, call->self);
    return rc ? rc : tb_render_take(out, run, mark);
}

// ---- any value ----

static tb_code run_default(tb_value *out, tb_render *run, const tb_call *call)
{
    bool absent = call->self.kind == TB_VALUE_UNDEFINED ||
                  (tb_argument_truth(call->args[1], false) && !tb_value_truth(call->self));
    *out = absent ? call->args[0] : call->self;
    return out->kind == TB_VALUE_MISSING ? tb_string_new(out, run, (tb_text){"", 0}) : TB_OK;
}

static tb_code run_attr(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value name = call->args[0];
    if (name.kind != TB_VALUE_STRING)
        return tb_render_wrong_type(run, "the filter 'attr'", name);
    tb_code rc = tb_get_own_attribute(out, run, call->self, name.as.string);
    if (!rc && out->kind == TB_VALUE_MISSING) {
        *out = tb_undefined(TB_WHY_ATTRIBUTE, name.as.string);
        out->owner = call->self.kind;
    }
    return rc;
}

static tb_code run_length(tb_value *out, tb_render *run, const tb_call *call)
{
    size_t length;
    int64_t rounds;
    if (call->self.kind == TB_VALUE_LOOP) {
        tb_code rc = tb_loop_length(&rounds, run, call->self.as.loop);
        *out = tb_int(rounds);
        return rc;
    }
    if (!tb_value_length(&length, call->self))
        return tb_render_wrong_type(run, "the filter 'length'", call->self);
    *out = tb_int((int64_t)length);
    return TB_OK;
}

const tb_builtin tb_text_filters[] = {
    {"abs", "/", run_abs},
    {"attr", "name", run_attr},
    {"capitalize", "", run_capitalize},
    {"center", "width?", run_center},
    {"count", "/", run_length},
    {"d", "default_value? boolean?", run_default},
    {"default", "default_value? boolean?", run_default},
    {"e", "", run_escape},
    {"escape", "", run_escape},
    {"filesizeformat", "binary?", run_filesizeformat},
    {"float", "default?", run_float},
    {"forceescape", "", run_forceescape},
    {"format", NULL, run_format},
    {"indent", "width? first? blank?", run_indent},
    {"int", "default? base?", run_int},
    {"length", "/", run_length},
    {"lower", "", run_lower},
    {"pprint", NULL, NULL},
    {"replace", "old new count?", run_replace},
    {"round", "precision? method?", run_round},
    {"safe", "", run_safe},
    {"string", "", run_string},
    {"striptags", NULL, NULL},
    {"title", "", run_title},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", run_tojson},
    {"trim", "chars?", run_trim},
    {"truncate", "length? killwords? end? leeway?", run_truncate},
    {"upper", "", run_upper},
    {"urlencode", "", run_urlencode},
    {"urlize", NULL, NULL},
    {"wordcount", "", run_wordcount},
    {"wordwrap", NULL, NULL},
    {"xmlattr", "autospace?", run_xmlattr},
    {NULL, NULL, NULL},
};

const tb_builtin *tb_filter_find(tb_text name)
{
    const tb_builtin *filter = tb_builtin_find(tb_text_filters, name);
    return filter ? filter : tb_builtin_find(tb_sequence_filters, name);
}
