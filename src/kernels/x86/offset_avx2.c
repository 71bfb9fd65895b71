// Bit-planes on a uniform grid with an offset, with AVX2.
//
// Codes of up to eight bits are no indices into registers, so weights are computed: code·scale has at most 8 + 11
// bits and is exact, and a fused addition of the offset rounds as layout does.
#include "kernels/variants.h"

#include "kernels/x86/avx2.h"

typedef struct scale_offset {
    floats scale, offset;
} scale_offset;

INLINE scale_offset load_grid(const tb_matrix *w, size_t row, size_t group, unsigned planes)
{
    const uint16_t *coefs = w->coefs + (row * tb_matrix_groups(w) + group) * 2;
    (void)planes;
    return (scale_offset){broadcast_half(coefs), broadcast_half(coefs + 1)};
}

INLINE void decode_word(floats w[WORD], scale_offset g, const uint32_t *words, unsigned planes)
{
    __m256i codes = load_codes(words, planes), byte = _mm256_set1_epi32(0xFF);
    for (int step = 0; step < WORD; step++) {
        __m256i code = _mm256_and_si256(_mm256_srli_epi32(codes, 8 * step), byte);
        w[step] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(code), g.scale, g.offset);
    }
}

#define OP(x) x##_offset_avx2
#define MOST_PLANES TB_MAX_OFFSET_PLANES
#define GRID scale_offset
#define LOAD_GRID load_grid
#define DECODE_WORD decode_word
#define CHAINS 1
#include "kernels/x86/planes_tmpl.h"
