// tensor: the dense algebra by its properties, and the accumulation of second moments against a
// double loop.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "rounding.h"
#include "tensor/tensor.h"

enum { MOST = 300 };

static double *new_doubles(size_t n)
{
    double *p = tb_alloc_array(n, sizeof *p);
    assert_non_null(p);
    return p;
}

static float *new_floats(size_t n)
{
    float *p = tb_alloc_array(n, sizeof *p);
    assert_non_null(p);
    return p;
}

static tb_compute compute_with(size_t threads)
{
    tb_compute compute;
    tb_error err;
    if (tb_compute_init(&compute, 0, threads, &err))
        fail_msg("%s", err.message);
    return compute;
}

static void fill_normal(double *a, size_t n, tb_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        a[i] = tb_rng_normal(rng);
}

// A random symmetric positive definite matrix: X·Xᵀ/n + I.
static void fill_positive_definite(double *a, size_t n, tb_rng *rng)
{
    double *x = new_doubles(n * n);
    fill_normal(x, n * n, rng);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = i == j;
            for (size_t k = 0; k < n; k++)
                sum += x[i * n + k] * x[j * n + k] / (double)n;
            a[i * n + j] = a[j * n + i] = sum;
        }
    tb_free(x);
}

static const size_t orders[] = {1, 2, 3, 17, 64, 129, MOST};
enum { ORDERS = sizeof orders / sizeof orders[0] };

// Runs first: only the first success of the process needs memory.
static void compute_init__survives_failed_allocations(void **state)
{
    (void)state;
    tb_compute compute;
    for (long long n = 0; n < 6; n++) {
        tb_mem_fail_after(n);
        assert_int_equal(tb_compute_init(&compute, 0, 1, NULL), TB_ENOMEM);
    }
    tb_mem_fail_after(-1);
    assert_int_equal(tb_compute_init(&compute, 0, 1, NULL), TB_OK);
}

static void factor_upper__multiplies_back_to_the_matrix(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    double *a = new_doubles(MOST * MOST), *v = new_doubles(MOST * MOST);
    for (size_t o = 0; o < ORDERS; o++) {
        size_t n = orders[o];
        fill_positive_definite(a, n, &rng);
        memcpy(v, a, n * n * sizeof *a);
        assert_int_equal(tb_factor_upper(1, v, n, NULL), TB_OK);
        for (size_t i = 0; i < n; i++) {
            assert_true(v[i * n + i] > 0);
            for (size_t j = 0; j < i; j++)
                assert_true(v[i * n + j] == 0);
        }
        // (n + 1)·u·Σ|v·v| from factoring (Higham, theorem 10.3), n·u·Σ|v·v| from the sum here.
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0, magnitude = 0;
                for (size_t k = i > j ? i : j; k < n; k++) {
                    sum += v[i * n + k] * v[j * n + k];
                    magnitude += fabs(v[i * n + k] * v[j * n + k]);
                }
                assert_true(fabs(a[i * n + j] - sum) <= (double)(2 * n + 1) * 0x1p-53 * magnitude);
            }
    }
    tb_free(a);
    tb_free(v);
}

// D + U·Uᵀ: what the factors of a matrix of several panels multiply to is seen from their products with a vector.
static void fill_large(double *a, size_t n, tb_rng *rng)
{
    enum { RANK = 3 };
    double *u = new_doubles(n * RANK);
    fill_normal(u, n * RANK, rng);
    tb_gemm_f64(a, n, u, RANK, false, u, RANK, true, n, n, RANK, 1, 0);
    for (size_t i = 0; i < n; i++)
        a[i * n + i] += 1 + (double)(i % 7);
    tb_free(u);
}

static void make_absolute(double *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = fabs(a[i]);
}

// out = V·(Vᵀ·x)
static void multiply_back(double *out, const double *v, const double *x, size_t n)
{
    double *inner = new_doubles(n);
    tb_gemm_f64(inner, 1, v, n, true, x, 1, false, n, 1, n, 1, 0);
    tb_gemm_f64(out, 1, v, n, false, inner, 1, false, n, 1, n, 1, 0);
    tb_free(inner);
}

// A·x is V·(Vᵀ·x) for a random x: four sums of n terms lie between the two, of factoring and of three products.
// Overwrites v with |v|.
static void check_product(const double *a, double *v, size_t n, tb_rng *rng)
{
    double *x = new_doubles(n), *product = new_doubles(n), *wanted = new_doubles(n), *magnitude = new_doubles(n);
    fill_normal(x, n, rng);
    multiply_back(product, v, x, n);
    tb_gemm_f64(wanted, 1, a, n, false, x, 1, false, n, 1, n, 1, 0);
    make_absolute(v, n * n);
    make_absolute(x, n);
    multiply_back(magnitude, v, x, n);
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(product[i] - wanted[i]) <= rounding_of_double_sums(4 * n, n) * magnitude[i]);
    tb_free(x);
    tb_free(product);
    tb_free(wanted);
    tb_free(magnitude);
}

static void factor_upper__is_the_same_in_panels_for_any_threads(void **state)
{
    (void)state;
    enum { N = 2048 + 300 }; // a whole panel, and strips of 128 rows, the last one shorter
    tb_rng rng;
    tb_error err;
    tb_rng_init(&rng, 7, 0);
    double *a = new_doubles(N * N), *v = new_doubles(N * N), *again = new_doubles(N * N);
    fill_large(a, N, &rng);
    memcpy(v, a, N * N * sizeof *a);
    assert_int_equal(tb_factor_upper(1, v, N, &err), TB_OK);
    for (size_t i = 0; i < N; i++) {
        assert_true(v[i * N + i] > 0);
        for (size_t j = 0; j < i; j++)
            assert_true(v[i * N + j] == 0);
    }
    memcpy(again, v, N * N * sizeof *v);
    check_product(a, again, N, &rng);
    for (size_t threads = 2; threads <= 3; threads++) {
        memcpy(again, a, N * N * sizeof *a);
        assert_int_equal(tb_factor_upper(threads, again, N, &err), TB_OK);
        assert_memory_equal(again, v, N * N * sizeof *v);
    }
    static const size_t spoiled[] = {5, N - 5}; // in the first panel and in the last
    for (size_t s = 0; s < 2; s++) {
        memcpy(again, a, N * N * sizeof *a);
        again[spoiled[s] * N + spoiled[s]] = -1;
        assert_int_equal(tb_factor_upper(2, again, N, &err), TB_EINVAL);
    }
    memcpy(again, a, N * N * sizeof *a);
    again[5 * N + N - 5] = again[(N - 5) * N + 5] = NAN;
    assert_int_equal(tb_factor_upper(2, again, N, &err), TB_EINVAL);
    tb_mem_fail_after(0);
    assert_int_equal(tb_factor_upper(2, again, N, &err), TB_ENOMEM);
    tb_mem_fail_after(-1);
    tb_free(a);
    tb_free(v);
    tb_free(again);
}

static void factor_upper__refuses_what_is_not_positive_definite(void **state)
{
    (void)state;
    tb_error err;
    double indefinite[] = {1, 2, 2, 1}, zero[] = {0}, nan[] = {2, 0, 0, NAN}, infinite[] = {INFINITY, 0, 0, 1};
    double infinite_above[] = {1, INFINITY, INFINITY, 1};
    assert_int_equal(tb_factor_upper(1, indefinite, 2, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "not positive definite"));
    assert_int_equal(tb_factor_upper(1, zero, 1, NULL), TB_EINVAL);
    assert_int_equal(tb_factor_upper(1, nan, 2, NULL), TB_EINVAL);
    assert_int_equal(tb_factor_upper(1, infinite, 2, NULL), TB_EINVAL);
    assert_int_equal(tb_factor_upper(1, infinite_above, 2, NULL), TB_EINVAL);
    assert_int_equal(tb_factor_upper(1, NULL, 0, NULL), TB_OK);
}

// Each way is off by n·u·|b|·|V| before V is taken away again, which makes no vector longer: A = V·Vᵀ has no eigenvalue
// below 1. What lies behind the row stays.
static void check_undone(const double *b, const double *c, const double *v, size_t n, size_t pad)
{
    double squares = 0;
    for (size_t j = 0; j < n; j++) {
        double magnitude = 0;
        for (size_t k = 0; k <= j; k++)
            magnitude += fabs(b[k] * v[k * n + j]);
        squares += magnitude * magnitude;
    }
    for (size_t j = 0; j < n; j++)
        assert_true(fabs(c[j] - b[j]) <= 2 * (double)n * 0x1p-53 * sqrt(squares));
    assert_memory_equal(c + n, b + n, pad * sizeof *c);
}

static void solve_upper_right__undoes_multiply(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 2, 0);
    enum { M = 37, PAD = 5 };
    double *v = new_doubles(MOST * MOST), *b = new_doubles(M * (MOST + PAD)), *c = new_doubles(M * (MOST + PAD));
    for (size_t o = 0; o < ORDERS; o++) {
        size_t n = orders[o], ldb = n + PAD;
        fill_positive_definite(v, n, &rng);
        assert_int_equal(tb_factor_upper(1, v, n, NULL), TB_OK);
        fill_normal(b, M * ldb, &rng);
        memcpy(c, b, M * ldb * sizeof *b);
        tb_multiply_upper_right(c, ldb, v, n, M, n);
        double expected = 0, magnitude = 0; // element (M−1, n−1) by hand
        for (size_t k = 0; k < n; k++) {
            expected += b[(M - 1) * ldb + k] * v[k * n + n - 1];
            magnitude += fabs(b[(M - 1) * ldb + k] * v[k * n + n - 1]);
        }
        assert_true(fabs(c[(M - 1) * ldb + n - 1] - expected) <= 2 * (double)n * 0x1p-53 * magnitude);
        tb_solve_upper_right(c, ldb, v, n, M, n);
        for (size_t r = 0; r < M; r++)
            check_undone(b + r * ldb, c + r * ldb, v, n, PAD);
    }
    tb_free(v);
    tb_free(b);
    tb_free(c);
}

static void gemm__agrees_with_plain_loops(void **state)
{
    (void)state;
    enum { M = 13, N = 21, K = 34, LDC = N + 2 };
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    double a[M * K], b[K * N], c[M * LDC];
    float af[M * K], bf[K * N], cf[M * LDC];
    for (unsigned transposed = 0; transposed < 4; transposed++) {
        bool ta = transposed & 1, tb = transposed & 2;
        for (size_t i = 0; i < M * K; i++)
            af[i] = (float)(a[i] = (double)tb_rng_below(&rng, 19) - 9);
        for (size_t i = 0; i < K * N; i++)
            bf[i] = (float)(b[i] = (double)tb_rng_below(&rng, 19) - 9);
        for (size_t i = 0; i < M * LDC; i++)
            cf[i] = (float)(c[i] = 100);
        tb_gemm_f64(c, LDC, a, ta ? M : K, ta, b, tb ? K : N, tb, M, N, K, 2, -1);
        tb_gemm_f32(cf, LDC, af, ta ? M : K, ta, bf, tb ? K : N, tb, M, N, K, 2, -1);
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < LDC; j++) {
                double expected = 100;
                if (j < N) {
                    double sum = 0;
                    for (size_t k = 0; k < K; k++)
                        sum += a[ta ? k * M + i : i * K + k] * b[tb ? j * K + k : k * N + j];
                    expected = 2 * sum - 100;
                }
                assert_true(c[i * LDC + j] == expected && (double)cf[i * LDC + j] == expected);
            }
    }
}

static void check_gram(size_t tokens, size_t n, tb_rng *rng)
{
    size_t ldx = n + 7;
    float *x = new_floats(tokens * ldx), *scratch = new_floats(n * n);
    double *g = new_doubles(n * n), *more = new_doubles(n * n);
    for (size_t i = 0; i < tokens * ldx; i++)
        x[i] = (float)tb_rng_normal(rng);
    for (size_t i = 0; i < n * n; i++)
        g[i] = more[i] = (double)(i / n + i % n); // a symmetric beginning
    tb_compute one = compute_with(1), three = compute_with(3);
    tb_accumulate_gram(&one, g, x, ldx, tokens, n, scratch);
    tb_accumulate_gram(&three, more, x, ldx, tokens, n, scratch);
    assert_memory_equal(g, more, n * n * sizeof *g);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double exact = 0, magnitude = 0;
            for (size_t t = 0; t < tokens; t++) {
                double term = (double)x[t * ldx + i] * (double)x[t * ldx + j];
                exact += term;
                magnitude += fabs(term);
            }
            double beginning = (double)(i + j); // whose sum with strips of up to 256 tokens is one of doubles
            assert_true(fabs(g[i * n + j] - beginning - exact) <=
                        257 * 0x1p-24 * magnitude + (double)(tokens + 2) * 0x1p-53 * (beginning + magnitude));
            assert_true(g[i * n + j] == g[j * n + i]);
        }
    tb_free(x);
    tb_free(scratch);
    tb_free(g);
    tb_free(more);
}

static void gram__agrees_with_a_double_loop_for_any_threads(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 4, 0);
    check_gram(1, 1, &rng);
    check_gram(3, 64, &rng);
    check_gram(256, 128, &rng);
    check_gram(257, 129, &rng);
    check_gram(600, 172, &rng);
    check_gram(40, 300, &rng);
}

static void gram__adds_up_over_calls(void **state)
{
    (void)state;
    enum { N = 130, TOKENS = 512 };
    tb_rng rng;
    tb_rng_init(&rng, 5, 0);
    float *x = new_floats(TOKENS * N), *scratch = new_floats(N * N);
    double *whole = new_doubles(N * N), *halves = new_doubles(N * N);
    for (size_t i = 0; i < TOKENS * N; i++)
        x[i] = (float)tb_rng_normal(&rng);
    tb_compute compute = compute_with(2);
    tb_accumulate_gram(&compute, whole, x, N, TOKENS, N, scratch);
    tb_accumulate_gram(&compute, halves, x, N, TOKENS / 2, N, scratch);
    tb_accumulate_gram(&compute, halves, x + TOKENS / 2 * N, N, TOKENS / 2, N, scratch);
    assert_memory_equal(whole, halves, N * N * sizeof *whole); // strips of 256 tokens fall together
    tb_free(x);
    tb_free(scratch);
    tb_free(whole);
    tb_free(halves);
}

static void singular_values__of_a_product_with_known_factors(void **state)
{
    (void)state;
    // Rotations of the plane and of one axis do not change the singular values 5, 2. Each of the entries is rounded
    // twice here, and as often in either of two reflections.
    const double tolerance = 6 * 2 * 0x1p-53 * 5;
    double c = cos(0.3), s = sin(0.3), found[2];
    double wide[] = {5 * c, -2 * s, 0, 5 * s, 2 * c, 0};
    double tall[] = {5 * c, 5 * s, -2 * s, 2 * c, 0, 0};
    assert_int_equal(tb_singular_values(found, wide, 2, 3, NULL), TB_OK);
    assert_true(fabs(found[0] - 5) <= tolerance && fabs(found[1] - 2) <= tolerance);
    assert_int_equal(tb_singular_values(found, tall, 3, 2, NULL), TB_OK);
    assert_true(fabs(found[0] - 5) <= tolerance && fabs(found[1] - 2) <= tolerance);
}

static void singular_values__square_to_the_frobenius_norm(void **state)
{
    (void)state;
    enum { M = 40, N = 70 };
    tb_rng rng;
    tb_rng_init(&rng, 6, 0);
    double *a = new_doubles(M * N), s[M], norm = 0, squares = 0;
    fill_normal(a, M * N, &rng);
    for (size_t i = 0; i < M * N; i++)
        norm += a[i] * a[i];
    assert_int_equal(tb_singular_values(s, a, M, N, NULL), TB_OK);
    for (size_t i = 0; i < M; i++) {
        squares += s[i] * s[i];
        assert_true(i == 0 || s[i] <= s[i - 1]);
    }
    // Reflections leave (m·n)·u of the norm (Higham, theorem 19.4), squares twice that.
    assert_true(fabs(norm - squares) <= 2 * M * N * 0x1p-53 * norm);
    a[3] = NAN;
    assert_int_equal(tb_singular_values(s, a, M, N, NULL), TB_EINVAL);
    tb_free(a);
}

static void compute_init__keeps_to_what_the_processor_has(void **state)
{
    (void)state;
    tb_compute compute;
    assert_int_equal(tb_compute_init(&compute, ~0u, 0, NULL), TB_OK);
    assert_int_equal(compute.kernels.cpu & ~tb_cpu_detect(), 0);
    assert_int_equal(compute.threads, tb_cpu_count());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compute_init__survives_failed_allocations),
        cmocka_unit_test(factor_upper__multiplies_back_to_the_matrix),
        cmocka_unit_test(factor_upper__is_the_same_in_panels_for_any_threads),
        cmocka_unit_test(factor_upper__refuses_what_is_not_positive_definite),
        cmocka_unit_test(solve_upper_right__undoes_multiply),
        cmocka_unit_test(gemm__agrees_with_plain_loops),
        cmocka_unit_test(gram__agrees_with_a_double_loop_for_any_threads),
        cmocka_unit_test(gram__adds_up_over_calls),
        cmocka_unit_test(singular_values__of_a_product_with_known_factors),
        cmocka_unit_test(singular_values__square_to_the_frobenius_norm),
        cmocka_unit_test(compute_init__keeps_to_what_the_processor_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
