// One rendering of a template: its memory, output, limits and frames. Private to the template files.
//
// Errors stick: the first one is told and kept in `rc`. From then on nothing is allocated or written, functions return
// at once, and values are MISSING (as text or list: empty). Nobody has to ask whether a step failed before the next
// one; loops and recursion ask, so that they end.
#ifndef TB_TEMPLATE_RUN_H
#define TB_TEMPLATE_RUN_H

#include <time.h>

#include "template/ast.h"
#include "template/builtin.h"
#include "template/template.h"

// The variables of one call of a function: the template, a macro, a loop's filter.
typedef struct tb_frame {
    struct tb_frame *outer; // the frame where the function was defined
    tb_value slots[];
} tb_frame;

struct tb_render {
    tb_arena arena; // values; freed at the end
    tb_arena large; // … those that would leave much of a chunk unused
    size_t memory_left;
    uint64_t steps_left;
    unsigned depth;         // of evaluation
    uint32_t line;          // of what is evaluated, for messages
    tb_str out;             // the output, with captures in progress behind it
    tb_str origins;         // tb_origin of each byte of `out`
    tb_value content;       // what TB_EXPR_CONTENT stands for
    const tb_dict *context; // the template's variables
    time_t now;
    tb_code rc; // of the first error
    tb_error *err;
};

struct tb_macro {
    const tb_function *def;
    tb_frame *frame; // where it was defined
};

struct tb_loop {
    tb_value source; // what is walked, when its length is known without walking
    tb_iter *iter;
    int64_t index0;
    bool has_length;
    int64_t length;
    tb_value before, current, after; // MISSING: none; `after` has been fetched ahead
    tb_value last_changed;           // the tuple of arguments of loop.changed()
};

// ---- failing ----

// "the template failed at line N: …", where `line` is run->line. Returns MISSING.
tb_value tb_render_fail(tb_render *run, tb_code code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
// For an operation on a value of a wrong type. Returns MISSING.
tb_value tb_render_wrong_type(tb_render *run, const char *operation, tb_value value);
// What Python raises when something undefined is used. Returns MISSING.
tb_value tb_render_fail_undefined(tb_render *run, tb_value undefined);

// ---- limits ----

// What one step is: about as long as a small expression takes.
enum {
    TB_BYTES_COPIED_PER_STEP = 32, // by memcpy and its kin
    TB_BYTES_READ_PER_STEP = 4,    // one character after the other
    TB_STEPS_PER_LOOKUP = 8,       // of a builtin by its name
    TB_STEPS_PER_NUMBER = 20,      // to format it
    TB_STEPS_PER_FLOAT = 300,      // to find its shortest digits
};

typedef struct tb_limits {
    size_t memory;  // bytes of values
    uint64_t steps; // pieces of work
} tb_limits;

void tb_render_init(tb_render *run, const tb_limits *limits, tb_error *err);
// Frees all values; the output stays.
void tb_render_clear(tb_render *run);

// tb_template_render with limits of the caller's choice.
tb_code tb_render_template(tb_prompt *out, const tb_template *tmpl, const tb_template_input *input,
                           const tb_limits *limits, tb_error *err);

// Counts work that grows with its input; TB_ELIMIT when the run has done too much.
void tb_render_work(tb_render *run, uint64_t steps);
// One level of recursion; false after an error. Leave with run->depth--.
bool tb_render_enter(tb_render *run);

// Zeroed memory for the rest of the run; NULL after the error has been raised.
void *tb_render_alloc(tb_render *run, size_t size);
void *tb_render_array(tb_render *run, size_t count, size_t size);

tb_frame *tb_frame_new(tb_render *run, tb_frame *outer, size_t slots); // NULL: as tb_render_alloc

// ---- output and text that is built ----
// Text is built at the end of the output and then taken away from there as a string; such captures nest.

void tb_render_write(tb_render *run, tb_piece text);
// Letters of the template's own, such as the brackets of a list.
void tb_render_write_text(tb_render *run, const char *text);
void tb_render_write_repeated(tb_render *run, tb_piece text, size_t times);
void tb_render_printf(tb_render *run, tb_origin origin, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

size_t tb_render_begin(const tb_render *run);
// The text written since `mark`, as a plain string.
tb_value tb_render_take(tb_render *run, size_t mark);
// The same, marked like a string that it was made from.
tb_value tb_render_take_alike(tb_render *run, size_t mark, tb_value string);

// ---- printing (print.c) ----

// Writes str(value), repr(value).
void tb_write_str(tb_render *run, tb_value value);
void tb_write_repr(tb_render *run, tb_value value);
// Writes a number, truth value or none; the words are for none, false, true, nan, infinity and minus infinity.
void tb_write_scalar(tb_render *run, const char *const words[6], tb_value value);
// str(value): the value itself when it is a string, Markup included if `keep_markup`.
tb_value tb_to_string(tb_render *run, tb_value value, bool keep_markup);

// ---- evaluation (eval.c, exec.c) ----

tb_value tb_eval(tb_render *run, tb_frame *frame, const tb_expr *e);

// The arguments of a call.
tb_call tb_eval_arguments(tb_render *run, tb_frame *frame, const tb_arguments *args);

// Assigns to names, members of namespaces and tuples of them.
void tb_assign(tb_render *run, tb_frame *frame, const tb_expr *target, tb_value value);

// How a body was left.
typedef enum tb_flow { TB_FLOW_NEXT, TB_FLOW_BREAK, TB_FLOW_CONTINUE } tb_flow;

// Runs statements, writing to the output.
tb_flow tb_exec(tb_render *run, tb_frame *frame, const tb_body *body);

// Gives the variables of a body their first values, or takes all of them away.
void tb_scope_enter(tb_render *run, tb_frame *frame, const tb_scope *scope);
void tb_scope_leave(tb_frame *frame, const tb_scope *scope);

// The context's variable, or the global function of this name, or MISSING.
tb_value tb_context_get(tb_render *run, const tb_string *name);

static inline tb_value *tb_frame_slot(tb_frame *frame, tb_slot_ref ref)
{
    for (uint32_t i = 0; i < ref.up; i++)
        frame = frame->outer;
    return &frame->slots[ref.slot];
}

// ---- attributes and items (lookup.c) ----

// object.name and object[index], as jinja2 looks them up; undefined when there is none.
tb_value tb_get_attribute(tb_render *run, tb_value object, const tb_string *name);
tb_value tb_get_item(tb_render *run, tb_value object, tb_value index);
// Like getattr() without a fallback to items: MISSING when there is no such attribute.
tb_value tb_get_own_attribute(tb_render *run, tb_value object, const tb_string *name);
// What stands for an attribute or item (`name` NULL) that is not there.
tb_value tb_no_attribute(tb_value object, const tb_string *name);
// object[start:stop:step]; bounds that are none stand for the ends.
tb_value tb_get_slice(tb_render *run, tb_value object, const tb_value bounds[3]);

// A path such as "function.name" or 0, as filters take it: parts between dots, numbers as integers.
tb_value tb_get_path(tb_render *run, tb_value object, tb_value path, tb_value fallback);

int64_t tb_loop_length(tb_render *run, tb_loop *loop);
bool tb_loop_next(tb_render *run, tb_loop *loop); // false at the end

// left op right for comparisons and `in` (compare.c).
bool tb_value_compare(tb_render *run, tb_operator op, tb_value left, tb_value right);

// ---- arithmetic (number.c) ----

// left op right for + − * / // % **; strings and lists included.
tb_value tb_arith(tb_render *run, tb_operator op, tb_value left, tb_value right);
tb_value tb_negate(tb_render *run, tb_operator op, tb_value value);

// The shortest digits that read back as `value`, as Python prints it.
enum { TB_FLOAT_TEXT = 48 };
void tb_float_repr(char out[TB_FLOAT_TEXT], double value);

// int(text) and float(text): false where Python raises ValueError.
bool tb_parse_int(int64_t *out, tb_render *run, tb_piece text);
bool tb_parse_float(double *out, tb_render *run, tb_piece text);
// int(value) of a float, rounding towards zero.
int64_t tb_truncate_number(tb_render *run, double value);
// round(value, digits)
tb_value tb_round_number(tb_render *run, tb_value value, int64_t digits);

#endif
