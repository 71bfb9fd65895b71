// Two symbols merge when their joined text is a normal or user-defined token. Unused tokens
// take no part (SentencePiece merges through them and takes them apart again afterwards).
//
// Where no token has a mark behind another character, nothing merges across the start of a
// word, and words are merged one by one: the same result from heaps that fit a cache.
#include "text/spm.h"

#include "text/unknown.h"

typedef struct spm_text {
    const tb_tokenizer *tokenizer;
    const char *text;
} spm_text;

static int32_t find_plain(const tb_tokenizer *tokenizer, const char *text, size_t size)
{
    int32_t id = tb_text_map_find(&tokenizer->by_token, text, size);
    return id >= 0 && tb_token_is_plain(tokenizer, id) ? id : -1;
}

// Scores as integers that are smaller for better ones, order kept; none is TB_NO_MERGE,
// because scores are finite.
static uint32_t priority_of(float score)
{
    uint32_t bits = tb_float_bits(score + 0.0f); // −0 becomes +0
    return bits >> 31 ? bits : ~(bits | 1u << 31);
}

static int32_t pair_by_text(const void *user, uint32_t *priority, const tb_symbol *left, const tb_symbol *right)
{
    const spm_text *spm = user;
    int32_t id = find_plain(spm->tokenizer, spm->text + left->start, (size_t)left->size + right->size);
    if (id >= 0)
        *priority = priority_of(spm->tokenizer->scores[id]);
    return id;
}

static int32_t pair_by_ids(const void *user, uint32_t *priority, const tb_symbol *left, const tb_symbol *right)
{
    return tb_merges_find(user, priority, left->id, right->id);
}

// Appends the tokens of the symbols that are left. Those without a token that follow one
// another are unknown together.
static tb_code push_symbols(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, const tb_merger *merger,
                            tb_error *err)
{
    tb_text unknown = {text.data, 0};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < merger->count && !rc; i++) {
        const tb_symbol *symbol = &merger->symbols[i];
        if (symbol->size == 0)
            continue;
        if (symbol->id < 0) {
            unknown.size += symbol->size;
            continue;
        }
        if (unknown.size > 0)
            rc = tb_unknown_push(ids, tokenizer, unknown, err);
        unknown = (tb_text){text.data + symbol->start + symbol->size, 0};
        if (!rc)
            rc = tb_ids_push(ids, symbol->id, err);
    }
    return !rc && unknown.size > 0 ? tb_unknown_push(ids, tokenizer, unknown, err) : rc;
}

// Bytes of the character at the start of `text`; a byte that is not UTF-8 is one of its own.
static size_t character_size(tb_text text)
{
    uint32_t c;
    size_t n = tb_utf8_decode(&c, text.data, text.size);
    return n ? n : 1;
}

static tb_code merge_by_scores(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_merger *merger,
                               tb_error *err)
{
    for (size_t at = 0, n; at < text.size; at += n) {
        n = character_size((tb_text){text.data + at, text.size - at});
        tb_merger_push(merger, at, n, find_plain(tokenizer, text.data + at, n));
    }
    spm_text user = {tokenizer, text.data};
    tb_code rc = tb_merger_run(merger, pair_by_text, &user, err);
    return rc ? rc : push_symbols(ids, tokenizer, text, merger, err);
}

// Appends the symbols of a text for merges by ids: a character without a token becomes its bytes' tokens or an unknown
// one. As in the reference library an unknown one waits, to be fused with the next, and bytes pass it.
static tb_code push_characters(tb_merger *merger, const tb_tokenizer *t, tb_text text, tb_error *err)
{
    tb_text waiting = {text.data, 0};
    for (size_t at = 0, n; at < text.size; at += n) {
        n = character_size((tb_text){text.data + at, text.size - at});
        tb_text character = {text.data + at, n};
        int32_t id = find_plain(t, character.data, n);
        if (id < 0 && tb_unknown_has_bytes(t, character)) {
            for (size_t i = 0; i < n; i++)
                tb_merger_push(merger, at + i, 1, t->byte_ids[(unsigned char)character.data[i]]);
            continue;
        }
        if (waiting.size > 0 && (id >= 0 || !t->unknown.fused)) {
            tb_merger_push(merger, (size_t)(waiting.data - text.data), waiting.size, t->unknown.id);
            waiting.size = 0;
        }
        if (id >= 0)
            tb_merger_push(merger, at, n, id);
        else if (t->unknown.id >= 0)
            waiting = waiting.size ? (tb_text){waiting.data, waiting.size + n} : character;
        else if (!t->normalizer)
            return tb_unknown_fail(character, err);
    }
    if (waiting.size > 0)
        tb_merger_push(merger, (size_t)(waiting.data - text.data), waiting.size, t->unknown.id);
    return TB_OK;
}

static tb_code merge_by_ids(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_merger *merger, tb_error *err)
{
    tb_code rc = push_characters(merger, tokenizer, text, err);
    if (!rc)
        rc = tb_merger_run(merger, pair_by_ids, tokenizer->merges, err);
    return rc ? rc : tb_merger_append_ids(ids, merger, err);
}

static tb_code encode_part(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_merger *merger, tb_error *err)
{
    tb_code rc = tb_merger_reset(merger, text.size, err);
    if (rc)
        return rc;
    return tokenizer->merges ? merge_by_ids(ids, tokenizer, text, merger, err)
                             : merge_by_scores(ids, tokenizer, text, merger, err);
}

// Bytes up to the next mark that follows something else than a mark.
static size_t word_size(tb_text text)
{
    size_t at = 0;
    while (tb_starts_with_mark((tb_text){text.data + at, text.size - at}))
        at += TB_SPACE_MARK_SIZE;
    while (at < text.size && !tb_starts_with_mark((tb_text){text.data + at, text.size - at}))
        at++;
    return at;
}

tb_code tb_spm_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_merger *merger, tb_error *err)
{
    tb_code rc = TB_OK;
    while (text.size > 0 && !rc) {
        size_t n = tokenizer->marks_lead ? word_size(text) : text.size;
        rc = encode_part(ids, tokenizer, (tb_text){text.data, n}, merger, err);
        text = (tb_text){text.data + n, text.size - n};
    }
    return rc;
}
