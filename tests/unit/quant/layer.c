#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "layer.h"

int layer_setup(void **state)
{
    (void)state;
    tb_compute compute;
    tb_error err;
    return tb_compute_init(&compute, tb_cpu_detect(), 1, &err) != TB_OK;
}

// Inputs follow an autoregression over the columns, with loudness falling from column to
// column in a scrambled order, so that ordering and feedback have something to do.
test_layer layer_over(size_t rows, size_t cols, size_t tokens, uint64_t seed)
{
    test_layer l = {.rows = rows, .cols = cols};
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    l.weights = tb_alloc_array(rows * cols, sizeof *l.weights);
    l.moments = tb_alloc_array(cols * cols, sizeof *l.moments);
    double *x = tb_alloc_array(cols, sizeof *x);
    assert_non_null(l.weights);
    assert_non_null(l.moments);
    assert_non_null(x);
    for (size_t i = 0; i < rows * cols; i++)
        l.weights[i] = (float)(0.05 * tb_rng_normal(&rng));
    for (size_t t = 0; t < tokens; t++) {
        double state = 0;
        for (size_t j = 0; j < cols; j++) {
            state = 0.8 * state + 0.6 * tb_rng_normal(&rng);
            x[j] = state * (0.3 + (double)(j * 37 % 11) / 5);
        }
        for (size_t i = 0; i < cols; i++)
            for (size_t j = 0; j < cols; j++)
                l.moments[i * cols + j] += 2 * x[i] * x[j] / (double)tokens;
    }
    tb_free(x);
    return l;
}

test_layer layer_new(size_t rows, size_t cols, uint64_t seed)
{
    return layer_over(rows, cols, 3 * cols, seed);
}

void layer_free(test_layer *layer)
{
    tb_free(layer->weights);
    tb_free(layer->moments);
}

double layer_lambda(const test_layer *layer, double damping)
{
    double sum = 0;
    for (size_t j = 0; j < layer->cols; j++)
        sum += layer->moments[j * layer->cols + j];
    return damping * sum / (double)layer->cols;
}

double layer_objective(const test_layer *layer, const tb_matrix *quantized, double lambda)
{
    size_t cols = layer->cols;
    float *row = tb_alloc_array(cols, sizeof *row);
    double sum = 0;
    for (size_t r = 0; r < layer->rows; r++) {
        tb_matrix_decode_row(row, quantized, r);
        for (size_t i = 0; i < cols; i++) {
            double di = (double)layer->weights[r * cols + i] - (double)row[i], inner = lambda * di;
            for (size_t j = 0; j < cols; j++)
                inner += layer->moments[i * cols + j] * ((double)layer->weights[r * cols + j] - (double)row[j]);
            sum += di * inner;
        }
    }
    tb_free(row);
    return sum;
}
