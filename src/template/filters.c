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

static tb_value run_as_method(tb_render *run, const tb_call *call)
{
    static const char *const names[] = {"upper", "lower", "capitalize", "strip"};
    tb_call method = {.values = call->args, .count = call->args[0].kind != TB_VALUE_MISSING};
    const tb_builtin *function = tb_builtin_find(tb_string_methods, tb_piece_literal(names[call->how]));
    return tb_builtin_call(run, function, "filter", tb_to_string(run, call->self, true), &method);
}

static bool separates_words(uint32_t c)
{
    return tb_unicode_is_space(c) || (c < 0x80 && c && strchr("-({[<", (char)c));
}

// Unlike str.title(), words end at white space, hyphens and opening brackets only.
static tb_value run_title(tb_render *run, const tb_call *call)
{
    size_t n, mark = tb_render_begin(run);
    tb_value string = tb_to_string(run, call->self, false);
    tb_piece text = tb_value_text(string);
    for (size_t at = 0, end; at < text.size && !run->rc; at = end) {
        uint32_t c;
        size_t first = at + tb_utf8_decode(&c, text.data + at, text.size - at);
        bool separator = separates_words(c);
        for (end = first; end < text.size; end += n) {
            n = tb_utf8_decode(&c, text.data + end, text.size - end);
            if (separates_words(c) != separator)
                break;
        }
        tb_write_converted(run, tb_piece_cut(text, at, first - at), TB_CASE_UPPER);
        tb_write_converted(run, tb_piece_cut(text, first, end - first), TB_CASE_LOWER);
    }
    return tb_render_take(run, mark);
}

// ---- strings ----

static tb_value run_string(tb_render *run, const tb_call *call)
{
    return tb_to_string(run, call->self, true);
}

static tb_value run_safe(tb_render *run, const tb_call *call)
{
    tb_value string = tb_to_string(run, call->self, true);
    string.variant = TB_VALUE_MARKUP;
    return string;
}

static tb_value run_escape(tb_render *run, const tb_call *call)
{
    return tb_string_escape(run, tb_to_string(run, call->self, true));
}

static tb_value run_replace(tb_render *run, const tb_call *call)
{
    tb_value string = tb_to_string(run, call->self, false);
    tb_value old = tb_to_string(run, call->args[0], false), new = tb_to_string(run, call->args[1], false);
    tb_value given = tb_argument_given(call->args[2]) ? call->args[2] : tb_missing();
    int64_t count = tb_argument_int(run, "replace", given, -1);
    size_t mark = tb_render_begin(run);
    tb_write_replaced(run, tb_value_text(string), tb_value_text(old), tb_value_text(new), count);
    return tb_render_take(run, mark);
}

// "%s and %s"|format(a, b)
static tb_value run_format(tb_render *run, const tb_call *call)
{
    if (call->count && call->keyword_count)
        return tb_render_fail(run, TB_EINVAL, "the filter 'format' takes arguments by position or by name, not both");
    tb_value arguments =
        call->keyword_count ? tb_dict_new(run) : tb_list_from(run, TB_VALUE_TUPLE, call->values, call->count);
    for (size_t i = 0; i < call->keyword_count && !run->rc; i++)
        tb_dict_set(run, arguments.as.dict, tb_string_value(call->keywords[i].name), call->keywords[i].value);
    return tb_format_percent(run, tb_to_string(run, call->self, true), arguments);
}

// The text that an argument of indent asks for: itself, or so many spaces.
static tb_value read_indent(tb_render *run, tb_value indent)
{
    if (indent.kind == TB_VALUE_STRING)
        return indent;
    if (!tb_value_is_integral(indent))
        return tb_render_wrong_type(run, "an indent", indent);
    return tb_arith(run, TB_OPERATOR_MUL, tb_string_borrow(run, tb_piece_literal(" ")), indent);
}

static tb_value run_indent(tb_render *run, const tb_call *call)
{
    bool first = tb_argument_truth(call->args[1], false), blank = tb_argument_truth(call->args[2], false);
    if (call->self.kind != TB_VALUE_STRING)
        return tb_render_wrong_type(run, "the filter 'indent'", call->self);
    tb_value given = call->args[0].kind == TB_VALUE_MISSING ? tb_int(4) : call->args[0];
    tb_piece indent = tb_value_text(read_indent(run, given));
    // a line break at the end makes an empty last line of one that is there
    tb_value text = tb_string_concat(run, call->self, tb_string_borrow(run, tb_piece_literal("\n")));
    const tb_list *lines = tb_value_list(tb_split_lines(run, text, false));
    size_t mark = tb_render_begin(run);
    for (size_t i = 0; i < lines->count && !run->rc; i++) {
        tb_piece line = tb_value_text(lines->items[i]);
        tb_render_write_text(run, i > 0 ? "\n" : "");
        if (i == 0 ? first : blank || line.size > 0)
            tb_render_write(run, indent);
        tb_render_write(run, line);
    }
    return tb_render_take_alike(run, mark, call->self);
}

// ---- numbers ----

static tb_value run_abs(tb_render *run, const tb_call *call)
{
    tb_value number = call->self;
    if (!tb_value_is_number(number))
        return tb_render_wrong_type(run, "the filter 'abs'", number);
    if (number.kind != TB_VALUE_FLOAT)
        return tb_negate(run, tb_value_as_int(number) < 0 ? TB_OPERATOR_SUB : TB_OPERATOR_ADD, number);
    number.as.real = fabs(number.as.real);
    return number;
}

// float(value); false where Python raises TypeError or ValueError.
static bool read_float(double *out, tb_render *run, tb_value value)
{
    bool is_number = tb_value_is_number(value);
    *out = is_number ? tb_value_as_double(value) : 0;
    if (value.kind == TB_VALUE_UNDEFINED)
        tb_render_fail_undefined(run, value);
    return is_number || (value.kind == TB_VALUE_STRING && tb_parse_float(out, run, tb_value_text(value)));
}

// What int and float give: a number that comes from where the subject does, or the default.
static tb_value number_or_default(const tb_call *call, bool found, tb_value number, tb_value zero)
{
    if (!found)
        return call->args[0].kind == TB_VALUE_MISSING ? zero : call->args[0];
    number.origin = (uint8_t)tb_value_origin(call->self);
    return number;
}

static tb_value run_float(tb_render *run, const tb_call *call)
{
    double real;
    bool found = read_float(&real, run, call->self);
    return number_or_default(call, found, tb_float(real), tb_float(0));
}

// int(value), or of a text that is no integer int(float(value)), or the default.
static tb_value run_int(tb_render *run, const tb_call *call)
{
    int64_t number = 0;
    double real;
    if (tb_argument_int(run, "the filter 'int'", call->args[1], 10) != 10)
        return tb_render_fail(run, TB_EUNSUPPORTED, "another base than 10 of the filter 'int' is not supported");
    bool found = tb_value_is_integral(call->self);
    if (found)
        number = tb_value_as_int(call->self);
    else if (call->self.kind == TB_VALUE_STRING)
        found = tb_parse_int(&number, run, tb_value_text(call->self));
    if (!found) {
        found = read_float(&real, run, call->self) && isfinite(real);
        number = found ? tb_truncate_number(run, real) : 0;
    }
    return number_or_default(call, found, tb_int(number), tb_int(0));
}

// floor or ceil(value * 10**precision) / 10**precision
static tb_value round_one_way(tb_render *run, tb_value value, int64_t precision, bool up)
{
    tb_value unit = tb_arith(run, TB_OPERATOR_POW, tb_int(10), tb_int(precision));
    tb_value product = tb_arith(run, TB_OPERATOR_MUL, value, unit);
    if (!tb_value_is_number(product))
        return tb_render_wrong_type(run, "the filter 'round'", value);
    if (product.kind == TB_VALUE_FLOAT) {
        product = tb_int(tb_truncate_number(run, up ? ceil(product.as.real) : floor(product.as.real)));
        product.origin = value.origin;
    }
    return tb_arith(run, TB_OPERATOR_DIV, product, unit);
}

static tb_value run_round(tb_render *run, const tb_call *call)
{
    int64_t precision = tb_argument_int(run, "the filter 'round'", call->args[0], 0);
    tb_piece method = tb_argument_text(run, "the filter 'round'", call->args[1], "common");
    if (tb_piece_is(method, "common"))
        return tb_round_number(run, call->self, precision);
    bool up = tb_piece_is(method, "ceil");
    if (!up && !tb_piece_is(method, "floor"))
        return tb_render_fail(run, TB_EINVAL, "the filter 'round' knows the methods common, ceil and floor");
    return round_one_way(run, call->self, precision, up);
}

// ---- JSON ----

// A pair of separators; json.dumps takes anything that unpacks to two strings.
static void read_separators(tb_json_style *how, tb_render *run, tb_value separators)
{
    const tb_list *pair = tb_value_list(tb_value_collect(run, TB_VALUE_TUPLE, separators));
    if (pair->count != 2) {
        tb_render_fail(run, TB_EINVAL, "the separators of tojson are not two");
        return;
    }
    how->item_separator = tb_argument_text(run, "a separator of tojson", pair->items[0], NULL);
    how->key_separator = tb_argument_text(run, "a separator of tojson", pair->items[1], NULL);
}

static tb_value run_tojson(tb_render *run, const tb_call *call)
{
    tb_json_style how = {
        .ensure_ascii = tb_argument_truth(call->args[0], false),
        .has_indent = tb_argument_given(call->args[1]),
        .sort_keys = tb_argument_truth(call->args[3], false),
        .item_separator = tb_piece_literal(tb_argument_given(call->args[1]) ? "," : ", "),
        .key_separator = tb_piece_literal(": "),
    };
    if (how.has_indent)
        how.indent = tb_value_text(read_indent(run, call->args[1]));
    if (tb_argument_given(call->args[2]))
        read_separators(&how, run, call->args[2]);
    size_t mark = tb_render_begin(run);
    tb_write_json(run, &how, call->self);
    return tb_render_take(run, mark);
}

// ---- any value ----

static tb_value run_default(tb_render *run, const tb_call *call)
{
    bool absent = call->self.kind == TB_VALUE_UNDEFINED ||
                  (tb_argument_truth(call->args[1], false) && !tb_value_truth(call->self));
    tb_value value = absent ? call->args[0] : call->self;
    return value.kind == TB_VALUE_MISSING ? tb_string_borrow(run, tb_piece_literal("")) : value;
}

static tb_value run_attr(tb_render *run, const tb_call *call)
{
    tb_value name = call->args[0];
    if (name.kind != TB_VALUE_STRING)
        return tb_render_wrong_type(run, "the filter 'attr'", name);
    tb_value value = tb_get_own_attribute(run, call->self, name.as.string);
    return value.kind == TB_VALUE_MISSING ? tb_no_attribute(call->self, name.as.string) : value;
}

static tb_value run_length(tb_render *run, const tb_call *call)
{
    size_t length;
    if (call->self.kind == TB_VALUE_LOOP)
        return tb_int(tb_loop_length(run, call->self.as.loop));
    if (!tb_value_length(&length, call->self))
        return tb_render_wrong_type(run, "the filter 'length'", call->self);
    return tb_int((int64_t)length);
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
