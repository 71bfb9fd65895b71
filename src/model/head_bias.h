// What joins the scores of the first token, head by head (tb_head_bias). Private to model.
#ifndef TB_MODEL_HEAD_BIAS_H
#define TB_MODEL_HEAD_BIAS_H

#include "model/kv.h"

// TB_EINVAL where a head does not exist, or a bias is not finite.
tb_code tb_head_biases_check(const tb_kv_plan *plan, const tb_config *config, tb_error *err);

// out[blocks][heads] of some blocks.
void tb_head_biases_fill(float *out, const tb_kv_plan *plan, size_t first_block, size_t blocks, size_t heads);

#endif
