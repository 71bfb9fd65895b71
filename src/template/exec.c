// Execution of statements.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"

// ---- scopes ----

void tb_scope_enter(tb_render *run, tb_frame *frame, const tb_scope *scope)
{
    for (const tb_scope_entry *e = scope->entries; e && !run->rc; e = e->next) {
        tb_value *slot = &frame->slots[e->slot];
        tb_render_work(run, 1);
        if (e->load == TB_LOAD_CLEAR)
            *slot = tb_missing();
        else if (e->load == TB_LOAD_COPY)
            *slot = *tb_frame_slot(frame, e->from);
        else if (e->load == TB_LOAD_CONTEXT)
            *slot = tb_context_get(run, e->id->string);
    }
}

void tb_scope_leave(tb_frame *frame, const tb_scope *scope)
{
    for (const tb_scope_entry *e = scope->entries; e; e = e->next)
        frame->slots[e->slot] = (tb_value){0};
}

// ---- assignment ----

static void assign_member(tb_render *run, tb_frame *frame, const tb_expr *target, tb_value value)
{
    tb_value object = *tb_frame_slot(frame, target->as.name.ref);
    tb_piece name = target->as.name.id->string->text;
    if (object.kind == TB_VALUE_NAMESPACE)
        tb_dict_set(run, object.as.dict, tb_string_value(target->as.name.attribute), value);
    else
        tb_render_fail(run, TB_EINVAL, "'%.*s' is not a namespace, so that its attributes cannot be set",
                       (int)name.size, name.data);
}

static void assign_tuple(tb_render *run, tb_frame *frame, const tb_expr *target, tb_value value)
{
    const tb_list *items = tb_value_list(tb_value_collect(run, TB_VALUE_TUPLE, value));
    size_t i = 0;
    if (items->count != target->as.items.count)
        tb_render_fail(run, TB_EINVAL, "%zu values cannot be assigned to %zu names", items->count,
                       target->as.items.count);
    for (const tb_expr *e = target->as.items.first; e && !run->rc; e = e->next)
        tb_assign(run, frame, e, items->items[i++]);
}

void tb_assign(tb_render *run, tb_frame *frame, const tb_expr *target, tb_value value)
{
    if (run->rc)
        return;
    run->line = target->line;
    if (target->kind == TB_EXPR_TUPLE)
        assign_tuple(run, frame, target, value);
    else if (target->kind == TB_EXPR_MEMBER)
        assign_member(run, frame, target, value);
    else
        *tb_frame_slot(frame, target->as.name.ref) = value;
}

// ---- loops ----

// The filter of a loop: `for x in y if test`.
typedef struct loop_filter {
    const tb_for *loop;
    tb_frame *frame; // of its own
} loop_filter;

static tb_value next_that_passes(tb_render *run, tb_iter *iter)
{
    const loop_filter *filter = iter->how;
    const tb_for *loop = filter->loop;
    if (!iter->inner)
        tb_scope_enter(run, filter->frame, loop->test_scope);
    for (tb_value item; (item = tb_iter_next_of_source(run, iter)).kind != TB_VALUE_MISSING;) {
        tb_assign(run, filter->frame, loop->test_target, item);
        if (tb_value_truth(tb_eval(run, filter->frame, loop->test))) // what passes is the names' values: of several
            return tb_eval(run, filter->frame, loop->test_target);   // names a new tuple
    }
    return tb_missing();
}

static tb_value filter_source(tb_render *run, tb_value source, tb_frame *outside, const tb_for *loop)
{
    loop_filter *filter = tb_render_alloc(run, sizeof *filter);
    tb_frame *frame = tb_frame_new(run, outside, loop->test_slots);
    if (run->rc)
        return tb_missing();
    *filter = (loop_filter){loop, frame};
    return tb_iter_make(run, source, next_that_passes, filter);
}

// One round: sets the loop's variables and runs the body.
static tb_flow run_body(tb_render *run, tb_frame *frame, const tb_for *loop, tb_loop *state)
{
    tb_assign(run, frame, loop->target, state->current);
    if (loop->loop)
        *tb_frame_slot(frame, loop->loop->as.name.ref) = (tb_value){.kind = TB_VALUE_LOOP, .as.loop = state};
    tb_scope_enter(run, frame, loop->scope);
    return tb_exec(run, frame, &loop->body);
}

// The rounds, then `else` unless one round ran to its end: as jinja2 has it, break and continue leave the way to
// `else` open. What is returned is the flow of the `else`.
static tb_flow run_rounds(tb_render *run, tb_frame *frame, const tb_for *loop, tb_loop *state)
{
    bool completed = false;
    tb_flow round = TB_FLOW_NEXT;
    while (round != TB_FLOW_BREAK && tb_loop_next(run, state)) {
        round = run_body(run, frame, loop, state);
        completed |= round == TB_FLOW_NEXT;
    }
    tb_scope_leave(frame, loop->scope);
    if (run->rc || !loop->has_otherwise || completed)
        return TB_FLOW_NEXT;
    tb_scope_enter(run, frame, loop->otherwise_scope);
    tb_flow flow = tb_exec(run, frame, &loop->otherwise);
    tb_scope_leave(frame, loop->otherwise_scope);
    return flow;
}

static tb_flow exec_for(tb_render *run, tb_frame *frame, const tb_for *loop)
{
    tb_value source = tb_eval(run, frame, loop->iterable);
    tb_loop *state = tb_render_alloc(run, sizeof *state);
    if (loop->test)
        source = filter_source(run, source, frame, loop);
    tb_iter *iter = tb_iter_new(run, source);
    if (run->rc)
        return TB_FLOW_NEXT;
    *state = (tb_loop){.source = source, .iter = iter, .index0 = -1};
    return run_rounds(run, frame, loop, state);
}

// ---- blocks that capture what they print ----

// Runs a body and gives what a filter chain makes of what it prints; MISSING when the body is left by break or
// continue, whose output is dropped.
static tb_value capture(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_body *body, const tb_scope *scope,
                        const tb_expr *filter)
{
    size_t mark = tb_render_begin(run);
    tb_scope_enter(run, frame, scope);
    *flow = tb_exec(run, frame, body);
    run->content = tb_render_take(run, mark); // read before anything else is evaluated: it is the innermost subject
    return *flow == TB_FLOW_NEXT ? tb_eval(run, frame, filter) : tb_missing();
}

static tb_flow exec_set_block(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_flow flow;
    tb_value value = capture(&flow, run, frame, &s->as.set.body, s->as.set.scope, s->as.set.value);
    if (flow == TB_FLOW_NEXT)
        tb_assign(run, frame, s->as.set.target, value);
    tb_scope_leave(frame, s->as.set.scope);
    return flow;
}

// What a filter block or a call block gives must be text.
static void write_text_only(tb_render *run, tb_value value)
{
    if (value.kind != TB_VALUE_STRING)
        tb_render_fail(run, TB_EINVAL, "a block gives a value of type '%s' instead of text",
                       tb_value_kind_name(value.kind));
    tb_render_write(run, tb_value_text(value));
}

static tb_flow exec_filter_block(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_flow flow;
    tb_value value = capture(&flow, run, frame, &s->as.filter.body, s->as.filter.scope, s->as.filter.filter);
    if (flow == TB_FLOW_NEXT)
        write_text_only(run, value);
    tb_scope_leave(frame, s->as.filter.scope);
    return flow;
}

static tb_flow exec_with(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    const tb_expr *target = s->as.with.targets.first;
    tb_scope_enter(run, frame, s->as.with.scope);
    for (const tb_expr *e = s->as.with.values.first; e && !run->rc; e = e->next, target = target->next)
        tb_assign(run, frame, target, tb_eval(run, frame, e));
    tb_flow flow = tb_exec(run, frame, &s->as.with.body);
    tb_scope_leave(frame, s->as.with.scope);
    return flow;
}

// ---- macros ----

static tb_value new_macro(tb_render *run, tb_frame *frame, const tb_function *def)
{
    tb_macro *macro = tb_render_alloc(run, sizeof *macro);
    if (!macro)
        return tb_missing();
    *macro = (tb_macro){def, frame};
    return (tb_value){.kind = TB_VALUE_MACRO, .as.macro = macro};
}

// The call gets one more keyword argument, the block as a macro.
static tb_value call_with_caller(tb_render *run, tb_frame *frame, const tb_expr *e, tb_value caller)
{
    tb_value callee = tb_eval(run, frame, e->as.call.subject);
    tb_call call = tb_eval_arguments(run, frame, &e->as.call.args);
    tb_keyword *keywords = tb_render_array(run, call.keyword_count + 1, sizeof *keywords);
    if (!keywords)
        return tb_missing();
    for (size_t i = 0; i < call.keyword_count; i++)
        keywords[i] = call.keywords[i];
    keywords[call.keyword_count++] = (tb_keyword){&tb_caller_name, caller};
    call.keywords = keywords;
    run->line = e->line;
    return tb_value_call(run, callee, &call);
}

// A generation block is a call block without a call.
static void exec_call_block(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_value caller = new_macro(run, frame, &s->as.macro.function);
    tb_value value = s->as.macro.call ? call_with_caller(run, frame, s->as.macro.call, caller)
                                      : tb_value_call(run, caller, &(tb_call){0});
    run->line = s->line;
    write_text_only(run, value);
}

// ---- all ----

static tb_flow exec_if(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    for (const tb_branch *b = s->as.branch.branches; b && !run->rc; b = b->next)
        if (tb_value_truth(tb_eval(run, frame, b->test)))
            return tb_exec(run, frame, &b->body);
    return tb_exec(run, frame, &s->as.branch.otherwise);
}

static tb_flow exec_statement(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_value value;
    run->line = s->line;
    switch (s->kind) {
    case TB_STMT_DATA:
        tb_render_write(run, tb_piece_of(s->as.data, TB_FROM_TEMPLATE));
        return TB_FLOW_NEXT;
    case TB_STMT_PRINT:
        value = tb_eval(run, frame, s->as.print);
        run->line = s->line;
        tb_write_str(run, value);
        return TB_FLOW_NEXT;
    case TB_STMT_IF:
        return exec_if(run, frame, s);
    case TB_STMT_FOR:
        return exec_for(run, frame, &s->as.loop);
    case TB_STMT_SET:
        tb_assign(run, frame, s->as.set.target, tb_eval(run, frame, s->as.set.value));
        return TB_FLOW_NEXT;
    case TB_STMT_SET_BLOCK:
        return exec_set_block(run, frame, s);
    case TB_STMT_WITH:
        return exec_with(run, frame, s);
    case TB_STMT_MACRO:
        tb_assign(run, frame, s->as.macro.target, new_macro(run, frame, &s->as.macro.function));
        return TB_FLOW_NEXT;
    case TB_STMT_CALL_BLOCK:
        exec_call_block(run, frame, s);
        return TB_FLOW_NEXT;
    case TB_STMT_FILTER_BLOCK:
        return exec_filter_block(run, frame, s);
    case TB_STMT_BREAK:
        return TB_FLOW_BREAK;
    case TB_STMT_CONTINUE:
        return TB_FLOW_CONTINUE;
    }
    return TB_FLOW_NEXT;
}

tb_flow tb_exec(tb_render *run, tb_frame *frame, const tb_body *body)
{
    tb_flow flow = TB_FLOW_NEXT;
    if (run->rc || !tb_render_enter(run))
        return flow;
    for (const tb_stmt *s = body->first; s && !run->rc && flow == TB_FLOW_NEXT; s = s->next) {
        tb_render_work(run, 1);
        flow = exec_statement(run, frame, s);
    }
    run->depth--;
    return flow;
}
