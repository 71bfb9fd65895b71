// The public header: what it promises, through the shared library.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "twobit/twobit.h"

static const char *model_path;
static tb_model *model;
static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static int open_model(void **state)
{
    (void)state;
    return tb_model_open(&model, model_path, NULL, &err);
}

static int close_model(void **state)
{
    (void)state;
    tb_model_close(model);
    return 0;
}

// A sequence that holds `text`.
static tb_seq *push_text(const char *text)
{
    int32_t *ids;
    size_t count;
    tb_seq *seq;
    OK(tb_model_tokenize(model, text, strlen(text), TB_TOKENIZE_BOS, &ids, &count, &err));
    OK(tb_seq_new(&seq, model, NULL, &err));
    OK(tb_seq_push(seq, ids, count, &err));
    tb_free_ids(ids);
    return seq;
}

// ---- metadata ----

static void metadata__is_listed_and_found(void **state)
{
    (void)state;
    size_t found = 0;
    for (size_t i = 0; i < tb_model_metadata_count(model); i++) {
        const char *key;
        size_t size;
        tb_model_metadata_key(model, i, &key, &size);
        found += size == strlen("general.architecture") && memcmp(key, "general.architecture", size) == 0;
    }
    assert_int_equal(found, 1);
    char *text;
    size_t size;
    OK(tb_model_metadata_text(model, "general.architecture", &text, &size, &err));
    assert_string_equal(text, tb_model_architecture(model));
    assert_int_equal(size, strlen(text));
    tb_free_text(text);
    OK(tb_model_metadata_text(model, "llama.context_length", &text, &size, &err));
    assert_int_equal(strtoul(text, NULL, 10), tb_model_context_length(model));
    tb_free_text(text);
    assert_int_equal(tb_model_metadata_text(model, "no.key", &text, &size, &err), TB_EINVAL);
    assert_null(text);
    assert_int_equal(tb_model_metadata_text(model, "tokenizer.ggml.tokens", &text, &size, &err), TB_EUNSUPPORTED);
}

// ---- streams ----

// The text of tokens through a stream.
static void stream_text(char *out, const int32_t *ids, size_t count, const tb_stream_options *options)
{
    tb_stream *stream;
    const char *text;
    size_t size;
    OK(tb_stream_new(&stream, model, options, &err));
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        OK(tb_stream_push(stream, ids[i], &text, &size, &err));
        assert_int_equal(strlen(text), size);
        strcat(out, text);
    }
    OK(tb_stream_finish(stream, &text, &size, &err));
    strcat(out, text);
    tb_stream_free(stream);
}

static void stream__gives_the_text_of_the_tokens(void **state)
{
    (void)state;
    static const char text[] = "the hat and Gr\xC3\xBC\xC3\x9F"
                               "e";
    char streamed[256];
    int32_t *ids;
    size_t count;
    OK(tb_model_tokenize(model, text, strlen(text), 0, &ids, &count, &err));
    stream_text(streamed, ids, count, NULL);
    assert_string_equal(streamed, text);
    tb_free_ids(ids);
}

static void stream__ends_before_a_stop_string(void **state)
{
    (void)state;
    static const char text[] = "the hat and the end";
    static const char *const stops[] = {"never", "and the"};
    const tb_stream_options options = {.stops = stops, .stop_count = 2};
    char streamed[256];
    int32_t *ids;
    size_t count;
    OK(tb_model_tokenize(model, text, strlen(text), 0, &ids, &count, &err));
    stream_text(streamed, ids, count, &options);
    assert_string_equal(streamed, "the hat ");
    tb_free_ids(ids);
    static const char *const empty[] = {""};
    tb_stream *stream;
    assert_int_equal(tb_stream_new(&stream, model, &(tb_stream_options){.stops = empty, .stop_count = 1}, &err),
                     TB_EINVAL);
    assert_null(stream);
}

// ---- conversations ----

static void chat__is_rendered_and_tokenized(void **state)
{
    (void)state;
    static const char json[] = "[{\"role\": \"user\", \"content\": \"Hi\"}]";
    char *text;
    size_t size, count, plain_count;
    int32_t *ids, *plain;
    OK(tb_model_render_chat(model, json, sizeof json - 1, true, &text, &size, &err));
    assert_string_equal(text, "<s>user: Hi</s>\nassistant: ");
    OK(tb_model_tokenize_chat(model, json, sizeof json - 1, true, &ids, &count, &err));
    OK(tb_model_tokenize(model, text, size, TB_TOKENIZE_SPECIAL, &plain, &plain_count, &err));
    assert_int_equal(count, plain_count);
    assert_memory_equal(ids, plain, count * sizeof *ids);
    tb_free_text(text);
    tb_free_ids(ids);
    tb_free_ids(plain);
    assert_int_equal(tb_model_render_chat(model, "{", 1, true, &text, &size, &err), TB_EFORMAT);
    assert_null(text);
    assert_int_equal(tb_model_tokenize_chat(model, "{}", 2, true, &ids, &count, &err), TB_EFORMAT);
    assert_null(ids);
}

// ---- sequences ----

static void seq_fork__goes_its_own_way_to_the_same_bits(void **state)
{
    (void)state;
    size_t vocab = tb_model_vocab_size(model);
    tb_seq *seq = push_text("the hat"), *fork, *alone = push_text("the hat");
    OK(tb_seq_fork(&fork, seq, &err));
    assert_int_equal(tb_seq_length(fork), tb_seq_length(seq));
    assert_memory_equal(tb_seq_logits(fork), tb_seq_logits(seq), vocab * sizeof(float));
    int32_t left = 5, right = 7;
    OK(tb_seq_push(seq, &left, 1, &err));
    OK(tb_seq_push(fork, &right, 1, &err));
    OK(tb_seq_push(alone, &right, 1, &err));
    assert_memory_equal(tb_seq_logits(fork), tb_seq_logits(alone), vocab * sizeof(float));
    assert_true(memcmp(tb_seq_logits(seq), tb_seq_logits(alone), vocab * sizeof(float)) != 0);
    tb_seq_free(seq);
    tb_seq_free(fork);
    tb_seq_free(alone);
    OK(tb_seq_new(&seq, model, NULL, &err)); // also an empty one
    OK(tb_seq_fork(&fork, seq, &err));
    assert_null(tb_seq_logits(fork));
    tb_seq_free(seq);
    tb_seq_free(fork);
}

static void seq_reuse__keeps_the_common_beginning(void **state)
{
    (void)state;
    tb_seq *seq = push_text("the hat and the end");
    size_t length = tb_seq_length(seq);
    int32_t *ids = malloc(length * sizeof *ids);
    memcpy(ids, tb_seq_tokens(seq), length * sizeof *ids);
    assert_int_equal(tb_seq_reuse(seq, ids, length), length - 1);
    assert_int_equal(tb_seq_length(seq), length - 1);
    ids[2]++;
    assert_int_equal(tb_seq_reuse(seq, ids, length), 2);
    assert_int_equal(tb_seq_reuse(seq, ids, 1), 0);
    free(ids);
    tb_seq_free(seq);
}

static void log_probabilities__are_those_of_the_logits(void **state)
{
    (void)state;
    enum { BEST = 7 };
    tb_seq *seq = push_text("the hat");
    size_t vocab = tb_model_vocab_size(model);
    double total = 0;
    for (size_t id = 0; id < vocab; id++)
        total += exp(tb_seq_log_probability(seq, (int32_t)id));
    // Each term is off by some ulp of its own, the sum by as many as it has terms.
    assert_true(fabs(total - 1) < (double)vocab * 4 * DBL_EPSILON);
    tb_choice best[BEST], all[2048];
    assert_int_equal(tb_seq_best(best, BEST, seq), BEST);
    assert_true(vocab <= 2048);
    assert_int_equal(tb_seq_best(all, 2048, seq), vocab);
    for (size_t i = 0; i < vocab; i++) {
        assert_true(all[i].log_probability == tb_seq_log_probability(seq, all[i].token));
        if (i > 0)
            assert_true(all[i - 1].log_probability > all[i].log_probability ||
                        (all[i - 1].log_probability == all[i].log_probability && all[i - 1].token < all[i].token));
    }
    assert_memory_equal(best, all, sizeof best);
    assert_true(isnan(tb_seq_log_probability(seq, -1)));
    assert_true(isnan(tb_seq_log_probability(seq, (int32_t)vocab)));
    tb_seq_truncate(seq, 1);
    assert_true(isnan(tb_seq_log_probability(seq, 0)));
    assert_int_equal(tb_seq_best(best, BEST, seq), 0);
    tb_seq_free(seq);
}

// ---- quantization ----

typedef struct watcher {
    size_t told, most;
} watcher;

static bool watch(void *user, const char *stage, double done, double total, const char *unit)
{
    watcher *w = user;
    assert_true(stage && unit && done <= total);
    return ++w->told == w->most;
}

static void quantize__can_be_stopped_and_goes_on(void **state)
{
    (void)state;
    char folder[] = "/tmp/twobit-library-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/small.gguf", folder);
    watcher w = {.most = 2};
    tb_report report = {.progress = watch, .user = &w};
    tb_quantize_options options = {.threads = 1, .report = &report};
    assert_int_equal(tb_quantize(model_path, path, "rtn:3", &options, &err), TB_ECANCELLED);
    w.most = 0;
    OK(tb_quantize(model_path, path, "rtn:3", &options, &err));
    tb_model *small;
    OK(tb_model_open(&small, path, NULL, &err));
    assert_int_equal(tb_model_vocab_size(small), tb_model_vocab_size(model));
    tb_model_close(small);
    assert_int_equal(tb_quantize(model_path, path, "rtn:9", NULL, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "recipe 'rtn:9'"));
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(folder), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata__is_listed_and_found),
        cmocka_unit_test(stream__gives_the_text_of_the_tokens),
        cmocka_unit_test(stream__ends_before_a_stop_string),
        cmocka_unit_test(chat__is_rendered_and_tokenized),
        cmocka_unit_test(seq_fork__goes_its_own_way_to_the_same_bits),
        cmocka_unit_test(seq_reuse__keeps_the_common_beginning),
        cmocka_unit_test(log_probabilities__are_those_of_the_logits),
        cmocka_unit_test(quantize__can_be_stopped_and_goes_on),
    };
    model_path = argc > 1 ? argv[1] : "";
    return cmocka_run_group_tests(tests, open_model, close_model);
}
