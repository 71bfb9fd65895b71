// PTQTP against an independent float64 implementation: tests/golden/ptqtp has the cases.
// Trits, iteration counts and stored scales are equal, fitted scales too (sums in column order).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "quant/ptqtp.h"

enum { GROUP = 128, MAX_ITERATIONS = 50 };

static const char *const cases[] = {"gauss", "heavy", "zeros", "outlier", "bf16", "edge", "ragged"};
enum { CASES = sizeof cases / sizeof cases[0] };

static tb_npy open_part(const char *name, const char *part, char kind, size_t item_size)
{
    char file[64];
    snprintf(file, sizeof file, "%s_%s", name, part);
    return golden_open("ptqtp", file, kind, item_size, 0);
}

// One group of a golden matrix and what is known of it.
typedef struct golden_group {
    const float *weights;
    size_t n;
    const int8_t *fit_t1, *fit_t2, *pack_t1, *pack_t2;
    const double *alpha;
    int32_t iterations;
    double fit_sse, pack_sse;
    const uint16_t *scales;
} golden_group;

// Errors are w − α₁t₁ − α₂t₂, rounded thrice, and their squares are added: the roots of two sums may be so far apart.
static void assert_sse(double sse, double expected, const golden_group *g, const double alpha[2])
{
    double steps = 3 * 0x1p-53 * sqrt((double)g->n) * 2 * (fabs(alpha[0]) + fabs(alpha[1]));
    double sums = (double)g->n * 0x1p-53 * sqrt(expected);
    assert_true(fabs(sqrt(sse) - sqrt(expected)) <= steps + sums);
}

static double sum_of_squared_errors(const golden_group *g, const double alpha[2], const int8_t *t1, const int8_t *t2)
{
    double sum = 0;
    for (size_t i = 0; i < g->n; i++)
        if (isfinite(g->weights[i])) {
            double error = (double)g->weights[i] - (alpha[0] * t1[i] + alpha[1] * t2[i]);
            sum += error * error;
        }
    return sum;
}

static void check_group(const golden_group *g)
{
    int8_t t1[GROUP], t2[GROUP];
    double scratch[3 * GROUP];
    tb_trit_fit fit;
    tb_ptqtp_fit(&fit, t1, t2, g->weights, g->n, MAX_ITERATIONS, scratch);
    assert_memory_equal(t1, g->fit_t1, g->n);
    assert_memory_equal(t2, g->fit_t2, g->n);
    assert_int_equal(fit.iterations, g->iterations);
    assert_true(fit.alpha[0] == g->alpha[0]);
    assert_true(fit.alpha[1] == g->alpha[1]);
    double sse = sum_of_squared_errors(g, fit.alpha, t1, t2);
    assert_sse(sse, g->fit_sse, g, fit.alpha);

    uint16_t scales[2];
    size_t clamped = 0;
    tb_ptqtp_round(scales, t1, t2, &fit, g->weights, g->n, scratch, &clamped);
    assert_memory_equal(scales, g->scales, sizeof scales);
    assert_memory_equal(t1, g->pack_t1, g->n);
    assert_memory_equal(t2, g->pack_t2, g->n);
    assert_int_equal(clamped, 0);
    const double alpha[2] = {(double)tb_half_to_float(scales[0]), (double)tb_half_to_float(scales[1])};
    sse = sum_of_squared_errors(g, alpha, t1, t2);
    assert_sse(sse, g->pack_sse, g, alpha);
}

static void check_case(const char *name)
{
    tb_npy w = open_part(name, "w", 'f', 4), alpha = open_part(name, "fit_alpha", 'f', 8);
    tb_npy iterations = open_part(name, "fit_iters", 'i', 4), fit_sse = open_part(name, "fit_sse", 'f', 8);
    tb_npy t1 = open_part(name, "fit_t1", 'i', 1), t2 = open_part(name, "fit_t2", 'i', 1);
    tb_npy p1 = open_part(name, "pack_t1", 'i', 1), p2 = open_part(name, "pack_t2", 'i', 1);
    tb_npy scales = open_part(name, "pack_scale", 'u', 2), pack_sse = open_part(name, "pack_sse", 'f', 8);
    size_t rows = w.dims[0], cols = w.dims[1], groups = alpha.dims[1];
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < groups; k++) {
            size_t at = r * cols + k * GROUP, slot = r * groups + k;
            golden_group g = {.weights = (const float *)w.data + at,
                              .n = cols - k * GROUP < GROUP ? cols - k * GROUP : GROUP,
                              .fit_t1 = (const int8_t *)t1.data + at,
                              .fit_t2 = (const int8_t *)t2.data + at,
                              .pack_t1 = (const int8_t *)p1.data + at,
                              .pack_t2 = (const int8_t *)p2.data + at,
                              .alpha = (const double *)alpha.data + 2 * slot,
                              .iterations = ((const int32_t *)iterations.data)[slot],
                              .fit_sse = ((const double *)fit_sse.data)[slot],
                              .pack_sse = ((const double *)pack_sse.data)[slot],
                              .scales = (const uint16_t *)scales.data + 2 * slot};
            check_group(&g);
        }
    tb_npy *const all[] = {&w, &alpha, &iterations, &fit_sse, &t1, &t2, &p1, &p2, &scales, &pack_sse};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tb_npy_close(all[i]);
}

static void ptqtp__reproduces_the_golden_fits(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++)
        check_case(cases[i]);
}

// Trits after one, two and three steps: the cap stops the fit there.
static void ptqtp__reproduces_the_golden_steps(void **state)
{
    (void)state;
    tb_npy w = open_part("gauss", "w", 'f', 4);
    tb_npy t1 = open_part("gauss", "trace_t1", 'i', 1), t2 = open_part("gauss", "trace_t2", 'i', 1);
    size_t steps = t1.dims[0], rows = t1.dims[1], cols = t1.dims[2];
    for (size_t s = 0; s < steps; s++)
        for (size_t at = 0; at < rows * cols; at += GROUP) {
            int8_t a[GROUP], b[GROUP];
            double scratch[3 * GROUP];
            tb_trit_fit fit;
            tb_ptqtp_fit(&fit, a, b, (const float *)w.data + at, GROUP, (unsigned)s + 1, scratch);
            assert_memory_equal(a, (const int8_t *)t1.data + s * rows * cols + at, GROUP);
            assert_memory_equal(b, (const int8_t *)t2.data + s * rows * cols + at, GROUP);
        }
    tb_npy_close(&t2);
    tb_npy_close(&t1);
    tb_npy_close(&w);
}

static tb_packed quantize(const char *name)
{
    tb_npy w = open_part(name, "w", 'f', 4);
    tb_quant_problem problem = {.weights = w.data, .rows = w.dims[0], .cols = w.dims[1]};
    tb_quant_options options = {.group = GROUP};
    tb_quant_report report;
    tb_packed packed;
    tb_error err;
    assert_int_equal(tb_quantize_matrix(&packed, &report, TB_METHOD_PTQTP, &problem, &options, &err), TB_OK);
    tb_npy_close(&w);
    return packed;
}

// The whole way into the stored form; base 3 pads each row here and each group in the golden
// bytes, so trits are compared one by one.
static void ptqtp__packs_the_golden_bytes(void **state)
{
    (void)state;
    static const char *const packed_cases[] = {"gauss", "edge"};
    static const unsigned power[] = {1, 3, 9, 27, 81};
    for (size_t i = 0; i < 2; i++) {
        tb_packed packed = quantize(packed_cases[i]);
        const tb_matrix *m = &packed.view;
        tb_npy bytes = open_part(packed_cases[i], "pack_b3", 'u', 1),
               scales = open_part(packed_cases[i], "pack_scale", 'u', 2);
        size_t groups = bytes.dims[1], per_plane = bytes.dims[3];
        assert_memory_equal(packed.coefs, scales.data, m->rows * groups * 2 * sizeof *packed.coefs);
        for (size_t r = 0; r < m->rows; r++)
            for (size_t c = 0; c < m->cols; c++)
                for (unsigned plane = 0; plane < 2; plane++) {
                    size_t k = c / GROUP, j = c % GROUP;
                    uint8_t byte = ((const uint8_t *)bytes.data)[((r * groups + k) * 2 + plane) * per_plane + j / 5];
                    assert_int_equal(tb_matrix_get_trit(m, r, plane, c), (int)(byte / power[j % 5] % 3) - 1);
                }
        tb_npy_close(&scales);
        tb_npy_close(&bytes);
        tb_packed_clear(&packed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ptqtp__reproduces_the_golden_fits),
        cmocka_unit_test(ptqtp__reproduces_the_golden_steps),
        cmocka_unit_test(ptqtp__packs_the_golden_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
