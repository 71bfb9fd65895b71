// Texts as vectors: against hidden states that are computed block by block, and what masking promises.
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "model/weights.h"
#include "rounding.h"

enum { TOKENS = 60, FEW = 40 };

// The mean of the rows of all tokens behind the last norm, by another way through the model.
static void mean_of_states(double *out, const tb_model *model, const int32_t *ids)
{
    size_t width = tb_model_config(model)->width;
    tb_states states;
    tb_error err;
    assert_int_equal(tb_states_init(&states, model, ids, 1, TOKENS, &err), TB_OK);
    for (size_t b = 0; b < tb_model_config(model)->blocks; b++)
        assert_int_equal(tb_states_run_block(&states, model, b, NULL, NULL, &err), TB_OK);
    memset(out, 0, width * sizeof *out);
    for (size_t t = states.registers; t < states.length; t++) {
        const float *x = states.x + t * states.stride;
        double square = 0;
        for (size_t i = 0; i < width; i++)
            square += (double)x[i] * (double)x[i] / (double)width;
        for (size_t i = 0; i < width; i++)
            out[i] +=
                (double)x[i] * (double)model->output_norm[i] / sqrt(square + tb_model_config(model)->norm_eps) / TOKENS;
    }
    tb_states_clear(&states);
}

static const char *const families[] = {"llama", "gemma3", "qwen3", "gpt_oss", "memory", NULL};

static void embed__is_the_mean_behind_the_last_norm(void **state)
{
    (void)state;
    for (size_t f = 0; families[f]; f++) {
        tb_model *model = open_model(tiny_path(families[f]), 2);
        size_t width = tb_model_embedding_size(model);
        int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), f);
        float *found = tb_alloc_array(width, sizeof *found);
        double *expected = tb_alloc_array(width, sizeof *expected), largest = 0;
        tb_error err;
        assert_int_equal(width, tb_model_config(model)->width);
        assert_int_equal(tb_model_embed(found, model, ids, TOKENS, false, &err), TB_OK);
        mean_of_states(expected, model, ids);
        for (size_t i = 0; i < width; i++)
            largest = fmax(largest, fabs(expected[i]));
        for (size_t i = 0; i < width; i++)
            assert_true(fabs((double)found[i] - expected[i]) <=
                        rounding_of_passes(tb_model_config(model), TOKENS, width) * largest);
        tb_free(expected);
        tb_free(found);
        tb_free(ids);
        tb_model_close(model);
    }
}

// With the first token masked it does not matter which it is: not to a bit; in a mixture but for roundings, since the
// experts of the first token's row compute one row more.
static void embed__without_the_first_token_does_not_know_it(void **state)
{
    (void)state;
    for (size_t f = 0; families[f]; f++) {
        tb_model *model = open_model(tiny_path(families[f]), 2);
        size_t width = tb_model_embedding_size(model), size = width * sizeof(float);
        int32_t *ids = random_ids(FEW, tb_model_vocab_size(model), f);
        float *a = tb_alloc(size), *b = tb_alloc(size), *c = tb_alloc(size), *d = tb_alloc(size);
        tb_error err;
        assert_int_equal(tb_model_embed(a, model, ids, FEW, true, &err), TB_OK);
        assert_int_equal(tb_model_embed(c, model, ids, FEW, false, &err), TB_OK);
        ids[0] = (ids[0] + 1) % (int32_t)tb_model_vocab_size(model);
        assert_int_equal(tb_model_embed(b, model, ids, FEW, true, &err), TB_OK);
        assert_int_equal(tb_model_embed(d, model, ids, FEW, false, &err), TB_OK);
        if (tb_model_config(model)->experts)
            assert_true(distance(a, b, width) <= rounding_of_passes(tb_model_config(model), FEW, width));
        else
            assert_memory_equal(a, b, size);
        assert_memory_not_equal(c, d, size);
        tb_free(d);
        tb_free(c);
        tb_free(b);
        tb_free(a);
        tb_free(ids);
        tb_model_close(model);
    }
}

static void embed__is_the_same_for_any_number_of_threads(void **state)
{
    float *found[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        tb_model *model = open_model(tiny_path("llama"), i ? 3 : 1);
        int32_t *ids = random_ids(FEW, tb_model_vocab_size(model), 1);
        tb_error err;
        found[i] = tb_alloc_array(tb_model_embedding_size(model), sizeof *found[i]);
        assert_int_equal(tb_model_embed(found[i], model, ids, FEW, true, &err), TB_OK);
        if (i)
            assert_memory_equal(found[0], found[1], tb_model_embedding_size(model) * sizeof *found[0]);
        tb_free(ids);
        tb_model_close(model);
    }
    tb_free(found[0]);
    tb_free(found[1]);
}

static void embed__refuses_what_has_no_mean(void **state)
{
    tb_model *model = open_model(tiny_path("llama"), 1);
    size_t context = tb_model_context_length(model);
    int32_t *ids = random_ids(context + 1, tb_model_vocab_size(model), 1);
    float *out = tb_alloc_array(tb_model_embedding_size(model), sizeof *out);
    tb_error err;
    (void)state;
    assert_int_equal(tb_model_embed(out, model, ids, 0, false, &err), TB_EINVAL);
    assert_int_equal(tb_model_embed(out, model, ids, 1, true, &err), TB_EINVAL);
    assert_int_equal(tb_model_embed(out, model, ids, 1, false, &err), TB_OK);
    assert_int_equal(tb_model_embed(out, model, ids, context + 1, false, &err), TB_ELIMIT);
    ids[0] = (int32_t)tb_model_vocab_size(model);
    assert_int_equal(tb_model_embed(out, model, ids, 2, false, &err), TB_EINVAL);
    tb_free(out);
    tb_free(ids);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embed__is_the_mean_behind_the_last_norm),
        cmocka_unit_test(embed__without_the_first_token_does_not_know_it),
        cmocka_unit_test(embed__is_the_same_for_any_number_of_threads),
        cmocka_unit_test(embed__refuses_what_has_no_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
