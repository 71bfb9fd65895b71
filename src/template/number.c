// Python's arithmetic, with integers of 64 bits: what would need more is refused, never wrapped.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/format.h"
#include "template/run.h"
#include "template/text_search.h"
#include "template/unicode.h"

// ---- integers ----

static tb_value too_big(tb_render *run)
{
    return tb_render_fail(run, TB_EUNSUPPORTED, "an integer of more than 64 bits is not supported");
}

static tb_value by_zero(tb_render *run)
{
    return tb_render_fail(run, TB_EINVAL, "a division by zero");
}

static bool add_fits(int64_t a, int64_t b)
{
    return b >= 0 ? a <= INT64_MAX - b : a >= INT64_MIN - b;
}

static bool sub_fits(int64_t a, int64_t b)
{
    return b >= 0 ? a >= INT64_MIN + b : a <= INT64_MAX + b;
}

static bool mul_fits(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return true;
    if (a == -1 || b == -1)
        return a != INT64_MIN && b != INT64_MIN;
    return (a > 0) == (b > 0) ? (a > 0 ? a <= INT64_MAX / b : a >= INT64_MAX / b)
                              : (a > 0 ? b >= INT64_MIN / a : a >= INT64_MIN / b);
}

// Rounded down; the remainder has the sign of the divisor. Not for INT64_MIN / −1.
static int64_t floor_quotient(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static tb_value divide_ints(tb_render *run, tb_operator op, int64_t a, int64_t b)
{
    const int64_t exact = (int64_t)1 << 53; // integers that a double holds
    if (b == 0)
        return by_zero(run);
    if (op == TB_OPERATOR_MOD)
        return tb_int(b == -1 ? 0 : a - floor_quotient(a, b) * b);
    if (op == TB_OPERATOR_FLOORDIV)
        return a == INT64_MIN && b == -1 ? too_big(run) : tb_int(floor_quotient(a, b));
    if (a < -exact || a > exact || b < -exact || b > exact)
        return tb_render_fail(run, TB_EUNSUPPORTED, "a division of integers of more than 53 bits is not supported");
    return tb_float((double)a / (double)b);
}

// By squaring; b >= 0.
static tb_value power_of_ints(tb_render *run, int64_t a, int64_t b)
{
    int64_t result = 1;
    for (;;) {
        if (b & 1) {
            if (!mul_fits(result, a))
                return too_big(run);
            result *= a;
        }
        b >>= 1;
        if (b == 0)
            return tb_int(result);
        if (!mul_fits(a, a))
            return too_big(run);
        a *= a;
    }
}

static tb_value power_of_doubles(tb_render *run, double a, double b)
{
    if (a == 0 && b < 0)
        return by_zero(run);
    if (a < 0 && isfinite(a) && isfinite(b) && floor(b) != b)
        return tb_render_fail(run, TB_EUNSUPPORTED, "a complex number is not supported");
    double result = pow(a, b);
    if (isinf(result) && isfinite(a) && isfinite(b))
        return tb_render_fail(run, TB_EINVAL, "a power is too large");
    return tb_float(result);
}

static tb_value arith_ints(tb_render *run, tb_operator op, int64_t a, int64_t b)
{
    switch (op) {
    case TB_OPERATOR_ADD:
        return add_fits(a, b) ? tb_int(a + b) : too_big(run);
    case TB_OPERATOR_SUB:
        return sub_fits(a, b) ? tb_int(a - b) : too_big(run);
    case TB_OPERATOR_MUL:
        return mul_fits(a, b) ? tb_int(a * b) : too_big(run);
    case TB_OPERATOR_POW:
        return b >= 0 ? power_of_ints(run, a, b) : power_of_doubles(run, (double)a, (double)b);
    default:
        return divide_ints(run, op, a, b);
    }
}

// ---- floats ----

// Python's float.__divmod__: the remainder has the sign of the divisor, the quotient is a whole number.
static void floor_divide(double *quotient, double *remainder, double a, double b)
{
    double mod = fmod(a, b), div = (a - mod) / b;
    if (mod == 0) {
        mod = copysign(0, b);
    } else if ((b < 0) != (mod < 0)) {
        mod += b;
        div -= 1;
    }
    *remainder = mod;
    *quotient = div == 0 ? copysign(0, a / b) : floor(div) + (div - floor(div) > 0.5);
}

static tb_value arith_doubles(tb_render *run, tb_operator op, double a, double b)
{
    double quotient, remainder;
    switch (op) {
    case TB_OPERATOR_ADD:
        return tb_float(a + b);
    case TB_OPERATOR_SUB:
        return tb_float(a - b);
    case TB_OPERATOR_MUL:
        return tb_float(a * b);
    case TB_OPERATOR_POW:
        return power_of_doubles(run, a, b);
    default:
        break;
    }
    if (b == 0)
        return by_zero(run);
    floor_divide(&quotient, &remainder, a, b);
    return tb_float(op == TB_OPERATOR_DIV ? a / b : op == TB_OPERATOR_MOD ? remainder : quotient);
}

// ---- what operators do to strings and lists ----

// Markup and plain text give Markup, the plain text escaped.
static tb_value add_strings(tb_render *run, tb_value left, tb_value right)
{
    if (!tb_value_is_markup(left) && !tb_value_is_markup(right))
        return tb_string_concat(run, left, right);
    tb_value escaped = tb_string_escape(run, left);
    return tb_marked_like(tb_string_concat(run, escaped, tb_string_escape(run, right)), escaped);
}

static tb_value add_lists(tb_render *run, tb_value left, tb_value right)
{
    const tb_list *a = left.as.list, *b = right.as.list;
    tb_render_work(run, 1 + (a->count + b->count) / 8);
    tb_value sum = tb_list_new(run, (tb_value_kind)left.kind, a->count + b->count);
    for (size_t i = 0; i < a->count && !run->rc; i++)
        sum.as.list->items[i] = a->items[i];
    for (size_t i = 0; i < b->count && !run->rc; i++)
        sum.as.list->items[a->count + i] = b->items[i];
    return sum;
}

static bool is_sequence(tb_value value)
{
    return value.kind == TB_VALUE_STRING || value.kind == TB_VALUE_LIST || value.kind == TB_VALUE_TUPLE;
}

static tb_value repeat(tb_render *run, tb_value sequence, int64_t times)
{
    size_t n = times > 0 ? (size_t)times : 0, total, count;
    if (sequence.kind == TB_VALUE_STRING) {
        size_t mark = tb_render_begin(run);
        tb_render_write_repeated(run, tb_value_text(sequence), n);
        return tb_render_take_alike(run, mark, sequence);
    }
    count = sequence.as.list->count;
    if (!tb_mul_size(&total, count, n))
        return tb_render_fail(run, TB_ELIMIT, "it needs too much memory");
    tb_render_work(run, 1 + total / 8);
    tb_value list = tb_list_new(run, (tb_value_kind)sequence.kind, total);
    for (size_t i = 0; i < total && !run->rc; i++)
        list.as.list->items[i] = sequence.as.list->items[i % count];
    return list;
}

static const char *operator_name(tb_operator op)
{
    static const char *const names[] = {
        [TB_OPERATOR_ADD] = "'+'",  [TB_OPERATOR_SUB] = "'-'", [TB_OPERATOR_MUL] = "'*'",
        [TB_OPERATOR_DIV] = "'/'",  [TB_OPERATOR_MOD] = "'%'", [TB_OPERATOR_FLOORDIV] = "'//'",
        [TB_OPERATOR_POW] = "'**'",
    };
    return names[op];
}

static tb_value apply(tb_render *run, tb_operator op, tb_value left, tb_value right)
{
    if (tb_value_is_integral(left) && tb_value_is_integral(right))
        return arith_ints(run, op, tb_value_as_int(left), tb_value_as_int(right));
    if (tb_value_is_number(left) && tb_value_is_number(right))
        return arith_doubles(run, op, tb_value_as_double(left), tb_value_as_double(right));
    if (op == TB_OPERATOR_MOD && left.kind == TB_VALUE_STRING)
        return tb_format_percent(run, left, right);
    if (left.kind == TB_VALUE_UNDEFINED || right.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, left.kind == TB_VALUE_UNDEFINED ? left : right);
    if (op == TB_OPERATOR_ADD && left.kind == right.kind && is_sequence(left))
        return left.kind == TB_VALUE_STRING ? add_strings(run, left, right) : add_lists(run, left, right);
    if (op == TB_OPERATOR_MUL && is_sequence(left) && tb_value_is_integral(right))
        return repeat(run, left, tb_value_as_int(right));
    if (op == TB_OPERATOR_MUL && is_sequence(right) && tb_value_is_integral(left))
        return repeat(run, right, tb_value_as_int(left));
    return tb_render_fail(run, TB_EINVAL, "%s does not work on values of types '%s' and '%s'", operator_name(op),
                          tb_value_kind_name(left.kind), tb_value_kind_name(right.kind));
}

tb_value tb_arith(tb_render *run, tb_operator op, tb_value left, tb_value right)
{
    if (run->rc)
        return tb_missing();
    tb_value result = apply(run, op, left, right);
    if (tb_value_is_number(result))
        result.origin = left.origin | right.origin;
    return result;
}

tb_value tb_negate(tb_render *run, tb_operator op, tb_value value)
{
    if (!tb_value_is_number(value))
        return tb_render_wrong_type(run, op == TB_OPERATOR_SUB ? "'-'" : "'+'", value);
    if (value.kind == TB_VALUE_FLOAT) {
        value.as.real = op == TB_OPERATOR_SUB ? -value.as.real : value.as.real;
        return value;
    }
    int64_t n = tb_value_as_int(value);
    if (op == TB_OPERATOR_SUB && n == INT64_MIN)
        return too_big(run);
    tb_value result = tb_int(op == TB_OPERATOR_SUB ? -n : n);
    result.origin = value.origin;
    return result;
}

// ---- numbers as text ----

enum { SCIENTIFIC_TEXT = 26 }; // 17 digits, point, exponent of three digits

// Adds one to the last digit of "d.ddde±xx".
static void increment_digits(char *text)
{
    char *at = strchr(text, 'e');
    while (--at >= text) {
        if (*at == '.')
            continue;
        if (*at != '9') {
            ++*at;
            return;
        }
        *at = '0';
    }
}

// The fewest digits that read back as `value` (finite, not zero), in the form "d.ddde±xx". Just above a
// power of two neighbours lie wider than below it: there the digits next above the nearest may be
// shorter ones that read back. Checked against Python for all powers of two.
static void shortest_digits(char out[SCIENTIFIC_TEXT], double value)
{
    int exponent;
    bool is_power = frexp(value, &exponent) == 0.5;
    for (int digits = 0; digits < 17; digits++) {
        snprintf(out, SCIENTIFIC_TEXT, "%.*e", digits, value);
        if (strtod(out, NULL) == value)
            return;
        if (is_power) {
            increment_digits(out);
            if (strtod(out, NULL) == value)
                return;
        }
    }
}

void tb_float_repr(char out[TB_FLOAT_TEXT], double value)
{
    char scientific[SCIENTIFIC_TEXT], digits[SCIENTIFIC_TEXT];
    const char *sign = signbit(value) && !isnan(value) ? "-" : "";
    double size = fabs(value);
    if (!isfinite(value) || value == 0) {
        snprintf(out, TB_FLOAT_TEXT, "%s%s", sign, isnan(value) ? "nan" : isinf(value) ? "inf" : "0.0");
        return;
    }
    shortest_digits(scientific, size);
    size_t n = 0;
    for (const char *p = scientific; *p != 'e'; p++)
        if (*p != '.')
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    int exponent = atoi(strchr(scientific, 'e') + 1), count = (int)n;
    if (exponent < -4 || exponent >= 16)
        snprintf(out, TB_FLOAT_TEXT, "%s%c%s%se%c%02d", sign, digits[0], count > 1 ? "." : "", digits + 1,
                 exponent < 0 ? '-' : '+', abs(exponent));
    else if (exponent < 0)
        snprintf(out, TB_FLOAT_TEXT, "%s0.%.*s%s", sign, -exponent - 1, "0000", digits);
    else if (count > exponent + 1)
        snprintf(out, TB_FLOAT_TEXT, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
    else
        snprintf(out, TB_FLOAT_TEXT, "%s%s%.*s.0", sign, digits, exponent + 1 - count, "0000000000000000");
}

// ---- text as numbers ----

static void check_digits_are_ascii(tb_render *run, tb_piece text)
{
    uint32_t c;
    tb_render_work(run, TB_STEPS_PER_NUMBER + text.size / TB_BYTES_READ_PER_STEP);
    for (size_t at = 0, n; at < text.size && !run->rc; at += n) {
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        if (c >= 0x80 && tb_unicode_is_decimal(c))
            tb_render_fail(run, TB_EUNSUPPORTED, "digits beyond ASCII are not supported in numbers");
    }
}

static bool take_sign(tb_piece *text)
{
    bool negative = text->size > 0 && text->data[0] == '-';
    if (negative || (text->size > 0 && text->data[0] == '+'))
        *text = tb_piece_behind(*text, 1);
    return negative;
}

static bool equals_ignoring_case(tb_piece text, const char *lower)
{
    if (text.size != strlen(lower))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] | 0x20) != lower[i])
            return false;
    return true;
}

// Digits with single underscores between them, copied without these; false when there are none.
static bool copy_digits(char **out, tb_piece *text)
{
    size_t i = 0;
    const char *start = *out;
    while (i < text->size && ((text->data[i] >= '0' && text->data[i] <= '9') ||
                              (text->data[i] == '_' && i > 0 && text->data[i - 1] != '_' && i + 1 < text->size &&
                               text->data[i + 1] >= '0' && text->data[i + 1] <= '9'))) {
        if (text->data[i] != '_')
            *(*out)++ = text->data[i];
        i++;
    }
    *text = tb_piece_behind(*text, i);
    return *out > start;
}

// Copies a decimal number in plain form; false when it is none.
static bool copy_decimal(char *out, bool *is_integer, tb_piece text)
{
    bool whole = copy_digits(&out, &text), fraction = false;
    *is_integer = whole && text.size == 0;
    if (text.size > 0 && text.data[0] == '.') {
        *out++ = '.';
        text = tb_piece_behind(text, 1);
        fraction = copy_digits(&out, &text);
    }
    if (!whole && !fraction)
        return false;
    if (text.size > 0 && (text.data[0] | 0x20) == 'e') {
        text = tb_piece_behind(text, 1);
        *out++ = 'e';
        *out++ = take_sign(&text) ? '-' : '+';
        if (!copy_digits(&out, &text))
            return false;
    }
    return text.size == 0;
}

// The number as C's functions read it, on the run's memory; NULL when it is none.
static const char *plain_number(tb_render *run, bool *is_integer, tb_piece text)
{
    static const char *const words[] = {"inf", "infinity", "nan"};
    *is_integer = false;
    check_digits_are_ascii(run, text);
    text = tb_strip_text(run, text, NULL, true, true);
    char *plain = tb_render_alloc(run, text.size + 3); // signs and the end
    if (!plain)
        return NULL;
    *plain = take_sign(&text) ? '-' : '+';
    for (size_t i = 0; i < 3; i++)
        if (equals_ignoring_case(text, words[i])) {
            memcpy(plain + 1, words[i], text.size);
            return plain;
        }
    return copy_decimal(plain + 1, is_integer, text) ? plain : NULL;
}

bool tb_parse_int(int64_t *out, tb_render *run, tb_piece text)
{
    bool is_integer;
    const char *plain = plain_number(run, &is_integer, text);
    errno = 0;
    *out = plain && is_integer ? strtoll(plain, NULL, 10) : 0;
    if (errno)
        too_big(run);
    return plain && is_integer && !errno;
}

bool tb_parse_float(double *out, tb_render *run, tb_piece text)
{
    bool is_integer;
    const char *plain = plain_number(run, &is_integer, text);
    *out = plain ? strtod(plain, NULL) : 0;
    return plain != NULL;
}

// ---- rounding ----

int64_t tb_truncate_number(tb_render *run, double value)
{
    if (value > -0x1p63 && value < 0x1p63)
        return (int64_t)value;
    too_big(run);
    return 0;
}

tb_value tb_round_number(tb_render *run, tb_value value, int64_t digits)
{
    char text[700]; // 309 digits before the point, at most 323 behind it
    if (!tb_value_is_number(value))
        return tb_render_fail(run, TB_EINVAL, "a value of type '%s' cannot be rounded", tb_value_kind_name(value.kind));
    if (digits < 0)
        return tb_render_fail(run, TB_EUNSUPPORTED, "rounding to tens or more is not supported");
    if (value.kind != TB_VALUE_FLOAT)
        return tb_negate(run, TB_OPERATOR_ADD, value); // of a truth value the number
    if (!isfinite(value.as.real) || digits > 323)      // more digits than any double has
        return value;
    tb_render_work(run, TB_STEPS_PER_FLOAT);
    snprintf(text, sizeof text, "%.*f", (int)digits, value.as.real); // exact, halves to even
    value.as.real = strtod(text, NULL);
    return value;
}
