// The search for scales of inputs, and their way into models of every family.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edited_model.h"
#include "layer.h"
#include "model_files.h"
#include "quant/awq.h"
#include "quant/decoded.h"
#include "quant/fold.h"
#include "quant/quant_block.h"
#include "rounding.h"

enum { ROWS = 12, COLS = 64, GROUP = 32 };

static tb_error err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

// ---- the search ----

// A layer whose inputs differ much in loudness, as those of language models do.
typedef struct case_awq {
    test_layer layer;
    double loudness[COLS];
    size_t channel[COLS];
    tb_awq_problem problem;
} case_awq;

static void case_init(case_awq *c, uint64_t seed, size_t shared)
{
    c->layer = layer_new(ROWS, COLS, seed);
    for (size_t j = 0; j < COLS; j++) {
        double gain = j % 16 == 3 ? 20 : 1;
        for (size_t i = 0; i < COLS; i++) {
            c->layer.moments[i * COLS + j] *= gain;
            c->layer.moments[j * COLS + i] *= gain;
        }
    }
    for (size_t j = 0; j < COLS; j++) {
        c->loudness[j] = sqrt(c->layer.moments[j * COLS + j]);
        c->channel[j] = j / shared;
    }
    c->problem =
        (tb_awq_problem){c->layer.weights, c->layer.moments, c->loudness, ROWS, COLS, c->channel, COLS / shared};
}

static tb_quant_options resolved(unsigned bits, size_t threads)
{
    tb_quant_options out, options = {.bits = bits, .group = GROUP, .threads = threads};
    OK(tb_quant_options_resolve(&out, TB_METHOD_AWQ, &options, &err));
    return out;
}

// tr((W − Q)H(W − Q)ᵀ) of clip on scaled weights, the scales taken out again.
static double cost_with(const case_awq *c, const float *scales, unsigned bits)
{
    test_layer scaled = layer_new(ROWS, COLS, 0);
    for (size_t j = 0; j < COLS; j++) {
        float s = scales[c->channel[j]];
        for (size_t r = 0; r < ROWS; r++)
            scaled.weights[r * COLS + j] = c->layer.weights[r * COLS + j] * s;
        for (size_t i = 0; i < COLS; i++)
            scaled.moments[i * COLS + j] = c->layer.moments[i * COLS + j] / ((double)s * (double)scales[c->channel[i]]);
    }
    tb_quant_problem problem = {.weights = scaled.weights, .rows = ROWS, .cols = COLS, .moments = scaled.moments};
    tb_quant_options options = resolved(bits, 1);
    tb_quant_report report;
    tb_packed packed;
    OK(tb_quantize_matrix(&packed, &report, TB_METHOD_AWQ, &problem, &options, &err));
    tb_packed_clear(&packed);
    layer_free(&scaled);
    return report.error;
}

static void awq__without_scaling_is_clip(void **state)
{
    (void)state;
    case_awq c;
    case_init(&c, 1, 1);
    float scales[COLS];
    tb_awq_scales(scales, &c.problem, 0);
    for (size_t i = 0; i < COLS; i++)
        assert_true(scales[i] == 1);
    tb_quant_problem problem = {.weights = c.layer.weights, .rows = ROWS, .cols = COLS, .moments = c.layer.moments};
    tb_quant_options options = resolved(3, 1);
    tb_quant_report report;
    tb_packed clip;
    OK(tb_quantize_matrix(&clip, &report, TB_METHOD_CLIP, &problem, &options, &err));
    assert_true(report.error == cost_with(&c, scales, 3));
    tb_packed_clear(&clip);
    layer_free(&c.layer);
}

static void awq_search__finds_the_best_alpha_of_its_list(void **state)
{
    (void)state;
    for (unsigned bits = 2; bits <= 4; bits++)
        for (size_t shared = 1; shared <= 2; shared++) {
            case_awq c;
            float scales[COLS], tried[COLS];
            double alpha, least = INFINITY, best = 0, plain = 0;
            case_init(&c, bits, shared);
            tb_quant_options options = resolved(bits, 1);
            OK(tb_awq_search(scales, &alpha, &c.problem, &options, &err));
            for (int step = 0; step <= 20; step++) {
                tb_awq_scales(tried, &c.problem, step / 20.0);
                double cost = cost_with(&c, tried, bits);
                plain = step == 0 ? cost : plain;
                best = cost < least ? step / 20.0 : best;
                least = fmin(least, cost);
            }
            assert_true(alpha == best);
            assert_true(cost_with(&c, scales, bits) == least);
            assert_true(alpha > 0 && least < 0.95 * plain); // loud inputs are worth it
            layer_free(&c.layer);
        }
}

static void awq_search__does_not_depend_on_units_and_threads(void **state)
{
    (void)state;
    case_awq c;
    float scales[COLS], again[COLS];
    double alpha, alpha_again;
    case_init(&c, 5, 1);
    tb_quant_options options = resolved(3, 1);
    OK(tb_awq_search(scales, &alpha, &c.problem, &options, &err));
    for (size_t i = 0; i < COLS * COLS; i++)
        c.layer.moments[i] *= 16;
    for (size_t i = 0; i < COLS; i++)
        c.loudness[i] *= 4;
    for (size_t i = 0; i < ROWS * COLS; i++)
        c.layer.weights[i] *= 0.5f;
    options.threads = 3;
    OK(tb_awq_search(again, &alpha_again, &c.problem, &options, &err));
    assert_true(alpha == alpha_again);
    assert_memory_equal(scales, again, sizeof scales);
    layer_free(&c.layer);
}

static void awq_search__bears_silent_inputs(void **state)
{
    (void)state;
    case_awq c;
    float scales[COLS];
    double alpha;
    case_init(&c, 6, 1);
    tb_quant_options options = resolved(2, 1);
    for (size_t dead = 1; dead <= COLS; dead += COLS - 1) {
        for (size_t j = 0; j < dead; j++) {
            c.loudness[j] = 0;
            for (size_t i = 0; i < COLS; i++)
                c.layer.moments[i * COLS + j] = c.layer.moments[j * COLS + i] = 0;
        }
        OK(tb_awq_search(scales, &alpha, &c.problem, &options, &err));
        for (size_t i = 0; i < COLS; i++)
            assert_true(scales[i] > 0 && isfinite(scales[i]));
    }
    layer_free(&c.layer);
}

static void awq_search__survives_failing_memory(void **state)
{
    (void)state;
    case_awq c;
    float scales[COLS];
    double alpha;
    case_init(&c, 7, 1);
    tb_quant_options options = resolved(2, 1);
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc == TB_ENOMEM; n++) {
        tb_mem_fail_after(n);
        rc = tb_awq_search(scales, &alpha, &c.problem, &options, &err);
        tb_mem_fail_after(-1);
        assert_true(n < 1000);
    }
    assert_int_equal(rc, TB_OK);
    layer_free(&c.layer);
}

// ---- into models ----

enum { TOKENS = 12 };

static float *logits_with(const tb_model *model, const int32_t *ids, const tb_block_override *overrides)
{
    tb_states states;
    OK(tb_states_init(&states, model, ids, 1, TOKENS, &err));
    for (size_t b = 0; b < tb_model_config(model)->blocks; b++)
        OK(tb_states_run_block(&states, model, b, overrides ? &overrides[b] : NULL, NULL, &err));
    float *logits = tb_alloc_array(TOKENS * tb_model_vocab_size(model), sizeof *logits);
    OK(tb_states_logits(logits, model, states.x, states.stride, TOKENS, &err));
    tb_states_clear(&states);
    return logits;
}

// A block with random scales between 1/3 and 3 on all inputs, nothing rounded.
typedef struct folded_block {
    tb_fold fold;
    float **values, *vectors; // values[count]
    tb_matrix *matrices;      // [count]
    size_t count;
} folded_block;

static void folded_init(folded_block *f, tb_block_override *override, const tb_model *model, size_t block, tb_rng *rng)
{
    const tb_config *config = tb_model_config(model);
    tb_linears linears = tb_model_linears(model, block);
    *f = (folded_block){.values = tb_alloc_array(linears.count, sizeof *f->values),
                        .matrices = tb_alloc_array(linears.count, sizeof *f->matrices),
                        .count = linears.count};
    *override = (tb_block_override){.linears = tb_alloc_array(linears.count, sizeof *override->linears)};
    for (size_t i = 0; i < TB_LINEAR_INPUTS; i++) {
        size_t n = tb_fold_channels(config, (tb_linear_input)i);
        f->fold.scales[i] = tb_alloc_array(n, sizeof(float));
        for (size_t c = 0; c < n; c++)
            f->fold.scales[i][c] = (float)pow(3, 2 * tb_rng_uniform(rng) - 1);
    }
    for (size_t i = 0; i < linears.count; i++) {
        const tb_matrix *m = &linears.at[i].matrix;
        OK(tb_matrix_decode(&f->values[i], model, m, &err));
        tb_fold_weights(f->values[i], &f->fold, config, &linears.at[i]);
        f->matrices[i] = (tb_matrix){.type = TB_TYPE_F32, .rows = m->rows, .cols = m->cols, .data = f->values[i]};
        override->linears[i].matrix = &f->matrices[i];
    }
    OK(tb_fold_override(override, &f->vectors, &f->fold, model, block, &err));
}

static void folded_clear(folded_block *f)
{
    tb_free(f->vectors);
    for (size_t i = 0; i < f->count; i++)
        tb_free(f->values[i]);
    tb_free(f->values), tb_free(f->matrices);
    tb_fold_clear(&f->fold);
}

static void check_folding(const char *path)
{
    tb_model *model = open_model(path, 1);
    size_t blocks = tb_model_config(model)->blocks, count = TOKENS * tb_model_vocab_size(model);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 1);
    folded_block *folded = tb_alloc_array(blocks, sizeof *folded);
    tb_block_override *overrides = tb_alloc_array(blocks, sizeof *overrides);
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (size_t b = 0; b < blocks; b++)
        folded_init(&folded[b], &overrides[b], model, b, &rng);
    float *plain = logits_with(model, ids, NULL), *with = logits_with(model, ids, overrides);
    double off = distance(with, plain, count), bound = rounding_of_passes(tb_model_config(model), TOKENS, count);
    if (!(off <= bound))
        fail_msg("'%s': logits differ by %g of the largest, more than %g", path, off, bound);
    tb_free(with), tb_free(plain);
    for (size_t b = 0; b < blocks; b++) {
        folded_clear(&folded[b]);
        tb_free(overrides[b].linears);
    }
    tb_free(overrides), tb_free(folded), tb_free(ids);
    tb_model_close(model);
}

static void folding__changes_no_logit_of_any_family(void **state)
{
    (void)state;
    for (size_t i = 0; tiny_dense[i]; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.gguf", tiny_dense[i]);
        check_folding(tiny_path(name));
    }
}

// Biases that no family needs, but any file may have. (The tiny llama has them, llama3 none.)
static void folding__divides_biases(void **state)
{
    (void)state;
    char path[] = "/tmp/twobit-awq-XXXXXX";
    assert_true(mkstemp(path) >= 0);
    tb_model *model = open_model(tiny_path("llama3.gguf"), 1);
    const tb_config *config = tb_model_config(model);
    const model_edit edits[] = {
        {ADD_VECTOR, "blk.0.ffn_up.bias", (double)config->ffn_width, NULL},
        {ADD_VECTOR, "blk.0.attn_v.bias", (double)(config->kv_heads * config->head_size), NULL},
    };
    write_edited(path, tiny_path("llama3.gguf"), edits, 2);
    tb_model_close(model);
    model = open_model(path, 1);
    const float *up = tb_model_linear(model, 0, TB_LINEAR_UP)->bias, *v = tb_model_linear(model, 0, TB_LINEAR_V)->bias;
    assert_non_null(up);
    assert_non_null(v);
    assert_true(up[1] != 0 && v[1] != 0);
    tb_model_close(model);
    check_folding(path);
    remove(path);
}

static bool never_stops(void *user, double done)
{
    (void)user;
    (void)done;
    return false;
}

// With four bits a block does nearly what it did, whatever was scaled, and no worse than without.
static void awq__keeps_what_a_block_does(void **state)
{
    (void)state;
    for (size_t i = 0; tiny_dense[i]; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.gguf", tiny_dense[i]);
        tb_model *model = open_model(tiny_path(name), 1);
        int32_t *ids = random_ids(4 * 64, tb_model_vocab_size(model), 2);
        tb_states inputs, plain, quantized;
        tb_quant_options options = resolved(4, 1);
        tb_block_progress progress = {never_stops, NULL};
        tb_quant_block block;
        OK(tb_states_init(&inputs, model, ids, 4, 64, &err));
        OK(tb_states_init(&plain, model, ids, 4, 64, &err));
        OK(tb_states_init(&quantized, model, ids, 4, 64, &err));
        OK(tb_states_run_block(&plain, model, 0, NULL, NULL, &err));
        const tb_block_job job = {model, 0, &inputs, TB_METHOD_AWQ, &options, progress, NULL};
        OK(tb_quant_block_make(&block, &job, &err));
        OK(tb_quant_block_advance(&quantized, model, 0, &block, progress, &err));
        size_t n = 4 * 64 * plain.stride;
        double moved = 0, off = 0;
        for (size_t k = 0; k < n; k++) {
            moved += pow((double)plain.x[k] - (double)inputs.x[k], 2);
            off += pow((double)quantized.x[k] - (double)plain.x[k], 2);
        }
        if (!(off < 0.05 * moved))
            fail_msg("%s: %g of what the block adds is off", name, off / moved);
        tb_quant_block_clear(&block);
        tb_states_clear(&quantized), tb_states_clear(&plain), tb_states_clear(&inputs);
        tb_free(ids);
        tb_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(awq__without_scaling_is_clip),
        cmocka_unit_test(awq_search__finds_the_best_alpha_of_its_list),
        cmocka_unit_test(awq_search__does_not_depend_on_units_and_threads),
        cmocka_unit_test(awq_search__bears_silent_inputs),
        cmocka_unit_test(awq_search__survives_failing_memory),
        cmocka_unit_test(folding__changes_no_logit_of_any_family),
        cmocka_unit_test(folding__divides_biases),
        cmocka_unit_test(awq__keeps_what_a_block_does),
    };
    return cmocka_run_group_tests(tests, layer_setup, NULL);
}
