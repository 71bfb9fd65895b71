#include "template/unicode.h"

#include <utf8proc.h>

#include "template/unicode_tables.h"

enum {
    SIGMA = 0x3A3,
    SMALL_SIGMA = 0x3C3,
    FINAL_SIGMA = 0x3C2,
    DOTTED_I = 0x130,
    DOT_ABOVE = 0x307,
    IOTA = 0x3B9,
    IOTA_BELOW = 0x345,
    LONGEST_FOLDING = 4, // characters; Unicode has three
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static bool in_ranges(const uint32_t ranges[][2], size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c <= ranges[i][1])
            return c >= ranges[i][0];
    return false;
}

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool tb_unicode_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

bool tb_unicode_is_line_end(uint32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool tb_unicode_is_alpha(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

static bool has_numeric_category(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

bool tb_unicode_is_alnum(uint32_t c)
{
    return tb_unicode_is_alpha(c) || has_numeric_category(c);
}

bool tb_unicode_is_decimal(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND;
}

bool tb_unicode_is_digit(uint32_t c)
{
    return tb_unicode_is_decimal(c) || in_ranges(other_digits, COUNT(other_digits), c);
}

bool tb_unicode_is_printable(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return c == ' ' || (k >= UTF8PROC_CATEGORY_LU && k < UTF8PROC_CATEGORY_ZS);
}

static bool is_lower(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LL || in_ranges(other_lowercase, COUNT(other_lowercase), c);
}

static bool is_upper(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LU || in_ranges(other_uppercase, COUNT(other_uppercase), c);
}

static bool is_title(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LT;
}

static bool is_cased(uint32_t c)
{
    return is_lower(c) || is_upper(c) || is_title(c);
}

// Unicode's Case_Ignorable: characters that do not separate words where a final sigma is looked for.
static bool is_case_ignorable(uint32_t c)
{
    static const uint32_t inside_words[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                            0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    for (size_t i = 0; i < COUNT(inside_words); i++)
        if (c == inside_words[i])
            return true;
    switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

// The character that the first cased one after byte `at` is, going forward over ignorable ones, has case.
static bool cased_follows(tb_piece text, size_t at)
{
    uint32_t c;
    while (at < text.size) {
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        if (!is_case_ignorable(c))
            return is_cased(c);
    }
    return false;
}

// Upper or title case of a letter that becomes several: these are what its case folding becomes, letter by letter. Of a
// title the first that has case is large, and a iota that follows goes below it. 0: the letter becomes one.
static size_t put_expansion(char *out, uint32_t c, bool as_title)
{
    utf8proc_int32_t folded[LONGEST_FOLDING], simple = (utf8proc_int32_t)c;
    utf8proc_ssize_t count = utf8proc_decompose_char(simple, folded, LONGEST_FOLDING, UTF8PROC_CASEFOLD, &(int){0});
    bool has_own_form = is_upper(c) || (as_title && is_title((uint32_t)utf8proc_totitle(simple)));
    if (count < 2 || has_own_form)
        return 0;
    size_t n = 0;
    bool large = true;
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        utf8proc_int32_t upper = utf8proc_toupper(folded[i]), small = folded[i] == IOTA ? IOTA_BELOW : folded[i];
        n += tb_utf8_encode(out + n, (uint32_t)(large ? upper : small));
        large = !as_title || (large && upper == folded[i]);
    }
    return n;
}

static size_t put_upper(char *out, uint32_t c)
{
    size_t n = put_expansion(out, c, false);
    return n ? n : tb_utf8_encode(out, (uint32_t)utf8proc_toupper((utf8proc_int32_t)c));
}

static size_t put_title(char *out, uint32_t c)
{
    size_t n = put_expansion(out, c, true);
    return n ? n : tb_utf8_encode(out, (uint32_t)utf8proc_totitle((utf8proc_int32_t)c));
}

// A sigma that ends a word has a form of its own.
static size_t put_lower(char *out, uint32_t c, const tb_conversion *walk, tb_piece text)
{
    if (c == SIGMA)
        return tb_utf8_encode(out, walk->cased_before && !cased_follows(text, walk->at) ? FINAL_SIGMA : SMALL_SIGMA);
    if (c == DOTTED_I) { // the only character whose lower case has two
        *out = 'i';
        return 1 + tb_utf8_encode(out + 1, DOT_ABOVE);
    }
    return tb_utf8_encode(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

size_t tb_unicode_convert(char out[TB_CONVERTED_BYTES], tb_conversion *walk, tb_letter_case how, tb_piece text)
{
    uint32_t c;
    size_t n;
    bool first = walk->at == 0;
    walk->at += tb_utf8_decode(&c, text.data + walk->at, text.size - walk->at);
    if (how == TB_CASE_UPPER)
        n = put_upper(out, c);
    else if ((how == TB_CASE_TITLE && !walk->after_cased) || (how == TB_CASE_CAPITALIZE && first))
        n = put_title(out, c);
    else
        n = put_lower(out, c, walk, text);
    walk->after_cased = is_cased(c);
    if (!is_case_ignorable(c))
        walk->cased_before = walk->after_cased;
    return n;
}

bool tb_unicode_text_has_case(tb_piece text, tb_letter_case which)
{
    bool some = false;
    uint32_t c;
    for (size_t at = 0; at < text.size;) {
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        if (is_cased(c) && !(which == TB_CASE_UPPER ? is_upper(c) : is_lower(c)))
            return false;
        some |= is_cased(c);
    }
    return some;
}

size_t tb_unicode_count(tb_piece text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++)
        n += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return n;
}

size_t tb_unicode_offset(tb_piece text, size_t index)
{
    size_t at = 0;
    while (index > 0 && at < text.size) {
        at++;
        while (at < text.size && ((unsigned char)text.data[at] & 0xC0) == 0x80)
            at++;
        index--;
    }
    return at;
}
