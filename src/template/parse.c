// Statements of templates.
#include <string.h>

#include "template/parse.h"

// Most steps of work that could grow faster than the source: a tenth of a second. A template of 20,000 bytes takes some
// hundred thousand.
enum { COMPILE_STEPS = 20 * 1000000 };

// ---- bodies ----

static void parse_statement(tb_parser *p, tb_body *body);

static tb_stmt *add_statement(tb_parser *p, tb_body *body, tb_stmt_kind kind)
{
    tb_stmt *s = tb_parser_alloc(p, sizeof *s);
    s->kind = kind;
    s->line = p->token.line;
    if (p->rc)
        return s;
    if (body->last)
        body->last->next = s;
    else
        body->first = s;
    body->last = s;
    return s;
}

// The same, and past the name of its tag.
static tb_stmt *begin_statement(tb_parser *p, tb_body *body, tb_stmt_kind kind)
{
    tb_stmt *s = add_statement(p, body, kind);
    tb_parser_advance(p);
    return s;
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
static void parse_until(tb_parser *p, tb_body *body, const char *const *ends)
{
    while (!tb_parser_at(p, TB_LEXEME_END)) {
        if (tb_parser_at(p, TB_LEXEME_DATA)) {
            tb_text data = p->token.text;
            begin_statement(p, body, TB_STMT_DATA)->as.data = data;
        } else if (tb_parser_at(p, TB_LEXEME_PRINT_BEGIN)) {
            tb_stmt *s = begin_statement(p, body, TB_STMT_PRINT);
            s->as.print = tb_parse_tuple(p, 0);
            tb_parser_expect(p, TB_LEXEME_PRINT_END, "}}");
        } else {
            tb_parser_advance(p);
            if (ends && at_any_word(p, ends))
                return;
            parse_statement(p, body);
            tb_parser_expect(p, TB_LEXEME_BLOCK_END, "%}");
        }
    }
    if (ends)
        tb_parser_unexpected(p, ends[0]);
}

// The body of a block statement, from behind its opening tag.
static void parse_body(tb_parser *p, tb_body *body, const char *const *ends)
{
    if (!tb_parser_enter(p))
        return;
    tb_parser_skip_op(p, TB_OPERATOR_COLON); // Python's, tolerated
    tb_parser_expect(p, TB_LEXEME_BLOCK_END, "%}");
    parse_until(p, body, ends);
    p->depth--;
}

// A body with one possible end, which is taken.
static void parse_whole_body(tb_parser *p, tb_body *body, const char *end)
{
    parse_body(p, body, (const char *const[]){end, NULL});
    tb_parser_advance(p);
}

// The body of a loop or function; gives the special names that it uses.
static unsigned parse_own_body(tb_parser *p, tb_body *body, const char *const *ends)
{
    tb_specials outside = p->specials;
    p->specials = (tb_specials){0};
    parse_body(p, body, ends);
    tb_specials inside = p->specials;
    p->specials = (tb_specials){outside.used | (inside.used & ~outside.settled), outside.settled | inside.settled};
    return inside.used;
}

// ---- targets of assignments ----

static void check_target(tb_parser *p, const tb_expr *target)
{
    if (p->rc || target->kind == TB_EXPR_MEMBER)
        return;
    if (target->kind == TB_EXPR_NAME) {
        if (p->loops && tb_piece_is(target->as.name.id->string->text, "loop"))
            tb_parser_fail(p, target->line, "the variable 'loop' cannot be set inside of a for loop");
    } else if (target->kind != TB_EXPR_TUPLE) {
        tb_parser_fail(p, target->line, "this cannot be assigned to");
    } else {
        for (const tb_expr *e = target->as.items.first; e; e = e->next)
            check_target(p, e);
    }
}

static tb_expr *parse_target(tb_parser *p, unsigned flags)
{
    tb_expr *target = tb_parse_tuple(p, TB_PARSE_SIMPLE | flags);
    check_target(p, target);
    return target;
}

// The one name of a parameter or macro.
static tb_expr *parse_single_name(tb_parser *p)
{
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None", NULL};
    if (at_any_word(p, reserved))
        tb_parser_fail(p, p->token.line, "this cannot be assigned to");
    uint32_t line = p->token.line;
    return tb_parser_variable(p, tb_parser_take_name(p).text, line);
}

// Names of a for target once more, for the frame of the loop's filter.
static tb_expr *clone_target(tb_parser *p, const tb_expr *target)
{
    tb_expr *copy = tb_parser_expr(p, target->kind, target->line);
    if (p->rc)
        return copy;
    if (target->kind == TB_EXPR_NAME)
        copy->as.name = target->as.name;
    else
        for (const tb_expr *e = target->as.items.first; e; e = e->next)
            tb_parser_append(p, copy, &copy->as.items, clone_target(p, e));
    return copy;
}

// ---- statements ----

static void parse_if(tb_parser *p, tb_body *body)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    tb_stmt *s = add_statement(p, body, TB_STMT_IF);
    tb_branch **end = &s->as.branch.branches;
    do {
        tb_branch *branch = tb_parser_alloc(p, sizeof *branch);
        if (p->rc)
            return;
        *end = branch;
        end = &branch->next;
        tb_parser_advance(p); // if, elif
        branch->test = tb_parse_tuple(p, TB_PARSE_NO_COND);
        parse_body(p, &branch->body, ends);
    } while (tb_parser_at_word(p, "elif"));
    bool has_else = tb_parser_at_word(p, "else");
    tb_parser_advance(p);
    if (has_else)
        parse_whole_body(p, &s->as.branch.otherwise, "endif");
}

// "for" target "in" iterable ["if" test]
static void parse_for_head(tb_parser *p, tb_for *loop)
{
    loop->target = parse_target(p, 0);
    if (!tb_parser_skip_word(p, "in"))
        tb_parser_unexpected(p, "in");
    loop->iterable = tb_parse_tuple(p, TB_PARSE_NO_COND);
    if (tb_parser_skip_word(p, "if")) {
        loop->test = tb_parse_expression(p);
        loop->test_target = clone_target(p, loop->target);
    }
    if (tb_parser_at_word(p, "recursive"))
        tb_parser_stop(p, tb_fail(p->err, TB_EUNSUPPORTED,
                                  "the template uses 'recursive' at line %u, which is not supported",
                                  (unsigned)p->token.line));
}

static void parse_for(tb_parser *p, tb_body *body)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    tb_for *loop = &begin_statement(p, body, TB_STMT_FOR)->as.loop;
    p->loops++;
    parse_for_head(p, loop);
    p->breakable++;
    unsigned used = parse_own_body(p, &loop->body, ends);
    if (used & TB_SPECIAL_LOOP)
        loop->loop = tb_parser_variable(p, (tb_text){"loop", 4}, p->token.line);
    p->breakable--;
    loop->has_otherwise = tb_parser_at_word(p, "else");
    tb_parser_advance(p);
    if (loop->has_otherwise)
        parse_whole_body(p, &loop->otherwise, "endfor");
    p->loops--;
}

static void parse_set(tb_parser *p, tb_body *body)
{
    tb_stmt *s = begin_statement(p, body, TB_STMT_SET);
    s->as.set.target = parse_target(p, TB_PARSE_MEMBERS);
    if (tb_parser_skip_op(p, TB_OPERATOR_ASSIGN)) {
        s->as.set.value = tb_parse_tuple(p, 0);
        return;
    }
    s->kind = TB_STMT_SET_BLOCK;
    s->as.set.value = tb_parse_filters(p, tb_parser_expr(p, TB_EXPR_CONTENT, s->line), false);
    parse_whole_body(p, &s->as.set.body, "endset");
}

static void parse_with(tb_parser *p, tb_body *body)
{
    tb_stmt *s = begin_statement(p, body, TB_STMT_WITH);
    tb_expr *holder = tb_parser_expr(p, TB_EXPR_TUPLE, s->line); // carries the depth of the lists
    while (!p->rc && !tb_parser_at(p, TB_LEXEME_BLOCK_END)) {
        if (s->as.with.targets.count > 0)
            tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
        tb_expr *target = parse_target(p, 0);
        tb_parser_expect_op(p, TB_OPERATOR_ASSIGN, "=");
        tb_parser_append(p, holder, &s->as.with.targets, target);
        tb_parser_append(p, holder, &s->as.with.values, tb_parse_expression(p));
    }
    parse_whole_body(p, &s->as.with.body, "endwith");
}

static tb_parameter *parse_parameter(tb_parser *p, const tb_function *function, bool needs_fallback)
{
    tb_parameter *param = tb_parser_alloc(p, sizeof *param);
    tb_parser_note(p, p->token.text, false);
    param->name = parse_single_name(p);
    if (tb_parser_skip_op(p, TB_OPERATOR_ASSIGN))
        param->fallback = tb_parse_expression(p);
    else if (needs_fallback)
        tb_parser_fail(p, p->token.line, "a parameter without default follows one with a default");
    tb_parser_work(p, function->param_count);
    for (const tb_parameter *other = function->params; other && !p->rc; other = other->next)
        if (other->name->as.name.id == param->name->as.name.id)
            tb_parser_fail(p, p->token.line, "a parameter is repeated");
    return param;
}

static void parse_signature(tb_parser *p, tb_function *function)
{
    tb_parameter **end = &function->params;
    bool has_fallback = false;
    tb_parser_expect_op(p, TB_OPERATOR_LPAREN, "(");
    while (tb_parser_more(p, TB_OPERATOR_RPAREN)) {
        if (function->param_count > 0)
            tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
        tb_parameter *param = parse_parameter(p, function, has_fallback);
        if (p->rc)
            return;
        has_fallback = param->fallback != NULL;
        *end = param;
        end = &param->next;
        function->param_count++;
    }
    tb_parser_expect_op(p, TB_OPERATOR_RPAREN, ")");
}

static const tb_parameter *find_parameter(const tb_function *function, const char *name)
{
    const tb_parameter *param = function->params;
    while (param && !tb_piece_is(param->name->as.name.id->string->text, name))
        param = param->next;
    return param;
}

// The variable for a special name; NULL when it is not used, or declared and a parameter like others.
static tb_expr *special_variable(tb_parser *p, const tb_function *function, bool used, const char *name)
{
    if (p->rc || !used || find_parameter(function, name))
        return NULL;
    return tb_parser_variable(p, (tb_text){name, strlen(name)}, p->token.line);
}

// A function: loops around it cannot be left from inside.
static void parse_function_body(tb_parser *p, tb_function *function, const char *end)
{
    unsigned breakable = p->breakable;
    p->breakable = 0;
    unsigned used = parse_own_body(p, &function->body, (const char *const[]){end, NULL});
    p->breakable = breakable;
    const tb_parameter *caller = find_parameter(function, "caller");
    if (caller && !caller->fallback && used & TB_SPECIAL_CALLER)
        tb_parser_fail(p, caller->name->line, "the parameter 'caller' needs a default");
    function->caller = special_variable(p, function, used & TB_SPECIAL_CALLER, "caller");
    function->keywords = special_variable(p, function, used & TB_SPECIAL_KWARGS, "kwargs");
    function->varargs = special_variable(p, function, used & TB_SPECIAL_VARARGS, "varargs");
    tb_parser_advance(p);
}

static void parse_macro(tb_parser *p, tb_body *body)
{
    tb_stmt *s = begin_statement(p, body, TB_STMT_MACRO);
    s->as.macro.target = parse_single_name(p);
    s->as.macro.function.name = s->as.macro.target->as.name.id->string;
    parse_signature(p, &s->as.macro.function);
    parse_function_body(p, &s->as.macro.function, "endmacro");
}

static void parse_call_block(tb_parser *p, tb_body *body)
{
    tb_stmt *s = begin_statement(p, body, TB_STMT_CALL_BLOCK);
    if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
        parse_signature(p, &s->as.macro.function);
    s->as.macro.call = tb_parse_expression(p);
    if (s->as.macro.call->kind != TB_EXPR_CALL)
        tb_parser_fail(p, s->line, "a call block needs a call");
    parse_function_body(p, &s->as.macro.function, "endcall");
}

// What an assistant has said, marked for training: rendered as it is, but a function like a call block.
static void parse_generation(tb_parser *p, tb_body *body)
{
    tb_stmt *s = begin_statement(p, body, TB_STMT_CALL_BLOCK);
    parse_function_body(p, &s->as.macro.function, "endgeneration");
}

static void parse_filter_block(tb_parser *p, tb_body *body)
{
    tb_stmt *s = begin_statement(p, body, TB_STMT_FILTER_BLOCK);
    s->as.filter.filter = tb_parse_filters(p, tb_parser_expr(p, TB_EXPR_CONTENT, s->line), true);
    parse_whole_body(p, &s->as.filter.body, "endfilter");
}

// {% print a, b %} prints each.
static void parse_print_tag(tb_parser *p, tb_body *body)
{
    tb_parser_advance(p);
    for (bool first = true; !p->rc && !tb_parser_at(p, TB_LEXEME_BLOCK_END); first = false) {
        if (!first)
            tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
        tb_stmt *s = add_statement(p, body, TB_STMT_PRINT);
        s->as.print = tb_parse_expression(p);
    }
}

static void parse_break(tb_parser *p, tb_body *body)
{
    if (p->breakable == 0)
        tb_parser_fail(p, p->token.line, "'break' or 'continue' stands outside of a loop");
    begin_statement(p, body, tb_parser_at_word(p, "break") ? TB_STMT_BREAK : TB_STMT_CONTINUE);
}

// A tag that nobody here parses.
static void refuse_tag(tb_parser *p)
{
    static const char *const unsupported[] = {"block",      "extends", "include", "import", "from",
                                              "autoescape", "trans",   "do",      "debug",  NULL};
    tb_text tag = p->token.text;
    bool known = at_any_word(p, unsupported);
    tb_parser_stop(p, tb_fail(p->err, known ? TB_EUNSUPPORTED : TB_EFORMAT,
                              known ? "the template uses the tag '%.*s' at line %u, which is not supported"
                                    : "the template has the tag '%.*s' at line %u, which is unknown or out of place",
                              tag.size < 40 ? (int)tag.size : 40, tag.data, (unsigned)p->token.line));
}

static const struct {
    const char *tag;
    void (*parse)(tb_parser *p, tb_body *body);
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
static void parse_statement(tb_parser *p, tb_body *body)
{
    if (!tb_parser_at(p, TB_LEXEME_NAME)) {
        tb_parser_unexpected(p, "the name of a tag");
        return;
    }
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (tb_parser_at_word(p, statements[i].tag)) {
            statements[i].parse(p, body);
            return;
        }
    refuse_tag(p);
}

tb_code tb_parse_template(struct tb_template *tmpl, tb_text source, tb_error *err)
{
    tb_parser *p = tb_new(tb_parser); // with its table of names too big for the stack
    if (!p)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a template");
    p->arena = &tmpl->arena;
    p->steps_left = COMPILE_STEPS;
    p->err = err;
    tb_code rc = tb_lexer_init(&p->lexer, p->arena, source, err);
    if (!rc) {
        tb_parser_advance(p);
        parse_until(p, &tmpl->body, NULL);
        rc = p->rc;
    }
    tb_free(p);
    return rc;
}
