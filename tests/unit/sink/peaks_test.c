// Massive activations, from residual streams that are planted.
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "sink/peaks.h"

enum { TOKENS = 16, WIDTH = 64, STAGES = 5 };

static const tiny_model shape = {
    .blocks = STAGES - 1, .width = WIDTH, .ffn_width = 32, .heads = 2, .kv_heads = 1, .context = 64};

typedef struct fixture {
    tb_model *model;
    tb_arena arena;
    tb_sink_peaks peaks;
    tb_sink_massive massive;
    tb_sink_mark marks[TOKENS];
    float x[STAGES][TOKENS][WIDTH];
} fixture;

// Magnitudes between 0.5 and 1.5: the median is 1 or close to it.
static fixture *begin(void)
{
    fixture *f = tb_new(fixture);
    tb_error err;
    tb_rng rng;
    f->model = open_tiny(&shape, 2);
    tb_rng_init(&rng, 7, 0);
    float *x = &f->x[0][0][0];
    for (size_t i = 0; i < STAGES * TOKENS * WIDTH; i++)
        x[i] = (float)((0.5 + tb_rng_uniform(&rng)) * (i % 2 ? 1 : -1));
    assert_int_equal(tb_sink_peaks_init(&f->peaks, &f->arena, f->model, TOKENS, &err), TB_OK);
    return f;
}

static void measure(fixture *f)
{
    int32_t tokens[TOKENS];
    tb_error err;
    for (int32_t t = 0; t < TOKENS; t++)
        tokens[t] = 100 + t;
    for (size_t s = 0; s < STAGES; s++) {
        tb_probe_rows rows = {.x = f->x[s][0], .stride = WIDTH, .rows = TOKENS, .cols = WIDTH};
        tb_sink_peaks_add(&f->peaks, s, &rows, tokens, f->marks);
    }
    assert_int_equal(tb_sink_peaks_finish(&f->massive, &f->peaks, 1, &f->arena, &err), TB_OK);
}

static void end(fixture *f)
{
    tb_arena_clear(&f->arena);
    tb_model_close(f->model);
    tb_free(f);
}

static void massive__finds_what_was_planted(void **state)
{
    (void)state;
    fixture *f = begin();
    for (size_t s = 2; s < 4; s++) {
        f->x[s][0][9] = -3000;
        f->x[s][0][33] = 2000;
    }
    f->x[3][7][33] = 2500;
    f->x[2][5][1] = 900; // neither rule's: below 1000 medians, and strict ones exist
    measure(f);
    const tb_sink_massive *m = &f->massive;
    assert_int_equal(m->rule, TB_SINK_RULE_STRICT);
    assert_int_equal(m->channel_count, 3);
    const tb_sink_channel *c = m->channels;
    assert_true(c[0].channel == 9 && c[0].first && c[0].value == -3000 && c[0].begin == 2 && c[0].end == 4);
    assert_true(c[0].token == 100 && c[0].tokens == 1 && c[0].stage == 2);
    assert_true(c[1].channel == 33 && !c[1].first && c[1].position == 7 && c[1].token == 107 && c[1].stage == 3);
    assert_true(c[2].channel == 33 && c[2].first && c[2].value == 2000);
    for (size_t t = 0; t < TOKENS; t++)
        assert_true(f->marks[t].massive == (t == 0 || t == 7));
    assert_true(m->stages[2].massive == 1 && m->stages[3].massive == 2 && m->stages[3].first_massive == 1);
    assert_true(m->largest == 3000 && m->stages[3].top[1] == 2500 && m->stages[3].rest_top == 2500);
    assert_true(m->appearance == 2 && m->emergence == 2 && m->dissipation == 4);
    assert_true(m->stable_begin == 2 && m->stable_end == 4);
    end(f);
}

static void massive__small_scale_has_a_rule_of_its_own(void **state)
{
    (void)state;
    fixture *f = begin();
    float *x = &f->x[0][0][0];
    for (size_t i = 0; i < STAGES * TOKENS * WIDTH; i++)
        x[i] /= 100;
    f->x[1][0][4] = 2; // 200 medians
    measure(f);
    assert_int_equal(f->massive.rule, TB_SINK_RULE_RELATIVE);
    assert_true(f->massive.channel_count == 1 && f->massive.channels[0].channel == 4);
    assert_true(f->massive.stages[1].massive == 0 && f->massive.stages[1].relative == 1);
    end(f);
}

static void massive__ordinary_streams_have_none(void **state)
{
    (void)state;
    fixture *f = begin();
    f->x[1][0][4] = 90; // medians
    measure(f);
    assert_int_equal(f->massive.rule, TB_SINK_RULE_NONE);
    assert_true(f->massive.channel_count == 0 && f->massive.emergence == 0);
    assert_true(f->massive.largest == 90);
    end(f);
}

static void select__is_sorting(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 5, 0);
    for (size_t n = 1; n < 40; n++)
        for (size_t k = 0; k < n; k++) {
            float x[40], y[40];
            size_t below = 0, equal = 0;
            for (size_t i = 0; i < n; i++)
                x[i] = y[i] = (float)tb_rng_below(&rng, 10);
            float found = tb_sink_select(x, n, k);
            for (size_t i = 0; i < n; i++) {
                below += y[i] < found;
                equal += y[i] == found;
            }
            assert_true(below <= k && k < below + equal);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(massive__finds_what_was_planted),
        cmocka_unit_test(massive__small_scale_has_a_rule_of_its_own),
        cmocka_unit_test(massive__ordinary_streams_have_none),
        cmocka_unit_test(select__is_sorting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
