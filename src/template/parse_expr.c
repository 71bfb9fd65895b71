// Expressions, from the loosest operator to the tightest:
// inline if, or, and, not, comparisons and `in`, + −, ~, * / // %, **, unary + −, then what stands
// behind a primary: .name [item] (call) |filter `is` test. ** groups to the left, as jinja2 has it.
#include "template/builtin.h"
#include "template/parse.h"

static tb_expr *parse_unary(tb_parser *p);

static tb_expr *new_binary(tb_parser *p, tb_operator op, tb_expr *left, tb_expr *right)
{
    tb_expr *e = tb_parser_expr(p, TB_EXPR_BINARY, left->line);
    e->op = op;
    e->as.operands.left = tb_parser_adopt(p, e, left);
    e->as.operands.right = tb_parser_adopt(p, e, right);
    return e;
}

static tb_expr *new_unary(tb_parser *p, tb_operator op, uint32_t line, tb_expr *operand)
{
    tb_expr *e = tb_parser_expr(p, TB_EXPR_UNARY, line);
    e->op = op;
    e->as.operands.left = tb_parser_adopt(p, e, operand);
    return e;
}

static tb_expr *new_constant(tb_parser *p, uint32_t line, tb_value value)
{
    tb_expr *e = tb_parser_expr(p, TB_EXPR_CONSTANT, line);
    e->as.constant = value;
    return e;
}

// Expressions with commas between them, up to the operator that closes them.
static void parse_items(tb_parser *p, tb_expr *owner, tb_expr_list *list, tb_operator close)
{
    while (tb_parser_more(p, close)) {
        tb_parser_append(p, owner, list, tb_parse_expression(p));
        if (tb_parser_more(p, close))
            tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
    }
}

// ---- arguments ----

static void parse_keyword(tb_parser *p, tb_arguments *args, tb_expr *owner)
{
    tb_keyword_expr *keyword = tb_parser_alloc(p, sizeof *keyword), **end = &args->keywords;
    keyword->name = tb_parser_text(p, p->token.text);
    tb_parser_work(p, args->keyword_count);
    for (; *end && !p->rc; end = &(*end)->next)
        if (tb_piece_equal((*end)->name->text, keyword->name->text))
            tb_parser_fail(p, p->token.line, "a keyword argument is repeated");
    if (p->rc)
        return;
    *end = keyword;
    args->keyword_count++;
    tb_parser_advance(p); // the name
    tb_parser_advance(p); // the equals sign
    keyword->value = tb_parser_adopt(p, owner, tb_parse_expression(p));
}

static tb_expr *parse_rest(tb_parser *p, tb_expr *owner)
{
    tb_parser_advance(p);
    return tb_parser_adopt(p, owner, tb_parse_expression(p));
}

static void parse_argument(tb_parser *p, tb_arguments *args, tb_expr *owner)
{
    bool is_rest = tb_parser_at_op(p, TB_OPERATOR_MUL), is_rest_keywords = tb_parser_at_op(p, TB_OPERATOR_POW);
    bool is_keyword = false;
    if (tb_parser_at(p, TB_LEXEME_NAME)) {
        tb_lexeme next = tb_parser_peek(p);
        is_keyword = next.kind == TB_LEXEME_OPERATOR && next.op == TB_OPERATOR_ASSIGN;
    }
    bool is_positional = !is_rest && !is_rest_keywords && !is_keyword;
    if (args->rest_keywords || (args->rest && (is_rest || is_positional)) || (args->keywords && is_positional))
        tb_parser_fail(p, p->token.line, "the arguments of a call are in no valid order");
    else if (is_rest)
        args->rest = parse_rest(p, owner);
    else if (is_rest_keywords)
        args->rest_keywords = parse_rest(p, owner);
    else if (is_keyword)
        parse_keyword(p, args, owner);
    else
        tb_parser_append(p, owner, &args->positional, tb_parse_expression(p));
}

// "(" arguments ")"
static void parse_arguments(tb_parser *p, tb_arguments *args, tb_expr *owner)
{
    tb_parser_expect_op(p, TB_OPERATOR_LPAREN, "(");
    while (tb_parser_more(p, TB_OPERATOR_RPAREN)) {
        parse_argument(p, args, owner);
        if (tb_parser_more(p, TB_OPERATOR_RPAREN))
            tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
    }
    tb_parser_expect_op(p, TB_OPERATOR_RPAREN, ")");
}

// ---- primaries ----

static tb_expr *parse_name(tb_parser *p, unsigned flags)
{
    tb_lexeme token = tb_parser_take_name(p);
    bool is_true = tb_text_is(token.text, "true") || tb_text_is(token.text, "True");
    if (is_true || tb_text_is(token.text, "false") || tb_text_is(token.text, "False"))
        return new_constant(p, token.line, tb_bool(is_true));
    if (tb_text_is(token.text, "none") || tb_text_is(token.text, "None"))
        return new_constant(p, token.line, tb_none());
    tb_expr *e = tb_parser_variable(p, token.text, token.line);
    if (flags & TB_PARSE_MEMBERS && tb_parser_skip_op(p, TB_OPERATOR_DOT)) {
        e->kind = TB_EXPR_MEMBER;
        e->as.name.attribute = tb_parser_text(p, tb_parser_take_name(p).text);
    } else {
        tb_parser_note(p, token.text, !(flags & TB_PARSE_SIMPLE));
    }
    return e;
}

// String literals that follow each other are one.
static tb_expr *parse_strings(tb_parser *p)
{
    uint32_t line = p->token.line;
    tb_str joined = {0};
    for (; tb_parser_at(p, TB_LEXEME_STRING); tb_parser_advance(p))
        if (tb_str_append(&joined, p->token.text.data, p->token.text.size, NULL)) {
            tb_parser_no_memory(p);
            break;
        }
    const char *text = tb_arena_text(p->arena, tb_str_get(&joined), joined.size);
    if (!text)
        tb_parser_no_memory(p);
    tb_text whole = {text ? text : "", text ? joined.size : 0};
    tb_str_clear(&joined);
    return new_constant(p, line, tb_string_value(tb_parser_text(p, whole)));
}

static tb_expr *parse_list(tb_parser *p)
{
    tb_expr *e = tb_parser_expr(p, TB_EXPR_LIST, p->token.line);
    tb_parser_advance(p);
    parse_items(p, e, &e->as.items, TB_OPERATOR_RBRACKET);
    tb_parser_expect_op(p, TB_OPERATOR_RBRACKET, "]");
    return e;
}

static tb_expr *parse_dict(tb_parser *p)
{
    tb_expr *e = tb_parser_expr(p, TB_EXPR_DICT, p->token.line);
    tb_parser_advance(p);
    while (tb_parser_more(p, TB_OPERATOR_RBRACE)) {
        tb_parser_append(p, e, &e->as.items, tb_parse_expression(p));
        tb_parser_expect_op(p, TB_OPERATOR_COLON, ":");
        tb_parser_append(p, e, &e->as.items, tb_parse_expression(p));
        if (tb_parser_more(p, TB_OPERATOR_RBRACE))
            tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
    }
    tb_parser_expect_op(p, TB_OPERATOR_RBRACE, "}");
    return e;
}

static tb_expr *parse_number(tb_parser *p)
{
    tb_lexeme token = p->token;
    tb_parser_advance(p);
    return new_constant(p, token.line, token.kind == TB_LEXEME_INTEGER ? tb_int(token.integer) : tb_float(token.real));
}

static tb_expr *parse_primary(tb_parser *p, unsigned flags)
{
    if (tb_parser_at(p, TB_LEXEME_NAME))
        return parse_name(p, flags);
    if (tb_parser_at(p, TB_LEXEME_STRING))
        return parse_strings(p);
    if (tb_parser_at(p, TB_LEXEME_INTEGER) || tb_parser_at(p, TB_LEXEME_FLOAT))
        return parse_number(p);
    if (tb_parser_at_op(p, TB_OPERATOR_LBRACKET))
        return parse_list(p);
    if (tb_parser_at_op(p, TB_OPERATOR_LBRACE))
        return parse_dict(p);
    if (!tb_parser_skip_op(p, TB_OPERATOR_LPAREN)) {
        tb_parser_unexpected(p, "an expression");
        return new_constant(p, p->token.line, tb_none());
    }
    tb_expr *e = tb_parse_tuple(p, TB_PARSE_PARENS | (flags & TB_PARSE_SIMPLE));
    tb_parser_expect_op(p, TB_OPERATOR_RPAREN, ")");
    return e;
}

// ---- behind a primary ----

// ".name" or ".0"
static tb_expr *parse_attribute(tb_parser *p, tb_expr *object)
{
    uint32_t line = p->token.line;
    tb_parser_advance(p);
    bool is_name = tb_parser_at(p, TB_LEXEME_NAME);
    tb_expr *e = tb_parser_expr(p, is_name ? TB_EXPR_ATTR : TB_EXPR_ITEM, line);
    if (is_name) {
        e->as.attr.object = tb_parser_adopt(p, e, object);
        e->as.attr.name = tb_parser_text(p, p->token.text);
    } else if (tb_parser_at(p, TB_LEXEME_INTEGER)) {
        e->as.item.object = tb_parser_adopt(p, e, object);
        e->as.item.index = new_constant(p, line, tb_int(p->token.integer));
    } else {
        tb_parser_unexpected(p, "a name or number");
    }
    tb_parser_advance(p);
    return e;
}

static bool at_slice_end(const tb_parser *p)
{
    return tb_parser_at_op(p, TB_OPERATOR_RBRACKET) || tb_parser_at_op(p, TB_OPERATOR_COMMA);
}

// ":" stop ":" step, each optional, behind the start.
static tb_expr *parse_slice(tb_parser *p, tb_expr *object, tb_expr *start)
{
    tb_expr *e = tb_parser_expr(p, TB_EXPR_SLICE, p->token.line);
    e->as.slice.object = tb_parser_adopt(p, e, object);
    e->as.slice.start = tb_parser_adopt(p, e, start);
    tb_parser_advance(p);
    if (!at_slice_end(p) && !tb_parser_at_op(p, TB_OPERATOR_COLON))
        e->as.slice.stop = tb_parser_adopt(p, e, tb_parse_expression(p));
    if (tb_parser_skip_op(p, TB_OPERATOR_COLON) && !at_slice_end(p))
        e->as.slice.step = tb_parser_adopt(p, e, tb_parse_expression(p));
    return e;
}

// "[" indices or a slice "]"
static tb_expr *parse_item(tb_parser *p, tb_expr *object)
{
    uint32_t line = p->token.line;
    tb_parser_advance(p);
    tb_expr *index = tb_parser_at_op(p, TB_OPERATOR_COLON) ? NULL : tb_parse_expression(p), *e;
    if (tb_parser_at_op(p, TB_OPERATOR_COLON)) {
        e = parse_slice(p, object, index);
    } else {
        if (tb_parser_skip_op(p, TB_OPERATOR_COMMA)) { // several indices are a tuple
            tb_expr *tuple = tb_parser_expr(p, TB_EXPR_TUPLE, line);
            tb_parser_append(p, tuple, &tuple->as.items, index);
            do
                tb_parser_append(p, tuple, &tuple->as.items, tb_parse_expression(p));
            while (tb_parser_skip_op(p, TB_OPERATOR_COMMA));
            index = tuple;
        }
        e = tb_parser_expr(p, TB_EXPR_ITEM, line);
        e->as.item.object = tb_parser_adopt(p, e, object);
        e->as.item.index = tb_parser_adopt(p, e, index);
    }
    tb_parser_expect_op(p, TB_OPERATOR_RBRACKET, "]");
    return e;
}

static tb_expr *parse_call(tb_parser *p, tb_expr *callee)
{
    tb_expr *e = tb_parser_expr(p, TB_EXPR_CALL, p->token.line);
    e->as.call.subject = tb_parser_adopt(p, e, callee);
    parse_arguments(p, &e->as.call.args, e);
    return e;
}

// The name of a filter or test, which may have dots.
static const tb_string *parse_dotted_name(tb_parser *p)
{
    tb_text text = tb_parser_take_name(p).text;
    while (tb_parser_skip_op(p, TB_OPERATOR_DOT)) {
        tb_text part = tb_parser_take_name(p).text;
        if (!p->rc) // names and dots of the source, white space between included: known to no table
            text.size = (size_t)(part.data + part.size - text.data);
    }
    return tb_parser_text(p, p->rc ? (tb_text){"", 0} : text);
}

tb_expr *tb_parse_filters(tb_parser *p, tb_expr *subject, bool inline_first)
{
    while (!p->rc && (inline_first || tb_parser_skip_op(p, TB_OPERATOR_PIPE))) {
        tb_expr *e = tb_parser_expr(p, TB_EXPR_FILTER, p->token.line);
        e->as.call.subject = tb_parser_adopt(p, e, subject);
        e->as.call.name = parse_dotted_name(p);
        e->as.call.function = tb_filter_find(e->as.call.name->text);
        if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
            parse_arguments(p, &e->as.call.args, e);
        subject = e;
        inline_first = false;
    }
    return subject;
}

static tb_expr *parse_postfix(tb_parser *p, tb_expr *e)
{
    for (;;) {
        if (tb_parser_at_op(p, TB_OPERATOR_DOT))
            e = parse_attribute(p, e);
        else if (tb_parser_at_op(p, TB_OPERATOR_LBRACKET))
            e = parse_item(p, e);
        else if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
            e = parse_call(p, e);
        else
            return e;
    }
}

// An argument of a test may stand behind it without parentheses.
static bool at_bare_argument(const tb_parser *p)
{
    if (tb_parser_at(p, TB_LEXEME_NAME))
        return !tb_parser_at_word(p, "else") && !tb_parser_at_word(p, "or") && !tb_parser_at_word(p, "and");
    return tb_parser_at(p, TB_LEXEME_STRING) || tb_parser_at(p, TB_LEXEME_INTEGER) ||
           tb_parser_at(p, TB_LEXEME_FLOAT) || tb_parser_at_op(p, TB_OPERATOR_LBRACKET) ||
           tb_parser_at_op(p, TB_OPERATOR_LBRACE);
}

// "is" ["not"] name [argument]
static tb_expr *parse_test(tb_parser *p, tb_expr *subject)
{
    uint32_t line = p->token.line;
    tb_expr *e = tb_parser_expr(p, TB_EXPR_TEST, line);
    e->as.call.subject = tb_parser_adopt(p, e, subject);
    tb_parser_advance(p);
    bool negated = tb_parser_skip_word(p, "not");
    e->as.call.name = parse_dotted_name(p);
    e->as.call.function = tb_test_find(e->as.call.name->text);
    if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
        parse_arguments(p, &e->as.call.args, e);
    else if (tb_parser_at_word(p, "is"))
        tb_parser_fail(p, p->token.line, "tests cannot be chained with 'is'");
    else if (at_bare_argument(p))
        tb_parser_append(p, e, &e->as.call.args.positional, parse_postfix(p, parse_primary(p, 0)));
    return negated ? new_unary(p, TB_OPERATOR_NOT, line, e) : e;
}

static tb_expr *parse_filter_expr(tb_parser *p, tb_expr *e)
{
    for (;;) {
        if (tb_parser_at_op(p, TB_OPERATOR_PIPE))
            e = tb_parse_filters(p, e, false);
        else if (tb_parser_at_word(p, "is"))
            e = parse_test(p, e);
        else if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
            e = parse_call(p, e);
        else
            return e;
    }
}

// ---- operators ----

static tb_expr *parse_sign(tb_parser *p)
{
    tb_lexeme sign = p->token;
    if (!tb_parser_enter(p))
        return new_constant(p, sign.line, tb_none());
    tb_parser_advance(p);
    tb_expr *e = new_unary(p, sign.op, sign.line, parse_unary(p));
    p->depth--;
    return e;
}

static tb_expr *parse_unary(tb_parser *p)
{
    bool is_signed = tb_parser_at_op(p, TB_OPERATOR_SUB) || tb_parser_at_op(p, TB_OPERATOR_ADD);
    return parse_postfix(p, is_signed ? parse_sign(p) : parse_primary(p, 0));
}

// The operator here, words that act as one included, or TB_OPERATOR_NONE.
static tb_operator operator_here(const tb_parser *p)
{
    if (tb_parser_at(p, TB_LEXEME_OPERATOR))
        return p->token.op;
    return tb_parser_at_word(p, "in")    ? TB_OPERATOR_IN
           : tb_parser_at_word(p, "and") ? TB_OPERATOR_AND
           : tb_parser_at_word(p, "or")  ? TB_OPERATOR_OR
                                         : TB_OPERATOR_NONE;
}

// Operands with operators of one level between them, from `first` to `last`, which group to the left.
static tb_expr *parse_level(tb_parser *p, tb_expr *(*parse_operand)(tb_parser *), tb_operator first, tb_operator last)
{
    tb_expr *e = parse_operand(p);
    for (tb_operator op; (op = operator_here(p)) >= first && op <= last;) {
        tb_parser_advance(p);
        e = new_binary(p, op, e, parse_operand(p));
    }
    return e;
}

static tb_expr *parse_filtered(tb_parser *p)
{
    return parse_filter_expr(p, parse_unary(p));
}

static tb_expr *parse_power(tb_parser *p)
{
    return parse_level(p, parse_filtered, TB_OPERATOR_POW, TB_OPERATOR_POW);
}

static tb_expr *parse_product(tb_parser *p)
{
    return parse_level(p, parse_power, TB_OPERATOR_MUL, TB_OPERATOR_MOD);
}

static tb_expr *parse_concat(tb_parser *p)
{
    return parse_level(p, parse_product, TB_OPERATOR_TILDE, TB_OPERATOR_TILDE);
}

static tb_expr *parse_sum(tb_parser *p)
{
    return parse_level(p, parse_concat, TB_OPERATOR_ADD, TB_OPERATOR_SUB);
}

// The comparison operator here, which is taken; TB_OPERATOR_NONE when there is none.
static tb_operator take_comparison(tb_parser *p)
{
    tb_operator op = operator_here(p);
    if (tb_parser_at_word(p, "not")) {
        tb_lexeme next = tb_parser_peek(p);
        if (next.kind != TB_LEXEME_NAME || !tb_text_is(next.text, "in"))
            return TB_OPERATOR_NONE;
        op = TB_OPERATOR_NOT_IN;
        tb_parser_advance(p);
    } else if (op < TB_OPERATOR_EQ || op > TB_OPERATOR_IN) {
        return TB_OPERATOR_NONE;
    }
    tb_parser_advance(p);
    return op;
}

// a < b <= c … compares neighbours, as in Python.
static tb_expr *parse_compare(tb_parser *p)
{
    tb_expr *first = parse_sum(p);
    tb_operator op = take_comparison(p);
    if (op == TB_OPERATOR_NONE)
        return first;
    tb_expr *e = tb_parser_expr(p, TB_EXPR_COMPARE, first->line);
    tb_parser_append(p, e, &e->as.items, first);
    for (; op != TB_OPERATOR_NONE; op = take_comparison(p)) {
        tb_expr *operand = parse_sum(p);
        operand->compare = op;
        tb_parser_append(p, e, &e->as.items, operand);
    }
    return e;
}

static tb_expr *parse_not(tb_parser *p)
{
    uint32_t line = p->token.line;
    if (!tb_parser_at_word(p, "not") || !tb_parser_enter(p))
        return parse_compare(p);
    tb_parser_advance(p);
    tb_expr *e = new_unary(p, TB_OPERATOR_NOT, line, parse_not(p));
    p->depth--;
    return e;
}

static tb_expr *parse_and(tb_parser *p)
{
    return parse_level(p, parse_not, TB_OPERATOR_AND, TB_OPERATOR_AND);
}

static tb_expr *parse_or(tb_parser *p)
{
    return parse_level(p, parse_and, TB_OPERATOR_OR, TB_OPERATOR_OR);
}

static tb_expr *parse_condexpr(tb_parser *p)
{
    tb_expr *then = parse_or(p);
    while (tb_parser_skip_word(p, "if")) {
        tb_expr *e = tb_parser_expr(p, TB_EXPR_COND, then->line);
        e->as.cond.then = tb_parser_adopt(p, e, then);
        e->as.cond.test = tb_parser_adopt(p, e, parse_or(p));
        if (tb_parser_skip_word(p, "else"))
            e->as.cond.otherwise = tb_parser_adopt(p, e, tb_parse_expression(p));
        then = e;
    }
    return then;
}

// ---- whole expressions ----

static tb_expr *parse_bounded(tb_parser *p, unsigned flags)
{
    if (!tb_parser_enter(p))
        return new_constant(p, p->token.line, tb_none());
    tb_expr *e = flags & TB_PARSE_SIMPLE    ? parse_primary(p, flags)
                 : flags & TB_PARSE_NO_COND ? parse_or(p)
                                            : parse_condexpr(p);
    p->depth--;
    return e;
}

tb_expr *tb_parse_expression(tb_parser *p)
{
    return parse_bounded(p, 0);
}

static bool at_tuple_end(const tb_parser *p)
{
    return p->rc || tb_parser_at(p, TB_LEXEME_PRINT_END) || tb_parser_at(p, TB_LEXEME_BLOCK_END) ||
           tb_parser_at_op(p, TB_OPERATOR_RPAREN);
}

tb_expr *tb_parse_tuple(tb_parser *p, unsigned flags)
{
    tb_expr *tuple = tb_parser_expr(p, TB_EXPR_TUPLE, p->token.line), *item = NULL;
    bool comma = false;
    while (!at_tuple_end(p)) {
        item = parse_bounded(p, flags);
        tb_parser_append(p, tuple, &tuple->as.items, item);
        if (!tb_parser_skip_op(p, TB_OPERATOR_COMMA))
            break;
        comma = true;
    }
    if (!item && !(flags & TB_PARSE_PARENS))
        tb_parser_unexpected(p, "an expression");
    return item && !comma ? item : tuple;
}
