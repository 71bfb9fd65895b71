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
static tb_code walk(resolver *r, tb_expr *e, visit_fn visit)
{
    tb_code rc = e ? visit(r, e) : TB_OK;
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

// ---- learning: what the statements of one scope load and set ----

static tb_code learn_block(resolver *r, const tb_body *block);

static tb_code learn_if(resolver *r, tb_stmt *s)
{
    tb_code rc = TB_OK;
    for (tb_branch *b = s->as.branch.branches; b && !rc; b = b->next) {
        rc = walk(r, b->test, learn_loads);
        r->scope->branches++;
        if (!rc)
            rc = learn_block(r, &b->body);
        r->scope->branches--;
    }
    r->scope->branches++;
    if (!rc)
        rc = learn_block(r, &s->as.branch.otherwise);
    r->scope->branches--;
    return rc;
}

static tb_code learn_statement(resolver *r, tb_stmt *s)
{
    tb_code rc;
    switch (s->kind) {
    case TB_STMT_PRINT:
        return walk(r, s->as.print, learn_loads);
    case TB_STMT_IF:
        return learn_if(r, s);
    case TB_STMT_FOR:
        return walk(r, s->as.loop.iterable, learn_loads);
    case TB_STMT_SET:
        rc = walk(r, s->as.set.value, learn_loads);
        return rc ? rc : walk(r, s->as.set.target, learn_target);
    case TB_STMT_SET_BLOCK:
        return walk(r, s->as.set.target, learn_target);
    case TB_STMT_WITH:
        return walk_list(r, &s->as.with.values, learn_loads);
    case TB_STMT_MACRO:
        return walk(r, s->as.macro.target, learn_target);
    case TB_STMT_CALL_BLOCK:
        return walk(r, s->as.macro.call, learn_loads);
    case TB_STMT_FILTER_BLOCK:
        return walk(r, s->as.filter.filter, learn_loads);
    default:
        return TB_OK;
    }
}

static tb_code learn_block(resolver *r, const tb_body *block)
{
    tb_code rc = TB_OK;
    for (tb_stmt *s = block->first; s && !rc; s = s->next)
        rc = learn_statement(r, s);
    return rc;
}

// ---- special names: whether a body uses `loop`, `caller`, `kwargs`, `varargs` that are not its own ----
// The first thing that happens to the name decides: a load uses it, a set makes it the body's own. Fields are
// walked in the order in which jinja2 walks those of its nodes; targets come before values.

static void use_block(resolver *r, const tb_body *block);

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

static void use_function(resolver *r, const tb_function *f)
{
    for (const tb_parameter *p = f->params; p; p = p->next) {
        tb_expr name = {.kind = TB_EXPR_NAME, .as.name.id = p->id};
        use_store(r, &name);
    }
    for (const tb_parameter *p = f->params; p; p = p->next)
        walk(r, p->fallback, use_load);
    use_block(r, &f->body);
}

static void use_if(resolver *r, const tb_stmt *s)
{
    for (const tb_branch *b = s->as.branch.branches; b; b = b->next) {
        walk(r, b->test, use_load);
        use_block(r, &b->body);
    }
    use_block(r, &s->as.branch.otherwise);
}

static void use_for(resolver *r, const tb_for *loop)
{
    walk(r, loop->target, use_store);
    walk(r, loop->iterable, use_load);
    use_block(r, &loop->body);
    use_block(r, &loop->otherwise);
    walk(r, loop->test, use_load);
}

static void use_statement(resolver *r, const tb_stmt *s)
{
    switch (s->kind) {
    case TB_STMT_PRINT:
        walk(r, s->as.print, use_load);
        break;
    case TB_STMT_IF:
        use_if(r, s);
        break;
    case TB_STMT_FOR:
        use_for(r, &s->as.loop);
        break;
    case TB_STMT_SET:
    case TB_STMT_SET_BLOCK:
        walk(r, s->as.set.target, use_store);
        walk(r, s->as.set.value, use_load);
        use_block(r, &s->as.set.body);
        break;
    case TB_STMT_WITH:
        walk_list(r, &s->as.with.targets, use_store);
        walk_list(r, &s->as.with.values, use_load);
        use_block(r, &s->as.with.body);
        break;
    case TB_STMT_MACRO:
    case TB_STMT_CALL_BLOCK:
        walk(r, s->as.macro.call, use_load);
        use_function(r, &s->as.macro.function);
        break;
    case TB_STMT_FILTER_BLOCK:
        use_block(r, &s->as.filter.body);
        walk(r, s->as.filter.filter, use_load);
        break;
    default:
        break;
    }
}

static void use_block(resolver *r, const tb_body *block)
{
    for (const tb_stmt *s = block->first; s && !r->usage.settled; s = s->next)
        use_statement(r, s);
}

// The name if the body uses it, or NULL.
static tb_name *find_usage(resolver *r, const tb_body *body, const char *name)
{
    r->usage = (usage){.name = name};
    use_block(r, body);
    return r->usage.id;
}

// ---- resolving: scope by scope ----

static tb_code resolve_block(resolver *r, const tb_body *block);

// Declares a special name in the scope when the body uses it; false: it does not.
static tb_code declare_special(bool *used, tb_slot_ref *ref, resolver *r, const tb_body *body, const char *name)
{
    tb_name *id = find_usage(r, body, name);
    *used = id != NULL;
    tb_code rc = id ? learn_parameter(r, id) : TB_OK;
    if (id && !rc)
        *ref = reference(r, id->binding);
    return rc;
}

static const tb_parameter *find_parameter(const tb_function *f, const char *name)
{
    const tb_parameter *p = f->params;
    while (p && !is_called(p->id, name))
        p = p->next;
    return p;
}

// Beside its parameters a function may use `caller`, `kwargs` and `varargs`; one of these that it declares
// is a parameter like others.
static tb_code declare_function_specials(resolver *r, tb_function *f, uint32_t line)
{
    const tb_parameter *caller = find_parameter(f, "caller");
    tb_code rc = TB_OK;
    if (caller && !caller->fallback && find_usage(r, &f->body, "caller"))
        return tb_fail(r->err, TB_EFORMAT,
                       "the parameter 'caller' of the macro at line %u of the template needs a default",
                       (unsigned)line);
    if (!caller)
        rc = declare_special(&f->takes_caller, &f->caller, r, &f->body, "caller");
    if (!rc && !find_parameter(f, "kwargs"))
        rc = declare_special(&f->takes_keywords, &f->keywords, r, &f->body, "kwargs");
    if (!rc && !find_parameter(f, "varargs"))
        rc = declare_special(&f->takes_varargs, &f->varargs, r, &f->body, "varargs");
    return rc;
}

static tb_code learn_function(resolver *r, tb_function *f, uint32_t line)
{
    tb_code rc = TB_OK;
    for (tb_parameter *p = f->params; p && !rc; p = p->next)
        rc = learn_parameter(r, p->id);
    if (!rc)
        rc = declare_function_specials(r, f, line);
    for (tb_parameter *p = f->params; p && !rc; p = p->next)
        rc = walk(r, p->fallback, learn_loads);
    return rc ? rc : learn_block(r, &f->body);
}

static tb_code resolve_function(resolver *r, tb_function *f, uint32_t line)
{
    unit u = {.level = r->scope->unit->level + 1};
    scope s, *outer;
    tb_code rc = open_scope(&outer, r, &s, &u);
    if (!rc)
        rc = learn_function(r, f, line);
    for (tb_parameter *p = f->params; p && !rc; p = p->next) {
        p->ref = reference(r, p->id->binding);
        rc = walk(r, p->fallback, resolve_names);
    }
    if (!rc)
        rc = resolve_block(r, &f->body);
    f->scope = s.result;
    f->slots = u.slots;
    close_scope(r, outer);
    return rc;
}

static tb_code resolve_for_body(resolver *r, tb_for *loop, unit *u)
{
    scope s, *outer;
    tb_code rc = open_scope(&outer, r, &s, u);
    if (!rc)
        rc = declare_special(&loop->uses_loop, &loop->loop, r, &loop->body, "loop");
    if (!rc)
        rc = walk(r, loop->target, learn_parameters);
    if (!rc)
        rc = learn_block(r, &loop->body);
    if (!rc)
        rc = walk(r, loop->target, resolve_names);
    if (!rc)
        rc = resolve_block(r, &loop->body);
    loop->scope = s.result;
    close_scope(r, outer);
    return rc;
}

static tb_code resolve_for_else(resolver *r, tb_for *loop, unit *u)
{
    scope s, *outer;
    tb_code rc = open_scope(&outer, r, &s, u);
    if (!rc)
        rc = learn_block(r, &loop->otherwise);
    if (!rc)
        rc = resolve_block(r, &loop->otherwise);
    loop->otherwise_scope = s.result;
    close_scope(r, outer);
    return rc;
}

static tb_code resolve_for_test(resolver *r, tb_for *loop)
{
    unit u = {.level = r->scope->unit->level + 1};
    scope s, *outer;
    tb_code rc = open_scope(&outer, r, &s, &u);
    if (!rc)
        rc = walk(r, loop->test_target, learn_parameters);
    if (!rc)
        rc = walk(r, loop->test, learn_loads);
    if (!rc)
        rc = walk(r, loop->test_target, resolve_names);
    if (!rc)
        rc = walk(r, loop->test, resolve_names);
    loop->test_scope = s.result;
    loop->test_slots = u.slots;
    close_scope(r, outer);
    return rc;
}

static tb_code resolve_for(resolver *r, tb_for *loop)
{
    unit own = {.level = r->scope->unit->level + 1}, *u = loop->recursive ? &own : r->scope->unit;
    tb_code rc = walk(r, loop->iterable, resolve_names);
    if (!rc && loop->test)
        rc = resolve_for_test(r, loop);
    if (!rc)
        rc = resolve_for_body(r, loop, u);
    if (!rc && loop->has_otherwise)
        rc = resolve_for_else(r, loop, u);
    loop->slots = own.slots;
    return rc;
}

static tb_code resolve_if(resolver *r, tb_stmt *s)
{
    bool soft = r->soft;
    tb_code rc = TB_OK;
    r->soft = true;
    for (tb_branch *b = s->as.branch.branches; b && !rc; b = b->next) {
        rc = walk(r, b->test, resolve_names);
        if (!rc)
            rc = resolve_block(r, &b->body);
    }
    if (!rc)
        rc = resolve_block(r, &s->as.branch.otherwise);
    r->soft = soft;
    return rc;
}

static tb_code resolve_set_block(resolver *r, tb_stmt *statement)
{
    scope s, *outer;
    tb_code rc = walk(r, statement->as.set.target, resolve_names);
    if (!rc)
        rc = open_scope(&outer, r, &s, r->scope->unit);
    if (rc)
        return rc;
    rc = learn_block(r, &statement->as.set.body);
    if (!rc)
        rc = walk(r, statement->as.set.value, learn_loads);
    if (!rc)
        rc = resolve_block(r, &statement->as.set.body);
    if (!rc)
        rc = walk(r, statement->as.set.value, resolve_names);
    statement->as.set.scope = s.result;
    close_scope(r, outer);
    return rc;
}

static tb_code resolve_filter_block(resolver *r, tb_stmt *statement)
{
    scope s, *outer;
    tb_code rc = open_scope(&outer, r, &s, r->scope->unit);
    if (!rc)
        rc = learn_block(r, &statement->as.filter.body);
    if (!rc)
        rc = walk(r, statement->as.filter.filter, learn_loads);
    if (!rc)
        rc = resolve_block(r, &statement->as.filter.body);
    if (!rc)
        rc = walk(r, statement->as.filter.filter, resolve_names);
    statement->as.filter.scope = s.result;
    close_scope(r, outer);
    return rc;
}

// The values belong to the scope outside: they do not see each other's names.
static tb_code resolve_with(resolver *r, tb_stmt *statement)
{
    scope s, *outer;
    tb_code rc = walk_list(r, &statement->as.with.values, resolve_names);
    if (!rc)
        rc = open_scope(&outer, r, &s, r->scope->unit);
    if (rc)
        return rc;
    rc = walk_list(r, &statement->as.with.targets, learn_parameters);
    if (!rc)
        rc = learn_block(r, &statement->as.with.body);
    if (!rc)
        rc = walk_list(r, &statement->as.with.targets, resolve_names);
    if (!rc)
        rc = resolve_block(r, &statement->as.with.body);
    statement->as.with.scope = s.result;
    close_scope(r, outer);
    return rc;
}

static tb_code resolve_statement(resolver *r, tb_stmt *s)
{
    tb_code rc;
    switch (s->kind) {
    case TB_STMT_PRINT:
        return walk(r, s->as.print, resolve_names);
    case TB_STMT_IF:
        return resolve_if(r, s);
    case TB_STMT_FOR:
        return resolve_for(r, &s->as.loop);
    case TB_STMT_SET:
        rc = walk(r, s->as.set.value, resolve_names);
        return rc ? rc : walk(r, s->as.set.target, resolve_names);
    case TB_STMT_SET_BLOCK:
        return resolve_set_block(r, s);
    case TB_STMT_WITH:
        return resolve_with(r, s);
    case TB_STMT_MACRO:
    case TB_STMT_CALL_BLOCK:
        rc = walk(r, s->as.macro.target, resolve_names);
        if (!rc)
            rc = walk(r, s->as.macro.call, resolve_names);
        return rc ? rc : resolve_function(r, &s->as.macro.function, s->line);
    case TB_STMT_FILTER_BLOCK:
        return resolve_filter_block(r, s);
    default:
        return TB_OK;
    }
}

static tb_code resolve_block(resolver *r, const tb_body *block)
{
    tb_code rc = TB_OK;
    for (tb_stmt *s = block->first; s && !rc; s = s->next)
        rc = resolve_statement(r, s);
    return rc;
}

tb_code tb_resolve_names(struct tb_template *tmpl, tb_error *err)
{
    resolver r = {.arena = &tmpl->arena, .err = err};
    unit u = {0};
    scope s, *outer;
    tb_code rc = open_scope(&outer, &r, &s, &u);
    if (!rc)
        rc = learn_block(&r, &tmpl->body);
    if (!rc)
        rc = resolve_block(&r, &tmpl->body);
    tmpl->scope = s.result;
    tmpl->slots = u.slots;
    close_scope(&r, outer);
    return rc;
}
