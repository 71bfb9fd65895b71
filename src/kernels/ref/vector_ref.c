// Operations on vectors in plain loops.
#include "kernels/variants.h"

#include "base/base.h"

float tb_dot_f32_ref(const float *a, const float *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

float tb_dot_f32_f16_ref(const float *a, const uint16_t *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * tb_half_to_float(b[i]);
    return sum;
}

void tb_axpy_f32_ref(float *restrict y, float s, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += s * x[i];
}

void tb_axpy_f16_ref(float *restrict y, float s, const uint16_t *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += s * tb_half_to_float(x[i]);
}

void tb_half_from_float_ref(uint16_t *restrict dst, const float *restrict src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = tb_half_from_float(src[i]);
}
