// One rendering of a template: its memory, output, limits and frames. Private to the template files.
#ifndef TB_TEMPLATE_RUN_H
#define TB_TEMPLATE_RUN_H

#include <time.h>

#include "template/ast.h"

// The variables of one call of a function: the template, a macro, a recursive loop, a loop's filter.
typedef struct tb_jframe {
    struct tb_jframe *outer; // the frame where the function was defined
    tb_jvalue slots[];
} tb_jframe;

struct tb_jrun {
    tb_arena arena; // all values; freed at the end
    size_t memory_left;
    uint64_t steps_left;
    unsigned depth;          // of evaluation
    uint32_t line;           // of what is evaluated, for messages
    tb_str *out;             // the output, with captures in progress behind it
    size_t out_limit;        // bytes that `out` may come to hold
    tb_jvalue content;       // what TB_JEXPR_CONTENT stands for
    const tb_jdict *context; // the template's variables
    time_t now;
    tb_error *err;
};

struct tb_jmacro {
    const tb_jfunction_def *def;
    tb_jframe *frame; // where it was defined
};

struct tb_jloop {
    tb_jvalue source; // what is walked, when its length is known without walking
    tb_jiter *iter;
    int64_t index0;
    size_t depth0;
    bool has_length;
    int64_t length;
    tb_jvalue before, current, after; // MISSING: none; `after` has been fetched ahead
    tb_jvalue last_changed;           // the tuple of arguments of loop.changed()
    const tb_jfor *recursive;         // NULL unless the loop is
    tb_jframe *frame;                 // where a recursive loop was defined
};

// ---- failing ----

// "the template failed at line N: …" and the like; `line` is run->line.
tb_code tb_jrun_fail(tb_jrun *run, tb_code code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
tb_code tb_jrun_no_memory(tb_jrun *run);

// "'%s' …" for an operation on a value of a wrong type.
tb_code tb_jrun_wrong_type(tb_jrun *run, const char *operation, tb_jvalue value);

// ---- limits ----

// Counts work that grows with its input; TB_ELIMIT when the run has done too much.
tb_code tb_jrun_work(tb_jrun *run, uint64_t steps);
// One level of recursion; leave with run->depth--.
tb_code tb_jrun_enter(tb_jrun *run);

// Zeroed memory for the rest of the run; NULL after the error has been raised.
void *tb_jrun_alloc(tb_jrun *run, size_t size);
void *tb_jrun_array(tb_jrun *run, size_t count, size_t size);

tb_jframe *tb_jframe_new(tb_jrun *run, tb_jframe *outer, size_t slots); // NULL: as tb_jrun_alloc

// ---- output and text that is built ----
// Text is built at the end of the output and then taken away from there as a string; such captures nest.

tb_code tb_jrun_write(tb_jrun *run, tb_text text);
tb_code tb_jrun_write_text(tb_jrun *run, const char *text);
tb_code tb_jrun_write_char(tb_jrun *run, uint32_t c);
tb_code tb_jrun_write_repeated(tb_jrun *run, tb_text text, size_t times);
tb_code tb_jrun_printf(tb_jrun *run, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

size_t tb_jrun_begin(const tb_jrun *run);
// The text written since `mark`, as a plain string.
tb_code tb_jrun_take(tb_jvalue *out, tb_jrun *run, size_t mark);
void tb_jrun_drop(tb_jrun *run, size_t mark);

// ---- printing (print.c) ----

// Writes str(value), repr(value).
tb_code tb_jwrite_str(tb_jrun *run, tb_jvalue value);
tb_code tb_jwrite_repr(tb_jrun *run, tb_jvalue value);
// str(value): the value itself when it is a string, Markup included if `keep_markup`.
tb_code tb_jto_string(tb_jvalue *out, tb_jrun *run, tb_jvalue value, bool keep_markup);

// ---- evaluation (eval.c, exec.c) ----

tb_code tb_jeval(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e);

// The arguments of a call.
tb_code tb_jeval_args(tb_jcall *call, tb_jrun *run, tb_jframe *frame, const tb_jargs *args);

// Assigns to names, members of namespaces and tuples of them.
tb_code tb_jassign(tb_jrun *run, tb_jframe *frame, const tb_jexpr *target, tb_jvalue value);

typedef enum tb_jflow { TB_JFLOW_NEXT, TB_JFLOW_BREAK, TB_JFLOW_CONTINUE } tb_jflow;

// Runs statements, writing to the output. *flow tells how the block was left.
tb_code tb_jexec(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jblock *block);

// Gives the variables of a block their first values, or takes all of them away.
void tb_jscope_enter(tb_jrun *run, tb_jframe *frame, const tb_jscope *scope);
void tb_jscope_leave(tb_jframe *frame, const tb_jscope *scope);

// The context's variable, or the global function of this name, or MISSING.
tb_jvalue tb_jcontext_get(tb_jrun *run, const tb_jstring *name);

// Renders the body of a recursive loop over `iterable`: what loop(iterable) returns.
tb_code tb_jloop_recurse(tb_jvalue *out, tb_jrun *run, const tb_jloop *loop, tb_jvalue iterable);

static inline tb_jvalue *tb_jframe_slot(tb_jframe *frame, tb_jref ref)
{
    for (uint32_t i = 0; i < ref.up; i++)
        frame = frame->outer;
    return &frame->slots[ref.slot];
}

// ---- attributes and items (lookup.c) ----

// object.name and object[index], as jinja2 looks them up; undefined when there is none.
tb_code tb_jget_attr(tb_jvalue *out, tb_jrun *run, tb_jvalue object, const tb_jstring *name);
tb_code tb_jget_item(tb_jvalue *out, tb_jrun *run, tb_jvalue object, tb_jvalue index);
// Like getattr() without a fallback to items: MISSING when there is no such attribute.
tb_code tb_jget_own_attr(tb_jvalue *out, tb_jrun *run, tb_jvalue object, const tb_jstring *name);
// object[start:stop:step]; bounds that are none stand for the ends.
tb_code tb_jget_slice(tb_jvalue *out, tb_jrun *run, tb_jvalue object, const tb_jvalue bounds[3]);

// A path such as "function.name" or 0, as filters take it: parts between dots, numbers as integers.
tb_code tb_jget_path(tb_jvalue *out, tb_jrun *run, tb_jvalue object, tb_jvalue path, tb_jvalue fallback);

tb_code tb_jloop_length(int64_t *out, tb_jrun *run, tb_jloop *loop);
tb_code tb_jloop_next(bool *found, tb_jrun *run, tb_jloop *loop);

// ---- arithmetic (number.c) ----

// left op right for + − * / // % **; strings and lists included.
tb_code tb_jarith(tb_jvalue *out, tb_jrun *run, tb_joperator op, tb_jvalue left, tb_jvalue right);
tb_code tb_jnegate(tb_jvalue *out, tb_jrun *run, tb_joperator op, tb_jvalue value);

// The shortest digits that read back as `value`, as Python prints it.
enum { TB_JFLOAT_TEXT = 48 };
void tb_jfloat_repr(char out[TB_JFLOAT_TEXT], double value);

// int(text, base) and float(text): *found is false where Python raises ValueError.
tb_code tb_jparse_int(int64_t *out, bool *found, tb_jrun *run, tb_text text, unsigned base);
tb_code tb_jparse_float(double *out, bool *found, tb_jrun *run, tb_text text);
// int(value) of a finite float, rounding towards zero.
tb_code tb_jtruncate(int64_t *out, tb_jrun *run, double value);
// round(value, digits)
tb_code tb_jround(tb_jvalue *out, tb_jrun *run, tb_jvalue value, int64_t digits);

#endif
