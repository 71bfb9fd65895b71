// Round to nearest: each group on its own uniform grid, no calibration.
#ifndef TB_QUANT_RTN_H
#define TB_QUANT_RTN_H

#include "quant/quant.h"

// `out` is zeroed storage of TB_TYPE_AFFINE whose planes and group are used. `options` are
// resolved. Adds to the report.
tb_code tb_rtn_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                        tb_quant_report *report, tb_error *err);

#endif
