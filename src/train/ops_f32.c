#include <math.h>
#include <string.h>

#include "tensor/tensor.h"
#include "train/graph.h"

// A product with a stored matrix; the kernels know single precision only.
static void packed_forward(tb_node *y, size_t threads)
{
    (void)threads; // of the products: compute's
    size_t cols = y->a->cols;
    tb_activations x = {.x = y->a->value, .stride = cols, .rows = y->rows, .cols = cols, .room = y->room};
    tb_matmul(y->compute, y->value, y->cols, y->matrix, &x, 0, y->rows, y->scratch);
}

#define PACKED                                                                                                         \
    {                                                                                                                  \
        packed_forward, NULL                                                                                           \
    }
#define REAL float
#define OP(x) x##_f32
#define GEMM tb_gemm_f32
#define EXP expf
#define TANH tanhf
#include "train/ops_tmpl.h"
