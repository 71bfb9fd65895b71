#include "csi/streams.h"

#include <math.h>

#include "base/base.h"

void tb_csi_words(uint32_t out[4], const tb_csi_stream *s, uint32_t block)
{
    const uint32_t counter[4] = {block, (uint32_t)s->purpose, (uint32_t)s->frame, (uint32_t)(s->frame >> 32)};
    const uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)};
    tb_philox(out, counter, key);
}

// Never 0 or 1.
static double uniform(uint32_t word)
{
    return ((double)word + 0.5) * 0x1p-32;
}

// Box–Muller: z = √(−ln u1)·e^(j2πu2) has E|z|² = 1.
static void normal(double *re, double *im, const uint32_t words[2], double deviation)
{
    const double two_pi = 6.283185307179586476925286766559;
    double radius = deviation * sqrt(-log(uniform(words[0])));
    double angle = two_pi * uniform(words[1]);
    *re = radius * cos(angle);
    *im = radius * sin(angle);
}

void tb_csi_normals(double *re, double *im, const tb_csi_stream *s, size_t first, size_t n, double variance)
{
    double deviation = sqrt(variance);
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 2 == 0)
            tb_csi_words(words, s, (uint32_t)((first + i) / 2));
        normal(&re[i], &im[i], &words[2 * (i % 2)], deviation);
    }
}

void tb_csi_real_normals(double *out, const tb_csi_stream *s, size_t first, size_t n, double deviation)
{
    const double root_two = 1.4142135623730950488;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        double z[4];
        tb_csi_words(words, s, (uint32_t)((first + i) / 4));
        normal(&z[0], &z[1], &words[0], root_two * deviation);
        normal(&z[2], &z[3], &words[2], root_two * deviation);
        for (size_t j = i; j < n && j < i + 4; j++)
            out[j] = z[j - i];
    }
}

void tb_csi_uniforms(double *out, const tb_csi_stream *s, size_t n)
{
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 0)
            tb_csi_words(words, s, (uint32_t)(i / 4));
        out[i] = uniform(words[i % 4]);
    }
}

void tb_csi_bits(uint8_t *out, const tb_csi_stream *s, size_t n)
{
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 128 == 0)
            tb_csi_words(words, s, (uint32_t)(i / 128));
        out[i] = words[i % 128 / 32] >> i % 32 & 1;
    }
}
