#include "template/iter.h"

// ---- walking values ----

static tb_value next_item(tb_render *run, tb_iter *iter)
{
    (void)run;
    return iter->source.as.list->items[iter->at++];
}

static tb_value next_character(tb_render *run, tb_iter *iter)
{
    uint32_t c;
    tb_piece text = tb_value_text(iter->source);
    size_t at = iter->at, n = tb_utf8_decode(&c, text.data + at, text.size - at);
    iter->at += n;
    return tb_string_borrow(run, tb_piece_cut(text, at, n)); // plain even of Markup
}

static tb_value number_of(const tb_range *range, size_t at)
{
    return tb_int(range->start + (int64_t)at * range->step);
}

static tb_value next_number(tb_render *run, tb_iter *iter)
{
    (void)run;
    return number_of(iter->source.as.range, iter->at++);
}

static tb_value entry_value(tb_render *run, tb_value dict, size_t at)
{
    const tb_dict_entry *entry = &dict.as.dict->entries[at];
    if (dict.kind == TB_VALUE_VIEW && dict.variant == TB_VIEW_ITEMS)
        return tb_list_from(run, TB_VALUE_TUPLE, (tb_value[]){entry->key, entry->value}, 2);
    return dict.kind == TB_VALUE_VIEW && dict.variant == TB_VIEW_VALUES ? entry->value : entry->key;
}

static tb_value next_entry(tb_render *run, tb_iter *iter)
{
    return entry_value(run, iter->source, iter->at++);
}

static tb_value previous(tb_render *run, tb_iter *iter)
{
    size_t at = iter->end - 1 - iter->at++;
    switch (iter->source.kind) {
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
        return iter->source.as.list->items[at];
    case TB_VALUE_RANGE:
        return number_of(iter->source.as.range, at);
    case TB_VALUE_STRING:
        return tb_marked_like(tb_string_cut(run, iter->source, at, at + 1), iter->source);
    default:
        return entry_value(run, iter->source, at);
    }
}

static tb_value next_of_nothing(tb_render *run, tb_iter *iter)
{
    (void)run;
    (void)iter;
    return tb_missing();
}

bool tb_value_is_iterable(tb_value value)
{
    size_t length;
    return value.kind == TB_VALUE_ITER || value.kind == TB_VALUE_LOOP || tb_value_length(&length, value);
}

static tb_iter *new_iter(tb_render *run, tb_value source, size_t end, tb_iter_step next)
{
    tb_iter *iter = tb_render_alloc(run, sizeof *iter);
    if (iter)
        *iter = (tb_iter){.source = source, .next = next, .end = end, .bounded = true};
    return iter;
}

static tb_iter_step step_of(tb_value_kind kind)
{
    switch (kind) {
    case TB_VALUE_LIST:
    case TB_VALUE_TUPLE:
        return next_item;
    case TB_VALUE_STRING:
        return next_character;
    case TB_VALUE_RANGE:
        return next_number;
    case TB_VALUE_DICT:
    case TB_VALUE_VIEW:
        return next_entry;
    case TB_VALUE_UNDEFINED:
        return next_of_nothing;
    default:
        return NULL;
    }
}

tb_iter *tb_iter_new(tb_render *run, tb_value value)
{
    size_t end = 0;
    tb_iter_step next = step_of((tb_value_kind)value.kind);
    if (value.kind == TB_VALUE_ITER)
        return value.as.iter;
    if (value.kind == TB_VALUE_LOOP)
        tb_render_fail(run, TB_EUNSUPPORTED, "walking the variable 'loop' is not supported");
    else if (!next)
        tb_render_fail(run, TB_EINVAL, "a value of type '%s' cannot be walked", tb_value_kind_name(value.kind));
    tb_value_length(&end, value);
    if (value.kind == TB_VALUE_STRING) // counted in bytes
        end = tb_value_text(value).size;
    return new_iter(run, value, end, next);
}

static tb_value iter_value(tb_iter *iter)
{
    return iter ? (tb_value){.kind = TB_VALUE_ITER, .as.iter = iter} : tb_missing();
}

tb_value tb_iter_reversed(tb_render *run, tb_value value)
{
    size_t end;
    return tb_value_length(&end, value) ? iter_value(new_iter(run, value, end, previous)) : tb_missing();
}

tb_value tb_iter_next(tb_render *run, tb_iter *iter)
{
    if (!iter || (iter->bounded && iter->at >= iter->end))
        return tb_missing();
    if (iter->busy)
        return tb_render_fail(run, TB_EINVAL, "a generator is used by what it runs");
    tb_render_work(run, 1);
    if (!tb_render_enter(run))
        return tb_missing();
    iter->busy = true;
    tb_value next = iter->next(run, iter);
    iter->busy = false;
    run->depth--;
    return run->rc ? tb_missing() : next;
}

tb_value tb_iter_make(tb_render *run, tb_value source, tb_iter_step next, const void *how)
{
    tb_iter *iter = new_iter(run, source, 0, next);
    if (iter) {
        iter->how = how;
        iter->bounded = false;
    }
    return iter_value(iter);
}

tb_value tb_iter_next_of_source(tb_render *run, tb_iter *iter)
{
    if (!iter->inner)
        iter->inner = tb_iter_new(run, iter->source);
    return tb_iter_next(run, iter->inner);
}

tb_value tb_value_collect(tb_render *run, tb_value_kind kind, tb_value value)
{
    if (value.kind == kind)
        return value;
    tb_list_builder items = {0};
    tb_iter *iter = tb_iter_new(run, value);
    for (tb_value item; (item = tb_iter_next(run, iter)).kind != TB_VALUE_MISSING;)
        tb_list_builder_add(&items, run, item);
    return tb_list_builder_finish(run, &items, kind);
}

// ---- sorting: merges of runs that double in length, so that equal items keep their order ----

typedef struct sort_item {
    tb_value key, value;
} sort_item;

// Merges [begin, middle) and [middle, end) of `from` into `to`.
static void merge(tb_render *run, sort_item *to, const sort_item *from, size_t begin, size_t middle, size_t end,
                  bool reverse)
{
    size_t left = begin, right = middle;
    for (size_t i = begin; i < end && !run->rc; i++) {
        bool take_right = left == middle;
        if (!take_right && right < end) // the right one only if it strictly comes first
            take_right = reverse ? tb_value_less(run, from[left].key, from[right].key)
                                 : tb_value_less(run, from[right].key, from[left].key);
        to[i] = take_right ? from[right++] : from[left++];
    }
}

tb_value tb_list_sort(tb_render *run, tb_value list, const tb_value *keys, bool reverse)
{
    size_t n = tb_value_list(list)->count;
    sort_item *from = tb_render_array(run, n, sizeof *from), *to = tb_render_array(run, n, sizeof *to);
    for (size_t i = 0; i < n && !run->rc; i++)
        from[i] = (sort_item){keys[i], list.as.list->items[i]};
    for (size_t width = 1; width < n && !run->rc; width *= 2) {
        for (size_t begin = 0; begin < n && !run->rc; begin += 2 * width)
            merge(run, to, from, begin, tb_min_size(begin + width, n), tb_min_size(begin + 2 * width, n), reverse);
        sort_item *swap = from;
        from = to;
        to = swap;
    }
    tb_value sorted = tb_list_new(run, TB_VALUE_LIST, n);
    for (size_t i = 0; i < n && !run->rc; i++)
        sorted.as.list->items[i] = from[i].value;
    return sorted;
}
