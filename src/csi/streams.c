#include "csi/streams.h"

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
