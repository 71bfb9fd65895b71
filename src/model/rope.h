// Rotary position embedding (RoFormer, arXiv 2104.09864) from tables. Private to model.
#ifndef TB_MODEL_ROPE_H
#define TB_MODEL_ROPE_H

#include "model/settings.h"

typedef struct tb_rope_table {
    size_t pairs;     // half the head size
    float *cos, *sin; // [positions][pairs]
} tb_rope_table;

// Fills a table for `positions` positions; its storage lies in `arena`. False: no memory.
bool tb_rope_table_init(tb_rope_table *table, tb_arena *arena, const tb_rope_settings *settings, size_t head_size,
                        size_t positions);

// Turns one head of a query or key, [2·pairs], in place. `halves`: number i is paired with
// i + pairs; else 2i with 2i + 1.
void tb_rope_apply(float *head, const tb_rope_table *table, size_t position, bool halves);

#endif
