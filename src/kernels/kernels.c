// The ladder: each level of the processor overwrites what the level below put in.
#include "kernels/variants.h"

static void init_ref(tb_kernels *k)
{
    k->cpu = k->vector_cpu = 0;
    k->gemv_bitplanes = tb_gemv_ref;
    k->gemv_affine = tb_gemv_ref;
    k->gemv_tritplanes = tb_gemv_ref;
    k->gemv_offset = tb_gemv_ref;
    k->gemv_f32 = tb_gemv_ref;
    k->gemv_f16 = tb_gemv_ref;
    k->gemv_q8_0 = tb_gemv_ref;
    k->gemv_block = tb_gemv_ref;
    k->decode_bitplanes = tb_decode_rows_ref;
    k->decode_affine = tb_decode_rows_ref;
    k->decode_tritplanes = tb_decode_rows_ref;
    k->decode_offset = tb_decode_rows_ref;
    k->decode_block = tb_decode_rows_ref;
    k->dot_f32 = tb_dot_f32_ref;
    k->dot_f32_f16 = tb_dot_f32_f16_ref;
    k->axpy_f32 = tb_axpy_f32_ref;
    k->axpy_f16 = tb_axpy_f16_ref;
    k->half_from_float = tb_half_from_float_ref;
}

#if defined(__x86_64__)
static void init_x86(tb_kernels *k, tb_cpu cpu)
{
    if (!(cpu & TB_CPU_AVX2))
        return;
    k->cpu = k->vector_cpu = TB_CPU_AVX2;
    k->gemv_bitplanes = tb_gemv_bitplanes_avx2;
    k->gemv_affine = tb_gemv_affine_avx2;
    k->gemv_tritplanes = tb_gemv_tritplanes_avx2;
    k->gemv_offset = tb_gemv_offset_avx2;
    k->gemv_f32 = tb_gemv_f32_avx2;
    k->gemv_f16 = tb_gemv_f16_avx2;
    k->gemv_q8_0 = tb_gemv_q8_0_avx2;
    k->gemv_block = tb_gemv_block_avx2;
    k->decode_bitplanes = tb_decode_bitplanes_avx2;
    k->decode_affine = tb_decode_affine_avx2;
    k->decode_tritplanes = tb_decode_tritplanes_avx2;
    k->decode_offset = tb_decode_offset_avx2;
    k->decode_block = tb_decode_block_avx2;
    k->dot_f32 = tb_dot_f32_avx2;
    k->dot_f32_f16 = tb_dot_f32_f16_avx2;
    k->axpy_f32 = tb_axpy_f32_avx2;
    k->axpy_f16 = tb_axpy_f16_avx2;
    k->half_from_float = tb_half_from_float_avx2;

    if (!(cpu & TB_CPU_AVX512))
        return;
    k->cpu |= TB_CPU_AVX512;
    k->gemv_bitplanes = tb_gemv_bitplanes_avx512;
    k->gemv_affine = tb_gemv_affine_avx512;
    k->gemv_tritplanes = tb_gemv_tritplanes_avx512;
    k->gemv_offset = tb_gemv_offset_avx512;
    k->decode_bitplanes = tb_decode_bitplanes_avx512;
    k->decode_affine = tb_decode_affine_avx512;
    k->decode_tritplanes = tb_decode_tritplanes_avx512;
    k->decode_offset = tb_decode_offset_avx512;
}
#endif

void tb_kernels_init(tb_kernels *kernels, tb_cpu cpu)
{
    init_ref(kernels);
#if defined(__x86_64__)
    init_x86(kernels, cpu);
#endif
}

tb_gemv_fn *tb_kernels_gemv(const tb_kernels *kernels, tb_type type)
{
    switch (type) {
    case TB_TYPE_BITPLANES:
        return kernels->gemv_bitplanes;
    case TB_TYPE_AFFINE:
        return kernels->gemv_affine;
    case TB_TYPE_TRITPLANES:
        return kernels->gemv_tritplanes;
    case TB_TYPE_OFFSET:
        return kernels->gemv_offset;
    case TB_TYPE_F32:
        return kernels->gemv_f32;
    case TB_TYPE_F16:
        return kernels->gemv_f16;
    case TB_TYPE_Q8_0:
        return kernels->gemv_q8_0;
    default:
        return kernels->gemv_block;
    }
}

tb_decode_rows_fn *tb_kernels_decode(const tb_kernels *kernels, tb_type type)
{
    switch (type) {
    case TB_TYPE_BITPLANES:
        return kernels->decode_bitplanes;
    case TB_TYPE_AFFINE:
        return kernels->decode_affine;
    case TB_TYPE_TRITPLANES:
        return kernels->decode_tritplanes;
    case TB_TYPE_OFFSET:
        return kernels->decode_offset;
    default:
        return kernels->decode_block;
    }
}
