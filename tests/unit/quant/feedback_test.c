// Curvature and error feedback: order, damping, and GPTQ against the textbook form.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "layer.h"
#include "quant/curvature.h"
#include "quant/grid.h"

static tb_curvature *curvature_of(const double *moments, size_t cols, tb_quant_options options)
{
    tb_curvature *curvature;
    tb_error err;
    assert_int_equal(tb_curvature_new(&curvature, moments, cols, &options, &err), TB_OK);
    return curvature;
}

static void curvature__orders_groups_and_their_columns(void **state)
{
    (void)state;
    enum { COLS = 172, GROUP = 64 };
    test_layer l = layer_new(1, COLS, 1);
    l.moments[171 * COLS + 171] *= 100; // the short last group comes first
    tb_curvature *c = curvature_of(l.moments, COLS, (tb_quant_options){.group = GROUP});
    assert_int_equal(c->groups, 3);
    assert_int_equal(c->order[0], 2);
    assert_int_equal(c->starts[1], 44);
    assert_int_equal(c->columns[0], 171);
    bool seen[COLS] = {false};
    double last_group = INFINITY;
    for (size_t turn = 0; turn < c->groups; turn++) {
        double last = INFINITY, first = 0;
        for (size_t p = c->starts[turn]; p < c->starts[turn + 1]; p++) {
            size_t j = c->columns[p];
            assert_int_equal(j / GROUP, c->order[turn]);
            assert_false(seen[j]);
            seen[j] = true;
            assert_true(l.moments[j * COLS + j] <= last);
            last = l.moments[j * COLS + j];
            first = fmax(first, last);
        }
        assert_true(first <= last_group);
        last_group = first;
    }
    assert_int_equal(c->starts[c->groups], COLS);
    tb_curvature_free(c);
    layer_free(&l);
}

static void curvature__factor_gives_back_the_damped_moments(void **state)
{
    (void)state;
    enum { COLS = 70 };
    test_layer l = layer_new(1, COLS, 3);
    for (size_t j = 0; j < COLS; j++) // column 5 is dead
        l.moments[5 * COLS + j] = l.moments[j * COLS + 5] = 0;
    tb_curvature *c = curvature_of(l.moments, COLS, (tb_quant_options){.group = 32, .damping = 0.03});
    assert_int_equal(c->dead_columns, 1);
    double mean = 1.0 / COLS;
    for (size_t j = 0; j < COLS; j++)
        mean += l.moments[j * COLS + j] / COLS;
    for (size_t i = 0; i < COLS; i++)
        for (size_t j = 0; j < COLS; j++) {
            size_t a = c->columns[i], b = c->columns[j];
            double sum = 0, magnitude = 0, expected = l.moments[a * COLS + b];
            if (i == j)
                expected += 0.03 * mean + (a == 5);
            for (size_t k = 0; k < COLS; k++) {
                sum += c->factor[i * COLS + k] * c->factor[j * COLS + k];
                magnitude += fabs(c->factor[i * COLS + k] * c->factor[j * COLS + k]);
            }
            // Factoring, this sum, and the mean of the diagonal have COLS terms each.
            assert_true(fabs(sum - expected) <= (3 * COLS + 2) * 0x1p-53 * magnitude);
            if (j < i)
                assert_true(c->factor[i * COLS + j] == 0);
        }
    tb_curvature_free(c);
    layer_free(&l);
}

// [[1, a], [a, 1]] has eigenvalue 1 − a: damping must exceed a − 1.
static void curvature__climbs_the_damping_ladder(void **state)
{
    (void)state;
    const double slightly[] = {1, 1.125, 1.125, 1}, hopeless[] = {1, 1e9, 1e9, 1};
    tb_curvature *c = curvature_of(slightly, 2, (tb_quant_options){.group = 32});
    assert_true(fabs(c->damping - 0.13) <= 8 * 0x1p-53); // eight steps of 0.01 behind 0.05, none above 1
    tb_curvature_free(c);
    // Beyond the ladder a floor of up to a tenth of the largest diagonal helps a little.
    const double beyond[] = {1, 2.02, 2.02, 1};
    c = curvature_of(beyond, 2, (tb_quant_options){.group = 32});
    assert_true(c->damping > 0.05 && c->damping < 1);
    tb_curvature_free(c);
    tb_error err;
    tb_quant_options options = {.group = 32};
    assert_int_equal(tb_curvature_new(&c, hopeless, 2, &options, &err), TB_EUNSUPPORTED);
    assert_null(c);
}

static void curvature__refuses_moments_that_are_not_finite(void **state)
{
    (void)state;
    const double moments[] = {1, 0, NAN, 1};
    tb_quant_options options = {.group = 32};
    tb_curvature *c;
    tb_error err;
    assert_int_equal(tb_curvature_new(&c, moments, 2, &options, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "row 1, column 0"));
}

static void curvature__of_singular_moments_is_damped(void **state)
{
    (void)state;
    enum { COLS = 40 };
    static double moments[COLS * COLS]; // rank 1
    for (size_t i = 0; i < COLS * COLS; i++)
        moments[i] = (1.0 + (double)(i / COLS)) * (1.0 + (double)(i % COLS));
    tb_curvature *c = curvature_of(moments, COLS, (tb_quant_options){.group = 32});
    assert_true(c->damping == 0.05);
    tb_curvature_free(c);
}

static void invert(double *inverse, const double *matrix, size_t n)
{
    double *a = tb_alloc_array(n * n, sizeof *a);
    memcpy(a, matrix, n * n * sizeof *a);
    for (size_t i = 0; i < n * n; i++)
        inverse[i] = i / n == i % n;
    for (size_t p = 0; p < n; p++) { // Gauss–Jordan; a definite matrix needs no pivoting
        double pivot = a[p * n + p];
        for (size_t j = 0; j < n; j++) {
            a[p * n + j] /= pivot;
            inverse[p * n + j] /= pivot;
        }
        for (size_t i = 0; i < n; i++) {
            double factor = a[i * n + p];
            for (size_t j = 0; j < n && i != p; j++) {
                a[i * n + j] -= factor * a[p * n + j];
                inverse[i * n + j] -= factor * inverse[p * n + j];
            }
        }
    }
    tb_free(a);
}

// Makes inputs quieter from column to column, so that the order of the text book is that of the curvature.
static void order_naturally(test_layer *l)
{
    double *scale = tb_alloc_array(l->cols, sizeof *scale);
    for (size_t j = 0; j < l->cols; j++)
        scale[j] = sqrt((2 - (double)j / (double)l->cols) / l->moments[j * l->cols + j]);
    for (size_t i = 0; i < l->cols; i++)
        for (size_t j = 0; j < l->cols; j++)
            l->moments[i * l->cols + j] *= scale[i] * scale[j];
    tb_free(scale);
}

// Optimal brain surgery, column by column: round column t, move all later ones by
// −error·(H⁻¹)_tj/(H⁻¹)_tt, with H⁻¹ of the columns that are left.
static void textbook_gptq(float *out, const test_layer *l, unsigned bits, size_t group)
{
    size_t n = l->cols;
    double lambda = layer_lambda(l, 0.05), *w = tb_alloc_array(l->rows * n, sizeof *w);
    double *left = tb_alloc_array(n * n, sizeof *left), *inverse = tb_alloc_array(n * n, sizeof *inverse);
    tb_grid *grids = tb_alloc_array(l->rows, sizeof *grids);
    for (size_t i = 0; i < l->rows * n; i++)
        w[i] = (double)l->weights[i];
    for (size_t t = 0; t < n; t++) {
        size_t m = n - t, clamped = 0;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < m; j++)
                left[i * m + j] = l->moments[(t + i) * n + t + j] + (i == j ? lambda : 0);
        invert(inverse, left, m);
        for (size_t r = 0; r < l->rows; r++) {
            if (t % group == 0)
                tb_grid_fit_half(&grids[r], w + r * n + t, n - t < group ? n - t : group, bits, &clamped);
            double q = tb_grid_value(&grids[r], tb_grid_code(&grids[r], w[r * n + t])), error = w[r * n + t] - q;
            out[r * n + t] = (float)q;
            for (size_t j = 0; j < m; j++)
                w[r * n + t + j] -= error * inverse[j] / inverse[0];
        }
    }
    tb_free(grids);
    tb_free(inverse);
    tb_free(left);
    tb_free(w);
}

// The same sums as if `cols` more tokens had come, each with one input alone as loud as its mean square asks.
static void moments_shrink__counts_as_many_tokens_without_correlation(void **state)
{
    (void)state;
    enum { COLS = 20, TOKENS = 7 };
    test_layer l = layer_over(1, COLS, TOKENS, 60), longer = layer_over(1, COLS, TOKENS, 60);
    for (size_t i = 0; i < COLS * COLS; i++)
        longer.moments[i] *= TOKENS;
    for (size_t t = 0; t < COLS; t++)
        longer.moments[t * COLS + t] += COLS * l.moments[t * COLS + t];
    tb_moments_shrink(l.moments, COLS, TOKENS);
    for (size_t i = 0; i < COLS * COLS; i++)
        assert_true(fabs(l.moments[i] - longer.moments[i] / (TOKENS + COLS)) <=
                    6 * 0x1p-53 * fabs(l.moments[i])); // three roundings here and there
    layer_free(&longer);
    layer_free(&l);
}

static void moments_shrink__makes_few_tokens_definite(void **state)
{
    (void)state;
    enum { COLS = 64, TOKENS = 3 };
    test_layer l = layer_over(1, COLS, TOKENS, 61);
    tb_moments_shrink(l.moments, COLS, TOKENS);
    tb_curvature *c = curvature_of(l.moments, COLS, (tb_quant_options){.group = 32, .damping = 1e-12});
    assert_true(c->damping == 1e-12); // the first rung of the ladder held
    tb_curvature_free(c);
    layer_free(&l);
}

static tb_packed gptq(const test_layer *l, tb_quant_options options)
{
    tb_curvature *curvature = curvature_of(l->moments, l->cols, options);
    tb_quant_problem problem = {.weights = l->weights, .rows = l->rows, .cols = l->cols, .curvature = curvature};
    tb_quant_report report;
    tb_packed packed;
    tb_error err;
    assert_int_equal(tb_quantize_matrix(&packed, &report, TB_METHOD_GPTQ, &problem, &options, &err), TB_OK);
    tb_curvature_free(curvature);
    return packed;
}

static void gptq__agrees_with_the_textbook(void **state)
{
    (void)state;
    enum { ROWS = 4, COLS = 100 };
    for (unsigned bits = 2; bits <= 4; bits++) {
        test_layer l = layer_new(ROWS, COLS, 40 + bits);
        float expected[ROWS * COLS], row[COLS];
        order_naturally(&l);
        textbook_gptq(expected, &l, bits, 32);
        tb_packed packed = gptq(&l, (tb_quant_options){.bits = bits, .group = 32});
        for (size_t r = 0; r < ROWS; r++) {
            tb_matrix_decode_row(row, &packed.view, r);
            for (size_t c = 0; c < COLS; c++)
                assert_true(row[c] == expected[r * COLS + c]); // a half times a small integer
        }
        tb_packed_clear(&packed);
        layer_free(&l);
    }
}

// What shrinkage is for: the cost on tokens that calibration did not see.
static void moments_shrink__lowers_the_error_on_unseen_tokens(void **state)
{
    (void)state;
    enum { ROWS = 8, COLS = 96, TOKENS = 48, UNSEEN = 4096 };
    tb_quant_options options = {.bits = 3, .group = 32};
    for (uint64_t seed = 1; seed <= 5; seed++) {
        test_layer l = layer_over(ROWS, COLS, TOKENS, seed), unseen = layer_over(ROWS, COLS, UNSEEN, 100 + seed);
        memcpy(unseen.weights, l.weights, ROWS * COLS * sizeof *l.weights);
        tb_packed as_it_came = gptq(&l, options);
        tb_moments_shrink(l.moments, COLS, TOKENS);
        tb_packed shrunk = gptq(&l, options);
        assert_true(layer_objective(&unseen, &shrunk.view, 0) < layer_objective(&unseen, &as_it_came.view, 0));
        tb_packed_clear(&shrunk);
        tb_packed_clear(&as_it_came);
        layer_free(&unseen);
        layer_free(&l);
    }
}

static void gptq__is_rounding_when_inputs_are_independent(void **state)
{
    (void)state;
    test_layer l = layer_new(5, 96, 50);
    for (size_t i = 0; i < 96 * 96; i++)
        l.moments[i] = i / 96 == i % 96 ? 1 + (double)(i % 7) : 0;
    tb_quant_options options = {.bits = 3, .group = 32};
    tb_packed with_feedback = gptq(&l, options), rounded;
    tb_quant_problem problem = {.weights = l.weights, .rows = l.rows, .cols = l.cols};
    tb_quant_report report;
    tb_error err;
    assert_int_equal(tb_quantize_matrix(&rounded, &report, TB_METHOD_RTN, &problem, &options, &err), TB_OK);
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, &with_feedback.view);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(parts[i].data, tb_packed_part(&rounded, i), parts[i].bytes);
    tb_packed_clear(&rounded);
    tb_packed_clear(&with_feedback);
    layer_free(&l);
}

static void gptq__has_a_smaller_error_than_rounding(void **state)
{
    (void)state;
    for (uint64_t seed = 60; seed < 65; seed++) {
        test_layer l = layer_new(8, 128, seed);
        tb_quant_options options = {.bits = 3, .group = 64};
        tb_packed with_feedback = gptq(&l, options), rounded;
        tb_quant_problem problem = {.weights = l.weights, .rows = l.rows, .cols = l.cols};
        tb_quant_report report;
        tb_error err;
        assert_int_equal(tb_quantize_matrix(&rounded, &report, TB_METHOD_RTN, &problem, &options, &err), TB_OK);
        assert_true(layer_objective(&l, &with_feedback.view, 0) < 0.8 * layer_objective(&l, &rounded.view, 0));
        tb_packed_clear(&rounded);
        tb_packed_clear(&with_feedback);
        layer_free(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curvature__orders_groups_and_their_columns),
        cmocka_unit_test(curvature__factor_gives_back_the_damped_moments),
        cmocka_unit_test(curvature__climbs_the_damping_ladder),
        cmocka_unit_test(moments_shrink__counts_as_many_tokens_without_correlation),
        cmocka_unit_test(moments_shrink__makes_few_tokens_definite),
        cmocka_unit_test(moments_shrink__lowers_the_error_on_unseen_tokens),
        cmocka_unit_test(curvature__refuses_moments_that_are_not_finite),
        cmocka_unit_test(curvature__of_singular_moments_is_damped),
        cmocka_unit_test(gptq__agrees_with_the_textbook),
        cmocka_unit_test(gptq__is_rounding_when_inputs_are_independent),
        cmocka_unit_test(gptq__has_a_smaller_error_than_rounding),
    };
    return cmocka_run_group_tests(tests, layer_setup, NULL);
}
