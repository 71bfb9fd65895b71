// From tokens to text.
#include "text/tokenizer.h"

#include <string.h>

static bool is_printed(const tb_tokenizer *tokenizer, int32_t id, bool special)
{
    uint8_t kind = tokenizer->kinds[id];
    return special || kind == TB_TOKEN_NORMAL || kind == TB_TOKEN_USER_DEFINED || kind == TB_TOKEN_BYTE;
}

// The bytes that a token prints at this place: the first one gives back the space that
// SentencePiece put in front of the text.
static tb_code piece_at(tb_text *piece, bool *started, const tb_tokenizer *tokenizer, int32_t id, bool special,
                        tb_error *err)
{
    *piece = (tb_text){"", 0};
    if (id < 0 || (size_t)id >= tokenizer->size)
        return tb_fail(err, TB_EINVAL, "token %d is outside the vocabulary of %zu", (int)id, tokenizer->size);
    if (!is_printed(tokenizer, id, special))
        return TB_OK;
    *piece = tokenizer->pieces[id];
    bool prefixed = tokenizer->model != TB_VOCAB_BPE && tokenizer->add_space_prefix;
    if (!*started && prefixed && tokenizer->kinds[id] == TB_TOKEN_NORMAL && piece->size > 0 && piece->data[0] == ' ')
        *piece = (tb_text){piece->data + 1, piece->size - 1};
    *started = true;
    return TB_OK;
}

// Takes back what was appended behind `size`.
static void cut_back(tb_str *text, size_t size)
{
    text->size = size;
    if (text->data)
        text->data[size] = '\0';
}

tb_code tb_decode(tb_str *text, const tb_tokenizer *tokenizer, const int32_t *ids, size_t n, bool special,
                  tb_error *err)
{
    size_t before = text->size;
    bool started = false;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        tb_text piece;
        rc = piece_at(&piece, &started, tokenizer, ids[i], special, err);
        if (!rc)
            rc = tb_str_append(text, piece.data, piece.size, err);
    }
    if (rc)
        cut_back(text, before);
    return rc;
}

tb_code tb_decoder_push(tb_decoder *decoder, tb_str *text, const tb_tokenizer *tokenizer, int32_t id, bool special,
                        tb_error *err)
{
    bool started = decoder->started;
    tb_text piece;
    tb_code rc = piece_at(&piece, &started, tokenizer, id, special, err);
    if (rc)
        return rc;
    // Whatever waits belongs in front; the end that may be an unfinished character waits next.
    size_t before = text->size;
    rc = tb_str_append(text, decoder->pending, decoder->pending_size, err);
    if (!rc)
        rc = tb_str_append(text, piece.data, piece.size, err);
    if (rc) {
        cut_back(text, before);
        return rc;
    }
    decoder->started = started;
    decoder->pending_size = (unsigned)tb_utf8_unfinished(text->data + before, text->size - before);
    memcpy(decoder->pending, text->data + text->size - decoder->pending_size, decoder->pending_size);
    cut_back(text, text->size - decoder->pending_size);
    return TB_OK;
}

tb_code tb_decoder_finish(tb_decoder *decoder, tb_str *text, tb_error *err)
{
    tb_code rc = tb_str_append(text, decoder->pending, decoder->pending_size, err);
    if (!rc)
        *decoder = (tb_decoder){.started = decoder->started};
    return rc;
}
