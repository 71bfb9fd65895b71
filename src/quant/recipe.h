// The recipe of a quantized file: everything besides model and text that bears on the result,
// as a JSON object. It goes into the file and decides whether an interrupted run may continue.
#ifndef TB_QUANT_RECIPE_H
#define TB_QUANT_RECIPE_H

#include "quant/calibration.h"
#include "quant/ends.h"

// Appends the object on one line. `options` are resolved; `windows` is NULL without
// calibration; `block_bits`[blocks] are the widths of the blocks, NULL when all have `options->bits`;
// `ends` are written where they are not the default, those of the embedding where they are not the head's;
// `cpu`: the kernel level that the calibration's states depend on, as they do on the BLAS library, which is named with
// it; NULL without calibration.
tb_code tb_recipe_append(tb_str *out, tb_method method, const tb_quant_options *options, const tb_windows *windows,
                         const uint8_t *block_bits, size_t blocks, tb_end_bits ends, const char *cpu, tb_error *err);

#endif
