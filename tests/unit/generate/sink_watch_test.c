// generate: what is told of attention while tokens are chosen.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "generate/generate.h"
#include "rounding.h"
#include "tiny_model.h"

enum { TOKENS = 24 };

// What a generation of TOKENS tokens told.
typedef struct trace {
    tb_sink_sight sights[TOKENS];
    size_t count;
    size_t fails_at; // a sight that is refused; 0: none
} trace;

static bool take(void *user, const char *text, size_t size)
{
    (void)user, (void)text, (void)size;
    return true;
}

static tb_code watch(void *user, const tb_sink_sight *sight, tb_error *err)
{
    trace *t = user;
    assert_true(t->count < TOKENS);
    t->sights[t->count++] = *sight;
    return t->count == t->fails_at ? tb_fail(err, TB_EIO, "the disk is full") : TB_OK;
}

static tb_model *open_model(size_t threads)
{
    char path[] = "/tmp/twobit-watch-XXXXXX";
    tb_model *model = NULL;
    tb_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(tiny_model_write(path, &tiny_model_default, &err), TB_OK);
    assert_int_equal(tb_model_open(&model, path, &(tb_model_options){.threads = threads}, &err), TB_OK);
    unlink(path); // the mapping stays
    return model;
}

static tb_code generate(trace *t, size_t threads, const tb_seq_options *memory, tb_generate_stats *stats)
{
    tb_model *model = open_model(threads);
    tb_error err;
    const tb_generate_options options = {
        .most = TOKENS,
        .memory = *memory,
        .sampler = {.temperature = 1, .seed = 5, .no_end = true},
        .take = take,
        .watch = watch,
        .user = t,
    };
    tb_code rc = tb_generate(stats, model, "a b c d", 7, &options, &err);
    tb_model_close(model);
    return rc;
}

static void sink_watch__tells_of_every_token(void **state)
{
    trace t = {0};
    tb_generate_stats stats;
    (void)state;
    assert_int_equal(generate(&t, 2, &(tb_seq_options){0}, &stats), TB_OK);
    assert_int_equal(t.count, TOKENS);
    for (size_t i = 0; i < TOKENS; i++) {
        const tb_sink_sight *s = &t.sights[i];
        assert_int_equal(s->position, stats.prompt_tokens + i);
        assert_true(s->probability > 0 && s->probability <= 1);
        assert_true(s->mass > 0 && s->mass < 1);
        assert_true(s->entropy > 0 && s->entropy < log((double)s->position));
        assert_true(s->largest > 0);
    }
}

static void sink_watch__is_the_same_at_any_number_of_threads(void **state)
{
    trace one = {0}, three = {0};
    tb_generate_stats stats;
    (void)state;
    assert_int_equal(generate(&one, 1, &(tb_seq_options){0}, &stats), TB_OK);
    assert_int_equal(generate(&three, 3, &(tb_seq_options){0}, &stats), TB_OK);
    for (size_t i = 0; i < TOKENS; i++) {
        assert_int_equal(one.sights[i].token, three.sights[i].token);
        assert_true(one.sights[i].mass == three.sights[i].mass);
        assert_true(one.sights[i].entropy == three.sights[i].entropy);
        assert_true(one.sights[i].largest == three.sights[i].largest);
    }
}

static void sink_watch__sees_what_is_done_to_the_sink(void **state)
{
    trace none = {0}, all = {0};
    tb_generate_stats stats;
    (void)state;
    assert_int_equal(generate(&none, 2, &(tb_seq_options){.sink_bias = -1000}, &stats), TB_OK);
    assert_int_equal(generate(&all, 2, &(tb_seq_options){.sink_bias = 1000}, &stats), TB_OK);
    for (size_t i = 0; i < TOKENS; i++) {
        assert_true(none.sights[i].mass == 0);
        assert_true(all.sights[i].mass == 1 && all.sights[i].entropy == 0);
    }
}

// Where all tokens are kept, their attention is all there is: the sum of a softmax's row.
static void sink_watch__counts_the_tokens_that_are_kept(void **state)
{
    const tb_seq_options memory = {.keep_sinks = 40, .kv_bits = {.keys = 4, .values = 4, .group = 8}};
    trace t = {0};
    tb_generate_stats stats;
    (void)state;
    assert_int_equal(generate(&t, 2, &memory, &stats), TB_OK);
    for (size_t i = 0; i < TOKENS; i++)
        assert_true(fabs(t.sights[i].mass - 1) <= rounding_of_sums(stats.prompt_tokens + TOKENS, TOKENS));
}

static void sink_watch__fails_with_its_taker(void **state)
{
    trace t = {.fails_at = 3};
    tb_generate_stats stats;
    (void)state;
    assert_int_equal(generate(&t, 2, &(tb_seq_options){0}, &stats), TB_EIO);
    assert_int_equal(t.count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sink_watch__tells_of_every_token),
        cmocka_unit_test(sink_watch__is_the_same_at_any_number_of_threads),
        cmocka_unit_test(sink_watch__sees_what_is_done_to_the_sink),
        cmocka_unit_test(sink_watch__counts_the_tokens_that_are_kept),
        cmocka_unit_test(sink_watch__fails_with_its_taker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
