// Two symbols merge when their joined text is a normal or user-defined token. Unused tokens
// take no part (SentencePiece merges through them and takes them apart again afterwards).
#include "text/spm.h"

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

tb_code tb_spm_push_unknown(tb_ids *ids, const tb_tokenizer *tokenizer, tb_slice text, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < text.size && !rc; i++) {
        int32_t id = tokenizer->byte_ids[(unsigned char)text.data[i]];
        if (id < 0)
            id = tokenizer->unk;
        if (id < 0)
            return tb_fail(err, TB_EUNSUPPORTED, "byte 0x%02X has no token, and the vocabulary no unknown token",
                           (unsigned char)text.data[i]);
        if (id != tokenizer->unk || ids->size == 0 || ids->data[ids->size - 1] != id)
            rc = tb_ids_push(ids, id, err);
    }
    return rc;
}

static tb_code push_symbol(tb_ids *ids, const tb_tokenizer *tokenizer, const char *text, const tb_symbol *symbol,
                           tb_error *err)
{
    if (symbol->id >= 0)
        return tb_ids_push(ids, symbol->id, err);
    return tb_spm_push_unknown(ids, tokenizer, (tb_slice){text + symbol->start, symbol->size}, err);
}

tb_code tb_spm_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_slice text, tb_merger *merger, tb_error *err)
{
    tb_code rc = tb_merger_reset(merger, text.size, err);
    if (rc)
        return rc;
    for (size_t at = 0, n; at < text.size; at += n) {
        uint32_t c;
        n = tb_utf8_decode(&c, text.data + at, text.size - at);
        if (n == 0)
            n = 1; // a byte that is not UTF-8 is a symbol of its own
        tb_merger_push(merger, at, n, find_plain(tokenizer, text.data + at, n));
    }
    spm_text user = {tokenizer, text.data};
    rc = tb_merger_run(merger, pair_by_text, &user, err);
    for (size_t i = 0; i < merger->count && !rc; i++)
        if (merger->symbols[i].size > 0)
            rc = push_symbol(ids, tokenizer, text.data, &merger->symbols[i], err);
    return rc;
}
