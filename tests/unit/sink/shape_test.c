// Directions, from keys and streams that are planted.
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>

#include "sink/shape.h"

enum { T = 16, WIDTH = 64, NARROW = 8, BLOCKS = 2, KV = 2, N = 16 };

static const tiny_model shape = {
    .blocks = BLOCKS, .width = WIDTH, .ffn_width = 32, .heads = 4, .kv_heads = KV, .context = 64};
static const tiny_model narrow = {
    .blocks = BLOCKS, .width = NARROW, .ffn_width = 32, .heads = 2, .kv_heads = KV, .context = 64};

// Eigenvalues of a matrix of T rows are right to about T·2^-52 of the largest; their entropy is not much worse.
#define EXACT 1e-10

typedef struct fixture {
    tb_model *model;
    tb_arena arena;
    tb_sink_shapes shapes;
    tb_sink_geometry geometry;
    float x[T][WIDTH], keys[T][KV][N];
} fixture;

static fixture *begin_with(const tiny_model *of)
{
    fixture *f = tb_new(fixture);
    tb_error err;
    f->model = open_tiny(of, 1);
    assert_int_equal(tb_sink_shapes_init(&f->shapes, &f->arena, f->model, T, &err), TB_OK);
    return f;
}

static fixture *begin(void)
{
    return begin_with(&shape);
}

static void add_stream(fixture *f)
{
    tb_sink_shapes_add_stream(&f->shapes, 1, &(tb_probe_rows){.x = f->x[0], .stride = WIDTH, .rows = T, .cols = WIDTH});
}

static const tb_sink_stage_shape *finish(fixture *f, size_t sequences)
{
    tb_error err;
    assert_int_equal(tb_sink_shapes_finish(&f->geometry, &f->shapes, sequences, &err), TB_OK);
    return &f->geometry.stages[1];
}

static void end(fixture *f)
{
    tb_arena_clear(&f->arena);
    tb_model_close(f->model);
    tb_free(f);
}

static void stream__of_one_direction_has_rank_1(void **state)
{
    (void)state;
    fixture *f = begin();
    for (size_t t = 0; t < T; t++)
        for (size_t c = 0; c < WIDTH; c++)
            f->x[t][c] = (float)(t + 1) * (float)(c + 1);
    add_stream(f);
    const tb_sink_stage_shape *s = finish(f, 1);
    assert_true(fabs(s->rank - 1) < EXACT && fabs(s->top_share - 1) < EXACT);
    assert_true(fabs(s->first_cos - 1) < EXACT);
    assert_true(fabs(s->position_share - 1) < EXACT); // one sequence: positions explain all
    end(f);
}

static void stream__of_equal_axes_has_as_many_directions(void **state)
{
    (void)state;
    fixture *f = begin();
    for (size_t t = 0; t < T; t++)
        f->x[t][t] = 3;
    add_stream(f);
    const tb_sink_stage_shape *s = finish(f, 1);
    assert_true(fabs(s->rank - T) < EXACT && fabs(s->top_share - 1.0 / T) < EXACT);
    assert_true(fabs(s->rest_rank - (T - 1)) < EXACT);
    assert_true(s->first_cos == 0);
    end(f);
}

// One massive token hides the others' directions.
static void stream__of_one_large_token_has_few_directions(void **state)
{
    (void)state;
    fixture *f = begin();
    for (size_t t = 0; t < T; t++)
        f->x[t][t] = t ? 1 : 1000;
    add_stream(f);
    const tb_sink_stage_shape *s = finish(f, 1);
    assert_true(s->rank < 1.001 && s->top_share > 0.9999);
    assert_true(fabs(s->rest_rank - (T - 1)) < EXACT);
    end(f);
}

// Two sequences that differ by their sign have positions that explain nothing.
static void positions__explain_what_their_means_do(void **state)
{
    (void)state;
    fixture *f = begin();
    for (int sign = -1; sign <= 1; sign += 2) {
        for (size_t t = 0; t < T; t++)
            f->x[t][t] = (float)sign;
        add_stream(f);
    }
    assert_true(fabs(finish(f, 2)->position_share) < EXACT);
    end(f);
}

// The first at distance 4 from where the others' mean is, which have length 2.
static void positions__tell_how_far_the_first_is_apart(void **state)
{
    (void)state;
    fixture *f = begin();
    for (size_t sequence = 0; sequence < 2; sequence++) {
        for (size_t t = 0; t < T; t++) {
            f->x[t][0] = 2;
            f->x[t][1] = t ? 0 : 4;
            f->x[t][2] = sequence ? 1 : -1; // is gone in the mean
        }
        add_stream(f);
    }
    assert_true(fabs(finish(f, 2)->first_apart - 2) < EXACT);
    end(f);
}

static void keys__of_the_first_token_point_elsewhere(void **state)
{
    (void)state;
    fixture *f = begin();
    tb_edit_rows rows = {.x = f->keys[0][0], .stride = KV * N, .rows = T, .cols = KV * N};
    for (size_t t = 0; t < T; t++)
        for (size_t h = 0; h < KV; h++)
            f->keys[t][h][t ? 0 : 1] = h ? 2 : 1;
    tb_sink_shapes_add_keys(&f->shapes, 1, &rows);
    finish(f, 1);
    for (size_t h = 0; h < KV; h++) {
        const tb_sink_key_shape *k = &f->geometry.keys[KV + h];
        double length = sqrt((T - 1) * (T - 1) + 1);
        assert_true(fabs(k->first - 1 / length) < EXACT && fabs(k->rest - (T - 1) / length) < EXACT);
    }
    end(f);
}

// Late queries give token k a weight that falls with its key's cosine, or rises with it.
static void keys__that_point_away_are_looked_at(void **state)
{
    (void)state;
    fixture *f = begin();
    tb_edit_rows rows = {.x = f->keys[0][0], .stride = KV * N, .rows = T, .cols = KV * N};
    for (size_t t = 0; t < T; t++) // the further back, the further from the mean
        for (size_t h = 0; h < KV; h++)
            f->keys[t][h][0] = (float)t, f->keys[t][h][1] = (float)(T - t);
    for (size_t t = 0; t < 3; t++) // of opposite keys the mean is what the others say
        f->keys[T - 1 - t][0][2] = 0;
    tb_sink_shapes_add_keys(&f->shapes, 0, &rows);
    for (size_t h = 0; h < 4; h++)
        for (size_t t = 0; t < T; t++) {
            float weights[T];
            for (size_t k = 0; k <= t; k++)
                weights[k] = (float)(h < 2 ? T - k : k) / 1000;
            tb_attention_piece piece = {.weights = weights, .count = t + 1};
            tb_sink_shapes_add_row(&f->shapes, h, t, &piece, 1);
        }
    tb_sink_shapes_take_rows(&f->shapes, 0);
    finish(f, 1);
    // Cosines fall from the middle on, where the mean points; ranks of 12 tokens by hand.
    double cosines[12], mean[2] = {T * (T - 1) / 2.0, T * (T + 1) / 2.0};
    for (size_t t = 0; t < 12; t++)
        cosines[t] = ((double)t * mean[0] + (double)(T - t) * mean[1]) / hypot((double)t, (double)(T - t));
    double squares = 0;
    for (size_t t = 0; t < 12; t++) {
        double rank = 0;
        for (size_t u = 0; u < 12; u++)
            rank += cosines[u] > cosines[t];
        squares += (rank - (11 - (double)t)) * (rank - (11 - (double)t));
    }
    double expected = 1 - 6 * squares / (12 * (12 * 12 - 1));
    assert_true(fabs(f->geometry.keys[0].spearman - expected) < EXACT);
    assert_true(fabs(f->geometry.keys[1].spearman + expected) < EXACT);
    end(f);
}

static void updates__may_have_more_tokens_than_channels(void **state)
{
    (void)state;
    fixture *f = begin_with(&narrow);
    for (size_t t = 0; t < T; t++)
        f->x[t][t % NARROW] = 3;
    tb_sink_shapes_add_update(&f->shapes, 0, &(tb_edit_rows){.x = f->x[0], .stride = WIDTH, .rows = T, .cols = NARROW});
    finish(f, 1);
    const tb_sink_update_shape *u = f->geometry.updates;
    assert_true(fabs(u[0].stable_rank - NARROW) < T * EXACT && fabs(u[0].top_share - 1.0 / NARROW) < EXACT);
    end(f);
}

static void updates__of_one_direction_and_of_equal_ones(void **state)
{
    (void)state;
    fixture *f = begin();
    tb_edit_rows rows = {.x = f->x[0], .stride = WIDTH, .rows = T, .cols = WIDTH};
    for (size_t t = 0; t < T; t++)
        f->x[t][t] = 3;
    tb_sink_shapes_add_update(&f->shapes, 0, &rows);
    for (size_t t = 0; t < T; t++)
        for (size_t c = 0; c < WIDTH; c++)
            f->x[t][c] = (float)(t + 1) * (float)(c + 1);
    tb_sink_shapes_add_update(&f->shapes, 1, &rows);
    finish(f, 1);
    const tb_sink_update_shape *u = f->geometry.updates;
    assert_true(fabs(u[0].stable_rank - T) < T * EXACT && fabs(u[0].top_share - 1.0 / T) < EXACT);
    // Singular values that should be 0 are the roots of rounding errors.
    assert_true(fabs(u[1].stable_rank - 1) < EXACT && fabs(u[1].top_share - 1) < T * sqrt(T * 0x1p-52));
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream__of_one_direction_has_rank_1),
        cmocka_unit_test(stream__of_equal_axes_has_as_many_directions),
        cmocka_unit_test(stream__of_one_large_token_has_few_directions),
        cmocka_unit_test(positions__explain_what_their_means_do),
        cmocka_unit_test(positions__tell_how_far_the_first_is_apart),
        cmocka_unit_test(keys__of_the_first_token_point_elsewhere),
        cmocka_unit_test(keys__that_point_away_are_looked_at),
        cmocka_unit_test(updates__of_one_direction_and_of_equal_ones),
        cmocka_unit_test(updates__may_have_more_tokens_than_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
