// Attributes, items and slices. object.name prefers the attribute and falls back to the item, object[name]
// the other way round; what neither finds is undefined.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"
#include "template/unicode.h"

// ---- loops ----

bool tb_loop_next(tb_render *run, tb_loop *loop)
{
    tb_value next = loop->after.kind == TB_VALUE_MISSING ? tb_iter_next(run, loop->iter) : loop->after;
    loop->after = tb_missing();
    if (next.kind == TB_VALUE_MISSING || run->rc)
        return false;
    loop->index0++;
    loop->before = loop->current;
    loop->current = next;
    return true;
}

int64_t tb_loop_length(tb_render *run, tb_loop *loop)
{
    size_t length;
    if (!loop->has_length && tb_value_length(&length, loop->source)) {
        loop->length = (int64_t)length;
    } else if (!loop->has_length) { // walk to the end, then walk the rest again from a list
        tb_value rest = tb_value_collect(run, TB_VALUE_LIST, (tb_value){.kind = TB_VALUE_ITER, .as.iter = loop->iter});
        loop->iter = tb_iter_new(run, rest);
        loop->length = (int64_t)tb_value_list(rest)->count + loop->index0 + 1 + (loop->after.kind != TB_VALUE_MISSING);
    }
    loop->has_length = true;
    return loop->length;
}

static tb_value peek(tb_render *run, tb_loop *loop)
{
    if (loop->after.kind == TB_VALUE_MISSING)
        loop->after = tb_iter_next(run, loop->iter);
    return loop->after;
}

static tb_value get_loop_attribute(tb_render *run, tb_loop *loop, tb_piece name)
{
    if (tb_piece_is(name, "index0") || tb_piece_is(name, "index"))
        return tb_int(loop->index0 + (name.size == 5));
    if (tb_piece_is(name, "first"))
        return tb_bool(loop->index0 == 0);
    if (tb_piece_is(name, "last"))
        return tb_bool(peek(run, loop).kind == TB_VALUE_MISSING);
    if (tb_piece_is(name, "length"))
        return tb_int(tb_loop_length(run, loop));
    if (tb_piece_is(name, "revindex0") || tb_piece_is(name, "revindex"))
        return tb_int(tb_loop_length(run, loop) - loop->index0 - (name.size == 9));
    if (tb_piece_is(name, "previtem"))
        return loop->index0 == 0 ? tb_undefined_hint("there is no previous item") : loop->before;
    if (tb_piece_is(name, "nextitem"))
        return peek(run, loop).kind == TB_VALUE_MISSING ? tb_undefined_hint("there is no next item") : loop->after;
    if (tb_piece_is(name, "depth0") || tb_piece_is(name, "depth"))
        return tb_int(name.size == 5); // loops inside each other do not count, recursive ones would
    return tb_missing();
}

// ---- attributes ----

static tb_value bind_method(tb_render *run, tb_value self, const tb_builtin *function)
{
    tb_bound_method *method = tb_render_alloc(run, sizeof *method);
    if (!method)
        return tb_missing();
    *method = (tb_bound_method){self, function};
    return (tb_value){.kind = TB_VALUE_METHOD, .as.method = method};
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
static tb_value get_data_attribute(tb_render *run, tb_value object, tb_piece name)
{
    switch (object.kind) {
    case TB_VALUE_NAMESPACE:
        return tb_dict_get_text(run, object.as.dict, name);
    case TB_VALUE_LOOP:
        return get_loop_attribute(run, object.as.loop, name);
    case TB_VALUE_MACRO:
        return tb_piece_is(name, "name") && object.as.macro->def->name ? tb_string_value(object.as.macro->def->name)
                                                                       : tb_missing();
    default:
        return tb_missing();
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
    static const char *const of_ranges[] = {"count", "index", "start", "stop", "step", NULL};
    static const char *const of_views[] = {"isdisjoint", "mapping", NULL};
    static const char *const of_generators[] = {"send", "throw", "close", NULL};
    static const char *const *const tables[TB_VALUE_KINDS] = {
        [TB_VALUE_MACRO] = of_macros,  [TB_VALUE_BOOL] = of_numbers,    [TB_VALUE_INT] = of_numbers,
        [TB_VALUE_FLOAT] = of_numbers, [TB_VALUE_JOINER] = of_joiners,  [TB_VALUE_RANGE] = of_ranges,
        [TB_VALUE_VIEW] = of_views,    [TB_VALUE_ITER] = of_generators,
    };
    return is_among(tables[kind], name);
}

tb_value tb_get_own_attribute(tb_render *run, tb_value object, const tb_string *name)
{
    if (object.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, object);
    tb_value value = get_data_attribute(run, object, name->text);
    bool is_private = value.kind != TB_VALUE_MISSING && name->text.size > 0 && name->text.data[0] == '_';
    if (is_private || is_forbidden((tb_value_kind)object.kind, name->text)) {
        value = tb_undefined(TB_WHY_FORBIDDEN, name);
        value.owner = object.kind;
    }
    if (value.kind != TB_VALUE_MISSING)
        return value;
    tb_render_work(run, TB_STEPS_PER_LOOKUP);
    const tb_builtin *table = methods_of((tb_value_kind)object.kind);
    const tb_builtin *method = table ? tb_builtin_find(table, name->text) : NULL;
    if (method)
        return bind_method(run, object, method);
    if (is_left_out((tb_value_kind)object.kind, name->text))
        return tb_render_fail(run, TB_EUNSUPPORTED, "the attribute '%.*s' of a value of type '%s' is not supported",
                              (int)name->text.size, name->text.data, tb_value_kind_name(object.kind));
    return tb_missing();
}

tb_value tb_no_attribute(tb_value object, const tb_string *name)
{
    tb_value undefined = tb_undefined(TB_WHY_ATTRIBUTE, name);
    undefined.owner = object.kind;
    return undefined;
}

tb_value tb_get_attribute(tb_render *run, tb_value object, const tb_string *name)
{
    tb_value value = tb_get_own_attribute(run, object, name);
    if (value.kind == TB_VALUE_MISSING && object.kind == TB_VALUE_DICT)
        value = tb_dict_get_text(run, object.as.dict, name->text);
    return value.kind == TB_VALUE_MISSING ? tb_no_attribute(object, name) : value;
}

// ---- items ----

// The item at an index, negative ones from the end; MISSING when there is none.
static tb_value get_indexed(tb_render *run, tb_value object, int64_t index)
{
    size_t length;
    if (!tb_value_length(&length, object))
        return tb_missing();
    if (index < 0)
        index += (int64_t)length;
    if (index < 0 || index >= (int64_t)length)
        return tb_missing();
    switch (object.kind) {
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
        return object.as.list->items[index];
    case TB_VALUE_RANGE:
        return tb_int(object.as.range->start + index * object.as.range->step);
    case TB_VALUE_STRING:
        return tb_marked_like(tb_string_cut(run, object, (size_t)index, (size_t)index + 1), object);
    default:
        return tb_missing();
    }
}

tb_value tb_get_item(tb_render *run, tb_value object, tb_value index)
{
    tb_value value = tb_missing();
    const tb_string *name = index.kind == TB_VALUE_STRING ? index.as.string : NULL;
    if (object.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, object);
    if (object.kind == TB_VALUE_DICT && tb_value_is_hashable(run, index))
        value = tb_dict_get(run, object.as.dict, index);
    else if (object.kind != TB_VALUE_DICT && tb_value_is_integral(index))
        value = get_indexed(run, object, tb_value_as_int(index));
    if (value.kind == TB_VALUE_MISSING && name)
        value = tb_get_own_attribute(run, object, name);
    return value.kind == TB_VALUE_MISSING ? tb_no_attribute(object, name) : value;
}

// ---- paths ----

static bool is_number(tb_piece part)
{
    for (size_t i = 0; i < part.size; i++)
        if (part.data[i] < '0' || part.data[i] > '9')
            return false;
    return part.size > 0;
}

static tb_value step(tb_render *run, tb_value object, tb_value part, tb_value fallback)
{
    int64_t number;
    if (part.kind == TB_VALUE_STRING && is_number(tb_value_text(part)) &&
        tb_parse_int(&number, run, tb_value_text(part)))
        part = tb_int(number);
    tb_value item = tb_get_item(run, object, part);
    return item.kind == TB_VALUE_UNDEFINED && tb_argument_given(fallback) ? fallback : item;
}

tb_value tb_get_path(tb_render *run, tb_value object, tb_value path, tb_value fallback)
{
    static const tb_piece dot = {.data = ".", .size = 1};
    if (!tb_argument_given(path))
        return object;
    if (path.kind != TB_VALUE_STRING)
        return step(run, object, path, fallback);
    const tb_list *parts = tb_value_list(tb_split_text(run, path, &dot, -1, false));
    for (size_t i = 0; i < parts->count && !run->rc; i++)
        object = step(run, object, parts->items[i], fallback);
    return object;
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

static int64_t read_bound(tb_render *run, tb_value bound, int64_t fallback)
{
    if (bound.kind == TB_VALUE_NONE)
        return fallback;
    if (!tb_value_is_integral(bound))
        tb_render_wrong_type(run, "slicing", bound);
    return tb_value_is_integral(bound) ? tb_value_as_int(bound) : fallback;
}

// The positions that start:stop:step selects of `length`.
static slice read_slice(tb_render *run, const tb_value bounds[3], int64_t length)
{
    int64_t step = read_bound(run, bounds[2], 1);
    if (step == 0)
        tb_render_fail(run, TB_EINVAL, "the step of a slice is zero");
    if (run->rc)
        return (slice){0, 1, 0};
    bool back = step < 0;
    int64_t low = back ? -1 : 0, high = back ? length - 1 : length;
    int64_t start = read_bound(run, bounds[0], 0), stop = read_bound(run, bounds[1], 0);
    start = bounds[0].kind == TB_VALUE_NONE ? (back ? high : low) : clamp(start, length, low, high);
    stop = bounds[1].kind == TB_VALUE_NONE ? (back ? low : high) : clamp(stop, length, low, high);
    uint64_t distance =
        back ? (uint64_t)(start > stop ? start - stop : 0) : (uint64_t)(stop > start ? stop - start : 0);
    uint64_t width = back ? 0 - (uint64_t)step : (uint64_t)step;
    return (slice){start, step, (size_t)(distance / width + (distance % width != 0))};
}

// Position number `i` of the slice.
static size_t position(const slice *s, size_t i)
{
    return (size_t)(s->start + (int64_t)i * s->step);
}

static tb_value slice_list(tb_render *run, tb_value list, const slice *s)
{
    tb_render_work(run, 1 + s->count / 8);
    tb_value out = tb_list_new(run, (tb_value_kind)list.kind, s->count);
    for (size_t i = 0; i < s->count && !run->rc; i++)
        out.as.list->items[i] = list.as.list->items[position(s, i)];
    return out;
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

static tb_value slice_string(tb_render *run, tb_value string, const slice *s)
{
    tb_piece text = tb_value_text(string);
    if (s->step == 1)
        return tb_marked_like(tb_string_cut(run, string, (size_t)s->start, (size_t)s->start + s->count), string);
    size_t mark = tb_render_begin(run);
    tb_render_work(run, text.size / TB_BYTES_READ_PER_STEP);
    const size_t *offsets = find_characters(run, text, string.as.string->length);
    for (size_t i = 0; i < s->count && !run->rc; i++) {
        size_t at = position(s, i);
        tb_render_write(run, tb_piece_cut(text, offsets[at], offsets[at + 1] - offsets[at]));
    }
    return tb_render_take_alike(run, mark, string);
}

tb_value tb_get_slice(tb_render *run, tb_value object, const tb_value bounds[3])
{
    size_t length = 0;
    if (object.kind == TB_VALUE_RANGE)
        return tb_render_fail(run, TB_EUNSUPPORTED, "slicing a range is not supported");
    if (object.kind != TB_VALUE_STRING && object.kind != TB_VALUE_LIST && object.kind != TB_VALUE_TUPLE)
        return tb_render_wrong_type(run, "slicing", object);
    tb_value_length(&length, object);
    slice s = read_slice(run, bounds, (int64_t)length);
    if (run->rc)
        return tb_missing();
    return object.kind == TB_VALUE_STRING ? slice_string(run, object, &s) : slice_list(run, object, &s);
}
