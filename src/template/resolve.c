// Gives names their slots, by the rules of jinja2's idtracking, which differ from a lookup at run time:
//
// A block that has a scope first learns which names it loads and sets, in the order of the text, and only then are
// names looked up. A name that a scope sets anywhere is a variable of this scope everywhere in it. It starts
// - as a copy of the variable that it hides, if a scope further out has one;
// - else without a value, if the first thing that happens to it is an unconditional set;
// - else as the context's variable of this name.
// A name that is only loaded belongs to the innermost scope that has it, or becomes a variable of the scope that loads
// it, which starts as the context's. `if` has no scope of its own.
#include "template/ast.h"

// A function has frames of its own: the template, macros, callers, filters of loops.
typedef struct unit {
    uint32_t level;
    size_t slots;
} unit;

typedef struct tb_binding {
    tb_scope_entry *entry;
    const struct scope *scope;
    const unit *unit;
    struct tb_binding *hidden; // the binding of the same name further out
    struct tb_binding *next;   // in the scope
} tb_binding;

typedef struct scope {
    tb_scope *result;
    tb_binding *bindings;
    tb_scope_entry **end;
    unit *unit;
    unsigned branches; // ifs around what is being learnt
    bool soft_outside;
} scope;

typedef struct resolver {
    tb_arena *arena;
    scope *scope;
    bool soft;  // inside an if: an unknown filter is an error only when it is reached
    tb_code rc; // of the first error; nothing is done after it
    tb_error *err;
} resolver;

static void no_memory(resolver *r)
{
    if (!r->rc)
        r->rc = tb_fail(r->err, TB_ENOMEM, "no memory to compile a template");
}

// ---- bindings ----

static tb_slot_ref reference(const resolver *r, const tb_binding *binding)
{
    return (tb_slot_ref){r->scope->unit->level - binding->unit->level, binding->entry->slot};
}

static void bind(resolver *r, tb_name *name, tb_load_kind load)
{
    tb_binding *binding = tb_arena_alloc(r->arena, sizeof *binding);
    tb_scope_entry *entry = tb_arena_alloc(r->arena, sizeof *entry);
    if (!binding || !entry)
        no_memory(r);
    if (r->rc)
        return;
    entry->id = name;
    entry->slot = (uint32_t)r->scope->unit->slots++;
    entry->load = load;
    if (load == TB_LOAD_COPY)
        entry->from = reference(r, name->binding);
    *r->scope->end = entry;
    r->scope->end = &entry->next;
    *binding = (tb_binding){entry, r->scope, r->scope->unit, name->binding, r->scope->bindings};
    r->scope->bindings = binding;
    name->binding = binding;
}

static bool is_bound_here(const resolver *r, const tb_name *name)
{
    return name->binding && name->binding->scope == r->scope;
}

static void learn_load(resolver *r, tb_name *name)
{
    if (!name->binding)
        bind(r, name, TB_LOAD_CONTEXT);
}

static void learn_store(resolver *r, tb_name *name)
{
    if (!is_bound_here(r, name))
        bind(r, name, name->binding ? TB_LOAD_COPY : r->scope->branches ? TB_LOAD_CONTEXT : TB_LOAD_CLEAR);
}

static void learn_parameter(resolver *r, tb_name *name)
{
    if (is_bound_here(r, name))
        name->binding->entry->load = TB_LOAD_NOTHING;
    else
        bind(r, name, TB_LOAD_NOTHING);
}

// ---- scopes ----

// Makes `s` the current scope; what is returned is to be given to close_scope.
static scope *open_scope(resolver *r, scope *s, unit *u)
{
    scope *outer = r->scope;
    *s = (scope){.result = tb_arena_alloc(r->arena, sizeof(tb_scope)), .unit = u, .soft_outside = r->soft};
    r->scope = s;
    r->soft = false;
    if (s->result)
        s->end = &s->result->entries;
    else
        no_memory(r);
    return outer;
}

static void close_scope(resolver *r, scope *outer)
{
    for (tb_binding *b = r->scope->bindings; b; b = b->next)
        b->entry->id->binding = b->hidden;
    r->soft = r->scope->soft_outside;
    r->scope = outer;
}

// ---- walking expressions ----

typedef void (*visit_fn)(resolver *r, tb_expr *e);

static void walk(resolver *r, tb_expr *e, visit_fn visit);

static void walk_list(resolver *r, const tb_expr_list *list, visit_fn visit)
{
    for (tb_expr *e = list->first; e && !r->rc; e = e->next)
        walk(r, e, visit);
}

static void walk_args(resolver *r, const tb_arguments *args, visit_fn visit)
{
    walk_list(r, &args->positional, visit);
    for (tb_keyword_expr *k = args->keywords; k && !r->rc; k = k->next)
        walk(r, k->value, visit);
    walk(r, args->rest, visit);
    walk(r, args->rest_keywords, visit);
}

// An unknown filter in a branch that may not be taken is an error only when it is reached.
static void walk_cond(resolver *r, const tb_expr *e, visit_fn visit)
{
    bool soft = r->soft;
    r->soft = true;
    walk(r, e->as.cond.test, visit);
    walk(r, e->as.cond.then, visit);
    walk(r, e->as.cond.otherwise, visit);
    r->soft = soft;
}

static void walk(resolver *r, tb_expr *e, visit_fn visit)
{
    if (!e || r->rc)
        return;
    visit(r, e);
    switch (e->kind) {
    case TB_EXPR_TUPLE:
    case TB_EXPR_LIST:
    case TB_EXPR_DICT:
    case TB_EXPR_COMPARE:
        walk_list(r, &e->as.items, visit);
        break;
    case TB_EXPR_UNARY:
    case TB_EXPR_BINARY:
        walk(r, e->as.operands.left, visit);
        walk(r, e->as.operands.right, visit);
        break;
    case TB_EXPR_COND:
        walk_cond(r, e, visit);
        break;
    case TB_EXPR_ATTR:
        walk(r, e->as.attr.object, visit);
        break;
    case TB_EXPR_ITEM:
        walk(r, e->as.item.object, visit);
        walk(r, e->as.item.index, visit);
        break;
    case TB_EXPR_SLICE:
        walk(r, e->as.slice.object, visit);
        walk(r, e->as.slice.start, visit);
        walk(r, e->as.slice.stop, visit);
        walk(r, e->as.slice.step, visit);
        break;
    case TB_EXPR_CALL:
    case TB_EXPR_FILTER:
    case TB_EXPR_TEST:
        walk(r, e->as.call.subject, visit);
        walk_args(r, &e->as.call.args, visit);
        break;
    default:
        break;
    }
}

static bool is_name(const tb_expr *e)
{
    return e->kind == TB_EXPR_NAME || e->kind == TB_EXPR_MEMBER;
}

static void learn_loads(resolver *r, tb_expr *e)
{
    if (!is_name(e))
        return;
    if (!e->as.name.id->binding && tb_piece_is(e->as.name.id->string->text, "self")) // of use to blocks only
        r->rc = tb_fail(r->err, TB_EUNSUPPORTED, "the template uses 'self' at line %u, which is not supported",
                        (unsigned)e->line);
    learn_load(r, e->as.name.id);
}

// A member of a namespace is a load of the namespace.
static void learn_target(resolver *r, tb_expr *e)
{
    if (e->kind == TB_EXPR_MEMBER)
        learn_load(r, e->as.name.id);
    else if (e->kind == TB_EXPR_NAME)
        learn_store(r, e->as.name.id);
}

static void learn_parameters(resolver *r, tb_expr *e)
{
    if (e->kind == TB_EXPR_NAME)
        learn_parameter(r, e->as.name.id);
}

static void resolve_names(resolver *r, tb_expr *e)
{
    if (is_name(e))
        e->as.name.ref = reference(r, e->as.name.id->binding);
    bool has_function = e->kind == TB_EXPR_FILTER || e->kind == TB_EXPR_TEST;
    if (has_function && !e->as.call.function && !r->soft)
        r->rc = tb_fail(r->err, TB_EFORMAT, "the template names a %s '%.*s' at line %u, which does not exist",
                        e->kind == TB_EXPR_FILTER ? "filter" : "test", (int)e->as.call.name->text.size,
                        e->as.call.name->text.data, (unsigned)e->line);
}

// ---- walking statements ----

// What a statement does in the scope where it stands.
typedef enum part_kind {
    LOADED,
    SET,
    BRANCH, // a body of an if, which opens no scope
} part_kind;

typedef void (*part_fn)(resolver *r, part_kind kind, tb_expr *e, const tb_body *body);

static void visit_if(resolver *r, const tb_stmt *s, part_fn visit)
{
    for (tb_branch *b = s->as.branch.branches; b; b = b->next) {
        visit(r, LOADED, b->test, NULL);
        visit(r, BRANCH, NULL, &b->body);
    }
    visit(r, BRANCH, NULL, &s->as.branch.otherwise);
}

// The parts of a statement in this scope; a value is loaded before its target is set.
static void visit_statement(resolver *r, const tb_stmt *s, part_fn visit)
{
    switch (s->kind) {
    case TB_STMT_PRINT:
        visit(r, LOADED, s->as.print, NULL);
        break;
    case TB_STMT_IF:
        visit_if(r, s, visit);
        break;
    case TB_STMT_FOR:
        visit(r, LOADED, s->as.loop.iterable, NULL);
        break;
    case TB_STMT_SET:
        visit(r, LOADED, s->as.set.value, NULL);
        visit(r, SET, s->as.set.target, NULL);
        break;
    case TB_STMT_SET_BLOCK:
        visit(r, SET, s->as.set.target, NULL);
        break;
    case TB_STMT_WITH: // the values do not see each other's names
        for (tb_expr *e = s->as.with.values.first; e; e = e->next)
            visit(r, LOADED, e, NULL);
        break;
    case TB_STMT_MACRO:
    case TB_STMT_CALL_BLOCK:
        visit(r, LOADED, s->as.macro.call, NULL);
        visit(r, SET, s->as.macro.target, NULL);
        break;
    case TB_STMT_FILTER_BLOCK: // learnt here, although it belongs to the inner scope
        visit(r, LOADED, s->as.filter.filter, NULL);
        break;
    default:
        break;
    }
}

// ---- learning: what the statements of one scope load and set ----

static void learn_body(resolver *r, const tb_body *body);

static void learn_part(resolver *r, part_kind kind, tb_expr *e, const tb_body *body)
{
    if (kind != BRANCH) {
        walk(r, e, kind == SET ? learn_target : learn_loads);
        return;
    }
    r->scope->branches++;
    learn_body(r, body);
    r->scope->branches--;
}

static void learn_body(resolver *r, const tb_body *body)
{
    for (const tb_stmt *s = body->first; s && !r->rc; s = s->next)
        visit_statement(r, s, learn_part);
}

// ---- resolving: scope by scope ----

static void resolve_body(resolver *r, const tb_body *body);

// A scope that a statement opens: what it sets, the body and the value in it.
typedef struct inner_scope {
    tb_expr *target, *loop; // or NULL
    tb_expr_list targets;   // more of them
    const tb_body *body;    // or NULL
    tb_expr *value;         // or NULL
} inner_scope;

static void resolve_inner(tb_scope **out, resolver *r, unit *u, const inner_scope *inner)
{
    scope s, *outer = open_scope(r, &s, u);
    walk(r, inner->loop, learn_parameters);
    walk(r, inner->target, learn_parameters);
    walk_list(r, &inner->targets, learn_parameters);
    if (inner->body)
        learn_body(r, inner->body);
    walk(r, inner->value, learn_loads);
    walk(r, inner->loop, resolve_names);
    walk(r, inner->target, resolve_names);
    walk_list(r, &inner->targets, resolve_names);
    if (inner->body)
        resolve_body(r, inner->body);
    walk(r, inner->value, resolve_names);
    *out = s.result;
    close_scope(r, outer);
}

// The filter of a loop is a function.
static void resolve_for(resolver *r, tb_for *loop)
{
    unit filter = {.level = r->scope->unit->level + 1}, *u = r->scope->unit;
    if (loop->test)
        resolve_inner(&loop->test_scope, r, &filter, &(inner_scope){.target = loop->test_target, .value = loop->test});
    resolve_inner(&loop->scope, r, u, &(inner_scope){.target = loop->target, .loop = loop->loop, .body = &loop->body});
    if (loop->has_otherwise)
        resolve_inner(&loop->otherwise_scope, r, u, &(inner_scope){.body = &loop->otherwise});
    loop->test_slots = filter.slots;
}

static void resolve_function(resolver *r, tb_function *f)
{
    tb_expr *const specials[] = {f->caller, f->keywords, f->varargs};
    unit u = {.level = r->scope->unit->level + 1};
    scope s, *outer = open_scope(r, &s, &u);
    for (const tb_parameter *p = f->params; p; p = p->next)
        walk(r, p->name, learn_parameters);
    for (size_t i = 0; i < 3; i++)
        walk(r, specials[i], learn_parameters);
    for (const tb_parameter *p = f->params; p; p = p->next)
        walk(r, p->fallback, learn_loads);
    learn_body(r, &f->body);
    for (const tb_parameter *p = f->params; p; p = p->next) {
        walk(r, p->name, resolve_names);
        walk(r, p->fallback, resolve_names);
    }
    for (size_t i = 0; i < 3; i++)
        walk(r, specials[i], resolve_names);
    resolve_body(r, &f->body);
    f->scope = s.result;
    f->slots = u.slots;
    close_scope(r, outer);
}

static void resolve_part(resolver *r, part_kind kind, tb_expr *e, const tb_body *body)
{
    if (kind == BRANCH)
        resolve_body(r, body);
    else
        walk(r, e, resolve_names);
}

static void resolve_statement(resolver *r, tb_stmt *s)
{
    bool soft = r->soft;
    unit *u = r->scope->unit;
    r->soft |= s->kind == TB_STMT_IF;
    visit_statement(r, s, resolve_part);
    r->soft = soft;
    switch (s->kind) {
    case TB_STMT_FOR:
        resolve_for(r, &s->as.loop);
        break;
    case TB_STMT_SET_BLOCK:
        resolve_inner(&s->as.set.scope, r, u, &(inner_scope){.body = &s->as.set.body, .value = s->as.set.value});
        break;
    case TB_STMT_WITH:
        resolve_inner(&s->as.with.scope, r, u, &(inner_scope){.targets = s->as.with.targets, .body = &s->as.with.body});
        break;
    case TB_STMT_MACRO:
    case TB_STMT_CALL_BLOCK:
        resolve_function(r, &s->as.macro.function);
        break;
    case TB_STMT_FILTER_BLOCK:
        resolve_inner(&s->as.filter.scope, r, u,
                      &(inner_scope){.body = &s->as.filter.body, .value = s->as.filter.filter});
        break;
    default:
        break;
    }
}

static void resolve_body(resolver *r, const tb_body *body)
{
    for (tb_stmt *s = body->first; s && !r->rc; s = s->next)
        resolve_statement(r, s);
}

tb_code tb_resolve_names(struct tb_template *tmpl, tb_error *err)
{
    resolver r = {.arena = &tmpl->arena, .err = err};
    unit u = {0};
    scope s, *outer = open_scope(&r, &s, &u);
    learn_body(&r, &tmpl->body);
    resolve_body(&r, &tmpl->body);
    tmpl->scope = s.result;
    tmpl->slots = u.slots;
    close_scope(&r, outer);
    return r.rc;
}
