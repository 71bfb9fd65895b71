// K-quants: units of 256 values cut into sub-units whose scales are integers times a
// common half.
//
//   Q2_K  scales[16], codes[64], d, dmin              16 sub-units of 16: (d·s)·q − dmin·m
//   Q3_K  high[32], codes[64], scales[12], d          16 sub-units of 16: (d·(s − 32))·(q − 4)
//   Q4_K  d, dmin, scales[12], nibbles[128]           8 sub-units of 32: (d·s)·q − dmin·m
//   Q5_K  d, dmin, scales[12], high[32], nibbles[128] the same with a fifth bit
//   Q6_K  low[128], high[64], int8 scales[16], d      16 sub-units of 16: (d·s)·(q − 32)
#include "layout/ggml.h"

enum { UNIT = 256 };
enum { Q2_K_BYTES = 84, Q3_K_BYTES = 110, Q4_K_BYTES = 144, Q5_K_BYTES = 176, Q6_K_BYTES = 210 };

// Two-bit codes of sub-unit `sub`: half a unit lies in 32 bytes, 16 of which hold sub-units
// 0, 2, 4, 6 of the half from the lowest bits up, the others 1, 3, 5, 7.
static const uint8_t *two_bit_codes(unsigned *shift, const uint8_t codes[64], size_t sub)
{
    *shift = (unsigned)(sub / 2 % 4) * 2;
    return codes + sub / 8 * 32 + sub % 2 * 16;
}

void tb_decode_q2_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q2_K_BYTES) {
        float d = tb_load_half(p + 80), dmin = tb_load_half(p + 82);
        for (size_t sub = 0; sub < 16; sub++, dst += 16) {
            unsigned shift;
            const uint8_t *q = two_bit_codes(&shift, p + 16, sub);
            float step = d * (float)(p[sub] & 15u), offset = dmin * (float)(p[sub] >> 4);
            for (size_t j = 0; j < 16; j++)
                dst[j] = step * (float)(q[j] >> shift & 3u) - offset;
        }
    }
}

// Six-bit scale of sub-unit j: low nibbles in bytes 0 … 7, those of j ≥ 8 in the upper halves;
// two upper bits in bytes 8 … 11.
static int q3_k_scale(const uint8_t scales[12], size_t j)
{
    unsigned low = scales[j % 8] >> j / 8 * 4 & 15u, high = scales[8 + j % 4] >> j / 4 * 2 & 3u;
    return (int)(low | high << 4) - 32;
}

void tb_decode_q3_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q3_K_BYTES) {
        float d = tb_load_half(p + 108);
        for (size_t sub = 0; sub < 16; sub++, dst += 16) {
            unsigned shift;
            const uint8_t *q = two_bit_codes(&shift, p + 32, sub);
            const uint8_t *high = p + sub % 2 * 16; // bit sub/2: third bit of the code
            float step = d * (float)q3_k_scale(p + 96, sub);
            for (size_t j = 0; j < 16; j++) {
                unsigned code = (q[j] >> shift & 3u) | (high[j] >> sub / 2 & 1u) << 2;
                dst[j] = step * (float)((int)code - 4);
            }
        }
    }
}

// Scale and minimum of sub-unit j, six bits each: the first four of both lie in the low bits
// of bytes 0 … 7; of the last four, the low nibbles are in bytes 8 … 11 (scale low, minimum
// high) and the two upper bits on top of bytes 0 … 7.
static void get_scale_min(unsigned *scale, unsigned *min, const uint8_t scales[12], size_t j)
{
    if (j < 4) {
        *scale = scales[j] & 63u;
        *min = scales[j + 4] & 63u;
        return;
    }
    *scale = (scales[j + 4] & 15u) | (scales[j - 4] >> 6) << 4;
    *min = (unsigned)scales[j + 4] >> 4 | (scales[j] >> 6) << 4;
}

void tb_decode_q4_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q4_K_BYTES) {
        float d = tb_load_half(p), dmin = tb_load_half(p + 2);
        // Bytes 32k … 32k+31 hold sub-unit 2k in their low and 2k+1 in their high nibbles.
        for (size_t sub = 0; sub < 8; sub++, dst += 32) {
            const uint8_t *q = p + 16 + sub / 2 * 32;
            unsigned scale, min, shift = sub % 2 * 4;
            get_scale_min(&scale, &min, p + 4, sub);
            float step = d * (float)scale, offset = dmin * (float)min;
            for (size_t j = 0; j < 32; j++)
                dst[j] = step * (float)(q[j] >> shift & 15u) - offset;
        }
    }
}

void tb_decode_q5_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q5_K_BYTES) {
        float d = tb_load_half(p), dmin = tb_load_half(p + 2);
        const uint8_t *high = p + 16; // bit `sub` of byte j: fifth bit of value j of the sub-unit
        for (size_t sub = 0; sub < 8; sub++, dst += 32) {
            const uint8_t *q = p + 48 + sub / 2 * 32;
            unsigned scale, min, shift = sub % 2 * 4;
            get_scale_min(&scale, &min, p + 4, sub);
            float step = d * (float)scale, offset = dmin * (float)min;
            for (size_t j = 0; j < 32; j++)
                dst[j] = step * (float)((q[j] >> shift & 15u) | (high[j] >> sub & 1u) << 4) - offset;
        }
    }
}

// Half a Q6_K unit, 128 values in four runs of 32: run r takes the low (r < 2) or high nibble
// of low[32·(r mod 2) + j] and bits 2r, 2r+1 of high[j].
static void decode_q6_k_half(float *dst, const uint8_t *low, const uint8_t *high, const uint8_t *scales, float d)
{
    for (size_t run = 0; run < 4; run++)
        for (size_t j = 0; j < 32; j++) {
            unsigned nibble = low[run % 2 * 32 + j] >> (run / 2 * 4) & 15u;
            unsigned code = nibble | (high[j] >> (2 * run) & 3u) << 4;
            float step = d * (float)(int8_t)scales[2 * run + j / 16];
            dst[32 * run + j] = step * (float)((int)code - 32);
        }
}

void tb_decode_q6_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += UNIT, p += Q6_K_BYTES, dst += UNIT) {
        const uint8_t *low = p, *high = p + 128, *scales = p + 192;
        float d = tb_load_half(p + 208);
        decode_q6_k_half(dst, low, high, scales, d);
        decode_q6_k_half(dst + 128, low + 64, high + 32, scales + 8, d);
    }
}
