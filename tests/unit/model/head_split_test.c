// Head splits: against plain loops with a mask, against plain sequences where nothing is left away, whatever the
// pieces; and files of scores.
#include "model_files.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "forward_ref.h"
#include "model/head_split.h"
#include "model/runner.h"
#include "rounding.h"

enum { TOKENS = 70 };

// llama shares keys among heads, gemma3 has near blocks, qwen2 biases, phi3 a RoPE that depends on the length.
static const char *const some_models[] = {"llama.gguf", "gemma3.gguf", "qwen2.gguf", "phi3.gguf"};

enum { MODELS = sizeof some_models / sizeof some_models[0] };

// Scores that put heads in any order.
static tb_head_scores random_scores(const tb_model *model, uint64_t seed)
{
    const tb_config *c = tb_model_config(model);
    size_t n = c->blocks * c->kv_heads;
    tb_head_scores scores = {c->blocks, c->kv_heads, tb_alloc_array(n, sizeof(double)), ""};
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    for (size_t i = 0; i < n; i++)
        scores.scores[i] = tb_rng_normal(&rng);
    return scores;
}

static tb_head_split *new_split(const tb_model *model, uint64_t seed, double share, size_t sinks, size_t window)
{
    tb_head_scores scores = random_scores(model, seed);
    tb_head_split *split;
    tb_error err;
    if (tb_head_split_new(&split, model, &scores, share, sinks, window, &err))
        fail_msg("%s", err.message);
    tb_head_scores_clear(&scores);
    return split;
}

static tb_seq *new_split_seq(const tb_model *model, const tb_head_split *split, size_t batch, tb_kv_cache_type type)
{
    tb_seq *seq;
    tb_error err;
    tb_seq_options options = {.context = TOKENS, .batch = batch, .kv_cache = type, .head_split = split};
    if (tb_seq_new(&seq, model, &options, &err))
        fail_msg("%s", err.message);
    return seq;
}

static void split__that_leaves_nothing_away_is_a_plain_sequence_to_the_bit(void **state)
{
    (void)state;
    const struct {
        double share;
        size_t sinks, window;
    } cases[] = {{1, 2, 3}, {0, 4, TOKENS - 4}, {0.5, 0, TOKENS}, {0, TOKENS, 1}};
    for (size_t m = 0; m < MODELS; m++) {
        tb_model *model = open_model(tiny_path(some_models[m]), 2);
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(TOKENS, vocab, m);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            tb_kv_cache_type type = i % 2 ? TB_KV_CACHE_F32 : TB_KV_CACHE_F16;
            tb_head_split *split = new_split(model, i, cases[i].share, cases[i].sinks, cases[i].window);
            tb_seq *plain = new_seq(model, TOKENS, 32, type), *seq = new_split_seq(model, split, 32, type);
            float *expected = push_all(plain, ids, TOKENS), *logits = push_all(seq, ids, TOKENS);
            assert_memory_equal(logits, expected, TOKENS * vocab * sizeof *logits);
            tb_free(expected), tb_free(logits);
            tb_seq_free(plain), tb_seq_free(seq);
            tb_head_split_close(split);
        }
        tb_free(ids);
        tb_model_close(model);
    }
}

static bool sees(void *user, size_t block, size_t kv_head, size_t query, size_t key)
{
    const tb_head_split *s = user;
    return s->retrieval[block * s->kv_heads + kv_head] || key < s->sinks || key + s->window > query;
}

static void split__agrees_with_loops_that_mask_keys(void **state)
{
    (void)state;
    const struct {
        double share;
        size_t sinks, window, batch;
    } cases[] = {{0.5, 4, 9, 64}, {0.5, 0, 1, 7}, {0, 3, 20, 32}, {0.25, 12, 5, 1}};
    for (size_t m = 0; m < MODELS; m++) {
        tb_model *model = open_model(tiny_path(some_models[m]), 2);
        size_t vocab = tb_model_vocab_size(model), n = TOKENS * vocab;
        int32_t *ids = random_ids(TOKENS, vocab, 10 + m);
        double *expected = tb_alloc_array(n, sizeof *expected);
        float *rounded = tb_alloc_array(n, sizeof *rounded);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            tb_head_split *split = new_split(model, i, cases[i].share, cases[i].sinks, cases[i].window);
            assert_true(ref_forward_masked(expected, model, ids, TOKENS, sees, split));
            for (size_t k = 0; k < n; k++)
                rounded[k] = (float)expected[k];
            tb_seq *seq = new_split_seq(model, split, cases[i].batch, TB_KV_CACHE_F32);
            float *logits = push_all(seq, ids, TOKENS);
            double d = distance(logits, rounded, n);
            if (d > rounding_of_passes(tb_model_config(model), TOKENS, n))
                fail_msg("%s, case %zu: %g", some_models[m], i, d);
            tb_free(logits);
            tb_seq_free(seq);
            tb_head_split_close(split);
        }
        tb_free(rounded), tb_free(expected), tb_free(ids);
        tb_model_close(model);
    }
}

static void split__takes_the_best_share_of_the_heads_that_see_everything(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("gemma3.gguf"), 1);
    const tb_config *c = tb_model_config(model);
    const unsigned char *near = model->settings.near;
    tb_head_scores scores = random_scores(model, 3);
    size_t n = c->blocks * c->kv_heads, far = 0;
    for (size_t b = 0; b < c->blocks; b++)
        far += near[b] ? 0 : c->kv_heads;
    assert_in_range(far, 1, n - 1);
    for (size_t taken = 0; taken <= far; taken++) {
        tb_head_split *split;
        tb_error err;
        size_t count = 0;
        double least = INFINITY, most = -INFINITY;
        assert_int_equal(tb_head_split_new(&split, model, &scores, (double)taken / (double)far, 1, 1, &err), TB_OK);
        for (size_t i = 0; i < n; i++) {
            bool marked = split->retrieval[i];
            assert_false(marked && near[i / c->kv_heads]);
            count += marked;
            if (marked)
                least = fmin(least, scores.scores[i]);
            else if (!near[i / c->kv_heads])
                most = fmax(most, scores.scores[i]);
        }
        assert_int_equal(count, taken);
        assert_true(least > most);
        tb_head_split_close(split);
    }
    tb_head_scores_clear(&scores);
    tb_model_close(model);
}

static void split__goes_back_by_a_batch_or_forgets_everything(void **state)
{
    (void)state;
    enum { BATCH = 8 };
    tb_model *model = open_model(tiny_path("llama.gguf"), 2);
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, vocab, 4);
    tb_head_split *split = new_split(model, 1, 0.5, 2, 9);
    tb_seq *seq = new_split_seq(model, split, BATCH, TB_KV_CACHE_F32), *fork;
    tb_error err;
    float *first = push_all(seq, ids, TOKENS);
    assert_int_equal(tb_seq_truncate(seq, TOKENS - BATCH + 1), TOKENS - BATCH + 1);
    assert_int_equal(tb_seq_fork(&fork, seq, &err), TB_OK);
    float *one = push_all(seq, ids + TOKENS - BATCH + 1, BATCH - 1),
          *other = push_all(fork, ids + TOKENS - BATCH + 1, BATCH - 1);
    assert_memory_equal(one, other, (BATCH - 1) * vocab * sizeof *one);
    double d = distance(one, first + (TOKENS - BATCH + 1) * vocab, (BATCH - 1) * vocab);
    assert_true(d <= 2 * rounding_of_passes(tb_model_config(model), TOKENS, TOKENS * vocab));
    assert_int_equal(tb_seq_truncate(seq, 20), 0);
    tb_free(first), tb_free(one), tb_free(other), tb_free(ids);
    tb_seq_free(seq), tb_seq_free(fork);
    tb_head_split_close(split);
    tb_model_close(model);
}

static void split__takes_less_memory(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    tb_head_split *split = new_split(model, 1, 0.5, 2, 6);
    tb_seq *seq = new_split_seq(model, split, 3, TB_KV_CACHE_F16), *plain = new_seq(model, TOKENS, 3, TB_KV_CACHE_F16);
    double kept = 0.5 + 0.5 * (2 + 6 + 3 - 1) / TOKENS, heads = (double)(split->blocks * split->kv_heads);
    double all = (double)tb_seq_kv_bytes(plain);
    assert_true((double)tb_seq_kv_bytes(seq) <= kept * all + heads * TB_ALIGNMENT);
    tb_seq_free(seq), tb_seq_free(plain);
    tb_head_split_close(split);
    tb_model_close(model);
}

static void split__refuses_what_makes_no_sense(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1), *other = open_model(tiny_path("gemma3.gguf"), 1);
    tb_head_scores scores = random_scores(model, 1);
    tb_head_split *split;
    tb_seq *seq;
    tb_error err;
    assert_int_equal(tb_head_split_new(&split, model, &scores, -0.1, 1, 1, &err), TB_EINVAL);
    assert_int_equal(tb_head_split_new(&split, model, &scores, 1.1, 1, 1, &err), TB_EINVAL);
    assert_int_equal(tb_head_split_new(&split, model, &scores, NAN, 1, 1, &err), TB_EINVAL);
    assert_int_equal(tb_head_split_new(&split, model, &scores, 0.5, 1, 0, &err), TB_EINVAL);
    assert_int_equal(tb_head_split_new(&split, model, &scores, 0.5, SIZE_MAX, 1, &err), TB_EINVAL);
    assert_int_equal(tb_head_split_new(&split, model, &scores, 0.5, 1, SIZE_MAX, &err), TB_EINVAL);
    assert_int_equal(tb_head_split_new(&split, other, &scores, 0.5, 1, 1, &err), TB_EINVAL);
    assert_int_equal(tb_head_split_new(&split, model, &scores, 0.5, 1, 8, &err), TB_OK);
    const tb_seq_options wrong[] = {
        {.head_split = split, .window = 32, .keep_sinks = 4},
        {.head_split = split, .kv_bits = {2, 2, 8, 8}, .keep_sinks = 4},
        {.head_split = split, .eviction = TB_EVICT_H2O, .budget = 40, .keep_sinks = 4},
        {.head_split = split, .skip_mass = 0.1},
        {.head_split = split, .redistribution = {0.5, 0.1, false}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(tb_seq_new(&seq, model, &wrong[i], &err), TB_EUNSUPPORTED);
    assert_int_equal(tb_seq_new(&seq, other, &(tb_seq_options){.head_split = split}, &err), TB_EINVAL);
    tb_head_split_close(split);
    tb_head_scores_clear(&scores);
    tb_model_close(model), tb_model_close(other);
}

// ---- files ----

static void scores__come_back_from_their_file(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1), *other = open_model(tiny_path("qwen2.gguf"), 1);
    tb_head_scores scores = random_scores(model, 5), read;
    tb_head_split *split, *expected;
    tb_error err;
    char *text, option[300];
    size_t size, n = scores.blocks * scores.kv_heads;
    const char *path = temp_path("heads.json");
    assert_int_equal(tb_model_origin(scores.source, model, &err), TB_OK);
    assert_int_equal(tb_head_scores_write(&scores, path, &err), TB_OK);
    assert_int_equal(tb_file_read(&text, &size, path, 1 << 20, &err), TB_OK);
    assert_int_equal(tb_head_scores_parse(&read, (tb_text){text, size}, path, &err), TB_OK);
    assert_true(read.blocks == scores.blocks && read.kv_heads == scores.kv_heads);
    assert_string_equal(read.source, scores.source);
    assert_memory_equal(read.scores, scores.scores, n * sizeof *read.scores);
    snprintf(option, sizeof option, "%s:0.5:7:9", path);
    assert_int_equal(tb_head_split_open(&split, option, model, &err), TB_OK);
    assert_int_equal(tb_head_split_new(&expected, model, &scores, 0.5, 7, 9, &err), TB_OK);
    assert_true(split->sinks == 7 && split->window == 9);
    assert_memory_equal(split->retrieval, expected->retrieval, n * sizeof *split->retrieval);
    tb_head_split_close(split);
    assert_int_equal(tb_head_split_open(&split, path, other, &err), TB_EINVAL);
    static const char *const wrong[] = {"0.5:7", "2", "0.5:7:0", "0.5:0.5:9", "."};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(option, sizeof option, "%s:%s", path, wrong[i]);
        tb_head_split *none;
        assert_int_equal(tb_head_split_open(&none, option, model, &err), TB_EINVAL);
        assert_null(none);
    }
    assert_int_equal(tb_head_split_open(&split, "", model, &err), TB_EINVAL);
    tb_head_split_close(expected);
    tb_free(text);
    tb_head_scores_clear(&scores), tb_head_scores_clear(&read);
    tb_model_close(model), tb_model_close(other);
}

static void scores__refuse_what_is_no_file_of_theirs(void **state)
{
    (void)state;
#define SOURCE "0123456789012345678901234567890123456789012345678901234567890123"
#define BEGIN "{\"format\": \"twobit head split\", \"source\": \"" SOURCE "\", \"scores\": "
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"format\": \"twobit head split\"}",
        "{\"format\": \"other\", \"source\": \"" SOURCE "\", \"scores\": [[1]]}",
        "{\"format\": \"twobit head split\", \"source\": \"short\", \"scores\": [[1]]}",
        BEGIN "[]}",
        BEGIN "[[]]}",
        BEGIN "[1]}",
        BEGIN "{}}",
        BEGIN "[[1, 2], [3]]}",
        BEGIN "[[1], [3, 4]]}",
        BEGIN "[[1], 2]}",
        BEGIN "[[\"1\"]]}",
        BEGIN "[[NaN]]}",
        BEGIN "[[1e999]]}",
        BEGIN "[[null]]}",
        BEGIN "[[1]], \"more\": 1}",
        BEGIN "[[1]]",
    };
    tb_head_scores scores;
    tb_error err;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (tb_head_scores_parse(&scores, (tb_text){wrong[i], strlen(wrong[i])}, "file", &err) != TB_EFORMAT)
            fail_msg("%s", wrong[i]);
    const char *right = BEGIN "[[1, -2.5], [0, 1e300]]}";
    assert_int_equal(tb_head_scores_parse(&scores, (tb_text){right, strlen(right)}, "file", &err), TB_OK);
    assert_true(scores.blocks == 2 && scores.kv_heads == 2 && scores.scores[3] == 1e300);
    tb_head_scores_clear(&scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split__that_leaves_nothing_away_is_a_plain_sequence_to_the_bit),
        cmocka_unit_test(split__agrees_with_loops_that_mask_keys),
        cmocka_unit_test(split__takes_the_best_share_of_the_heads_that_see_everything),
        cmocka_unit_test(split__goes_back_by_a_batch_or_forgets_everything),
        cmocka_unit_test(split__takes_less_memory),
        cmocka_unit_test(split__refuses_what_makes_no_sense),
        cmocka_unit_test(scores__come_back_from_their_file),
        cmocka_unit_test(scores__refuse_what_is_no_file_of_theirs),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
