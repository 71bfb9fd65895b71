// What holds for every method: shapes, reports, threads, bad input, failing memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "layer.h"
#include "rounding.h"

enum { ROWS = 9, COLS = 172, GROUP = 64 }; // a last group of 44 columns, a last word of 12

static tb_packed quantize(const test_layer *l, tb_method method, tb_quant_options options, tb_quant_report *report)
{
    tb_error err;
    tb_curvature *curvature = NULL;
    tb_packed packed;
    assert_int_equal(tb_quant_options_resolve(&options, method, &options, &err), TB_OK);
    if (tb_method_get(method)->needs_curvature)
        assert_int_equal(tb_curvature_new(&curvature, l->moments, l->cols, &options, &err), TB_OK);
    tb_quant_problem problem = {.weights = l->weights, .rows = l->rows, .cols = l->cols, .curvature = curvature};
    if (tb_method_get(method)->needs_moments)
        problem.moments = l->moments;
    assert_int_equal(tb_quantize_matrix(&packed, report, method, &problem, &options, &err), TB_OK);
    tb_curvature_free(curvature);
    return packed;
}

static void assert_same_bits(const tb_packed *a, tb_packed *b)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, &a->view);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(parts[i].data, tb_packed_part(b, i), parts[i].bytes);
}

static void methods__are_found_by_their_names(void **state)
{
    (void)state;
    tb_method found;
    for (unsigned m = 0; m < TB_METHODS; m++) {
        const char *name = tb_method_get((tb_method)m)->name;
        assert_true(tb_method_find(&found, name));
        assert_int_equal(found, m);
        assert_non_null(strstr(TB_METHOD_NAMES, name));
    }
    assert_false(tb_method_find(&found, "exl2"));
}

static void options__out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        tb_method method;
        tb_quant_options options;
        const char *says;
    } bad[] = {
        {TB_METHOD_RTN, {.bits = 5}, "takes 1 to 4 bits, not 5"},
        {TB_METHOD_PTQTP, {.bits = 3}, "has always 2 planes, not 3"},
        {TB_METHOD_GPTQ, {.group = 48}, "group 48 is not a multiple of 32"},
        {TB_METHOD_BPDQ, {.damping = -0.1}, "damping -0.1"},
        {TB_METHOD_BPDQ, {.iterations = 100000}, "100000 iterations"},
        {TB_METHOD_BPDQ, {.threads = 100000}, "100000 threads"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tb_quant_options out;
        tb_error err;
        assert_int_equal(tb_quant_options_resolve(&out, bad[i].method, &bad[i].options, &err), TB_EINVAL);
        assert_non_null(strstr(err.message, bad[i].says));
    }
}

static void quantize__refuses_a_problem_that_does_not_fit(void **state)
{
    (void)state;
    tb_error err;
    tb_quant_report report;
    tb_packed packed;
    test_layer l = layer_new(2, 64, 1);
    tb_quant_problem problem = {.weights = l.weights, .rows = 2, .cols = 64};
    tb_quant_options options = {.group = 32};
    for (unsigned m = 0; m < TB_METHODS; m++)
        if (tb_method_is_calibrated((tb_method)m)) {
            assert_int_equal(tb_quantize_matrix(&packed, &report, (tb_method)m, &problem, &options, &err), TB_EINVAL);
            assert_non_null(strstr(err.message, "needs second moments"));
        }
    l.moments[5] = NAN;
    problem.moments = l.moments;
    assert_int_equal(tb_quantize_matrix(&packed, &report, TB_METHOD_CLIP, &problem, &options, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "not finite at row 0, column 5"));
    l.moments[5] = l.moments[5 * 64];
    tb_curvature *curvature;
    assert_int_equal(tb_curvature_new(&curvature, l.moments, 64, &options, &err), TB_OK);
    problem.curvature = curvature;
    options.group = 64;
    assert_int_equal(tb_quantize_matrix(&packed, &report, TB_METHOD_GPTQ, &problem, &options, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "do not fit"));
    tb_curvature_free(curvature);
    layer_free(&l);
}

static void quantize__reports_the_error_that_the_stored_matrix_has(void **state)
{
    (void)state;
    test_layer l = layer_new(ROWS, COLS, 2);
    double squares = 0;
    for (size_t i = 0; i < ROWS * COLS; i++)
        squares += (double)l.weights[i] * (double)l.weights[i];
    tb_packed zero;
    tb_error err;
    assert_int_equal(tb_packed_init(&zero, TB_TYPE_BITPLANES, ROWS, COLS, 1, GROUP, &err), TB_OK);
    for (unsigned m = 0; m < TB_METHODS; m++) {
        tb_quant_report report;
        tb_packed packed = quantize(&l, (tb_method)m, (tb_quant_options){.group = GROUP}, &report);
        double lambda = tb_method_get((tb_method)m)->needs_curvature ? layer_lambda(&l, 0.05) : 0;
        bool calibrated = tb_method_is_calibrated((tb_method)m);
        test_layer flat = l;
        double *identity = tb_alloc_array(COLS * COLS, sizeof *identity);
        for (size_t j = 0; j < COLS; j++)
            identity[j * COLS + j] = 1;
        if (!calibrated)
            flat.moments = identity;
        double error = layer_objective(&flat, &packed.view, lambda);
        double energy = calibrated ? layer_objective(&l, &zero.view, lambda) : squares;
        // Decoded values are floats: the root of the error moves by 2^-24 of the energy's. Both are sums over rows of
        // COLS sums of COLS doubles.
        double sums = rounding_of_double_sums(COLS * COLS * ROWS, 1);
        assert_true(fabs(report.error - error) <= 2 * 0x1p-24 * sqrt(error * energy) + sums * energy);
        assert_true(fabs(report.energy - energy) <= sums * energy);
        assert_int_equal(report.clamped_coefs, 0);
        tb_free(identity);
        tb_packed_clear(&packed);
    }
    tb_packed_clear(&zero);
    layer_free(&l);
}

static void quantize__error_does_not_grow_with_bits(void **state)
{
    (void)state;
    test_layer l = layer_new(16, 128, 3);
    for (unsigned m = 0; m < TB_METHODS; m++) {
        const tb_method_traits *t = tb_method_get((tb_method)m);
        double last = INFINITY;
        for (unsigned bits = t->least_bits; bits <= t->most_bits; bits++) {
            tb_quant_report report;
            tb_packed packed = quantize(&l, (tb_method)m, (tb_quant_options){.bits = bits, .group = 64}, &report);
            assert_true(report.error < last);
            last = report.error;
            tb_packed_clear(&packed);
        }
        assert_true(last < 0.1 * 16 * 128); // it is a number
    }
    layer_free(&l);
}

static void quantize__does_not_depend_on_threads(void **state)
{
    (void)state;
    test_layer l = layer_new(150, COLS, 4); // several ranges of rows
    for (unsigned m = 0; m < TB_METHODS; m++) {
        tb_quant_report report, again;
        tb_packed one = quantize(&l, (tb_method)m, (tb_quant_options){.group = GROUP}, &report);
        for (size_t threads = 2; threads <= 3; threads++) {
            tb_packed many = quantize(&l, (tb_method)m, (tb_quant_options){.group = GROUP, .threads = threads}, &again);
            assert_same_bits(&one, &many);
            assert_true(report.error == again.error);
            assert_true(report.energy == again.energy);
            tb_packed_clear(&many);
        }
        tb_packed_clear(&one);
    }
    layer_free(&l);
}

static void quantize__takes_every_shape(void **state)
{
    (void)state;
    static const struct {
        size_t rows, cols, group;
    } shapes[] = {{1, 1, 32}, {1, 32, 32}, {3, 33, 32}, {2, 44, 256}, {5, 96, 64}, {1, 172, 192}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        test_layer l = layer_new(shapes[s].rows, shapes[s].cols, 5 + s);
        for (unsigned m = 0; m < TB_METHODS; m++) {
            tb_quant_report report;
            tb_packed packed =
                quantize(&l, (tb_method)m, (tb_quant_options){.bits = 2, .group = shapes[s].group}, &report);
            assert_true(report.error < report.energy);
            tb_packed_clear(&packed);
        }
        layer_free(&l);
    }
}

static void quantize__counts_weights_that_are_not_finite_as_zero(void **state)
{
    (void)state;
    test_layer l = layer_new(ROWS, COLS, 6), zeroed = layer_new(ROWS, COLS, 6);
    static const size_t at[] = {3, COLS + 70, 5 * COLS + 171};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        l.weights[at[i]] = bad[i];
        zeroed.weights[at[i]] = 0;
    }
    for (unsigned m = 0; m < TB_METHODS; m++) {
        tb_quant_report report, reference;
        tb_packed a = quantize(&l, (tb_method)m, (tb_quant_options){.group = GROUP}, &report);
        tb_packed b = quantize(&zeroed, (tb_method)m, (tb_quant_options){.group = GROUP}, &reference);
        assert_int_equal(report.nonfinite_weights, 3);
        assert_int_equal(reference.nonfinite_weights, 0);
        assert_true(isfinite(report.error));
        if (m != TB_METHOD_PTQTP) // leaves them out instead
            assert_same_bits(&a, &b);
        tb_packed_clear(&b);
        tb_packed_clear(&a);
    }
    layer_free(&zeroed);
    layer_free(&l);
}

static void quantize__keeps_an_all_zero_matrix(void **state)
{
    (void)state;
    test_layer l = layer_new(3, 64, 7);
    memset(l.weights, 0, 3 * 64 * sizeof *l.weights);
    for (unsigned m = 0; m < TB_METHODS; m++) {
        tb_quant_report report;
        tb_packed packed = quantize(&l, (tb_method)m, (tb_quant_options){.group = 32}, &report);
        float row[64];
        for (size_t r = 0; r < 3; r++) {
            tb_matrix_decode_row(row, &packed.view, r);
            for (size_t c = 0; c < 64; c++)
                assert_true(row[c] == 0);
        }
        assert_true(report.error == 0);
        tb_packed_clear(&packed);
    }
    layer_free(&l);
}

static void quantize__counts_what_half_cannot_hold(void **state)
{
    (void)state;
    test_layer l = layer_new(2, 64, 8);
    for (size_t i = 0; i < 2 * 64; i++)
        l.weights[i] *= 1e9f;
    for (unsigned m = 0; m < TB_METHODS; m++) {
        tb_quant_report report;
        tb_packed packed = quantize(&l, (tb_method)m, (tb_quant_options){.group = 32}, &report);
        assert_true(report.clamped_coefs > 0);
        assert_true(isfinite(report.error));
        tb_packed_clear(&packed);
    }
    layer_free(&l);
}

static void quantize__survives_failing_memory(void **state)
{
    (void)state;
    test_layer l = layer_new(3, 64, 9);
    for (unsigned m = 0; m < TB_METHODS; m++) {
        tb_quant_options options = {.bits = 2, .group = 32};
        tb_code rc = TB_ENOMEM;
        for (long long n = 0; rc == TB_ENOMEM; n++) {
            tb_error err;
            tb_quant_report report;
            tb_packed packed = {0};
            tb_curvature *curvature;
            tb_mem_fail_after(n);
            rc = tb_curvature_new(&curvature, l.moments, l.cols, &options, &err);
            if (!rc) {
                tb_quant_problem problem = {l.weights, l.rows, l.cols, l.moments, curvature};
                rc = tb_quantize_matrix(&packed, &report, (tb_method)m, &problem, &options, &err);
            }
            tb_mem_fail_after(-1);
            tb_curvature_free(curvature);
            tb_packed_clear(&packed);
            assert_true(n < 100);
        }
        assert_int_equal(rc, TB_OK);
    }
    layer_free(&l);
}

static void rtn__is_exact_on_its_own_grid(void **state)
{
    (void)state;
    enum { N = 96 };
    for (unsigned bits = 1; bits <= 4; bits++) {
        float weights[2 * N];
        tb_rng rng;
        tb_rng_init(&rng, bits, 0);
        for (size_t g = 0; g < 2 * N / 32; g++) {
            float scale = tb_half_to_float((uint16_t)(0x2000 + tb_rng_below(&rng, 0x1000)));
            int zero = (int)tb_rng_below(&rng, 1u << bits), top = (1 << bits) - 1;
            for (size_t i = 0; i < 32; i++) { // both ends occur
                int code = i == 0 ? 0 : i == 1 ? top : (int)tb_rng_below(&rng, 1u << bits);
                weights[g * 32 + i] = (float)(code - zero) * scale;
            }
        }
        tb_quant_problem problem = {.weights = weights, .rows = 2, .cols = N};
        tb_quant_options options = {.bits = bits, .group = 32};
        tb_quant_report report;
        tb_packed packed;
        tb_error err;
        assert_int_equal(tb_quantize_matrix(&packed, &report, TB_METHOD_RTN, &problem, &options, &err), TB_OK);
        float row[N];
        for (size_t r = 0; r < 2; r++) {
            tb_matrix_decode_row(row, &packed.view, r);
            for (size_t c = 0; c < N; c++)
                assert_true(row[c] == weights[r * N + c]);
        }
        assert_true(report.error == 0);
        tb_packed_clear(&packed);
    }
}

static void rtn__chooses_the_nearest_level(void **state)
{
    (void)state;
    test_layer l = layer_new(8, 96, 10);
    tb_quant_report report;
    tb_packed packed = quantize(&l, TB_METHOD_RTN, (tb_quant_options){.bits = 3, .group = 32}, &report);
    const tb_matrix *m = &packed.view;
    for (size_t r = 0; r < 8; r++)
        for (size_t c = 0; c < 96; c++) {
            double scale = (double)tb_half_to_float(m->coefs[r * 3 + c / 32]), w = (double)l.weights[r * 96 + c];
            double zero = tb_matrix_get_zero(m, r, c / 32), least = INFINITY;
            for (unsigned q = 0; q < 8; q++)
                least = fmin(least, fabs(w - (q - zero) * scale));
            double error = fabs(w - (tb_matrix_get_code(m, r, c) - zero) * scale);
            assert_true(error <= least + 0x1p-52 * fabs(w)); // a tie may be rounded here or there
            assert_true(error <= scale);                     // only the ends are further than half a step
        }
    tb_packed_clear(&packed);
    layer_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods__are_found_by_their_names),
        cmocka_unit_test(options__out_of_range_are_refused),
        cmocka_unit_test(quantize__refuses_a_problem_that_does_not_fit),
        cmocka_unit_test(quantize__reports_the_error_that_the_stored_matrix_has),
        cmocka_unit_test(quantize__error_does_not_grow_with_bits),
        cmocka_unit_test(quantize__does_not_depend_on_threads),
        cmocka_unit_test(quantize__takes_every_shape),
        cmocka_unit_test(quantize__counts_weights_that_are_not_finite_as_zero),
        cmocka_unit_test(quantize__keeps_an_all_zero_matrix),
        cmocka_unit_test(quantize__counts_what_half_cannot_hold),
        cmocka_unit_test(quantize__survives_failing_memory),
        cmocka_unit_test(rtn__is_exact_on_its_own_grid),
        cmocka_unit_test(rtn__chooses_the_nearest_level),
    };
    return cmocka_run_group_tests(tests, layer_setup, NULL);
}
