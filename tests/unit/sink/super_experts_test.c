// Super experts, in a mixture where one is planted.
#include "edited_model.h"
#include "model_files.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sink/sink.h"

enum { TOKENS = 40 };

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if (call)                                                                                                      \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static const tb_linear *down_of(const tb_model *model, size_t block, size_t expert)
{
    tb_linears linears = tb_model_linears(model, block);
    return &linears.at[tb_linears_find(linears, TB_LINEAR_DOWN, expert)];
}

// The model with one row of an expert's down matrix a thousand times larger.
static tb_model *open_planted(const char *family, size_t block, size_t expert, size_t channel)
{
    tb_model *plain = open_model(tiny_path(family), 1);
    const tb_linear *down = down_of(plain, block, expert);
    tb_matrix loud = {.type = TB_TYPE_F32, .rows = down->matrix.rows, .cols = down->matrix.cols};
    float *values = tb_alloc_array(loud.rows * loud.cols, sizeof *values);
    for (size_t r = 0; r < loud.rows; r++)
        tb_matrix_decode_row(values + r * loud.cols, &down->matrix, r);
    for (size_t c = 0; c < loud.cols; c++)
        values[channel * loud.cols + c] *= 1000;
    loud.data = values;
    write_edited(temp_path("loud.gguf"), tiny_path(family), &(model_edit){REPLACE_MATRIX, down->name, 0, &loud}, 1);
    tb_free(values);
    tb_model_close(plain);
    return open_model(temp_path("loud.gguf"), 2);
}

// The expert that most tokens chose, of a block.
static size_t busiest(const tb_super_experts *r, size_t block)
{
    size_t best = 0;
    for (size_t e = 1; e < r->experts; e++)
        if (r->all[block * r->experts + e].rows > r->all[block * r->experts + best].rows)
            best = e;
    return best;
}

static void find_planted(const char *family, size_t block)
{
    enum { CHANNEL = 5 };
    tb_super_experts r;
    tb_model *plain = open_model(tiny_path(family), 1);
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(plain), 4);
    const size_t used = tb_model_config(plain)->experts_used, experts = tb_model_config(plain)->experts;
    OK(tb_sink_find_super_experts(&r, plain, ids, TOKENS, &err));
    size_t rows = 0, expert = busiest(&r, block);
    for (size_t e = 0; e < experts; e++)
        rows += r.all[block * r.experts + e].rows;
    assert_int_equal(rows, TOKENS * used);
    tb_super_experts_clear(&r);
    tb_model *model = open_planted(family, block, expert, CHANNEL);
    OK(tb_sink_find_super_experts(&r, model, ids, TOKENS, &err));
    assert_int_equal(r.count, 1);
    const tb_super_expert *e = &r.found[0];
    assert_true(e->block == block && e->expert == expert && e->channel == CHANNEL);
    assert_true(fabs(e->output) == r.largest && r.threshold < r.largest);
    assert_int_equal(e->token, ids[e->position]);
    tb_super_experts_clear(&r);
    tb_model_close(model);
    tb_model_close(plain);
    tb_free(ids);
}

static void experts__are_found_where_they_were_planted(void **state)
{
    (void)state;
    find_planted("qwen3_moe.gguf", 0);
    find_planted("qwen2_moe.gguf", 0); // with a shared expert
    find_planted("gpt_oss.gguf", 0);   // with biases
}

// The last quarter of the blocks is where massive activations are taken back.
static void experts__of_the_last_blocks_do_not_count(void **state)
{
    (void)state;
    tb_super_experts r;
    tb_model *plain = open_model(tiny_path("qwen3_moe.gguf"), 1);
    size_t last = tb_model_config(plain)->blocks - 1;
    int32_t *ids = random_ids(TOKENS, tb_model_vocab_size(plain), 4);
    OK(tb_sink_find_super_experts(&r, plain, ids, TOKENS, &err));
    size_t expert = busiest(&r, last);
    tb_super_experts_clear(&r);
    tb_model *model = open_planted("qwen3_moe.gguf", last, expert, 5);
    OK(tb_sink_find_super_experts(&r, model, ids, TOKENS, &err));
    assert_int_equal(r.count, 0);
    assert_true(r.largest == fabs(r.all[last * r.experts + expert].output));
    tb_super_experts_clear(&r);
    tb_model_close(model), tb_model_close(plain);
    tb_free(ids);
}

static void experts__are_those_of_mixtures(void **state)
{
    (void)state;
    tb_super_experts r;
    tb_model *dense = open_model(tiny_path("llama.gguf"), 1), *mixture = open_model(tiny_path("qwen3_moe.gguf"), 1);
    assert_int_equal(tb_sink_find_super_experts(&r, dense, (int32_t[]){1}, 1, &err), TB_EUNSUPPORTED);
    tb_super_experts_clear(&r);
    assert_int_equal(tb_sink_find_super_experts(&r, mixture, NULL, 0, &err), TB_EINVAL);
    assert_string_equal(err.message, "the prompt is empty");
    tb_super_experts_clear(&r);
    tb_model_close(dense), tb_model_close(mixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts__are_found_where_they_were_planted),
        cmocka_unit_test(experts__of_the_last_blocks_do_not_count),
        cmocka_unit_test(experts__are_those_of_mixtures),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
