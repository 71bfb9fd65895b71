#include "template/format.h"

#include <math.h>
#include <string.h>

// Padding that a format asks for comes from where the format does.
static tb_piece padding(tb_piece format, const char *fill)
{
    return tb_piece_of((tb_text){fill, 1}, format.size ? tb_piece_origin_at(format, 0) : TB_FROM_TEMPLATE);
}

static tb_format_field plain_field(tb_piece format)
{
    return (tb_format_field){.fill = padding(format, " "), .align = '>', .precision = -1};
}

static tb_value repr_of(tb_render *run, tb_value value)
{
    size_t mark = tb_render_begin(run);
    tb_write_repr(run, value);
    return tb_render_take(run, mark);
}

static char peek(tb_piece rest)
{
    return rest.size > 0 ? *rest.data : '\0';
}

// Takes one of the characters, or gives 0.
static char take(tb_piece *rest, const char *any_of)
{
    char c = peek(*rest);
    if (!c || !strchr(any_of, c))
        return '\0';
    *rest = tb_piece_behind(*rest, 1);
    return c;
}

// A number; 0 when there is none.
static int64_t take_number(tb_render *run, tb_piece *rest)
{
    int64_t n = 0;
    for (char c; n <= INT32_MAX && (c = take(rest, "0123456789"));)
        n = n * 10 + (c - '0');
    if (n > INT32_MAX)
        tb_render_fail(run, TB_EINVAL, "a number in a format is too big");
    return n;
}

// ---- format % arguments ----

typedef struct percent {
    tb_render *run;
    tb_piece rest;  // of the format
    bool markup;    // arguments are escaped
    tb_value given; // what stands behind the operator
    size_t used;    // arguments that have been taken
} percent;

// The next argument: an item of a tuple, or the one thing given.
static tb_value next_argument(percent *p)
{
    bool is_tuple = p->given.kind == TB_VALUE_TUPLE;
    if (p->used >= (is_tuple ? p->given.as.list->count : 1))
        return tb_render_fail(p->run, TB_EINVAL, "a format has too few arguments");
    size_t at = p->used++;
    return is_tuple ? p->given.as.list->items[at] : p->given;
}

// "(key)": the argument of that name.
static tb_value read_key(percent *p)
{
    const char *end = memchr(p->rest.data, ')', p->rest.size);
    if (!end)
        return tb_render_fail(p->run, TB_EINVAL, "a key in a format does not end");
    if (p->given.kind != TB_VALUE_DICT)
        return tb_render_fail(p->run, TB_EINVAL, "a format with keys needs a dict");
    size_t n = (size_t)(end - p->rest.data);
    tb_piece key = tb_piece_cut(p->rest, 1, n - 1);
    p->rest = tb_piece_behind(p->rest, n + 1);
    tb_value value = tb_dict_get_text(p->run, p->given.as.dict, key);
    if (value.kind == TB_VALUE_MISSING)
        tb_render_fail(p->run, TB_EINVAL, "a format names '%.*s', which is not there", (int)key.size, key.data);
    return value;
}

// Flags, width, precision and type.
static tb_format_field read_layout(percent *p)
{
    tb_format_field field = plain_field(p->rest);
    tb_piece zero = padding(p->rest, "0");
    bool left = false, zeros = false;
    for (char c; (c = take(&p->rest, "-+ 0"));) {
        left |= c == '-';
        zeros |= c == '0';
        if (c == '+' || (c == ' ' && !field.sign))
            field.sign = c;
    }
    field.width = take_number(p->run, &p->rest);
    if (take(&p->rest, "."))
        field.precision = take_number(p->run, &p->rest);
    field.type = peek(p->rest);
    if (left) {
        field.align = '<';
    } else if (zeros && field.type && !strchr("sr", field.type)) {
        field.align = '=';
        field.fill = zero;
    }
    return field;
}

static void write_percent_text(percent *p, const tb_format_field *field, tb_value value)
{
    value = field->type == 'r' ? repr_of(p->run, value) : tb_to_string(p->run, value, true);
    if (p->markup)
        value = tb_string_escape(p->run, value);
    tb_write_text_field(p->run, field, value);
}

static void write_percent_int(percent *p, const tb_format_field *field, tb_value value)
{
    bool decimal = field->type == 'd' || field->type == 'i';
    if (tb_value_is_integral(value))
        tb_write_int_field(p->run, field, tb_value_as_int(value));
    else if (decimal && value.kind == TB_VALUE_FLOAT && isfinite(value.as.real))
        tb_write_int_field(p->run, field, tb_truncate_number(p->run, value.as.real));
    else
        tb_render_wrong_type(p->run, "formatting an integer", value);
}

// One conversion, from behind its percent sign.
static void write_conversion(percent *p)
{
    bool has_key = peek(p->rest) == '(';
    tb_value value = has_key ? read_key(p) : tb_missing();
    tb_format_field field = read_layout(p);
    if (!field.type) {
        tb_render_fail(p->run, TB_EINVAL, "a format is incomplete");
        return;
    }
    tb_piece sign = tb_piece_cut(p->rest, 0, 1);
    p->rest = tb_piece_behind(p->rest, 1);
    if (field.type == '%') {
        tb_render_write(p->run, sign);
        return;
    }
    if (!strchr("srdixXeEfFgG", field.type)) {
        tb_render_fail(p->run, TB_EUNSUPPORTED, "'%%%c' in a format is not supported", field.type);
        return;
    }
    if (!has_key)
        value = next_argument(p);
    field.origin = (tb_origin)value.origin;
    if (strchr("sr", field.type))
        write_percent_text(p, &field, value);
    else if (strchr("dixX", field.type))
        write_percent_int(p, &field, value);
    else if (tb_value_is_number(value))
        tb_write_float_field(p->run, &field, tb_value_as_double(value));
    else
        tb_render_wrong_type(p->run, "formatting a float", value);
}

tb_value tb_format_percent(tb_render *run, tb_value format, tb_value arguments)
{
    percent p = {.run = run, .rest = tb_value_text(format), .markup = tb_value_is_markup(format), .given = arguments};
    bool may_stay_unused = arguments.kind == TB_VALUE_DICT || arguments.kind == TB_VALUE_LIST ||
                           arguments.kind == TB_VALUE_UNDEFINED || arguments.kind == TB_VALUE_RANGE;
    size_t mark = tb_render_begin(run);
    while (p.rest.size > 0 && !run->rc) {
        const char *next = memchr(p.rest.data, '%', p.rest.size);
        size_t n = next ? (size_t)(next - p.rest.data) : p.rest.size;
        tb_render_write(run, tb_piece_cut(p.rest, 0, n));
        p.rest = tb_piece_behind(p.rest, n + (next != NULL));
        if (next)
            write_conversion(&p);
    }
    size_t count = arguments.kind == TB_VALUE_TUPLE ? arguments.as.list->count : 1;
    if (!may_stay_unused && p.used < count)
        tb_render_fail(run, TB_EINVAL, "a format has too many arguments");
    return tb_render_take_alike(run, mark, format);
}

// ---- format.format(…) ----

typedef struct formatter {
    tb_render *run;
    const tb_call *call;
    bool markup;
    size_t next;            // number of the next "{}"
    bool numbered, counted; // fields with numbers, fields without: not both
} formatter;

static void bad_format(tb_render *run)
{
    tb_render_fail(run, TB_EINVAL, "a format has braces that do not match or a field that is malformed");
}

static void refuse(tb_render *run, tb_piece spec)
{
    tb_render_fail(run, TB_EUNSUPPORTED, "the format '%.*s' is not supported for this value",
                   spec.size < 40 ? (int)spec.size : 40, spec.data);
}

// Whether all of the text is a number.
static bool read_number(int64_t *out, tb_render *run, tb_piece text)
{
    bool is_empty = text.size == 0;
    *out = take_number(run, &text);
    return !is_empty && text.size == 0;
}

// The argument that a field starts from: by number, by name, or the next one.
static tb_value field_argument(formatter *f, tb_piece name)
{
    const tb_call *call = f->call;
    int64_t number;
    bool is_number = read_number(&number, f->run, name);
    if (name.size == 0 || is_number) {
        f->counted |= name.size == 0;
        f->numbered |= name.size > 0;
        if (f->counted && f->numbered)
            return tb_render_fail(f->run, TB_EINVAL, "a format mixes fields with and without numbers");
        size_t n = is_number ? (size_t)number : f->next++;
        return n < call->count ? call->values[n] : tb_render_fail(f->run, TB_EINVAL, "a format has too few arguments");
    }
    tb_render_work(f->run, 1 + call->keyword_count);
    for (size_t i = 0; i < call->keyword_count && !f->run->rc; i++)
        if (tb_piece_equal(call->keywords[i].name->text, name))
            return call->keywords[i].value;
    return tb_render_fail(f->run, TB_EINVAL, "a format names '%.*s', which is not there", (int)name.size, name.data);
}

static size_t scan(tb_piece text, size_t at, const char *until)
{
    while (at < text.size && !(text.data[at] && strchr(until, text.data[at])))
        at++;
    return at;
}

// ".name" and "[item]" behind the argument of a field.
static tb_value follow_path(formatter *f, tb_value value, tb_piece path)
{
    for (size_t at = 0; at < path.size && !f->run->rc;) {
        bool is_item = path.data[at] == '[';
        size_t end = scan(path, at + 1, is_item ? "]" : ".[");
        if ((path.data[at] != '.' && !is_item) || end == at + 1 || (is_item && end == path.size)) {
            bad_format(f->run);
            break;
        }
        tb_piece name = tb_piece_cut(path, at + 1, end - at - 1);
        tb_value part = tb_string_borrow(f->run, name);
        int64_t number;
        if (f->run->rc)
            break;
        if (!is_item)
            value = tb_get_attribute(f->run, value, part.as.string);
        else
            value = tb_get_item(f->run, value, read_number(&number, f->run, name) ? tb_int(number) : part);
        at = end + is_item;
    }
    return value;
}

static tb_value field_value(formatter *f, tb_piece name)
{
    size_t end = scan(name, 0, ".[");
    return follow_path(f, field_argument(f, tb_piece_cut(name, 0, end)), tb_piece_behind(name, end));
}

// [[fill]align]; false without a fill.
static bool read_alignment(tb_format_field *field, tb_piece *spec)
{
    uint32_t c;
    size_t first = tb_utf8_decode(&c, spec->data, spec->size);
    bool filled = first && first < spec->size && spec->data[first] && strchr("<>^", spec->data[first]);
    if (filled) {
        field->fill = tb_piece_cut(*spec, 0, first);
        *spec = tb_piece_behind(*spec, first);
    }
    field->align = take(spec, "<>^");
    return filled;
}

// [[fill]align][sign][0][width][.precision][type]; false where it is something else.
static bool read_spec(tb_format_field *field, tb_render *run, tb_piece spec, bool is_text)
{
    tb_piece rest = spec;
    *field = plain_field(spec);
    bool filled = read_alignment(field, &rest);
    field->sign = take(&rest, "+- ");
    bool zeros = !filled && take(&rest, "0");
    if (zeros)
        field->fill = padding(spec, "0");
    if (!field->align)
        field->align = is_text ? '<' : zeros ? '=' : '>';
    field->width = take_number(run, &rest);
    if (rest.size > 1 && rest.data[1] >= '0' && rest.data[1] <= '9' && take(&rest, "."))
        field->precision = take_number(run, &rest);
    field->type = take(&rest, "sdxXeEfFgG");
    return rest.size == 0;
}

// format(value, spec)
static void write_formatted(tb_render *run, tb_value value, tb_piece spec)
{
    tb_format_field field;
    bool is_text = value.kind == TB_VALUE_STRING, valid = read_spec(&field, run, spec, is_text);
    bool for_floats = field.type && strchr("eEfFgG", field.type);
    field.origin = (tb_origin)value.origin;
    if (valid && is_text && !field.sign && (!field.type || field.type == 's'))
        tb_write_text_field(run, &field, value);
    else if (valid && tb_value_is_integral(value) && !for_floats && field.type != 's' && field.precision < 0)
        tb_write_int_field(run, &field, tb_value_as_int(value));
    else if (valid && tb_value_is_number(value) && (for_floats || (!field.type && field.precision < 0)))
        tb_write_float_field(run, &field, tb_value_as_double(value));
    else
        refuse(run, spec);
}

// One field, without its braces: name, conversion, specification.
static void write_field(formatter *f, tb_piece field)
{
    tb_render *run = f->run;
    size_t end = scan(field, 0, "!:"), mark = tb_render_begin(run);
    tb_value value = field_value(f, tb_piece_cut(field, 0, end));
    tb_piece rest = tb_piece_behind(field, end);
    if (take(&rest, "!")) {
        char conversion = take(&rest, "rs");
        if (!conversion)
            refuse(run, tb_piece_behind(field, end));
        value = conversion == 'r' ? repr_of(run, value) : tb_to_string(run, value, false);
    }
    if (rest.size > 0 && !take(&rest, ":"))
        bad_format(run);
    if (rest.size == 0)
        tb_write_str(run, value);
    else if (value.kind == TB_VALUE_STRING || tb_value_is_number(value))
        write_formatted(run, value, rest);
    else
        tb_render_fail(run, TB_EINVAL, "a value of type '%s' takes no format", tb_value_kind_name(value.kind));
    if (f->markup) // escape what has just been written
        tb_render_write(run, tb_value_text(tb_string_escape(run, tb_render_take_alike(run, mark, value))));
}

tb_value tb_format_braces(tb_render *run, tb_value string, const tb_call *call)
{
    formatter f = {.run = run, .call = call, .markup = tb_value_is_markup(string)};
    tb_piece format = tb_value_text(string);
    size_t mark = tb_render_begin(run);
    tb_render_work(run, 1 + format.size / TB_BYTES_READ_PER_STEP);
    for (size_t at = 0; at < format.size && !run->rc;) {
        size_t brace = scan(format, at, "{}");
        bool doubled = brace + 1 < format.size && format.data[brace] == format.data[brace + 1];
        tb_render_write(run, tb_piece_cut(format, at, brace - at + (brace < format.size && doubled)));
        at = brace + 2;
        if (brace == format.size || doubled)
            continue;
        size_t end = scan(format, brace + 1, "}");
        if (format.data[brace] == '}' || end == format.size)
            bad_format(run);
        else
            write_field(&f, tb_piece_cut(format, brace + 1, end - brace - 1));
        at = end + 1;
    }
    return tb_render_take_alike(run, mark, string);
}
