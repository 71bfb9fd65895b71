// From template text to tokens, with the white space control of trim_blocks and lstrip_blocks:
// a line break right behind a block tag or comment is dropped, white space between the start of a
// line and such a tag too; `-` beside a tag strips all white space on its side, `+` none.
#include "template/lex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/unicode.h"

enum { SOURCE_LIMIT = 256 << 10 }; // bytes; the longest templates of real models have some 20,000

static tb_code fail(const tb_lexer *lexer, tb_code code, const char *what)
{
    return tb_fail(lexer->err, code, "the template is malformed at line %u: %s", (unsigned)lexer->line, what);
}

// ---- the source ----

static bool is_utf8(tb_text text)
{
    uint32_t c;
    for (size_t at = 0, n; at < text.size; at += n)
        if ((n = tb_utf8_decode(&c, text.data + at, text.size - at)) == 0)
            return false;
    return true;
}

tb_code tb_lexer_init(tb_lexer *lexer, tb_arena *arena, tb_text source, tb_error *err)
{
    memset(lexer, 0, sizeof *lexer);
    if (source.size > SOURCE_LIMIT)
        return tb_fail(err, TB_ELIMIT, "the template has more than %d bytes", SOURCE_LIMIT);
    if (!is_utf8(source))
        return tb_fail(err, TB_EFORMAT, "the template is not valid UTF-8");
    char *text = tb_arena_alloc(arena, source.size + 1);
    if (!text)
        return tb_fail(err, TB_ENOMEM, "no memory for a template of %zu bytes", source.size);
    size_t n = 0;
    for (size_t i = 0; i < source.size; i++) {
        bool pair = source.data[i] == '\r' && i + 1 < source.size && source.data[i + 1] == '\n';
        if (!pair)
            text[n++] = source.data[i] == '\r' ? '\n' : source.data[i];
    }
    if (n > 0 && text[n - 1] == '\n') // keep_trailing_newline is off
        n--;
    lexer->arena = arena;
    lexer->source = (tb_text){text, n};
    lexer->line = 1;
    lexer->mode = TB_LEX_DATA;
    lexer->begins = TB_LEXEME_END;
    lexer->err = err;
    return TB_OK;
}

static size_t left(const tb_lexer *lexer)
{
    return lexer->source.size - lexer->at;
}

static const char *here(const tb_lexer *lexer)
{
    return lexer->source.data + lexer->at;
}

static bool looking_at(const tb_lexer *lexer, const char *text)
{
    size_t n = strlen(text);
    return left(lexer) >= n && memcmp(here(lexer), text, n) == 0;
}

// Moves on by `n` bytes and counts their lines.
static void advance(tb_lexer *lexer, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lexer->line += here(lexer)[i] == '\n';
    lexer->at += n;
}

// Bytes of the white space character at `text`, or 0.
static size_t space_size(const char *text, size_t size)
{
    uint32_t c;
    size_t n = tb_utf8_decode(&c, text, size);
    return n && tb_unicode_is_space(c) ? n : 0;
}

static void skip_space(tb_lexer *lexer)
{
    for (size_t n; (n = space_size(here(lexer), left(lexer))) > 0;)
        advance(lexer, n);
}

static tb_text strip_right(tb_text text)
{
    size_t end = 0;
    uint32_t c;
    for (size_t at = 0, n; at < text.size; at += n) {
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        if (!tb_unicode_is_space(c))
            end = at + n;
    }
    return (tb_text){text.data, end};
}

static bool is_blank(tb_text text)
{
    return strip_right(text).size == 0;
}

// ---- template data ----

// Data in front of a tag, by the sign behind the tag's opening and whether the tag is a block or comment.
static tb_text trim_data(const tb_lexer *lexer, tb_text data, char sign, bool is_block)
{
    if (sign == '-')
        return strip_right(data);
    if (sign == '+' || !is_block)
        return data;
    size_t line = data.size;
    while (line > 0 && data.data[line - 1] != '\n')
        line--;
    bool starts_line = line > 0 || data.data == lexer->source.data || data.data[-1] == '\n';
    tb_text indent = {data.data + line, data.size - line};
    return starts_line && is_blank(indent) ? (tb_text){data.data, line} : data;
}

static char take_sign(tb_lexer *lexer)
{
    char sign = left(lexer) > 0 ? *here(lexer) : '\0';
    if (sign != '-' && sign != '+')
        return '\0';
    advance(lexer, 1);
    return sign;
}

// The end of a tag: `close` with '-' in front strips what follows, '+' keeps it, neither drops one line
// break if `trims`. False when it is not here.
static bool take_close(tb_lexer *lexer, const char *close, bool trims)
{
    size_t start = lexer->at;
    char sign = take_sign(lexer);
    if (!looking_at(lexer, close) || (sign == '+' && !trims)) {
        lexer->at = start;
        return false;
    }
    advance(lexer, 2);
    if (sign == '-')
        skip_space(lexer);
    else if (!sign && trims && looking_at(lexer, "\n"))
        advance(lexer, 1);
    return true;
}

// "{% raw %}" or "{% endraw %}": its word and end, behind "{%" and the sign.
static bool take_raw_tag(tb_lexer *lexer, const char *word, bool trims)
{
    size_t start = lexer->at;
    uint32_t line = lexer->line;
    skip_space(lexer);
    if (looking_at(lexer, word)) {
        advance(lexer, strlen(word));
        skip_space(lexer);
        if (take_close(lexer, "%}", trims))
            return true;
    }
    lexer->at = start;
    lexer->line = line;
    return false;
}

// A comment, or a raw block, whose opening ends the template needs no end.
static tb_code skip_comment(tb_lexer *lexer)
{
    uint32_t line = lexer->line;
    if (left(lexer) == 0)
        return TB_OK;
    while (left(lexer) > 0) {
        if (take_close(lexer, "#}", true))
            return TB_OK;
        advance(lexer, 1);
    }
    lexer->line = line;
    return fail(lexer, TB_EFORMAT, "the comment does not end");
}

// Data up to the next tag; begins what the tag opens.
static tb_code lex_data(tb_lexeme *out, tb_lexer *lexer)
{
    size_t start = lexer->at;
    out->kind = TB_LEXEME_DATA;
    out->line = lexer->line;
    size_t end = start;
    const char *text = lexer->source.data;
    while (end < lexer->source.size && !(text[end] == '{' && end + 1 < lexer->source.size &&
                                         (text[end + 1] == '%' || text[end + 1] == '{' || text[end + 1] == '#')))
        end++;
    tb_text data = {text + start, end - start};
    advance(lexer, end - start);
    out->text = data;
    if (end == lexer->source.size)
        return TB_OK;
    char opens = text[end + 1];
    advance(lexer, 2);
    char sign = take_sign(lexer);
    out->text = trim_data(lexer, data, sign, opens != '{');
    if (opens == '#')
        return skip_comment(lexer);
    if (opens == '%' && take_raw_tag(lexer, "raw", false)) { // which keeps the line break behind it
        lexer->mode = TB_LEX_RAW;
        return TB_OK;
    }
    lexer->mode = opens == '{' ? TB_LEX_PRINT : TB_LEX_BLOCK;
    lexer->begins = opens == '{' ? TB_LEXEME_PRINT_BEGIN : TB_LEXEME_BLOCK_BEGIN;
    return TB_OK;
}

static tb_code lex_raw(tb_lexeme *out, tb_lexer *lexer)
{
    tb_text data = {here(lexer), 0};
    out->kind = TB_LEXEME_DATA;
    out->line = lexer->line;
    while (left(lexer) > 0) {
        data.size = (size_t)(here(lexer) - data.data);
        if (looking_at(lexer, "{%")) {
            size_t start = lexer->at;
            advance(lexer, 2);
            char sign = take_sign(lexer);
            if (take_raw_tag(lexer, "endraw", true)) {
                out->text = trim_data(lexer, data, sign, true);
                lexer->mode = TB_LEX_DATA;
                return TB_OK;
            }
            lexer->at = start; // no line was passed
        }
        advance(lexer, 1);
    }
    if (data.data == here(lexer)) {
        lexer->mode = TB_LEX_DATA;
        return TB_OK;
    }
    lexer->line = out->line;
    return fail(lexer, TB_EFORMAT, "the raw block does not end");
}

// ---- numbers ----

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits_size(const char *text, size_t size)
{
    size_t n = 0;
    while (n < size && is_digit(text[n]))
        n++;
    return n;
}

// A fraction, an exponent or both, behind digits; 0 where there is none.
static size_t float_size(const char *text, size_t size)
{
    size_t fraction = size > 0 && text[0] == '.' ? digits_size(text + 1, size - 1) : 0;
    size_t n = fraction ? 1 + fraction : 0;
    if (n + 1 >= size || (text[n] | 0x20) != 'e')
        return n;
    size_t mark = text[n + 1] == '+' || text[n + 1] == '-' ? 2 : 1;
    size_t exponent = digits_size(text + n + mark, size - n - mark);
    return exponent ? n + mark + exponent : n;
}

static tb_code read_integer(tb_lexeme *out, const tb_lexer *lexer)
{
    for (size_t i = 0; i < out->text.size; i++) {
        int64_t digit = out->text.data[i] - '0';
        if (out->integer > (INT64_MAX - digit) / 10)
            return tb_fail(lexer->err, TB_EUNSUPPORTED, "the integer at line %u of the template has more than 64 bits",
                           (unsigned)lexer->line);
        out->integer = out->integer * 10 + digit;
    }
    return out->integer > 0 && out->text.data[0] == '0' ? fail(lexer, TB_EFORMAT, "a number begins with a zero")
                                                        : TB_OK;
}

// Python's other numbers, with underscores or in other bases, begin with digits, too.
static bool is_other_number(tb_text digits, char next)
{
    return next == '_' || (digits.size == 1 && digits.data[0] == '0' && next && strchr("xXoObB", next));
}

static tb_code lex_number(tb_lexeme *out, tb_lexer *lexer)
{
    const char *text = here(lexer);
    size_t whole = digits_size(text, left(lexer));
    bool after_dot = lexer->at > 0 && text[-1] == '.'; // x.1.5 are two items
    size_t rest = after_dot ? 0 : float_size(text + whole, left(lexer) - whole);
    out->kind = rest ? TB_LEXEME_FLOAT : TB_LEXEME_INTEGER;
    out->text = (tb_text){text, whole + rest};
    if (left(lexer) > out->text.size && is_other_number(out->text, text[out->text.size]))
        return fail(lexer, TB_EUNSUPPORTED, "a number that is not plain decimal is not supported");
    out->real = rest ? strtod(text, NULL) : 0; // a zero ends the source
    tb_code rc = rest ? TB_OK : read_integer(out, lexer);
    advance(lexer, out->text.size);
    return rc;
}

// ---- strings ----

static unsigned digit_value(char c)
{
    if (is_digit(c))
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 99;
}

typedef struct escape_reader {
    tb_text text; // between the quotes
    size_t at;
    char *out;
    size_t used;
} escape_reader;

static tb_code put_character(const tb_lexer *lexer, escape_reader *r, uint32_t c)
{
    size_t n = tb_utf8_encode(r->out + r->used, c);
    if (!n)
        return fail(lexer, TB_EUNSUPPORTED, "an escape names a surrogate or no character at all");
    r->used += n;
    return TB_OK;
}

static tb_code read_hex(const tb_lexer *lexer, escape_reader *r, size_t digits)
{
    uint32_t c = 0;
    for (size_t i = 0; i < digits; i++) {
        unsigned digit = r->at < r->text.size ? digit_value(r->text.data[r->at]) : 99;
        if (digit > 15)
            return fail(lexer, TB_EFORMAT, "an escape in a string lacks hexadecimal digits");
        c = c << 4 | digit;
        r->at++;
    }
    return put_character(lexer, r, c);
}

static tb_code read_octal(const tb_lexer *lexer, escape_reader *r)
{
    uint32_t c = 0;
    for (size_t i = 0; i < 3 && r->at < r->text.size && digit_value(r->text.data[r->at]) < 8; i++)
        c = c * 8 + digit_value(r->text.data[r->at++]);
    return put_character(lexer, r, c);
}

// jinja2 turns what is not ASCII into escapes before it decodes escapes, so that a backslash in front
// of such a character meets another backslash, and the character's code is left as text.
static void read_escaped_non_ascii(escape_reader *r)
{
    uint32_t c;
    r->at += tb_utf8_decode(&c, r->text.data + r->at, r->text.size - r->at);
    const char *format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    r->used += (size_t)sprintf(r->out + r->used, format, (unsigned)c);
}

// One escape; `at` is behind the backslash. An unknown escape stays as it is written.
static tb_code read_escape(const tb_lexer *lexer, escape_reader *r)
{
    static const char letters[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
    char c = r->text.data[r->at];
    const char *known = c ? strchr(letters, c) : NULL;
    if ((unsigned char)c >= 0x80) {
        read_escaped_non_ascii(r);
        return TB_OK;
    }
    if (digit_value(c) < 8)
        return read_octal(lexer, r);
    r->at++;
    if (known)
        r->out[r->used++] = values[known - letters];
    else if (c == 'x' || c == 'u' || c == 'U')
        return read_hex(lexer, r, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    else if (c == 'N')
        return fail(lexer, TB_EUNSUPPORTED, "the escape '\\N' is not supported");
    else if (c != '\n') {
        r->out[r->used++] = '\\';
        r->out[r->used++] = c;
    }
    return TB_OK;
}

// Bytes of the string literal here, quotes included; 0 when it does not end.
static size_t string_size(const tb_lexer *lexer)
{
    const char *text = here(lexer);
    for (size_t i = 1; i < left(lexer); i++) {
        if (text[i] == text[0])
            return i + 1;
        i += text[i] == '\\';
    }
    return 0;
}

static tb_code lex_string(tb_lexeme *out, tb_lexer *lexer)
{
    size_t n = string_size(lexer);
    if (!n)
        return fail(lexer, TB_EFORMAT, "a string does not end");
    // An escaped character may grow from two bytes of UTF-8 (or four) to four letters (or ten).
    escape_reader r = {.text = {here(lexer) + 1, n - 2}, .out = tb_arena_alloc(lexer->arena, 3 * n)};
    if (!r.out)
        return fail(lexer, TB_ENOMEM, "no memory for a string");
    tb_code rc = TB_OK;
    while (r.at < r.text.size && !rc) {
        char c = r.text.data[r.at++];
        if (c == '\\')
            rc = read_escape(lexer, &r);
        else
            r.out[r.used++] = c;
    }
    out->kind = TB_LEXEME_STRING;
    out->text = (tb_text){r.out, r.used};
    advance(lexer, n);
    return rc;
}

// ---- names and operators ----

// An identifier as Python has it, except that what counts beyond ASCII is a letter, mark or digit by category.
static size_t name_size(const tb_lexer *lexer)
{
    size_t at = 0;
    uint32_t c;
    while (at < left(lexer)) {
        size_t n = tb_utf8_decode(&c, here(lexer) + at, left(lexer) - at);
        bool start = c == '_' || tb_unicode_is_alpha(c);
        if (!start && (at == 0 || !tb_unicode_is_decimal(c)))
            break;
        at += n;
    }
    return at;
}

static const struct {
    char text[3];
    tb_operator op;
} operators[] = {
    // Longer ones first.
    {"//", TB_OPERATOR_FLOORDIV}, {"**", TB_OPERATOR_POW},   {"==", TB_OPERATOR_EQ},      {"!=", TB_OPERATOR_NE},
    {">=", TB_OPERATOR_GE},       {"<=", TB_OPERATOR_LE},    {"+", TB_OPERATOR_ADD},      {"-", TB_OPERATOR_SUB},
    {"*", TB_OPERATOR_MUL},       {"/", TB_OPERATOR_DIV},    {"%", TB_OPERATOR_MOD},      {"~", TB_OPERATOR_TILDE},
    {"<", TB_OPERATOR_LT},        {">", TB_OPERATOR_GT},     {"=", TB_OPERATOR_ASSIGN},   {".", TB_OPERATOR_DOT},
    {":", TB_OPERATOR_COLON},     {",", TB_OPERATOR_COMMA},  {"|", TB_OPERATOR_PIPE},     {";", TB_OPERATOR_SEMICOLON},
    {"(", TB_OPERATOR_LPAREN},    {")", TB_OPERATOR_RPAREN}, {"[", TB_OPERATOR_LBRACKET}, {"]", TB_OPERATOR_RBRACKET},
    {"{", TB_OPERATOR_LBRACE},    {"}", TB_OPERATOR_RBRACE},
};

// Keeps the brackets in balance: inside of them "}}" and "%}" are operators.
static tb_code balance(tb_lexer *lexer, tb_operator op)
{
    char opens = op == TB_OPERATOR_LPAREN     ? ')'
                 : op == TB_OPERATOR_LBRACKET ? ']'
                 : op == TB_OPERATOR_LBRACE   ? '}'
                                              : '\0';
    if (opens) {
        if (lexer->open == TB_LEX_BRACKETS)
            return tb_fail(lexer->err, TB_ELIMIT, "the template opens more than %d brackets at line %u",
                           TB_LEX_BRACKETS, (unsigned)lexer->line);
        lexer->closers[lexer->open++] = opens;
        return TB_OK;
    }
    if (op != TB_OPERATOR_RPAREN && op != TB_OPERATOR_RBRACKET && op != TB_OPERATOR_RBRACE)
        return TB_OK;
    if (lexer->open == 0 || lexer->closers[lexer->open - 1] != *here(lexer))
        return fail(lexer, TB_EFORMAT, "a bracket is closed that is not the last one open");
    lexer->open--;
    return TB_OK;
}

static tb_code lex_operator(tb_lexeme *out, tb_lexer *lexer)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (!looking_at(lexer, operators[i].text))
            continue;
        tb_code rc = balance(lexer, operators[i].op);
        if (rc)
            return rc;
        out->kind = TB_LEXEME_OPERATOR;
        out->op = operators[i].op;
        out->text = (tb_text){here(lexer), strlen(operators[i].text)};
        advance(lexer, out->text.size);
        return TB_OK;
    }
    uint32_t c;
    size_t n = tb_utf8_decode(&c, here(lexer), left(lexer));
    return tb_fail(lexer->err, TB_EFORMAT, "the template is malformed at line %u: unexpected character '%.*s'",
                   (unsigned)lexer->line, (int)n, here(lexer));
}

static tb_code lex_code(tb_lexeme *out, tb_lexer *lexer)
{
    bool is_print = lexer->mode == TB_LEX_PRINT;
    skip_space(lexer);
    out->line = lexer->line;
    if (lexer->open == 0 && take_close(lexer, is_print ? "}}" : "%}", !is_print)) {
        out->kind = is_print ? TB_LEXEME_PRINT_END : TB_LEXEME_BLOCK_END;
        lexer->mode = TB_LEX_DATA;
        return TB_OK;
    }
    if (left(lexer) == 0) {
        out->kind = TB_LEXEME_END;
        return TB_OK;
    }
    if (is_digit(*here(lexer)))
        return lex_number(out, lexer);
    size_t n = name_size(lexer);
    if (n > 0) {
        out->kind = TB_LEXEME_NAME;
        out->text = (tb_text){here(lexer), n};
        advance(lexer, n);
        return TB_OK;
    }
    if (*here(lexer) == '"' || *here(lexer) == '\'')
        return lex_string(out, lexer);
    return lex_operator(out, lexer);
}

// ---- the stream ----

tb_code tb_lexer_next(tb_lexeme *out, tb_lexer *lexer)
{
    for (;;) {
        memset(out, 0, sizeof *out);
        out->line = lexer->line;
        if (lexer->begins != TB_LEXEME_END) {
            out->kind = lexer->begins;
            lexer->begins = TB_LEXEME_END;
            return TB_OK;
        }
        if (lexer->mode == TB_LEX_BLOCK || lexer->mode == TB_LEX_PRINT)
            return lex_code(out, lexer);
        if (lexer->mode == TB_LEX_DATA && left(lexer) == 0) {
            out->kind = TB_LEXEME_END;
            return TB_OK;
        }
        tb_code rc = lexer->mode == TB_LEX_RAW ? lex_raw(out, lexer) : lex_data(out, lexer);
        if (rc || out->text.size > 0)
            return rc;
    }
}
