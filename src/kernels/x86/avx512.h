// What the AVX-512 variants share: the vocabulary of the templates, as avx2.h has it.
#ifndef TB_KERNELS_X86_AVX512_H
#define TB_KERNELS_X86_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m512 floats;

enum { WORD = 2 }; // registers for the 32 columns of a word

INLINE floats zero_floats(void)
{
    return _mm512_setzero_ps();
}

INLINE floats add_floats(floats a, floats b)
{
    return _mm512_add_ps(a, b);
}

// The sum of sixteen lanes, always in the same order.
INLINE float sum_lanes(floats v)
{
    __m256 high = _mm512_extractf32x8_ps(v, 1);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), high);
    __m128 quad = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

// The sum of the registers of a word.
INLINE floats sum_word(const floats v[WORD])
{
    return _mm512_add_ps(v[0], v[1]);
}

// One half, in every lane.
INLINE floats broadcast_half(const uint16_t *half)
{
    return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(*half)));
}

// A word of floats multiplied with x and added to the sums.
INLINE void add_products(floats sums[WORD], const floats w[WORD], const float *x)
{
    for (size_t i = 0; i < WORD; i++)
        sums[i] = _mm512_fmadd_ps(w[i], _mm512_loadu_ps(x + 16 * i), sums[i]);
}

// The first n of the 32 floats of a word, n ≥ 1.
INLINE void store_word(float *dst, const floats w[WORD], size_t n)
{
    uint32_t columns = n >= 32 ? UINT32_MAX : (UINT32_C(1) << n) - 1;
    _mm512_mask_storeu_ps(dst, (__mmask16)(columns & 0xFFFF), w[0]);
    if (n > 16)
        _mm512_mask_storeu_ps(dst + 16, (__mmask16)(columns >> 16), w[1]);
}

#endif
