#include <math.h>

#include "tensor/tensor.h"
#include "train/graph.h"

#define PACKED                                                                                                         \
    {                                                                                                                  \
        NULL, NULL                                                                                                     \
    } // tb_graph_packed refuses double precision
#define REAL double
#define OP(x) x##_f64
#define GEMM tb_gemm_f64
#define EXP exp
#define TANH tanh
#include "train/ops_tmpl.h"
