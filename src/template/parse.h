// What the parts of the parser share: parser.c has tokens, errors and nodes, parse_expr.c expressions, parse.c
// statements. The grammar is jinja2's, precedences and peculiarities included.
//
// Errors stick: the first one is told, the template is then at its end for the parser, and whatever is parsed after it
// is of no account. Functions give nodes, never NULL, and nobody has to ask whether they failed; loops end with
// tb_parser_more.
#ifndef TB_TEMPLATE_PARSE_H
#define TB_TEMPLATE_PARSE_H

#include "template/ast.h"

enum { TB_PARSER_BUCKETS = 1024 };

// Names that a loop or function gives its body if the body uses them, as bits. The first thing that happens to such a
// name decides: a load uses it, a set makes it the body's own.
typedef enum tb_special {
    TB_SPECIAL_LOOP = 1,
    TB_SPECIAL_CALLER = 2,
    TB_SPECIAL_KWARGS = 4,
    TB_SPECIAL_VARARGS = 8
} tb_special;

typedef struct tb_specials {
    unsigned used, settled; // settled: used, or set before that
} tb_specials;

typedef struct tb_parser {
    tb_lexer lexer;
    tb_arena *arena;
    tb_lexeme token, ahead; // the current token and, where `has_ahead`, the next
    bool has_ahead;
    tb_code rc; // of the first error
    uint64_t steps_left;
    unsigned depth;       // of recursion
    unsigned loops;       // for statements around, in any function
    unsigned breakable;   // for statements around that break and continue can reach
    tb_specials specials; // of the innermost body of a loop or function
    tb_name *names[TB_PARSER_BUCKETS];
    union { // what is given as a node when there is no memory for one
        tb_expr expr;
        tb_stmt stmt;
    } spare;
    tb_error *err;
} tb_parser;

// ---- tokens ----

void tb_parser_advance(tb_parser *p);
tb_lexeme tb_parser_peek(tb_parser *p);

bool tb_parser_at(const tb_parser *p, tb_lexeme_kind kind);
bool tb_parser_at_op(const tb_parser *p, tb_operator op);
bool tb_parser_at_word(const tb_parser *p, const char *word);
// False at this operator, and after an error.
bool tb_parser_more(const tb_parser *p, tb_operator close);

// Moves past the operator or word; false when it is not here.
bool tb_parser_skip_op(tb_parser *p, tb_operator op);
bool tb_parser_skip_word(tb_parser *p, const char *word);

// The same where nothing else may stand.
void tb_parser_expect(tb_parser *p, tb_lexeme_kind kind, const char *what);
void tb_parser_expect_op(tb_parser *p, tb_operator op, const char *what);
tb_lexeme tb_parser_take_name(tb_parser *p);

// ---- errors and nodes ----

// Takes note of the first error, which has been told.
void tb_parser_stop(tb_parser *p, tb_code rc);
void tb_parser_fail(tb_parser *p, uint32_t line, const char *what);
void tb_parser_unexpected(tb_parser *p, const char *wanted);
void tb_parser_no_memory(tb_parser *p);

// Counts work that grows faster than the source.
void tb_parser_work(tb_parser *p, size_t steps);

// Counts one level of recursion; false when there are too many. Leave with p->depth--.
bool tb_parser_enter(tb_parser *p);

// Zeroed memory for a node or part of one.
void *tb_parser_alloc(tb_parser *p, size_t size);
const tb_string *tb_parser_text(tb_parser *p, tb_text text);
tb_name *tb_parser_name(tb_parser *p, tb_text text);
tb_expr *tb_parser_expr(tb_parser *p, tb_expr_kind kind, uint32_t line);
tb_expr *tb_parser_variable(tb_parser *p, tb_text name, uint32_t line);

// Takes note of what happens to a name that may be special.
void tb_parser_note(tb_parser *p, tb_text name, bool is_load);

// Makes `parent` at least one deeper than `child` (may be NULL); an error when the tree gets too deep. Returns the
// child.
tb_expr *tb_parser_adopt(tb_parser *p, tb_expr *parent, tb_expr *child);
void tb_parser_append(tb_parser *p, tb_expr *parent, tb_expr_list *list, tb_expr *item);

// ---- expressions ----

typedef enum tb_parse_flag {
    TB_PARSE_SIMPLE = 1,  // names and literals only
    TB_PARSE_NO_COND = 2, // no inline if
    TB_PARSE_PARENS = 4,  // inside parentheses: nothing at all is an empty tuple
    TB_PARSE_MEMBERS = 8, // ns.attr is allowed (targets of set)
} tb_parse_flag;

tb_expr *tb_parse_expression(tb_parser *p);
// An expression, or a tuple of several with commas between.
tb_expr *tb_parse_tuple(tb_parser *p, unsigned flags);
// Filters behind `subject`, which is returned when there are none. `inline_first`: the first has no bar.
tb_expr *tb_parse_filters(tb_parser *p, tb_expr *subject, bool inline_first);

#endif
