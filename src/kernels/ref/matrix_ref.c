// Products with and decoding of stored matrices in plain loops, for every type. Slow and
// obvious on purpose: the other variants are checked against this one.
#include "kernels/variants.h"

// Columns decoded at a time: a multiple of every unit size.
enum { PART = 256 };

void tb_gemv_ref(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict floats)
{
    const float *x = floats;
    float part[PART];
    for (size_t r = row0; r < row1; r++) {
        float sum = 0;
        for (size_t c = 0; c < w->cols; c += PART) {
            size_t n = w->cols - c < PART ? w->cols - c : PART;
            tb_matrix_decode_part(part, w, r, c, n);
            for (size_t i = 0; i < n; i++)
                sum += part[i] * x[c + i];
        }
        y[r - row0] = sum;
    }
}

void tb_decode_rows_ref(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    for (size_t r = row0; r < row1; r++)
        tb_matrix_decode_row(dst + (r - row0) * stride, w, r);
}
