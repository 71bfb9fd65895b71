// SentencePiece BPE: merges neighbours whose joined text is a token, the best score first.
#ifndef TB_SPM_H
#define TB_SPM_H

#include "text/merge.h"
#include "text/tokenizer.h"

// Appends the tokens of a text in which spaces are already marks.
tb_code tb_spm_encode(tb_ids *ids, const tb_tokenizer *tokenizer, tb_slice text, tb_merger *merger, tb_error *err);

// Appends what a stretch without a token becomes: byte tokens, or the unknown token, of which
// one stands for a run.
tb_code tb_spm_push_unknown(tb_ids *ids, const tb_tokenizer *tokenizer, tb_slice text, tb_error *err);

#endif
