// Grids with an offset, and the ends of models stored on them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/base.h"
#include "quant/ends.h"
#include "quant/line.h"

enum { N = 64 };

static void random_weights(double *weights, size_t n, uint64_t seed)
{
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    for (size_t i = 0; i < n; i++)
        weights[i] = 0.3 + tb_rng_normal(&rng);
}

static double squares(const tb_line *line, const double *weights, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double least = INFINITY;
        for (double q = 0; q <= line->top; q++)
            least = fmin(least, fabs(weights[i] - tb_line_value(line, q)));
        sum += least * least;
    }
    return sum;
}

static void line_fit__is_never_worse_than_the_span(void **state)
{
    (void)state;
    double fitted_sum[9] = {0}, spanning_sum[9] = {0};
    for (uint64_t seed = 0; seed < 50; seed++)
        for (unsigned bits = 1; bits <= 8; bits++) {
            double weights[N], norm = 0;
            tb_line fitted, spanning;
            size_t clamped = 0;
            random_weights(weights, N, seed);
            for (size_t i = 0; i < N; i++)
                norm = hypot(norm, weights[i]);
            tb_line_fit(&fitted, weights, N, bits, &clamped);
            tb_line_span(&spanning, weights, N, bits, &clamped);
            double a = squares(&fitted, weights, N), b = squares(&spanning, weights, N);
            // Values are floats here, exact in the search: each root of squares is off by 2^-24 of the values' own.
            assert_true(sqrt(a) <= sqrt(b) + 2 * 0x1p-24 * norm);
            assert_int_equal(clamped, 0);
            fitted_sum[bits] += a;
            spanning_sum[bits] += b;
        }
    for (unsigned bits = 2; bits <= 8; bits++)
        assert_true(fitted_sum[bits] < fitted_sum[bits - 1]);
    assert_true(fitted_sum[4] < 0.95 * spanning_sum[4]);
}

// What the best line for the codes of `line` leaves: Σw² − (Σw)²/n − (Σwq − Σw·Σq/n)²/(Σq² − (Σq)²/n).
static double least_squares(const tb_line *line, const double *weights, size_t n)
{
    double w = 0, ww = 0, q = 0, qq = 0, wq = 0;
    for (size_t i = 0; i < n; i++) {
        double code = tb_line_code(line, weights[i]);
        w += weights[i], ww += weights[i] * weights[i];
        q += code, qq += code * code, wq += weights[i] * code;
    }
    double spread = qq - q * q / (double)n, common = wq - w * q / (double)n;
    return ww - w * w / (double)n - common * common / spread;
}

// No line through the same codes is better, but for what rounding its two numbers to half (2^-11 of each) moves.
static void line_fit__is_the_best_for_its_codes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        double weights[6], moved = 0;
        tb_line line;
        size_t clamped = 0;
        random_weights(weights, 6, seed);
        tb_line_fit(&line, weights, 6, 2, &clamped);
        for (size_t i = 0; i < 6; i++) {
            double shift = 0x1p-11 * (tb_line_code(&line, weights[i]) * line.scale + fabs(line.offset));
            moved += shift * shift;
        }
        assert_true(sqrt(squares(&line, weights, 6)) <= sqrt(least_squares(&line, weights, 6)) + sqrt(moved));
    }
}

static void line_fit__is_exact_on_its_own_levels(void **state)
{
    (void)state;
    for (unsigned bits = 1; bits <= 8; bits++) {
        double weights[N];
        tb_line line;
        size_t clamped = 0;
        for (size_t i = 0; i < N; i++) // both ends occur
            weights[i] = -0.75 + 0.03125 * (double)(i == 1 ? (1u << bits) - 1 : i * 37 % (1u << bits) * (i > 0));
        tb_line_fit(&line, weights, N, bits, &clamped);
        assert_true(squares(&line, weights, N) == 0);
    }
}

static void line_fit__takes_what_has_no_span(void **state)
{
    (void)state;
    static const double values[] = {0, -0.375, 1e-9, 1e9};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        double weights[3] = {values[i], values[i], values[i]};
        tb_line line;
        size_t clamped = 0;
        tb_line_fit(&line, weights, 3, 4, &clamped);
        assert_int_equal(clamped, values[i] > 1e6);
        double value = tb_line_value(&line, tb_line_code(&line, weights[0]));
        // A half ends there, has 11 bits, and 2^-24 is the smallest.
        assert_true(fabs(value - fmin(values[i], 65504)) <= 0x1p-11 * fabs(values[i]) + 0x1p-25);
    }
}

static tb_matrix floats(const float *values, size_t rows, size_t cols)
{
    return (tb_matrix){.type = TB_TYPE_F32, .rows = rows, .cols = cols, .data = values};
}

static void end_shape__is_never_larger(void **state)
{
    (void)state;
    static const size_t widths[] = {48, 64, 576, 640, 1536};
    static const tb_type types[] = {TB_TYPE_F32, TB_TYPE_F16, TB_TYPE_Q8_0, TB_TYPE_Q4_0, TB_TYPE_Q6_K};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
            tb_matrix source = {.type = types[t], .rows = 3, .cols = widths[w], .data = &source};
            tb_matrix_part parts[TB_MATRIX_PARTS];
            if (tb_matrix_get_parts(parts, &source) == 0)
                continue;
            double last = 0;
            for (unsigned bits = TB_LEAST_EMBEDDING_BITS; bits <= TB_MOST_END_BITS; bits++) {
                tb_matrix shape = tb_end_shape(&source, bits);
                assert_true(tb_matrix_bits(&shape) <= tb_matrix_bits(&source));
                assert_true(tb_matrix_bits(&shape) >= last);
                last = tb_matrix_bits(&shape);
            }
            assert_int_equal(tb_end_shape(&source, 0).type, types[t]);
        }
    tb_matrix f32 = floats(NULL, 1, 576);
    assert_int_equal(tb_end_shape(&f32, 8).type, TB_TYPE_Q8_0);
    tb_matrix six = tb_end_shape(&f32, 6);
    assert_int_equal(six.type, TB_TYPE_OFFSET);
    assert_true(tb_matrix_bits(&six) == 6.5 * 576);
}

static void end_convert__loses_less_with_more_bits(void **state)
{
    (void)state;
    enum { ROWS = 70, COLS = 96 };
    static float values[ROWS * COLS];
    double weights[ROWS * COLS], last = INFINITY;
    random_weights(weights, ROWS * COLS, 1);
    for (size_t i = 0; i < ROWS * COLS; i++)
        values[i] = (float)weights[i];
    values[5] = NAN;
    values[ROWS * COLS - 1] = INFINITY;
    tb_matrix source = floats(values, ROWS, COLS);
    for (unsigned bits = TB_LEAST_EMBEDDING_BITS; bits <= TB_MOST_END_BITS; bits++) {
        tb_matrix one, many;
        tb_packed packed, again;
        tb_error err;
        size_t nonfinite = 0, nonfinite_again = 0;
        assert_int_equal(tb_end_convert(&one, &packed, &source, bits, 1, &nonfinite, &err), TB_OK);
        assert_int_equal(tb_end_convert(&many, &again, &source, bits, 3, &nonfinite_again, &err), TB_OK);
        assert_int_equal(nonfinite, 2);
        assert_int_equal(nonfinite_again, 2);
        double sum = 0;
        for (size_t r = 0; r < ROWS; r++) {
            float row[COLS], row_again[COLS];
            tb_matrix_decode_row(row, &one, r);
            tb_matrix_decode_row(row_again, &many, r);
            assert_memory_equal(row, row_again, sizeof row);
            for (size_t c = 0; c < COLS; c++)
                sum += isfinite(values[r * COLS + c]) ? pow((double)(row[c] - values[r * COLS + c]), 2) : 0;
        }
        assert_true(sum < 0.5 * last);
        last = sum;
        tb_packed_clear(&again);
        tb_packed_clear(&packed);
    }
}

static void end_convert__survives_failing_memory(void **state)
{
    (void)state;
    static float values[2 * 64];
    tb_matrix source = floats(values, 2, 64), out;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc == TB_ENOMEM; n++) {
        tb_packed packed;
        tb_error err;
        size_t nonfinite = 0;
        tb_mem_fail_after(n);
        rc = tb_end_convert(&out, &packed, &source, 5, 1, &nonfinite, &err);
        tb_mem_fail_after(-1);
        tb_packed_clear(&packed);
        assert_true(n < 20);
    }
    assert_int_equal(rc, TB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_fit__is_never_worse_than_the_span),
        cmocka_unit_test(line_fit__is_the_best_for_its_codes),
        cmocka_unit_test(line_fit__is_exact_on_its_own_levels),
        cmocka_unit_test(line_fit__takes_what_has_no_span),
        cmocka_unit_test(end_shape__is_never_larger),
        cmocka_unit_test(end_convert__loses_less_with_more_bits),
        cmocka_unit_test(end_convert__survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
