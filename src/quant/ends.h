// Embedding and output head: what they are stored as, and their way there.
#ifndef TB_QUANT_ENDS_H
#define TB_QUANT_ENDS_H

#include "model/model.h"

// Bits that --head-bits may ask for. Eight are Q8_0; fewer are planes with a scale and an offset per group
// (TB_TYPE_OFFSET), which divide rows of any length.
enum { TB_LEAST_HEAD_BITS = 4, TB_MOST_HEAD_BITS = 8 };

// The shape that `source` gets, without data: itself where `bits` is 0 or where that would not be smaller.
tb_matrix tb_end_shape(const tb_matrix *source, unsigned bits);

// The matrix in that shape. *out is `source` itself, or what `packed` owns; clear `packed`. Weights that are not finite
// count as 0 and are counted in *nonfinite.
tb_code tb_end_convert(tb_matrix *out, tb_packed *packed, const tb_matrix *source, unsigned bits, size_t threads,
                       size_t *nonfinite, tb_error *err);

#endif
