// What a probe sees, against what tests/ref computes.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "forward_ref.h"
#include "rounding.h"

enum { TOKENS = 37, WIDEST = 64, MOST_HEADS = 4, MOST_BLOCKS = 7 };

// Everything seen, by what it belongs to. Residuals: index 0 is the embedding.
typedef struct trace {
    float inputs[MOST_BLOCKS][TB_LINEAR_INPUTS][TOKENS][WIDEST];
    float rows[MOST_BLOCKS][MOST_HEADS][TOKENS][TOKENS];
    float residuals[MOST_BLOCKS + 1][TOKENS][WIDEST];
    size_t stage; // of the last call: they must not go back
    atomic_size_t calls;
} trace;

// Stages of a block in order: inputs of q, rows, inputs of o, of gate, of down, residual.
static void advance(trace *t, size_t block, size_t stage)
{
    size_t now = (block + 1) * 6 + stage;
    assert_true(now >= t->stage);
    t->stage = now;
    t->calls++;
}

static void see_input(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    static const size_t stages[TB_LINEAR_INPUTS] = {0, 2, 3, 4};
    trace *t = user;
    advance(t, at->block, stages[input]);
    assert_true(at->span == 0 && at->worker == 0);
    assert_true(rows->stride >= rows->cols && rows->cols <= WIDEST);
    for (size_t i = 0; i < rows->rows; i++) {
        const float *x = rows->x + i * rows->stride;
        assert_in_range(rows->positions[i], 0, TOKENS - 1);
        memcpy(t->inputs[at->block][input][rows->positions[i]], x, rows->cols * sizeof *x);
        for (size_t j = rows->cols; j < rows->stride; j++)
            assert_true(x[j] == 0);
    }
}

// Called by several workers at once, so it must not advance the stage.
static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    trace *t = user;
    assert_true(t->stage <= (at->block + 1) * 6 + 1);
    assert_int_equal(count, 1);
    assert_int_equal(pieces[0].first + pieces[0].count, position + 1);
    assert_null(pieces[0].positions);
    assert_true(at->worker < 2);
    memcpy(t->rows[at->block][head][position] + pieces[0].first, pieces[0].weights, pieces[0].count * sizeof(float));
    t->calls++;
}

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    trace *t = user;
    advance(t, at->block, 5);
    assert_int_equal(rows->cols, 48);
    for (size_t i = 0; i < rows->rows; i++)
        memcpy(t->residuals[at->block + 1][rows->positions[i]], rows->x + i * rows->stride, 48 * sizeof(float));
}

static tb_probe probe_into(trace *t)
{
    return (tb_probe){.linear_input = see_input, .attention_row = see_row, .residual = see_residual, .user = t};
}

static void compare(const tb_model *model, const trace *seen, const trace *expected)
{
    enum { INPUTS = sizeof seen->inputs / sizeof(float), ROWS = sizeof seen->rows / sizeof(float) };
    enum { RESIDUALS = sizeof seen->residuals / sizeof(float) };
    const tb_config *c = tb_model_config(model);
    assert_true(distance(&seen->inputs[0][0][0][0], &expected->inputs[0][0][0][0], INPUTS) <
                rounding_of_passes(c, TOKENS, INPUTS));
    assert_true(distance(&seen->rows[0][0][0][0], &expected->rows[0][0][0][0], ROWS) <
                rounding_of_passes(c, TOKENS, ROWS));
    assert_true(distance(&seen->residuals[0][0][0], &expected->residuals[0][0][0], RESIDUALS) <
                rounding_of_passes(c, TOKENS, RESIDUALS));
}

static void probe__sees_what_plain_loops_compute(void **state)
{
    (void)state;
    static const size_t pieces[] = {30, 1, 2, 4}; // tiles, rows, and the seams between pushes
    trace *seen = tb_new(trace), *expected = tb_new(trace);
    for (size_t f = 0; tiny_dense[f]; f++) {
        char name[64];
        snprintf(name, sizeof name, "%s.gguf", tiny_dense[f]);
        tb_model *model = open_model(tiny_path(name), 2);
        size_t vocab = tb_model_vocab_size(model);
        int32_t *ids = random_ids(TOKENS, vocab, f);
        double *logits = tb_alloc_array(TOKENS * vocab, sizeof *logits);
        tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
        tb_probe a = probe_into(seen), b = probe_into(expected);
        memset(seen, 0, sizeof *seen);
        memset(expected, 0, sizeof *expected);
        tb_seq_set_probe(seq, &a);
        for (size_t i = 0, done = 0; i < sizeof pieces / sizeof pieces[0]; done += pieces[i], i++) {
            seen->stage = 0;
            tb_free(push_all(seq, ids + done, pieces[i]));
        }
        assert_true(ref_forward(logits, model, ids, TOKENS, &b));
        compare(model, seen, expected);
        tb_free(logits), tb_free(ids);
        tb_seq_free(seq);
        tb_model_close(model);
    }
    tb_free(seen), tb_free(expected);
}

static void leave(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    trace *t = user;
    (void)at, (void)stage, (void)rows;
    t->calls++;
}

static void probe__changes_no_bit(void **state)
{
    (void)state;
    trace *t = tb_new(trace);
    tb_probe probe = probe_into(t);
    probe.edit = leave;
    tb_model *model = open_model(tiny_path("gemma3.gguf"), 2);
    size_t n = TOKENS * tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 3);
    tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
    float *without = push_all(seq, ids, TOKENS);
    tb_seq_truncate(seq, 0);
    tb_seq_set_probe(seq, &probe);
    float *with = push_all(seq, ids, TOKENS);
    assert_memory_equal(with, without, n * sizeof *with);
    size_t calls = t->calls;
    tb_seq_truncate(seq, 0);
    tb_seq_set_probe(seq, NULL);
    tb_free(with);
    with = push_all(seq, ids, TOKENS);
    assert_int_equal(t->calls, calls);
    tb_free(with), tb_free(without), tb_free(ids), tb_free(t);
    tb_seq_free(seq);
    tb_model_close(model);
}

// ---- edits ----

// What an experiment does to rows at a stage.
typedef struct experiment {
    unsigned stages; // bits by tb_edit_stage: rows become `value`, the first one only where `first`
    bool first;
    float value;
    float residual[TOKENS][WIDEST]; // as it left the last block
} experiment;

static void change(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    const experiment *e = user;
    for (size_t t = 0; at->block != SIZE_MAX && (e->stages >> stage & 1) && t < rows->rows; t++)
        for (size_t c = 0; c < rows->cols && (rows->positions[t] == 0 || !e->first); c++)
            rows->x[t * rows->stride + c] = e->value;
}

static void keep_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    experiment *e = user;
    (void)at;
    for (size_t t = 0; t < rows->rows; t++)
        memcpy(e->residual[rows->positions[t]], rows->x + t * rows->stride, rows->cols * sizeof(float));
}

static float *run_experiment(experiment *e, const tb_model *model, size_t hidden)
{
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 6);
    tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
    tb_probe probe = {.edit = change, .residual = keep_residual, .hidden = hidden, .user = e};
    tb_seq_set_probe(seq, &probe);
    float *logits = push_all(seq, ids, TOKENS);
    tb_seq_free(seq);
    tb_free(ids);
    return logits;
}

static void edit__parts_without_output_leave_the_stream_alone(void **state)
{
    (void)state;
    static const tb_edit_stage attention[] = {TB_EDIT_ATTENDED, TB_EDIT_ATTENTION}; // in front of Wo, and behind
    experiment *e = tb_new(experiment);
    tb_model *model = open_model(tiny_path("qwen3.gguf"), 2);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 6);
    tb_states states;
    tb_error err;
    assert_int_equal(tb_states_init(&states, model, ids, 1, TOKENS, &err), TB_OK);
    for (size_t i = 0; i < 2; i++) {
        e->stages = 1u << attention[i] | 1u << TB_EDIT_FFN;
        tb_free(run_experiment(e, model, 0));
        for (size_t t = 0; t < TOKENS; t++)
            assert_memory_equal(e->residual[t], states.x + t * states.stride,
                                tb_model_config(model)->width * sizeof(float));
    }
    tb_states_clear(&states);
    tb_free(ids), tb_free(e);
    tb_model_close(model);
}

// ---- turns ----

typedef struct queries {
    float x[TOKENS][WIDEST];
} queries;

static void keep_queries(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    queries *q = user;
    for (size_t t = 0; at->block == 0 && stage == TB_EDIT_QUERY && t < rows->rows; t++)
        memcpy(q->x[rows->positions[t]], rows->x + t * rows->stride, tb_min_size(rows->cols, WIDEST) * sizeof(float));
}

// The same token again and again has one query, but for its turns: numbers a and b of pair i, turned back.
static void check_turns(const tb_model *model, const queries *q)
{
    const tb_config *c = tb_model_config(model);
    double frequencies[WIDEST], largest = 0;
    bool halves;
    size_t pairs = tb_model_get_turns(frequencies, &halves, model, 0, TOKENS);
    for (size_t i = 0; i < c->head_size; i++)
        largest = fmax(largest, fabs((double)q->x[0][i]));
    double allowed = largest * rounding_of_passes(c, TOKENS, TOKENS * c->head_size);
    for (size_t t = 1; t < TOKENS; t++) {
        for (size_t i = 0; i < pairs; i++) {
            size_t a = halves ? i : 2 * i, b = halves ? i + pairs : 2 * i + 1;
            double angle = (double)t * frequencies[i];
            double x = cos(angle) * (double)q->x[t][a] + sin(angle) * (double)q->x[t][b];
            double y = cos(angle) * (double)q->x[t][b] - sin(angle) * (double)q->x[t][a];
            assert_true(fabs(x - (double)q->x[0][a]) <= allowed && fabs(y - (double)q->x[0][b]) <= allowed);
        }
        for (size_t i = 2 * pairs; i < c->head_size; i++)
            assert_true(fabs((double)q->x[t][i] - (double)q->x[0][i]) <= allowed);
    }
}

static void turns__are_those_of_the_queries(void **state)
{
    (void)state;
    queries *q = tb_new(queries);
    for (size_t f = 0; tiny_dense[f]; f++) {
        char name[64];
        int32_t ids[TOKENS];
        snprintf(name, sizeof name, "%s.gguf", tiny_dense[f]);
        tb_model *model = open_model(tiny_path(name), 1);
        tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
        tb_probe probe = {.edit = keep_queries, .user = q};
        for (size_t t = 0; t < TOKENS; t++)
            ids[t] = 5;
        tb_seq_set_probe(seq, &probe);
        tb_free(push_all(seq, ids, TOKENS));
        check_turns(model, q);
        tb_seq_free(seq);
        tb_model_close(model);
    }
    tb_free(q);
}

// ---- edits of inputs ----

// Linears that have no bias put nothing out where they read nothing.
static void silence(void *user, const tb_probe_place *at, tb_linear_input input, const tb_edit_rows *rows)
{
    (void)user, (void)at, (void)input;
    for (size_t t = 0; t < rows->rows; t++)
        memset(rows->x + t * rows->stride, 0, rows->cols * sizeof(float));
}

static void see_silence(void *user, const tb_probe_place *at, tb_linear_input input, const tb_probe_rows *rows)
{
    experiment *e = user;
    (void)at, (void)input;
    for (size_t t = 0; t < rows->rows; t++)
        for (size_t c = 0; c < rows->cols; c++)
            assert_true(rows->x[t * rows->stride + c] == 0);
    e->stages |= 1u << input;
}

static bool adds_biases(const tb_model *model)
{
    for (size_t b = 0; b < tb_model_config(model)->blocks; b++) {
        tb_linears linears = tb_model_linears(model, b);
        for (size_t i = 0; i < linears.count; i++)
            if (linears.at[i].bias && (linears.at[i].input == TB_INPUT_OUTPUT || linears.at[i].input == TB_INPUT_DOWN))
                return true;
    }
    return false;
}

static void edit_input__is_all_that_linears_read(void **state)
{
    (void)state;
    size_t seen = 0;
    for (size_t f = 0; tiny_families[f]; f++) {
        char name[64];
        snprintf(name, sizeof name, "%s.gguf", tiny_families[f]);
        tb_model *model = open_model(tiny_path(name), 2);
        if (!adds_biases(model)) {
            experiment *e = tb_new(experiment);
            int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 6);
            tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
            tb_probe probe = {.edit_input = silence, .linear_input = see_silence, .residual = keep_residual, .user = e};
            tb_states states;
            tb_error err;
            tb_seq_set_probe(seq, &probe);
            tb_free(push_all(seq, ids, TOKENS));
            assert_int_equal(tb_states_init(&states, model, ids, 1, TOKENS, &err), TB_OK);
            for (size_t t = 0; t < TOKENS; t++)
                assert_memory_equal(e->residual[t], states.x + t * states.stride,
                                    tb_model_config(model)->width * sizeof(float));
            assert_int_equal(e->stages, (1u << TB_LINEAR_INPUTS) - 1);
            tb_states_clear(&states);
            tb_seq_free(seq);
            tb_free(ids), tb_free(e);
            seen++;
        }
        tb_model_close(model);
    }
    assert_true(seen > 5);
}

static void edit__stream_behind_the_blocks_is_what_the_head_reads(void **state)
{
    (void)state;
    experiment *e = tb_new(experiment);
    e->stages = 1u << TB_EDIT_RESIDUAL, e->value = 1;
    tb_model *model = open_model(tiny_path("llama.gguf"), 2);
    size_t vocab = tb_model_vocab_size(model);
    float *logits = run_experiment(e, model, 0);
    for (size_t t = 1; t < TOKENS; t++)
        assert_memory_equal(logits + t * vocab, logits, vocab * sizeof *logits);
    tb_free(logits), tb_free(e);
    tb_model_close(model);
}

// What the first token's key and value are makes no difference to those that do not see them.
static void hidden__is_not_seen(void **state)
{
    (void)state;
    static const char *const families[] = {"llama.gguf", "gemma3.gguf"};
    for (size_t f = 0; f < 2; f++) {
        experiment *e = tb_new(experiment);
        tb_model *model = open_model(tiny_path(families[f]), 2);
        size_t vocab = tb_model_vocab_size(model);
        float *plain = run_experiment(e, model, 0), *without = run_experiment(e, model, 1);
        e->stages = 1u << TB_EDIT_KEY | 1u << TB_EDIT_VALUE, e->first = true, e->value = 3;
        float *other = run_experiment(e, model, 1);
        assert_memory_equal(plain, without, vocab * sizeof *plain); // it still sees itself
        assert_memory_equal(without + vocab, other + vocab, (TOKENS - 1) * vocab * sizeof *plain);
        assert_memory_not_equal(plain + vocab, without + vocab, (TOKENS - 1) * vocab * sizeof *plain);
        tb_free(plain), tb_free(without), tb_free(other), tb_free(e);
        tb_model_close(model);
    }
}

// Windows of blocks with a window: no weight lies outside, and the weights are a distribution.
static void attention_row__is_a_distribution_over_the_window(void **state)
{
    (void)state;
    trace *t = tb_new(trace);
    tb_probe probe = {.attention_row = see_row, .user = t};
    tb_model *model = open_model(tiny_path("gemma3.gguf"), 1);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 4);
    tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F16);
    tb_seq_set_probe(seq, &probe);
    tb_free(push_all(seq, ids, TOKENS));
    for (size_t block = 0; block < 7; block++)
        for (size_t head = 0; head < 2; head++)
            for (size_t p = 0; p < TOKENS; p++) {
                double sum = 0, outside = 0;
                for (size_t key = 0; key <= p; key++) {
                    sum += (double)t->rows[block][head][p][key];
                    outside += p - key >= 9 ? (double)t->rows[block][head][p][key] : 0;
                }
                // Weights are divided by their own sum: it is off by its p + 1 terms, and each weight by exp's share,
                // which is in the sum as well, and a product.
                assert_true(fabs(sum - 1) <= rounding_of_sums(p + 3, 7 * 2 * TOKENS));
                assert_true(block == 5 ? p < 9 || outside > 0 : outside == 0);
            }
    tb_free(ids), tb_free(t);
    tb_seq_free(seq);
    tb_model_close(model);
}

// The probe of one block sees that block, window by window.
static void states_run_block__shows_inputs_of_its_block(void **state)
{
    (void)state;
    enum { LENGTH = 18 };
    tb_error err;
    trace *seen = tb_new(trace), *expected = tb_new(trace);
    tb_probe a = {.linear_input = see_input, .user = seen}, b = {.linear_input = see_input, .user = expected};
    tb_model *model = open_model(tiny_path("qwen3.gguf"), 1);
    int32_t *ids = random_ids(2 * LENGTH, tb_model_vocab_size(model), 5);
    tb_states states;
    assert_int_equal(tb_states_init(&states, model, ids + LENGTH, 1, LENGTH, &err), TB_OK);
    assert_int_equal(tb_states_run_block(&states, model, 0, NULL, &a, &err), TB_OK);
    tb_seq *seq = new_seq(model, LENGTH, 0, TB_KV_CACHE_F32);
    tb_seq_set_probe(seq, &b);
    tb_free(push_all(seq, ids + LENGTH, LENGTH));
    assert_int_equal(seen->calls, TB_LINEAR_INPUTS);
    assert_memory_equal(seen->inputs, expected->inputs, sizeof seen->inputs);
    tb_states_clear(&states);
    tb_free(ids), tb_free(seen), tb_free(expected);
    tb_seq_free(seq);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe__sees_what_plain_loops_compute),
        cmocka_unit_test(probe__changes_no_bit),
        cmocka_unit_test(edit__parts_without_output_leave_the_stream_alone),
        cmocka_unit_test(turns__are_those_of_the_queries),
        cmocka_unit_test(edit_input__is_all_that_linears_read),
        cmocka_unit_test(edit__stream_behind_the_blocks_is_what_the_head_reads),
        cmocka_unit_test(hidden__is_not_seen),
        cmocka_unit_test(attention_row__is_a_distribution_over_the_window),
        cmocka_unit_test(states_run_block__shows_inputs_of_its_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
