// How heavy the tails of activations are. Private to sink.
#ifndef TB_SINK_MOMENTS_H
#define TB_SINK_MOMENTS_H

#include "sink/sink.h"

// Activations of one site in one block: what comes in one call, x[rows] rows of `stride` floats.
typedef struct tb_sink_activations {
    const float *x;
    size_t stride, rows, cols;
    const int32_t *positions; // [rows]
} tb_sink_activations;

typedef struct tb_sink_row_moments tb_sink_row_moments;

// Sums over the calls.
typedef struct tb_sink_moments {
    size_t threads, blocks, width, widest;
    tb_sink_row_moments *rows; // [ctx]: of the call under way
    double *squares;           // [widest]: Σ x² of each channel
    uint32_t *beyond;          // [width][TB_SINK_OUTLIER_RULES]: tokens, of the call under way
    uint32_t *hits;            // [width][TB_SINK_OUTLIER_RULES]: calls in which a channel stands out
    size_t streams;            // calls for the stream
    tb_sink_activity *sites;   // [blocks][TB_SINK_SITES]
    size_t (*calls)[2];        // [blocks][TB_SINK_SITES]: that had a first token, that had others
} tb_sink_moments;

tb_code tb_sink_moments_init(tb_sink_moments *moments, tb_arena *arena, const tb_model *model, size_t ctx,
                             tb_error *err);
void tb_sink_moments_add(tb_sink_moments *moments, size_t block, tb_sink_site site, const tb_sink_activations *x);
tb_code tb_sink_moments_finish(tb_sink_tails *out, tb_sink_moments *moments, tb_arena *arena, tb_error *err);

#endif
