// What text without a token becomes.
#ifndef TB_UNKNOWN_H
#define TB_UNKNOWN_H

#include "text/tokenizer.h"

// Appends byte tokens for the bytes of a stretch, or one unknown token for all of it.
tb_code tb_unknown_push(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_error *err);

#endif
