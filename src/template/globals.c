// Functions that every template can call, and the objects that they make.
#include <string.h>
#include <time.h>

#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"

enum { RANGE_LIMIT = 100000 }; // items, as in jinja2's sandbox

// ---- range ----

static tb_value run_range(tb_render *run, const tb_call *call)
{
    bool one = call->args[1].kind == TB_VALUE_MISSING;
    int64_t start = tb_argument_int(run, "range()", one ? tb_missing() : call->args[0], 0);
    int64_t stop = tb_argument_int(run, "range()", call->args[one ? 0 : 1], 0);
    int64_t step = tb_argument_int(run, "range()", call->args[2], 1);
    if (step == 0)
        return tb_render_fail(run, TB_EINVAL, "the step of a range is zero");
    bool back = step < 0;
    uint64_t width = back ? 0 - (uint64_t)step : (uint64_t)step;
    uint64_t low = (uint64_t)(back ? stop : start), high = (uint64_t)(back ? start : stop);
    bool empty = back ? stop >= start : start >= stop;
    uint64_t count = empty ? 0 : (high - low - 1) / width + 1;
    if (count > RANGE_LIMIT)
        return tb_render_fail(run, TB_EINVAL, "a range has more than %d items", RANGE_LIMIT);
    tb_range *range = tb_render_alloc(run, sizeof *range);
    if (!range)
        return tb_missing();
    *range = (tb_range){start, stop, step, (size_t)count};
    return (tb_value){.kind = TB_VALUE_RANGE, .as.range = range};
}

// ---- dict and namespace ----

// From another dict or from pairs.
static void add_source(tb_dict *dict, tb_render *run, tb_value source)
{
    if (source.kind == TB_VALUE_UNDEFINED)
        tb_render_fail_undefined(run, source);
    if (source.kind == TB_VALUE_DICT)
        source = (tb_value){.kind = TB_VALUE_VIEW, .variant = TB_VIEW_ITEMS, .as.dict = source.as.dict};
    tb_iter *iter = tb_iter_new(run, source);
    for (tb_value pair; (pair = tb_iter_next(run, iter)).kind != TB_VALUE_MISSING;) {
        const tb_list *items = tb_value_list(tb_value_collect(run, TB_VALUE_TUPLE, pair));
        if (items->count == 2)
            tb_dict_set(run, dict, items->items[0], items->items[1]);
        else
            tb_render_fail(run, TB_EINVAL, "a dict is made from items that are no pairs");
    }
}

// dict() and namespace(): `how` is the kind of value.
static tb_value run_dict(tb_render *run, const tb_call *call)
{
    if (call->count > 1)
        return tb_render_fail(run, TB_EINVAL, "a dict or namespace is made from at most one object");
    tb_value dict = tb_dict_new(run);
    if (!run->rc && call->count == 1)
        add_source(dict.as.dict, run, call->values[0]);
    for (size_t i = 0; i < call->keyword_count && !run->rc; i++)
        tb_dict_set(run, dict.as.dict, tb_string_value(call->keywords[i].name), call->keywords[i].value);
    dict.kind = (uint8_t)(run->rc ? TB_VALUE_MISSING : call->how);
    return dict;
}

// ---- joiner ----

static tb_value run_joiner(tb_render *run, const tb_call *call)
{
    bool given = call->args[0].kind != TB_VALUE_MISSING;
    tb_joiner *joiner = tb_render_alloc(run, sizeof *joiner);
    if (!joiner)
        return tb_missing();
    joiner->separator = given ? call->args[0] : tb_string_borrow(run, tb_piece_literal(", "));
    return (tb_value){.kind = TB_VALUE_JOINER, .as.joiner = joiner};
}

// ---- loop.cycle and loop.changed ----

static tb_value run_cycle(tb_render *run, const tb_call *call)
{
    if (call->count == 0 || call->keyword_count > 0)
        return tb_render_fail(run, TB_EINVAL, "loop.cycle() needs items and takes nothing else");
    return call->values[(size_t)call->self.as.loop->index0 % call->count];
}

static tb_value run_changed(tb_render *run, const tb_call *call)
{
    tb_loop *loop = call->self.as.loop;
    if (call->keyword_count > 0)
        return tb_render_fail(run, TB_EINVAL, "loop.changed() takes no keyword arguments");
    tb_value values = tb_list_from(run, TB_VALUE_TUPLE, call->values, call->count);
    bool same = loop->last_changed.kind != TB_VALUE_MISSING && tb_value_equal(run, loop->last_changed, values);
    if (!same)
        loop->last_changed = values;
    return tb_bool(!same);
}

const tb_builtin tb_loop_methods[] = {
    {"cycle", NULL, run_cycle, 0},
    {"changed", NULL, run_changed, 0},
    {NULL, NULL, NULL, 0},
};

// ---- what Hugging Face adds ----

static tb_value run_raise_exception(tb_render *run, const tb_call *call)
{
    tb_piece text = tb_value_text(tb_to_string(run, call->args[0], false));
    if (!run->rc)
        run->rc = tb_fail(run->err, TB_EINVAL, "the template refuses at line %u: %.*s", (unsigned)run->line,
                          (int)(text.size < 480 ? text.size : 480), text.data);
    return tb_missing();
}

// Bytes of the directive at `format`, which starts with %: flags, a width, a modifier, the letter.
static size_t directive_size(tb_piece format)
{
    size_t n = 1;
    while (n < format.size && format.data[n] && strchr("-_0^#", format.data[n]))
        n++;
    while (n < format.size && format.data[n] >= '0' && format.data[n] <= '9')
        n++;
    if (n < format.size && (format.data[n] == 'E' || format.data[n] == 'O'))
        n++;
    return n < format.size ? n + 1 : n;
}

// One directive. Python's datetime has no time zone here, and the time no fractions of a second.
static void write_directive(tb_render *run, tb_piece directive, const struct tm *when)
{
    char format[16], text[256];
    if (directive.size == 2 && (directive.data[1] == 'z' || directive.data[1] == 'Z'))
        return;
    if (directive.size >= sizeof format) {
        tb_render_fail(run, TB_EUNSUPPORTED, "the time format '%.*s' is not supported", (int)directive.size,
                       directive.data);
        return;
    }
    memcpy(format, directive.data, directive.size);
    format[directive.size] = '\0';
    bool is_microseconds = directive.size == 2 && directive.data[1] == 'f';
    size_t n = strftime(text, sizeof text, format, when); // 0: nothing to show, such as %p in some languages
    tb_render_work(run, TB_STEPS_PER_NUMBER);
    tb_render_write(run, is_microseconds ? tb_piece_literal("000000")
                                         : tb_piece_of((tb_text){text, n}, tb_piece_origin(directive)));
}

static void write_time(tb_render *run, tb_piece format, const struct tm *when)
{
    for (size_t at = 0, n; at < format.size && !run->rc; at += n) {
        tb_piece rest = tb_piece_behind(format, at);
        const char *next = memchr(rest.data, '%', rest.size);
        if (next == rest.data) {
            n = directive_size(rest);
            write_directive(run, tb_piece_cut(rest, 0, n), when);
        } else {
            n = next ? (size_t)(next - rest.data) : rest.size;
            tb_render_write(run, tb_piece_cut(rest, 0, n));
        }
    }
}

static tb_value run_strftime_now(tb_render *run, const tb_call *call)
{
    struct tm when;
    tb_piece format = tb_argument_text(run, "strftime_now()", call->args[0], NULL);
    size_t mark = tb_render_begin(run);
    if (localtime_r(&run->now, &when))
        write_time(run, format, &when);
    else
        tb_render_fail(run, TB_EINVAL, "the time is out of range");
    return tb_render_take(run, mark);
}

// ---- all ----

const tb_builtin tb_globals[] = {
    {"range", "/ start stop? step?", run_range, 0},
    {"dict", NULL, run_dict, TB_VALUE_DICT},
    {"namespace", NULL, run_dict, TB_VALUE_NAMESPACE},
    {"cycler", NULL, NULL, 0},
    {"joiner", "sep?", run_joiner, 0},
    {"raise_exception", "message", run_raise_exception, 0},
    {"strftime_now", "format", run_strftime_now, 0},
    {"lipsum", NULL, NULL, 0},
    {NULL, NULL, NULL, 0},
};

tb_value tb_context_get(tb_render *run, const tb_string *name)
{
    tb_value value = tb_dict_get_text(run, run->context, name->text);
    const tb_builtin *function = value.kind == TB_VALUE_MISSING ? tb_builtin_find(tb_globals, name->text) : NULL;
    return function ? (tb_value){.kind = TB_VALUE_FUNCTION, .as.function = function} : value;
}
