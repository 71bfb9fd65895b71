#include "template/value.h"

#include <math.h>
#include <string.h>

#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"
#include "template/unicode.h"

bool tb_text_equal(tb_text a, tb_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

// ---- strings ----

static void fill_string(tb_string *s, tb_text text)
{
    s->data = text.data;
    s->size = text.size;
    s->length = tb_unicode_count(text);
}

const tb_string *tb_string_constant(tb_arena *arena, tb_text text)
{
    tb_string *s = tb_arena_alloc(arena, sizeof *s);
    if (s)
        fill_string(s, text);
    return s;
}

tb_code tb_string_borrow(tb_value *out, tb_render *run, tb_text text)
{
    tb_string *s = tb_render_alloc(run, sizeof *s);
    if (!s)
        return run->err->code;
    fill_string(s, text);
    *out = tb_string_value(s);
    return tb_render_work(run, 1 + text.size / 64);
}

tb_code tb_string_new(tb_value *out, tb_render *run, tb_text text)
{
    char *copy = tb_render_alloc(run, text.size);
    if (!copy)
        return run->err->code;
    if (text.size)
        memcpy(copy, text.data, text.size);
    return tb_string_borrow(out, run, (tb_text){copy, text.size});
}

// Room for `left` and `right` behind each other, `left` already there.
static tb_tail *room_to_append(tb_render *run, const tb_string *left, const tb_string *right)
{
    size_t size = left->size + right->size;
    tb_tail *tail = left->tail;
    if (tail && left->data + left->size == tail->data + tail->used && tail->capacity - tail->used >= right->size)
        return tail;
    size_t capacity = tail ? 2 * size : size; // what has grown once will grow again
    tail = tb_render_alloc(run, sizeof *tail + capacity);
    if (!tail)
        return NULL;
    tail->capacity = capacity;
    tail->used = left->size;
    memcpy(tail->data, left->data, left->size);
    return tb_render_work(run, left->size / 64) ? NULL : tail;
}

tb_code tb_string_concat(tb_value *out, tb_render *run, tb_value left, tb_value right)
{
    const tb_string *a = left.as.string, *b = right.as.string;
    if (a->size == 0 || b->size == 0) {
        *out = tb_string_value(a->size ? a : b);
        return TB_OK;
    }
    tb_string *s = tb_render_alloc(run, sizeof *s);
    tb_tail *tail = s ? room_to_append(run, a, b) : NULL;
    if (!tail)
        return run->err->code;
    memcpy(tail->data + tail->used, b->data, b->size);
    tail->used += b->size;
    *s = (tb_string){tail->data, a->size + b->size, a->length + b->length, tail};
    *out = tb_string_value(s);
    return tb_render_work(run, 1 + b->size / 64);
}

tb_code tb_string_cut(tb_value *out, tb_render *run, tb_value string, size_t start, size_t end)
{
    tb_text text = tb_string_text(string);
    bool ascii = string.as.string->length == text.size;
    size_t from = ascii ? start : tb_unicode_offset(text, start);
    tb_text rest = {text.data + from, text.size - from};
    size_t size = ascii ? end - start : tb_unicode_offset(rest, end - start);
    tb_code rc = ascii ? TB_OK : tb_render_work(run, 1 + text.size / 64);
    return rc ? rc : tb_string_borrow(out, run, (tb_text){rest.data, size});
}

tb_code tb_string_escape(tb_value *out, tb_render *run, tb_value string)
{
    if (tb_value_is_markup(string)) {
        *out = string;
        return TB_OK;
    }
    tb_text text = tb_string_text(string);
    size_t mark = tb_render_begin(run), from = 0;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < text.size && !rc; i++) {
        char c = text.data[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '\'' ? "&#39;"
                             : c == '"'  ? "&#34;"
                                         : NULL;
        if (!entity)
            continue;
        rc = tb_render_write(run, (tb_text){text.data + from, i - from});
        if (!rc)
            rc = tb_render_write_text(run, entity);
        from = i + 1;
    }
    if (!rc)
        rc = tb_render_write(run, (tb_text){text.data + from, text.size - from});
    if (!rc)
        rc = tb_render_take(out, run, mark);
    out->variant = TB_VALUE_MARKUP;
    return rc;
}

// ---- lists ----

tb_code tb_list_new(tb_value *out, tb_render *run, tb_value_kind kind, size_t count)
{
    tb_list *list = tb_render_alloc(run, sizeof *list);
    tb_value *items = list && count ? tb_render_array(run, count, sizeof *items) : NULL;
    if (!list || (count && !items))
        return run->err->code;
    list->count = count;
    list->items = items;
    *out = (tb_value){.kind = (uint8_t)kind, .as.list = list};
    return TB_OK;
}

tb_code tb_list_from(tb_value *out, tb_render *run, tb_value_kind kind, const tb_value *items, size_t count)
{
    tb_code rc = tb_list_new(out, run, kind, count);
    if (!rc && count)
        memcpy(out->as.list->items, items, count * sizeof *items);
    return rc ? rc : tb_render_work(run, 1 + count / 8);
}

tb_code tb_list_builder_add(tb_list_builder *builder, tb_render *run, tb_value item)
{
    if (builder->count == builder->capacity) {
        size_t capacity = builder->capacity ? 2 * builder->capacity : 8;
        tb_value *items = tb_render_array(run, capacity, sizeof *items);
        if (!items)
            return run->err->code;
        if (builder->count)
            memcpy(items, builder->items, builder->count * sizeof *items);
        builder->items = items;
        builder->capacity = capacity;
    }
    builder->items[builder->count++] = item;
    return tb_render_work(run, 1);
}

tb_code tb_list_builder_finish(tb_value *out, tb_render *run, tb_list_builder *builder, tb_value_kind kind)
{
    tb_list *list = tb_render_alloc(run, sizeof *list);
    if (!list)
        return run->err->code;
    list->count = builder->count;
    list->items = builder->items;
    *out = (tb_value){.kind = (uint8_t)kind, .as.list = list};
    return TB_OK;
}

// ---- what Python asks of values ----

const char *tb_value_kind_name(tb_value_kind kind)
{
    static const char *const names[] = {
        [TB_VALUE_MISSING] = "missing",  [TB_VALUE_UNDEFINED] = "Undefined",
        [TB_VALUE_NONE] = "NoneType",    [TB_VALUE_BOOL] = "bool",
        [TB_VALUE_INT] = "int",          [TB_VALUE_FLOAT] = "float",
        [TB_VALUE_STRING] = "str",       [TB_VALUE_LIST] = "list",
        [TB_VALUE_TUPLE] = "tuple",      [TB_VALUE_DICT] = "dict",
        [TB_VALUE_RANGE] = "range",      [TB_VALUE_VIEW] = "dict view",
        [TB_VALUE_ITER] = "generator",   [TB_VALUE_NAMESPACE] = "Namespace",
        [TB_VALUE_CYCLER] = "Cycler",    [TB_VALUE_JOINER] = "Joiner",
        [TB_VALUE_LOOP] = "LoopContext", [TB_VALUE_MACRO] = "Macro",
        [TB_VALUE_METHOD] = "method",    [TB_VALUE_FUNCTION] = "function",
    };
    return names[kind];
}

bool tb_value_is_integral(tb_value value)
{
    return value.kind == TB_VALUE_INT || value.kind == TB_VALUE_BOOL;
}

bool tb_value_is_number(tb_value value)
{
    return tb_value_is_integral(value) || value.kind == TB_VALUE_FLOAT;
}

int64_t tb_value_as_int(tb_value value)
{
    return value.kind == TB_VALUE_BOOL ? value.as.boolean : value.as.integer;
}

double tb_value_as_double(tb_value value)
{
    return value.kind == TB_VALUE_FLOAT ? value.as.real : (double)tb_value_as_int(value);
}

bool tb_value_length(size_t *out, tb_value value)
{
    switch (value.kind) {
    case TB_VALUE_UNDEFINED:
        *out = 0;
        return true;
    case TB_VALUE_STRING:
        *out = value.as.string->length;
        return true;
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
        *out = value.as.list->count;
        return true;
    case TB_VALUE_DICT:
    case TB_VALUE_VIEW:
        *out = value.as.dict->count;
        return true;
    case TB_VALUE_RANGE:
        *out = value.as.range->count;
        return true;
    default:
        return false;
    }
}

bool tb_value_truth(tb_value value)
{
    size_t length;
    switch (value.kind) {
    case TB_VALUE_MISSING:
    case TB_VALUE_UNDEFINED:
    case TB_VALUE_NONE:
        return false;
    case TB_VALUE_BOOL:
        return value.as.boolean;
    case TB_VALUE_INT:
        return value.as.integer != 0;
    case TB_VALUE_FLOAT:
        return value.as.real != 0;
    default:
        return !tb_value_length(&length, value) || length > 0;
    }
}

// ---- comparing ----

typedef enum ordering { LESS = -1, SAME = 0, GREATER = 1, UNORDERED = 2 } ordering;

// Exact, where converting the integer to double would round.
static ordering compare_int_double(int64_t a, double b)
{
    if (isnan(b))
        return UNORDERED;
    if (b >= 0x1p63)
        return LESS;
    if (b < -0x1p63)
        return GREATER;
    int64_t whole = (int64_t)b;
    if (a != whole)
        return a < whole ? LESS : GREATER;
    double fraction = b - (double)whole;
    return fraction > 0 ? LESS : fraction < 0 ? GREATER : SAME;
}

static ordering compare_numbers(tb_value a, tb_value b)
{
    if (a.kind == TB_VALUE_FLOAT && b.kind == TB_VALUE_FLOAT) {
        double x = a.as.real, y = b.as.real;
        return x < y ? LESS : x > y ? GREATER : x == y ? SAME : UNORDERED;
    }
    if (b.kind == TB_VALUE_FLOAT)
        return compare_int_double(tb_value_as_int(a), b.as.real);
    if (a.kind == TB_VALUE_FLOAT) {
        ordering reverse = compare_int_double(tb_value_as_int(b), a.as.real);
        return reverse == LESS ? GREATER : reverse == GREATER ? LESS : reverse;
    }
    int64_t x = tb_value_as_int(a), y = tb_value_as_int(b);
    return x < y ? LESS : x > y ? GREATER : SAME;
}

// UTF-8 sorts as its code points do.
static ordering compare_texts(tb_text a, tb_text b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    if (order)
        return order < 0 ? LESS : GREATER;
    return a.size < b.size ? LESS : a.size > b.size ? GREATER : SAME;
}

bool tb_value_same(tb_value a, tb_value b)
{
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case TB_VALUE_MISSING:
    case TB_VALUE_NONE:
        return true;
    case TB_VALUE_BOOL:
        return a.as.boolean == b.as.boolean;
    case TB_VALUE_INT:
        return a.as.integer == b.as.integer;
    case TB_VALUE_FLOAT:
        return a.as.real == b.as.real;
    case TB_VALUE_METHOD:
        return a.as.method->function == b.as.method->function && tb_value_same(a.as.method->self, b.as.method->self);
    case TB_VALUE_VIEW:
        return a.as.dict == b.as.dict && a.variant == b.variant;
    default:
        return a.as.string == b.as.string; // any of the pointers
    }
}

static tb_code equal_lists(bool *out, tb_render *run, const tb_list *a, const tb_list *b)
{
    *out = a->count == b->count;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < a->count && *out && !rc; i++)
        rc = tb_value_equal(out, run, a->items[i], b->items[i]);
    return rc;
}

static tb_code equal_dicts(bool *out, tb_render *run, const tb_dict *a, const tb_dict *b)
{
    *out = a->count == b->count;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < a->count && *out && !rc; i++) {
        tb_value other;
        rc = tb_dict_get(&other, run, b, a->entries[i].key);
        if (!rc && other.kind == TB_VALUE_MISSING)
            *out = false;
        else if (!rc)
            rc = tb_value_equal(out, run, a->entries[i].value, other);
    }
    return rc;
}

static bool equal_ranges(const tb_range *a, const tb_range *b)
{
    return a->count == b->count && (a->count == 0 || (a->start == b->start && (a->count == 1 || a->step == b->step)));
}

static tb_code equal_containers(bool *out, tb_render *run, tb_value a, tb_value b)
{
    tb_code rc = tb_render_enter(run);
    if (rc)
        return rc;
    rc = a.kind == TB_VALUE_DICT ? equal_dicts(out, run, a.as.dict, b.as.dict)
                                 : equal_lists(out, run, a.as.list, b.as.list);
    run->depth--;
    return rc;
}

tb_code tb_value_equal(bool *out, tb_render *run, tb_value a, tb_value b)
{
    tb_code rc = tb_render_work(run, 1);
    if (rc)
        return rc;
    if (tb_value_is_number(a) && tb_value_is_number(b)) {
        *out = compare_numbers(a, b) == SAME;
        return TB_OK;
    }
    *out = false;
    if (a.kind != b.kind)
        return TB_OK;
    switch (a.kind) {
    case TB_VALUE_UNDEFINED:
        *out = true;
        return TB_OK;
    case TB_VALUE_STRING:
        *out = tb_text_equal(tb_string_text(a), tb_string_text(b));
        return tb_render_work(run, a.as.string->size / 256);
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
    case TB_VALUE_DICT:
        return equal_containers(out, run, a, b);
    case TB_VALUE_RANGE:
        *out = equal_ranges(a.as.range, b.as.range);
        return TB_OK;
    case TB_VALUE_VIEW:
        return tb_render_fail(run, TB_EUNSUPPORTED, "comparing the keys, values or items of dicts is not supported");
    default:
        *out = tb_value_same(a, b);
        return TB_OK;
    }
}

// Lists are ordered by their first items that differ.
static tb_code order_lists(bool *out, tb_render *run, tb_value left, tb_value right, bool or_equal)
{
    const tb_list *a = left.as.list, *b = right.as.list;
    tb_code rc = tb_render_enter(run);
    if (rc)
        return rc;
    size_t i = 0, n = a->count < b->count ? a->count : b->count;
    bool same = true;
    for (; i < n && !rc; i++) {
        rc = tb_value_equal(&same, run, a->items[i], b->items[i]);
        if (!same)
            break;
    }
    if (!rc && i < n)
        rc = or_equal ? tb_value_less_equal(out, run, a->items[i], b->items[i])
                      : tb_value_less(out, run, a->items[i], b->items[i]);
    else
        *out = or_equal ? a->count <= b->count : a->count < b->count;
    run->depth--;
    return rc;
}

static tb_code order(bool *out, tb_render *run, tb_value a, tb_value b, bool or_equal)
{
    ordering result;
    tb_code rc = tb_render_work(run, 1);
    if (rc)
        return rc;
    if (a.kind == TB_VALUE_UNDEFINED || b.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, a.kind == TB_VALUE_UNDEFINED ? a : b);
    if (tb_value_is_number(a) && tb_value_is_number(b))
        result = compare_numbers(a, b);
    else if (a.kind == TB_VALUE_STRING && b.kind == TB_VALUE_STRING)
        result = compare_texts(tb_string_text(a), tb_string_text(b));
    else if (a.kind == b.kind && (a.kind == TB_VALUE_LIST || a.kind == TB_VALUE_TUPLE))
        return order_lists(out, run, a, b, or_equal);
    else
        return tb_render_fail(run, TB_EINVAL, "values of types '%s' and '%s' have no order", tb_value_kind_name(a.kind),
                              tb_value_kind_name(b.kind));
    *out = result == LESS || (or_equal && result == SAME);
    return TB_OK;
}

tb_code tb_value_less(bool *out, tb_render *run, tb_value a, tb_value b)
{
    return order(out, run, a, b, false);
}

tb_code tb_value_less_equal(bool *out, tb_render *run, tb_value a, tb_value b)
{
    return order(out, run, a, b, true);
}

// ---- membership ----

static tb_code contains_by_walking(bool *out, tb_render *run, tb_value container, tb_value item)
{
    tb_iter *iter;
    tb_value next = tb_none();
    tb_code rc = tb_iter_new(&iter, run, container);
    *out = false;
    while (!rc && !*out && next.kind != TB_VALUE_MISSING) {
        rc = tb_iter_next(&next, run, iter);
        if (!rc && next.kind != TB_VALUE_MISSING)
            rc = tb_value_equal(out, run, next, item);
    }
    return rc;
}

static tb_code contains_text(bool *out, tb_render *run, tb_value container, tb_value item)
{
    size_t at;
    if (item.kind != TB_VALUE_STRING)
        return tb_render_fail(run, TB_EINVAL, "a value of type '%s' cannot be looked for in a string",
                              tb_value_kind_name(item.kind));
    tb_code rc = tb_find_text(&at, run, tb_string_text(container), tb_string_text(item), 0);
    *out = at != TB_NOWHERE;
    return rc;
}

tb_code tb_value_contains(bool *out, tb_render *run, tb_value container, tb_value item)
{
    tb_value found;
    tb_code rc;
    switch (container.kind) {
    case TB_VALUE_STRING:
        return contains_text(out, run, container, item);
    case TB_VALUE_DICT:
        rc = tb_dict_get(&found, run, container.as.dict, item);
        *out = found.kind != TB_VALUE_MISSING;
        return rc;
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
    case TB_VALUE_RANGE:
    case TB_VALUE_VIEW:
    case TB_VALUE_ITER:
    case TB_VALUE_UNDEFINED:
        return contains_by_walking(out, run, container, item);
    default:
        return tb_render_wrong_type(run, "'in'", container);
    }
}
