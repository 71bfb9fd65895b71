// Changed forms of a model beside it: against passes that are made and scored here.
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "eval/eval.h"
#include "model_files.h"
#include "rounding.h"

enum { T = 16, SEQUENCES = 3, HEADS = 4, BLOCKS = 3, WIDTH = 64 };

static const tiny_model shape = {
    .blocks = BLOCKS, .width = WIDTH, .ffn_width = 96, .heads = HEADS, .kv_heads = 2, .context = 64, .seed = 4};

static tb_error err;

static bool score(double *nll, double *kl, const float *logits, const float *reference, size_t vocab, int32_t target)
{
    tb_prediction_score s;
    tb_score_prediction(&s, logits, reference, vocab, target);
    *nll = s.nll;
    *kl = s.kl;
    return s.finite && s.reference_finite;
}

// ---- a text, and what a form says of it ----

typedef struct text {
    tb_model *model;
    int32_t *ids;
    tb_sink_options options;
} text;

static text begin(size_t threads)
{
    text t = {.model = open_tiny(&shape, threads)};
    t.ids = random_ids(T * SEQUENCES, tb_model_vocab_size(t.model), 11);
    t.options = (tb_sink_options){
        .ctx = T, .sequences = SEQUENCES, .bos = TB_SINK_BOS_NEVER, .text = t.ids, .text_count = T * SEQUENCES};
    return t;
}

static void end(text *t)
{
    tb_free(t->ids);
    tb_model_close(t->model);
}

// A head that is silenced, or none; a bias of the first token.
typedef struct form {
    size_t block, head;
    double bias;
} form;

static void silence(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    const form *f = user;
    size_t n = WIDTH / HEADS;
    for (size_t t = 0; stage == TB_EDIT_ATTENDED && at->block == f->block && t < rows->rows; t++)
        memset(rows->x + t * rows->stride + f->head * n, 0, n * sizeof *rows->x);
}

static float *logits_of(const text *t, size_t sequence, const form *f)
{
    const tb_probe probe = {.edit = silence, .user = (void *)(uintptr_t)f};
    const tb_seq_options options = {.context = T, .batch = T, .kv_cache = TB_KV_CACHE_F32, .sink_bias = f->bias};
    tb_seq *seq;
    assert_int_equal(tb_seq_new(&seq, t->model, &options, &err), TB_OK);
    tb_seq_set_probe(seq, &probe);
    float *logits = push_all(seq, t->ids + sequence * T, T);
    tb_seq_free(seq);
    return logits;
}

static tb_sink_trial measure(const text *t, const form *f)
{
    const form untouched = {.block = BLOCKS};
    size_t vocab = tb_model_vocab_size(t->model);
    tb_sink_trial trial = {0};
    double n = SEQUENCES * (T - 2);
    for (size_t s = 0; s < SEQUENCES; s++) {
        float *changed = logits_of(t, s, f), *plain = logits_of(t, s, &untouched);
        for (size_t at = 1; at < T - 1; at++) {
            tb_prediction_score p, own;
            const float *x = changed + at * vocab, *y = plain + at * vocab;
            tb_score_prediction(&p, x, y, vocab, t->ids[s * T + at + 1]);
            trial.nll += p.nll / n;
            trial.kl += p.kl / n;
            trial.more += (p.nll - p.reference_nll) / n;
            for (size_t i = 0; i < vocab; i++) { // −Σ q ln q
                tb_score_prediction(&own, x, NULL, vocab, (int32_t)i);
                trial.entropy += own.nll * exp(-own.nll) / n;
            }
        }
        tb_free(changed);
        tb_free(plain);
    }
    return trial;
}

// Sums of doubles in another order, over the vocabulary at each prediction.
static void check(const tb_sink_trial *found, const tb_sink_trial *expected)
{
    const double most = rounding_of_double_sums(SEQUENCES * (T - 2) * tiny_model_vocab_size(), 4);
    assert_true(fabs(found->nll - expected->nll) <= most * expected->nll);
    assert_true(fabs(found->kl - expected->kl) <= most * expected->nll);
    assert_true(fabs(found->more - expected->more) <= most * expected->nll);
    assert_true(fabs(found->entropy - expected->entropy) <= most * expected->entropy);
    assert_int_equal(found->broken, 0);
}

// ---- factors ----

static void sweep__is_what_single_passes_say(void **state)
{
    static const double gammas[] = {0, 0.5, 1, 3};
    text t = begin(2);
    tb_gamma_result r;
    (void)state;
    assert_int_equal(tb_sink_sweep_gamma(&r, t.model, gammas, 4, &t.options, score, &err), TB_OK);
    assert_int_equal(r.protocol.sequences, SEQUENCES);
    assert_int_equal(r.protocol.predictions, SEQUENCES * (T - 2));
    for (size_t i = 0; i < 4; i++) {
        const form f = {.block = BLOCKS, .bias = tb_sink_bias_of(gammas[i])};
        tb_sink_trial expected = measure(&t, &f);
        check(&r.trials[i], &expected);
        assert_true(r.trials[r.least_nll].nll <= r.trials[i].nll);
        assert_true(r.trials[r.least_entropy].entropy <= r.trials[i].entropy);
    }
    assert_true(r.trials[2].nll == r.untouched->nll && r.trials[2].kl == 0 && r.trials[2].more_error == 0);
    assert_true(r.trials[0].more_error > 0);
    tb_gamma_result_clear(&r);
    end(&t);
}

static void sweep__refuses_factors_that_are_none(void **state)
{
    static const double wrong[] = {-1, NAN, INFINITY};
    text t = begin(1);
    tb_gamma_result r;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tb_sink_sweep_gamma(&r, t.model, wrong + i, 1, &t.options, score, &err), TB_EINVAL);
        tb_gamma_result_clear(&r);
    }
    end(&t);
}

// ---- heads ----

// The head that comes first in the order of sinks.
static form strongest(const text *t)
{
    tb_sink_result r;
    size_t best = 0;
    assert_int_equal(tb_sink_measure(&r, t->model, TB_SINK_WHAT_MAP, &t->options, &err), TB_OK);
    for (size_t i = 1; i < BLOCKS * HEADS; i++)
        if (r.map.heads[i].share > r.map.heads[best].share)
            best = i;
    tb_sink_result_clear(&r);
    return (form){.block = best / HEADS, .head = best % HEADS};
}

// The head whose part of Wo is smallest.
static form lightest(const text *t)
{
    size_t best = 0, n = WIDTH / HEADS;
    double least = INFINITY;
    for (size_t i = 0; i < BLOCKS * HEADS; i++) {
        const tb_matrix *output = &tb_model_linear(t->model, i / HEADS, TB_LINEAR_O)->matrix;
        float row[WIDTH];
        double squares = 0;
        for (size_t r = 0; r < output->rows; r++) {
            tb_matrix_decode_row(row, output, r);
            for (size_t c = 0; c < n; c++)
                squares += pow((double)row[i % HEADS * n + c], 2);
        }
        if (squares < least) {
            least = squares;
            best = i;
        }
    }
    return (form){.block = best / HEADS, .head = best % HEADS};
}

static void prune__of_one_head_is_that_head_silenced(void **state)
{
    static const double shares[] = {0.01, 0.25}; // one head at least
    text t = begin(2);
    tb_prune_result r;
    const form sink = strongest(&t), norm = lightest(&t);
    (void)state;
    assert_int_equal(tb_sink_prune(&r, t.model, shares, 2, &t.options, score, &err), TB_OK);
    assert_int_equal(r.heads, BLOCKS * HEADS);
    assert_int_equal(r.points[0].heads, 1);
    assert_int_equal(r.points[1].heads, 3);
    assert_true(r.points[1].least <= r.points[0].least);
    tb_sink_trial expected = measure(&t, &sink);
    check(&r.points[0].trials[TB_PRUNE_SINK], &expected);
    expected = measure(&t, &norm);
    check(&r.points[0].trials[TB_PRUNE_NORM], &expected);
    for (size_t k = 0; k < TB_PRUNE_ORDERS; k++)
        assert_true(r.points[1].trials[k].kl > 0);
    tb_prune_result_clear(&r);
    end(&t);
}

static void prune__is_the_same_for_any_number_of_threads_and_the_same_seed(void **state)
{
    static const double share = 0.25;
    (void)state;
    tb_sink_trial random[3];
    for (size_t i = 0; i < 3; i++) {
        text t = begin(i ? 3 : 1);
        tb_prune_result r;
        t.options.seed = i == 2 ? 8 : 7;
        assert_int_equal(tb_sink_prune(&r, t.model, &share, 1, &t.options, score, &err), TB_OK);
        random[i] = r.points[0].trials[TB_PRUNE_RANDOM];
        tb_prune_result_clear(&r);
        end(&t);
    }
    assert_true(random[0].nll == random[1].nll && random[0].more_error == random[1].more_error);
    assert_true(random[0].nll != random[2].nll);
}

static void prune__refuses_shares_that_are_none(void **state)
{
    static const double wrong[] = {0, 1, -0.5, NAN};
    text t = begin(1);
    tb_prune_result r;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(tb_sink_prune(&r, t.model, wrong + i, 1, &t.options, score, &err), TB_EINVAL);
        tb_prune_result_clear(&r);
    }
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweep__is_what_single_passes_say),
        cmocka_unit_test(sweep__refuses_factors_that_are_none),
        cmocka_unit_test(prune__of_one_head_is_that_head_silenced),
        cmocka_unit_test(prune__is_the_same_for_any_number_of_threads_and_the_same_seed),
        cmocka_unit_test(prune__refuses_shares_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
