// Bit-planes, on variable and on uniform grids, with AVX-512.
//
// As with AVX2, codes are indices into the levels of their group, but sixteen levels fit in one
// register: they are repeated with period 2^planes, so that index bits above the code do not
// matter. Rotating the word of plane i right by j − i brings the bits of columns j and 16+j to
// bits i and 16+i of lane j; one ternary operation per further plane merges them.
#include "kernels/variants.h"

#include "kernels/x86/avx512.h"

#define INLINE static inline __attribute__((always_inline))

// Lanes whose number has bit i.
static const __mmask16 lanes_with_bit[TB_MAX_PLANES] = {0xAAAA, 0xCCCC, 0xF0F0, 0xFF00};

INLINE __m512i lane_numbers(void)
{
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

// ((b_0·c_0 + b_1·c_1) + …) + c_planes for every code.
INLINE __m512 variable_levels(const uint16_t *coefs, unsigned planes)
{
    __m512 sum = _mm512_setzero_ps();
    for (unsigned i = 0; i < planes; i++)
        sum = _mm512_mask_add_ps(sum, lanes_with_bit[i], sum, broadcast_half_avx512(coefs + i));
    return _mm512_add_ps(sum, broadcast_half_avx512(coefs + planes));
}

// (q − z)·s for every code.
INLINE __m512 uniform_levels(const uint16_t *scale, unsigned zero, unsigned planes)
{
    __m512i code = _mm512_and_si512(lane_numbers(), _mm512_set1_epi32((1 << planes) - 1));
    __m512i difference = _mm512_sub_epi32(code, _mm512_set1_epi32((int)zero));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(difference), broadcast_half_avx512(scale));
}

INLINE __m512 group_levels(const tb_matrix *w, size_t row, size_t group, unsigned planes, bool uniform)
{
    size_t groups = tb_matrix_groups(w), index = row * groups + group;
    if (!uniform)
        return variable_levels(w->coefs + index * (planes + 1), planes);
    unsigned zeros = w->zeros[row * ((groups + 1) / 2) + group / 2];
    return uniform_levels(w->coefs + index, zeros >> (group % 2 * 4) & 15u, planes);
}

// The weights of the 32 columns of a word.
INLINE void decode_word(__m512 weights[2], __m512 levels, const uint32_t *words, unsigned planes)
{
    __m512i codes = _mm512_rorv_epi32(_mm512_set1_epi32((int)words[0]), lane_numbers());
    for (unsigned i = 1; i < planes; i++) {
        __m512i turn = _mm512_sub_epi32(lane_numbers(), _mm512_set1_epi32((int)i));
        __m512i bits = _mm512_rorv_epi32(_mm512_set1_epi32((int)words[i]), turn);
        // Where the mask is set take `bits`, elsewhere keep `codes`.
        codes = _mm512_ternarylogic_epi32(_mm512_set1_epi32(0x00010001 << i), bits, codes, 0xCA);
    }
    weights[0] = _mm512_permutexvar_ps(codes, levels);
    weights[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(codes, 16), levels);
}

INLINE void add_word(__m512 sums[2], __m512 levels, const uint32_t *words, const float *x, unsigned planes)
{
    __m512 weights[2];
    decode_word(weights, levels, words, planes);
    sums[0] = _mm512_fmadd_ps(weights[0], _mm512_loadu_ps(x), sums[0]);
    sums[1] = _mm512_fmadd_ps(weights[1], _mm512_loadu_ps(x + 16), sums[1]);
}

INLINE float multiply_row(const tb_matrix *w, size_t row, const float *x, unsigned planes, bool uniform)
{
    const uint32_t *words = (const uint32_t *)w->data + row * tb_matrix_words(w) * planes;
    // Two pairs of sums, for two words at a time: one pair alone would wait for its additions.
    __m512 even[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, odd[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (size_t group = 0, col = 0; col < w->cols; group++) {
        __m512 levels = group_levels(w, row, group, planes, uniform);
        size_t end = w->cols - col < w->group ? w->cols : col + w->group;
        while (col < end) {
            add_word(even, levels, words, x + col, planes);
            col += TB_PLANE_WORD;
            words += planes;
            if (col >= end)
                break;
            add_word(odd, levels, words, x + col, planes);
            col += TB_PLANE_WORD;
            words += planes;
        }
    }
    return sum_lanes_avx512(_mm512_add_ps(_mm512_add_ps(even[0], even[1]), _mm512_add_ps(odd[0], odd[1])));
}

INLINE void decode_row(float *dst, const tb_matrix *w, size_t row, unsigned planes, bool uniform)
{
    const uint32_t *words = (const uint32_t *)w->data + row * tb_matrix_words(w) * planes;
    for (size_t group = 0, col = 0; col < w->cols; group++) {
        __m512 levels = group_levels(w, row, group, planes, uniform);
        size_t end = w->cols - col < w->group ? w->cols : col + w->group;
        for (; col < end; col += TB_PLANE_WORD, words += planes) {
            __m512 weights[2];
            decode_word(weights, levels, words, planes);
            store_word_avx512(dst + col, weights, end - col);
        }
    }
}

INLINE void multiply(float *y, const tb_matrix *w, size_t row0, size_t row1, const float *x, unsigned planes,
                     bool uniform)
{
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = multiply_row(w, r, x, planes, uniform);
}

INLINE void decode(float *dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1, unsigned planes,
                   bool uniform)
{
    for (size_t r = row0; r < row1; r++)
        decode_row(dst + (r - row0) * stride, w, r, planes, uniform);
}

// One specialised loop per number of planes.
INLINE void multiply_any(float *y, const tb_matrix *w, size_t row0, size_t row1, const float *x, bool uniform)
{
    switch (w->planes) {
    case 1:
        multiply(y, w, row0, row1, x, 1, uniform);
        break;
    case 2:
        multiply(y, w, row0, row1, x, 2, uniform);
        break;
    case 3:
        multiply(y, w, row0, row1, x, 3, uniform);
        break;
    default:
        multiply(y, w, row0, row1, x, 4, uniform);
        break;
    }
}

INLINE void decode_any(float *dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1, bool uniform)
{
    switch (w->planes) {
    case 1:
        decode(dst, stride, w, row0, row1, 1, uniform);
        break;
    case 2:
        decode(dst, stride, w, row0, row1, 2, uniform);
        break;
    case 3:
        decode(dst, stride, w, row0, row1, 3, uniform);
        break;
    default:
        decode(dst, stride, w, row0, row1, 4, uniform);
        break;
    }
}

void tb_gemv_bitplanes_avx512(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const float *restrict x)
{
    multiply_any(y, w, row0, row1, x, false);
}

void tb_gemv_affine_avx512(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const float *restrict x)
{
    multiply_any(y, w, row0, row1, x, true);
}

void tb_decode_bitplanes_avx512(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    decode_any(dst, stride, w, row0, row1, false);
}

void tb_decode_affine_avx512(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    decode_any(dst, stride, w, row0, row1, true);
}
