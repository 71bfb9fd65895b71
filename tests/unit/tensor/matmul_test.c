// tensor: products with stored matrices against plain double loops over decoded rows, and the
// promise that threads change nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "rounding.h"
#include "sample.h"
#include "tensor/tensor.h"

enum { MOST_COLS = 2560, MOST_ROWS = 150, MOST_TOKENS = 40 };

static tb_compute compute_with(size_t threads)
{
    tb_compute compute;
    tb_error err;
    if (tb_compute_init(&compute, tb_cpu_detect(), threads, &err))
        fail_msg("%s", err.message);
    return compute;
}

typedef struct product {
    tb_packed w;
    float *x, *y, *scratch;
    size_t x_stride, y_stride, tokens;
} product;

static void product_init(product *p, const sample_shape *shape, size_t tokens, tb_rng *rng)
{
    sample_matrix(&p->w, shape, SAMPLE_NORMAL, rng);
    p->tokens = tokens;
    p->x_stride = tb_padded(shape->cols) + 32;
    p->y_stride = shape->rows + 3;
    p->x = tb_alloc_array(tokens * p->x_stride, sizeof(float));
    p->y = tb_alloc_array(tokens * p->y_stride, sizeof(float));
    p->scratch = tb_alloc_array(tb_matmul_scratch(tokens, shape->rows, shape->cols, 3) + 1, sizeof(float));
    assert_true(p->x && p->y && p->scratch);
    for (size_t t = 0; t < tokens; t++)
        sample_vector(p->x + t * p->x_stride, shape->cols, SAMPLE_NORMAL, rng);
}

static void product_clear(product *p)
{
    tb_packed_clear(&p->w);
    tb_free(p->x);
    tb_free(p->y);
    tb_free(p->scratch);
}

static void product_run(product *p, size_t threads)
{
    tb_compute compute = compute_with(threads);
    for (size_t i = 0; i < p->tokens * p->y_stride; i++)
        p->y[i] = NAN;
    tb_matmul(&compute, p->y, p->y_stride, &p->w.view, p->x, p->x_stride, p->tokens, p->scratch);
}

// The exact product of row r with token t, and what its rounding is relative to.
static double exact_product(double *magnitude, const float *row, const product *p, size_t t)
{
    double exact = 0;
    *magnitude = 0;
    for (size_t c = 0; c < p->w.view.cols; c++) {
        double term = (double)row[c] * (double)p->x[t * p->x_stride + c];
        exact += term;
        *magnitude += fabs(term);
    }
    return exact;
}

static double bound_of(const product *p, double magnitude)
{
    return 2 * ((double)p->w.view.cols + 8) * 0x1p-24 * magnitude;
}

static void check_against_double(const product *p)
{
    static float row[MOST_COLS];
    const tb_matrix *w = &p->w.view;
    for (size_t r = 0; r < w->rows; r++) {
        tb_matrix_decode_row(row, w, r);
        for (size_t t = 0; t < p->tokens; t++) {
            double magnitude, exact = exact_product(&magnitude, row, p, t);
            assert_true(fabs((double)p->y[t * p->y_stride + r] - exact) <= bound_of(p, magnitude));
        }
    }
    for (size_t t = 0; t < p->tokens; t++) // nothing is written between the rows of y
        for (size_t i = w->rows; i < p->y_stride; i++)
            assert_true(isnan(p->y[t * p->y_stride + i]));
}

static void check_shape(void *user, const sample_shape *shape)
{
    static const size_t token_counts[] = {1, 3, 9};
    for (size_t i = 0; i < 3; i++) {
        product p;
        product_init(&p, shape, token_counts[i], user);
        product_run(&p, 1);
        check_against_double(&p);
        product_clear(&p);
    }
}

static void matmul__agrees_with_double_loops_for_every_type(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    sample_every_shape(3, check_shape, &rng);
}

static const sample_shape larger[] = {
    {TB_TYPE_F32, 131, 172, 0, 0},        {TB_TYPE_F16, 130, 200, 0, 0},         {TB_TYPE_Q8_0, 129, 576, 0, 0},
    {TB_TYPE_Q4_K, 70, 512, 0, 0},        {TB_TYPE_BITPLANES, 150, 576, 2, 192}, {TB_TYPE_AFFINE, 150, 200, 3, 64},
    {TB_TYPE_TRITPLANES, 65, 333, 2, 96}, {TB_TYPE_BITPLANES, 1, 2560, 2, 128},
};
enum { LARGER = sizeof larger / sizeof larger[0] };

static const size_t token_counts[] = {1, 2, 4, 5, 17, MOST_TOKENS};
enum { TOKEN_COUNTS = sizeof token_counts / sizeof token_counts[0] };

static void matmul__covers_all_rows_and_tokens(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 2, 0);
    for (size_t s = 0; s < LARGER; s++)
        for (size_t t = 0; t < TOKEN_COUNTS; t++) {
            product p;
            product_init(&p, &larger[s], token_counts[t], &rng);
            product_run(&p, 2);
            check_against_double(&p);
            product_clear(&p);
        }
}

static void matmul__gives_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    static float one_thread[MOST_TOKENS * (MOST_ROWS + 3)];
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    for (size_t s = 0; s < LARGER; s++)
        for (size_t t = 0; t < TOKEN_COUNTS; t++) {
            product p;
            product_init(&p, &larger[s], token_counts[t], &rng);
            product_run(&p, 1);
            memcpy(one_thread, p.y, p.tokens * p.y_stride * sizeof(float));
            for (size_t threads = 2; threads <= 3; threads++) {
                product_run(&p, threads);
                for (size_t i = 0; i < p.tokens * p.y_stride; i++)
                    assert_true(p.y[i] == one_thread[i] || (isnan(p.y[i]) && isnan(one_thread[i])));
            }
            product_clear(&p);
        }
}

static void matmul__of_one_token_is_close_to_the_same_among_many(void **state)
{
    (void)state;
    static float among_many[MOST_ROWS], row[MOST_COLS];
    tb_rng rng;
    tb_rng_init(&rng, 5, 0);
    for (size_t s = 0; s < LARGER; s++) {
        product p;
        product_init(&p, &larger[s], MOST_TOKENS, &rng);
        product_run(&p, 1); // by BLAS
        memcpy(among_many, p.y, larger[s].rows * sizeof(float));
        p.tokens = 1;
        product_run(&p, 1); // by gemv
        for (size_t r = 0; r < larger[s].rows; r++) {
            double magnitude;
            tb_matrix_decode_row(row, &p.w.view, r);
            exact_product(&magnitude, row, &p, 0);
            double bound = rounding_of_sums(larger[s].cols, larger[s].rows) * magnitude;
            assert_true(fabs((double)p.y[r] - (double)among_many[r]) <= bound);
        }
        product_clear(&p);
    }
}

static void matmul__of_no_tokens_does_nothing(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 4, 0);
    tb_packed w;
    sample_matrix(&w, &larger[4], SAMPLE_NORMAL, &rng);
    tb_compute compute = compute_with(2);
    tb_matmul(&compute, NULL, 0, &w.view, NULL, 0, 0, NULL);
    tb_packed_clear(&w);
}

static void scratch__suffices_for_smaller_products_too(void **state)
{
    (void)state;
    for (size_t tokens = 0; tokens < 20; tokens++)
        for (size_t cols = 1; cols < 300; cols++)
            assert_true(tb_matmul_scratch(tokens, 10, cols, 2) <= tb_matmul_scratch(tokens + 1, 11, cols + 1, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul__agrees_with_double_loops_for_every_type),
        cmocka_unit_test(matmul__covers_all_rows_and_tokens),
        cmocka_unit_test(matmul__gives_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(matmul__of_one_token_is_close_to_the_same_among_many),
        cmocka_unit_test(matmul__of_no_tokens_does_nothing),
        cmocka_unit_test(scratch__suffices_for_smaller_products_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
