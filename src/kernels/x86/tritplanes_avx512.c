// Trit-planes with AVX-512: 32 columns at a time (trits.h tells how digits are read). They lie in
// at most eight bytes; the index 3·d1 + d2 of both digits looks up nine levels in one register.
#include "kernels/variants.h"

#include "kernels/x86/avx512.h"
#include "kernels/x86/trits.h"

#define INLINE static inline __attribute__((always_inline))

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
INLINE __m512 group_levels(const uint16_t *coefs)
{
    const __m512 t1 = _mm512_setr_ps(-1, -1, -1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0);
    const __m512 t2 = _mm512_setr_ps(-1, 0, 1, -1, 0, 1, -1, 0, 1, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_add_ps(_mm512_mul_ps(t1, broadcast_half_avx512(coefs)),
                         _mm512_mul_ps(t2, broadcast_half_avx512(coefs + 1)));
}

// The weights of columns 32·word … 32·word+31 of a chunk.
INLINE void decode_word(__m512 weights[2], __m512 levels, const trit_chunk *c, size_t word)
{
    __m512i d1 = load_digits(c->plane1, word), d2 = load_digits(c->plane2, word);
    __m512i index = _mm512_add_epi16(_mm512_add_epi16(d1, d1), _mm512_add_epi16(d1, d2));
    __m512i first = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(index));
    __m512i second = _mm512_cvtepu16_epi32(_mm512_extracti32x8_epi32(index, 1));
    weights[0] = _mm512_permutexvar_ps(first, levels);
    weights[1] = _mm512_permutexvar_ps(second, levels);
}

// Passes over a row. With x: returns its product with the row; without: decodes it into dst.
INLINE float run_row(float *dst, const tb_matrix *w, size_t row, const float *x)
{
    const size_t bytes = tb_matrix_trit_bytes(w);
    const uint8_t *plane1 = (const uint8_t *)w->data + 2 * row * bytes, *plane2 = plane1 + bytes;
    const uint16_t *coefs = w->coefs + 2 * row * tb_matrix_groups(w);
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    __m512 levels = group_levels(coefs);
    size_t group_end = w->group;
    for (size_t col = 0; col < w->cols;) {
        trit_chunk c;
        open_chunk(&c, plane1 + col / TB_TRITS_PER_BYTE, plane2 + col / TB_TRITS_PER_BYTE,
                   bytes - col / TB_TRITS_PER_BYTE);
        for (size_t word = 0; word < CHUNK / TB_PLANE_WORD && col < w->cols; word++, col += TB_PLANE_WORD) {
            if (col == group_end) {
                coefs += 2;
                levels = group_levels(coefs);
                group_end += w->group;
            }
            __m512 weights[2];
            decode_word(weights, levels, &c, word);
            if (!x) {
                store_word_avx512(dst + col, weights, w->cols - col);
                continue;
            }
            sums[0] = _mm512_fmadd_ps(weights[0], _mm512_loadu_ps(x + col), sums[0]);
            sums[1] = _mm512_fmadd_ps(weights[1], _mm512_loadu_ps(x + col + 16), sums[1]);
        }
    }
    return sum_lanes_avx512(_mm512_add_ps(sums[0], sums[1]));
}

void tb_gemv_tritplanes_avx512(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const float *restrict x)
{
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = run_row(NULL, w, r, x);
}

void tb_decode_tritplanes_avx512(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    for (size_t r = row0; r < row1; r++)
        run_row(dst + (r - row0) * stride, w, r, NULL);
}
