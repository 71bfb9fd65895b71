// Units of 32 values with one scale d, types "_1" also with a minimum m:
//
//   Q4_0  d, nibbles[16]              (q − 8)·d
//   Q4_1  d, m, nibbles[16]           q·d + m
//   Q5_0  d, high[4], nibbles[16]     (q − 16)·d
//   Q5_1  d, m, high[4], nibbles[16]  q·d + m
//   Q8_0  d, int8[32]                 q·d
//
// Low nibbles hold values 0 … 15, high nibbles 16 … 31; bit j of `high` is bit 4 of value j.
#include "layout/ggml.h"
#include "layout/layout.h"

#include <math.h>

enum { UNIT = 32, HALF_UNIT = UNIT / 2 };
enum { Q4_0_BYTES = 18, Q4_1_BYTES = 20, Q5_0_BYTES = 22, Q5_1_BYTES = 24, Q8_0_BYTES = 34 };

#define MAX_HALF 65504.0f

static unsigned low_nibble(uint8_t byte)
{
    return byte & 15u;
}

static unsigned high_nibble(uint8_t byte)
{
    return byte >> 4;
}

// Bit j of `high`, moved to the place of a code's fifth bit.
static unsigned fifth_bit(uint32_t high, size_t j)
{
    return (high >> j & 1u) << 4;
}

void tb_decode_q4_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q4_0_BYTES, dst += UNIT) {
        float d = tb_load_half(p);
        for (size_t j = 0; j < HALF_UNIT; j++) {
            dst[j] = (float)((int)low_nibble(p[2 + j]) - 8) * d;
            dst[j + HALF_UNIT] = (float)((int)high_nibble(p[2 + j]) - 8) * d;
        }
    }
}

void tb_decode_q4_1(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q4_1_BYTES, dst += UNIT) {
        float d = tb_load_half(p), m = tb_load_half(p + 2);
        for (size_t j = 0; j < HALF_UNIT; j++) {
            dst[j] = (float)low_nibble(p[4 + j]) * d + m;
            dst[j + HALF_UNIT] = (float)high_nibble(p[4 + j]) * d + m;
        }
    }
}

void tb_decode_q5_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q5_0_BYTES, dst += UNIT) {
        float d = tb_load_half(p);
        uint32_t high = tb_load_u32(p + 2);
        for (size_t j = 0; j < HALF_UNIT; j++) {
            unsigned low_code = low_nibble(p[6 + j]) | fifth_bit(high, j);
            unsigned high_code = high_nibble(p[6 + j]) | fifth_bit(high, j + HALF_UNIT);
            dst[j] = (float)((int)low_code - 16) * d;
            dst[j + HALF_UNIT] = (float)((int)high_code - 16) * d;
        }
    }
}

void tb_decode_q5_1(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q5_1_BYTES, dst += UNIT) {
        float d = tb_load_half(p), m = tb_load_half(p + 2);
        uint32_t high = tb_load_u32(p + 4);
        for (size_t j = 0; j < HALF_UNIT; j++) {
            dst[j] = (float)(low_nibble(p[8 + j]) | fifth_bit(high, j)) * d + m;
            dst[j + HALF_UNIT] = (float)(high_nibble(p[8 + j]) | fifth_bit(high, j + HALF_UNIT)) * d + m;
        }
    }
}

void tb_decode_q8_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q8_0_BYTES, dst += UNIT) {
        float d = tb_load_half(p);
        for (size_t j = 0; j < UNIT; j++)
            dst[j] = (float)(int8_t)p[2 + j] * d;
    }
}

static float largest_magnitude(const float *x, size_t n)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(x[i])); // fmaxf passes over NaN
    return largest;
}

static int8_t nearest_code(float x, float scale)
{
    if (isnan(x) || scale == 0)
        return 0;
    return (int8_t)lrintf(fmaxf(-127, fminf(127, x / scale)));
}

void tb_encode_q8_0(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i += UNIT, p += Q8_0_BYTES, src += UNIT) {
        uint16_t d = tb_half_from_float(fminf(largest_magnitude(src, UNIT) / 127, MAX_HALF));
        p[0] = (uint8_t)(d & 0xFF);
        p[1] = (uint8_t)(d >> 8);
        // Dividing by the scale as it was rounded gives the nearest value that can be read back.
        for (size_t j = 0; j < UNIT; j++)
            p[2 + j] = (uint8_t)nearest_code(src[j], tb_half_to_float(d));
    }
}
