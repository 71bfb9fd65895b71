// Calibration with a stored prefix in place: its rows are not part of the second moments.
#include "model_files.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "quant/quant_block.h"

enum { WINDOWS = 4, LENGTH = 40, PREFIX = 3 };

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

static size_t count_tokens(const tb_model *model, const int32_t *ids)
{
    tb_quant_options options;
    tb_states states;
    tb_quant_block block;
    OK(tb_quant_options_resolve(&options, TB_METHOD_GPTQ, &(tb_quant_options){.bits = 4, .group = 32, .threads = 1},
                                &err));
    OK(tb_states_init(&states, model, ids, WINDOWS, LENGTH, &err));
    const tb_block_job job = {model, 0, &states, TB_METHOD_GPTQ, &options, {never_stops, NULL}, NULL};
    OK(tb_quant_block_make(&block, &job, &err));
    size_t tokens = block.linears[0].report.tokens;
    for (size_t i = 0; i < block.count; i++)
        assert_int_equal(block.linears[i].report.tokens, tokens);
    tb_quant_block_clear(&block);
    tb_states_clear(&states);
    return tokens;
}

static void quant_block__leaves_rows_of_the_prefix_out(void **state)
{
    (void)state;
    const char *path = temp_path("prefix.gguf");
    tb_arena arena = {0};
    tb_prefix prefix;
    tb_model *plain = open_model(tiny_path("llama.gguf"), 1), *model;
    int32_t *ids = random_ids(WINDOWS * LENGTH, tb_model_vocab_size(plain), 2);
    for (size_t i = 0; i < PREFIX; i++)
        ids[2 * LENGTH + i] = ids[i]; // two windows begin with it, two otherwise
    ids[LENGTH] = ids[3 * LENGTH] = ids[0] ^ 1;
    OK(tb_prefix_make(&prefix, &arena, plain, ids, PREFIX, &err));
    OK(tb_prefix_save(&prefix, plain, path, &err));
    OK(tb_model_open(&model, tiny_path("llama.gguf"), &(tb_model_options){.threads = 1, .prefix_kv = path}, &err));
    assert_int_equal(count_tokens(plain, ids), WINDOWS * LENGTH);
    assert_int_equal(count_tokens(model, ids), WINDOWS * LENGTH - 2 * PREFIX);
    tb_arena_clear(&arena);
    tb_free(ids);
    tb_model_close(plain), tb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quant_block__leaves_rows_of_the_prefix_out),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
