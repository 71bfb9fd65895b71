// Activations in few bits: the levels, the scales, and whose rows are rounded.
#include "model_files.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "eval/eval.h"

enum { LENGTH = 24, WINDOWS = 3, TOKENS = WINDOWS * LENGTH };

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static void parse__takes_what_there_is_and_nothing_else(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",          "a8",       "a1:token",  "a9:static", "a8:",       "8:token", "a08:token",
        "a8:tokens", "A8:token", "a8:token ", "a-8:token", "a88:token", "a8static"};
    tb_act_form form;
    OK(tb_act_form_parse(&form, "a8:static", &err));
    assert_true(form.bits == 8 && form.fixed);
    OK(tb_act_form_parse(&form, "a2:token", &err));
    assert_true(form.bits == 2 && !form.fixed);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(tb_act_form_parse(&form, wrong[i], &err), TB_EINVAL);
}

// The nearest of 2^bits − 1 levels, and of what is beyond the last.
static void round__finds_the_nearest_level(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (unsigned bits = TB_ACT_LEAST_BITS; bits <= TB_ACT_MOST_BITS; bits++)
        for (size_t i = 0; i < 2000; i++) {
            float x = (float)(4 * tb_rng_normal(&rng)), largest = (float)(0.5 + 4 * tb_rng_uniform(&rng));
            float rounded = x, mirrored = -x, again;
            double levels = (1 << (bits - 1)) - 1, step = (double)largest / levels;
            tb_act_round(&rounded, 1, bits, largest);
            tb_act_round(&mirrored, 1, bits, largest);
            again = rounded;
            tb_act_round(&again, 1, bits, largest);
            // The result is one rounding to float away from a level.
            double level = (double)rounded / step, slack = levels * (double)FLT_EPSILON;
            assert_true(rounded == -mirrored && rounded == again);
            assert_true(fabs(level - nearbyint(level)) <= slack);
            if (fabsf(x) <= largest)
                assert_true(fabs((double)x - (double)rounded) <= step / 2 + (double)largest * (double)FLT_EPSILON);
            else
                assert_true(rounded == copysignf(largest, x));
        }
}

static void round__leaves_zeros_and_numbers_on_levels(void **state)
{
    (void)state;
    float x[] = {-7, -3, 0, 1, 7}, zeros[] = {0, 0};
    tb_act_round(x, 5, 4, 7);
    tb_act_round(zeros, 2, 4, 0);
    assert_memory_equal(x, ((float[]){-7, -3, 0, 1, 7}), sizeof x);
    assert_memory_equal(zeros, ((float[]){0, 0}), sizeof zeros);
}

// ---- in the forward pass ----

static const tb_act_text no_text;

static void round_rows(float *x, size_t rows, size_t cols, const tb_act_rounding *rounding, const int32_t *positions)
{
    const tb_edit_rows edit = {x, cols, rows, cols, positions};
    tb_probe probe = tb_act_rounding_probe(rounding);
    probe.edit_input(probe.user, &(tb_probe_place){.block = 1}, TB_INPUT_DOWN, &edit);
}

static void token__has_a_scale_of_its_own(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    tb_act_rounding rounding;
    float x[] = {7, 3.4f, -1000, 100};
    OK(tb_act_rounding_init(&rounding, model, (tb_act_form){.bits = 4}, &no_text, NULL, &err));
    round_rows(x, 2, 2, &rounding, (const int32_t[]){0, 1});
    assert_true(x[0] == 7 && x[1] == 3 && x[2] == -1000 && fabs((double)x[3] - 1000 / 7.0) < 1e-4);
    tb_act_rounding_clear(&rounding);
    tb_model_close(model);
}

typedef struct largest_seen {
    float of[2][TB_LINEAR_INPUTS];
} largest_seen;

static void see(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    largest_seen *seen = user;
    for (size_t t = 0; t < rows->rows; t++)
        for (size_t c = 0; c < rows->cols; c++)
            seen->of[at->block][input] = fmaxf(seen->of[at->block][input], fabsf(rows->x[t * rows->stride + c]));
}

static tb_model *open_prefixed(const char *path, const tb_prefix *prefix, const tb_model *maker)
{
    tb_model *model;
    OK(tb_prefix_save(prefix, maker, path, &err));
    OK(tb_model_open(&model, tiny_path("llama.gguf"), &(tb_model_options){.threads = 1, .prefix_kv = path}, &err));
    return model;
}

static void fixed__scales_are_the_largest_of_the_windows(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 3), own[TOKENS];
    const tb_act_text text = {ids, TOKENS, WINDOWS - 1, LENGTH};
    largest_seen *seen = tb_new(largest_seen);
    const tb_probe probe = {.linear_input = see, .user = seen};
    tb_act_rounding rounding;
    tb_states states;
    assert_int_equal(tb_model_config(model)->blocks, 2);
    memcpy(own, ids, sizeof own);
    for (size_t w = 0; w < WINDOWS; w++)
        tb_model_begin_window(own + w * LENGTH, LENGTH, model);
    OK(tb_states_init(&states, model, own, WINDOWS - 1, LENGTH, &err));
    for (size_t b = 0; b < 2; b++)
        OK(tb_states_run_block(&states, model, b, NULL, &probe, &err));
    OK(tb_act_rounding_init(&rounding, model, (tb_act_form){.bits = 8, .fixed = true}, &text, NULL, &err));
    assert_memory_equal(rounding.largest, seen->of, sizeof seen->of);
    tb_act_rounding_clear(&rounding);
    tb_states_clear(&states);
    tb_free(seen), tb_free(ids);
    tb_model_close(model);
}

static void prefix__is_neither_rounded_nor_counted(void **state)
{
    (void)state;
    tb_arena arena = {0};
    tb_prefix prefix;
    tb_model *plain = open_model(tiny_path("llama.gguf"), 1);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(plain), 3);
    const tb_act_text text = {ids, TOKENS, WINDOWS, LENGTH};
    tb_act_rounding all, behind;
    OK(tb_prefix_make(&prefix, &arena, plain, ids, 2, &err));
    tb_model *model = open_prefixed(temp_path("prefix.gguf"), &prefix, plain);
    OK(tb_act_rounding_init(&all, plain, (tb_act_form){.bits = 4, .fixed = true}, &text, NULL, &err));
    OK(tb_act_rounding_init(&behind, model, (tb_act_form){.bits = 4, .fixed = true}, &text, NULL, &err));
    assert_int_equal(all.left_out, 0);
    assert_int_equal(behind.left_out, 2);
    float largest = behind.largest[TB_LINEAR_INPUTS + TB_INPUT_DOWN];
    float x[] = {5.5f * largest, 0.01f * largest, 5.5f * largest, 0.01f * largest};
    round_rows(x, 2, 2, &behind, (const int32_t[]){1, 2});
    assert_true(x[0] == 5.5f * largest && x[1] == 0.01f * largest && x[2] == largest && x[3] == 0);
    tb_act_rounding_clear(&all), tb_act_rounding_clear(&behind);
    tb_model_close(model), tb_model_close(plain);
    tb_arena_clear(&arena);
    tb_free(ids);
}

// ---- measured ----

static double divergence(const tb_model *model, const int32_t *ids, const char *form_text, const tb_seq_options *memory)
{
    tb_act_form form;
    tb_act_rounding rounding;
    tb_perplexity_result r;
    tb_curve curve = {0};
    OK(tb_act_form_parse(&form, form_text, &err));
    OK(tb_act_rounding_init(&rounding, model, form, &(tb_act_text){ids, TOKENS, WINDOWS, LENGTH}, NULL, &err));
    const tb_probe probe = tb_act_rounding_probe(&rounding);
    const tb_perplexity_options options = {.ctx = LENGTH - 1, .memory = memory, .probe = &probe};
    if (memory && memory->window)
        OK(tb_measure_stream(&r, &curve, model, model, ids, 2 * LENGTH, &options, &err));
    else
        OK(tb_measure_perplexity(&r, model, model, ids, TOKENS, &options, &err));
    assert_false(r.broken);
    tb_curve_clear(&curve);
    tb_act_rounding_clear(&rounding);
    return r.kl_mean;
}

// The reference is not rounded; fewer bits lose more; windows and streams feel it.
static void measured__fewer_bits_lose_more(void **state)
{
    (void)state;
    static const tb_seq_options stream = {.keep_sinks = 1, .window = 2 * LENGTH, .kv_cache = TB_KV_CACHE_F32};
    static const char *const families[] = {"llama.gguf", "gemma3.gguf", "qwen3_moe.gguf"};
    for (size_t f = 0; f < 3; f++) {
        tb_model *model = open_model(tiny_path(families[f]), 1);
        int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 3);
        double eight = divergence(model, ids, "a8:token", NULL), four = divergence(model, ids, "a4:token", NULL);
        double fixed = divergence(model, ids, "a8:static", NULL);
        assert_true(0 < eight && eight < four && 0 < fixed && fixed < four);
        if (f == 0)
            assert_true(divergence(model, ids, "a8:static", &stream) > 0);
        tb_free(ids);
        tb_model_close(model);
    }
}

static bool always_stops(void *user, const char *what, double done, double total, const char *unit)
{
    (void)user, (void)what, (void)done, (void)total, (void)unit;
    return true;
}

static void calibration__refuses_what_says_no_scale(void **state)
{
    (void)state;
    const tb_act_form form = {.bits = 8, .fixed = true};
    const tb_report stops = {.progress = always_stops};
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 3);
    tb_act_text text = {ids, LENGTH - 1, 1, LENGTH};
    tb_act_rounding rounding;
    assert_int_equal(tb_act_rounding_init(&rounding, model, form, &text, NULL, &err), TB_EINVAL);
    assert_string_equal(err.message, "calibration of activations: the text has 23 tokens, fewer than one window of 24");
    tb_act_rounding_clear(&rounding);
    text.count = LENGTH;
    assert_int_equal(tb_act_rounding_init(&rounding, model, form, &text, &stops, &err), TB_ECANCELLED);
    tb_act_rounding_clear(&rounding);
    ids[3] = -1;
    assert_int_equal(tb_act_rounding_init(&rounding, model, form, &text, NULL, &err), TB_EINVAL);
    tb_act_rounding_clear(&rounding);
    tb_free(ids);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse__takes_what_there_is_and_nothing_else),
        cmocka_unit_test(round__finds_the_nearest_level),
        cmocka_unit_test(round__leaves_zeros_and_numbers_on_levels),
        cmocka_unit_test(token__has_a_scale_of_its_own),
        cmocka_unit_test(fixed__scales_are_the_largest_of_the_windows),
        cmocka_unit_test(prefix__is_neither_rounded_nor_counted),
        cmocka_unit_test(measured__fewer_bits_lose_more),
        cmocka_unit_test(calibration__refuses_what_says_no_scale),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
