// The approximations of src/base/exp.h against libm in double.
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Every 61st float, of either sign (a prime, so that all bits of the mantissa take part).
#define STEP 61u
#define TANH_STEP 1021u // whose exact values take longer

// The error in units of the last place of the exact value.
static double ulps(double approximation, double exact)
{
    return fabs(approximation - exact) / ldexp(1, ilogb(exact) - 23);
}

static void exp__is_right_to_one_unit_in_the_last_place(void **state)
{
    (void)state;
    double worst = 0;
    for (uint32_t bits = 0; bits < UINT32_MAX - STEP; bits += STEP) {
        float x = tb_float_from_bits(bits);
        if (x >= -87.3f && x <= 88.3f)
            worst = fmax(worst, ulps((double)tb_exp(x), exp((double)x)));
    }
    assert_true(worst < 1.0);
    assert_true(worst > 0.5); // rounding alone costs as much: the loop has measured something
}

static void exp__is_right_at_the_ends(void **state)
{
    (void)state;
    assert_true(tb_exp(0.0f) == 1.0f);
    assert_true(tb_exp(-0.0f) == 1.0f);
    assert_true(tb_exp(-87.31f) == 0.0f);
    assert_true(tb_exp(-INFINITY) == 0.0f);
    assert_true(isinf(tb_exp(88.31f)));
    assert_true(isinf(tb_exp(INFINITY)));
    assert_true(isnan(tb_exp(NAN)));
}

static void tanh__is_right_to_two_units_in_the_last_place(void **state)
{
    (void)state;
    double worst = 0;
    for (uint32_t bits = 0; bits < UINT32_MAX - TANH_STEP; bits += TANH_STEP) {
        float x = tb_float_from_bits(bits);
        if (fabsf(x) > 1e-30f && fabsf(x) <= 100) // below, the last place is subnormal for the square
            worst = fmax(worst, ulps((double)tb_tanh(x), tanh((double)x)));
    }
    if (worst >= 2.0)
        fail_msg("%g", worst);
    assert_true(worst > 0.5);
    assert_true(tb_tanh(0.0f) == 0 && tb_tanh(INFINITY) == 1 && tb_tanh(-INFINITY) == -1 && tb_tanh(1e-40f) == 1e-40f);
    assert_true(isnan(tb_tanh(NAN)));
}

static void activations__follow_their_formulas(void **state)
{
    (void)state;
    for (float x = -100; x < 100; x += 0.0137f) {
        double d = (double)x, silu = d / (1 + exp(-d)), u = 0.79788456080286535588 * (d + 0.044715 * d * d * d);
        // The argument y = 2u of the exponential is rounded five times, and each rounding costs y·2^-24 of the
        // result. (The formula with tanh itself would cancel far below zero.)
        double gelu = d / (1 + exp(-2 * u));
        assert_true(fabs((double)tb_silu(x) - silu) <= 3e-7 * fabs(silu) + 1e-36);
        assert_true(fabs((double)tb_gelu_tanh(x) - gelu) <= (3e-7 + 6e-7 * fabs(u)) * fabs(gelu) + 1e-36);
    }
    assert_true(tb_silu(-1000.0f) == 0 && tb_silu(1000.0f) == 1000.0f);
    assert_true(tb_gelu_tanh(-1000.0f) == 0 && tb_gelu_tanh(1000.0f) == 1000.0f);
    assert_true(isnan(tb_silu(NAN)) && isnan(tb_gelu_tanh(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp__is_right_to_one_unit_in_the_last_place),
        cmocka_unit_test(exp__is_right_at_the_ends),
        cmocka_unit_test(tanh__is_right_to_two_units_in_the_last_place),
        cmocka_unit_test(activations__follow_their_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
