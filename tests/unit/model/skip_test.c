// Pages that are not read: what they would have weighed is computed in double. Values tell which were read: all values
// of a page are 1 at the page's own place, so that what a head reads is the weight of each page.
#include "model/attention.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "model_files.h"

enum { HEADS = 2, HEAD = 40, KEYS = HEAD * TB_KV_PAGE, CASES = 10000, MOST_ROWS = 40 };

typedef struct scene {
    tb_config config;
    unsigned char near[1], rotated[1];
    tb_settings settings;
    tb_compute compute;
    tb_memory memory;
    double skip;
    float keys[KEYS][HEAD], values[KEYS][HEAD], query[HEADS * HEAD], out[HEADS * HEAD], sinks[HEADS], cap;
    bool sunk; // whether the sink logits count
    float *scratch;
} scene;

static void scene_init(scene *s, tb_kv_cache_type type)
{
    tb_error err;
    *s = (scene){.config = {.blocks = 1, .heads = HEADS, .kv_heads = 1, .head_size = HEAD}};
    s->settings = (tb_settings){.config = s->config, .near = s->near, .rotated = s->rotated};
    tb_kv_plan plan = {.type = type, .capacity = KEYS, .skip = 0.5}; // any, so that pages are known
    assert_int_equal(tb_compute_init(&s->compute, tb_cpu_detect(), 1, &err), TB_OK);
    assert_int_equal(tb_memory_init(&s->memory, &s->settings, 0, 1, &plan, &err), TB_OK);
    s->scratch = tb_alloc_array(tb_attention_scratch(&s->config, TB_SOFTMAX, false, KEYS, 1), sizeof(float));
    assert_non_null(s->scratch);
    for (size_t t = 0; t < KEYS; t++)
        s->values[t][t / TB_KV_PAGE] = 1;
}

static void scene_clear(scene *s)
{
    tb_memory_clear(&s->memory);
    tb_free(s->scratch);
}

static void store(scene *s, size_t begin, size_t end)
{
    for (size_t t = begin; t < end; t++) {
        int32_t position = (int32_t)t;
        tb_kv_rows row = {s->keys[t], s->values[t], HEAD, 1, &position, NULL};
        tb_kv_store(&s->memory.kv[0], &s->compute, &row);
    }
}

// Rows of `query` at the last positions of `count`.
static void attend_rows(scene *s, size_t count, const float *query, float *out, size_t rows)
{
    int32_t positions[MOST_ROWS];
    for (size_t i = 0; i < rows; i++)
        positions[i] = (int32_t)(count - rows + i);
    tb_attention_run(&(tb_attention){
        .compute = &s->compute,
        .config = &s->config,
        .kv = &s->memory.kv[0],
        .scale = 1,
        .cap = s->cap,
        .skip = s->skip,
        .sink_logits = s->sunk ? s->sinks : NULL,
        .query = query,
        .out = out,
        .stride = HEADS * HEAD,
        .rows = rows,
        .positions = positions,
        .scratch = s->scratch,
        .scratch_capacity = KEYS,
    });
}

static void attend(scene *s, size_t count)
{
    attend_rows(s, count, s->query, s->out, 1);
}

// The weight of pages of which nothing was read.
static double skipped_mass(const scene *s, size_t head, size_t count)
{
    static double z[KEYS];
    bool half = s->memory.kv[0].heads[0].type == TB_KV_CACHE_F16;
    double top = s->sunk ? (double)s->sinks[head] : -INFINITY, sum, skipped = 0;
    for (size_t t = 0; t < count; t++) {
        z[t] = 0;
        for (size_t i = 0; i < HEAD; i++) {
            float key = half ? tb_half_to_float(tb_half_from_float(s->keys[t][i])) : s->keys[t][i];
            z[t] += (double)s->query[head * HEAD + i] * (double)key;
        }
        z[t] = s->cap > 0 ? (double)s->cap * tanh(z[t] / (double)s->cap) : z[t];
        top = fmax(top, z[t]);
    }
    sum = s->sunk ? exp((double)s->sinks[head] - top) : 0;
    for (size_t t = 0; t < count; t++) {
        double w = exp(z[t] - top);
        sum += w;
        skipped += s->out[head * HEAD + t / TB_KV_PAGE] == 0 ? w : 0;
    }
    return skipped / sum;
}

// ---- keys that are hard to bound ----

static void fill(scene *s, tb_rng *rng, size_t count)
{
    float size = expf(2 * (float)tb_rng_normal(rng) - 1), common[HEAD]; // up to some 1,000: halves hold them
    for (size_t i = 0; i < HEADS * HEAD; i++)
        s->query[i] = (float)tb_rng_normal(rng) / 4;
    for (size_t i = 0; i < HEAD; i++)
        common[i] = (float)tb_rng_normal(rng);
    size_t kind = tb_rng_below(rng, 5);
    for (size_t t = 0; t < count; t++) {
        if (t % TB_KV_PAGE == 0 && kind == 1) // all keys of a page alike: the bound is what they get
            for (size_t i = 0; i < HEAD; i++)
                common[i] = (float)tb_rng_normal(rng);
        for (size_t i = 0; i < HEAD; i++) {
            float x = size * (float)tb_rng_normal(rng);
            s->keys[t][i] = kind == 1 ? size * common[i] : kind == 2 ? common[i] + x / 16 : x;
        }
        if (kind == 3) { // large numbers that cancel, more or less
            s->query[1] = -s->query[0];
            s->keys[t][0] = 4000 + s->keys[t][2];
            s->keys[t][1] = 4000 + s->keys[t][3];
        }
    }
    if (kind == 4) // one key in the middle that the query looks for
        memcpy(s->keys[TB_KV_PAGE + tb_rng_below(rng, count - TB_KV_PAGE)], s->query, HEAD * sizeof(float));
    if (tb_rng_below(rng, 2)) // a sink
        for (size_t i = 0; i < HEAD; i++)
            s->keys[0][i] = 8 * (s->query[i] + s->query[HEAD + i]);
    for (size_t h = 0; h < HEADS; h++)
        s->sinks[h] = 20 * (float)tb_rng_normal(rng);
    s->sunk = tb_rng_below(rng, 3) == 0;
    s->cap = tb_rng_below(rng, 3) == 0 ? 30 : 0;
}

static void skip__never_leaves_out_more_than_it_may(void **state)
{
    (void)state;
    static const double deltas[] = {1e-6, 1e-3, 0.05, 0.9};
    tb_rng rng;
    tb_rng_init(&rng, 16, 4);
    scene *s = tb_new(scene);
    size_t skipped = 0;
    for (int type = TB_KV_CACHE_F16; type <= TB_KV_CACHE_F32; type++) {
        scene_init(s, (tb_kv_cache_type)type);
        for (int i = 0; i < CASES / 2; i++) {
            size_t count = 140 + tb_rng_below(&rng, KEYS - 140 + 1);
            s->skip = deltas[tb_rng_below(&rng, 4)];
            fill(s, &rng, count);
            tb_memory_truncate(&s->memory, 0);
            store(s, 0, count);
            attend(s, count);
            for (size_t h = 0; h < HEADS; h++) {
                double mass = skipped_mass(s, h, count);
                if (!(mass <= s->skip))
                    fail_msg("case %d of type %d: %g of %g is left out", i, type, mass, s->skip);
            }
        }
        skipped += s->memory.kv[0].heads[0].pages_skipped;
        assert_true(s->memory.kv[0].heads[0].pages_met > s->memory.kv[0].heads[0].pages_skipped);
        scene_clear(s);
    }
    assert_true(skipped > CASES);
    tb_free(s);
}

// What was taken back leaves no trace in the bounds.
static void skip__is_the_same_after_going_back(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 16, 5);
    scene *s = tb_new(scene);
    scene_init(s, TB_KV_CACHE_F16);
    for (int i = 0; i < 200; i++) {
        float expected[HEADS * HEAD];
        size_t count = 200 + tb_rng_below(&rng, KEYS - 200 + 1), back = tb_rng_below(&rng, count);
        s->skip = 0.05;
        fill(s, &rng, count);
        tb_memory_truncate(&s->memory, 0);
        store(s, 0, count);
        attend(s, count);
        memcpy(expected, s->out, sizeof expected);
        tb_memory_truncate(&s->memory, back);
        for (size_t t = back; t < count; t++) // others, larger
            for (size_t k = 0; k < HEAD; k++)
                s->keys[t][k] *= 4;
        store(s, back, count);
        tb_memory_truncate(&s->memory, back);
        for (size_t t = back; t < count; t++)
            for (size_t k = 0; k < HEAD; k++)
                s->keys[t][k] /= 4;
        store(s, back, count);
        attend(s, count);
        assert_memory_equal(s->out, expected, sizeof expected);
    }
    scene_clear(s);
    tb_free(s);
}

// The pages of which nothing is read are the same whether a row comes alone or with others.
static void skip__is_the_same_for_rows_that_come_together(void **state)
{
    (void)state;
    static float queries[MOST_ROWS][HEADS * HEAD], out[MOST_ROWS][HEADS * HEAD];
    tb_rng rng;
    tb_rng_init(&rng, 16, 6);
    scene *s = tb_new(scene);
    size_t unread = 0;
    scene_init(s, TB_KV_CACHE_F16);
    for (int i = 0; i < 200; i++) {
        size_t rows = 1 + tb_rng_below(&rng, MOST_ROWS), count = 200 + tb_rng_below(&rng, KEYS - 200 + 1);
        s->skip = 0.05;
        fill(s, &rng, count);
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < HEADS * HEAD; k++) // of some rows nothing can be skipped
                queries[r][k] = s->query[k] * (float)tb_rng_below(&rng, 3);
        tb_memory_truncate(&s->memory, 0);
        store(s, 0, count);
        attend_rows(s, count, queries[0], out[0], rows);
        for (size_t r = 0; r < rows; r++) {
            attend_rows(s, count - rows + r + 1, queries[r], s->out, 1);
            for (size_t k = 0; k < HEADS * (size_t)HEAD; k++) {
                assert_int_equal(out[r][k] == 0, s->out[k] == 0);
                unread += s->out[k] == 0;
            }
        }
    }
    assert_true(unread > 200);
    scene_clear(s);
    tb_free(s);
}

// ---- sequences ----

static tb_seq *new_skipping(const tb_model *model, double skip, size_t batch)
{
    tb_seq *seq;
    tb_error err;
    tb_seq_options options = {.context = 256, .batch = batch, .kv_cache = TB_KV_CACHE_F32, .skip_mass = skip};
    if (tb_seq_new(&seq, model, &options, &err))
        fail_msg("%s", err.message);
    return seq;
}

static void skipping__nothing_is_a_plain_sequence_to_the_bit(void **state)
{
    (void)state;
    enum { TOKENS = 250 };
    tb_model *model = open_model(tiny_path("llama.gguf"), 2);
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, vocab, 1);
    tb_seq *plain = new_seq(model, 256, 64, TB_KV_CACHE_F32), *exact = new_skipping(model, 0, 64);
    float *expected = push_all(plain, ids, TOKENS), *logits = push_all(exact, ids, TOKENS);
    assert_memory_equal(logits, expected, TOKENS * vocab * sizeof *logits);
    assert_true(tb_seq_skipped(exact) == 0);
    tb_free(logits), tb_free(expected), tb_free(ids);
    tb_seq_free(plain), tb_seq_free(exact);
    tb_model_close(model);
}

static void skipping__changes_little_and_goes_with_nothing_else(void **state)
{
    (void)state;
    enum { TOKENS = 250 };
    tb_model *model = open_model(tiny_path("llama.gguf"), 2);
    size_t vocab = tb_model_vocab_size(model), n = TOKENS * vocab;
    int32_t *ids = random_ids(TOKENS, vocab, 2);
    tb_seq *plain = new_seq(model, 256, 64, TB_KV_CACHE_F32), *seq = new_skipping(model, 1e-3, 64), *fork, *wrong;
    float *expected = push_all(plain, ids, TOKENS), *logits = push_all(seq, ids, TOKENS);
    assert_true(distance(logits, expected, n) < 1e-2); // 2δ of every head's largest value, in each block
    assert_true(tb_seq_skipped(seq) >= 0 && tb_seq_skipped(seq) <= 1);
    tb_error err;
    assert_int_equal(tb_seq_fork(&fork, seq, &err), TB_OK);
    float *one = push_all(seq, ids, 5), *other = push_all(fork, ids, 5);
    assert_memory_equal(one, other, 5 * vocab * sizeof *one);
    const double shares[] = {-0.1, 1, NAN};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(tb_seq_new(&wrong, model, &(tb_seq_options){.skip_mass = shares[i]}, &err), TB_EINVAL);
    const tb_seq_options both[] = {{.skip_mass = 0.1, .window = 8},
                                   {.skip_mass = 0.1, .eviction = TB_EVICT_H2O, .budget = 8},
                                   {.skip_mass = 0.1, .kv_bits = {2, 2, 64, 128}}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(tb_seq_new(&wrong, model, &both[i], &err), TB_EUNSUPPORTED);
    tb_free(one), tb_free(other), tb_free(logits), tb_free(expected), tb_free(ids);
    tb_seq_free(plain), tb_seq_free(seq), tb_seq_free(fork);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skip__never_leaves_out_more_than_it_may),
        cmocka_unit_test(skip__is_the_same_after_going_back),
        cmocka_unit_test(skip__is_the_same_for_rows_that_come_together),
        cmocka_unit_test(skipping__nothing_is_a_plain_sequence_to_the_bit),
        cmocka_unit_test(skipping__changes_little_and_goes_with_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
