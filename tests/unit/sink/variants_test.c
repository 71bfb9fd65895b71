// Models whose rows of attention do not sum to 1, or have places that are no tokens.
#include "model_files.h"
#include "temp_folder.h"
#include "variant_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sink/sink.h"

enum { T = 24, ALL = TB_SINK_WHAT_POSITIONS | TB_SINK_WHAT_VALUES | TB_SINK_WHAT_TAILS };

static tb_error err;

static tb_model *make(const tb_lm_shape *shape)
{
    tb_lm *lm = variant_new(shape, 3);
    variant_write_gguf(temp_path("variant.gguf"), lm);
    tb_lm_free(lm);
    return open_model(temp_path("variant.gguf"), 2);
}

// Mean weight that goes to no token.
static double measure_missing(const tb_lm_shape *shape)
{
    static const tb_sink_options options = {.ctx = T, .sequences = 2, .input = TB_SINK_RANDOM};
    tb_model *model = make(shape);
    tb_sink_result r;
    if (tb_sink_measure(&r, model, ALL, &options, &err))
        fail_msg("%s: %s", variant_text(shape), err.message);
    for (size_t i = 0; i < r.blocks * r.heads; i++) {
        const tb_sink_head *h = &r.map.heads[i];
        assert_true(isfinite(h->first) && isfinite(h->entropy) && h->first >= 0 && h->sink_logit >= 0);
        assert_true(isfinite(r.values[i].value_ratio) && isfinite(r.values[i].bias_share));
    }
    double missing = r.map.sink_logit;
    tb_sink_result_clear(&r);
    tb_model_close(model);
    return missing;
}

static void measure__knows_every_normalizer(void **state)
{
    (void)state;
    for (unsigned n = 0; n < TB_LM_NORMALIZERS; n++) {
        tb_lm_shape shape = variant_plain;
        shape.normalizer = (tb_lm_normalizer)n;
        double missing = measure_missing(&shape);
        if (n == TB_LM_SOFTMAX)
            assert_true(missing < 1e-6); // T weights, each rounded to a float
        if (n == TB_LM_SOFTMAX1)
            assert_true(missing > 0.01);
    }
}

static void measure__sees_what_a_learned_key_takes(void **state)
{
    (void)state;
    for (unsigned k = 0; k < TB_LM_KV_BIASES; k++) {
        tb_lm_shape shape = variant_plain;
        shape.kv_bias = (tb_lm_kv_bias)k;
        assert_true((measure_missing(&shape) > 0.01) == (k > 0));
    }
}

static void mixing__needs_attention(void **state)
{
    (void)state;
    static const tb_sink_options options = {.ctx = T, .sequences = 2, .input = TB_SINK_RANDOM};
    tb_lm *lm = variant_new(&variant_plain, 3);
    tb_sink_result r;
    for (size_t b = 0; b < variant_plain.blocks; b++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%zu.attn_output.weight", b);
        tb_param *output = tb_params_find(tb_lm_params(lm), name);
        for (size_t i = 0; i < output->rows * output->cols; i++)
            tb_param_set(tb_lm_params(lm), output, i, 0);
    }
    variant_write_gguf(temp_path("still.gguf"), lm);
    tb_lm_free(lm);
    tb_model *model = open_model(temp_path("still.gguf"), 2);
    assert_int_equal(tb_sink_measure(&r, model, TB_SINK_WHAT_MIXING, &options, &err), TB_OK);
    for (size_t s = 0; s <= r.blocks; s++)
        assert_true(r.mixing[s].response == 0 && r.mixing[s].hidden == 0);
    tb_sink_result_clear(&r);
    tb_model_close(model);
}

// ---- registers ----

enum { REGISTERS = 3 };

static tb_lm_shape with_registers(void)
{
    tb_lm_shape shape = variant_plain;
    shape.registers = REGISTERS;
    return shape;
}

typedef struct seen {
    double first, text, row_zero; // of all heads; calls whose first row is position 0
    size_t rows;
} seen;

static void see_row(void *user, const tb_probe_place *at, size_t head, size_t position,
                    const tb_attention_piece *pieces, size_t count)
{
    seen *s = user;
    (void)at, (void)head, (void)position;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < pieces[i].count; k++) {
            size_t key = pieces[i].positions ? (size_t)pieces[i].positions[k] : pieces[i].first + k;
            s->first += key == 0 ? (double)pieces[i].weights[k] / (REGISTERS + T) : 0;
            s->text += key == REGISTERS ? (double)pieces[i].weights[k] / T : 0;
        }
}

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    seen *s = user;
    (void)at;
    s->row_zero += rows->positions[0] == 0;
    s->rows += rows->rows;
}

// Position 0 is the first register's; all of it is seen again in every sequence.
static void registers__are_the_first_positions(void **state)
{
    (void)state;
    static const tb_seq_options memory = {.context = T, .batch = REGISTERS + T, .kv_cache = TB_KV_CACHE_F32};
    int32_t tokens[2 * T];
    tb_lm_shape shape = with_registers();
    tb_model *model = make(&shape);
    tb_sink_result r;
    seen s = {0};
    const tb_probe probe = {.attention_row = see_row, .residual = see_residual, .user = &s};
    tb_seq *seq;
    for (size_t i = 0; i < 2 * T; i++)
        tokens[i] = (int32_t)(7 * i % shape.vocab);
    const tb_sink_options options = {.ctx = T, .text = tokens, .text_count = 2 * T, .bos = TB_SINK_BOS_NEVER};
    assert_int_equal(tb_sink_measure(&r, model, ALL | TB_SINK_WHAT_GEOMETRY | TB_SINK_WHAT_MIXING, &options, &err),
                     TB_OK);
    assert_true(r.ctx == T && r.registers == REGISTERS && r.rows == REGISTERS + T && r.sequences == 2);
    tb_model_close(model);
    model = open_model(temp_path("variant.gguf"), 1); // one thread: sums of plain doubles
    assert_int_equal(tb_seq_new(&seq, model, &memory, &err), TB_OK);
    tb_seq_set_probe(seq, &probe);
    for (size_t i = 0; i < 2; i++) {
        tb_seq_truncate(seq, 0);
        assert_int_equal(tb_seq_push(seq, tokens + i * T, T, &err), TB_OK);
    }
    tb_seq_free(seq);
    size_t heads = shape.blocks * shape.heads, stages = shape.blocks + 1;
    assert_true(s.row_zero == 2.0 * (double)stages && s.rows == 2 * stages * (REGISTERS + T));
    // Units of 2^-32 are cut off.
    assert_true(fabs(r.map.first - s.first / 2 / (double)heads) < 0x1p-31);
    assert_true(fabs(r.map.text - s.text / 2 / (double)heads) < 0x1p-31);
    assert_true(r.map.first != r.map.text);
    assert_int_equal(r.positions.first.token, -1);
    assert_int_equal(r.positions.first.seen, 2);
    tb_sink_result_clear(&r);
    tb_model_close(model);
}

static bool score(double *nll, double *kl, const float *logits, const float *reference, size_t vocab, int32_t target)
{
    *nll = (double)-logits[target];
    *kl = 0;
    for (size_t i = 0; i < vocab; i++)
        *kl += fabs((double)logits[i] - (double)reference[i]);
    return true;
}

// What changes position 0 changes a register, although registers are computed once for all texts.
static void registers__take_part_in_experiments(void **state)
{
    (void)state;
    int32_t tokens[2 * T];
    tb_lm_shape shape = with_registers();
    tb_model *model = make(&shape);
    tb_ablation_result r;
    for (size_t i = 0; i < 2 * T; i++)
        tokens[i] = (int32_t)(7 * i % shape.vocab);
    const tb_sink_options options = {.ctx = T, .text = tokens, .text_count = 2 * T, .bos = TB_SINK_BOS_NEVER};
    if (tb_sink_ablate(&r, model, &options, score, &err))
        fail_msg("%s", err.message);
    assert_int_equal(r.registers, REGISTERS);
    assert_true(r.rows[TB_ABLATE_NOTHING].identical && r.rows[TB_ABLATE_OTHER_PROMPT].identical);
    assert_true(!r.rows[TB_ABLATE_VALUE].identical && r.rows[TB_ABLATE_VALUE].kl > 0);
    assert_true(!r.rows[TB_ABLATE_COLUMN].identical);
    assert_true(r.rows[TB_ABLATE_COLUMN].share == 0);
    assert_true(!r.rows[TB_ABLATE_RANDOM_TOKEN].identical);
    tb_super_result weights;
    assert_int_equal(tb_sink_find_super(&weights, model, &(int32_t){1}, 1, &(tb_super_options){.spike = 1e-6}, &err),
                     TB_OK);
    for (size_t i = 0; i < weights.count; i++)
        assert_true(weights.weights[i].token ==
                    (weights.weights[i].position < REGISTERS ? -1 - (int32_t)weights.weights[i].position : 1));
    tb_super_result_clear(&weights);
    tb_model_close(model);
}

typedef struct silence {
    const tb_config *config;
    size_t block, head;
} silence;

static void silence_head(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    const silence *s = user;
    size_t n = s->config->value_size;
    for (size_t t = 0; stage == TB_EDIT_ATTENDED && at->block == s->block && t < rows->rows; t++)
        memset(rows->x + t * rows->stride + s->head * n, 0, n * sizeof *rows->x);
}

// Mean of what `score` calls the loss of a sequence.
static double loss_of(const tb_model *model, const int32_t *tokens, silence *silent)
{
    static const tb_seq_options memory = {.context = T, .batch = REGISTERS + T, .kv_cache = TB_KV_CACHE_F32};
    const tb_probe probe = {.edit = silence_head, .user = silent};
    size_t vocab = tb_model_vocab_size(model);
    float *logits = tb_alloc_array(T, vocab * sizeof *logits);
    tb_seq *seq;
    double sum = 0;
    assert_int_equal(tb_seq_new(&seq, model, &memory, &err), TB_OK);
    tb_seq_set_probe(seq, &probe);
    assert_int_equal(tb_seq_push_all(seq, tokens, T, logits, &err), TB_OK);
    for (size_t t = 1; t < T - 1; t++)
        sum -= (double)logits[t * vocab + (size_t)tokens[t + 1]] / (T - 2);
    tb_seq_free(seq);
    tb_free(logits);
    return sum;
}

static void registers__lose_the_heads_that_are_pruned(void **state)
{
    (void)state;
    int32_t tokens[T];
    tb_lm_shape shape = with_registers();
    tb_model *model = make(&shape);
    silence silent = {.config = tb_model_config(model)};
    size_t heads = shape.blocks * shape.heads, best = 0;
    double share = 1 / (double)heads;
    tb_prune_result r;
    tb_sink_result map;
    for (size_t i = 0; i < T; i++)
        tokens[i] = (int32_t)(7 * i % shape.vocab);
    const tb_sink_options options = {.ctx = T, .text = tokens, .text_count = T, .bos = TB_SINK_BOS_NEVER};
    assert_int_equal(tb_sink_measure(&map, model, TB_SINK_WHAT_MAP, &options, &err), TB_OK);
    for (size_t i = 1; i < heads; i++)
        best = map.map.heads[i].share > map.map.heads[best].share ? i : best;
    tb_sink_result_clear(&map);
    assert_int_equal(tb_sink_prune(&r, model, &share, 1, &options, score, &err), TB_OK);
    silent.block = best / shape.heads;
    silent.head = best % shape.heads;
    double expected = loss_of(model, tokens, &silent);
    assert_true(fabs(r.points[0].trials[TB_PRUNE_SINK].nll - expected) <= T * 0x1p-52 * fabs(expected));
    tb_prune_result_clear(&r);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measure__knows_every_normalizer),
        cmocka_unit_test(measure__sees_what_a_learned_key_takes),
        cmocka_unit_test(mixing__needs_attention),
        cmocka_unit_test(registers__are_the_first_positions),
        cmocka_unit_test(registers__take_part_in_experiments),
        cmocka_unit_test(registers__lose_the_heads_that_are_pruned),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
