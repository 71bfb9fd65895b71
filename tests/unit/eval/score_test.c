// eval: scores of predictions against closed forms, and statistics against definitions.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "eval/score.h"

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g is not %.17g within %g", a, b, tolerance);
}

static void fill_normal(float *x, size_t n, uint64_t stream, double scale)
{
    tb_rng rng;
    tb_rng_init(&rng, 5, stream);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(scale * tb_rng_normal(&rng));
}

// log softmax by its definition, without shifting.
static double log_probability(const float *x, size_t n, size_t i)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += exp(x[j]);
    return x[i] - log(sum);
}

static void score__agrees_with_the_definition(void **state)
{
    (void)state;
    enum { N = 100 };
    float q[N], p[N];
    fill_normal(q, N, 1, 2);
    fill_normal(p, N, 2, 2);
    double kl = 0, most = 1;
    for (size_t i = 0; i < N; i++) {
        most = fmax(most, fmax(-log_probability(p, N, i), -log_probability(q, N, i)));
        kl += exp(log_probability(p, N, i)) * (log_probability(p, N, i) - log_probability(q, N, i));
    }
    tb_prediction_score score;
    tb_score_prediction(&score, q, p, N, 17);
    assert_true(score.finite);
    // Sums of N in both, of numbers that are at most as large as the largest logarithm.
    const double tolerance = 2 * N * 0x1p-53 * most;
    assert_near(score.nll, -log_probability(q, N, 17), tolerance);
    assert_near(score.reference_nll, -log_probability(p, N, 17), tolerance);
    assert_near(score.kl, kl, tolerance);
}

static void score__equal_models_diverge_by_exactly_nothing(void **state)
{
    (void)state;
    enum { N = 1000 };
    float q[N];
    fill_normal(q, N, 3, 10);
    tb_prediction_score score;
    tb_score_prediction(&score, q, q, N, 0);
    assert_true(score.kl == 0);
    assert_true(score.nll == score.reference_nll);
    assert_true(score.agrees);
}

static void score__does_not_change_when_logits_are_shifted(void **state)
{
    (void)state;
    enum { N = 64 };
    float q[N], p[N], shifted[N];
    fill_normal(q, N, 4, 1);
    fill_normal(p, N, 5, 1);
    for (size_t i = 0; i < N; i++) { // whole sixteenths, so that the shift rounds nothing
        q[i] = roundf(q[i] * 16) / 16;
        shifted[i] = q[i] - 4096;
    }
    tb_prediction_score a, b;
    tb_score_prediction(&a, q, p, N, 9);
    tb_score_prediction(&b, shifted, p, N, 9);
    assert_true(a.nll == b.nll);
    assert_true(a.kl == b.kl);
}

static void score__stays_finite_for_huge_logits(void **state)
{
    (void)state;
    float q[3] = {3e38f, -3e38f, 0}, p[3] = {-3e38f, 3e38f, 0};
    tb_prediction_score score;
    tb_score_prediction(&score, q, p, 3, 1);
    assert_true(score.finite && isfinite(score.nll) && isfinite(score.kl));
    assert_false(score.agrees);
}

static void score__notices_logits_that_are_not_finite(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < 3; b++)
        for (size_t at = 0; at < 4; at++) {
            float good[4] = {1, 2, 3, 4}, broken[4] = {1, 2, 3, 4};
            broken[at] = bad[b];
            tb_prediction_score score;
            tb_score_prediction(&score, broken, NULL, 4, 0);
            assert_false(score.finite);
            tb_score_prediction(&score, broken, good, 4, 0);
            assert_true(!score.finite && score.reference_finite);
            tb_score_prediction(&score, good, broken, 4, 0);
            assert_true(score.finite && !score.reference_finite);
        }
}

static void mean__error_comes_from_the_windows(void **state)
{
    (void)state;
    // Window means 1, 3, 5: mean 3, sample variance 4, error sqrt(4/3).
    const double values[] = {0, 2, 2, 4, 4, 6};
    tb_mean mean = tb_mean_of_windows(values, 3, 2);
    assert_true(mean.mean == 3);
    assert_near(mean.error, sqrt(4.0 / 3), 2 * 0x1p-52); // a quotient and a root, up to 2
}

static void mean__one_window_uses_its_values(void **state)
{
    (void)state;
    const double values[] = {1, 3, 5};
    tb_mean mean = tb_mean_of_windows(values, 1, 3);
    assert_true(mean.mean == 3);
    assert_near(mean.error, sqrt(4.0 / 3), 2 * 0x1p-52); // a quotient and a root, up to 2
    assert_true(tb_mean_of_windows(values, 1, 1).error == 0);
}

static void percentile__interpolates_like_numpy(void **state)
{
    (void)state;
    // numpy.percentile([40, 10, 30, 20], [0, 50, 99, 100]) = 10, 25, 39.7, 40
    static const double shares[] = {0, 0.5, 0.99, 1}, expected[] = {10, 25, 39.7, 40};
    for (size_t i = 0; i < 4; i++) {
        double values[] = {40, 10, 30, 20};
        assert_near(tb_percentile(values, 4, shares[i]), expected[i], 4 * 0x1p-53 * 40); // four roundings up to 40
    }
    double one[] = {7};
    assert_true(tb_percentile(one, 1, 0.99) == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score__agrees_with_the_definition),
        cmocka_unit_test(score__equal_models_diverge_by_exactly_nothing),
        cmocka_unit_test(score__does_not_change_when_logits_are_shifted),
        cmocka_unit_test(score__stays_finite_for_huge_logits),
        cmocka_unit_test(score__notices_logits_that_are_not_finite),
        cmocka_unit_test(mean__error_comes_from_the_windows),
        cmocka_unit_test(mean__one_window_uses_its_values),
        cmocka_unit_test(percentile__interpolates_like_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
