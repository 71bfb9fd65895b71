// Rows of attention: what every normalizer gives (T-01), how they are one another (T-02), and what a shift of all
// scores does (T-04 of the specification of attention sinks).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "train/train.h"

enum { N = 37 };

#define GAMMA -0.1

static void draw_scores(double z[N], double scale)
{
    tb_rng rng;
    tb_rng_init(&rng, 2, 8);
    for (size_t i = 0; i < N; i++)
        z[i] = scale * tb_rng_normal(&rng);
}

static double sum_of(const double w[N])
{
    double sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += w[i];
    return sum;
}

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fmax(1, fabs(b))))
        fail_msg("%.17g is not %.17g", a, b);
}

// Sums of N numbers in double.
#define ROUNDING (N * 0x1p-52)

static void rows__sum_to_what_they_should(void **state)
{
    (void)state;
    double z[N], w[N];
    draw_scores(z, 2);
    assert_near(tb_lm_weigh_f64(w, z, N, TB_LM_SOFTMAX, 0, 0), 0, 0);
    assert_near(sum_of(w), 1, ROUNDING);
    double rest = tb_lm_weigh_f64(w, z, N, TB_LM_SOFTMAX1, 0, 0);
    assert_near(sum_of(w), 1 - rest, ROUNDING);
    rest = tb_lm_weigh_f64(w, z, N, TB_LM_SINK, 0, 3);
    assert_near(sum_of(w), 1 - rest, ROUNDING);
    assert_true(rest > 0 && rest < 1);
    const tb_lm_normalizer within[] = {TB_LM_CLIP, TB_LM_SIGMOID, TB_LM_SOFTPICK, TB_LM_ELASTIC};
    for (size_t k = 0; k < sizeof within / sizeof within[0]; k++) {
        tb_lm_weigh_f64(w, z, N, within[k], GAMMA, -1);
        for (size_t i = 0; i < N; i++)
            assert_true(w[i] >= 0 && w[i] <= 1);
    }
    tb_lm_weigh_f64(w, z, N, TB_LM_RELU, 0, 0);
    for (size_t i = 0; i < N; i++)
        assert_near(w[i], z[i] > 0 ? z[i] / N : 0, DBL_EPSILON);
}

// Weights of exact definitions, each written out.
static void rows__are_their_definitions(void **state)
{
    (void)state;
    double z[N], w[N], total = 0, absolute = 0;
    draw_scores(z, 2);
    for (size_t i = 0; i < N; i++) {
        total += exp(z[i]);
        absolute += fabs(exp(z[i]) - 1);
    }
    tb_lm_weigh_f64(w, z, N, TB_LM_CLIP, GAMMA, 0);
    for (size_t i = 0; i < N; i++)
        assert_near(w[i], fmin(fmax((1 - GAMMA) * exp(z[i]) / total + GAMMA, 0), 1), ROUNDING);
    tb_lm_weigh_f64(w, z, N, TB_LM_ELASTIC, 0, -0.7);
    for (size_t i = 0; i < N; i++)
        assert_near(w[i], fmax(exp(z[i]) / total - 0.7 / N, 0), ROUNDING);
    tb_lm_weigh_f64(w, z, N, TB_LM_SOFTPICK, 0, 0);
    for (size_t i = 0; i < N; i++) // its ε is 1e-8 of the largest term
        assert_near(w[i], fmax(exp(z[i]) - 1, 0) / absolute, 1e-8);
    tb_lm_weigh_f64(w, z, N, TB_LM_SIGMOID, 0, -1.5);
    for (size_t i = 0; i < N; i++)
        assert_near(w[i], 1 / (1 + exp(1.5 - z[i])), ROUNDING);
}

static void rows__without_anything_seen_are_zero(void **state)
{
    (void)state;
    double z[N], w[N];
    float zf[N], wf[N];
    for (size_t i = 0; i < N; i++)
        zf[i] = (float)(z[i] = -INFINITY);
    for (int kind = 0; kind < TB_LM_NORMALIZERS; kind++) {
        tb_lm_weigh_f64(w, z, N, (tb_lm_normalizer)kind, GAMMA, -1);
        tb_lm_weigh_f32(wf, zf, N, (tb_lm_normalizer)kind, (float)GAMMA, -1);
        for (size_t i = 0; i < N; i++)
            assert_true(w[i] == 0 && wf[i] == 0);
    }
}

static void rows__of_one_normalizer_are_those_of_another(void **state)
{
    (void)state;
    double z[N], plain[N], w[N], v[N], total = 0;
    draw_scores(z, 2);
    tb_lm_weigh_f64(plain, z, N, TB_LM_SOFTMAX, 0, 0);
    tb_lm_weigh_f64(w, z, N, TB_LM_SINK, 0, -1e4);
    for (size_t i = 0; i < N; i++)
        assert_near(w[i], plain[i], ROUNDING);
    tb_lm_weigh_f64(w, z, N, TB_LM_SINK, 0, 0);
    tb_lm_weigh_f64(v, z, N, TB_LM_SOFTMAX1, 0, 0);
    assert_memory_equal(w, v, sizeof w);
    for (size_t i = 0; i < N; i++)
        total += exp(z[i]);
    tb_lm_weigh_f64(w, z, N, TB_LM_SINK, 0, 1.25); // σ(lse − s)·softmax
    for (size_t i = 0; i < N; i++)
        assert_near(w[i], plain[i] / (1 + exp(1.25 - log(total))), 4 * ROUNDING);
}

static double shifted_difference(tb_lm_normalizer normalizer, double extra, double extra_shift)
{
    double z[N], moved[N], w[N], v[N], most = 0;
    draw_scores(z, 1);
    for (size_t i = 0; i < N; i++)
        moved[i] = z[i] + 2;
    tb_lm_weigh_f64(w, z, N, normalizer, GAMMA, extra);
    tb_lm_weigh_f64(v, moved, N, normalizer, GAMMA, extra + extra_shift);
    for (size_t i = 0; i < N; i++)
        most = fmax(most, fabs(w[i] - v[i]));
    return most;
}

static void rows__move_with_a_shift_of_scores_or_do_not(void **state)
{
    (void)state;
    assert_true(shifted_difference(TB_LM_SOFTMAX, 0, 0) < ROUNDING);
    assert_true(shifted_difference(TB_LM_CLIP, 0, 0) < ROUNDING);
    assert_true(shifted_difference(TB_LM_ELASTIC, -1, 0) < ROUNDING);
    assert_true(shifted_difference(TB_LM_SINK, 0.5, 2) < ROUNDING);
    assert_true(shifted_difference(TB_LM_SINK, 0.5, 0) > 1e-3);
    assert_true(shifted_difference(TB_LM_SOFTMAX1, 0, 0) > 1e-3);
    assert_true(shifted_difference(TB_LM_SOFTPICK, 0, 0) > 1e-3);
    assert_true(shifted_difference(TB_LM_SIGMOID, 0, 0) > 1e-3);
}

// Scores far outside of what e^x can hold.
static void rows__of_large_scores_are_finite(void **state)
{
    (void)state;
    float z[N], w[N];
    for (int sign = -1; sign <= 1; sign += 2)
        for (int kind = 0; kind < TB_LM_NORMALIZERS; kind++) {
            for (size_t i = 0; i < N; i++)
                z[i] = (float)(sign * (1000.0 + (double)i));
            tb_lm_weigh_f32(w, z, N, (tb_lm_normalizer)kind, (float)GAMMA, -1);
            for (size_t i = 0; i < N; i++)
                assert_true(isfinite(w[i]));
        }
}

// Single precision differs from double by rounding only: scores of up to 8 are off by 2^-22 behind e^x, sums by N
// roundings.
static void rows__in_single_precision_are_near_double(void **state)
{
    (void)state;
    double z[N], w[N];
    float zf[N], wf[N];
    draw_scores(z, 2);
    for (size_t i = 0; i < N; i++)
        z[i] = zf[i] = (float)z[i];
    for (int kind = 0; kind < TB_LM_NORMALIZERS; kind++) {
        tb_lm_weigh_f64(w, z, N, (tb_lm_normalizer)kind, GAMMA, -1);
        tb_lm_weigh_f32(wf, zf, N, (tb_lm_normalizer)kind, (float)GAMMA, -1);
        for (size_t i = 0; i < N; i++)
            assert_near((double)wf[i], w[i], (N + 16) * 0x1p-24);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows__sum_to_what_they_should),
        cmocka_unit_test(rows__are_their_definitions),
        cmocka_unit_test(rows__without_anything_seen_are_zero),
        cmocka_unit_test(rows__of_one_normalizer_are_those_of_another),
        cmocka_unit_test(rows__move_with_a_shift_of_scores_or_do_not),
        cmocka_unit_test(rows__of_large_scores_are_finite),
        cmocka_unit_test(rows__in_single_precision_are_near_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
