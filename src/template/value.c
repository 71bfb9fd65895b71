#include "template/value.h"

#include <math.h>
#include <string.h>

#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"
#include "template/unicode.h"

bool tb_jtext_equals(tb_text text, const char *literal)
{
    size_t n = strlen(literal);
    return text.size == n && memcmp(text.data, literal, n) == 0;
}

bool tb_jtext_same(tb_text a, tb_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

// ---- strings ----

static void fill_string(tb_jstring *s, tb_text text)
{
    s->data = text.data;
    s->size = text.size;
    s->length = tb_juni_count(text);
}

const tb_jstring *tb_jstring_constant(tb_arena *arena, tb_text text)
{
    tb_jstring *s = tb_arena_alloc(arena, sizeof *s);
    if (s)
        fill_string(s, text);
    return s;
}

tb_code tb_jstring_borrow(tb_jvalue *out, tb_jrun *run, tb_text text)
{
    tb_jstring *s = tb_jrun_alloc(run, sizeof *s);
    if (!s)
        return run->err->code;
    fill_string(s, text);
    *out = tb_jstring_value(s);
    return tb_jrun_work(run, 1 + text.size / 64);
}

tb_code tb_jstring_new(tb_jvalue *out, tb_jrun *run, tb_text text)
{
    char *copy = tb_jrun_alloc(run, text.size);
    if (!copy)
        return run->err->code;
    if (text.size)
        memcpy(copy, text.data, text.size);
    return tb_jstring_borrow(out, run, (tb_text){copy, text.size});
}

// Room for `left` and `right` behind each other, `left` already there.
static tb_jtail *room_to_append(tb_jrun *run, const tb_jstring *left, const tb_jstring *right)
{
    size_t size = left->size + right->size;
    tb_jtail *tail = left->tail;
    if (tail && left->data + left->size == tail->data + tail->used && tail->capacity - tail->used >= right->size)
        return tail;
    size_t capacity = tail ? 2 * size : size; // what has grown once will grow again
    tail = tb_jrun_alloc(run, sizeof *tail + capacity);
    if (!tail)
        return NULL;
    tail->capacity = capacity;
    tail->used = left->size;
    memcpy(tail->data, left->data, left->size);
    return tb_jrun_work(run, left->size / 64) ? NULL : tail;
}

tb_code tb_jstring_concat(tb_jvalue *out, tb_jrun *run, tb_jvalue left, tb_jvalue right)
{
    const tb_jstring *a = left.as.string, *b = right.as.string;
    if (a->size == 0 || b->size == 0) {
        *out = tb_jstring_value(a->size ? a : b);
        return TB_OK;
    }
    tb_jstring *s = tb_jrun_alloc(run, sizeof *s);
    tb_jtail *tail = s ? room_to_append(run, a, b) : NULL;
    if (!tail)
        return run->err->code;
    memcpy(tail->data + tail->used, b->data, b->size);
    tail->used += b->size;
    *s = (tb_jstring){tail->data, a->size + b->size, a->length + b->length, tail};
    *out = tb_jstring_value(s);
    return tb_jrun_work(run, 1 + b->size / 64);
}

tb_code tb_jstring_cut(tb_jvalue *out, tb_jrun *run, tb_jvalue string, size_t start, size_t end)
{
    tb_text text = tb_jtext(string);
    bool ascii = string.as.string->length == text.size;
    size_t from = ascii ? start : tb_juni_offset(text, start);
    tb_text rest = {text.data + from, text.size - from};
    size_t size = ascii ? end - start : tb_juni_offset(rest, end - start);
    tb_code rc = ascii ? TB_OK : tb_jrun_work(run, 1 + text.size / 64);
    return rc ? rc : tb_jstring_borrow(out, run, (tb_text){rest.data, size});
}

tb_code tb_jstring_escape(tb_jvalue *out, tb_jrun *run, tb_jvalue string)
{
    if (tb_jis_markup(string)) {
        *out = string;
        return TB_OK;
    }
    tb_text text = tb_jtext(string);
    size_t mark = tb_jrun_begin(run), from = 0;
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
        rc = tb_jrun_write(run, (tb_text){text.data + from, i - from});
        if (!rc)
            rc = tb_jrun_write_text(run, entity);
        from = i + 1;
    }
    if (!rc)
        rc = tb_jrun_write(run, (tb_text){text.data + from, text.size - from});
    if (!rc)
        rc = tb_jrun_take(out, run, mark);
    out->variant = TB_J_MARKUP;
    return rc;
}

// ---- lists ----

tb_code tb_jlist_new(tb_jvalue *out, tb_jrun *run, tb_jkind kind, size_t count)
{
    tb_jlist *list = tb_jrun_alloc(run, sizeof *list);
    tb_jvalue *items = list && count ? tb_jrun_array(run, count, sizeof *items) : NULL;
    if (!list || (count && !items))
        return run->err->code;
    list->count = count;
    list->items = items;
    *out = (tb_jvalue){.kind = (uint8_t)kind, .as.list = list};
    return TB_OK;
}

tb_code tb_jlist_from(tb_jvalue *out, tb_jrun *run, tb_jkind kind, const tb_jvalue *items, size_t count)
{
    tb_code rc = tb_jlist_new(out, run, kind, count);
    if (!rc && count)
        memcpy(out->as.list->items, items, count * sizeof *items);
    return rc ? rc : tb_jrun_work(run, 1 + count / 8);
}

tb_code tb_jbuilder_add(tb_jbuilder *builder, tb_jrun *run, tb_jvalue item)
{
    if (builder->count == builder->capacity) {
        size_t capacity = builder->capacity ? 2 * builder->capacity : 8;
        tb_jvalue *items = tb_jrun_array(run, capacity, sizeof *items);
        if (!items)
            return run->err->code;
        if (builder->count)
            memcpy(items, builder->items, builder->count * sizeof *items);
        builder->items = items;
        builder->capacity = capacity;
    }
    builder->items[builder->count++] = item;
    return tb_jrun_work(run, 1);
}

tb_code tb_jbuilder_finish(tb_jvalue *out, tb_jrun *run, tb_jbuilder *builder, tb_jkind kind)
{
    tb_jlist *list = tb_jrun_alloc(run, sizeof *list);
    if (!list)
        return run->err->code;
    list->count = builder->count;
    list->items = builder->items;
    *out = (tb_jvalue){.kind = (uint8_t)kind, .as.list = list};
    return TB_OK;
}

// ---- what Python asks of values ----

const char *tb_jkind_name(tb_jkind kind)
{
    static const char *const names[] = {
        [TB_J_MISSING] = "missing",  [TB_J_UNDEFINED] = "Undefined",
        [TB_J_NONE] = "NoneType",    [TB_J_BOOL] = "bool",
        [TB_J_INT] = "int",          [TB_J_FLOAT] = "float",
        [TB_J_STRING] = "str",       [TB_J_LIST] = "list",
        [TB_J_TUPLE] = "tuple",      [TB_J_DICT] = "dict",
        [TB_J_RANGE] = "range",      [TB_J_VIEW] = "dict view",
        [TB_J_ITER] = "generator",   [TB_J_NAMESPACE] = "Namespace",
        [TB_J_CYCLER] = "Cycler",    [TB_J_JOINER] = "Joiner",
        [TB_J_LOOP] = "LoopContext", [TB_J_MACRO] = "Macro",
        [TB_J_METHOD] = "method",    [TB_J_FUNCTION] = "function",
    };
    return names[kind];
}

bool tb_jis_integral(tb_jvalue value)
{
    return value.kind == TB_J_INT || value.kind == TB_J_BOOL;
}

bool tb_jis_number(tb_jvalue value)
{
    return tb_jis_integral(value) || value.kind == TB_J_FLOAT;
}

int64_t tb_jas_int(tb_jvalue value)
{
    return value.kind == TB_J_BOOL ? value.as.boolean : value.as.integer;
}

double tb_jas_double(tb_jvalue value)
{
    return value.kind == TB_J_FLOAT ? value.as.real : (double)tb_jas_int(value);
}

bool tb_jlength(size_t *out, tb_jvalue value)
{
    switch (value.kind) {
    case TB_J_UNDEFINED:
        *out = 0;
        return true;
    case TB_J_STRING:
        *out = value.as.string->length;
        return true;
    case TB_J_LIST:
    case TB_J_TUPLE:
        *out = value.as.list->count;
        return true;
    case TB_J_DICT:
    case TB_J_VIEW:
        *out = value.as.dict->count;
        return true;
    case TB_J_RANGE:
        *out = value.as.range->count;
        return true;
    default:
        return false;
    }
}

bool tb_jtruth(tb_jvalue value)
{
    size_t length;
    switch (value.kind) {
    case TB_J_MISSING:
    case TB_J_UNDEFINED:
    case TB_J_NONE:
        return false;
    case TB_J_BOOL:
        return value.as.boolean;
    case TB_J_INT:
        return value.as.integer != 0;
    case TB_J_FLOAT:
        return value.as.real != 0;
    default:
        return !tb_jlength(&length, value) || length > 0;
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

static ordering compare_numbers(tb_jvalue a, tb_jvalue b)
{
    if (a.kind == TB_J_FLOAT && b.kind == TB_J_FLOAT) {
        double x = a.as.real, y = b.as.real;
        return x < y ? LESS : x > y ? GREATER : x == y ? SAME : UNORDERED;
    }
    if (b.kind == TB_J_FLOAT)
        return compare_int_double(tb_jas_int(a), b.as.real);
    if (a.kind == TB_J_FLOAT) {
        ordering reverse = compare_int_double(tb_jas_int(b), a.as.real);
        return reverse == LESS ? GREATER : reverse == GREATER ? LESS : reverse;
    }
    int64_t x = tb_jas_int(a), y = tb_jas_int(b);
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

bool tb_jsame(tb_jvalue a, tb_jvalue b)
{
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case TB_J_MISSING:
    case TB_J_NONE:
        return true;
    case TB_J_BOOL:
        return a.as.boolean == b.as.boolean;
    case TB_J_INT:
        return a.as.integer == b.as.integer;
    case TB_J_FLOAT:
        return a.as.real == b.as.real;
    case TB_J_METHOD:
        return a.as.method->function == b.as.method->function && tb_jsame(a.as.method->self, b.as.method->self);
    case TB_J_VIEW:
        return a.as.dict == b.as.dict && a.variant == b.variant;
    default:
        return a.as.string == b.as.string; // any of the pointers
    }
}

static tb_code equal_lists(bool *out, tb_jrun *run, const tb_jlist *a, const tb_jlist *b)
{
    *out = a->count == b->count;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < a->count && *out && !rc; i++)
        rc = tb_jequal(out, run, a->items[i], b->items[i]);
    return rc;
}

static tb_code equal_dicts(bool *out, tb_jrun *run, const tb_jdict *a, const tb_jdict *b)
{
    *out = a->count == b->count;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < a->count && *out && !rc; i++) {
        tb_jvalue other;
        rc = tb_jdict_get(&other, run, b, a->entries[i].key);
        if (!rc && other.kind == TB_J_MISSING)
            *out = false;
        else if (!rc)
            rc = tb_jequal(out, run, a->entries[i].value, other);
    }
    return rc;
}

static bool equal_ranges(const tb_jrange *a, const tb_jrange *b)
{
    return a->count == b->count && (a->count == 0 || (a->start == b->start && (a->count == 1 || a->step == b->step)));
}

static tb_code equal_containers(bool *out, tb_jrun *run, tb_jvalue a, tb_jvalue b)
{
    tb_code rc = tb_jrun_enter(run);
    if (rc)
        return rc;
    rc =
        a.kind == TB_J_DICT ? equal_dicts(out, run, a.as.dict, b.as.dict) : equal_lists(out, run, a.as.list, b.as.list);
    run->depth--;
    return rc;
}

tb_code tb_jequal(bool *out, tb_jrun *run, tb_jvalue a, tb_jvalue b)
{
    tb_code rc = tb_jrun_work(run, 1);
    if (rc)
        return rc;
    if (tb_jis_number(a) && tb_jis_number(b)) {
        *out = compare_numbers(a, b) == SAME;
        return TB_OK;
    }
    *out = false;
    if (a.kind != b.kind)
        return TB_OK;
    switch (a.kind) {
    case TB_J_UNDEFINED:
        *out = true;
        return TB_OK;
    case TB_J_STRING:
        *out = tb_jtext_same(tb_jtext(a), tb_jtext(b));
        return tb_jrun_work(run, a.as.string->size / 256);
    case TB_J_LIST:
    case TB_J_TUPLE:
    case TB_J_DICT:
        return equal_containers(out, run, a, b);
    case TB_J_RANGE:
        *out = equal_ranges(a.as.range, b.as.range);
        return TB_OK;
    case TB_J_VIEW:
        return tb_jrun_fail(run, TB_EUNSUPPORTED, "comparing the keys, values or items of dicts is not supported");
    default:
        *out = tb_jsame(a, b);
        return TB_OK;
    }
}

// Lists are ordered by their first items that differ.
static tb_code order_lists(bool *out, tb_jrun *run, tb_jvalue left, tb_jvalue right, bool or_equal)
{
    const tb_jlist *a = left.as.list, *b = right.as.list;
    tb_code rc = tb_jrun_enter(run);
    if (rc)
        return rc;
    size_t i = 0, n = a->count < b->count ? a->count : b->count;
    bool same = true;
    for (; i < n && !rc; i++) {
        rc = tb_jequal(&same, run, a->items[i], b->items[i]);
        if (!same)
            break;
    }
    if (!rc && i < n)
        rc = or_equal ? tb_jless_equal(out, run, a->items[i], b->items[i])
                      : tb_jless(out, run, a->items[i], b->items[i]);
    else
        *out = or_equal ? a->count <= b->count : a->count < b->count;
    run->depth--;
    return rc;
}

static tb_code order(bool *out, tb_jrun *run, tb_jvalue a, tb_jvalue b, bool or_equal)
{
    ordering result;
    tb_code rc = tb_jrun_work(run, 1);
    if (rc)
        return rc;
    if (a.kind == TB_J_UNDEFINED || b.kind == TB_J_UNDEFINED)
        return tb_jfail_undefined(run, a.kind == TB_J_UNDEFINED ? a : b);
    if (tb_jis_number(a) && tb_jis_number(b))
        result = compare_numbers(a, b);
    else if (a.kind == TB_J_STRING && b.kind == TB_J_STRING)
        result = compare_texts(tb_jtext(a), tb_jtext(b));
    else if (a.kind == b.kind && (a.kind == TB_J_LIST || a.kind == TB_J_TUPLE))
        return order_lists(out, run, a, b, or_equal);
    else
        return tb_jrun_fail(run, TB_EINVAL, "values of types '%s' and '%s' have no order", tb_jkind_name(a.kind),
                            tb_jkind_name(b.kind));
    *out = result == LESS || (or_equal && result == SAME);
    return TB_OK;
}

tb_code tb_jless(bool *out, tb_jrun *run, tb_jvalue a, tb_jvalue b)
{
    return order(out, run, a, b, false);
}

tb_code tb_jless_equal(bool *out, tb_jrun *run, tb_jvalue a, tb_jvalue b)
{
    return order(out, run, a, b, true);
}

// ---- membership ----

static tb_code contains_by_walking(bool *out, tb_jrun *run, tb_jvalue container, tb_jvalue item)
{
    tb_jiter *iter;
    tb_jvalue next = tb_jnone();
    tb_code rc = tb_jiter_new(&iter, run, container);
    *out = false;
    while (!rc && !*out && next.kind != TB_J_MISSING) {
        rc = tb_jiter_next(&next, run, iter);
        if (!rc && next.kind != TB_J_MISSING)
            rc = tb_jequal(out, run, next, item);
    }
    return rc;
}

static tb_code contains_text(bool *out, tb_jrun *run, tb_jvalue container, tb_jvalue item)
{
    size_t at;
    if (item.kind != TB_J_STRING)
        return tb_jrun_fail(run, TB_EINVAL, "a value of type '%s' cannot be looked for in a string",
                            tb_jkind_name(item.kind));
    tb_code rc = tb_jfind(&at, run, tb_jtext(container), tb_jtext(item), 0);
    *out = at != TB_JNOWHERE;
    return rc;
}

tb_code tb_jcontains(bool *out, tb_jrun *run, tb_jvalue container, tb_jvalue item)
{
    tb_jvalue found;
    tb_code rc;
    switch (container.kind) {
    case TB_J_STRING:
        return contains_text(out, run, container, item);
    case TB_J_DICT:
        rc = tb_jdict_get(&found, run, container.as.dict, item);
        *out = found.kind != TB_J_MISSING;
        return rc;
    case TB_J_LIST:
    case TB_J_TUPLE:
    case TB_J_RANGE:
    case TB_J_VIEW:
    case TB_J_ITER:
    case TB_J_UNDEFINED:
        return contains_by_walking(out, run, container, item);
    default:
        return tb_jrun_wrong_type(run, "'in'", container);
    }
}
