// Attention whose weights are made of whole rows of scores (weighing.h), and not of running sums. Private to attention.
#ifndef TB_MODEL_ATTENTION_WEIGHED_H
#define TB_MODEL_ATTENTION_WEIGHED_H

#include "model/attention.h"

size_t tb_weighed_scratch(const tb_config *config, size_t capacity, size_t threads);
void tb_weighed_run(const tb_attention *a);

#endif
