// Directions of keys and of the residual stream. Private to sink.
#ifndef TB_SINK_SHAPE_H
#define TB_SINK_SHAPE_H

#include "sink/sink.h"

// Sums over the sequences.
typedef struct tb_sink_shapes {
    const tb_config *config;
    size_t ctx, early;             // tokens; those in front of the last quarter
    double *x;                     // [ctx][width]: the stream of a sequence at a stage
    double *gram, *spectrum;       // [ctx][ctx], [ctx]
    double *mean;                  // [head_size]
    double *cosines;               // [kv_heads][ctx]: of a block's keys with their mean
    float *weights;                // [heads][ctx − early][early]: of late queries
    double *received;              // [early]: weight that late queries give a token
    double *ranks[2];              // [early]
    struct tb_sink_ranked *order;  // [early]
    double *by_position;           // [blocks + 1][ctx][width]: of each position
    double *squares;               // [blocks + 1]: Σ‖h_t‖² of the tokens behind the first
    tb_sink_stage_shape *stages;   // [blocks + 1]
    tb_sink_key_shape *keys;       // [blocks][kv_heads]
    tb_sink_update_shape *updates; // [blocks]
    tb_code rc;                    // of the first decomposition that failed, described in `err`
    tb_error err;
} tb_sink_shapes;

tb_code tb_sink_shapes_init(tb_sink_shapes *shapes, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err);

// Of a whole sequence: keys of a block, rows of attention from all workers, what attention adds, and then what the rows
// say; the stream at a stage.
void tb_sink_shapes_add_keys(tb_sink_shapes *shapes, size_t block, const tb_edit_rows *keys);
void tb_sink_shapes_add_row(tb_sink_shapes *shapes, size_t head, size_t position, const tb_attention_piece *pieces,
                            size_t count);
void tb_sink_shapes_add_update(tb_sink_shapes *shapes, size_t block, const tb_edit_rows *rows);
void tb_sink_shapes_take_rows(tb_sink_shapes *shapes, size_t block);
void tb_sink_shapes_add_stream(tb_sink_shapes *shapes, size_t stage, const tb_probe_rows *rows);

tb_code tb_sink_shapes_finish(tb_sink_geometry *out, tb_sink_shapes *shapes, size_t sequences, tb_error *err);

#endif
