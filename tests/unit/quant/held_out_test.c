// Matrices that are held out, and attention's gates, which keep four bits.
#include "model_files.h"
#include "run_pipeline.h"
#include "temp_folder.h"
#include "variant_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

enum { TOKENS = 24, LINEARS = 14 }; // of llama.gguf

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static const bool all[LINEARS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                  some[LINEARS] = {[2] = 1, [6] = 1, [9] = 1};

// Its tensors are of 32 bits; 64 calibration tokens, one window.
static tb_pipeline_options options_of(tb_method method, const bool *held_out)
{
    return (tb_pipeline_options){.method = method,
                                 .quant = {.group = 32, .threads = 1},
                                 .calibration_tokens = 64,
                                 .window = 64,
                                 .keep_head = true,
                                 .held_out = held_out};
}

static tb_model *quantize(const char *name, const tb_model *source, const tb_pipeline_options *options)
{
    tb_pipeline_result result;
    uint64_t planned;
    OK(plan_bytes(&planned, source, options, NULL, &err));
    OK(run_pipeline(&result, temp_path(name), source, options, NULL, &err));
    tb_model *model = open_model(temp_path(name), 1);
    OK(tb_checkpoint_verify(tb_model_checkpoint(model), 1, NULL, &err));
    assert_int_equal(tb_checkpoint_file_bytes(tb_model_checkpoint(model)), planned);
    return model;
}

static const tb_linear *linear_at(const tb_model *model, size_t index)
{
    size_t block = 0;
    while (index >= tb_model_linears(model, block).first + tb_model_linears(model, block).count)
        block++;
    return &tb_model_linears(model, block).at[index - tb_model_linears(model, block).first];
}

static float *logits_of(const tb_model *model)
{
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(model), 5);
    tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
    float *logits = push_all(seq, ids, TOKENS);
    tb_seq_free(seq);
    tb_free(ids);
    return logits;
}

static void held_out__keeps_the_others_in_planes(void **state)
{
    (void)state;
    tb_model *source = open_model(tiny_path("llama.gguf"), 1);
    assert_int_equal(tb_model_linear_count(source), LINEARS);
    for (unsigned m = 0; m < TB_METHODS; m++) {
        const tb_pipeline_options options = options_of((tb_method)m, some);
        tb_model *model = quantize("some.gguf", source, &options);
        for (size_t i = 0; i < LINEARS; i++) {
            tb_type type = linear_at(model, i)->matrix.type;
            if (some[i])
                assert_true(type == TB_TYPE_Q8_0 || type == TB_TYPE_F16); // halves, where 32 divide no row
            else
                assert_int_equal(type, tb_method_get((tb_method)m)->type);
        }
        tb_model_close(model);
    }
    tb_model_close(source);
}

// With 8 bits a weight is off by at most 1/254 of the largest of 32, which is two and a half times their root mean
// square: evenly spread, a matrix is off by 0.006 of itself. All of them together at most by the sum.
static void held_out__of_all_is_the_model(void **state)
{
    (void)state;
    tb_model *source = open_model(tiny_path("llama.gguf"), 1);
    size_t n = TOKENS * tb_model_vocab_size(source);
    float *expected = logits_of(source);
    for (unsigned m = 0; m < TB_METHODS; m++) {
        const tb_pipeline_options options = options_of((tb_method)m, all);
        tb_model *eight = quantize("eight.gguf", source, &options);
        float *once = logits_of(eight);
        assert_true(distance(once, expected, n) < LINEARS * 0.006);
        if (!tb_method_get((tb_method)m)->scales_inputs) { // what has eight bits already is copied
            tb_model *again = quantize("again.gguf", eight, &options);
            float *twice = logits_of(again);
            assert_memory_equal(twice, once, n * sizeof *once);
            tb_free(twice);
            tb_model_close(again);
        }
        tb_free(once);
        tb_model_close(eight);
    }
    tb_free(expected);
    tb_model_close(source);
}

// ---- interrupted ----

static bool stop_behind_block(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)user, (void)total, (void)unit;
    return strcmp(stage, "quantize") == 0 && done > 1.5;
}

static void held_out__goes_on_where_it_was(void **state)
{
    (void)state;
    const tb_report stops = {.progress = stop_behind_block};
    tb_model *source = open_model(tiny_path("llama.gguf"), 1);
    tb_pipeline_options options = options_of(TB_METHOD_GPTQ, some);
    tb_pipeline_result result;
    char *whole, *continued;
    size_t whole_size, continued_size;
    tb_model_close(quantize("whole.gguf", source, &options));
    options.report = &stops;
    assert_int_equal(run_pipeline(&result, temp_path("cut.gguf"), source, &options, NULL, &err), TB_ECANCELLED);
    options.report = NULL;
    options.held_out = all;
    assert_int_equal(run_pipeline(&result, temp_path("cut.gguf"), source, &options, NULL, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "option 'held_out' changed"));
    options.held_out = some;
    OK(run_pipeline(&result, temp_path("cut.gguf"), source, &options, NULL, &err));
    assert_int_equal(result.blocks_reused, 1);
    OK(tb_file_read(&whole, &whole_size, temp_path("whole.gguf"), 1 << 24, &err));
    OK(tb_file_read(&continued, &continued_size, temp_path("cut.gguf"), 1 << 24, &err));
    assert_int_equal(whole_size, continued_size);
    assert_memory_equal(whole, continued, whole_size);
    tb_free(whole), tb_free(continued);
    tb_model_close(source);
}

// ---- gates ----

static void assert_gates_have_four(const tb_model *source, tb_method method)
{
    const tb_pipeline_options options = options_of(method, NULL);
    tb_model *model = quantize("gates.gguf", source, &options);
    size_t gates = 0;
    for (size_t i = 0; i < tb_model_linear_count(model); i++) {
        const tb_linear *l = linear_at(model, i);
        gates += l->has_gate;
        if (l->has_gate && method == TB_METHOD_PTQTP)
            assert_true(l->matrix.type == TB_TYPE_Q8_0 || l->matrix.type == TB_TYPE_F16);
        else
            assert_int_equal(l->matrix.planes, l->has_gate ? 4 : 2);
    }
    assert_true(gates > 0);
    tb_model_close(model);
}

static void gates__have_four_bits_at_least(void **state)
{
    (void)state;
    static const tb_method methods[] = {TB_METHOD_RTN, TB_METHOD_HQQ, TB_METHOD_PTQTP};
    for (size_t m = 0; m < sizeof methods / sizeof methods[0]; m++) {
        for (unsigned g = TB_LM_GATE_HEAD; g <= TB_LM_GATE_ELEM; g++) {
            tb_lm_shape shape = variant_plain;
            shape.gate = (tb_lm_gate)g;
            tb_lm *lm = variant_new(&shape, 1);
            variant_write_gguf(temp_path("variant.gguf"), lm);
            tb_lm_free(lm);
            tb_model *source = open_model(temp_path("variant.gguf"), 1);
            assert_gates_have_four(source, methods[m]);
            tb_model_close(source);
        }
        tb_model *between = open_model(tiny_path("qwen3_next.gguf"), 1);
        assert_gates_have_four(between, methods[m]);
        tb_model_close(between);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_out__keeps_the_others_in_planes),
        cmocka_unit_test(held_out__of_all_is_the_model),
        cmocka_unit_test(held_out__goes_on_where_it_was),
        cmocka_unit_test(gates__have_four_bits_at_least),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
