// What the AVX2 variants share.
#ifndef TB_KERNELS_X86_AVX2_H
#define TB_KERNELS_X86_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The sum of eight lanes, always in the same order.
static inline float sum_lanes_avx2(__m256 v)
{
    __m128 quad = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

// The sum of four vectors of eight lanes.
static inline float sum_four_avx2(const __m256 v[4])
{
    return sum_lanes_avx2(_mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3])));
}

// One half, in every lane. Read byte by byte: halves inside blocks lie at any address.
static inline __m256 broadcast_half_avx2(const void *half)
{
    uint16_t bits;
    memcpy(&bits, half, sizeof bits);
    return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}

// The codes of the 32 columns of a word with up to eight planes: byte s of lane j is the code of column 8s + j.
// Lane j of a plane's word shifted right by j has the bits of columns j, 8+j, 16+j and 24+j at the bottoms of its
// bytes.
static inline __attribute__((always_inline)) __m256i load_codes_avx2(const uint32_t *words, unsigned planes)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), bottom = _mm256_set1_epi8(1);
    __m256i codes = _mm256_setzero_si256();
    for (unsigned i = planes; i-- > 0;) {
        __m256i bits = _mm256_srlv_epi32(_mm256_set1_epi32((int)words[i]), lane);
        codes = _mm256_or_si256(_mm256_add_epi8(codes, codes), _mm256_and_si256(bits, bottom));
    }
    return codes;
}

// 32 floats multiplied with x and added to four sums.
static inline void add_products_avx2(__m256 sums[4], const __m256 w[4], const float *x)
{
    for (size_t i = 0; i < 4; i++)
        sums[i] = _mm256_fmadd_ps(w[i], _mm256_loadu_ps(x + 8 * i), sums[i]);
}

// The first n ≤ 32 of 32 floats.
static inline void store_words_avx2(float *dst, const __m256 w[4], size_t n)
{
    if (n >= 32) {
        for (size_t i = 0; i < 4; i++)
            _mm256_storeu_ps(dst + 8 * i, w[i]);
        return;
    }
    float all[32];
    for (size_t i = 0; i < 4; i++)
        _mm256_storeu_ps(all + 8 * i, w[i]);
    memcpy(dst, all, n * sizeof *dst);
}

#endif
