// Expressions, from the loosest operator to the tightest:
// inline if, or, and, not, comparisons and `in`, + −, ~, * / // %, **, unary + −, then what stands
// behind a primary: .name [item] (call) |filter `is` test. ** groups to the left, as jinja2 has it.
#include "template/parse.h"

#include <string.h>

#include "template/builtin.h"

static tb_code parse_condexpr(tb_expr **out, tb_parser *p);
static tb_code parse_unary(tb_expr **out, tb_parser *p, bool with_filters);

static tb_code new_binary(tb_expr **out, tb_parser *p, tb_operator op, tb_expr *left, tb_expr *right)
{
    tb_expr *e;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_BINARY, left->line);
    if (rc)
        return rc;
    e->op = op;
    e->as.operands.left = left;
    e->as.operands.right = right;
    rc = tb_parser_adopt(p, e, left);
    if (!rc)
        rc = tb_parser_adopt(p, e, right);
    *out = e;
    return rc;
}

static tb_code new_unary(tb_expr **out, tb_parser *p, tb_operator op, uint32_t line, tb_expr *operand)
{
    tb_expr *e;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_UNARY, line);
    if (rc)
        return rc;
    e->op = op;
    e->as.operands.left = operand;
    *out = e;
    return tb_parser_adopt(p, e, operand);
}

static tb_code new_constant(tb_expr **out, tb_parser *p, uint32_t line, tb_value value)
{
    tb_expr *e;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_CONSTANT, line);
    if (rc)
        return rc;
    e->as.constant = value;
    *out = e;
    return TB_OK;
}

// ---- arguments ----

static tb_code parse_keyword(tb_arguments *args, tb_parser *p, tb_expr *owner)
{
    tb_keyword_expr *keyword = tb_arena_alloc(p->arena, sizeof *keyword), **end = &args->keywords;
    if (!keyword)
        return tb_parser_no_memory(p);
    tb_text name = p->token.text;
    tb_code rc = tb_parser_text(&keyword->name, p, name);
    if (!rc)
        rc = tb_parser_work(p, args->keyword_count);
    for (; *end && !rc; end = &(*end)->next)
        if (tb_piece_equal((*end)->name->text, tb_piece_of(name, TB_FROM_TEMPLATE)))
            rc = tb_parser_fail(p, p->token.line, "a keyword argument is repeated");
    if (rc)
        return rc;
    *end = keyword;
    args->keyword_count++;
    rc = tb_parser_advance(p); // the name
    if (!rc)
        rc = tb_parser_advance(p); // the equals sign
    if (!rc)
        rc = tb_parse_expression(&keyword->value, p);
    return rc ? rc : tb_parser_adopt(p, owner, keyword->value);
}

static tb_code parse_rest(tb_expr **slot, tb_parser *p, tb_expr *owner)
{
    tb_code rc = tb_parser_advance(p);
    if (!rc)
        rc = tb_parse_expression(slot, p);
    return rc ? rc : tb_parser_adopt(p, owner, *slot);
}

static tb_code parse_argument(tb_arguments *args, tb_parser *p, tb_expr *owner)
{
    bool is_rest = tb_parser_at_op(p, TB_OPERATOR_MUL), is_rest_keywords = tb_parser_at_op(p, TB_OPERATOR_POW);
    bool is_keyword = false;
    if (tb_parser_at(p, TB_LEXEME_NAME)) {
        tb_lexeme next;
        tb_code rc = tb_parser_peek(&next, p);
        if (rc)
            return rc;
        is_keyword = next.kind == TB_LEXEME_OPERATOR && next.op == TB_OPERATOR_ASSIGN;
    }
    bool is_positional = !is_rest && !is_rest_keywords && !is_keyword;
    if (args->rest_keywords || (args->rest && (is_rest || is_positional)) || (args->keywords && is_positional))
        return tb_parser_fail(p, p->token.line, "the arguments of a call are in no valid order");
    if (is_rest)
        return parse_rest(&args->rest, p, owner);
    if (is_rest_keywords)
        return parse_rest(&args->rest_keywords, p, owner);
    if (is_keyword)
        return parse_keyword(args, p, owner);
    tb_expr *value;
    tb_code rc = tb_parse_expression(&value, p);
    return rc ? rc : tb_parser_append(p, owner, &args->positional, value);
}

// "(" arguments ")"
static tb_code parse_arguments(tb_arguments *args, tb_parser *p, tb_expr *owner)
{
    tb_code rc = tb_parser_expect_op(p, TB_OPERATOR_LPAREN, "(");
    while (!rc && !tb_parser_at_op(p, TB_OPERATOR_RPAREN)) {
        rc = parse_argument(args, p, owner);
        if (!rc && !tb_parser_at_op(p, TB_OPERATOR_RPAREN))
            rc = tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
    }
    return rc ? rc : tb_parser_expect_op(p, TB_OPERATOR_RPAREN, ")");
}

// ---- primaries ----

static tb_code parse_name(tb_expr **out, tb_parser *p, bool with_members)
{
    tb_lexeme token = p->token;
    tb_code rc = tb_parser_advance(p);
    if (rc)
        return rc;
    bool is_true = tb_text_is(token.text, "true") || tb_text_is(token.text, "True");
    if (is_true || tb_text_is(token.text, "false") || tb_text_is(token.text, "False"))
        return new_constant(out, p, token.line, tb_bool(is_true));
    if (tb_text_is(token.text, "none") || tb_text_is(token.text, "None"))
        return new_constant(out, p, token.line, tb_none());
    tb_expr *e;
    bool is_member = with_members && tb_parser_at_op(p, TB_OPERATOR_DOT);
    rc = tb_parser_expr(&e, p, is_member ? TB_EXPR_MEMBER : TB_EXPR_NAME, token.line);
    if (!rc)
        rc = tb_parser_name(&e->as.name.id, p, token.text);
    if (!rc && is_member) {
        tb_lexeme attribute;
        rc = tb_parser_advance(p);
        if (!rc)
            rc = tb_parser_take_name(&attribute, p);
        if (!rc)
            rc = tb_parser_text(&e->as.name.attribute, p, attribute.text);
    }
    if (!rc)
        *out = e;
    return rc;
}

// String literals that follow each other are one.
static tb_code parse_strings(tb_expr **out, tb_parser *p)
{
    uint32_t line = p->token.line;
    tb_value value = {.kind = TB_VALUE_STRING};
    tb_str joined = {0};
    tb_code rc = TB_OK;
    while (!rc && tb_parser_at(p, TB_LEXEME_STRING)) {
        rc = tb_str_append(&joined, p->token.text.data, p->token.text.size, p->err);
        if (!rc)
            rc = tb_parser_advance(p);
    }
    char *text = rc ? NULL : tb_arena_text(p->arena, tb_str_get(&joined), joined.size);
    if (!rc)
        rc = text ? tb_parser_text(&value.as.string, p, (tb_text){text, joined.size}) : tb_parser_no_memory(p);
    tb_str_clear(&joined);
    return rc ? rc : new_constant(out, p, line, value);
}

static tb_code parse_list(tb_expr **out, tb_parser *p)
{
    tb_expr *e = NULL;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_LIST, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    while (!rc && !tb_parser_at_op(p, TB_OPERATOR_RBRACKET)) {
        tb_expr *item;
        rc = tb_parse_expression(&item, p);
        if (!rc)
            rc = tb_parser_append(p, e, &e->as.items, item);
        if (!rc && !tb_parser_at_op(p, TB_OPERATOR_RBRACKET))
            rc = tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
    }
    if (!rc)
        rc = tb_parser_expect_op(p, TB_OPERATOR_RBRACKET, "]");
    *out = e;
    return rc;
}

static tb_code parse_dict(tb_expr **out, tb_parser *p)
{
    tb_expr *e = NULL;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_DICT, p->token.line);
    if (!rc)
        rc = tb_parser_advance(p);
    while (!rc && !tb_parser_at_op(p, TB_OPERATOR_RBRACE)) {
        tb_expr *item;
        rc = tb_parse_expression(&item, p);
        if (!rc)
            rc = tb_parser_append(p, e, &e->as.items, item);
        if (!rc)
            rc = tb_parser_expect_op(p, TB_OPERATOR_COLON, ":");
        if (!rc)
            rc = tb_parse_expression(&item, p);
        if (!rc)
            rc = tb_parser_append(p, e, &e->as.items, item);
        if (!rc && !tb_parser_at_op(p, TB_OPERATOR_RBRACE))
            rc = tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
    }
    if (!rc)
        rc = tb_parser_expect_op(p, TB_OPERATOR_RBRACE, "}");
    *out = e;
    return rc;
}

static tb_code parse_number(tb_expr **out, tb_parser *p)
{
    tb_lexeme token = p->token;
    tb_code rc = tb_parser_advance(p);
    if (rc)
        return rc;
    return new_constant(out, p, token.line,
                        token.kind == TB_LEXEME_INTEGER ? tb_int(token.integer) : tb_float(token.real));
}

static tb_code parse_parentheses(tb_expr **out, tb_parser *p)
{
    tb_code rc = tb_parser_advance(p);
    if (!rc)
        rc = tb_parse_tuple(out, p, TB_PARSE_PARENS);
    return rc ? rc : tb_parser_expect_op(p, TB_OPERATOR_RPAREN, ")");
}

static tb_code parse_primary(tb_expr **out, tb_parser *p, bool with_members)
{
    if (tb_parser_at(p, TB_LEXEME_NAME))
        return parse_name(out, p, with_members);
    if (tb_parser_at(p, TB_LEXEME_STRING))
        return parse_strings(out, p);
    if (tb_parser_at(p, TB_LEXEME_INTEGER) || tb_parser_at(p, TB_LEXEME_FLOAT))
        return parse_number(out, p);
    if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
        return parse_parentheses(out, p);
    if (tb_parser_at_op(p, TB_OPERATOR_LBRACKET))
        return parse_list(out, p);
    if (tb_parser_at_op(p, TB_OPERATOR_LBRACE))
        return parse_dict(out, p);
    return tb_parser_unexpected(p, "an expression");
}

// ---- behind a primary ----

static tb_code parse_attribute(tb_expr **out, tb_parser *p, tb_expr *object)
{
    uint32_t line = p->token.line;
    tb_code rc = tb_parser_advance(p);
    if (rc)
        return rc;
    tb_expr *e;
    if (tb_parser_at(p, TB_LEXEME_NAME)) {
        rc = tb_parser_expr(&e, p, TB_EXPR_ATTR, line);
        if (rc)
            return rc;
        e->as.attr.object = object;
        rc = tb_parser_text(&e->as.attr.name, p, p->token.text);
    } else if (tb_parser_at(p, TB_LEXEME_INTEGER)) {
        rc = tb_parser_expr(&e, p, TB_EXPR_ITEM, line);
        if (rc)
            return rc;
        e->as.item.object = object;
        rc = new_constant(&e->as.item.index, p, line, tb_int(p->token.integer));
    } else {
        return tb_parser_unexpected(p, "a name or number");
    }
    if (!rc)
        rc = tb_parser_adopt(p, e, object);
    *out = e;
    return rc ? rc : tb_parser_advance(p);
}

static bool at_slice_end(const tb_parser *p)
{
    return tb_parser_at_op(p, TB_OPERATOR_RBRACKET) || tb_parser_at_op(p, TB_OPERATOR_COMMA);
}

// ":" stop ":" step, each optional, behind the start.
static tb_code parse_slice(tb_expr **out, tb_parser *p, tb_expr *object, tb_expr *start)
{
    tb_expr *e;
    bool found;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_SLICE, p->token.line);
    if (rc)
        return rc;
    e->as.slice.object = object;
    e->as.slice.start = start;
    rc = tb_parser_advance(p);
    if (!rc && !at_slice_end(p) && !tb_parser_at_op(p, TB_OPERATOR_COLON))
        rc = tb_parse_expression(&e->as.slice.stop, p);
    if (!rc)
        rc = tb_parser_skip_op(&found, p, TB_OPERATOR_COLON);
    if (!rc && found && !at_slice_end(p))
        rc = tb_parse_expression(&e->as.slice.step, p);
    const tb_expr *parts[] = {object, start, e->as.slice.stop, e->as.slice.step};
    for (size_t i = 0; i < 4 && !rc; i++)
        rc = tb_parser_adopt(p, e, parts[i]);
    *out = e;
    return rc;
}

// One subscript, which may be a slice; *out is then the whole sliced expression.
static tb_code parse_subscript(tb_expr **out, bool *is_slice, tb_parser *p, tb_expr *object)
{
    tb_expr *index = NULL;
    *is_slice = false;
    tb_code rc = tb_parser_at_op(p, TB_OPERATOR_COLON) ? TB_OK : tb_parse_expression(&index, p);
    if (rc)
        return rc;
    if (tb_parser_at_op(p, TB_OPERATOR_COLON)) {
        *is_slice = true;
        return parse_slice(out, p, object, index);
    }
    *out = index;
    return TB_OK;
}

// ", index" … behind the first index: *index becomes a tuple of all.
static tb_code parse_more_indices(tb_expr **index, tb_parser *p, uint32_t line)
{
    tb_expr *tuple;
    tb_code rc = tb_parser_expr(&tuple, p, TB_EXPR_TUPLE, line);
    if (!rc)
        rc = tb_parser_append(p, tuple, &tuple->as.items, *index);
    while (!rc && !tb_parser_at_op(p, TB_OPERATOR_RBRACKET)) {
        rc = tb_parser_expect_op(p, TB_OPERATOR_COMMA, ",");
        if (!rc)
            rc = tb_parse_expression(index, p);
        if (!rc)
            rc = tb_parser_append(p, tuple, &tuple->as.items, *index);
    }
    *index = tuple;
    return rc;
}

// "[" indices or a slice "]"
static tb_code parse_item(tb_expr **out, tb_parser *p, tb_expr *object)
{
    uint32_t line = p->token.line;
    bool is_slice = false;
    tb_expr *index, *e;
    tb_code rc = tb_parser_advance(p);
    if (!rc)
        rc = parse_subscript(&index, &is_slice, p, object);
    if (!rc && is_slice) {
        *out = index;
        return tb_parser_expect_op(p, TB_OPERATOR_RBRACKET, "]");
    }
    if (!rc && tb_parser_at_op(p, TB_OPERATOR_COMMA))
        rc = parse_more_indices(&index, p, line);
    if (!rc)
        rc = tb_parser_expr(&e, p, TB_EXPR_ITEM, line);
    if (rc)
        return rc;
    e->as.item.object = object;
    e->as.item.index = index;
    *out = e;
    rc = tb_parser_adopt(p, e, object);
    if (!rc)
        rc = tb_parser_adopt(p, e, index);
    return rc ? rc : tb_parser_expect_op(p, TB_OPERATOR_RBRACKET, "]");
}

static tb_code parse_call(tb_expr **out, tb_parser *p, tb_expr *callee)
{
    tb_expr *e;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_CALL, p->token.line);
    if (rc)
        return rc;
    e->as.call.subject = callee;
    *out = e;
    rc = tb_parser_adopt(p, e, callee);
    return rc ? rc : parse_arguments(&e->as.call.args, p, e);
}

// The name of a filter or test, which may have dots.
static tb_code parse_dotted_name(const tb_string **out, tb_parser *p)
{
    tb_lexeme token;
    tb_code rc = tb_parser_take_name(&token, p);
    tb_text text = token.text;
    while (!rc && tb_parser_at_op(p, TB_OPERATOR_DOT)) {
        rc = tb_parser_advance(p);
        if (!rc)
            rc = tb_parser_take_name(&token, p);
        if (!rc) // names and dots of the source, white space between included: known to no table
            text.size = (size_t)(token.text.data + token.text.size - text.data);
    }
    return rc ? rc : tb_parser_text(out, p, text);
}

tb_code tb_parse_filters(tb_expr **out, tb_parser *p, tb_expr *subject, bool inline_first)
{
    tb_code rc = TB_OK;
    *out = subject;
    while (!rc && (inline_first || tb_parser_at_op(p, TB_OPERATOR_PIPE))) {
        tb_expr *e;
        if (!inline_first)
            rc = tb_parser_advance(p);
        if (!rc)
            rc = tb_parser_expr(&e, p, TB_EXPR_FILTER, p->token.line);
        if (rc)
            return rc;
        e->as.call.subject = *out;
        rc = parse_dotted_name(&e->as.call.name, p);
        if (!rc)
            e->as.call.function = tb_filter_find(e->as.call.name->text);
        if (!rc)
            rc = tb_parser_adopt(p, e, *out);
        if (!rc && tb_parser_at_op(p, TB_OPERATOR_LPAREN))
            rc = parse_arguments(&e->as.call.args, p, e);
        *out = e;
        inline_first = false;
    }
    return rc;
}

static tb_code parse_postfix(tb_expr **out, tb_parser *p, tb_expr *e)
{
    tb_code rc = TB_OK;
    while (!rc) {
        if (tb_parser_at_op(p, TB_OPERATOR_DOT))
            rc = parse_attribute(&e, p, e);
        else if (tb_parser_at_op(p, TB_OPERATOR_LBRACKET))
            rc = parse_item(&e, p, e);
        else if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
            rc = parse_call(&e, p, e);
        else
            break;
    }
    *out = e;
    return rc;
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

static tb_code parse_bare_argument(tb_expr *test, tb_parser *p)
{
    tb_expr *argument;
    if (tb_parser_at_word(p, "is"))
        return tb_parser_fail(p, p->token.line, "tests cannot be chained with 'is'");
    tb_code rc = parse_primary(&argument, p, false);
    if (!rc)
        rc = parse_postfix(&argument, p, argument);
    return rc ? rc : tb_parser_append(p, test, &test->as.call.args.positional, argument);
}

// "is" ["not"] name [argument]
static tb_code parse_test(tb_expr **out, tb_parser *p, tb_expr *subject)
{
    tb_expr *e;
    bool negated;
    uint32_t line = p->token.line;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_TEST, line);
    if (rc)
        return rc;
    e->as.call.subject = subject;
    rc = tb_parser_adopt(p, e, subject);
    if (!rc)
        rc = tb_parser_advance(p);
    if (!rc)
        rc = tb_parser_skip_word(&negated, p, "not");
    if (!rc)
        rc = parse_dotted_name(&e->as.call.name, p);
    if (rc)
        return rc;
    e->as.call.function = tb_test_find(e->as.call.name->text);
    if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
        rc = parse_arguments(&e->as.call.args, p, e);
    else if (at_bare_argument(p))
        rc = parse_bare_argument(e, p);
    *out = e;
    return !rc && negated ? new_unary(out, p, TB_OPERATOR_NOT, line, e) : rc;
}

static tb_code parse_filter_expr(tb_expr **out, tb_parser *p, tb_expr *e)
{
    tb_code rc = TB_OK;
    while (!rc) {
        if (tb_parser_at_op(p, TB_OPERATOR_PIPE))
            rc = tb_parse_filters(&e, p, e, false);
        else if (tb_parser_at_word(p, "is"))
            rc = parse_test(&e, p, e);
        else if (tb_parser_at_op(p, TB_OPERATOR_LPAREN))
            rc = parse_call(&e, p, e);
        else
            break;
    }
    *out = e;
    return rc;
}

// ---- operators ----

static tb_code parse_sign(tb_expr **out, tb_parser *p)
{
    tb_lexeme sign = p->token;
    tb_code rc = tb_parser_enter(p);
    if (rc)
        return rc;
    rc = tb_parser_advance(p);
    if (!rc)
        rc = parse_unary(out, p, false);
    p->depth--;
    return rc ? rc : new_unary(out, p, sign.op, sign.line, *out);
}

static tb_code parse_unary(tb_expr **out, tb_parser *p, bool with_filters)
{
    bool is_signed = tb_parser_at_op(p, TB_OPERATOR_SUB) || tb_parser_at_op(p, TB_OPERATOR_ADD);
    tb_code rc = is_signed ? parse_sign(out, p) : parse_primary(out, p, false);
    if (!rc)
        rc = parse_postfix(out, p, *out);
    return rc || !with_filters ? rc : parse_filter_expr(out, p, *out);
}

static tb_code parse_power(tb_expr **out, tb_parser *p)
{
    tb_code rc = parse_unary(out, p, true);
    while (!rc && tb_parser_at_op(p, TB_OPERATOR_POW)) {
        tb_expr *right;
        rc = tb_parser_advance(p);
        if (!rc)
            rc = parse_unary(&right, p, true);
        if (!rc)
            rc = new_binary(out, p, TB_OPERATOR_POW, *out, right);
    }
    return rc;
}

static tb_code parse_product(tb_expr **out, tb_parser *p)
{
    tb_code rc = parse_power(out, p);
    while (!rc && (tb_parser_at_op(p, TB_OPERATOR_MUL) || tb_parser_at_op(p, TB_OPERATOR_DIV) ||
                   tb_parser_at_op(p, TB_OPERATOR_FLOORDIV) || tb_parser_at_op(p, TB_OPERATOR_MOD))) {
        tb_operator op = p->token.op;
        tb_expr *right;
        rc = tb_parser_advance(p);
        if (!rc)
            rc = parse_power(&right, p);
        if (!rc)
            rc = new_binary(out, p, op, *out, right);
    }
    return rc;
}

static tb_code parse_concat(tb_expr **out, tb_parser *p)
{
    tb_expr *e = NULL;
    tb_code rc = parse_product(out, p);
    if (rc || !tb_parser_at_op(p, TB_OPERATOR_TILDE))
        return rc;
    rc = tb_parser_expr(&e, p, TB_EXPR_CONCAT, (*out)->line);
    if (!rc)
        rc = tb_parser_append(p, e, &e->as.items, *out);
    while (!rc && tb_parser_at_op(p, TB_OPERATOR_TILDE)) {
        tb_expr *item;
        rc = tb_parser_advance(p);
        if (!rc)
            rc = parse_product(&item, p);
        if (!rc)
            rc = tb_parser_append(p, e, &e->as.items, item);
    }
    *out = e;
    return rc;
}

static tb_code parse_sum(tb_expr **out, tb_parser *p)
{
    tb_code rc = parse_concat(out, p);
    while (!rc && (tb_parser_at_op(p, TB_OPERATOR_ADD) || tb_parser_at_op(p, TB_OPERATOR_SUB))) {
        tb_operator op = p->token.op;
        tb_expr *right;
        rc = tb_parser_advance(p);
        if (!rc)
            rc = parse_concat(&right, p);
        if (!rc)
            rc = new_binary(out, p, op, *out, right);
    }
    return rc;
}

// The comparison operator here, which is taken; TB_OPERATOR_NONE when there is none.
static tb_code take_comparison(tb_operator *op, tb_parser *p)
{
    *op = TB_OPERATOR_NONE;
    if (tb_parser_at(p, TB_LEXEME_OPERATOR) && p->token.op >= TB_OPERATOR_EQ && p->token.op <= TB_OPERATOR_GE) {
        *op = p->token.op;
    } else if (tb_parser_at_word(p, "in")) {
        *op = TB_OPERATOR_IN;
    } else if (tb_parser_at_word(p, "not")) {
        tb_lexeme next;
        tb_code rc = tb_parser_peek(&next, p);
        if (rc)
            return rc;
        if (next.kind == TB_LEXEME_NAME && tb_text_is(next.text, "in")) {
            *op = TB_OPERATOR_NOT_IN;
            rc = tb_parser_advance(p);
            if (rc)
                return rc;
        }
    }
    return *op == TB_OPERATOR_NONE ? TB_OK : tb_parser_advance(p);
}

// a < b <= c … compares neighbours, as in Python.
static tb_code parse_compare(tb_expr **out, tb_parser *p)
{
    tb_expr *e = NULL;
    tb_operator op;
    tb_code rc = parse_sum(out, p);
    if (!rc)
        rc = take_comparison(&op, p);
    if (rc || op == TB_OPERATOR_NONE)
        return rc;
    rc = tb_parser_expr(&e, p, TB_EXPR_COMPARE, (*out)->line);
    if (!rc)
        rc = tb_parser_append(p, e, &e->as.items, *out);
    while (!rc && op != TB_OPERATOR_NONE) {
        tb_expr *operand;
        rc = parse_sum(&operand, p);
        if (rc)
            return rc;
        operand->compare = op;
        rc = tb_parser_append(p, e, &e->as.items, operand);
        if (!rc)
            rc = take_comparison(&op, p);
    }
    *out = e;
    return rc;
}

static tb_code parse_not(tb_expr **out, tb_parser *p)
{
    if (!tb_parser_at_word(p, "not"))
        return parse_compare(out, p);
    uint32_t line = p->token.line;
    tb_code rc = tb_parser_enter(p);
    if (rc)
        return rc;
    rc = tb_parser_advance(p);
    if (!rc)
        rc = parse_not(out, p);
    p->depth--;
    return rc ? rc : new_unary(out, p, TB_OPERATOR_NOT, line, *out);
}

static tb_code parse_and(tb_expr **out, tb_parser *p)
{
    tb_code rc = parse_not(out, p);
    bool found = true;
    while (!rc && found) {
        tb_expr *right;
        rc = tb_parser_skip_word(&found, p, "and");
        if (!rc && found)
            rc = parse_not(&right, p);
        if (!rc && found)
            rc = new_binary(out, p, TB_OPERATOR_AND, *out, right);
    }
    return rc;
}

static tb_code parse_or(tb_expr **out, tb_parser *p)
{
    tb_code rc = parse_and(out, p);
    bool found = true;
    while (!rc && found) {
        tb_expr *right;
        rc = tb_parser_skip_word(&found, p, "or");
        if (!rc && found)
            rc = parse_and(&right, p);
        if (!rc && found)
            rc = new_binary(out, p, TB_OPERATOR_OR, *out, right);
    }
    return rc;
}

// The condition and alternative of an inline if whose word has been taken.
static tb_code parse_condition(tb_expr **out, tb_parser *p, tb_expr *then)
{
    tb_expr *e;
    bool found;
    tb_code rc = tb_parser_expr(&e, p, TB_EXPR_COND, then->line);
    if (rc)
        return rc;
    e->as.cond.then = then;
    rc = parse_or(&e->as.cond.test, p);
    if (!rc)
        rc = tb_parser_skip_word(&found, p, "else");
    if (!rc && found)
        rc = tb_parse_expression(&e->as.cond.otherwise, p);
    const tb_expr *parts[] = {then, e->as.cond.test, e->as.cond.otherwise};
    for (size_t i = 0; i < 3 && !rc; i++)
        rc = tb_parser_adopt(p, e, parts[i]);
    *out = e;
    return rc;
}

static tb_code parse_condexpr(tb_expr **out, tb_parser *p)
{
    tb_code rc = parse_or(out, p);
    bool found = true;
    while (!rc && found) {
        rc = tb_parser_skip_word(&found, p, "if");
        if (!rc && found)
            rc = parse_condition(out, p, *out);
    }
    return rc;
}

// ---- whole expressions ----

static tb_code parse_bounded(tb_expr **out, tb_parser *p, unsigned flags)
{
    tb_code rc = tb_parser_enter(p);
    if (rc)
        return rc;
    if (flags & TB_PARSE_SIMPLE)
        rc = parse_primary(out, p, flags & TB_PARSE_MEMBERS);
    else
        rc = flags & TB_PARSE_NO_COND ? parse_or(out, p) : parse_condexpr(out, p);
    p->depth--;
    return rc;
}

tb_code tb_parse_expression(tb_expr **out, tb_parser *p)
{
    return parse_bounded(out, p, 0);
}

static bool at_tuple_end(const tb_parser *p)
{
    return tb_parser_at(p, TB_LEXEME_PRINT_END) || tb_parser_at(p, TB_LEXEME_BLOCK_END) ||
           tb_parser_at_op(p, TB_OPERATOR_RPAREN);
}

tb_code tb_parse_tuple(tb_expr **out, tb_parser *p, unsigned flags)
{
    tb_expr *tuple, *item;
    bool comma = false;
    tb_code rc = tb_parser_expr(&tuple, p, TB_EXPR_TUPLE, p->token.line);
    if (rc)
        return rc;
    while (!at_tuple_end(p)) {
        rc = parse_bounded(&item, p, flags);
        if (!rc)
            rc = tb_parser_append(p, tuple, &tuple->as.items, item);
        bool found = false;
        if (!rc)
            rc = tb_parser_skip_op(&found, p, TB_OPERATOR_COMMA);
        if (rc)
            return rc;
        if (!found)
            break;
        comma = true;
    }
    if (!comma && tuple->as.items.count == 0 && !(flags & TB_PARSE_PARENS))
        return tb_parser_unexpected(p, "an expression");
    *out = !comma && tuple->as.items.count == 1 ? tuple->as.items.first : tuple;
    return TB_OK;
}
