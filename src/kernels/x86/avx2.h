// What the AVX2 variants share. INLINE, `floats`, WORD and the functions on them are the vocabulary that the
// templates are written in; avx512.h has the same.
#ifndef TB_KERNELS_X86_AVX2_H
#define TB_KERNELS_X86_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m256 floats;

enum {
    LANES = 8, // of a register
    WORD = 4,  // registers for the 32 columns of a word
};

INLINE floats zero_floats(void)
{
    return _mm256_setzero_ps();
}

INLINE floats add_floats(floats a, floats b)
{
    return _mm256_add_ps(a, b);
}

// The sum of eight lanes, always in the same order.
INLINE float sum_lanes(floats v)
{
    __m128 quad = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

// The sums of four registers, each in the same order.
INLINE __m128 sum_four(const floats v[4])
{
    floats pairs = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

INLINE floats multiply_add(floats a, floats b, floats c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE floats broadcast_float(float x)
{
    return _mm256_set1_ps(x);
}

INLINE floats load_floats(const float *p)
{
    return _mm256_loadu_ps(p);
}

INLINE void store_floats(float *p, floats v)
{
    _mm256_storeu_ps(p, v);
}

INLINE floats load_halves(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

// The first n ≤ LANES; the others are zero.
INLINE floats load_first_floats(const float *p, size_t n)
{
    float first[LANES] = {0};
    memcpy(first, p, n * sizeof *p);
    return load_floats(first);
}

INLINE floats load_first_halves(const uint16_t *p, size_t n)
{
    uint16_t first[LANES] = {0};
    memcpy(first, p, n * sizeof *p);
    return load_halves(first);
}

INLINE void store_first_floats(float *p, floats v, size_t n)
{
    float all[LANES];
    store_floats(all, v);
    memcpy(p, all, n * sizeof *p);
}

// The sum of the registers of a word.
INLINE floats sum_word(const floats v[WORD])
{
    return _mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3]));
}

// One half, in every lane. Read byte by byte: halves inside units lie at any address.
INLINE floats broadcast_half(const void *half)
{
    uint16_t bits;
    memcpy(&bits, half, sizeof bits);
    return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}

// A word of floats multiplied with x and added to the sums.
INLINE void add_products(floats sums[WORD], const floats w[WORD], const float *x)
{
    for (size_t i = 0; i < WORD; i++)
        sums[i] = _mm256_fmadd_ps(w[i], _mm256_loadu_ps(x + 8 * i), sums[i]);
}

// The first n of the 32 floats of a word, n ≥ 1.
INLINE void store_word(float *dst, const floats w[WORD], size_t n)
{
    if (n >= 32) {
        for (size_t i = 0; i < WORD; i++)
            _mm256_storeu_ps(dst + 8 * i, w[i]);
        return;
    }
    float all[32];
    for (size_t i = 0; i < WORD; i++)
        _mm256_storeu_ps(all + 8 * i, w[i]);
    memcpy(dst, all, n * sizeof *dst);
}

// The codes of the 32 columns of a word with up to eight planes: byte s of lane j is the code of column 8s + j.
// Lane j of a plane's word shifted right by j has the bits of columns j, 8+j, 16+j and 24+j at the bottoms of its
// bytes.
INLINE __m256i load_codes(const uint32_t *words, unsigned planes)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), bottom = _mm256_set1_epi8(1);
    __m256i codes = _mm256_setzero_si256();
    for (unsigned i = planes; i-- > 0;) {
        __m256i bits = _mm256_srlv_epi32(_mm256_set1_epi32((int)words[i]), lane);
        codes = _mm256_or_si256(_mm256_add_epi8(codes, codes), _mm256_and_si256(bits, bottom));
    }
    return codes;
}

#endif
