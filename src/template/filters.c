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

// ---- case and space ----

// Filters that are methods of the subject as a string.
enum { UPPER, LOWER, CAPITALIZE, STRIP };

static tb_code run_as_method(tb_value *out, tb_render *run, const tb_call *call)
{
    static const char *const names[] = {"upper", "lower", "capitalize", "strip"};
    tb_value string;
    tb_call method = {.values = call->args, .count = call->args[0].kind != TB_VALUE_MISSING};
    const tb_builtin *function = tb_builtin_find(tb_string_methods, tb_piece_literal(names[call->how]));
    tb_code rc = tb_to_string(&string, run, call->self, true);
    return rc ? rc : tb_builtin_call(out, run, function, "filter", string, &method);
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
    tb_piece text = tb_value_text(string);
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
        rc = tb_write_converted(run, tb_piece_cut(text, at, first - at), TB_CASE_UPPER);
        if (!rc)
            rc = tb_write_converted(run, tb_piece_cut(text, first, end - first), TB_CASE_LOWER);
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
        rc = tb_write_replaced(run, tb_value_text(string), tb_value_text(old), tb_value_text(new), count);
    return rc ? rc : tb_render_take(out, run, mark);
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

static tb_code write_indented(tb_render *run, const tb_list *lines, tb_piece indent, bool first, bool blank)
{
    tb_code rc = first ? tb_render_write(run, indent) : TB_OK;
    for (size_t i = 0; i < lines->count && !rc; i++) {
        tb_piece line = tb_value_text(lines->items[i]);
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
        rc = tb_string_borrow(&space, run, tb_piece_literal(" "));
        if (!rc)
            rc = tb_arith(&indent, run, TB_OPERATOR_MUL, space, width);
        if (!rc && indent.kind != TB_VALUE_STRING)
            rc = tb_render_wrong_type(run, "an indent", width);
    }
    if (!rc) // a line break at the end makes an empty last line of one that is there
        rc = tb_string_borrow(&line_end, run, tb_piece_literal("\n"));
    if (!rc)
        rc = tb_string_concat(&text, run, call->self, line_end);
    if (!rc)
        rc = tb_split_lines(&lines, run, text, false);
    size_t mark = tb_render_begin(run);
    if (!rc)
        rc = write_indented(run, lines.as.list, tb_value_text(indent), tb_argument_truth(call->args[1], false),
                            tb_argument_truth(call->args[2], false));
    if (!rc)
        rc = tb_render_take(out, run, mark);
    out->variant = call->self.variant;
    return rc;
}

// ---- numbers ----

static tb_code run_abs(tb_value *out, tb_render *run, const tb_call *call)
{
    if (!tb_value_is_number(call->self))
        return tb_render_wrong_type(run, "the filter 'abs'", call->self);
    if (call->self.kind == TB_VALUE_FLOAT) {
        *out = call->self;
        out->as.real = fabs(call->self.as.real);
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
    return value.kind == TB_VALUE_STRING ? tb_parse_float(out, found, run, tb_value_text(value)) : TB_OK;
}

static tb_code run_float(tb_value *out, tb_render *run, const tb_call *call)
{
    double real;
    bool found;
    tb_code rc = read_float(&real, &found, run, call->self);
    *out = found ? tb_float(real) : call->args[0].kind == TB_VALUE_MISSING ? tb_float(0) : call->args[0];
    if (found)
        out->origin = (uint8_t)tb_value_origin(call->self);
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
        rc =
            tb_parse_int(&number, &found, run, tb_value_text(call->self), base >= 0 && base <= 36 ? (unsigned)base : 1);
    if (!rc && !found) {
        rc = read_float(&real, &found, run, call->self);
        found &= isfinite(real) != 0;
        if (!rc && found)
            rc = tb_truncate_number(&number, run, real);
    }
    *out = found ? tb_int(number) : call->args[0].kind == TB_VALUE_MISSING ? tb_int(0) : call->args[0];
    if (found)
        out->origin = (uint8_t)tb_value_origin(call->self);
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
        product.origin = value.origin;
    }
    return rc ? rc : tb_arith(out, run, TB_OPERATOR_DIV, product, unit);
}

static tb_code run_round(tb_value *out, tb_render *run, const tb_call *call)
{
    int64_t precision;
    tb_piece method;
    tb_code rc = tb_argument_int(&precision, run, "the filter 'round'", call->args[0], 0);
    if (!rc)
        rc = tb_argument_text(&method, run, "the filter 'round'", call->args[1], "common");
    if (rc)
        return rc;
    if (tb_piece_is(method, "common"))
        return tb_round_number(out, run, call->self, precision);
    bool up = tb_piece_is(method, "ceil");
    if (!up && !tb_piece_is(method, "floor"))
        return tb_render_fail(run, TB_EINVAL, "the filter 'round' knows the methods common, ceil and floor");
    return round_one_way(out, run, call->self, precision, up);
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
        rc = tb_string_borrow(&space, run, tb_piece_literal(" "));
        if (!rc)
            rc = tb_arith(&spaces, run, TB_OPERATOR_MUL, space, indent);
    }
    how->has_indent = true;
    how->item_separator = tb_piece_literal(",");
    if (!rc)
        how->indent = tb_value_text(spaces);
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
    return out->kind == TB_VALUE_MISSING ? tb_string_new(out, run, tb_piece_literal("")) : TB_OK;
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
    {"abs", "/", run_abs, 0},
    {"attr", "name", run_attr, 0},
    {"capitalize", "", run_as_method, CAPITALIZE},
    {"center", NULL, NULL, 0},
    {"count", "/", run_length, 0},
    {"d", "default_value? boolean?", run_default, 0},
    {"default", "default_value? boolean?", run_default, 0},
    {"e", "", run_escape, 0},
    {"escape", "", run_escape, 0},
    {"filesizeformat", NULL, NULL, 0},
    {"float", "default?", run_float, 0},
    {"forceescape", NULL, NULL, 0},
    {"format", NULL, run_format, 0},
    {"indent", "width? first? blank?", run_indent, 0},
    {"int", "default? base?", run_int, 0},
    {"length", "/", run_length, 0},
    {"lower", "", run_as_method, LOWER},
    {"pprint", NULL, NULL, 0},
    {"replace", "old new count?", run_replace, 0},
    {"round", "precision? method?", run_round, 0},
    {"safe", "", run_safe, 0},
    {"string", "", run_string, 0},
    {"striptags", NULL, NULL, 0},
    {"title", "", run_title, 0},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", run_tojson, 0},
    {"trim", "chars?", run_as_method, STRIP},
    {"truncate", NULL, NULL, 0},
    {"upper", "", run_as_method, UPPER},
    {"urlencode", NULL, NULL, 0},
    {"urlize", NULL, NULL, 0},
    {"wordcount", NULL, NULL, 0},
    {"wordwrap", NULL, NULL, 0},
    {"xmlattr", NULL, NULL, 0},
    {NULL, NULL, NULL, 0},
};

const tb_builtin *tb_filter_find(tb_piece name)
{
    const tb_builtin *filter = tb_builtin_find(tb_text_filters, name);
    return filter ? filter : tb_builtin_find(tb_sequence_filters, name);
}
