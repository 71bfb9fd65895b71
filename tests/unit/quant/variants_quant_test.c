// Variants of attention through the quantizers.
#include "model_files.h"
#include "temp_folder.h"
#include "variant_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

#include "quant/pipeline.h"
#include "quant/quant_block.h"

enum { WINDOWS = 3, LENGTH = 32 };

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static tb_code run(const tb_model *model, tb_method method)
{
    tb_pipeline *p;
    tb_pipeline_result result;
    tb_pipeline_options options = {.method = method, .quant = {.bits = 4, .group = 32}};
    tb_code rc = tb_pipeline_new(&p, model, &options, &err);
    if (!rc)
        rc = tb_pipeline_run(&result, p, temp_path("out.gguf"), &err);
    tb_pipeline_free(p);
    return rc;
}

static tb_model *open_variant(const tb_lm_shape *shape)
{
    tb_lm *lm = variant_new(shape, 1);
    variant_write_gguf(temp_path("variant.gguf"), lm);
    tb_lm_free(lm);
    return open_model(temp_path("variant.gguf"), 1);
}

// What is no matrix of a block stays as it is, and the file says the same variant.
static void pipeline__writes_every_variant(void **state)
{
    (void)state;
    for (size_t i = 0; i < TB_LM_NORMALIZERS; i++) {
        tb_lm_shape shape = variant_plain;
        shape.normalizer = (tb_lm_normalizer)i;
        shape.gate = (tb_lm_gate)(i % TB_LM_GATES);
        shape.kv_bias = (tb_lm_kv_bias)(i % TB_LM_KV_BIASES);
        shape.norm = (tb_lm_norm_kind)(i % TB_LM_NORMS);
        shape.registers = i;
        tb_model *model = open_variant(&shape);
        OK(run(model, TB_METHOD_RTN));
        tb_model *written = open_model(temp_path("out.gguf"), 1);
        OK(tb_checkpoint_verify(tb_model_checkpoint(written), 1, NULL, &err));
        assert_int_equal(tb_model_parameters(written), tb_model_parameters(model));
        assert_int_equal(tb_model_linear_count(written), tb_model_linear_count(model));
        assert_int_equal(tb_model_config(written)->registers, i);
        tb_model_close(written);
        tb_model_close(model);
    }
}

static bool never_stops(void *user, double done)
{
    (void)user;
    (void)done;
    return false;
}

static void quant_block__leaves_registers_out_of_second_moments(void **state)
{
    (void)state;
    tb_lm_shape shape = variant_plain;
    shape.registers = 5;
    shape.gate = TB_LM_GATE_ELEM;
    tb_model *model = open_variant(&shape);
    int32_t *ids = random_ids(WINDOWS * LENGTH, shape.vocab, 2);
    tb_states states;
    tb_quant_block block;
    tb_quant_options options;
    OK(tb_quant_options_resolve(&options, TB_METHOD_GPTQ, &(tb_quant_options){.bits = 4, .group = 32, .threads = 1},
                                &err));
    OK(tb_states_init(&states, model, ids, WINDOWS, LENGTH, &err));
    assert_int_equal(states.length, LENGTH + 5);
    const tb_block_job job = {model, 0, &states, TB_METHOD_GPTQ, &options, {never_stops, NULL}, NULL};
    OK(tb_quant_block_make(&block, &job, &err));
    for (size_t i = 0; i < block.count; i++)
        assert_int_equal(block.linears[i].report.tokens, WINDOWS * LENGTH);
    tb_quant_block_clear(&block);
    tb_states_clear(&states);
    tb_free(ids);
    tb_model_close(model);
}

// Where a norm has no weight for every channel, or something besides the next matrix reads what is scaled.
static void pipeline__refuses_to_scale_what_it_cannot_divide(void **state)
{
    (void)state;
    const struct {
        tb_lm_norm_kind norm;
        tb_lm_kv_bias kv_bias;
    } list[] = {{TB_LM_NORM_SS, TB_LM_KV_BIAS_NONE},
                {TB_LM_NORM_HEADWISE, TB_LM_KV_BIAS_NONE},
                {TB_LM_NORM_DYNTANH, TB_LM_KV_BIAS_NONE},
                {TB_LM_NORM_RMS, TB_LM_KV_BIAS_KV}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        tb_lm_shape shape = variant_plain;
        shape.norm = list[i].norm;
        shape.kv_bias = list[i].kv_bias;
        tb_model *model = open_variant(&shape);
        assert_int_equal(run(model, TB_METHOD_AWQ), TB_EUNSUPPORTED);
        assert_non_null(strstr(err.message, "variants of attention"));
        tb_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipeline__writes_every_variant),
        cmocka_unit_test(quant_block__leaves_registers_out_of_second_moments),
        cmocka_unit_test(pipeline__refuses_to_scale_what_it_cannot_divide),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
