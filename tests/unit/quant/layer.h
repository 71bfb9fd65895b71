// Random layers for the tests of properties.
#ifndef TB_TEST_QUANT_LAYER_H
#define TB_TEST_QUANT_LAYER_H

#include "quant/quant.h"

// Prepares the linear algebra, as opening a model does: a group setup of cmocka.
int layer_setup(void **state);

// A random layer: weights [rows][cols] and moments [cols][cols] of inputs that are correlated.
typedef struct test_layer {
    size_t rows, cols;
    float *weights;
    double *moments;
} test_layer;
test_layer layer_new(size_t rows, size_t cols, uint64_t seed); // over three tokens per input
test_layer layer_over(size_t rows, size_t cols, size_t tokens, uint64_t seed);
void layer_free(test_layer *layer);

// tr((W − Q)·H·(W − Q)ᵀ) by its definition, with H + λI and W as given.
double layer_objective(const test_layer *layer, const tb_matrix *quantized, double lambda);

// δ·mean(diag H).
double layer_lambda(const test_layer *layer, double damping);

#endif
