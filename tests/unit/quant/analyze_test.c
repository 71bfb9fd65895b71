// The diagnostics of a tiny model, compared with what the pure functions and the forward pass say.
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
#include "quant/calibration.h"
#include "quant/quant.h"
#include "rounding.h"
#include "tiny_model.h"

enum { BLOCKS = 3, WINDOW = 64, TOKENS = 128 };

static tb_error err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static char folder[64];

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/twobit-analyze-XXXXXX");
    return !mkdtemp(folder) || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") != 0 || system(command) != 0;
}

static tb_model *tiny(size_t threads, bool nan)
{
    tb_model *model;
    tiny_model shape = tiny_model_default;
    shape.blocks = BLOCKS;
    shape.nan = nan;
    OK(tiny_model_write("source.gguf", &shape, &err));
    OK(tb_model_open(&model, "source.gguf", &(tb_model_options){.threads = threads}, &err));
    return model;
}

static tb_analyze_options quick(tb_score score)
{
    return (tb_analyze_options){.score = score, .calibration_tokens = TOKENS, .window = WINDOW, .skip_tokens = TOKENS};
}

static tb_analysis analyze(const tb_model *model, const tb_analyze_options *options)
{
    tb_analysis a;
    OK(tb_analyze(&a, model, options, &err));
    assert_int_equal(a.block_count, BLOCKS);
    return a;
}

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.12g is not within %g of %.12g", a, tolerance, b);
}

// exp(log(whole) + loss) − whole in two ways. An exponential is off by what its argument was rounded by, and by an ε.
static void assert_drop(const tb_analysis *a, size_t b)
{
    double loss = a->blocks[b].loss_increase, skipped = a->perplexity * exp(loss);
    double argument = 1 + fabs(log(a->perplexity)) + fabs(loss);
    assert_near(a->blocks[b].perplexity_drop, skipped - a->perplexity,
                4 * 0x1p-52 * argument * fmax(skipped, a->perplexity));
}

static void analysis__scores_are_the_diagnostics_they_name(void **state)
{
    (void)state;
    tb_model *model = tiny(1, false);
    double loss[BLOCKS], gap[BLOCKS], gain[BLOCKS], composite[BLOCKS];
    for (unsigned score = 0; score < TB_SCORES; score++) {
        tb_analyze_options options = quick((tb_score)score);
        tb_analysis a = analyze(model, &options);
        assert_int_equal(a.tokens, TOKENS - TOKENS / WINDOW); // without the first of each window
        assert_int_equal(a.skip_tokens, TOKENS);
        for (size_t b = 0; b < BLOCKS; b++) {
            loss[b] = a.blocks[b].loss_increase;
            gap[b] = a.blocks[b].rank_gap;
            gain[b] = a.blocks[b].energy_gain;
            assert_int_equal(a.blocks[b].weights, 2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96);
            assert_drop(&a, b);
        }
        tb_score_composite(composite, loss, gap, gain, BLOCKS);
        for (size_t b = 0; b < BLOCKS; b++) {
            const double expected[TB_SCORES] = {gap[b], composite[b], loss[b], a.blocks[b].free_gap};
            assert_true(a.blocks[b].score == expected[score]);
        }
        tb_analysis_clear(&a);
        options.only_score = true; // the same scores with less work
        tb_analysis b = analyze(model, &options), full;
        options.only_score = false;
        full = analyze(model, &options);
        for (size_t i = 0; i < BLOCKS; i++)
            assert_true(b.blocks[i].score == full.blocks[i].score);
        tb_analysis_clear(&b);
        tb_analysis_clear(&full);
    }
    tb_model_close(model);
}

// Block 0 by hand: its weights are floats in the file.
static void analysis__weights_alone_are_what_the_spectra_say(void **state)
{
    (void)state;
    tb_model *model = tiny(1, false);
    tb_analyze_options options = quick(TB_SCORE_FREE);
    tb_analysis a = analyze(model, &options);
    double gap = 0;
    for (unsigned i = TB_LINEAR_Q; i <= TB_LINEAR_V; i++) {
        const tb_matrix *m = &tb_model_linear(model, 0, (tb_linear_kind)i)->matrix;
        double *energies, random = tb_gaussian_rank(m->rows, m->cols);
        size_t n;
        tb_projection p = {.weights = m->data, .rows = m->rows, .cols = m->cols};
        OK(tb_projection_energies(&energies, &n, &p, 0, m->rows, false, &err));
        gap += tb_rank_gap(random, tb_effective_rank(energies, n)) / 3;
        tb_free(energies);
    }
    assert_near(a.blocks[0].free_gap, gap, 6 * 0x1p-53); // three numbers of at most 1, each divided and added
    tb_analysis_clear(&a);
    tb_model_close(model);
}

// −log softmax(logits)[target] by its definition.
static double surprise(const float *logits, size_t vocab, int32_t target)
{
    double sum = 0;
    for (size_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - (double)logits[target]);
    return log(sum);
}

// A model without the block is the same model with the block's outputs zeroed: o and down are 0.
static void analysis__skipping_is_running_with_an_empty_block(void **state)
{
    (void)state;
    tb_model *model = tiny(1, false);
    tb_analyze_options options = quick(TB_SCORE_PPL);
    tb_analysis a = analyze(model, &options);
    tb_windows windows;
    tb_perplexity_result whole;
    const tb_perplexity_options protocol = {.ctx = WINDOW};
    OK(tb_windows_read(&windows, model, NULL, TOKENS, WINDOW, NULL, &err));
    OK(tb_measure_perplexity(&whole, model, NULL, windows.ids.data, TOKENS, &protocol, &err));
    size_t vocab = tb_model_vocab_size(model);
    float *logits = tb_alloc_array(TOKENS * vocab, sizeof *logits), *zeros = tb_alloc_array(96 * 64, sizeof *zeros);
    tb_matrix o = {.type = TB_TYPE_F32, .rows = 64, .cols = 64, .data = zeros}, down = o;
    down.cols = 96;
    tb_linears linears = tb_model_linears(model, 0);
    tb_block_override override = {.linears = tb_alloc_array(linears.count, sizeof *override.linears)};
    override.linears[tb_linears_find(linears, TB_LINEAR_O, 0)].matrix = &o;
    override.linears[tb_linears_find(linears, TB_LINEAR_DOWN, 0)].matrix = &down;
    for (size_t skipped = 0; skipped <= BLOCKS; skipped++) { // the last time none
        tb_states states;
        double sum = 0;
        OK(tb_states_init(&states, model, windows.ids.data, windows.count, WINDOW, &err));
        for (size_t b = 0; b < BLOCKS; b++)
            OK(tb_states_run_block(&states, model, b, b == skipped ? &override : NULL, NULL, &err));
        OK(tb_states_logits(logits, model, states.x, states.stride, TOKENS, &err));
        for (size_t t = 0; t + 1 < TOKENS; t++)
            if ((t + 1) % WINDOW)
                sum += surprise(logits + t * vocab, vocab, windows.ids.data[t + 1]);
        // Tokens in other batches, products that are left out: floats in other order.
        double off = rounding_of_logits(tb_model_config(model), WINDOW, logits, TOKENS * vocab);
        double loss = sum / (double)(TOKENS - windows.count), increase = 0;
        if (skipped < BLOCKS)
            increase = a.blocks[skipped].loss_increase;
        else
            assert_near(log(whole.perplexity), loss, rounding_of_log_probability(off, TOKENS - windows.count));
        assert_near(log(a.perplexity) + increase, loss, rounding_of_log_probability(off, TOKENS - windows.count));
        tb_states_clear(&states);
    }
    tb_free(logits);
    tb_free(zeros), tb_free(override.linears);
    tb_windows_clear(&windows);
    tb_analysis_clear(&a);
    tb_model_close(model);
}

static void analysis__does_not_depend_on_threads(void **state)
{
    (void)state;
    tb_analyze_options options = quick(TB_SCORE_V1);
    tb_model *model = tiny(1, false);
    tb_analysis one = analyze(model, &options);
    tb_model_close(model);
    model = tiny(3, false);
    tb_analysis three = analyze(model, &options);
    tb_model_close(model);
    assert_memory_equal(one.blocks, three.blocks, BLOCKS * sizeof *one.blocks);
    tb_analysis_clear(&one);
    tb_analysis_clear(&three);
}

static void analysis__options_change_what_they_say(void **state)
{
    (void)state;
    tb_model *model = tiny(1, false);
    tb_analyze_options plain = quick(TB_SCORE_V2);
    tb_analysis base = analyze(model, &plain);
    tb_analyze_options variants[] = {plain, plain, plain, plain, plain, plain, plain};
    variants[0].projections = TB_PROJECT_QKVO;
    variants[1].projections = TB_PROJECT_ALL;
    variants[2].per_head = true;
    variants[3].center = true;
    variants[4].keep_first = true;
    variants[5].draws = 3;
    variants[6].seed = 1;
    for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
        tb_analysis a = analyze(model, &variants[v]);
        assert_true(a.blocks[0].score != base.blocks[0].score);
        assert_true(a.blocks[0].loss_increase == base.blocks[0].loss_increase);
        if (variants[v].per_head) // heads have 16 outputs
            assert_true(a.blocks[0].effective_rank <= 16 && a.blocks[0].random_rank <= 16);
        if (variants[v].draws || variants[v].seed) // only the counterpart is another
            assert_true(a.blocks[0].effective_rank == base.blocks[0].effective_rank);
        assert_int_equal(a.tokens, variants[v].keep_first ? TOKENS : TOKENS - TOKENS / WINDOW);
        tb_analysis_clear(&a);
    }
    tb_analysis_clear(&base);
    tb_model_close(model);
}

static bool stop_after_some(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)stage;
    (void)unit;
    double *last = user;
    assert_true(done >= *last && done <= total + 1e-9);
    *last = done;
    return done > total / 2;
}

static void analysis__stops_when_asked_and_refuses_what_it_cannot_use(void **state)
{
    (void)state;
    double last = 0;
    tb_report report = {.progress = stop_after_some, .user = &last};
    tb_analyze_options options = quick(TB_SCORE_V2);
    tb_analysis a;
    tb_model *model = tiny(1, false);
    options.report = &report;
    assert_int_equal(tb_analyze(&a, model, &options, &err), TB_ECANCELLED);
    assert_null(a.blocks);
    options.report = NULL;
    options.skip_tokens = WINDOW - 1;
    assert_int_equal(tb_analyze(&a, model, &options, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "too few for skipping blocks"));
    options.skip_tokens = 0;
    options.calibration_path = "missing.txt";
    assert_int_equal(tb_analyze(&a, model, &options, &err), TB_EIO);
    tb_model_close(model);

    model = tiny(1, true);
    options = quick(TB_SCORE_V2);
    assert_int_equal(tb_analyze(&a, model, &options, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "the model is broken"));
    tb_model_close(model);
}

static void analysis__survives_failing_memory(void **state)
{
    (void)state;
    tb_model *model = tiny(1, false);
    tb_analyze_options options = quick(TB_SCORE_V1);
    tb_code rc = TB_ENOMEM;
    tb_analysis a;
    for (long long n = 0; rc == TB_ENOMEM; n += 1 + n / 8) {
        tb_mem_fail_after(n);
        rc = tb_analyze(&a, model, &options, &err);
        tb_mem_fail_after(-1);
        assert_true(n < 1000000);
    }
    OK(rc);
    tb_analysis_clear(&a);
    tb_model_close(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(analysis__scores_are_the_diagnostics_they_name),
        TEST(analysis__weights_alone_are_what_the_spectra_say),
        TEST(analysis__skipping_is_running_with_an_empty_block),
        TEST(analysis__does_not_depend_on_threads),
        TEST(analysis__options_change_what_they_say),
        TEST(analysis__stops_when_asked_and_refuses_what_it_cannot_use),
        TEST(analysis__survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
