// Mixtures of experts through the quantizers: every expert is a matrix of its own, with the second moments of the
// tokens that went through it.
#include "edited_model.h"
#include "model_files.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/weights.h"
#include "quant/pipeline.h"
#include "quant/quant_block.h"

enum { WINDOWS = 4, LENGTH = 64, TOKENS = WINDOWS * LENGTH };

static const char *const mixtures[] = {"qwen2_moe.gguf", "qwen3_moe.gguf",  "gpt_oss.gguf", "qwen3_moe",
                                       "gpt_oss-mxfp4",  "qwen3_next.gguf", "afmoe.gguf",   "mimo_v2_flash.gguf"};
enum { MIXTURES = sizeof mixtures / sizeof mixtures[0] };

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static bool never_stops(void *user, double done)
{
    (void)user;
    (void)done;
    return false;
}

// The first block that is a mixture.
static size_t mixture_of(const tb_model *model)
{
    return model->blocks[0].router.rows ? 0 : 1;
}

static void make_block(tb_quant_block *out, const tb_model *model, const tb_states *states, tb_method method)
{
    tb_quant_options options;
    OK(tb_quant_options_resolve(&options, method, &(tb_quant_options){.bits = 4, .group = 32, .threads = 1}, &err));
    const tb_block_job job = {model, mixture_of(model), states, method, &options, {never_stops, NULL}, NULL};
    OK(tb_quant_block_make(out, &job, &err));
}

// Every row goes through as many experts as the file says, and through the shared one.
static void quant_block__counts_the_tokens_of_experts(void **state)
{
    (void)state;
    for (size_t i = 0; i < MIXTURES; i++) {
        tb_model *model = open_model(tiny_path(mixtures[i]), 1);
        const tb_config *c = tb_model_config(model);
        tb_linears linears = tb_model_linears(model, mixture_of(model));
        int32_t *ids = random_ids(TOKENS, c->vocab, 2);
        tb_states states;
        tb_quant_block block;
        OK(tb_states_init(&states, model, ids, WINDOWS, LENGTH, &err));
        make_block(&block, model, &states, TB_METHOD_GPTQ);
        size_t sum = 0;
        for (size_t k = 0; k < linears.count; k++) {
            size_t tokens = block.linears[k].report.tokens;
            if (linears.at[k].kind == TB_LINEAR_DOWN && linears.at[k].expert < c->experts)
                sum += tokens;
            else if (linears.at[k].expert == 0 && linears.at[k].kind <= TB_LINEAR_O)
                assert_int_equal(tokens, TOKENS);
            else if (linears.at[k].expert == c->experts)
                assert_int_equal(tokens, TOKENS);
        }
        assert_int_equal(sum, c->experts_used * TOKENS);
        tb_quant_block_clear(&block);
        tb_states_clear(&states);
        tb_free(ids);
        tb_model_close(model);
    }
}

// With four bits a block does nearly what it did. A step of a group of 32 normal weights is 0.28 deviations, so that a
// matrix adds 0.28²/12 = 0.0065 to the variance, and seven of them one behind the other 0.05; rows whose router is near
// a tie choose otherwise: twice that.
static void quant_block__keeps_what_a_mixture_does(void **state)
{
    (void)state;
    static const tb_method methods[] = {TB_METHOD_GPTQ, TB_METHOD_BPDQ};
    for (size_t i = 0; i < 2 * MIXTURES; i++) {
        const char *name = mixtures[i / 2];
        tb_model *model = open_model(tiny_path(name), 1);
        int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 2);
        tb_states inputs, plain, quantized;
        tb_quant_block block;
        OK(tb_states_init(&inputs, model, ids, WINDOWS, LENGTH, &err));
        OK(tb_states_init(&plain, model, ids, WINDOWS, LENGTH, &err));
        OK(tb_states_init(&quantized, model, ids, WINDOWS, LENGTH, &err));
        OK(tb_states_run_block(&plain, model, mixture_of(model), NULL, NULL, &err));
        make_block(&block, model, &inputs, methods[i % 2]);
        OK(tb_quant_block_advance(&quantized, model, mixture_of(model), &block, (tb_block_progress){never_stops, NULL},
                                  &err));
        double moved = 0, off = 0;
        for (size_t k = 0; k < TOKENS * plain.stride; k++) {
            moved += pow((double)plain.x[k] - (double)inputs.x[k], 2);
            off += pow((double)quantized.x[k] - (double)plain.x[k], 2);
        }
        if (!(off < 0.1 * moved))
            fail_msg("%s: %g of what the block adds is off", name, off / moved);
        tb_quant_block_clear(&block);
        tb_states_clear(&quantized), tb_states_clear(&plain), tb_states_clear(&inputs);
        tb_free(ids);
        tb_model_close(model);
    }
}

// A broken expert is not hidden by the activation that cuts its numbers.
static void expert__passes_nan_on(void **state)
{
    (void)state;
    enum { EXPERTS = 5 };
    static const char *const kinds[] = {"gate", "up"};
    for (size_t k = 0; k < 2; k++) {
        model_edit edits[EXPERTS];
        char names[EXPERTS][64];
        for (size_t e = 0; e < EXPERTS; e++) {
            snprintf(names[e], sizeof names[e], "blk.0.ffn_%s.%zu.bias", kinds[k], e);
            edits[e] = (model_edit){FILL_VECTOR, names[e], NAN, NULL};
        }
        write_edited(temp_path("nan.gguf"), tiny_path("gpt_oss.gguf"), edits, EXPERTS);
        tb_model *model = open_model(temp_path("nan.gguf"), 1);
        tb_seq *seq = new_seq(model, 4, 0, TB_KV_CACHE_F32);
        OK(tb_seq_push(seq, (const int32_t[]){1, 2, 3}, 3, &err));
        assert_true(isnan(tb_seq_logits(seq)[0]));
        tb_seq_free(seq);
        tb_model_close(model);
    }
}

static tb_code run_rtn(const tb_model *model, tb_method method, const char *out)
{
    tb_pipeline *p;
    tb_pipeline_result result;
    tb_pipeline_options options = {.method = method, .quant = {.bits = 4, .group = 32}};
    tb_code rc = tb_pipeline_new(&p, model, &options, &err);
    if (!rc)
        rc = tb_pipeline_run(&result, p, out, &err);
    tb_pipeline_free(p);
    return rc;
}

// Experts under their own names; router, sinks and biases as floats.
static void pipeline__writes_a_mixture_that_opens_and_verifies(void **state)
{
    (void)state;
    for (size_t i = 0; i < MIXTURES; i++) {
        tb_model *model = open_model(tiny_path(mixtures[i]), 1);
        OK(run_rtn(model, TB_METHOD_RTN, temp_path("out.gguf")));
        tb_model *written = open_model(temp_path("out.gguf"), 1);
        OK(tb_checkpoint_verify(tb_model_checkpoint(written), 1, NULL, &err));
        assert_int_equal(tb_model_linear_count(written), tb_model_linear_count(model));
        assert_int_equal(tb_model_parameters(written), tb_model_parameters(model));
        tb_linears linears = tb_model_linears(written, mixture_of(model));
        for (size_t k = 0; k < linears.count; k++) {
            assert_int_equal(linears.at[k].matrix.type, tb_method_get(TB_METHOD_RTN)->type);
            assert_string_equal(linears.at[k].name, tb_model_linears(model, mixture_of(model)).at[k].name);
        }
        assert_int_equal(written->blocks[mixture_of(model)].router.type, TB_TYPE_F32);
        assert_int_equal(written->settings.shares_to_one, model->settings.shares_to_one);
        tb_model_close(written);
        tb_model_close(model);
    }
}

static void pipeline__refuses_to_scale_the_inputs_of_experts(void **state)
{
    (void)state;
    tb_model *model = open_model(tiny_path("qwen3_moe"), 1);
    assert_int_equal(run_rtn(model, TB_METHOD_AWQ, temp_path("out.gguf")), TB_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "mixture of experts"));
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quant_block__counts_the_tokens_of_experts),
        cmocka_unit_test(quant_block__keeps_what_a_mixture_does),
        cmocka_unit_test(expert__passes_nan_on),
        cmocka_unit_test(pipeline__writes_a_mixture_that_opens_and_verifies),
        cmocka_unit_test(pipeline__refuses_to_scale_the_inputs_of_experts),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
