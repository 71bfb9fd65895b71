#include "template/unicode.h"

#include <utf8proc.h>

#include "template/unicode_tables.h"

enum { SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2, DOTTED_I = 0x130, DOT_ABOVE = 0x307 };

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static bool in_ranges(const uint32_t ranges[][2], size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
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

bool tb_unicode_is_numeric(uint32_t c)
{
    return has_numeric_category(c) || in_ranges(other_numerics, COUNT(other_numerics), c);
}

bool tb_unicode_is_printable(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return c == ' ' || (k >= UTF8PROC_CATEGORY_LU && k < UTF8PROC_CATEGORY_ZS);
}

bool tb_unicode_is_lower(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LL || in_ranges(other_lowercase, COUNT(other_lowercase), c);
}

bool tb_unicode_is_upper(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LU || in_ranges(other_uppercase, COUNT(other_uppercase), c);
}

bool tb_unicode_is_title(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LT;
}

static bool is_cased(uint32_t c)
{
    return tb_unicode_is_lower(c) || tb_unicode_is_upper(c) || tb_unicode_is_title(c);
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

static tb_code append_character(tb_str *out, uint32_t c, tb_error *err)
{
    char bytes[4];
    return tb_str_append(out, bytes, tb_utf8_encode(bytes, c), err);
}

// Appends what an expansion table has for `c`; *found says whether it has it.
static tb_code append_expansion(bool *found, tb_str *out, const uint32_t table[][4], size_t n, uint32_t c,
                                tb_error *err)
{
    *found = false;
    for (size_t i = 0; i < n; i++)
        if (table[i][0] == c) {
            *found = true;
            tb_code rc = TB_OK;
            for (size_t k = 1; k < 4 && table[i][k] && !rc; k++)
                rc = append_character(out, table[i][k], err);
            return rc;
        }
    return TB_OK;
}

static tb_code append_upper(tb_str *out, uint32_t c, tb_error *err)
{
    bool found;
    tb_code rc = append_expansion(&found, out, upper_expansions, COUNT(upper_expansions), c, err);
    if (rc || found)
        return rc;
    return append_character(out, (uint32_t)utf8proc_toupper((utf8proc_int32_t)c), err);
}

static tb_code append_title(tb_str *out, uint32_t c, tb_error *err)
{
    bool found;
    tb_code rc = append_expansion(&found, out, title_expansions, COUNT(title_expansions), c, err);
    if (rc || found)
        return rc;
    return append_character(out, (uint32_t)utf8proc_totitle((utf8proc_int32_t)c), err);
}

// The first cased character after byte `at`, going forward over ignorable ones.
static bool cased_follows(tb_text text, size_t at)
{
    uint32_t c;
    while (at < text.size) {
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        if (!is_case_ignorable(c))
            return is_cased(c);
    }
    return false;
}

// A sigma that ends a word; `cased_before` tells whether the last character that is not ignorable is cased.
static uint32_t lower_sigma(tb_text text, size_t next, bool cased_before)
{
    return cased_before && !cased_follows(text, next) ? FINAL_SIGMA : SMALL_SIGMA;
}

static tb_code append_lower(tb_str *out, uint32_t c, tb_text text, size_t next, bool cased_before, tb_error *err)
{
    if (c == SIGMA)
        return append_character(out, lower_sigma(text, next, cased_before), err);
    if (c == DOTTED_I) { // the only character whose lower case has two
        tb_code rc = append_character(out, 'i', err);
        return rc ? rc : append_character(out, DOT_ABOVE, err);
    }
    return append_character(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c), err);
}

tb_code tb_unicode_convert(tb_str *out, tb_text text, tb_letter_case how, tb_error *err)
{
    bool cased_before = false; // the last character that is not ignorable, for the final sigma
    bool after_cased = false;  // the last character, for title case
    tb_code rc = TB_OK;
    uint32_t c;
    for (size_t at = 0, n; at < text.size && !rc; at += n) {
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        bool raise = how == TB_CASE_UPPER || (how == TB_CASE_SWAP && tb_unicode_is_lower(c));
        bool keep = how == TB_CASE_SWAP && !raise && !tb_unicode_is_upper(c);
        bool head = (how == TB_CASE_TITLE && !after_cased) || (how == TB_CASE_CAPITALIZE && at == 0);
        if (keep)
            rc = append_character(out, c, err);
        else if (raise)
            rc = append_upper(out, c, err);
        else if (head)
            rc = append_title(out, c, err);
        else
            rc = append_lower(out, c, text, at + n, cased_before, err);
        after_cased = is_cased(c);
        if (!is_case_ignorable(c))
            cased_before = after_cased;
    }
    return rc;
}

static bool all_cased_are(tb_text text, bool (*wanted)(uint32_t))
{
    bool some = false;
    uint32_t c;
    for (size_t at = 0; at < text.size;) {
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        if (!is_cased(c))
            continue;
        if (!wanted(c))
            return false;
        some = true;
    }
    return some;
}

bool tb_unicode_text_is_lower(tb_text text)
{
    return all_cased_are(text, tb_unicode_is_lower);
}

bool tb_unicode_text_is_upper(tb_text text)
{
    return all_cased_are(text, tb_unicode_is_upper);
}

bool tb_unicode_text_is_title(tb_text text)
{
    bool some = false, after_cased = false;
    uint32_t c;
    for (size_t at = 0; at < text.size;) {
        at += tb_utf8_decode(&c, text.data + at, text.size - at);
        bool head = tb_unicode_is_upper(c) || tb_unicode_is_title(c), tail = tb_unicode_is_lower(c);
        if ((head && after_cased) || (tail && !after_cased))
            return false;
        after_cased = head || tail;
        some |= after_cased;
    }
    return some;
}

size_t tb_unicode_count(tb_text text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++)
        n += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return n;
}

size_t tb_unicode_offset(tb_text text, size_t index)
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
