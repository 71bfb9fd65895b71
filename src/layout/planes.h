// Decoding of the plane types, for their traits.
#ifndef TB_LAYOUT_PLANES_H
#define TB_LAYOUT_PLANES_H

#include "layout/layout.h"

// Columns first … first+n−1 of a row. The first for TB_TYPE_BITPLANES and TB_TYPE_AFFINE.
void tb_bitplanes_decode(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n);
void tb_offset_decode(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n);
void tb_tritplanes_decode(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n);

#endif
