// Rows of codes in plain loops.
#include "kernels/variants.h"

// A code has its bits in one byte or two; the second may lie behind the last code.
static unsigned read_code(const uint8_t *row, size_t i, unsigned bits)
{
    size_t bit = i * bits;
    unsigned both = row[bit / 8] | (unsigned)row[bit / 8 + 1] << 8;
    return both >> bit % 8 & ((1u << bits) - 1);
}

static float read_number(const tb_codes *codes, size_t r, size_t c)
{
    float code = (float)read_code(codes->codes + r * codes->stride, c, codes->bits);
    return tb_half_to_float(codes->offsets[r]) + tb_half_to_float(codes->scales[r]) * code;
}

void tb_decode_codes_ref(float *restrict dst, size_t dst_stride, const tb_codes *codes, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            dst[r * dst_stride + c] = read_number(codes, r, c);
}

void tb_mix_codes_ref(float *restrict y, size_t y_stride, const float *restrict w, size_t w_stride, size_t queries,
                      const tb_codes *codes, size_t rows, size_t cols)
{
    for (size_t q = 0; q < queries; q++)
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < cols; c++)
                y[q * y_stride + c] += w[q * w_stride + r] * read_number(codes, r, c);
}
