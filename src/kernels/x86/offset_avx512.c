// Bit-planes on a uniform grid with an offset, with AVX-512.
//
// Weights are computed as with AVX2. Rotating the word of a plane right by j brings the bits of columns j and 16+j to
// bits 0 and 16 of lane j; from the highest plane down, codes are doubled and take the next bits in.
#include "kernels/variants.h"

#include "kernels/x86/avx512.h"

typedef struct scale_offset {
    floats scale, offset;
} scale_offset;

INLINE scale_offset load_grid(const tb_matrix *w, size_t row, size_t group, unsigned planes)
{
    const uint16_t *coefs = w->coefs + (row * tb_matrix_groups(w) + group) * 2;
    (void)planes;
    return (scale_offset){broadcast_half(coefs), broadcast_half(coefs + 1)};
}

INLINE void decode_word(floats weights[WORD], scale_offset g, const uint32_t *words, unsigned planes)
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
    weights[0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low), g.scale, g.offset);
    weights[1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), g.scale, g.offset);
}

#define OP(x) x##_offset_avx512
#define MOST_PLANES TB_MAX_OFFSET_PLANES
#define GRID scale_offset
#define LOAD_GRID load_grid
#define DECODE_WORD decode_word
#define CHAINS 1
#include "kernels/x86/planes_tmpl.h"
