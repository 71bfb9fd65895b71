// Kurtoses and outlier channels, from activations that are planted.
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>

#include "sink/moments.h"

enum { TOKENS = 512, WIDTH = 64, BLOCKS = 4 };

static const tiny_model shape = {
    .blocks = BLOCKS, .width = WIDTH, .ffn_width = 32, .heads = 2, .kv_heads = 1, .context = 64};

typedef struct fixture {
    tb_model *model;
    tb_arena arena;
    tb_sink_moments moments;
    tb_sink_tails tails;
    int32_t positions[TOKENS];
    float x[TOKENS][WIDTH];
} fixture;

static fixture *begin(void)
{
    fixture *f = tb_new(fixture);
    tb_error err;
    tb_rng rng;
    f->model = open_tiny(&shape, 2);
    tb_rng_init(&rng, 7, 0);
    for (int32_t t = 0; t < TOKENS; t++) {
        f->positions[t] = t;
        for (size_t c = 0; c < WIDTH; c++)
            f->x[t][c] = (float)tb_rng_normal(&rng);
    }
    assert_int_equal(tb_sink_moments_init(&f->moments, &f->arena, f->model, TOKENS, &err), TB_OK);
    return f;
}

// The stream of block `block`.
static void add(fixture *f, size_t block)
{
    tb_sink_moments_add(&f->moments, block, TB_SINK_SITE_STREAM,
                        &(tb_sink_activations){f->x[0], WIDTH, TOKENS, WIDTH, f->positions});
}

static const tb_sink_activity *finish(fixture *f)
{
    tb_error err;
    assert_int_equal(tb_sink_moments_finish(&f->tails, &f->moments, &f->arena, &err), TB_OK);
    return &f->tails.sites[TB_SINK_SITE_STREAM];
}

static void end(fixture *f)
{
    tb_arena_clear(&f->arena);
    tb_model_close(f->model);
    tb_free(f);
}

static void kurtosis__of_a_gaussian_is_3(void **state)
{
    (void)state;
    fixture *f = begin();
    add(f, 0);
    const tb_sink_activity *a = finish(f);
    // The kurtosis of n normal numbers is off by sqrt(24/n): here 0.027. That of n = 64 has the mean 3(n − 1)/(n + 1).
    assert_true(fabs(a->tensor - 3) < 0.1);
    assert_true(fabs(a->rest - 3 * 63.0 / 65) < 0.1);
    // Channels are alike: E[s⁴] = E[s²]²·(1 + 2/TOKENS).
    assert_true(fabs(a->rms - 1) < 0.02);
    assert_true(f->tails.outlier_count[0] == 0 && f->tails.outlier_count[1] == 0);
    end(f);
}

static void kurtosis__of_one_channel_is_the_number_of_channels(void **state)
{
    (void)state;
    fixture *f = begin();
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t c = 0; c < WIDTH; c++)
            f->x[t][c] = c == 5 ? (float)(t % 2 ? 100 : -100) : 0;
    add(f, 0);
    const tb_sink_activity *a = finish(f);
    assert_true(fabs(a->rms - WIDTH) < 1e-9);
    assert_true(fabs(a->tensor - WIDTH) < 1e-9); // the mean is 0
    assert_true(a->largest == 100);
    // Of one value among n, the rest 0: (n² − 3n + 3)/(n − 1).
    double expected = (WIDTH * WIDTH - 3 * WIDTH + 3) / (double)(WIDTH - 1);
    assert_true(fabs(a->first_token - expected) < 1e-9 && fabs(a->rest - expected) < 1e-9);
    end(f);
}

static void kurtosis__tells_the_first_token_from_the_rest(void **state)
{
    (void)state;
    fixture *f = begin();
    f->x[0][3] = 1000;
    add(f, 0);
    const tb_sink_activity *a = finish(f);
    assert_true(a->first_token > WIDTH - 3);
    assert_true(fabs(a->rest - 3 * 63.0 / 65) < 0.1);
    end(f);
}

// 6 % of 512 tokens are 31; a quarter of four blocks is one.
static void outliers__need_tokens_and_blocks(void **state)
{
    (void)state;
    fixture *f = begin();
    for (size_t t = 0; t < 31; t++) {
        f->x[3 * t][7] = -6.5f;
        if (t < 30)
            f->x[3 * t][9] = 6.5f;
    }
    add(f, 0);
    for (size_t t = 0; t < TOKENS; t++)
        f->x[t][7] = f->x[t][9] = 0;
    for (size_t b = 1; b < BLOCKS; b++)
        add(f, b);
    finish(f);
    assert_int_equal(f->tails.outlier_count[TB_SINK_OUTLIER_SIZE], 1);
    assert_int_equal(f->tails.outliers[TB_SINK_OUTLIER_SIZE][0], 7);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kurtosis__of_a_gaussian_is_3),
        cmocka_unit_test(kurtosis__of_one_channel_is_the_number_of_channels),
        cmocka_unit_test(kurtosis__tells_the_first_token_from_the_rest),
        cmocka_unit_test(outliers__need_tokens_and_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
