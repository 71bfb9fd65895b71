#include "text/pattern.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    JIT_STACK_START = 32 * 1024,
    JIT_STACK_LIMIT = 8 * 1024 * 1024,
    // Work that a match may take: a constant and so much for each byte of the text. The known
    // patterns need a few steps a byte; the limit stops patterns that explode.
    MATCH_LIMIT_BASE = 1000 * 1000,
    MATCH_LIMIT_PER_BYTE = 100,
};

// ---- what Oniguruma reads otherwise ----

static bool starts_with(tb_text text, const char *start)
{
    return text.size >= strlen(start) && memcmp(text.data, start, strlen(start)) == 0;
}

// In Oniguruma character classes nest and intersect, and "(?m)" and a few letters mean something else. (\w and \b do,
// too, and are written out: see spell_words.)
static bool is_misread(tb_text pattern)
{
    static const char letters[] = {'h', 'H', 'K', 'O', 'y', 'Y'};
    bool in_class = false;
    for (size_t i = 0, n; i < pattern.size; i += n) {
        tb_text rest = {pattern.data + i, pattern.size - i};
        n = 1;
        if (rest.data[0] == '\\') {
            if (rest.size > 1 && (memchr(letters, rest.data[1], sizeof letters) || (in_class && rest.data[1] == 'W')))
                return true;
            n = 2;
        } else if (in_class) { // "[[:punct:]]" has symbols in it there
            if (rest.data[0] == '[' || starts_with(rest, "&&"))
                return true;
            in_class = rest.data[0] != ']';
        } else if (!in_class) {
            if (starts_with(rest, "(?m"))
                return true;
            in_class = rest.data[0] == '[';
        }
    }
    return false;
}

static int shown(tb_text pattern)
{
    return (int)(pattern.size < 160 ? pattern.size : 160);
}

tb_code tb_pattern_check(tb_text pattern, tb_error *err)
{
    if (is_misread(pattern))
        return tb_fail(err, TB_EUNSUPPORTED, "pattern '%.*s' of the tokenizer is not supported", shown(pattern),
                       pattern.data);
    return TB_OK;
}

// ---- memory ----

static void *get_memory(size_t size, void *user)
{
    (void)user;
    return tb_alloc(size);
}

static void free_memory(void *memory, void *user)
{
    (void)user;
    tb_free(memory);
}

static pcre2_general_context *new_memory(void)
{
    return pcre2_general_context_create(get_memory, free_memory, NULL);
}

// ---- compiling ----

struct tb_pattern {
    pcre2_general_context *memory;
    pcre2_code *code;
};

// Oniguruma's \w, inside a character class: PCRE2's knows no marks.
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}²³¹¼½¾"

// What \w, \W, \b and \B mean.
static const char *spell_word(char letter, bool in_class)
{
    if (letter == 'w')
        return in_class ? WORD : "[" WORD "]";
    if (in_class)
        return NULL;
    switch (letter) {
    case 'W':
        return "[^" WORD "]";
    case 'b':
        return "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))";
    case 'B':
        return "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))";
    default:
        return NULL;
    }
}

static tb_code spell_words(tb_str *out, tb_text pattern, tb_error *err)
{
    bool in_class = false;
    tb_code rc = TB_OK;
    for (size_t i = 0, n; i < pattern.size && !rc; i += n) {
        n = pattern.data[i] == '\\' && i + 1 < pattern.size ? 2 : 1;
        const char *words = n == 2 ? spell_word(pattern.data[i + 1], in_class) : NULL;
        if (n == 1 && pattern.data[i] == (in_class ? ']' : '['))
            in_class = !in_class;
        rc = words ? tb_str_append_text(out, words, err) : tb_str_append(out, pattern.data + i, n, err);
    }
    return rc;
}

// "\\s+$" is tried from every place inside a run of spaces, in quadratic time; a match that is
// searched from the left starts where a run does.
static tb_text quick_form(tb_text pattern)
{
    static const char quick[] = "(?<!\\s)\\s+$";
    return tb_text_is(pattern, "\\s+$") ? (tb_text){quick, sizeof quick - 1} : pattern;
}

static tb_code compile(tb_pattern *p, tb_text pattern, uint32_t options, tb_error *err)
{
    p->memory = new_memory();
    pcre2_compile_context *context = p->memory ? pcre2_compile_context_create(p->memory) : NULL;
    if (!context)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a pattern");
    int error;
    PCRE2_SIZE at;
    p->code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.size, options | PCRE2_UTF, &error, &at, context);
    pcre2_compile_context_free(context);
    if (!p->code && error == PCRE2_ERROR_HEAP_FAILED)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a pattern");
    if (!p->code) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(error, reason, sizeof reason);
        return tb_fail(err, TB_EFORMAT, "pattern '%.*s' of the tokenizer is not understood at byte %zu: %s",
                       shown(pattern), pattern.data, (size_t)at, (char *)reason);
    }
    // Where machine code cannot be had the interpreter gives the same matches.
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
    return TB_OK;
}

static tb_code new_pattern(tb_pattern **out, tb_text pattern, uint32_t options, tb_error *err)
{
    *out = NULL;
    tb_pattern *p = tb_new(tb_pattern);
    if (!p)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a pattern");
    tb_code rc = compile(p, pattern, options, err);
    if (rc)
        tb_pattern_free(p);
    else
        *out = p;
    return rc;
}

tb_code tb_pattern_new(tb_pattern **out, tb_text pattern, tb_error *err)
{
    tb_str spelled = {0};
    tb_code rc = spell_words(&spelled, quick_form(pattern), err);
    // Lines begin and end anywhere in the text, as in Oniguruma; with \C a pattern could cut inside a character.
    *out = NULL;
    if (!rc)
        rc = new_pattern(out, (tb_text){tb_str_get(&spelled), spelled.size},
                         PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, err);
    tb_str_clear(&spelled);
    return rc;
}

tb_code tb_pattern_new_literal(tb_pattern **out, tb_text text, tb_error *err)
{
    return new_pattern(out, text, PCRE2_LITERAL, err);
}

void tb_pattern_free(tb_pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_code_free(pattern->code);
    pcre2_general_context_free(pattern->memory);
    tb_free(pattern);
}

// ---- matching ----

struct tb_matcher {
    pcre2_general_context *memory;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    pcre2_match_data *match;
};

tb_code tb_matcher_new(tb_matcher **out, tb_error *err)
{
    *out = NULL;
    tb_matcher *m = tb_new(tb_matcher);
    if (m)
        m->memory = new_memory();
    if (m && m->memory) {
        m->context = pcre2_match_context_create(m->memory);
        m->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_LIMIT, m->memory);
        m->match = pcre2_match_data_create(1, m->memory);
    }
    if (!m || !m->context || !m->match) {
        tb_matcher_free(m);
        return tb_fail(err, TB_ENOMEM, "no memory to match patterns");
    }
    if (m->stack) // without one, machine code has the 32 KiB that PCRE2 itself gives it
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
    *out = m;
    return TB_OK;
}

void tb_matcher_free(tb_matcher *matcher)
{
    if (!matcher)
        return;
    pcre2_match_data_free(matcher->match);
    pcre2_jit_stack_free(matcher->stack);
    pcre2_match_context_free(matcher->context);
    pcre2_general_context_free(matcher->memory);
    tb_free(matcher);
}

void tb_matcher_set_limit(tb_matcher *matcher, size_t size)
{
    size_t limit =
        size < UINT32_MAX / (2 * MATCH_LIMIT_PER_BYTE) ? MATCH_LIMIT_BASE + MATCH_LIMIT_PER_BYTE * size : UINT32_MAX;
    pcre2_set_match_limit(matcher->context, (uint32_t)limit);
}

static tb_code search(tb_match *match, tb_matcher *m, const tb_pattern *pattern, tb_text text, tb_error *err)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text.data;
    int found = pcre2_match(pattern->code, subject, text.size, match->from, PCRE2_NO_UTF_CHECK, m->match, m->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(pattern->code, subject, text.size, match->from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->match,
                            m->context);
    match->found = found >= 0;
    if (found == PCRE2_ERROR_NOMATCH) {
        match->begin = match->end = text.size;
        return TB_OK;
    }
    if (found == PCRE2_ERROR_NOMEMORY)
        return tb_fail(err, TB_ENOMEM, "no memory to match a pattern of the tokenizer");
    if (found < 0) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(found, reason, sizeof reason);
        return tb_fail(err, TB_EUNSUPPORTED, "a pattern of the tokenizer fails on %zu bytes of text: %s", text.size,
                       (char *)reason);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(m->match);
    match->begin = bounds[0];
    match->end = bounds[1];
    return TB_OK;
}

tb_code tb_matcher_next(tb_match *match, tb_matcher *matcher, const tb_pattern *pattern, tb_text text, tb_error *err)
{
    const bool had_one = match->found;
    const size_t last_end = match->end;
    for (;;) {
        tb_code rc = search(match, matcher, pattern, text, err);
        if (rc || !match->found)
            return rc;
        match->from = match->end;
        if (match->begin < match->end || !had_one || match->end != last_end)
            return TB_OK;
        if (match->end == text.size) {
            match->found = false;
            match->begin = text.size;
            return TB_OK;
        }
        uint32_t c;
        match->from += tb_utf8_decode(&c, text.data + match->end, text.size - match->end);
    }
}
