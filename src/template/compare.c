// Order and membership.
#include <string.h>

#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"

// UTF-8 sorts as its code points do.
static tb_ordering order_texts(tb_render *run, tb_piece a, tb_piece b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    tb_render_work(run, n / TB_BYTES_COPIED_PER_STEP);
    int difference = n && !run->rc ? memcmp(a.data, b.data, n) : 0;
    if (difference == 0)
        difference = a.size < b.size ? -1 : a.size > b.size;
    return difference < 0 ? TB_LESS : difference > 0 ? TB_GREATER : TB_SAME;
}

static bool is_less(tb_render *run, tb_value a, tb_value b, bool or_equal);

// Lists are ordered by their first items that differ.
static bool is_less_list(tb_render *run, const tb_list *a, const tb_list *b, bool or_equal)
{
    size_t i = 0, n = a->count < b->count ? a->count : b->count;
    if (!tb_render_enter(run))
        return false;
    while (i < n && !run->rc && tb_value_equal(run, a->items[i], b->items[i]))
        i++;
    bool less = i < n      ? is_less(run, a->items[i], b->items[i], or_equal)
                : or_equal ? a->count <= b->count
                           : a->count < b->count;
    run->depth--;
    return less;
}

static bool is_less(tb_render *run, tb_value a, tb_value b, bool or_equal)
{
    tb_ordering order = TB_UNORDERED;
    tb_render_work(run, 1);
    if (run->rc)
        return false;
    if (a.kind == TB_VALUE_UNDEFINED || b.kind == TB_VALUE_UNDEFINED)
        tb_render_fail_undefined(run, a.kind == TB_VALUE_UNDEFINED ? a : b);
    else if (tb_value_is_number(a) && tb_value_is_number(b))
        order = tb_number_order(a, b);
    else if (a.kind == TB_VALUE_STRING && b.kind == TB_VALUE_STRING)
        order = order_texts(run, tb_value_text(a), tb_value_text(b));
    else if (a.kind == b.kind && (a.kind == TB_VALUE_LIST || a.kind == TB_VALUE_TUPLE))
        return is_less_list(run, a.as.list, b.as.list, or_equal);
    else
        tb_render_fail(run, TB_EINVAL, "values of types '%s' and '%s' have no order", tb_value_kind_name(a.kind),
                       tb_value_kind_name(b.kind));
    return order == TB_LESS || (or_equal && order == TB_SAME);
}

bool tb_value_less(tb_render *run, tb_value a, tb_value b)
{
    return is_less(run, a, b, false);
}

// ---- membership ----

static bool contains_by_walking(tb_render *run, tb_value container, tb_value item)
{
    tb_iter *iter = tb_iter_new(run, container);
    for (tb_value next; (next = tb_iter_next(run, iter)).kind != TB_VALUE_MISSING;)
        if (tb_value_equal(run, next, item))
            return true;
    return false;
}

static bool contains(tb_render *run, tb_value container, tb_value item)
{
    size_t at;
    switch (container.kind) {
    case TB_VALUE_STRING:
        if (item.kind == TB_VALUE_STRING)
            return tb_find_text(&at, run, tb_value_text(container), tb_value_text(item), 0);
        tb_render_fail(run, TB_EINVAL, "a value of type '%s' cannot be looked for in a string",
                       tb_value_kind_name(item.kind));
        return false;
    case TB_VALUE_DICT:
        return tb_dict_get(run, container.as.dict, item).kind != TB_VALUE_MISSING;
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
    case TB_VALUE_RANGE:
    case TB_VALUE_VIEW:
    case TB_VALUE_ITER:
    case TB_VALUE_UNDEFINED:
        return contains_by_walking(run, container, item);
    default:
        tb_render_wrong_type(run, "'in'", container);
        return false;
    }
}

bool tb_value_compare(tb_render *run, tb_operator op, tb_value left, tb_value right)
{
    switch (op) {
    case TB_OPERATOR_LT:
        return is_less(run, left, right, false);
    case TB_OPERATOR_LE:
        return is_less(run, left, right, true);
    case TB_OPERATOR_GT:
        return is_less(run, right, left, false);
    case TB_OPERATOR_GE:
        return is_less(run, right, left, true);
    case TB_OPERATOR_IN:
        return contains(run, right, left);
    case TB_OPERATOR_NOT_IN:
        return !contains(run, right, left);
    case TB_OPERATOR_NE:
        return !tb_value_equal(run, left, right);
    default:
        return tb_value_equal(run, left, right);
    }
}
