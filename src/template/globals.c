// Functions that every template can call, and the objects that they make.
#include <string.h>
#include <time.h>

#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"

enum { RANGE_LIMIT = 100000 }; // items, as in jinja2's sandbox

// ---- range ----

static tb_code read_range(tb_range *out, tb_render *run, const tb_value *args)
{
    bool one = args[1].kind == TB_VALUE_MISSING;
    tb_code rc = tb_argument_int(&out->start, run, "range()", one ? (tb_value){0} : args[0], 0);
    if (!rc)
        rc = tb_argument_int(&out->stop, run, "range()", one ? args[0] : args[1], 0);
    if (!rc)
        rc = tb_argument_int(&out->step, run, "range()", args[2], 1);
    if (!rc && out->step == 0)
        rc = tb_render_fail(run, TB_EINVAL, "the step of a range is zero");
    return rc;
}

static tb_code run_range(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_range *range = tb_render_alloc(run, sizeof *range);
    if (!range)
        return run->err->code;
    tb_code rc = read_range(range, run, call->args);
    if (rc)
        return rc;
    bool back = range->step < 0;
    uint64_t width = back ? 0 - (uint64_t)range->step : (uint64_t)range->step;
    uint64_t low = (uint64_t)(back ? range->stop : range->start), high = (uint64_t)(back ? range->start : range->stop);
    bool empty = back ? range->stop >= range->start : range->start >= range->stop;
    uint64_t count = empty ? 0 : (high - low - 1) / width + 1;
    if (count > RANGE_LIMIT)
        return tb_render_fail(run, TB_EINVAL, "a range has more than %d items", RANGE_LIMIT);
    range->count = (size_t)count;
    *out = (tb_value){.kind = TB_VALUE_RANGE, .as.range = range};
    return TB_OK;
}

// ---- dict and namespace ----

static tb_code add_pair(tb_dict *dict, tb_render *run, tb_value pair)
{
    tb_value items;
    tb_code rc = tb_value_collect(&items, run, TB_VALUE_TUPLE, pair);
    if (!rc && items.as.list->count != 2)
        rc = tb_render_fail(run, TB_EINVAL, "a dict is made from items that are no pairs");
    return rc ? rc : tb_dict_set(dict, run, items.as.list->items[0], items.as.list->items[1]);
}

// From another dict or from pairs.
static tb_code add_source(tb_dict *dict, tb_render *run, tb_value source)
{
    tb_iter *iter;
    if (source.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, source);
    if (source.kind == TB_VALUE_DICT)
        source = (tb_value){.kind = TB_VALUE_VIEW, .variant = TB_VIEW_ITEMS, .as.dict = source.as.dict};
    tb_code rc = tb_iter_new(&iter, run, source);
    for (tb_value pair = tb_none(); !rc && pair.kind != TB_VALUE_MISSING;) {
        rc = tb_iter_next(&pair, run, iter);
        if (!rc && pair.kind != TB_VALUE_MISSING)
            rc = add_pair(dict, run, pair);
    }
    return rc;
}

static tb_code make_dict(tb_value *out, tb_render *run, const tb_call *call)
{
    if (call->count > 1)
        return tb_render_fail(run, TB_EINVAL, "a dict or namespace is made from at most one object");
    tb_code rc = tb_dict_new(out, run);
    if (!rc && call->count == 1)
        rc = add_source(out->as.dict, run, call->values[0]);
    for (size_t i = 0; i < call->keyword_count && !rc; i++) {
        rc = tb_dict_set(out->as.dict, run, tb_string_value(call->keywords[i].name), call->keywords[i].value);
    }
    return rc;
}

// dict() and namespace(): `how` is the kind of value.
static tb_code run_dict(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_code rc = make_dict(out, run, call);
    out->kind = (uint8_t)call->how;
    return rc;
}

// ---- joiner ----

static tb_code run_joiner(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_joiner *joiner = tb_render_alloc(run, sizeof *joiner);
    if (!joiner)
        return run->err->code;
    *out = (tb_value){.kind = TB_VALUE_JOINER, .as.joiner = joiner};
    joiner->separator = call->args[0];
    return call->args[0].kind == TB_VALUE_MISSING ? tb_string_new(&joiner->separator, run, tb_piece_literal(", "))
                                                  : TB_OK;
}

// ---- loop.cycle and loop.changed ----

static tb_code run_cycle(tb_value *out, tb_render *run, const tb_call *call)
{
    if (call->count == 0 || call->keyword_count > 0)
        return tb_render_fail(run, TB_EINVAL, "loop.cycle() needs items and takes nothing else");
    *out = call->values[(size_t)call->self.as.loop->index0 % call->count];
    return TB_OK;
}

static tb_code run_changed(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_loop *loop = call->self.as.loop;
    tb_value values;
    bool same = false;
    if (call->keyword_count > 0)
        return tb_render_fail(run, TB_EINVAL, "loop.changed() takes no keyword arguments");
    tb_code rc = tb_list_from(&values, run, TB_VALUE_TUPLE, call->values, call->count);
    if (!rc && loop->last_changed.kind != TB_VALUE_MISSING)
        rc = tb_value_equal(&same, run, loop->last_changed, values);
    if (!same)
        loop->last_changed = values;
    *out = tb_bool(!same);
    return rc;
}

const tb_builtin tb_loop_methods[] = {
    {"cycle", NULL, run_cycle, 0}, {"changed", NULL, run_changed, 0}, {NULL, NULL, NULL, 0}};

// ---- what Hugging Face adds ----

static tb_code run_raise_exception(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_code rc = tb_to_string(out, run, call->args[0], false);
    if (rc)
        return rc;
    return tb_fail(run->err, TB_EINVAL, "the template refuses at line %u: %.*s", (unsigned)run->line,
                   (int)(out->as.string->text.size < 480 ? out->as.string->text.size : 480), out->as.string->text.data);
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
static tb_code write_directive(tb_render *run, tb_piece directive, const struct tm *when)
{
    char format[16], text[256];
    if (directive.size == 2 && (directive.data[1] == 'z' || directive.data[1] == 'Z'))
        return TB_OK;
    if (directive.size == 2 && directive.data[1] == 'f')
        return tb_render_write_text(run, "000000");
    if (directive.size >= sizeof format)
        return tb_render_fail(run, TB_EUNSUPPORTED, "the time format '%.*s' is not supported", (int)directive.size,
                              directive.data);
    memcpy(format, directive.data, directive.size);
    format[directive.size] = '\0';
    size_t n = strftime(text, sizeof text, format, when); // 0: nothing to show, such as %p in some languages
    tb_code rc = tb_render_work(run, TB_STEPS_PER_NUMBER);
    return rc ? rc : tb_render_write(run, tb_piece_of((tb_text){text, n}, tb_piece_origin(directive)));
}

static tb_code write_time(tb_render *run, tb_piece format, const struct tm *when)
{
    tb_code rc = TB_OK;
    for (size_t at = 0, n; at < format.size && !rc; at += n) {
        tb_piece rest = tb_piece_behind(format, at);
        if (*rest.data == '%') {
            n = directive_size(rest);
            rc = write_directive(run, tb_piece_cut(rest, 0, n), when);
        } else {
            const char *next = memchr(rest.data, '%', rest.size);
            n = next ? (size_t)(next - rest.data) : rest.size;
            rc = tb_render_write(run, tb_piece_cut(rest, 0, n));
        }
    }
    return rc;
}

static tb_code run_strftime_now(tb_value *out, tb_render *run, const tb_call *call)
{
    struct tm when;
    tb_piece format;
    size_t mark = tb_render_begin(run);
    tb_code rc = tb_argument_text(&format, run, "strftime_now()", call->args[0], NULL);
    if (!rc && !localtime_r(&run->now, &when))
        rc = tb_render_fail(run, TB_EINVAL, "the time is out of range");
    if (!rc)
        rc = write_time(run, format, &when);
    return rc ? rc : tb_render_take(out, run, mark);
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

tb_code tb_context_get(tb_value *out, tb_render *run, const tb_string *name)
{
    tb_code rc = tb_dict_get_text(out, run, run->context, name->text);
    const tb_builtin *function = out->kind == TB_VALUE_MISSING ? tb_builtin_find(tb_globals, name->text) : NULL;
    if (!rc && function)
        *out = (tb_value){.kind = TB_VALUE_FUNCTION, .as.function = function};
    return rc;
}
