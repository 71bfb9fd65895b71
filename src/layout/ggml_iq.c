// IQ types of one, two and three bits: units of 256 values. Magnitudes are points of a
// lattice (iq_grids.h), eight or four values at a time; signs and sub-unit scales s are apart.
//
//   IQ1_S    d, low[32], high u16[8]                  d·(2s+1)·(step − 1 ± 1/8), s per 32
//   IQ1_M    low[32], high[16], scales u16[4]         the same, s per 16, ± per 8, d in pieces
//   IQ2_XXS  d, {points u8[4], signs and s u32}[8]    d·(s + ½)/4·±magnitude, s per 32
//   IQ2_XS   d, points and signs u16[32], s[8]        the same, s per 16
//   IQ2_S    d, low[32], signs[32], high[8], s[8]     the same, s per 16
//   IQ3_XXS  d, points[64], signs and s u32[8]        d·(s + ½)/2·±magnitude, s per 32
//   IQ3_S    d, low[64], high[8], signs[32], s[4]     d·(2s+1)·±magnitude, s per 32
//
// `low` and `high` are the low eight and the remaining bits of point numbers; u8 scales hold two
// nibbles. All products are exact in float, so their order does not matter.
#include "layout/ggml.h"
#include "layout/iq_grids.h"

enum { UNIT = 256, SUB_UNIT = 32, SUB_UNITS = UNIT / SUB_UNIT };
enum { IQ1_S_BYTES = 50, IQ1_M_BYTES = 56, IQ2_XXS_BYTES = 66, IQ2_XS_BYTES = 74, IQ2_S_BYTES = 82 };
enum { IQ3_XXS_BYTES = 98, IQ3_S_BYTES = 110 };

static const float iq2_magnitudes[4] = {8, 25, 43}; // step 3 does not occur in a grid
static const float iq3_xxs_magnitudes[8] = {4, 12, 20, 28, 36, 44, 52, 62};
static const float iq3_s_magnitudes[8] = {1, 3, 5, 7, 9, 11, 13, 15};

static unsigned nibble(const uint8_t *bytes, size_t index)
{
    return bytes[index / 2] >> (index % 2 * 4) & 15u;
}

// Seven stored sign bits; the eighth makes the number of minus signs even.
static unsigned eight_signs(unsigned seven)
{
    unsigned parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return seven | (parity & 1u) << 7;
}

// Without a branch: signs are as random as can be.
static float with_sign(float value, unsigned signs, size_t j)
{
    return tb_float_from_bits(tb_float_bits(value) ^ (signs >> j & 1u) << 31);
}

static void put_eight(float *dst, unsigned point, unsigned signs, float scale)
{
    for (size_t j = 0; j < 8; j++)
        dst[j] = with_sign(scale * iq2_magnitudes[point >> 2 * j & 3u], signs, j);
}

static void put_four(float *dst, unsigned point, const float magnitudes[8], unsigned signs, float scale)
{
    for (size_t j = 0; j < 4; j++)
        dst[j] = with_sign(scale * magnitudes[point >> 3 * j & 7u], signs, j);
}

// One-bit types: steps 0, 1, 2 are −1, 0, 1, all moved by `shift`.
static void put_shifted(float *dst, unsigned point, float shift, float scale)
{
    for (size_t j = 0; j < 8; j++)
        dst[j] = scale * ((float)((int)(point >> 2 * j & 3u) - 1) + shift);
}

void tb_decode_iq1_s(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += IQ1_S_BYTES) {
        float d = tb_load_half(p);
        for (size_t sub = 0; sub < SUB_UNITS; sub++) {
            const uint8_t *low = p + 2 + 4 * sub;
            unsigned high = tb_load_u16(p + 34 + 2 * sub);
            float scale = d * (float)(2 * (high >> 12 & 7u) + 1);
            float shift = high & 0x8000u ? -0.125f : 0.125f;
            for (size_t k = 0; k < 4; k++, dst += 8)
                put_shifted(dst, tb_iq1_grid[low[k] | (high >> 3 * k & 7u) << 8], shift, scale);
        }
    }
}

// IQ1_M's half stands in the upper four bits of its four scale words, lowest nibble first.
static float iq1_m_scale(const uint8_t *words)
{
    unsigned half = 0;
    for (size_t k = 0; k < 4; k++)
        half |= (unsigned)(tb_load_u16(words + 2 * k) >> 12) << 4 * k;
    return tb_half_to_float((uint16_t)half);
}

void tb_decode_iq1_m(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += IQ1_M_BYTES) {
        const uint8_t *low = p, *high = p + 32, *words = p + 48;
        float d = iq1_m_scale(words);
        for (size_t k = 0; k < UNIT / 8; k++, dst += 8) {
            size_t run = k / 2; // sixteen values share a scale, four scales a word
            unsigned s = tb_load_u16(words + run / 4 * 2) >> 3 * (run % 4) & 7u;
            unsigned bits = nibble(high, k);
            float shift = bits & 8u ? -0.125f : 0.125f;
            put_shifted(dst, tb_iq1_grid[low[k] | (bits & 7u) << 8], shift, d * (float)(2 * s + 1));
        }
    }
}

void tb_decode_iq2_xxs(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += IQ2_XXS_BYTES) {
        float d = tb_load_half(p);
        for (size_t sub = 0; sub < SUB_UNITS; sub++) {
            const uint8_t *points = p + 2 + 8 * sub;
            uint32_t signs = tb_load_u32(points + 4); // four times seven, the scale above
            float scale = d * (0.5f + (float)(signs >> 28)) * 0.25f;
            for (size_t k = 0; k < 4; k++, dst += 8)
                put_eight(dst, tb_iq2_xxs_grid[points[k]], eight_signs(signs >> 7 * k & 127u), scale);
        }
    }
}

void tb_decode_iq2_xs(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += IQ2_XS_BYTES) {
        float d = tb_load_half(p);
        for (size_t k = 0; k < UNIT / 8; k++, dst += 8) {
            unsigned word = tb_load_u16(p + 2 + 2 * k);
            float scale = d * (0.5f + (float)nibble(p + 66, k / 2)) * 0.25f;
            put_eight(dst, tb_iq2_xs_grid[word & 511u], eight_signs(word >> 9), scale);
        }
    }
}

void tb_decode_iq2_s(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += IQ2_S_BYTES) {
        const uint8_t *low = p + 2, *signs = p + 34, *high = p + 66;
        float d = tb_load_half(p);
        for (size_t k = 0; k < UNIT / 8; k++, dst += 8) {
            unsigned point = low[k] | (high[k / 4] >> k % 4 * 2 & 3u) << 8;
            float scale = d * (0.5f + (float)nibble(p + 74, k / 2)) * 0.25f;
            put_eight(dst, tb_iq2_s_grid[point], signs[k], scale);
        }
    }
}

void tb_decode_iq3_xxs(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += IQ3_XXS_BYTES) {
        float d = tb_load_half(p);
        for (size_t sub = 0; sub < SUB_UNITS; sub++) {
            const uint8_t *points = p + 2 + 8 * sub;
            uint32_t word = tb_load_u32(p + 66 + 4 * sub);
            float scale = d * (0.5f + (float)(word >> 28)) * 0.5f;
            for (size_t k = 0; k < 4; k++, dst += 8) {
                unsigned signs = eight_signs(word >> 7 * k & 127u);
                put_four(dst, tb_iq3_xxs_grid[points[2 * k]], iq3_xxs_magnitudes, signs, scale);
                put_four(dst + 4, tb_iq3_xxs_grid[points[2 * k + 1]], iq3_xxs_magnitudes, signs >> 4, scale);
            }
        }
    }
}

void tb_decode_iq3_s(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += IQ3_S_BYTES) {
        const uint8_t *low = p + 2, *high = p + 66, *signs = p + 74;
        float d = tb_load_half(p);
        for (size_t k = 0; k < UNIT / 4; k++, dst += 4) {
            unsigned point = low[k] | (high[k / 8] >> k % 8 & 1u) << 8;
            float scale = d * (float)(2 * nibble(p + 106, k / 8) + 1);
            put_four(dst, tb_iq3_s_grid[point], iq3_s_magnitudes, nibble(signs, k), scale);
        }
    }
}
