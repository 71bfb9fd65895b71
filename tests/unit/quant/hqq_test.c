// HQQ's grids: a real zero point, and a cost that forgives large errors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "layer.h"

enum { ROWS = 6, COLS = 96, GROUP = 32, GROUPS = COLS / GROUP };

static tb_packed quantize(const test_layer *l, tb_quant_options options)
{
    tb_error err;
    tb_packed packed;
    tb_quant_report report;
    tb_quant_problem problem = {.weights = l->weights, .rows = l->rows, .cols = l->cols};
    options.group = GROUP;
    assert_int_equal(tb_quantize_matrix(&packed, &report, TB_METHOD_HQQ, &problem, &options, &err), TB_OK);
    return packed;
}

static double half(double x)
{
    return (double)tb_half_to_float(tb_half_from_float((float)x));
}

// Σ|w − q|^0.7 over a group, with the nearest level of scale and offset for each weight.
static double sparse_cost(const float *weights, double scale, double offset, unsigned bits)
{
    double sum = 0;
    for (size_t i = 0; i < GROUP; i++) {
        double least = INFINITY;
        for (unsigned q = 0; q < 1u << bits; q++)
            least = fmin(least, fabs((double)weights[i] - (q * scale + offset)));
        sum += pow(least, 0.7);
    }
    return sum;
}

static void hqq__cost_never_rises(void **state)
{
    (void)state;
    test_layer l = layer_new(ROWS, COLS, 1);
    for (unsigned bits = 1; bits <= 4; bits++) {
        double costs[21][ROWS][GROUPS], first = 0, last = 0;
        for (unsigned steps = 1; steps <= 20; steps++) {
            tb_packed packed = quantize(&l, (tb_quant_options){.bits = bits, .iterations = steps});
            for (size_t r = 0; r < ROWS; r++)
                for (size_t g = 0; g < GROUPS; g++) {
                    const uint16_t *coefs = packed.coefs + (r * GROUPS + g) * 2;
                    const float *weights = l.weights + r * COLS + g * GROUP;
                    double scale = (double)tb_half_to_float(coefs[0]), low = INFINITY;
                    for (size_t i = 0; i < GROUP; i++)
                        low = fmin(low, (double)weights[i]);
                    costs[0][r][g] = sparse_cost(weights, scale, half(low), bits); // where the search begins
                    costs[steps][r][g] = sparse_cost(weights, scale, (double)tb_half_to_float(coefs[1]), bits);
                    assert_true(costs[steps][r][g] <= costs[steps - 1][r][g]);
                    first += steps == 20 ? costs[0][r][g] : 0;
                    last += steps == 20 ? costs[20][r][g] : 0;
                }
            tb_packed_clear(&packed);
        }
        assert_true(last < 0.998 * first);
    }
    layer_free(&l);
}

static void hqq__chooses_the_nearest_level(void **state)
{
    (void)state;
    test_layer l = layer_new(ROWS, COLS, 2);
    tb_packed packed = quantize(&l, (tb_quant_options){.bits = 3});
    float row[COLS];
    for (size_t r = 0; r < ROWS; r++) {
        tb_matrix_decode_row(row, &packed.view, r);
        for (size_t c = 0; c < COLS; c++) {
            const uint16_t *coefs = packed.coefs + (r * GROUPS + c / GROUP) * 2;
            double scale = (double)tb_half_to_float(coefs[0]), offset = (double)tb_half_to_float(coefs[1]);
            double w = (double)l.weights[r * COLS + c], least = INFINITY;
            for (unsigned q = 0; q < 8; q++)
                least = fmin(least, fabs(w - (q * scale + offset)));
            assert_true(fabs(w - (double)row[c]) <= least + 0x1p-24 * fabs((double)row[c])); // a float
        }
    }
    tb_packed_clear(&packed);
    layer_free(&l);
}

// Levels need not contain zero, and a group of equal weights needs no levels.
static void hqq__is_exact_on_its_own_grid(void **state)
{
    (void)state;
    test_layer l = layer_new(2, COLS, 3);
    for (size_t c = 0; c < COLS; c++) {
        l.weights[c] = 0.75f + 0.125f * (float)(c * 5 % 4);
        l.weights[COLS + c] = c < GROUP ? -0.3125f : 0;
    }
    tb_packed packed = quantize(&l, (tb_quant_options){.bits = 2});
    float row[COLS];
    for (size_t r = 0; r < 2; r++) {
        tb_matrix_decode_row(row, &packed.view, r);
        for (size_t c = 0; c < COLS; c++)
            assert_true(row[c] == l.weights[r * COLS + c]);
    }
    tb_packed_clear(&packed);
    layer_free(&l);
}

// Most weights lie on a grid and one lies beside it: a least-squares fit would give in to the one.
static void hqq__leaves_an_outlier_alone(void **state)
{
    (void)state;
    test_layer l = layer_new(1, GROUP, 4);
    for (size_t c = 0; c < GROUP; c++)
        l.weights[c] = 0.25f * (float)(c % 4) - 0.25f;
    l.weights[17] += 0.0625f;
    tb_packed packed = quantize(&l, (tb_quant_options){.bits = 2});
    float row[GROUP];
    tb_matrix_decode_row(row, &packed.view, 0);
    for (size_t c = 0; c < GROUP; c++)
        assert_true((row[c] == l.weights[c]) == (c != 17));
    tb_packed_clear(&packed);
    layer_free(&l);
}

static void hqq__commutes_with_row_permutation_and_scaling(void **state)
{
    (void)state;
    test_layer l = layer_new(ROWS, COLS, 5), moved = layer_new(ROWS, COLS, 5);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++)
            moved.weights[(r + 2) % ROWS * COLS + c] = 0.25f * l.weights[r * COLS + c];
    tb_packed a = quantize(&l, (tb_quant_options){.bits = 2}), b = quantize(&moved, (tb_quant_options){.bits = 2});
    for (size_t r = 0; r < ROWS; r++) {
        float row[COLS], row_moved[COLS];
        tb_matrix_decode_row(row, &a.view, r);
        tb_matrix_decode_row(row_moved, &b.view, (r + 2) % ROWS);
        for (size_t c = 0; c < COLS; c++)
            assert_true(row_moved[c] == 0.25f * row[c]);
    }
    tb_packed_clear(&b);
    tb_packed_clear(&a);
    layer_free(&moved);
    layer_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hqq__cost_never_rises),
        cmocka_unit_test(hqq__chooses_the_nearest_level),
        cmocka_unit_test(hqq__is_exact_on_its_own_grid),
        cmocka_unit_test(hqq__leaves_an_outlier_alone),
        cmocka_unit_test(hqq__commutes_with_row_permutation_and_scaling),
    };
    return cmocka_run_group_tests(tests, layer_setup, NULL);
}
