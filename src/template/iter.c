#include "template/iter.h"

// ---- walking values ----

static tb_code next_item(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    (void)run;
    *out = iter->source.as.list->items[iter->at++];
    return TB_OK;
}

static tb_code next_character(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    uint32_t c;
    tb_text text = tb_jtext(iter->source);
    size_t n = tb_utf8_decode(&c, text.data + iter->at, text.size - iter->at);
    iter->at += n;
    return tb_jstring_borrow(out, run, (tb_text){text.data + iter->at - n, n}); // plain even of Markup
}

static tb_code next_number(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    (void)run;
    const tb_jrange *range = iter->source.as.range;
    *out = tb_jint(range->start + (int64_t)iter->at++ * range->step);
    return TB_OK;
}

static tb_code entry_value(tb_jvalue *out, tb_jrun *run, tb_jvalue dict, size_t at)
{
    const tb_jentry *entry = &dict.as.dict->entries[at];
    if (dict.kind == TB_J_VIEW && dict.variant == TB_JVIEW_ITEMS) {
        const tb_jvalue pair[] = {entry->key, entry->value};
        return tb_jlist_from(out, run, TB_J_TUPLE, pair, 2);
    }
    *out = dict.kind == TB_J_VIEW && dict.variant == TB_JVIEW_VALUES ? entry->value : entry->key;
    return TB_OK;
}

static tb_code next_entry(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    return entry_value(out, run, iter->source, iter->at++);
}

static tb_code previous(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    size_t at = iter->end - 1 - iter->at++;
    tb_code rc;
    switch (iter->source.kind) {
    case TB_J_LIST:
    case TB_J_TUPLE:
        *out = iter->source.as.list->items[at];
        return TB_OK;
    case TB_J_RANGE:
        *out = tb_jint(iter->source.as.range->start + (int64_t)at * iter->source.as.range->step);
        return TB_OK;
    case TB_J_STRING:
        rc = tb_jstring_cut(out, run, iter->source, at, at + 1);
        out->variant = iter->source.variant;
        return rc;
    default:
        return entry_value(out, run, iter->source, at);
    }
}

static tb_code next_of_nothing(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    (void)run;
    (void)iter;
    *out = (tb_jvalue){0};
    return TB_OK;
}

bool tb_jis_iterable(tb_jvalue value)
{
    size_t length;
    return value.kind == TB_J_ITER || value.kind == TB_J_LOOP || tb_jlength(&length, value);
}

static tb_jiter *new_iter(tb_jrun *run, tb_jvalue source, size_t end,
                          tb_code (*next)(tb_jvalue *, tb_jrun *, tb_jiter *))
{
    tb_jiter *iter = tb_jrun_alloc(run, sizeof *iter);
    if (iter) {
        iter->source = source;
        iter->next = next;
        iter->end = end;
        iter->bounded = true;
    }
    return iter;
}

tb_code tb_jiter_new(tb_jiter **out, tb_jrun *run, tb_jvalue value)
{
    size_t end = 0;
    tb_code (*next)(tb_jvalue *, tb_jrun *, tb_jiter *);
    switch (value.kind) {
    case TB_J_ITER:
        *out = value.as.iter;
        return TB_OK;
    case TB_J_LIST:
    case TB_J_TUPLE:
        next = next_item;
        break;
    case TB_J_STRING:
        next = next_character;
        break;
    case TB_J_RANGE:
        next = next_number;
        break;
    case TB_J_DICT:
    case TB_J_VIEW:
        next = next_entry;
        break;
    case TB_J_UNDEFINED:
        next = next_of_nothing;
        break;
    case TB_J_LOOP:
        return tb_jrun_fail(run, TB_EUNSUPPORTED, "walking the variable 'loop' is not supported");
    default:
        return tb_jrun_fail(run, TB_EINVAL, "a value of type '%s' cannot be walked", tb_jkind_name(value.kind));
    }
    tb_jlength(&end, value);
    if (value.kind == TB_J_STRING) // counted in bytes
        end = value.as.string->size;
    *out = new_iter(run, value, end, next);
    return *out ? TB_OK : run->err->code;
}

tb_code tb_jiter_reversed(tb_jvalue *out, tb_jrun *run, tb_jvalue value)
{
    size_t end;
    *out = (tb_jvalue){0};
    if (!tb_jlength(&end, value))
        return TB_OK;
    tb_jiter *iter = new_iter(run, value, end, previous);
    if (!iter)
        return run->err->code;
    *out = (tb_jvalue){.kind = TB_J_ITER, .as.iter = iter};
    return TB_OK;
}

tb_code tb_jiter_next(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    *out = (tb_jvalue){0};
    if (iter->bounded && iter->at >= iter->end)
        return TB_OK;
    if (iter->busy)
        return tb_jrun_fail(run, TB_EINVAL, "a generator is used by what it runs");
    tb_code rc = tb_jrun_work(run, 1);
    if (!rc)
        rc = tb_jrun_enter(run);
    if (rc)
        return rc;
    iter->busy = true;
    rc = iter->next(out, run, iter);
    iter->busy = false;
    run->depth--;
    return rc;
}

tb_code tb_jiter_make(tb_jvalue *out, tb_jrun *run, tb_jvalue source,
                      tb_code (*next)(tb_jvalue *, tb_jrun *, tb_jiter *), const void *how)
{
    tb_jiter *iter = new_iter(run, source, 0, next);
    if (!iter)
        return run->err->code;
    iter->how = how;
    iter->bounded = false;
    *out = (tb_jvalue){.kind = TB_J_ITER, .as.iter = iter};
    return TB_OK;
}

tb_code tb_jiter_start(tb_jrun *run, tb_jiter *iter)
{
    return iter->inner ? TB_OK : tb_jiter_new(&iter->inner, run, iter->source);
}

tb_code tb_jcollect(tb_jvalue *out, tb_jrun *run, tb_jkind kind, tb_jvalue value)
{
    if (value.kind == kind && value.variant == 0) {
        *out = value;
        return TB_OK;
    }
    tb_jiter *iter;
    tb_jbuilder items = {0};
    tb_jvalue item = tb_jnone();
    tb_code rc = tb_jiter_new(&iter, run, value);
    while (!rc && item.kind != TB_J_MISSING) {
        rc = tb_jiter_next(&item, run, iter);
        if (!rc && item.kind != TB_J_MISSING)
            rc = tb_jbuilder_add(&items, run, item);
    }
    return rc ? rc : tb_jbuilder_finish(out, run, &items, kind);
}

// ---- sorting: merges of runs that double in length, so that equal items keep their order ----

typedef struct sort_item {
    tb_jvalue key, value;
} sort_item;

// Merges [begin, middle) and [middle, end) of `from` into `to`.
static tb_code merge(tb_jrun *run, sort_item *to, const sort_item *from, size_t begin, size_t middle, size_t end,
                     bool reverse)
{
    size_t left = begin, right = middle;
    tb_code rc = TB_OK;
    for (size_t i = begin; i < end && !rc; i++) {
        bool take_right = left == middle;
        if (!take_right && right < end) // the right one only if it strictly comes first
            rc = reverse ? tb_jless(&take_right, run, from[left].key, from[right].key)
                         : tb_jless(&take_right, run, from[right].key, from[left].key);
        to[i] = take_right ? from[right++] : from[left++];
    }
    return rc;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

tb_code tb_jsort(tb_jvalue *out, tb_jrun *run, tb_jvalue list, const tb_jvalue *keys, bool reverse)
{
    size_t n = list.as.list->count;
    sort_item *from = tb_jrun_array(run, n, sizeof *from), *to = from ? tb_jrun_array(run, n, sizeof *to) : NULL;
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
        rc = tb_jlist_new(out, run, TB_J_LIST, n);
    for (size_t i = 0; i < n && !rc; i++)
        out->as.list->items[i] = from[i].value;
    return rc;
}
