// Streams: sequences without end. Against plain loops that number keys afresh for every row, against plain sequences
// while nothing is dropped, whatever the pieces, and far away from position 0.
#include "edited_model.h"
#include "model_files.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "forward_ref.h"
#include "model/runner.h"
#include "rounding.h"

static tb_model *open_tiny(const char *family)
{
    char name[64];
    snprintf(name, sizeof name, "%s.gguf", family);
    return open_model(tiny_path(name), 2);
}

// The tiny families that can stream, those whose RoPE is the same at every length; NULL at the end.
static const char *const steady_families[] = {"llama", "llama3", "mistral", "smollm3",  "qwen2",
                                              "qwen3", "gemma3", "gemma2",  "mistral3", NULL};

enum { STEADY_FAMILIES = sizeof steady_families / sizeof steady_families[0] - 1 };

static tb_seq *new_stream(const tb_model *model, size_t sinks, size_t window, size_t batch, tb_kv_cache_type type)
{
    tb_seq *seq;
    tb_error err;
    tb_seq_options options = {.batch = batch, .kv_cache = type, .keep_sinks = sinks, .window = window};
    if (tb_seq_new(&seq, model, &options, &err))
        fail_msg("%s", err.message);
    return seq;
}

// Logits of all n tokens, pushed in pieces of `piece`; to be freed with tb_free.
static float *push_pieces(tb_seq *seq, const int32_t *ids, size_t n, size_t piece)
{
    tb_error err;
    size_t vocab = tb_model_vocab_size(tb_seq_model(seq));
    float *logits = tb_alloc_array(n, vocab * sizeof *logits);
    assert_non_null(logits);
    for (size_t done = 0; done < n; done += piece)
        if (tb_seq_push_all(seq, ids + done, n - done < piece ? n - done : piece, logits + done * vocab, &err))
            fail_msg("%s", err.message);
    return logits;
}

// Windows that are shorter and longer than a piece, the smallest ones, and as many sinks as rows in the window.
static const struct {
    size_t sinks, window;
} shapes[] = {{4, 20}, {0, 16}, {0, 1}, {1, 1}, {1, 7}, {8, 8}, {3, 40}};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void stream__is_a_plain_sequence_to_the_bit_while_nothing_is_dropped(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 64};
    for (size_t f = 0; steady_families[f]; f++) {
        tb_model *model = open_tiny(steady_families[f]);
        size_t vocab = tb_model_vocab_size(model);
        for (size_t i = 0; i < SHAPES; i++)
            for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
                size_t n = shapes[i].sinks + shapes[i].window;
                tb_kv_cache_type type = p % 2 ? TB_KV_CACHE_F32 : TB_KV_CACHE_F16;
                int32_t *ids = random_ids(n, vocab, i);
                tb_seq *plain = new_seq(model, n, 32, type);
                tb_seq *stream = new_stream(model, shapes[i].sinks, shapes[i].window, 32, type);
                float *expected = push_pieces(plain, ids, n, pieces[p]),
                      *logits = push_pieces(stream, ids, n, pieces[p]);
                assert_memory_equal(logits, expected, n * vocab * sizeof *logits);
                assert_int_equal(tb_seq_dropped(stream), 0);
                tb_free(expected), tb_free(logits), tb_free(ids);
                tb_seq_free(plain), tb_seq_free(stream);
            }
        tb_model_close(model);
    }
}

static void stream__agrees_with_loops_that_number_keys_afresh(void **state)
{
    (void)state;
    enum { TOKENS = 70 };
    for (size_t f = 0; steady_families[f]; f++) {
        tb_model *model = open_tiny(steady_families[f]);
        size_t vocab = tb_model_vocab_size(model), n = TOKENS * vocab;
        int32_t *ids = random_ids(TOKENS, vocab, f);
        double *expected = tb_alloc_array(n, sizeof *expected);
        float *rounded = tb_alloc_array(n, sizeof *rounded);
        for (size_t i = 0; i < SHAPES; i++) {
            assert_true(ref_forward_stream(expected, model, ids, TOKENS, shapes[i].sinks, shapes[i].window));
            for (size_t k = 0; k < n; k++)
                rounded[k] = (float)expected[k];
            tb_seq *seq = new_stream(model, shapes[i].sinks, shapes[i].window, 0, TB_KV_CACHE_F32);
            float *logits = push_pieces(seq, ids, TOKENS, i % 2 ? TOKENS : 5);
            double d = distance(logits, rounded, n);
            if (d > rounding_of_passes(tb_model_config(model), TOKENS, n))
                fail_msg("%s differs by %g with %zu + %zu", steady_families[f], d, shapes[i].sinks, shapes[i].window);
            tb_free(logits);
            tb_seq_free(seq);
        }
        tb_free(rounded), tb_free(expected), tb_free(ids);
        tb_model_close(model);
    }
}

// Scalings that give fixed frequencies, and heads that RoPE turns a part of only.
static void stream__agrees_with_loops_for_every_fixed_rope(void **state)
{
    (void)state;
    enum { TOKENS = 70, SINKS = 4, WINDOW = 20 };
    const model_edit edits[][4] = {
        {{.kind = SET_TEXT, .name = "llama.rope.scaling.type", .value = "linear"},
         {.kind = SET_F32, .name = "llama.rope.scaling.factor", .number = 4}},
        {{.kind = SET_TEXT, .name = "llama.rope.scaling.type", .value = "yarn"},
         {.kind = SET_F32, .name = "llama.rope.scaling.factor", .number = 8},
         {.kind = SET_U32, .name = "llama.rope.scaling.original_context_length", .number = 16}},
        {{.kind = SET_U32, .name = "llama.rope.dimension_count", .number = 4}},
    };
    static const size_t counts[] = {2, 3, 1};
    for (size_t e = 0; e < sizeof counts / sizeof counts[0]; e++) {
        write_edited(temp_path("edited.gguf"), tiny_path("llama.gguf"), edits[e], counts[e]);
        tb_model *model = open_model(temp_path("edited.gguf"), 1);
        size_t vocab = tb_model_vocab_size(model), n = TOKENS * vocab;
        int32_t *ids = random_ids(TOKENS, vocab, e);
        double *expected = tb_alloc_array(n, sizeof *expected);
        float *rounded = tb_alloc_array(n, sizeof *rounded);
        assert_true(ref_forward_stream(expected, model, ids, TOKENS, SINKS, WINDOW));
        for (size_t k = 0; k < n; k++)
            rounded[k] = (float)expected[k];
        tb_seq *seq = new_stream(model, SINKS, WINDOW, 0, TB_KV_CACHE_F32);
        float *logits = push_pieces(seq, ids, TOKENS, 9);
        assert_true(distance(logits, rounded, n) <= rounding_of_passes(tb_model_config(model), TOKENS, n));
        tb_free(logits), tb_free(rounded), tb_free(expected), tb_free(ids);
        tb_seq_free(seq);
        tb_model_close(model);
    }
}

// Rings go round at their own length: pieces of any size, and batches of any size, end there in every way.
static void stream__gives_the_same_for_any_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 64, SIZE_MAX}, batches[] = {1, 3, 256};
    for (size_t f = 0; f < STEADY_FAMILIES; f += 3)
        for (size_t i = 0; i < SHAPES; i++) {
            size_t window = shapes[i].window;
            const size_t lengths[] = {window, 2 * window, 2 * window - 1, 2 * window + 1, 150};
            tb_model *model = open_tiny(steady_families[f]);
            size_t vocab = tb_model_vocab_size(model);
            int32_t *ids = random_ids(150, vocab, f);
            for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
                tb_seq *steps = new_stream(model, shapes[i].sinks, window, 0, TB_KV_CACHE_F32);
                float *expected = push_pieces(steps, ids, lengths[k], 1);
                for (size_t p = 0; p < 12; p++) {
                    tb_seq *seq = new_stream(model, shapes[i].sinks, window, batches[p / 4], TB_KV_CACHE_F32);
                    size_t piece = pieces[p % 4] < lengths[k] ? pieces[p % 4] : lengths[k];
                    float *logits = push_pieces(seq, ids, lengths[k], piece);
                    assert_true(distance(logits, expected, lengths[k] * vocab) <
                                rounding_of_passes(tb_model_config(model), 150, lengths[k] * vocab));
                    assert_memory_equal(tb_seq_tokens(seq), ids + tb_seq_dropped(seq),
                                        (lengths[k] - tb_seq_dropped(seq)) * sizeof *ids);
                    tb_free(logits);
                    tb_seq_free(seq);
                }
                tb_free(expected);
                tb_seq_free(steps);
            }
            tb_free(ids);
            tb_model_close(model);
        }
}

// The sinks, and then a window that begins a million tokens later: once no row is left that saw the sinks from nearer
// by, it is as if the million had not been there.
static void stream__does_not_depend_on_how_far_it_has_come(void **state)
{
    (void)state;
    enum { SINKS = 4, WINDOW = 10, COUNT = 120, LAST = 20, MILLION = 1000000 };
    tb_error err;
    for (size_t f = 0; steady_families[f]; f++) {
        tb_model *model = open_tiny(steady_families[f]);
        size_t vocab = tb_model_vocab_size(model), blocks = tb_model_config(model)->blocks;
        bool knows_positions = model->settings.query_growth.rate > 0; // scores grow with them
        for (size_t b = 0; b < blocks; b++)
            knows_positions |= model->settings.near[b]; // which sees no sinks, but what lies before it
        if (knows_positions) {
            tb_model_close(model);
            continue;
        }
        assert_true(blocks * WINDOW <= COUNT - LAST);
        int32_t *ids = random_ids(COUNT, vocab, f), positions[COUNT];
        float *logits[2] = {NULL, NULL};
        tb_kv_plan plan = {.type = TB_KV_CACHE_F32, .sinks = SINKS, .window = WINDOW, .batch = COUNT};
        for (size_t k = 0; k < 2; k++) {
            tb_runner runner;
            tb_memory memory;
            assert_int_equal(tb_runner_init(&runner, model, COUNT, &plan, &err), TB_OK);
            assert_int_equal(tb_memory_init(&memory, &model->settings, 0, blocks, &plan, &err), TB_OK);
            logits[k] = tb_alloc_array(COUNT * vocab, sizeof(float));
            for (size_t i = 0; i < COUNT; i++)
                positions[i] = (int32_t)(i < SINKS ? i : i + k * MILLION);
            tb_span span = {&memory, COUNT, 0, COUNT, COUNT, logits[k], 0};
            tb_runner_run(&runner, &(tb_batch){ids, positions, COUNT, &span, 1}, NULL);
            tb_memory_clear(&memory);
            tb_runner_clear(&runner);
        }
        size_t first = COUNT - LAST, n = LAST * vocab;
        // Sines and cosines are floats of exact angles: another 2^-24 on every query and key.
        assert_true(distance(logits[1] + first * vocab, logits[0] + first * vocab, n) <
                    2 * rounding_of_passes(tb_model_config(model), COUNT, n));
        tb_free(logits[0]), tb_free(logits[1]), tb_free(ids);
        tb_model_close(model);
    }
}

static void stream_truncate__goes_back_or_forgets_everything(void **state)
{
    (void)state;
    enum { TOKENS = 90, BATCH = 16, SINKS = 3, WINDOW = 12 };
    tb_error err;
    tb_model *model = open_tiny("gemma3");
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, vocab, 5);
    tb_seq *straight = new_stream(model, SINKS, WINDOW, BATCH, TB_KV_CACHE_F16);
    float *expected = push_pieces(straight, ids, TOKENS, 1);
    tb_seq *seq = new_stream(model, SINKS, WINDOW, BATCH, TB_KV_CACHE_F16);
    for (size_t back = 1; back <= TOKENS; back += 3) {
        assert_int_equal(tb_seq_truncate(seq, 0), 0);
        tb_free(push_pieces(seq, ids, TOKENS, 1));
        size_t left = tb_seq_truncate(seq, TOKENS - back);
        assert_true(left == (back < BATCH ? TOKENS - back : 0) || back == BATCH || left == 0);
        assert_int_equal(tb_seq_length(seq), left);
        assert_null(tb_seq_logits(seq));
        assert_memory_equal(tb_seq_tokens(seq), ids + tb_seq_dropped(seq), (left - tb_seq_dropped(seq)) * sizeof *ids);
        float *logits = push_pieces(seq, ids + left, TOKENS - left, 1);
        assert_memory_equal(logits, expected + left * vocab, (TOKENS - left) * vocab * sizeof *logits);
        tb_free(logits);
    }
    // What is to be pushed again, for a text that begins as the stream does, and for another.
    assert_int_equal(tb_seq_reuse(seq, ids, TOKENS), TOKENS - 1);
    assert_int_equal(tb_seq_push(seq, ids + TOKENS - 1, 1, &err), TB_OK);
    assert_memory_equal(tb_seq_logits(seq), expected + (TOKENS - 1) * vocab, vocab * sizeof *expected);
    ids[2] ^= 1; // long dropped, known by the fingerprint only
    assert_int_equal(tb_seq_reuse(seq, ids, TOKENS), 0);
    assert_int_equal(tb_seq_length(seq), 0);
    tb_free(expected), tb_free(ids);
    tb_seq_free(seq), tb_seq_free(straight);
    tb_model_close(model);
}

static void stream_fork__goes_its_own_way(void **state)
{
    (void)state;
    tb_error err;
    tb_seq *fork;
    for (size_t n = 5; n < 60; n += 9) {
        tb_model *model = open_tiny("gemma3");
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(100, vocab, 6);
        tb_seq *seq = new_stream(model, 2, 20, 8, TB_KV_CACHE_F16);
        tb_free(push_pieces(seq, ids, n, 8));
        assert_int_equal(tb_seq_fork(&fork, seq, &err), TB_OK);
        tb_free(push_pieces(seq, ids + 50, 30, 8));
        float *forked = push_pieces(fork, ids + n, 30, 8);
        assert_int_equal(tb_seq_truncate(seq, 0), 0);
        tb_free(push_pieces(seq, ids, n, 8));
        float *again = push_pieces(seq, ids + n, 30, 8);
        assert_memory_equal(forked, again, 30 * vocab * sizeof *forked);
        tb_free(forked), tb_free(again), tb_free(ids);
        tb_seq_free(fork), tb_seq_free(seq);
        tb_model_close(model);
    }
}

static void stream__is_refused_where_it_cannot_be(void **state)
{
    (void)state;
    tb_error err;
    tb_seq *seq;
    tb_model *model = open_tiny("llama");
    size_t trained = tb_model_context_length(model);
    const struct {
        tb_seq_options options;
        tb_code code;
    } cases[] = {
        {{.keep_sinks = 9, .window = 8}, TB_EINVAL}, {{.keep_sinks = 4}, TB_EINVAL},
        {{.context = 100, .window = 8}, TB_EINVAL},  {{.keep_sinks = 1, .window = trained}, TB_ELIMIT},
        {{.window = trained + 1}, TB_ELIMIT},        {{.window = SIZE_MAX, .keep_sinks = SIZE_MAX}, TB_ELIMIT},
        {{.window = 8, .kv_cache = 7}, TB_EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tb_seq_new(&seq, model, &cases[i].options, &err), cases[i].code);
        assert_null(seq);
    }
    tb_free(push_pieces(seq = new_stream(model, 4, trained - 4, SIZE_MAX / 2, TB_KV_CACHE_F16), (int32_t[]){1}, 1, 1));
    tb_seq_free(seq);
    model->settings.rope.original = 64;
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.window = 8}, &err), TB_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "'dynamic'"));
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream__is_a_plain_sequence_to_the_bit_while_nothing_is_dropped),
        cmocka_unit_test(stream__agrees_with_loops_that_number_keys_afresh),
        cmocka_unit_test(stream__agrees_with_loops_for_every_fixed_rope),
        cmocka_unit_test(stream__gives_the_same_for_any_pieces),
        cmocka_unit_test(stream__does_not_depend_on_how_far_it_has_come),
        cmocka_unit_test(stream_truncate__goes_back_or_forgets_everything),
        cmocka_unit_test(stream_fork__goes_its_own_way),
        cmocka_unit_test(stream__is_refused_where_it_cannot_be),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
