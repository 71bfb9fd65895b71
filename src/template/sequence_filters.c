// Filters on sequences. Those that Python makes generators work only when their result is walked.
#include <string.h>

#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"

static tb_code next_of(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    tb_code rc = tb_jiter_start(run, iter);
    return rc ? rc : tb_jiter_next(out, run, iter->inner);
}

// An iterator that keeps the call it was made by.
static tb_code make_lazy(tb_jvalue *out, tb_jrun *run, const tb_jcall *call,
                         tb_code (*next)(tb_jvalue *, tb_jrun *, tb_jiter *))
{
    tb_jcall *copy = tb_jrun_alloc(run, sizeof *copy);
    if (!copy)
        return run->err->code;
    *copy = *call;
    return tb_jiter_make(out, run, call->self, next, copy);
}

// ---- keys ----

// What items are compared by: the value at a path, in lower case unless case matters.
static tb_code key_of(tb_jvalue *out, tb_jrun *run, tb_jvalue item, tb_jvalue path, tb_jvalue fallback,
                      bool case_sensitive)
{
    tb_code rc = tb_jget_path(out, run, item, path, fallback);
    if (rc || case_sensitive || out->kind != TB_J_STRING)
        return rc;
    tb_jcall nothing = {0};
    return tb_jbuiltin_call(out, run, tb_jfilter_find((tb_text){"lower", 5}), "filter", *out, &nothing);
}

static tb_code keys_of(tb_jvalue **out, tb_jrun *run, tb_jvalue list, tb_jvalue path, tb_jvalue fallback,
                       bool case_sensitive)
{
    size_t n = list.as.list->count;
    tb_jvalue *keys = *out = tb_jrun_array(run, n, sizeof *keys);
    tb_code rc = keys ? TB_OK : run->err->code;
    for (size_t i = 0; i < n && !rc; i++)
        rc = key_of(&keys[i], run, list.as.list->items[i], path, fallback, case_sensitive);
    return rc;
}

// ---- ends, lists, order ----

static tb_code run_first(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_jiter *iter;
    tb_code rc = tb_jiter_new(&iter, run, call->self);
    if (!rc)
        rc = tb_jiter_next(out, run, iter);
    if (!rc && out->kind == TB_J_MISSING)
        *out = tb_jundefined_hint("there is no first item");
    return rc;
}

static tb_code run_last(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_jvalue backwards;
    tb_code rc = tb_jiter_reversed(&backwards, run, call->self);
    if (!rc && backwards.kind == TB_J_MISSING)
        rc = tb_jrun_wrong_type(run, "the filter 'last'", call->self);
    if (!rc)
        rc = tb_jiter_next(out, run, backwards.as.iter);
    if (!rc && out->kind == TB_J_MISSING)
        *out = tb_jundefined_hint("there is no last item");
    return rc;
}

static tb_code run_list(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return tb_jcollect(out, run, TB_J_LIST, call->self);
}

static tb_code run_reverse(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    const tb_jvalue bounds[] = {tb_jnone(), tb_jnone(), tb_jint(-1)};
    tb_jvalue list;
    if (call->self.kind == TB_J_STRING)
        return tb_jget_slice(out, run, call->self, bounds);
    tb_code rc = tb_jiter_reversed(out, run, call->self);
    if (rc || out->kind != TB_J_MISSING)
        return rc;
    rc = tb_jcollect(&list, run, TB_J_LIST, call->self);
    return rc ? rc : tb_jget_slice(out, run, list, bounds);
}

// One key, or several with commas between; compared as lists are.
static tb_code sort_keys(tb_jvalue **out, tb_jrun *run, tb_jvalue list, tb_jvalue attribute, bool case_sensitive)
{
    static const tb_text comma = {",", 1};
    size_t n = list.as.list->count;
    tb_jvalue paths;
    tb_jvalue *keys = *out = tb_jrun_array(run, n, sizeof *keys);
    tb_code rc = keys ? TB_OK : run->err->code;
    if (!rc && attribute.kind == TB_J_STRING)
        rc = tb_jsplit(&paths, run, attribute, &comma, -1, false);
    else if (!rc)
        rc = tb_jlist_from(&paths, run, TB_J_LIST, &attribute, 1);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = tb_jlist_new(&keys[i], run, TB_J_LIST, paths.as.list->count);
        for (size_t k = 0; !rc && k < paths.as.list->count; k++)
            rc = key_of(&keys[i].as.list->items[k], run, list.as.list->items[i], paths.as.list->items[k], tb_jnone(),
                        case_sensitive);
    }
    return rc;
}

static tb_code run_sort(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_jvalue list, *keys;
    int64_t reverse;
    tb_code rc = tb_jcollect(&list, run, TB_J_LIST, call->self);
    if (!rc)
        rc = tb_jarg_int(&reverse, run, "the order of sort", call->args[0], false);
    if (!rc)
        rc = sort_keys(&keys, run, list, call->args[2], tb_jarg_truth(call->args[1], false));
    return rc ? rc : tb_jsort(out, run, list, keys, reverse != 0);
}

static tb_code run_dictsort(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_text by;
    int64_t reverse;
    tb_jvalue list, *keys;
    if (call->self.kind != TB_J_DICT)
        return tb_jrun_wrong_type(run, "the filter 'dictsort'", call->self);
    tb_code rc = tb_jarg_text(&by, run, "the filter 'dictsort'", call->args[1], "key");
    bool by_value = !rc && tb_jtext_equals(by, "value");
    if (!rc && !by_value && !tb_jtext_equals(by, "key"))
        rc = tb_jrun_fail(run, TB_EINVAL, "the filter 'dictsort' sorts by 'key' or by 'value'");
    tb_jvalue items = {.kind = TB_J_VIEW, .variant = TB_JVIEW_ITEMS, .as.dict = call->self.as.dict};
    if (!rc)
        rc = tb_jarg_int(&reverse, run, "the order of dictsort", call->args[2], false);
    if (!rc)
        rc = tb_jcollect(&list, run, TB_J_LIST, items);
    if (!rc)
        rc = keys_of(&keys, run, list, tb_jint(by_value), tb_jnone(), tb_jarg_truth(call->args[0], false));
    return rc ? rc : tb_jsort(out, run, list, keys, reverse != 0);
}

// ---- one value of many ----

static tb_code min_or_max(tb_jvalue *out, tb_jrun *run, const tb_jcall *call, bool max)
{
    tb_jvalue list, *keys;
    bool better;
    size_t best = 0;
    tb_code rc = tb_jcollect(&list, run, TB_J_LIST, call->self);
    if (!rc)
        rc = keys_of(&keys, run, list, call->args[1], tb_jnone(), tb_jarg_truth(call->args[0], false));
    for (size_t i = 1; !rc && i < list.as.list->count; i++) {
        rc = max ? tb_jless(&better, run, keys[best], keys[i]) : tb_jless(&better, run, keys[i], keys[best]);
        best = !rc && better ? i : best;
    }
    if (!rc)
        *out = list.as.list->count ? list.as.list->items[best] : tb_jundefined_hint("there is no item");
    return rc;
}

static tb_code run_min(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return min_or_max(out, run, call, false);
}

static tb_code run_max(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return min_or_max(out, run, call, true);
}

static tb_code run_sum(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_jiter *iter;
    tb_jvalue item = tb_jnone(), sum = call->args[1].kind == TB_J_MISSING ? tb_jint(0) : call->args[1];
    tb_code rc = tb_jiter_new(&iter, run, call->self);
    if (!rc && sum.kind == TB_J_STRING)
        rc = tb_jrun_wrong_type(run, "the filter 'sum'", sum);
    while (!rc) {
        rc = tb_jiter_next(&item, run, iter);
        if (rc || item.kind == TB_J_MISSING)
            break;
        rc = tb_jget_path(&item, run, item, call->args[0], tb_jnone());
        if (!rc)
            rc = tb_jarith(&sum, run, TB_JOP_ADD, sum, item);
    }
    *out = sum;
    return rc;
}

static tb_code run_join(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_jvalue items, separator, item;
    tb_code rc = tb_jcollect(&items, run, TB_J_LIST, call->self);
    if (!rc && call->args[0].kind == TB_J_MISSING)
        rc = tb_jstring_new(&separator, run, (tb_text){"", 0});
    else if (!rc)
        rc = tb_jto_string(&separator, run, call->args[0], false);
    size_t mark = tb_jrun_begin(run);
    for (size_t i = 0; !rc && i < items.as.list->count; i++) {
        if (i > 0)
            rc = tb_jrun_write(run, tb_jtext(separator));
        if (!rc)
            rc = tb_jget_path(&item, run, items.as.list->items[i], call->args[1], tb_jnone());
        if (!rc)
            rc = tb_jwrite_str(run, item);
    }
    return rc ? rc : tb_jrun_take(out, run, mark);
}

// ---- groups ----

static tb_code add_group(tb_jbuilder *groups, tb_jrun *run, tb_jvalue key, const tb_jvalue *items, size_t count)
{
    tb_jvalue pair[2] = {key}, group;
    tb_code rc = tb_jlist_from(&pair[1], run, TB_J_LIST, items, count);
    if (!rc)
        rc = tb_jlist_from(&group, run, TB_J_TUPLE, pair, 2);
    group.variant = TB_J_GROUP;
    return rc ? rc : tb_jbuilder_add(groups, run, group);
}

// Runs of equal keys among sorted items.
static tb_code collect_groups(tb_jbuilder *groups, tb_jrun *run, const tb_jlist *sorted, const tb_jcall *call)
{
    bool case_sensitive = tb_jarg_truth(call->args[2], false);
    tb_jvalue key, next, shown;
    tb_code rc = TB_OK;
    for (size_t i = 0, end; i < sorted->count && !rc; i = end) {
        bool same = true;
        rc = key_of(&key, run, sorted->items[i], call->args[0], call->args[1], case_sensitive);
        for (end = i + 1; end < sorted->count && !rc; end++) {
            rc = key_of(&next, run, sorted->items[end], call->args[0], call->args[1], case_sensitive);
            if (!rc)
                rc = tb_jequal(&same, run, key, next);
            if (rc || !same)
                break;
        }
        if (!rc) // the key is shown as the first item has it, not in lower case
            rc = key_of(&shown, run, sorted->items[i], call->args[0], call->args[1], true);
        if (!rc)
            rc = add_group(groups, run, shown, sorted->items + i, end - i);
    }
    return rc;
}

static tb_code run_groupby(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_jvalue list, sorted, *keys;
    tb_jbuilder groups = {0};
    tb_code rc = tb_jcollect(&list, run, TB_J_LIST, call->self);
    if (!rc)
        rc = keys_of(&keys, run, list, call->args[0], call->args[1], tb_jarg_truth(call->args[2], false));
    if (!rc)
        rc = tb_jsort(&sorted, run, list, keys, false);
    if (!rc)
        rc = collect_groups(&groups, run, sorted.as.list, call);
    return rc ? rc : tb_jbuilder_finish(out, run, &groups, TB_J_LIST);
}

static tb_code next_unique(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    const tb_jcall *call = iter->how;
    tb_jvalue key, seen = {.kind = TB_J_DICT, .as.dict = iter->seen}, before;
    tb_code rc = iter->seen ? TB_OK : tb_jdict_new(&seen, run);
    iter->seen = rc ? NULL : seen.as.dict;
    while (!rc) {
        rc = next_of(out, run, iter);
        if (rc || out->kind == TB_J_MISSING)
            break;
        rc = key_of(&key, run, *out, call->args[1], tb_jnone(), tb_jarg_truth(call->args[0], false));
        if (!rc)
            rc = tb_jdict_get(&before, run, iter->seen, key);
        if (!rc && before.kind == TB_J_MISSING)
            return tb_jdict_set(iter->seen, run, key, tb_jnone());
    }
    return rc;
}

static tb_code run_unique(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_lazy(out, run, call, next_unique);
}

static tb_code next_batch(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    const tb_jcall *call = iter->how;
    tb_jbuilder batch = {0};
    tb_jvalue item = iter->held, fill = call->args[1];
    int64_t size;
    tb_code rc = tb_jarg_int(&size, run, "the filter 'batch'", call->args[0], 0);
    if (!rc && item.kind != TB_J_MISSING)
        rc = tb_jbuilder_add(&batch, run, item);
    iter->held = (tb_jvalue){0};
    while (!rc) { // an item too many is held for the next batch
        rc = next_of(&item, run, iter);
        if (rc || item.kind == TB_J_MISSING)
            break;
        if ((int64_t)batch.count == size) {
            iter->held = item;
            return tb_jbuilder_finish(out, run, &batch, TB_J_LIST);
        }
        rc = tb_jbuilder_add(&batch, run, item);
    }
    while (!rc && batch.count > 0 && tb_jarg_given(fill) && (int64_t)batch.count < size)
        rc = tb_jbuilder_add(&batch, run, fill);
    if (rc || batch.count == 0) {
        *out = (tb_jvalue){0};
        return rc;
    }
    return tb_jbuilder_finish(out, run, &batch, TB_J_LIST);
}

static tb_code run_batch(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_lazy(out, run, call, next_batch);
}

// Slice number `at` of `slices`: the first ones get one item more; those that do not are filled up.
static tb_code next_slice(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    const tb_jcall *call = iter->how;
    int64_t slices;
    tb_code rc = tb_jarg_int(&slices, run, "the filter 'slice'", call->args[0], 0);
    if (!rc && iter->held.kind == TB_J_MISSING)
        rc = tb_jcollect(&iter->held, run, TB_J_LIST, call->self);
    if (!rc && slices == 0)
        rc = tb_jrun_fail(run, TB_EINVAL, "a division by zero");
    *out = (tb_jvalue){0};
    if (rc || slices < 0 || iter->at >= (size_t)slices)
        return rc;
    const tb_jlist *list = iter->held.as.list;
    size_t share = list->count / (size_t)slices, extra = list->count % (size_t)slices, i = iter->at++;
    size_t start = i * share + (i < extra ? i : extra), count = share + (i < extra);
    tb_jbuilder part = {0};
    for (size_t k = 0; k < count && !rc; k++)
        rc = tb_jbuilder_add(&part, run, list->items[start + k]);
    if (!rc && tb_jarg_given(call->args[1]) && i >= extra)
        rc = tb_jbuilder_add(&part, run, call->args[1]);
    return rc ? rc : tb_jbuilder_finish(out, run, &part, TB_J_LIST);
}

static tb_code run_slice(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_lazy(out, run, call, next_slice);
}

static tb_code next_dict_item(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    if (!iter->inner && iter->source.kind != TB_J_DICT && iter->source.kind != TB_J_UNDEFINED)
        return tb_jrun_wrong_type(run, "the filter 'items'", iter->source);
    if (iter->source.kind == TB_J_DICT && !iter->inner) {
        iter->source.kind = TB_J_VIEW;
        iter->source.variant = TB_JVIEW_ITEMS;
    }
    return next_of(out, run, iter);
}

static tb_code run_items(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_lazy(out, run, call, next_dict_item);
}

// ---- map, select, reject ----

// The call of a filter or test whose name is argument number `skip` of `call`; what follows are its arguments.
static tb_code call_by_name(tb_jvalue *out, tb_jrun *run, const tb_jcall *call, size_t skip, const char *what,
                            tb_jvalue item)
{
    bool is_filter = strcmp(what, "filter") == 0;
    tb_jvalue name = call->values[skip];
    tb_jcall rest = {.count = call->count - skip - 1,
                     .values = call->values + skip + 1,
                     .keyword_count = call->keyword_count,
                     .keywords = call->keywords};
    const tb_jbuiltin *function = name.kind != TB_J_STRING ? NULL
                                  : is_filter              ? tb_jfilter_find(tb_jtext(name))
                                                           : tb_jtest_find(tb_jtext(name));
    if (!function)
        return tb_jrun_fail(run, TB_EINVAL, "there is no %s '%.*s'", what,
                            name.kind == TB_J_STRING ? (int)name.as.string->size : 1,
                            name.kind == TB_J_STRING ? name.as.string->data : "?");
    return tb_jbuiltin_call(out, run, function, what, item, &rest);
}

static tb_jvalue keyword(const tb_jcall *call, const char *name, bool *found)
{
    for (size_t i = 0; i < call->keyword_count; i++)
        if (tb_jtext_equals(tb_jstring_text(call->keywords[i].name), name)) {
            *found = true;
            return call->keywords[i].value;
        }
    *found = false;
    return tb_jnone();
}

static tb_code map_item(tb_jvalue *out, tb_jrun *run, const tb_jcall *call, tb_jvalue item)
{
    bool has_attribute, has_default;
    tb_jvalue attribute = keyword(call, "attribute", &has_attribute);
    tb_jvalue fallback = keyword(call, "default", &has_default);
    if (call->count > 0)
        return call_by_name(out, run, call, 0, "filter", item);
    if (!has_attribute || call->keyword_count != 1u + has_default)
        return tb_jrun_fail(run, TB_EINVAL, "the filter 'map' needs a filter's name, or an attribute and no more");
    return tb_jget_path(out, run, item, attribute, fallback);
}

// Nothing false is walked, none included.
static bool is_nothing(const tb_jiter *iter)
{
    return !iter->inner && !tb_jtruth(iter->source);
}

static tb_code next_mapped(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    tb_jvalue item;
    if (is_nothing(iter)) {
        *out = (tb_jvalue){0};
        return TB_OK;
    }
    tb_code rc = next_of(&item, run, iter);
    *out = item;
    return rc || item.kind == TB_J_MISSING ? rc : map_item(out, run, iter->how, item);
}

static tb_code run_map(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_lazy(out, run, call, next_mapped);
}

typedef struct selection {
    tb_jcall call;
    bool by_attribute, rejects;
} selection;

static tb_code is_selected(bool *out, tb_jrun *run, const selection *s, tb_jvalue item)
{
    tb_jvalue value = item;
    tb_code rc = TB_OK;
    if (s->by_attribute && s->call.count == 0)
        return tb_jrun_fail(run, TB_EINVAL, "the filter needs the name of an attribute");
    if (s->by_attribute)
        rc = tb_jget_path(&value, run, item, s->call.values[0], tb_jnone());
    if (!rc && s->call.count > s->by_attribute)
        rc = call_by_name(&value, run, &s->call, s->by_attribute, "test", value);
    *out = !rc && tb_jtruth(value) != s->rejects;
    return rc;
}

static tb_code next_selected(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    bool selected = false;
    tb_code rc = TB_OK;
    *out = (tb_jvalue){0};
    if (is_nothing(iter))
        return TB_OK;
    while (!rc && !selected) {
        rc = next_of(out, run, iter);
        if (rc || out->kind == TB_J_MISSING)
            break;
        rc = is_selected(&selected, run, iter->how, *out);
    }
    return rc;
}

static tb_code make_selection(tb_jvalue *out, tb_jrun *run, const tb_jcall *call, bool by_attribute, bool rejects)
{
    selection *s = tb_jrun_alloc(run, sizeof *s);
    if (!s)
        return run->err->code;
    *s = (selection){*call, by_attribute, rejects};
    return tb_jiter_make(out, run, call->self, next_selected, s);
}

static tb_code run_select(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_selection(out, run, call, false, false);
}

static tb_code run_reject(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_selection(out, run, call, false, true);
}

static tb_code run_selectattr(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_selection(out, run, call, true, false);
}

static tb_code run_rejectattr(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return make_selection(out, run, call, true, true);
}

const tb_jbuiltin tb_jsequence_filters[] = {
    {"batch", "linecount fill_with?", run_batch},
    {"dictsort", "case_sensitive? by? reverse?", run_dictsort},
    {"first", "", run_first},
    {"groupby", "attribute default? case_sensitive?", run_groupby},
    {"items", "", run_items},
    {"join", "d? attribute?", run_join},
    {"last", "", run_last},
    {"list", "", run_list},
    {"map", NULL, run_map},
    {"max", "case_sensitive? attribute?", run_max},
    {"min", "case_sensitive? attribute?", run_min},
    {"random", NULL, NULL},
    {"reject", NULL, run_reject},
    {"rejectattr", NULL, run_rejectattr},
    {"reverse", "", run_reverse},
    {"select", NULL, run_select},
    {"selectattr", NULL, run_selectattr},
    {"slice", "slices fill_with?", run_slice},
    {"sort", "reverse? case_sensitive? attribute?", run_sort},
    {"sum", "attribute? start?", run_sum},
    {"unique", "case_sensitive? attribute?", run_unique},
    {NULL, NULL, NULL},
};
