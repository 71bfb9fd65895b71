// Bit-planes on a uniform grid with an offset, with AVX2.
//
// Codes of up to eight bits are no indices into registers, so weights are computed: code·scale has at most 8 + 11
// bits and is exact, and a fused addition of the offset rounds as layout does.
#include "kernels/variants.h"

#include "kernels/x86/avx2.h"

#define INLINE static inline __attribute__((always_inline))

INLINE void decode_word(__m256 w[4], __m256 scale, __m256 offset, const uint32_t *words, unsigned planes)
{
    __m256i codes = load_codes_avx2(words, planes), byte = _mm256_set1_epi32(0xFF);
    for (int step = 0; step < 4; step++) {
        __m256i code = _mm256_and_si256(_mm256_srli_epi32(codes, 8 * step), byte);
        w[step] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(code), scale, offset);
    }
}

// Passes over a row. With x: returns its product with the row; without: decodes it into dst.
INLINE float run_row(float *dst, const tb_matrix *w, size_t row, const float *x, unsigned planes)
{
    const uint32_t *words = (const uint32_t *)w->data + row * tb_matrix_words(w) * planes;
    const uint16_t *coefs = w->coefs + row * tb_matrix_groups(w) * 2;
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    for (size_t col = 0; col < w->cols; coefs += 2) {
        __m256 scale = broadcast_half_avx2(coefs), offset = broadcast_half_avx2(coefs + 1);
        size_t end = w->cols - col < w->group ? w->cols : col + w->group;
        for (; col < end; col += TB_PLANE_WORD, words += planes) {
            __m256 weights[4];
            decode_word(weights, scale, offset, words, planes);
            if (x)
                add_products_avx2(sums, weights, x + col);
            else
                store_words_avx2(dst + col, weights, end - col);
        }
    }
    return sum_four_avx2(sums);
}

INLINE void multiply(float *y, const tb_matrix *w, size_t row0, size_t row1, const float *x, unsigned planes)
{
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = run_row(NULL, w, r, x, planes);
}

// Loops of their own for the numbers of planes that methods and heads use most.
void tb_gemv_offset_avx2(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const float *restrict x)
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

void tb_decode_offset_avx2(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    for (size_t r = row0; r < row1; r++)
        run_row(dst + (r - row0) * stride, w, r, NULL, w->planes);
}
