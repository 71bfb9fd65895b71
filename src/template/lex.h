// The lexer of templates: private to the template files.
#ifndef TB_TEMPLATE_LEX_H
#define TB_TEMPLATE_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

typedef enum tb_lexeme_kind {
    TB_LEXEME_END, // of the template
    TB_LEXEME_DATA,
    TB_LEXEME_BLOCK_BEGIN,
    TB_LEXEME_BLOCK_END,
    TB_LEXEME_PRINT_BEGIN,
    TB_LEXEME_PRINT_END,
    TB_LEXEME_NAME,
    TB_LEXEME_STRING,
    TB_LEXEME_INTEGER,
    TB_LEXEME_FLOAT,
    TB_LEXEME_OPERATOR,
} tb_lexeme_kind;

// Those of one level of precedence follow each other.
typedef enum tb_operator {
    TB_OPERATOR_NONE,
    TB_OPERATOR_ADD,
    TB_OPERATOR_SUB,
    TB_OPERATOR_MUL,
    TB_OPERATOR_DIV,
    TB_OPERATOR_FLOORDIV,
    TB_OPERATOR_MOD,
    TB_OPERATOR_POW,
    TB_OPERATOR_TILDE,
    TB_OPERATOR_EQ,
    TB_OPERATOR_NE,
    TB_OPERATOR_LT,
    TB_OPERATOR_LE,
    TB_OPERATOR_GT,
    TB_OPERATOR_GE,
    TB_OPERATOR_IN, // this and the last ones are words, which the parser names
    TB_OPERATOR_ASSIGN,
    TB_OPERATOR_DOT,
    TB_OPERATOR_COLON,
    TB_OPERATOR_COMMA,
    TB_OPERATOR_PIPE,
    TB_OPERATOR_SEMICOLON,
    TB_OPERATOR_LPAREN,
    TB_OPERATOR_RPAREN,
    TB_OPERATOR_LBRACKET,
    TB_OPERATOR_RBRACKET,
    TB_OPERATOR_LBRACE,
    TB_OPERATOR_RBRACE,
    TB_OPERATOR_NOT_IN,
    TB_OPERATOR_AND,
    TB_OPERATOR_OR,
    TB_OPERATOR_NOT,
} tb_operator;

typedef struct tb_lexeme {
    tb_lexeme_kind kind;
    tb_operator op; // TB_LEXEME_OPERATOR
    uint32_t line;
    tb_text text; // as written; data and strings: decoded
    int64_t integer;
    double real;
} tb_lexeme;

enum { TB_LEX_BRACKETS = 256 }; // most brackets open at once

typedef enum tb_lex_mode { TB_LEX_DATA, TB_LEX_BLOCK, TB_LEX_PRINT, TB_LEX_RAW } tb_lex_mode;

typedef struct tb_lexer {
    tb_arena *arena; // owns the source as lexed and the decoded strings
    tb_text source;  // UTF-8, lines end with \n
    size_t at;
    uint32_t line;
    tb_lex_mode mode;
    tb_lexeme_kind begins; // the tag found behind data that has just been returned, or TB_LEXEME_END
    char closers[TB_LEX_BRACKETS];
    size_t open; // brackets that wait to be closed
    tb_error *err;
} tb_lexer;

// Copies the source into the arena: checks UTF-8, unifies line ends, drops one at the very end.
tb_code tb_lexer_init(tb_lexer *lexer, tb_arena *arena, tb_text source, tb_error *err);

tb_code tb_lexer_next(tb_lexeme *out, tb_lexer *lexer);

#endif
