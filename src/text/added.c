// Of tokens that start at the same place the longest is taken. White space and letters are what the reference library
// takes for them.
#include "text/added.h"

#include <utf8proc.h>

static bool is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r');
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return c == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

// What \w means in the reference library: letters and all else that is alphabetic, marks, decimal digits,
// connecting punctuation, joiners.
static bool is_word(uint32_t c)
{
    static const uint32_t others[][2] = {
        {0x200C, 0x200D},   {0x24B6, 0x24E9},   {0x1F130, 0x1F149}, // joiners, letters in circles and squares
        {0x1F150, 0x1F169}, {0x1F170, 0x1F189},
    };
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    if ((category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) || category == UTF8PROC_CATEGORY_PC)
        return true;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (c >= others[i][0] && c <= others[i][1])
            return true;
    return false;
}

// The character that ends at `at`; returns its bytes, 0 if there is none.
static size_t character_before(uint32_t *c, tb_text text, size_t at)
{
    for (size_t n = 1; n <= 4 && n <= at; n++)
        if (tb_utf8_decode(c, text.data + at - n, n) == n)
            return n;
    return 0;
}

static bool stands_alone(tb_text text, size_t begin, size_t end)
{
    uint32_t c;
    if (character_before(&c, text, begin) && is_word(c))
        return false;
    return !(tb_utf8_decode(&c, text.data + end, text.size - end) && is_word(c));
}

const tb_stretch *tb_control_find(const tb_control *control, size_t at)
{
    size_t low = 0, high = control->count;
    while (low < high) { // the first that ends behind `at`
        size_t middle = low + (high - low) / 2;
        if (control->stretches[middle].end <= control->offset + at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < control->count ? &control->stretches[low] : NULL;
}

static bool may_be_control(const tb_control *control, size_t begin, size_t end)
{
    const tb_stretch *s = tb_control_find(control, begin);
    return s && s->begin <= control->offset + begin && control->offset + end <= s->end;
}

// The longest added token that starts at `at` and may be matched; its id is −1 if there is none.
static tb_added match_here(const tb_tokenizer *t, const tb_prefix_index *index, tb_text text, size_t at,
                           const tb_control *control)
{
    tb_added best = {at, at, at, -1};
    tb_prefix_walk walk = {0};
    for (size_t end = at; end < text.size && tb_prefix_step(&walk, index, (unsigned char)text.data[end]);) {
        end++;
        int32_t id = tb_prefix_here(&walk, index);
        if (id < 0 || (t->kinds[id] != TB_TOKEN_USER_DEFINED && !may_be_control(control, at, end)))
            continue;
        if (!(t->flags[id] & TB_TOKEN_SINGLE_WORD) || stands_alone(text, at, end))
            best = (tb_added){at, end, end, id};
    }
    return best;
}

// Widens a match over the white space that the token swallows, not further back than `taken`.
static void strip_around(tb_added *match, uint8_t flags, tb_text text, size_t taken)
{
    uint32_t c;
    size_t n;
    while ((flags & TB_TOKEN_LSTRIP) && match->begin > taken && (n = character_before(&c, text, match->begin)) &&
           is_space(c))
        match->begin -= n;
    while ((flags & TB_TOKEN_RSTRIP) && (n = tb_utf8_decode(&c, text.data + match->end, text.size - match->end)) &&
           is_space(c))
        match->end += n;
}

// (As in the reference library a token that is white space is found also where the token before it swallowed that.)
tb_added tb_added_find(const tb_tokenizer *tokenizer, const tb_prefix_index *index, tb_text text, size_t from,
                       size_t taken, const tb_control *control)
{
    for (size_t at = from; at < text.size; at++) {
        unsigned char byte = (unsigned char)text.data[at];
        if (index->first[byte] == index->first[byte + 1])
            continue;
        tb_added match = match_here(tokenizer, index, text, at, control);
        if (match.id < 0)
            continue;
        strip_around(&match, tokenizer->flags[match.id], text, taken);
        return match;
    }
    return (tb_added){text.size, text.size, text.size, -1};
}
