// What must hold of sequences whatever the weights: the reference in tests/ref, any split of
// a prompt, isolation, truncation, threads, the two caches, states block by block.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "forward_ref.h"
#include "rounding.h"

// Where the same numbers are summed in another order: few tokens go through gemv, many through BLAS.
static double reordered(const tb_model *model, size_t tokens, size_t count)
{
    return rounding_of_passes(tb_model_config(model), tokens, count);
}

static tb_model *open_tiny(const char *family, size_t threads)
{
    char name[64];
    snprintf(name, sizeof name, "%s.gguf", family);
    return open_model(tiny_path(name), threads);
}

static void push(tb_seq *seq, const int32_t *ids, size_t n)
{
    tb_error err;
    if (tb_seq_push(seq, ids, n, &err))
        fail_msg("%s", err.message);
}

// Logits after pushing all ids in pieces of the given sizes, the last size repeated.
static void push_split(float *logits, const tb_model *model, const int32_t *ids, size_t n, const size_t *sizes,
                       size_t batch)
{
    tb_seq *seq = new_seq(model, n, batch, TB_KV_CACHE_F32);
    for (size_t done = 0, i = 0; done < n; done += sizes[i], i += sizes[i + 1] != 0)
        push(seq, ids + done, n - done < sizes[i] ? n - done : sizes[i]);
    memcpy(logits, tb_seq_logits(seq), tb_model_vocab_size(model) * sizeof *logits);
    tb_seq_free(seq);
}

// Longer than a tile of queries, a block of keys and every window.
static void seq_push_all__agrees_with_plain_loops(void **state)
{
    (void)state;
    enum { TOKENS = 300 };
    for (size_t f = 0; tiny_families[f]; f++) {
        tb_model *model = open_tiny(tiny_families[f], 1);
        size_t n = TOKENS * tb_model_vocab_size(model);
        int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), f);
        double *expected = tb_alloc_array(n, sizeof *expected);
        float *rounded = tb_alloc_array(n, sizeof *rounded);
        assert_true(ref_forward(expected, model, ids, TOKENS, NULL));
        for (size_t i = 0; i < n; i++)
            rounded[i] = (float)expected[i];
        tb_seq *seq = new_seq(model, TOKENS, 128, TB_KV_CACHE_F32);
        float *logits = push_all(seq, ids, TOKENS);
        double d = distance(logits, rounded, n);
        if (d > reordered(model, TOKENS, n))
            fail_msg("%s differs by %g", tiny_families[f], d);
        tb_free(logits), tb_free(rounded), tb_free(expected), tb_free(ids);
        tb_seq_free(seq);
        tb_model_close(model);
    }
}

static void seq_push__gives_the_same_for_any_split(void **state)
{
    (void)state;
    enum { TOKENS = 61 };
    static const size_t splits[][8] = {{TOKENS, 0}, {2, 0}, {7, 0}, {3, 1, 30, 4, 1, 0}, {40, 1, 0}, {1, TOKENS, 0}};
    for (size_t f = 0; tiny_families[f]; f++) {
        tb_model *model = open_tiny(tiny_families[f], 1);
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(TOKENS, vocab, f);
        float *single = tb_alloc_array(vocab, sizeof *single), *split = tb_alloc_array(vocab, sizeof *split);
        push_split(single, model, ids, TOKENS, (const size_t[]){1, 0}, 0);
        for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++)
            for (size_t batch = 0; batch <= 11; batch += 11) {
                push_split(split, model, ids, TOKENS, splits[i], batch);
                assert_true(distance(split, single, vocab) < reordered(model, TOKENS, vocab));
            }
        tb_free(single), tb_free(split), tb_free(ids);
        tb_model_close(model);
    }
}

static void seq_push_all__ends_with_the_logits_of_push(void **state)
{
    (void)state;
    tb_model *model = open_tiny("qwen2", 1);
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(20, vocab, 1);
    tb_seq *seq = new_seq(model, 20, 0, TB_KV_CACHE_F16);
    float *all = push_all(seq, ids, 20);
    assert_memory_equal(tb_seq_logits(seq), all + 19 * vocab, vocab * sizeof *all);
    tb_seq_truncate(seq, 0);
    push(seq, ids, 20);
    assert_true(distance(tb_seq_logits(seq), all + 19 * vocab, vocab) < reordered(model, 20, vocab));
    tb_free(all), tb_free(ids);
    tb_seq_free(seq);
    tb_model_close(model);
}

static void seq__does_not_see_another_sequence(void **state)
{
    (void)state;
    tb_model *model = open_tiny("gemma3", 1);
    size_t vocab = tb_model_vocab_size(model);
    int32_t *first = random_ids(12, vocab, 1), *second = random_ids(12, vocab, 2);
    tb_seq *alone = new_seq(model, 12, 0, TB_KV_CACHE_F16);
    tb_seq *a = new_seq(model, 12, 0, TB_KV_CACHE_F16), *b = new_seq(model, 12, 0, TB_KV_CACHE_F16);
    for (size_t i = 0; i < 12; i += 3) {
        push(alone, first + i, 3);
        push(a, first + i, 3);
        push(b, second + i, 3);
        assert_memory_equal(tb_seq_logits(a), tb_seq_logits(alone), vocab * sizeof(float));
        assert_memory_not_equal(tb_seq_logits(b), tb_seq_logits(alone), vocab * sizeof(float));
    }
    tb_free(first), tb_free(second);
    tb_seq_free(alone), tb_seq_free(a), tb_seq_free(b);
    tb_model_close(model);
}

// One of two threads, each with a sequence of its own on the same model.
typedef struct runner {
    const tb_model *model;
    const int32_t *ids;
    float *logits;
} runner;

static void *run_alone(void *user)
{
    runner *r = user;
    tb_seq *seq = new_seq(r->model, 40, 0, TB_KV_CACHE_F16);
    r->logits = push_all(seq, r->ids, 40);
    tb_seq_free(seq);
    return NULL;
}

static void seqs__run_side_by_side_on_one_model(void **state)
{
    (void)state;
    tb_model *model = open_tiny("qwen3", 2);
    size_t bytes = 40 * tb_model_vocab_size(model) * sizeof(float);
    for (uint64_t seed = 0; seed < 10; seed++) {
        int32_t *first = random_ids(40, 96, seed), *second = random_ids(40, 96, seed + 100);
        runner alone[2] = {{model, first, NULL}, {model, second, NULL}}, both[2] = {alone[0], alone[1]};
        pthread_t threads[2];
        for (size_t i = 0; i < 2; i++)
            run_alone(&alone[i]);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, run_alone, &both[i]), 0);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_memory_equal(both[i].logits, alone[i].logits, bytes);
            tb_free(both[i].logits), tb_free(alone[i].logits);
        }
        tb_free(first), tb_free(second);
    }
    tb_model_close(model);
}

static void seq_truncate__forgets_as_if_never_pushed(void **state)
{
    (void)state;
    tb_model *model = open_tiny("mistral", 1);
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(20, vocab, 1), *other = random_ids(20, vocab, 2);
    tb_seq *fresh = new_seq(model, 20, 0, TB_KV_CACHE_F16), *cut = new_seq(model, 20, 0, TB_KV_CACHE_F16);
    for (size_t i = 0; i < 20; i++)
        push(cut, i < 9 ? ids + i : other + i, 1);
    tb_seq_truncate(cut, 9);
    assert_null(tb_seq_logits(cut));
    assert_int_equal(tb_seq_length(cut), 9);
    for (size_t i = 0; i < 20; i++) {
        push(fresh, ids + i, 1);
        if (i >= 9)
            push(cut, ids + i, 1);
    }
    assert_memory_equal(tb_seq_logits(cut), tb_seq_logits(fresh), vocab * sizeof(float));
    assert_memory_equal(tb_seq_tokens(cut), ids, 20 * sizeof *ids);
    tb_seq_truncate(cut, 20); // nothing lies behind: nothing is forgotten
    assert_non_null(tb_seq_logits(cut));
    tb_free(ids), tb_free(other);
    tb_seq_free(fresh), tb_seq_free(cut);
    tb_model_close(model);
}

static void seq_fork__goes_its_own_way(void **state)
{
    (void)state;
    for (size_t f = 0; tiny_families[f]; f++) {
        tb_error err;
        tb_model *model = open_tiny(tiny_families[f], 1);
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(20, vocab, 1), *other = random_ids(20, vocab, 2);
        tb_seq *seq = new_seq(model, 20, 0, TB_KV_CACHE_F16), *fork;
        tb_seq *alone = new_seq(model, 20, 0, TB_KV_CACHE_F16), *alone_too = new_seq(model, 20, 0, TB_KV_CACHE_F16);
        push(seq, ids, 12), push(alone, ids, 12), push(alone_too, ids, 12);
        assert_int_equal(tb_seq_fork(&fork, seq, &err), TB_OK);
        assert_memory_equal(tb_seq_logits(fork), tb_seq_logits(seq), vocab * sizeof(float));
        assert_memory_equal(tb_seq_tokens(fork), ids, 12 * sizeof *ids);
        push(seq, ids + 12, 8), push(alone, ids + 12, 8);
        push(fork, other, 8), push(alone_too, other, 8);
        assert_memory_equal(tb_seq_logits(seq), tb_seq_logits(alone), vocab * sizeof(float));
        tb_seq_free(seq); // the fork needs nothing of it
        tb_seq_truncate(fork, 15), tb_seq_truncate(alone_too, 15);
        push(fork, ids, 1), push(alone_too, ids, 1);
        assert_memory_equal(tb_seq_logits(fork), tb_seq_logits(alone_too), vocab * sizeof(float));
        tb_free(ids), tb_free(other);
        tb_seq_free(fork), tb_seq_free(alone), tb_seq_free(alone_too);
        tb_model_close(model);
    }
}

static void seq_push__gives_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    enum { PROMPT = 70, TOKENS = 73 };
    for (size_t f = 0; tiny_families[f]; f++) {
        float *expected = NULL;
        for (size_t threads = 1; threads <= 3; threads++) {
            tb_model *model = open_tiny(tiny_families[f], threads);
            size_t vocab = tb_model_vocab_size(model);
            int32_t *ids = random_ids(TOKENS, vocab, f);
            tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
            float *logits = push_all(seq, ids, PROMPT);
            for (size_t i = PROMPT; i < TOKENS; i++)
                push(seq, ids + i, 1);
            memcpy(logits, tb_seq_logits(seq), vocab * sizeof *logits); // in place of those after the first token
            if (expected)
                assert_memory_equal(logits, expected, PROMPT * vocab * sizeof *logits);
            if (expected)
                tb_free(logits);
            else
                expected = logits;
            tb_free(ids);
            tb_seq_free(seq);
            tb_model_close(model);
        }
        tb_free(expected);
    }
}

static void kv_cache_f16__is_close_to_f32(void **state)
{
    (void)state;
    for (size_t f = 0; tiny_families[f]; f++) {
        tb_model *model = open_tiny(tiny_families[f], 1);
        size_t n = 50 * tb_model_vocab_size(model);
        int32_t *ids = random_ids(50, tb_model_vocab_size(model), f);
        tb_seq *half = new_seq(model, 50, 0, TB_KV_CACHE_F16), *full = new_seq(model, 50, 0, TB_KV_CACHE_F32);
        float *a = push_all(half, ids, 50), *b = push_all(full, ids, 50);
        double d = distance(a, b, n);
        double bound = rounding_of_halves(tb_model_config(model), n);
        if (d > bound || d == 0)
            fail_msg("%s differs by %g, which is 0 or more than %g", tiny_families[f], d, bound);
        tb_free(a), tb_free(b), tb_free(ids);
        tb_seq_free(half), tb_seq_free(full);
        tb_model_close(model);
    }
}

// A weight multiplied by γ and then all made to sum to 1 again, or ln γ on the score: the same. A probe sees the
// weights.
typedef struct first_share {
    double share[2][64]; // [head][position], of block 0; rows of a key head come from any thread
} first_share;

static void see_first(void *user, const tb_probe_place *at, size_t head, size_t position,
                      const tb_attention_piece *pieces, size_t count)
{
    first_share *seen = user;
    if (at->block == 0 && head < 2 && count > 0 && pieces[0].first == 0)
        seen->share[head][position] = (double)pieces[0].weights[0];
}

static void sink_bias__multiplies_the_weight_of_the_first_token(void **state)
{
    (void)state;
    enum { TOKENS = 40 };
    static const double gammas[] = {0.25, 3};
    tb_error err;
    tb_model *model = open_tiny("llama3", 1);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 1);
    for (size_t g = 0; g < 2; g++) {
        first_share plain = {0}, biased = {0};
        tb_probe probe = {.attention_row = see_first};
        for (size_t i = 0; i < 2; i++) {
            tb_seq *seq;
            tb_seq_options options = {.context = TOKENS, .sink_bias = i ? log(gammas[g]) : 0};
            assert_int_equal(tb_seq_new(&seq, model, &options, &err), TB_OK);
            probe.user = i ? &biased : &plain;
            tb_seq_set_probe(seq, &probe);
            tb_free(push_all(seq, ids, TOKENS));
            tb_seq_free(seq);
        }
        // Half a dozen roundings of scores, their exponentials and their sum.
        for (size_t head = 0; head < 2; head++)
            for (size_t p = 0; p < TOKENS; p++) {
                double a = plain.share[head][p], expected = gammas[g] * a / ((gammas[g] - 1) * a + 1);
                assert_true(fabs(biased.share[head][p] - expected) <= TOKENS * 0x1p-22 * expected);
            }
    }
    tb_seq *seq;
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.sink_bias = (double)INFINITY}, &err), TB_EINVAL);
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.sink_bias = (double)NAN}, &err), TB_EINVAL);
    tb_free(ids);
    tb_model_close(model);
}

static void seq_push__refuses_and_stays_as_it_was(void **state)
{
    (void)state;
    tb_error err;
    tb_model *model = open_tiny("llama", 1);
    tb_seq *seq = new_seq(model, 4, 0, TB_KV_CACHE_F16);
    float kept[2];
    assert_null(tb_seq_logits(seq));
    assert_int_equal(tb_seq_push(seq, NULL, 0, &err), TB_OK);
    assert_null(tb_seq_logits(seq));
    push(seq, (const int32_t[]){1, 2, 3}, 3);
    memcpy(kept, tb_seq_logits(seq), sizeof kept);
    assert_int_equal(tb_seq_push(seq, (const int32_t[]){1, 2}, 2, &err), TB_ELIMIT);
    assert_int_equal(tb_seq_push(seq, (const int32_t[]){96}, 1, &err), TB_EINVAL);
    assert_int_equal(tb_seq_push(seq, (const int32_t[]){-1}, 1, &err), TB_EINVAL);
    assert_int_equal(tb_seq_length(seq), 3);
    assert_memory_equal(tb_seq_logits(seq), kept, sizeof kept);
    push(seq, (const int32_t[]){4}, 1);
    tb_seq_free(seq);
    tb_model_close(model);
}

static void seq_new__has_sensible_defaults(void **state)
{
    (void)state;
    tb_error err;
    tb_seq *seq;
    tb_model *model = open_tiny("llama", 1);
    assert_int_equal(tb_seq_new(&seq, model, NULL, &err), TB_OK);
    assert_int_equal(tb_seq_context(seq), tb_model_context_length(model));
    assert_ptr_equal(tb_seq_model(seq), model);
    tb_seq_free(seq);
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.context = SIZE_MAX / 2}, &err), TB_ELIMIT);
    assert_null(seq);
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.kv_cache = 7}, &err), TB_EINVAL);
    tb_model_close(model);
}

// ---- states ----

static void states__block_by_block_equal_push_all(void **state)
{
    (void)state;
    enum { WINDOWS = 3, LENGTH = 21 };
    tb_error err;
    for (size_t f = 0; tiny_families[f]; f++) {
        tb_model *model = open_tiny(tiny_families[f], 2);
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(WINDOWS * LENGTH, vocab, f);
        float *logits = tb_alloc_array(LENGTH * vocab, sizeof *logits);
        tb_states states;
        assert_int_equal(tb_states_init(&states, model, ids, WINDOWS, LENGTH, &err), TB_OK);
        for (size_t block = 0; block < tb_model_config(model)->blocks; block++)
            assert_int_equal(tb_states_run_block(&states, model, block, NULL, NULL, &err), TB_OK);
        for (size_t w = 0; w < WINDOWS; w++) {
            const float *x = states.x + w * LENGTH * states.stride;
            assert_int_equal(tb_states_logits(logits, model, x, states.stride, LENGTH, &err), TB_OK);
            tb_seq *seq = new_seq(model, LENGTH, 0, TB_KV_CACHE_F32);
            float *expected = push_all(seq, ids + w * LENGTH, LENGTH);
            assert_memory_equal(logits, expected, LENGTH * vocab * sizeof *logits); // the same code: the same bits
            tb_free(expected);
            tb_seq_free(seq);
        }
        tb_states_clear(&states);
        tb_free(logits), tb_free(ids);
        tb_model_close(model);
    }
}

static void states_run_block__replaces_linears(void **state)
{
    (void)state;
    tb_error err;
    tb_model *model = open_tiny("llama3", 1); // without biases
    const tb_config *config = tb_model_config(model);
    int32_t *ids = random_ids(10, config->vocab, 1);
    tb_packed output, down;
    tb_states states;
    assert_int_equal(tb_packed_init(&output, TB_TYPE_F32, config->width, config->width, 0, 0, &err), TB_OK);
    assert_int_equal(tb_packed_init(&down, TB_TYPE_F32, config->width, config->ffn_width, 0, 0, &err), TB_OK);
    assert_int_equal(tb_states_init(&states, model, ids, 2, 5, &err), TB_OK);
    size_t bytes = 10 * states.stride * sizeof(float);
    float *before = tb_alloc(bytes);
    memcpy(before, states.x, bytes);
    // Zero matrices at both ends of the block leave the residual stream alone.
    tb_linears linears = tb_model_linears(model, 0);
    size_t o = tb_linears_find(linears, TB_LINEAR_O, 0), last = tb_linears_find(linears, TB_LINEAR_DOWN, 0);
    tb_block_override override = {.linears = tb_alloc_array(linears.count, sizeof *override.linears)};
    override.linears[o].matrix = &output.view;
    override.linears[last].matrix = &down.view;
    assert_int_equal(tb_states_run_block(&states, model, 0, &override, NULL, &err), TB_OK);
    assert_memory_equal(states.x, before, bytes);
    override.linears[o].matrix = NULL;
    assert_int_equal(tb_states_run_block(&states, model, 0, &override, NULL, &err), TB_OK);
    assert_memory_not_equal(states.x, before, bytes);
    tb_free(override.linears), tb_free(before), tb_free(ids);
    tb_states_clear(&states);
    tb_packed_clear(&output), tb_packed_clear(&down);
    tb_model_close(model);
}

static void states_init__refuses_nonsense(void **state)
{
    (void)state;
    tb_error err;
    tb_states states;
    tb_model *model = open_tiny("llama", 1);
    assert_int_equal(tb_states_init(&states, model, (const int32_t[]){1}, 0, 5, &err), TB_EINVAL);
    assert_int_equal(tb_states_init(&states, model, (const int32_t[]){1, 99}, 1, 2, &err), TB_EINVAL);
    assert_int_equal(tb_states_init(&states, model, (const int32_t[]){1}, SIZE_MAX, 2, &err), TB_ENOMEM);
    assert_null(states.x);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seq_push_all__agrees_with_plain_loops),
        cmocka_unit_test(seq_push__gives_the_same_for_any_split),
        cmocka_unit_test(seq_push_all__ends_with_the_logits_of_push),
        cmocka_unit_test(seq__does_not_see_another_sequence),
        cmocka_unit_test(seqs__run_side_by_side_on_one_model),
        cmocka_unit_test(seq_truncate__forgets_as_if_never_pushed),
        cmocka_unit_test(seq_fork__goes_its_own_way),
        cmocka_unit_test(seq_push__gives_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(kv_cache_f16__is_close_to_f32),
        cmocka_unit_test(sink_bias__multiplies_the_weight_of_the_first_token),
        cmocka_unit_test(seq_push__refuses_and_stays_as_it_was),
        cmocka_unit_test(seq_new__has_sensible_defaults),
        cmocka_unit_test(states__block_by_block_equal_push_all),
        cmocka_unit_test(states_run_block__replaces_linears),
        cmocka_unit_test(states_init__refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
