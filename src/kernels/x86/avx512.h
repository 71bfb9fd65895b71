// What the AVX-512 variants share: the vocabulary of the templates, as avx2.h has it.
#ifndef TB_KERNELS_X86_AVX512_H
#define TB_KERNELS_X86_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m512 floats;

enum {
    LANES = 16, // of a register
    WORD = 2,   // registers for the 32 columns of a word
};

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

// The sums of four registers, each in the same order.
INLINE __m128 sum_four(const floats v[4])
{
    floats a = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    floats b = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    floats quads = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xEE));
    __m256 pairs = _mm256_add_ps(_mm512_castps512_ps256(quads), _mm512_extractf32x8_ps(quads, 1));
    return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

INLINE floats multiply_add(floats a, floats b, floats c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE floats broadcast_float(float x)
{
    return _mm512_set1_ps(x);
}

INLINE floats load_floats(const float *p)
{
    return _mm512_loadu_ps(p);
}

INLINE void store_floats(float *p, floats v)
{
    _mm512_storeu_ps(p, v);
}

INLINE floats load_halves(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

// The first n ≤ LANES; the others are zero.
INLINE floats load_first_floats(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

INLINE floats load_first_halves(const uint16_t *p, size_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
}

INLINE void store_first_floats(float *p, floats v, size_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
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
