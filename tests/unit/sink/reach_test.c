// Which heads read far: in a model whose heads are known, and what becomes of it when they are split or when less is
// kept of a prompt.
#include "model_files.h"
#include "sink_fixture.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

#include "model/head_split.h"
#include "planted_model.h"

enum { LENGTH = 1024, FILLER = 48, MARK = 60, ANSWER = 3, KEY = 400 };

static tb_model *open_planted(void)
{
    tb_error err;
    if (planted_model_write(temp_path("planted.gguf"), &err))
        fail_msg("%s", err.message);
    return open_model(temp_path("planted.gguf"), 2);
}

// Random tokens; a mark and the answer in the middle, and again at the end.
static void fill_prompt(int32_t *tokens, size_t length, size_t key)
{
    tb_rng rng;
    tb_rng_init(&rng, 11, 5);
    for (size_t i = 0; i < length; i++)
        tokens[i] = (int32_t)tb_rng_below(&rng, FILLER);
    for (int32_t i = 0; i <= ANSWER; i++) {
        tokens[key - 1 + (size_t)i] = MARK + i;
        tokens[length - ANSWER - 1 + (size_t)i] = MARK + i;
    }
}

static void measure(tb_sink_reach *reach, const tb_model *model)
{
    static int32_t tokens[LENGTH];
    tb_error err;
    fill_prompt(tokens, LENGTH, KEY);
    const tb_sink_prompt prompt = {tokens, LENGTH, KEY, ANSWER};
    const tb_sink_reach_options options = {
        .prompts = &prompt, .prompt_count = 1, .texts = tokens, .text_count = 1, .length = LENGTH};
    if (tb_sink_measure_reach(reach, model, &options, &err))
        fail_msg("%s", err.message);
}

static size_t head_at(size_t block, size_t head)
{
    return block * PLANTED_HEADS + head;
}

static void reach__finds_the_head_that_fetches_and_not_the_one_that_looks_back(void **state)
{
    (void)state;
    tb_model *model = open_planted();
    tb_sink_reach reach[PLANTED_BLOCKS * PLANTED_HEADS];
    measure(reach, model);
    const tb_sink_reach *fetches = &reach[head_at(1, PLANTED_INDUCTION)];
    const tb_sink_reach *looks_back = &reach[head_at(0, PLANTED_PREVIOUS)];
    assert_true(fetches->recall > 0.99);
    assert_true(looks_back->recall < 1e-4 && looks_back->leak < 1e-4);
    for (size_t b = 0; b < PLANTED_BLOCKS; b++) {
        // Of n keys an even head gives n − 64 − 256 to those that are far.
        double leak = 0, first = LENGTH - LENGTH / 4;
        for (size_t i = 0; i < LENGTH / 4; i++)
            leak += 1 - 320 / (first + (double)i + 1);
        const tb_sink_reach *even = &reach[head_at(b, PLANTED_EVEN)];
        assert_float_equal(even->leak, leak / (LENGTH / 4), 1e-4);
        assert_float_equal(even->recall, (double)ANSWER / LENGTH, 1e-4);
        assert_float_equal(even->score, even->recall + even->leak / 10, 1e-9);
        assert_true(even->score < fetches->score && even->score > looks_back->score);
    }
    tb_model_close(model);
}

// How many of the answer's tokens a sequence says that sees the text up to the mark at its end.
static size_t answered(tb_seq *seq, const int32_t *tokens, size_t length)
{
    tb_error err;
    size_t right = 0, asked = length - ANSWER;
    tb_seq_set_prompt(seq, asked);
    assert_int_equal(tb_seq_push(seq, tokens, asked, &err), TB_OK);
    for (size_t i = asked; i < length; i++) {
        tb_choice best;
        assert_int_equal(tb_seq_best(&best, 1, seq), 1);
        right += best.token == tokens[i];
        assert_int_equal(tb_seq_push(seq, &best.token, 1, &err), TB_OK);
    }
    tb_seq_free(seq);
    return right;
}

static tb_seq *new_with(const tb_model *model, tb_seq_options options)
{
    tb_seq *seq;
    tb_error err;
    options.context = options.window ? 0 : LENGTH;
    if (tb_seq_new(&seq, model, &options, &err))
        fail_msg("%s", err.message);
    return seq;
}

static void split__keeps_what_the_text_asks_for_by_its_own_ranking_only(void **state)
{
    (void)state;
    static int32_t tokens[LENGTH];
    tb_model *model = open_planted();
    tb_sink_reach reach[PLANTED_BLOCKS * PLANTED_HEADS];
    double scores[PLANTED_BLOCKS * PLANTED_HEADS];
    measure(reach, model);
    fill_prompt(tokens, LENGTH, KEY);
    assert_int_equal(answered(new_with(model, (tb_seq_options){0}), tokens, LENGTH), ANSWER);
    for (int inverse = 0; inverse < 2; inverse++) {
        tb_head_split *split;
        tb_error err;
        for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++)
            scores[i] = inverse ? -reach[i].score : reach[i].score;
        const tb_head_scores all = {PLANTED_BLOCKS, PLANTED_HEADS, scores, ""};
        assert_int_equal(tb_head_split_new(&split, model, &all, 0.25, 64, 256, &err), TB_OK);
        size_t right = answered(new_with(model, (tb_seq_options){.head_split = split}), tokens, LENGTH);
        assert_int_equal(right == ANSWER, !inverse);
        tb_head_split_close(split);
    }
    tb_model_close(model);
}

// A needle of three tokens, half of the text.
static void needle__is_lost_by_a_stream_and_kept_by_a_budget(void **state)
{
    (void)state;
    enum { TEXT = 300, NEEDLE = 80, HALF = TEXT / 2 };
    static int32_t tokens[TEXT];
    tb_model *model = open_planted();
    fill_prompt(tokens, TEXT, NEEDLE);
    const struct {
        tb_seq_options options;
        bool keeps;
    } cases[] = {
        {{0}, true},
        {{.window = HALF - 4, .keep_sinks = 4}, false},
        {{.eviction = TB_EVICT_SNAPKV, .budget = HALF, .keep_sinks = 4}, true},
        {{.eviction = TB_EVICT_KEYDIFF, .budget = HALF, .keep_sinks = 4}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t right = answered(new_with(model, cases[i].options), tokens, TEXT);
        if ((right == ANSWER) != cases[i].keeps)
            fail_msg("case %zu: %zu of %d", i, right, ANSWER);
    }
    tb_model_close(model);
}

static void reach__refuses_a_prompt_without_its_answer(void **state)
{
    (void)state;
    static int32_t tokens[LENGTH];
    tb_model *model = open_planted();
    tb_sink_reach reach[PLANTED_BLOCKS * PLANTED_HEADS];
    tb_error err;
    fill_prompt(tokens, LENGTH, KEY);
    const tb_sink_prompt wrong[] = {
        {tokens, LENGTH, KEY, 0}, {tokens, LENGTH, KEY, LENGTH}, {tokens, LENGTH, LENGTH - 1, 3}, {tokens, 0, 0, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const tb_sink_reach_options options = {
            .prompts = &wrong[i], .prompt_count = 1, .texts = tokens, .text_count = 1, .length = LENGTH};
        assert_int_equal(tb_sink_measure_reach(reach, model, &options, &err), TB_EINVAL);
    }
    tb_model_close(model);
}

// ---- passkeys ----

static void passkeys__stand_where_they_say_and_are_all_different(void **state)
{
    (void)state;
    enum { PROMPTS = 13, SIZE = 600, TEXT = 1300 };
    tiny_model shape = tiny_model_default;
    shape.context = SIZE;
    tb_error err;
    assert_int_equal(tiny_model_write(temp_path("long.gguf"), &shape, &err), TB_OK);
    tb_model *model = open_model(temp_path("long.gguf"), 1);
    int32_t *text = random_ids(TEXT, tb_model_vocab_size(model), 3);
    tb_arena arena = {0};
    tb_sink_prompt prompts[PROMPTS], again[1];
    assert_int_equal(tb_sink_make_passkeys(prompts, &arena, model, PROMPTS, SIZE, text, TEXT, 1, &err), TB_OK);
    assert_int_equal(tb_sink_make_passkeys(again, &arena, model, 1, SIZE, text, TEXT, 2, &err), TB_OK);
    assert_int_not_equal(memcmp(again[0].tokens, prompts[0].tokens, SIZE * sizeof *text), 0); // another seed
    for (size_t i = 0; i < PROMPTS; i++) {
        const tb_sink_prompt *p = &prompts[i];
        assert_int_equal(p->count, SIZE);
        assert_int_equal(p->tokens[0], tb_tokenizer_bos(tb_model_tokenizer(model)));
        assert_true(p->answer > 0 && p->key + p->answer < SIZE - p->answer);
        assert_memory_equal(p->tokens + p->key, p->tokens + SIZE - p->answer, p->answer * sizeof *text);
        for (size_t k = 0; k < i % 10; k++) // later numbers of the ten stand later
            assert_true(prompts[i - k - 1].key < p->key);
    }
    assert_int_equal(tb_sink_make_passkeys(prompts, &arena, model, 1, SIZE, text, SIZE - 1, 1, &err), TB_EINVAL);
    assert_int_equal(tb_sink_make_passkeys(prompts, &arena, model, 1, 40, text, TEXT, 1, &err), TB_EINVAL);
    tb_free(text);
    tb_arena_clear(&arena);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reach__finds_the_head_that_fetches_and_not_the_one_that_looks_back),
        cmocka_unit_test(split__keeps_what_the_text_asks_for_by_its_own_ranking_only),
        cmocka_unit_test(needle__is_lost_by_a_stream_and_kept_by_a_budget),
        cmocka_unit_test(reach__refuses_a_prompt_without_its_answer),
        cmocka_unit_test(passkeys__stand_where_they_say_and_are_all_different),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
