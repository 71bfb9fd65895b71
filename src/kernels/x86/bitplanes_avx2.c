// Bit-planes, on variable and on uniform grids, with AVX2.
//
// A code is an index into the 2^planes levels of its group, which stand in one register (two
// for four planes): a lane permutation turns eight codes into eight weights, the same floats that
// layout decodes. The codes of 32 columns are made at once, four per lane, one per byte.
#include "kernels/variants.h"

#include "kernels/x86/avx2.h"

// The levels of codes 0 … 7 and, with four planes, 8 … 15. Up to two planes repeat them, as
// the permutation within halves of a register is the faster one.
typedef struct levels {
    __m256 low, high;
} levels;

#define INLINE static inline __attribute__((always_inline))

// Bit `bit` of the codes in all lanes, as a mask.
INLINE __m256 code_bit(__m256i codes, int bit)
{
    __m256i mask = _mm256_set1_epi32(1 << bit);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(codes, mask), mask));
}

INLINE __m256i first_codes(unsigned planes)
{
    return planes <= 2 ? _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3) : _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}

// ((b_0·c_0 + b_1·c_1) + …) + c_planes for every code.
INLINE levels variable_levels(const uint16_t *coefs, unsigned planes)
{
    const __m256i codes = first_codes(planes);
    __m256 sum = _mm256_setzero_ps();
    for (unsigned i = 0; i < planes && i < 3; i++)
        sum = _mm256_add_ps(sum, _mm256_and_ps(code_bit(codes, (int)i), broadcast_half_avx2(coefs + i)));
    __m256 bias = broadcast_half_avx2(coefs + planes);
    levels out = {_mm256_add_ps(sum, bias), _mm256_setzero_ps()};
    if (planes == 4)
        out.high = _mm256_add_ps(_mm256_add_ps(sum, broadcast_half_avx2(coefs + 3)), bias);
    return out;
}

// (q − z)·s for every code.
INLINE levels uniform_levels(const uint16_t *scale, unsigned zero, unsigned planes)
{
    __m256i difference = _mm256_sub_epi32(first_codes(planes), _mm256_set1_epi32((int)zero));
    __m256 s = broadcast_half_avx2(scale);
    levels out = {_mm256_mul_ps(_mm256_cvtepi32_ps(difference), s), _mm256_setzero_ps()};
    if (planes == 4)
        out.high = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(difference, _mm256_set1_epi32(8))), s);
    return out;
}

// The weights of columns 8·step … 8·step+7. What stands above a code in its lane does not
// matter: permutations look at the lowest bits only, blends at the highest.
INLINE __m256 look_up(levels group, __m256i codes, int step, unsigned planes)
{
    __m256i index = _mm256_srli_epi32(codes, 8 * step);
    if (planes <= 2)
        return _mm256_permutevar_ps(group.low, index);
    __m256 low = _mm256_permutevar8x32_ps(group.low, index);
    if (planes == 3)
        return low;
    __m256 high = _mm256_permutevar8x32_ps(group.high, index);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28 - 8 * step)));
}

INLINE void decode_word(__m256 w[4], levels group, const uint32_t *words, unsigned planes)
{
    __m256i codes = load_codes_avx2(words, planes);
    for (int step = 0; step < 4; step++)
        w[step] = look_up(group, codes, step, planes);
}

INLINE levels group_levels(const tb_matrix *w, size_t row, size_t group, unsigned planes, bool uniform)
{
    size_t groups = tb_matrix_groups(w), index = row * groups + group;
    if (!uniform)
        return variable_levels(w->coefs + index * (planes + 1), planes);
    unsigned zeros = w->zeros[row * ((groups + 1) / 2) + group / 2];
    return uniform_levels(w->coefs + index, zeros >> (group % 2 * 4) & 15u, planes);
}

// Passes over a row. With x: returns its product with the row; without: decodes it into dst.
INLINE float run_row(float *dst, const tb_matrix *w, size_t row, const float *x, unsigned planes, bool uniform)
{
    const uint32_t *words = (const uint32_t *)w->data + row * tb_matrix_words(w) * planes;
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    for (size_t group = 0, col = 0; col < w->cols; group++) {
        levels group_level = group_levels(w, row, group, planes, uniform);
        size_t end = w->cols - col < w->group ? w->cols : col + w->group;
        for (; col < end; col += TB_PLANE_WORD, words += planes) {
            __m256 weights[4];
            decode_word(weights, group_level, words, planes);
            if (x)
                add_products_avx2(sums, weights, x + col);
            else
                store_words_avx2(dst + col, weights, end - col);
        }
    }
    return sum_four_avx2(sums);
}

INLINE void multiply(float *y, const tb_matrix *w, size_t row0, size_t row1, const float *x, unsigned planes,
                     bool uniform)
{
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = run_row(NULL, w, r, x, planes, uniform);
}

INLINE void decode(float *dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1, unsigned planes,
                   bool uniform)
{
    for (size_t r = row0; r < row1; r++)
        run_row(dst + (r - row0) * stride, w, r, NULL, planes, uniform);
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

void tb_gemv_bitplanes_avx2(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const float *restrict x)
{
    multiply_any(y, w, row0, row1, x, false);
}

void tb_gemv_affine_avx2(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const float *restrict x)
{
    multiply_any(y, w, row0, row1, x, true);
}

void tb_decode_bitplanes_avx2(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    decode_any(dst, stride, w, row0, row1, false);
}

void tb_decode_affine_avx2(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    decode_any(dst, stride, w, row0, row1, true);
}
