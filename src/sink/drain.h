// What the first tokens' values are worth to the heads that look at them. Private to sink.
#ifndef TB_SINK_DRAIN_H
#define TB_SINK_DRAIN_H

#include "sink/sink.h"

// One block of one sequence at a time: first its keys, values and queries, then rows of attention from all workers,
// then what the heads have read.
typedef struct tb_sink_drain {
    const tb_model *model;
    const tb_config *config;
    size_t ctx;
    double *key_norms, *value_norms; // [kv_heads][ctx]
    double *scratch;                 // [ctx]: for medians
    float *keys;                     // [kv_heads][head_size]: those of the first token
    double *frequencies, *cos, *sin; // [head_size/2]: of a block; of a position
    double *query;                   // [head_size]
    float *values;                   // [kv_heads][TB_SINK_BIAS_TOKENS][head_size]: of the first tokens
    float *mixed;                    // [head_size]
    double *direction;               // [head_size]
    float *weights;                  // [heads][ctx][TB_SINK_BIAS_TOKENS]: what queries give these
} tb_sink_drain;

tb_code tb_sink_drain_init(tb_sink_drain *drain, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err);

// Rows of a whole sequence, as tb_probe.edit has them: looks at them and adds what they say of the block's heads to
// values[blocks][heads].
void tb_sink_drain_see(tb_sink_drain *drain, tb_sink_value *values, size_t block, tb_edit_stage stage,
                       const tb_edit_rows *rows);

// A row of attention.
void tb_sink_drain_row(tb_sink_drain *drain, size_t head, size_t position, const tb_attention_piece *pieces,
                       size_t count);

#endif
