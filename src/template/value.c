// What values are by themselves, and lists.
#include "template/value.h"

#include <math.h>
#include <string.h>

#include "template/run.h"

// ---- what Python asks of values ----

const char *tb_value_kind_name(tb_value_kind kind)
{
    static const char *const names[] = {
        [TB_VALUE_MISSING] = "missing",   [TB_VALUE_UNDEFINED] = "Undefined",
        [TB_VALUE_NONE] = "NoneType",     [TB_VALUE_BOOL] = "bool",
        [TB_VALUE_INT] = "int",           [TB_VALUE_FLOAT] = "float",
        [TB_VALUE_STRING] = "str",        [TB_VALUE_LIST] = "list",
        [TB_VALUE_TUPLE] = "tuple",       [TB_VALUE_DICT] = "dict",
        [TB_VALUE_RANGE] = "range",       [TB_VALUE_VIEW] = "dict view",
        [TB_VALUE_ITER] = "generator",    [TB_VALUE_NAMESPACE] = "Namespace",
        [TB_VALUE_JOINER] = "Joiner",     [TB_VALUE_LOOP] = "LoopContext",
        [TB_VALUE_MACRO] = "Macro",       [TB_VALUE_METHOD] = "method",
        [TB_VALUE_FUNCTION] = "function",
    };
    return names[kind];
}

tb_origin tb_value_origin(tb_value value)
{
    return value.kind == TB_VALUE_STRING ? tb_piece_origin(tb_value_text(value)) : (tb_origin)value.origin;
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

// Exact, where converting the integer to double would round.
static tb_ordering compare_int_double(int64_t a, double b)
{
    if (isnan(b))
        return TB_UNORDERED;
    if (b >= 0x1p63)
        return TB_LESS;
    if (b < -0x1p63)
        return TB_GREATER;
    int64_t whole = (int64_t)b;
    if (a != whole)
        return a < whole ? TB_LESS : TB_GREATER;
    double fraction = b - (double)whole;
    return fraction > 0 ? TB_LESS : fraction < 0 ? TB_GREATER : TB_SAME;
}

tb_ordering tb_number_order(tb_value a, tb_value b)
{
    if (a.kind == TB_VALUE_FLOAT && b.kind == TB_VALUE_FLOAT) {
        double x = a.as.real, y = b.as.real;
        return x < y ? TB_LESS : x > y ? TB_GREATER : x == y ? TB_SAME : TB_UNORDERED;
    }
    if (b.kind == TB_VALUE_FLOAT)
        return compare_int_double(tb_value_as_int(a), b.as.real);
    if (a.kind == TB_VALUE_FLOAT) {
        tb_ordering reverse = compare_int_double(tb_value_as_int(b), a.as.real);
        return reverse == TB_LESS ? TB_GREATER : reverse == TB_GREATER ? TB_LESS : reverse;
    }
    int64_t x = tb_value_as_int(a), y = tb_value_as_int(b);
    return x < y ? TB_LESS : x > y ? TB_GREATER : TB_SAME;
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

// ---- lists ----

static tb_value list_value(tb_render *run, tb_value_kind kind, tb_value *items, size_t count)
{
    tb_list *list = tb_render_alloc(run, sizeof *list);
    if (!list)
        return tb_missing();
    *list = (tb_list){count, items};
    return (tb_value){.kind = (uint8_t)kind, .as.list = list};
}

tb_value tb_list_new(tb_render *run, tb_value_kind kind, size_t count)
{
    return list_value(run, kind, count ? tb_render_array(run, count, sizeof(tb_value)) : NULL, count);
}

tb_value tb_list_from(tb_render *run, tb_value_kind kind, const tb_value *items, size_t count)
{
    tb_render_work(run, 1 + count / 8);
    tb_value list = tb_list_new(run, kind, count);
    if (!run->rc && count)
        memcpy(list.as.list->items, items, count * sizeof *items);
    return list;
}

void tb_list_builder_add(tb_list_builder *builder, tb_render *run, tb_value item)
{
    tb_render_work(run, 1);
    if (builder->count == builder->capacity) {
        size_t capacity = builder->capacity ? 2 * builder->capacity : 8;
        tb_value *items = tb_render_array(run, capacity, sizeof *items);
        if (!items)
            return;
        if (builder->count)
            memcpy(items, builder->items, builder->count * sizeof *items);
        builder->items = items;
        builder->capacity = capacity;
    }
    builder->items[builder->count++] = item;
}

tb_value tb_list_builder_finish(tb_render *run, const tb_list_builder *builder, tb_value_kind kind)
{
    return list_value(run, kind, builder->items, builder->count);
}
