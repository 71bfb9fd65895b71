// Laying out one value in a width: what formats of both kinds come down to.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "template/format.h"
#include "template/unicode.h"

enum {
    NUMBER_TEXT = 600,     // the longest float has 309 digits before the point
    PRECISION_LIMIT = 250, // and so many behind it fit, too
};

// Pads `prefix` (sign and base, which stay in front of zeros) and `body` to the width.
static void write_padded(tb_render *run, const tb_format_field *field, tb_piece prefix, tb_piece body)
{
    size_t length = prefix.size + tb_unicode_count(body);
    size_t missing = field->width > 0 && (size_t)field->width > length ? (size_t)field->width - length : 0;
    size_t left = field->align == '>' ? missing : field->align == '^' ? missing / 2 : 0;
    size_t middle = field->align == '=' ? missing : 0;
    tb_render_write_repeated(run, field->fill, left);
    tb_render_write(run, prefix);
    tb_render_write_repeated(run, field->fill, middle);
    tb_render_write(run, body);
    tb_render_write_repeated(run, field->fill, missing - left - middle);
}

void tb_write_text_field(tb_render *run, const tb_format_field *field, tb_value string)
{
    tb_piece text = tb_value_text(string);
    if (field->precision >= 0 && (uint64_t)field->precision < text.size)
        text = tb_piece_cut(text, 0, tb_unicode_offset(text, (size_t)field->precision));
    write_padded(run, field, tb_piece_literal(""), text);
}

// ---- numbers ----

static size_t put_sign(char *out, const tb_format_field *field, bool negative)
{
    if (negative || field->sign != '-')
        *out = negative ? '-' : field->sign;
    return negative || field->sign != '-';
}

// Puts separators between groups of `size` digits in front of `whole` characters of the text.
static void group_digits(char *text, size_t whole, size_t size, char separator)
{
    for (size_t at = whole; at > size;) {
        at -= size;
        memmove(text + at + 1, text + at, strlen(text + at) + 1);
        text[at] = separator;
    }
}

// Whether a number can be laid out like this at all.
static bool can_write(tb_render *run, const tb_format_field *field, int64_t digits)
{
    if (digits > PRECISION_LIMIT)
        tb_render_fail(run, TB_EUNSUPPORTED, "a number of that many digits is not supported");
    if (field->grouping && field->align == '=' && field->fill.data[0] == '0')
        tb_render_fail(run, TB_EUNSUPPORTED, "padding grouped digits with zeros is not supported");
    return !run->rc;
}

static unsigned base_of(char type)
{
    return type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
}

// Digits of a magnitude, at least `least` of them; *start is where they begin in `text`.
static char *put_digits(char text[NUMBER_TEXT], uint64_t magnitude, const tb_format_field *field, int64_t least)
{
    const char *digits = field->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char *at = text + NUMBER_TEXT / 2;
    unsigned base = base_of(field->type);
    int64_t n = 0;
    *--at = '\0';
    for (; magnitude > 0 || n < least || n == 0; magnitude /= base, n++)
        *--at = digits[magnitude % base];
    return at;
}

void tb_write_int_field(tb_render *run, const tb_format_field *field, int64_t value, int64_t least_digits)
{
    char text[NUMBER_TEXT], prefix[4];
    tb_render_work(run, TB_STEPS_PER_NUMBER);
    if (!can_write(run, field, least_digits))
        return;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char *digits = put_digits(text, magnitude, field, least_digits);
    size_t n = put_sign(prefix, field, value < 0);
    if (field->alternate && base_of(field->type) != 10) {
        prefix[n++] = '0';
        prefix[n++] = field->type;
    }
    if (field->grouping)
        group_digits(digits, strlen(digits), base_of(field->type) == 10 ? 3 : 4, field->grouping);
    write_padded(run, field, tb_piece_of((tb_text){prefix, n}, field->origin),
                 tb_piece_of((tb_text){digits, strlen(digits)}, field->origin));
}

// Takes zeros away from the end of a fraction; one stays behind the point.
static void trim_fraction(char *digits)
{
    size_t n = strlen(digits);
    while (n > 1 && digits[n - 1] == '0' && digits[n - 2] != '.')
        n--;
    digits[n] = '\0';
}

// A float of type 0 with a precision: as %g has it, but with a digit behind the point, and with an exponent
// one digit earlier.
static void put_general(char text[NUMBER_TEXT], double value, int precision)
{
    char mantissa[NUMBER_TEXT];
    int digits = precision > 0 ? precision : 1;
    snprintf(mantissa, sizeof mantissa, "%.*e", digits - 1, value);
    char *exponent = strchr(mantissa, 'e');
    int point;
    sscanf(exponent + 1, "%d", &point);
    point++;
    if (point > -4 && point <= digits - 1) {
        snprintf(text, NUMBER_TEXT, "%.*f", digits - point, value);
        trim_fraction(text);
        return;
    }
    char tail[16];
    snprintf(tail, sizeof tail, "%s", exponent);
    *exponent = '\0';
    size_t n = strlen(mantissa);
    if (strchr(mantissa, '.'))
        while (mantissa[n - 1] == '0' || mantissa[n - 1] == '.')
            mantissa[--n] = '\0';
    snprintf(text, NUMBER_TEXT, "%.*s%s", NUMBER_TEXT - 20, mantissa, tail);
}

static void put_magnitude(char text[NUMBER_TEXT], const tb_format_field *field, double value)
{
    int precision = field->precision < 0 ? 6 : (int)field->precision;
    char format[8];
    if (!isfinite(value)) {
        bool upper = field->type == 'F' || field->type == 'E' || field->type == 'G';
        snprintf(text, NUMBER_TEXT, "%s", isnan(value) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf"));
    } else if (!field->type && field->precision < 0) {
        tb_float_repr(text, value);
    } else if (!field->type) {
        put_general(text, value, precision);
    } else {
        snprintf(format, sizeof format, "%%%s.*%c", field->alternate ? "#" : "",
                 field->type == '%' ? 'f' : field->type);
        snprintf(text, NUMBER_TEXT, format, precision, field->type == '%' ? value * 100 : value);
    }
}

void tb_write_float_field(tb_render *run, const tb_format_field *field, double value)
{
    char text[NUMBER_TEXT + 1], prefix[2];
    tb_render_work(run, TB_STEPS_PER_FLOAT);
    if (!can_write(run, field, field->precision))
        return;
    size_t sign = put_sign(prefix, field, signbit(value) && !isnan(value));
    put_magnitude(text, field, fabs(value));
    if (field->grouping && isfinite(value))
        group_digits(text, strspn(text, "0123456789"), 3, field->grouping);
    size_t n = strlen(text);
    if (field->type == '%')
        text[n++] = '%';
    write_padded(run, field, tb_piece_of((tb_text){prefix, sign}, field->origin),
                 tb_piece_of((tb_text){text, n}, field->origin));
}
