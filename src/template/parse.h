// What the two halves of the parser share: parse.c has statements, parse_expr.c
// expressions. The grammar is jinja2's, precedences and peculiarities included.
#ifndef TB_TEMPLATE_PARSE_H
#define TB_TEMPLATE_PARSE_H

#include "template/ast.h"

enum { TB_PARSER_BUCKETS = 1024 };

typedef struct tb_parser {
    tb_lexer lexer;
    tb_arena *arena;
    tb_lexeme token, ahead; // the current token and, where `has_ahead`, the next
    bool has_ahead;
    uint64_t steps_left;
    unsigned depth;     // of recursion
    unsigned loops;     // for statements around, in any function
    unsigned breakable; // for statements around that break and continue can reach
    tb_name *names[TB_PARSER_BUCKETS];
    tb_error *err;
} tb_parser;

// ---- tokens ----

tb_code tb_parser_advance(tb_parser *p);
tb_code tb_parser_peek(tb_lexeme *out, tb_parser *p);

bool tb_parser_at(const tb_parser *p, tb_lexeme_kind kind);
bool tb_parser_at_op(const tb_parser *p, tb_operator op);
bool tb_parser_at_word(const tb_parser *p, const char *word);

// Moves past the operator or word if it is here; *found says so.
tb_code tb_parser_skip_op(bool *found, tb_parser *p, tb_operator op);
tb_code tb_parser_skip_word(bool *found, tb_parser *p, const char *word);

tb_code tb_parser_expect(tb_parser *p, tb_lexeme_kind kind, const char *what);
tb_code tb_parser_expect_op(tb_parser *p, tb_operator op, const char *what);

// Takes a name token.
tb_code tb_parser_take_name(tb_lexeme *out, tb_parser *p);

// ---- errors and nodes ----

tb_code tb_parser_fail(tb_parser *p, uint32_t line, const char *what);
tb_code tb_parser_unexpected(tb_parser *p, const char *wanted);
tb_code tb_parser_no_memory(tb_parser *p);

// Counts work that grows faster than the source.
tb_code tb_parser_work(tb_parser *p, size_t steps);

// Counts one level of recursion; TB_ELIMIT when there are too many. Leave with p->depth--.
tb_code tb_parser_enter(tb_parser *p);

tb_code tb_parser_text(const tb_string **out, tb_parser *p, tb_text text);
tb_code tb_parser_name(tb_name **out, tb_parser *p, tb_text text);
tb_code tb_parser_expr(tb_expr **out, tb_parser *p, tb_expr_kind kind, uint32_t line);

// Makes `parent` at least one deeper than `child` (may be NULL); TB_ELIMIT when the tree gets too deep.
tb_code tb_parser_adopt(tb_parser *p, tb_expr *parent, const tb_expr *child);
tb_code tb_parser_append(tb_parser *p, tb_expr *parent, tb_expr_list *list, tb_expr *item);

// ---- expressions ----

typedef enum tb_parse_flag {
    TB_PARSE_SIMPLE = 1,  // names and literals only
    TB_PARSE_NO_COND = 2, // no inline if
    TB_PARSE_PARENS = 4,  // inside parentheses: nothing at all is an empty tuple
    TB_PARSE_MEMBERS = 8, // ns.attr is allowed (targets of set)
} tb_parse_flag;

tb_code tb_parse_expression(tb_expr **out, tb_parser *p);
// An expression, or a tuple of several with commas between.
tb_code tb_parse_tuple(tb_expr **out, tb_parser *p, unsigned flags);
// Filters behind `subject`; *out is `subject` when there are none. `inline_first`: the first has no bar.
tb_code tb_parse_filters(tb_expr **out, tb_parser *p, tb_expr *subject, bool inline_first);

#endif
