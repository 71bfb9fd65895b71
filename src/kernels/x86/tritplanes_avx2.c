// Trit-planes with AVX2: 16 columns at a time (trits.h tells how digits are read). They lie in at
// most five bytes; a shuffle brings each lane its byte. The digits of both planes make an index
// 3·d1 + d2 into the nine levels of the group: eight in a register, the ninth blended in.
#include "kernels/variants.h"

#include "kernels/x86/avx2.h"
#include "kernels/x86/trits.h"

// 16 digits, one per 16-bit lane, from column 16·index of a chunk.
INLINE __m256i load_digits(const uint8_t *chunk, size_t index)
{
    size_t phase = 16 * index % 5;
    long long bytes;
    memcpy(&bytes, chunk + 16 * index / 5, sizeof bytes);
    __m256i place = _mm256_loadu_si256((const __m256i *)(trit_places + 2 * phase));
    __m256i multiplier = _mm256_loadu_si256((const __m256i *)(trit_multipliers + phase));
    __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi64x(bytes), place);
    return _mm256_mulhi_epu16(_mm256_mullo_epi16(spread, multiplier), _mm256_set1_epi16(3));
}

// The levels of indices 0 … 7, and that of 8.
typedef struct levels {
    __m256 first, last;
} levels;

// t1·α1 + t2·α2 for the trits of every index 3·(t1 + 1) + t2 + 1.
INLINE levels load_levels(const uint16_t *coefs)
{
    const __m256 t1 = _mm256_setr_ps(-1, -1, -1, 0, 0, 0, 1, 1), t2 = _mm256_setr_ps(-1, 0, 1, -1, 0, 1, -1, 0);
    __m256 alpha1 = broadcast_half(coefs), alpha2 = broadcast_half(coefs + 1);
    return (levels){_mm256_add_ps(_mm256_mul_ps(t1, alpha1), _mm256_mul_ps(t2, alpha2)), _mm256_add_ps(alpha1, alpha2)};
}

INLINE __m256 look_up(levels group, __m128i index16)
{
    __m256i index = _mm256_cvtepu16_epi32(index16);
    __m256 first = _mm256_permutevar8x32_ps(group.first, index);
    // Only index 8 has bit 3, which the shift makes the sign that the blend looks at.
    return _mm256_blendv_ps(first, group.last, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}

// The weights of columns 32·word … 32·word+31 of a chunk.
INLINE void decode_word(floats w[WORD], levels group, const trit_chunk *c, size_t word)
{
    for (size_t half = 0; half < 2; half++) {
        __m256i d1 = load_digits(c->plane1, 2 * word + half), d2 = load_digits(c->plane2, 2 * word + half);
        __m256i index = _mm256_add_epi16(_mm256_add_epi16(d1, d1), _mm256_add_epi16(d1, d2));
        w[2 * half] = look_up(group, _mm256_castsi256_si128(index));
        w[2 * half + 1] = look_up(group, _mm256_extracti128_si256(index, 1));
    }
}

#define OP(x) x##_avx2
#define LEVELS levels
#include "kernels/x86/tritplanes_tmpl.h"
