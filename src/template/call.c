// Calls: arguments to parameters, builtins, macros.
#include <string.h>

#include "template/builtin.h"
#include "template/run.h"

const tb_builtin *tb_builtin_find(const tb_builtin *table, tb_piece name)
{
    for (; table->name; table++)
        if (tb_piece_is(name, table->name))
            return table;
    return NULL;
}

// ---- reading arguments ----

bool tb_argument_given(tb_value argument)
{
    return argument.kind != TB_VALUE_MISSING && argument.kind != TB_VALUE_NONE;
}

bool tb_argument_truth(tb_value argument, bool fallback)
{
    return argument.kind == TB_VALUE_MISSING ? fallback : tb_value_truth(argument);
}

tb_code tb_argument_int(int64_t *out, tb_render *run, const char *what, tb_value argument, int64_t fallback)
{
    *out = fallback;
    if (argument.kind == TB_VALUE_MISSING)
        return TB_OK;
    if (!tb_value_is_integral(argument))
        return tb_render_wrong_type(run, what, argument);
    *out = tb_value_as_int(argument);
    return TB_OK;
}

tb_code tb_argument_text(tb_piece *out, tb_render *run, const char *what, tb_value argument, const char *fallback)
{
    *out = tb_piece_literal(fallback ? fallback : "");
    if (argument.kind == TB_VALUE_MISSING)
        return TB_OK;
    if (argument.kind != TB_VALUE_STRING)
        return tb_render_wrong_type(run, what, argument);
    *out = tb_value_text(argument);
    return TB_OK;
}

// ---- builtins ----

// One parameter of a list such as "/ old new count?".
typedef struct parameter {
    tb_piece name;
    bool optional;
} parameter;

static size_t read_parameters(parameter out[TB_MOST_PARAMETERS], bool *by_position, const char *text)
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
        out[n++].name = tb_piece_of((tb_text){text, size - (text[size - 1] == '?')}, TB_FROM_TEMPLATE);
        text += size;
    }
    return n;
}

static tb_code bind_keyword(tb_value *args, tb_render *run, const parameter *parameters, size_t n, const char *what,
                            const char *name, const tb_keyword *keyword)
{
    for (size_t i = 0; i < n; i++) {
        if (!tb_piece_equal(parameters[i].name, keyword->name->text))
            continue;
        if (args[i].kind != TB_VALUE_MISSING)
            return tb_render_fail(run, TB_EINVAL, "the %s '%s' is given '%.*s' twice", what, name,
                                  (int)keyword->name->text.size, keyword->name->text.data);
        args[i] = keyword->value;
        return TB_OK;
    }
    return tb_render_fail(run, TB_EINVAL, "the %s '%s' has no parameter '%.*s'", what, name,
                          (int)keyword->name->text.size, keyword->name->text.data);
}

// Fills call->args.
static tb_code bind(tb_call *call, tb_render *run, const tb_builtin *function, const char *what)
{
    parameter parameters[TB_MOST_PARAMETERS];
    bool by_position;
    size_t n = read_parameters(parameters, &by_position, function->params);
    tb_code rc = TB_OK;
    if (call->count > n)
        return tb_render_fail(run, TB_EINVAL, "the %s '%s' takes at most %zu arguments", what, function->name, n);
    for (size_t i = 0; i < call->count; i++)
        call->args[i] = call->values[i];
    for (size_t i = 0; i < call->keyword_count && !rc; i++)
        rc = bind_keyword(call->args, run, parameters, by_position ? 0 : n, what, function->name, &call->keywords[i]);
    for (size_t i = 0; i < n && !rc; i++)
        if (call->args[i].kind == TB_VALUE_MISSING && !parameters[i].optional)
            rc = tb_render_fail(run, TB_EINVAL, "the %s '%s' needs the argument '%.*s'", what, function->name,
                                (int)parameters[i].name.size, parameters[i].name.data);
    return rc;
}

tb_code tb_builtin_call(tb_value *out, tb_render *run, const tb_builtin *function, const char *what, tb_value self,
                        const tb_call *call)
{
    tb_call bound = *call;
    bound.self = self;
    bound.how = function->how;
    if (!function->run)
        return tb_render_fail(run, TB_EUNSUPPORTED, "the %s '%s' is not supported", what, function->name);
    tb_code rc = function->params ? bind(&bound, run, function, what) : TB_OK;
    return rc ? rc : function->run(out, run, &bound);
}

// ---- macros ----

const tb_string tb_caller_name = {.text = {.data = "caller", .size = 6}, .length = 6};

// The value of a keyword argument, or MISSING.
static tb_code take_keyword(tb_value *out, tb_render *run, bool *taken, const tb_call *call, tb_piece name)
{
    *out = (tb_value){0};
    for (size_t i = 0; i < call->keyword_count; i++)
        if (tb_piece_equal(call->keywords[i].name->text, name)) {
            taken[i] = true;
            *out = call->keywords[i].value;
            break;
        }
    return tb_render_work(run, 1 + call->keyword_count);
}

// Keyword arguments that no parameter took: the macro's `kwargs`, or an error.
static tb_code bind_other_keywords(tb_render *run, tb_frame *frame, const tb_function *def, const tb_call *call,
                                   const bool *taken)
{
    tb_value dict;
    tb_code rc = tb_dict_new(&dict, run);
    for (size_t i = 0; i < call->keyword_count && !rc; i++) {
        if (taken[i])
            continue;
        if (!def->takes_keywords)
            return tb_render_fail(run, TB_EINVAL, "the macro has no parameter '%.*s'",
                                  (int)call->keywords[i].name->text.size, call->keywords[i].name->text.data);
        rc = tb_dict_set(dict.as.dict, run, tb_string_value(call->keywords[i].name), call->keywords[i].value);
    }
    if (!rc && def->takes_keywords)
        *tb_frame_slot(frame, def->keywords) = dict;
    return rc;
}

static tb_code bind_other_values(tb_render *run, tb_frame *frame, const tb_function *def, const tb_call *call)
{
    size_t used = call->count < def->param_count ? call->count : def->param_count;
    if (def->takes_varargs)
        return tb_list_from(tb_frame_slot(frame, def->varargs), run, TB_VALUE_TUPLE,
                            used < call->count ? call->values + used : NULL, call->count - used);
    if (call->count > used)
        return tb_render_fail(run, TB_EINVAL, "the macro takes at most %zu arguments", def->param_count);
    return TB_OK;
}

static tb_code bind_macro(tb_render *run, tb_frame *frame, const tb_function *def, const tb_call *call)
{
    bool *taken = tb_render_array(run, call->keyword_count, sizeof *taken);
    if (!taken)
        return run->err->code;
    size_t i = 0;
    tb_code rc = TB_OK;
    for (const tb_parameter *p = def->params; p && !rc; p = p->next, i++) {
        tb_value *slot = tb_frame_slot(frame, p->name->as.name.ref);
        if (i < call->count)
            *slot = call->values[i];
        else
            rc = take_keyword(slot, run, taken, call, p->name->as.name.id->string->text);
    }
    if (!rc && def->takes_caller) {
        tb_value caller;
        rc = take_keyword(&caller, run, taken, call, tb_caller_name.text);
        *tb_frame_slot(frame, def->caller) =
            tb_argument_given(caller) ? caller : tb_undefined_hint("no caller defined");
    }
    if (!rc)
        rc = bind_other_keywords(run, frame, def, call, taken);
    return rc ? rc : bind_other_values(run, frame, def, call);
}

// Parameters that were not given, in order: a default may use the parameters before it.
static tb_code apply_defaults(tb_render *run, tb_frame *frame, const tb_function *def)
{
    tb_code rc = TB_OK;
    for (const tb_parameter *p = def->params; p && !rc; p = p->next) {
        tb_value *slot = tb_frame_slot(frame, p->name->as.name.ref);
        if (slot->kind != TB_VALUE_MISSING)
            continue;
        if (p->fallback)
            rc = tb_eval(slot, run, frame, p->fallback);
        else
            *slot = tb_undefined(TB_WHY_PARAMETER, p->name->as.name.id->string);
    }
    return rc;
}

static tb_code call_macro(tb_value *out, tb_render *run, const tb_macro *macro, const tb_call *call)
{
    const tb_function *def = macro->def;
    tb_flow flow;
    size_t mark = tb_render_begin(run);
    tb_frame *frame = tb_frame_new(run, macro->frame, def->slots);
    if (!frame)
        return run->err->code;
    tb_code rc = bind_macro(run, frame, def, call);
    if (!rc)
        rc = tb_scope_enter(run, frame, def->scope);
    if (!rc)
        rc = apply_defaults(run, frame, def);
    if (!rc)
        rc = tb_exec(&flow, run, frame, &def->body);
    return rc ? rc : tb_render_take(out, run, mark);
}

// ---- values ----

bool tb_value_is_callable(tb_value value)
{
    return value.kind == TB_VALUE_MACRO || value.kind == TB_VALUE_METHOD || value.kind == TB_VALUE_FUNCTION ||
           value.kind == TB_VALUE_LOOP || value.kind == TB_VALUE_JOINER || value.kind == TB_VALUE_UNDEFINED;
}

static tb_code call_joiner(tb_value *out, tb_render *run, tb_joiner *joiner, const tb_call *call)
{
    if (call->count || call->keyword_count)
        return tb_render_fail(run, TB_EINVAL, "a joiner takes no arguments");
    if (joiner->used) {
        *out = joiner->separator;
        return TB_OK;
    }
    joiner->used = true;
    return tb_string_new(out, run, tb_piece_literal(""));
}

static tb_code call_loop(tb_value *out, tb_render *run, const tb_loop *loop, const tb_call *call)
{
    static const tb_builtin function = {"loop", "iterable", NULL, 0};
    tb_call bound = *call;
    tb_code rc = bind(&bound, run, &function, "function");
    return rc ? rc : tb_loop_recurse(out, run, loop, bound.args[0]);
}

tb_code tb_value_call(tb_value *out, tb_render *run, tb_value callee, const tb_call *call)
{
    switch (callee.kind) {
    case TB_VALUE_METHOD:
        return tb_builtin_call(out, run, callee.as.method->function, "method", callee.as.method->self, call);
    case TB_VALUE_FUNCTION:
        return tb_builtin_call(out, run, callee.as.function, "function", tb_none(), call);
    case TB_VALUE_MACRO:
        return call_macro(out, run, callee.as.macro, call);
    case TB_VALUE_LOOP:
        return call_loop(out, run, callee.as.loop, call);
    case TB_VALUE_JOINER:
        return call_joiner(out, run, callee.as.joiner, call);
    default:
        return tb_render_wrong_type(run, "calling", callee);
    }
}
