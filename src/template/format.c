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
    return (tb_format_field){.fill = padding(format, " "), .align = '>', .sign = '-', .precision = -1};
}

static tb_value repr_of(tb_render *run, tb_value value)
{
    size_t mark = tb_render_begin(run);
    tb_write_repr(run, value);
    return tb_render_take(run, mark);
}

// ---- format % arguments ----

typedef struct percent {
    tb_render *run;
    tb_piece rest;   // of the format
    bool markup;     // arguments are escaped
    tb_value given;  // what stands behind the operator
    bool is_mapping; // it may be asked by key, and need not be used up
    size_t used;     // arguments that have been taken
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

static char peek(const percent *p)
{
    return p->rest.size > 0 ? *p->rest.data : '\0';
}

static void skip(percent *p, size_t n)
{
    p->rest = tb_piece_behind(p->rest, n);
}

// "(key)": the argument of that name.
static tb_value read_key(percent *p)
{
    size_t n = 1, depth = 1;
    for (; n < p->rest.size && depth > 0; n++)
        depth += (p->rest.data[n] == '(') - (p->rest.data[n] == ')');
    if (depth > 0)
        return tb_render_fail(p->run, TB_EINVAL, "a key in a format does not end");
    if (p->given.kind != TB_VALUE_DICT)
        return tb_render_fail(p->run, TB_EINVAL, "a format with keys needs a dict");
    tb_piece key = tb_piece_cut(p->rest, 1, n - 2);
    skip(p, n);
    tb_value value = tb_dict_get_text(p->run, p->given.as.dict, key);
    if (value.kind == TB_VALUE_MISSING)
        tb_render_fail(p->run, TB_EINVAL, "a format names '%.*s', which is not there", (int)key.size, key.data);
    return value;
}

static int64_t read_count(percent *p)
{
    int64_t n = 0;
    if (peek(p) == '*') {
        skip(p, 1);
        return tb_argument_int(p->run, "'*' in a format", next_argument(p), 0);
    }
    for (; peek(p) >= '0' && peek(p) <= '9' && n <= INT32_MAX; skip(p, 1))
        n = n * 10 + (peek(p) - '0');
    if (n > INT32_MAX)
        tb_render_fail(p->run, TB_EINVAL, "a width in a format is too big");
    return n;
}

// Flags, width and precision.
static tb_format_field read_layout(percent *p)
{
    tb_format_field field = plain_field(p->rest);
    bool zero = false, left = false;
    for (; peek(p) && strchr("-+ #0", peek(p)); skip(p, 1)) {
        left |= peek(p) == '-';
        zero |= peek(p) == '0';
        field.alternate |= peek(p) == '#';
        if (peek(p) == '+' || (peek(p) == ' ' && field.sign == '-'))
            field.sign = peek(p);
    }
    field.width = read_count(p);
    left |= field.width < 0;
    field.width = field.width < -INT32_MAX ? INT32_MAX : field.width < 0 ? -field.width : field.width;
    if (peek(p) == '.') {
        skip(p, 1);
        int64_t precision = read_count(p);
        field.precision = precision < 0 ? 0 : precision;
    }
    if (peek(p) && strchr("hlL", peek(p)))
        skip(p, 1);
    field.align = left ? '<' : zero ? '=' : '>';
    return field;
}

static void write_percent_text(percent *p, tb_format_field *field, tb_value value)
{
    value = field->type == 'r' ? repr_of(p->run, value) : tb_to_string(p->run, value, true);
    if (p->markup)
        value = tb_string_escape(p->run, value);
    if (field->align == '=')
        field->align = '>';
    tb_write_text_field(p->run, field, value);
}

static void write_percent_int(percent *p, tb_format_field *field, tb_value value)
{
    bool decimal = field->type == 'd' || field->type == 'i' || field->type == 'u';
    bool is_float = decimal && value.kind == TB_VALUE_FLOAT && isfinite(value.as.real);
    if (!tb_value_is_integral(value) && !is_float) {
        tb_render_wrong_type(p->run, "formatting an integer", value);
        return;
    }
    if (decimal)
        field->type = 'd';
    if (field->align == '=')
        field->fill.data = "0";
    int64_t number = is_float ? tb_truncate_number(p->run, value.as.real) : tb_value_as_int(value);
    tb_write_int_field(p->run, field, number, field->precision);
}

static void write_percent_float(percent *p, tb_format_field *field, tb_value value)
{
    if (!tb_value_is_number(value)) {
        tb_render_wrong_type(p->run, "formatting a float", value);
        return;
    }
    if (field->align == '=')
        field->fill.data = "0";
    tb_write_float_field(p->run, field, tb_value_as_double(value));
}

static void write_percent_char(percent *p, tb_format_field *field, tb_value value)
{
    char bytes[4];
    if (tb_value_is_integral(value)) {
        int64_t c = tb_value_as_int(value);
        size_t n = c >= 0 && c <= 0x10FFFF ? tb_utf8_encode(bytes, (uint32_t)c) : 0;
        if (!n)
            tb_render_fail(p->run, TB_EINVAL, "a number in a format is no character");
        value = tb_string_new(p->run, tb_piece_of((tb_text){bytes, n}, (tb_origin)value.origin));
    } else if (value.kind != TB_VALUE_STRING || value.as.string->length != 1) {
        tb_render_wrong_type(p->run, "formatting a character", value);
    }
    if (field->align == '=')
        field->align = '>';
    tb_write_text_field(p->run, field, value);
}

// One conversion, from behind its percent sign.
static void write_conversion(percent *p)
{
    bool has_key = peek(p) == '(';
    tb_value value = has_key ? read_key(p) : tb_missing();
    tb_format_field field = read_layout(p);
    field.type = peek(p);
    if (!field.type) {
        tb_render_fail(p->run, TB_EINVAL, "a format is incomplete");
        return;
    }
    tb_piece sign = tb_piece_cut(p->rest, 0, 1);
    skip(p, 1);
    if (field.type == '%') {
        tb_render_write(p->run, sign);
        return;
    }
    if (!has_key)
        value = next_argument(p);
    field.origin = (tb_origin)value.origin;
    if (strchr("sr", field.type))
        write_percent_text(p, &field, value);
    else if (strchr("diuoxX", field.type))
        write_percent_int(p, &field, value);
    else if (strchr("eEfFgG", field.type))
        write_percent_float(p, &field, value);
    else if (field.type == 'c')
        write_percent_char(p, &field, value);
    else
        tb_render_fail(p->run, field.type == 'a' ? TB_EUNSUPPORTED : TB_EINVAL, "a format has the conversion '%%%c'%s",
                       field.type, field.type == 'a' ? ", which is not supported" : ", which does not exist");
}

tb_value tb_format_percent(tb_render *run, tb_value format, tb_value arguments)
{
    percent p = {.run = run, .rest = tb_value_text(format), .markup = tb_value_is_markup(format), .given = arguments};
    p.is_mapping = arguments.kind == TB_VALUE_DICT || arguments.kind == TB_VALUE_LIST ||
                   arguments.kind == TB_VALUE_UNDEFINED || arguments.kind == TB_VALUE_RANGE;
    size_t mark = tb_render_begin(run);
    while (p.rest.size > 0 && !run->rc) {
        const char *next = memchr(p.rest.data, '%', p.rest.size);
        size_t n = next ? (size_t)(next - p.rest.data) : p.rest.size;
        tb_render_write(run, tb_piece_cut(p.rest, 0, n));
        skip(&p, n + (next != NULL));
        if (next)
            write_conversion(&p);
    }
    size_t count = arguments.kind == TB_VALUE_TUPLE ? arguments.as.list->count : 1;
    if (!p.is_mapping && p.used < count)
        tb_render_fail(run, TB_EINVAL, "a format has too many arguments");
    return tb_render_take_alike(run, mark, format);
}

// ---- format.format(…) ----

typedef struct formatter {
    tb_render *run;
    const tb_call *call;
    bool markup;
    int64_t next;           // number of the next "{}"
    bool numbered, counted; // fields with numbers, fields without: not both
} formatter;

static void bad_format(tb_render *run)
{
    tb_render_fail(run, TB_EINVAL, "a format has braces that do not match or a field that is malformed");
}

static bool is_number(tb_piece text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.size > 0 && text.size < 10;
}

static int64_t number_of(tb_piece text)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.size; i++)
        n = n * 10 + (text.data[i] - '0');
    return n;
}

// The argument that a field starts from: by number, by name, or the next one.
static tb_value field_argument(formatter *f, tb_piece name)
{
    const tb_call *call = f->call;
    if (name.size == 0 || is_number(name)) {
        f->counted |= name.size == 0;
        f->numbered |= name.size > 0;
        if (f->counted && f->numbered)
            return tb_render_fail(f->run, TB_EINVAL, "a format mixes fields with and without numbers");
        int64_t n = name.size == 0 ? f->next++ : number_of(name);
        return (uint64_t)n < call->count ? call->values[n]
                                         : tb_render_fail(f->run, TB_EINVAL, "a format has too few arguments");
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
        if (f->run->rc)
            break;
        value = is_item ? tb_get_item(f->run, value, is_number(name) ? tb_int(number_of(name)) : part)
                        : tb_get_attribute(f->run, value, part.as.string);
        at = end + is_item;
    }
    return value;
}

static tb_value field_value(formatter *f, tb_piece field)
{
    size_t end = scan(field, 0, ".[");
    return follow_path(f, field_argument(f, tb_piece_cut(field, 0, end)), tb_piece_behind(field, end));
}

// What is left of a specification.
static char spec_peek(const tb_piece *spec)
{
    return spec->size > 0 ? *spec->data : '\0';
}

// Takes one of the characters, or gives 0.
static char spec_take(tb_piece *spec, const char *any_of)
{
    char c = spec_peek(spec);
    if (!c || !strchr(any_of, c))
        return '\0';
    *spec = tb_piece_behind(*spec, 1);
    return c;
}

// Digits, as many as there are; −1 where there is none or far too many.
static int64_t spec_number(tb_piece *spec)
{
    int64_t n = 0;
    size_t digits = 0;
    for (char c; (c = spec_take(spec, "0123456789")) && digits < 10; digits++)
        n = n * 10 + (c - '0');
    return digits > 0 && digits < 10 ? n : -1;
}

// [[fill]align]
static void read_alignment(tb_format_field *field, tb_piece *spec)
{
    uint32_t c;
    size_t first = tb_utf8_decode(&c, spec->data, spec->size);
    if (first && first < spec->size && spec->data[first] && strchr("<>^=", spec->data[first])) {
        field->fill = tb_piece_cut(*spec, 0, first);
        *spec = tb_piece_behind(*spec, first);
    }
    field->align = spec_take(spec, "<>^=");
}

// [[fill]align][sign][#][0][width][grouping][.precision][type]; align '0' stands for that of zeros in front.
static tb_format_field read_spec(tb_render *run, tb_piece spec)
{
    tb_format_field field = plain_field(spec);
    tb_piece zero = padding(spec, "0");
    read_alignment(&field, &spec);
    char sign = spec_take(&spec, "+- ");
    field.sign = sign ? sign : '-';
    field.alternate = spec_take(&spec, "#") != '\0';
    if (spec_take(&spec, "0") && !field.align) {
        field.fill = zero;
        field.align = '0';
    }
    char next = spec_peek(&spec);
    field.width = next >= '0' && next <= '9' ? spec_number(&spec) : 0;
    field.grouping = spec_take(&spec, ",_");
    bool has_precision = spec_take(&spec, ".") != '\0';
    if (has_precision)
        field.precision = spec_number(&spec);
    field.type = spec_peek(&spec);
    if (field.width < 0 || (has_precision && field.precision < 0) || spec.size > 1)
        bad_format(run);
    return field;
}

static void write_formatted_text(tb_render *run, tb_format_field *field, tb_value value)
{
    if ((field->type && field->type != 's') || field->sign != '-' || field->alternate || field->grouping ||
        field->align == '=')
        bad_format(run);
    if (!field->align || field->align == '0')
        field->align = '<';
    tb_write_text_field(run, field, value);
}

static void write_formatted_number(tb_render *run, tb_format_field *field, tb_value value)
{
    bool is_int = tb_value_is_integral(value) && (!field->type || strchr("dboxX", field->type));
    bool other_base = field->type && field->type != 'd';
    if (!field->align || field->align == '0')
        field->align = field->align == '0' ? '=' : '>';
    if (field->type == 'n' || field->type == 'c')
        tb_render_fail(run, TB_EUNSUPPORTED, "the format '%c' is not supported", field->type);
    else if (is_int ? field->precision >= 0 || (other_base && field->grouping == ',')
                    : field->type && !strchr("eEfFgG%", field->type))
        bad_format(run);
    else if (is_int)
        tb_write_int_field(run, field, tb_value_as_int(value), 0);
    else
        tb_write_float_field(run, field, tb_value_as_double(value));
}

// format(value, spec)
static void write_formatted(tb_render *run, tb_value value, tb_piece spec)
{
    if (spec.size == 0) {
        tb_write_str(run, value);
        return;
    }
    if (value.kind != TB_VALUE_STRING && !tb_value_is_number(value))
        tb_render_fail(run, TB_EINVAL, "a value of type '%s' takes no format", tb_value_kind_name(value.kind));
    tb_format_field field = read_spec(run, spec);
    field.origin = (tb_origin)value.origin;
    if (run->rc)
        return;
    if (value.kind == TB_VALUE_STRING)
        write_formatted_text(run, &field, value);
    else
        write_formatted_number(run, &field, value);
}

static tb_value apply_conversion(tb_render *run, tb_value value, char conversion)
{
    if (conversion == 's')
        return tb_to_string(run, value, false);
    if (conversion == 'r')
        return repr_of(run, value);
    return tb_render_fail(run, conversion == 'a' ? TB_EUNSUPPORTED : TB_EINVAL, "a format has the conversion '!%c'%s",
                          conversion ? conversion : ' ',
                          conversion == 'a' ? ", which is not supported" : ", which does not exist");
}

static void write_format(formatter *f, tb_piece format, unsigned depth);

// One field, without its braces: name, conversion, and a specification which may have fields itself.
static void write_field(formatter *f, tb_piece field, unsigned depth)
{
    tb_render *run = f->run;
    size_t end = scan(field, 0, "!:[");
    while (end < field.size && field.data[end] == '[')
        end = scan(field, scan(field, end, "]"), "!:[");
    tb_value value = field_value(f, tb_piece_cut(field, 0, end));
    if (end < field.size && field.data[end] == '!') {
        value = apply_conversion(run, value, end + 1 < field.size ? field.data[end + 1] : '\0');
        end += 2;
        if (end < field.size && field.data[end] != ':')
            bad_format(run);
    }
    size_t mark = tb_render_begin(run);
    if (end < field.size)
        write_format(f, tb_piece_behind(field, end + 1), depth + 1);
    tb_piece spec = tb_value_text(tb_render_take(run, mark));
    if (f->markup && tb_value_is_markup(value) && spec.size > 0)
        tb_render_fail(run, TB_EINVAL, "Markup takes no format");
    write_formatted(run, value, spec);
    if (f->markup && depth == 0) // escape what has just been written
        tb_render_write(run, tb_value_text(tb_string_escape(run, tb_render_take_alike(run, mark, value))));
}

// Where the field that opens before `at` closes; fields inside of it are passed over.
static size_t find_close(tb_piece format, size_t at)
{
    for (size_t depth = 1; at < format.size; at++) {
        depth += (format.data[at] == '{') - (format.data[at] == '}');
        if (depth == 0)
            return at;
    }
    return format.size;
}

static void write_format(formatter *f, tb_piece format, unsigned depth)
{
    if (depth > 1) { // a specification may have fields, their specifications may not
        if (scan(format, 0, "{}") < format.size)
            bad_format(f->run);
        tb_render_write(f->run, format);
        return;
    }
    for (size_t at = 0; at < format.size && !f->run->rc;) {
        size_t brace = scan(format, at, "{}");
        bool doubled = brace + 1 < format.size && format.data[brace] == format.data[brace + 1];
        tb_render_write(f->run, tb_piece_cut(format, at, brace - at + (brace < format.size && doubled)));
        at = brace + 2;
        if (brace == format.size || doubled)
            continue;
        size_t end = find_close(format, brace + 1);
        if (format.data[brace] == '}' || end == format.size) {
            bad_format(f->run);
            return;
        }
        write_field(f, tb_piece_cut(format, brace + 1, end - brace - 1), depth);
        at = end + 1;
    }
}

tb_value tb_format_braces(tb_render *run, tb_value format, const tb_call *call)
{
    formatter f = {.run = run, .call = call, .markup = tb_value_is_markup(format)};
    size_t mark = tb_render_begin(run);
    tb_render_work(run, 1 + tb_value_text(format).size / TB_BYTES_READ_PER_STEP);
    write_format(&f, tb_value_text(format), 0);
    return tb_render_take_alike(run, mark, format);
}
