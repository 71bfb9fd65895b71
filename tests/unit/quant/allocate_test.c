// Widths of blocks: the rule alone, and what becomes of them in a file.
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

#include "quant/quant.h"
#include "run_pipeline.h"
#include "tiny_model.h"

static tb_error err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

// ---- the rule ----

enum { N = 12, MOST = 4, ROUNDS = 300 };

static const unsigned widths[MOST] = {1, 2, 3, 4};

typedef struct example {
    double scores[N];
    uint64_t costs[N * MOST];
    tb_allocation a;
} example;

// Random sizes and scores, `count` widths from `first` on; costs are sizes times widths, plus an overhead.
static void make_example(example *e, tb_rng *rng, size_t first, size_t count, bool equal, uint64_t overhead)
{
    e->a = (tb_allocation){.widths = widths + first, .width_count = count, .blocks = N, .costs = e->costs};
    for (size_t b = 0; b < N; b++) {
        uint64_t size = equal ? 7 : 1 + tb_rng_below(rng, 50);
        e->scores[b] = tb_rng_normal(rng);
        for (size_t w = 0; w < count; w++)
            e->costs[b * count + w] = size * (widths[first + w] + overhead);
    }
}

static uint64_t cost_of(const tb_allocation *a, const uint8_t *bits)
{
    uint64_t sum = 0;
    for (size_t b = 0; b < N; b++)
        sum += a->costs[b * a->width_count + (bits[b] - a->widths[0])];
    return sum;
}

static uint64_t cost_of_all(const tb_allocation *a, unsigned width)
{
    uint8_t bits[N];
    memset(bits, (int)width, N);
    return cost_of(a, bits);
}

static void allocation__keeps_the_budget_and_leaves_no_step_that_fits(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (int round = 0; round < ROUNDS; round++) {
        example e;
        uint8_t bits[N];
        size_t first = tb_rng_below(&rng, 3), count = 1 + tb_rng_below(&rng, MOST - first);
        make_example(&e, &rng, first, count, false, tb_rng_below(&rng, 3));
        uint64_t least = cost_of_all(&e.a, e.a.widths[0]), most = cost_of_all(&e.a, e.a.widths[count - 1]);
        e.a.budget = least + tb_rng_below(&rng, most - least + 1);
        assert_true(tb_allocate_by_score(bits, &e.a, e.scores));
        uint64_t cost = cost_of(&e.a, bits);
        assert_true(cost <= e.a.budget);
        for (size_t b = 0; b < N; b++) {
            size_t w = bits[b] - e.a.widths[0];
            if (w + 1 < count)
                assert_true(cost + e.costs[b * count + w + 1] - e.costs[b * count + w] > e.a.budget);
        }
    }
}

static void allocation__ends_are_all_narrow_all_wide_and_refused(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 2, 0);
    example e;
    uint8_t bits[N];
    make_example(&e, &rng, 1, 3, false, 0);
    uint64_t least = cost_of_all(&e.a, 2);
    e.a.budget = least;
    assert_true(tb_allocate_by_score(bits, &e.a, e.scores));
    assert_int_equal(cost_of(&e.a, bits), least);
    e.a.budget = least - 1;
    assert_false(tb_allocate_by_score(bits, &e.a, e.scores));
    assert_false(tb_allocate_uniform(bits, &e.a));
    e.a.budget = cost_of_all(&e.a, 4);
    assert_true(tb_allocate_by_score(bits, &e.a, e.scores));
    for (size_t b = 0; b < N; b++)
        assert_int_equal(bits[b], 4);
    e.a.budget--;
    assert_true(tb_allocate_uniform(bits, &e.a));
    for (size_t b = 0; b < N; b++)
        assert_int_equal(bits[b], 3);
}

// LieQ's order, as long as the budget lasts; the scores may have any sign.
static void allocation__of_two_widths_is_a_prefix_of_the_order(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    const unsigned two[] = {2, 4};
    for (int round = 0; round < ROUNDS; round++) {
        example e;
        uint8_t bits[N], expected[N];
        size_t order[N];
        double average = 2 + 2 * tb_rng_uniform(&rng);
        make_example(&e, &rng, 1, 2, true, 0);
        e.a.widths = two;
        for (size_t b = 0; b < N; b++) {
            e.scores[b] = round % 3 == 0 ? floor(2 * e.scores[b]) : e.scores[b] - round % 3; // ties, all negative
            e.costs[2 * b] = 2000;
            e.costs[2 * b + 1] = 4000;
        }
        e.a.budget = (uint64_t)(average * 1000 * N);
        tb_score_order(order, e.scores, N);
        memset(expected, 2, N);
        for (size_t i = 0; 2000 * N + 2000 * (i + 1) <= e.a.budget; i++)
            expected[order[i]] = 4;
        assert_true(tb_allocate_by_score(bits, &e.a, e.scores));
        assert_memory_equal(bits, expected, N);
    }
}

static void allocation__gives_better_scores_no_fewer_bits(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 4, 0);
    for (int round = 0; round < ROUNDS; round++) {
        example e;
        uint8_t bits[N], before[N] = {0};
        make_example(&e, &rng, 0, MOST, true, 1);
        for (e.a.budget = cost_of_all(&e.a, 1); e.a.budget <= cost_of_all(&e.a, 4); e.a.budget += 7) {
            assert_true(tb_allocate_by_score(bits, &e.a, e.scores));
            for (size_t b = 0; b < N; b++) {
                assert_true(bits[b] >= before[b]); // a larger budget takes nothing away
                for (size_t c = 0; c < N; c++)
                    assert_true(e.scores[b] <= e.scores[c] || bits[b] >= bits[c]);
            }
            memcpy(before, bits, N);
        }
    }
}

// 4^-2 − 4^-3 is four times 4^-3 − 4^-4: a block gets its fourth bit before one of a fifth of its score the third.
static void allocation__weighs_bits_by_the_error_they_take_away(void **state)
{
    (void)state;
    const unsigned three[] = {2, 3, 4};
    const uint64_t costs[] = {2, 3, 4, 2, 3, 4};
    uint8_t bits[2];
    tb_allocation a = {three, 3, 2, costs, 6};
    assert_true(tb_allocate_by_score(bits, &a, (const double[]){1, 0.2}));
    assert_memory_equal(bits, ((uint8_t[]){4, 2}), 2);
    assert_true(tb_allocate_by_score(bits, &a, (const double[]){1, 0.3}));
    assert_memory_equal(bits, ((uint8_t[]){3, 3}), 2);
}

// ---- on files ----

#define SOURCE "source.gguf"
#define OUT "out.gguf"
enum { BLOCKS = 5 };

static char folder[64];

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/twobit-allocate-XXXXXX");
    return !mkdtemp(folder) || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") != 0 || system(command) != 0;
}

static tb_model *open_model(const char *path)
{
    tb_model *model;
    OK(tb_model_open(&model, path, &(tb_model_options){.threads = 1}, &err));
    return model;
}

static tb_model *tiny(void)
{
    tiny_model shape = tiny_model_default;
    shape.blocks = BLOCKS;
    OK(tiny_model_write(SOURCE, &shape, &err));
    return open_model(SOURCE);
}

static tb_pipeline_options quick(tb_method method)
{
    return (tb_pipeline_options){.method = method, .quant = {.group = 32}, .calibration_tokens = 128, .window = 64};
}

static uint64_t file_bytes(const char *path)
{
    char *data;
    size_t size;
    OK(tb_file_read(&data, &size, path, 1 << 24, &err));
    tb_free(data);
    return size;
}

static void pipeline__gives_each_block_its_width_and_knows_the_size(void **state)
{
    (void)state;
    static const uint8_t bits[BLOCKS] = {4, 2, 1, 3, 2};
    tb_model *source = tiny();
    for (unsigned m = 0; m <= TB_METHOD_BPDQ; m++) {
        tb_pipeline_options options = quick((tb_method)m);
        tb_pipeline_result result;
        uint64_t expected;
        OK(plan_bytes(&expected, source, &options, bits, &err));
        OK(run_pipeline(&result, OUT, source, &options, bits, &err));
        assert_int_equal(file_bytes(OUT), expected);
        tb_model *written = open_model(OUT);
        tb_text text;
        for (size_t b = 0; b < BLOCKS; b++)
            for (size_t i = 0; i < tb_model_linears(written, b).count; i++)
                assert_int_equal(tb_model_linears(written, b).at[i].matrix.planes, bits[b]);
        OK(tb_checkpoint_get_text(&text, tb_model_checkpoint(written), "twobit.block_bits", true, &err));
        assert_int_equal(text.size, strlen("4 2 1 3 2"));
        assert_memory_equal(text.data, "4 2 1 3 2", text.size);
        tb_model_close(written);
    }
    tb_pipeline_options plain = quick(TB_METHOD_PTQTP); // one width for all
    tb_pipeline_result result;
    uint64_t expected;
    OK(plan_bytes(&expected, source, &plain, NULL, &err));
    OK(run_pipeline(&result, OUT, source, &plain, NULL, &err));
    assert_int_equal(file_bytes(OUT), expected);
    tb_model_close(source);
}

static void pipeline__refuses_widths_that_the_method_lacks(void **state)
{
    (void)state;
    static const uint8_t mixed[BLOCKS] = {2, 4, 2, 2, 2}, none[BLOCKS] = {2, 2, 0, 2, 2};
    tb_model *source = tiny();
    tb_pipeline_options options = quick(TB_METHOD_PTQTP);
    tb_pipeline_result result;
    assert_int_equal(run_pipeline(&result, OUT, source, &options, mixed, &err), TB_EINVAL);
    assert_string_equal(err.message, "method 'ptqtp' has always 2 planes, not 4");
    options.method = TB_METHOD_RTN;
    assert_int_equal(run_pipeline(&result, OUT, source, &options, none, &err), TB_EINVAL);
    assert_string_equal(err.message, "block 2 has no width");
    tb_model_close(source);
}

static bool stop_at_writing(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)user;
    (void)done;
    (void)total;
    (void)unit;
    return strcmp(stage, "write") == 0;
}

static void pipeline__resumes_with_the_same_widths_only(void **state)
{
    (void)state;
    uint8_t bits[BLOCKS] = {4, 2, 2, 3, 2};
    tb_report report = {.progress = stop_at_writing};
    tb_pipeline_options options = quick(TB_METHOD_GPTQ);
    tb_pipeline_result result;
    tb_model *source = tiny();
    OK(run_pipeline(&result, "whole.gguf", source, &options, bits, &err));
    options.report = &report;
    assert_int_equal(run_pipeline(&result, OUT, source, &options, bits, &err), TB_ECANCELLED);
    options.report = NULL;
    bits[1] = 3;
    assert_int_equal(run_pipeline(&result, OUT, source, &options, bits, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "option 'block_bits' changed"));
    bits[1] = 2;
    OK(run_pipeline(&result, OUT, source, &options, bits, &err));
    assert_int_equal(result.blocks_reused, BLOCKS);
    char *whole, *resumed;
    size_t whole_size, resumed_size;
    OK(tb_file_read(&whole, &whole_size, "whole.gguf", 1 << 24, &err));
    OK(tb_file_read(&resumed, &resumed_size, OUT, 1 << 24, &err));
    assert_int_equal(whole_size, resumed_size);
    assert_memory_equal(whole, resumed, whole_size);
    tb_free(whole);
    tb_free(resumed);
    tb_model_close(source);
}

static tb_widths_options two_to_four(tb_allocation_rule rule)
{
    return (tb_widths_options){.rule = rule, .widths = {2, 3, 4}, .width_count = 3};
}

// Bytes of the file with these widths.
static uint64_t size_with(const tb_model *model, tb_pipeline_options options, const uint8_t *bits)
{
    uint64_t bytes = 0;
    OK(plan_bytes(&bytes, model, &options, bits, &err));
    return bytes;
}

static void widths__keep_a_size_to_the_byte(void **state)
{
    (void)state;
    tb_model *source = tiny();
    tb_pipeline_options options = quick(TB_METHOD_BPDQ);
    uint8_t narrow[BLOCKS], one[BLOCKS], bits[BLOCKS];
    memset(narrow, 2, BLOCKS);
    memset(one, 2, BLOCKS);
    one[0] = 3;
    uint64_t least = size_with(source, options, narrow), step = size_with(source, options, one) - least;
    for (uint64_t k = 0; k <= 2 * BLOCKS; k++)
        for (int less = 0; less < 2; less++) { // exactly k steps, and a byte too few for them
            tb_widths_options o = two_to_four(TB_ALLOCATE_FREE);
            o.file_bytes = least + k * step - (uint64_t)less;
            tb_code rc = choose_widths(bits, source, &options, &o, &err);
            if (k == 0 && less) {
                char sentence[128];
                snprintf(sentence, sizeof sentence, "%llu bytes are too few: the smallest file has %llu",
                         (unsigned long long)least - 1, (unsigned long long)least);
                assert_int_equal(rc, TB_EINVAL);
                assert_string_equal(err.message, sentence);
                continue;
            }
            OK(rc);
            assert_int_equal(size_with(source, options, bits), least + (k - (uint64_t)less) * step);
        }
    tb_widths_options o = two_to_four(TB_ALLOCATE_UNIFORM);
    o.file_bytes = least + BLOCKS * step;
    OK(choose_widths(bits, source, &options, &o, &err));
    for (size_t b = 0; b < BLOCKS; b++)
        assert_int_equal(bits[b], 3);
    tb_model_close(source);
}

static void widths__keep_an_average_by_every_rule(void **state)
{
    (void)state;
    tb_model *source = tiny();
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    for (unsigned rule = 0; rule < TB_ALLOCATION_RULES; rule++) {
        tb_widths_options o = two_to_four((tb_allocation_rule)rule);
        uint8_t bits[BLOCKS], again[BLOCKS];
        unsigned sum = 0;
        o.average_bits = 2.6;
        OK(choose_widths(bits, source, &options, &o, &err));
        OK(choose_widths(again, source, &options, &o, &err));
        assert_memory_equal(bits, again, BLOCKS);
        for (size_t b = 0; b < BLOCKS; b++)
            sum += bits[b];
        assert_int_equal(sum, rule == TB_ALLOCATE_UNIFORM ? 2 * BLOCKS : 13);
        tb_allocation_rule found;
        assert_true(tb_allocation_rule_find(&found, tb_allocation_rule_name((tb_allocation_rule)rule)));
        assert_int_equal(found, rule);
    }
    uint8_t bits[BLOCKS];
    tb_widths_options o = {.rule = TB_ALLOCATE_FIRST, .average_bits = 2.8, .widths = {2, 4}, .width_count = 2};
    OK(choose_widths(bits, source, &options, &o, &err));
    assert_memory_equal(bits, ((uint8_t[]){4, 4, 2, 2, 2}), BLOCKS);
    tb_model_close(source);
}

static void widths__are_counted_as_published(void **state)
{
    (void)state;
    static const struct {
        double average;
        uint8_t bits[BLOCKS];
    } cases[] = {
        {2, {2, 2, 2, 2, 2}},   {2.05, {2, 2, 4, 2, 2}}, {2.5, {2, 2, 4, 2, 2}},
        {2.6, {2, 4, 4, 2, 2}}, {3.5, {4, 4, 4, 2, 4}},  {4, {4, 4, 4, 4, 4}},
    };
    const double scores[BLOCKS] = {0, 0.5, 1, -2, -1};
    tb_model *source = tiny();
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    tb_widths_options o = {
        .rule = TB_ALLOCATE_LIEQ, .published = true, .widths = {2, 4}, .width_count = 2, .scores = scores};
    uint8_t bits[BLOCKS];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        o.average_bits = cases[i].average;
        OK(choose_widths(bits, source, &options, &o, &err));
        assert_memory_equal(bits, cases[i].bits, BLOCKS);
    }
    o.rule = TB_ALLOCATE_PPL;
    assert_int_equal(choose_widths(bits, source, &options, &o, &err), TB_EINVAL);
    tb_model_close(source);
}

static void allocation__reversed_scores_rank_the_other_way(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 11, 0);
    for (int round = 0; round < ROUNDS; round++) {
        double before[N], after[N];
        size_t scratch[N];
        for (size_t b = 0; b < N; b++)
            before[b] = after[b] = tb_rng_normal(&rng);
        tb_reverse_scores(after, N, scratch);
        for (size_t a = 0; a < N; a++)
            for (size_t b = 0; b < N; b++)
                assert_true((before[a] < before[b]) == (after[a] > after[b]));
        tb_reverse_scores(after, N, scratch);
        assert_memory_equal(before, after, sizeof before);
    }
}

static void widths__use_scores_made_before(void **state)
{
    (void)state;
    tb_model *source = tiny();
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    for (unsigned rule = 0; rule < TB_ALLOCATION_RULES; rule++) {
        tb_score score;
        if (!tb_allocation_rule_score(&score, (tb_allocation_rule)rule))
            continue;
        tb_widths_options o = two_to_four((tb_allocation_rule)rule);
        uint8_t own[BLOCKS], given[BLOCKS];
        double scores[BLOCKS];
        o.average_bits = 2.6;
        o.seed = 5;
        OK(choose_widths(own, source, &options, &o, &err));
        OK(score_blocks(scores, source, &options, score, 5, &err));
        o.scores = scores;
        OK(choose_widths(given, source, &options, &o, &err));
        assert_memory_equal(own, given, BLOCKS);
        for (size_t b = 0; b < BLOCKS; b++)
            scores[b] = b == 3; // and really these
        OK(choose_widths(given, source, &options, &o, &err));
        assert_true(rule == TB_ALLOCATE_REVERSED ? given[3] < 4 : given[3] == 4);
    }
    tb_model_close(source);
}

static void widths__random_ones_follow_the_seed(void **state)
{
    (void)state;
    tb_model *source = tiny();
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    size_t chosen[BLOCKS] = {0}, different = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        tb_widths_options o = two_to_four(TB_ALLOCATE_RANDOM);
        uint8_t bits[BLOCKS];
        o.widths[1] = 4;
        o.width_count = 2;
        o.average_bits = 2.8;
        o.seed = seed;
        OK(choose_widths(bits, source, &options, &o, &err));
        for (size_t b = 0; b < BLOCKS; b++)
            chosen[b] += bits[b] == 4;
    }
    for (size_t b = 0; b < BLOCKS; b++) { // 16 on average; 3 standard deviations are 9
        assert_in_range(chosen[b], 7, 25);
        different += chosen[b] != chosen[0];
    }
    assert_true(different > 0);
    tb_model_close(source);
}

// The identity that is known beforehand is what the file says of itself.
static void identity__is_what_the_file_says(void **state)
{
    (void)state;
    static const uint8_t bits[BLOCKS] = {4, 2, 1, 3, 2};
    tb_model *source = tiny();
    for (int round = 0; round < 4; round++) {
        tb_pipeline_options options = quick(round % 2 ? TB_METHOD_RTN : TB_METHOD_BPDQ);
        tb_pipeline *pipeline;
        const tb_quant_identity *identity;
        tb_pipeline_result result;
        OK(make_pipeline(&pipeline, source, &options, round / 2 ? bits : NULL, &err));
        OK(tb_pipeline_identify(&identity, pipeline, &err));
        OK(tb_pipeline_run(&result, pipeline, OUT, &err));
        assert_int_equal(file_bytes(OUT), identity->file_bytes);
        tb_model *written = open_model(OUT);
        const char *const keys[] = {"twobit.source", "twobit.recipe", "twobit.calibration"};
        const char *const expected[] = {identity->model, tb_str_get(&identity->recipe), identity->tokens};
        for (size_t i = 0; i < 3; i++) {
            tb_text text = {"", 0};
            OK(tb_checkpoint_get_text(&text, tb_model_checkpoint(written), keys[i], false, &err));
            assert_int_equal(text.size, strlen(expected[i]));
            assert_memory_equal(text.data, expected[i], text.size);
        }
        tb_model_close(written);
        tb_pipeline_free(pipeline);
    }
    tb_model_close(source);
}

static void widths__refuse_what_cannot_be(void **state)
{
    (void)state;
    tb_model *source = tiny();
    tb_pipeline_options options = quick(TB_METHOD_PTQTP);
    uint8_t bits[BLOCKS];
    tb_widths_options o = two_to_four(TB_ALLOCATE_FIRST);
    assert_int_equal(choose_widths(bits, source, &options, &o, &err), TB_EINVAL); // no budget
    o.average_bits = 3;
    assert_int_equal(choose_widths(bits, source, &options, &o, &err), TB_EINVAL);
    assert_string_equal(err.message, "method 'ptqtp' has always 2 planes, not 3");
    options.method = TB_METHOD_RTN;
    o.average_bits = 1.9;
    assert_int_equal(choose_widths(bits, source, &options, &o, &err), TB_EINVAL);
    assert_string_equal(err.message, "an average of 1.9 bits is too little: the narrowest width is 2");
    o.average_bits = 3;
    o.widths[1] = 4;
    assert_int_equal(choose_widths(bits, source, &options, &o, &err), TB_EINVAL);
    tb_model_close(source);
}

static void widths__survive_failing_memory(void **state)
{
    (void)state;
    tb_model *source = tiny();
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    tb_widths_options o = two_to_four(TB_ALLOCATE_LIEQ);
    uint8_t bits[BLOCKS];
    o.file_bytes = 1 << 20;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc == TB_ENOMEM; n += 1 + n / 8) {
        tb_mem_fail_after(n);
        rc = choose_widths(bits, source, &options, &o, &err);
        tb_mem_fail_after(-1);
        assert_true(n < 1000000);
    }
    OK(rc);
    tb_model_close(source);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocation__keeps_the_budget_and_leaves_no_step_that_fits),
        cmocka_unit_test(allocation__ends_are_all_narrow_all_wide_and_refused),
        cmocka_unit_test(allocation__of_two_widths_is_a_prefix_of_the_order),
        cmocka_unit_test(allocation__gives_better_scores_no_fewer_bits),
        cmocka_unit_test(allocation__weighs_bits_by_the_error_they_take_away),
        cmocka_unit_test(widths__are_counted_as_published),
        cmocka_unit_test(allocation__reversed_scores_rank_the_other_way),
        cmocka_unit_test(widths__use_scores_made_before),
        cmocka_unit_test(widths__random_ones_follow_the_seed),
        FILE_TEST(identity__is_what_the_file_says),
        FILE_TEST(pipeline__gives_each_block_its_width_and_knows_the_size),
        FILE_TEST(pipeline__refuses_widths_that_the_method_lacks),
        FILE_TEST(pipeline__resumes_with_the_same_widths_only),
        FILE_TEST(widths__keep_a_size_to_the_byte),
        FILE_TEST(widths__keep_an_average_by_every_rule),
        FILE_TEST(widths__refuse_what_cannot_be),
        FILE_TEST(widths__survive_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
