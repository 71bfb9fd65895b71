// The published network, forward and backward, against numbers of an independent program.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "csi/csi_net.h"
#include "csi/streams.h"
#include "csv.h"
#include "rounding.h"
#include "sample.h"

#define SEED 190711836
enum { N = 4, P = 32, FRAMES = 4, SHOWN = 8 };

static double golden(const csv *t, int stage, const char *name, size_t frame, size_t index)
{
    for (size_t row = 0; row < t->rows; row++)
        if (csv_get(t, row, "stage") == stage && strcmp(csv_text(t, row, "name"), name) == 0 &&
            csv_get(t, row, "frame") == (double)frame && csv_get(t, row, "index") == (double)index)
            return csv_get(t, row, "value");
    fail_msg("no %s of stage %d", name, stage);
    return 0;
}

// ---- weights: all four tensors of each stage are 0.05 times the normals of their number ----

static void fill_tensor(tb_params *params, tb_param *p, uint64_t number)
{
    tb_csi_stream stream = {SEED, number, TB_CSI_FOR_WEIGHTS};
    size_t size = p->rows * p->cols;
    double *values = tb_alloc(size * sizeof *values);
    assert_non_null(values);
    tb_csi_real_normals(values, &stream, 0, size, 0.05);
    for (size_t i = 0; i < size; i++)
        tb_param_set(params, p, i, values[i]);
    tb_free(values);
}

static tb_param *tensor_of(const tb_csi_net *net, int stage, int number)
{
    const tb_csi_subnet *s = &net->subnets[stage];
    tb_param *const tensors[] = {s->w1, s->b1, s->w2, s->b2};
    return tensors[number];
}

static tb_csi_net *golden_net(tb_precision precision)
{
    tb_csi_net *net;
    tb_error err;
    assert_int_equal(tb_csi_net_make(&net, &(tb_csi_net_options){.n = N, .p = P}, precision, true, &err), TB_OK);
    for (int stage = 0; stage < TB_CSI_STAGES; stage++)
        for (int k = 0; k < 4; k++)
            fill_tensor(net->params, tensor_of(net, stage, k), (uint64_t)(4 * stage + k));
    return net;
}

// ---- comparing ----
//
// Two programs sum in orders of their own. Beside that counts what the table has been rounded to.
#define HALF_OF_12_DIGITS 5e-12 // of what is shown of vectors, relative
#define HALF_OF_15_DIGITS 5e-15 // of single numbers

// Terms of all sums that stand one behind the other up to the outputs of a stage: despreading, mean and variance of the
// input, two products.
static size_t summed_terms_until(const tb_csi_net *net, int stage)
{
    size_t terms = 0;
    for (int s = 0; s <= stage; s++) {
        tb_csi_stage_shape shape = tb_csi_net_stage_shape(&net->options, (tb_csi_stage)s);
        terms += P + 3 * shape.in + shape.hidden;
    }
    return terms;
}

static double rounding(const tb_csi_net *net, size_t terms, size_t count)
{
    return tb_params_precision(net->params) == TB_DOUBLE ? rounding_of_double_sums(terms, count)
                                                         : rounding_of_sums(terms, count);
}

// The weights are made by a formula, to 2^-52 of themselves, and kept in the precision of the network.
static void assert_sums(const csv *t, const tb_csi_net *net, int stage)
{
    double unit = tb_params_precision(net->params) == TB_DOUBLE ? 0x1p-52 : 0x1p-24;
    static const char *const names[] = {"w1_sum", "b1_sum", "w2_sum", "b2_sum"};
    for (int k = 0; k < 4; k++) {
        tb_param *p = tensor_of(net, stage, k);
        double sum = 0, magnitude = 0;
        size_t n = p->rows * p->cols;
        for (size_t i = 0; i < n; i++) {
            sum += tb_param_get(net->params, p, i);
            magnitude += fabs(tb_param_get(net->params, p, i));
        }
        assert_near(sum, golden(t, stage, names[k], 0, 0),
                    (unit + (double)n * 0x1p-53 + HALF_OF_15_DIGITS) * magnitude);
    }
}

static double gradient_at(const tb_csi_net *net, const tb_param *p, size_t i)
{
    return tb_params_precision(net->params) == TB_DOUBLE ? ((const double *)p->gradient)[i]
                                                         : (double)((const float *)p->gradient)[i];
}

// On the way back stand as many sums as on the way there, behind that over frames and outputs which is the loss.
static size_t summed_terms_of_loss(const tb_csi_net *net, int stage)
{
    return summed_terms_until(net, stage) + FRAMES * tb_csi_net_stage_shape(&net->options, (tb_csi_stage)stage).out;
}

static void assert_gradients(const csv *t, const tb_csi_net *net, int stage)
{
    static const char *const norms[] = {"grad_w1_l2", "grad_b1_l2", "grad_w2_l2", "grad_b2_l2"};
    static const char *const firsts[] = {"grad_w1_first", "grad_b1_first", "grad_w2_first", "grad_b2_first"};
    for (int k = 0; k < 4; k++) {
        tb_param *p = tensor_of(net, stage, k);
        double squares = 0, norm = golden(t, stage, norms[k], 0, 0);
        double tolerance = rounding(net, 2 * summed_terms_of_loss(net, stage), p->rows * p->cols) + HALF_OF_15_DIGITS;
        for (size_t i = 0; i < p->rows * p->cols; i++)
            squares += gradient_at(net, p, i) * gradient_at(net, p, i);
        assert_near(sqrt(squares), norm, tolerance * norm);
        assert_near(gradient_at(net, p, 0), golden(t, stage, firsts[k], 0, 0), tolerance * norm);
    }
}

static void assert_rows(const csv *t, const tb_graph *graph, tb_node *node, int stage, const char *name,
                        double tolerance)
{
    double expected[FRAMES][SHOWN], largest = 0;
    for (size_t f = 0; f < FRAMES; f++)
        for (size_t i = 0; i < SHOWN; i++) {
            expected[f][i] = golden(t, stage, name, f, i);
            largest = fmax(largest, fabs(expected[f][i]));
        }
    for (size_t f = 0; f < FRAMES; f++)
        for (size_t i = 0; i < SHOWN; i++)
            assert_near(tb_node_get(graph, node, f * tb_node_cols(node) + i), expected[f][i], tolerance * largest);
}

static void compare_stage(const csv *t, const tb_csi_net *net, const tb_csi_link *link, tb_csi_batch *batch, int stage)
{
    tb_csi_chain chain;
    tb_error err;
    assert_int_equal(tb_csi_chain_init(&chain, net, link, FRAMES, (tb_csi_stage)stage, 0, &err), TB_OK);
    tb_csi_chain_run(&chain, batch, (tb_csi_stage)stage);
    tb_csi_chain_feed(&chain, batch, (tb_csi_stage)stage);
    tb_csi_chain_aim(&chain, batch, (tb_csi_stage)stage);
    tb_csi_chain_stage *s = &chain.stages[stage];
    tb_graph_forward(s->graph);
    tb_graph_backward(s->graph, s->loss);
    double tolerance = rounding(net, summed_terms_until(net, stage), FRAMES * SHOWN) + HALF_OF_12_DIGITS;
    double loss = golden(t, stage, "loss", 0, 0); // of squares: off by twice as much
    assert_sums(t, net, stage);
    assert_rows(t, s->graph, s->x, stage, "x", tolerance);
    assert_rows(t, s->graph, s->y, stage, "y", tolerance);
    assert_near(tb_node_get(s->graph, s->loss, 0), loss,
                (2 * rounding(net, summed_terms_of_loss(net, stage), 1) + HALF_OF_15_DIGITS) * loss);
    assert_gradients(t, net, stage);
    tb_csi_chain_clear(&chain);
}

static void paper_net__equals_the_vectors(void **state)
{
    (void)state;
    csv t = csv_open("nn_n4_p32.csv");
    tb_csi_link *link = sample_link((tb_csi_options){.n = N, .p = P, .b = 64, .seed = SEED});
    tb_csi_batch batch;
    tb_error err;
    assert_int_equal(tb_csi_batch_init(&batch, link, FRAMES, &err), TB_OK);
    tb_csi_batch_draw(&batch, link, &(tb_csi_point){0.2, 5}, 0, FRAMES);
    for (int precision = 0; precision < 2; precision++) {
        tb_csi_net *net = golden_net((tb_precision)precision);
        for (int stage = 0; stage < TB_CSI_STAGES; stage++)
            compare_stage(&t, net, link, &batch, stage);
        tb_csi_net_free(net);
    }
    tb_csi_batch_clear(&batch);
    tb_csi_link_free(link);
    csv_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paper_net__equals_the_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
