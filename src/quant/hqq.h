// HQQ (half-quadratic quantization, Badri & Shaji 2023): a uniform grid per group whose zero point is a real number,
// moved so that Σ|W − Q|^0.7 becomes small: few large errors are better than many small ones. Weights alone, no data.
#ifndef TB_QUANT_HQQ_H
#define TB_QUANT_HQQ_H

#include "quant/method.h"

// `out` is zeroed storage of TB_TYPE_OFFSET whose planes and group are used. `options` are
// resolved. Adds to the report.
tb_code tb_hqq_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                        tb_quant_report *report, tb_error *err);

#endif
