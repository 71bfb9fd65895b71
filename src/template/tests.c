// Tests: what stands behind `is`.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/text_search.h"

// ---- what a value is ----

enum { DEFINED, TRUE, FALSE, NUMBER, SEQUENCE, ITERABLE, CALLABLE, ESCAPED };

static bool holds(int what, tb_value value)
{
    size_t length;
    switch (what) {
    case DEFINED:
        return value.kind != TB_VALUE_UNDEFINED;
    case TRUE:
    case FALSE:
        return value.kind == TB_VALUE_BOOL && value.as.boolean == (what == TRUE);
    case NUMBER:
        return tb_value_is_number(value);
    case SEQUENCE: // something with a length and items: for Python an undefined value has both
        return tb_value_length(&length, value) && value.kind != TB_VALUE_VIEW;
    case ITERABLE:
        return tb_value_is_iterable(value);
    case CALLABLE:
        return tb_value_is_callable(value);
    default:
        return tb_value_is_markup(value);
    }
}

static tb_value has_property(tb_render *run, const tb_call *call)
{
    (void)run;
    return tb_bool(holds(call->how, call->self));
}

static tb_value is_of_kind(tb_render *run, const tb_call *call)
{
    (void)run;
    return tb_bool(call->self.kind == call->how);
}

// ---- names and case ----

enum { FILTER, TEST };

static tb_value is_named(tb_render *run, const tb_call *call)
{
    if (!tb_value_is_hashable(run, call->self))
        return tb_render_wrong_type(run, "looking for a name", call->self);
    tb_render_work(run, TB_STEPS_PER_LOOKUP);
    tb_piece name = tb_value_text(call->self);
    return tb_bool((call->how == FILTER ? tb_filter_find(name) : tb_test_find(name)) != NULL);
}

// ---- divisibility ----

enum { EVEN, ODD, DIVISIBLE };

static tb_value is_divisible(tb_render *run, const tb_call *call)
{
    tb_value divisor = call->how == DIVISIBLE ? call->args[0] : tb_int(2);
    tb_value remainder = tb_arith(run, TB_OPERATOR_MOD, call->self, divisor);
    return tb_bool(tb_value_equal(run, remainder, tb_int(call->how == ODD)));
}

// ---- comparisons ----

static tb_value compares(tb_render *run, const tb_call *call)
{
    return tb_bool(tb_value_compare(run, (tb_operator)call->how, call->self, call->args[0]));
}

static tb_value is_same(tb_render *run, const tb_call *call)
{
    (void)run;
    return tb_bool(tb_value_same(call->self, call->args[0]));
}

const tb_builtin tb_tests[] = {
    {"defined", "", has_property, DEFINED},
    {"undefined", "", is_of_kind, TB_VALUE_UNDEFINED},
    {"none", "", is_of_kind, TB_VALUE_NONE},
    {"boolean", "", is_of_kind, TB_VALUE_BOOL},
    {"true", "", has_property, TRUE},
    {"false", "", has_property, FALSE},
    {"integer", "", is_of_kind, TB_VALUE_INT},
    {"float", "", is_of_kind, TB_VALUE_FLOAT},
    {"number", "", has_property, NUMBER},
    {"string", "", is_of_kind, TB_VALUE_STRING},
    {"mapping", "", is_of_kind, TB_VALUE_DICT},
    {"sequence", "", has_property, SEQUENCE},
    {"iterable", "", has_property, ITERABLE},
    {"callable", "/", has_property, CALLABLE},
    {"escaped", "", has_property, ESCAPED},
    {"filter", "", is_named, FILTER},
    {"test", "", is_named, TEST},
    {"lower", "", tb_text_is_in_case, TB_CASE_LOWER},
    {"upper", "", tb_text_is_in_case, TB_CASE_UPPER},
    {"odd", "", is_divisible, ODD},
    {"even", "", is_divisible, EVEN},
    {"divisibleby", "num", is_divisible, DIVISIBLE},
    {"==", "/ other", compares, TB_OPERATOR_EQ},
    {"eq", "/ other", compares, TB_OPERATOR_EQ},
    {"equalto", "/ other", compares, TB_OPERATOR_EQ},
    {"!=", "/ other", compares, TB_OPERATOR_NE},
    {"ne", "/ other", compares, TB_OPERATOR_NE},
    {"<", "/ other", compares, TB_OPERATOR_LT},
    {"lt", "/ other", compares, TB_OPERATOR_LT},
    {"lessthan", "/ other", compares, TB_OPERATOR_LT},
    {"<=", "/ other", compares, TB_OPERATOR_LE},
    {"le", "/ other", compares, TB_OPERATOR_LE},
    {">", "/ other", compares, TB_OPERATOR_GT},
    {"gt", "/ other", compares, TB_OPERATOR_GT},
    {"greaterthan", "/ other", compares, TB_OPERATOR_GT},
    {">=", "/ other", compares, TB_OPERATOR_GE},
    {"ge", "/ other", compares, TB_OPERATOR_GE},
    {"sameas", "other", is_same, 0},
    {"in", "seq", compares, TB_OPERATOR_IN},
    {NULL, NULL, NULL, 0},
};

const tb_builtin *tb_test_find(tb_piece name)
{
    return tb_builtin_find(tb_tests, name);
}
