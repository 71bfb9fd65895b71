// Calls: arguments to parameters, builtins, macros.
#include <string.h>

#include "template/builtin.h"
#include "template/run.h"

const tb_jbuiltin *tb_jbuiltin_find(const tb_jbuiltin *table, tb_text name)
{
    for (; table->name; table++)
        if (tb_jtext_equals(name, table->name))
            return table;
    return NULL;
}

// ---- reading arguments ----

bool tb_jarg_given(tb_jvalue argument)
{
    return argument.kind != TB_J_MISSING && argument.kind != TB_J_NONE;
}

bool tb_jarg_truth(tb_jvalue argument, bool fallback)
{
    return argument.kind == TB_J_MISSING ? fallback : tb_jtruth(argument);
}

tb_code tb_jarg_int(int64_t *out, tb_jrun *run, const char *what, tb_jvalue argument, int64_t fallback)
{
    *out = fallback;
    if (argument.kind == TB_J_MISSING)
        return TB_OK;
    if (!tb_jis_integral(argument))
        return tb_jrun_wrong_type(run, what, argument);
    *out = tb_jas_int(argument);
    return TB_OK;
}

tb_code tb_jarg_text(tb_text *out, tb_jrun *run, const char *what, tb_jvalue argument, const char *fallback)
{
    *out = (tb_text){fallback, fallback ? strlen(fallback) : 0};
    if (argument.kind == TB_J_MISSING)
        return TB_OK;
    if (argument.kind != TB_J_STRING)
        return tb_jrun_wrong_type(run, what, argument);
    *out = tb_jtext(argument);
    return TB_OK;
}

// ---- builtins ----

// One parameter of a list such as "/ old new count?".
typedef struct parameter {
    tb_text name;
    bool optional;
} parameter;

static size_t read_parameters(parameter out[TB_JPARAMS], bool *by_position, const char *text)
{
    size_t n = 0;
    *by_position = *text == '/';
    text += *by_position;
    while (*text) {
        text += strspn(text, " ");
        size_t size = strcspn(text, " ");
        if (size == 0)
            break;
        out[n].optional = text[size - 1] == '?';
        out[n++].name = (tb_text){text, size - (text[size - 1] == '?')};
        text += size;
    }
    return n;
}

static tb_code bind_keyword(tb_jvalue *args, tb_jrun *run, const parameter *parameters, size_t n, const char *what,
                            const char *name, const tb_jkeyword *keyword)
{
    for (size_t i = 0; i < n; i++) {
        if (!tb_jtext_same(parameters[i].name, tb_jstring_text(keyword->name)))
            continue;
        if (args[i].kind != TB_J_MISSING)
            return tb_jrun_fail(run, TB_EINVAL, "the %s '%s' is given '%.*s' twice", what, name,
                                (int)keyword->name->size, keyword->name->data);
        args[i] = keyword->value;
        return TB_OK;
    }
    return tb_jrun_fail(run, TB_EINVAL, "the %s '%s' has no parameter '%.*s'", what, name, (int)keyword->name->size,
                        keyword->name->data);
}

// Fills call->args.
static tb_code bind(tb_jcall *call, tb_jrun *run, const tb_jbuiltin *function, const char *what)
{
    parameter parameters[TB_JPARAMS];
    bool by_position;
    size_t n = read_parameters(parameters, &by_position, function->params);
    tb_code rc = TB_OK;
    if (call->count > n)
        return tb_jrun_fail(run, TB_EINVAL, "the %s '%s' takes at most %zu arguments", what, function->name, n);
    for (size_t i = 0; i < call->count; i++)
        call->args[i] = call->values[i];
    for (size_t i = 0; i < call->keyword_count && !rc; i++)
        rc = bind_keyword(call->args, run, parameters, by_position ? 0 : n, what, function->name, &call->keywords[i]);
    for (size_t i = 0; i < n && !rc; i++)
        if (call->args[i].kind == TB_J_MISSING && !parameters[i].optional)
            rc = tb_jrun_fail(run, TB_EINVAL, "the %s '%s' needs the argument '%.*s'", what, function->name,
                              (int)parameters[i].name.size, parameters[i].name.data);
    return rc;
}

tb_code tb_jbuiltin_call(tb_jvalue *out, tb_jrun *run, const tb_jbuiltin *function, const char *what, tb_jvalue self,
                         const tb_jcall *call)
{
    tb_jcall bound = *call;
    bound.self = self;
    if (!function->run)
        return tb_jrun_fail(run, TB_EUNSUPPORTED, "the %s '%s' is not supported", what, function->name);
    tb_code rc = function->params ? bind(&bound, run, function, what) : TB_OK;
    return rc ? rc : function->run(out, run, &bound);
}

// ---- macros ----

const tb_jstring tb_jcaller_name = {.data = "caller", .size = 6, .length = 6};

static tb_jvalue take_keyword(bool *taken, const tb_jcall *call, tb_text name)
{
    for (size_t i = 0; i < call->keyword_count; i++)
        if (tb_jtext_same(tb_jstring_text(call->keywords[i].name), name)) {
            taken[i] = true;
            return call->keywords[i].value;
        }
    return (tb_jvalue){0};
}

// Keyword arguments that no parameter took: the macro's `kwargs`, or an error.
static tb_code bind_other_keywords(tb_jrun *run, tb_jframe *frame, const tb_jfunction_def *def, const tb_jcall *call,
                                   const bool *taken)
{
    tb_jvalue dict;
    tb_code rc = tb_jdict_new(&dict, run);
    for (size_t i = 0; i < call->keyword_count && !rc; i++) {
        if (taken[i])
            continue;
        if (!def->takes_keywords)
            return tb_jrun_fail(run, TB_EINVAL, "the macro has no parameter '%.*s'", (int)call->keywords[i].name->size,
                                call->keywords[i].name->data);
        rc = tb_jdict_set(dict.as.dict, run, tb_jstring_value(call->keywords[i].name), call->keywords[i].value);
    }
    if (!rc && def->takes_keywords)
        *tb_jframe_slot(frame, def->keywords) = dict;
    return rc;
}

static tb_code bind_other_values(tb_jrun *run, tb_jframe *frame, const tb_jfunction_def *def, const tb_jcall *call)
{
    size_t used = call->count < def->param_count ? call->count : def->param_count;
    if (def->takes_varargs)
        return tb_jlist_from(tb_jframe_slot(frame, def->varargs), run, TB_J_TUPLE,
                             used < call->count ? call->values + used : NULL, call->count - used);
    if (call->count > used)
        return tb_jrun_fail(run, TB_EINVAL, "the macro takes at most %zu arguments", def->param_count);
    return TB_OK;
}

static tb_code bind_macro(tb_jrun *run, tb_jframe *frame, const tb_jfunction_def *def, const tb_jcall *call)
{
    bool *taken = tb_jrun_array(run, call->keyword_count, sizeof *taken);
    if (!taken)
        return run->err->code;
    size_t i = 0;
    for (const tb_jparam *p = def->params; p; p = p->next, i++)
        *tb_jframe_slot(frame, p->ref) =
            i < call->count ? call->values[i] : take_keyword(taken, call, tb_jstring_text(p->id->text));
    if (def->takes_caller) {
        tb_jvalue caller = take_keyword(taken, call, tb_jstring_text(&tb_jcaller_name));
        *tb_jframe_slot(frame, def->caller) = tb_jarg_given(caller) ? caller : tb_jundefined_hint("no caller defined");
    }
    tb_code rc = bind_other_keywords(run, frame, def, call, taken);
    return rc ? rc : bind_other_values(run, frame, def, call);
}

// Parameters that were not given, in order: a default may use the parameters before it.
static tb_code apply_defaults(tb_jrun *run, tb_jframe *frame, const tb_jfunction_def *def)
{
    tb_code rc = TB_OK;
    for (const tb_jparam *p = def->params; p && !rc; p = p->next) {
        tb_jvalue *slot = tb_jframe_slot(frame, p->ref);
        if (slot->kind != TB_J_MISSING)
            continue;
        if (p->fallback)
            rc = tb_jeval(slot, run, frame, p->fallback);
        else
            *slot = tb_jundefined(TB_JWHY_PARAMETER, p->id->text);
    }
    return rc;
}

static tb_code call_macro(tb_jvalue *out, tb_jrun *run, const tb_jmacro *macro, const tb_jcall *call)
{
    const tb_jfunction_def *def = macro->def;
    tb_jflow flow;
    size_t mark = tb_jrun_begin(run);
    tb_jframe *frame = tb_jframe_new(run, macro->frame, def->slots);
    if (!frame)
        return run->err->code;
    tb_code rc = bind_macro(run, frame, def, call);
    if (!rc) {
        tb_jscope_enter(run, frame, def->scope);
        rc = apply_defaults(run, frame, def);
    }
    if (!rc)
        rc = tb_jexec(&flow, run, frame, &def->body);
    return rc ? rc : tb_jrun_take(out, run, mark);
}

// ---- values ----

bool tb_jis_callable(tb_jvalue value)
{
    return value.kind == TB_J_MACRO || value.kind == TB_J_METHOD || value.kind == TB_J_FUNCTION ||
           value.kind == TB_J_LOOP || value.kind == TB_J_JOINER || value.kind == TB_J_UNDEFINED;
}

static tb_code call_joiner(tb_jvalue *out, tb_jrun *run, tb_jjoiner *joiner, const tb_jcall *call)
{
    if (call->count || call->keyword_count)
        return tb_jrun_fail(run, TB_EINVAL, "a joiner takes no arguments");
    if (joiner->used) {
        *out = joiner->separator;
        return TB_OK;
    }
    joiner->used = true;
    return tb_jstring_new(out, run, (tb_text){"", 0});
}

static tb_code call_loop(tb_jvalue *out, tb_jrun *run, const tb_jloop *loop, const tb_jcall *call)
{
    static const tb_jbuiltin function = {"loop", "iterable", NULL};
    tb_jcall bound = *call;
    tb_code rc = bind(&bound, run, &function, "function");
    return rc ? rc : tb_jloop_recurse(out, run, loop, bound.args[0]);
}

tb_code tb_jcall_value(tb_jvalue *out, tb_jrun *run, tb_jvalue callee, const tb_jcall *call)
{
    switch (callee.kind) {
    case TB_J_METHOD:
        return tb_jbuiltin_call(out, run, callee.as.method->function, "method", callee.as.method->self, call);
    case TB_J_FUNCTION:
        return tb_jbuiltin_call(out, run, callee.as.function, "function", tb_jnone(), call);
    case TB_J_MACRO:
        return call_macro(out, run, callee.as.macro, call);
    case TB_J_LOOP:
        return call_loop(out, run, callee.as.loop, call);
    case TB_J_JOINER:
        return call_joiner(out, run, callee.as.joiner, call);
    default:
        return tb_jrun_wrong_type(run, "calling", callee);
    }
}
