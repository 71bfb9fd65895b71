#include "template/format.h"

#include <math.h>
#include <string.h>

// Padding that a format asks for comes from where the format does.
static tb_piece padding(tb_piece format, const char *fill)
{
    return tb_piece_of((tb_text){fill, 1}, tb_piece_origin(format));
}

static tb_format_field plain_field(tb_piece format)
{
    return (tb_format_field){.fill = padding(format, " "), .align = '>', .sign = '-', .precision = -1};
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
static tb_code next_argument(tb_value *out, percent *p)
{
    bool is_tuple = p->given.kind == TB_VALUE_TUPLE;
    size_t count = is_tuple ? p->given.as.list->count : 1;
    if (p->used >= count)
        return tb_render_fail(p->run, TB_EINVAL, "a format has too few arguments");
    *out = is_tuple ? p->given.as.list->items[p->used] : p->given;
    p->used++;
    return TB_OK;
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
static tb_code read_key(tb_value *out, bool *found, percent *p)
{
    size_t n = 1, depth = 1;
    *found = peek(p) == '(';
    if (!*found)
        return TB_OK;
    for (; n < p->rest.size && depth > 0; n++)
        depth += (p->rest.data[n] == '(') - (p->rest.data[n] == ')');
    if (depth > 0)
        return tb_render_fail(p->run, TB_EINVAL, "a key in a format does not end");
    if (p->given.kind != TB_VALUE_DICT)
        return tb_render_fail(p->run, TB_EINVAL, "a format with keys needs a dict");
    tb_piece key = tb_piece_cut(p->rest, 1, n - 2);
    tb_code rc = tb_dict_get_text(out, p->run, p->given.as.dict, key);
    skip(p, n);
    if (rc)
        return rc;
    if (out->kind == TB_VALUE_MISSING)
        return tb_render_fail(p->run, TB_EINVAL, "a format names '%.*s', which is not there", (int)key.size, key.data);
    return TB_OK;
}

static tb_code read_count(int64_t *out, percent *p)
{
    if (peek(p) == '*') {
        tb_value value;
        skip(p, 1);
        tb_code rc = next_argument(&value, p);
        return rc ? rc : tb_argument_int(out, p->run, "'*' in a format", value, 0);
    }
    for (*out = 0; peek(p) >= '0' && peek(p) <= '9'; skip(p, 1)) {
        *out = *out * 10 + (peek(p) - '0');
        if (*out > INT32_MAX)
            return tb_render_fail(p->run, TB_EINVAL, "a width in a format is too big");
    }
    return TB_OK;
}

// Flags, width and precision.
static tb_code read_layout(tb_format_field *field, percent *p)
{
    bool zero = false, left = false;
    *field = plain_field(p->rest);
    for (; peek(p) && strchr("-+ #0", peek(p)); skip(p, 1)) {
        left |= peek(p) == '-';
        zero |= peek(p) == '0';
        field->alternate |= peek(p) == '#';
        if (peek(p) == '+' || (peek(p) == ' ' && field->sign == '-'))
            field->sign = peek(p);
    }
    tb_code rc = read_count(&field->width, p);
    if (field->width < 0) {
        left = true;
        field->width = -field->width;
    }
    if (!rc && peek(p) == '.') {
        skip(p, 1);
        rc = read_count(&field->precision, p);
        field->precision = field->precision < 0 ? 0 : field->precision;
    }
    if (peek(p) && strchr("hlL", peek(p)))
        skip(p, 1);
    field->align = left ? '<' : zero ? '=' : '>';
    return rc;
}

static tb_code write_percent_text(percent *p, tb_format_field *field, tb_value value)
{
    size_t mark = tb_render_begin(p->run);
    tb_code rc = TB_OK;
    if (field->type == 'r') {
        rc = tb_write_repr(p->run, value);
        if (!rc)
            rc = tb_render_take(&value, p->run, mark);
    } else {
        rc = tb_to_string(&value, p->run, value, true);
    }
    if (!rc && p->markup)
        rc = tb_string_escape(&value, p->run, value);
    if (field->align == '=')
        field->align = '>';
    return rc ? rc : tb_write_text_field(p->run, field, value);
}

static tb_code write_percent_int(percent *p, tb_format_field *field, tb_value value)
{
    int64_t number;
    bool decimal = field->type == 'd' || field->type == 'i' || field->type == 'u';
    tb_code rc = TB_OK;
    if (tb_value_is_integral(value))
        number = tb_value_as_int(value);
    else if (decimal && value.kind == TB_VALUE_FLOAT && isfinite(value.as.real))
        rc = tb_truncate_number(&number, p->run, value.as.real);
    else
        return tb_render_wrong_type(p->run, "formatting an integer", value);
    if (decimal)
        field->type = 'd';
    if (field->align == '=')
        field->fill.data = "0";
    return rc ? rc : tb_write_int_field(p->run, field, number, field->precision);
}

static tb_code write_percent_float(percent *p, tb_format_field *field, tb_value value)
{
    if (!tb_value_is_number(value))
        return tb_render_wrong_type(p->run, "formatting a float", value);
    if (field->align == '=')
        field->fill.data = "0";
    return tb_write_float_field(p->run, field, tb_value_as_double(value));
}

static tb_code write_percent_char(percent *p, tb_format_field *field, tb_value value)
{
    char bytes[4];
    tb_code rc = TB_OK;
    if (tb_value_is_integral(value)) {
        int64_t c = tb_value_as_int(value);
        size_t n = c >= 0 && c <= 0x10FFFF ? tb_utf8_encode(bytes, (uint32_t)c) : 0;
        rc = n ? tb_string_new(&value, p->run, tb_piece_of((tb_text){bytes, n}, (tb_origin)value.origin))
               : tb_render_fail(p->run, TB_EINVAL, "a number in a format is no character");
    } else if (value.kind != TB_VALUE_STRING || value.as.string->length != 1) {
        return tb_render_wrong_type(p->run, "formatting a character", value);
    }
    if (field->align == '=')
        field->align = '>';
    return rc ? rc : tb_write_text_field(p->run, field, value);
}

// One conversion, from behind its percent sign.
static tb_code write_conversion(percent *p)
{
    tb_value value;
    tb_format_field field;
    bool has_key;
    tb_code rc = read_key(&value, &has_key, p);
    if (!rc)
        rc = read_layout(&field, p);
    if (rc)
        return rc;
    field.type = peek(p);
    if (!field.type)
        return tb_render_fail(p->run, TB_EINVAL, "a format is incomplete");
    skip(p, 1);
    if (field.type == '%')
        return tb_render_write_text(p->run, "%");
    if (!has_key)
        rc = next_argument(&value, p);
    if (rc)
        return rc;
    field.origin = (tb_origin)value.origin;
    if (strchr("sr", field.type))
        return write_percent_text(p, &field, value);
    if (strchr("diuoxX", field.type))
        return write_percent_int(p, &field, value);
    if (strchr("eEfFgG", field.type))
        return write_percent_float(p, &field, value);
    if (field.type == 'c')
        return write_percent_char(p, &field, value);
    return tb_render_fail(p->run, field.type == 'a' ? TB_EUNSUPPORTED : TB_EINVAL,
                          "a format has the conversion '%%%c'%s", field.type,
                          field.type == 'a' ? ", which is not supported" : ", which does not exist");
}

tb_code tb_format_percent(tb_value *out, tb_render *run, tb_value format, tb_value arguments)
{
    percent p = {.run = run, .rest = tb_value_text(format), .markup = tb_value_is_markup(format), .given = arguments};
    p.is_mapping = arguments.kind == TB_VALUE_DICT || arguments.kind == TB_VALUE_LIST ||
                   arguments.kind == TB_VALUE_UNDEFINED || arguments.kind == TB_VALUE_RANGE;
    size_t mark = tb_render_begin(run);
    tb_code rc = TB_OK;
    while (!rc && p.rest.size > 0) {
        const char *next = memchr(p.rest.data, '%', p.rest.size);
        size_t n = next ? (size_t)(next - p.rest.data) : p.rest.size;
        rc = tb_render_write(run, tb_piece_cut(p.rest, 0, n));
        skip(&p, n + (next != NULL));
        if (!rc && next)
            rc = write_conversion(&p);
    }
    size_t count = arguments.kind == TB_VALUE_TUPLE ? arguments.as.list->count : 1;
    if (!rc && !p.is_mapping && p.used < count)
        rc = tb_render_fail(run, TB_EINVAL, "a format has too many arguments");
    if (!rc)
        rc = tb_render_take(out, run, mark);
    out->variant = format.variant;
    return rc;
}

// ---- format.format(…) ----

typedef struct formatter {
    tb_render *run;
    const tb_call *call;
    bool markup;
    int64_t next;           // number of the next "{}"
    bool numbered, counted; // fields with numbers, fields without: not both
} formatter;

static tb_code bad_format(tb_render *run)
{
    return tb_render_fail(run, TB_EINVAL, "a format has braces that do not match or a field that is malformed");
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
static tb_code field_argument(tb_value *out, formatter *f, tb_piece name)
{
    const tb_call *call = f->call;
    if (name.size == 0 || is_number(name)) {
        f->counted |= name.size == 0;
        f->numbered |= name.size > 0;
        if (f->counted && f->numbered)
            return tb_render_fail(f->run, TB_EINVAL, "a format mixes fields with and without numbers");
        int64_t n = name.size == 0 ? f->next++ : number_of(name);
        if ((uint64_t)n >= call->count)
            return tb_render_fail(f->run, TB_EINVAL, "a format has too few arguments");
        *out = call->values[n];
        return TB_OK;
    }
    tb_code rc = tb_render_work(f->run, 1 + call->keyword_count);
    for (size_t i = 0; i < call->keyword_count && !rc; i++)
        if (tb_piece_equal(call->keywords[i].name->text, name)) {
            *out = call->keywords[i].value;
            return TB_OK;
        }
    return rc ? rc
              : tb_render_fail(f->run, TB_EINVAL, "a format names '%.*s', which is not there", (int)name.size,
                               name.data);
}

static size_t scan(tb_piece text, size_t at, const char *until)
{
    while (at < text.size && !(text.data[at] && strchr(until, text.data[at])))
        at++;
    return at;
}

// ".name" and "[item]" behind the argument of a field.
static tb_code follow_path(tb_value *value, formatter *f, tb_piece path)
{
    tb_code rc = TB_OK;
    for (size_t at = 0; at < path.size && !rc;) {
        tb_value object = *value, part;
        bool is_item = path.data[at] == '[';
        size_t end = scan(path, at + 1, is_item ? "]" : ".[");
        if ((path.data[at] != '.' && !is_item) || end == at + 1 || (is_item && end == path.size))
            return bad_format(f->run);
        tb_piece name = tb_piece_cut(path, at + 1, end - at - 1);
        rc = tb_string_borrow(&part, f->run, name);
        if (!rc && !is_item)
            rc = tb_get_attribute(value, f->run, object, part.as.string);
        else if (!rc)
            rc = tb_get_item(value, f->run, object, is_number(name) ? tb_int(number_of(name)) : part);
        at = end + is_item;
    }
    return rc;
}

static tb_code field_value(tb_value *out, formatter *f, tb_piece field)
{
    size_t end = scan(field, 0, ".[");
    tb_code rc = field_argument(out, f, tb_piece_cut(field, 0, end));
    return rc ? rc : follow_path(out, f, tb_piece_cut(field, end, field.size - end));
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
static tb_code read_spec(tb_format_field *field, tb_render *run, tb_piece spec)
{
    *field = plain_field(spec);
    read_alignment(field, &spec);
    char sign = spec_take(&spec, "+- ");
    field->sign = sign ? sign : '-';
    field->alternate = spec_take(&spec, "#") != '\0';
    if (spec_take(&spec, "0") && !field->align) {
        field->fill = padding(spec, "0");
        field->align = '0';
    }
    char next = spec_peek(&spec);
    field->width = next >= '0' && next <= '9' ? spec_number(&spec) : 0;
    field->grouping = spec_take(&spec, ",_");
    bool has_precision = spec_take(&spec, ".") != '\0';
    if (has_precision)
        field->precision = spec_number(&spec);
    if (field->width < 0 || (has_precision && field->precision < 0))
        return bad_format(run);
    field->type = spec_peek(&spec);
    return spec.size <= 1 ? TB_OK : bad_format(run);
}

static tb_code write_formatted_text(tb_render *run, tb_format_field *field, tb_value value)
{
    if ((field->type && field->type != 's') || field->sign != '-' || field->alternate || field->grouping ||
        field->align == '=')
        return bad_format(run);
    if (!field->align || field->align == '0')
        field->align = '<';
    return tb_write_text_field(run, field, value);
}

static tb_code write_formatted_number(tb_render *run, tb_format_field *field, tb_value value)
{
    bool is_int = tb_value_is_integral(value);
    if (!field->align || field->align == '0')
        field->align = field->align == '0' ? '=' : '>';
    if (field->type == 'n' || field->type == 'c')
        return tb_render_fail(run, TB_EUNSUPPORTED, "the format '%c' is not supported", field->type);
    if (is_int && (!field->type || strchr("dboxX", field->type))) {
        bool other_base = field->type && field->type != 'd';
        if (field->precision >= 0 || (other_base && field->grouping == ','))
            return bad_format(run);
        return tb_write_int_field(run, field, tb_value_as_int(value), 0);
    }
    if (field->type && !strchr("eEfFgG%", field->type))
        return bad_format(run);
    return tb_write_float_field(run, field, tb_value_as_double(value));
}

// format(value, spec)
static tb_code write_formatted(tb_render *run, tb_value value, tb_piece spec)
{
    tb_format_field field;
    if (spec.size == 0)
        return tb_write_str(run, value);
    if (value.kind != TB_VALUE_STRING && !tb_value_is_number(value))
        return tb_render_fail(run, TB_EINVAL, "a value of type '%s' takes no format", tb_value_kind_name(value.kind));
    tb_code rc = read_spec(&field, run, spec);
    if (rc)
        return rc;
    field.origin = (tb_origin)value.origin;
    return value.kind == TB_VALUE_STRING ? write_formatted_text(run, &field, value)
                                         : write_formatted_number(run, &field, value);
}

static tb_code apply_conversion(tb_value *value, tb_render *run, char conversion)
{
    if (conversion == 's')
        return tb_to_string(value, run, *value, false);
    if (conversion != 'r')
        return tb_render_fail(run, conversion == 'a' ? TB_EUNSUPPORTED : TB_EINVAL,
                              "a format has the conversion '!%c'%s", conversion ? conversion : ' ',
                              conversion == 'a' ? ", which is not supported" : ", which does not exist");
    size_t mark = tb_render_begin(run);
    tb_code rc = tb_write_repr(run, *value);
    return rc ? rc : tb_render_take(value, run, mark);
}

static tb_code write_format(formatter *f, tb_piece format, unsigned depth);

// One field, without its braces: name, conversion, and a specification which may have fields itself.
static tb_code write_field(formatter *f, tb_piece field, unsigned depth)
{
    tb_value value, spec;
    size_t end = scan(field, 0, "!:[");
    while (end < field.size && field.data[end] == '[')
        end = scan(field, scan(field, end, "]"), "!:[");
    tb_code rc = field_value(&value, f, tb_piece_cut(field, 0, end));
    if (!rc && end < field.size && field.data[end] == '!') {
        rc = apply_conversion(&value, f->run, end + 1 < field.size ? field.data[end + 1] : '\0');
        end += 2;
        if (!rc && end < field.size && field.data[end] != ':')
            return bad_format(f->run);
    }
    size_t mark = tb_render_begin(f->run);
    if (!rc && end < field.size)
        rc = write_format(f, tb_piece_cut(field, end + 1, field.size - end - 1), depth + 1);
    if (!rc)
        rc = tb_render_take(&spec, f->run, mark);
    if (!rc && f->markup && tb_value_is_markup(value) && spec.as.string->text.size > 0)
        rc = tb_render_fail(f->run, TB_EINVAL, "Markup takes no format");
    if (!rc)
        rc = write_formatted(f->run, value, tb_value_text(spec));
    if (!rc && f->markup && depth == 0) { // escape what has just been written
        bool safe = tb_value_is_markup(value);
        rc = tb_render_take(&value, f->run, mark);
        value.variant = safe ? TB_VALUE_MARKUP : 0;
        if (!rc)
            rc = tb_string_escape(&value, f->run, value);
        if (!rc)
            rc = tb_render_write(f->run, tb_value_text(value));
    }
    return rc;
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

static tb_code write_format(formatter *f, tb_piece format, unsigned depth)
{
    tb_code rc = TB_OK;
    if (depth > 1) // a specification may have fields, their specifications may not
        return scan(format, 0, "{}") == format.size ? tb_render_write(f->run, format) : bad_format(f->run);
    for (size_t at = 0; at < format.size && !rc;) {
        size_t brace = scan(format, at, "{}");
        bool doubled = brace + 1 < format.size && format.data[brace] == format.data[brace + 1];
        rc = tb_render_write(f->run, tb_piece_cut(format, at, brace - at + (brace < format.size && doubled)));
        at = brace + 2;
        if (brace == format.size || doubled || rc)
            continue;
        size_t end = find_close(format, brace + 1);
        if (format.data[brace] == '}' || end == format.size)
            return bad_format(f->run);
        rc = write_field(f, tb_piece_cut(format, brace + 1, end - brace - 1), depth);
        at = end + 1;
    }
    return rc;
}

tb_code tb_format_braces(tb_value *out, tb_render *run, tb_value format, const tb_call *call)
{
    formatter f = {.run = run, .call = call, .markup = tb_value_is_markup(format)};
    size_t mark = tb_render_begin(run);
    tb_code rc = tb_render_work(run, 1 + tb_value_text(format).size / TB_BYTES_READ_PER_STEP);
    if (!rc)
        rc = write_format(&f, tb_value_text(format), 0);
    if (!rc)
        rc = tb_render_take(out, run, mark);
    out->variant = format.variant;
    return rc;
}
