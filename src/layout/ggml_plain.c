// Types without units: float, half, bfloat.
#include "layout/ggml.h"

void tb_decode_f32(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = tb_float_from_bits(tb_load_u32(p + 4 * i));
}

void tb_decode_f16(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = tb_load_half(p + 2 * i);
}

void tb_decode_bf16(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = tb_bfloat_to_float(tb_load_u16(p + 2 * i));
}
