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

static void measure__refuses_registers(void **state)
{
    (void)state;
    tb_lm_shape shape = variant_plain;
    tb_sink_result r;
    shape.registers = 2;
    tb_model *model = make(&shape);
    assert_int_equal(tb_sink_measure(&r, model, ALL, &(tb_sink_options){.ctx = T, .input = TB_SINK_RANDOM}, &err),
                     TB_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "registers"));
    tb_sink_result_clear(&r);
    tb_super_result weights;
    assert_int_equal(tb_sink_find_super(&weights, model, &(int32_t){1}, 1, &(tb_super_options){0}, &err),
                     TB_EUNSUPPORTED);
    tb_super_result_clear(&weights);
    tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measure__knows_every_normalizer),
        cmocka_unit_test(measure__sees_what_a_learned_key_takes),
        cmocka_unit_test(mixing__needs_attention),
        cmocka_unit_test(measure__refuses_registers),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
