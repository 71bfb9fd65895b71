// What text without a token becomes.
#ifndef TB_UNKNOWN_H
#define TB_UNKNOWN_H

#include "text/tokenizer.h"

// Whether all these bytes have tokens.
bool tb_unknown_has_bytes(const tb_tokenizer *tokenizer, tb_text bytes);

// TB_EUNSUPPORTED for text that has no token where there is no unknown token.
tb_code tb_unknown_fail(tb_text text, tb_error *err);

// Appends byte tokens for the bytes of a stretch, or one unknown token for all of it.
tb_code tb_unknown_push(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_error *err);

#endif
