// Trit-planes with AVX-512: 32 columns at a time (trits.h tells how digits are read). They lie in
// at most eight bytes; the index 3·d1 + d2 of both digits looks up nine levels in one register.
#include "kernels/variants.h"

#include "kernels/x86/avx512.h"
#include "kernels/x86/trits.h"

// 32 digits, one per 16-bit lane, from column 32·word of a chunk.
INLINE __m512i load_digits(const uint8_t *chunk, size_t word)
{
    size_t phase = 32 * word % 5;
    long long bytes;
    memcpy(&bytes, chunk + 32 * word / 5, sizeof bytes);
    __m512i place = _mm512_loadu_si512(trit_places + 2 * phase),
            multiplier = _mm512_loadu_si512(trit_multipliers + phase);
    __m512i spread = _mm512_shuffle_epi8(_mm512_set1_epi64(bytes), place);
    return _mm512_mulhi_epu16(_mm512_mullo_epi16(spread, multiplier), _mm512_set1_epi16(3));
}

// t1·α1 + t2·α2 for the trits of every index 3·(t1 + 1) + t2 + 1.
INLINE floats load_levels(const uint16_t *coefs)
{
    const __m512 t1 = _mm512_setr_ps(-1, -1, -1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0);
    const __m512 t2 = _mm512_setr_ps(-1, 0, 1, -1, 0, 1, -1, 0, 1, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_add_ps(_mm512_mul_ps(t1, broadcast_half(coefs)), _mm512_mul_ps(t2, broadcast_half(coefs + 1)));
}

// The weights of columns 32·word … 32·word+31 of a chunk.
INLINE void decode_word(floats weights[WORD], floats levels, const trit_chunk *c, size_t word)
{
    __m512i d1 = load_digits(c->plane1, word), d2 = load_digits(c->plane2, word);
    __m512i index = _mm512_add_epi16(_mm512_add_epi16(d1, d1), _mm512_add_epi16(d1, d2));
    __m512i first = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(index));
    __m512i second = _mm512_cvtepu16_epi32(_mm512_extracti32x8_epi32(index, 1));
    weights[0] = _mm512_permutexvar_ps(first, levels);
    weights[1] = _mm512_permutexvar_ps(second, levels);
}

#define OP(x) x##_avx512
#define LEVELS floats
#include "kernels/x86/tritplanes_tmpl.h"
