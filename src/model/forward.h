// One block over a batch: an attention part and a feed-forward part. Private to model.
#ifndef TB_MODEL_FORWARD_H
#define TB_MODEL_FORWARD_H

#include "model/pass.h"

void tb_forward_block(const tb_pass *pass);

// x += what a part makes of it.
void tb_forward_attention(const tb_pass *pass);
void tb_forward_ffn(const tb_pass *pass);

#endif
