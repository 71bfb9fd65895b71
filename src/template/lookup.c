// Attributes, items and slices. object.name prefers the attribute and falls back to the item, object[name]
// the other way round; what neither finds is undefined.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"
#include "template/unicode.h"

// ---- loops ----

tb_code tb_loop_next(bool *found, tb_render *run, tb_loop *loop)
{
    tb_value next = loop->after;
    tb_code rc = TB_OK;
    loop->after = (tb_value){0};
    if (next.kind == TB_VALUE_MISSING)
        rc = tb_iter_next(&next, run, loop->iter);
    *found = !rc && next.kind != TB_VALUE_MISSING;
    if (*found) {
        loop->index0++;
        loop->before = loop->current;
        loop->current = next;
    }
    return rc;
}

tb_code tb_loop_length(int64_t *out, tb_render *run, tb_loop *loop)
{
    size_t length;
    if (!loop->has_length && tb_value_length(&length, loop->source)) {
        loop->length = (int64_t)length;
    } else if (!loop->has_length) { // walk to the end, then walk the rest again from a list
        tb_value rest;
        tb_code rc =
            tb_value_collect(&rest, run, TB_VALUE_LIST, (tb_value){.kind = TB_VALUE_ITER, .as.iter = loop->iter});
        if (!rc)
            rc = tb_iter_new(&loop->iter, run, rest);
        if (rc)
            return rc;
        loop->length = (int64_t)rest.as.list->count + loop->index0 + 1 + (loop->after.kind != TB_VALUE_MISSING);
    }
    loop->has_length = true;
    *out = loop->length;
    return TB_OK;
}

static tb_code peek(tb_value *out, tb_render *run, tb_loop *loop)
{
    tb_code rc = loop->after.kind == TB_VALUE_MISSING ? tb_iter_next(&loop->after, run, loop->iter) : TB_OK;
    *out = loop->after;
    return rc;
}

static tb_code get_loop_attr(tb_value *out, tb_render *run, tb_loop *loop, tb_piece name)
{
    int64_t length = 0;
    tb_code rc = TB_OK;
    if (tb_piece_is(name, "index0") || tb_piece_is(name, "index")) {
        *out = tb_int(loop->index0 + (name.size == 5));
    } else if (tb_piece_is(name, "first")) {
        *out = tb_bool(loop->index0 == 0);
    } else if (tb_piece_is(name, "last")) {
        rc = peek(out, run, loop);
        *out = tb_bool(out->kind == TB_VALUE_MISSING);
    } else if (tb_piece_is(name, "length")) {
        rc = tb_loop_length(&length, run, loop);
        *out = tb_int(length);
    } else if (tb_piece_is(name, "revindex0") || tb_piece_is(name, "revindex")) {
        rc = tb_loop_length(&length, run, loop);
        *out = tb_int(length - loop->index0 - (name.size == 9));
    } else if (tb_piece_is(name, "previtem")) {
        *out = loop->index0 == 0 ? tb_undefined_hint("there is no previous item") : loop->before;
    } else if (tb_piece_is(name, "nextitem")) {
        rc = peek(out, run, loop);
        *out = out->kind == TB_VALUE_MISSING ? tb_undefined_hint("there is no next item") : *out;
    } else if (tb_piece_is(name, "depth0") || tb_piece_is(name, "depth")) {
        *out = tb_int((int64_t)loop->depth0 + (name.size == 5));
    }
    return rc;
}

// ---- attributes ----

static tb_code bind_method(tb_value *out, tb_render *run, tb_value self, const tb_builtin *function)
{
    tb_bound_method *method = tb_render_alloc(run, sizeof *method);
    if (!method)
        return run->err->code;
    *method = (tb_bound_method){self, function};
    *out = (tb_value){.kind = TB_VALUE_METHOD, .as.method = method};
    return TB_OK;
}

static const tb_builtin *methods_of(tb_value_kind kind)
{
    switch (kind) {
    case TB_VALUE_STRING:
        return tb_string_methods;
    case TB_VALUE_LIST:
        return tb_list_methods;
    case TB_VALUE_TUPLE:
        return tb_tuple_methods;
    case TB_VALUE_DICT:
        return tb_dict_methods;
    case TB_VALUE_LOOP:
        return tb_loop_methods;
    default:
        return NULL;
    }
}

static bool is_among(const char *const *names, tb_piece name)
{
    for (; names && *names; names++)
        if (tb_piece_is(name, *names))
            return true;
    return false;
}

// What the sandbox does not let templates touch: methods that change lists and dicts.
static bool is_forbidden(tb_value_kind kind, tb_piece name)
{
    static const char *const of_lists[] = {"append", "clear",  "pop",    "reverse", "insert",
                                           "sort",   "extend", "remove", NULL};
    static const char *const of_dicts[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    return is_among(kind == TB_VALUE_LIST ? of_lists : kind == TB_VALUE_DICT ? of_dicts : NULL, name);
}

// Attributes that are plain values; MISSING when there is none.
static tb_code get_data_attr(tb_value *out, tb_render *run, tb_value object, tb_piece name)
{
    switch (object.kind) {
    case TB_VALUE_NAMESPACE:
        return tb_dict_get_text(out, run, object.as.dict, name);
    case TB_VALUE_LOOP:
        return get_loop_attr(out, run, object.as.loop, name);
    case TB_VALUE_RANGE:
        if (tb_piece_is(name, "start") || tb_piece_is(name, "stop") || tb_piece_is(name, "step"))
            *out = tb_int(name.size == 5              ? object.as.range->start
                          : tb_piece_is(name, "stop") ? object.as.range->stop
                                                      : object.as.range->step);
        return TB_OK;
    case TB_VALUE_MACRO:
        if (tb_piece_is(name, "name") && object.as.macro->def->name)
            *out = tb_string_value(object.as.macro->def->name);
        return TB_OK;
    default:
        return TB_OK;
    }
}

// Attributes that Python's objects have and templates could see, but that twobit leaves out.
static bool is_left_out(tb_value_kind kind, tb_piece name)
{
    static const char *const of_macros[] = {
        "arguments", "catch_kwargs", "catch_varargs", "caller", "explicit_caller", "name", NULL};
    static const char *const of_numbers[] = {
        "real",       "imag",     "numerator",        "denominator", "bit_length", "bit_count",
        "conjugate",  "to_bytes", "as_integer_ratio", "from_bytes",  "hex",        "fromhex",
        "is_integer", NULL};
    static const char *const of_joiners[] = {"sep", "used", NULL};
    static const char *const of_ranges[] = {"count", "index", NULL};
    static const char *const of_views[] = {"isdisjoint", "mapping", NULL};
    static const char *const of_generators[] = {"send", "throw", "close", NULL};
    static const char *const *const tables[TB_VALUE_KINDS] = {
        [TB_VALUE_MACRO] = of_macros,  [TB_VALUE_BOOL] = of_numbers,    [TB_VALUE_INT] = of_numbers,
        [TB_VALUE_FLOAT] = of_numbers, [TB_VALUE_JOINER] = of_joiners,  [TB_VALUE_RANGE] = of_ranges,
        [TB_VALUE_VIEW] = of_views,    [TB_VALUE_ITER] = of_generators,
    };
    return is_among(tables[kind], name);
}

tb_code tb_get_own_attribute(tb_value *out, tb_render *run, tb_value object, const tb_string *name)
{
    *out = (tb_value){0};
    if (object.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, object);
    tb_code rc = get_data_attr(out, run, object, name->text);
    if (rc)
        return rc;
    bool is_private = out->kind != TB_VALUE_MISSING && name->text.size > 0 && name->text.data[0] == '_';
    if (is_private || is_forbidden(object.kind, name->text)) {
        *out = tb_undefined(TB_WHY_FORBIDDEN, name);
        out->owner = object.kind;
        return TB_OK;
    }
    if (out->kind != TB_VALUE_MISSING)
        return TB_OK;
    rc = tb_render_work(run, TB_STEPS_PER_LOOKUP);
    if (rc)
        return rc;
    const tb_builtin *table = methods_of(object.kind);
    const tb_builtin *method = table ? tb_builtin_find(table, name->text) : NULL;
    if (method)
        return bind_method(out, run, object, method);
    if (is_left_out((tb_value_kind)object.kind, name->text))
        return tb_render_fail(run, TB_EUNSUPPORTED, "the attribute '%.*s' of a value of type '%s' is not supported",
                              (int)name->text.size, name->text.data, tb_value_kind_name(object.kind));
    return TB_OK;
}

static tb_value no_attribute(tb_value object, const tb_string *name)
{
    tb_value undefined = tb_undefined(TB_WHY_ATTRIBUTE, name);
    undefined.owner = object.kind;
    return undefined;
}

tb_code tb_get_attribute(tb_value *out, tb_render *run, tb_value object, const tb_string *name)
{
    tb_code rc = tb_get_own_attribute(out, run, object, name);
    if (rc || out->kind != TB_VALUE_MISSING)
        return rc;
    if (object.kind == TB_VALUE_DICT)
        rc = tb_dict_get_text(out, run, object.as.dict, name->text);
    if (!rc && out->kind == TB_VALUE_MISSING)
        *out = no_attribute(object, name);
    return rc;
}

// ---- items ----

// The item at an index, negative ones from the end; MISSING when there is none.
static tb_code get_indexed(tb_value *out, tb_render *run, tb_value object, int64_t index)
{
    size_t length;
    tb_code rc = TB_OK;
    if (!tb_value_length(&length, object))
        return TB_OK;
    if (index < 0)
        index += (int64_t)length;
    if (index < 0 || index >= (int64_t)length)
        return TB_OK;
    if (object.kind == TB_VALUE_LIST || object.kind == TB_VALUE_TUPLE) {
        *out = object.as.list->items[index];
    } else if (object.kind == TB_VALUE_RANGE) {
        *out = tb_int(object.as.range->start + index * object.as.range->step);
    } else if (object.kind == TB_VALUE_STRING) {
        rc = tb_string_cut(out, run, object, (size_t)index, (size_t)index + 1);
        out->variant = object.variant;
    }
    return rc;
}

tb_code tb_get_item(tb_value *out, tb_render *run, tb_value object, tb_value index)
{
    tb_code rc = TB_OK;
    *out = (tb_value){0};
    if (object.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, object);
    bool hashable = true;
    if (object.kind == TB_VALUE_DICT)
        rc = tb_value_is_hashable(&hashable, run, index);
    if (!rc && object.kind == TB_VALUE_DICT && hashable)
        rc = tb_dict_get(out, run, object.as.dict, index);
    else if (!rc && object.kind != TB_VALUE_DICT && tb_value_is_integral(index))
        rc = get_indexed(out, run, object, tb_value_as_int(index));
    if (!rc && out->kind == TB_VALUE_MISSING && index.kind == TB_VALUE_STRING)
        rc = tb_get_own_attribute(out, run, object, index.as.string);
    if (!rc && out->kind == TB_VALUE_MISSING)
        *out = no_attribute(object, index.kind == TB_VALUE_STRING ? index.as.string : NULL);
    return rc;
}

// ---- paths ----

static bool is_number(tb_piece part)
{
    for (size_t i = 0; i < part.size; i++)
        if (part.data[i] < '0' || part.data[i] > '9')
            return false;
    return part.size > 0;
}

static tb_code step(tb_value *item, tb_render *run, tb_value part, tb_value fallback)
{
    int64_t number;
    bool found;
    tb_code rc = TB_OK;
    tb_value object = *item;
    if (part.kind == TB_VALUE_STRING && is_number(tb_value_text(part))) {
        rc = tb_parse_int(&number, &found, run, tb_value_text(part), 10);
        part = tb_int(number);
    }
    if (!rc)
        rc = tb_get_item(item, run, object, part);
    if (!rc && item->kind == TB_VALUE_UNDEFINED && tb_argument_given(fallback))
        *item = fallback;
    return rc;
}

tb_code tb_get_path(tb_value *out, tb_render *run, tb_value object, tb_value path, tb_value fallback)
{
    static const tb_piece dot = {.data = ".", .size = 1};
    tb_value parts;
    *out = object;
    if (!tb_argument_given(path))
        return TB_OK;
    if (path.kind != TB_VALUE_STRING)
        return step(out, run, path, fallback);
    tb_code rc = tb_split_text(&parts, run, path, &dot, -1, false);
    for (size_t i = 0; !rc && i < parts.as.list->count; i++)
        rc = step(out, run, parts.as.list->items[i], fallback);
    return rc;
}

// ---- slices ----

typedef struct slice {
    int64_t start, step;
    size_t count;
} slice;

// A bound, counted from the end when negative, kept within [low, high].
static int64_t clamp(int64_t bound, int64_t length, int64_t low, int64_t high)
{
    if (bound < 0)
        bound = bound < -length - 1 ? -1 : bound + length;
    return bound < low ? low : bound > high ? high : bound;
}

static tb_code read_bound(int64_t *out, tb_render *run, tb_value bound, int64_t fallback)
{
    *out = fallback;
    if (bound.kind == TB_VALUE_NONE)
        return TB_OK;
    if (!tb_value_is_integral(bound))
        return tb_render_wrong_type(run, "slicing", bound);
    *out = tb_value_as_int(bound);
    return TB_OK;
}

// The positions that start:stop:step selects of `length`.
static tb_code read_slice(slice *out, tb_render *run, const tb_value bounds[3], int64_t length)
{
    int64_t stop, step, start;
    tb_code rc = read_bound(&step, run, bounds[2], 1);
    if (!rc && step == 0)
        rc = tb_render_fail(run, TB_EINVAL, "the step of a slice is zero");
    if (rc)
        return rc;
    bool back = step < 0;
    int64_t low = back ? -1 : 0, high = back ? length - 1 : length;
    rc = read_bound(&start, run, bounds[0], 0);
    if (!rc)
        rc = read_bound(&stop, run, bounds[1], 0);
    if (rc)
        return rc;
    start = bounds[0].kind == TB_VALUE_NONE ? (back ? high : low) : clamp(start, length, low, high);
    stop = bounds[1].kind == TB_VALUE_NONE ? (back ? low : high) : clamp(stop, length, low, high);
    uint64_t distance =
        back ? (uint64_t)(start > stop ? start - stop : 0) : (uint64_t)(stop > start ? stop - start : 0);
    uint64_t width = back ? 0 - (uint64_t)step : (uint64_t)step;
    *out = (slice){start, step, (size_t)(distance / width + (distance % width != 0))};
    return TB_OK;
}

// Position number `i` of the slice.
static size_t position(const slice *s, size_t i)
{
    return (size_t)(s->start + (int64_t)i * s->step);
}

static tb_code slice_list(tb_value *out, tb_render *run, tb_value list, const slice *s)
{
    tb_code rc = tb_list_new(out, run, list.kind, s->count);
    if (!rc)
        rc = tb_render_work(run, 1 + s->count / 8);
    for (size_t i = 0; i < s->count && !rc; i++)
        out->as.list->items[i] = list.as.list->items[position(s, i)];
    return rc;
}

// Byte offsets of all characters of a text and of its end.
static size_t *find_characters(tb_render *run, tb_piece text, size_t length)
{
    size_t *offsets = tb_render_array(run, length + 1, sizeof *offsets), n = 0;
    for (size_t at = 0; offsets && at < text.size; at += tb_unicode_offset(tb_piece_cut(text, at, text.size - at), 1))
        offsets[n++] = at;
    if (offsets)
        offsets[n] = text.size;
    return offsets;
}

static tb_code slice_string(tb_value *out, tb_render *run, tb_value string, const slice *s)
{
    tb_code rc = TB_OK;
    tb_piece text = tb_value_text(string);
    if (s->step == 1) {
        rc = tb_string_cut(out, run, string, (size_t)s->start, (size_t)s->start + s->count);
    } else {
        size_t mark = tb_render_begin(run);
        size_t *offsets = find_characters(run, text, string.as.string->length);
        if (!offsets)
            return run->err->code;
        rc = tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
        for (size_t i = 0; i < s->count && !rc; i++) {
            size_t at = position(s, i);
            rc = tb_render_write(run, tb_piece_cut(text, offsets[at], offsets[at + 1] - offsets[at]));
        }
        if (!rc)
            rc = tb_render_take(out, run, mark);
    }
    out->variant = string.variant;
    return rc;
}

tb_code tb_get_slice(tb_value *out, tb_render *run, tb_value object, const tb_value bounds[3])
{
    slice s;
    size_t length = 0;
    if (object.kind == TB_VALUE_RANGE)
        return tb_render_fail(run, TB_EUNSUPPORTED, "slicing a range is not supported");
    if (object.kind != TB_VALUE_STRING && object.kind != TB_VALUE_LIST && object.kind != TB_VALUE_TUPLE)
        return tb_render_wrong_type(run, "slicing", object);
    tb_value_length(&length, object);
    tb_code rc = read_slice(&s, run, bounds, (int64_t)length);
    if (rc)
        return rc;
    return object.kind == TB_VALUE_STRING ? slice_string(out, run, object, &s) : slice_list(out, run, object, &s);
}
