// Super weights, from a model in which they are planted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/sink.h"
#include "tiny_model.h"

enum { TOKENS = 12, WIDTH = 64, FFN = 96 };

static const tiny_model shape = {
    .blocks = 2, .width = WIDTH, .ffn_width = FFN, .heads = 2, .kv_heads = 1, .context = 64, .seed = 2};

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

// ---- planting ----

// A model file in memory, to be changed and written again.
typedef struct garden {
    char path[32];
    char *bytes;
    size_t size;
} garden;

static void open_garden(garden *g)
{
    strcpy(g->path, "/tmp/twobit-super-XXXXXX");
    int fd = mkstemp(g->path);
    assert_true(fd >= 0);
    close(fd);
    OK(tiny_model_write(g->path, &shape, &err));
    OK(tb_file_read(&g->bytes, &g->size, g->path, 1 << 24, &err));
}

// Where a tensor of floats lies in the file: its values are random, and nowhere else. The file is still as it was.
static float *find_floats(garden *g, const char *name)
{
    tb_checkpoint *checkpoint;
    enum { PROBE = 64 };
    char *file;
    size_t size, at = 0;
    OK(tb_file_read(&file, &size, g->path, 1 << 24, &err));
    OK(tb_checkpoint_open(&checkpoint, g->path, &err));
    while (memcmp(file + at, tb_checkpoint_tensor(checkpoint, name)->data, PROBE) != 0) {
        at += sizeof(float);
        assert_true(at + PROBE <= size);
    }
    tb_checkpoint_close(checkpoint);
    tb_free(file);
    return (float *)(void *)(g->bytes + at);
}

static void scale(float *x, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= by;
}

// Inner channel `col` of a block becomes loud: its gate and its input are 30 times larger.
static void make_loud(garden *g, unsigned block, size_t col)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.ffn_gate.weight", block);
    scale(find_floats(g, name) + col * WIDTH, WIDTH, 30);
    snprintf(name, sizeof name, "blk.%u.ffn_up.weight", block);
    scale(find_floats(g, name) + col * WIDTH, WIDTH, 30);
    // But little of it goes anywhere.
    snprintf(name, sizeof name, "blk.%u.ffn_down.weight", block);
    float *down = find_floats(g, name);
    for (size_t row = 0; row < WIDTH; row++)
        down[row * FFN + col] *= 0.001f;
}

static void plant(garden *g, unsigned block, size_t row, size_t col, float weight)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.ffn_down.weight", block);
    float *down = find_floats(g, name);
    down[row * FFN + col] = weight;
}

static tb_model *open_model_of(garden *g)
{
    tb_model *model;
    OK(tb_file_write(g->path, g->bytes, g->size, &err));
    OK(tb_model_open(&model, g->path, &(tb_model_options){.threads = 2}, &err));
    unlink(g->path);
    tb_free(g->bytes);
    return model;
}

static void fill_tokens(int32_t *tokens)
{
    for (int32_t t = 0; t < TOKENS; t++)
        tokens[t] = 20 + 7 * t;
}

// ---- tests ----

static void super__finds_exactly_what_was_planted(void **state)
{
    (void)state;
    static const struct {
        size_t block, row, col;
        float weight;
    } planted[] = {{0, 5, 7, 4}, {0, 9, 7, -3}, {1, 3, 11, 4}};
    enum { COUNT = sizeof planted / sizeof planted[0] };
    int32_t tokens[TOKENS];
    garden g;
    tb_super_result r;
    fill_tokens(tokens);
    open_garden(&g);
    make_loud(&g, 0, 7);
    make_loud(&g, 1, 11);
    for (size_t i = 0; i < COUNT; i++)
        plant(&g, (unsigned)planted[i].block, planted[i].row, planted[i].col, planted[i].weight);
    tb_model *model = open_model_of(&g);
    OK(tb_sink_find_super(&r, model, tokens, TOKENS, &(tb_super_options){0}, &err));
    assert_int_equal(r.count, COUNT);
    assert_true(r.complete);
    for (size_t i = 0; i < COUNT; i++) {
        const tb_super_weight *w = &r.weights[i];
        assert_true(w->block == planted[i].block && w->row == planted[i].row && w->col == planted[i].col);
        assert_true(w->weight == (double)planted[i].weight);
        assert_true(fabs(w->input) > TB_SUPER_SPIKE && fabs(w->output) > TB_SUPER_SPIKE);
        assert_int_equal(w->token, tokens[w->position]);
    }
    tb_super_result_clear(&r);
    OK(tb_sink_find_super(&r, model, tokens, TOKENS, &(tb_super_options){.most = 2}, &err));
    assert_true(r.count == 2 && !r.complete);
    tb_super_result_clear(&r);
    tb_model_close(model);
}

static void super__ordinary_models_have_none(void **state)
{
    (void)state;
    int32_t tokens[TOKENS];
    garden g;
    tb_super_result r;
    fill_tokens(tokens);
    open_garden(&g);
    tb_model *model = open_model_of(&g);
    OK(tb_sink_find_super(&r, model, tokens, TOKENS, &(tb_super_options){0}, &err));
    assert_true(r.count == 0 && r.complete && r.block_count == 2);
    tb_super_result_clear(&r);
    // Spikes that no weight explains end the search, too.
    OK(tb_sink_find_super(&r, model, tokens, TOKENS, &(tb_super_options){.spike = 1e-3, .most = 1024}, &err));
    tb_super_result_clear(&r);
    assert_int_equal(tb_sink_find_super(&r, model, tokens, 0, &(tb_super_options){0}, &err), TB_EINVAL);
    assert_string_equal(err.message, "the prompt is empty");
    tb_super_result_clear(&r);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(super__finds_exactly_what_was_planted),
        cmocka_unit_test(super__ordinary_models_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
