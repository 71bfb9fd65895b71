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

// Pads `sign`, which stays in front of zeros, and `body` to the width.
static void write_padded(tb_render *run, const tb_format_field *field, tb_piece sign, tb_piece body)
{
    size_t length = sign.size + tb_unicode_count(body);
    size_t missing = field->width > 0 && (size_t)field->width > length ? (size_t)field->width - length : 0;
    size_t left = field->align == '>' ? missing : field->align == '^' ? missing / 2 : 0;
    size_t middle = field->align == '=' ? missing : 0;
    tb_render_write_repeated(run, field->fill, left);
    tb_render_write(run, sign);
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

static void write_number(tb_render *run, const tb_format_field *field, bool negative, const char *digits)
{
    bool has_sign = negative || field->sign == '+' || field->sign == ' ';
    char sign = negative ? '-' : field->sign;
    write_padded(run, field, tb_piece_of((tb_text){&sign, has_sign}, field->origin),
                 tb_piece_of((tb_text){digits, strlen(digits)}, field->origin));
}

// Counts the work; false when the number has more digits than there is room for.
static bool begin_number(tb_render *run, const tb_format_field *field, uint64_t steps)
{
    tb_render_work(run, steps);
    if (field->precision > PRECISION_LIMIT)
        tb_render_fail(run, TB_EUNSUPPORTED, "a number of that many digits is not supported");
    return !run->rc;
}

void tb_write_int_field(tb_render *run, const tb_format_field *field, int64_t value)
{
    char text[NUMBER_TEXT];
    if (!begin_number(run, field, TB_STEPS_PER_NUMBER))
        return;
    unsigned long long magnitude = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
    const char *format = field->type == 'x' ? "%.*llx" : field->type == 'X' ? "%.*llX" : "%.*llu";
    snprintf(text, sizeof text, format, field->precision > 1 ? (int)field->precision : 1, magnitude);
    write_number(run, field, value < 0, text);
}

void tb_write_float_field(tb_render *run, const tb_format_field *field, double value)
{
    char text[NUMBER_TEXT], format[] = "%.*f";
    if (!begin_number(run, field, TB_STEPS_PER_FLOAT))
        return;
    bool upper = field->type == 'F' || field->type == 'E' || field->type == 'G';
    format[3] = field->type;
    if (!isfinite(value))
        snprintf(text, sizeof text, "%s", isnan(value) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf"));
    else if (field->type)
        snprintf(text, sizeof text, format, field->precision < 0 ? 6 : (int)field->precision, fabs(value));
    else
        tb_float_repr(text, fabs(value));
    write_number(run, field, signbit(value) && !isnan(value), text);
}
