// Methods of lists, tuples and dicts that templates can call: those that change nothing.
#include "template/builtin.h"
#include "template/run.h"

static tb_code count(tb_value *out, tb_render *run, const tb_call *call)
{
    const tb_list *list = call->self.as.list;
    int64_t n = 0;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < list->count && !rc; i++) {
        bool equal;
        rc = tb_value_equal(&equal, run, list->items[i], call->args[0]);
        n += !rc && equal;
    }
    *out = tb_int(n);
    return rc;
}

// A bound of list.index(), counted from the end when negative.
static tb_code read_bound(size_t *out, tb_render *run, tb_value bound, size_t count, size_t fallback)
{
    int64_t n;
    tb_code rc = tb_argument_int(&n, run, "index()", bound, (int64_t)fallback);
    if (n < 0)
        n = n < -(int64_t)count ? 0 : n + (int64_t)count;
    *out = (size_t)n < count ? (size_t)n : count;
    return rc;
}

static tb_code find_index(tb_value *out, tb_render *run, const tb_call *call)
{
    const tb_list *list = call->self.as.list;
    size_t start, end;
    tb_code rc = read_bound(&start, run, call->args[1], list->count, 0);
    if (!rc)
        rc = read_bound(&end, run, call->args[2], list->count, list->count);
    for (size_t i = start; !rc && i < end; i++) {
        bool equal;
        rc = tb_value_equal(&equal, run, list->items[i], call->args[0]);
        if (!rc && equal) {
            *out = tb_int((int64_t)i);
            return TB_OK;
        }
    }
    return rc ? rc : tb_render_fail(run, TB_EINVAL, "the value that index() looks for is not there");
}

// Nothing can change a list or dict, so that a copy is the thing itself.
static tb_code copy(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    *out = call->self;
    return TB_OK;
}

static tb_code get(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_code rc = tb_dict_get(out, run, call->self.as.dict, call->args[0]);
    if (!rc && out->kind == TB_VALUE_MISSING)
        *out = call->args[1].kind == TB_VALUE_MISSING ? tb_none() : call->args[1];
    return rc;
}

static tb_code view(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    *out = (tb_value){.kind = TB_VALUE_VIEW, .variant = (uint8_t)call->how, .as.dict = call->self.as.dict};
    return TB_OK;
}

const tb_builtin tb_list_methods[] = {
    {"count", "/ value", count, 0},
    {"index", "/ value start? stop?", find_index, 0},
    {"copy", "", copy, 0},
    {NULL, NULL, NULL, 0},
};

const tb_builtin tb_tuple_methods[] = {
    {"count", "/ value", count, 0},
    {"index", "/ value start? stop?", find_index, 0},
    {NULL, NULL, NULL, 0},
};

const tb_builtin tb_dict_methods[] = {
    {"get", "/ key default?", get, 0},
    {"keys", "", view, TB_VIEW_KEYS},
    {"values", "", view, TB_VIEW_VALUES},
    {"items", "", view, TB_VIEW_ITEMS},
    {"copy", "", copy, 0},
    {"fromkeys", NULL, NULL, 0},
    {NULL, NULL, NULL, 0},
};
