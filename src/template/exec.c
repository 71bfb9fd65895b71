// Execution of statements.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"

// ---- scopes ----

void tb_jscope_enter(tb_jrun *run, tb_jframe *frame, const tb_jscope *scope)
{
    for (const tb_jscope_entry *e = scope->entries; e; e = e->next) {
        tb_jvalue *slot = &frame->slots[e->slot];
        if (e->load == TB_JLOAD_CLEAR)
            *slot = (tb_jvalue){0};
        else if (e->load == TB_JLOAD_COPY)
            *slot = *tb_jframe_slot(frame, e->from);
        else if (e->load == TB_JLOAD_CONTEXT)
            *slot = tb_jcontext_get(run, e->id->text);
    }
}

void tb_jscope_leave(tb_jframe *frame, const tb_jscope *scope)
{
    for (const tb_jscope_entry *e = scope->entries; e; e = e->next)
        frame->slots[e->slot] = (tb_jvalue){0};
}

// ---- assignment ----

static tb_code assign_member(tb_jrun *run, tb_jframe *frame, const tb_jexpr *target, tb_jvalue value)
{
    tb_jvalue object = *tb_jframe_slot(frame, target->as.name.ref);
    if (object.kind != TB_J_NAMESPACE)
        return tb_jrun_fail(run, TB_EINVAL, "'%.*s' is not a namespace, so that its attributes cannot be set",
                            (int)target->as.name.id->text->size, target->as.name.id->text->data);
    return tb_jdict_set(object.as.dict, run, tb_jstring_value(target->as.name.attribute), value);
}

static tb_code assign_tuple(tb_jrun *run, tb_jframe *frame, const tb_jexpr *target, tb_jvalue value)
{
    tb_jvalue items;
    size_t i = 0;
    tb_code rc = tb_jcollect(&items, run, TB_J_TUPLE, value);
    if (!rc && items.as.list->count != target->as.items.count)
        rc = tb_jrun_fail(run, TB_EINVAL, "%zu values cannot be assigned to %zu names", items.as.list->count,
                          target->as.items.count);
    for (const tb_jexpr *e = target->as.items.first; e && !rc; e = e->next)
        rc = tb_jassign(run, frame, e, items.as.list->items[i++]);
    return rc;
}

tb_code tb_jassign(tb_jrun *run, tb_jframe *frame, const tb_jexpr *target, tb_jvalue value)
{
    run->line = target->line;
    if (target->kind == TB_JEXPR_TUPLE)
        return assign_tuple(run, frame, target, value);
    if (target->kind == TB_JEXPR_MEMBER)
        return assign_member(run, frame, target, value);
    *tb_jframe_slot(frame, target->as.name.ref) = value;
    return TB_OK;
}

// ---- loops ----

// The filter of a loop: `for x in y if test`.
typedef struct loop_filter {
    const tb_jfor *loop;
    tb_jframe *frame; // of its own
} loop_filter;

static tb_code next_that_passes(tb_jvalue *out, tb_jrun *run, tb_jiter *iter)
{
    const loop_filter *filter = iter->how;
    const tb_jfor *loop = filter->loop;
    tb_code rc = TB_OK;
    if (!iter->inner) {
        tb_jscope_enter(run, filter->frame, loop->test_scope);
        rc = tb_jiter_start(run, iter);
    }
    while (!rc) {
        tb_jvalue test;
        rc = tb_jiter_next(out, run, iter->inner);
        if (rc || out->kind == TB_J_MISSING)
            break;
        rc = tb_jassign(run, filter->frame, loop->test_target, *out);
        if (!rc)
            rc = tb_jeval(&test, run, filter->frame, loop->test);
        if (!rc && tb_jtruth(test)) // what passes is the names' values: of several names a new tuple
            return tb_jeval(out, run, filter->frame, loop->test_target);
    }
    return rc;
}

static tb_code filter_source(tb_jvalue *source, tb_jrun *run, tb_jframe *outside, const tb_jfor *loop)
{
    loop_filter *filter = tb_jrun_alloc(run, sizeof *filter);
    if (!filter)
        return run->err->code;
    filter->loop = loop;
    filter->frame = tb_jframe_new(run, outside, loop->test_slots);
    return filter->frame ? tb_jiter_make(source, run, *source, next_that_passes, filter) : run->err->code;
}

// One round: sets the loop's variables and runs the body.
static tb_code run_body(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jfor *loop, tb_jloop *state)
{
    tb_code rc = tb_jassign(run, frame, loop->target, state->current);
    if (!rc && loop->uses_loop)
        *tb_jframe_slot(frame, loop->loop) = (tb_jvalue){.kind = TB_J_LOOP, .as.loop = state};
    if (rc)
        return rc;
    tb_jscope_enter(run, frame, loop->scope);
    return tb_jexec(flow, run, frame, &loop->body);
}

// The rounds, then `else` unless one round ran to its end: as jinja2 has it, break and continue leave the way to
// `else` open. *flow is that of the `else`.
static tb_code run_rounds(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jfor *loop, tb_jloop *state)
{
    bool found = true, completed = false;
    tb_jflow round = TB_JFLOW_NEXT;
    tb_code rc = TB_OK;
    while (!rc && found && round != TB_JFLOW_BREAK) {
        rc = tb_jloop_next(&found, run, state);
        if (!rc && found) {
            rc = run_body(&round, run, frame, loop, state);
            completed |= round == TB_JFLOW_NEXT;
        }
    }
    tb_jscope_leave(frame, loop->scope);
    *flow = TB_JFLOW_NEXT;
    if (rc || !loop->has_otherwise || completed)
        return rc;
    tb_jscope_enter(run, frame, loop->otherwise_scope);
    rc = tb_jexec(flow, run, frame, &loop->otherwise);
    tb_jscope_leave(frame, loop->otherwise_scope);
    return rc;
}

static tb_code new_loop(tb_jloop **out, tb_jrun *run, const tb_jfor *loop, tb_jvalue source, tb_jframe *outside,
                        size_t depth0)
{
    tb_jloop *state = tb_jrun_alloc(run, sizeof *state);
    *out = state;
    if (!state)
        return run->err->code;
    state->index0 = -1;
    state->depth0 = depth0;
    state->recursive = loop->recursive ? loop : NULL;
    state->frame = outside;
    tb_code rc = loop->test ? filter_source(&source, run, outside, loop) : TB_OK;
    state->source = source;
    return rc ? rc : tb_jiter_new(&state->iter, run, source);
}

// A recursive loop is a function: it runs in a frame of its own and its `else` cannot leave a loop around it.
static tb_code run_recursive(tb_jrun *run, tb_jframe *outside, const tb_jfor *loop, tb_jvalue source, size_t depth0)
{
    tb_jloop *state;
    tb_jflow flow;
    tb_jframe *frame = tb_jframe_new(run, outside, loop->slots);
    if (!frame)
        return run->err->code;
    tb_code rc = new_loop(&state, run, loop, source, outside, depth0);
    return rc ? rc : run_rounds(&flow, run, frame, loop, state);
}

tb_code tb_jloop_recurse(tb_jvalue *out, tb_jrun *run, const tb_jloop *loop, tb_jvalue iterable)
{
    if (!loop->recursive)
        return tb_jrun_fail(run, TB_EINVAL, "the loop is called, but is not marked 'recursive'");
    size_t mark = tb_jrun_begin(run);
    tb_code rc = run_recursive(run, loop->frame, loop->recursive, iterable, loop->depth0 + 1);
    return rc ? rc : tb_jrun_take(out, run, mark);
}

static tb_code exec_for(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jfor *loop)
{
    tb_jvalue source;
    tb_jloop *state;
    tb_code rc = tb_jeval(&source, run, frame, loop->iterable);
    if (!rc && loop->recursive)
        return run_recursive(run, frame, loop, source, 0);
    if (!rc)
        rc = new_loop(&state, run, loop, source, frame, 0);
    return rc ? rc : run_rounds(flow, run, frame, loop, state);
}

// ---- blocks that capture what they print ----

// Runs a body and takes away what it prints. Output of a body that is left by break or continue is dropped.
static tb_code capture(tb_jvalue *out, tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jblock *body,
                       const tb_jscope *scope)
{
    size_t mark = tb_jrun_begin(run);
    tb_jscope_enter(run, frame, scope);
    tb_code rc = tb_jexec(flow, run, frame, body);
    return rc ? rc : tb_jrun_take(out, run, mark);
}

// The value of a filter chain over what has been captured.
static tb_code filter_content(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *filter, tb_jvalue content)
{
    run->content = content; // read before anything else is evaluated: it is the innermost subject
    return tb_jeval(out, run, frame, filter);
}

static tb_code exec_set_block(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    tb_jvalue value;
    tb_code rc = capture(&value, flow, run, frame, &s->as.set.body, s->as.set.scope);
    if (!rc && *flow == TB_JFLOW_NEXT) {
        rc = filter_content(&value, run, frame, s->as.set.value, value);
        if (!rc)
            rc = tb_jassign(run, frame, s->as.set.target, value);
    }
    tb_jscope_leave(frame, s->as.set.scope);
    return rc;
}

// What a filter block or a call block gives must be text.
static tb_code write_text_only(tb_jrun *run, tb_jvalue value)
{
    if (value.kind != TB_J_STRING)
        return tb_jrun_fail(run, TB_EINVAL, "a block gives a value of type '%s' instead of text",
                            tb_jkind_name(value.kind));
    return tb_jrun_write(run, tb_jtext(value));
}

static tb_code exec_filter_block(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    tb_jvalue value;
    tb_code rc = capture(&value, flow, run, frame, &s->as.filter.body, s->as.filter.scope);
    if (!rc && *flow == TB_JFLOW_NEXT) {
        rc = filter_content(&value, run, frame, s->as.filter.filter, value);
        if (!rc)
            rc = write_text_only(run, value);
    }
    tb_jscope_leave(frame, s->as.filter.scope);
    return rc;
}

static tb_code exec_with(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    const tb_jexpr *target = s->as.with.targets.first;
    tb_code rc = TB_OK;
    tb_jscope_enter(run, frame, s->as.with.scope);
    for (const tb_jexpr *e = s->as.with.values.first; e && !rc; e = e->next, target = target->next) {
        tb_jvalue value;
        rc = tb_jeval(&value, run, frame, e);
        if (!rc)
            rc = tb_jassign(run, frame, target, value);
    }
    if (!rc)
        rc = tb_jexec(flow, run, frame, &s->as.with.body);
    tb_jscope_leave(frame, s->as.with.scope);
    return rc;
}

// ---- macros ----

static tb_code new_macro(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jfunction_def *def)
{
    tb_jmacro *macro = tb_jrun_alloc(run, sizeof *macro);
    if (!macro)
        return run->err->code;
    *macro = (tb_jmacro){def, frame};
    *out = (tb_jvalue){.kind = TB_J_MACRO, .as.macro = macro};
    return TB_OK;
}

static tb_code exec_macro(tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    tb_jvalue macro;
    tb_code rc = new_macro(&macro, run, frame, &s->as.macro.function);
    return rc ? rc : tb_jassign(run, frame, s->as.macro.target, macro);
}

// The call gets one more keyword argument, the block as a macro.
static tb_code call_with_caller(tb_jvalue *out, tb_jrun *run, tb_jframe *frame, const tb_jexpr *e, tb_jvalue caller)
{
    tb_jvalue callee;
    tb_jcall call;
    tb_code rc = tb_jeval(&callee, run, frame, e->as.call.subject);
    if (!rc)
        rc = tb_jeval_args(&call, run, frame, &e->as.call.args);
    if (rc)
        return rc;
    tb_jkeyword *keywords = tb_jrun_array(run, call.keyword_count + 1, sizeof *keywords);
    if (!keywords)
        return run->err->code;
    for (size_t i = 0; i < call.keyword_count; i++)
        keywords[i] = call.keywords[i];
    keywords[call.keyword_count++] = (tb_jkeyword){&tb_jcaller_name, caller};
    call.keywords = keywords;
    run->line = e->line;
    return tb_jcall_value(out, run, callee, &call);
}

static tb_code exec_call_block(tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    static const tb_jcall nothing = {0};
    tb_jvalue caller, value;
    tb_code rc = new_macro(&caller, run, frame, &s->as.macro.function);
    if (!rc && s->as.macro.call)
        rc = call_with_caller(&value, run, frame, s->as.macro.call, caller);
    else if (!rc)
        rc = tb_jcall_value(&value, run, caller, &nothing); // a generation block
    run->line = s->line;
    return rc ? rc : write_text_only(run, value);
}

// ---- all ----

static tb_code exec_print(tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    tb_jvalue value;
    tb_code rc = tb_jeval(&value, run, frame, s->as.print);
    run->line = s->line;
    return rc ? rc : tb_jwrite_str(run, value);
}

static tb_code exec_if(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    for (const tb_jbranch *b = s->as.branch.branches; b; b = b->next) {
        tb_jvalue test;
        tb_code rc = tb_jeval(&test, run, frame, b->test);
        if (rc)
            return rc;
        if (tb_jtruth(test))
            return tb_jexec(flow, run, frame, &b->body);
    }
    return tb_jexec(flow, run, frame, &s->as.branch.otherwise);
}

static tb_code exec_set(tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    tb_jvalue value;
    tb_code rc = tb_jeval(&value, run, frame, s->as.set.value);
    return rc ? rc : tb_jassign(run, frame, s->as.set.target, value);
}

static tb_code exec_statement(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jstmt *s)
{
    run->line = s->line;
    switch (s->kind) {
    case TB_JSTMT_DATA:
        return tb_jrun_write(run, s->as.data);
    case TB_JSTMT_PRINT:
        return exec_print(run, frame, s);
    case TB_JSTMT_IF:
        return exec_if(flow, run, frame, s);
    case TB_JSTMT_FOR:
        return exec_for(flow, run, frame, &s->as.loop);
    case TB_JSTMT_SET:
        return exec_set(run, frame, s);
    case TB_JSTMT_SET_BLOCK:
        return exec_set_block(flow, run, frame, s);
    case TB_JSTMT_WITH:
        return exec_with(flow, run, frame, s);
    case TB_JSTMT_MACRO:
        return exec_macro(run, frame, s);
    case TB_JSTMT_CALL_BLOCK:
        return exec_call_block(run, frame, s);
    case TB_JSTMT_FILTER_BLOCK:
        return exec_filter_block(flow, run, frame, s);
    case TB_JSTMT_BREAK:
    case TB_JSTMT_CONTINUE:
        *flow = s->kind == TB_JSTMT_BREAK ? TB_JFLOW_BREAK : TB_JFLOW_CONTINUE;
        return TB_OK;
    }
    return TB_OK;
}

tb_code tb_jexec(tb_jflow *flow, tb_jrun *run, tb_jframe *frame, const tb_jblock *block)
{
    *flow = TB_JFLOW_NEXT;
    tb_code rc = tb_jrun_enter(run);
    if (rc)
        return rc;
    for (const tb_jstmt *s = block->first; s && !rc && *flow == TB_JFLOW_NEXT; s = s->next) {
        rc = tb_jrun_work(run, 1);
        if (!rc)
            rc = exec_statement(flow, run, frame, s);
    }
    run->depth--;
    return rc;
}
