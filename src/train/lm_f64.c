// A small transformer's passes in double precision: for checking gradients.
#include <math.h>
#include <string.h>

#include "train/lm_parts.h"

enum { SOME_ROWS = 16 };

static inline double silu(double x)
{
    return x / (1 + exp(-x));
}

// As tb_gelu_tanh.
static inline double gelu(double x)
{
    return x / (1 + exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)));
}

#define REAL double
#define OP(x) x##_f64
#define GEMM tb_gemm_f64
#define EXP exp
#define TANH tanh
#define SQRT sqrt
#define SILU silu
#define GELU gelu
#define PASSES tb_lm_passes_f64
#include "train/weigh_tmpl.h"

#include "train/norm_tmpl.h"

#include "train/attend_tmpl.h"

#include "train/block_tmpl.h"

#include "train/pass_tmpl.h"

double tb_lm_weigh_f64(double *w, const double *z, size_t n, tb_lm_normalizer normalizer, double gamma, double extra)
{
    return weigh_f64(w, z, n, normalizer, gamma, extra);
}

double tb_lm_unweigh_f64(double *dz, const double *w, const double *g, size_t n, tb_lm_normalizer normalizer,
                         double gamma, double rest)
{
    return unweigh_f64(dz, w, g, n, normalizer, gamma, rest);
}
