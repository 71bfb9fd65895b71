// BPDQ: what the method guarantees (sections 5 and 9 of its specification).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "layer.h"
#include "quant/bpdq.h"
#include "quant/curvature.h"

static tb_bpdq_solution solve(const test_layer *l, tb_quant_options options, tb_quant_report *report)
{
    tb_curvature *curvature;
    tb_bpdq_solution solution;
    tb_error err;
    assert_int_equal(tb_quant_options_resolve(&options, TB_METHOD_BPDQ, &options, &err), TB_OK);
    assert_int_equal(tb_curvature_new(&curvature, l->moments, l->cols, &options, &err), TB_OK);
    tb_quant_problem problem = {.weights = l->weights, .rows = l->rows, .cols = l->cols, .curvature = curvature};
    *report = (tb_quant_report){0};
    assert_int_equal(tb_bpdq_solve(&solution, &problem, &options, report, &err), TB_OK);
    tb_curvature_free(curvature);
    return solution;
}

// Makes the ridge, which published BPDQ adds as it stands, vanish beside the moments.
static void drown_ridge(test_layer *l)
{
    for (size_t i = 0; i < l->cols * l->cols; i++)
        l->moments[i] *= 0x1p40;
}

static size_t coef_count(const tb_bpdq_solution *s)
{
    return s->rows * s->groups * (s->planes + 1);
}

static void bpdq__recovers_a_grid_that_it_can_represent(void **state)
{
    (void)state;
    enum { ROWS = 6, COLS = 64 };
    for (unsigned planes = 1; planes <= 4; planes++) {
        test_layer l = layer_new(ROWS, COLS, planes);
        tb_rng rng;
        tb_rng_init(&rng, planes, 1);
        for (size_t r = 0; r < ROWS; r++)
            for (size_t c = 0; c < COLS; c++) { // uneven steps: plane i counts 2^i + 0.1
                unsigned code = c % 32 == 0 ? 0 : c % 32 == 1 ? 15 : (unsigned)tb_rng_below(&rng, 16);
                double value = -0.0625 * (1 << planes) + 0.01 * (double)r; // zero lies inside
                for (unsigned i = 0; i < planes; i++)
                    value += (code >> i & 1) * 0.125 * ((1 << i) + 0.1);
                l.weights[r * COLS + c] = (float)value;
            }
        tb_quant_report report;
        tb_quant_options options = {.bits = planes, .group = 32, .published = true};
        drown_ridge(&l);
        tb_bpdq_solution s = solve(&l, options, &report);
        assert_true(report.error < 0x1p-48 * report.energy); // weights are floats, off by 2^-24 of themselves
        tb_bpdq_solution_clear(&s);
        layer_free(&l);
    }
}

// The smallest error of any two planes' worth of levels on n ≤ 8 columns: all splits of the columns
// into two sets, each with its mean (k = 1, independent inputs of equal weight).
static double best_two_levels(const float *w, size_t n)
{
    double best = INFINITY;
    for (unsigned split = 0; split < 1u << n; split++) {
        double sum[2] = {0, 0}, square = 0, count[2] = {0, 0};
        for (size_t i = 0; i < n; i++) {
            sum[split >> i & 1] += (double)w[i];
            count[split >> i & 1]++;
            square += (double)w[i] * (double)w[i];
        }
        for (int k = 0; k < 2; k++)
            square -= count[k] > 0 ? sum[k] * sum[k] / count[k] : 0;
        best = fmin(best, square);
    }
    return best;
}

static void bpdq__is_near_the_best_of_all_two_level_grids(void **state)
{
    (void)state;
    enum { TRIALS = 200, COLS = 8 };
    double total = 0, total_best = 0;
    for (uint64_t seed = 0; seed < TRIALS; seed++) {
        test_layer l = layer_new(1, COLS, 100 + seed);
        for (size_t i = 0; i < COLS * COLS; i++)
            l.moments[i] = i / COLS == i % COLS;
        drown_ridge(&l);
        tb_quant_report report;
        tb_quant_options options = {.bits = 1, .group = 32, .published = true};
        tb_bpdq_solution s = solve(&l, options, &report);
        double best = 1.05 * 0x1p40 * best_two_levels(l.weights, COLS); // H + λI is 1.05 · 2^40
        assert_true(report.error >= best * (1 - 1e-9));
        total += report.error;
        total_best += best;
        tb_bpdq_solution_clear(&s);
        layer_free(&l);
    }
    assert_true(total < 1.04 * total_best); // a local search: 3 % above on these
}

// With independent inputs a kept iterate that repeats itself is a Lloyd–Max quantizer: every
// weight at its nearest level, every level the mean of its weights.
static void bpdq__ends_at_means_and_nearest_levels(void **state)
{
    (void)state;
    enum { COLS = 64 };
    test_layer l = layer_new(4, COLS, 7);
    for (size_t i = 0; i < COLS * COLS; i++)
        l.moments[i] = i / COLS == i % COLS;
    drown_ridge(&l);
    tb_quant_report report;
    tb_quant_options options = {.bits = 1, .group = 64, .iterations = 60, .published = true};
    tb_bpdq_solution s = solve(&l, options, &report);
    for (size_t r = 0; r < 4; r++) {
        double sum[2] = {0, 0}, count[2] = {0, 0}, most = 0;
        double low = s.coefs[r * 2 + 1], level[2] = {low, low + s.coefs[r * 2]};
        for (size_t c = 0; c < COLS; c++) {
            double w = (double)l.weights[r * COLS + c];
            unsigned code = s.codes[r * COLS + c];
            sum[code] += w;
            count[code]++;
            most = fmax(most, fabs(w));
            assert_true(fabs(w - level[code]) <= fabs(w - level[1 - code]) + 2 * COLS * 0x1p-53 * most);
        }
        for (int k = 0; k < 2; k++)
            assert_true(fabs(sum[k] / count[k] - level[k]) <= 2 * COLS * 0x1p-53 * most); // means of COLS at most
    }
    tb_bpdq_solution_clear(&s);
    layer_free(&l);
}

static void bpdq__scales_with_the_weights(void **state)
{
    (void)state;
    test_layer l = layer_new(5, 96, 11);
    tb_quant_options options = {.group = 32, .published = true};
    tb_quant_report report;
    tb_bpdq_solution a = solve(&l, options, &report);
    for (size_t i = 0; i < 5 * 96; i++)
        l.weights[i] *= 0x1p-9f;
    tb_bpdq_solution b = solve(&l, options, &report);
    assert_memory_equal(a.codes, b.codes, 5 * 96);
    for (size_t i = 0; i < coef_count(&a); i++)
        assert_true(b.coefs[i] == a.coefs[i] * 0x1p-9);
    tb_bpdq_solution_clear(&b);
    tb_bpdq_solution_clear(&a);
    layer_free(&l);
}

static void bpdq__does_not_depend_on_the_scale_of_the_inputs(void **state)
{
    (void)state;
    test_layer l = layer_new(5, 96, 12);
    tb_quant_options options = {.group = 32};
    tb_quant_report report;
    tb_bpdq_solution a = solve(&l, options, &report);
    for (size_t i = 0; i < 96 * 96; i++)
        l.moments[i] *= 0x1p-20;
    tb_bpdq_solution b = solve(&l, options, &report);
    assert_memory_equal(a.codes, b.codes, 5 * 96);
    assert_memory_equal(a.coefs, b.coefs, coef_count(&a) * sizeof *a.coefs);
    tb_bpdq_solution_clear(&b);
    tb_bpdq_solution_clear(&a);
    layer_free(&l);
}

// Columns reversed inside groups and groups rotated: planes move with their columns,
// coefficients with their groups.
static void bpdq__commutes_with_permutations_that_keep_groups(void **state)
{
    (void)state;
    enum { ROWS = 3, COLS = 96, GROUP = 32, GROUPS = 3 };
    test_layer l = layer_new(ROWS, COLS, 13), moved = layer_new(ROWS, COLS, 13);
    size_t from[COLS];
    for (size_t c = 0; c < COLS; c++)
        from[c] = (c / GROUP + 1) % GROUPS * GROUP + (GROUP - 1 - c % GROUP);
    for (size_t c = 0; c < COLS; c++) {
        for (size_t r = 0; r < ROWS; r++)
            moved.weights[r * COLS + c] = l.weights[r * COLS + from[c]];
        for (size_t j = 0; j < COLS; j++)
            moved.moments[c * COLS + j] = l.moments[from[c] * COLS + from[j]];
    }
    tb_quant_options options = {.group = GROUP};
    tb_quant_report report;
    tb_bpdq_solution a = solve(&l, options, &report), b = solve(&moved, options, &report);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t c = 0; c < COLS; c++)
            assert_int_equal(b.codes[r * COLS + c], a.codes[r * COLS + from[c]]);
        for (size_t g = 0; g < GROUPS; g++)
            assert_memory_equal(b.coefs + (r * GROUPS + g) * 3, a.coefs + (r * GROUPS + (g + 1) % GROUPS) * 3,
                                3 * sizeof *a.coefs);
    }
    tb_bpdq_solution_clear(&b);
    tb_bpdq_solution_clear(&a);
    layer_free(&moved);
    layer_free(&l);
}

static void bpdq__best_score_of_the_first_group_falls(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 26; seed++) {
        test_layer l = layer_new(6, 64, seed);
        tb_quant_report report;
        double last = INFINITY;
        for (unsigned iterations = 1; iterations <= 12; iterations++) {
            tb_bpdq_solution s = solve(&l, (tb_quant_options){.group = 32, .iterations = iterations}, &report);
            assert_true(s.scores[iterations - 1] <= last);
            last = s.scores[iterations - 1];
            tb_bpdq_solution_clear(&s);
        }
        layer_free(&l);
    }
}

// After one iteration there is nothing to choose: rows do not see each other.
static void bpdq__rows_are_independent_without_a_common_choice(void **state)
{
    (void)state;
    enum { ROWS = 7, COLS = 64 };
    const tb_quant_options options = {.group = 32, .iterations = 1};
    test_layer l = layer_new(ROWS, COLS, 30);
    tb_quant_report report;
    tb_bpdq_solution all = solve(&l, options, &report);
    test_layer part = l;
    part.rows = 3;
    part.weights = l.weights + 2 * COLS;
    tb_bpdq_solution some = solve(&part, options, &report);
    assert_memory_equal(some.codes, all.codes + 2 * COLS, 3 * COLS);
    assert_memory_equal(some.coefs, all.coefs + 2 * 2 * 3, coef_count(&some) * sizeof *some.coefs);
    tb_bpdq_solution_clear(&some);
    tb_bpdq_solution_clear(&all);
    layer_free(&l);
}

static void bpdq__coefficients_are_halves_unless_published(void **state)
{
    (void)state;
    test_layer l = layer_new(4, 64, 31);
    tb_quant_report report;
    tb_bpdq_solution s = solve(&l, (tb_quant_options){.group = 32}, &report);
    for (size_t i = 0; i < coef_count(&s); i++)
        assert_true((double)tb_half_to_float(tb_half_from_float((float)s.coefs[i])) == s.coefs[i]);
    tb_bpdq_solution_clear(&s);
    layer_free(&l);
}

static void bpdq__has_a_smaller_error_than_gptq(void **state)
{
    (void)state;
    for (uint64_t seed = 40; seed < 44; seed++) {
        test_layer l = layer_new(8, 128, seed);
        double objective[2];
        static const tb_method pair[] = {TB_METHOD_BPDQ, TB_METHOD_GPTQ};
        for (size_t i = 0; i < 2; i++) {
            tb_quant_options options = {.bits = 2, .group = 64};
            tb_curvature *curvature;
            tb_quant_report report;
            tb_packed packed;
            tb_error err;
            assert_int_equal(tb_curvature_new(&curvature, l.moments, l.cols, &options, &err), TB_OK);
            tb_quant_problem problem = {.weights = l.weights, .rows = l.rows, .cols = l.cols, .curvature = curvature};
            assert_int_equal(tb_quantize_matrix(&packed, &report, pair[i], &problem, &options, &err), TB_OK);
            objective[i] = layer_objective(&l, &packed.view, 0);
            tb_packed_clear(&packed);
            tb_curvature_free(curvature);
        }
        assert_true(objective[0] < 0.6 * objective[1]);
        layer_free(&l);
    }
}

static void bpdq__input_that_never_came_is_quantized_as_zero(void **state)
{
    (void)state;
    test_layer l = layer_new(2, 40, 50);
    memset(l.moments, 0, 40 * 40 * sizeof *l.moments);
    tb_quant_report report;
    tb_bpdq_solution s = solve(&l, (tb_quant_options){.group = 32}, &report);
    for (size_t i = 0; i < coef_count(&s); i++)
        assert_true(s.coefs[i] == 0);
    assert_true(report.error == 0);
    tb_bpdq_solution_clear(&s);
    layer_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpdq__recovers_a_grid_that_it_can_represent),
        cmocka_unit_test(bpdq__is_near_the_best_of_all_two_level_grids),
        cmocka_unit_test(bpdq__ends_at_means_and_nearest_levels),
        cmocka_unit_test(bpdq__scales_with_the_weights),
        cmocka_unit_test(bpdq__does_not_depend_on_the_scale_of_the_inputs),
        cmocka_unit_test(bpdq__commutes_with_permutations_that_keep_groups),
        cmocka_unit_test(bpdq__best_score_of_the_first_group_falls),
        cmocka_unit_test(bpdq__rows_are_independent_without_a_common_choice),
        cmocka_unit_test(bpdq__coefficients_are_halves_unless_published),
        cmocka_unit_test(bpdq__has_a_smaller_error_than_gptq),
        cmocka_unit_test(bpdq__input_that_never_came_is_quantized_as_zero),
    };
    return cmocka_run_group_tests(tests, layer_setup, NULL);
}
