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
    tb_sink_drain_see(&f->drain, f->heads, 0, stage, &rows);
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
    // Means are sums of T − 1 rounded parts.
    assert_true(fabs(f->heads[0].query_cos - 1) <= T * 0x1p-52 && fabs(f->heads[0].query_norm - 2) <= T * 0x1p-51);
    end(f);
}

// Turns a head at a position as the model does.
static void turn(float *x, const tb_model *model, size_t position)
{
    double frequencies[N / 2];
    bool halves;
    assert_int_equal(tb_model_get_turns(frequencies, &halves, model, 0, T), N / 2);
    for (size_t i = 0; i < N / 2; i++) {
        size_t a = halves ? i : 2 * i, b = halves ? i + N / 2 : 2 * i + 1;
        double c = cos((double)position * frequencies[i]), s = sin((double)position * frequencies[i]);
        double from_a = (double)x[a], from_b = (double)x[b];
        x[a] = (float)(c * from_a - s * from_b);
        x[b] = (float)(s * from_a + c * from_b);
    }
}

// Queries along the first key that RoPE has turned: what is left of the cosine is that of each pair's angle.
static void queries__are_turned_back(void **state)
{
    (void)state;
    fixture *f = begin();
    double expected[2] = {0}, frequencies[N / 2];
    bool halves;
    tb_model_get_turns(frequencies, &halves, f->model, 0, T);
    for (size_t t = 0; t < T; t++)
        for (size_t h = 0; h < HEADS; h++) {
            for (size_t i = 0; i < N; i++)
                f->queries[t][h][i] = f->keys[0][h / 2][i] = 1;
            turn(f->queries[t][h], f->model, t);
        }
    for (size_t t = 1; t < T; t++)
        for (size_t i = 0; i < N / 2; i++)
            expected[i >= N / 4] += cos((double)t * frequencies[i]) / (N / 2) / (T - 1);
    measure(f, 0.5f);
    // Products of numbers that were rounded to floats, about 1 each.
    const double rounding = N * 6e-8;
    for (size_t h = 0; h < HEADS; h++) {
        const tb_sink_value *v = &f->heads[h];
        assert_true(fabs(v->still_cos - 1) < rounding);
        assert_true(fabs(v->query_cos_of[TB_SINK_TURN_FAST] - expected[0]) < rounding);
        assert_true(fabs(v->query_cos_of[TB_SINK_TURN_SLOW] - expected[1]) < rounding);
        assert_true(v->query_cos_of[TB_SINK_TURN_NONE] == 0);
        assert_true(fabs(v->query_cos - expected[0] - expected[1]) < rounding);
    }
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
        cmocka_unit_test(queries__are_turned_back),
        cmocka_unit_test(bias__is_constant_where_weights_are),
        cmocka_unit_test(bias__varies_where_weights_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
