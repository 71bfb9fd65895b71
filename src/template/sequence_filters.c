// Filters on sequences. Those that Python makes generators work only when their result is walked.
#include <string.h>

#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"

static tb_code next_of(tb_value *out, tb_render *run, tb_iter *iter)
{
    tb_code rc = tb_iter_start(run, iter);
    return rc ? rc : tb_iter_next(out, run, iter->inner);
}

// ---- keys ----

// What items are compared by: the value at a path, in lower case unless case matters.
static tb_code key_of(tb_value *out, tb_render *run, tb_value item, tb_value path, tb_value fallback,
                      bool case_sensitive)
{
    tb_code rc = tb_get_path(out, run, item, path, fallback);
    if (rc || case_sensitive || out->kind != TB_VALUE_STRING)
        return rc;
    tb_call nothing = {0};
    return tb_builtin_call(out, run, tb_filter_find(tb_piece_literal("lower")), "filter", *out, &nothing);
}

static tb_code keys_of(tb_value **out, tb_render *run, tb_value list, tb_value path, tb_value fallback,
                       bool case_sensitive)
{
    size_t n = list.as.list->count;
    tb_value *keys = *out = tb_render_array(run, n, sizeof *keys);
    tb_code rc = keys ? TB_OK : run->err->code;
    for (size_t i = 0; i < n && !rc; i++)
        rc = key_of(&keys[i], run, list.as.list->items[i], path, fallback, case_sensitive);
    return rc;
}

// ---- ends, lists, order ----

static tb_code run_first(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_iter *iter;
    tb_code rc = tb_iter_new(&iter, run, call->self);
    if (!rc)
        rc = tb_iter_next(out, run, iter);
    if (!rc && out->kind == TB_VALUE_MISSING)
        *out = tb_undefined_hint("there is no first item");
    return rc;
}

static tb_code run_last(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value backwards;
    tb_code rc = tb_iter_reversed(&backwards, run, call->self);
    if (!rc && backwards.kind == TB_VALUE_MISSING)
        rc = tb_render_wrong_type(run, "the filter 'last'", call->self);
    if (!rc)
        rc = tb_iter_next(out, run, backwards.as.iter);
    if (!rc && out->kind == TB_VALUE_MISSING)
        *out = tb_undefined_hint("there is no last item");
    return rc;
}

static tb_code run_list(tb_value *out, tb_render *run, const tb_call *call)
{
    return tb_value_collect(out, run, TB_VALUE_LIST, call->self);
}

static tb_code run_reverse(tb_value *out, tb_render *run, const tb_call *call)
{
    const tb_value bounds[] = {tb_none(), tb_none(), tb_int(-1)};
    tb_value list;
    if (call->self.kind == TB_VALUE_STRING)
        return tb_get_slice(out, run, call->self, bounds);
    tb_code rc = tb_iter_reversed(out, run, call->self);
    if (rc || out->kind != TB_VALUE_MISSING)
        return rc;
    rc = tb_value_collect(&list, run, TB_VALUE_LIST, call->self);
    return rc ? rc : tb_get_slice(out, run, list, bounds);
}

// One key, or several with commas between; compared as lists are.
static tb_code sort_keys(tb_value **out, tb_render *run, tb_value list, tb_value attribute, bool case_sensitive)
{
    static const tb_piece comma = {.data = ",", .size = 1};
    size_t n = list.as.list->count;
    tb_value paths;
    tb_value *keys = *out = tb_render_array(run, n, sizeof *keys);
    tb_code rc = keys ? TB_OK : run->err->code;
    if (!rc && attribute.kind == TB_VALUE_STRING)
        rc = tb_split_text(&paths, run, attribute, &comma, -1, false);
    else if (!rc)
        rc = tb_list_from(&paths, run, TB_VALUE_LIST, &attribute, 1);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = tb_list_new(&keys[i], run, TB_VALUE_LIST, paths.as.list->count);
        for (size_t k = 0; !rc && k < paths.as.list->count; k++)
            rc = key_of(&keys[i].as.list->items[k], run, list.as.list->items[i], paths.as.list->items[k], tb_none(),
                        case_sensitive);
    }
    return rc;
}

static tb_code run_sort(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value list, *keys;
    int64_t reverse;
    tb_code rc = tb_value_collect(&list, run, TB_VALUE_LIST, call->self);
    if (!rc)
        rc = tb_argument_int(&reverse, run, "the order of sort", call->args[0], false);
    if (!rc)
        rc = sort_keys(&keys, run, list, call->args[2], tb_argument_truth(call->args[1], false));
    return rc ? rc : tb_list_sort(out, run, list, keys, reverse != 0);
}

static tb_code run_dictsort(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_piece by;
    int64_t reverse;
    tb_value list, *keys;
    if (call->self.kind != TB_VALUE_DICT)
        return tb_render_wrong_type(run, "the filter 'dictsort'", call->self);
    tb_code rc = tb_argument_text(&by, run, "the filter 'dictsort'", call->args[1], "key");
    bool by_value = !rc && tb_piece_is(by, "value");
    if (!rc && !by_value && !tb_piece_is(by, "key"))
        rc = tb_render_fail(run, TB_EINVAL, "the filter 'dictsort' sorts by 'key' or by 'value'");
    tb_value items = {.kind = TB_VALUE_VIEW, .variant = TB_VIEW_ITEMS, .as.dict = call->self.as.dict};
    if (!rc)
        rc = tb_argument_int(&reverse, run, "the order of dictsort", call->args[2], false);
    if (!rc)
        rc = tb_value_collect(&list, run, TB_VALUE_LIST, items);
    if (!rc)
        rc = keys_of(&keys, run, list, tb_int(by_value), tb_none(), tb_argument_truth(call->args[0], false));
    return rc ? rc : tb_list_sort(out, run, list, keys, reverse != 0);
}

// ---- one value of many ----

enum { MIN, MAX };

static tb_code find_extreme(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value list, *keys;
    bool better;
    size_t best = 0;
    tb_code rc = tb_value_collect(&list, run, TB_VALUE_LIST, call->self);
    if (!rc)
        rc = keys_of(&keys, run, list, call->args[1], tb_none(), tb_argument_truth(call->args[0], false));
    for (size_t i = 1; !rc && i < list.as.list->count; i++) {
        rc = call->how == MAX ? tb_value_less(&better, run, keys[best], keys[i])
                              : tb_value_less(&better, run, keys[i], keys[best]);
        best = !rc && better ? i : best;
    }
    if (!rc)
        *out = list.as.list->count ? list.as.list->items[best] : tb_undefined_hint("there is no item");
    return rc;
}

static tb_code run_sum(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_iter *iter;
    tb_value item = tb_none(), sum = call->args[1].kind == TB_VALUE_MISSING ? tb_int(0) : call->args[1];
    tb_code rc = tb_iter_new(&iter, run, call->self);
    if (!rc && sum.kind == TB_VALUE_STRING)
        rc = tb_render_wrong_type(run, "the filter 'sum'", sum);
    while (!rc) {
        rc = tb_iter_next(&item, run, iter);
        if (rc || item.kind == TB_VALUE_MISSING)
            break;
        rc = tb_get_path(&item, run, item, call->args[0], tb_none());
        if (!rc)
            rc = tb_arith(&sum, run, TB_OPERATOR_ADD, sum, item);
    }
    *out = sum;
    return rc;
}

static tb_code run_join(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value items, separator, item;
    tb_code rc = tb_value_collect(&items, run, TB_VALUE_LIST, call->self);
    if (!rc && call->args[0].kind == TB_VALUE_MISSING)
        rc = tb_string_new(&separator, run, tb_piece_literal(""));
    else if (!rc)
        rc = tb_to_string(&separator, run, call->args[0], false);
    size_t mark = tb_render_begin(run);
    for (size_t i = 0; !rc && i < items.as.list->count; i++) {
        if (i > 0)
            rc = tb_render_write(run, tb_value_text(separator));
        if (!rc)
            rc = tb_get_path(&item, run, items.as.list->items[i], call->args[1], tb_none());
        if (!rc)
            rc = tb_write_str(run, item);
    }
    return rc ? rc : tb_render_take(out, run, mark);
}

// ---- filters that work when their result is walked ----

static tb_code next_unique(tb_value *out, tb_render *run, tb_iter *iter)
{
    const tb_call *call = iter->how;
    tb_value key, seen = {.kind = TB_VALUE_DICT, .as.dict = iter->seen}, before;
    tb_code rc = iter->seen ? TB_OK : tb_dict_new(&seen, run);
    iter->seen = rc ? NULL : seen.as.dict;
    while (!rc) {
        rc = next_of(out, run, iter);
        if (rc || out->kind == TB_VALUE_MISSING)
            break;
        rc = key_of(&key, run, *out, call->args[1], tb_none(), tb_argument_truth(call->args[0], false));
        if (!rc)
            rc = tb_dict_get(&before, run, iter->seen, key);
        if (!rc && before.kind == TB_VALUE_MISSING)
            return tb_dict_set(iter->seen, run, key, tb_none());
    }
    return rc;
}

static tb_code next_dict_item(tb_value *out, tb_render *run, tb_iter *iter)
{
    if (!iter->inner && iter->source.kind != TB_VALUE_DICT && iter->source.kind != TB_VALUE_UNDEFINED)
        return tb_render_wrong_type(run, "the filter 'items'", iter->source);
    if (iter->source.kind == TB_VALUE_DICT && !iter->inner) {
        iter->source.kind = TB_VALUE_VIEW;
        iter->source.variant = TB_VIEW_ITEMS;
    }
    return next_of(out, run, iter);
}

// The call of a filter or test whose name is argument number `skip` of `call`; what follows are its arguments.
static tb_code call_by_name(tb_value *out, tb_render *run, const tb_call *call, size_t skip, const char *what,
                            tb_value item)
{
    bool is_filter = strcmp(what, "filter") == 0;
    tb_value name = call->values[skip];
    tb_call rest = {.count = call->count - skip - 1,
                    .values = call->values + skip + 1,
                    .keyword_count = call->keyword_count,
                    .keywords = call->keywords};
    const tb_builtin *function = name.kind != TB_VALUE_STRING ? NULL
                                 : is_filter                  ? tb_filter_find(tb_value_text(name))
                                                              : tb_test_find(tb_value_text(name));
    if (!function)
        return tb_render_fail(run, TB_EINVAL, "there is no %s '%.*s'", what,
                              name.kind == TB_VALUE_STRING ? (int)name.as.string->text.size : 1,
                              name.kind == TB_VALUE_STRING ? name.as.string->text.data : "?");
    tb_code rc = tb_render_work(run, TB_STEPS_PER_LOOKUP);
    return rc ? rc : tb_builtin_call(out, run, function, what, item, &rest);
}

static tb_value keyword(const tb_call *call, const char *name, bool *found)
{
    for (size_t i = 0; i < call->keyword_count; i++)
        if (tb_piece_is(call->keywords[i].name->text, name)) {
            *found = true;
            return call->keywords[i].value;
        }
    *found = false;
    return tb_none();
}

static tb_code map_item(tb_value *out, tb_render *run, const tb_call *call, tb_value item)
{
    bool has_attribute, has_default;
    tb_value attribute = keyword(call, "attribute", &has_attribute);
    tb_value fallback = keyword(call, "default", &has_default);
    if (call->count > 0)
        return call_by_name(out, run, call, 0, "filter", item);
    if (!has_attribute || call->keyword_count != 1u + has_default)
        return tb_render_fail(run, TB_EINVAL, "the filter 'map' needs a filter's name, or an attribute and no more");
    return tb_get_path(out, run, item, attribute, fallback);
}

// Nothing false is walked, none included.
static bool is_nothing(const tb_iter *iter)
{
    return !iter->inner && !tb_value_truth(iter->source);
}

static tb_code next_mapped(tb_value *out, tb_render *run, tb_iter *iter)
{
    tb_value item;
    if (is_nothing(iter)) {
        *out = (tb_value){0};
        return TB_OK;
    }
    tb_code rc = next_of(&item, run, iter);
    *out = item;
    return rc || item.kind == TB_VALUE_MISSING ? rc : map_item(out, run, iter->how, item);
}

enum { BY_ATTRIBUTE = 1, REJECTS = 2 }; // `how` of select and its kin

static tb_code is_selected(bool *out, tb_render *run, const tb_call *call, tb_value item)
{
    tb_value value = item;
    bool by_attribute = call->how & BY_ATTRIBUTE, rejects = call->how & REJECTS;
    tb_code rc = TB_OK;
    if (by_attribute && call->count == 0)
        return tb_render_fail(run, TB_EINVAL, "the filter needs the name of an attribute");
    if (by_attribute)
        rc = tb_get_path(&value, run, item, call->values[0], tb_none());
    if (!rc && call->count > by_attribute)
        rc = call_by_name(&value, run, call, by_attribute, "test", value);
    *out = !rc && tb_value_truth(value) != rejects;
    return rc;
}

static tb_code next_selected(tb_value *out, tb_render *run, tb_iter *iter)
{
    bool selected = false;
    tb_code rc = TB_OK;
    *out = (tb_value){0};
    if (is_nothing(iter))
        return TB_OK;
    while (!rc && !selected) {
        rc = next_of(out, run, iter);
        if (rc || out->kind == TB_VALUE_MISSING)
            break;
        rc = is_selected(&selected, run, iter->how, *out);
    }
    return rc;
}

// An iterator that keeps the call it was made by.
static tb_code make_lazy(tb_value *out, tb_render *run, const tb_call *call, tb_iter_step next)
{
    tb_call *copy = tb_render_alloc(run, sizeof *copy);
    if (!copy)
        return run->err->code;
    *copy = *call;
    return tb_iter_make(out, run, call->self, next, copy);
}

static tb_code run_unique(tb_value *out, tb_render *run, const tb_call *call)
{
    return make_lazy(out, run, call, next_unique);
}

static tb_code run_items(tb_value *out, tb_render *run, const tb_call *call)
{
    return make_lazy(out, run, call, next_dict_item);
}

static tb_code run_map(tb_value *out, tb_render *run, const tb_call *call)
{
    return make_lazy(out, run, call, next_mapped);
}

static tb_code run_select(tb_value *out, tb_render *run, const tb_call *call)
{
    return make_lazy(out, run, call, next_selected);
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
