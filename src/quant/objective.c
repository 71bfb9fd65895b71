#include "quant/objective.h"

#include <math.h>

#include "tensor/tensor.h"

enum { ROWS = 64 }; // rows per range: enough for the products to run at speed

typedef struct measuring {
    const tb_matrix *quantized;
    const tb_quant_problem *problem;
    float *decoded; // [workers][cols]
    double *rows;   // [workers][2][ROWS][cols]: rows of W or D, and their product with H
    double *error;  // [rows]
    double *energy; // [rows], or NULL
} measuring;

tb_code tb_moments_check(const double *moments, size_t cols, tb_error *err)
{
    for (size_t i = 0; i < cols * cols; i++)
        if (!isfinite(moments[i]))
            return tb_fail(err, TB_EINVAL, "second moments are not finite at row %zu, column %zu", i / cols, i % cols);
    return TB_OK;
}

static double weight_at(const tb_quant_problem *problem, size_t row, size_t col)
{
    float weight = problem->weights[row * problem->cols + col];
    return isfinite(weight) ? (double)weight : 0;
}

// costs[r] = d·H·d for each row d of `rows`.
static void cost_rows(double *costs, double *rows, const tb_quant_problem *problem, size_t count)
{
    size_t cols = problem->cols;
    double *products = rows + ROWS * cols;
    tb_gemm_f64(products, cols, rows, cols, false, problem->moments, cols, false, count, cols, cols, 1, 0);
    for (size_t r = 0; r < count; r++) {
        costs[r] = 0;
        for (size_t c = 0; c < cols; c++)
            costs[r] += rows[r * cols + c] * products[r * cols + c];
    }
}

static void measure_range(void *user, size_t begin, size_t end, size_t worker)
{
    measuring *m = user;
    size_t cols = m->problem->cols;
    double *rows = m->rows + worker * 2 * ROWS * cols;
    float *decoded = m->decoded + worker * cols;
    for (size_t r = begin; r < end; r++)
        for (size_t c = 0; c < cols; c++)
            rows[(r - begin) * cols + c] = weight_at(m->problem, r, c);
    if (m->energy)
        cost_rows(m->energy + begin, rows, m->problem, end - begin);
    for (size_t r = begin; r < end; r++) {
        tb_matrix_decode_row(decoded, m->quantized, r);
        for (size_t c = 0; c < cols; c++)
            rows[(r - begin) * cols + c] -= (double)decoded[c];
    }
    cost_rows(m->error + begin, rows, m->problem, end - begin);
}

// Rows are added in order, so that the sum does not depend on threads.
static double sum_rows(const double *costs, size_t rows)
{
    double sum = 0;
    for (size_t r = 0; r < rows; r++)
        sum += costs[r];
    return sum;
}

tb_code tb_objective_measure(double *error, double *energy, const tb_matrix *quantized, const tb_quant_problem *problem,
                             size_t threads, tb_error *err)
{
    size_t rows = problem->rows, cols = problem->cols;
    measuring m = {.quantized = quantized, .problem = problem};
    m.decoded = tb_alloc_array(threads * cols, sizeof *m.decoded);
    m.rows = tb_alloc_array(threads * 2 * ROWS * cols, sizeof *m.rows);
    m.error = tb_alloc_array(rows, sizeof *m.error);
    m.energy = energy ? tb_alloc_array(rows, sizeof *m.energy) : NULL;
    tb_code rc = TB_OK;
    if (m.decoded && m.rows && m.error && (m.energy || !energy)) {
        tb_parallel(threads, rows, ROWS, measure_range, &m);
        *error = sum_rows(m.error, rows);
        if (energy)
            *energy = sum_rows(m.energy, rows);
    } else {
        rc = tb_fail(err, TB_ENOMEM, "no memory to measure a matrix of %zu x %zu", rows, cols);
    }
    tb_free(m.energy);
    tb_free(m.error);
    tb_free(m.rows);
    tb_free(m.decoded);
    return rc;
}
