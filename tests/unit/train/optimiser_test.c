// Adam and learning rates.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adam__follows_its_formulas),
        cmocka_unit_test(adam__does_not_see_the_scale_of_gradients),
        cmocka_unit_test(schedule__warms_up_and_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
