// Which heads of a model remember everything. Private to model.
#ifndef TB_MODEL_HEAD_SPLIT_H
#define TB_MODEL_HEAD_SPLIT_H

#include "model/model.h"

struct tb_head_split {
    size_t blocks, kv_heads;
    size_t sinks, window; // what the others see: the first tokens and the last
    bool *retrieval;      // [blocks][kv_heads]: remembers everything; of near blocks without a meaning
};

#endif
