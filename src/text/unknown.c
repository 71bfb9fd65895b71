#include "text/unknown.h"

static bool all_have_tokens(const tb_tokenizer *tokenizer, tb_text bytes)
{
    size_t i = 0;
    while (i < bytes.size && tokenizer->byte_ids[(unsigned char)bytes.data[i]] >= 0)
        i++;
    return i == bytes.size;
}

tb_code tb_unknown_push(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_error *err)
{
    tb_code rc = TB_OK;
    if (all_have_tokens(tokenizer, text)) {
        for (size_t i = 0; i < text.size && !rc; i++)
            rc = tb_ids_push(ids, tokenizer->byte_ids[(unsigned char)text.data[i]], err);
        return rc;
    }
    if (tokenizer->unk < 0)
        return tb_fail(err, TB_EUNSUPPORTED, "'%.*s' has no token, and the vocabulary no unknown token",
                       (int)(text.size < 64 ? text.size : 64), text.data);
    return tb_ids_push(ids, tokenizer->unk, err);
}
