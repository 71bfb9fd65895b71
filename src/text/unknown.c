#include "text/unknown.h"

bool tb_unknown_has_bytes(const tb_tokenizer *tokenizer, tb_text bytes)
{
    size_t i = 0;
    while (i < bytes.size && tokenizer->byte_ids[(unsigned char)bytes.data[i]] >= 0)
        i++;
    return i == bytes.size;
}

tb_code tb_unknown_fail(tb_text text, tb_error *err)
{
    return tb_fail(err, TB_EUNSUPPORTED, "'%.*s' has no token, and the vocabulary no unknown token",
                   (int)(text.size < 64 ? text.size : 64), text.data);
}

tb_code tb_unknown_push(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_error *err)
{
    tb_code rc = TB_OK;
    if (tb_unknown_has_bytes(tokenizer, text)) {
        for (size_t i = 0; i < text.size && !rc; i++)
            rc = tb_ids_push(ids, tokenizer->byte_ids[(unsigned char)text.data[i]], err);
        return rc;
    }
    return tokenizer->unk < 0 ? tb_unknown_fail(text, err) : tb_ids_push(ids, tokenizer->unk, err);
}
