// The sampler chain against a plain one that sorts everything, and against statistics.
#include "edited_model.h"
#include "model_files.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 96 };

// A model, and a sequence with logits.
typedef struct bench {
    tb_model *model;
    tb_seq *seq;
    const float *logits;
} bench;

static bench open_bench(void)
{
    bench b = {.model = open_model(tiny_path("llama.gguf"), 1)};
    int32_t *ids = random_ids(10, VOCAB, 9);
    b.seq = new_seq(b.model, 64, 0, TB_KV_CACHE_F16);
    assert_int_equal(tb_seq_push(b.seq, ids, 10, NULL), TB_OK);
    b.logits = tb_seq_logits(b.seq);
    tb_free(ids);
    return b;
}

static void close_bench(bench *b)
{
    tb_seq_free(b->seq);
    tb_model_close(b->model);
}

static tb_sampler *new_sampler(const bench *b, tb_sampler_options options)
{
    tb_sampler *sampler;
    tb_error err;
    if (tb_sampler_new(&sampler, b->model, &options, &err))
        fail_msg("%s", err.message);
    return sampler;
}

static int32_t pick(tb_sampler *sampler, const bench *b)
{
    int32_t token;
    tb_error err;
    if (tb_sampler_pick(&token, sampler, b->seq, &err))
        fail_msg("%s", err.message);
    return token;
}

static int32_t pick_once(const bench *b, tb_sampler_options options)
{
    tb_sampler *sampler = new_sampler(b, options);
    int32_t token = pick(sampler, b);
    tb_sampler_free(sampler);
    return token;
}

static int32_t best(const float *logits)
{
    int32_t at = 0;
    for (int32_t i = 1; i < VOCAB; i++)
        if (logits[i] > logits[at])
            at = i;
    return at;
}

// ---- the plain chain ----

static const double *sort_keys;

static int by_key(const void *a, const void *b)
{
    int i = *(const int *)a, j = *(const int *)b;
    return sort_keys[i] != sort_keys[j] ? (sort_keys[i] < sort_keys[j] ? 1 : -1) : i - j;
}

static void share_out(double p[VOCAB], const float *logits, double temperature)
{
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += p[i] = p[i] > 0 ? exp((double)logits[i] / temperature) : 0;
    for (int i = 0; i < VOCAB; i++)
        p[i] /= sum;
}

// Sets p to 0 for all that do not come first by `keys` until `share` or `most` is reached.
static void cut(double p[VOCAB], const double keys[VOCAB], double share, size_t most)
{
    int order[VOCAB];
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        order[i] = i;
    sort_keys = keys;
    qsort(order, VOCAB, sizeof order[0], by_key);
    for (size_t i = 0; i < VOCAB; i++) {
        if (i >= most || sum >= share)
            p[order[i]] = 0;
        sum += p[order[i]];
    }
}

// Probabilities that the whole chain gives to each token.
static void plain_chain(double p[VOCAB], const float *logits, const tb_sampler_options *o)
{
    double keys[VOCAB], entropy = 0, top = 0;
    for (int i = 0; i < VOCAB; i++) {
        p[i] = 1;
        keys[i] = (double)logits[i];
    }
    if (o->top_k)
        cut(p, keys, INFINITY, o->top_k);
    share_out(p, logits, 1);
    if (o->typical_p > 0 && o->typical_p < 1) {
        double surprise[VOCAB];
        for (int i = 0; i < VOCAB; i++)
            entropy -= p[i] > 0 ? p[i] * log(p[i]) : 0;
        for (int i = 0; i < VOCAB; i++)
            surprise[i] = p[i] > 0 ? -fabs(-log(p[i]) - entropy) : -INFINITY;
        cut(p, surprise, o->typical_p, VOCAB);
        share_out(p, logits, 1);
    }
    if (o->top_p > 0 && o->top_p < 1) {
        for (int i = 0; i < VOCAB; i++)
            keys[i] = p[i] > 0 ? (double)logits[i] : -INFINITY;
        cut(p, keys, o->top_p, VOCAB);
        share_out(p, logits, 1);
    }
    for (int i = 0; i < VOCAB; i++)
        top = fmax(top, p[i]);
    for (int i = 0; i < VOCAB; i++)
        p[i] = p[i] < o->min_p * top ? 0 : p[i];
    share_out(p, logits, o->temperature);
}

// Draws many times: nothing outside the plain chain's candidates, and frequencies within five
// standard deviations of its probabilities.
static void expect_chain(const bench *b, tb_sampler_options options)
{
    enum { DRAWS = 20000 };
    double p[VOCAB];
    int counts[VOCAB] = {0};
    plain_chain(p, b->logits, &options);
    tb_sampler *sampler = new_sampler(b, options);
    for (int i = 0; i < DRAWS; i++)
        counts[pick(sampler, b)]++;
    for (int i = 0; i < VOCAB; i++) {
        double deviation = sqrt(DRAWS * p[i] * (1 - p[i]));
        if (fabs(counts[i] - DRAWS * p[i]) > 5 * deviation + 1e-9)
            fail_msg("token %d: drawn %d times, not %g", i, counts[i], DRAWS * p[i]);
    }
    tb_sampler_free(sampler);
}

static void chain__draws_as_a_plain_one(void **state)
{
    (void)state;
    bench b = open_bench();
    expect_chain(&b, (tb_sampler_options){.temperature = 1, .seed = 1});
    expect_chain(&b, (tb_sampler_options){.temperature = 2.5, .seed = 2});
    expect_chain(&b, (tb_sampler_options){.temperature = 3, .top_k = 7, .seed = 3});
    expect_chain(&b, (tb_sampler_options){.temperature = 2, .top_p = 0.9, .seed = 4});
    expect_chain(&b, (tb_sampler_options){.temperature = 2, .min_p = 0.02, .seed = 5});
    expect_chain(&b, (tb_sampler_options){.temperature = 1.5, .typical_p = 0.6, .seed = 6});
    expect_chain(&b, (tb_sampler_options){
                         .temperature = 4, .top_k = 30, .typical_p = 0.95, .top_p = 0.9, .min_p = 0.05, .seed = 7});
    close_bench(&b);
}

static void filters__that_are_off_change_no_draw(void **state)
{
    (void)state;
    bench b = open_bench();
    for (uint64_t seed = 0; seed < 50; seed++) {
        int32_t expected = pick_once(&b, (tb_sampler_options){.temperature = 2, .seed = seed});
        assert_int_equal(
            pick_once(
                &b,
                (tb_sampler_options){
                    .temperature = 2, .seed = seed, .top_k = VOCAB, .top_p = 1, .typical_p = 1, .repeat_penalty = 1}),
            expected);
    }
    close_bench(&b);
}

static void temperature_zero__is_greedy(void **state)
{
    (void)state;
    bench b = open_bench();
    int32_t expected = best(b.logits);
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_int_equal(pick_once(&b, (tb_sampler_options){.seed = seed}), expected);
        assert_int_equal(pick_once(&b, (tb_sampler_options){.temperature = 9, .top_k = 1, .seed = seed}), expected);
        assert_int_equal(pick_once(&b, (tb_sampler_options){.temperature = 9, .min_p = 1, .seed = seed}), expected);
        assert_int_equal(pick_once(&b, (tb_sampler_options){.temperature = 9, .top_p = 1e-9, .seed = seed}), expected);
    }
    close_bench(&b);
}

static void seed__decides_the_draws(void **state)
{
    (void)state;
    bench b = open_bench();
    tb_sampler_options options = {.temperature = 3, .seed = 42};
    tb_sampler *a = new_sampler(&b, options), *same = new_sampler(&b, options);
    options.seed = 43;
    tb_sampler *other = new_sampler(&b, options);
    int different = 0;
    for (int i = 0; i < 100; i++) {
        int32_t token = pick(a, &b);
        assert_int_equal(pick(same, &b), token);
        different += pick(other, &b) != token;
    }
    assert_true(different > 10);
    tb_sampler_free(a), tb_sampler_free(same), tb_sampler_free(other);
    close_bench(&b);
}

// The greedy choice shows what the penalties have made of the logits.
static void penalties__lower_what_was_seen_in_the_window(void **state)
{
    (void)state;
    bench b = open_bench();
    int32_t top = best(b.logits);
    for (int pushed = 1; pushed <= 3; pushed++) {
        float expected[VOCAB];
        assert_int_equal(tb_seq_push(b.seq, &top, 1, NULL), TB_OK);
        for (size_t window = 1; window <= 20; window += 6) {
            const int32_t *tokens = tb_seq_tokens(b.seq);
            size_t length = tb_seq_length(b.seq), n = window < length ? window : length;
            for (int i = 0; i < VOCAB; i++) {
                int times = 0;
                for (size_t j = length - n; j < length; j++)
                    times += tokens[j] == i;
                double logit = (double)b.logits[i];
                if (times)
                    logit = (logit > 0 ? logit / 1.5 : logit * 1.5) - 0.5 - 0.25 * times;
                expected[i] = (float)logit;
            }
            tb_sampler_options options = {
                .repeat_penalty = 1.5, .presence_penalty = 0.5, .frequency_penalty = 0.25, .penalty_window = window};
            assert_int_equal(pick_once(&b, options), best(expected));
        }
    }
    close_bench(&b);
}

static void penalties__are_the_same_at_every_pick(void **state)
{
    (void)state;
    bench b = open_bench();
    tb_sampler *sampler = new_sampler(&b, (tb_sampler_options){.repeat_penalty = 1.3, .frequency_penalty = 0.2});
    int32_t token = pick(sampler, &b);
    for (int i = 0; i < 5; i++)
        assert_int_equal(pick(sampler, &b), token);
    tb_sampler_free(sampler);
    close_bench(&b);
}

static void bias__forces_and_forbids(void **state)
{
    (void)state;
    bench b = open_bench();
    int32_t top = best(b.logits), other = (top + 5) % VOCAB;
    const int32_t ids[] = {top, other};
    const float values[] = {-INFINITY, 1000};
    tb_sampler_options options = {.bias_ids = ids, .bias_values = values, .bias_count = 2, .temperature = 1};
    assert_int_equal(pick_once(&b, options), other);
    options.bias_count = 1;
    for (options.seed = 0; options.seed < 200; options.seed++)
        assert_int_not_equal(pick_once(&b, options), top);
    close_bench(&b);
}

static void sampler__refuses_nonsense(void **state)
{
    (void)state;
    bench b = open_bench();
    tb_sampler *sampler;
    tb_error err;
    const int32_t bad_id = VOCAB, good_id = 3;
    const float nan = NAN, one = 1;
    const tb_sampler_options bad[] = {
        {.temperature = -1},
        {.temperature = NAN},
        {.temperature = INFINITY},
        {.top_p = 1.1},
        {.top_p = NAN},
        {.min_p = -0.1},
        {.typical_p = 2},
        {.repeat_penalty = -1},
        {.presence_penalty = NAN},
        {.frequency_penalty = INFINITY},
        {.bias_ids = &bad_id, .bias_values = &one, .bias_count = 1},
        {.bias_ids = &good_id, .bias_values = &nan, .bias_count = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(tb_sampler_new(&sampler, b.model, &bad[i], &err), TB_EINVAL);
        assert_null(sampler);
        assert_true(strlen(err.message) > 10);
    }
    tb_sampler_free(NULL);
    close_bench(&b);
}

static void pick__needs_logits_of_its_model(void **state)
{
    (void)state;
    bench b = open_bench(), other = open_bench();
    tb_error err;
    int32_t token, ids[VOCAB];
    float values[VOCAB];
    tb_sampler *sampler = new_sampler(&b, (tb_sampler_options){0});
    assert_int_equal(tb_sampler_pick(&token, sampler, other.seq, &err), TB_EINVAL);
    tb_seq_truncate(b.seq, 4);
    assert_int_equal(tb_sampler_pick(&token, sampler, b.seq, &err), TB_EINVAL);
    tb_sampler_free(sampler);

    for (int i = 0; i < VOCAB; i++) {
        ids[i] = i;
        values[i] = -INFINITY;
    }
    sampler = new_sampler(&other, (tb_sampler_options){.bias_ids = ids, .bias_values = values, .bias_count = VOCAB});
    assert_int_equal(tb_sampler_pick(&token, sampler, other.seq, &err), TB_EINVAL);
    tb_sampler_free(sampler);
    close_bench(&b);
    close_bench(&other);
}

static void pick__refuses_a_broken_model(void **state)
{
    (void)state;
    const double values[] = {NAN, INFINITY};
    for (size_t i = 0; i < 2; i++) {
        tb_error err;
        int32_t token;
        model_edit edit = {FILL_VECTOR, "output_norm.weight", values[i], NULL};
        write_edited(temp_path("broken.gguf"), tiny_path("llama.gguf"), &edit, 1);
        bench b = {.model = open_model(temp_path("broken.gguf"), 1)};
        b.seq = new_seq(b.model, 4, 0, TB_KV_CACHE_F16);
        assert_int_equal(tb_seq_push(b.seq, (const int32_t[]){1}, 1, &err), TB_OK);
        tb_sampler *sampler = new_sampler(&b, (tb_sampler_options){.temperature = 1});
        assert_int_equal(tb_sampler_pick(&token, sampler, b.seq, &err), TB_EINVAL);
        assert_non_null(strstr(err.message, "broken"));
        tb_sampler_free(sampler);
        close_bench(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain__draws_as_a_plain_one),
        cmocka_unit_test(filters__that_are_off_change_no_draw),
        cmocka_unit_test(temperature_zero__is_greedy),
        cmocka_unit_test(seed__decides_the_draws),
        cmocka_unit_test(penalties__lower_what_was_seen_in_the_window),
        cmocka_unit_test(penalties__are_the_same_at_every_pick),
        cmocka_unit_test(bias__forces_and_forbids),
        cmocka_unit_test(sampler__refuses_nonsense),
        cmocka_unit_test(pick__needs_logits_of_its_model),
        cmocka_unit_test(pick__refuses_a_broken_model),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
