// Tests: what stands behind `is`.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/unicode.h"

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

static tb_code has_property(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    *out = tb_bool(holds(call->how, call->self));
    return TB_OK;
}

static tb_code is_of_kind(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    *out = tb_bool(call->self.kind == call->how);
    return TB_OK;
}

// ---- names and case ----

enum { FILTER, TEST };

static tb_code is_named(tb_value *out, tb_render *run, const tb_call *call)
{
    bool hashable;
    tb_code rc = tb_value_is_hashable(&hashable, run, call->self);
    if (!rc)
        rc = tb_render_work(run, TB_STEPS_PER_LOOKUP);
    if (rc || !hashable)
        return rc ? rc : tb_render_wrong_type(run, "looking for a name", call->self);
    *out = tb_bool(call->self.kind == TB_VALUE_STRING &&
                   (call->how == FILTER ? tb_filter_find(tb_value_text(call->self))
                                        : tb_test_find(tb_value_text(call->self))) != NULL);
    return TB_OK;
}

static tb_code is_in_case(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string;
    tb_code rc = tb_to_string(&string, run, call->self, false);
    if (!rc)
        rc = tb_render_work(run, tb_value_text(string).size / TB_BYTES_READ_PER_STEP);
    if (!rc)
        *out = tb_bool(tb_unicode_text_has_case(tb_value_text(string), (tb_letter_case)call->how));
    return rc;
}

// ---- divisibility ----

enum { EVEN, ODD, DIVISIBLE };

static tb_code is_divisible(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value remainder, divisor = call->how == DIVISIBLE ? call->args[0] : tb_int(2);
    bool equal = false;
    tb_code rc = tb_arith(&remainder, run, TB_OPERATOR_MOD, call->self, divisor);
    if (!rc)
        rc = tb_value_equal(&equal, run, remainder, tb_int(call->how == ODD));
    *out = tb_bool(equal);
    return rc;
}

// ---- comparisons ----

static tb_code compares(tb_value *out, tb_render *run, const tb_call *call)
{
    bool answer = false;
    tb_code rc = tb_value_compare(&answer, run, (tb_operator)call->how, call->self, call->args[0]);
    *out = tb_bool(answer);
    return rc;
}

static tb_code is_same(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    *out = tb_bool(tb_value_same(call->self, call->args[0]));
    return TB_OK;
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
    {"lower", "", is_in_case, TB_CASE_LOWER},
    {"upper", "", is_in_case, TB_CASE_UPPER},
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
