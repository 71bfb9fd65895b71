// eval: measurements of tiny models against the protocol carried out step by step.
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

#include "eval/eval.h"
#include "eval/score.h"
#include "rounding.h"
#include "tiny_model.h"

enum { CTX = 24, TEXT = 100 }; // four windows of 24, four tokens are left over

static char folder[] = "/tmp/twobit-eval-XXXXXX";
static char path_a[64], path_b[64], path_nan[64];
static tb_model *model_a, *model_b, *model_nan;
static int32_t text[TEXT];
static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static void make_model(tb_model **out, char path[64], const char *name, tiny_model shape)
{
    snprintf(path, 64, "%s/%s", folder, name);
    OK(tiny_model_write(path, &shape, &err));
    OK(tb_model_open(out, path, &(tb_model_options){.threads = 2}, &err));
}

static int set_up(void **state)
{
    (void)state;
    tiny_model shape = tiny_model_default, nan = tiny_model_default;
    assert_non_null(mkdtemp(folder));
    make_model(&model_a, path_a, "a.gguf", shape);
    shape.seed = 2;
    make_model(&model_b, path_b, "b.gguf", shape);
    nan.nan = true;
    make_model(&model_nan, path_nan, "nan.gguf", nan);
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    for (size_t i = 0; i < TEXT; i++)
        text[i] = (int32_t)tb_rng_below(&rng, tiny_model_vocab_size());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_model_close(model_a);
    tb_model_close(model_b);
    tb_model_close(model_nan);
    unlink(path_a);
    unlink(path_b);
    unlink(path_nan);
    return rmdir(folder);
}

// Logits of a window [CTX][vocab] as one sequence; BOS in the place of its first token.
static float *window_logits(const tb_model *model, const int32_t *window)
{
    int32_t tokens[CTX];
    memcpy(tokens, window, sizeof tokens);
    tokens[0] = tb_tokenizer_bos(tb_model_tokenizer(model));
    float *logits = tb_alloc_array(CTX * tb_model_vocab_size(model), sizeof *logits);
    tb_seq *seq;
    OK(tb_seq_new(&seq, model, &(tb_seq_options){.context = CTX, .kv_cache = TB_KV_CACHE_F32}, &err));
    OK(tb_seq_push_all(seq, tokens, CTX, logits, &err));
    tb_seq_free(seq);
    return logits;
}

// With how far rounding may put the logits of the model and of the reference from those here.
typedef struct expected {
    double nll, reference_nll, kl, kl_max, off, reference_off;
    size_t agreements;
} expected;

static expected follow_protocol(const tb_model *model, const tb_model *reference, size_t windows, size_t skip)
{
    expected sum = {0};
    size_t vocab = tb_model_vocab_size(model), n = windows * (CTX - 1 - skip);
    for (size_t w = 0; w < windows; w++) {
        float *q = window_logits(model, text + w * CTX), *p = window_logits(reference, text + w * CTX);
        for (size_t i = skip; i + 1 < CTX; i++) {
            tb_prediction_score score;
            tb_score_prediction(&score, q + i * vocab, p + i * vocab, vocab, text[w * CTX + i + 1]);
            sum.nll += score.nll / (double)n;
            sum.reference_nll += score.reference_nll / (double)n;
            sum.kl += score.kl / (double)n;
            sum.kl_max = fmax(sum.kl_max, score.kl);
            sum.agreements += score.agrees;
        }
        sum.off = fmax(sum.off, rounding_of_logits(tb_model_config(model), CTX, q, CTX * vocab));
        sum.reference_off =
            fmax(sum.reference_off, rounding_of_logits(tb_model_config(reference), CTX, p, CTX * vocab));
        tb_free(q);
        tb_free(p);
    }
    return sum;
}

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.12g is not within %g of %.12g", a, tolerance, b);
}

// Windows run in batches in one and one by one in the other: sums of floats in another order.
static void assert_as_expected(const tb_perplexity_result *r, const expected *e)
{
    double nll_off = rounding_of_log_probability(e->off, r->tokens),
           reference_off = rounding_of_log_probability(e->reference_off, r->tokens);
    assert_near(r->nll, e->nll, nll_off);
    assert_near(r->perplexity, exp(e->nll), exp(e->nll) * expm1(nll_off));
    assert_near(r->reference_perplexity, exp(e->reference_nll), exp(e->reference_nll) * expm1(reference_off));
    assert_near(r->kl_mean, e->kl, rounding_of_divergence(e->reference_off, e->off, e->kl, r->tokens));
    assert_near(r->kl_max, e->kl_max, rounding_of_divergence(e->reference_off, e->off, e->kl_max, 1));
    assert_true(r->top1_agreement == (double)e->agreements / (double)r->tokens);
    assert_true(r->kl_p99 <= r->kl_max && r->kl_p99 >= r->kl_mean);
    assert_true(r->stderr_ == r->perplexity * r->nll_stderr);
}

static void perplexity__follows_the_protocol(void **state)
{
    (void)state;
    static const struct {
        size_t skip, max_tokens, windows;
    } cases[] = {{0, 0, 4}, {12, 0, 4}, {22, 0, 4}, {0, 60, 2}, {0, 72, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_perplexity_options options = {.ctx = CTX, .skip = cases[i].skip, .max_tokens = cases[i].max_tokens};
        tb_perplexity_result r;
        OK(tb_measure_perplexity(&r, model_a, model_b, text, TEXT, &options, &err));
        expected e = follow_protocol(model_a, model_b, cases[i].windows, cases[i].skip);
        assert_int_equal(r.windows, cases[i].windows);
        assert_int_equal(r.tokens, cases[i].windows * (CTX - 1 - cases[i].skip));
        assert_as_expected(&r, &e);
    }
}

static void assert_same(const tb_perplexity_result *a, const tb_perplexity_result *b)
{
    assert_int_equal(a->tokens, b->tokens);
    assert_true(a->nll == b->nll && a->nll_stderr == b->nll_stderr && a->reference_nll == b->reference_nll);
    assert_true(a->kl_mean == b->kl_mean && a->kl_p99 == b->kl_p99 && a->top1_agreement == b->top1_agreement);
}

static void perplexity__many_models_are_measured_as_each_alone(void **state)
{
    (void)state;
    const tb_model *models[] = {model_a, model_nan, model_b};
    tb_perplexity_options options = {.ctx = CTX};
    tb_perplexity_result together[3], alone;
    OK(tb_measure_perplexities(together, models, 3, model_b, text, TEXT, &options, &err));
    OK(tb_measure_perplexity(&alone, model_a, model_b, text, TEXT, &options, &err));
    assert_same(&together[0], &alone);
    assert_true(together[1].broken);
    assert_true(together[2].kl_mean == 0 && together[2].top1_agreement == 1);
    assert_true(together[2].nll == together[2].reference_nll);
    assert_true(together[2].stderr_ == together[2].reference_stderr);
}

// What was handed over: of two models and the reference, in each window.
typedef struct taken {
    bool odd_only;
    double nll[3][4][CTX - 1], kl[3][4][CTX - 1];
    size_t agreements[3][4], times[3][4];
} taken;

static bool wants_odd(void *user, size_t model, size_t window)
{
    const taken *t = user;
    return !t->odd_only || (model == 1 && window % 2 == 1);
}

static tb_code take(void *user, const tb_window_scores *scores, size_t n, tb_error *e)
{
    (void)e;
    taken *t = user;
    for (size_t i = 0; i < n; i++) {
        const tb_window_scores *s = &scores[i];
        assert_int_equal(s->predictions, CTX - 1);
        assert_true((s->kl == NULL) == (s->model == 2));
        memcpy(t->nll[s->model][s->window], s->nll, sizeof t->nll[0][0]);
        if (s->kl)
            memcpy(t->kl[s->model][s->window], s->kl, sizeof t->kl[0][0]);
        t->agreements[s->model][s->window] = s->agreements;
        t->times[s->model][s->window]++;
    }
    return TB_OK;
}

static tb_code take_alone(void *user, const tb_window_scores *scores, size_t n, tb_error *e)
{
    (void)e;
    taken *t = user;
    for (size_t i = 0; i < n; i++) {
        assert_null(scores[i].kl);
        memcpy(t->nll[0][scores[i].window], scores[i].nll, sizeof t->nll[0][0]);
    }
    return TB_OK;
}

static void windows__are_the_same_bits_whatever_else_is_asked_for(void **state)
{
    (void)state;
    const tb_model *models[] = {model_nan, model_a};
    static taken all, odd;
    tb_perplexity_options options = {.ctx = CTX};
    tb_window_pass pass = {.models = models,
                           .count = 2,
                           .reference = model_b,
                           .tokens = text,
                           .token_count = TEXT,
                           .options = &options,
                           .wants = wants_odd,
                           .take = take,
                           .user = &all};
    OK(tb_measure_windows(&pass, &err));
    odd.odd_only = true;
    pass.user = &odd;
    OK(tb_measure_windows(&pass, &err));
    for (size_t w = 0; w < 4; w++) {
        assert_true(all.times[0][w] == 1 && all.times[1][w] == 1 && all.times[2][w] == 1);
        assert_true(odd.times[0][w] == 0 && odd.times[1][w] == w % 2);
        assert_int_equal(all.agreements[2][w], CTX - 1);
        if (w % 2 == 0)
            continue;
        assert_memory_equal(all.nll[1][w], odd.nll[1][w], sizeof all.nll[1][w]);
        assert_memory_equal(all.kl[1][w], odd.kl[1][w], sizeof all.kl[1][w]);
        assert_memory_equal(all.nll[2][w], odd.nll[2][w], sizeof all.nll[2][w]);
        assert_int_equal(all.agreements[1][w], odd.agreements[1][w]);
    }
    // Without a reference the model says the same.
    static taken alone;
    pass.models = &models[1];
    pass.count = 1;
    pass.reference = NULL;
    pass.wants = NULL;
    pass.take = take_alone;
    pass.user = &alone;
    OK(tb_measure_windows(&pass, &err));
    assert_memory_equal(alone.nll[0], all.nll[1], sizeof alone.nll[0]);
}

static void scores__are_compared_window_by_window(void **state)
{
    (void)state;
    double a[6], b[6] = {1, 2, 3, 4, 5, 60}, more, error;
    tb_text_scores scores = {.windows = 3, .predictions = 2, .nll = a},
                   base = {.windows = 3, .predictions = 2, .nll = b};
    for (size_t i = 0; i < 6; i++)
        a[i] = b[i] + 0.25; // hard windows are hard for both
    tb_text_scores_compare(&more, &error, &scores, &base);
    assert_true(more == 0.25 && error == 0);
    for (size_t i = 0; i < 6; i++)
        a[i] = b[i] + (double)(i / 2); // means of the windows: 0, 1, 2
    tb_text_scores_compare(&more, &error, &scores, &base);
    assert_true(more == 1);                         // small integers in every step
    assert_near(error, sqrt(1.0 / 3), 2 * 0x1p-53); // a quotient and a root
}

static void perplexity__does_not_depend_on_threads(void **state)
{
    (void)state;
    tb_perplexity_options options = {.ctx = CTX};
    tb_perplexity_result two, one;
    tb_model *single;
    OK(tb_model_open(&single, path_a, &(tb_model_options){.threads = 1}, &err));
    OK(tb_measure_perplexity(&one, single, model_b, text, TEXT, &options, &err));
    OK(tb_measure_perplexity(&two, model_a, model_b, text, TEXT, &options, &err));
    assert_same(&one, &two);
    tb_model_close(single);
}

static void perplexity__names_what_does_not_fit(void **state)
{
    (void)state;
    tb_perplexity_result r;
    tb_perplexity_options options = {.ctx = 1000};
    assert_int_equal(tb_measure_perplexity(&r, model_a, NULL, text, TEXT, &options, &err), TB_ELIMIT);
    options = (tb_perplexity_options){.ctx = CTX, .skip = CTX - 1};
    assert_int_equal(tb_measure_perplexity(&r, model_a, NULL, text, TEXT, &options, &err), TB_EINVAL);
    options = (tb_perplexity_options){.ctx = TEXT + 1};
    assert_int_equal(tb_measure_perplexity(&r, model_a, NULL, text, TEXT, &options, &err), TB_EINVAL);
    options = (tb_perplexity_options){.ctx = CTX};
    assert_int_equal(tb_measure_perplexity(&r, model_a, model_nan, text, TEXT, &options, &err), TB_EINVAL);
    int32_t outside[CTX] = {0};
    outside[CTX - 1] = (int32_t)tiny_model_vocab_size();
    assert_int_equal(tb_measure_perplexity(&r, model_a, NULL, outside, CTX, &options, &err), TB_EINVAL);
}

// Asks to stop at the call that is counted down to.
static bool stop_later(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)stage;
    (void)unit;
    assert_true(done >= 0 && done <= total);
    int *left = user;
    return (*left)-- == 0;
}

static void measurements__stop_when_asked(void **state)
{
    (void)state;
    for (int calls = 0; calls < 3; calls++) {
        int left = calls;
        tb_report report = {.progress = stop_later, .user = &left};
        tb_perplexity_options options = {.ctx = CTX, .report = &report};
        tb_perplexity_result r;
        assert_int_equal(tb_measure_perplexity(&r, model_a, model_b, text, TEXT, &options, &err), TB_ECANCELLED);
        left = calls;
        tb_bench_result b;
        assert_int_equal(tb_measure_speed(&b, model_a, 4, 4, 1, NULL, &report, &err), TB_ECANCELLED);
    }
}

static double last_done;

static bool watch(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)user;
    (void)stage;
    (void)unit;
    assert_true(done >= last_done && done <= total);
    last_done = done;
    return false;
}

static void progress__only_goes_forward_and_reaches_the_end(void **state)
{
    (void)state;
    tb_report report = {.progress = watch};
    tb_perplexity_options options = {.ctx = CTX, .report = &report};
    tb_perplexity_result r;
    last_done = 0;
    OK(tb_measure_perplexity(&r, model_a, model_b, text, TEXT, &options, &err));
    assert_true(last_done == 4 * CTX);
}

static void speed__reports_medians_of_what_was_run(void **state)
{
    (void)state;
    tb_bench_result r;
    OK(tb_measure_speed(&r, model_a, 16, 8, 3, NULL, NULL, &err));
    assert_int_equal(r.prompt_tokens, 16);
    assert_int_equal(r.generated_tokens, 8);
    assert_true(r.prefill_tps > 0 && r.decode_tps > 0);
    assert_true(r.prefill_spread >= 0 && r.decode_spread >= 0);
    assert_true(r.peak_rss_bytes > 0);
    assert_int_equal(tb_measure_speed(&r, model_a, 256, 1, 1, NULL, NULL, &err), TB_ELIMIT);
    OK(tb_measure_speed(&r, model_a, 256, 1, 1, &(tb_seq_options){.keep_sinks = 4, .window = 28}, NULL, &err));
}

static void measurements__report_failed_allocations(void **state)
{
    (void)state;
    tb_perplexity_options options = {.ctx = CTX};
    tb_perplexity_result r;
    tb_bench_result b;
    long long n = 0;
    for (tb_code rc = TB_ENOMEM; rc; n++) {
        tb_mem_fail_after(n);
        rc = tb_measure_perplexity(&r, model_a, model_b, text, TEXT, &options, &err);
        tb_mem_fail_after(-1);
        assert_true(rc == TB_OK || rc == TB_ENOMEM);
    }
    assert_true(n > 5);
    n = 0;
    for (tb_code rc = TB_ENOMEM; rc; n++) {
        tb_mem_fail_after(n);
        rc = tb_measure_speed(&b, model_a, 4, 2, 1, NULL, NULL, &err);
        tb_mem_fail_after(-1);
        assert_true(rc == TB_OK || rc == TB_ENOMEM);
    }
    assert_true(n > 3);
}

// ---- beside the original ----

typedef struct heard {
    char warning[512];
} heard;

static void hear(void *user, tb_note_level level, const char *sentence)
{
    if (level == TB_NOTE_WARNING)
        snprintf(((heard *)user)->warning, sizeof(heard), "%s", sentence);
}

static void heldout__is_perplexity_on_the_text_that_comes_along(void **state)
{
    (void)state;
    heard h = {0};
    tb_report report = {.note = hear, .user = &h};
    tb_heldout_result r;
    tb_perplexity_result a, b;
    tb_ids ids = {0};
    OK(tb_measure_heldout(&r, model_b, model_a, &report, &err));
    OK(tb_encode(&ids, tb_model_tokenizer(model_a), tb_builtin_text_get(TB_TEXT_HELDOUT), 0, &err));
    const tb_perplexity_options options = {.max_tokens = 2048};
    OK(tb_measure_perplexity(&a, model_a, NULL, ids.data, ids.size, &options, &err));
    OK(tb_measure_perplexity(&b, model_b, NULL, ids.data, ids.size, &options, &err));
    assert_int_equal(r.tokens, 2048 / a.ctx * a.ctx);
    assert_true(r.perplexity == b.perplexity && r.reference_perplexity == a.perplexity);
    // Random models are near guessing, some on its far side.
    assert_int_equal(r.broken, b.perplexity > (double)tb_model_vocab_size(model_b));
    assert_int_equal(r.broken, strstr(h.warning, "the result is broken") != NULL);
    tb_ids_clear(&ids);
}

static void heldout__tells_who_is_broken(void **state)
{
    (void)state;
    heard h = {0};
    tb_report report = {.note = hear, .user = &h};
    tb_heldout_result r;
    OK(tb_measure_heldout(&r, model_nan, model_a, &report, &err));
    assert_true(r.broken && isinf(r.perplexity) && isfinite(r.reference_perplexity));
    assert_non_null(strstr(h.warning, "the result is broken"));
    OK(tb_measure_heldout(&r, model_nan, model_nan, &report, &err));
    assert_true(r.broken);
    assert_string_equal(h.warning, "the original model is broken: its logits are not finite");
}

// ---- a text as one sequence ----

// The stream token by token, and what each piece of PIECE predictions comes to.
enum { PIECE = 11, PIECES = (TEXT - 1) / PIECE };

static double follow_stream(double *pieces, const tb_model *model, const tb_seq_options *memory)
{
    size_t vocab = tb_model_vocab_size(model);
    double off = 0;
    tb_seq *seq;
    OK(tb_seq_new(&seq, model, memory, &err));
    for (size_t i = 0; i < PIECES * PIECE; i++) {
        int32_t id = i ? text[i] : tb_tokenizer_bos(tb_model_tokenizer(model));
        OK(tb_seq_push(seq, &id, 1, &err));
        if (i % PIECE == 0)
            pieces[i / PIECE] = 0;
        pieces[i / PIECE] -= tb_seq_log_probability(seq, text[i + 1]) / PIECE;
        off = fmax(off, rounding_of_logits(tb_model_config(model), TEXT, tb_seq_logits(seq), vocab));
    }
    tb_seq_free(seq);
    return rounding_of_log_probability(off, PIECE);
}

static void stream__is_scored_as_token_by_token(void **state)
{
    (void)state;
    static const struct {
        size_t sinks, window;
    } shapes[] = {{4, 16}, {0, 1}, {0, 30}, {1, 200}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        tb_seq_options memory = {
            .kv_cache = TB_KV_CACHE_F32, .keep_sinks = shapes[i].sinks, .window = shapes[i].window};
        tb_perplexity_options options = {.ctx = PIECE, .memory = &memory};
        tb_perplexity_result r;
        tb_curve curve;
        double pieces[PIECES], mean = 0, off = follow_stream(pieces, model_a, &memory);
        OK(tb_measure_stream(&r, &curve, model_a, NULL, text, TEXT, &options, &err));
        assert_int_equal(curve.count, PIECES);
        for (size_t k = 0; k < PIECES; k++) {
            assert_int_equal(curve.points[k].first, k * PIECE);
            assert_near(curve.points[k].nll, pieces[k], off);
            mean += pieces[k] / PIECES;
        }
        assert_near(r.nll, mean, off);
        assert_true(r.windows == PIECES && r.tokens == PIECES * PIECE && r.ctx == PIECE && !r.has_reference);
        size_t seen = shapes[i].sinks + shapes[i].window;
        assert_int_equal(curve.dropped, seen < PIECES * PIECE ? PIECES * PIECE - seen : 0);
        tb_curve_clear(&curve);
    }
}

// A stream that drops nothing is the reference itself; one that does is compared with a reference that sees all.
static void stream__has_a_reference_that_drops_nothing(void **state)
{
    (void)state;
    tb_seq_options wide = {.kv_cache = TB_KV_CACHE_F32, .window = 200},
                   narrow = {.kv_cache = TB_KV_CACHE_F32, .window = 3};
    tb_perplexity_options options = {.ctx = PIECE, .memory = &wide};
    tb_perplexity_result r, dropping;
    tb_curve curve;
    OK(tb_measure_stream(&r, &curve, model_a, model_a, text, TEXT, &options, &err));
    assert_true(r.kl_max == 0 && r.top1_agreement == 1 && r.reference_nll == r.nll && r.has_reference);
    tb_curve_clear(&curve);
    options.memory = &narrow;
    OK(tb_measure_stream(&dropping, &curve, model_a, model_a, text, TEXT, &options, &err));
    assert_true(dropping.reference_nll == r.nll && dropping.kl_mean > 0);
    assert_true(curve.points[0].kl < curve.points[1].kl && curve.points[1].reference_nll > 0);
    tb_curve_clear(&curve);
}

static void stream__refuses_what_it_cannot_measure(void **state)
{
    (void)state;
    static int32_t many[300];
    tb_seq_options memory = {.window = 8};
    tb_perplexity_options options = {.ctx = PIECE, .memory = &memory};
    tb_perplexity_result r;
    tb_curve curve;
    assert_int_equal(tb_measure_stream(&r, &curve, model_a, NULL, text, PIECE, &options, &err), TB_EINVAL);
    assert_int_equal(tb_measure_stream(&r, &curve, model_a, NULL, text, 0, &options, &err), TB_EINVAL);
    assert_int_equal(tb_measure_stream(&r, &curve, model_a, model_a, many, 300, &options, &err), TB_ELIMIT);
    assert_int_equal(tb_measure_stream(&r, &curve, model_a, model_nan, text, TEXT, &options, &err), TB_EINVAL);
    many[5] = -1;
    assert_int_equal(tb_measure_stream(&r, &curve, model_a, NULL, many, 300, &options, &err), TB_EINVAL);
    OK(tb_measure_stream(&r, &curve, model_nan, NULL, text, TEXT, &options, &err));
    assert_true(r.broken);
    tb_curve_clear(&curve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perplexity__follows_the_protocol),
        cmocka_unit_test(stream__is_scored_as_token_by_token),
        cmocka_unit_test(stream__has_a_reference_that_drops_nothing),
        cmocka_unit_test(stream__refuses_what_it_cannot_measure),
        cmocka_unit_test(perplexity__many_models_are_measured_as_each_alone),
        cmocka_unit_test(windows__are_the_same_bits_whatever_else_is_asked_for),
        cmocka_unit_test(scores__are_compared_window_by_window),
        cmocka_unit_test(perplexity__does_not_depend_on_threads),
        cmocka_unit_test(perplexity__names_what_does_not_fit),
        cmocka_unit_test(measurements__stop_when_asked),
        cmocka_unit_test(progress__only_goes_forward_and_reaches_the_end),
        cmocka_unit_test(speed__reports_medians_of_what_was_run),
        cmocka_unit_test(measurements__report_failed_allocations),
        cmocka_unit_test(heldout__is_perplexity_on_the_text_that_comes_along),
        cmocka_unit_test(heldout__tells_who_is_broken),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
