// The largest activations of the residual stream. Private to sink.
#ifndef TB_SINK_PEAKS_H
#define TB_SINK_PEAKS_H

#include "sink/spots.h"

typedef struct tb_sink_row_peaks tb_sink_row_peaks;

// What one of the two rules finds, over all sequences; channels of first tokens, then those of others.
typedef struct tb_sink_found {
    tb_sink_channel *channels; // [2][width]
    uint32_t *counts;          // [blocks + 1][2][width]: tokens
} tb_sink_found;

// Over all sequences.
typedef struct tb_sink_peaks {
    size_t threads, blocks, width, ctx;
    float *magnitudes;       // [threads][width]: scratch
    tb_sink_row_peaks *rows; // [ctx]: of the stage under way
    float *medians;          // [ctx]: of its tokens
    tb_sink_stage *stages;   // [blocks + 1]: sums
    tb_sink_found found[2];  // by the strict rule, by the relative one
    double largest;
} tb_sink_peaks;

tb_code tb_sink_peaks_init(tb_sink_peaks *peaks, tb_arena *arena, const tb_model *model, size_t ctx, tb_error *err);

// The residual stream of a whole sequence at a stage; marks[ctx], which may be NULL, learn where it is massive.
void tb_sink_peaks_add(tb_sink_peaks *peaks, size_t stage, const tb_probe_rows *rows, const int32_t *tokens,
                       tb_sink_mark *marks);

// What all `sequences` amount to; memory of `arena`.
tb_code tb_sink_peaks_finish(tb_sink_massive *out, tb_sink_peaks *peaks, size_t sequences, tb_arena *arena,
                             tb_error *err);

// The k-th smallest of x[n], which it reorders.
float tb_sink_select(float *x, size_t n, size_t k);

#endif
