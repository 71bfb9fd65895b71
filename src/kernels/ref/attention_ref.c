// Scores, softmax and mixes of attention in plain loops.
#include "kernels/variants.h"

static float read_float(const void *x, size_t i)
{
    return ((const float *)x)[i];
}

static float read_half(const void *x, size_t i)
{
    return tb_half_to_float(((const uint16_t *)x)[i]);
}

typedef float read_fn(const void *x, size_t i);

static void scores(float *restrict y, size_t y_stride, const float *restrict x, size_t x_stride, size_t queries,
                   const void *restrict keys, read_fn *read, size_t rows, size_t cols)
{
    for (size_t q = 0; q < queries; q++)
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < cols; c++)
                sum += x[q * x_stride + c] * read(keys, r * cols + c);
            y[q * y_stride + r] = sum;
        }
}

static void mix(float *restrict y, size_t y_stride, const float *restrict w, size_t w_stride, size_t queries,
                const void *restrict values, read_fn *read, size_t rows, size_t cols)
{
    for (size_t q = 0; q < queries; q++)
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < cols; c++)
                y[q * y_stride + c] += w[q * w_stride + r] * read(values, r * cols + c);
}

void tb_scores_f32_ref(float *restrict y, size_t y_stride, const float *restrict x, size_t x_stride, size_t queries,
                       const void *restrict keys, size_t rows, size_t cols)
{
    scores(y, y_stride, x, x_stride, queries, keys, read_float, rows, cols);
}

void tb_scores_f16_ref(float *restrict y, size_t y_stride, const float *restrict x, size_t x_stride, size_t queries,
                       const void *restrict keys, size_t rows, size_t cols)
{
    scores(y, y_stride, x, x_stride, queries, keys, read_half, rows, cols);
}

void tb_mix_f32_ref(float *restrict y, size_t y_stride, const float *restrict w, size_t w_stride, size_t queries,
                    const void *restrict values, size_t rows, size_t cols)
{
    mix(y, y_stride, w, w_stride, queries, values, read_float, rows, cols);
}

void tb_mix_f16_ref(float *restrict y, size_t y_stride, const float *restrict w, size_t w_stride, size_t queries,
                    const void *restrict values, size_t rows, size_t cols)
{
    mix(y, y_stride, w, w_stride, queries, values, read_half, rows, cols);
}

float tb_max_f32_ref(const float *x, size_t n)
{
    float most = -INFINITY;
    for (size_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

// Sixteen sums, of every sixteenth element each: the order that vectors add in.
float tb_exp_f32_ref(float *x, float top, size_t n)
{
    float sums[16] = {0};
    for (size_t i = 0; i < n; i++) {
        x[i] = tb_exp(x[i] - top);
        sums[i % 16] += x[i];
    }
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            sums[i] += sums[i + half];
    return sums[0];
}
