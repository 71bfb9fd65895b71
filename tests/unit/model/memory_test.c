// Every allocation of the way from a file to a token fails once: each time the call says so, leaks
// nothing (the sanitizers watch) and leaves what existed usable.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

static tb_code open_and_close(void *user, tb_error *err)
{
    tb_model *model;
    tb_code rc = tb_model_open(&model, user, &(tb_model_options){.threads = 1}, err);
    assert_true(rc == TB_OK || !model);
    tb_model_close(model);
    return rc;
}

static tb_code make_seq(void *user, tb_error *err)
{
    tb_seq *seq;
    tb_code rc = tb_seq_new(&seq, user, &(tb_seq_options){.context = 8}, err);
    assert_true(rc == TB_OK || !seq);
    tb_seq_free(seq);
    return rc;
}

static tb_code make_stream(void *user, tb_error *err)
{
    tb_seq *seq;
    tb_code rc = tb_seq_new(&seq, user, &(tb_seq_options){.keep_sinks = 2, .window = 8}, err);
    assert_true(rc == TB_OK || !seq);
    tb_seq_free(seq);
    return rc;
}

static tb_code fork_seq(void *user, tb_error *err)
{
    tb_seq *fork;
    tb_code rc = tb_seq_fork(&fork, user, err);
    assert_true(rc == TB_OK || !fork);
    tb_seq_free(fork);
    return rc;
}

static tb_code make_sampler(void *user, tb_error *err)
{
    tb_sampler *sampler;
    const int32_t id = 1;
    const float value = 1;
    tb_sampler_options options = {.bias_ids = &id, .bias_values = &value, .bias_count = 1};
    tb_code rc = tb_sampler_new(&sampler, user, &options, err);
    assert_true(rc == TB_OK || !sampler);
    tb_sampler_free(sampler);
    return rc;
}

static tb_code run_states(void *user, tb_error *err)
{
    tb_states states;
    float logits[96];
    tb_code rc = tb_states_init(&states, user, (const int32_t[]){1, 2, 3, 4}, 2, 2, err);
    if (!rc)
        rc = tb_states_run_block(&states, user, 0, NULL, NULL, err);
    if (!rc)
        rc = tb_states_logits(logits, user, states.x, states.stride, 1, err);
    tb_states_clear(&states);
    return rc;
}

static tb_code split_heads(void *user, tb_error *err)
{
    static const char text[] = "{\"format\": \"twobit head split\", \"source\": "
                               "\"0123456789012345678901234567890123456789012345678901234567890123\", "
                               "\"scores\": [[1, 2]]}";
    const tb_config *c = tb_model_config(user);
    double zeros[64] = {0};
    assert_true(c->blocks * c->kv_heads <= 64);
    const tb_head_scores of_model = {c->blocks, c->kv_heads, zeros, ""};
    tb_head_split *split = NULL;
    tb_head_scores scores;
    tb_code rc = tb_head_scores_parse(&scores, (tb_text){text, strlen(text)}, "file", err);
    if (!rc)
        rc = tb_head_split_new(&split, user, &of_model, 0.5, 1, 1, err);
    tb_head_scores_clear(&scores);
    tb_head_split_close(split);
    return rc;
}

static tb_code tokenize(void *user, tb_error *err)
{
    int32_t *ids;
    char *text = NULL;
    size_t count, size;
    tb_code rc = tb_model_tokenize(user, "the end", 7, TB_TOKENIZE_BOS, &ids, &count, err);
    if (!rc)
        rc = tb_model_detokenize(user, ids, count, false, &text, &size, err);
    tb_free_ids(ids);
    tb_free_text(text);
    return rc;
}

// Runs `fn` with one allocation more each time until it succeeds; returns how often it failed.
static size_t fail_each_allocation(tb_code (*fn)(void *user, tb_error *err), void *user)
{
    for (long long n = 0;; n++) {
        tb_error err = {0};
        tb_mem_fail_after(n);
        tb_code rc = fn(user, &err);
        tb_mem_fail_after(-1);
        if (rc == TB_OK)
            return (size_t)n;
        if (rc != TB_ENOMEM)
            fail_msg("code %d instead of TB_ENOMEM: %s", rc, err.message);
        assert_true(strlen(err.message) > 10);
    }
}

static void model_open__survives_lack_of_memory(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(open_and_close, (void *)(uintptr_t)tiny_path("llama.gguf")) > 10);
    assert_true(fail_each_allocation(open_and_close, (void *)(uintptr_t)tiny_path("gemma3.gguf")) > 2);
    assert_true(fail_each_allocation(open_and_close, (void *)(uintptr_t)tiny_path("llama3")) > 2);
}

static void objects_on_a_model__survive_lack_of_memory(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("llama.gguf"), 1);
    assert_true(fail_each_allocation(make_seq, model) > 5);
    assert_true(fail_each_allocation(make_stream, model) > 5);
    tb_seq *seq = new_seq(model, 8, 0, TB_KV_CACHE_F16);
    assert_true(fail_each_allocation(fork_seq, seq) > 5);
    tb_seq_free(seq);
    assert_true(fail_each_allocation(make_sampler, model) > 3);
    assert_true(fail_each_allocation(run_states, model) > 3);
    assert_true(fail_each_allocation(tokenize, model) > 2);
    assert_true(fail_each_allocation(split_heads, model) > 4);
    tb_model_close(model);
}

static void seq_push__needs_no_memory(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("gemma3.gguf"), 2);
    tb_seq *seq = new_seq(model, 40, 8, TB_KV_CACHE_F16);
    tb_sampler *sampler;
    int32_t *ids = random_ids(20, 96, 1), token;
    tb_sampler_options options = {.temperature = 1, .top_k = 20, .top_p = 0.9, .typical_p = 0.9, .repeat_penalty = 1.1};
    assert_int_equal(tb_sampler_new(&sampler, model, &options, NULL), TB_OK);
    tb_mem_fail_after(0);
    assert_int_equal(tb_seq_push(seq, ids, 20, NULL), TB_OK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(tb_sampler_pick(&token, sampler, seq, NULL), TB_OK);
        assert_int_equal(tb_seq_push(seq, &token, 1, NULL), TB_OK);
    }
    tb_mem_fail_after(-1);
    tb_sampler_free(sampler);
    tb_free(ids);
    tb_seq_free(seq);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_open__survives_lack_of_memory),
        cmocka_unit_test(objects_on_a_model__survive_lack_of_memory),
        cmocka_unit_test(seq_push__needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
