#include <math.h>

#include "tensor/tensor.h"
#include "train/graph.h"

#define REAL float
#define OP(x) x##_f32
#define GEMM tb_gemm_f32
#define EXP expf
#define TANH tanhf
#include "train/ops_tmpl.h"
