// Logits against those of other programs: tests/golden/gen/forward_reference.py (NumPy, double
// precision) for every dense family and for SmolLM2, transformers for mixtures and for variants of the others, llama2.c
// for stories260K.
#include "edited_model.h"
#include "model_files.h"
#include "rounding.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static tb_npy open_npy(const char *path)
{
    tb_npy npy;
    tb_error err;
    if (tb_npy_open(&npy, path, &err))
        fail_msg("%s", err.message);
    return npy;
}

static void compare_tiny(const char *path, const char *logits_name)
{
    tb_npy ids = open_npy(tiny_path("ids.npy")), expected = open_npy(tiny_path(logits_name));
    tb_model *model = open_model(path, 1);
    assert_int_equal(expected.dims[0], ids.count);
    assert_int_equal(expected.dims[1], tb_model_vocab_size(model));

    tb_seq *seq = new_seq(model, ids.count, 0, TB_KV_CACHE_F32);
    float *logits = push_all(seq, ids.data, ids.count);
    double d = distance(logits, expected.data, expected.count);
    // A wrong formula (GELU by erf, an embedding scale in 16 bits) would show at 1e-4, three times as much.
    double bound = rounding_of_passes(tb_model_config(model), ids.count, expected.count);
    if (d > bound)
        fail_msg("%s differs by %g, more than %g", path, d, bound);
    tb_free(logits);
    tb_seq_free(seq);
    tb_model_close(model);
    tb_npy_close(&ids);
    tb_npy_close(&expected);
}

// Model and logits are FAMILY and an ending.
static void compare_families(const char *model_end)
{
    for (size_t i = 0; tiny_families[i]; i++) {
        char name[64], logits[64];
        snprintf(name, sizeof name, "%s%s", tiny_families[i], model_end);
        snprintf(logits, sizeof logits, "%s.logits.npy", tiny_families[i]);
        compare_tiny(tiny_path(name), logits);
    }
}

static void gguf__agrees_for_every_family(void **state)
{
    (void)state;
    compare_families(".gguf");
}

static void folder__agrees_for_every_family(void **state)
{
    (void)state;
    compare_families("");
}

static void folder__of_published_mxfp4_agrees(void **state)
{
    (void)state;
    compare_tiny(tiny_path("gpt_oss-mxfp4"), "gpt_oss.logits.npy");
}

// Gates of heads and of elements behind the queries of each group, embeddings and keys in front of the text.
static void folder__with_learned_rows_and_gates_agrees(void **state)
{
    (void)state;
    compare_tiny(tiny_path("gated_elem"), "gated_elem.logits.npy");
    compare_tiny(tiny_path("gated_head"), "gated_head.logits.npy");
    compare_tiny(tiny_path("memory"), "memory.logits.npy");
    compare_tiny(tiny_path("sink_keys"), "sink_keys.logits.npy");
}

// The same numbers are another model when the rows of the query matrix are taken in another order.
static void query_gates__of_heads_and_of_groups_differ(void **state)
{
    (void)state;
    static const char *const gates[] = {"elem of group", "elem of head"};
    float *logits[2];
    tb_npy ids = open_npy(tiny_path("ids.npy"));
    size_t n = ids.count;
    for (size_t i = 0; i < 2; i++) {
        const model_edit edit = {SET_TEXT, "qwen3.twobit.query_gate", 0, gates[i]};
        write_edited(temp_path("gated.gguf"), tiny_path("gated_elem"), &edit, 1);
        tb_model *model = open_model(temp_path("gated.gguf"), 1);
        tb_seq *seq = new_seq(model, ids.count, 0, TB_KV_CACHE_F32);
        logits[i] = push_all(seq, ids.data, ids.count);
        n = ids.count * tb_model_vocab_size(model);
        tb_seq_free(seq);
        tb_model_close(model);
    }
    tb_npy expected = open_npy(tiny_path("gated_elem.logits.npy"));
    assert_true(distance(logits[0], expected.data, n) < 1e-4);
    assert_true(distance(logits[1], expected.data, n) > 1e-2);
    tb_npy_close(&expected), tb_npy_close(&ids);
    tb_free(logits[0]), tb_free(logits[1]);
}

static void copy_file(const char *to, const char *from)
{
    char *bytes;
    size_t size;
    tb_error err;
    if (tb_file_read(&bytes, &size, from, 1 << 20, &err))
        fail_msg("%s", err.message);
    temp_write(to, bytes, size);
    tb_free(bytes);
}

// The weights of a family with the config.json of a variant.
static void compare_variant(const char *family, const char *config_name, const char *logits_name)
{
    char weights[64];
    snprintf(weights, sizeof weights, "%s/model.safetensors", family);
    copy_file("variant/model.safetensors", tiny_path(weights));
    copy_file("variant/config.json", tiny_path(config_name));
    compare_tiny(temp_path("variant"), logits_name);
}

// config.json as transformers writes it today, which tells RoPE, windows and more in other places.
static void folder__with_a_new_config_agrees_with_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; tiny_dense[i]; i++) {
        char config[64], logits[64];
        snprintf(config, sizeof config, "variants/%s.json", tiny_dense[i]);
        snprintf(logits, sizeof logits, "%s.logits.npy", tiny_dense[i]);
        compare_variant(tiny_dense[i], config, logits);
    }
    compare_variant("gemma3", "variants/gemma3-seeing.json", "gemma3.logits.npy");
    compare_variant("mistral", "variants/mistral-seeing.json", "mistral.logits.npy");
    compare_variant("mistral3", "variants/mistral3-seeing.json", "mistral3.logits.npy");
}

static void folder__of_a_variant_agrees_with_transformers(void **state)
{
    (void)state;
    static const char *const variants[][2] = {
        {"llama", "llama-linear"},
        {"llama", "llama-dynamic"},
        {"llama", "llama-yarn"},
        {"llama", "llama-yarn_all"},
        {"llama", "llama-yarn_factor"},
        {"llama", "llama-longrope"},
        {"llama", "llama-longrope_short"},
        {"mistral", "mistral-unwindowed"},
        {"smollm3", "smollm3-window"},
        {"qwen2", "qwen2-window"},
        {"qwen3", "qwen3-window"},
        {"gemma3", "gemma3-pattern"},
        {"gemma2", "gemma2-uncapped"},
        {"phi3", "phi3-plain"},
        {"phi3", "phi3-short"},
    };
    static const char *const configs[] = {"json", "older.json"};
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        for (size_t k = 0; k < 2; k++) {
            char config[64], logits[64];
            snprintf(config, sizeof config, "variants/%s.%s", variants[i][1], configs[k]);
            snprintf(logits, sizeof logits, "variants/%s.logits.npy", variants[i][1]);
            compare_variant(variants[i][0], config, logits);
        }
}

static void compare_stories(const char *name)
{
    const int32_t ids[] = {1, 403, 407, 261, 378, 383, 286, 261, 376};
    const char *path = shared_path(name), *logits_path = shared_path("data/models/stories260K_logits_ids.npy");
    if (!path || !logits_path)
        skip();
    tb_npy expected = open_npy(logits_path);
    assert_int_equal(expected.dims[0], sizeof ids / sizeof ids[0]);
    tb_model *model = open_model(path, 1);
    tb_seq *seq = new_seq(model, 16, 0, TB_KV_CACHE_F32);
    float *logits = push_all(seq, ids, expected.dims[0]);
    assert_true(distance(logits, expected.data, expected.count) <=
                rounding_of_passes(tb_model_config(model), expected.dims[0], expected.count));
    tb_free(logits);
    tb_seq_free(seq);
    tb_model_close(model);
    tb_npy_close(&expected);
}

static void stories260k__agrees_from_gguf(void **state)
{
    (void)state;
    compare_stories("data/models/stories260K.gguf");
}

static void stories260k__agrees_from_folder(void **state)
{
    (void)state;
    compare_stories("data/models/stories260K-hf");
}

// smollm2.logits.npy: every 193rd logit after every third of these tokens.
static void smollm2__agrees_with_numpy(void **state)
{
    (void)state;
    const int32_t ids[] = {788, 5249, 282,  4649, 314, 260,  4052, 28,  564,
                           346, 325,  2036, 281,  260, 3384, 30,   657, 1194};
    enum { TOKENS = sizeof ids / sizeof ids[0], STEP = 193, EVERY = 3 };
    const char *path = cached_path("SmolLM2-135M-Instruct-Q4_1.gguf");
    if (!path)
        skip();
    tb_npy expected = open_npy(tiny_path("smollm2.logits.npy"));
    tb_model *model = open_model(path, 1);
    tb_seq *seq = new_seq(model, TOKENS, 0, TB_KV_CACHE_F32);
    float *logits = push_all(seq, ids, TOKENS), row[256];
    assert_true(expected.dims[1] <= 256);
    for (size_t t = 0; t < expected.dims[0]; t++) {
        for (size_t i = 0; i < expected.dims[1]; i++)
            row[i] = logits[t * EVERY * tb_model_vocab_size(model) + i * STEP];
        assert_true(distance(row, (const float *)expected.data + t * expected.dims[1], expected.dims[1]) <=
                    rounding_of_passes(tb_model_config(model), TOKENS, expected.count));
    }
    tb_free(logits);
    tb_seq_free(seq);
    tb_model_close(model);
    tb_npy_close(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf__agrees_for_every_family),
        cmocka_unit_test(folder__agrees_for_every_family),
        cmocka_unit_test(folder__of_published_mxfp4_agrees),
        cmocka_unit_test(folder__with_learned_rows_and_gates_agrees),
        cmocka_unit_test(query_gates__of_heads_and_of_groups_differ),
        cmocka_unit_test(folder__with_a_new_config_agrees_with_transformers),
        cmocka_unit_test(folder__of_a_variant_agrees_with_transformers),
        cmocka_unit_test(stories260k__agrees_from_gguf),
        cmocka_unit_test(stories260k__agrees_from_folder),
        cmocka_unit_test(smollm2__agrees_with_numpy),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
