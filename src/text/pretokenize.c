// Each pattern cuts the pieces that the pattern before it left into matches and what lies
// between them. A text first falls into stretches of valid UTF-8, so that PCRE2 need not
// check it again for every match, and into stretches of other bytes.
//
// The names are those that GGUF files carry; the patterns are those with which the models
// were trained, as their tokenizer.json files have them.
#include "text/pretokenize.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    MAX_PATTERNS = 16,
    JIT_STACK_START = 32 * 1024,
    JIT_STACK_LIMIT = 8 * 1024 * 1024,
    // Work that a match may take: a constant and so much for each byte of the text. The known
    // patterns need a few steps a byte; the limit stops patterns that explode.
    MATCH_LIMIT_BASE = 1000 * 1000,
    MATCH_LIMIT_PER_BYTE = 100,
};

// ---- the known patterns ----

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LLAMA3_WITH_DIGITS(digits)                                                                                     \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                                              \
                 "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_WORDS(suffix)                                                                                            \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" suffix
#define CASED_REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CJK "[一-龥ࠀ-一가-퟿]+"

static const char *const gpt2_patterns[] = {TB_PATTERN_GPT2, NULL};
static const char *const digits_patterns[] = {TB_PATTERN_DIGIT, TB_PATTERN_GPT2, NULL};
static const char *const llama3_patterns[] = {LLAMA3_WITH_DIGITS("\\p{N}{1,3}"), NULL};
static const char *const qwen2_patterns[] = {LLAMA3_WITH_DIGITS("\\p{N}"), NULL};
static const char *const qwen35_patterns[] = {CONTRACTIONS
                                              "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
                                              "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
                                              NULL};
static const char *const tekken_patterns[] = {CASED_WORDS("") "|\\p{N}" CASED_REST, NULL};
static const char *const gpt4o_patterns[] = {CASED_WORDS(CONTRACTIONS "?") "|\\p{N}{1,3}" CASED_REST, NULL};
static const char *const deepseek_coder_patterns[] = {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}", NULL};
static const char *const deepseek_llm_patterns[] = {
    "[\r\n]",
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽ"
    "Ა-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1F7Dᾀ-ᾴᾶ-ᾼ\u1FBE"
    "ῂ-ῄῆ-ῌῐ-\u1FD3ῖ-\u1FDBῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212A-ℭℯ-ℴℹ"
    "ℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚ"
    "ａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
    "\\s+$",
    CJK,
    "\\p{N}",
    NULL};
static const char *const deepseek_v3_patterns[] = {
    "\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    NULL};
static const char *const falcon_patterns[] = {TB_PATTERN_PUNCTUATIONS, TB_PATTERN_GPT2, TB_PATTERN_DIGITS,
                                              "[0-9][0-9][0-9]", NULL};
static const char *const default_patterns[] = {"[\\p{P}$+<=>^~|]+", TB_PATTERN_GPT2, TB_PATTERN_DIGITS,
                                               "[0-9][0-9][0-9]", NULL};
static const char *const bloom_patterns[] = {" ?[^(\\s|.,!?…。，、।۔،)]+", NULL};
static const char *const viking_patterns[] = {" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}", NULL};

// The first name of several with the same patterns is the one that export writes.
static const struct {
    const char *name;
    const char *const *patterns;
    tb_pre_traits traits;
} known[] = {
    {"gpt-2", gpt2_patterns, {0}},
    {"mpt", gpt2_patterns, {0}},
    {"olmo", gpt2_patterns, {0}},
    {"gpt-neox", gpt2_patterns, {0}},
    {"phi-2", gpt2_patterns, {0}},
    {"jais", gpt2_patterns, {0}},
    {"trillion", gpt2_patterns, {0}},
    {"exaone4", gpt2_patterns, {0}},
    {"gigachat", gpt2_patterns, {0}},
    {"mellum", gpt2_patterns, {0}},
    {"granite-docling", gpt2_patterns, {0}},
    {"a.x-4.0", gpt2_patterns, {0}},
    {"smollm", digits_patterns, {0}},
    {"starcoder", digits_patterns, {0}},
    {"refact", digits_patterns, {0}},
    {"command-r", digits_patterns, {0}},
    {"codeshell", digits_patterns, {0}},
    {"exaone", digits_patterns, {0}},
    {"minerva-7b", digits_patterns, {0}},
    {"llama-bpe", llama3_patterns, {.ignore_merges = true, .add_bos = true}},
    {"llama3", llama3_patterns, {.ignore_merges = true, .add_bos = true}},
    {"llama-v3", llama3_patterns, {.ignore_merges = true, .add_bos = true}},
    {"falcon3", llama3_patterns, {.ignore_merges = true, .add_bos = true}},
    {"falcon-h1", llama3_patterns, {.ignore_merges = true, .add_bos = true}},
    {"pixtral", llama3_patterns, {.ignore_merges = true, .add_bos = true}},
    {"midm-2.0", llama3_patterns, {.ignore_merges = true, .add_bos = true}},
    {"lfm2", llama3_patterns, {.ignore_merges = true, .add_bos = true}},
    {"smaug-bpe", llama3_patterns, {0}},
    {"dbrx", llama3_patterns, {0}},
    {"glm4", llama3_patterns, {0}},
    {"chatglm-bpe", llama3_patterns, {0}},
    {"qwen2", qwen2_patterns, {0}},
    {"stablelm2", qwen2_patterns, {0}},
    {"deepseek-r1-qwen", qwen2_patterns, {0}},
    {"megrez", qwen2_patterns, {0}},
    {"hunyuan", qwen2_patterns, {0}},
    {"qwen35", qwen35_patterns, {0}},
    {"tekken", tekken_patterns, {.ignore_merges = true, .add_bos = true}},
    {"gpt-4o", gpt4o_patterns, {0}},
    {"llama4", gpt4o_patterns, {0}},
    {"deepseek-llm", deepseek_llm_patterns, {0}},
    {"deepseek-coder", deepseek_coder_patterns, {0}},
    {"deepseek-v3", deepseek_v3_patterns, {0}},
    {"hunyuan-dense", deepseek_v3_patterns, {0}},
    {"falcon", falcon_patterns, {0}},
    {"default", default_patterns, {0}},
    {"bloom", bloom_patterns, {0}},
    {"gpt3-finnish", bloom_patterns, {0}},
    {"poro-chat", bloom_patterns, {0}},
    {"viking", viking_patterns, {0}},
};
enum { KNOWN = sizeof known / sizeof *known };

// The row of a name, KNOWN if there is none.
static size_t find_known(tb_text pre)
{
    size_t i = 0;
    while (i < KNOWN && !tb_text_is(pre, known[i].name))
        i++;
    return i;
}

tb_pre_traits tb_pre_traits_of(tb_text pre)
{
    size_t row = find_known(pre);
    return row < KNOWN ? known[row].traits : (tb_pre_traits){0};
}

const char *tb_pre_name_of(const tb_text *patterns, size_t count, bool ignore_merges)
{
    for (size_t row = 0; row < KNOWN; row++) {
        size_t same = 0;
        while (same < count && known[row].patterns[same] && tb_text_is(patterns[same], known[row].patterns[same]))
            same++;
        if (same == count && !known[row].patterns[same] && known[row].traits.ignore_merges == ignore_merges)
            return known[row].name;
    }
    return NULL;
}

// ---- compiling ----

struct tb_pretokenizer {
    pcre2_general_context *memory;
    size_t count;
    pcre2_code *codes[MAX_PATTERNS];
};

static void *pcre2_get_memory(size_t size, void *user)
{
    (void)user;
    return tb_alloc(size);
}

static void pcre2_free_memory(void *block, void *user)
{
    (void)user;
    tb_free(block);
}

// "\\s+$" is tried from every place inside a run of spaces, in quadratic time; a match that is
// searched from the left starts where a run does.
static tb_text quick_form(tb_text pattern)
{
    static const char quick[] = "(?<!\\s)\\s+$";
    return tb_text_is(pattern, "\\s+$") ? (tb_text){quick, sizeof quick - 1} : pattern;
}

static tb_code compile(tb_pretokenizer *pretokenizer, tb_text pattern, tb_error *err)
{
    if (pretokenizer->count == MAX_PATTERNS)
        return tb_fail(err, TB_EUNSUPPORTED, "a pre-tokenizer of more than %d patterns is not supported", MAX_PATTERNS);
    pcre2_compile_context *context = pcre2_compile_context_create(pretokenizer->memory);
    if (!context)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a pre-tokenizer");
    pattern = quick_form(pattern);
    int error;
    PCRE2_SIZE at;
    // Without NEVER_BACKSLASH_C a pattern could cut inside a character.
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.size,
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, context);
    pcre2_compile_context_free(context);
    if (!code && error == PCRE2_ERROR_HEAP_FAILED)
        return tb_fail(err, TB_ENOMEM, "no memory to compile a pre-tokenizer");
    if (!code) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(error, reason, sizeof reason);
        return tb_fail(err, TB_EFORMAT, "pre-tokenizer pattern '%.*s' is not understood at byte %zu: %s",
                       (int)(pattern.size < 160 ? pattern.size : 160), pattern.data, (size_t)at, (char *)reason);
    }
    // Where machine code cannot be had the interpreter gives the same matches.
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    pretokenizer->codes[pretokenizer->count++] = code;
    return TB_OK;
}

static tb_code compile_known(tb_pretokenizer *pretokenizer, tb_text pre, tb_error *err)
{
    size_t row = find_known(pre);
    if (pre.size == 0)
        return tb_fail(err, TB_EUNSUPPORTED, "the vocabulary does not name its pre-tokenizer");
    if (row == KNOWN)
        return tb_fail(err, TB_EUNSUPPORTED, "pre-tokenizer '%.*s' is not supported",
                       (int)(pre.size < 64 ? pre.size : 64), pre.data);
    tb_code rc = TB_OK;
    for (const char *const *pattern = known[row].patterns; *pattern && !rc; pattern++)
        rc = compile(pretokenizer, (tb_text){*pattern, strlen(*pattern)}, err);
    return rc;
}

static tb_code compile_lines(tb_pretokenizer *pretokenizer, tb_text lines, tb_error *err)
{
    tb_code rc = TB_OK;
    while (lines.size > 0 && !rc) {
        const char *end = memchr(lines.data, '\n', lines.size);
        size_t n = end ? (size_t)(end - lines.data) : lines.size;
        rc = compile(pretokenizer, (tb_text){lines.data, n}, err);
        n += end != NULL;
        lines = (tb_text){lines.data + n, lines.size - n};
    }
    return rc;
}

tb_code tb_pretokenizer_new(tb_pretokenizer **out, tb_text pre, tb_error *err)
{
    static const char prefix[] = "regex:";
    const size_t prefix_size = sizeof prefix - 1;
    *out = NULL;
    tb_pretokenizer *p = tb_new(tb_pretokenizer);
    if (p)
        p->memory = pcre2_general_context_create(pcre2_get_memory, pcre2_free_memory, NULL);
    tb_code rc;
    if (!p || !p->memory)
        rc = tb_fail(err, TB_ENOMEM, "no memory for a pre-tokenizer");
    else if (pre.size >= prefix_size && memcmp(pre.data, prefix, prefix_size) == 0)
        rc = compile_lines(p, (tb_text){pre.data + prefix_size, pre.size - prefix_size}, err);
    else
        rc = compile_known(p, pre, err);
    if (rc)
        tb_pretokenizer_free(p);
    else
        *out = p;
    return rc;
}

void tb_pretokenizer_free(tb_pretokenizer *pretokenizer)
{
    if (!pretokenizer)
        return;
    for (size_t i = 0; i < pretokenizer->count; i++)
        pcre2_code_free(pretokenizer->codes[i]);
    pcre2_general_context_free(pretokenizer->memory);
    tb_free(pretokenizer);
}

// ---- cutting ----

struct tb_presplit {
    const tb_pretokenizer *pretokenizer;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    pcre2_match_data *match;
    tb_piece_fn fn;
    void *user;
};

tb_code tb_presplit_new(tb_presplit **out, const tb_pretokenizer *pretokenizer, tb_error *err)
{
    *out = NULL;
    tb_presplit *s = tb_new(tb_presplit);
    if (!s)
        return tb_fail(err, TB_ENOMEM, "no memory for a pre-tokenizer");
    s->pretokenizer = pretokenizer;
    s->context = pcre2_match_context_create(pretokenizer->memory);
    s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_LIMIT, pretokenizer->memory);
    s->match = pcre2_match_data_create(1, pretokenizer->memory);
    if (!s->context || !s->match) {
        tb_presplit_free(s);
        return tb_fail(err, TB_ENOMEM, "no memory for a pre-tokenizer");
    }
    if (s->stack) // without one, machine code has the 32 KiB that PCRE2 itself gives it
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    *out = s;
    return TB_OK;
}

void tb_presplit_free(tb_presplit *split)
{
    if (!split)
        return;
    pcre2_match_data_free(split->match);
    pcre2_jit_stack_free(split->stack);
    pcre2_match_context_free(split->context);
    tb_free(split);
}

// The next match of a pattern at or behind `from`; *begin = *end = text.size when there is none.
static tb_code next_match(size_t *begin, size_t *end, tb_presplit *split, const pcre2_code *code, tb_text text,
                          size_t from, tb_error *err)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text.data;
    int found = pcre2_match(code, subject, text.size, from, PCRE2_NO_UTF_CHECK, split->match, split->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(code, subject, text.size, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, split->match,
                            split->context);
    *begin = *end = text.size;
    if (found == PCRE2_ERROR_NOMATCH)
        return TB_OK;
    if (found == PCRE2_ERROR_NOMEMORY)
        return tb_fail(err, TB_ENOMEM, "no memory to match a pre-tokenizer pattern");
    if (found < 0) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(found, reason, sizeof reason);
        return tb_fail(err, TB_EUNSUPPORTED, "a pre-tokenizer pattern fails on %zu bytes of text: %s", text.size,
                       (char *)reason);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(split->match);
    *begin = bounds[0];
    *end = bounds[1];
    return TB_OK;
}

static tb_code cut(tb_presplit *split, size_t level, tb_text text, tb_error *err);

static tb_code cut_part(tb_presplit *split, size_t level, tb_text text, size_t begin, size_t end, tb_error *err)
{
    return begin < end ? cut(split, level, (tb_text){text.data + begin, end - begin}, err) : TB_OK;
}

// Cuts a piece with the patterns from `level` on.
static tb_code cut(tb_presplit *split, size_t level, tb_text text, tb_error *err)
{
    if (level == split->pretokenizer->count)
        return split->fn(split->user, text, err);
    size_t done = 0, from = 0;
    tb_code rc = TB_OK;
    while (!rc && done < text.size) {
        size_t begin, end;
        rc = next_match(&begin, &end, split, split->pretokenizer->codes[level], text, from, err);
        if (rc)
            break;
        if (begin == end && end < text.size) { // an empty match cuts nothing: look behind the next character
            uint32_t c;
            from = begin + tb_utf8_decode(&c, text.data + begin, text.size - begin);
            continue;
        }
        rc = cut_part(split, level + 1, text, done, begin, err);
        if (!rc)
            rc = cut_part(split, level + 1, text, begin, end, err);
        done = from = end;
    }
    return rc;
}

// Bytes at the start of `text` that belong to no valid character.
static size_t invalid_prefix(tb_text text)
{
    uint32_t c;
    size_t n = 0;
    while (n < text.size && tb_utf8_decode(&c, text.data + n, text.size - n) == 0)
        n++;
    return n;
}

static void set_match_limit(tb_presplit *split, size_t size)
{
    size_t limit =
        size < UINT32_MAX / (2 * MATCH_LIMIT_PER_BYTE) ? MATCH_LIMIT_BASE + MATCH_LIMIT_PER_BYTE * size : UINT32_MAX;
    pcre2_set_match_limit(split->context, (uint32_t)limit);
}

tb_code tb_presplit_run(tb_presplit *split, tb_text text, tb_piece_fn fn, void *user, tb_error *err)
{
    split->fn = fn;
    split->user = user;
    tb_code rc = TB_OK;
    while (!rc && text.size > 0) {
        size_t valid = tb_utf8_valid_prefix(text.data, text.size);
        tb_text rest = {text.data + valid, text.size - valid};
        size_t invalid = invalid_prefix(rest);
        set_match_limit(split, valid);
        if (valid)
            rc = cut(split, 0, (tb_text){text.data, valid}, err);
        if (!rc && invalid)
            rc = fn(user, (tb_text){rest.data, invalid}, err);
        text = (tb_text){rest.data + invalid, rest.size - invalid};
    }
    return rc;
}
