// Measurements of tiny models against sums made from the rows that a plain probe shows.
#include "model_files.h"
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    T = 24,
    SEQUENCES = 3,
    BLOCKS = 2,
    HEADS = 4,
    ALL = TB_SINK_WHAT_MAP | TB_SINK_WHAT_MASSIVE | TB_SINK_WHAT_VALUES | TB_SINK_WHAT_TAILS | TB_SINK_WHAT_POSITIONS |
          TB_SINK_WHAT_GEOMETRY | TB_SINK_WHAT_MIXING
};

static const tiny_model shape = {
    .blocks = BLOCKS, .width = 64, .ffn_width = 96, .heads = HEADS, .kv_heads = 2, .context = 64, .seed = 3};

static tb_error err;

static void fill_text(int32_t *text, size_t n)
{
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    for (size_t i = 0; i < n; i++)
        text[i] = (int32_t)tb_rng_below(&rng, tiny_model_vocab_size());
}

static void measure(tb_sink_result *r, const tb_model *model, const tb_sink_options *options)
{
    if (tb_sink_measure(r, model, ALL, options, &err))
        fail_msg("%s", err.message);
}

// ---- what a plain probe sees ----

typedef struct seen {
    double alpha[BLOCKS][HEADS]; // of position 0
    double largest;
} seen;

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    seen *s = user;
    (void)position;
    assert_int_equal(count, 1);
    s->alpha[at->block][head] += (double)pieces[0].weights[0] / T / SEQUENCES;
}

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    seen *s = user;
    (void)at;
    for (size_t t = 0; t < rows->rows; t++)
        for (size_t c = 0; c < rows->cols; c++)
            s->largest = fmax(s->largest, fabs((double)rows->x[t * rows->stride + c]));
}

static void measure__agrees_with_a_plain_probe(void **state)
{
    (void)state;
    int32_t text[SEQUENCES * T];
    seen expected = {0};
    tb_probe probe = {.attention_row = see_row, .residual = see_residual, .user = &expected};
    tb_model *model = open_tiny(&shape, 1);
    tb_seq *seq;
    tb_sink_result r;
    fill_text(text, SEQUENCES * T);
    measure(&r, model,
            &(tb_sink_options){.ctx = T, .text = text, .text_count = SEQUENCES * T, .bos = TB_SINK_BOS_NEVER});
    assert_true(r.sequences == SEQUENCES && r.ctx == T && !r.bos);
    assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.context = T, .kv_cache = TB_KV_CACHE_F32}, &err),
                     TB_OK);
    tb_seq_set_probe(seq, &probe);
    for (size_t i = 0; i < SEQUENCES; i++) {
        tb_seq_truncate(seq, 0);
        assert_int_equal(tb_seq_push(seq, text + i * T, T, &err), TB_OK);
    }
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t h = 0; h < HEADS; h++) // T weights, each cut to 2^-32
            assert_true(fabs(r.map.heads[b * HEADS + h].first - expected.alpha[b][h]) < T * 0x1p-32);
    assert_true(r.massive.largest == expected.largest);
    tb_seq_free(seq);
    tb_sink_result_clear(&r);
    tb_model_close(model);
}

static void measure__is_the_same_for_any_number_of_threads(void **state)
{
    (void)state;
    int32_t text[SEQUENCES * T];
    tb_sink_options options = {.ctx = T, .text = text, .text_count = SEQUENCES * T};
    tb_sink_result one, more;
    tb_model *model = open_tiny(&shape, 1);
    fill_text(text, SEQUENCES * T);
    measure(&one, model, &options);
    tb_model_close(model);
    for (size_t threads = 2; threads <= 3; threads++) {
        model = open_tiny(&shape, threads);
        measure(&more, model, &options);
        assert_memory_equal(one.map.heads, more.map.heads, BLOCKS * HEADS * sizeof *one.map.heads);
        assert_memory_equal(one.massive.stages, more.massive.stages, (BLOCKS + 1) * sizeof *one.massive.stages);
        assert_memory_equal(one.geometry.stages, more.geometry.stages, (BLOCKS + 1) * sizeof *one.geometry.stages);
        assert_memory_equal(one.values, more.values, BLOCKS * HEADS * sizeof *one.values);
        assert_memory_equal(one.tails.sites, more.tails.sites, BLOCKS * TB_SINK_SITES * sizeof *one.tails.sites);
        assert_memory_equal(one.positions.sinks, more.positions.sinks, T * sizeof *one.positions.sinks);
        tb_sink_result_clear(&more);
        tb_model_close(model);
    }
    tb_sink_result_clear(&one);
}

// T-15 of the specification: the first token's key and value know nothing of what follows.
typedef struct first_rows {
    float key[BLOCKS][64], value[BLOCKS][64];
} first_rows;

static void keep_first(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    first_rows *f = user;
    if (stage == TB_EDIT_KEY || stage == TB_EDIT_VALUE)
        memcpy(stage == TB_EDIT_KEY ? f->key[at->block] : f->value[at->block], rows->x, rows->cols * sizeof(float));
}

static void first_token__is_the_same_whatever_follows(void **state)
{
    (void)state;
    enum { CONTINUATIONS = 100 };
    first_rows first = {0}, other = {0};
    for (size_t i = 0, threads = 1; i < CONTINUATIONS; i++, threads = i % 3 + 1) {
        int32_t text[T];
        tb_rng rng;
        tb_rng_init(&rng, 11, i);
        for (size_t t = 0; t < T; t++)
            text[t] = t ? (int32_t)tb_rng_below(&rng, tiny_model_vocab_size()) : 5;
        tb_model *model = open_tiny(&shape, threads);
        tb_probe probe = {.edit = keep_first, .user = i ? &other : &first};
        tb_seq *seq;
        assert_int_equal(tb_seq_new(&seq, model, &(tb_seq_options){.context = T}, &err), TB_OK);
        tb_seq_set_probe(seq, &probe);
        assert_int_equal(tb_seq_push(seq, text, T, &err), TB_OK);
        if (i)
            assert_memory_equal(&first, &other, sizeof first);
        tb_seq_free(seq);
        tb_model_close(model);
    }
}

static void measure__knows_three_inputs(void **state)
{
    (void)state;
    tb_model *model = open_tiny(&shape, 1);
    tb_sink_result a, b, c;
    measure(&a, model, &(tb_sink_options){.ctx = T, .sequences = 5, .input = TB_SINK_RANDOM, .seed = 1});
    measure(&b, model, &(tb_sink_options){.ctx = T, .sequences = 5, .input = TB_SINK_RANDOM, .seed = 2});
    measure(&c, model, &(tb_sink_options){.ctx = T, .sequences = 5, .input = TB_SINK_REPEAT, .bos = TB_SINK_BOS_NEVER});
    assert_true(a.sequences == 5 && a.map.first != b.map.first);
    // Equal tokens have equal values, and no position makes a key longer than another: the mean entropy is high.
    assert_true(c.map.entropy_share > a.map.entropy_share);
    tb_sink_result_clear(&a), tb_sink_result_clear(&b), tb_sink_result_clear(&c);
    tb_model_close(model);
}

static void measure__knows_every_family(void **state)
{
    (void)state;
    for (size_t f = 0; tiny_families[f]; f++) {
        char name[64];
        tb_sink_result r;
        snprintf(name, sizeof name, "%s.gguf", tiny_families[f]);
        tb_model *model = open_model(tiny_path(name), 2);
        measure(&r, model, &(tb_sink_options){.ctx = 2 * T, .sequences = 2, .input = TB_SINK_RANDOM});
        size_t heads = tb_model_config(model)->blocks * tb_model_config(model)->heads;
        for (size_t i = 0; i < heads; i++) {
            const tb_sink_head *h = &r.map.heads[i];
            assert_true(h->first > 0 && h->first <= 1 && h->entropy_share > 0 && h->entropy_share <= 1 + 0x1p-20);
            assert_true(r.values[i].value_ratio > 0 && fabs(r.values[i].query_cos) <= 1);
        }
        for (size_t i = 0; i < tb_model_config(model)->blocks * TB_SINK_SITES; i++)
            assert_true(r.tails.sites[i].calls >= 2 && r.tails.sites[i].rms >= 1);
        tb_sink_result_clear(&r);
        tb_model_close(model);
    }
}

static void super__refuses_mixtures(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("qwen3_moe.gguf"), 1);
    tb_super_result r;
    assert_int_equal(tb_sink_find_super(&r, model, &(int32_t){1}, 1, &(tb_super_options){0}, &err), TB_EUNSUPPORTED);
    tb_super_result_clear(&r);
    tb_model_close(model);
}

static void refuse(const tb_model *model, tb_sink_options options, tb_code code, const char *message)
{
    tb_sink_result r;
    assert_int_equal(tb_sink_measure(&r, model, ALL, &options, &err), code);
    assert_string_equal(err.message, message);
    tb_sink_result_clear(&r);
}

static void measure__refuses_what_it_cannot_run(void **state)
{
    (void)state;
    int32_t text[T] = {0};
    tiny_model broken = shape;
    broken.nan = true;
    tb_model *model = open_tiny(&shape, 1), *nan = open_tiny(&broken, 1);
    refuse(model, (tb_sink_options){.ctx = T, .text = text, .text_count = T - 1}, TB_EINVAL,
           "the text has 23 tokens and fills no sequence of 24");
    refuse(model, (tb_sink_options){.ctx = T, .text_count = 0}, TB_EINVAL,
           "the text has 0 tokens and fills no sequence of 24");
    refuse(model, (tb_sink_options){.ctx = 3, .text = text, .text_count = T}, TB_EINVAL,
           "sequences of 3 tokens are too short; 8 is the least");
    refuse(model, (tb_sink_options){.ctx = 65, .text = text, .text_count = T}, TB_ELIMIT,
           "sequences of 65 tokens are longer than the model's context of 64");
    refuse(nan, (tb_sink_options){.ctx = T, .text = text, .text_count = T}, TB_EINVAL,
           "the model is broken: its logits are not finite");
    text[3] = (int32_t)tiny_model_vocab_size();
    char outside[80];
    snprintf(outside, sizeof outside, "token %zu is outside the vocabulary of %zu", tiny_model_vocab_size(),
             tiny_model_vocab_size());
    refuse(model, (tb_sink_options){.ctx = T, .text = text, .text_count = T}, TB_EINVAL, outside);
    tb_model_close(model), tb_model_close(nan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measure__agrees_with_a_plain_probe),
        cmocka_unit_test(measure__is_the_same_for_any_number_of_threads),
        cmocka_unit_test(first_token__is_the_same_whatever_follows),
        cmocka_unit_test(measure__knows_three_inputs),
        cmocka_unit_test(measure__knows_every_family),
        cmocka_unit_test(super__refuses_mixtures),
        cmocka_unit_test(measure__refuses_what_it_cannot_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
