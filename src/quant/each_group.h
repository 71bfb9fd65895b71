// The walk over the groups of a matrix for methods that quantize each group by itself.
#ifndef TB_QUANT_EACH_GROUP_H
#define TB_QUANT_EACH_GROUP_H

#include "quant/method.h"

// A group of one row. Borrowed for the call.
typedef struct tb_lone_group {
    size_t row, index;     // of the group in the matrix
    size_t first;          // its first column
    const double *weights; // [size], finite
    size_t size;
} tb_lone_group;

// Packs a group and says in values[size] what its weights became. Adds to *clamped coefficients that half cannot hold.
typedef struct tb_group_quantizer {
    void (*quantize)(const void *user, tb_packed *out, const tb_lone_group *group, double *values, size_t *clamped);
    const void *user; // shared by threads
} tb_group_quantizer;

// Visits all groups. Adds clamped coefficients, Σ(W − Q)² and ΣW² to the report.
tb_code tb_each_group(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                      tb_group_quantizer quantizer, tb_quant_report *report, tb_error *err);

#endif
