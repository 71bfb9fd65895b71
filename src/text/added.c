// Of tokens that start at the same place the longest is taken.
#include "text/added.h"

#include "text/characters.h"

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
    if (character_before(&c, text, begin) && tb_is_word(c))
        return false;
    return !(tb_utf8_decode(&c, text.data + end, text.size - end) && tb_is_word(c));
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

// The longest added token that starts at `at` and may stand there; its id is −1 if there is none.
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
           tb_is_space(c))
        match->begin -= n;
    if ((flags & TB_TOKEN_LSTRIP) && match->begin < taken)
        match->begin = taken;
    while ((flags & TB_TOKEN_RSTRIP) && (n = tb_utf8_decode(&c, text.data + match->end, text.size - match->end)) &&
           tb_is_space(c))
        match->end += n;
}

// As in the reference library a token that is white space is found also where the token before it swallowed that, and
// inside a token that does not stand alone as it should, none is looked for.
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
        if ((tokenizer->flags[match.id] & TB_TOKEN_SINGLE_WORD) && !stands_alone(text, at, match.end)) {
            at = match.end - 1;
            continue;
        }
        strip_around(&match, tokenizer->flags[match.id], text, taken);
        return match;
    }
    return (tb_added){text.size, text.size, text.size, -1};
}
