// Each step cuts, or rewrites, the pieces that the step before it left. A text first falls into
// stretches of valid UTF-8, so that PCRE2 need not check it again for every match, and into
// stretches of other bytes, which no step sees.
//
// The names are those that GGUF files carry; the patterns are those with which the models
// were trained, as their tokenizer.json files have them. In byte-level BPE a text turns from
// characters to the letters of its bytes in the middle of the steps; pieces are given away as bytes
// all the same, so the turn is made only where steps stand behind it.
#include "text/pretokenize.h"

#include "text/bpe.h"
#include "text/pattern.h"

#include <assert.h>
#include <string.h>

#include <jansson.h>

enum { MAX_STEPS = 32 };

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
// What stands behind TO_BYTES sees the letters of bytes: "½" has two, of which one is a digit.
#define TO_BYTES ""
static const char *const falcon_patterns[] = {TB_PATTERN_PUNCTUATIONS, TB_PATTERN_GPT2,   TO_BYTES,
                                              TB_PATTERN_DIGITS,       "[0-9][0-9][0-9]", NULL};
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

const char *const *tb_pre_patterns_of(const char *pre)
{
    size_t row = find_known((tb_text){pre, strlen(pre)});
    assert(row < KNOWN);
    return known[row].patterns;
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

// ---- steps ----

typedef enum step_kind {
    STEP_SPLIT,  // cuts by the matches of a pattern
    STEP_CHUNKS, // cuts after every so many characters
    STEP_PREFIX, // puts a space in front, where there is none
    STEP_MARKS,  // writes marks for spaces and puts one in front
    STEP_BYTES,  // turns from characters to the letters of bytes
} step_kind;

// What becomes of matches.
typedef enum split_behavior {
    SPLIT_ISOLATED,
    SPLIT_REMOVED,
    SPLIT_CONTIGUOUS,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
} split_behavior;

// Whether STEP_MARKS puts a mark in front of a piece that has none.
typedef enum marks_scheme { MARKS_ALWAYS, MARKS_FIRST, MARKS_NEVER } marks_scheme;

typedef struct step {
    step_kind kind;
    tb_pattern *pattern; // SPLIT; owned
    split_behavior behavior;
    bool invert;   // SPLIT: what does not match is the match
    size_t length; // CHUNKS
    char mark[4];  // MARKS
    size_t mark_size;
    marks_scheme scheme;
} step;

struct tb_pretokenizer {
    step steps[MAX_STEPS];
    size_t count;
    bool has_bytes;   // a STEP_BYTES is among them …
    bool has_letters; // … and steps stand behind it
};

// One more step; NULL (TB_EUNSUPPORTED) where there are too many.
static step *add_step(tb_pretokenizer *p, step_kind kind, tb_error *err)
{
    if (p->count == MAX_STEPS) {
        tb_fail(err, TB_EUNSUPPORTED, "a pre_tokenizer of more than %d steps is not supported", MAX_STEPS);
        return NULL;
    }
    step *s = &p->steps[p->count++];
    *s = (step){.kind = kind};
    p->has_letters = p->has_bytes;
    p->has_bytes = p->has_bytes || kind == STEP_BYTES;
    return s;
}

static tb_code add_split(tb_pretokenizer *p, tb_text pattern, split_behavior behavior, bool invert, tb_error *err)
{
    step *s = add_step(p, STEP_SPLIT, err);
    if (!s)
        return TB_EUNSUPPORTED;
    s->behavior = behavior;
    s->invert = invert;
    return tb_pattern_new(&s->pattern, pattern, err);
}

static tb_code add_known_split(tb_pretokenizer *p, const char *pattern, split_behavior behavior, tb_error *err)
{
    return add_split(p, (tb_text){pattern, strlen(pattern)}, behavior, false, err);
}

static tb_code add_bytes(tb_pretokenizer *p, tb_error *err)
{
    if (p->has_bytes)
        return tb_fail(err, TB_EUNSUPPORTED, "pre_tokenizer ByteLevel behind ByteLevel is not supported");
    return add_step(p, STEP_BYTES, err) ? TB_OK : TB_EUNSUPPORTED;
}

// ---- steps by name ----

static tb_code add_named(tb_pretokenizer *p, tb_text pre, tb_error *err)
{
    size_t row = find_known(pre);
    if (pre.size == 0)
        return tb_fail(err, TB_EUNSUPPORTED, "the vocabulary does not name its pre-tokenizer");
    if (row == KNOWN)
        return tb_fail(err, TB_EUNSUPPORTED, "pre-tokenizer '%.*s' is not supported",
                       (int)(pre.size < 64 ? pre.size : 64), pre.data);
    tb_code rc = TB_OK;
    for (const char *const *pattern = known[row].patterns; *pattern && !rc; pattern++)
        rc = **pattern ? add_known_split(p, *pattern, SPLIT_ISOLATED, err) : add_bytes(p, err);
    return rc;
}

static tb_code add_lines(tb_pretokenizer *p, tb_text lines, tb_error *err)
{
    tb_code rc = TB_OK;
    while (lines.size > 0 && !rc) {
        const char *end = memchr(lines.data, '\n', lines.size);
        size_t n = end ? (size_t)(end - lines.data) : lines.size;
        rc = add_split(p, (tb_text){lines.data, n}, SPLIT_ISOLATED, false, err);
        n += end != NULL;
        lines = (tb_text){lines.data + n, lines.size - n};
    }
    return rc;
}

static tb_code add_all(tb_pretokenizer *p, tb_text pre, tb_error *err)
{
    static const char prefix[] = "regex:";
    const size_t prefix_size = sizeof prefix - 1;
    tb_code rc = pre.size >= prefix_size && memcmp(pre.data, prefix, prefix_size) == 0
                     ? add_lines(p, (tb_text){pre.data + prefix_size, pre.size - prefix_size}, err)
                     : add_named(p, pre, err);
    return rc || p->has_bytes ? rc : add_bytes(p, err);
}

static tb_code new_pretokenizer(tb_pretokenizer **out, tb_error *err)
{
    *out = tb_new(tb_pretokenizer);
    return *out ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a pre-tokenizer");
}

tb_code tb_pretokenizer_new(tb_pretokenizer **out, tb_text pre, tb_error *err)
{
    tb_code rc = new_pretokenizer(out, err);
    if (!rc)
        rc = add_all(*out, pre, err);
    if (rc) {
        tb_pretokenizer_free(*out);
        *out = NULL;
    }
    return rc;
}

void tb_pretokenizer_free(tb_pretokenizer *pretokenizer)
{
    if (!pretokenizer)
        return;
    for (size_t i = 0; i < pretokenizer->count; i++)
        tb_pattern_free(pretokenizer->steps[i].pattern);
    tb_free(pretokenizer);
}

bool tb_pretokenizer_has_bytes(const tb_pretokenizer *pretokenizer)
{
    return pretokenizer->has_bytes;
}

// ---- steps of tokenizer.json ----

static tb_code unsupported(tb_error *err, const char *what, tb_text setting)
{
    return tb_fail(err, TB_EUNSUPPORTED, "pre_tokenizer%s '%.*s' is not supported", what,
                   (int)(setting.size < 120 ? setting.size : 120), setting.data);
}

static tb_code read_behavior(split_behavior *out, const json_t *component, const char *what, tb_error *err)
{
    static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"};
    tb_text name = tb_json_text_at(component, "behavior");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (tb_text_is(name, names[i])) {
            *out = (split_behavior)i;
            return TB_OK;
        }
    return unsupported(err, what, name);
}

static tb_code add_literal_split(tb_pretokenizer *p, tb_text text, split_behavior behavior, bool invert, tb_error *err)
{
    step *s = add_step(p, STEP_SPLIT, err);
    if (!s)
        return TB_EUNSUPPORTED;
    s->behavior = behavior;
    s->invert = invert;
    return tb_pattern_new_literal(&s->pattern, text, err);
}

static tb_code read_split(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    const json_t *pattern = json_object_get(component, "pattern");
    tb_text regex = tb_json_text_at(pattern, "Regex");
    split_behavior behavior = SPLIT_ISOLATED;
    bool invert = tb_json_bool_at(component, "invert", false);
    tb_code rc = read_behavior(&behavior, component, " Split with behavior", err);
    if (rc)
        return rc;
    if (!json_is_string(json_object_get(pattern, "Regex")))
        return add_literal_split(p, tb_json_text_at(pattern, "String"), behavior, invert, err);
    rc = tb_pattern_check(regex, err);
    return rc ? rc : add_split(p, regex, behavior, invert, err);
}

static tb_code read_byte_level(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    tb_code rc = TB_OK;
    if (tb_json_bool_at(component, "add_prefix_space", true) && !add_step(p, STEP_PREFIX, err))
        return TB_EUNSUPPORTED;
    if (tb_json_bool_at(component, "use_regex", true))
        rc = add_known_split(p, TB_PATTERN_GPT2, SPLIT_ISOLATED, err);
    return rc ? rc : add_bytes(p, err);
}

static tb_code read_digits(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    bool each = tb_json_bool_at(component, "individual_digits", false);
    return add_known_split(p, TB_PATTERN_DIGIT, each ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, err);
}

static tb_code read_punctuation(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    split_behavior behavior = SPLIT_ISOLATED;
    tb_code rc = TB_OK;
    if (json_object_get(component, "behavior"))
        rc = read_behavior(&behavior, component, " Punctuation with behavior", err);
    return rc ? rc : add_known_split(p, TB_PATTERN_PUNCTUATION, behavior, err);
}

static tb_code read_whitespace_split(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    (void)component;
    return add_known_split(p, TB_PATTERN_SPACE, SPLIT_REMOVED, err);
}

static tb_code read_whitespace(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    (void)component;
    // Here the library's \w is that of another library than in patterns.
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}"
    static const char words[] = "[" WORD "]+|[^" WORD "\\p{White_Space}]+";
    return add_split(p, (tb_text){words, sizeof words - 1}, SPLIT_REMOVED, true, err);
}

static tb_code read_bert(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    tb_code rc = read_whitespace_split(p, component, err);
    return rc ? rc : add_known_split(p, TB_PATTERN_PUNCTUATION, SPLIT_ISOLATED, err);
}

static tb_code read_delimiter(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    tb_text delimiter = tb_json_text_at(component, "delimiter");
    return delimiter.size ? add_literal_split(p, delimiter, SPLIT_REMOVED, false, err)
                          : unsupported(err, " CharDelimiterSplit at", delimiter);
}

static tb_code read_fixed_length(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    const json_int_t length = json_integer_value(json_object_get(component, "length"));
    if (length <= 0)
        return tb_fail(err, TB_EFORMAT, "pre_tokenizer FixedLength has no length");
    step *s = add_step(p, STEP_CHUNKS, err);
    if (!s)
        return TB_EUNSUPPORTED;
    s->length = (size_t)length;
    return TB_OK;
}

static tb_code read_scheme(marks_scheme *out, const json_t *component, tb_error *err)
{
    static const char *const names[] = {"always", "first", "never"};
    tb_text name = tb_json_text_at(component, "prepend_scheme");
    *out = tb_json_bool_at(component, "add_prefix_space", true) ? MARKS_ALWAYS : MARKS_NEVER; // as files of old say it
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (tb_text_is(name, names[i])) {
            *out = (marks_scheme)i;
            return TB_OK;
        }
    return name.size ? unsupported(err, " Metaspace with prepend_scheme", name) : TB_OK;
}

static tb_code read_metaspace(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    tb_text mark = tb_json_text_at(component, "replacement");
    uint32_t c;
    if (p->has_bytes)
        return tb_fail(err, TB_EUNSUPPORTED, "pre_tokenizer Metaspace behind ByteLevel is not supported");
    if (mark.size == 0 || tb_utf8_decode(&c, mark.data, mark.size) != mark.size)
        return unsupported(err, " Metaspace with replacement", mark);
    step *s = add_step(p, STEP_MARKS, err);
    if (!s)
        return TB_EUNSUPPORTED;
    memcpy(s->mark, mark.data, mark.size);
    s->mark_size = mark.size;
    tb_code rc = read_scheme(&s->scheme, component, err);
    if (rc || !tb_json_bool_at(component, "split", true))
        return rc;
    return add_literal_split(p, mark, SPLIT_MERGED_WITH_NEXT, false, err);
}

static tb_code read_component(tb_pretokenizer *p, const json_t *component, tb_error *err)
{
    static const struct {
        const char *type;
        tb_code (*read)(tb_pretokenizer *p, const json_t *component, tb_error *err);
    } kinds[] = {
        {"ByteLevel", read_byte_level},         {"BertPreTokenizer", read_bert},
        {"CharDelimiterSplit", read_delimiter}, {"Digits", read_digits},
        {"FixedLength", read_fixed_length},     {"Metaspace", read_metaspace},
        {"Punctuation", read_punctuation},      {"Split", read_split},
        {"Whitespace", read_whitespace},        {"WhitespaceSplit", read_whitespace_split},
    };
    if (!component || json_is_null(component))
        return TB_OK;
    tb_text type = tb_json_text_at(component, "type");
    if (!tb_text_is(type, "Sequence")) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (tb_text_is(type, kinds[i].type))
                return kinds[i].read(p, component, err);
        return unsupported(err, "", type);
    }
    const json_t *list = json_object_get(component, "pretokenizers");
    tb_code rc = TB_OK;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        rc = read_component(p, json_array_get(list, i), err);
    return rc;
}

tb_code tb_pretokenizer_from_json(tb_pretokenizer **out, const json_t *component, tb_error *err)
{
    tb_code rc = new_pretokenizer(out, err);
    if (!rc)
        rc = read_component(*out, component, err);
    if (rc) {
        tb_pretokenizer_free(*out);
        *out = NULL;
    }
    return rc;
}

// ---- cutting ----

// Where a piece stands; a prefix depends on it.
typedef enum place {
    PLACE_START,  // at the start of the whole text
    PLACE_INSIDE, // anywhere else …
    PLACE_BROKEN, // … and behind bytes that are not UTF-8: not a piece by itself, and without a prefix
} place;

struct tb_presplit {
    const tb_pretokenizer *pretokenizer;
    tb_matcher *matcher;
    tb_str rewritten[MAX_STEPS]; // the piece behind a step that rewrites
    tb_str bytes;                // a piece in letters, as bytes
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
    s->bytes.limit = SIZE_MAX / 4;
    for (size_t i = 0; i < MAX_STEPS; i++)
        s->rewritten[i].limit = SIZE_MAX / 4;
    tb_code rc = tb_matcher_new(&s->matcher, err);
    if (rc)
        tb_presplit_free(s);
    else
        *out = s;
    return rc;
}

void tb_presplit_free(tb_presplit *split)
{
    if (!split)
        return;
    tb_matcher_free(split->matcher);
    for (size_t i = 0; i < MAX_STEPS; i++)
        tb_str_clear(&split->rewritten[i]);
    tb_str_clear(&split->bytes);
    tb_free(split);
}

static tb_code cut(tb_presplit *split, size_t level, tb_text text, place where, tb_error *err);

// A stretch of matching or of other text.
typedef struct segment {
    size_t begin, end;
    bool match;
} segment;

static bool are_joined(split_behavior behavior, const segment *left, const segment *right)
{
    switch (behavior) {
    case SPLIT_CONTIGUOUS:
        return left->match == right->match;
    case SPLIT_MERGED_WITH_PREVIOUS:
        return right->match && !left->match;
    case SPLIT_MERGED_WITH_NEXT:
        return left->match && !right->match;
    case SPLIT_ISOLATED:
    case SPLIT_REMOVED:
        break;
    }
    return false;
}

// One text being cut by one step; the segment that may still grow waits.
typedef struct cutter {
    tb_presplit *split;
    size_t level;
    tb_text text;
    place where;
    segment waiting;
    bool waits;
} cutter;

static tb_code cut_waiting(cutter *c, tb_error *err)
{
    const step *s = &c->split->pretokenizer->steps[c->level];
    const segment *w = &c->waiting;
    if (!c->waits || w->begin == w->end || (s->behavior == SPLIT_REMOVED && w->match))
        return TB_OK;
    return cut(c->split, c->level + 1, (tb_text){c->text.data + w->begin, w->end - w->begin},
               w->begin == 0 ? c->where : PLACE_INSIDE, err);
}

static tb_code add_segment(cutter *c, size_t begin, size_t end, bool match, tb_error *err)
{
    const step *s = &c->split->pretokenizer->steps[c->level];
    const segment next = {begin, end, match != s->invert};
    if (c->waits && are_joined(s->behavior, &c->waiting, &next)) {
        c->waiting.end = end;
        c->waiting.match = next.match;
        return TB_OK;
    }
    tb_code rc = cut_waiting(c, err);
    c->waiting = next;
    c->waits = true;
    return rc;
}

static tb_code cut_by_pattern(tb_presplit *split, size_t level, tb_text text, place where, tb_error *err)
{
    cutter c = {.split = split, .level = level, .text = text, .where = where};
    const tb_pattern *pattern = split->pretokenizer->steps[level].pattern;
    tb_match match = {0};
    tb_code rc;
    for (size_t done = 0;; done = match.end) {
        rc = tb_matcher_next(&match, split->matcher, pattern, text, err);
        if (!rc && done < match.begin)
            rc = add_segment(&c, done, match.begin, false, err);
        if (!rc && match.found)
            rc = add_segment(&c, match.begin, match.end, true, err);
        if (rc || !match.found)
            return rc ? rc : cut_waiting(&c, err);
    }
}

static tb_code cut_in_chunks(tb_presplit *split, size_t level, tb_text text, place where, tb_error *err)
{
    const size_t length = split->pretokenizer->steps[level].length;
    tb_code rc = TB_OK;
    for (size_t begin = 0, end; begin < text.size && !rc; begin = end, where = PLACE_INSIDE) {
        uint32_t c;
        end = begin;
        for (size_t i = 0; i < length && end < text.size; i++)
            end += tb_utf8_decode(&c, text.data + end, text.size - end);
        rc = cut(split, level + 1, (tb_text){text.data + begin, end - begin}, where, err);
    }
    return rc;
}

static tb_code write_letters(tb_str *out, tb_text text, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < text.size && !rc; i++) {
        char letter[4];
        rc = tb_str_append(out, letter, tb_alphabet_of_byte(letter, (unsigned char)text.data[i]), err);
    }
    return rc;
}

static tb_code write_prefixed(tb_str *out, tb_text text, place where, tb_error *err)
{
    tb_code rc = text.data[0] == ' ' || where == PLACE_BROKEN ? TB_OK : tb_str_append_text(out, " ", err);
    return rc ? rc : tb_str_append(out, text.data, text.size, err);
}

static bool wants_mark(const step *s, tb_text text, place where)
{
    if (text.data[0] == ' ' || (text.size >= s->mark_size && memcmp(text.data, s->mark, s->mark_size) == 0))
        return false;
    return s->scheme == MARKS_FIRST ? where == PLACE_START : s->scheme == MARKS_ALWAYS && where != PLACE_BROKEN;
}

static tb_code write_marked(tb_str *out, const step *s, tb_text text, place where, tb_error *err)
{
    tb_code rc = wants_mark(s, text, where) ? tb_str_append(out, s->mark, s->mark_size, err) : TB_OK;
    for (size_t i = 0; i < text.size && !rc; i++)
        rc = text.data[i] == ' ' ? tb_str_append(out, s->mark, s->mark_size, err)
                                 : tb_str_append(out, text.data + i, 1, err);
    return rc;
}

static tb_code rewrite(tb_presplit *split, size_t level, tb_text text, place where, tb_error *err)
{
    const step *s = &split->pretokenizer->steps[level];
    tb_str *out = &split->rewritten[level];
    tb_str_reset(out);
    tb_code rc = s->kind == STEP_BYTES    ? write_letters(out, text, err)
                 : s->kind == STEP_PREFIX ? write_prefixed(out, text, where, err)
                                          : write_marked(out, s, text, where, err);
    return rc ? rc : cut(split, level + 1, (tb_text){out->data, out->size}, where, err);
}

// Gives a piece away: its bytes, whatever it is written in.
static tb_code give(tb_presplit *split, tb_text text, tb_error *err)
{
    if (!split->pretokenizer->has_letters)
        return split->fn(split->user, text, err);
    tb_str_reset(&split->bytes);
    tb_code rc = TB_OK;
    for (size_t at = 0; at < text.size && !rc;) {
        uint32_t c = 0;
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        rc = tb_str_append(&split->bytes, &(char){(char)tb_byte_of_alphabet(c)}, 1, err);
    }
    return rc ? rc : split->fn(split->user, (tb_text){split->bytes.data, split->bytes.size}, err);
}

// Takes a piece through the steps from `level` on.
static tb_code cut(tb_presplit *split, size_t level, tb_text text, place where, tb_error *err)
{
    const tb_pretokenizer *p = split->pretokenizer;
    if (level == p->count)
        return give(split, text, err);
    switch (p->steps[level].kind) {
    case STEP_SPLIT:
        return cut_by_pattern(split, level, text, where, err);
    case STEP_CHUNKS:
        return cut_in_chunks(split, level, text, where, err);
    case STEP_BYTES:
        return p->has_letters ? rewrite(split, level, text, where, err) : cut(split, level + 1, text, where, err);
    case STEP_PREFIX:
    case STEP_MARKS:
        break;
    }
    return rewrite(split, level, text, where, err);
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

tb_code tb_presplit_run(tb_presplit *split, tb_text text, bool at_start, tb_piece_fn fn, void *user, tb_error *err)
{
    split->fn = fn;
    split->user = user;
    place where = at_start ? PLACE_START : PLACE_INSIDE;
    tb_code rc = TB_OK;
    while (!rc && text.size > 0) {
        size_t valid = tb_utf8_valid_prefix(text.data, text.size);
        tb_text rest = {text.data + valid, text.size - valid};
        size_t invalid = invalid_prefix(rest);
        tb_matcher_set_limit(split->matcher, valid);
        if (valid)
            rc = cut(split, 0, (tb_text){text.data, valid}, where, err);
        if (!rc && invalid)
            rc = fn(user, (tb_text){rest.data, invalid}, err);
        text = (tb_text){rest.data + invalid, rest.size - invalid};
        where = PLACE_BROKEN;
    }
    return rc;
}
