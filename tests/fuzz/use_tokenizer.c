#include "use_tokenizer.h"

#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static tb_text slice_of(const char *text)
{
    return (tb_text){text, strlen(text)};
}

// Decoding at once and piece by piece give the same bytes, and ids lie in the vocabulary.
static void check_decoding(const tb_tokenizer *tokenizer, const tb_ids *ids)
{
    tb_str whole = {0}, pieces = {0};
    tb_decoder decoder = {0};
    require(tb_decode(&whole, tokenizer, ids->data, ids->size, true, NULL) == TB_OK);
    for (size_t i = 0; i < ids->size; i++) {
        require(ids->data[i] >= 0 && (size_t)ids->data[i] < tb_tokenizer_size(tokenizer));
        require(tb_decoder_push(&decoder, &pieces, tokenizer, ids->data[i], true, NULL) == TB_OK);
    }
    require(tb_decoder_finish(&decoder, &pieces, NULL) == TB_OK);
    require(whole.size == pieces.size && memcmp(tb_str_get(&whole), tb_str_get(&pieces), whole.size) == 0);
    tb_str_clear(&whole);
    tb_str_clear(&pieces);
}

static void encode(const tb_tokenizer *tokenizer, tb_text text)
{
    tb_ids ids = {0};
    tb_error err = {0};
    tb_code rc = tb_encode(&ids, tokenizer, text, TB_ENCODE_BOS | TB_ENCODE_SPECIAL, &err);
    require(rc == TB_OK || (err.message[0] != '\0' && ids.size == 0));
    check_decoding(tokenizer, &ids);
    tb_ids_clear(&ids);
}

void use_tokenizer(const tb_vocab *vocab)
{
    tb_tokenizer *tokenizer;
    tb_error err = {0};
    tb_code rc = tb_tokenizer_new(&tokenizer, vocab, &err);
    require((rc == TB_OK) == (err.message[0] == '\0'));
    if (rc)
        return;
    encode(tokenizer, slice_of("Hello  world, it's 1234\n\n e\xCC\x81\xE4\xB8\xAD\xF0\x9F\x98\x80\xFF ab"));
    for (size_t i = 0; i < vocab->size && i < 32; i++) // its own tokens, which added ones must match
        encode(tokenizer, vocab->tokens[i]);
    tb_tokenizer_free(tokenizer);
}
