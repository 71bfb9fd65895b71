// Statements of templates, and what both halves of the parser stand on.
#include "template/parse.h"

enum {
    NESTING_LIMIT = 120, // brackets, signs and blocks inside each other; jinja2 itself gives up at about a hundred
    TREE_LIMIT = 500,    // operators whose results feed each other, such as a long sum
};

// ---- tokens ----

tb_code tb_parser_advance(tb_parser *p)
{
    if (p->has_ahead) {
        p->token = p->ahead;
        p->has_ahead = false;
        return TB_OK;
    }
    return tb_lexer_next(&p->token, &p->lexer);
}

tb_code tb_parser_peek(tb_lexeme *out, tb_parser *p)
{
    tb_code rc = p->has_ahead ? TB_OK : tb_lexer_next(&p->ahead, &p->lexer);
    p->has_ahead = rc == TB_OK;
    *out = p->ahead;
    return rc;
}

bool tb_parser_at(const tb_parser *p, tb_lexeme_kind kind)
{
    return p->token.kind == kind;
}

bool tb_parser_at_op(const tb_parser *p, tb_operator op)
{
    return p->token.kind == TB_LEXEME_OPERATOR && p->token.op == op;
}

bool tb_parser_at_word(const tb_parser *p, const char *word)
{
    return p->token.kind == TB_LEXEME_NAME && tb_text_is(p->token.text, word);
}

tb_code tb_parser_skip_op(bool *found, tb_parser *p, tb_operator op)
{
    *found = tb_parser_at_op(p, op);
    return *found ? tb_parser_advance(p) : TB_OK;
}

tb_code tb_parser_skip_word(bool *found, tb_parser *p, const char *word)
{
    *found = tb_parser_at_word(p, word);
    return *found ? tb_parser_advance(p) : TB_OK;
}

tb_code tb_parser_expect(tb_parser *p, tb_lexeme_kind kind, const char *what)
{
    return tb_parser_at(p, kind) ? tb_parser_advance(p) : tb_parser_unexpected(p, what);
}

tb_code tb_parser_expect_op(tb_parser *p, tb_operator op, const char *what)
{
    return tb_parser_at_op(p, op) ? tb_parser_advance(p) : tb_parser_unexpected(p, what);
}

static tb_code expect_word(tb_parser *p, const char *word)
{
    return tb_parser_at_word(p, word) ? tb_parser_advance(p) : tb_parser_unexpected(p, word);
}

tb_code tb_parser_take_name(tb_lexeme *out, tb_parser *p)
{
    *out = p->token;
    return tb_parser_expect(p, TB_LEXEME_NAME, "a name");
}

// ---- errors and nodes ----

tb_code tb_parser_fail(tb_parser *p, uint32_t line, const char *what)
{
    return tb_fail(p->err, TB_EFORMAT, "the template is malformed at line %u: %s", (unsigned)line, what);
}

tb_code tb_parser_unexpected(tb_parser *p, const char *wanted)
{
    const tb_lexeme *t = &p->token;
    if (t->kind == TB_LEXEME_END)
        return tb_fail(p->err, TB_EFORMAT, "the template is malformed at line %u: it ends where '%s' should follow",
                       (unsigned)t->line, wanted);
    bool has_text = t->kind == TB_LEXEME_NAME || t->kind == TB_LEXEME_STRING || t->kind == TB_LEXEME_INTEGER ||
                    t->kind == TB_LEXEME_FLOAT || t->kind == TB_LEXEME_OPERATOR;
    int shown = has_text ? (t->text.size < 40 ? (int)t->text.size : 40) : 0;
    return tb_fail(p->err, TB_EFORMAT, "the template is malformed at line %u: '%s' is missing before '%.*s'",
                   (unsigned)t->line, wanted, has_text ? shown : 10, has_text ? t->text.data : "end of tag");
}

tb_code tb_parser_no_memory(tb_parser *p)
{
    return tb_fail(p->err, TB_ENOMEM, "no memory to compile a template");
}

tb_code tb_parser_work(tb_parser *p, size_t steps)
{
    if (steps > p->steps_left)
        return tb_fail(p->err, TB_ELIMIT, "the template takes too many steps to compile at line %u",
                       (unsigned)p->token.line);
    p->steps_left -= steps;
    return TB_OK;
}

tb_code tb_parser_enter(tb_parser *p)
{
    if (p->depth == NESTING_LIMIT)
        return tb_fail(p->err, TB_ELIMIT, "the template nests more than %d levels at line %u", NESTING_LIMIT,
                       (unsigned)p->token.line);
    p->depth++;
    return TB_OK;
}

tb_code tb_parser_text(const tb_string **out, tb_parser *p, tb_text text)
{
    *out = tb_string_constant(p->arena, text);
    return *out ? TB_OK : tb_parser_no_memory(p);
}

// Equal names share one tb_name.
tb_code tb_parser_name(tb_name **out, tb_parser *p, tb_text text)
{
    uint32_t hash = 2166136261u; // FNV-1a
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 16777619u;
    tb_name **bucket = &p->names[hash % TB_PARSER_BUCKETS];
    tb_code rc = TB_OK;
    for (*out = *bucket; *out && !rc; *out = (*out)->next) {
        if (tb_piece_equal((*out)->string->text, tb_piece_of(text, TB_FROM_TEMPLATE)))
            return TB_OK;
        rc = tb_parser_work(p, 1);
    }
    if (rc)
        return rc;
    tb_name *name = tb_arena_alloc(p->arena, sizeof *name);
    if (!name)
        return tb_parser_no_memory(p);
    name->next = *bucket;
    *bucket = *out = name;
    return tb_parser_text(&name->string, p, text);
}

tb_code tb_parser_expr(tb_expr **out, tb_parser *p, tb_expr_kind kind, uint32_t line)
{
    tb_expr *e = tb_arena_alloc(p->arena, sizeof *e);
    *out = e;
    if (!e)
        return tb_parser_no_memory(p);
    e->kind = kind;
    e->line = line;
    return TB_OK;
}

tb_code tb_parser_adopt(tb_parser *p, tb_expr *parent, const tb_expr *child)
{
    if (!child || parent->depth > child->depth)
        return TB_OK;
    parent->depth = child->depth + 1;
    if (parent->depth > TREE_LIMIT)
        return tb_fail(p->err, TB_ELIMIT, "the template has an expression of more than %d levels at line %u",
                       TREE_LIMIT, (unsigned)parent->line);
    return TB_OK;
}

tb_code tb_parser_append(tb_parser *p, tb_expr *parent, tb_expr_list *list, tb_expr *item)
{
    if (list->last)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
    list->count++;
    return tb_parser_adopt(p, parent, item);
}

// ---- blocks ----

static tb_code parse_statement(tb_body *block, tb_parser *p);

static tb_code add_statement(tb_stmt **out, tb_body *block, tb_parser *p, tb_stmt_kind kind, uint32_t line)
{
    tb_stmt *s = tb_arena_alloc(p->arena, sizeof *s);
    *out = s;
    if (!s)
        return tb_parser_no_memory(p);
    s->kind = kind;
    s->line = line;
    if (block->last)
        block->last->next = s;
    else
        block->first = s;
    block->last = s;
    return TB_OK;
}

static tb_code parse_print(tb_body *block, tb_parser *p)
{
    tb_stmt *s;
    tb_code rc = add_statement(&s, block, p, TB_STMT_PRINT, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    if (!rc)
        rc = tb_parse_tuple(&s->as.print, p, 0);
    return rc ? rc : tb_parser_expect(p, TB_LEXEME_PRINT_END, "}}");
}

static bool at_any_word(const tb_parser *p, const char *const *words)
{
    for (; *words; words++)
        if (tb_parser_at_word(p, *words))
            return true;
    return false;
}

// Statements up to a tag that begins with one of `ends` (NULL: the end of the template), which is then
// the current token.
static tb_code parse_until(tb_body *block, tb_parser *p, const char *const *ends)
{
    tb_code rc = TB_OK;
    while (!rc && !tb_parser_at(p, TB_LEXEME_END)) {
        tb_stmt *s;
        if (tb_parser_at(p, TB_LEXEME_DATA)) {
            rc = add_statement(&s, block, p, TB_STMT_DATA, p->token.line);
            if (!rc)
                s->as.data = p->token.text;
            if (!rc)
                rc = tb_parser_advance(p);
        } else if (tb_parser_at(p, TB_LEXEME_PRINT_BEGIN)) {
            rc = parse_print(block, p);
        } else {
            rc = tb_parser_advance(p);
            if (!rc && ends && at_any_word(p, ends))
                return TB_OK;
            if (!rc)
                rc = parse_statement(block, p);
            if (!rc)
                rc = tb_parser_expect(p, TB_LEXEME_BLOCK_END, "%}");
        }
    }
    if (!rc && ends)
        return tb_parser_unexpected(p, ends[0]);
    return rc;
}

// The body of a block statement, from behind its opening tag.
static tb_code parse_body(tb_body *block, tb_parser *p, const char *const *ends)
{
    bool colon;
    tb_code rc = tb_parser_enter(p);
    if (rc)
        return rc;
    rc = tb_parser_skip_op(&colon, p, TB_OPERATOR_COLON); // Python's, tolerated
    if (!rc)
        rc = tb_parser_expect(p, TB_LEXEME_BLOCK_END, "%}");
    if (!rc)
        rc = parse_until(block, p, ends);
    p->depth--;
    return rc;
}

// A body with one possible end, which is taken.
static tb_code parse_whole_body(tb_body *block, tb_parser *p, const char *end)
{
    const char *const ends[] = {end, NULL};
    tb_code rc = parse_body(block, p, ends);
    return rc ? rc : tb_parser_advance(p);
}

// ---- targets of assignments ----

static tb_code check_target(tb_parser *p, const tb_expr *target)
{
    if (target->kind == TB_EXPR_MEMBER)
        return TB_OK;
    if (target->kind == TB_EXPR_NAME) {
        if (p->loops && tb_piece_is(target->as.name.id->string->text, "loop"))
            return tb_parser_fail(p, target->line, "the variable 'loop' cannot be set inside of a for loop");
        return TB_OK;
    }
    if (target->kind != TB_EXPR_TUPLE)
        return tb_parser_fail(p, target->line, "this cannot be assigned to");
    tb_code rc = TB_OK;
    for (const tb_expr *e = target->as.items.first; e && !rc; e = e->next)
        rc = check_target(p, e);
    return rc;
}

static tb_code parse_target(tb_expr **out, tb_parser *p, unsigned flags)
{
    tb_code rc = tb_parse_tuple(out, p, TB_PARSE_SIMPLE | flags);
    return rc ? rc : check_target(p, *out);
}

// The one name of a parameter or macro.
static tb_code parse_single_name(tb_expr **out, tb_parser *p)
{
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None", NULL};
    if (at_any_word(p, reserved))
        return tb_parser_fail(p, p->token.line, "this cannot be assigned to");
    tb_lexeme token;
    tb_code rc = tb_parser_take_name(&token, p);
    if (!rc)
        rc = tb_parser_expr(out, p, TB_EXPR_NAME, token.line);
    return rc ? rc : tb_parser_name(&(*out)->as.name.id, p, token.text);
}

// Names of a for target once more, for the frame of the loop's filter.
static tb_code clone_target(tb_expr **out, tb_parser *p, const tb_expr *target)
{
    tb_code rc = tb_parser_expr(out, p, target->kind, target->line);
    if (rc || target->kind == TB_EXPR_NAME) {
        if (!rc)
            (*out)->as.name = target->as.name;
        return rc;
    }
    for (const tb_expr *e = target->as.items.first; e && !rc; e = e->next) {
        tb_expr *item;
        rc = clone_target(&item, p, e);
        if (!rc)
            rc = tb_parser_append(p, *out, &(*out)->as.items, item);
    }
    return rc;
}

// ---- statements ----

static tb_code parse_if(tb_body *block, tb_parser *p)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    tb_stmt *s;
    tb_code rc = add_statement(&s, block, p, TB_STMT_IF, p->token.line);
    if (rc)
        return rc;
    tb_branch **end = &s->as.branch.branches;
    do {
        tb_branch *branch = tb_arena_alloc(p->arena, sizeof *branch);
        if (!branch)
            return tb_parser_no_memory(p);
        *end = branch;
        end = &branch->next;
        rc = tb_parser_advance(p); // if, elif
        if (!rc)
            rc = tb_parse_tuple(&branch->test, p, TB_PARSE_NO_COND);
        if (!rc)
            rc = parse_body(&branch->body, p, ends);
    } while (!rc && tb_parser_at_word(p, "elif"));
    if (!rc && tb_parser_at_word(p, "else")) {
        rc = tb_parser_advance(p);
        return rc ? rc : parse_whole_body(&s->as.branch.otherwise, p, "endif");
    }
    return rc ? rc : tb_parser_advance(p);
}

// "for" target "in" iterable ["if" test] ["recursive"]
static tb_code parse_for_head(tb_for *loop, tb_parser *p)
{
    bool found;
    tb_code rc = tb_parser_advance(p);
    if (!rc)
        rc = parse_target(&loop->target, p, 0);
    if (!rc)
        rc = expect_word(p, "in");
    if (!rc)
        rc = tb_parse_tuple(&loop->iterable, p, TB_PARSE_NO_COND);
    if (!rc)
        rc = tb_parser_skip_word(&found, p, "if");
    if (!rc && found)
        rc = tb_parse_expression(&loop->test, p);
    if (!rc && found)
        rc = clone_target(&loop->test_target, p, loop->target);
    return rc ? rc : tb_parser_skip_word(&loop->recursive, p, "recursive");
}

static tb_code parse_for(tb_body *block, tb_parser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    tb_stmt *s;
    tb_code rc = add_statement(&s, block, p, TB_STMT_FOR, p->token.line);
    if (rc)
        return rc;
    tb_for *loop = &s->as.loop;
    unsigned breakable = p->breakable;
    p->loops++;
    rc = parse_for_head(loop, p);
    p->breakable++;
    if (!rc)
        rc = parse_body(&loop->body, p, ends);
    p->breakable = loop->recursive ? 0 : breakable; // a recursive loop is a function of its own
    loop->has_otherwise = !rc && tb_parser_at_word(p, "else");
    if (!rc)
        rc = tb_parser_advance(p);
    if (!rc && loop->has_otherwise)
        rc = parse_whole_body(&loop->otherwise, p, "endfor");
    p->breakable = breakable;
    p->loops--;
    return rc;
}

static tb_code parse_set(tb_body *block, tb_parser *p)
{
    tb_stmt *s;
    bool assigns;
    tb_code rc = add_statement(&s, block, p, TB_STMT_SET, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    if (!rc)
        rc = parse_target(&s->as.set.target, p, TB_PARSE_MEMBERS);
    if (!rc)
        rc = tb_parser_skip_op(&assigns, p, TB_OPERATOR_ASSIGN);
    if (rc)
        return rc;
    if (assigns)
        return tb_parse_tuple(&s->as.set.value, p, 0);
    s->kind = TB_STMT_SET_BLOCK;
    tb_expr *content;
    rc = tb_parser_expr(&content, p, TB_EXPR_CONTENT, s->line);
    if (!rc)
        rc = tb_parse_filters(&s->as.set.value, p, content, false);
    return rc ? rc : parse_whole_body(&s->as.set.body, p, "endset");
}

static tb_code parse_with(tb_body *block, tb_parser *p)
{
    tb_stmt *s;
    tb_expr *holder; // carries the depth of the lists
    tb_code rc = add_statement(&s, block, p, TB_STMT_WITH, p->token.line);
    if (!rc)
        rc = tb_parser_expr(&holder, p, TB_EXPR_TUPLE, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    while (!rc && !tb_parser_at(p, TB_LEXEME_BLOCK_END)) {
        tb_expr *target, *value;
        if (s->as.with.targets.count > 0)
            rc = tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
        if (!rc)
            rc = parse_target(&target, p, 0);
        if (!rc)
            rc = tb_parser_expect_op(p, TB_OPERATOR_ASSIGN, "=");
        if (!rc)
            rc = tb_parse_expression(&value, p);
        if (!rc)
            rc = tb_parser_append(p, holder, &s->as.with.targets, target);
        if (!rc)
            rc = tb_parser_append(p, holder, &s->as.with.values, value);
    }
    return rc ? rc : parse_whole_body(&s->as.with.body, p, "endwith");
}

static tb_code parse_parameter(tb_function *function, tb_parser *p, tb_parameter ***end, bool *has_fallback)
{
    tb_parameter *param = tb_arena_alloc(p->arena, sizeof *param);
    if (!param)
        return tb_parser_no_memory(p);
    tb_code rc = parse_single_name(&param->name, p);
    bool found = false;
    if (!rc)
        rc = tb_parser_skip_op(&found, p, TB_OPERATOR_ASSIGN);
    if (!rc && found)
        rc = tb_parse_expression(&param->fallback, p);
    if (!rc && *has_fallback && !found)
        rc = tb_parser_fail(p, p->token.line, "a parameter without default follows one with a default");
    if (!rc)
        rc = tb_parser_work(p, function->param_count);
    for (tb_parameter *other = function->params; other && !rc; other = other->next)
        if (other->name->as.name.id == param->name->as.name.id)
            rc = tb_parser_fail(p, p->token.line, "a parameter is repeated");
    *has_fallback = found;
    **end = param;
    *end = &param->next;
    function->param_count++;
    return rc;
}

// "(" parameters ")"
static tb_code parse_signature(tb_function *function, tb_parser *p)
{
    tb_parameter **end = &function->params;
    bool has_fallback = false;
    tb_code rc = tb_parser_expect_op(p, TB_OPERATOR_LPAREN, "(");
    while (!rc && !tb_parser_at_op(p, TB_OPERATOR_RPAREN)) {
        if (function->param_count > 0)
            rc = tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
        if (!rc)
            rc = parse_parameter(function, p, &end, &has_fallback);
    }
    return rc ? rc : tb_parser_expect_op(p, TB_OPERATOR_RPAREN, ")");
}

// A body that is a function: loops around it cannot be left from inside.
static tb_code parse_function_body(tb_function *function, tb_parser *p, const char *end)
{
    unsigned breakable = p->breakable;
    p->breakable = 0;
    tb_code rc = parse_whole_body(&function->body, p, end);
    p->breakable = breakable;
    return rc;
}

static tb_code parse_macro(tb_body *block, tb_parser *p)
{
    tb_stmt *s;
    tb_code rc = add_statement(&s, block, p, TB_STMT_MACRO, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    if (!rc)
        rc = parse_single_name(&s->as.macro.target, p);
    if (rc)
        return rc;
    s->as.macro.function.name = s->as.macro.target->as.name.id->string;
    rc = parse_signature(&s->as.macro.function, p);
    return rc ? rc : parse_function_body(&s->as.macro.function, p, "endmacro");
}

static tb_code parse_call_block(tb_body *block, tb_parser *p)
{
    tb_stmt *s;
    tb_code rc = add_statement(&s, block, p, TB_STMT_CALL_BLOCK, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    if (!rc && tb_parser_at_op(p, TB_OPERATOR_LPAREN))
        rc = parse_signature(&s->as.macro.function, p);
    if (!rc)
        rc = tb_parse_expression(&s->as.macro.call, p);
    if (!rc && s->as.macro.call->kind != TB_EXPR_CALL)
        rc = tb_parser_fail(p, s->line, "a call block needs a call");
    return rc ? rc : parse_function_body(&s->as.macro.function, p, "endcall");
}

// What an assistant has said, marked for training: rendered as it is, but a function like a call block.
static tb_code parse_generation(tb_body *block, tb_parser *p)
{
    tb_stmt *s;
    tb_code rc = add_statement(&s, block, p, TB_STMT_CALL_BLOCK, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    return rc ? rc : parse_function_body(&s->as.macro.function, p, "endgeneration");
}

static tb_code parse_filter_block(tb_body *block, tb_parser *p)
{
    tb_stmt *s;
    tb_expr *content;
    tb_code rc = add_statement(&s, block, p, TB_STMT_FILTER_BLOCK, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    if (!rc)
        rc = tb_parser_expr(&content, p, TB_EXPR_CONTENT, s->line);
    if (!rc)
        rc = tb_parse_filters(&s->as.filter.filter, p, content, true);
    return rc ? rc : parse_whole_body(&s->as.filter.body, p, "endfilter");
}

// {% print a, b %} prints each.
static tb_code parse_print_tag(tb_body *block, tb_parser *p)
{
    tb_code rc = tb_parser_advance(p);
    for (bool first = true; !rc && !tb_parser_at(p, TB_LEXEME_BLOCK_END); first = false) {
        tb_stmt *s;
        if (!first)
            rc = tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
        if (!rc)
            rc = add_statement(&s, block, p, TB_STMT_PRINT, p->token.line);
        if (!rc)
            rc = tb_parse_expression(&s->as.print, p);
    }
    return rc;
}

static tb_code parse_break(tb_body *block, tb_parser *p)
{
    tb_stmt *s;
    tb_stmt_kind kind = tb_parser_at_word(p, "break") ? TB_STMT_BREAK : TB_STMT_CONTINUE;
    if (p->breakable == 0)
        return tb_parser_fail(p, p->token.line, "'break' or 'continue' stands outside of a loop");
    tb_code rc = add_statement(&s, block, p, kind, p->token.line);
    return rc ? rc : tb_parser_advance(p);
}

static tb_code parse_unknown(tb_body *block, tb_parser *p)
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
    tb_code (*parse)(tb_body *block, tb_parser *p);
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
static tb_code parse_statement(tb_body *block, tb_parser *p)
{
    if (!tb_parser_at(p, TB_LEXEME_NAME))
        return tb_parser_unexpected(p, "the name of a tag");
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (tb_parser_at_word(p, statements[i].tag))
            return statements[i].parse(block, p);
    return parse_unknown(block, p);
}

tb_code tb_parse_template(struct tb_template *tmpl, tb_text source, tb_error *err)
{
    tb_parser *p = tb_new(tb_parser); // with its table of names too big for the stack
    if (!p)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a template");
    p->arena = &tmpl->arena;
    p->steps_left = TB_COMPILE_STEPS;
    p->err = err;
    tb_code rc = tb_lexer_init(&p->lexer, p->arena, source, err);
    if (!rc)
        rc = tb_parser_advance(p);
    if (!rc)
        rc = parse_until(&tmpl->body, p, NULL);
    tb_free(p);
    return rc;
}
