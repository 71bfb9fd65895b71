// Stored keys and values of first tokens: that they are constants, that using them changes nothing in the model that
// made them, and that what does not fit is refused.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/kv.h"
#include "model/weights.h"
#include "rounding.h"

static char folder[] = "/tmp/twobit-prefix-XXXXXX";
static char path[64];
static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/prefix.gguf", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static const char *model_path(const char *family)
{
    char name[64];
    snprintf(name, sizeof name, "%s.gguf", family);
    return tiny_path(name);
}

// Makes the prefix of some tokens of a family's tiny model, and stores it.
static void make_file(const char *family, const int32_t *tokens, size_t count)
{
    tb_arena arena = {0};
    tb_prefix prefix;
    tb_model *model = open_model(model_path(family), 1);
    OK(tb_prefix_make(&prefix, &arena, model, tokens, count, &err));
    OK(tb_prefix_save(&prefix, model, path, &err));
    tb_arena_clear(&arena);
    tb_model_close(model);
}

static tb_model *open_prefixed(const char *family, const char *prefix, size_t threads)
{
    tb_model *model;
    OK(tb_model_open(&model, model_path(family), &(tb_model_options){.threads = threads, .prefix_kv = prefix}, &err));
    return model;
}

// RoPE depends on the length of a sequence: no prefix is made, nor taken.
static bool model_is_unsteady(const tb_model *model)
{
    return model->settings.rope.original > 0;
}

// Keys and values of the first `rows` rows of every head, one after the other; to be freed with tb_free.
static char *first_rows(size_t *bytes, const tb_seq *seq, size_t rows)
{
    const tb_config *config = tb_model_config(tb_seq_model(seq));
    size_t each = rows * config->head_size * sizeof(uint16_t), heads = config->blocks * config->kv_heads;
    char *out = tb_alloc_array(2 * heads, each);
    *bytes = 2 * heads * each;
    for (size_t i = 0; i < heads; i++) {
        const tb_kv_head *head =
            &tb_memory_get_kv(tb_seq_memory(seq), i / config->kv_heads)->heads[i % config->kv_heads];
        tb_kv_segment all;
        assert_int_equal(head->policy->segments(&all, head), 1);
        memcpy(out + 2 * i * each, all.keys, each);
        memcpy(out + (2 * i + 1) * each, all.values, each);
    }
    return out;
}

// T-15: whatever follows, and on however many threads.
static void first_rows__are_constants(void **state)
{
    (void)state;
    enum { TOKENS = 20, RUNS = 100, PREFIX = 2 };
    for (size_t prefixed = 0; prefixed < 2; prefixed++)
        for (size_t f = 0; tiny_families[f]; f++) {
            tb_model *plain = open_prefixed(tiny_families[f], "none", 1);
            bool skipped = prefixed && model_is_unsteady(plain);
            tb_model_close(plain);
            if (skipped)
                continue;
            char *first = NULL;
            for (size_t run = 0; run < RUNS; run += f ? 20 : 1) {
                size_t bytes, threads = 1 + run % 3;
                int32_t begin[PREFIX] = {5, 6};
                if (prefixed && run == 0)
                    make_file(tiny_families[f], begin, PREFIX);
                tb_model *model = open_prefixed(tiny_families[f], prefixed ? path : "none", threads);
                int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), run);
                memcpy(ids, begin, sizeof begin);
                tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
                // Without a prefix the way of a product depends on how many rows come at once.
                tb_free(push_all(seq, ids, prefixed ? 2 + run % 18 : TOKENS));
                char *rows = first_rows(&bytes, seq, PREFIX);
                if (first)
                    assert_memory_equal(rows, first, bytes);
                else
                    first = rows;
                if (rows != first)
                    tb_free(rows);
                tb_free(ids);
                tb_seq_free(seq);
                tb_model_close(model);
            }
            tb_free(first);
        }
}

// An experiment sees and changes what attention is about to take, the prefix's rows too.
static void set_values(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    (void)user, (void)at;
    for (size_t i = 0; stage == TB_EDIT_VALUE && rows->positions[0] == 0 && i < rows->cols; i++)
        rows->x[i] = 7;
}

static void prefix__can_be_edited(void **state)
{
    (void)state;
    const tb_probe probe = {.edit = set_values};
    int32_t tokens[] = {5, 6, 7};
    make_file("qwen3", tokens, 2);
    tb_model *model = open_prefixed("qwen3", path, 1);
    tb_seq *seq = new_seq(model, 3, 0, TB_KV_CACHE_F32);
    tb_seq_set_probe(seq, &probe);
    tb_free(push_all(seq, tokens, 3));
    const tb_kv_head *head = &tb_memory_get_kv(tb_seq_memory(seq), 0)->heads[0];
    tb_kv_segment all;
    assert_int_equal(head->policy->segments(&all, head), 1);
    assert_true(((const float *)all.values)[0] == 7);
    tb_seq_free(seq);
    tb_model_close(model);
}

// Halves are what the cache holds anyway: the model that made the prefix is the same with it, but for the order of
// sums.
static void prefix__changes_nothing_in_the_model_that_made_it(void **state)
{
    (void)state;
    enum { TOKENS = 40, PREFIX = 5 };
    for (size_t f = 0; tiny_families[f]; f++) {
        tb_model *plain = open_prefixed(tiny_families[f], "none", 2);
        if (model_is_unsteady(plain) || tb_model_config(plain)->experts) { // which are chosen by comparing
            tb_model_close(plain);
            continue;
        }
        size_t vocab = tb_model_vocab_size(plain);
        int32_t *ids = random_ids(TOKENS, vocab, f), *others = random_ids(TOKENS, vocab, f + 100);
        make_file(tiny_families[f], ids, PREFIX);
        tb_model *model = open_prefixed(tiny_families[f], path, 2);
        assert_int_equal(tb_model_prefix(model)->count, PREFIX);
        tb_seq *a = new_seq(plain, TOKENS, 0, TB_KV_CACHE_F16), *b = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
        float *expected = push_all(a, ids, TOKENS), *logits = push_all(b, ids, TOKENS);
        // Keys that halves round otherwise, where sums came out otherwise: as two caches of halves may differ.
        double d = distance(logits, expected, TOKENS * vocab);
        if (d > rounding_of_halves(tb_model_config(plain), TOKENS * vocab))
            fail_msg("%s differs by %g", tiny_families[f], d);
        tb_free(expected), tb_free(logits);
        // A text that begins otherwise takes nothing from it.
        tb_seq_truncate(a, 0), tb_seq_truncate(b, 0);
        others[0] = ids[0] ^ 1;
        expected = push_all(a, others, TOKENS), logits = push_all(b, others, TOKENS);
        assert_memory_equal(logits, expected, TOKENS * vocab * sizeof *logits);
        tb_free(expected), tb_free(logits), tb_free(ids), tb_free(others);
        tb_seq_free(a), tb_seq_free(b);
        tb_model_close(plain), tb_model_close(model);
    }
}

// The keys of another model's making, so that it matters which ones are used: token by token, in pieces, behind a
// truncation and in a fork, by states, and in a stream.
static void prefix__is_used_however_tokens_come(void **state)
{
    (void)state;
    enum { TOKENS = 30, PREFIX = 3 };
    tb_model *plain = open_prefixed("llama3", "none", 1);
    size_t vocab = tb_model_vocab_size(plain), bytes, expected_bytes;
    int32_t *ids = random_ids(TOKENS, vocab, 1);
    make_file("llama3", ids, PREFIX);
    tb_model *model = open_prefixed("llama3", path, 1);
    tb_seq *whole = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16), *steps = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
    float *logits = push_all(whole, ids, TOKENS);
    tb_free(push_all(steps, ids, 2));
    tb_free(push_all(steps, ids + 2, 1));
    assert_int_equal(tb_seq_truncate(steps, 1), 1);
    tb_seq *fork;
    OK(tb_seq_fork(&fork, steps, &err));
    tb_free(push_all(fork, ids + 1, 1));
    tb_free(push_all(fork, ids + 2, TOKENS - 2));
    char *expected = first_rows(&expected_bytes, whole, PREFIX), *rows = first_rows(&bytes, fork, PREFIX);
    assert_memory_equal(rows, expected, bytes);
    assert_true(tb_model_prefix(model)->keys[1] == ((const uint16_t *)(const void *)expected)[1]);
    tb_free(rows), tb_free(expected), tb_free(logits);

    // Windows: one that begins with the prefix, one with a part of it, one without.
    int32_t windows[3 * TOKENS];
    for (size_t w = 0; w < 3; w++)
        memcpy(windows + w * TOKENS, ids, sizeof(int32_t) * TOKENS);
    windows[TOKENS + 1] ^= 1;
    windows[2 * TOKENS] ^= 1;
    tb_states states;
    OK(tb_states_init(&states, model, windows, 3, TOKENS, &err));
    assert_true(states.prefixed[0] == PREFIX && states.prefixed[1] == 1 && states.prefixed[2] == 0);
    for (size_t b = 0; b < tb_model_config(model)->blocks; b++)
        OK(tb_states_run_block(&states, model, b, NULL, NULL, &err));
    float *out = tb_alloc_array(TOKENS * vocab, sizeof *out);
    for (size_t w = 0; w < 3; w++) {
        OK(tb_states_logits(out, model, states.x + w * TOKENS * states.stride, states.stride, TOKENS, &err));
        tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
        float *same = push_all(seq, windows + w * TOKENS, TOKENS);
        assert_memory_equal(out, same, TOKENS * vocab * sizeof *out);
        tb_free(same);
        tb_seq_free(seq);
    }
    tb_states_clear(&states);
    tb_free(out), tb_free(ids);
    tb_seq_free(whole), tb_seq_free(steps), tb_seq_free(fork);
    tb_model_close(plain), tb_model_close(model);
}

// T-16: a BOS that a text has already is that of the prefix, wherever it stands there.
static void begin_texts_with(const int32_t prefix[3])
{
    const tb_prefix *p;
    const struct {
        int32_t ids[6];
        size_t count;
        int32_t begun[8];
        size_t size;
    } cases[] = {
        {{0}, 0, {prefix[0], prefix[1], prefix[2]}, 3},
        {{1}, 1, {prefix[0], prefix[1], prefix[2]}, 3},
        {{1, 5, 6}, 3, {prefix[0], prefix[1], prefix[2], 5, 6}, 5},
        {{5, 6}, 2, {prefix[0], prefix[1], prefix[2], 5, 6}, 5},
        {{8, 6}, 2, {prefix[0], prefix[1], prefix[2], 8, 6}, 5},
        {{prefix[0], prefix[1], prefix[2], 5}, 4, {prefix[0], prefix[1], prefix[2], 5}, 4},
        {{1, 8, 5}, 3, {prefix[0], prefix[1], prefix[2], 8, 5}, 5},
    };
    make_file("llama", prefix, 3);
    tb_model *model = open_prefixed("llama", path, 1), *plain = open_prefixed("llama", NULL, 1);
    assert_int_equal(tb_model_begin_token(model), 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_ids ids = {.data = tb_alloc_array(6, sizeof(int32_t)), .size = cases[i].count, .capacity = 6};
        memcpy(ids.data, cases[i].ids, sizeof cases[i].ids);
        OK(tb_model_begin_text(&ids, plain, &err));
        assert_int_equal(ids.size, cases[i].count);
        OK(tb_model_begin_text(&ids, model, &err));
        assert_int_equal(ids.size, cases[i].size);
        assert_memory_equal(ids.data, cases[i].begun, cases[i].size * sizeof *ids.data);
        tb_ids_clear(&ids);
    }
    int32_t window[] = {2, 3, 4, 5, 6};
    p = tb_model_prefix(model);
    assert_int_equal(tb_model_begin_window(window, 5, model), 3);
    assert_memory_equal(window, p->tokens, 3 * sizeof *window);
    assert_int_equal(window[3], 5);
    assert_int_equal(tb_model_begin_window(window, 2, model), 2);
    tb_model_close(model), tb_model_close(plain);
}

static void texts__begin_with_the_prefix_once(void **state)
{
    (void)state;
    begin_texts_with((const int32_t[]){1, 8, 9});
    begin_texts_with((const int32_t[]){8, 9, 1});
}

// ---- files ----

static void change_byte(const char *needle, size_t size, size_t offset, char to)
{
    char bytes[1 << 16];
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f), at = 0;
    while (at + size <= n && memcmp(bytes + at, needle, size) != 0)
        at++;
    assert_true(at + size <= n);
    fseek(f, (long)(at + offset), SEEK_SET);
    fwrite(&to, 1, 1, f);
    fclose(f);
}

static void expect(const char *family, tb_code code, const char *part)
{
    tb_model *model;
    tb_code rc = tb_model_open(&model, model_path(family), &(tb_model_options){.threads = 1, .prefix_kv = path}, &err);
    assert_int_equal(rc, code);
    if (!strstr(err.message, part))
        fail_msg("'%s' does not say '%s'", err.message, part);
}

static void prefix_files__that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const int32_t tokens[] = {1, 2};
    make_file("llama", tokens, 2);
    expect("gemma3", TB_EFORMAT, "does not have the model's shape");
    change_byte("prefix.k", 8, 7, 'x');
    expect("llama", TB_EFORMAT, "'prefix.k'");
    make_file("llama", tokens, 2);
    change_byte("twobit.prefix.hash", 18, 40, 'z'); // a digit of its value
    expect("llama", TB_EFORMAT, "is not what was written");
    make_file("llama", tokens, 2);
    change_byte("twobit.prefix.source", 20, 40, 'z');
    expect("llama", TB_EFORMAT, "is not what was written");
    make_file("llama", tokens, 2);
    change_byte("twobit.prefix.source", 20, 0, 'T');
    expect("llama", TB_EFORMAT, "twobit.prefix.source");
    tb_model *model;
    const tb_model_options not_there = {.prefix_kv = "/nowhere"}, no_prefix = {.prefix_kv = model_path("llama")};
    assert_int_equal(tb_model_open(&model, model_path("llama"), &not_there, &err), TB_EIO);
    assert_int_equal(tb_model_open(&model, model_path("llama"), &no_prefix, &err), TB_EFORMAT);
}

static void prefix_files__of_another_model_are_refused(void **state)
{
    (void)state;
    tb_arena arena = {0};
    tb_prefix prefix;
    tb_model *model = open_prefixed("llama", "none", 1);
    OK(tb_prefix_make(&prefix, &arena, model, (const int32_t[]){1}, 1, &err));
    prefix.source[0] = prefix.source[0] == '0' ? '1' : '0';
    OK(tb_prefix_save(&prefix, model, path, &err));
    expect("llama", TB_EINVAL, "was made for another model");
    assert_int_equal(tb_prefix_make(&prefix, &arena, model, NULL, 0, &err), TB_EINVAL);
    assert_int_equal(tb_prefix_make(&prefix, &arena, model, (const int32_t[]){-1}, 1, &err), TB_EINVAL);
    tb_arena_clear(&arena);
    tb_model_close(model);
    model = open_prefixed("phi3", NULL, 1);
    assert_int_equal(tb_prefix_make(&prefix, &arena, model, (const int32_t[]){1}, 1, &err), TB_EUNSUPPORTED);
    tb_arena_clear(&arena);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_rows__are_constants),
        cmocka_unit_test(prefix__can_be_edited),
        cmocka_unit_test(prefix__changes_nothing_in_the_model_that_made_it),
        cmocka_unit_test(prefix__is_used_however_tokens_come),
        cmocka_unit_test(texts__begin_with_the_prefix_once),
        cmocka_unit_test(prefix_files__that_do_not_fit_are_refused),
        cmocka_unit_test(prefix_files__of_another_model_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
