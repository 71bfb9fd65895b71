// How tokens mix, against two passes of a plain probe.
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

enum { T = 16, MOVED = T / 4, BLOCKS = 2, WIDTH = 64, SEED = 5 };

static const tiny_model shape = {
    .blocks = BLOCKS, .width = WIDTH, .ffn_width = 96, .heads = 4, .kv_heads = 2, .context = 64, .seed = 3};

static tb_error err;

typedef struct watcher {
    bool moves;
    int32_t tokens[T];
    float last[2][T][WIDTH]; // behind the last block: as it is, moved
} watcher;

static void move(void *user, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    const watcher *w = user;
    float *x = rows->x + MOVED * rows->stride;
    double direction[WIDTH], size = 0, length = 0;
    tb_rng rng;
    if (!w->moves || at->block != SIZE_MAX || stage != TB_EDIT_RESIDUAL)
        return;
    tb_rng_init(&rng, SEED, 0);
    for (size_t c = 0; c < WIDTH; c++) {
        direction[c] = tb_rng_normal(&rng);
        size += direction[c] * direction[c];
        length += (double)x[c] * (double)x[c];
    }
    for (size_t c = 0; c < WIDTH; c++)
        x[c] += (float)(0.1 * sqrt(length) * direction[c] / sqrt(size));
}

static void see(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    watcher *w = user;
    for (size_t t = 0; at->block == BLOCKS - 1 && t < T; t++)
        memcpy(w->last[w->moves][t], rows->x + t * rows->stride, sizeof w->last[0][0]);
}

static double expected_response(const tb_model *model, watcher *w, size_t hidden)
{
    const tb_seq_options memory = {.context = T, .batch = T, .kv_cache = TB_KV_CACHE_F32};
    const tb_probe probe = {.edit = move, .residual = see, .hidden = hidden, .user = w};
    tb_seq *seq;
    double sum = 0;
    assert_int_equal(tb_seq_new(&seq, model, &memory, &err), TB_OK);
    tb_seq_set_probe(seq, &probe);
    for (int moves = 0; moves < 2; moves++) {
        w->moves = moves;
        tb_seq_truncate(seq, 0);
        assert_int_equal(tb_seq_push(seq, w->tokens, T, &err), TB_OK);
    }
    tb_seq_free(seq);
    for (size_t t = MOVED + 1; t < T; t++) {
        double change = 0, length = 0;
        for (size_t c = 0; c < WIDTH; c++) {
            change += pow((double)w->last[1][t][c] - (double)w->last[0][t][c], 2);
            length += pow((double)w->last[0][t][c], 2);
        }
        sum += sqrt(change / length) / 0.1 / (T - MOVED - 1);
    }
    return sum;
}

static void mixing__agrees_with_a_plain_probe(void **state)
{
    (void)state;
    watcher *w = tb_new(watcher);
    tb_model *model = open_tiny(&shape, 2);
    tb_sink_result r;
    for (size_t t = 0; t < T; t++)
        w->tokens[t] = (int32_t)(7 * t % 50);
    const tb_sink_options options = {
        .ctx = T, .text = w->tokens, .text_count = T, .bos = TB_SINK_BOS_NEVER, .seed = SEED};
    assert_int_equal(tb_sink_measure(&r, model, TB_SINK_WHAT_MIXING, &options, &err), TB_OK);
    assert_true(r.mixing[0].response == 0 && r.mixing[0].hidden == 0); // nothing has mixed them yet
    double response = expected_response(model, w, 0), hidden = expected_response(model, w, 1);
    assert_true(response > 0 && hidden > 0 && response != hidden);
    // The same bits through the same pass; sums are of T terms.
    assert_true(fabs(r.mixing[BLOCKS].response - response) <= T * 0x1p-52 * response);
    assert_true(fabs(r.mixing[BLOCKS].hidden - hidden) <= T * 0x1p-52 * hidden);
    tb_sink_result_clear(&r);
    tb_model_close(model);
    tb_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixing__agrees_with_a_plain_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
