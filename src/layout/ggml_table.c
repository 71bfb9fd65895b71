// Types whose four-bit codes name values of a table.
//
//   IQ4_NL  d, nibbles[16]                                   32 values: d·level
//   IQ4_XS  d, high u16, low[4], nibbles[128]                256 values, scale s per 32: d·(s − 32)·level
//   MXFP4   exponent, nibbles[16]                            32 values: 2^(exponent − 128)·level
//
// Low nibbles hold the first sixteen of 32 values, high nibbles the others.
#include "layout/ggml.h"

enum { IQ4_NL_BYTES = 18, IQ4_XS_BYTES = 136, MXFP4_BYTES = 17 };

static const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// Twice the values of FP4 (E2M1): the exponent below is one smaller instead.
static const int8_t fp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void put_32(float *dst, const uint8_t nibbles[16], const int8_t levels[16], float scale)
{
    for (size_t j = 0; j < 16; j++) {
        dst[j] = scale * (float)levels[nibbles[j] & 15u];
        dst[j + 16] = scale * (float)levels[nibbles[j] >> 4];
    }
}

void tb_decode_iq4_nl(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += IQ4_NL_BYTES)
        put_32(dst + i, p + 2, iq4_levels, tb_load_half(p));
}

void tb_decode_iq4_xs(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 256, p += IQ4_XS_BYTES) {
        float d = tb_load_half(p);
        unsigned high = tb_load_u16(p + 2);
        for (size_t sub = 0; sub < 8; sub++, dst += 32) {
            unsigned scale = (p[4 + sub / 2] >> sub % 2 * 4 & 15u) | (high >> 2 * sub & 3u) << 4;
            put_32(dst, p + 8 + 16 * sub, iq4_levels, d * (float)((int)scale - 32));
        }
    }
}

// 2^(exponent − 128): the float's own exponent field is one smaller, and the two lowest are subnormal.
static float half_of_power(unsigned exponent)
{
    return tb_float_from_bits(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
}

void tb_decode_mxfp4(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 32, p += MXFP4_BYTES)
        put_32(dst + i, p + 1, fp4_levels, half_of_power(p[0]));
}
