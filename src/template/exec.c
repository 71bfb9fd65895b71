// Execution of statements.
#include "template/builtin.h"
#include "template/iter.h"
#include "template/run.h"

// ---- scopes ----

tb_code tb_scope_enter(tb_render *run, tb_frame *frame, const tb_scope *scope)
{
    tb_code rc = TB_OK;
    for (const tb_scope_entry *e = scope->entries; e && !rc; e = e->next) {
        tb_value *slot = &frame->slots[e->slot];
        if (e->load == TB_LOAD_CLEAR)
            *slot = (tb_value){0};
        else if (e->load == TB_LOAD_COPY)
            *slot = *tb_frame_slot(frame, e->from);
        else if (e->load == TB_LOAD_CONTEXT)
            rc = tb_context_get(slot, run, e->id->string);
        if (!rc)
            rc = tb_render_work(run, 1);
    }
    return rc;
}

void tb_scope_leave(tb_frame *frame, const tb_scope *scope)
{
    for (const tb_scope_entry *e = scope->entries; e; e = e->next)
        frame->slots[e->slot] = (tb_value){0};
}

// ---- assignment ----

static tb_code assign_member(tb_render *run, tb_frame *frame, const tb_expr *target, tb_value value)
{
    tb_value object = *tb_frame_slot(frame, target->as.name.ref);
    if (object.kind != TB_VALUE_NAMESPACE)
        return tb_render_fail(run, TB_EINVAL, "'%.*s' is not a namespace, so that its attributes cannot be set",
                              (int)target->as.name.id->string->text.size, target->as.name.id->string->text.data);
    return tb_dict_set(object.as.dict, run, tb_string_value(target->as.name.attribute), value);
}

static tb_code assign_tuple(tb_render *run, tb_frame *frame, const tb_expr *target, tb_value value)
{
    tb_value items;
    size_t i = 0;
    tb_code rc = tb_value_collect(&items, run, TB_VALUE_TUPLE, value);
    if (!rc && items.as.list->count != target->as.items.count)
        rc = tb_render_fail(run, TB_EINVAL, "%zu values cannot be assigned to %zu names", items.as.list->count,
                            target->as.items.count);
    for (const tb_expr *e = target->as.items.first; e && !rc; e = e->next)
        rc = tb_assign(run, frame, e, items.as.list->items[i++]);
    return rc;
}

tb_code tb_assign(tb_render *run, tb_frame *frame, const tb_expr *target, tb_value value)
{
    run->line = target->line;
    if (target->kind == TB_EXPR_TUPLE)
        return assign_tuple(run, frame, target, value);
    if (target->kind == TB_EXPR_MEMBER)
        return assign_member(run, frame, target, value);
    *tb_frame_slot(frame, target->as.name.ref) = value;
    return TB_OK;
}

// ---- loops ----

// The filter of a loop: `for x in y if test`.
typedef struct loop_filter {
    const tb_for *loop;
    tb_frame *frame; // of its own
} loop_filter;

static tb_code next_that_passes(tb_value *out, tb_render *run, tb_iter *iter)
{
    const loop_filter *filter = iter->how;
    const tb_for *loop = filter->loop;
    tb_code rc = TB_OK;
    if (!iter->inner) {
        rc = tb_scope_enter(run, filter->frame, loop->test_scope);
        if (!rc)
            rc = tb_iter_start(run, iter);
    }
    while (!rc) {
        tb_value test;
        rc = tb_iter_next(out, run, iter->inner);
        if (rc || out->kind == TB_VALUE_MISSING)
            break;
        rc = tb_assign(run, filter->frame, loop->test_target, *out);
        if (!rc)
            rc = tb_eval(&test, run, filter->frame, loop->test);
        if (!rc && tb_value_truth(test)) // what passes is the names' values: of several names a new tuple
            return tb_eval(out, run, filter->frame, loop->test_target);
    }
    return rc;
}

static tb_code filter_source(tb_value *source, tb_render *run, tb_frame *outside, const tb_for *loop)
{
    loop_filter *filter = tb_render_alloc(run, sizeof *filter);
    if (!filter)
        return run->err->code;
    filter->loop = loop;
    filter->frame = tb_frame_new(run, outside, loop->test_slots);
    return filter->frame ? tb_iter_make(source, run, *source, next_that_passes, filter) : run->err->code;
}

// One round: sets the loop's variables and runs the body.
static tb_code run_body(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_for *loop, tb_loop *state)
{
    tb_code rc = tb_assign(run, frame, loop->target, state->current);
    if (!rc && loop->uses_loop)
        *tb_frame_slot(frame, loop->loop) = (tb_value){.kind = TB_VALUE_LOOP, .as.loop = state};
    if (!rc)
        rc = tb_scope_enter(run, frame, loop->scope);
    return rc ? rc : tb_exec(flow, run, frame, &loop->body);
}

// The rounds, then `else` unless one round ran to its end: as jinja2 has it, break and continue leave the way to
// `else` open. *flow is that of the `else`.
static tb_code run_rounds(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_for *loop, tb_loop *state)
{
    bool found = true, completed = false;
    tb_flow round = TB_FLOW_NEXT;
    tb_code rc = TB_OK;
    while (!rc && found && round != TB_FLOW_BREAK) {
        rc = tb_loop_next(&found, run, state);
        if (!rc && found) {
            rc = run_body(&round, run, frame, loop, state);
            completed |= round == TB_FLOW_NEXT;
        }
    }
    tb_scope_leave(frame, loop->scope);
    *flow = TB_FLOW_NEXT;
    if (rc || !loop->has_otherwise || completed)
        return rc;
    rc = tb_scope_enter(run, frame, loop->otherwise_scope);
    if (!rc)
        rc = tb_exec(flow, run, frame, &loop->otherwise);
    tb_scope_leave(frame, loop->otherwise_scope);
    return rc;
}

static tb_code new_loop(tb_loop **out, tb_render *run, const tb_for *loop, tb_value source, tb_frame *outside,
                        size_t depth0)
{
    tb_loop *state = tb_render_alloc(run, sizeof *state);
    *out = state;
    if (!state)
        return run->err->code;
    state->index0 = -1;
    state->depth0 = depth0;
    state->recursive = loop->recursive ? loop : NULL;
    state->frame = outside;
    tb_code rc = loop->test ? filter_source(&source, run, outside, loop) : TB_OK;
    state->source = source;
    return rc ? rc : tb_iter_new(&state->iter, run, source);
}

// A recursive loop is a function: it runs in a frame of its own and its `else` cannot leave a loop around it.
static tb_code run_recursive(tb_render *run, tb_frame *outside, const tb_for *loop, tb_value source, size_t depth0)
{
    tb_loop *state;
    tb_flow flow;
    tb_frame *frame = tb_frame_new(run, outside, loop->slots);
    if (!frame)
        return run->err->code;
    tb_code rc = new_loop(&state, run, loop, source, outside, depth0);
    return rc ? rc : run_rounds(&flow, run, frame, loop, state);
}

tb_code tb_loop_recurse(tb_value *out, tb_render *run, const tb_loop *loop, tb_value iterable)
{
    if (!loop->recursive)
        return tb_render_fail(run, TB_EINVAL, "the loop is called, but is not marked 'recursive'");
    size_t mark = tb_render_begin(run);
    tb_code rc = run_recursive(run, loop->frame, loop->recursive, iterable, loop->depth0 + 1);
    return rc ? rc : tb_render_take(out, run, mark);
}

static tb_code exec_for(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_for *loop)
{
    tb_value source;
    tb_loop *state;
    tb_code rc = tb_eval(&source, run, frame, loop->iterable);
    if (!rc && loop->recursive)
        return run_recursive(run, frame, loop, source, 0);
    if (!rc)
        rc = new_loop(&state, run, loop, source, frame, 0);
    return rc ? rc : run_rounds(flow, run, frame, loop, state);
}

// ---- blocks that capture what they print ----

// Runs a body and takes away what it prints. Output of a body that is left by break or continue is dropped.
static tb_code capture(tb_value *out, tb_flow *flow, tb_render *run, tb_frame *frame, const tb_body *body,
                       const tb_scope *scope)
{
    size_t mark = tb_render_begin(run);
    tb_code rc = tb_scope_enter(run, frame, scope);
    if (!rc)
        rc = tb_exec(flow, run, frame, body);
    return rc ? rc : tb_render_take(out, run, mark);
}

// The value of a filter chain over what has been captured.
static tb_code filter_content(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *filter, tb_value content)
{
    run->content = content; // read before anything else is evaluated: it is the innermost subject
    return tb_eval(out, run, frame, filter);
}

static tb_code exec_set_block(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_value value;
    tb_code rc = capture(&value, flow, run, frame, &s->as.set.body, s->as.set.scope);
    if (!rc && *flow == TB_FLOW_NEXT) {
        rc = filter_content(&value, run, frame, s->as.set.value, value);
        if (!rc)
            rc = tb_assign(run, frame, s->as.set.target, value);
    }
    tb_scope_leave(frame, s->as.set.scope);
    return rc;
}

// What a filter block or a call block gives must be text.
static tb_code write_text_only(tb_render *run, tb_value value)
{
    if (value.kind != TB_VALUE_STRING)
        return tb_render_fail(run, TB_EINVAL, "a block gives a value of type '%s' instead of text",
                              tb_value_kind_name(value.kind));
    return tb_render_write(run, tb_value_text(value));
}

static tb_code exec_filter_block(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_value value;
    tb_code rc = capture(&value, flow, run, frame, &s->as.filter.body, s->as.filter.scope);
    if (!rc && *flow == TB_FLOW_NEXT) {
        rc = filter_content(&value, run, frame, s->as.filter.filter, value);
        if (!rc)
            rc = write_text_only(run, value);
    }
    tb_scope_leave(frame, s->as.filter.scope);
    return rc;
}

static tb_code exec_with(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    const tb_expr *target = s->as.with.targets.first;
    tb_code rc = tb_scope_enter(run, frame, s->as.with.scope);
    for (const tb_expr *e = s->as.with.values.first; e && !rc; e = e->next, target = target->next) {
        tb_value value;
        rc = tb_eval(&value, run, frame, e);
        if (!rc)
            rc = tb_assign(run, frame, target, value);
    }
    if (!rc)
        rc = tb_exec(flow, run, frame, &s->as.with.body);
    tb_scope_leave(frame, s->as.with.scope);
    return rc;
}

// ---- macros ----

static tb_code new_macro(tb_value *out, tb_render *run, tb_frame *frame, const tb_function *def)
{
    tb_macro *macro = tb_render_alloc(run, sizeof *macro);
    if (!macro)
        return run->err->code;
    *macro = (tb_macro){def, frame};
    *out = (tb_value){.kind = TB_VALUE_MACRO, .as.macro = macro};
    return TB_OK;
}

static tb_code exec_macro(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_value macro;
    tb_code rc = new_macro(&macro, run, frame, &s->as.macro.function);
    return rc ? rc : tb_assign(run, frame, s->as.macro.target, macro);
}

// The call gets one more keyword argument, the block as a macro.
static tb_code call_with_caller(tb_value *out, tb_render *run, tb_frame *frame, const tb_expr *e, tb_value caller)
{
    tb_value callee;
    tb_call call;
    tb_code rc = tb_eval(&callee, run, frame, e->as.call.subject);
    if (!rc)
        rc = tb_eval_arguments(&call, run, frame, &e->as.call.args);
    if (rc)
        return rc;
    tb_keyword *keywords = tb_render_array(run, call.keyword_count + 1, sizeof *keywords);
    if (!keywords)
        return run->err->code;
    for (size_t i = 0; i < call.keyword_count; i++)
        keywords[i] = call.keywords[i];
    keywords[call.keyword_count++] = (tb_keyword){&tb_caller_name, caller};
    call.keywords = keywords;
    run->line = e->line;
    return tb_value_call(out, run, callee, &call);
}

static tb_code exec_call_block(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    static const tb_call nothing = {0};
    tb_value caller, value;
    tb_code rc = new_macro(&caller, run, frame, &s->as.macro.function);
    if (!rc && s->as.macro.call)
        rc = call_with_caller(&value, run, frame, s->as.macro.call, caller);
    else if (!rc)
        rc = tb_value_call(&value, run, caller, &nothing); // a generation block
    run->line = s->line;
    return rc ? rc : write_text_only(run, value);
}

// ---- all ----

static tb_code exec_print(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_value value;
    tb_code rc = tb_eval(&value, run, frame, s->as.print);
    run->line = s->line;
    return rc ? rc : tb_write_str(run, value);
}

static tb_code exec_if(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    for (const tb_branch *b = s->as.branch.branches; b; b = b->next) {
        tb_value test;
        tb_code rc = tb_eval(&test, run, frame, b->test);
        if (rc)
            return rc;
        if (tb_value_truth(test))
            return tb_exec(flow, run, frame, &b->body);
    }
    return tb_exec(flow, run, frame, &s->as.branch.otherwise);
}

static tb_code exec_set(tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    tb_value value;
    tb_code rc = tb_eval(&value, run, frame, s->as.set.value);
    return rc ? rc : tb_assign(run, frame, s->as.set.target, value);
}

static tb_code exec_statement(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_stmt *s)
{
    run->line = s->line;
    switch (s->kind) {
    case TB_STMT_DATA:
        return tb_render_write(run, tb_piece_of(s->as.data, TB_FROM_TEMPLATE));
    case TB_STMT_PRINT:
        return exec_print(run, frame, s);
    case TB_STMT_IF:
        return exec_if(flow, run, frame, s);
    case TB_STMT_FOR:
        return exec_for(flow, run, frame, &s->as.loop);
    case TB_STMT_SET:
        return exec_set(run, frame, s);
    case TB_STMT_SET_BLOCK:
        return exec_set_block(flow, run, frame, s);
    case TB_STMT_WITH:
        return exec_with(flow, run, frame, s);
    case TB_STMT_MACRO:
        return exec_macro(run, frame, s);
    case TB_STMT_CALL_BLOCK:
        return exec_call_block(run, frame, s);
    case TB_STMT_FILTER_BLOCK:
        return exec_filter_block(flow, run, frame, s);
    case TB_STMT_BREAK:
    case TB_STMT_CONTINUE:
        *flow = s->kind == TB_STMT_BREAK ? TB_FLOW_BREAK : TB_FLOW_CONTINUE;
        return TB_OK;
    }
    return TB_OK;
}

tb_code tb_exec(tb_flow *flow, tb_render *run, tb_frame *frame, const tb_body *block)
{
    *flow = TB_FLOW_NEXT;
    tb_code rc = tb_render_enter(run);
    if (rc)
        return rc;
    for (const tb_stmt *s = block->first; s && !rc && *flow == TB_FLOW_NEXT; s = s->next) {
        rc = tb_render_work(run, 1);
        if (!rc)
            rc = exec_statement(flow, run, frame, s);
    }
    run->depth--;
    return rc;
}
