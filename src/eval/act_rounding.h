// Activations in few bits, for measuring: every input of linears is rounded on its way into them.
//
// A number x becomes s·clamp(round(x/s), −L, L) with L = 2^(bits − 1) − 1: symmetric, so that 0 stays 0, to nearest,
// halves to even. The scale is s = m/L, and m the largest magnitude
//
//     token    of the row
//     static   of the input in all rows of a text that was seen before: one number for each block and each kind of
//              input (tb_linear_input), which the experts of a mixture share; what lies beyond is cut off
//
// Rows in front of a text, registers and the tokens of the model's prefix, stay as they are and do not count: what
// others see of them was computed beforehand, in full precision. Router, head, keys and values, and what attention
// does, are not rounded. What the linears then do with the rounded numbers is as ever.
#ifndef TB_EVAL_ACT_ROUNDING_H
#define TB_EVAL_ACT_ROUNDING_H

#include "model/model.h"

enum {
    TB_ACT_LEAST_BITS = 2,
    TB_ACT_MOST_BITS = 8,
    // Of the text for static scales, as commands read it: what is largest, the first token, is in each of them, and the
    // rest changes little behind a few thousand tokens.
    TB_ACT_WINDOWS = 8,
    TB_ACT_WINDOW = 512,
};

typedef struct tb_act_form {
    unsigned bits;
    bool fixed; // static: the scale is that of a text
} tb_act_form;

// "a8:static", "a4:token". TB_EINVAL says what is wrong.
tb_code tb_act_form_parse(tb_act_form *out, const char *text, tb_error *err);

typedef struct tb_act_rounding {
    tb_act_form form;
    size_t left_out; // first positions that are not rounded
    float *largest;  // static: [blocks][TB_LINEAR_INPUTS]; NULL otherwise
} tb_act_rounding;

// The first windows of a text, each of which begins as windows of the model do; a last shorter one is left away.
typedef struct tb_act_text {
    const int32_t *tokens;
    size_t count;           // of tokens
    size_t windows, length; // at most so many, of so many tokens
} tb_act_text;

// For one model. `text` says the scales where the form is static; otherwise nobody looks at it. TB_EINVAL: it does not
// fill a window; the model is broken. TB_ECANCELLED: the report asked to stop. Clear also after failure.
tb_code tb_act_rounding_init(tb_act_rounding *rounding, const tb_model *model, tb_act_form form,
                             const tb_act_text *text, const tb_report *report, tb_error *err);
void tb_act_rounding_clear(tb_act_rounding *rounding);

// Rounds what passes of that model compute. Borrows `rounding`.
tb_probe tb_act_rounding_probe(const tb_act_rounding *rounding);

// The largest magnitude of x[n]; NaN where one is there.
float tb_act_largest(const float *x, size_t n);

// x[n] in place, by the scale of a largest magnitude; 0 leaves all as it is.
void tb_act_round(float *x, size_t n, unsigned bits, float largest);

#endif
