// Vectors and matrices of floats and halves with AVX2, FMA and F16C: four sums of eight lanes.
// What remains at the end is handled in a padded copy, so that every element takes the same way.
#include "kernels/variants.h"

#include "kernels/x86/avx2.h"

static float dot_f32(const float *a, const float *b, size_t n)
{
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (size_t j = 0; j < 4; j++)
            sums[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), _mm256_loadu_ps(b + i + 8 * j), sums[j]);
    for (; i + 8 <= n; i += 8)
        sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), sums[0]);
    if (i < n) {
        float last_a[8] = {0}, last_b[8] = {0};
        memcpy(last_a, a + i, (n - i) * sizeof *a);
        memcpy(last_b, b + i, (n - i) * sizeof *b);
        sums[1] = _mm256_fmadd_ps(_mm256_loadu_ps(last_a), _mm256_loadu_ps(last_b), sums[1]);
    }
    return sum_lanes(sum_word(sums));
}

static float dot_f32_f16(const float *a, const uint16_t *b, size_t n)
{
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (size_t j = 0; j < 4; j++)
            sums[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), load_halves(b + i + 8 * j), sums[j]);
    for (; i + 8 <= n; i += 8)
        sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), load_halves(b + i), sums[0]);
    if (i < n) {
        float last_a[8] = {0};
        uint16_t last_b[8] = {0};
        memcpy(last_a, a + i, (n - i) * sizeof *a);
        memcpy(last_b, b + i, (n - i) * sizeof *b);
        sums[1] = _mm256_fmadd_ps(_mm256_loadu_ps(last_a), load_halves(last_b), sums[1]);
    }
    return sum_lanes(sum_word(sums));
}

float tb_dot_f32_avx2(const float *a, const float *b, size_t n)
{
    return dot_f32(a, b, n);
}

float tb_dot_f32_f16_avx2(const float *a, const uint16_t *b, size_t n)
{
    return dot_f32_f16(a, b, n);
}

void tb_gemv_f32_avx2(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict x)
{
    const float *rows = w->data;
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = dot_f32(x, rows + r * w->cols, w->cols);
}

void tb_gemv_f16_avx2(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict x)
{
    const uint16_t *rows = w->data;
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = dot_f32_f16(x, rows + r * w->cols, w->cols);
}

void tb_axpy_f32_avx2(float *restrict y, float s, const float *restrict x, size_t n)
{
    const __m256 scale = _mm256_set1_ps(s);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(scale, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    if (i < n) {
        float last_x[8] = {0}, last_y[8] = {0};
        memcpy(last_x, x + i, (n - i) * sizeof *x);
        memcpy(last_y, y + i, (n - i) * sizeof *y);
        _mm256_storeu_ps(last_y, _mm256_fmadd_ps(scale, _mm256_loadu_ps(last_x), _mm256_loadu_ps(last_y)));
        memcpy(y + i, last_y, (n - i) * sizeof *y);
    }
}

void tb_axpy_f16_avx2(float *restrict y, float s, const uint16_t *restrict x, size_t n)
{
    const __m256 scale = _mm256_set1_ps(s);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(scale, load_halves(x + i), _mm256_loadu_ps(y + i)));
    if (i < n) {
        uint16_t last_x[8] = {0};
        float last_y[8] = {0};
        memcpy(last_x, x + i, (n - i) * sizeof *x);
        memcpy(last_y, y + i, (n - i) * sizeof *y);
        _mm256_storeu_ps(last_y, _mm256_fmadd_ps(scale, load_halves(last_x), _mm256_loadu_ps(last_y)));
        memcpy(y + i, last_y, (n - i) * sizeof *y);
    }
}

void tb_half_from_float_avx2(uint16_t *restrict dst, const float *restrict src, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(dst + i), _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    if (i < n) {
        float last[8] = {0};
        uint16_t halves[8];
        memcpy(last, src + i, (n - i) * sizeof *src);
        _mm_storeu_si128((__m128i *)halves, _mm256_cvtps_ph(_mm256_loadu_ps(last), _MM_FROUND_TO_NEAREST_INT));
        memcpy(dst + i, halves, (n - i) * sizeof *dst);
    }
}
