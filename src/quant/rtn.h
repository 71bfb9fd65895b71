// Rounding to nearest: each group by itself on a uniform grid.
#ifndef TB_QUANT_RTN_H
#define TB_QUANT_RTN_H

#include "quant/method.h"

// `out` is zeroed storage of TB_TYPE_AFFINE whose planes and group are used. `options` are
// resolved. Adds to the report.

// The grid spans the weights of the group.
tb_code tb_rtn_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                        tb_quant_report *report, tb_error *err);

// The grid may be narrower: it is the one whose errors, weighted by importance[cols], cost least. Errors in the report
// are those of the weights.
tb_code tb_round_clipped(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                         const double *importance, tb_quant_report *report, tb_error *err);

// The same with the diagonal of the moments as importance. Errors in the report are those of the outputs.
tb_code tb_clip_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                         tb_quant_report *report, tb_error *err);

#endif
