// SentencePiece BPE: merges neighbours whose joined text is a token, the best score first; or, for
// a vocabulary with merges, those pairs by rank.
#ifndef TB_SPM_H
#define TB_SPM_H

#include "text/merge.h"
#include "text/tokenizer.h"

// Appends the tokens of a text in which spaces are already marks.
tb_code tb_spm_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_text text, tb_merger *merger, tb_error *err);

#endif
