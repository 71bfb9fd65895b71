// Conversions between float and the 16-bit formats, in portable arithmetic: IEEE half
// (binary16) and bfloat16. Rounding is to nearest even; NaN stays NaN.
#ifndef TB_BASE_HALF_H
#define TB_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t tb_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float tb_float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float tb_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = half & 0x7FFFu;
    if (magnitude >= 0x7C00u) // infinity, NaN
        return tb_float_from_bits(sign | 0x7F800000u | (magnitude & 0x3FFu) << 13);
    if (magnitude >= 0x0400u) // normal: rebias the exponent from 15 to 127
        return tb_float_from_bits(sign | ((magnitude << 13) + (112u << 23)));
    float subnormal = (float)magnitude * 0x1p-24f;
    return sign ? -subnormal : subnormal;
}

static inline uint16_t tb_half_from_float(float value)
{
    uint32_t bits = tb_float_bits(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x477FF000u) // 65520 and above round to infinity
        return (uint16_t)(sign | 0x7C00u);
    if (magnitude >= 0x38800000u) { // normal half
        uint32_t rounded = magnitude + 0x0FFFu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | (rounded - (112u << 23)) >> 13);
    }
    // Subnormal half: adding 0.5 lets the float adder round at bit 2^-24.
    float shifted = tb_float_from_bits(magnitude) + 0.5f;
    return (uint16_t)(sign | (tb_float_bits(shifted) - 0x3F000000u));
}

static inline float tb_bfloat_to_float(uint16_t bfloat)
{
    return tb_float_from_bits((uint32_t)bfloat << 16);
}

static inline uint16_t tb_bfloat_from_float(float value)
{
    uint32_t bits = tb_float_bits(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x0040u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

#endif
