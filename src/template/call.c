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

int64_t tb_argument_int(tb_render *run, const char *what, tb_value argument, int64_t fallback)
{
    if (argument.kind == TB_VALUE_MISSING)
        return fallback;
    if (tb_value_is_integral(argument))
        return tb_value_as_int(argument);
    tb_render_wrong_type(run, what, argument);
    return fallback;
}

tb_piece tb_argument_text(tb_render *run, const char *what, tb_value argument, const char *fallback)
{
    if (argument.kind == TB_VALUE_MISSING)
        return tb_piece_literal(fallback ? fallback : "");
    if (argument.kind != TB_VALUE_STRING)
        tb_render_wrong_type(run, what, argument);
    return tb_value_text(argument);
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

static void bind_keyword(tb_value *args, tb_render *run, const parameter *parameters, size_t n, const char *what,
                         const char *name, const tb_keyword *keyword)
{
    tb_piece given = keyword->name->text;
    for (size_t i = 0; i < n; i++) {
        if (!tb_piece_equal(parameters[i].name, given))
            continue;
        if (args[i].kind != TB_VALUE_MISSING)
            tb_render_fail(run, TB_EINVAL, "the %s '%s' is given '%.*s' twice", what, name, (int)given.size,
                           given.data);
        args[i] = keyword->value;
        return;
    }
    tb_render_fail(run, TB_EINVAL, "the %s '%s' has no parameter '%.*s'", what, name, (int)given.size, given.data);
}

// Fills call->args.
static void bind(tb_call *call, tb_render *run, const tb_builtin *function, const char *what)
{
    parameter parameters[TB_MOST_PARAMETERS];
    bool by_position;
    size_t n = read_parameters(parameters, &by_position, function->params);
    if (call->count > n) {
        tb_render_fail(run, TB_EINVAL, "the %s '%s' takes at most %zu arguments", what, function->name, n);
        return;
    }
    for (size_t i = 0; i < call->count; i++)
        call->args[i] = call->values[i];
    for (size_t i = 0; i < call->keyword_count && !run->rc; i++)
        bind_keyword(call->args, run, parameters, by_position ? 0 : n, what, function->name, &call->keywords[i]);
    for (size_t i = 0; i < n && !run->rc; i++)
        if (call->args[i].kind == TB_VALUE_MISSING && !parameters[i].optional)
            tb_render_fail(run, TB_EINVAL, "the %s '%s' needs the argument '%.*s'", what, function->name,
                           (int)parameters[i].name.size, parameters[i].name.data);
}

tb_value tb_builtin_call(tb_render *run, const tb_builtin *function, const char *what, tb_value self,
                         const tb_call *call)
{
    tb_call bound = *call;
    bound.self = self;
    bound.how = function->how;
    if (!function->run)
        return tb_render_fail(run, TB_EUNSUPPORTED, "the %s '%s' is not supported", what, function->name);
    if (function->params)
        bind(&bound, run, function, what);
    if (run->rc)
        return tb_missing();
    tb_value value = function->run(run, &bound);
    return run->rc ? tb_missing() : value;
}

// ---- macros ----

const tb_string tb_caller_name = {.text = {.data = "caller", .size = 6}, .length = 6};

// The value of a keyword argument, or MISSING.
static tb_value take_keyword(tb_render *run, bool *taken, const tb_call *call, tb_piece name)
{
    tb_render_work(run, 1 + call->keyword_count);
    for (size_t i = 0; i < call->keyword_count && !run->rc; i++)
        if (tb_piece_equal(call->keywords[i].name->text, name)) {
            taken[i] = true;
            return call->keywords[i].value;
        }
    return tb_missing();
}

// Keyword arguments that no parameter took: the macro's `kwargs`, or an error.
static void bind_other_keywords(tb_render *run, tb_frame *frame, const tb_function *def, const tb_call *call,
                                const bool *taken)
{
    tb_value dict = def->keywords ? tb_dict_new(run) : tb_missing();
    for (size_t i = 0; i < call->keyword_count && !run->rc; i++) {
        const tb_keyword *keyword = &call->keywords[i];
        if (taken[i])
            continue;
        if (def->keywords)
            tb_dict_set(run, dict.as.dict, tb_string_value(keyword->name), keyword->value);
        else
            tb_render_fail(run, TB_EINVAL, "the macro has no parameter '%.*s'", (int)keyword->name->text.size,
                           keyword->name->text.data);
    }
    if (def->keywords)
        *tb_frame_slot(frame, def->keywords->as.name.ref) = dict;
}

static void bind_other_values(tb_render *run, tb_frame *frame, const tb_function *def, const tb_call *call)
{
    size_t used = call->count < def->param_count ? call->count : def->param_count;
    if (def->varargs)
        *tb_frame_slot(frame, def->varargs->as.name.ref) =
            tb_list_from(run, TB_VALUE_TUPLE, used < call->count ? call->values + used : NULL, call->count - used);
    else if (call->count > used)
        tb_render_fail(run, TB_EINVAL, "the macro takes at most %zu arguments", def->param_count);
}

static void bind_macro(tb_render *run, tb_frame *frame, const tb_function *def, const tb_call *call)
{
    bool *taken = tb_render_array(run, call->keyword_count, sizeof *taken);
    size_t i = 0;
    for (const tb_parameter *p = def->params; p && !run->rc; p = p->next, i++)
        *tb_frame_slot(frame, p->name->as.name.ref) =
            i < call->count ? call->values[i] : take_keyword(run, taken, call, p->name->as.name.id->string->text);
    if (def->caller) {
        tb_value caller = take_keyword(run, taken, call, tb_caller_name.text);
        *tb_frame_slot(frame, def->caller->as.name.ref) =
            tb_argument_given(caller) ? caller : tb_undefined_hint("no caller defined");
    }
    bind_other_keywords(run, frame, def, call, taken);
    bind_other_values(run, frame, def, call);
}

// Parameters that were not given, in order: a default may use the parameters before it.
static void apply_defaults(tb_render *run, tb_frame *frame, const tb_function *def)
{
    for (const tb_parameter *p = def->params; p && !run->rc; p = p->next) {
        tb_value *slot = tb_frame_slot(frame, p->name->as.name.ref);
        if (slot->kind == TB_VALUE_MISSING)
            *slot = p->fallback ? tb_eval(run, frame, p->fallback)
                                : tb_undefined(TB_WHY_PARAMETER, p->name->as.name.id->string);
    }
}

static tb_value call_macro(tb_render *run, const tb_macro *macro, const tb_call *call)
{
    const tb_function *def = macro->def;
    size_t mark = tb_render_begin(run);
    tb_frame *frame = tb_frame_new(run, macro->frame, def->slots);
    if (!frame)
        return tb_missing();
    bind_macro(run, frame, def, call);
    tb_scope_enter(run, frame, def->scope);
    apply_defaults(run, frame, def);
    tb_exec(run, frame, &def->body);
    return tb_render_take(run, mark);
}

// ---- values ----

bool tb_value_is_callable(tb_value value)
{
    return value.kind == TB_VALUE_MACRO || value.kind == TB_VALUE_METHOD || value.kind == TB_VALUE_FUNCTION ||
           value.kind == TB_VALUE_LOOP || value.kind == TB_VALUE_JOINER || value.kind == TB_VALUE_UNDEFINED;
}

static tb_value call_joiner(tb_render *run, tb_joiner *joiner, const tb_call *call)
{
    bool used = joiner->used;
    if (call->count || call->keyword_count)
        return tb_render_fail(run, TB_EINVAL, "a joiner takes no arguments");
    joiner->used = true;
    return used ? joiner->separator : tb_string_borrow(run, tb_piece_literal(""));
}

tb_value tb_value_call(tb_render *run, tb_value callee, const tb_call *call)
{
    if (run->rc)
        return tb_missing();
    switch (callee.kind) {
    case TB_VALUE_METHOD:
        return tb_builtin_call(run, callee.as.method->function, "method", callee.as.method->self, call);
    case TB_VALUE_FUNCTION:
        return tb_builtin_call(run, callee.as.function, "function", tb_none(), call);
    case TB_VALUE_MACRO:
        return call_macro(run, callee.as.macro, call);
    case TB_VALUE_JOINER:
        return call_joiner(run, callee.as.joiner, call);
    default:
        return tb_render_wrong_type(run, "calling", callee);
    }
}
