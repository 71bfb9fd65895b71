// Gives names their slots, by the rules of jinja2's idtracking, which differ from a lookup at run time:
//
// A block that has a scope first learns which names it loads and sets, in the order of the text, and only then are
// names looked up. A name that a scope sets anywhere is a variable of this scope everywhere in it. It starts
// - as a copy of the variable that it hides, if a scope further out has one;
// - else without a value, if the first thing that happens to it is an unconditional set;
// - else as the context's variable of this name.
// A name that is only loaded belongs to the innermost scope that has it, or becomes a variable of the scope
// that loads it, which starts as the context's. `if` has no scope of its own.
#include "template/ast.h"

// A function has frames of its own: the template, macros, callers, recursive loops, filters of loops.
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

typedef struct usage {
    const char *name;
    tb_name *id;  // the name once it is used
    bool settled; // used, or set before that
} usage;

typedef struct resolver {
    tb_arena *arena;
    scope *scope;
    bool soft;   // inside an if: an unknown filter is an error only when it is reached
    usage usage; // of the special name that is looked for
    uint64_t steps_left;
    tb_error *err;
} resolver;

static tb_code no_memory(resolver *r)
{
    return tb_fail(r->err, TB_ENOMEM, "no memory to compile a template");
}

// ---- bindings ----

static tb_slot_ref reference(const resolver *r, const tb_binding *binding)
{
    return (tb_slot_ref){r->scope->unit->level - binding->unit->level, binding->entry->slot};
}

static tb_code bind(resolver *r, tb_name *name, tb_load_kind load)
{
    tb_binding *binding = tb_arena_alloc(r->arena, sizeof *binding);
    tb_scope_entry *entry = tb_arena_alloc(r->arena, sizeof *entry);
    if (!binding || !entry)
        return no_memory(r);
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
    return TB_OK;
}

static bool is_bound_here(const resolver *r, const tb_name *name)
{
    return name->binding && name->binding->scope == r->scope;
}

static tb_code learn_load(resolver *r, tb_name *name)
{
    return name->binding ? TB_OK : bind(r, name, TB_LOAD_CONTEXT);
}

static tb_code learn_store(resolver *r, tb_name *name)
{
    if (is_bound_here(r, name))
        return TB_OK;
    if (name->binding)
        return bind(r, name, TB_LOAD_COPY);
    return bind(r, name, r->scope->branches ? TB_LOAD_CONTEXT : TB_LOAD_CLEAR);
}

static tb_code learn_parameter(resolver *r, tb_name *name)
{
    if (!is_bound_here(r, name))
        return bind(r, name, TB_LOAD_NOTHING);
    name->binding->entry->load = TB_LOAD_NOTHING;
    return TB_OK;
}

// ---- scopes ----

// Makes `s` the current scope; *outer is to be given to close_scope, also after a failure.
static tb_code open_scope(scope **outer, resolver *r, scope *s, unit *u)
{
    *s = (scope){.result = tb_arena_alloc(r->arena, sizeof(tb_scope)), .unit = u, .soft_outside = r->soft};
    *outer = r->scope;
    r->scope = s;
    r->soft = false;
    if (!s->result)
        return no_memory(r);
    s->end = &s->result->entries;
    return TB_OK;
}

static void close_scope(resolver *r, scope *outer)
{
    for (tb_binding *b = r->scope->bindings; b; b = b->next)
        b->entry->id->binding = b->hidden;
    r->soft = r->scope->soft_outside;
    r->scope = outer;
}

// ---- walking expressions ----

typedef tb_code (*visit_fn)(resolver *r, tb_expr *e);

static tb_code walk(resolver *r, tb_expr *e, visit_fn visit);

static tb_code walk_list(resolver *r, const tb_expr_list *list, visit_fn visit)
{
    tb_code rc = TB_OK;
    for (tb_expr *e = list->first; e && !rc; e = e->next)
        rc = walk(r, e, visit);
    return rc;
}

static tb_code walk_args(resolver *r, const tb_arguments *args, visit_fn visit)
{
    tb_code rc = walk_list(r, &args->positional, visit);
    for (tb_keyword_expr *k = args->keywords; k && !rc; k = k->next)
        rc = walk(r, k->value, visit);
    if (!rc)
        rc = walk(r, args->rest, visit);
    return rc ? rc : walk(r, args->rest_keywords, visit);
}

static tb_code walk_all(resolver *r, tb_expr *const *parts, size_t n, visit_fn visit)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < n && !rc; i++)
        rc = walk(r, parts[i], visit);
    return rc;
}

static tb_code walk_cond(resolver *r, tb_expr *e, visit_fn visit)
{
    bool soft = r->soft;
    r->soft = true;
    tb_code rc = walk_all(r, (tb_expr *[]){e->as.cond.test, e->as.cond.then, e->as.cond.otherwise}, 3, visit);
    r->soft = soft;
    return rc;
}

// Calls `visit` on the expression (NULL: nothing) and all below it.
// One step of the walks through the tree, some of which pass what is deep inside once for each level around it.
static tb_code count_step(resolver *r, uint32_t line)
{
    if (r->steps_left == 0)
        return tb_fail(r->err, TB_ELIMIT, "the template takes too many steps to compile at line %u", (unsigned)line);
    r->steps_left--;
    return TB_OK;
}

static tb_code walk(resolver *r, tb_expr *e, visit_fn visit)
{
    tb_code rc = e ? count_step(r, e->line) : TB_OK;
    if (!rc && e)
        rc = visit(r, e);
    if (!e || rc)
        return rc;
    switch (e->kind) {
    case TB_EXPR_TUPLE:
    case TB_EXPR_LIST:
    case TB_EXPR_DICT:
    case TB_EXPR_CONCAT:
    case TB_EXPR_COMPARE:
        return walk_list(r, &e->as.items, visit);
    case TB_EXPR_UNARY:
        return walk(r, e->as.operands.left, visit);
    case TB_EXPR_BINARY:
        return walk_all(r, (tb_expr *[]){e->as.operands.left, e->as.operands.right}, 2, visit);
    case TB_EXPR_COND:
        return walk_cond(r, e, visit);
    case TB_EXPR_ATTR:
        return walk(r, e->as.attr.object, visit);
    case TB_EXPR_ITEM:
        return walk_all(r, (tb_expr *[]){e->as.item.object, e->as.item.index}, 2, visit);
    case TB_EXPR_SLICE:
        return walk_all(r, (tb_expr *[]){e->as.slice.object, e->as.slice.start, e->as.slice.stop, e->as.slice.step}, 4,
                        visit);
    case TB_EXPR_CALL:
    case TB_EXPR_FILTER:
    case TB_EXPR_TEST:
        rc = walk(r, e->as.call.subject, visit);
        return rc ? rc : walk_args(r, &e->as.call.args, visit);
    default:
        return TB_OK;
    }
}

static bool is_name(const tb_expr *e)
{
    return e->kind == TB_EXPR_NAME || e->kind == TB_EXPR_MEMBER;
}

static bool is_called(const tb_name *name, const char *text)
{
    return tb_piece_is(name->string->text, text);
}

static tb_code learn_loads(resolver *r, tb_expr *e)
{
    if (!is_name(e))
        return TB_OK;
    if (!e->as.name.id->binding && is_called(e->as.name.id, "self")) // the template itself, of use to blocks only
        return tb_fail(r->err, TB_EUNSUPPORTED, "the template uses 'self' at line %u, which is not supported",
                       (unsigned)e->line);
    return learn_load(r, e->as.name.id);
}

// A member of a namespace is a load of the namespace.
static tb_code learn_target(resolver *r, tb_expr *e)
{
    if (e->kind == TB_EXPR_MEMBER)
        return learn_load(r, e->as.name.id);
    return e->kind == TB_EXPR_NAME ? learn_store(r, e->as.name.id) : TB_OK;
}

static tb_code learn_parameters(resolver *r, tb_expr *e)
{
    return e->kind == TB_EXPR_NAME ? learn_parameter(r, e->as.name.id) : TB_OK;
}

static tb_code resolve_names(resolver *r, tb_expr *e)
{
    if (is_name(e))
        e->as.name.ref = reference(r, e->as.name.id->binding);
    bool has_function = e->kind == TB_EXPR_FILTER || e->kind == TB_EXPR_TEST;
    if (has_function && !e->as.call.function && !r->soft)
        return tb_fail(r->err, TB_EFORMAT, "the template names a %s '%.*s' at line %u, which does not exist",
                       e->kind == TB_EXPR_FILTER ? "filter" : "test", (int)e->as.call.name->text.size,
                       e->as.call.name->text.data, (unsigned)e->line);
    return TB_OK;
}

// ---- walking statements ----

// What a statement does with an expression or a body, in its own scope or in the one that it opens.
typedef enum part_kind {
    LOADED,
    SET,
    DECLARED, // the name of a macro: set, but of no concern to special names
    BRANCH,   // a body of an if, which opens no scope
    INNER_LOADED,
    INNER_SET,
    INNER_BODY,
} part_kind;

typedef tb_code (*part_fn)(resolver *r, part_kind kind, tb_expr *e, const tb_body *body);

static tb_code visit_list(resolver *r, part_kind kind, const tb_expr_list *list, part_fn visit)
{
    tb_code rc = TB_OK;
    for (tb_expr *e = list->first; e && !rc; e = e->next)
        rc = visit(r, kind, e, NULL);
    return rc;
}

static tb_code visit_if(resolver *r, const tb_stmt *s, part_fn visit)
{
    tb_code rc = TB_OK;
    for (tb_branch *b = s->as.branch.branches; b && !rc; b = b->next) {
        rc = visit(r, LOADED, b->test, NULL);
        if (!rc)
            rc = visit(r, BRANCH, NULL, &b->body);
    }
    return rc ? rc : visit(r, BRANCH, NULL, &s->as.branch.otherwise);
}

static tb_code visit_for(resolver *r, const tb_for *loop, part_fn visit)
{
    tb_code rc = visit(r, INNER_SET, loop->target, NULL);
    if (!rc)
        rc = visit(r, LOADED, loop->iterable, NULL);
    if (!rc)
        rc = visit(r, INNER_BODY, NULL, &loop->body);
    if (!rc)
        rc = visit(r, INNER_BODY, NULL, &loop->otherwise);
    return rc ? rc : visit(r, INNER_LOADED, loop->test, NULL);
}

static tb_code visit_function(resolver *r, const tb_function *f, part_fn visit)
{
    tb_code rc = TB_OK;
    for (const tb_parameter *p = f->params; p && !rc; p = p->next)
        rc = visit(r, INNER_SET, p->name, NULL);
    for (const tb_parameter *p = f->params; p && !rc; p = p->next)
        rc = visit(r, INNER_LOADED, p->fallback, NULL);
    return rc ? rc : visit(r, INNER_BODY, NULL, &f->body);
}

// The parts of a statement in the order in which jinja2 walks those of its nodes; targets come before values.
static tb_code visit_statement(resolver *r, const tb_stmt *s, part_fn visit)
{
    tb_code rc;
    switch (s->kind) {
    case TB_STMT_PRINT:
        return visit(r, LOADED, s->as.print, NULL);
    case TB_STMT_IF:
        return visit_if(r, s, visit);
    case TB_STMT_FOR:
        return visit_for(r, &s->as.loop, visit);
    case TB_STMT_SET:
        rc = visit(r, SET, s->as.set.target, NULL);
        return rc ? rc : visit(r, LOADED, s->as.set.value, NULL);
    case TB_STMT_SET_BLOCK:
        rc = visit(r, SET, s->as.set.target, NULL);
        if (!rc)
            rc = visit(r, INNER_LOADED, s->as.set.value, NULL);
        return rc ? rc : visit(r, INNER_BODY, NULL, &s->as.set.body);
    case TB_STMT_WITH:
        rc = visit_list(r, INNER_SET, &s->as.with.targets, visit);
        if (!rc)
            rc = visit_list(r, LOADED, &s->as.with.values, visit);
        return rc ? rc : visit(r, INNER_BODY, NULL, &s->as.with.body);
    case TB_STMT_MACRO:
    case TB_STMT_CALL_BLOCK:
        rc = visit(r, DECLARED, s->as.macro.target, NULL);
        if (!rc)
            rc = visit(r, LOADED, s->as.macro.call, NULL);
        return rc ? rc : visit_function(r, &s->as.macro.function, visit);
    case TB_STMT_FILTER_BLOCK:
        rc = visit(r, INNER_BODY, NULL, &s->as.filter.body);
        return rc ? rc : visit(r, LOADED, s->as.filter.filter, NULL);
    default:
        return TB_OK;
    }
}

static tb_code visit_body(resolver *r, const tb_body *body, part_fn visit)
{
    tb_code rc = TB_OK;
    for (const tb_stmt *s = body->first; s && !rc; s = s->next) {
        rc = count_step(r, s->line);
        if (!rc)
            rc = visit_statement(r, s, visit);
    }
    return rc;
}

// ---- learning: what the statements of one scope load and set ----

static tb_code learn_body(resolver *r, const tb_body *body);

static tb_code learn_loaded(resolver *r, part_kind kind, tb_expr *e, const tb_body *body)
{
    if (kind == LOADED)
        return walk(r, e, learn_loads);
    if (kind != BRANCH)
        return TB_OK;
    r->scope->branches++;
    tb_code rc = learn_body(r, body);
    r->scope->branches--;
    return rc;
}

static tb_code learn_set(resolver *r, part_kind kind, tb_expr *e, const tb_body *body)
{
    (void)body;
    return kind == SET || kind == DECLARED ? walk(r, e, learn_target) : TB_OK;
}

// A value is loaded before its target is set.
static tb_code learn_body(resolver *r, const tb_body *body)
{
    tb_code rc = TB_OK;
    for (const tb_stmt *s = body->first; s && !rc; s = s->next) {
        rc = count_step(r, s->line);
        if (!rc)
            rc = visit_statement(r, s, learn_loaded);
        if (!rc && s->kind != TB_STMT_IF) // whose bodies have been learnt
            rc = visit_statement(r, s, learn_set);
    }
    return rc;
}

// ---- special names: whether a body uses `loop`, `caller`, `kwargs`, `varargs` that are not its own ----
// The first thing that happens to the name decides: a load uses it, a set makes it the body's own.

static tb_code note_usage(resolver *r, const tb_expr *e, bool is_load)
{
    if (e->kind == TB_EXPR_NAME && !r->usage.settled && is_called(e->as.name.id, r->usage.name)) {
        r->usage.id = is_load ? e->as.name.id : NULL;
        r->usage.settled = true;
    }
    return TB_OK;
}

static tb_code use_load(resolver *r, tb_expr *e)
{
    return note_usage(r, e, true);
}

static tb_code use_store(resolver *r, tb_expr *e)
{
    return note_usage(r, e, false);
}

static tb_code use_part(resolver *r, part_kind kind, tb_expr *e, const tb_body *body)
{
    if (r->usage.settled || kind == DECLARED)
        return TB_OK;
    if (body)
        return visit_body(r, body, use_part);
    return walk(r, e, kind == LOADED || kind == INNER_LOADED ? use_load : use_store);
}

// *out is the name if the body uses it, or NULL.
static tb_code find_usage(tb_name **out, resolver *r, const tb_body *body, const char *name)
{
    r->usage = (usage){.name = name};
    tb_code rc = visit_body(r, body, use_part);
    *out = r->usage.id;
    return rc;
}

// ---- resolving: scope by scope ----

static tb_code resolve_body(resolver *r, const tb_body *body);

// Declares a special name in the scope when the body uses it; *used says so.
static tb_code declare_special(bool *used, tb_slot_ref *ref, resolver *r, const tb_body *body, const char *name)
{
    tb_name *id;
    tb_code rc = find_usage(&id, r, body, name);
    *used = !rc && id;
    if (*used)
        rc = learn_parameter(r, id);
    if (*used && !rc)
        *ref = reference(r, id->binding);
    return rc;
}

// A scope that a statement opens: what it sets, the body and the value in it.
typedef struct inner_scope {
    tb_expr *target;      // or NULL
    tb_expr_list targets; // more of them
    const tb_body *body;  // or NULL
    tb_expr *value;       // or NULL
    const char *special;  // a name that the body may use, or NULL …
    bool *used;           // … whether it does
    tb_slot_ref *special_ref;
} inner_scope;

static tb_code learn_inner(resolver *r, const inner_scope *inner)
{
    tb_code rc = TB_OK;
    if (inner->special)
        rc = declare_special(inner->used, inner->special_ref, r, inner->body, inner->special);
    if (!rc)
        rc = walk(r, inner->target, learn_parameters);
    if (!rc)
        rc = walk_list(r, &inner->targets, learn_parameters);
    if (!rc && inner->body)
        rc = learn_body(r, inner->body);
    return rc ? rc : walk(r, inner->value, learn_loads);
}

static tb_code resolve_inner(tb_scope **out, resolver *r, unit *u, const inner_scope *inner)
{
    scope s, *outer;
    tb_code rc = open_scope(&outer, r, &s, u);
    if (!rc)
        rc = learn_inner(r, inner);
    if (!rc)
        rc = walk(r, inner->target, resolve_names);
    if (!rc)
        rc = walk_list(r, &inner->targets, resolve_names);
    if (!rc && inner->body)
        rc = resolve_body(r, inner->body);
    if (!rc)
        rc = walk(r, inner->value, resolve_names);
    *out = s.result;
    close_scope(r, outer);
    return rc;
}

// The filter of a loop is a function, and so is a recursive loop.
static tb_code resolve_for(resolver *r, tb_for *loop)
{
    unit own = {.level = r->scope->unit->level + 1}, filter = own, *u = loop->recursive ? &own : r->scope->unit;
    tb_code rc = walk(r, loop->iterable, resolve_names);
    if (!rc && loop->test)
        rc = resolve_inner(&loop->test_scope, r, &filter,
                           &(inner_scope){.target = loop->test_target, .value = loop->test});
    if (!rc)
        rc = resolve_inner(&loop->scope, r, u,
                           &(inner_scope){.target = loop->target,
                                          .body = &loop->body,
                                          .special = "loop",
                                          .used = &loop->uses_loop,
                                          .special_ref = &loop->loop});
    if (!rc && loop->has_otherwise)
        rc = resolve_inner(&loop->otherwise_scope, r, u, &(inner_scope){.body = &loop->otherwise});
    loop->slots = own.slots;
    loop->test_slots = filter.slots;
    return rc;
}

static const tb_parameter *find_parameter(const tb_function *f, const char *name)
{
    const tb_parameter *p = f->params;
    while (p && !is_called(p->name->as.name.id, name))
        p = p->next;
    return p;
}

// Beside its parameters a function may use `caller`, `kwargs` and `varargs`; one of these that it declares
// is a parameter like others.
static tb_code declare_function_specials(resolver *r, tb_function *f, uint32_t line)
{
    const tb_parameter *caller = find_parameter(f, "caller");
    tb_name *used = NULL;
    tb_code rc = TB_OK;
    if (!caller)
        rc = declare_special(&f->takes_caller, &f->caller, r, &f->body, "caller");
    else if (!caller->fallback)
        rc = find_usage(&used, r, &f->body, "caller");
    if (!rc && used)
        return tb_fail(r->err, TB_EFORMAT,
                       "the parameter 'caller' of the macro at line %u of the template needs a default",
                       (unsigned)line);
    if (!rc && !find_parameter(f, "kwargs"))
        rc = declare_special(&f->takes_keywords, &f->keywords, r, &f->body, "kwargs");
    if (!rc && !find_parameter(f, "varargs"))
        rc = declare_special(&f->takes_varargs, &f->varargs, r, &f->body, "varargs");
    return rc;
}

static tb_code learn_function(resolver *r, tb_function *f, uint32_t line)
{
    tb_code rc = TB_OK;
    for (const tb_parameter *p = f->params; p && !rc; p = p->next)
        rc = walk(r, p->name, learn_parameters);
    if (!rc)
        rc = declare_function_specials(r, f, line);
    for (const tb_parameter *p = f->params; p && !rc; p = p->next)
        rc = walk(r, p->fallback, learn_loads);
    return rc ? rc : learn_body(r, &f->body);
}

static tb_code resolve_function(resolver *r, tb_function *f, uint32_t line)
{
    unit u = {.level = r->scope->unit->level + 1};
    scope s, *outer;
    tb_code rc = open_scope(&outer, r, &s, &u);
    if (!rc)
        rc = learn_function(r, f, line);
    for (const tb_parameter *p = f->params; p && !rc; p = p->next) {
        rc = walk(r, p->name, resolve_names);
        if (!rc)
            rc = walk(r, p->fallback, resolve_names);
    }
    if (!rc)
        rc = resolve_body(r, &f->body);
    f->scope = s.result;
    f->slots = u.slots;
    close_scope(r, outer);
    return rc;
}

// What a statement does in its own scope.
static tb_code resolve_outer(resolver *r, part_kind kind, tb_expr *e, const tb_body *body)
{
    if (kind == BRANCH)
        return resolve_body(r, body);
    return kind == LOADED || kind == SET || kind == DECLARED ? walk(r, e, resolve_names) : TB_OK;
}

static tb_code resolve_statement(resolver *r, tb_stmt *s)
{
    bool soft = r->soft;
    unit *u = r->scope->unit;
    tb_code rc;
    switch (s->kind) {
    case TB_STMT_FOR:
        return resolve_for(r, &s->as.loop);
    case TB_STMT_FILTER_BLOCK: // its filter belongs to the inner scope, although the outer one has learnt it
        return resolve_inner(&s->as.filter.scope, r, u,
                             &(inner_scope){.body = &s->as.filter.body, .value = s->as.filter.filter});
    case TB_STMT_IF:
        r->soft = true;
        rc = visit_statement(r, s, resolve_outer);
        r->soft = soft;
        return rc;
    default:
        rc = visit_statement(r, s, resolve_outer);
    }
    if (rc)
        return rc;
    switch (s->kind) {
    case TB_STMT_SET_BLOCK:
        return resolve_inner(&s->as.set.scope, r, u, &(inner_scope){.body = &s->as.set.body, .value = s->as.set.value});
    case TB_STMT_WITH: // the values belong to the scope outside: they do not see each other's names
        return resolve_inner(&s->as.with.scope, r, u,
                             &(inner_scope){.targets = s->as.with.targets, .body = &s->as.with.body});
    case TB_STMT_MACRO:
    case TB_STMT_CALL_BLOCK:
        return resolve_function(r, &s->as.macro.function, s->line);
    default:
        return TB_OK;
    }
}

static tb_code resolve_body(resolver *r, const tb_body *body)
{
    tb_code rc = TB_OK;
    for (tb_stmt *s = body->first; s && !rc; s = s->next)
        rc = resolve_statement(r, s);
    return rc;
}

tb_code tb_resolve_names(struct tb_template *tmpl, tb_error *err)
{
    resolver r = {.arena = &tmpl->arena, .steps_left = TB_COMPILE_STEPS, .err = err};
    unit u = {0};
    scope s, *outer;
    tb_code rc = open_scope(&outer, &r, &s, &u);
    if (!rc)
        rc = learn_body(&r, &tmpl->body);
    if (!rc)
        rc = resolve_body(&r, &tmpl->body);
    tmpl->scope = s.result;
    tmpl->slots = u.slots;
    close_scope(&r, outer);
    return rc;
}
