// Python's two ways to format text: "…" % arguments and "…".format(…), of both what chat templates need: text, integers
// and floats with fill, sign, width and precision. Private to the template files.
#ifndef TB_TEMPLATE_FORMAT_H
#define TB_TEMPLATE_FORMAT_H

#include "template/builtin.h"
#include "template/run.h"

// format % arguments
tb_value tb_format_percent(tb_render *run, tb_value format, tb_value arguments);

// format.format(…) with the arguments as given in `call`
tb_value tb_format_braces(tb_render *run, tb_value format, const tb_call *call);

// ---- what both stand on (field.c) ----

// How one value is laid out.
typedef struct tb_format_field {
    tb_piece fill; // one character
    char align;    // < > ^, or = for padding behind the sign
    char sign;     // '+' or ' ': in front of what is not negative; '-' or 0: nothing is
    int64_t width;
    int64_t precision; // −1: none
    char type;         // 'd', 'f' … of Python's; 0: none
    tb_origin origin;  // of a number's digits
} tb_format_field;

// A text, cut to the precision and padded to the width.
void tb_write_text_field(tb_render *run, const tb_format_field *field, tb_value string);
// An integer as x, X or decimal; the precision is the least number of digits.
void tb_write_int_field(tb_render *run, const tb_format_field *field, int64_t value);
// A float as e, E, f, F, g, G or, with type 0, as Python prints it.
void tb_write_float_field(tb_render *run, const tb_format_field *field, double value);

#endif
