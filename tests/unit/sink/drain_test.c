// Values of the first tokens, from keys, values, queries and rows that are planted.
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "sink/drain.h"

enum { T = 16, HEADS = 4, KV = 2, N = 16 };

static const tiny_model shape = {
    .blocks = 1, .width = HEADS * N, .ffn_width = 32, .heads = HEADS, .kv_heads = KV, .context = 64};

typedef struct fixture {
    tb_model *model;
    tb_arena arena;
    tb_sink_drain drain;
    tb_sink_value heads[HEADS];
    int32_t positions[T];
    float keys[T][KV][N], values[T][KV][N], queries[T][HEADS][N], outputs[T][HEADS][N];
} fixture;

// Keys and values of length 1 along axis t; queries along the first key of their group.
static fixture *begin(void)
{
    fixture *f = tb_new(fixture);
    tb_error err;
    f->model = open_tiny(&shape, 1);
    for (size_t t = 0; t < T; t++) {
        f->positions[t] = (int32_t)t;
        for (size_t h = 0; h < KV; h++)
            f->keys[t][h][t] = f->values[t][h][t] = 1;
        for (size_t h = 0; h < HEADS; h++)
            f->queries[t][h][0] = 2, f->outputs[t][h][0] = 1;
    }
    assert_int_equal(tb_sink_drain_init(&f->drain, &f->arena, f->model, T, &err), TB_OK);
    return f;
}

static void show(fixture *f, tb_edit_stage stage, float *x, size_t cols)
{
    tb_edit_rows rows = {.x = x, .stride = cols, .rows = T, .cols = cols, .positions = f->positions};
    tb_sink_drain_see(&f->drain, f->heads, stage, &rows);
}

// Every query gives the first token `first` and itself the rest.
static void measure(fixture *f, float first)
{
    show(f, TB_EDIT_KEY, f->keys[0][0], KV * N);
    show(f, TB_EDIT_VALUE, f->values[0][0], KV * N);
    show(f, TB_EDIT_QUERY, f->queries[0][0], HEADS * N);
    for (size_t h = 0; h < HEADS; h++)
        for (size_t t = 0; t < T; t++) {
            float weights[T] = {first};
            weights[t] += 1 - first;
            tb_attention_piece piece = {.weights = weights, .count = t + 1};
            tb_sink_drain_row(&f->drain, h, t, &piece, 1);
        }
    show(f, TB_EDIT_ATTENDED, f->outputs[0][0], HEADS * N);
}

static void end(fixture *f)
{
    tb_arena_clear(&f->arena);
    tb_model_close(f->model);
    tb_free(f);
}

static void drain__is_the_ratio_of_the_first_to_the_median(void **state)
{
    (void)state;
    fixture *f = begin();
    f->values[0][0][0] = 0.125f;
    f->keys[0][1][0] = 0.5f;
    f->values[3][0][3] = 1000; // a median does not mind
    measure(f, 0.5f);
    assert_true(f->heads[0].value_ratio == 0.125 && f->heads[1].value_ratio == 0.125);
    assert_true(f->heads[2].value_ratio == 1 && f->heads[3].value_ratio == 1);
    assert_true(f->heads[0].key_ratio == 1 && f->heads[3].key_ratio == 0.5 && f->heads[3].key_norm == 0.5);
    assert_true(f->heads[0].query_cos == 1 && f->heads[0].query_norm == 2);
    end(f);
}

static void bias__is_constant_where_weights_are(void **state)
{
    (void)state;
    fixture *f = begin();
    measure(f, 0.5f);
    for (size_t h = 0; h < HEADS; h++) {
        assert_true(f->heads[h].bias_share == 0.5); // of outputs of length 1
        assert_true(fabs(f->heads[h].bias_cos - 1) < 1e-12 && f->heads[h].bias_cv < 1e-6);
    }
    end(f);
}

static void bias__varies_where_weights_do(void **state)
{
    (void)state;
    fixture *f = begin();
    measure(f, 0.5f);
    tb_sink_value constant = f->heads[0];
    memset(f->heads, 0, sizeof f->heads);
    for (size_t t = 4; t < T; t++) { // half the queries look at token 1 instead
        float weights[T] = {t % 2 ? 0.5f : 0, t % 2 ? 0 : 0.5f};
        tb_attention_piece piece = {.weights = weights, .count = t + 1};
        tb_sink_drain_row(&f->drain, 0, t, &piece, 1);
    }
    show(f, TB_EDIT_ATTENDED, f->outputs[0][0], HEADS * N);
    // Of 12 queries, 6 along each of two axes: 2·15 of the 66 pairs agree.
    assert_true(fabs(f->heads[0].bias_cos - 30.0 / 66) < 1e-12);
    assert_true(f->heads[0].bias_share == constant.bias_share);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drain__is_the_ratio_of_the_first_to_the_median),
        cmocka_unit_test(bias__is_constant_where_weights_are),
        cmocka_unit_test(bias__varies_where_weights_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
