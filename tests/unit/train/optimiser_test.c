// Optimisers and learning rates.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "near.h"
#include "train/train.h"

static tb_params *one_param(tb_param **p, tb_precision precision, double value)
{
    tb_params *params;
    tb_error err;
    assert_int_equal(tb_params_new(&params, precision, true, &err), TB_OK);
    assert_int_equal(tb_params_add(p, params, "w", 1, 1, &err), TB_OK);
    tb_param_set(params, *p, 0, value);
    return params;
}

// The formulas of the paper, step by step, with a changing gradient.
static void adam__follows_its_formulas(void **state)
{
    (void)state;
    const double decays[] = {0, 0.1};
    const double tolerance = 20 * 16 * 0x1p-52; // each of 20 steps rounds some 16 numbers, none above 2
    for (int d = 0; d < 2; d++) {
        tb_param *p;
        tb_params *params = one_param(&p, TB_DOUBLE, 1);
        tb_adam adam = {.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .decay = decays[d]};
        double w = 1, m = 0, v = 0;
        for (uint64_t t = 1; t <= 20; t++) {
            double g = cos((double)t) + w;
            *(double *)p->gradient = g;
            tb_adam_step(params, &adam, 0.05, t);
            m = 0.8 * m + 0.2 * g;
            v = 0.95 * v + 0.05 * g * g;
            double mean = m / (1 - pow(0.8, (double)t)), square = v / (1 - pow(0.95, (double)t));
            w -= 0.05 * (mean / (sqrt(square) + 1e-3) + decays[d] * w);
            assert_near(tb_param_get(params, p, 0), w, tolerance);
        }
        tb_params_free(params);
    }
}

// The first step has the size of the rate, whatever the gradient.
static void adam__does_not_see_the_scale_of_gradients(void **state)
{
    (void)state;
    const double gradients[] = {1e-3, 1, 1e3};
    for (int i = 0; i < 3; i++) {
        tb_param *p;
        tb_params *params = one_param(&p, TB_SINGLE, 0);
        *(float *)p->gradient = (float)gradients[i];
        tb_adam_step(params, &(tb_adam){0}, 0.01, 1);
        // Adam's ε = 10⁻⁸ against the gradient; 1 − β₁ and the root of 1 − β₂ as floats, and a few roundings.
        double rounding = (1 / (1 - 0.9) + 0.5 / (1 - 0.999) + 8) * 0x1p-24;
        assert_near(tb_param_get(params, p, 0), -0.01, 0.01 * (1e-8 / gradients[i] + rounding));
        tb_params_free(params);
    }
}

static void schedule__warms_up_and_falls(void **state)
{
    (void)state;
    tb_schedule constant = {TB_RATE_CONSTANT, 2, 0, 0}, linear = {TB_RATE_LINEAR, 2, 0, 4};
    tb_schedule cosine = {TB_RATE_COSINE, 2, 10, 30};
    const double tolerance = 4 * 0x1p-52; // numbers up to 2: an angle, its cosine, a sum, a product
    assert_near(tb_schedule_rate(&constant, 1), 2, 0);
    assert_near(tb_schedule_rate(&constant, 1000000), 2, 0);
    for (uint64_t t = 1; t <= 4; t++)
        assert_near(tb_schedule_rate(&linear, t), 2 - 0.5 * (double)(t - 1), tolerance);
    assert_near(tb_schedule_rate(&linear, 5), 0, 0);
    assert_near(tb_schedule_rate(&cosine, 5), 1, tolerance);
    assert_near(tb_schedule_rate(&cosine, 11), 2, tolerance);
    assert_near(tb_schedule_rate(&cosine, 21), 1, tolerance);
    assert_near(tb_schedule_rate(&cosine, 31), 0, tolerance);
}

// ---- the others, on a matrix inside of a block ----

enum { ROWS = 12, COLS = 20, SIZE = ROWS * COLS };

// Zeros, with a random gradient of this size.
static tb_params *one_matrix(tb_param **p, size_t rows, size_t cols, double scale)
{
    tb_params *params;
    tb_rng rng;
    assert_int_equal(tb_params_new(&params, TB_SINGLE, true, NULL), TB_OK);
    assert_int_equal(tb_params_add(p, params, "blk.0.attn_q.weight", rows, cols, NULL), TB_OK);
    tb_rng_init(&rng, 3, 3);
    for (size_t i = 0; i < rows * cols; i++)
        ((float *)(*p)->gradient)[i] = (float)(scale * tb_rng_normal(&rng));
    return params;
}

static void step_once(tb_params *params, tb_optimizer_kind kind, double decay, double rate)
{
    tb_optimizer *optimizer;
    assert_int_equal(tb_optimizer_new(&optimizer, kind, params, decay, 1, NULL), TB_OK);
    tb_optimizer_step(optimizer, rate, 1, 1);
    tb_optimizer_free(optimizer);
}

static double norm_of(const float *x, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    return sqrt(squares);
}

static void sgd__steps_along_the_gradient(void **state)
{
    (void)state;
    tb_param *p;
    tb_params *params = one_matrix(&p, ROWS, COLS, 1);
    step_once(params, TB_SGD, 0, 0.5);
    for (size_t i = 0; i < SIZE; i++)
        assert_true(((float *)p->value)[i] == -0.5f * ((float *)p->gradient)[i]);
    tb_params_free(params);
}

// All singular values of a step are near one another, whatever those of the gradient and however it lies. The iteration
// of five steps brings them between 0.68 and 1.14 (Jordan et al.) where they are not tiny.
static void muon__steps_by_an_orthogonal_matrix(void **state)
{
    (void)state;
    for (int tall = 0; tall < 2; tall++) {
        tb_param *p;
        tb_params *params = one_matrix(&p, tall ? COLS : ROWS, tall ? ROWS : COLS, 1e-4);
        double step[SIZE], values[ROWS];
        step_once(params, TB_MUON, 0, 0.1);
        for (size_t i = 0; i < SIZE; i++)
            step[i] = -(double)((float *)p->value)[i] / (0.1 * 0.2 * sqrt(COLS));
        assert_int_equal(tb_singular_values(values, step, p->rows, p->cols, NULL), TB_OK);
        for (size_t i = 0; i < ROWS; i++)
            assert_true(values[i] > 0.6 && values[i] < 1.25);
        tb_params_free(params);
    }
}

// Turned to and fro a step keeps its size: that of Adam's first, which is the rate for every element. And it goes down.
static void orthoadam__turns_without_stretching(void **state)
{
    (void)state;
    tb_param *p;
    tb_params *params = one_matrix(&p, ROWS, COLS, 1);
    step_once(params, TB_ORTHOADAM, 0, 0.1);
    const float *w = p->value, *g = p->gradient;
    double along = 0;
    for (size_t i = 0; i < SIZE; i++)
        along += (double)w[i] * (double)g[i];
    assert_near(norm_of(w, SIZE), 0.1 * sqrt(SIZE), 1e-4);
    assert_true(along < 0);
    tb_params_free(params);
}

static void optimizers__let_vectors_be_and_matrices_decay(void **state)
{
    (void)state;
    for (int kind = 0; kind < TB_OPTIMIZERS; kind++)
        for (int vector = 0; vector < 2; vector++) {
            tb_param *p;
            tb_params *params = one_matrix(&p, ROWS, COLS, 0);
            p->vector = vector;
            for (size_t i = 0; i < SIZE; i++)
                tb_param_set(params, p, i, 1);
            step_once(params, (tb_optimizer_kind)kind, 0.5, 0.1);
            for (size_t i = 0; i < SIZE; i++) // 1 − 0.1·0.5, in floats
                assert_near(tb_param_get(params, p, i), vector ? 1 : 0.95, 0x1p-23);
            tb_params_free(params);
        }
}

static void clip__shrinks_to_the_norm(void **state)
{
    (void)state;
    tb_param *p;
    tb_params *params = one_matrix(&p, ROWS, COLS, 1);
    double norm = norm_of(p->gradient, SIZE);
    assert_near(tb_params_clip(params, 2 * norm), norm, 1e-9);
    assert_near(norm_of(p->gradient, SIZE), norm, 0);
    tb_params_clip(params, 1);
    assert_near(norm_of(p->gradient, SIZE), 1, 0x1p-22);
    tb_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adam__follows_its_formulas),
        cmocka_unit_test(adam__does_not_see_the_scale_of_gradients),
        cmocka_unit_test(schedule__warms_up_and_falls),
        cmocka_unit_test(sgd__steps_along_the_gradient),
        cmocka_unit_test(muon__steps_by_an_orthogonal_matrix),
        cmocka_unit_test(orthoadam__turns_without_stretching),
        cmocka_unit_test(optimizers__let_vectors_be_and_matrices_decay),
        cmocka_unit_test(clip__shrinks_to_the_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
