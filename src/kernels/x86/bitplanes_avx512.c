// Bit-planes, on variable and on uniform grids, with AVX-512.
//
// As with AVX2, codes are indices into the levels of their group, but sixteen levels fit in one
// register: they are repeated with period 2^planes, so that index bits above the code do not
// matter. Rotating the word of plane i right by j − i brings the bits of columns j and 16+j to
// bits i and 16+i of lane j; one ternary operation per further plane merges them.
#include "kernels/variants.h"

#include "kernels/x86/avx512.h"

// Lanes whose number has bit i.
static const __mmask16 lanes_with_bit[TB_MAX_PLANES] = {0xAAAA, 0xCCCC, 0xF0F0, 0xFF00};

INLINE __m512i lane_numbers(void)
{
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

// ((b_0·c_0 + b_1·c_1) + …) + c_planes for every code.
INLINE floats variable_levels(const uint16_t *coefs, unsigned planes)
{
    __m512 sum = _mm512_setzero_ps();
    for (unsigned i = 0; i < planes; i++)
        sum = _mm512_mask_add_ps(sum, lanes_with_bit[i], sum, broadcast_half(coefs + i));
    return _mm512_add_ps(sum, broadcast_half(coefs + planes));
}

// (q − z)·s for every code.
INLINE floats uniform_levels(const uint16_t *scale, unsigned zero, unsigned planes)
{
    __m512i code = _mm512_and_si512(lane_numbers(), _mm512_set1_epi32((1 << planes) - 1));
    __m512i difference = _mm512_sub_epi32(code, _mm512_set1_epi32((int)zero));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(difference), broadcast_half(scale));
}

INLINE floats zeroed_levels(const tb_matrix *w, size_t row, size_t group, unsigned planes)
{
    size_t groups = tb_matrix_groups(w);
    unsigned zeros = w->zeros[row * ((groups + 1) / 2) + group / 2];
    return uniform_levels(w->coefs + row * groups + group, zeros >> (group % 2 * 4) & 15u, planes);
}

// The weights of the 32 columns of a word.
INLINE void decode_word(floats weights[WORD], floats levels, const uint32_t *words, unsigned planes)
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

#define OP(x) x##_bitplanes_avx512
#define MOST_PLANES TB_MAX_PLANES
#define GRID floats
#define LOAD_GRID(w, row, group, planes)                                                                               \
    variable_levels((w)->coefs + ((row)*tb_matrix_groups(w) + (group)) * ((planes) + 1), planes)
#define DECODE_WORD decode_word
#define CHAINS 2
#include "kernels/x86/planes_tmpl.h"

#define OP(x) x##_affine_avx512
#define MOST_PLANES TB_MAX_PLANES
#define GRID floats
#define LOAD_GRID zeroed_levels
#define DECODE_WORD decode_word
#define CHAINS 2
#include "kernels/x86/planes_tmpl.h"
