// RoPE of GGUF keys and tensors against transformers' logits of the same settings, and what must hold of sequences
// whose length matters.
#include "edited_model.h"
#include "model_files.h"
#include "rounding.h"
#include "temp_folder.h"

#include "model/rope.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

enum { TOKENS = 40, MOST_EDITS = 6 };

static const float short_factors[] = {1.0f, 1.25f, 1.5f, 1.5f, 1.75f, 2.0f};
static const float long_factors[] = {1.0f, 1.5f, 2.5f, 4.0f, 8.0f, 12.0f};

#define TYPE(name)                                                                                                     \
    {                                                                                                                  \
        SET_TEXT, "llama.rope.scaling.type", 0, name                                                                   \
    }
#define NUMBER(name, value)                                                                                            \
    {                                                                                                                  \
        SET_F32, "llama.rope." name, value, NULL                                                                       \
    }
#define ORIGINAL(value)                                                                                                \
    {                                                                                                                  \
        SET_U32, "llama.rope.scaling.original_context_length", value, NULL                                             \
    }
#define LONGROPE                                                                                                       \
    {ADD_VECTOR, "rope_factors_short.weight", 6, short_factors},                                                       \
    {                                                                                                                  \
        ADD_VECTOR, "rope_factors_long.weight", 6, long_factors                                                        \
    }

static tb_model *open_edited(const model_edit *edits, size_t n)
{
    const char *path = temp_path("edited.gguf");
    write_edited(path, tiny_path("llama.gguf"), edits, n);
    return open_model(path, 1);
}

static size_t count_edits(const model_edit *edits)
{
    size_t n = 0;
    while (n < MOST_EDITS && edits[n].name)
        n++;
    return n;
}

// Logits of the tiny ids, all pushed at once; to be freed with tb_free.
static float *logits_of(const tb_model *model)
{
    tb_npy ids;
    assert_int_equal(tb_npy_open(&ids, tiny_path("ids.npy"), NULL), TB_OK);
    assert_int_equal(ids.count, TOKENS);
    tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
    float *logits = push_all(seq, ids.data, TOKENS);
    tb_seq_free(seq);
    tb_npy_close(&ids);
    return logits;
}

// *rounding: how far the logits may be from those of another pass.
static float *logits_of_edited(double *rounding, const model_edit *edits)
{
    tb_model *model = open_edited(edits, count_edits(edits));
    float *logits = logits_of(model);
    *rounding = rounding_of_passes(tb_model_config(model), TOKENS, TOKENS * tb_model_vocab_size(model));
    tb_model_close(model);
    return logits;
}

static void gguf_keys__agree_with_transformers(void **state)
{
    (void)state;
    static const struct {
        const char *logits;
        model_edit edits[MOST_EDITS];
    } cases[] = {
        {"variants/llama-linear.logits.npy", {TYPE("linear"), NUMBER("scaling.factor", 4)}},
        {"variants/llama-linear.logits.npy", {NUMBER("scaling.factor", 4)}},
        {"variants/llama-linear.logits.npy", {NUMBER("scale_linear", 4)}},
        {"llama.logits.npy", {NUMBER("scaling.factor", 0)}},
        {"llama.logits.npy", {TYPE("none"), NUMBER("scaling.factor", 4)}},
        {"variants/llama-dynamic.logits.npy", {TYPE("dynamic"), NUMBER("scaling.factor", 4), ORIGINAL(24)}},
        {"variants/llama-yarn.logits.npy", {TYPE("yarn"), NUMBER("scaling.factor", 4), ORIGINAL(20)}},
        {"variants/llama-yarn_factor.logits.npy",
         {TYPE("yarn"), NUMBER("scaling.factor", 4), ORIGINAL(100), NUMBER("scaling.yarn_attn_factor", 1.25)}},
        // With a multiplier of 1 the magnitude of the factor is taken out again.
        {"variants/llama-yarn_factor.logits.npy",
         {TYPE("yarn"), NUMBER("scaling.factor", 4), ORIGINAL(100), NUMBER("scaling.yarn_log_multiplier", 1),
          NUMBER("scaling.attn_factor", 1.25)}},
        {"variants/llama-longrope.logits.npy", {TYPE("longrope"), ORIGINAL(16), LONGROPE}},
        {"variants/llama-longrope.logits.npy", {ORIGINAL(16), LONGROPE}},
        {"variants/llama-longrope_short.logits.npy",
         {TYPE("longrope"), ORIGINAL(48), NUMBER("scaling.attn_factor", 1.1), LONGROPE}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_npy expected;
        assert_int_equal(tb_npy_open(&expected, tiny_path(cases[i].logits), NULL), TB_OK);
        double bound;
        float *logits = logits_of_edited(&bound, cases[i].edits);
        double d = distance(logits, expected.data, expected.count);
        if (d > bound)
            fail_msg("case %zu is %g from %s, more than %g", i, d, cases[i].logits, bound);
        tb_free(logits);
        tb_npy_close(&expected);
    }
}

static void push(tb_seq *seq, const int32_t *ids, size_t n)
{
    assert_int_equal(tb_seq_push(seq, ids, n, NULL), TB_OK);
}

// longrope turns all of a sequence in one way or in the other: how it got its length is of no importance.
static void longrope__gives_the_same_for_any_way_across_the_original_context(void **state)
{
    (void)state;
    const model_edit edits[] = {ORIGINAL(16), LONGROPE};
    tb_model *model = open_edited(edits, 3);
    size_t vocab = tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, vocab, 1);
    for (size_t length = 14; length <= 19; length++) {
        tb_seq *whole = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32), *steps = new_seq(model, TOKENS, 5, TB_KV_CACHE_F32);
        push(whole, ids, length);
        for (size_t i = 0; i < TOKENS; i++)
            push(steps, ids + i, 1);
        tb_seq_truncate(steps, length - 1);
        push(steps, ids + length - 1, 1);
        assert_true(distance(tb_seq_logits(steps), tb_seq_logits(whole), vocab) <=
                    rounding_of_passes(tb_model_config(model), length, vocab));
        tb_seq_free(whole), tb_seq_free(steps);
    }
    tb_free(ids);
    tb_model_close(model);
}

static void dynamic__changes_no_bit_within_the_original_context(void **state)
{
    (void)state;
    const model_edit edits[MOST_EDITS] = {TYPE("dynamic"), NUMBER("scaling.factor", 4), ORIGINAL(TOKENS)};
    tb_model *plain = open_model(tiny_path("llama.gguf"), 1);
    double unused;
    float *expected = logits_of(plain), *logits = logits_of_edited(&unused, edits);
    assert_memory_equal(logits, expected, TOKENS * tb_model_vocab_size(plain) * sizeof *logits);
    tb_free(logits), tb_free(expected);
    tb_model_close(plain);
}

// Angles are those of the position, whatever the rows before it: far positions, any order, the same bits.
static void rope_table__holds_any_positions(void **state)
{
    (void)state;
    tb_arena arena = {0};
    double frequencies[6];
    tb_rope rope = {.pairs = 6, .halves = true, .magnitude = 1, .frequencies = frequencies};
    tb_rope_base_frequencies(frequencies, 6, 10000);
    tb_rope_table table, other;
    assert_true(tb_rope_table_init(&table, &arena, &rope, 4) && tb_rope_table_init(&other, &arena, &rope, 4));
    tb_rope_table_fill(&table, 0, (const int32_t[]){7, 100000, 0, 3}, 4, 4);
    tb_rope_table_fill(&other, 0, (const int32_t[]){1, 2, 3, 4}, 4, 4);
    tb_rope_table_fill(&other, 2, (const int32_t[]){0, 3}, 2, 4);
    tb_rope_table_fill(&other, 0, (const int32_t[]){7, 100000}, 2, 4);
    assert_memory_equal(other.cos, table.cos, 4 * 6 * sizeof(float));
    assert_memory_equal(other.sin, table.sin, 4 * 6 * sizeof(float));
    for (size_t i = 0; i < 6; i++)
        assert_true(table.cos[6 + i] == (float)cos(100000 * frequencies[i]));
    tb_arena_clear(&arena);
}

static void rope_apply__leaves_what_does_not_turn(void **state)
{
    (void)state;
    tb_arena arena = {0};
    double frequencies[2] = {1, 0.5};
    tb_rope rope = {.pairs = 2, .halves = true, .magnitude = 2, .frequencies = frequencies};
    tb_rope_table table;
    assert_true(tb_rope_table_init(&table, &arena, &rope, 1));
    tb_rope_table_fill(&table, 0, (const int32_t[]){3}, 1, 4);
    float head[6] = {1, 0, 0, 1, 5, 6};
    tb_rope_apply(head, &table, 0);
    const float expected[6] = {
        (float)(2 * cos(3)), (float)(-2 * sin(1.5)), (float)(2 * sin(3)), (float)(2 * cos(1.5)), 5, 6};
    for (size_t i = 0; i < 6; i++)
        // At most 2, and rounded three times: in the table, as a product, as a sum.
        assert_true(fabs((double)head[i] - (double)expected[i]) <= 3 * 2 * 0x1p-24);
    tb_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_keys__agree_with_transformers),
        cmocka_unit_test(longrope__gives_the_same_for_any_way_across_the_original_context),
        cmocka_unit_test(dynamic__changes_no_bit_within_the_original_context),
        cmocka_unit_test(rope_table__holds_any_positions),
        cmocka_unit_test(rope_apply__leaves_what_does_not_turn),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
