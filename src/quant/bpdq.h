// BPDQ: k bit-planes and k + 1 coefficients per row and group, found by alternating least
// squares in the metric of the curvature, under error feedback.
#ifndef TB_QUANT_BPDQ_H
#define TB_QUANT_BPDQ_H

#include "quant/method.h"

// The answer before it is packed: coefficients as they came out of the fit.
typedef struct tb_bpdq_solution {
    size_t rows, cols, groups;
    unsigned planes;
    uint8_t *codes; // [rows][cols], bit i is plane i
    double *coefs;  // [rows][groups][planes + 1], the bias last
    double *scores; // [groups][iterations], groups in processing order: smallest ΣE² of the group so far
} tb_bpdq_solution;

// Solves for all groups. `options` are resolved. Adds to the report.
tb_code tb_bpdq_solve(tb_bpdq_solution *out, const tb_quant_problem *problem, const tb_quant_options *options,
                      tb_quant_report *report, tb_error *err);
void tb_bpdq_solution_clear(tb_bpdq_solution *solution);

// Solves and packs. `out` is zeroed storage of TB_TYPE_BITPLANES whose planes and group are used.
tb_code tb_bpdq_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                         tb_quant_report *report, tb_error *err);

#endif
