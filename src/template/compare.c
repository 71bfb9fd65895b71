// Order and membership.
#include <string.h>

#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"

// UTF-8 sorts as its code points do.
static tb_code compare_texts(tb_ordering *out, tb_render *run, tb_piece a, tb_piece b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    tb_code rc = tb_render_work(run, n / TB_BYTES_COPIED_PER_STEP);
    int difference = n && !rc ? memcmp(a.data, b.data, n) : 0;
    if (difference == 0)
        difference = a.size < b.size ? -1 : a.size > b.size;
    *out = difference < 0 ? TB_LESS : difference > 0 ? TB_GREATER : TB_SAME;
    return rc;
}

static tb_code order(bool *out, tb_render *run, tb_value a, tb_value b, bool or_equal);

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
        rc = order(out, run, a->items[i], b->items[i], or_equal);
    else
        *out = or_equal ? a->count <= b->count : a->count < b->count;
    run->depth--;
    return rc;
}

static tb_code order(bool *out, tb_render *run, tb_value a, tb_value b, bool or_equal)
{
    tb_ordering result;
    tb_code rc = tb_render_work(run, 1);
    if (rc)
        return rc;
    if (a.kind == TB_VALUE_UNDEFINED || b.kind == TB_VALUE_UNDEFINED)
        return tb_render_fail_undefined(run, a.kind == TB_VALUE_UNDEFINED ? a : b);
    if (tb_value_is_number(a) && tb_value_is_number(b))
        result = tb_number_order(a, b);
    else if (a.kind == TB_VALUE_STRING && b.kind == TB_VALUE_STRING)
        rc = compare_texts(&result, run, tb_value_text(a), tb_value_text(b));
    else if (a.kind == b.kind && (a.kind == TB_VALUE_LIST || a.kind == TB_VALUE_TUPLE))
        return order_lists(out, run, a, b, or_equal);
    else
        return tb_render_fail(run, TB_EINVAL, "values of types '%s' and '%s' have no order", tb_value_kind_name(a.kind),
                              tb_value_kind_name(b.kind));
    *out = !rc && (result == TB_LESS || (or_equal && result == TB_SAME));
    return rc;
}

tb_code tb_value_less(bool *out, tb_render *run, tb_value a, tb_value b)
{
    return order(out, run, a, b, false);
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
    tb_code rc = tb_find_text(&at, run, tb_value_text(container), tb_value_text(item), 0);
    *out = at != TB_NOWHERE;
    return rc;
}

static tb_code contains(bool *out, tb_render *run, tb_value container, tb_value item)
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

tb_code tb_value_compare(bool *out, tb_render *run, tb_operator op, tb_value left, tb_value right)
{
    tb_code rc;
    switch (op) {
    case TB_OPERATOR_LT:
        return order(out, run, left, right, false);
    case TB_OPERATOR_LE:
        return order(out, run, left, right, true);
    case TB_OPERATOR_GT:
        return order(out, run, right, left, false);
    case TB_OPERATOR_GE:
        return order(out, run, right, left, true);
    case TB_OPERATOR_IN:
    case TB_OPERATOR_NOT_IN:
        rc = contains(out, run, right, left);
        break;
    default:
        rc = tb_value_equal(out, run, left, right);
    }
    if (op == TB_OPERATOR_NOT_IN || op == TB_OPERATOR_NE)
        *out = !*out;
    return rc;
}
