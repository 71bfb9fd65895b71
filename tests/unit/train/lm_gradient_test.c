// Gradients of whole small transformers by central differences, in double: every variant of attention, gate, norm,
// learned key and penalty (T-03 of the specification of attention sinks); and what passes promise.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "train/train.h"

enum { SEQUENCES = 2, LENGTH = 7, MOST_LENGTH = 80 };

static const tb_lm_shape plain = {.vocab = 11,
                                  .width = 12,
                                  .blocks = 2,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_size = 4,
                                  .ffn_width = 10,
                                  .context = MOST_LENGTH,
                                  .clip_alpha = 4,
                                  .rope_base = 100,
                                  .norm_epsilon = 1e-5,
                                  .tied = true};

// A batch of random tokens, some of which are not scored.
typedef struct data {
    int32_t tokens[SEQUENCES * MOST_LENGTH], targets[SEQUENCES * MOST_LENGTH];
    tb_lm_batch batch;
} data;

static void make_data(data *d, size_t length)
{
    tb_rng rng;
    tb_rng_init(&rng, 5, 5);
    for (size_t i = 0; i < SEQUENCES * length; i++) {
        d->tokens[i] = (int32_t)tb_rng_below(&rng, plain.vocab);
        d->targets[i] = (int32_t)tb_rng_below(&rng, plain.vocab + 1) - 1;
    }
    d->batch = (tb_lm_batch){d->tokens, d->targets, SEQUENCES, length};
}

// Every parameter moves away from where it begins, so that no gradient is small by accident; `scale` of embeddings.
static tb_lm *make_model(const tb_lm_shape *shape, tb_precision precision, double scale)
{
    tb_lm *lm;
    tb_error err;
    tb_rng rng;
    assert_int_equal(tb_lm_new(&lm, shape, precision, 3, &err), TB_OK);
    tb_rng_init(&rng, 9, 1);
    tb_params *params = tb_lm_params(lm);
    for (size_t i = 0; i < tb_params_count(params); i++) {
        tb_param *p = tb_params_at(params, i);
        double deviation = strncmp(p->name, "token_embd", 10) == 0 ? scale : 0.4;
        for (size_t j = 0; j < p->rows * p->cols; j++)
            tb_param_set(params, p, j, tb_param_get(params, p, j) + deviation * tb_rng_normal(&rng));
    }
    return lm;
}

static double loss_of(tb_lm *lm, const data *d, tb_lm_penalty penalty, bool learns)
{
    tb_lm_loss loss;
    tb_error err;
    assert_int_equal(tb_lm_run(&loss, lm, &d->batch, penalty, learns, 1, NULL, &err), TB_OK);
    return loss.sum / (double)loss.scored + loss.penalty;
}

// The step that balances what rounding and curvature do to a central difference of a function of size 1.
#define STEP 1e-6
// Relative to the largest gradient of a parameter: T-03's bound.
#define TOLERANCE 1e-6

static void check_param(tb_lm *lm, tb_param *p, const data *d, tb_lm_penalty penalty, double floor, const char *what)
{
    tb_params *params = tb_lm_params(lm);
    size_t size = p->rows * p->cols, stride = size > 12 ? size / 12 : 1;
    const double *gradient = p->gradient;
    double most = floor;
    for (size_t i = 0; i < size; i++)
        most = fmax(most, fabs(gradient[i]));
    for (size_t i = 0; i < size; i += stride) {
        double at = tb_param_get(params, p, i);
        tb_param_set(params, p, i, at + STEP);
        double up = loss_of(lm, d, penalty, false);
        tb_param_set(params, p, i, at - STEP);
        double down = loss_of(lm, d, penalty, false);
        tb_param_set(params, p, i, at);
        double found = (up - down) / (2 * STEP);
        if (fabs(found - gradient[i]) > TOLERANCE * most)
            fail_msg("%s: %s[%zu]: gradient %.12g, difference %.12g, largest %.3g", what, p->name, i, gradient[i],
                     found, most);
    }
}

static void check_shape(const tb_lm_shape *shape, tb_lm_penalty penalty, double scale, size_t length, const char *what)
{
    data d;
    make_data(&d, length);
    tb_lm *lm = make_model(shape, TB_DOUBLE, scale);
    tb_params *params = tb_lm_params(lm);
    double loss = loss_of(lm, &d, penalty, true);
    assert_true(fabs(loss - loss_of(lm, &d, penalty, false)) <= 1e-12 * fabs(loss));
    // Rounding of the loss, divided by the step, is not the gradient's fault.
    double floor = 8 * 0x1p-52 * fmax(1, loss) / STEP / TOLERANCE;
    for (size_t i = 0; i < tb_params_count(params); i++)
        check_param(lm, tb_params_at(params, i), &d, penalty, floor, what);
    tb_lm_free(lm);
}

static void lm_gradient__of_every_normalizer(void **state)
{
    (void)state;
    for (int kind = 0; kind < TB_LM_NORMALIZERS; kind++)
        for (int slot = 0; slot < TB_LM_KV_BIASES; slot++)
            for (size_t reach = 0; reach <= 3; reach += 3) {
                tb_lm_shape s = plain;
                s.normalizer = (tb_lm_normalizer)kind;
                s.kv_bias = (tb_lm_kv_bias)slot;
                s.reach = reach;
                check_shape(&s, TB_LM_PLAIN, 0.4, LENGTH, tb_lm_normalizer_names[kind]);
            }
}

static void lm_gradient__across_tiles_of_queries(void **state)
{
    (void)state;
    for (size_t reach = 0; reach <= 20; reach += 20) {
        tb_lm_shape s = plain;
        s.kv_bias = TB_LM_KV_BIAS_KV;
        s.normalizer = TB_LM_SINK;
        s.reach = reach;
        check_shape(&s, TB_LM_PLAIN, 0.4, MOST_LENGTH, "tiles");
    }
}

static void lm_gradient__of_every_gate_and_norm(void **state)
{
    (void)state;
    for (int gate = 0; gate < TB_LM_GATES; gate++)
        for (int norm = 0; norm < TB_LM_NORMS; norm++) {
            tb_lm_shape s = plain;
            s.gate = (tb_lm_gate)gate;
            s.norm = (tb_lm_norm_kind)norm;
            s.registers = gate % 3;
            s.biases = norm % 2;
            s.tied = norm % 3;
            s.ffn = norm % 2 ? TB_LM_GEGLU : TB_LM_SWIGLU;
            check_shape(&s, TB_LM_PLAIN, 0.4, LENGTH, tb_lm_gate_names[gate]);
        }
}

// Penalties are small beside the cross-entropy: streams are made large, so that they count.
static void lm_gradient__of_penalties(void **state)
{
    (void)state;
    check_shape(&plain, TB_LM_TWEO, 6, LENGTH, "tweo");
    check_shape(&plain, TB_LM_ZLOSS, 1000, LENGTH, "zloss");
}

// ---- what passes promise ----

static void assert_same_gradients(tb_lm *a, tb_lm *b)
{
    for (size_t i = 0; i < tb_params_count(tb_lm_params(a)); i++) {
        const tb_param *p = tb_params_at(tb_lm_params(a), i), *q = tb_params_at(tb_lm_params(b), i);
        assert_memory_equal(p->gradient, q->gradient, p->rows * p->cols * sizeof(float));
    }
}

static void lm_pass__does_not_depend_on_threads(void **state)
{
    (void)state;
    data d;
    make_data(&d, MOST_LENGTH);
    tb_lm_shape s = plain;
    s.gate = TB_LM_GATE_ELEM;
    s.kv_bias = TB_LM_KV_BIAS_KV;
    s.norm = TB_LM_NORM_QK;
    tb_lm *one = make_model(&s, TB_SINGLE, 0.4), *three = make_model(&s, TB_SINGLE, 0.4);
    tb_lm_loss a, b;
    tb_error err;
    assert_int_equal(tb_lm_run(&a, one, &d.batch, TB_LM_TWEO, true, 1, NULL, &err), TB_OK);
    assert_int_equal(tb_lm_run(&b, three, &d.batch, TB_LM_TWEO, true, 3, NULL, &err), TB_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_same_gradients(one, three);
    tb_lm_free(one);
    tb_lm_free(three);
}

// The same batch, written out many times, is cut into pieces and has the same mean.
static void lm_pass__weighs_pieces_alike(void **state)
{
    (void)state;
    enum { COPIES = 40, ALL = COPIES * SEQUENCES * MOST_LENGTH };
    static int32_t tokens[ALL], targets[ALL];
    data d;
    make_data(&d, MOST_LENGTH);
    for (size_t i = 0; i < ALL; i++) {
        tokens[i] = d.tokens[i % (SEQUENCES * MOST_LENGTH)];
        targets[i] = d.targets[i % (SEQUENCES * MOST_LENGTH)];
    }
    data many = {.batch = {tokens, targets, COPIES * SEQUENCES, MOST_LENGTH}};
    tb_lm *once = make_model(&plain, TB_DOUBLE, 0.4), *often = make_model(&plain, TB_DOUBLE, 0.4);
    double a = loss_of(once, &d, TB_LM_TWEO, true), b = loss_of(often, &many, TB_LM_TWEO, true);
    assert_true(fabs(a - b) < 1e-12);
    for (size_t i = 0; i < tb_params_count(tb_lm_params(once)); i++) {
        const tb_param *p = tb_params_at(tb_lm_params(once), i), *q = tb_params_at(tb_lm_params(often), i);
        for (size_t j = 0; j < p->rows * p->cols; j++)
            assert_true(fabs(((const double *)p->gradient)[j] - ((const double *)q->gradient)[j]) < 1e-12);
    }
    tb_lm_free(once);
    tb_lm_free(often);
}

static void set_all(tb_lm *lm, const char *stem, double factor)
{
    tb_params *params = tb_lm_params(lm);
    for (size_t i = 0; i < tb_params_count(params); i++) {
        tb_param *p = tb_params_at(params, i);
        for (size_t j = 0; strstr(p->name, stem) && j < p->rows * p->cols; j++)
            tb_param_set(params, p, j, factor * tb_param_get(params, p, j));
    }
}

static void copy_shared(tb_lm *to, tb_lm *from)
{
    for (size_t i = 0; i < tb_params_count(tb_lm_params(to)); i++) {
        tb_param *p = tb_params_at(tb_lm_params(to), i), *q = tb_params_find(tb_lm_params(from), p->name);
        if (q)
            memcpy(p->value, q->value, p->rows * p->cols * sizeof(double));
    }
}

// T-02: a gate of zeros is half open.
static void lm_pass__gates_of_zero_halve(void **state)
{
    (void)state;
    const tb_lm_gate gates[] = {TB_LM_GATE_HEAD, TB_LM_GATE_ELEM, TB_LM_GATE_VALUE, TB_LM_GATE_SHARED,
                                TB_LM_GATE_INPUT_FREE};
    data d;
    make_data(&d, LENGTH);
    tb_lm *reference = make_model(&plain, TB_DOUBLE, 0.4);
    for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++) {
        tb_lm_shape s = plain;
        s.gate = gates[i];
        tb_lm *gated = make_model(&s, TB_DOUBLE, 0.4);
        copy_shared(gated, reference);
        set_all(gated, "attn_gate", 0);
        set_all(gated, "attn_output", 2);
        assert_true(fabs(loss_of(gated, &d, TB_LM_PLAIN, false) - loss_of(reference, &d, TB_LM_PLAIN, false)) < 1e-12);
        tb_lm_free(gated);
    }
    tb_lm_free(reference);
}

// Where queries are 0 every key weighs the same: query i gives 1/(i + 1) to the first. And what is watched does not
// depend on how a batch is cut.
static void lm_pass__watches_attention(void **state)
{
    (void)state;
    enum { MANY = 30, HEADS = 8 };
    static int32_t tokens[MANY * MOST_LENGTH], targets[MANY * MOST_LENGTH];
    double mass[HEADS] = {0}, largest[2] = {0}, kurtosis[2] = {0}, gradient[MOST_LENGTH] = {0}, expected = 0;
    const tb_lm_watch watch = {mass, largest, kurtosis, gradient};
    tb_lm_batch batch = {tokens, targets, MANY, MOST_LENGTH};
    tb_lm *lm = make_model(&plain, TB_DOUBLE, 0.4);
    tb_lm_loss loss;
    tb_error err;
    set_all(lm, "attn_q", 0);
    assert_int_equal(tb_lm_run(&loss, lm, &batch, TB_LM_PLAIN, true, 1, &watch, &err), TB_OK);
    for (size_t i = 1; i < MOST_LENGTH; i++)
        expected += 1.0 / (double)(i + 1) / (MOST_LENGTH - 1);
    for (size_t h = 0; h < HEADS; h++)
        assert_true(fabs(mass[h] - expected) < 1e-12);
    double once[2] = {kurtosis[0], kurtosis[1]}, first = gradient[0];
    memset(kurtosis, 0, sizeof kurtosis);
    memset(gradient, 0, sizeof gradient);
    batch.sequences = 1; // all are alike
    tb_lm_clear_gradients(lm);
    assert_int_equal(tb_lm_run(&loss, lm, &batch, TB_LM_PLAIN, true, 1, &watch, &err), TB_OK);
    assert_true(fabs(kurtosis[0] - once[0]) < 1e-9 && fabs(kurtosis[1] - once[1]) < 1e-9);
    assert_true(fabs(gradient[0] - MANY * first) < 1e-9); // each sequence has its share of the mean
    assert_true(largest[1] > 0 && kurtosis[1] >= 1);
    tb_lm_free(lm);
}

static void lm_pass__refuses_what_does_not_fit(void **state)
{
    (void)state;
    tb_lm *lm = make_model(&plain, TB_SINGLE, 0.4);
    int32_t tokens[2] = {0, 11}, targets[2] = {1, -1};
    tb_lm_batch batch = {tokens, targets, 1, 2};
    tb_lm_loss loss;
    tb_error err;
    assert_int_equal(tb_lm_run(&loss, lm, &batch, TB_LM_PLAIN, false, 1, NULL, &err), TB_EINVAL);
    tokens[1] = targets[0] = -1;
    assert_int_equal(tb_lm_run(&loss, lm, &batch, TB_LM_PLAIN, false, 1, NULL, &err), TB_EINVAL);
    tokens[1] = 2;
    assert_int_equal(tb_lm_run(&loss, lm, &batch, TB_LM_PLAIN, false, 1, NULL, &err), TB_EINVAL);
    batch.length = MOST_LENGTH + 1;
    assert_int_equal(tb_lm_run(&loss, lm, &batch, TB_LM_PLAIN, false, 1, NULL, &err), TB_EINVAL);
    tb_lm_free(lm);
}

static void lm_shape__refuses_what_does_not_divide(void **state)
{
    (void)state;
    tb_error err;
    tb_lm_shape s = plain;
    s.kv_heads = 3;
    assert_int_equal(tb_lm_shape_check(&s, &err), TB_EINVAL);
    s = plain;
    s.head_size = 3;
    assert_int_equal(tb_lm_shape_check(&s, &err), TB_EINVAL);
    s = plain;
    s.blocks = 0;
    assert_int_equal(tb_lm_shape_check(&s, &err), TB_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lm_gradient__of_every_normalizer),    cmocka_unit_test(lm_gradient__across_tiles_of_queries),
        cmocka_unit_test(lm_gradient__of_every_gate_and_norm), cmocka_unit_test(lm_gradient__of_penalties),
        cmocka_unit_test(lm_pass__does_not_depend_on_threads), cmocka_unit_test(lm_pass__weighs_pieces_alike),
        cmocka_unit_test(lm_pass__gates_of_zero_halve),        cmocka_unit_test(lm_pass__watches_attention),
        cmocka_unit_test(lm_pass__refuses_what_does_not_fit),  cmocka_unit_test(lm_shape__refuses_what_does_not_divide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
