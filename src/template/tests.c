// Tests: what stands behind `is`.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/unicode.h"

static tb_code answer(tb_value *out, bool value)
{
    *out = tb_bool(value);
    return TB_OK;
}

// ---- types ----

static tb_code run_defined(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind != TB_VALUE_UNDEFINED);
}

static tb_code run_undefined(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_UNDEFINED);
}

static tb_code run_none(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_NONE);
}

static tb_code run_boolean(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_BOOL);
}

static tb_code run_true(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_BOOL && call->self.as.boolean);
}

static tb_code run_false(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_BOOL && !call->self.as.boolean);
}

static tb_code run_integer(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_INT);
}

static tb_code run_float(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_FLOAT);
}

static tb_code run_number(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, tb_value_is_number(call->self));
}

static tb_code run_string(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_STRING);
}

static tb_code run_mapping(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_VALUE_DICT);
}

// Something with a length and items: for Python an undefined value has both.
static tb_code run_sequence(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    size_t length;
    return answer(out, tb_value_length(&length, call->self) && call->self.kind != TB_VALUE_VIEW);
}

static tb_code run_iterable(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, tb_value_is_iterable(call->self));
}

static tb_code run_callable(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, tb_value_is_callable(call->self));
}

static tb_code run_escaped(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, tb_value_is_markup(call->self));
}

// ---- names ----

static tb_code is_named(tb_value *out, tb_render *run, tb_value name, const tb_builtin *(*find)(tb_text))
{
    if (!tb_value_is_hashable(name))
        return tb_render_wrong_type(run, "looking for a name", name);
    return answer(out, name.kind == TB_VALUE_STRING && find(tb_string_text(name)));
}

static tb_code run_filter(tb_value *out, tb_render *run, const tb_call *call)
{
    return is_named(out, run, call->self, tb_filter_find);
}

static tb_code run_test(tb_value *out, tb_render *run, const tb_call *call)
{
    return is_named(out, run, call->self, tb_test_find);
}

// ---- case ----

static tb_code run_lower(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string;
    tb_code rc = tb_to_string(&string, run, call->self, false);
    return rc ? rc : answer(out, tb_unicode_text_is_lower(tb_string_text(string)));
}

static tb_code run_upper(tb_value *out, tb_render *run, const tb_call *call)
{
    tb_value string;
    tb_code rc = tb_to_string(&string, run, call->self, false);
    return rc ? rc : answer(out, tb_unicode_text_is_upper(tb_string_text(string)));
}

// ---- divisibility ----

static tb_code remainder_is(tb_value *out, tb_render *run, const tb_call *call, tb_value divisor, int64_t wanted)
{
    tb_value remainder;
    bool equal = false;
    tb_code rc = tb_arith(&remainder, run, TB_OPERATOR_MOD, call->self, divisor);
    if (!rc)
        rc = tb_value_equal(&equal, run, remainder, tb_int(wanted));
    return rc ? rc : answer(out, equal);
}

static tb_code run_odd(tb_value *out, tb_render *run, const tb_call *call)
{
    return remainder_is(out, run, call, tb_int(2), 1);
}

static tb_code run_even(tb_value *out, tb_render *run, const tb_call *call)
{
    return remainder_is(out, run, call, tb_int(2), 0);
}

static tb_code run_divisibleby(tb_value *out, tb_render *run, const tb_call *call)
{
    return remainder_is(out, run, call, call->args[0], 0);
}

// ---- comparisons ----

static tb_code run_eq(tb_value *out, tb_render *run, const tb_call *call)
{
    bool equal = false;
    tb_code rc = tb_value_equal(&equal, run, call->self, call->args[0]);
    return rc ? rc : answer(out, equal);
}

static tb_code run_ne(tb_value *out, tb_render *run, const tb_call *call)
{
    bool equal = false;
    tb_code rc = tb_value_equal(&equal, run, call->self, call->args[0]);
    return rc ? rc : answer(out, !equal);
}

static tb_code run_lt(tb_value *out, tb_render *run, const tb_call *call)
{
    bool less = false;
    tb_code rc = tb_value_less(&less, run, call->self, call->args[0]);
    return rc ? rc : answer(out, less);
}

static tb_code run_le(tb_value *out, tb_render *run, const tb_call *call)
{
    bool less = false;
    tb_code rc = tb_value_less_equal(&less, run, call->self, call->args[0]);
    return rc ? rc : answer(out, less);
}

static tb_code run_gt(tb_value *out, tb_render *run, const tb_call *call)
{
    bool less = false;
    tb_code rc = tb_value_less(&less, run, call->args[0], call->self);
    return rc ? rc : answer(out, less);
}

static tb_code run_ge(tb_value *out, tb_render *run, const tb_call *call)
{
    bool less = false;
    tb_code rc = tb_value_less_equal(&less, run, call->args[0], call->self);
    return rc ? rc : answer(out, less);
}

static tb_code run_sameas(tb_value *out, tb_render *run, const tb_call *call)
{
    (void)run;
    return answer(out, tb_value_same(call->self, call->args[0]));
}

static tb_code run_in(tb_value *out, tb_render *run, const tb_call *call)
{
    bool found = false;
    tb_code rc = tb_value_contains(&found, run, call->args[0], call->self);
    return rc ? rc : answer(out, found);
}

const tb_builtin tb_tests[] = {
    {"defined", "", run_defined},
    {"undefined", "", run_undefined},
    {"none", "", run_none},
    {"boolean", "", run_boolean},
    {"true", "", run_true},
    {"false", "", run_false},
    {"integer", "", run_integer},
    {"float", "", run_float},
    {"number", "", run_number},
    {"string", "", run_string},
    {"mapping", "", run_mapping},
    {"sequence", "", run_sequence},
    {"iterable", "", run_iterable},
    {"callable", "/", run_callable},
    {"escaped", "", run_escaped},
    {"filter", "", run_filter},
    {"test", "", run_test},
    {"lower", "", run_lower},
    {"upper", "", run_upper},
    {"odd", "", run_odd},
    {"even", "", run_even},
    {"divisibleby", "num", run_divisibleby},
    {"==", "/ other", run_eq},
    {"eq", "/ other", run_eq},
    {"equalto", "/ other", run_eq},
    {"!=", "/ other", run_ne},
    {"ne", "/ other", run_ne},
    {"<", "/ other", run_lt},
    {"lt", "/ other", run_lt},
    {"lessthan", "/ other", run_lt},
    {"<=", "/ other", run_le},
    {"le", "/ other", run_le},
    {">", "/ other", run_gt},
    {"gt", "/ other", run_gt},
    {"greaterthan", "/ other", run_gt},
    {">=", "/ other", run_ge},
    {"ge", "/ other", run_ge},
    {"sameas", "other", run_sameas},
    {"in", "seq", run_in},
    {NULL, NULL, NULL},
};

const tb_builtin *tb_test_find(tb_text name)
{
    return tb_builtin_find(tb_tests, name);
}
