// Error feedback: the walk over the groups of a matrix that GPTQ and BPDQ share. The walk
// corrects each group for the errors of the groups before it; a visitor quantizes the group.
#ifndef TB_QUANT_FEEDBACK_H
#define TB_QUANT_FEEDBACK_H

#include "quant/curvature.h"

// One group of all rows, columns in processing order. Borrowed for the call.
typedef struct tb_group {
    size_t index;          // of the group in the matrix as stored
    size_t size;           // its columns
    const size_t *columns; // [size] the column at each position
    const double *factor;  // V of the group alone: [size][size], upper triangular
    const double *target;  // [rows][size] weights, corrected for earlier errors
    size_t rows;
    size_t threads;
} tb_group;

// Quantizes a group: writes the values that it chose into quantized[rows][size].
typedef struct tb_group_visitor {
    tb_code (*quantize)(void *user, const tb_group *group, double *quantized, tb_error *err);
    void *user;
} tb_group_visitor;

// Weights of a matrix in processing order, with dead columns at 0.
// out[rows][curvature->cols]
void tb_feedback_gather(double *out, const float *weights, size_t rows, const tb_curvature *curvature);

// Walks over all groups. `weights` as tb_feedback_gather makes them; they hold the errors W − Q
// afterwards. Adds to report->error and report->energy.
tb_code tb_feedback_run(double *weights, size_t rows, const tb_curvature *curvature, size_t threads,
                        tb_group_visitor visitor, tb_quant_report *report, tb_error *err);

#endif
