// Tests: what stands behind `is`.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"
#include "template/unicode.h"

static tb_code answer(tb_jvalue *out, bool value)
{
    *out = tb_jbool(value);
    return TB_OK;
}

// ---- types ----

static tb_code run_defined(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind != TB_J_UNDEFINED);
}

static tb_code run_undefined(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_UNDEFINED);
}

static tb_code run_none(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_NONE);
}

static tb_code run_boolean(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_BOOL);
}

static tb_code run_true(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_BOOL && call->self.as.boolean);
}

static tb_code run_false(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_BOOL && !call->self.as.boolean);
}

static tb_code run_integer(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_INT);
}

static tb_code run_float(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_FLOAT);
}

static tb_code run_number(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, tb_jis_number(call->self));
}

static tb_code run_string(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_STRING);
}

static tb_code run_mapping(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, call->self.kind == TB_J_DICT);
}

// Something with a length and items: for Python an undefined value has both.
static tb_code run_sequence(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    size_t length;
    return answer(out, tb_jlength(&length, call->self) && call->self.kind != TB_J_VIEW);
}

static tb_code run_iterable(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, tb_jis_iterable(call->self));
}

static tb_code run_callable(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, tb_jis_callable(call->self));
}

static tb_code run_escaped(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, tb_jis_markup(call->self));
}

// ---- names ----

static tb_code is_named(tb_jvalue *out, tb_jrun *run, tb_jvalue name, const tb_jbuiltin *(*find)(tb_text))
{
    if (!tb_jis_hashable(name))
        return tb_jrun_wrong_type(run, "looking for a name", name);
    return answer(out, name.kind == TB_J_STRING && find(tb_jtext(name)));
}

static tb_code run_filter(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return is_named(out, run, call->self, tb_jfilter_find);
}

static tb_code run_test(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return is_named(out, run, call->self, tb_jtest_find);
}

// ---- case ----

static tb_code run_lower(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_jvalue string;
    tb_code rc = tb_jto_string(&string, run, call->self, false);
    return rc ? rc : answer(out, tb_juni_text_is_lower(tb_jtext(string)));
}

static tb_code run_upper(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    tb_jvalue string;
    tb_code rc = tb_jto_string(&string, run, call->self, false);
    return rc ? rc : answer(out, tb_juni_text_is_upper(tb_jtext(string)));
}

// ---- divisibility ----

static tb_code remainder_is(tb_jvalue *out, tb_jrun *run, const tb_jcall *call, tb_jvalue divisor, int64_t wanted)
{
    tb_jvalue remainder;
    bool equal = false;
    tb_code rc = tb_jarith(&remainder, run, TB_JOP_MOD, call->self, divisor);
    if (!rc)
        rc = tb_jequal(&equal, run, remainder, tb_jint(wanted));
    return rc ? rc : answer(out, equal);
}

static tb_code run_odd(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return remainder_is(out, run, call, tb_jint(2), 1);
}

static tb_code run_even(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return remainder_is(out, run, call, tb_jint(2), 0);
}

static tb_code run_divisibleby(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    return remainder_is(out, run, call, call->args[0], 0);
}

// ---- comparisons ----

static tb_code run_eq(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    bool equal = false;
    tb_code rc = tb_jequal(&equal, run, call->self, call->args[0]);
    return rc ? rc : answer(out, equal);
}

static tb_code run_ne(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    bool equal = false;
    tb_code rc = tb_jequal(&equal, run, call->self, call->args[0]);
    return rc ? rc : answer(out, !equal);
}

static tb_code run_lt(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    bool less = false;
    tb_code rc = tb_jless(&less, run, call->self, call->args[0]);
    return rc ? rc : answer(out, less);
}

static tb_code run_le(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    bool less = false;
    tb_code rc = tb_jless_equal(&less, run, call->self, call->args[0]);
    return rc ? rc : answer(out, less);
}

static tb_code run_gt(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    bool less = false;
    tb_code rc = tb_jless(&less, run, call->args[0], call->self);
    return rc ? rc : answer(out, less);
}

static tb_code run_ge(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    bool less = false;
    tb_code rc = tb_jless_equal(&less, run, call->args[0], call->self);
    return rc ? rc : answer(out, less);
}

static tb_code run_sameas(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    (void)run;
    return answer(out, tb_jsame(call->self, call->args[0]));
}

static tb_code run_in(tb_jvalue *out, tb_jrun *run, const tb_jcall *call)
{
    bool found = false;
    tb_code rc = tb_jcontains(&found, run, call->args[0], call->self);
    return rc ? rc : answer(out, found);
}

const tb_jbuiltin tb_jtests[] = {
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

const tb_jbuiltin *tb_jtest_find(tb_text name)
{
    return tb_jbuiltin_find(tb_jtests, name);
}
