// Expressions, from the loosest operator to the tightest:
// inline if, or, and, not, comparisons and `in`, + −, ~, * / // %, **, unary + −, then what stands
// behind a primary: .name [item] (call) |filter `is` test. ** groups to the left, as jinja2 has it.
#include "template/parse.h"

#include <string.h>

#include "template/builtin.h"

static tb_code parse_condexpr(tb_jexpr **out, tb_jparser *p);
static tb_code parse_unary(tb_jexpr **out, tb_jparser *p, bool with_filters);

static tb_code new_binary(tb_jexpr **out, tb_jparser *p, tb_joperator op, tb_jexpr *left, tb_jexpr *right)
{
    tb_jexpr *e;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_BINARY, left->line);
    if (rc)
        return rc;
    e->op = op;
    e->as.operands.left = left;
    e->as.operands.right = right;
    rc = tb_jparser_adopt(p, e, left);
    if (!rc)
        rc = tb_jparser_adopt(p, e, right);
    *out = e;
    return rc;
}

static tb_code new_unary(tb_jexpr **out, tb_jparser *p, tb_joperator op, uint32_t line, tb_jexpr *operand)
{
    tb_jexpr *e;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_UNARY, line);
    if (rc)
        return rc;
    e->op = op;
    e->as.operands.left = operand;
    *out = e;
    return tb_jparser_adopt(p, e, operand);
}

static tb_code new_constant(tb_jexpr **out, tb_jparser *p, uint32_t line, tb_jvalue value)
{
    tb_jexpr *e;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_CONSTANT, line);
    if (rc)
        return rc;
    e->as.constant = value;
    *out = e;
    return TB_OK;
}

// ---- arguments ----

static tb_code parse_keyword(tb_jargs *args, tb_jparser *p, tb_jexpr *owner)
{
    tb_jkeyword_expr *keyword = tb_arena_alloc(p->arena, sizeof *keyword), **end = &args->keywords;
    if (!keyword)
        return tb_jparser_no_memory(p);
    tb_text name = p->token.text;
    tb_code rc = tb_jparser_text(&keyword->name, p, name);
    for (; *end && !rc; end = &(*end)->next)
        if (tb_jtext_same(tb_jstring_text((*end)->name), name))
            rc = tb_jparser_fail(p, p->token.line, "a keyword argument is repeated");
    if (rc)
        return rc;
    *end = keyword;
    args->keyword_count++;
    rc = tb_jparser_advance(p); // the name
    if (!rc)
        rc = tb_jparser_advance(p); // the equals sign
    if (!rc)
        rc = tb_jparse_expression(&keyword->value, p);
    return rc ? rc : tb_jparser_adopt(p, owner, keyword->value);
}

static tb_code parse_rest(tb_jexpr **slot, tb_jparser *p, tb_jexpr *owner)
{
    tb_code rc = tb_jparser_advance(p);
    if (!rc)
        rc = tb_jparse_expression(slot, p);
    return rc ? rc : tb_jparser_adopt(p, owner, *slot);
}

static tb_code parse_argument(tb_jargs *args, tb_jparser *p, tb_jexpr *owner)
{
    bool is_rest = tb_jparser_at_op(p, TB_JOP_MUL), is_rest_keywords = tb_jparser_at_op(p, TB_JOP_POW);
    bool is_keyword = false;
    if (tb_jparser_at(p, TB_JTOKEN_NAME)) {
        tb_jtoken next;
        tb_code rc = tb_jparser_peek(&next, p);
        if (rc)
            return rc;
        is_keyword = next.kind == TB_JTOKEN_OPERATOR && next.op == TB_JOP_ASSIGN;
    }
    bool is_positional = !is_rest && !is_rest_keywords && !is_keyword;
    if (args->rest_keywords || (args->rest && (is_rest || is_positional)) || (args->keywords && is_positional))
        return tb_jparser_fail(p, p->token.line, "the arguments of a call are in no valid order");
    if (is_rest)
        return parse_rest(&args->rest, p, owner);
    if (is_rest_keywords)
        return parse_rest(&args->rest_keywords, p, owner);
    if (is_keyword)
        return parse_keyword(args, p, owner);
    tb_jexpr *value;
    tb_code rc = tb_jparse_expression(&value, p);
    return rc ? rc : tb_jparser_append(p, owner, &args->positional, value);
}

// "(" arguments ")"
static tb_code parse_arguments(tb_jargs *args, tb_jparser *p, tb_jexpr *owner)
{
    tb_code rc = tb_jparser_expect_op(p, TB_JOP_LPAREN, "(");
    while (!rc && !tb_jparser_at_op(p, TB_JOP_RPAREN)) {
        rc = parse_argument(args, p, owner);
        if (!rc && !tb_jparser_at_op(p, TB_JOP_RPAREN))
            rc = tb_jparser_expect_op(p, TB_JOP_COMMA, ",");
    }
    return rc ? rc : tb_jparser_expect_op(p, TB_JOP_RPAREN, ")");
}

// ---- primaries ----

static tb_code parse_name(tb_jexpr **out, tb_jparser *p, bool with_members)
{
    tb_jtoken token = p->token;
    tb_code rc = tb_jparser_advance(p);
    if (rc)
        return rc;
    bool is_true = tb_jtext_equals(token.text, "true") || tb_jtext_equals(token.text, "True");
    if (is_true || tb_jtext_equals(token.text, "false") || tb_jtext_equals(token.text, "False"))
        return new_constant(out, p, token.line, tb_jbool(is_true));
    if (tb_jtext_equals(token.text, "none") || tb_jtext_equals(token.text, "None"))
        return new_constant(out, p, token.line, tb_jnone());
    tb_jexpr *e;
    bool is_member = with_members && tb_jparser_at_op(p, TB_JOP_DOT);
    rc = tb_jparser_expr(&e, p, is_member ? TB_JEXPR_MEMBER : TB_JEXPR_NAME, token.line);
    if (!rc)
        rc = tb_jparser_name(&e->as.name.id, p, token.text);
    if (!rc && is_member) {
        tb_jtoken attribute;
        rc = tb_jparser_advance(p);
        if (!rc)
            rc = tb_jparser_take_name(&attribute, p);
        if (!rc)
            rc = tb_jparser_text(&e->as.name.attribute, p, attribute.text);
    }
    if (!rc)
        *out = e;
    return rc;
}

// String literals that follow each other are one.
static tb_code parse_strings(tb_jexpr **out, tb_jparser *p)
{
    uint32_t line = p->token.line;
    tb_text text = p->token.text;
    tb_code rc = tb_jparser_advance(p);
    while (!rc && tb_jparser_at(p, TB_JTOKEN_STRING)) {
        tb_text more = p->token.text;
        char *joined = tb_arena_alloc(p->arena, text.size + more.size + 1);
        if (!joined)
            return tb_jparser_no_memory(p);
        memcpy(joined, text.data, text.size);
        memcpy(joined + text.size, more.data, more.size);
        text = (tb_text){joined, text.size + more.size};
        rc = tb_jparser_advance(p);
    }
    tb_jvalue value = {.kind = TB_J_STRING};
    if (!rc)
        rc = tb_jparser_text(&value.as.string, p, text);
    return rc ? rc : new_constant(out, p, line, value);
}

static tb_code parse_list(tb_jexpr **out, tb_jparser *p)
{
    tb_jexpr *e = NULL;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_LIST, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    while (!rc && !tb_jparser_at_op(p, TB_JOP_RBRACKET)) {
        tb_jexpr *item;
        rc = tb_jparse_expression(&item, p);
        if (!rc)
            rc = tb_jparser_append(p, e, &e->as.items, item);
        if (!rc && !tb_jparser_at_op(p, TB_JOP_RBRACKET))
            rc = tb_jparser_expect_op(p, TB_JOP_COMMA, ",");
    }
    if (!rc)
        rc = tb_jparser_expect_op(p, TB_JOP_RBRACKET, "]");
    *out = e;
    return rc;
}

static tb_code parse_dict(tb_jexpr **out, tb_jparser *p)
{
    tb_jexpr *e = NULL;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_DICT, p->token.line);
    if (!rc)
        rc = tb_jparser_advance(p);
    while (!rc && !tb_jparser_at_op(p, TB_JOP_RBRACE)) {
        tb_jexpr *item;
        rc = tb_jparse_expression(&item, p);
        if (!rc)
            rc = tb_jparser_append(p, e, &e->as.items, item);
        if (!rc)
            rc = tb_jparser_expect_op(p, TB_JOP_COLON, ":");
        if (!rc)
            rc = tb_jparse_expression(&item, p);
        if (!rc)
            rc = tb_jparser_append(p, e, &e->as.items, item);
        if (!rc && !tb_jparser_at_op(p, TB_JOP_RBRACE))
            rc = tb_jparser_expect_op(p, TB_JOP_COMMA, ",");
    }
    if (!rc)
        rc = tb_jparser_expect_op(p, TB_JOP_RBRACE, "}");
    *out = e;
    return rc;
}

static tb_code parse_number(tb_jexpr **out, tb_jparser *p)
{
    tb_jtoken token = p->token;
    tb_code rc = tb_jparser_advance(p);
    if (rc)
        return rc;
    return new_constant(out, p, token.line,
                        token.kind == TB_JTOKEN_INTEGER ? tb_jint(token.integer) : tb_jfloat(token.real));
}

static tb_code parse_parentheses(tb_jexpr **out, tb_jparser *p)
{
    tb_code rc = tb_jparser_advance(p);
    if (!rc)
        rc = tb_jparse_tuple(out, p, TB_JPARSE_PARENS);
    return rc ? rc : tb_jparser_expect_op(p, TB_JOP_RPAREN, ")");
}

static tb_code parse_primary(tb_jexpr **out, tb_jparser *p, bool with_members)
{
    if (tb_jparser_at(p, TB_JTOKEN_NAME))
        return parse_name(out, p, with_members);
    if (tb_jparser_at(p, TB_JTOKEN_STRING))
        return parse_strings(out, p);
    if (tb_jparser_at(p, TB_JTOKEN_INTEGER) || tb_jparser_at(p, TB_JTOKEN_FLOAT))
        return parse_number(out, p);
    if (tb_jparser_at_op(p, TB_JOP_LPAREN))
        return parse_parentheses(out, p);
    if (tb_jparser_at_op(p, TB_JOP_LBRACKET))
        return parse_list(out, p);
    if (tb_jparser_at_op(p, TB_JOP_LBRACE))
        return parse_dict(out, p);
    return tb_jparser_unexpected(p, "an expression");
}

// ---- behind a primary ----

static tb_code parse_attribute(tb_jexpr **out, tb_jparser *p, tb_jexpr *object)
{
    uint32_t line = p->token.line;
    tb_code rc = tb_jparser_advance(p);
    if (rc)
        return rc;
    tb_jexpr *e;
    if (tb_jparser_at(p, TB_JTOKEN_NAME)) {
        rc = tb_jparser_expr(&e, p, TB_JEXPR_ATTR, line);
        if (rc)
            return rc;
        e->as.attr.object = object;
        rc = tb_jparser_text(&e->as.attr.name, p, p->token.text);
    } else if (tb_jparser_at(p, TB_JTOKEN_INTEGER)) {
        rc = tb_jparser_expr(&e, p, TB_JEXPR_ITEM, line);
        if (rc)
            return rc;
        e->as.item.object = object;
        rc = new_constant(&e->as.item.index, p, line, tb_jint(p->token.integer));
    } else {
        return tb_jparser_unexpected(p, "a name or number");
    }
    if (!rc)
        rc = tb_jparser_adopt(p, e, object);
    *out = e;
    return rc ? rc : tb_jparser_advance(p);
}

static bool at_slice_end(const tb_jparser *p)
{
    return tb_jparser_at_op(p, TB_JOP_RBRACKET) || tb_jparser_at_op(p, TB_JOP_COMMA);
}

// ":" stop ":" step, each optional, behind the start.
static tb_code parse_slice(tb_jexpr **out, tb_jparser *p, tb_jexpr *object, tb_jexpr *start)
{
    tb_jexpr *e;
    bool found;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_SLICE, p->token.line);
    if (rc)
        return rc;
    e->as.slice.object = object;
    e->as.slice.start = start;
    rc = tb_jparser_advance(p);
    if (!rc && !at_slice_end(p) && !tb_jparser_at_op(p, TB_JOP_COLON))
        rc = tb_jparse_expression(&e->as.slice.stop, p);
    if (!rc)
        rc = tb_jparser_skip_op(&found, p, TB_JOP_COLON);
    if (!rc && found && !at_slice_end(p))
        rc = tb_jparse_expression(&e->as.slice.step, p);
    const tb_jexpr *parts[] = {object, start, e->as.slice.stop, e->as.slice.step};
    for (size_t i = 0; i < 4 && !rc; i++)
        rc = tb_jparser_adopt(p, e, parts[i]);
    *out = e;
    return rc;
}

// One subscript, which may be a slice; *out is then the whole sliced expression.
static tb_code parse_subscript(tb_jexpr **out, bool *is_slice, tb_jparser *p, tb_jexpr *object)
{
    tb_jexpr *index = NULL;
    *is_slice = false;
    tb_code rc = tb_jparser_at_op(p, TB_JOP_COLON) ? TB_OK : tb_jparse_expression(&index, p);
    if (rc)
        return rc;
    if (tb_jparser_at_op(p, TB_JOP_COLON)) {
        *is_slice = true;
        return parse_slice(out, p, object, index);
    }
    *out = index;
    return TB_OK;
}

// ", index" … behind the first index: *index becomes a tuple of all.
static tb_code parse_more_indices(tb_jexpr **index, tb_jparser *p, uint32_t line)
{
    tb_jexpr *tuple;
    tb_code rc = tb_jparser_expr(&tuple, p, TB_JEXPR_TUPLE, line);
    if (!rc)
        rc = tb_jparser_append(p, tuple, &tuple->as.items, *index);
    while (!rc && !tb_jparser_at_op(p, TB_JOP_RBRACKET)) {
        rc = tb_jparser_expect_op(p, TB_JOP_COMMA, ",");
        if (!rc)
            rc = tb_jparse_expression(index, p);
        if (!rc)
            rc = tb_jparser_append(p, tuple, &tuple->as.items, *index);
    }
    *index = tuple;
    return rc;
}

// "[" indices or a slice "]"
static tb_code parse_item(tb_jexpr **out, tb_jparser *p, tb_jexpr *object)
{
    uint32_t line = p->token.line;
    bool is_slice = false;
    tb_jexpr *index, *e;
    tb_code rc = tb_jparser_advance(p);
    if (!rc)
        rc = parse_subscript(&index, &is_slice, p, object);
    if (!rc && is_slice) {
        *out = index;
        return tb_jparser_expect_op(p, TB_JOP_RBRACKET, "]");
    }
    if (!rc && tb_jparser_at_op(p, TB_JOP_COMMA))
        rc = parse_more_indices(&index, p, line);
    if (!rc)
        rc = tb_jparser_expr(&e, p, TB_JEXPR_ITEM, line);
    if (rc)
        return rc;
    e->as.item.object = object;
    e->as.item.index = index;
    *out = e;
    rc = tb_jparser_adopt(p, e, object);
    if (!rc)
        rc = tb_jparser_adopt(p, e, index);
    return rc ? rc : tb_jparser_expect_op(p, TB_JOP_RBRACKET, "]");
}

static tb_code parse_call(tb_jexpr **out, tb_jparser *p, tb_jexpr *callee)
{
    tb_jexpr *e;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_CALL, p->token.line);
    if (rc)
        return rc;
    e->as.call.subject = callee;
    *out = e;
    rc = tb_jparser_adopt(p, e, callee);
    return rc ? rc : parse_arguments(&e->as.call.args, p, e);
}

// The name of a filter or test, which may have dots.
static tb_code parse_dotted_name(const tb_jstring **out, tb_jparser *p)
{
    tb_jtoken token;
    tb_code rc = tb_jparser_take_name(&token, p);
    tb_text text = token.text;
    while (!rc && tb_jparser_at_op(p, TB_JOP_DOT)) {
        rc = tb_jparser_advance(p);
        if (!rc)
            rc = tb_jparser_take_name(&token, p);
        if (!rc) // names and dots of the source, white space between included: known to no table
            text.size = (size_t)(token.text.data + token.text.size - text.data);
    }
    return rc ? rc : tb_jparser_text(out, p, text);
}

tb_code tb_jparse_filters(tb_jexpr **out, tb_jparser *p, tb_jexpr *subject, bool inline_first)
{
    tb_code rc = TB_OK;
    *out = subject;
    while (!rc && (inline_first || tb_jparser_at_op(p, TB_JOP_PIPE))) {
        tb_jexpr *e;
        if (!inline_first)
            rc = tb_jparser_advance(p);
        if (!rc)
            rc = tb_jparser_expr(&e, p, TB_JEXPR_FILTER, p->token.line);
        if (rc)
            return rc;
        e->as.call.subject = *out;
        rc = parse_dotted_name(&e->as.call.name, p);
        if (!rc)
            e->as.call.function = tb_jfilter_find(tb_jstring_text(e->as.call.name));
        if (!rc)
            rc = tb_jparser_adopt(p, e, *out);
        if (!rc && tb_jparser_at_op(p, TB_JOP_LPAREN))
            rc = parse_arguments(&e->as.call.args, p, e);
        *out = e;
        inline_first = false;
    }
    return rc;
}

static tb_code parse_postfix(tb_jexpr **out, tb_jparser *p, tb_jexpr *e)
{
    tb_code rc = TB_OK;
    while (!rc) {
        if (tb_jparser_at_op(p, TB_JOP_DOT))
            rc = parse_attribute(&e, p, e);
        else if (tb_jparser_at_op(p, TB_JOP_LBRACKET))
            rc = parse_item(&e, p, e);
        else if (tb_jparser_at_op(p, TB_JOP_LPAREN))
            rc = parse_call(&e, p, e);
        else
            break;
    }
    *out = e;
    return rc;
}

// An argument of a test may stand behind it without parentheses.
static bool at_bare_argument(const tb_jparser *p)
{
    if (tb_jparser_at(p, TB_JTOKEN_NAME))
        return !tb_jparser_at_word(p, "else") && !tb_jparser_at_word(p, "or") && !tb_jparser_at_word(p, "and");
    return tb_jparser_at(p, TB_JTOKEN_STRING) || tb_jparser_at(p, TB_JTOKEN_INTEGER) ||
           tb_jparser_at(p, TB_JTOKEN_FLOAT) || tb_jparser_at_op(p, TB_JOP_LBRACKET) ||
           tb_jparser_at_op(p, TB_JOP_LBRACE);
}

static tb_code parse_bare_argument(tb_jexpr *test, tb_jparser *p)
{
    tb_jexpr *argument;
    if (tb_jparser_at_word(p, "is"))
        return tb_jparser_fail(p, p->token.line, "tests cannot be chained with 'is'");
    tb_code rc = parse_primary(&argument, p, false);
    if (!rc)
        rc = parse_postfix(&argument, p, argument);
    return rc ? rc : tb_jparser_append(p, test, &test->as.call.args.positional, argument);
}

// "is" ["not"] name [argument]
static tb_code parse_test(tb_jexpr **out, tb_jparser *p, tb_jexpr *subject)
{
    tb_jexpr *e;
    bool negated;
    uint32_t line = p->token.line;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_TEST, line);
    if (rc)
        return rc;
    e->as.call.subject = subject;
    rc = tb_jparser_adopt(p, e, subject);
    if (!rc)
        rc = tb_jparser_advance(p);
    if (!rc)
        rc = tb_jparser_skip_word(&negated, p, "not");
    if (!rc)
        rc = parse_dotted_name(&e->as.call.name, p);
    if (rc)
        return rc;
    e->as.call.function = tb_jtest_find(tb_jstring_text(e->as.call.name));
    if (tb_jparser_at_op(p, TB_JOP_LPAREN))
        rc = parse_arguments(&e->as.call.args, p, e);
    else if (at_bare_argument(p))
        rc = parse_bare_argument(e, p);
    *out = e;
    return !rc && negated ? new_unary(out, p, TB_JOP_NOT, line, e) : rc;
}

static tb_code parse_filter_expr(tb_jexpr **out, tb_jparser *p, tb_jexpr *e)
{
    tb_code rc = TB_OK;
    while (!rc) {
        if (tb_jparser_at_op(p, TB_JOP_PIPE))
            rc = tb_jparse_filters(&e, p, e, false);
        else if (tb_jparser_at_word(p, "is"))
            rc = parse_test(&e, p, e);
        else if (tb_jparser_at_op(p, TB_JOP_LPAREN))
            rc = parse_call(&e, p, e);
        else
            break;
    }
    *out = e;
    return rc;
}

// ---- operators ----

static tb_code parse_sign(tb_jexpr **out, tb_jparser *p)
{
    tb_jtoken sign = p->token;
    tb_code rc = tb_jparser_enter(p);
    if (rc)
        return rc;
    rc = tb_jparser_advance(p);
    if (!rc)
        rc = parse_unary(out, p, false);
    p->depth--;
    return rc ? rc : new_unary(out, p, sign.op, sign.line, *out);
}

static tb_code parse_unary(tb_jexpr **out, tb_jparser *p, bool with_filters)
{
    bool is_signed = tb_jparser_at_op(p, TB_JOP_SUB) || tb_jparser_at_op(p, TB_JOP_ADD);
    tb_code rc = is_signed ? parse_sign(out, p) : parse_primary(out, p, false);
    if (!rc)
        rc = parse_postfix(out, p, *out);
    return rc || !with_filters ? rc : parse_filter_expr(out, p, *out);
}

static tb_code parse_power(tb_jexpr **out, tb_jparser *p)
{
    tb_code rc = parse_unary(out, p, true);
    while (!rc && tb_jparser_at_op(p, TB_JOP_POW)) {
        tb_jexpr *right;
        rc = tb_jparser_advance(p);
        if (!rc)
            rc = parse_unary(&right, p, true);
        if (!rc)
            rc = new_binary(out, p, TB_JOP_POW, *out, right);
    }
    return rc;
}

static tb_code parse_product(tb_jexpr **out, tb_jparser *p)
{
    tb_code rc = parse_power(out, p);
    while (!rc && (tb_jparser_at_op(p, TB_JOP_MUL) || tb_jparser_at_op(p, TB_JOP_DIV) ||
                   tb_jparser_at_op(p, TB_JOP_FLOORDIV) || tb_jparser_at_op(p, TB_JOP_MOD))) {
        tb_joperator op = p->token.op;
        tb_jexpr *right;
        rc = tb_jparser_advance(p);
        if (!rc)
            rc = parse_power(&right, p);
        if (!rc)
            rc = new_binary(out, p, op, *out, right);
    }
    return rc;
}

static tb_code parse_concat(tb_jexpr **out, tb_jparser *p)
{
    tb_jexpr *e = NULL;
    tb_code rc = parse_product(out, p);
    if (rc || !tb_jparser_at_op(p, TB_JOP_TILDE))
        return rc;
    rc = tb_jparser_expr(&e, p, TB_JEXPR_CONCAT, (*out)->line);
    if (!rc)
        rc = tb_jparser_append(p, e, &e->as.items, *out);
    while (!rc && tb_jparser_at_op(p, TB_JOP_TILDE)) {
        tb_jexpr *item;
        rc = tb_jparser_advance(p);
        if (!rc)
            rc = parse_product(&item, p);
        if (!rc)
            rc = tb_jparser_append(p, e, &e->as.items, item);
    }
    *out = e;
    return rc;
}

static tb_code parse_sum(tb_jexpr **out, tb_jparser *p)
{
    tb_code rc = parse_concat(out, p);
    while (!rc && (tb_jparser_at_op(p, TB_JOP_ADD) || tb_jparser_at_op(p, TB_JOP_SUB))) {
        tb_joperator op = p->token.op;
        tb_jexpr *right;
        rc = tb_jparser_advance(p);
        if (!rc)
            rc = parse_concat(&right, p);
        if (!rc)
            rc = new_binary(out, p, op, *out, right);
    }
    return rc;
}

// The comparison operator here, which is taken; TB_JOP_NONE when there is none.
static tb_code take_comparison(tb_joperator *op, tb_jparser *p)
{
    *op = TB_JOP_NONE;
    if (tb_jparser_at(p, TB_JTOKEN_OPERATOR) && p->token.op >= TB_JOP_EQ && p->token.op <= TB_JOP_GE) {
        *op = p->token.op;
    } else if (tb_jparser_at_word(p, "in")) {
        *op = TB_JOP_IN;
    } else if (tb_jparser_at_word(p, "not")) {
        tb_jtoken next;
        tb_code rc = tb_jparser_peek(&next, p);
        if (rc)
            return rc;
        if (next.kind == TB_JTOKEN_NAME && tb_jtext_equals(next.text, "in")) {
            *op = TB_JOP_NOT_IN;
            rc = tb_jparser_advance(p);
            if (rc)
                return rc;
        }
    }
    return *op == TB_JOP_NONE ? TB_OK : tb_jparser_advance(p);
}

// a < b <= c … compares neighbours, as in Python.
static tb_code parse_compare(tb_jexpr **out, tb_jparser *p)
{
    tb_jexpr *e = NULL;
    tb_joperator op;
    tb_code rc = parse_sum(out, p);
    if (!rc)
        rc = take_comparison(&op, p);
    if (rc || op == TB_JOP_NONE)
        return rc;
    rc = tb_jparser_expr(&e, p, TB_JEXPR_COMPARE, (*out)->line);
    if (!rc)
        rc = tb_jparser_append(p, e, &e->as.items, *out);
    while (!rc && op != TB_JOP_NONE) {
        tb_jexpr *operand;
        rc = parse_sum(&operand, p);
        if (rc)
            return rc;
        operand->compare = op;
        rc = tb_jparser_append(p, e, &e->as.items, operand);
        if (!rc)
            rc = take_comparison(&op, p);
    }
    *out = e;
    return rc;
}

static tb_code parse_not(tb_jexpr **out, tb_jparser *p)
{
    if (!tb_jparser_at_word(p, "not"))
        return parse_compare(out, p);
    uint32_t line = p->token.line;
    tb_code rc = tb_jparser_enter(p);
    if (rc)
        return rc;
    rc = tb_jparser_advance(p);
    if (!rc)
        rc = parse_not(out, p);
    p->depth--;
    return rc ? rc : new_unary(out, p, TB_JOP_NOT, line, *out);
}

static tb_code parse_and(tb_jexpr **out, tb_jparser *p)
{
    tb_code rc = parse_not(out, p);
    bool found = true;
    while (!rc && found) {
        tb_jexpr *right;
        rc = tb_jparser_skip_word(&found, p, "and");
        if (!rc && found)
            rc = parse_not(&right, p);
        if (!rc && found)
            rc = new_binary(out, p, TB_JOP_AND, *out, right);
    }
    return rc;
}

static tb_code parse_or(tb_jexpr **out, tb_jparser *p)
{
    tb_code rc = parse_and(out, p);
    bool found = true;
    while (!rc && found) {
        tb_jexpr *right;
        rc = tb_jparser_skip_word(&found, p, "or");
        if (!rc && found)
            rc = parse_and(&right, p);
        if (!rc && found)
            rc = new_binary(out, p, TB_JOP_OR, *out, right);
    }
    return rc;
}

// The condition and alternative of an inline if whose word has been taken.
static tb_code parse_condition(tb_jexpr **out, tb_jparser *p, tb_jexpr *then)
{
    tb_jexpr *e;
    bool found;
    tb_code rc = tb_jparser_expr(&e, p, TB_JEXPR_COND, then->line);
    if (rc)
        return rc;
    e->as.cond.then = then;
    rc = parse_or(&e->as.cond.test, p);
    if (!rc)
        rc = tb_jparser_skip_word(&found, p, "else");
    if (!rc && found)
        rc = tb_jparse_expression(&e->as.cond.otherwise, p);
    const tb_jexpr *parts[] = {then, e->as.cond.test, e->as.cond.otherwise};
    for (size_t i = 0; i < 3 && !rc; i++)
        rc = tb_jparser_adopt(p, e, parts[i]);
    *out = e;
    return rc;
}

static tb_code parse_condexpr(tb_jexpr **out, tb_jparser *p)
{
    tb_code rc = parse_or(out, p);
    bool found = true;
    while (!rc && found) {
        rc = tb_jparser_skip_word(&found, p, "if");
        if (!rc && found)
            rc = parse_condition(out, p, *out);
    }
    return rc;
}

// ---- whole expressions ----

static tb_code parse_bounded(tb_jexpr **out, tb_jparser *p, unsigned flags)
{
    tb_code rc = tb_jparser_enter(p);
    if (rc)
        return rc;
    if (flags & TB_JPARSE_SIMPLE)
        rc = parse_primary(out, p, flags & TB_JPARSE_MEMBERS);
    else
        rc = flags & TB_JPARSE_NO_COND ? parse_or(out, p) : parse_condexpr(out, p);
    p->depth--;
    return rc;
}

tb_code tb_jparse_expression(tb_jexpr **out, tb_jparser *p)
{
    return parse_bounded(out, p, 0);
}

static bool at_tuple_end(const tb_jparser *p)
{
    return tb_jparser_at(p, TB_JTOKEN_PRINT_END) || tb_jparser_at(p, TB_JTOKEN_BLOCK_END) ||
           tb_jparser_at_op(p, TB_JOP_RPAREN);
}

tb_code tb_jparse_tuple(tb_jexpr **out, tb_jparser *p, unsigned flags)
{
    tb_jexpr *tuple, *item;
    bool comma = false;
    tb_code rc = tb_jparser_expr(&tuple, p, TB_JEXPR_TUPLE, p->token.line);
    if (rc)
        return rc;
    while (!at_tuple_end(p)) {
        rc = parse_bounded(&item, p, flags);
        if (!rc)
            rc = tb_jparser_append(p, tuple, &tuple->as.items, item);
        bool found = false;
        if (!rc)
            rc = tb_jparser_skip_op(&found, p, TB_JOP_COMMA);
        if (rc)
            return rc;
        if (!found)
            break;
        comma = true;
    }
    if (!comma && tuple->as.items.count == 0 && !(flags & TB_JPARSE_PARENS))
        return tb_jparser_unexpected(p, "an expression");
    *out = !comma && tuple->as.items.count == 1 ? tuple->as.items.first : tuple;
    return TB_OK;
}
