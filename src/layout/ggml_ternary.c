// Ternary types: units of 256 values −1, 0, 1 times one scale d.
//
//   TQ1_0  wide[32], narrow[16], last[4], d   five trits per byte, four in `last`
//   TQ2_0  codes[64], d                       two bits per value
//
// A TQ1_0 byte is a fraction of 256: times 3 its integer part is a trit, what remains holds the
// next. Trit k of all bytes of a part comes before trit k+1 of any.
#include "layout/ggml.h"

enum { TQ1_0_BYTES = 54, TQ2_0_BYTES = 66 };

// The trits of `count` bytes, `trits` of each; returns where to go on.
static float *put_trits(float *dst, const uint8_t *bytes, size_t count, size_t trits, float d)
{
    unsigned power = 1;
    for (size_t k = 0; k < trits; k++, power *= 3, dst += count)
        for (size_t j = 0; j < count; j++) {
            unsigned fraction = bytes[j] * power & 255u;
            dst[j] = d * (float)((int)(fraction * 3 >> 8) - 1);
        }
    return dst;
}

void tb_decode_tq1_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 256, p += TQ1_0_BYTES) {
        float d = tb_load_half(p + 52);
        dst = put_trits(dst, p, 32, 5, d);
        dst = put_trits(dst, p + 32, 16, 5, d);
        dst = put_trits(dst, p + 48, 4, 4, d);
    }
}

void tb_decode_tq2_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += 256, p += TQ2_0_BYTES) {
        float d = tb_load_half(p + 64);
        for (size_t run = 0; run < 8; run++, dst += 32)
            for (size_t j = 0; j < 32; j++)
                dst[j] = d * (float)((int)(p[run / 4 * 32 + j] >> run % 4 * 2 & 3u) - 1);
    }
}
