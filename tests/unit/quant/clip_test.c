// The search for the range of uniform grids.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "layer.h"
#include "quant/grid.h"

enum { GROUP = 32 };

static tb_packed quantize(const test_layer *l, tb_method method, unsigned bits)
{
    tb_error err;
    tb_packed packed;
    tb_quant_report report;
    tb_quant_problem problem = {.weights = l->weights, .rows = l->rows, .cols = l->cols, .moments = l->moments};
    tb_quant_options options = {.bits = bits, .group = GROUP};
    assert_int_equal(tb_quantize_matrix(&packed, &report, method, &problem, &options, &err), TB_OK);
    return packed;
}

// Σ H_cc·(w − q)² over a group of a row, from its definition.
static double weighted_error(const test_layer *l, const tb_matrix *m, size_t row, size_t group)
{
    float decoded[GROUP];
    double sum = 0;
    tb_matrix_decode_part(decoded, m, row, group * GROUP, GROUP);
    for (size_t i = 0; i < GROUP; i++) {
        size_t c = group * GROUP + i;
        double error = (double)l->weights[row * l->cols + c] - (double)decoded[i];
        sum += l->moments[c * l->cols + c] * error * error;
    }
    return sum;
}

static void clip__costs_no_group_more_than_rtn(void **state)
{
    (void)state;
    test_layer l = layer_new(12, 96, 1);
    for (unsigned bits = 1; bits <= 4; bits++) {
        tb_packed clipped = quantize(&l, TB_METHOD_CLIP, bits), spanning = quantize(&l, TB_METHOD_RTN, bits);
        double sum = 0, spanning_sum = 0;
        for (size_t r = 0; r < l.rows; r++)
            for (size_t g = 0; g < 3; g++) {
                double error = weighted_error(&l, &clipped.view, r, g);
                double spanning_error = weighted_error(&l, &spanning.view, r, g);
                // Levels of half scales are exact in float; what is left are sums of 32 doubles.
                assert_true(error <= spanning_error * (1 + 2 * 32 * 0x1p-53));
                sum += error;
                spanning_sum += spanning_error;
            }
        assert_true(sum < (bits <= 2 ? 0.8 : 0.99) * spanning_sum);
        tb_packed_clear(&spanning);
        tb_packed_clear(&clipped);
    }
    layer_free(&l);
}

// The grid itself for every ratio and either zero point: nothing that the search may choose is better.
static void clip__finds_the_best_grid_of_its_list(void **state)
{
    (void)state;
    enum { N = 7 };
    tb_rng rng;
    tb_rng_init(&rng, 2, 0);
    for (unsigned trial = 0; trial < 200; trial++) {
        unsigned bits = trial % 4 + 1;
        double weights[N], importance[N], low = 0, high = 0, least = INFINITY, found = 0;
        for (size_t i = 0; i < N; i++) {
            weights[i] = tb_rng_normal(&rng);
            importance[i] = tb_rng_uniform(&rng);
            low = fmin(low, weights[i]);
            high = fmax(high, weights[i]);
        }
        double top = (1u << bits) - 1;
        for (int percent = 100; percent >= 20; percent -= 4)
            for (double zero = floor(-low / (high - low) * top); zero <= ceil(-low / (high - low) * top); zero++) {
                double scale = tb_half_to_float(tb_half_from_float((float)((high - low) / top * percent / 100)));
                double sum = 0;
                for (size_t i = 0; i < N; i++) {
                    double nearest = INFINITY;
                    for (double q = 0; q <= top; q++)
                        nearest = fmin(nearest, fabs(weights[i] - (q - zero) * scale));
                    sum += importance[i] * nearest * nearest;
                }
                least = fmin(least, sum);
            }
        tb_grid grid;
        size_t clamped = 0;
        tb_grid_fit_clipped(&grid, weights, importance, N, bits, &clamped);
        for (size_t i = 0; i < N; i++) {
            double error = weights[i] - tb_grid_value(&grid, tb_grid_code(&grid, weights[i]));
            found += importance[i] * error * error;
        }
        assert_true(fabs(found - least) <= 2 * N * 0x1p-53 * least); // sums of N terms
        assert_int_equal(clamped, 0);
    }
}

static void clip__is_exact_on_its_own_grid(void **state)
{
    (void)state;
    test_layer l = layer_new(4, 64, 3);
    for (size_t i = 0; i < 4 * 64; i++)
        l.weights[i] = (float)((int)(i * 7 % 4) - 1) * 0.25f; // all four codes in every group
    tb_packed packed = quantize(&l, TB_METHOD_CLIP, 2);
    for (size_t r = 0; r < 4; r++)
        for (size_t g = 0; g < 2; g++)
            assert_true(weighted_error(&l, &packed.view, r, g) == 0);
    tb_packed_clear(&packed);
    layer_free(&l);
}

// Outliers in columns that are always quiet must not widen the grid of the others.
static void clip__lets_go_of_weights_that_do_not_matter(void **state)
{
    (void)state;
    static const size_t quiet[] = {9, 20};
    test_layer l = layer_new(1, GROUP, 4);
    for (size_t i = 0; i < 2; i++) {
        l.weights[quiet[i]] = i ? 0.5f : -0.5f; // ten times the others' deviation
        for (size_t c = 0; c < GROUP; c++)
            l.moments[quiet[i] * GROUP + c] = l.moments[c * GROUP + quiet[i]] = 0;
    }
    tb_packed packed = quantize(&l, TB_METHOD_CLIP, 4);
    double span = 15 * (double)tb_half_to_float(packed.coefs[0]), widest = 0;
    for (size_t c = 0; c < GROUP; c++)
        if (c != quiet[0] && c != quiet[1])
            widest = fmax(widest, fabs((double)l.weights[c]));
    assert_true(span < 2.5 * widest);
    tb_packed_clear(&packed);
    layer_free(&l);
}

// Rows are independent, and a power of two changes scales and nothing else.
static void clip__commutes_with_row_permutation_and_scaling(void **state)
{
    (void)state;
    enum { ROWS = 5, COLS = 64 };
    test_layer l = layer_new(ROWS, COLS, 5), moved = layer_new(ROWS, COLS, 5);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++)
            moved.weights[(r + 2) % ROWS * COLS + c] = 4 * l.weights[r * COLS + c];
    tb_packed a = quantize(&l, TB_METHOD_CLIP, 3), b = quantize(&moved, TB_METHOD_CLIP, 3);
    for (size_t r = 0; r < ROWS; r++) {
        float row[COLS], row_moved[COLS];
        tb_matrix_decode_row(row, &a.view, r);
        tb_matrix_decode_row(row_moved, &b.view, (r + 2) % ROWS);
        for (size_t c = 0; c < COLS; c++)
            assert_true(row_moved[c] == 4 * row[c]);
    }
    tb_packed_clear(&b);
    tb_packed_clear(&a);
    layer_free(&moved);
    layer_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clip__costs_no_group_more_than_rtn),
        cmocka_unit_test(clip__finds_the_best_grid_of_its_list),
        cmocka_unit_test(clip__is_exact_on_its_own_grid),
        cmocka_unit_test(clip__lets_go_of_weights_that_do_not_matter),
        cmocka_unit_test(clip__commutes_with_row_permutation_and_scaling),
    };
    return cmocka_run_group_tests(tests, layer_setup, NULL);
}
