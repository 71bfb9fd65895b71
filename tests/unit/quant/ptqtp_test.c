// PTQTP: what the method guarantees (sections 3, 6 and 7 of its specification).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/ptqtp.h"

enum { N = 128, MAX_ITERATIONS = 50 };

typedef struct fitted {
    tb_trit_fit fit;
    int8_t t1[N], t2[N];
} fitted;

static fitted fit(const float *w, size_t n)
{
    fitted f;
    double scratch[3 * N];
    tb_ptqtp_fit(&f.fit, f.t1, f.t2, w, n, MAX_ITERATIONS, scratch);
    return f;
}

static double error_of(const fitted *f, const float *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double error = (double)w[i] - (f->fit.alpha[0] * f->t1[i] + f->fit.alpha[1] * f->t2[i]);
        sum += error * error;
    }
    return sum;
}

static void draw_normal(float *w, size_t n, uint64_t seed)
{
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    for (size_t i = 0; i < n; i++)
        w[i] = (float)(0.02 * tb_rng_normal(&rng));
}

static void fit__ends_where_neither_step_improves(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        float w[N];
        draw_normal(w, N, seed);
        fitted f = fit(w, N);
        assert_true(f.fit.iterations < MAX_ITERATIONS);
        double sum = 0, gradient[2] = {-1e-8 * f.fit.alpha[0], -1e-8 * f.fit.alpha[1]};
        for (size_t i = 0; i < N; i++) {
            double rest = (double)w[i] - (f.fit.alpha[0] * f.t1[i] + f.fit.alpha[1] * f.t2[i]);
            for (int p = -1; p <= 1; p++)
                for (int q = -1; q <= 1; q++)
                    assert_true(fabs((double)w[i] - (f.fit.alpha[0] * p + f.fit.alpha[1] * q)) >= fabs(rest));
            gradient[0] += f.t1[i] * rest;
            gradient[1] += f.t2[i] * rest;
            sum += fabs((double)w[i]);
        }
        // The sums of the normal equations and these have N terms each, none above |w| + |α₁| + |α₂|.
        double tolerance = 2 * N * 0x1p-53 * (sum + N * (fabs(f.fit.alpha[0]) + fabs(f.fit.alpha[1])));
        assert_true(fabs(gradient[0]) <= tolerance);
        assert_true(fabs(gradient[1]) <= tolerance);
    }
}

static void fit__error_falls_from_step_to_step(void **state)
{
    (void)state;
    float w[N];
    draw_normal(w, N, 77);
    double last = INFINITY, scratch[3 * N];
    for (unsigned steps = 1; steps <= 20; steps++) {
        fitted f;
        tb_ptqtp_fit(&f.fit, f.t1, f.t2, w, N, steps, scratch);
        double error = error_of(&f, w, N);
        assert_true(error <= last);
        last = error;
    }
}

static void fit__mirrors_mirrored_weights(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        float w[N], mirrored[N];
        draw_normal(w, N, seed);
        for (size_t i = 0; i < N; i++)
            mirrored[i] = -w[i];
        fitted a = fit(w, N), b = fit(mirrored, N);
        double scratch[2 * N];
        uint16_t sa[2], sb[2];
        size_t clamped = 0;
        tb_ptqtp_round(sa, a.t1, a.t2, &a.fit, w, N, scratch, &clamped);
        tb_ptqtp_round(sb, b.t1, b.t2, &b.fit, mirrored, N, scratch, &clamped);
        assert_memory_equal(sa, sb, sizeof sa);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(a.t1[i], -b.t1[i]);
            assert_int_equal(a.t2[i], -b.t2[i]);
        }
    }
}

static void fit__scales_with_the_weights(void **state)
{
    (void)state;
    float w[N], scaled[N];
    draw_normal(w, N, 5);
    for (size_t i = 0; i < N; i++)
        scaled[i] = w[i] * 0x1p-60f;
    fitted a = fit(w, N), b = fit(scaled, N);
    assert_memory_equal(a.t1, b.t1, N);
    assert_memory_equal(a.t2, b.t2, N);
    for (int k = 0; k < 2; k++)
        assert_true(b.fit.alpha[k] == a.fit.alpha[k] * 0x1p-60);
}

static void fit__leaves_out_weights_that_are_not_finite(void **state)
{
    (void)state;
    float w[N], kept[N];
    draw_normal(w, N, 6);
    w[0] = NAN;
    w[60] = INFINITY;
    w[N - 1] = -INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < N; i++)
        if (isfinite(w[i]))
            kept[n++] = w[i];
    fitted a = fit(w, N), b = fit(kept, n);
    assert_memory_equal(a.fit.alpha, b.fit.alpha, sizeof a.fit.alpha);
    for (size_t i = 0, k = 0; i < N; i++) {
        bool counts = isfinite(w[i]);
        assert_int_equal(a.t1[i], counts ? b.t1[k] : 0);
        assert_int_equal(a.t2[i], counts ? b.t2[k] : 0);
        k += counts;
    }
}

static void fit__recovers_ternary_weights(void **state)
{
    (void)state;
    float w[N];
    tb_rng rng;
    tb_rng_init(&rng, 8, 0);
    for (size_t i = 0; i < N; i++)
        w[i] = 0.125f * (float)((int)tb_rng_below(&rng, 3) - 1);
    fitted f = fit(w, N);
    // The ridge of 1e-8 against a count of two thirds of N takes that share of the step from each of these.
    double share = 1e-8 / (2.0 / 3 * N);
    assert_true(error_of(&f, w, N) < N * pow(0.125 * share, 2) * 2);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Figures of the specification for normal weights: relative error .1655 ± .0015, scales in a
// median ratio of 1.45 … 1.6.
static void fit__has_the_published_error_on_normal_weights(void **state)
{
    (void)state;
    enum { GROUPS = 2000 };
    static double ratio[GROUPS];
    double error = 0, energy = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        float w[N];
        draw_normal(w, N, 1000 + g);
        fitted f = fit(w, N);
        error += error_of(&f, w, N);
        for (size_t i = 0; i < N; i++)
            energy += (double)w[i] * (double)w[i];
        double a = fabs(f.fit.alpha[0]), b = fabs(f.fit.alpha[1]);
        ratio[g] = fmax(a, b) / fmin(a, b);
    }
    assert_true(fabs(sqrt(error / energy) - 0.1655) < 0.0015);
    qsort(ratio, GROUPS, sizeof *ratio, compare_doubles);
    assert_true(ratio[GROUPS / 2] > 1.45 && ratio[GROUPS / 2] < 1.6);
}

static void round__is_canonical_and_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        float w[N];
        draw_normal(w, N, 300 + seed);
        fitted f = fit(w, N);
        double error = error_of(&f, w, N), scratch[2 * N];
        uint16_t scales[2];
        size_t clamped = 0;
        tb_ptqtp_round(scales, f.t1, f.t2, &f.fit, w, N, scratch, &clamped);
        f.fit.alpha[0] = (double)tb_half_to_float(scales[0]);
        f.fit.alpha[1] = (double)tb_half_to_float(scales[1]);
        assert_true(f.fit.alpha[0] >= f.fit.alpha[1] && f.fit.alpha[1] >= 0);
        assert_true(error_of(&f, w, N) <= error * 1.001);
        assert_int_equal(clamped, 0);
    }
}

static void round__has_no_trits_where_scales_vanish(void **state)
{
    (void)state;
    float w[N];
    draw_normal(w, N, 9);
    for (size_t i = 0; i < N; i++)
        w[i] *= 0x1p-40f;
    fitted f = fit(w, N);
    double scratch[2 * N];
    uint16_t scales[2];
    size_t clamped = 0;
    tb_ptqtp_round(scales, f.t1, f.t2, &f.fit, w, N, scratch, &clamped);
    static const int8_t none[N];
    assert_int_equal(scales[0] | scales[1], 0);
    assert_memory_equal(f.t1, none, N);
    assert_memory_equal(f.t2, none, N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fit__ends_where_neither_step_improves),
        cmocka_unit_test(fit__error_falls_from_step_to_step),
        cmocka_unit_test(fit__mirrors_mirrored_weights),
        cmocka_unit_test(fit__scales_with_the_weights),
        cmocka_unit_test(fit__leaves_out_weights_that_are_not_finite),
        cmocka_unit_test(fit__recovers_ternary_weights),
        cmocka_unit_test(fit__has_the_published_error_on_normal_weights),
        cmocka_unit_test(round__is_canonical_and_loses_nothing),
        cmocka_unit_test(round__has_no_trits_where_scales_vanish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
