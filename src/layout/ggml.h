// Decoders of the ggml types, one file per family; traits.c lists them. All read unaligned,
// little-endian bytes, write `n` floats (a multiple of the unit) and accept any bytes.
#ifndef TB_LAYOUT_GGML_H
#define TB_LAYOUT_GGML_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

typedef void tb_ggml_decode_fn(float *dst, const void *src, size_t n);

tb_ggml_decode_fn tb_decode_f32, tb_decode_f16, tb_decode_bf16;
tb_ggml_decode_fn tb_decode_q4_0, tb_decode_q4_1, tb_decode_q5_0, tb_decode_q5_1, tb_decode_q8_0;
tb_ggml_decode_fn tb_decode_iq1_s, tb_decode_iq1_m, tb_decode_iq2_xxs, tb_decode_iq2_xs, tb_decode_iq2_s;
tb_ggml_decode_fn tb_decode_iq3_xxs, tb_decode_iq3_s, tb_decode_iq4_nl, tb_decode_iq4_xs, tb_decode_mxfp4;
tb_ggml_decode_fn tb_decode_tq1_0, tb_decode_tq2_0;
tb_ggml_decode_fn tb_decode_q2_k, tb_decode_q3_k, tb_decode_q4_k, tb_decode_q5_k, tb_decode_q6_k;

static inline uint16_t tb_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t tb_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline float tb_load_half(const uint8_t *p)
{
    return tb_half_to_float(tb_load_u16(p));
}

#endif
