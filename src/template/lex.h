// The lexer of templates: private to the template files.
#ifndef TB_TEMPLATE_LEX_H
#define TB_TEMPLATE_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

typedef enum tb_jtoken_kind {
    TB_JTOKEN_END, // of the template
    TB_JTOKEN_DATA,
    TB_JTOKEN_BLOCK_BEGIN,
    TB_JTOKEN_BLOCK_END,
    TB_JTOKEN_PRINT_BEGIN,
    TB_JTOKEN_PRINT_END,
    TB_JTOKEN_NAME,
    TB_JTOKEN_STRING,
    TB_JTOKEN_INTEGER,
    TB_JTOKEN_FLOAT,
    TB_JTOKEN_OPERATOR,
} tb_jtoken_kind;

typedef enum tb_joperator {
    TB_JOP_NONE,
    TB_JOP_ADD,
    TB_JOP_SUB,
    TB_JOP_MUL,
    TB_JOP_DIV,
    TB_JOP_FLOORDIV,
    TB_JOP_MOD,
    TB_JOP_POW,
    TB_JOP_TILDE,
    TB_JOP_EQ,
    TB_JOP_NE,
    TB_JOP_LT,
    TB_JOP_LE,
    TB_JOP_GT,
    TB_JOP_GE,
    TB_JOP_ASSIGN,
    TB_JOP_DOT,
    TB_JOP_COLON,
    TB_JOP_COMMA,
    TB_JOP_PIPE,
    TB_JOP_SEMICOLON,
    TB_JOP_LPAREN,
    TB_JOP_RPAREN,
    TB_JOP_LBRACKET,
    TB_JOP_RBRACKET,
    TB_JOP_LBRACE,
    TB_JOP_RBRACE,
    // Not lexed but named by the parser: words that act as operators.
    TB_JOP_IN,
    TB_JOP_NOT_IN,
    TB_JOP_AND,
    TB_JOP_OR,
    TB_JOP_NOT,
} tb_joperator;

typedef struct tb_jtoken {
    tb_jtoken_kind kind;
    tb_joperator op; // TB_JTOKEN_OPERATOR
    uint32_t line;
    tb_text text; // as written; data and strings: decoded
    int64_t integer;
    double real;
} tb_jtoken;

enum { TB_JLEX_BRACKETS = 256 }; // most brackets open at once

typedef enum tb_jlex_mode { TB_JLEX_DATA, TB_JLEX_BLOCK, TB_JLEX_PRINT, TB_JLEX_RAW } tb_jlex_mode;

typedef struct tb_jlexer {
    tb_arena *arena; // owns the source as lexed and the decoded strings
    tb_text source;  // UTF-8, lines end with \n
    size_t at;
    uint32_t line;
    tb_jlex_mode mode;
    tb_jtoken_kind begins; // the tag found behind data that has just been returned, or TB_JTOKEN_END
    char closers[TB_JLEX_BRACKETS];
    size_t open; // brackets that wait to be closed
    tb_error *err;
} tb_jlexer;

// Copies the source into the arena: checks UTF-8, unifies line ends, drops one at the very end.
tb_code tb_jlexer_init(tb_jlexer *lexer, tb_arena *arena, tb_text source, tb_error *err);

tb_code tb_jlexer_next(tb_jtoken *out, tb_jlexer *lexer);

#endif
