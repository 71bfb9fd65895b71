// Directions of keys and of the residual stream. Private to sink.
#ifndef TB_SINK_SHAPE_H
#define TB_SINK_SHAPE_H

#include "sink/sink.h"

// Sums over the sequences.
typedef struct tb_sink_shapes {
    const tb_config *config;
    size_t ctx;
    double *x;                   // [ctx][width]: the stream of a sequence at a stage
    double *gram, *spectrum;     // [ctx][ctx], [ctx]
    double *mean;                // [head_size]
    double *by_position;         // [blocks + 1][ctx][width]: of each position
    double *squares;             // [blocks + 1]: Σ‖h_t‖² of the tokens behind the first
    tb_sink_stage_shape *stages; // [blocks + 1]
    tb_sink_key_shape *keys;     // [blocks][kv_heads]
    tb_code rc;                  // of the first decomposition that failed, described in `err`
    tb_error err;
} tb_sink_shapes;

tb_code tb_sink_shapes_init(tb_sink_shapes *shapes, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err);

// Keys of a block and the stream at a stage, of a whole sequence.
void tb_sink_shapes_add_keys(tb_sink_shapes *shapes, size_t block, const tb_edit_rows *keys);
void tb_sink_shapes_add_stream(tb_sink_shapes *shapes, size_t stage, const tb_probe_rows *rows);

tb_code tb_sink_shapes_finish(tb_sink_geometry *out, tb_sink_shapes *shapes, size_t sequences, tb_error *err);

#endif
