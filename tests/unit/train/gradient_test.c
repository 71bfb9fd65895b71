// Gradients against finite differences, in double; and what graphs promise.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "near.h"
#include "rounding.h"
#include "train/train.h"

typedef enum activation { SWISH, TANH, LEAKY, RELU, ACTIVATIONS } activation;

enum { ROWS = 7, IN = 5, HIDDEN = 6, OUT = 3 };

// Terms of the sums that stand one behind the other in the loss of the network below: mean and variance of the input,
// two products, the loss over rows and outputs, the penalty over both matrices. On the way back stand as many.
enum { TERMS = 2 * ROWS * IN + IN + HIDDEN + ROWS * OUT + IN * HIDDEN + HIDDEN * OUT };

// Every operator in one loss: NMSE of a two-layer network with a standardised input, plus θ/2·Σw²,
// where the input is made from a parameter too, so that its gradient passes the normaliser.
typedef struct network {
    tb_params *params;
    tb_graph *graph;
    tb_node *x, *target, *y, *loss;
} network;

static tb_param *add_param(network *n, const char *name, size_t rows, size_t cols)
{
    tb_param *p;
    tb_error err;
    assert_int_equal(tb_params_add(&p, n->params, name, rows, cols, &err), TB_OK);
    return p;
}

static tb_node *activate(tb_graph *g, tb_node *a, activation kind)
{
    switch (kind) {
    case SWISH:
        return tb_graph_swish(g, a);
    case TANH:
        return tb_graph_tanh(g, a);
    default:
        return tb_graph_leaky_relu(g, a, kind == RELU ? 0 : 0.3);
    }
}

static void fill(network *n, uint64_t seed)
{
    tb_rng rng;
    tb_rng_init(&rng, seed, 1);
    for (size_t i = 0; i < tb_params_count(n->params); i++) {
        tb_param *p = tb_params_at(n->params, i);
        for (size_t j = 0; j < p->rows * p->cols; j++)
            tb_param_set(n->params, p, j, 0.5 * tb_rng_normal(&rng));
    }
    for (size_t i = 0; i < ROWS * IN; i++)
        tb_node_set(n->graph, n->x, i, tb_rng_normal(&rng));
    for (size_t i = 0; i < ROWS * OUT; i++)
        tb_node_set(n->graph, n->target, i, tb_rng_normal(&rng));
}

static network make(tb_precision precision, activation kind, uint64_t seed)
{
    network n = {0};
    tb_error err;
    assert_int_equal(tb_params_new(&n.params, precision, true, &err), TB_OK);
    assert_int_equal(tb_graph_new(&n.graph, n.params, &err), TB_OK);
    tb_graph *g = n.graph;
    tb_node *offset = tb_graph_param(g, add_param(&n, "offset", ROWS, IN));
    tb_node *w1 = tb_graph_param(g, add_param(&n, "w1", IN, HIDDEN)),
            *b1 = tb_graph_param(g, add_param(&n, "b1", 1, HIDDEN));
    tb_node *w2 = tb_graph_param(g, add_param(&n, "w2", HIDDEN, OUT)),
            *b2 = tb_graph_param(g, add_param(&n, "b2", 1, OUT));
    n.x = tb_graph_input(g, ROWS, IN, false);
    n.target = tb_graph_input(g, ROWS, OUT, false);
    tb_node *input = tb_graph_standardize(g, tb_graph_add(g, n.x, offset));
    tb_node *hidden = activate(g, tb_graph_add_row(g, tb_graph_matmul(g, input, w1), b1), kind);
    n.y = tb_graph_add_row(g, tb_graph_matmul(g, hidden, w2), b2);
    tb_node *penalty = tb_graph_add(g, tb_graph_squares(g, w1), tb_graph_squares(g, w2));
    n.loss = tb_graph_add(g, tb_graph_nmse(g, n.y, n.target), tb_graph_scale(g, penalty, 0.03));
    if (tb_graph_finish(g, &err))
        fail_msg("%s", err.message);
    fill(&n, seed);
    return n;
}

static void unmake(network *n)
{
    tb_graph_free(n->graph);
    tb_params_free(n->params);
}

static double loss_of(const network *n)
{
    tb_graph_forward(n->graph);
    return tb_node_get(n->graph, n->loss, 0);
}

static const double step = 1e-6;

static double difference(const network *n, tb_param *p, size_t index)
{
    double value = tb_param_get(n->params, p, index);
    tb_param_set(n->params, p, index, value + step);
    double above = loss_of(n);
    tb_param_set(n->params, p, index, value - step);
    double below = loss_of(n);
    tb_param_set(n->params, p, index, value);
    return (above - below) / (2 * step);
}

// A difference is off by what rounding does to the loss, divided by the step; the third derivative adds step²/6 of
// itself, which is less as long as it is not 10⁴ times the loss.
static void gradients__equal_finite_differences(void **state)
{
    (void)state;
    for (int kind = 0; kind < ACTIVATIONS; kind++) {
        network n = make(TB_DOUBLE, (activation)kind, 3);
        for (size_t i = 0; i < tb_params_count(n.params); i++) {
            tb_param *p = tb_params_at(n.params, i);
            const double *gradient = p->gradient;
            double largest = 0, worst = 0;
            for (size_t j = 0; j < p->rows * p->cols; j++) {
                double measured = difference(&n, p, j);
                loss_of(&n);
                tb_graph_backward(n.graph, n.loss);
                largest = fmax(largest, fabs(measured));
                worst = fmax(worst, fabs(measured - gradient[j]));
            }
            assert_true(largest > 0);
            double bound = rounding_of_double_sums(TERMS, p->rows * p->cols) * loss_of(&n) / step;
            if (!(worst <= bound))
                fail_msg("activation %d, '%s': off by %g of %g, more than %g", kind, p->name, worst, largest, bound);
        }
        unmake(&n);
    }
}

static void precisions__agree(void **state)
{
    (void)state;
    for (int kind = 0; kind < ACTIVATIONS; kind++) {
        network n[2] = {make(TB_SINGLE, (activation)kind, 5), make(TB_DOUBLE, (activation)kind, 5)};
        double loss[2] = {loss_of(&n[0]), loss_of(&n[1])};
        assert_near(loss[0], loss[1], 2 * rounding_of_sums(TERMS, 1) * loss[1]); // of squares
        for (int i = 0; i < 2; i++)
            tb_graph_backward(n[i].graph, n[i].loss);
        for (size_t i = 0; i < tb_params_count(n[0].params); i++) {
            const float *single = tb_params_at(n[0].params, i)->gradient;
            tb_param *p = tb_params_at(n[1].params, i);
            const double *exact = p->gradient;
            size_t count = p->rows * p->cols;
            double largest = 0;
            for (size_t j = 0; j < count; j++)
                largest = fmax(largest, fabs(exact[j]));
            for (size_t j = 0; j < count; j++)
                assert_near((double)single[j], exact[j], rounding_of_sums(2 * TERMS, count) * largest);
        }
        unmake(&n[0]);
        unmake(&n[1]);
    }
}

// ---- extremes ----

static void swish__is_finite_everywhere(void **state)
{
    (void)state;
    static const double at[] = {-1e30, -745, -104, -1, 0, 1, 104, 1e30};
    for (int precision = 0; precision < 2; precision++) {
        // The argument, exp (to a last place), a sum and a quotient.
        double tolerance = 5 * (precision == TB_SINGLE ? 0x1p-24 : 0x1p-53);
        tb_params *params;
        tb_graph *g;
        tb_error err;
        assert_int_equal(tb_params_new(&params, (tb_precision)precision, false, &err), TB_OK);
        assert_int_equal(tb_graph_new(&g, params, &err), TB_OK);
        tb_node *x = tb_graph_input(g, 1, 8, false), *y = tb_graph_swish(g, x);
        assert_int_equal(tb_graph_finish(g, &err), TB_OK);
        for (size_t i = 0; i < 8; i++)
            tb_node_set(g, x, i, at[i]);
        tb_graph_forward(g);
        for (size_t i = 0; i < 8; i++)
            assert_near(tb_node_get(g, y, i) / fmax(1, fabs(at[i])), at[i] / (1 + exp(-at[i])) / fmax(1, fabs(at[i])),
                        tolerance);
        tb_graph_free(g);
        tb_params_free(params);
    }
}

static void standardize__gives_zeros_for_a_constant(void **state)
{
    (void)state;
    tb_params *params;
    tb_graph *g;
    tb_error err;
    assert_int_equal(tb_params_new(&params, TB_SINGLE, false, &err), TB_OK);
    assert_int_equal(tb_graph_new(&g, params, &err), TB_OK);
    tb_node *x = tb_graph_input(g, 2, 2, false), *y = tb_graph_standardize(g, x);
    assert_int_equal(tb_graph_finish(g, &err), TB_OK);
    tb_graph_forward(g);
    for (size_t i = 0; i < 4; i++)
        assert_true(tb_node_get(g, y, i) == 0);
    tb_graph_free(g);
    tb_params_free(params);
}

// ---- graphs ----

// Wide enough for several tiles and strips.
static void gradients__have_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    enum { BATCH = 300, WIDE = 600 };
    float *reference = NULL;
    for (size_t threads = 1; threads <= 3; threads++) {
        tb_params *params;
        tb_graph *g;
        tb_param *w;
        tb_error err;
        assert_int_equal(tb_params_new(&params, TB_SINGLE, true, &err), TB_OK);
        assert_int_equal(tb_graph_new(&g, params, &err), TB_OK);
        assert_int_equal(tb_params_add(&w, params, "w", 8, WIDE, &err), TB_OK);
        tb_node *x = tb_graph_input(g, BATCH, 8, true), *t = tb_graph_input(g, BATCH, WIDE, true);
        tb_node *loss = tb_graph_nmse(g, tb_graph_swish(g, tb_graph_matmul(g, x, tb_graph_param(g, w))), t);
        assert_int_equal(tb_graph_finish(g, &err), TB_OK);
        for (size_t i = 0; i < BATCH * 8; i++)
            tb_node_set(g, x, i, sin((double)i));
        for (size_t i = 0; i < 8 * WIDE; i++)
            tb_param_set(params, w, i, cos((double)i));
        for (size_t i = 0; i < BATCH * WIDE; i++)
            tb_node_set(g, t, i, sin(0.1 * (double)i));
        tb_graph_set_threads(g, threads);
        tb_graph_forward(g);
        tb_graph_backward(g, loss);
        if (!reference) {
            reference = tb_alloc(8 * WIDE * sizeof(float));
            assert_non_null(reference);
            memcpy(reference, w->gradient, 8 * WIDE * sizeof(float));
        }
        assert_memory_equal(reference, w->gradient, 8 * WIDE * sizeof(float));
        tb_graph_free(g);
        tb_params_free(params);
    }
    tb_free(reference);
}

static void graph__computes_only_the_rows_that_are_set(void **state)
{
    (void)state;
    tb_params *params;
    tb_graph *g;
    tb_error err;
    assert_int_equal(tb_params_new(&params, TB_DOUBLE, false, &err), TB_OK);
    assert_int_equal(tb_graph_new(&g, params, &err), TB_OK);
    tb_node *x = tb_graph_input(g, 4, 1, true), *t = tb_graph_input(g, 4, 1, true);
    tb_node *loss = tb_graph_nmse(g, tb_graph_scale(g, x, 2), t);
    assert_int_equal(tb_graph_finish(g, &err), TB_OK);
    for (size_t i = 0; i < 4; i++) {
        tb_node_set(g, x, i, i < 2 ? 1 : 1000);
        tb_node_set(g, t, i, 1);
    }
    tb_graph_set_rows(g, 2);
    tb_graph_forward(g);
    assert_true(tb_node_get(g, loss, 0) == 1);
    assert_int_equal(tb_node_rows(x), 2);
    tb_graph_free(g);
    tb_params_free(params);
}

static void frozen_parameters__get_no_gradient_and_do_not_move(void **state)
{
    (void)state;
    network n = {0};
    tb_error err;
    tb_param *w, *v;
    assert_int_equal(tb_params_new(&n.params, TB_DOUBLE, true, &err), TB_OK);
    assert_int_equal(tb_graph_new(&n.graph, n.params, &err), TB_OK);
    assert_int_equal(tb_params_add(&w, n.params, "w", 1, 1, &err), TB_OK);
    assert_int_equal(tb_params_add(&v, n.params, "v", 1, 1, &err), TB_OK);
    w->frozen = true;
    tb_param_set(n.params, w, 0, 2);
    tb_param_set(n.params, v, 0, 3);
    tb_node *loss =
        tb_graph_squares(n.graph, tb_graph_matmul(n.graph, tb_graph_param(n.graph, w), tb_graph_param(n.graph, v)));
    assert_int_equal(tb_graph_finish(n.graph, &err), TB_OK);
    tb_graph_forward(n.graph);
    tb_graph_backward(n.graph, loss);
    tb_adam_step(n.params, &(tb_adam){0}, 0.1, 1);
    assert_true(*(double *)w->gradient == 0 && *(double *)w->value == 2);
    assert_true(*(double *)v->gradient == 12); // d/dv of (2v)²/2
    // A first step of the rate, less Adam's ε = 10⁻⁸ against the gradient; a few roundings of 2.9.
    assert_near(*(double *)v->value, 2.9, 0.1 * 1e-8 / 12 + 4 * 0x1p-52);
    unmake(&n);
}

// A stored matrix is its decoded values, whatever kernel runs it; columns that are no multiple of anything.
static void packed_product__equals_the_product_with_decoded_values(void **state)
{
    (void)state;
    enum { MANY = 70, COLS = 45, OUTS = 9 };
    static const size_t rows[] = {1, 3, MANY}; // few run other kernels than many
    tb_packed packed;
    tb_compute compute;
    tb_params *params;
    tb_graph *g;
    tb_param *dense;
    tb_error err;
    assert_int_equal(tb_compute_init(&compute, tb_cpu_detect(), 1, &err), TB_OK);
    assert_int_equal(tb_packed_init(&packed, TB_TYPE_BITPLANES, OUTS, COLS, 2, 32, &err), TB_OK);
    tb_rng rng;
    tb_rng_init(&rng, 1, 1);
    for (size_t r = 0; r < OUTS; r++)
        for (size_t c = 0; c < COLS; c++)
            tb_packed_set_code(&packed, r, c, (unsigned)tb_rng_below(&rng, 4));
    for (size_t i = 0; i < OUTS * 2 * 3; i++)
        packed.coefs[i] = tb_half_from_float((float)tb_rng_normal(&rng));
    assert_int_equal(tb_params_new(&params, TB_SINGLE, false, &err), TB_OK);
    assert_int_equal(tb_params_add(&dense, params, "w", COLS, OUTS, &err), TB_OK);
    for (size_t r = 0; r < OUTS; r++) {
        float row[COLS];
        tb_matrix_decode_row(row, &packed.view, r);
        for (size_t c = 0; c < COLS; c++)
            tb_param_set(params, dense, c * OUTS + r, (double)row[c]);
    }
    assert_int_equal(tb_graph_new(&g, params, &err), TB_OK);
    tb_node *x = tb_graph_input(g, MANY, COLS, true);
    tb_node *stored = tb_graph_packed(g, x, &packed.view, &compute);
    tb_node *plain = tb_graph_matmul(g, x, tb_graph_param(g, dense));
    assert_int_equal(tb_graph_finish(g, &err), TB_OK);
    for (size_t i = 0; i < MANY * COLS; i++)
        tb_node_set(g, x, i, tb_rng_normal(&rng));
    for (size_t k = 0; k < 3; k++) {
        tb_graph_set_rows(g, rows[k]);
        tb_graph_forward(g);
        for (size_t i = 0; i < rows[k] * OUTS; i++) {
            double magnitude = 0;
            for (size_t c = 0; c < COLS; c++)
                magnitude +=
                    fabs(tb_node_get(g, x, i / OUTS * COLS + c) * tb_param_get(params, dense, c * OUTS + i % OUTS));
            assert_near(tb_node_get(g, stored, i), tb_node_get(g, plain, i),
                        rounding_of_sums(COLS, MANY * OUTS) * magnitude);
        }
    }
    tb_graph_free(g);
    tb_params_free(params);
    tb_packed_clear(&packed);
}

static void graph__refuses_shapes_that_do_not_fit(void **state)
{
    (void)state;
    tb_params *params;
    tb_graph *g;
    tb_error err;
    assert_int_equal(tb_params_new(&params, TB_SINGLE, false, &err), TB_OK);
    for (int k = 0; k < 4; k++) {
        assert_int_equal(tb_graph_new(&g, params, &err), TB_OK);
        tb_node *a = tb_graph_input(g, 2, 3, false), *b = tb_graph_input(g, 2, 4, false);
        tb_node *wrong = k == 0   ? tb_graph_matmul(g, a, b)
                         : k == 1 ? tb_graph_add(g, a, b)
                         : k == 2 ? tb_graph_add_row(g, a, b)
                                  : tb_graph_nmse(g, a, b);
        assert_null(wrong);
        assert_null(tb_graph_swish(g, wrong)); // and what is built on it
        assert_int_equal(tb_graph_finish(g, &err), TB_EINVAL);
        tb_graph_free(g);
    }
    tb_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients__equal_finite_differences),
        cmocka_unit_test(precisions__agree),
        cmocka_unit_test(swish__is_finite_everywhere),
        cmocka_unit_test(standardize__gives_zeros_for_a_constant),
        cmocka_unit_test(gradients__have_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(graph__computes_only_the_rows_that_are_set),
        cmocka_unit_test(frozen_parameters__get_no_gradient_and_do_not_move),
        cmocka_unit_test(packed_product__equals_the_product_with_decoded_values),
        cmocka_unit_test(graph__refuses_shapes_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
