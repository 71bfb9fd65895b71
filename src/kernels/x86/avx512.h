// What the AVX-512 variants share.
#ifndef TB_KERNELS_X86_AVX512_H
#define TB_KERNELS_X86_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

// One half, in every lane.
static inline __m512 broadcast_half_avx512(const uint16_t *half)
{
    return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(*half)));
}

// The sum of sixteen lanes, always in the same order.
static inline float sum_lanes_avx512(__m512 v)
{
    __m256 high = _mm512_extractf32x8_ps(v, 1);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), high);
    __m128 quad = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

// The first n of the 32 floats in two registers, n ≥ 1.
static inline void store_word_avx512(float *dst, const __m512 w[2], size_t n)
{
    uint32_t columns = n >= 32 ? UINT32_MAX : (UINT32_C(1) << n) - 1;
    _mm512_mask_storeu_ps(dst, (__mmask16)(columns & 0xFFFF), w[0]);
    if (n > 16)
        _mm512_mask_storeu_ps(dst + 16, (__mmask16)(columns >> 16), w[1]);
}

#endif
