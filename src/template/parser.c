// Tokens, errors and nodes: what expressions and statements are parsed with.
#include <string.h>

#include "template/parse.h"

enum {
    NESTING_LIMIT = 120, // brackets, signs and blocks inside each other; jinja2 itself gives up at about a hundred
    TREE_LIMIT = 500,    // operators whose results feed each other, such as a long sum
};

// ---- errors ----

void tb_parser_stop(tb_parser *p, tb_code rc)
{
    p->rc = rc;
    p->token.kind = TB_LEXEME_END;
    p->has_ahead = false;
}

void tb_parser_fail(tb_parser *p, uint32_t line, const char *what)
{
    if (!p->rc)
        tb_parser_stop(p,
                       tb_fail(p->err, TB_EFORMAT, "the template is malformed at line %u: %s", (unsigned)line, what));
}

void tb_parser_unexpected(tb_parser *p, const char *wanted)
{
    const tb_lexeme *t = &p->token;
    if (p->rc)
        return;
    if (t->kind == TB_LEXEME_END) {
        tb_parser_stop(p, tb_fail(p->err, TB_EFORMAT,
                                  "the template is malformed at line %u: it ends where '%s' should follow",
                                  (unsigned)t->line, wanted));
        return;
    }
    bool has_text = t->kind == TB_LEXEME_NAME || t->kind == TB_LEXEME_STRING || t->kind == TB_LEXEME_INTEGER ||
                    t->kind == TB_LEXEME_FLOAT || t->kind == TB_LEXEME_OPERATOR;
    int shown = has_text ? (t->text.size < 40 ? (int)t->text.size : 40) : 10;
    tb_parser_stop(p, tb_fail(p->err, TB_EFORMAT, "the template is malformed at line %u: '%s' is missing before '%.*s'",
                              (unsigned)t->line, wanted, shown, has_text ? t->text.data : "end of tag"));
}

void tb_parser_no_memory(tb_parser *p)
{
    if (!p->rc)
        tb_parser_stop(p, tb_fail(p->err, TB_ENOMEM, "no memory to compile a template"));
}

void tb_parser_work(tb_parser *p, size_t steps)
{
    if (p->rc)
        return;
    if (steps > p->steps_left)
        tb_parser_stop(p, tb_fail(p->err, TB_ELIMIT, "the template takes too many steps to compile at line %u",
                                  (unsigned)p->token.line));
    else
        p->steps_left -= steps;
}

bool tb_parser_enter(tb_parser *p)
{
    if (!p->rc && p->depth == NESTING_LIMIT)
        tb_parser_stop(p, tb_fail(p->err, TB_ELIMIT, "the template nests more than %d levels at line %u", NESTING_LIMIT,
                                  (unsigned)p->token.line));
    p->depth += !p->rc;
    return !p->rc;
}

// ---- tokens ----

void tb_parser_advance(tb_parser *p)
{
    if (p->rc)
        return;
    tb_code rc = TB_OK;
    if (p->has_ahead)
        p->token = p->ahead;
    else
        rc = tb_lexer_next(&p->token, &p->lexer);
    p->has_ahead = false;
    if (rc)
        tb_parser_stop(p, rc);
}

tb_lexeme tb_parser_peek(tb_parser *p)
{
    tb_code rc = p->has_ahead || p->rc ? p->rc : tb_lexer_next(&p->ahead, &p->lexer);
    p->has_ahead = !rc;
    if (rc && !p->rc)
        tb_parser_stop(p, rc);
    return rc ? p->token : p->ahead;
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

bool tb_parser_more(const tb_parser *p, tb_operator close)
{
    return !p->rc && !tb_parser_at_op(p, close);
}

bool tb_parser_skip_op(tb_parser *p, tb_operator op)
{
    bool found = tb_parser_at_op(p, op);
    if (found)
        tb_parser_advance(p);
    return found;
}

bool tb_parser_skip_word(tb_parser *p, const char *word)
{
    bool found = tb_parser_at_word(p, word);
    if (found)
        tb_parser_advance(p);
    return found;
}

void tb_parser_expect(tb_parser *p, tb_lexeme_kind kind, const char *what)
{
    if (tb_parser_at(p, kind))
        tb_parser_advance(p);
    else
        tb_parser_unexpected(p, what);
}

void tb_parser_expect_op(tb_parser *p, tb_operator op, const char *what)
{
    if (!tb_parser_skip_op(p, op))
        tb_parser_unexpected(p, what);
}

tb_lexeme tb_parser_take_name(tb_parser *p)
{
    tb_lexeme token = p->token;
    tb_parser_expect(p, TB_LEXEME_NAME, "a name");
    return token;
}

// ---- nodes ----

void *tb_parser_alloc(tb_parser *p, size_t size)
{
    void *block = tb_arena_alloc(p->arena, size);
    if (block)
        return block;
    tb_parser_no_memory(p);
    return memset(&p->spare, 0, sizeof p->spare);
}

const tb_string *tb_parser_text(tb_parser *p, tb_text text)
{
    static const tb_string none = {.text = {.data = ""}};
    tb_string *string = tb_parser_alloc(p, sizeof *string);
    if (p->rc)
        return &none; // which stays what it is, unlike the spare node
    *string = tb_string_constant(text);
    return string;
}

// Equal names share one tb_name.
tb_name *tb_parser_name(tb_parser *p, tb_text text)
{
    uint32_t hash = 2166136261u; // FNV-1a
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 16777619u;
    tb_name **bucket = &p->names[hash % TB_PARSER_BUCKETS];
    for (tb_name *name = *bucket; name && !p->rc; name = name->next) {
        if (tb_piece_equal(name->string->text, tb_piece_of(text, TB_FROM_TEMPLATE)))
            return name;
        tb_parser_work(p, 1);
    }
    tb_name *name = tb_parser_alloc(p, sizeof *name);
    const tb_string *string = tb_parser_text(p, text);
    *name = (tb_name){.string = string, .next = *bucket};
    *bucket = p->rc ? *bucket : name;
    return name;
}

tb_expr *tb_parser_expr(tb_parser *p, tb_expr_kind kind, uint32_t line)
{
    tb_expr *e = tb_parser_alloc(p, sizeof *e);
    e->kind = kind;
    e->line = line;
    return e;
}

tb_expr *tb_parser_variable(tb_parser *p, tb_text name, uint32_t line)
{
    tb_expr *e = tb_parser_expr(p, TB_EXPR_NAME, line);
    e->as.name.id = tb_parser_name(p, name);
    return e;
}

void tb_parser_note(tb_parser *p, tb_text name, bool is_load)
{
    unsigned special = tb_text_is(name, "loop")      ? TB_SPECIAL_LOOP
                       : tb_text_is(name, "caller")  ? TB_SPECIAL_CALLER
                       : tb_text_is(name, "kwargs")  ? TB_SPECIAL_KWARGS
                       : tb_text_is(name, "varargs") ? TB_SPECIAL_VARARGS
                                                     : 0;
    p->specials.used |= is_load ? special & ~p->specials.settled : 0;
    p->specials.settled |= special;
}

tb_expr *tb_parser_adopt(tb_parser *p, tb_expr *parent, tb_expr *child)
{
    if (p->rc || !child || parent->depth > child->depth)
        return child;
    parent->depth = child->depth + 1;
    if (parent->depth > TREE_LIMIT)
        tb_parser_stop(p, tb_fail(p->err, TB_ELIMIT, "the template has an expression of more than %d levels at line %u",
                                  TREE_LIMIT, (unsigned)parent->line));
    return child;
}

void tb_parser_append(tb_parser *p, tb_expr *parent, tb_expr_list *list, tb_expr *item)
{
    tb_parser_adopt(p, parent, item);
    if (p->rc)
        return;
    if (list->last)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
    list->count++;
}
