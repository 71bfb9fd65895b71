// The ladder: each level of the processor overwrites what the level below put in.
#include "kernels/variants.h"

static void init_ref(tb_kernels *k)
{
    k->cpu = k->vector_cpu = 0;
    for (size_t i = 0; i < TB_TYPES; i++) {
        k->products[i] = (tb_product){tb_gemv_ref, &tb_floats_form, 1};
        k->decode[i] = tb_decode_rows_ref;
    }
    k->dot_f32 = tb_dot_f32_ref;
    k->dot_f32_f16 = tb_dot_f32_f16_ref;
    k->axpy_f32 = tb_axpy_f32_ref;
    k->axpy_f16 = tb_axpy_f16_ref;
    k->half_from_float = tb_half_from_float_ref;
    k->scores_f32 = tb_scores_f32_ref;
    k->scores_f16 = tb_scores_f16_ref;
    k->mix_f32 = tb_mix_f32_ref;
    k->mix_f16 = tb_mix_f16_ref;
    k->mix_codes = tb_mix_codes_ref;
    k->decode_codes = tb_decode_codes_ref;
    k->max_f32 = tb_max_f32_ref;
    k->exp_f32 = tb_exp_f32_ref;
}

#if defined(__x86_64__)
static void set(tb_kernels *k, tb_type type, tb_gemv_fn *gemv, tb_decode_rows_fn *decode)
{
    k->products[tb_type_index(type)] = (tb_product){gemv, &tb_floats_form, 1};
    k->decode[tb_type_index(type)] = decode;
}

static void init_avx2(tb_kernels *k)
{
    k->cpu = k->vector_cpu = TB_CPU_AVX2;
    for (size_t i = 0; i < TB_GGML_TYPES; i++)
        set(k, (tb_type)i, tb_gemv_ggml_avx2, tb_decode_ggml_avx2);
    set(k, TB_TYPE_F32, tb_gemv_f32_avx2, tb_decode_ggml_avx2);
    set(k, TB_TYPE_F16, tb_gemv_f16_avx2, tb_decode_ggml_avx2);
    set(k, TB_TYPE_Q8_0, tb_gemv_q8_0_avx2, tb_decode_ggml_avx2);
    set(k, TB_TYPE_BITPLANES, tb_gemv_bitplanes_avx2, tb_decode_bitplanes_avx2);
    set(k, TB_TYPE_AFFINE, tb_gemv_affine_avx2, tb_decode_affine_avx2);
    set(k, TB_TYPE_TRITPLANES, tb_gemv_tritplanes_avx2, tb_decode_tritplanes_avx2);
    set(k, TB_TYPE_OFFSET, tb_gemv_offset_avx2, tb_decode_offset_avx2);
    k->dot_f32 = tb_dot_f32_avx2;
    k->dot_f32_f16 = tb_dot_f32_f16_avx2;
    k->axpy_f32 = tb_axpy_f32_avx2;
    k->axpy_f16 = tb_axpy_f16_avx2;
    k->half_from_float = tb_half_from_float_avx2;
    k->scores_f32 = tb_scores_f32_avx2;
    k->scores_f16 = tb_scores_f16_avx2;
    k->mix_f32 = tb_mix_f32_avx2;
    k->mix_f16 = tb_mix_f16_avx2;
    k->mix_codes = tb_mix_codes_avx2;
    k->decode_codes = tb_decode_codes_avx2;
    k->max_f32 = tb_max_f32_avx2;
    k->exp_f32 = tb_exp_f32_avx2;
}

static void init_avx512(tb_kernels *k)
{
    k->cpu |= TB_CPU_AVX512;
    set(k, TB_TYPE_BITPLANES, tb_gemv_bitplanes_avx512, tb_decode_bitplanes_avx512);
    set(k, TB_TYPE_AFFINE, tb_gemv_affine_avx512, tb_decode_affine_avx512);
    set(k, TB_TYPE_TRITPLANES, tb_gemv_tritplanes_avx512, tb_decode_tritplanes_avx512);
    set(k, TB_TYPE_OFFSET, tb_gemv_offset_avx512, tb_decode_offset_avx512);
    k->scores_f32 = tb_scores_f32_avx512;
    k->scores_f16 = tb_scores_f16_avx512;
    k->mix_f32 = tb_mix_f32_avx512;
    k->mix_f16 = tb_mix_f16_avx512;
    k->mix_codes = tb_mix_codes_avx512;
    k->decode_codes = tb_decode_codes_avx512;
    k->max_f32 = tb_max_f32_avx512;
    k->exp_f32 = tb_exp_f32_avx512;
}
#endif

void tb_kernels_init(tb_kernels *kernels, tb_cpu cpu)
{
    init_ref(kernels);
#if defined(__x86_64__)
    if (cpu & TB_CPU_AVX2)
        init_avx2(kernels);
    if ((cpu & TB_CPU_AVX2) && (cpu & TB_CPU_AVX512))
        init_avx512(kernels);
#else
    (void)cpu;
#endif
}
