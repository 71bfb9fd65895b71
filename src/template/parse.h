// What the two halves of the parser share: parse.c has statements, parse_expr.c
// expressions. The grammar is jinja2's, precedences and peculiarities included.
#ifndef TB_TEMPLATE_PARSE_H
#define TB_TEMPLATE_PARSE_H

#include "template/ast.h"

enum { TB_JPARSER_BUCKETS = 1024 };

typedef struct tb_jparser {
    tb_jlexer lexer;
    tb_arena *arena;
    tb_jtoken token, ahead; // the current token and, where `has_ahead`, the next
    bool has_ahead;
    unsigned depth;     // of recursion
    unsigned loops;     // for statements around, in any function
    unsigned breakable; // for statements around that break and continue can reach
    tb_jname *names[TB_JPARSER_BUCKETS];
    tb_error *err;
} tb_jparser;

// ---- tokens ----

tb_code tb_jparser_advance(tb_jparser *p);
tb_code tb_jparser_peek(tb_jtoken *out, tb_jparser *p);

bool tb_jparser_at(const tb_jparser *p, tb_jtoken_kind kind);
bool tb_jparser_at_op(const tb_jparser *p, tb_joperator op);
bool tb_jparser_at_word(const tb_jparser *p, const char *word);

// Moves past the operator or word if it is here; *found says so.
tb_code tb_jparser_skip_op(bool *found, tb_jparser *p, tb_joperator op);
tb_code tb_jparser_skip_word(bool *found, tb_jparser *p, const char *word);

tb_code tb_jparser_expect(tb_jparser *p, tb_jtoken_kind kind, const char *what);
tb_code tb_jparser_expect_op(tb_jparser *p, tb_joperator op, const char *what);

// Takes a name token.
tb_code tb_jparser_take_name(tb_jtoken *out, tb_jparser *p);

// ---- errors and nodes ----

tb_code tb_jparser_fail(tb_jparser *p, uint32_t line, const char *what);
tb_code tb_jparser_unexpected(tb_jparser *p, const char *wanted);
tb_code tb_jparser_no_memory(tb_jparser *p);

// Counts one level of recursion; TB_ELIMIT when there are too many. Leave with p->depth--.
tb_code tb_jparser_enter(tb_jparser *p);

tb_code tb_jparser_text(const tb_jstring **out, tb_jparser *p, tb_text text);
tb_code tb_jparser_name(tb_jname **out, tb_jparser *p, tb_text text);
tb_code tb_jparser_expr(tb_jexpr **out, tb_jparser *p, tb_jexpr_kind kind, uint32_t line);

// Makes `parent` at least one deeper than `child` (may be NULL); TB_ELIMIT when the tree gets too deep.
tb_code tb_jparser_adopt(tb_jparser *p, tb_jexpr *parent, const tb_jexpr *child);
tb_code tb_jparser_append(tb_jparser *p, tb_jexpr *parent, tb_jlist_expr *list, tb_jexpr *item);

// ---- expressions ----

typedef enum tb_jparse_flag {
    TB_JPARSE_SIMPLE = 1,  // names and literals only
    TB_JPARSE_NO_COND = 2, // no inline if
    TB_JPARSE_PARENS = 4,  // inside parentheses: nothing at all is an empty tuple
    TB_JPARSE_MEMBERS = 8, // ns.attr is allowed (targets of set)
} tb_jparse_flag;

tb_code tb_jparse_expression(tb_jexpr **out, tb_jparser *p);
// An expression, or a tuple of several with commas between.
tb_code tb_jparse_tuple(tb_jexpr **out, tb_jparser *p, unsigned flags);
// Filters behind `subject`; *out is `subject` when there are none. `inline_first`: the first has no bar.
tb_code tb_jparse_filters(tb_jexpr **out, tb_jparser *p, tb_jexpr *subject, bool inline_first);

#endif
