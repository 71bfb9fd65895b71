// Methods of lists, tuples and dicts that templates can call: those that change nothing.
#include "template/builtin.h"
#include "template/run.h"

static tb_value count(tb_render *run, const tb_call *call)
{
    const tb_list *list = call->self.as.list;
    int64_t n = 0;
    for (size_t i = 0; i < list->count && !run->rc; i++)
        n += tb_value_equal(run, list->items[i], call->args[0]);
    return tb_int(n);
}

static tb_value find_index(tb_render *run, const tb_call *call)
{
    const tb_list *list = call->self.as.list;
    if (call->args[1].kind != TB_VALUE_MISSING)
        return tb_render_fail(run, TB_EUNSUPPORTED, "index() of a part of a list is not supported");
    for (size_t i = 0; i < list->count && !run->rc; i++)
        if (tb_value_equal(run, list->items[i], call->args[0]))
            return tb_int((int64_t)i);
    return tb_render_fail(run, TB_EINVAL, "the value that index() looks for is not there");
}

// Nothing can change a list or dict, so that a copy is the thing itself.
static tb_value copy(tb_render *run, const tb_call *call)
{
    (void)run;
    return call->self;
}

static tb_value get(tb_render *run, const tb_call *call)
{
    tb_value found = tb_dict_get(run, call->self.as.dict, call->args[0]);
    if (found.kind != TB_VALUE_MISSING)
        return found;
    return call->args[1].kind == TB_VALUE_MISSING ? tb_none() : call->args[1];
}

static tb_value view(tb_render *run, const tb_call *call)
{
    (void)run;
    return (tb_value){.kind = TB_VALUE_VIEW, .variant = (uint8_t)call->how, .as.dict = call->self.as.dict};
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
