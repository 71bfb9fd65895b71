// tensor: products with stored matrices against plain double loops over decoded rows, and the
// promise that threads change nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdatomic.h>
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
    void *room;
    size_t x_stride, y_stride, tokens;
} product;

// Rows of x are padded, or one directly behind the other.
static void product_init(product *p, const sample_shape *shape, size_t tokens, bool padded, tb_rng *rng)
{
    sample_matrix(&p->w, shape, SAMPLE_NORMAL, rng);
    p->tokens = tokens;
    p->x_stride = padded ? tb_padded(shape->cols) + 32 : shape->cols;
    p->y_stride = shape->rows + 3;
    p->x = tb_alloc_array(tokens * p->x_stride, sizeof(float));
    p->y = tb_alloc_array(tokens * p->y_stride, sizeof(float));
    tb_compute compute = compute_with(3);
    p->scratch = tb_alloc_array(tb_matmul_scratch(&compute, tokens, shape->cols) + 1, sizeof(float));
    p->room = tb_alloc(tb_activations_room(&compute, tokens, p->x_stride, shape->cols));
    assert_true(p->x && p->y && p->scratch && p->room);
    for (size_t i = 0; i < tokens * p->y_stride; i++)
        p->y[i] = NAN;
    for (size_t t = 0; t < tokens; t++)
        sample_vector(p->x + t * p->x_stride, shape->cols, SAMPLE_NORMAL, rng);
}

static void product_clear(product *p)
{
    tb_packed_clear(&p->w);
    tb_free(p->x);
    tb_free(p->y);
    tb_free(p->scratch);
    tb_free(p->room);
}

static void product_run(product *p, size_t threads)
{
    tb_compute compute = compute_with(threads);
    for (size_t i = 0; i < p->tokens * p->y_stride; i++)
        p->y[i] = NAN;
    tb_activations x = {.x = p->x, .stride = p->x_stride, .rows = p->tokens, .cols = p->w.view.cols, .room = p->room};
    tb_matmul(&compute, p->y, p->y_stride, &p->w.view, &x, 0, p->tokens, p->scratch);
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
        product_init(&p, shape, token_counts[i], i % 2, user);
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
            product_init(&p, &larger[s], token_counts[t], s % 2, &rng);
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
            product_init(&p, &larger[s], token_counts[t], s % 2, &rng);
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
        product_init(&p, &larger[s], MOST_TOKENS, true, &rng);
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
    tb_activations none = {.cols = w.view.cols};
    tb_matmul(&compute, NULL, 0, &w.view, &none, 0, 0, NULL);
    tb_packed_clear(&w);
}

static void scratch__suffices_for_smaller_products_too(void **state)
{
    (void)state;
    tb_compute compute = compute_with(2);
    for (size_t tokens = 0; tokens < 20; tokens++)
        for (size_t cols = 1; cols < 300; cols++)
            assert_true(tb_matmul_scratch(&compute, tokens, cols) <= tb_matmul_scratch(&compute, tokens + 1, cols + 1));
}

static void room__is_for_rows_that_are_not_as_kernels_want_them(void **state)
{
    (void)state;
    tb_compute compute = compute_with(1);
    assert_int_equal(tb_activations_room(&compute, 7, 192, 172), 0);
    assert_int_equal(tb_activations_room(&compute, 7, 172, 172), 7 * 192 * sizeof(float));
}

// ---- a product on activations of another form ----

// Whole numbers up to 127 behind their scale; vectors are counted.
enum { GRAIN = 32 };

static atomic_size_t prepared_vectors;

static size_t bytes_form_bytes(size_t cols)
{
    return tb_round_up(sizeof(float) + cols, TB_ALIGNMENT);
}

static void bytes_form_prepare(void *restrict dst, const float *restrict x, size_t cols)
{
    float most = 0, *scale = dst;
    int8_t *codes = (int8_t *)(scale + 1);
    for (size_t i = 0; i < cols; i++)
        most = fmaxf(most, fabsf(x[i]));
    *scale = most > 0 ? most / 127 : 1;
    for (size_t i = 0; i < cols; i++)
        codes[i] = (int8_t)lrintf(x[i] / *scale);
    atomic_fetch_add(&prepared_vectors, 1);
}

static void bytes_form_restore(float *restrict dst, const void *restrict prepared, size_t cols)
{
    const float *scale = prepared;
    const int8_t *codes = (const int8_t *)(scale + 1);
    for (size_t i = 0; i < cols; i++)
        dst[i] = *scale * codes[i];
}

static const tb_activation_form bytes_form = {bytes_form_bytes, bytes_form_prepare, bytes_form_restore};

static void bytes_gemv(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict x)
{
    float row[MOST_COLS], restored[MOST_COLS];
    assert_int_equal(row0 % GRAIN, 0);
    assert_true(row1 % GRAIN == 0 || row1 == w->rows);
    bytes_form_restore(restored, x, w->cols);
    for (size_t r = row0; r < row1; r++) {
        double sum = 0;
        tb_matrix_decode_row(row, w, r);
        for (size_t c = 0; c < w->cols; c++)
            sum += (double)row[c] * (double)restored[c];
        y[r - row0] = (float)sum;
    }
}

// Replaces x by what its form makes of it.
static void restore_all(product *p)
{
    void *prepared = tb_alloc(bytes_form_bytes(p->w.view.cols));
    assert_non_null(prepared);
    for (size_t t = 0; t < p->tokens; t++) {
        bytes_form_prepare(prepared, p->x + t * p->x_stride, p->w.view.cols);
        bytes_form_restore(p->x + t * p->x_stride, prepared, p->w.view.cols);
    }
    tb_free(prepared);
}

static void activations__are_prepared_once_for_all_products_of_a_form(void **state)
{
    (void)state;
    const sample_shape q = {TB_TYPE_BITPLANES, 150, 200, 2, 64}, v = {TB_TYPE_AFFINE, 70, 200, 3, 64};
    tb_rng rng;
    tb_rng_init(&rng, 6, 0);
    for (size_t threads = 1; threads <= 3; threads++) {
        tb_compute compute = compute_with(threads);
        compute.kernels.products[tb_type_index(q.type)] = (tb_product){bytes_gemv, &bytes_form, GRAIN};
        compute.kernels.products[tb_type_index(v.type)] = (tb_product){bytes_gemv, &bytes_form, GRAIN};
        product a, b;
        product_init(&a, &q, 3, true, &rng);
        product_init(&b, &v, 3, true, &rng);
        void *room = tb_alloc(tb_activations_room(&compute, 3, a.x_stride, 200));
        assert_non_null(room);
        tb_activations x = {.x = a.x, .stride = a.x_stride, .rows = 3, .cols = 200, .room = room};
        prepared_vectors = 0;
        tb_matmul(&compute, a.y, a.y_stride, &a.w.view, &x, 0, 3, a.scratch);
        tb_matmul(&compute, b.y, b.y_stride, &b.w.view, &x, 0, 1, b.scratch);
        tb_matmul(&compute, b.y + b.y_stride, b.y_stride, &b.w.view, &x, 1, 2, b.scratch);
        assert_int_equal(prepared_vectors, 3);
        memcpy(b.x, a.x, 3 * a.x_stride * sizeof(float));
        restore_all(&a);
        restore_all(&b);
        check_against_double(&a);
        check_against_double(&b);
        tb_free(room);
        product_clear(&a);
        product_clear(&b);
    }
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
        cmocka_unit_test(room__is_for_rows_that_are_not_as_kernels_want_them),
        cmocka_unit_test(activations__are_prepared_once_for_all_products_of_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
