// The search for a prefix, in a model where some tokens are planted that make the input of a down matrix loud.
#include "model_files.h"
#include "temp_folder.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

#include "eval/eval.h"

enum { WIDTH = 64, LENGTH = 32, WINDOWS = 20, TOKENS = WINDOWS * LENGTH, OFTEN = 70, LESS = 80, SELDOM = 90 };

static tb_error err;
static int32_t text[TOKENS];

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

// ---- planting ----

// Where a tensor of floats lies in the file that `bytes` were read from: its values are random, and nowhere else.
static float *find_floats(char *bytes, const tb_checkpoint *checkpoint, const char *name)
{
    enum { PROBE = 64 };
    const void *values = tb_checkpoint_tensor(checkpoint, name)->data;
    while (memcmp(bytes, values, PROBE) != 0)
        bytes += sizeof(float);
    return (float *)(void *)bytes;
}

// Inner channel `channel` of the first block is as loud as the stream is like that token, whose embedding outweighs
// what attention adds to it.
static void plant(char *bytes, const tb_checkpoint *checkpoint, int32_t token, size_t channel)
{
    float *embedding = find_floats(bytes, checkpoint, "token_embd.weight") + (size_t)token * WIDTH;
    float *gate = find_floats(bytes, checkpoint, "blk.0.ffn_gate.weight") + channel * WIDTH;
    float *up = find_floats(bytes, checkpoint, "blk.0.ffn_up.weight") + channel * WIDTH;
    for (size_t c = 0; c < WIDTH; c++)
        gate[c] = up[c] = embedding[c] *= 20;
}

static tb_model *open_planted(void)
{
    static const tiny_model shape = {
        .blocks = 2, .width = WIDTH, .ffn_width = 96, .heads = 2, .kv_heads = 1, .context = 64, .seed = 2};
    const char *path = temp_path("planted.gguf");
    tb_checkpoint *checkpoint;
    char *bytes;
    size_t size;
    OK(tiny_model_write(path, &shape, &err));
    OK(tb_file_read(&bytes, &size, path, 1 << 24, &err));
    OK(tb_checkpoint_open(&checkpoint, path, &err));
    // Channels behind the first, by whose weights the matrices are found.
    plant(bytes, checkpoint, OFTEN, 11);
    plant(bytes, checkpoint, LESS, 23);
    plant(bytes, checkpoint, SELDOM, 37);
    tb_checkpoint_close(checkpoint);
    OK(tb_file_write(path, bytes, size, &err));
    tb_free(bytes);
    return open_model(path, 1);
}

// Other tokens everywhere; OFTEN twice in a window, LESS once in every second, SELDOM in one window of twenty.
static int make_text(void **state)
{
    int32_t *ids = random_ids(TOKENS, 60, 1);
    for (size_t i = 0; i < TOKENS; i++)
        text[i] = ids[i] + 3;
    tb_free(ids);
    for (size_t w = 0; w < WINDOWS; w++) {
        text[w * LENGTH + 5] = text[w * LENGTH + 17] = OFTEN;
        if (w % 2)
            text[w * LENGTH + 9] = LESS;
    }
    text[3 * LENGTH + 20] = SELDOM;
    return temp_folder_make(state);
}

// ---- tests ----

static tb_prefix_search how(tb_prefix_rule rule)
{
    return (tb_prefix_search){.rule = rule, .tokens = text, .token_count = TOKENS, .length = LENGTH, .ratio = 20};
}

static void outliers__are_the_tokens_that_are_so_most_often(void **state)
{
    (void)state;
    tb_model *model = open_planted();
    tb_prefix_search options = how(TB_PREFIX_OUTLIERS);
    tb_prefix_found found;
    OK(tb_prefix_find(&found, model, &options, &err));
    assert_int_equal(found.sequences, WINDOWS);
    assert_int_equal(found.count, 3);
    assert_memory_equal(found.tokens, ((int32_t[]){OFTEN, LESS, tb_model_begin_token(model)}), 3 * sizeof(int32_t));
    // Two of OFTEN, half a LESS, a twentieth of SELDOM: all in the first block.
    assert_true(found.outliers > 2.54 && found.outliers < 2.56 && found.before > 20);
    options.sequences = 1; // the first has no LESS, and its two outliers leave room for one token beside the BOS
    OK(tb_prefix_find(&found, model, &options, &err));
    assert_int_equal(found.count, 2);
    assert_int_equal(found.tokens[0], OFTEN);
    options.ratio = 1e9;
    OK(tb_prefix_find(&found, model, &options, &err));
    assert_int_equal(found.count, 1);
    assert_int_equal(found.tokens[0], tb_model_begin_token(model));
    assert_true(found.outliers == 0);
    tb_model_close(model);
}

static void greedy__ends_where_a_token_no_longer_halves_the_error(void **state)
{
    (void)state;
    tb_model *model = open_planted();
    tb_prefix_search options = how(TB_PREFIX_GREEDY);
    tb_prefix_found found, again;
    options.sequences = 4;
    OK(tb_prefix_find(&found, model, &options, &err));
    OK(tb_prefix_find(&again, model, &options, &err));
    assert_memory_equal(&found, &again, sizeof found);
    assert_true(found.count >= 1 && found.errors[0] > 0 && found.errors[1] > 0);
    for (size_t i = 1; i < found.count; i++)
        assert_true(found.errors[i + 1] <= 0.5 * found.errors[i]);
    for (size_t i = found.count + 1; i <= TB_PREFIX_MOST; i++)
        assert_true(found.errors[i] == 0);
    tb_model_close(model);
}

static bool always_stops(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)user, (void)stage, (void)done, (void)total, (void)unit;
    return true;
}

static void expect(const tb_model *model, tb_prefix_search options, tb_code code, const char *part)
{
    tb_prefix_found found;
    assert_int_equal(tb_prefix_find(&found, model, &options, &err), code);
    assert_non_null(strstr(err.message, part));
}

static void search__refuses_what_it_cannot_search(void **state)
{
    (void)state;
    const tb_report stops = {.progress = always_stops};
    tb_model *model = open_planted(), *registers = open_model(tiny_path("memory"), 1);
    tb_prefix_search options = how(TB_PREFIX_OUTLIERS);
    options.length = 65;
    expect(model, options, TB_EINVAL, "longer than the model's context of 64");
    options.length = TB_PREFIX_MOST;
    expect(model, options, TB_EINVAL, "not longer than a prefix");
    options.length = LENGTH, options.token_count = LENGTH - 1;
    expect(model, options, TB_EINVAL, "31 tokens, fewer than one window of 32");
    options = how(TB_PREFIX_GREEDY);
    options.report = &stops;
    expect(model, options, TB_ECANCELLED, "stopped");
    expect(registers, how(TB_PREFIX_OUTLIERS), TB_EUNSUPPORTED, "registers");
    tb_model_close(registers), tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outliers__are_the_tokens_that_are_so_most_often),
        cmocka_unit_test(greedy__ends_where_a_token_no_longer_halves_the_error),
        cmocka_unit_test(search__refuses_what_it_cannot_search),
    };
    return cmocka_run_group_tests(tests, make_text, temp_folder_remove);
}
