// Parameters and their files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/train.h"

static char path[] = "/tmp/twobit-params-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state)
{
    (void)state;
    return remove(path);
}

// A network that learns the exclusive or.
typedef struct learner {
    tb_params *params;
    tb_graph *graph;
    tb_node *x, *t, *loss;
    uint64_t step;
} learner;

static tb_node *new_param(learner *l, const char *name, size_t rows, size_t cols)
{
    tb_param *p;
    if (tb_params_add(&p, l->params, name, rows, cols, NULL))
        return NULL;
    tb_rng rng;
    tb_rng_init(&rng, 11, tb_params_count(l->params));
    for (size_t i = 0; i < rows * cols; i++)
        tb_param_set(l->params, p, i, tb_rng_normal(&rng));
    return tb_graph_param(l->graph, p);
}

static tb_code learner_new(learner *l, tb_error *err)
{
    *l = (learner){0};
    tb_code rc = tb_params_new(&l->params, TB_SINGLE, true, err);
    if (!rc)
        rc = tb_graph_new(&l->graph, l->params, err);
    if (rc)
        return rc;
    tb_graph *g = l->graph;
    tb_node *w1 = new_param(l, "w1", 2, 8), *b1 = new_param(l, "b1", 1, 8);
    tb_node *w2 = new_param(l, "w2", 8, 1), *b2 = new_param(l, "b2", 1, 1);
    if (!w1 || !b1 || !w2 || !b2)
        return tb_fail(err, TB_ENOMEM, "no memory");
    l->x = tb_graph_input(g, 4, 2, false);
    l->t = tb_graph_input(g, 4, 1, false);
    tb_node *hidden = tb_graph_tanh(g, tb_graph_add_row(g, tb_graph_matmul(g, l->x, w1), b1));
    l->loss = tb_graph_nmse(g, tb_graph_add_row(g, tb_graph_matmul(g, hidden, w2), b2), l->t);
    rc = tb_graph_finish(g, err);
    for (size_t i = 0; !rc && i < 4; i++) {
        tb_node_set(g, l->x, 2 * i, i & 1 ? 1 : -1);
        tb_node_set(g, l->x, 2 * i + 1, i & 2 ? 1 : -1);
        tb_node_set(g, l->t, i, i == 1 || i == 2 ? 1 : -1);
    }
    return rc;
}

static void learner_free(learner *l)
{
    tb_graph_free(l->graph);
    tb_params_free(l->params);
}

static double learn(learner *l, uint64_t steps)
{
    for (uint64_t i = 0; i < steps; i++) {
        tb_graph_forward(l->graph);
        tb_graph_backward(l->graph, l->loss);
        tb_adam_step(l->params, &(tb_adam){0}, 0.02, ++l->step);
    }
    tb_graph_forward(l->graph);
    return tb_node_get(l->graph, l->loss, 0);
}

static void training__learns_the_exclusive_or(void **state)
{
    (void)state;
    learner l;
    tb_error err;
    assert_int_equal(learner_new(&l, &err), TB_OK);
    assert_true(learn(&l, 0) > 0.5);
    assert_true(learn(&l, 500) < 1e-3);
    learner_free(&l);
}

static void assert_same_values(learner *a, learner *b)
{
    for (size_t i = 0; i < tb_params_count(a->params); i++) {
        tb_param *p = tb_params_at(a->params, i), *q = tb_params_at(b->params, i);
        assert_memory_equal(p->value, q->value, p->rows * p->cols * sizeof(float));
        assert_memory_equal(p->mean, q->mean, p->rows * p->cols * sizeof(float));
    }
}

static void training__goes_on_from_a_file_with_the_same_bits(void **state)
{
    (void)state;
    learner whole, first, second;
    tb_error err;
    assert_int_equal(learner_new(&whole, &err), TB_OK);
    assert_int_equal(learner_new(&first, &err), TB_OK);
    assert_int_equal(learner_new(&second, &err), TB_OK);
    learn(&whole, 50);
    learn(&first, 20);
    const char *const metadata[] = {"step", "20"};
    assert_int_equal(tb_params_save(path, first.params, true, metadata, 1, &err), TB_OK);
    tb_safetensors *file;
    assert_int_equal(tb_safetensors_open(&file, path, &err), TB_OK);
    assert_int_equal(tb_params_load(second.params, true, file, path, &err), TB_OK);
    second.step = strtoull(tb_safetensors_metadata(file, "step"), NULL, 10);
    tb_safetensors_close(file);
    learn(&second, 30);
    assert_same_values(&whole, &second);
    learner_free(&whole);
    learner_free(&first);
    learner_free(&second);
}

// ---- files that do not fit ----

static void expect_refusal(learner *l, bool state, const char *part)
{
    tb_safetensors *file;
    tb_error err;
    assert_int_equal(tb_safetensors_open(&file, path, &err), TB_OK);
    assert_int_equal(tb_params_load(l->params, state, file, path, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, part));
    tb_safetensors_close(file);
}

static void params__refuse_files_that_do_not_fit(void **state)
{
    (void)state;
    learner l;
    tb_error err;
    tb_params *other;
    tb_param *p;
    assert_int_equal(learner_new(&l, &err), TB_OK);
    assert_int_equal(tb_params_save(path, l.params, false, NULL, 0, &err), TB_OK);
    expect_refusal(&l, true, "has no tensor 'w1.mean'");
    tb_param_set(l.params, tb_params_find(l.params, "b1"), 3, NAN);
    assert_int_equal(tb_params_save(path, l.params, false, NULL, 0, &err), TB_OK);
    expect_refusal(&l, false, "'b1' of");
    for (int k = 0; k < 2; k++) {
        assert_int_equal(tb_params_new(&other, k ? TB_DOUBLE : TB_SINGLE, false, &err), TB_OK);
        assert_int_equal(tb_params_add(&p, other, "w1", 2, k ? 8 : 7, &err), TB_OK);
        assert_int_equal(tb_params_save(path, other, false, NULL, 0, &err), TB_OK);
        expect_refusal(&l, false, k ? "is of type F64, not F32" : "is not 2 × 8");
        tb_params_free(other);
    }
    learner_free(&l);
}

static void params__refuse_names_and_shapes_that_cannot_be(void **state)
{
    (void)state;
    tb_params *params;
    tb_param *p;
    tb_error err;
    assert_int_equal(tb_params_new(&params, TB_SINGLE, false, &err), TB_OK);
    assert_int_equal(tb_params_add(&p, params, "w", 2, 2, &err), TB_OK);
    assert_int_equal(tb_params_add(&p, params, "w", 2, 2, &err), TB_EINVAL);
    assert_int_equal(tb_params_add(&p, params, "v", 0, 2, &err), TB_EINVAL);
    assert_int_equal(tb_params_add(&p, params, "v", SIZE_MAX, 2, &err), TB_EINVAL);
    tb_params_free(params);
}

static tb_code learn_and_save(void)
{
    learner l;
    tb_error err;
    tb_safetensors *file = NULL;
    tb_code rc = learner_new(&l, &err);
    if (!rc)
        rc = tb_params_save(path, l.params, true, NULL, 0, &err);
    if (!rc)
        rc = tb_safetensors_open(&file, path, &err);
    if (!rc)
        rc = tb_params_load(l.params, true, file, path, &err);
    tb_safetensors_close(file);
    learner_free(&l);
    return rc;
}

static void train__survives_every_failed_allocation(void **state)
{
    (void)state;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc; n++) {
        tb_mem_fail_after(n);
        rc = learn_and_save();
        tb_mem_fail_after(-1);
        assert_true(rc == TB_OK || rc == TB_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training__learns_the_exclusive_or),
        cmocka_unit_test(training__goes_on_from_a_file_with_the_same_bits),
        cmocka_unit_test(params__refuse_files_that_do_not_fit),
        cmocka_unit_test(params__refuse_names_and_shapes_that_cannot_be),
        cmocka_unit_test(train__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
