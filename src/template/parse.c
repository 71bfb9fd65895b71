// Statements of templates, and what both halves of the parser stand on.
#include "template/parse.h"

enum {
    NESTING_LIMIT = 120, // brackets, signs and blocks inside each other; jinja2 itself gives up at about a hundred
    TREE_LIMIT = 500,    // operators whose results feed each other, such as a long sum
};

// ---- tokens ----

tb_code tb_jparser_advance(tb_jparser *p)
{
    if (p->has_ahead) {
        p->token = p->ahead;
        p->has_ahead = false;
        return TB_OK;
    }
    return tb_jlexer_next(&p->token, &p->lexer);
}

tb_code tb_jparser_peek(tb_jtoken *out, tb_jparser *p)
{
    tb_code rc = p->has_ahead ? TB_OK : tb_jlexer_next(&p->ahead, &p->lexer);
    p->has_ahead = rc == TB_OK;
    *out = p->ahead;
    return rc;
}

bool tb_jparser_at(const tb_jparser *p, tb_jtoken_kind kind)
{
    return p->token.kind == kind;
}

bool tb_jparser_at_op(const tb_jparser *p, tb_joperator op)
{
    return p->token.kind == TB_JTOKEN_OPERATOR && p->token.op == op;
}

bool tb_jparser_at_word(const tb_jparser *p, const char *word)
{
    return p->token.kind == TB_JTOKEN_NAME && tb_jtext_equals(p->token.text, word);
}

tb_code tb_jparser_skip_op(bool *found, tb_jparser *p, tb_joperator op)
{
    *found = tb_jparser_at_op(p, op);
    return *found ? tb_jparser_advance(p) : TB_OK;
}

tb_code tb_jparser_skip_word(bool *found, tb_jparser *p, const char *word)
{
    *found = tb_jparser_at_word(p, word);
    return *found ? tb_jparser_advance(p) : TB_OK;
}

tb_code tb_jparser_expect(tb_jparser *p, tb_jtoken_kind kind, const char *what)
{
    return tb_jparser_at(p, kind) ? tb_jparser_advance(p) : tb_jparser_unexpected(p, what);
}

tb_code tb_jparser_expect_op(tb_jparser *p, tb_joperator op, const char *what)
{
    return tb_jparser_at_op(p, op) ? tb_jparser_advance(p) : tb_jparser_unexpected(p, what);
}

static tb_code expect_word(tb_jparser *p, const char *word)
{
    return tb_jparser_at_word(p, word) ? tb_jparser_advance(p) : tb_jparser_unexpected(p, word);
}

tb_code tb_jparser_take_name(tb_jtoken *out, tb_jparser *p)
{
    *out = p->token;
    return tb_jparser_expect(p, TB_JTOKEN_NAME, "a name");
}

// ---- errors and nodes ----

tb_code tb_jparser_fail(tb_jparser *p, uint32_t line, const char *what)
{
    return tb_fail(p->err, TB_EFORMAT, "the template is malformed at line %u: %s", (unsigned)line, what);
}

tb_code tb_jparser_unexpected(tb_jparser *p, const char *wanted)
{
    const tb_jtoken *t = &p->token;
    if (t->kind == TB_JTOKEN_END)
        return tb_fail(p->err, TB_EFORMAT, "the template is malformed at line %u: it ends where '%s' should follow",
                       (unsigned)t->line, wanted);
    bool has_text = t->kind == TB_JTOKEN_NAME || t->kind == TB_JTOKEN_STRING || t->kind == TB_JTOKEN_INTEGER ||
                    t->kind == TB_JTOKEN_FLOAT || t->kind == TB_JTOKEN_OPERATOR;
    int shown = has_text ? (t->text.size < 40 ? (int)t->text.size : 40) : 0;
    return tb_fail(p->err, TB_EFORMAT, "the template is malformed at line %u: '%s' is missing before '%.*s'",
                   (unsigned)t->line, wanted, has_text ? shown : 10, has_text ? t->text.data : "end of tag");
}

tb_code tb_jparser_no_memory(tb_jparser *p)
{
    return tb_fail(p->err, TB_ENOMEM, "no memory to compile a template");
}

tb_code tb_jparser_enter(tb_jparser *p)
{
    if (p->depth == NESTING_LIMIT)
        return tb_fail(p->err, TB_ELIMIT, "the template nests more than %d levels at line %u", NESTING_LIMIT,
                       (unsigned)p->token.line);
    p->depth++;
    return TB_OK;
}

tb_code tb_jparser_text(const tb_jstring **out, tb_jparser *p, tb_text text)
{
    *out = tb_jstring_constant(p->arena, text);
    return *out ? TB_OK : tb_jparser_no_memory(p);
}

// Equal names share one tb_jname.
tb_code tb_jparser_name(tb_jname **out, tb_jparser *p, tb_text text)
{
    uint32_t hash = 2166136261u; // FNV-1a
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 16777619u;
    tb_jname **bucket = &p->names[hash % TB_JPARSER_BUCKETS];
    for (*out = *bucket; *out; *out = (*out)->next)
        if (tb_jtext_same(tb_jstring_text((*out)->text), text))
            return TB_OK;
    tb_jname *name = tb_arena_alloc(p->arena, sizeof *name);
    if (!name)
        return tb_jparser_no_memory(p);
    name->next = *bucket;
    *bucket = *out = name;
    return tb_jparser_text(&name->text, p, text);
}

tb_code tb_jparser_expr(tb_jexpr **out, tb_jparser *p, tb_jexpr_kind kind, uint32_t line)
{
    tb_jexpr *e = tb_arena_alloc(p->arena, sizeof *e);
    *out = e;
    if (!e)
        return tb_jparser_no_memory(p);
    e->kind = kind;
    e->line = line;
    return TB_OK;
}

tb_code tb_jparser_adopt(tb_jparser *p, tb_jexpr *parent, const tb_jexpr *child)
{
    if (!child || parent->depth > child->depth)
        return TB_OK;
    parent->depth = child->depth + 1;
    if (parent->depth > TREE_LIMIT)
        return tb_fail(p->err, TB_ELIMIT, "the template has an expression of more than %d levels at line %u",
                       TREE_LIMIT, (unsigned)parent->line);
    return TB_OK;
}

tb_code tb_jparser_append(tb_jparser *p, tb_jexpr *parent, tb_jlist_expr *list, tb_jexpr *item)
{
    if (list->last)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
    list->count++;
    return tb_jparser_adopt(p, parent, item);
}

// ---- blocks ----

static tb_code parse_statement(tb_jblock *block, tb_jparser *p);

static tb_code add_statement(tb_jstmt **out, tb_jblock *block, tb_jparser *p, tb_jstmt_kind kind, uint32_t line)
{
    tb_jstmt *s = tb_arena_alloc(p->arena, sizeof *s);
    *out = s;
    if (!s)
        return tb_jparser_no_memory(p);
    s->kind = kind;
    s->line = line;
    if (block->last)
        block->last->next = s;
    else
        block->first = s;
    block->last = s;
    return TB_OK;
}

static tb_code parse_print(tb_jblock *block, tb_jparser *p)
{
    tb_jstmt *s;
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_PRINT, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    if (!rc)
        rc = tb_jparse_tuple(&s->as.print, p, 0);
    return rc ? rc : tb_jparser_expect(p, TB_JTOKEN_PRINT_END, "}}");
}

static bool at_any_word(const tb_jparser *p, const char *const *words)
{
    for (; *words; words++)
        if (tb_jparser_at_word(p, *words))
            return true;
    return false;
}

// Statements up to a tag that begins with one of `ends` (NULL: the end of the template), which is then
// the current token.
static tb_code parse_until(tb_jblock *block, tb_jparser *p, const char *const *ends)
{
    tb_code rc = TB_OK;
    while (!rc && !tb_jparser_at(p, TB_JTOKEN_END)) {
        tb_jstmt *s;
        if (tb_jparser_at(p, TB_JTOKEN_DATA)) {
            rc = add_statement(&s, block, p, TB_JSTMT_DATA, p->token.line);
            if (!rc)
                s->as.data = p->token.text;
            if (!rc)
                rc = tb_jparser_advance(p);
        } else if (tb_jparser_at(p, TB_JTOKEN_PRINT_BEGIN)) {
            rc = parse_print(block, p);
        } else {
            rc = tb_jparser_advance(p);
            if (!rc && ends && at_any_word(p, ends))
                return TB_OK;
            if (!rc)
                rc = parse_statement(block, p);
            if (!rc)
                rc = tb_jparser_expect(p, TB_JTOKEN_BLOCK_END, "%}");
        }
    }
    if (!rc && ends)
        return tb_jparser_unexpected(p, ends[0]);
    return rc;
}

// The body of a block statement, from behind its opening tag.
static tb_code parse_body(tb_jblock *block, tb_jparser *p, const char *const *ends)
{
    bool colon;
    tb_code rc = tb_jparser_enter(p);
    if (rc)
        return rc;
    rc = tb_jparser_skip_op(&colon, p, TB_JOP_COLON); // Python's, tolerated
    if (!rc)
        rc = tb_jparser_expect(p, TB_JTOKEN_BLOCK_END, "%}");
    if (!rc)
        rc = parse_until(block, p, ends);
    p->depth--;
    return rc;
}

// A body with one possible end, which is taken.
static tb_code parse_whole_body(tb_jblock *block, tb_jparser *p, const char *end)
{
    const char *const ends[] = {end, NULL};
    tb_code rc = parse_body(block, p, ends);
    return rc ? rc : tb_jparser_advance(p);
}

// ---- targets of assignments ----

static tb_code check_target(tb_jparser *p, const tb_jexpr *target)
{
    if (target->kind == TB_JEXPR_MEMBER)
        return TB_OK;
    if (target->kind == TB_JEXPR_NAME) {
        if (p->loops && tb_jtext_equals(tb_jstring_text(target->as.name.id->text), "loop"))
            return tb_jparser_fail(p, target->line, "the variable 'loop' cannot be set inside of a for loop");
        return TB_OK;
    }
    if (target->kind != TB_JEXPR_TUPLE)
        return tb_jparser_fail(p, target->line, "this cannot be assigned to");
    tb_code rc = TB_OK;
    for (const tb_jexpr *e = target->as.items.first; e && !rc; e = e->next)
        rc = check_target(p, e);
    return rc;
}

static tb_code parse_target(tb_jexpr **out, tb_jparser *p, unsigned flags)
{
    tb_code rc = tb_jparse_tuple(out, p, TB_JPARSE_SIMPLE | flags);
    return rc ? rc : check_target(p, *out);
}

// The one name of a parameter or macro.
static tb_code parse_single_name(tb_jname **out, tb_jparser *p)
{
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None", NULL};
    if (at_any_word(p, reserved))
        return tb_jparser_fail(p, p->token.line, "this cannot be assigned to");
    tb_jtoken token;
    tb_code rc = tb_jparser_take_name(&token, p);
    return rc ? rc : tb_jparser_name(out, p, token.text);
}

// Names of a for target once more, for the frame of the loop's filter.
static tb_code clone_target(tb_jexpr **out, tb_jparser *p, const tb_jexpr *target)
{
    tb_code rc = tb_jparser_expr(out, p, target->kind, target->line);
    if (rc || target->kind == TB_JEXPR_NAME) {
        if (!rc)
            (*out)->as.name = target->as.name;
        return rc;
    }
    for (const tb_jexpr *e = target->as.items.first; e && !rc; e = e->next) {
        tb_jexpr *item;
        rc = clone_target(&item, p, e);
        if (!rc)
            rc = tb_jparser_append(p, *out, &(*out)->as.items, item);
    }
    return rc;
}

// ---- statements ----

static tb_code parse_if(tb_jblock *block, tb_jparser *p)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    tb_jstmt *s;
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_IF, p->token.line);
    if (rc)
        return rc;
    tb_jbranch **end = &s->as.branch.branches;
    do {
        tb_jbranch *branch = tb_arena_alloc(p->arena, sizeof *branch);
        if (!branch)
            return tb_jparser_no_memory(p);
        *end = branch;
        end = &branch->next;
        rc = tb_jparser_advance(p); // if, elif
        if (!rc)
            rc = tb_jparse_tuple(&branch->test, p, TB_JPARSE_NO_COND);
        if (!rc)
            rc = parse_body(&branch->body, p, ends);
    } while (!rc && tb_jparser_at_word(p, "elif"));
    if (!rc && tb_jparser_at_word(p, "else")) {
        rc = tb_jparser_advance(p);
        return rc ? rc : parse_whole_body(&s->as.branch.otherwise, p, "endif");
    }
    return rc ? rc : tb_jparser_advance(p);
}

// "for" target "in" iterable ["if" test] ["recursive"]
static tb_code parse_for_head(tb_jfor *loop, tb_jparser *p)
{
    bool found;
    tb_code rc = tb_jparser_advance(p);
    if (!rc)
        rc = parse_target(&loop->target, p, 0);
    if (!rc)
        rc = expect_word(p, "in");
    if (!rc)
        rc = tb_jparse_tuple(&loop->iterable, p, TB_JPARSE_NO_COND);
    if (!rc)
        rc = tb_jparser_skip_word(&found, p, "if");
    if (!rc && found)
        rc = tb_jparse_expression(&loop->test, p);
    if (!rc && found)
        rc = clone_target(&loop->test_target, p, loop->target);
    return rc ? rc : tb_jparser_skip_word(&loop->recursive, p, "recursive");
}

static tb_code parse_for(tb_jblock *block, tb_jparser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    tb_jstmt *s;
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_FOR, p->token.line);
    if (rc)
        return rc;
    tb_jfor *loop = &s->as.loop;
    unsigned breakable = p->breakable;
    p->loops++;
    rc = parse_for_head(loop, p);
    p->breakable++;
    if (!rc)
        rc = parse_body(&loop->body, p, ends);
    p->breakable = loop->recursive ? 0 : breakable; // a recursive loop is a function of its own
    loop->has_otherwise = !rc && tb_jparser_at_word(p, "else");
    if (!rc)
        rc = tb_jparser_advance(p);
    if (!rc && loop->has_otherwise)
        rc = parse_whole_body(&loop->otherwise, p, "endfor");
    p->breakable = breakable;
    p->loops--;
    return rc;
}

static tb_code parse_set(tb_jblock *block, tb_jparser *p)
{
    tb_jstmt *s;
    bool assigns;
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_SET, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    if (!rc)
        rc = parse_target(&s->as.set.target, p, TB_JPARSE_MEMBERS);
    if (!rc)
        rc = tb_jparser_skip_op(&assigns, p, TB_JOP_ASSIGN);
    if (rc)
        return rc;
    if (assigns)
        return tb_jparse_tuple(&s->as.set.value, p, 0);
    s->kind = TB_JSTMT_SET_BLOCK;
    tb_jexpr *content;
    rc = tb_jparser_expr(&content, p, TB_JEXPR_CONTENT, s->line);
    if (!rc)
        rc = tb_jparse_filters(&s->as.set.value, p, content, false);
    return rc ? rc : parse_whole_body(&s->as.set.body, p, "endset");
}

static tb_code parse_with(tb_jblock *block, tb_jparser *p)
{
    tb_jstmt *s;
    tb_jexpr *holder; // carries the depth of the lists
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_WITH, p->token.line);
    if (!rc)
        rc = tb_jparser_expr(&holder, p, TB_JEXPR_TUPLE, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    while (!rc && !tb_jparser_at(p, TB_JTOKEN_BLOCK_END)) {
        tb_jexpr *target, *value;
        if (s->as.with.targets.count > 0)
            rc = tb_jparser_expect_op(p, TB_JOP_COMMA, ",");
        if (!rc)
            rc = parse_target(&target, p, 0);
        if (!rc)
            rc = tb_jparser_expect_op(p, TB_JOP_ASSIGN, "=");
        if (!rc)
            rc = tb_jparse_expression(&value, p);
        if (!rc)
            rc = tb_jparser_append(p, holder, &s->as.with.targets, target);
        if (!rc)
            rc = tb_jparser_append(p, holder, &s->as.with.values, value);
    }
    return rc ? rc : parse_whole_body(&s->as.with.body, p, "endwith");
}

static tb_code parse_parameter(tb_jfunction_def *function, tb_jparser *p, tb_jparam ***end, bool *has_fallback)
{
    tb_jparam *param = tb_arena_alloc(p->arena, sizeof *param);
    if (!param)
        return tb_jparser_no_memory(p);
    tb_code rc = parse_single_name(&param->id, p);
    bool found = false;
    if (!rc)
        rc = tb_jparser_skip_op(&found, p, TB_JOP_ASSIGN);
    if (!rc && found)
        rc = tb_jparse_expression(&param->fallback, p);
    if (!rc && *has_fallback && !found)
        rc = tb_jparser_fail(p, p->token.line, "a parameter without default follows one with a default");
    for (tb_jparam *other = function->params; other && !rc; other = other->next)
        if (other->id == param->id)
            rc = tb_jparser_fail(p, p->token.line, "a parameter is repeated");
    *has_fallback = found;
    **end = param;
    *end = &param->next;
    function->param_count++;
    return rc;
}

// "(" parameters ")"
static tb_code parse_signature(tb_jfunction_def *function, tb_jparser *p)
{
    tb_jparam **end = &function->params;
    bool has_fallback = false;
    tb_code rc = tb_jparser_expect_op(p, TB_JOP_LPAREN, "(");
    while (!rc && !tb_jparser_at_op(p, TB_JOP_RPAREN)) {
        if (function->param_count > 0)
            rc = tb_jparser_expect_op(p, TB_JOP_COMMA, ",");
        if (!rc)
            rc = parse_parameter(function, p, &end, &has_fallback);
    }
    return rc ? rc : tb_jparser_expect_op(p, TB_JOP_RPAREN, ")");
}

// A body that is a function: loops around it cannot be left from inside.
static tb_code parse_function_body(tb_jfunction_def *function, tb_jparser *p, const char *end)
{
    unsigned breakable = p->breakable;
    p->breakable = 0;
    tb_code rc = parse_whole_body(&function->body, p, end);
    p->breakable = breakable;
    return rc;
}

static tb_code parse_macro(tb_jblock *block, tb_jparser *p)
{
    tb_jstmt *s;
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_MACRO, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    if (!rc)
        rc = tb_jparser_expr(&s->as.macro.target, p, TB_JEXPR_NAME, s->line);
    if (!rc)
        rc = parse_single_name(&s->as.macro.target->as.name.id, p);
    if (rc)
        return rc;
    s->as.macro.function.name = s->as.macro.target->as.name.id->text;
    rc = parse_signature(&s->as.macro.function, p);
    return rc ? rc : parse_function_body(&s->as.macro.function, p, "endmacro");
}

static tb_code parse_call_block(tb_jblock *block, tb_jparser *p)
{
    tb_jstmt *s;
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_CALL_BLOCK, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    if (!rc && tb_jparser_at_op(p, TB_JOP_LPAREN))
        rc = parse_signature(&s->as.macro.function, p);
    if (!rc)
        rc = tb_jparse_expression(&s->as.macro.call, p);
    if (!rc && s->as.macro.call->kind != TB_JEXPR_CALL)
        rc = tb_jparser_fail(p, s->line, "a call block needs a call");
    return rc ? rc : parse_function_body(&s->as.macro.function, p, "endcall");
}

// What an assistant has said, marked for training: rendered as it is, but a function like a call block.
static tb_code parse_generation(tb_jblock *block, tb_jparser *p)
{
    tb_jstmt *s;
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_CALL_BLOCK, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    return rc ? rc : parse_function_body(&s->as.macro.function, p, "endgeneration");
}

static tb_code parse_filter_block(tb_jblock *block, tb_jparser *p)
{
    tb_jstmt *s;
    tb_jexpr *content;
    tb_code rc = add_statement(&s, block, p, TB_JSTMT_FILTER_BLOCK, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    if (!rc)
        rc = tb_jparser_expr(&content, p, TB_JEXPR_CONTENT, s->line);
    if (!rc)
        rc = tb_jparse_filters(&s->as.filter.filter, p, content, true);
    return rc ? rc : parse_whole_body(&s->as.filter.body, p, "endfilter");
}

// {% print a, b %} prints each.
static tb_code parse_print_tag(tb_jblock *block, tb_jparser *p)
{
    tb_code rc = tb_jparser_advance(p);
    for (bool first = true; !rc && !tb_jparser_at(p, TB_JTOKEN_BLOCK_END); first = false) {
        tb_jstmt *s;
        if (!first)
            rc = tb_jparser_expect_op(p, TB_JOP_COMMA, ",");
        if (!rc)
            rc = add_statement(&s, block, p, TB_JSTMT_PRINT, p->token.line);
        if (!rc)
            rc = tb_jparse_expression(&s->as.print, p);
    }
    return rc;
}

static tb_code parse_break(tb_jblock *block, tb_jparser *p)
{
    tb_jstmt *s;
    tb_jstmt_kind kind = tb_jparser_at_word(p, "break") ? TB_JSTMT_BREAK : TB_JSTMT_CONTINUE;
    if (p->breakable == 0)
        return tb_jparser_fail(p, p->token.line, "'break' or 'continue' stands outside of a loop");
    tb_code rc = add_statement(&s, block, p, kind, p->token.line);
    return rc ? rc : tb_jparser_advance(p);
}

static tb_code parse_unknown(tb_jblock *block, tb_jparser *p)
{
    static const char *const unsupported[] = {"block",      "extends", "include", "import", "from",
                                              "autoescape", "trans",   "do",      "debug",  NULL};
    (void)block;
    tb_text tag = p->token.text;
    bool known = at_any_word(p, unsupported);
    return tb_fail(p->err, known ? TB_EUNSUPPORTED : TB_EFORMAT,
                   known ? "the template uses the tag '%.*s' at line %u, which is not supported"
                         : "the template has the tag '%.*s' at line %u, which is unknown or out of place",
                   tag.size < 40 ? (int)tag.size : 40, tag.data, (unsigned)p->token.line);
}

static const struct {
    const char *tag;
    tb_code (*parse)(tb_jblock *block, tb_jparser *p);
} statements[] = {
    {"if", parse_if},
    {"for", parse_for},
    {"set", parse_set},
    {"with", parse_with},
    {"macro", parse_macro},
    {"call", parse_call_block},
    {"filter", parse_filter_block},
    {"print", parse_print_tag},
    {"break", parse_break},
    {"continue", parse_break},
    {"generation", parse_generation},
};

// One statement, from its tag's name to the end of its last tag, which is left to the caller.
static tb_code parse_statement(tb_jblock *block, tb_jparser *p)
{
    if (!tb_jparser_at(p, TB_JTOKEN_NAME))
        return tb_jparser_unexpected(p, "the name of a tag");
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (tb_jparser_at_word(p, statements[i].tag))
            return statements[i].parse(block, p);
    return parse_unknown(block, p);
}

tb_code tb_jparse(struct tb_template *tmpl, tb_text source, tb_error *err)
{
    tb_jparser *p = tb_new(tb_jparser); // with its table of names too big for the stack
    if (!p)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a template");
    p->arena = &tmpl->arena;
    p->err = err;
    tb_code rc = tb_jlexer_init(&p->lexer, p->arena, source, err);
    if (!rc)
        rc = tb_jparser_advance(p);
    if (!rc)
        rc = parse_until(&tmpl->body, p, NULL);
    tb_free(p);
    return rc;
}
