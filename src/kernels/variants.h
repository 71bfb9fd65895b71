// Every variant of every kernel, for the ladder in kernels.c. Names: tb_<op>_<weights>_<isa>.
#ifndef TB_KERNELS_VARIANTS_H
#define TB_KERNELS_VARIANTS_H

#include "kernels/kernels.h"

// The reference reads any matrix through layout: one function serves all types.
tb_gemv_fn tb_gemv_ref;
tb_decode_rows_fn tb_decode_rows_ref;
tb_dot_f32_fn tb_dot_f32_ref;
tb_dot_f32_f16_fn tb_dot_f32_f16_ref;
tb_axpy_f32_fn tb_axpy_f32_ref;
tb_axpy_f16_fn tb_axpy_f16_ref;
tb_half_from_float_fn tb_half_from_float_ref;
tb_scores_fn tb_scores_f32_ref, tb_scores_f16_ref;
tb_mix_fn tb_mix_f32_ref, tb_mix_f16_ref;
tb_mix_codes_fn tb_mix_codes_ref;
tb_decode_codes_fn tb_decode_codes_ref;
tb_max_f32_fn tb_max_f32_ref;
tb_exp_f32_fn tb_exp_f32_ref;

#if defined(__x86_64__)
tb_gemv_fn tb_gemv_bitplanes_avx2, tb_gemv_affine_avx2, tb_gemv_tritplanes_avx2, tb_gemv_offset_avx2;
tb_gemv_fn tb_gemv_f32_avx2, tb_gemv_f16_avx2, tb_gemv_q8_0_avx2, tb_gemv_ggml_avx2;
tb_decode_rows_fn tb_decode_bitplanes_avx2, tb_decode_affine_avx2, tb_decode_tritplanes_avx2;
tb_decode_rows_fn tb_decode_offset_avx2, tb_decode_ggml_avx2;
tb_dot_f32_fn tb_dot_f32_avx2;
tb_dot_f32_f16_fn tb_dot_f32_f16_avx2;
tb_axpy_f32_fn tb_axpy_f32_avx2;
tb_axpy_f16_fn tb_axpy_f16_avx2;
tb_half_from_float_fn tb_half_from_float_avx2;
tb_scores_fn tb_scores_f32_avx2, tb_scores_f16_avx2;
tb_mix_fn tb_mix_f32_avx2, tb_mix_f16_avx2;
tb_mix_codes_fn tb_mix_codes_avx2;
tb_decode_codes_fn tb_decode_codes_avx2;
tb_max_f32_fn tb_max_f32_avx2;
tb_exp_f32_fn tb_exp_f32_avx2;

tb_gemv_fn tb_gemv_bitplanes_avx512, tb_gemv_affine_avx512, tb_gemv_tritplanes_avx512, tb_gemv_offset_avx512;
tb_decode_rows_fn tb_decode_bitplanes_avx512, tb_decode_affine_avx512, tb_decode_tritplanes_avx512;
tb_decode_rows_fn tb_decode_offset_avx512;
tb_scores_fn tb_scores_f32_avx512, tb_scores_f16_avx512;
tb_mix_fn tb_mix_f32_avx512, tb_mix_f16_avx512;
tb_mix_codes_fn tb_mix_codes_avx512;
tb_decode_codes_fn tb_decode_codes_avx512;
tb_max_f32_fn tb_max_f32_avx512;
tb_exp_f32_fn tb_exp_f32_avx512;
#endif

#endif
