// Several sequences in one batch: each gets the bits that it gets alone.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "model/runner.h"
#include "rounding.h"

enum { SEQUENCES = 4, TOKENS = 60, ROWS = 64 };

static const tb_kv_plan f16_plan = {.capacity = TOKENS};

static tb_model *open_tiny(const char *family, size_t threads)
{
    char name[64];
    snprintf(name, sizeof name, "%s.gguf", family);
    return open_model(tiny_path(name), threads);
}

// A sequence as a batch sees it, twice: computed with others, and alone.
typedef struct line {
    tb_memory together, alone;
    int32_t *ids;
    size_t done;
    float *together_logits, *alone_logits; // [TOKENS][vocab]
} line;

static void line_init(line *l, const tb_model *model, uint64_t seed)
{
    tb_error err;
    const tb_config *config = tb_model_config(model);
    tb_kv_plan plan = {.type = seed % 2 ? TB_KV_CACHE_F32 : TB_KV_CACHE_F16, .capacity = TOKENS};
    *l = (line){.ids = random_ids(TOKENS, config->vocab, seed)};
    assert_int_equal(tb_memory_init(&l->together, &model->settings, 0, config->blocks, &plan, &err), TB_OK);
    assert_int_equal(tb_memory_init(&l->alone, &model->settings, 0, config->blocks, &plan, &err), TB_OK);
    l->together_logits = tb_alloc_array(TOKENS * config->vocab, sizeof(float));
    l->alone_logits = tb_alloc_array(TOKENS * config->vocab, sizeof(float));
}

static void line_clear(line *l)
{
    tb_memory_clear(&l->together), tb_memory_clear(&l->alone);
    tb_free(l->ids), tb_free(l->together_logits), tb_free(l->alone_logits);
}

// Batches under way.
typedef struct batches {
    tb_runner together, alone;
    int32_t tokens[ROWS], positions[ROWS];
    tb_span spans[SEQUENCES];
    tb_batch batch;
} batches;

// Puts the next `count` tokens of a line, of whose logits the last `wanted` are asked for, into the batch, and computes
// them alone.
static void add_span(batches *b, line *l, size_t count, size_t wanted, size_t vocab)
{
    size_t first = b->batch.rows;
    memcpy(b->tokens + first, l->ids + l->done, count * sizeof *b->tokens);
    for (size_t i = 0; i < count; i++)
        b->positions[first + i] = (int32_t)(l->done + i);
    size_t at = (l->done + count - wanted) * vocab;
    b->spans[b->batch.span_count++] = (tb_span){&l->together, TOKENS, first, count, wanted, l->together_logits + at, 0};
    b->batch.rows += count;
    l->done += count;
    tb_span own = {&l->alone, TOKENS, 0, count, wanted, l->alone_logits + at, 0};
    tb_runner_run(&b->alone, &(tb_batch){b->tokens + first, b->positions + first, count, &own, 1}, NULL);
}

// One to twenty tokens, more often few: both ways of every product and of attention.
static size_t draw_count(tb_rng *rng, size_t most)
{
    size_t n = 1 + tb_rng_below(rng, tb_rng_below(rng, 2) ? 20 : 5);
    return n < most ? n : most;
}

static void batch__gives_each_sequence_its_own_bits(void **state)
{
    (void)state;
    tb_error err;
    tb_rng rng;
    batches *b = tb_new(batches);
    for (size_t f = 0; tiny_families[f]; f++)
        for (size_t threads = 1; threads <= 3; threads++) {
            tb_model *model = open_tiny(tiny_families[f], threads);
            size_t vocab = tb_model_vocab_size(model);
            line lines[SEQUENCES];
            tb_rng_init(&rng, 15, f);
            for (size_t i = 0; i < SEQUENCES; i++)
                line_init(&lines[i], model, 10 * f + i);
            assert_int_equal(tb_runner_init(&b->together, model, ROWS, &f16_plan, &err), TB_OK);
            assert_int_equal(tb_runner_init(&b->alone, model, 20, &f16_plan, &err), TB_OK);
            for (size_t done = 0; done < SEQUENCES * TOKENS; done += b->batch.rows) {
                b->batch = (tb_batch){b->tokens, b->positions, 0, b->spans, 0};
                for (size_t i = 0; i < SEQUENCES; i++) {
                    line *l = &lines[(i + f) % SEQUENCES];
                    size_t left = TOKENS - l->done, room = ROWS - b->batch.rows;
                    if (left == 0 || room == 0 || tb_rng_below(&rng, 3) == 0)
                        continue;
                    size_t count = draw_count(&rng, left < room ? left : room);
                    add_span(b, l, count, tb_rng_below(&rng, count + 1), vocab);
                }
                tb_runner_run(&b->together, &b->batch, NULL);
            }
            for (size_t i = 0; i < SEQUENCES; i++) {
                size_t bytes = TOKENS * vocab * sizeof(float);
                assert_memory_equal(lines[i].together_logits, lines[i].alone_logits, bytes);
                line_clear(&lines[i]);
            }
            tb_runner_clear(&b->together), tb_runner_clear(&b->alone);
            tb_model_close(model);
        }
    tb_free(b);
}

// What a probe was shown of three sequences: rows of activations and of attention, by block, span and position.
enum { SPANS = 3, COLS = 64, BLOCKS = 8, HEADS = 4 };
typedef struct sights {
    float inputs[BLOCKS][SPANS][TB_LINEAR_INPUTS][TOKENS][COLS];
    float stream[BLOCKS + 1][SPANS][TOKENS][COLS];
    float weights[BLOCKS][SPANS][HEADS][TOKENS][TOKENS];
    size_t only; // the span that is computed alone, as span 0; SPANS: all are in one batch
} sights;

static size_t span_of(const sights *s, const tb_probe_place *at)
{
    return s->only < SPANS ? s->only : at->span;
}

static void see_input(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    sights *s = user;
    for (size_t i = 0; i < rows->rows; i++)
        memcpy(s->inputs[at->block][span_of(s, at)][input][rows->positions[i]], rows->x + i * rows->stride,
               rows->cols * sizeof(float));
}

static void see_stream(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    sights *s = user;
    for (size_t i = 0; i < rows->rows; i++)
        memcpy(s->stream[at->block + 1][span_of(s, at)][rows->positions[i]], rows->x + i * rows->stride,
               rows->cols * sizeof(float));
}

static void see_weights(void *user, const tb_probe_place *at, size_t head, size_t position,
                        const tb_attention_piece *pieces, size_t count)
{
    sights *s = user;
    for (size_t i = 0; i < count; i++)
        memcpy(s->weights[at->block][span_of(s, at)][head][position] + pieces[i].first, pieces[i].weights,
               pieces[i].count * sizeof(float));
}

static void probe__tells_the_sequences_of_a_batch_apart(void **state)
{
    (void)state;
    static const size_t counts[SPANS] = {1, 17, 3};
    tb_error err;
    sights *together = tb_new(sights), *alone = tb_new(sights);
    tb_model *model = open_tiny("gemma3", 3);
    const tb_config *config = tb_model_config(model);
    tb_memory memories[SPANS];
    tb_span spans[SPANS];
    int32_t *ids = random_ids(ROWS, config->vocab, 1), positions[ROWS];
    tb_runner runner;
    size_t rows = 0;
    assert_int_equal(tb_runner_init(&runner, model, ROWS, &f16_plan, &err), TB_OK);
    for (size_t i = 0; i < SPANS; rows += counts[i++]) {
        assert_int_equal(tb_memory_init(&memories[i], &model->settings, 0, config->blocks, &f16_plan, &err), TB_OK);
        spans[i] = (tb_span){.memory = &memories[i], .first = rows, .count = counts[i]};
        for (size_t t = 0; t < counts[i]; t++)
            positions[rows + t] = (int32_t)t;
    }
    tb_probe probe = {
        .linear_input = see_input, .attention_row = see_weights, .residual = see_stream, .user = together};
    together->only = SPANS;
    tb_runner_run(&runner, &(tb_batch){ids, positions, rows, spans, SPANS}, &probe);
    probe.user = alone;
    for (size_t i = 0; i < SPANS; i++) {
        tb_span own = {.memory = &memories[i], .count = counts[i]};
        alone->only = i;
        tb_memory_truncate(&memories[i], 0);
        tb_runner_run(&runner, &(tb_batch){ids + spans[i].first, positions + spans[i].first, counts[i], &own, 1},
                      &probe);
        tb_memory_clear(&memories[i]);
    }
    alone->only = SPANS;
    assert_memory_equal(together, alone, sizeof *alone);
    tb_runner_clear(&runner);
    tb_free(ids), tb_free(together), tb_free(alone);
    tb_model_close(model);
}

// RoPE knows distances only: where a sequence begins changes angles' roundings and nothing else. (In a family whose
// scores grow with the position it changes those.)
static void batch__may_begin_at_any_position(void **state)
{
    (void)state;
    enum { COUNT = 30, LATER = 1000 };
    tb_error err;
    for (size_t f = 0; tiny_families[f]; f++) {
        tb_model *model = open_tiny(tiny_families[f], 1);
        if (model->settings.query_growth.rate > 0) {
            tb_model_close(model);
            continue;
        }
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(COUNT, vocab, f), positions[COUNT];
        float *logits[2];
        tb_runner runner;
        assert_int_equal(tb_runner_init(&runner, model, COUNT, &f16_plan, &err), TB_OK);
        for (size_t k = 0; k < 2; k++) {
            line l;
            line_init(&l, model, 1);
            logits[k] = tb_alloc_array(COUNT * vocab, sizeof(float));
            for (size_t i = 0; i < COUNT; i++)
                positions[i] = (int32_t)(i + k * LATER);
            tb_span span = {&l.alone, COUNT, 0, COUNT, COUNT, logits[k], 0};
            tb_runner_run(&runner, &(tb_batch){ids, positions, COUNT, &span, 1}, NULL);
            line_clear(&l);
        }
        // Sines and cosines of other angles are rounded in their own ways, and every sum behind them.
        assert_true(distance(logits[1], logits[0], COUNT * vocab) <=
                    rounding_of_passes(tb_model_config(model), COUNT, COUNT * vocab));
        tb_free(logits[0]), tb_free(logits[1]), tb_free(ids);
        tb_runner_clear(&runner);
        tb_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch__gives_each_sequence_its_own_bits),
        cmocka_unit_test(batch__may_begin_at_any_position),
        cmocka_unit_test(probe__tells_the_sequences_of_a_batch_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
