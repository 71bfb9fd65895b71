// A small transformer's passes in single precision: for training.
#include <math.h>
#include <string.h>

#include "train/lm_parts.h"

enum { SOME_ROWS = 16 }; // a range of rows that one thread takes at a time

#define REAL float
#define OP(x) x##_f32
#define GEMM tb_gemm_f32
#define EXP tb_exp
#define TANH tb_tanh
#define SQRT sqrtf
#define SILU tb_silu
#define GELU tb_gelu_tanh
#define PASSES tb_lm_passes_f32
#include "train/weigh_tmpl.h"

#include "train/norm_tmpl.h"

#include "train/attend_tmpl.h"

#include "train/block_tmpl.h"

#include "train/pass_tmpl.h"

float tb_lm_weigh_f32(float *w, const float *z, size_t n, tb_lm_normalizer normalizer, float gamma, float extra)
{
    return weigh_f32(w, z, n, normalizer, gamma, extra);
}
