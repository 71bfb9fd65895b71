#include "template/iter.h"

// ---- walking values ----

static tb_code next_item(tb_value *out, tb_render *run, tb_iter *iter)
{
    (void)run;
    *out = iter->source.as.list->items[iter->at++];
    return TB_OK;
}

static tb_code next_character(tb_value *out, tb_render *run, tb_iter *iter)
{
    uint32_t c;
    tb_piece text = tb_value_text(iter->source);
    size_t n = tb_utf8_decode(&c, text.data + iter->at, text.size - iter->at);
    iter->at += n;
    return tb_string_borrow(out, run, tb_piece_cut(text, iter->at - n, n)); // plain even of Markup
}

static tb_code next_number(tb_value *out, tb_render *run, tb_iter *iter)
{
    (void)run;
    const tb_range *range = iter->source.as.range;
    *out = tb_int(range->start + (int64_t)iter->at++ * range->step);
    return TB_OK;
}

static tb_code entry_value(tb_value *out, tb_render *run, tb_value dict, size_t at)
{
    const tb_dict_entry *entry = &dict.as.dict->entries[at];
    if (dict.kind == TB_VALUE_VIEW && dict.variant == TB_VIEW_ITEMS) {
        const tb_value pair[] = {entry->key, entry->value};
        return tb_list_from(out, run, TB_VALUE_TUPLE, pair, 2);
    }
    *out = dict.kind == TB_VALUE_VIEW && dict.variant == TB_VIEW_VALUES ? entry->value : entry->key;
    return TB_OK;
}

static tb_code next_entry(tb_value *out, tb_render *run, tb_iter *iter)
{
    return entry_value(out, run, iter->source, iter->at++);
}

static tb_code previous(tb_value *out, tb_render *run, tb_iter *iter)
{
    size_t at = iter->end - 1 - iter->at++;
    tb_code rc;
    switch (iter->source.kind) {
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
        *out = iter->source.as.list->items[at];
        return TB_OK;
    case TB_VALUE_RANGE:
        *out = tb_int(iter->source.as.range->start + (int64_t)at * iter->source.as.range->step);
        return TB_OK;
    case TB_VALUE_STRING:
        rc = tb_string_cut(out, run, iter->source, at, at + 1);
        out->variant = iter->source.variant;
        return rc;
    default:
        return entry_value(out, run, iter->source, at);
    }
}

static tb_code next_of_nothing(tb_value *out, tb_render *run, tb_iter *iter)
{
    (void)run;
    (void)iter;
    *out = (tb_value){0};
    return TB_OK;
}

bool tb_value_is_iterable(tb_value value)
{
    size_t length;
    return value.kind == TB_VALUE_ITER || value.kind == TB_VALUE_LOOP || tb_value_length(&length, value);
}

static tb_iter *new_iter(tb_render *run, tb_value source, size_t end, tb_iter_step next)
{
    tb_iter *iter = tb_render_alloc(run, sizeof *iter);
    if (iter) {
        iter->source = source;
        iter->next = next;
        iter->end = end;
        iter->bounded = true;
    }
    return iter;
}

tb_code tb_iter_new(tb_iter **out, tb_render *run, tb_value value)
{
    size_t end = 0;
    tb_iter_step next;
    switch (value.kind) {
    case TB_VALUE_ITER:
        *out = value.as.iter;
        return TB_OK;
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
        next = next_item;
        break;
    case TB_VALUE_STRING:
        next = next_character;
        break;
    case TB_VALUE_RANGE:
        next = next_number;
        break;
    case TB_VALUE_DICT:
    case TB_VALUE_VIEW:
        next = next_entry;
        break;
    case TB_VALUE_UNDEFINED:
        next = next_of_nothing;
        break;
    case TB_VALUE_LOOP:
        return tb_render_fail(run, TB_EUNSUPPORTED, "walking the variable 'loop' is not supported");
    default:
        return tb_render_fail(run, TB_EINVAL, "a value of type '%s' cannot be walked", tb_value_kind_name(value.kind));
    }
    tb_value_length(&end, value);
    if (value.kind == TB_VALUE_STRING) // counted in bytes
        end = value.as.string->text.size;
    *out = new_iter(run, value, end, next);
    return *out ? TB_OK : run->err->code;
}

tb_code tb_iter_reversed(tb_value *out, tb_render *run, tb_value value)
{
    size_t end;
    *out = (tb_value){0};
    if (!tb_value_length(&end, value))
        return TB_OK;
    tb_iter *iter = new_iter(run, value, end, previous);
    if (!iter)
        return run->err->code;
    *out = (tb_value){.kind = TB_VALUE_ITER, .as.iter = iter};
    return TB_OK;
}

tb_code tb_iter_next(tb_value *out, tb_render *run, tb_iter *iter)
{
    *out = (tb_value){0};
    if (iter->bounded && iter->at >= iter->end)
        return TB_OK;
    if (iter->busy)
        return tb_render_fail(run, TB_EINVAL, "a generator is used by what it runs");
    tb_code rc = tb_render_work(run, 1);
    if (!rc)
        rc = tb_render_enter(run);
    if (rc)
        return rc;
    iter->busy = true;
    rc = iter->next(out, run, iter);
    iter->busy = false;
    run->depth--;
    return rc;
}

tb_code tb_iter_make(tb_value *out, tb_render *run, tb_value source, tb_iter_step next, const void *how)
{
    tb_iter *iter = new_iter(run, source, 0, next);
    if (!iter)
        return run->err->code;
    iter->how = how;
    iter->bounded = false;
    *out = (tb_value){.kind = TB_VALUE_ITER, .as.iter = iter};
    return TB_OK;
}

tb_code tb_iter_start(tb_render *run, tb_iter *iter)
{
    return iter->inner ? TB_OK : tb_iter_new(&iter->inner, run, iter->source);
}

tb_code tb_value_collect(tb_value *out, tb_render *run, tb_value_kind kind, tb_value value)
{
    if (value.kind == kind && value.variant == 0) {
        *out = value;
        return TB_OK;
    }
    tb_iter *iter;
    tb_list_builder items = {0};
    tb_value item = tb_none();
    tb_code rc = tb_iter_new(&iter, run, value);
    while (!rc && item.kind != TB_VALUE_MISSING) {
        rc = tb_iter_next(&item, run, iter);
        if (!rc && item.kind != TB_VALUE_MISSING)
            rc = tb_list_builder_add(&items, run, item);
    }
    return rc ? rc : tb_list_builder_finish(out, run, &items, kind);
}

// ---- sorting: merges of runs that double in length, so that equal items keep their order ----

typedef struct sort_item {
    tb_value key, value;
} sort_item;

// Merges [begin, middle) and [middle, end) of `from` into `to`.
static tb_code merge(tb_render *run, sort_item *to, const sort_item *from, size_t begin, size_t middle, size_t end,
                     bool reverse)
{
    size_t left = begin, right = middle;
    tb_code rc = TB_OK;
    for (size_t i = begin; i < end && !rc; i++) {
        bool take_right = left == middle;
        if (!take_right && right < end) // the right one only if it strictly comes first
            rc = reverse ? tb_value_less(&take_right, run, from[left].key, from[right].key)
                         : tb_value_less(&take_right, run, from[right].key, from[left].key);
        to[i] = take_right ? from[right++] : from[left++];
    }
    return rc;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

tb_code tb_list_sort(tb_value *out, tb_render *run, tb_value list, const tb_value *keys, bool reverse)
{
    size_t n = list.as.list->count;
    sort_item *from = tb_render_array(run, n, sizeof *from), *to = from ? tb_render_array(run, n, sizeof *to) : NULL;
    if (!to)
        return run->err->code;
    for (size_t i = 0; i < n; i++)
        from[i] = (sort_item){keys[i], list.as.list->items[i]};
    tb_code rc = TB_OK;
    for (size_t width = 1; width < n && !rc; width *= 2) {
        for (size_t begin = 0; begin < n && !rc; begin += 2 * width)
            rc = merge(run, to, from, begin, smaller(begin + width, n), smaller(begin + 2 * width, n), reverse);
        sort_item *swap = from;
        from = to;
        to = swap;
    }
    if (!rc)
        rc = tb_list_new(out, run, TB_VALUE_LIST, n);
    for (size_t i = 0; i < n && !rc; i++)
        out->as.list->items[i] = from[i].value;
    return rc;
}
