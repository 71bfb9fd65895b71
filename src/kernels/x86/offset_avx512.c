// Bit-planes on a uniform grid with an offset, with AVX-512.
//
// Weights are computed as with AVX2. Rotating the word of a plane right by j brings the bits of columns j and 16+j to
// bits 0 and 16 of lane j; from the highest plane down, codes are doubled and take the next bits in.
#include "kernels/variants.h"

#include "kernels/x86/avx512.h"

#define INLINE static inline __attribute__((always_inline))

INLINE void decode_word(__m512 weights[2], __m512 scale, __m512 offset, const uint32_t *words, unsigned planes)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i bottom = _mm512_set1_epi32(0x00010001);
    __m512i codes = _mm512_setzero_si512();
    for (unsigned i = planes; i-- > 0;) {
        __m512i bits = _mm512_rorv_epi32(_mm512_set1_epi32((int)words[i]), lane);
        // codes | (bits & bottom)
        codes = _mm512_ternarylogic_epi32(_mm512_add_epi32(codes, codes), bits, bottom, 0xF8);
    }
    __m512i low = _mm512_and_si512(codes, _mm512_set1_epi32(0xFFFF)), high = _mm512_srli_epi32(codes, 16);
    weights[0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low), scale, offset);
    weights[1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), scale, offset);
}

// Passes over a row. With x: returns its product with the row; without: decodes it into dst.
INLINE float run_row(float *dst, const tb_matrix *w, size_t row, const float *x, unsigned planes)
{
    const uint32_t *words = (const uint32_t *)w->data + row * tb_matrix_words(w) * planes;
    const uint16_t *coefs = w->coefs + row * tb_matrix_groups(w) * 2;
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (size_t col = 0; col < w->cols; coefs += 2) {
        __m512 scale = broadcast_half_avx512(coefs), offset = broadcast_half_avx512(coefs + 1);
        size_t end = w->cols - col < w->group ? w->cols : col + w->group;
        for (; col < end; col += TB_PLANE_WORD, words += planes) {
            __m512 weights[2];
            decode_word(weights, scale, offset, words, planes);
            if (x) {
                sums[0] = _mm512_fmadd_ps(weights[0], _mm512_loadu_ps(x + col), sums[0]);
                sums[1] = _mm512_fmadd_ps(weights[1], _mm512_loadu_ps(x + col + 16), sums[1]);
            } else {
                store_word_avx512(dst + col, weights, end - col);
            }
        }
    }
    return sum_lanes_avx512(_mm512_add_ps(sums[0], sums[1]));
}

INLINE void multiply(float *y, const tb_matrix *w, size_t row0, size_t row1, const float *x, unsigned planes)
{
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = run_row(NULL, w, r, x, planes);
}

// Loops of their own for the numbers of planes that methods and heads use most.
void tb_gemv_offset_avx512(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const float *restrict x)
{
    switch (w->planes) {
    case 2:
        multiply(y, w, row0, row1, x, 2);
        break;
    case 3:
        multiply(y, w, row0, row1, x, 3);
        break;
    case 4:
        multiply(y, w, row0, row1, x, 4);
        break;
    case 6:
        multiply(y, w, row0, row1, x, 6);
        break;
    default:
        multiply(y, w, row0, row1, x, w->planes);
        break;
    }
}

void tb_decode_offset_avx512(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    for (size_t r = row0; r < row1; r++)
        run_row(dst + (r - row0) * stride, w, r, NULL, w->planes);
}
