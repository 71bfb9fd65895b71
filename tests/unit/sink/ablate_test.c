// Experiments: what they do to rows that are planted, and what a tiny model becomes.
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "eval/eval.h"
#include "sink/experiment.h"

enum { T = 16, WIDTH = 64, HEADS = 4, BLOCKS = 3, SEQUENCES = 2, STAGE = 2 };

static const tiny_model shape = {
    .blocks = BLOCKS, .width = WIDTH, .ffn_width = 96, .heads = HEADS, .kv_heads = 2, .context = 64, .seed = 4};

static tb_error err;

// ---- rows ----

typedef struct fixture {
    tb_arena arena;
    tb_config config;
    tb_sink_knowledge known;
    tb_sink_experiment experiment;
    bool massive[WIDTH], dormant[BLOCKS * HEADS], others[BLOCKS * HEADS];
    double means[WIDTH];
    int32_t positions[T];
    float x[T][WIDTH], before[T][WIDTH];
} fixture;

// Channel 5 of the first token is massive at STAGE.
static fixture *begin(tb_ablation_kind kind)
{
    fixture *f = tb_new(fixture);
    f->config =
        (tb_config){.blocks = BLOCKS, .width = WIDTH, .heads = HEADS, .kv_heads = 2, .head_size = 16, .value_size = 16};
    f->massive[5] = true, f->means[5] = 777;
    f->dormant[HEADS + 1] = f->others[HEADS + 2] = true;
    f->known = (tb_sink_knowledge){.config = &f->config,
                                   .emergence = STAGE,
                                   .massive = f->massive,
                                   .massive_count = 1,
                                   .means = f->means,
                                   .dormant = f->dormant,
                                   .others = f->others,
                                   .dormant_count = 1};
    const tb_sink_sequences sequences = {.length = T, .rows = T};
    assert_int_equal(tb_sink_experiment_init(&f->experiment, &f->arena, &f->known, &sequences, &err), TB_OK);
    f->experiment.kind = kind;
    for (int32_t t = 0; t < T; t++) {
        f->positions[t] = t;
        for (size_t c = 0; c < WIDTH; c++)
            f->x[t][c] = (float)(t + 1) * (float)(c + 1);
    }
    memcpy(f->before, f->x, sizeof f->x);
    return f;
}

static void edit(fixture *f, size_t block, tb_edit_stage stage)
{
    tb_edit_rows rows = {.x = f->x[0], .stride = WIDTH, .rows = T, .cols = WIDTH, .positions = f->positions};
    tb_sink_experiment_edit(&f->experiment, block, stage, &rows);
}

// Counts values that are not what they were.
static size_t changed(const fixture *f)
{
    size_t n = 0;
    for (size_t t = 0; t < T; t++)
        for (size_t c = 0; c < WIDTH; c++)
            n += f->x[t][c] != f->before[t][c];
    return n;
}

static void end(fixture *f)
{
    tb_arena_clear(&f->arena);
    tb_free(f);
}

static void experiment__changes_massive_activations_where_they_emerge(void **state)
{
    (void)state;
    static const tb_ablation_kind kinds[] = {TB_ABLATE_MASSIVE_ZERO, TB_ABLATE_MASSIVE_MEAN, TB_ABLATE_MEDIAN_ZERO};
    static const size_t channels[] = {5, 5, 31}; // the median of 1 … 64
    static const float values[] = {0, 777, 0};
    for (size_t i = 0; i < 3; i++) {
        fixture *f = begin(kinds[i]);
        edit(f, SIZE_MAX, TB_EDIT_RESIDUAL);
        edit(f, STAGE - 2, TB_EDIT_RESIDUAL);
        edit(f, STAGE, TB_EDIT_RESIDUAL);
        assert_int_equal(changed(f), 0);
        edit(f, STAGE - 1, TB_EDIT_RESIDUAL);
        assert_int_equal(changed(f), 1);
        assert_true(f->x[0][channels[i]] == values[i]);
        end(f);
    }
}

static void experiment__moves_the_stream(void **state)
{
    (void)state;
    fixture *f = begin(TB_ABLATE_MOVE);
    edit(f, STAGE - 1, TB_EDIT_RESIDUAL);
    assert_memory_equal(f->x[0], f->before[T / 4], sizeof f->x[0]);
    assert_memory_equal(f->x[T / 4], f->before[0], sizeof f->x[0]);
    assert_int_equal(changed(f), 2 * WIDTH);
    end(f);
}

static void experiment__silences_what_it_names(void **state)
{
    (void)state;
    static const struct {
        tb_ablation_kind kind;
        tb_edit_stage stage;
        size_t block, changed, first; // first changed channel of row 0
    } cases[] = {
        {TB_ABLATE_VALUE, TB_EDIT_VALUE, 0, WIDTH, 0},
        {TB_ABLATE_OTHER_PROMPT, TB_EDIT_KEY, 2, WIDTH, 0},
        {TB_ABLATE_FFN, TB_EDIT_FFN, STAGE - 1, WIDTH, 0},
        {TB_ABLATE_DORMANT, TB_EDIT_ATTENDED, 1, T * 16, 16},
        {TB_ABLATE_RANDOM_HEADS, TB_EDIT_ATTENDED, 1, T * 16, 32},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture *f = begin(cases[i].kind);
        edit(f, cases[i].block, cases[i].stage);
        assert_int_equal(changed(f), cases[i].changed);
        assert_true(f->x[0][cases[i].first] == 0);
        end(f);
    }
    for (unsigned stage = TB_EDIT_KEY; stage <= TB_EDIT_RESIDUAL; stage++) {
        fixture *f = begin(TB_ABLATE_NOTHING);
        edit(f, STAGE - 1, (tb_edit_stage)stage);
        assert_int_equal(changed(f), 0);
        end(f);
    }
}

static void experiment__takes_weights_out(void **state)
{
    (void)state;
    tb_super_weight weight = {.block = 1, .row = 7, .col = 3, .weight = 2};
    fixture *f = begin(TB_ABLATE_SUPER);
    f->known.super_count = 1;
    f->experiment.removal.weights = &weight;
    tb_probe_rows input = {.x = f->before[0], .stride = WIDTH, .rows = T, .cols = WIDTH, .positions = f->positions};
    tb_sink_experiment_input(&f->experiment, 0, &input);
    edit(f, 0, TB_EDIT_FFN);
    assert_int_equal(changed(f), 0);
    tb_sink_experiment_input(&f->experiment, 1, &input);
    edit(f, 1, TB_EDIT_FFN);
    assert_int_equal(changed(f), T);
    for (size_t t = 0; t < T; t++)
        assert_true(f->x[t][7] == f->before[t][7] - 2 * f->before[t][3]);
    end(f);
}

// ---- a model ----

static bool score(double *nll, double *kl, const float *logits, const float *reference, size_t vocab, int32_t target)
{
    tb_prediction_score s;
    tb_score_prediction(&s, logits, reference, vocab, target);
    *nll = s.nll, *kl = s.kl;
    return s.finite;
}

static void ablate(tb_ablation_result *r, size_t threads)
{
    int32_t text[SEQUENCES * T];
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    for (size_t i = 0; i < SEQUENCES * T; i++)
        text[i] = (int32_t)tb_rng_below(&rng, tiny_model_vocab_size());
    tb_model *model = open_tiny(&shape, threads);
    if (tb_sink_ablate(r, model, &(tb_sink_options){.ctx = T, .text = text, .text_count = SEQUENCES * T}, score, &err))
        fail_msg("%s", err.message);
    tb_model_close(model);
}

static void ablate__finds_what_it_changes(void **state)
{
    (void)state;
    tb_ablation_result r;
    ablate(&r, 1);
    assert_true(r.predictions == SEQUENCES * (T - 2) && r.bos && r.emergence == 0);
    const tb_ablation *nothing = &r.rows[TB_ABLATE_NOTHING];
    assert_true(nothing->ran && nothing->identical && nothing->kl == 0 && nothing->ratio == 1);
    static const tb_ablation_kind without[] = {TB_ABLATE_MASSIVE_ZERO, TB_ABLATE_MASSIVE_MEAN, TB_ABLATE_MEDIAN_ZERO,
                                               TB_ABLATE_FFN,          TB_ABLATE_SUPER,        TB_ABLATE_DORMANT,
                                               TB_ABLATE_RANDOM_HEADS, TB_ABLATE_MOVE};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        assert_false(r.rows[without[i]].ran); // a model of random weights has none of these
    static const tb_ablation_kind with[] = {TB_ABLATE_BOS,    TB_ABLATE_COLUMN,       TB_ABLATE_VALUE,
                                            TB_ABLATE_WINDOW, TB_ABLATE_WINDOW_SINKS, TB_ABLATE_RANDOM_TOKEN};
    for (size_t i = 0; i < sizeof with / sizeof with[0]; i++) {
        const tb_ablation *row = &r.rows[with[i]];
        assert_true(row->ran && !row->identical && row->kl > 0 && row->broken == 0);
    }
    assert_true(r.rows[TB_ABLATE_COLUMN].share == 0 && nothing->share > 0);
    assert_true(r.rows[TB_ABLATE_OTHER_PROMPT].ran && r.rows[TB_ABLATE_OTHER_PROMPT].identical);
}

// The same seed would draw the tokens that are there.
static void ablate__takes_another_first_token_where_tokens_are_random(void **state)
{
    (void)state;
    static const tb_sink_input inputs[] = {TB_SINK_RANDOM, TB_SINK_REPEAT};
    tb_model *model = open_tiny(&shape, 1);
    for (size_t i = 0; i < 2; i++) {
        const tb_sink_options options = {
            .ctx = T, .sequences = SEQUENCES, .input = inputs[i], .bos = TB_SINK_BOS_NEVER};
        tb_ablation_result r;
        assert_int_equal(tb_sink_ablate(&r, model, &options, score, &err), TB_OK);
        assert_false(r.rows[TB_ABLATE_RANDOM_TOKEN].identical);
    }
    tb_model_close(model);
}

static void ablate__is_the_same_for_any_number_of_threads(void **state)
{
    (void)state;
    tb_ablation_result one, three;
    ablate(&one, 1);
    ablate(&three, 3);
    for (size_t k = 0; k < TB_ABLATIONS; k++) {
        assert_true(one.rows[k].nll == three.rows[k].nll && one.rows[k].kl == three.rows[k].kl);
        assert_true(one.rows[k].share == three.rows[k].share && one.rows[k].largest == three.rows[k].largest);
    }
}

// Every allocation fails in turn; what was begun is cleared (the sanitizers' build would say so).
static void everything__survives_failed_allocations(void **state)
{
    (void)state;
    int32_t text[T];
    for (int32_t t = 0; t < T; t++)
        text[t] = 20 + t;
    const tb_sink_options options = {.ctx = T, .text = text, .text_count = T};
    tb_model *model = open_tiny(&shape, 1);
    for (unsigned what = 0; what < 3; what++) {
        tb_code rc = TB_ENOMEM;
        for (long long n = 0; rc; n++) {
            tb_sink_result r;
            tb_super_result s;
            tb_ablation_result a;
            tb_mem_fail_after(n);
            if (what == 0)
                rc = tb_sink_measure(&r, model, ~0u, &options, &err), tb_sink_result_clear(&r);
            else if (what == 1)
                rc = tb_sink_find_super(&s, model, text, T, &(tb_super_options){.spike = 1e-3}, &err),
                tb_super_result_clear(&s);
            else
                rc = tb_sink_ablate(&a, model, &options, score, &err);
            tb_mem_fail_after(-1);
            assert_true(rc == TB_OK || rc == TB_ENOMEM);
        }
    }
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experiment__changes_massive_activations_where_they_emerge),
        cmocka_unit_test(experiment__moves_the_stream),
        cmocka_unit_test(experiment__silences_what_it_names),
        cmocka_unit_test(experiment__takes_weights_out),
        cmocka_unit_test(ablate__finds_what_it_changes),
        cmocka_unit_test(everything__survives_failed_allocations),
        cmocka_unit_test(ablate__takes_another_first_token_where_tokens_are_random),
        cmocka_unit_test(ablate__is_the_same_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
