// GPTQ: a uniform grid per group, columns quantized one after the other, each error spread
// over the columns that follow. The grid is taken from the corrected weights when the walk
// reaches the group.
#ifndef TB_QUANT_GPTQ_H
#define TB_QUANT_GPTQ_H

#include "quant/method.h"

// `out` is zeroed storage of TB_TYPE_AFFINE whose planes and group are used. `options` are
// resolved. Adds to the report.
tb_code tb_gptq_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                         tb_quant_report *report, tb_error *err);

#endif
