// From text to tokens: added tokens are cut out, what lies between them is normalised and
// goes to the algorithm of the vocabulary.
#include "text/spm.h"
#include "text/tokenizer.h"
#include "text/unigram.h"

#include <string.h>

#include <utf8proc.h>

// One call of tb_encode.
typedef struct encoder {
    const tb_tokenizer *tokenizer;
    tb_ids *ids;
    unsigned flags;
    tb_merger merger;
    tb_presplit *split; // BPE
    tb_lattice lattice; // unigram
    tb_str normal;      // a stretch, normalised
    tb_str marked;      // a stretch with a space in front or, for SentencePiece, with marks for spaces
} encoder;

// ---- byte-level BPE ----

static tb_code encode_piece(void *user, tb_text piece, tb_error *err)
{
    encoder *e = user;
    const tb_tokenizer *t = e->tokenizer;
    int32_t whole = t->ignore_merges ? tb_text_map_find(&t->by_piece, piece.data, piece.size) : -1;
    if (whole >= 0)
        return tb_ids_push(e->ids, whole, err);
    return tb_bpe_encode(e->ids, t->merges, t->byte_ids, piece, &e->merger, err);
}

static tb_code encode_bpe(encoder *e, tb_text text, bool prefix, tb_error *err)
{
    if (!prefix)
        return tb_presplit_run(e->split, text, encode_piece, e, err);
    tb_str_reset(&e->marked);
    tb_code rc = tb_str_append_text(&e->marked, " ", err);
    if (!rc)
        rc = tb_str_append(&e->marked, text.data, text.size, err);
    return rc ? rc : tb_presplit_run(e->split, (tb_text){e->marked.data, e->marked.size}, encode_piece, e, err);
}

// ---- SentencePiece ----

// Writes `text` with its spaces as marks.
static tb_code mark_spaces(tb_str *out, tb_text text, bool prefix, bool squeeze, tb_error *err)
{
    tb_code rc = TB_OK;
    if (prefix)
        rc = tb_str_append_text(out, TB_SPACE_MARK, err);
    while (!rc && text.size > 0) {
        const char *space = memchr(text.data, ' ', text.size);
        size_t n = space ? (size_t)(space - text.data) : text.size;
        rc = tb_str_append(out, text.data, n, err);
        text = (tb_text){text.data + n, text.size - n};
        if (rc || !space)
            break;
        size_t run = 0;
        while (run < text.size && text.data[run] == ' ')
            run++;
        for (size_t i = 0; i < (squeeze ? 1 : run) && !rc; i++)
            rc = tb_str_append_text(out, TB_SPACE_MARK, err);
        text = (tb_text){text.data + run, text.size - run};
    }
    return rc;
}

static tb_text trim_spaces(tb_text text)
{
    while (text.size > 0 && text.data[0] == ' ')
        text = (tb_text){text.data + 1, text.size - 1};
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

static tb_code encode_sentencepiece(encoder *e, tb_text text, bool prefix, tb_error *err)
{
    bool squeeze = e->tokenizer->remove_extra_whitespaces;
    if (squeeze) {
        text = trim_spaces(text);
        if (text.size == 0)
            return TB_OK;
    }
    tb_str_reset(&e->marked);
    tb_code rc = mark_spaces(&e->marked, text, prefix, squeeze, err);
    tb_text marked = {e->marked.data, e->marked.size};
    if (rc)
        return rc;
    return e->tokenizer->model == TB_VOCAB_SPM ? tb_spm_encode(e->ids, e->tokenizer, marked, &e->merger, err)
                                               : tb_unigram_encode(e->ids, e->tokenizer, marked, &e->lattice, err);
}

// Tokenizes a normalised stretch without added tokens; `prefix`: a space may be due in front of it.
static tb_code encode_plain(encoder *e, tb_text text, bool prefix, tb_error *err)
{
    const tb_tokenizer *t = e->tokenizer;
    if (t->space_prefix_missing && text.size > 0 && text.data[0] == ' ')
        prefix = false;
    return t->model == TB_VOCAB_BPE ? encode_bpe(e, text, prefix, err) : encode_sentencepiece(e, text, prefix, err);
}

// ---- added tokens ----

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

// An added token found in a text: with the white space that it swallows, and where its own text ends.
typedef struct found {
    size_t begin, end, own_end;
    int32_t id;
} found;

// The longest added token that starts at `at` and may be matched; its id is −1 if there is none.
static found match_added(const encoder *e, const tb_prefix_index *index, tb_text text, size_t at)
{
    const tb_tokenizer *t = e->tokenizer;
    found best = {at, at, at, -1};
    tb_prefix_walk walk = {0};
    for (size_t end = at; end < text.size && tb_prefix_step(&walk, index, (unsigned char)text.data[end]);) {
        end++;
        int32_t id = tb_prefix_here(&walk, index);
        if (id < 0 || (t->kinds[id] != TB_TOKEN_USER_DEFINED && !(e->flags & TB_ENCODE_SPECIAL)))
            continue;
        if (!(t->flags[id] & TB_TOKEN_SINGLE_WORD) || stands_alone(text, at, end))
            best = (found){at, end, end, id};
    }
    return best;
}

// Widens a match over the white space that the token swallows, not further back than `taken`.
static void strip_around(found *match, const encoder *e, tb_text text, size_t taken)
{
    uint8_t flags = e->tokenizer->flags[match->id];
    uint32_t c;
    size_t n;
    while ((flags & TB_TOKEN_LSTRIP) && match->begin > taken && (n = character_before(&c, text, match->begin)) &&
           is_space(c))
        match->begin -= n;
    while ((flags & TB_TOKEN_RSTRIP) && (n = tb_utf8_decode(&c, text.data + match->end, text.size - match->end)) &&
           is_space(c))
        match->end += n;
}

// The next added token at or behind `from`; its id is −1 at the end of the text. What lies before
// `taken` has been swallowed already. (As in the reference library a token that is white space
// is found also where the token before it swallowed that.)
static found find_added(const encoder *e, const tb_prefix_index *index, tb_text text, size_t from, size_t taken)
{
    for (size_t at = from; at < text.size; at++) {
        unsigned char byte = (unsigned char)text.data[at];
        if (index->first[byte] == index->first[byte + 1])
            continue;
        found match = match_added(e, index, text, at);
        if (match.id < 0)
            continue;
        strip_around(&match, e, text, taken);
        return match;
    }
    return (found){text.size, text.size, text.size, -1};
}

// True when a token is part of the text around it as far as the space prefix goes.
static bool is_part_of_text(const tb_tokenizer *t, int32_t id)
{
    return id >= 0 && t->space_prefix_over_user_defined && t->kinds[id] == TB_TOKEN_USER_DEFINED;
}

typedef tb_code (*stretch_fn)(encoder *e, tb_text text, bool prefix, tb_error *err);

// Cuts the added tokens of `index` out of a text and gives what lies between them to `fn`;
// `prefix`: a space is due in front of the text.
static tb_code encode_between(encoder *e, const tb_prefix_index *index, tb_text text, bool prefix, stretch_fn fn,
                              tb_error *err)
{
    const tb_tokenizer *t = e->tokenizer;
    tb_code rc = TB_OK;
    for (size_t at = 0, from = 0; from < text.size && !rc;) {
        found match = find_added(e, index, text, from, at);
        tb_text stretch = {text.data + at, match.begin > at ? match.begin - at : 0};
        bool only_prefix = stretch.size == 0 && prefix && is_part_of_text(t, match.id);
        if (stretch.size > 0 || only_prefix)
            rc = fn(e, stretch, prefix, err);
        if (!rc && match.id >= 0)
            rc = tb_ids_push(e->ids, match.id, err);
        prefix = t->add_space_prefix && !t->space_prefix_once && !is_part_of_text(t, match.id);
        from = match.own_end;
        if (at < match.end)
            at = match.end;
    }
    return rc;
}

static tb_code encode_stretch(encoder *e, tb_text text, bool prefix, tb_error *err)
{
    const tb_tokenizer *t = e->tokenizer;
    if ((!t->nfc && t->charsmap.unit_count == 0) || text.size == 0)
        return encode_plain(e, text, prefix, err);
    tb_str_reset(&e->normal);
    tb_code rc = tb_tokenizer_normalize(&e->normal, t, text, err);
    tb_text normal = {tb_str_get(&e->normal), e->normal.size};
    return rc ? rc : encode_between(e, &t->added_normalized, normal, prefix, encode_plain, err);
}

tb_code tb_tokenizer_normalize(tb_str *out, const tb_tokenizer *tokenizer, tb_text text, tb_error *err)
{
    return tokenizer->nfc ? tb_nfc_append(out, text, err) : tb_charsmap_append(out, &tokenizer->charsmap, text, err);
}

tb_code tb_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, unsigned flags, tb_error *err)
{
    encoder e = {.tokenizer = tokenizer, .ids = ids, .flags = flags};
    e.normal.limit = e.marked.limit = SIZE_MAX / 4;
    size_t before = ids->size;
    tb_code rc = TB_OK;
    if ((flags & TB_ENCODE_BOS) && tokenizer->add_bos)
        rc = tb_ids_push(ids, tokenizer->bos, err);
    if (!rc && tokenizer->pretokenizer)
        rc = tb_presplit_new(&e.split, tokenizer->pretokenizer, err);
    if (!rc)
        rc = encode_between(&e, &tokenizer->added, text, tokenizer->add_space_prefix, encode_stretch, err);
    if (rc)
        ids->size = before;
    tb_presplit_free(e.split);
    tb_merger_clear(&e.merger);
    tb_lattice_clear(&e.lattice);
    tb_str_clear(&e.normal);
    tb_str_clear(&e.marked);
    return rc;
}
