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
        sum = _mm256_add_ps(sum, _mm256_and_ps(code_bit(codes, (int)i), broadcast_half(coefs + i)));
    __m256 bias = broadcast_half(coefs + planes);
    levels out = {_mm256_add_ps(sum, bias), _mm256_setzero_ps()};
    if (planes == 4)
        out.high = _mm256_add_ps(_mm256_add_ps(sum, broadcast_half(coefs + 3)), bias);
    return out;
}

// (q − z)·s for every code.
INLINE levels uniform_levels(const uint16_t *scale, unsigned zero, unsigned planes)
{
    __m256i difference = _mm256_sub_epi32(first_codes(planes), _mm256_set1_epi32((int)zero));
    __m256 s = broadcast_half(scale);
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

INLINE void decode_word(floats w[WORD], levels group, const uint32_t *words, unsigned planes)
{
    __m256i codes = load_codes(words, planes);
    for (int step = 0; step < WORD; step++)
        w[step] = look_up(group, codes, step, planes);
}

INLINE levels zeroed_levels(const tb_matrix *w, size_t row, size_t group, unsigned planes)
{
    size_t groups = tb_matrix_groups(w);
    unsigned zeros = w->zeros[row * ((groups + 1) / 2) + group / 2];
    return uniform_levels(w->coefs + row * groups + group, zeros >> (group % 2 * 4) & 15u, planes);
}

#define OP(x) x##_bitplanes_avx2
#define MOST_PLANES TB_MAX_PLANES
#define GRID levels
#define LOAD_GRID(w, row, group, planes)                                                                               \
    variable_levels((w)->coefs + ((row)*tb_matrix_groups(w) + (group)) * ((planes) + 1), planes)
#define DECODE_WORD decode_word
#define CHAINS 1
#include "kernels/x86/planes_tmpl.h"

#define OP(x) x##_affine_avx2
#define MOST_PLANES TB_MAX_PLANES
#define GRID levels
#define LOAD_GRID zeroed_levels
#define DECODE_WORD decode_word
#define CHAINS 1
#include "kernels/x86/planes_tmpl.h"
