// Filters on sequences. Those that Python makes generators work only when their result is walked.
#include <string.h>

#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"

// ---- keys ----

// What items are compared by: the value at a path, in lower case unless case matters.
static tb_value key_of(tb_render *run, tb_value item, tb_value path, bool case_sensitive)
{
    tb_value key = tb_get_path(run, item, path, tb_none());
    if (case_sensitive || key.kind != TB_VALUE_STRING)
        return key;
    return tb_builtin_call(run, tb_filter_find(tb_piece_literal("lower")), "filter", key, &(tb_call){0});
}

static tb_value *keys_of(tb_render *run, const tb_list *list, tb_value path, bool case_sensitive)
{
    tb_value *keys = tb_render_array(run, list->count, sizeof *keys);
    for (size_t i = 0; i < list->count && !run->rc; i++)
        keys[i] = key_of(run, list->items[i], path, case_sensitive);
    return keys;
}

// ---- ends, lists, order ----

static tb_value or_undefined(tb_render *run, tb_value item, const char *why)
{
    return item.kind == TB_VALUE_MISSING && !run->rc ? tb_undefined_hint(why) : item;
}

static tb_value run_first(tb_render *run, const tb_call *call)
{
    return or_undefined(run, tb_iter_next(run, tb_iter_new(run, call->self)), "there is no first item");
}

static tb_value run_last(tb_render *run, const tb_call *call)
{
    tb_value backwards = tb_iter_reversed(run, call->self);
    if (backwards.kind == TB_VALUE_MISSING)
        return tb_render_wrong_type(run, "the filter 'last'", call->self);
    return or_undefined(run, tb_iter_next(run, backwards.as.iter), "there is no last item");
}

static tb_value run_list(tb_render *run, const tb_call *call)
{
    return tb_value_collect(run, TB_VALUE_LIST, call->self);
}

static tb_value run_reverse(tb_render *run, const tb_call *call)
{
    const tb_value bounds[] = {tb_none(), tb_none(), tb_int(-1)};
    if (call->self.kind == TB_VALUE_STRING)
        return tb_get_slice(run, call->self, bounds);
    tb_value backwards = tb_iter_reversed(run, call->self);
    if (backwards.kind != TB_VALUE_MISSING)
        return backwards;
    return tb_get_slice(run, tb_value_collect(run, TB_VALUE_LIST, call->self), bounds);
}

// One key, or several with commas between; compared as lists are.
static tb_value *sort_keys(tb_render *run, const tb_list *list, tb_value attribute, bool case_sensitive)
{
    static const tb_piece comma = {.data = ",", .size = 1};
    tb_value *keys = tb_render_array(run, list->count, sizeof *keys);
    tb_value parts = attribute.kind == TB_VALUE_STRING ? tb_split_text(run, attribute, &comma, -1, false)
                                                       : tb_list_from(run, TB_VALUE_LIST, &attribute, 1);
    const tb_list *paths = tb_value_list(parts);
    for (size_t i = 0; i < list->count && !run->rc; i++) {
        keys[i] = tb_list_new(run, TB_VALUE_LIST, paths->count);
        for (size_t k = 0; k < paths->count && !run->rc; k++)
            keys[i].as.list->items[k] = key_of(run, list->items[i], paths->items[k], case_sensitive);
    }
    return keys;
}

static tb_value run_sort(tb_render *run, const tb_call *call)
{
    tb_value list = tb_value_collect(run, TB_VALUE_LIST, call->self);
    int64_t reverse = tb_argument_int(run, "the order of sort", call->args[0], false);
    const tb_value *keys = sort_keys(run, tb_value_list(list), call->args[2], tb_argument_truth(call->args[1], false));
    return tb_list_sort(run, list, keys, reverse != 0);
}

static tb_value run_dictsort(tb_render *run, const tb_call *call)
{
    if (call->self.kind != TB_VALUE_DICT)
        return tb_render_wrong_type(run, "the filter 'dictsort'", call->self);
    tb_piece by = tb_argument_text(run, "the filter 'dictsort'", call->args[1], "key");
    bool by_value = tb_piece_is(by, "value");
    if (!by_value && !tb_piece_is(by, "key"))
        return tb_render_fail(run, TB_EINVAL, "the filter 'dictsort' sorts by 'key' or by 'value'");
    int64_t reverse = tb_argument_int(run, "the order of dictsort", call->args[2], false);
    tb_value items = {.kind = TB_VALUE_VIEW, .variant = TB_VIEW_ITEMS, .as.dict = call->self.as.dict};
    tb_value list = tb_value_collect(run, TB_VALUE_LIST, items);
    const tb_value *keys = keys_of(run, tb_value_list(list), tb_int(by_value), tb_argument_truth(call->args[0], false));
    return tb_list_sort(run, list, keys, reverse != 0);
}

// ---- one value of many ----

enum { MIN, MAX };

static tb_value find_extreme(tb_render *run, const tb_call *call)
{
    const tb_list *list = tb_value_list(tb_value_collect(run, TB_VALUE_LIST, call->self));
    const tb_value *keys = keys_of(run, list, call->args[1], tb_argument_truth(call->args[0], false));
    size_t best = 0;
    for (size_t i = 1; i < list->count && !run->rc; i++)
        if (call->how == MAX ? tb_value_less(run, keys[best], keys[i]) : tb_value_less(run, keys[i], keys[best]))
            best = i;
    return list->count ? list->items[best] : tb_undefined_hint("there is no item");
}

static tb_value run_sum(tb_render *run, const tb_call *call)
{
    tb_iter *iter = tb_iter_new(run, call->self);
    tb_value sum = call->args[1].kind == TB_VALUE_MISSING ? tb_int(0) : call->args[1];
    if (sum.kind == TB_VALUE_STRING)
        return tb_render_wrong_type(run, "the filter 'sum'", sum);
    for (tb_value item; (item = tb_iter_next(run, iter)).kind != TB_VALUE_MISSING;)
        sum = tb_arith(run, TB_OPERATOR_ADD, sum, tb_get_path(run, item, call->args[0], tb_none()));
    return sum;
}

static tb_value run_join(tb_render *run, const tb_call *call)
{
    const tb_list *items = tb_value_list(tb_value_collect(run, TB_VALUE_LIST, call->self));
    tb_value separator = call->args[0];
    if (separator.kind != TB_VALUE_MISSING)
        separator = tb_to_string(run, separator, false);
    size_t mark = tb_render_begin(run);
    for (size_t i = 0; i < items->count && !run->rc; i++) {
        if (i > 0)
            tb_render_write(run, tb_value_text(separator));
        tb_write_str(run, tb_get_path(run, items->items[i], call->args[1], tb_none()));
    }
    return tb_render_take(run, mark);
}

// ---- filters that work when their result is walked ----

static tb_value next_unique(tb_render *run, tb_iter *iter)
{
    const tb_call *call = iter->how;
    if (!iter->seen)
        iter->seen = tb_dict_new(run).as.dict;
    for (tb_value item; (item = tb_iter_next_of_source(run, iter)).kind != TB_VALUE_MISSING;) {
        tb_value key = key_of(run, item, call->args[1], tb_argument_truth(call->args[0], false));
        if (run->rc || tb_dict_get(run, iter->seen, key).kind != TB_VALUE_MISSING)
            continue;
        tb_dict_set(run, iter->seen, key, tb_none());
        return item;
    }
    return tb_missing();
}

static tb_value next_dict_item(tb_render *run, tb_iter *iter)
{
    if (!iter->inner && iter->source.kind != TB_VALUE_DICT && iter->source.kind != TB_VALUE_UNDEFINED)
        return tb_render_wrong_type(run, "the filter 'items'", iter->source);
    if (iter->source.kind == TB_VALUE_DICT && !iter->inner) {
        iter->source.kind = TB_VALUE_VIEW;
        iter->source.variant = TB_VIEW_ITEMS;
    }
    return tb_iter_next_of_source(run, iter);
}

// The call of a filter or test whose name is argument number `skip` of `call`; what follows are its arguments.
static tb_value call_by_name(tb_render *run, const tb_call *call, size_t skip, const char *what, tb_value item)
{
    tb_value name = call->values[skip];
    tb_piece text = name.kind == TB_VALUE_STRING ? tb_value_text(name) : tb_piece_literal("?");
    tb_call rest = {.count = call->count - skip - 1,
                    .values = call->values + skip + 1,
                    .keyword_count = call->keyword_count,
                    .keywords = call->keywords};
    const tb_builtin *function = strcmp(what, "filter") == 0 ? tb_filter_find(text) : tb_test_find(text);
    tb_render_work(run, TB_STEPS_PER_LOOKUP);
    if (!function)
        return tb_render_fail(run, TB_EINVAL, "there is no %s '%.*s'", what, (int)text.size, text.data);
    return tb_builtin_call(run, function, what, item, &rest);
}

// MISSING when there is none.
static tb_value keyword(const tb_call *call, const char *name)
{
    for (size_t i = 0; i < call->keyword_count; i++)
        if (tb_piece_is(call->keywords[i].name->text, name))
            return call->keywords[i].value;
    return tb_missing();
}

static tb_value map_item(tb_render *run, const tb_call *call, tb_value item)
{
    tb_value attribute = keyword(call, "attribute"), fallback = keyword(call, "default");
    if (call->count > 0)
        return call_by_name(run, call, 0, "filter", item);
    if (attribute.kind == TB_VALUE_MISSING || call->keyword_count != 1u + (fallback.kind != TB_VALUE_MISSING))
        return tb_render_fail(run, TB_EINVAL, "the filter 'map' needs a filter's name, or an attribute and no more");
    return tb_get_path(run, item, attribute, fallback);
}

// Nothing false is walked, none included.
static bool is_nothing(const tb_iter *iter)
{
    return !iter->inner && !tb_value_truth(iter->source);
}

static tb_value next_mapped(tb_render *run, tb_iter *iter)
{
    tb_value item = is_nothing(iter) ? tb_missing() : tb_iter_next_of_source(run, iter);
    return item.kind == TB_VALUE_MISSING ? item : map_item(run, iter->how, item);
}

enum { BY_ATTRIBUTE = 1, REJECTS = 2 }; // `how` of select and its kin

static bool is_selected(tb_render *run, const tb_call *call, tb_value item)
{
    bool by_attribute = call->how & BY_ATTRIBUTE, rejects = call->how & REJECTS;
    if (by_attribute && call->count == 0)
        tb_render_fail(run, TB_EINVAL, "the filter needs the name of an attribute");
    else if (by_attribute)
        item = tb_get_path(run, item, call->values[0], tb_none());
    if (call->count > by_attribute)
        item = call_by_name(run, call, by_attribute, "test", item);
    return tb_value_truth(item) != rejects;
}

static tb_value next_selected(tb_render *run, tb_iter *iter)
{
    tb_value item = tb_missing();
    if (is_nothing(iter))
        return item;
    do
        item = tb_iter_next_of_source(run, iter);
    while (item.kind != TB_VALUE_MISSING && !is_selected(run, iter->how, item));
    return item;
}

// An iterator that keeps the call it was made by.
static tb_value make_lazy(tb_render *run, const tb_call *call, tb_iter_step next)
{
    tb_call *copy = tb_render_alloc(run, sizeof *copy);
    if (!copy)
        return tb_missing();
    *copy = *call;
    return tb_iter_make(run, call->self, next, copy);
}

static tb_value run_unique(tb_render *run, const tb_call *call)
{
    return make_lazy(run, call, next_unique);
}

static tb_value run_items(tb_render *run, const tb_call *call)
{
    return make_lazy(run, call, next_dict_item);
}

static tb_value run_map(tb_render *run, const tb_call *call)
{
    return make_lazy(run, call, next_mapped);
}

static tb_value run_select(tb_render *run, const tb_call *call)
{
    return make_lazy(run, call, next_selected);
}

const tb_builtin tb_sequence_filters[] = {
    {"batch", NULL, NULL, 0},
    {"dictsort", "case_sensitive? by? reverse?", run_dictsort, 0},
    {"first", "", run_first, 0},
    {"groupby", NULL, NULL, 0},
    {"items", "", run_items, 0},
    {"join", "d? attribute?", run_join, 0},
    {"last", "", run_last, 0},
    {"list", "", run_list, 0},
    {"map", NULL, run_map, 0},
    {"max", "case_sensitive? attribute?", find_extreme, MAX},
    {"min", "case_sensitive? attribute?", find_extreme, MIN},
    {"random", NULL, NULL, 0},
    {"reject", NULL, run_select, REJECTS},
    {"rejectattr", NULL, run_select, BY_ATTRIBUTE | REJECTS},
    {"reverse", "", run_reverse, 0},
    {"select", NULL, run_select, 0},
    {"selectattr", NULL, run_select, BY_ATTRIBUTE},
    {"slice", NULL, NULL, 0},
    {"sort", "reverse? case_sensitive? attribute?", run_sort, 0},
    {"sum", "attribute? start?", run_sum, 0},
    {"unique", "case_sensitive? attribute?", run_unique, 0},
    {NULL, NULL, NULL, 0},
};
