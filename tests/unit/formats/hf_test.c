// Hugging Face folders: settings and names in GGUF's vocabulary, shards, tokenizer files, and
// what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder_files.h"
#include "gguf_bytes.h"
#include "temp_folder.h"
#include "walk.h"

static tb_error err;

static const test_tensor embedding[] = {{"model.embed_tokens.weight", "F32", "[2, 2]", 16, 0}};

// Settings that every config must have, of a model with tied embeddings.
#define SIZES(blocks)                                                                                                  \
    "\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":" #blocks                                      \
    ",\"num_attention_heads\":4,\"vocab_size\":2,\"max_position_embeddings\":256,\"rms_norm_eps\":1e-5,"               \
    "\"tie_word_embeddings\":true"

static tb_code open_folder(tb_checkpoint **out)
{
    err = (tb_error){0};
    return tb_checkpoint_open(out, temp_path(FOLDER), &err);
}

static void clear_folder(void)
{
    static const char *const names[] = {"config.json",
                                        "model.safetensors",
                                        "model.safetensors.index.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "chat_template.jinja",
                                        "tokenizer.model",
                                        "a.safetensors",
                                        "b.safetensors",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "generation_config.json",
                                        "chat_template.json",
                                        "additional_chat_templates/tool_use.jinja"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, FOLDER "/%s", names[i]);
        temp_delete(path);
    }
}

// Opens a folder with that config.json and an embedding alone.
static tb_code open_config(tb_checkpoint **out, const char *config)
{
    clear_folder();
    write_text("config.json", config);
    write_safetensors("model.safetensors", embedding, 1);
    return open_folder(out);
}

static tb_checkpoint *must_open_config(const char *config)
{
    tb_checkpoint *c;
    if (open_config(&c, config))
        fail_msg("%s", err.message);
    return c;
}

static void assert_number(const tb_checkpoint *c, const char *key, double expected)
{
    double value;
    if (tb_checkpoint_get_f64(&value, c, key, true, &err))
        fail_msg("%s", err.message);
    if (value != expected && (float)value != (float)expected)
        fail_msg("%s is %g, not %g", key, value, expected);
}

static void assert_text_value(const tb_checkpoint *c, const char *key, const char *expected)
{
    tb_text text;
    if (tb_checkpoint_get_text(&text, c, key, true, &err))
        fail_msg("%s", err.message);
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

// `expected` has a digit per block.
static void assert_flags(const tb_checkpoint *c, const char *key, const char *expected)
{
    const tb_kv *kv = tb_checkpoint_find(c, key);
    assert_non_null(kv);
    assert_int_equal(kv->type, TB_KV_ARRAY);
    assert_int_equal(kv->value.array.type, TB_KV_BOOL);
    assert_int_equal(kv->value.array.count, strlen(expected));
    for (size_t i = 0; i < strlen(expected); i++)
        assert_int_equal(tb_kv_array_i64(kv, i), expected[i] - '0');
}

static void assert_ids(const tb_checkpoint *c, const char *key, const char *expected)
{
    const tb_kv *kv = tb_checkpoint_find(c, key);
    char text[256] = "";
    for (size_t i = 0; kv && i < kv->value.array.count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i ? " " : "", (int)tb_kv_array_i64(kv, i));
    assert_string_equal(text, expected);
}

// ---- settings ----

static void hf_config__translates_a_llama(void **state)
{
    (void)state;
    tb_checkpoint *c = must_open_config(
        "{\"model_type\":\"llama\"," SIZES(3) ",\"num_key_value_heads\":2,"
                                              "\"rope_theta\":500000,\"bos_token_id\":1,\"eos_token_id\":[7,8]}");
    assert_text_value(c, "general.architecture", "llama");
    assert_text_value(c, "twobit.rope_pairs", "halves");
    assert_number(c, "llama.block_count", 3);
    assert_number(c, "llama.context_length", 256);
    assert_number(c, "llama.embedding_length", 64);
    assert_number(c, "llama.feed_forward_length", 128);
    assert_number(c, "llama.vocab_size", 2);
    assert_number(c, "llama.attention.head_count", 4);
    assert_number(c, "llama.attention.head_count_kv", 2);
    assert_number(c, "llama.attention.key_length", 16);
    assert_number(c, "llama.attention.value_length", 16);
    assert_number(c, "llama.attention.layer_norm_rms_epsilon", 1e-5);
    assert_number(c, "llama.rope.dimension_count", 16);
    assert_number(c, "llama.rope.freq_base", 500000);
    assert_number(c, "tokenizer.ggml.bos_token_id", 1);
    assert_number(c, "tokenizer.ggml.eos_token_id", 7);
    assert_ids(c, TB_KEY_END_IDS, "7 8");
    assert_null(tb_checkpoint_find(c, "llama.rope.scaling.type"));
    assert_null(tb_checkpoint_find(c, "llama.attention.sliding_window"));
    tb_checkpoint_close(c);
}

static void hf_config__has_the_defaults_of_old_llamas(void **state)
{
    (void)state;
    tb_checkpoint *c = must_open_config("{\"model_type\":\"llama\"," SIZES(1) ",\"rope_scaling\":null}");
    assert_number(c, "llama.attention.head_count_kv", 4);
    assert_number(c, "llama.rope.freq_base", 10000);
    tb_checkpoint_close(c);
}

static void hf_config__translates_rope_scaling(void **state)
{
    (void)state;
    static const char *const configs[] = {
        "{\"model_type\":\"llama\"," SIZES(
            1) ",\"rope_theta\":500000.0,\"rope_scaling\":{\"factor\":32.0,"
               "\"high_freq_factor\":4.0,\"low_freq_factor\":1.0,\"original_max_position_embeddings\":8192,"
               "\"rope_type\":\"llama3\"}}",
        // as newer files say it
        "{\"model_type\":\"llama\"," SIZES(
            1) ",\"rope_parameters\":{\"rope_theta\":500000.0,\"factor\":32.0,"
               "\"high_freq_factor\":4.0,\"low_freq_factor\":1.0,\"original_max_position_embeddings\":8192,"
               "\"rope_type\":\"llama3\"}}",
    };
    for (size_t i = 0; i < 2; i++) {
        tb_checkpoint *c = must_open_config(configs[i]);
        assert_text_value(c, "llama.rope.scaling.type", "llama3");
        assert_number(c, "llama.rope.freq_base", 500000);
        assert_number(c, "llama.rope.scaling.factor", 32);
        assert_number(c, "llama.rope.scaling.low_freq_factor", 1);
        assert_number(c, "llama.rope.scaling.high_freq_factor", 4);
        assert_number(c, "llama.rope.scaling.original_context_length", 8192);
        tb_checkpoint_close(c);
    }
    tb_checkpoint *c = must_open_config("{\"model_type\":\"llama\"," SIZES(1) ",\"rope_scaling\":{\"type\":\"linear\","
                                                                              "\"factor\":2.0}}");
    assert_text_value(c, "llama.rope.scaling.type", "linear");
    assert_number(c, "llama.rope.scaling.factor", 2);
    tb_checkpoint_close(c);
    c = must_open_config("{\"model_type\":\"llama\"," SIZES(1) ",\"rope_parameters\":{\"rope_theta\":3e4,"
                                                               "\"rope_type\":\"default\"}}");
    assert_number(c, "llama.rope.freq_base", 30000);
    assert_null(tb_checkpoint_find(c, "llama.rope.scaling.type"));
    tb_checkpoint_close(c);
}

static void hf_config__has_the_defaults_of_the_classes(void **state)
{
    (void)state;
    static const struct {
        const char *type, *arch;
        double blocks, width, ffn, heads, kv_heads, head_size, context, vocab, eps;
    } defaults[] = {
        {"llama", "llama", 32, 4096, 11008, 32, 32, 128, 2048, 32000, 1e-6},
        {"mistral", "llama", 32, 4096, 14336, 32, 8, 128, 131072, 32000, 1e-6},
        {"qwen2", "qwen2", 32, 4096, 22016, 32, 32, 128, 32768, 151936, 1e-6},
        {"qwen3", "qwen3", 32, 4096, 22016, 32, 32, 128, 32768, 151936, 1e-6},
        {"smollm3", "smollm3", 36, 2048, 11008, 16, 4, 128, 32768, 128256, 1e-6},
        {"gemma3_text", "gemma3", 26, 2304, 9216, 8, 4, 256, 131072, 262208, 1e-6},
        {"gemma2", "gemma2", 26, 2304, 9216, 8, 4, 256, 8192, 256000, 1e-6},
        {"phi3", "phi3", 32, 3072, 8192, 32, 32, 96, 4096, 32064, 1e-5},
        {"ministral3", "mistral3", 34, 4096, 14336, 32, 8, 128, 262144, 131072, 1e-5},
    };
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        const struct {
            const char *name;
            double value;
        } keys[] = {
            {"block_count", defaults[i].blocks},
            {"embedding_length", defaults[i].width},
            {"feed_forward_length", defaults[i].ffn},
            {"attention.head_count", defaults[i].heads},
            {"attention.head_count_kv", defaults[i].kv_heads},
            {"attention.key_length", defaults[i].head_size},
            {"context_length", defaults[i].context},
            {"vocab_size", defaults[i].vocab},
            {"attention.layer_norm_rms_epsilon", defaults[i].eps},
        };
        char text[128];
        snprintf(text, sizeof text, "{\"model_type\":\"%s\",\"tie_word_embeddings\":true}", defaults[i].type);
        tb_checkpoint *c = must_open_config(text);
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            snprintf(text, sizeof text, "%s.%s", defaults[i].arch, keys[k].name);
            assert_number(c, text, keys[k].value);
        }
        tb_checkpoint_close(c);
    }
    tb_checkpoint *c = must_open_config("{\"model_type\":\"gemma2\",\"num_hidden_layers\":5}");
    assert_number(c, "gemma2.attn_logit_softcapping", 50);
    assert_number(c, "gemma2.final_logit_softcapping", 30);
    assert_number(c, "gemma2.attention.sliding_window", 4096);
    assert_flags(c, "gemma2.attention.sliding_window_pattern", "10101");
    tb_checkpoint_close(c);
    c = must_open_config("{\"model_type\":\"ministral3\",\"tie_word_embeddings\":true}");
    assert_text_value(c, "mistral3.rope.scaling.type", "yarn");
    assert_number(c, "mistral3.rope.freq_base", 1e6);
    assert_number(c, "mistral3.rope.scaling.yarn_attn_factor", 1);
    assert_number(c, "mistral3.attention.temperature_scale", 0.1);
    assert_number(c, "mistral3.attention.temperature_length", 16384);
    tb_checkpoint_close(c);
    c = must_open_config("{\"model_type\":\"mistral\"," SIZES(1) ",\"num_key_value_heads\":null}");
    assert_number(c, "llama.attention.head_count_kv", 4);
    tb_checkpoint_close(c);
    c = must_open_config("{\"model_type\":\"ministral3\"," SIZES(1) ",\"head_dim\":null}");
    assert_number(c, "mistral3.attention.key_length", 16);
    tb_checkpoint_close(c);
}

// As in transformers: all of "rope_parameters" gives way, its base too, but in Gemma, key by key, that of full
// attention.
static void hf_config__prefers_rope_scaling_to_rope_parameters(void **state)
{
    (void)state;
    tb_checkpoint *c = must_open_config(
        "{\"model_type\":\"llama\"," SIZES(1) ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e5},"
                                              "\"rope_scaling\":{\"type\":\"linear\",\"factor\":3}}");
    assert_text_value(c, "llama.rope.scaling.type", "linear");
    assert_number(c, "llama.rope.scaling.factor", 3);
    assert_number(c, "llama.rope.freq_base", 10000);
    tb_checkpoint_close(c);
    c = must_open_config(
        "{\"model_type\":\"llama\"," SIZES(1) ",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2},"
                                              "\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}}");
    assert_text_value(c, "llama.rope.scaling.type", "yarn");
    assert_number(c, "llama.rope.scaling.original_context_length", 256);
    tb_checkpoint_close(c);
    for (size_t i = 0; i < 2; i++) {
        c = must_open_config(i ? "{\"model_type\":\"llama\"," SIZES(1) ",\"rope_parameters\":{\"rope_type\":\"linear\","
                                                                       "\"factor\":2},\"rope_scaling\":{}}"
                               : "{\"model_type\":\"llama\"," SIZES(1) ",\"rope_parameters\":{\"rope_type\":\"linear\","
                                                                       "\"factor\":2},\"rope_scaling\":null}");
        assert_number(c, "llama.rope.scaling.factor", 2);
        tb_checkpoint_close(c);
    }
    c = must_open_config("{\"model_type\":\"gemma3_text\"," SIZES(
        1) ",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\",\"rope_theta\":5e5},"
           "\"sliding_attention\":{\"rope_theta\":2e4}},\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8}}");
    assert_number(c, "gemma3.rope.scaling.factor", 8);
    assert_number(c, "gemma3.rope.freq_base", 500000);
    assert_number(c, "gemma3.rope.freq_base_swa", 20000);
    tb_checkpoint_close(c);
}

static void hf_config__translates_the_other_families(void **state)
{
    (void)state;
    tb_checkpoint *c = must_open_config("{\"model_type\":\"mistral\"," SIZES(2) ",\"sliding_window\":32}");
    assert_text_value(c, "general.architecture", "llama");
    assert_number(c, "llama.attention.head_count_kv", 8);
    assert_number(c, "llama.attention.sliding_window", 32);
    assert_flags(c, "llama.attention.sliding_window_pattern", "11");
    tb_checkpoint_close(c);

    c = must_open_config("{\"model_type\":\"mistral\"," SIZES(2) ",\"sliding_window\":null,\"head_dim\":32}");
    assert_null(tb_checkpoint_find(c, "llama.attention.sliding_window"));
    assert_number(c, "llama.attention.key_length", 32);
    tb_checkpoint_close(c);

    c = must_open_config("{\"model_type\":\"qwen2\"," SIZES(2) ",\"sliding_window\":32,\"use_sliding_window\":false}");
    assert_text_value(c, "general.architecture", "qwen2");
    assert_number(c, "qwen2.attention.key_length", 16);
    assert_null(tb_checkpoint_find(c, "qwen2.attention.sliding_window"));
    tb_checkpoint_close(c);

    c = must_open_config("{\"model_type\":\"qwen2\"," SIZES(3) ",\"sliding_window\":32,\"use_sliding_window\":true,"
                                                               "\"max_window_layers\":2}");
    assert_number(c, "qwen2.attention.sliding_window", 32);
    assert_flags(c, "qwen2.attention.sliding_window_pattern", "001");
    tb_checkpoint_close(c);

    c = must_open_config("{\"model_type\":\"qwen3\"," SIZES(1) "}");
    assert_text_value(c, "general.architecture", "qwen3");
    assert_number(c, "qwen3.attention.key_length", 128);
    tb_checkpoint_close(c);
}

static void hf_config__translates_smollm3(void **state)
{
    (void)state;
    tb_checkpoint *c = must_open_config("{\"model_type\":\"smollm3\"," SIZES(5) "}");
    assert_text_value(c, "general.architecture", "smollm3");
    assert_number(c, "smollm3.rope.freq_base", 2000000);
    assert_flags(c, "smollm3.twobit.rope_blocks", "11101");
    tb_checkpoint_close(c);
    c = must_open_config("{\"model_type\":\"smollm3\"," SIZES(3) ",\"no_rope_layers\":[0,1,1]}");
    assert_flags(c, "smollm3.twobit.rope_blocks", "011");
    tb_checkpoint_close(c);
}

static void hf_config__translates_gemma3(void **state)
{
    (void)state;
    // The text part of a model with a vision tower says little: the family's defaults fill it.
    tb_checkpoint *c = must_open_config("{\"model_type\":\"gemma3\",\"vision_config\":{},\"text_config\":{"
                                        "\"hidden_size\":2560,\"intermediate_size\":10240,\"num_hidden_layers\":7,"
                                        "\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},"
                                        "\"sliding_window\":1024}}");
    assert_text_value(c, "general.architecture", "gemma3");
    assert_number(c, "gemma3.vocab_size", 262208);
    assert_number(c, "gemma3.context_length", 131072);
    assert_number(c, "gemma3.attention.head_count", 8);
    assert_number(c, "gemma3.attention.head_count_kv", 4);
    assert_number(c, "gemma3.attention.key_length", 256);
    assert_number(c, "gemma3.attention.layer_norm_rms_epsilon", 1e-6);
    assert_number(c, "gemma3.attention.scale", 1.0 / 16);
    assert_number(c, "gemma3.attention.sliding_window", 1024);
    assert_flags(c, "gemma3.attention.sliding_window_pattern", "1111101");
    assert_number(c, "gemma3.rope.freq_base", 1000000);
    assert_number(c, "gemma3.rope.freq_base_swa", 10000);
    assert_text_value(c, "gemma3.rope.scaling.type", "linear");
    assert_number(c, "gemma3.rope.scaling.factor", 8);
    tb_checkpoint_close(c);

    c = must_open_config("{\"model_type\":\"gemma3_text\"," SIZES(
        3) ",\"head_dim\":16,\"query_pre_attn_scalar\":64,"
           "\"sliding_window\":8,\"hidden_activation\":\"gelu_pytorch_tanh\","
           "\"layer_types\":[\"full_attention\",\"sliding_attention\",\"sliding_attention\"],"
           "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":5e5,\"rope_type\":\"default\"},"
           "\"sliding_attention\":{\"rope_theta\":2e4,\"rope_type\":\"default\"}}}");
    assert_number(c, "gemma3.attention.scale", 1.0 / 8);
    assert_flags(c, "gemma3.attention.sliding_window_pattern", "011");
    assert_number(c, "gemma3.rope.freq_base", 500000);
    assert_number(c, "gemma3.rope.freq_base_swa", 20000);
    tb_checkpoint_close(c);
}

static void hf_config__refuses_by_name_what_it_does_not_know(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        tb_code code;
        const char *sentence;
    } cases[] = {
        {"{\"model_type\":\"falcon_mamba\"}", TB_EUNSUPPORTED, "'falcon_mamba'"},
        {"{\"model_type\":7}", TB_EFORMAT, "'model_type'"},
        {"{}", TB_EFORMAT, "'model_type'"},
        {"[]", TB_EFORMAT, "config.json' is not a JSON object"},
        {"{\"model_type\":\"llama\"", TB_EFORMAT, "not valid JSON"},
        {"{\"model_type\":\"gemma3\"}", TB_EFORMAT, "'text_config'"},
        {"{\"model_type\":\"llama\"," SIZES(0) "}", TB_EFORMAT, "'num_hidden_layers'"},
        {"{\"model_type\":\"llama\"," SIZES(-1) "}", TB_EFORMAT, "'num_hidden_layers'"},
        {"{\"model_type\":\"llama\"," SIZES(2.5) "}", TB_EFORMAT, "'num_hidden_layers'"},
        {"{\"model_type\":\"llama\"," SIZES("2") "}", TB_EFORMAT, "'num_hidden_layers'"},
        {"{\"model_type\":\"llama\"," SIZES(2000000000) "}", TB_ELIMIT, "'num_hidden_layers'"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"rope_theta\":-1}", TB_EFORMAT, "'rope_theta'"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"hidden_act\":\"relu\"}", TB_EUNSUPPORTED, "'hidden_act' = relu"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"rope_scaling\":{\"rope_type\":\"ntk\",\"factor\":4}}",
         TB_EUNSUPPORTED, "ntk"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"rope_scaling\":{\"rope_type\":\"dynamic\"}}", TB_EFORMAT,
         "'factor'"},
        {"{\"model_type\":\"llama\"," SIZES(
             1) ",\"rope_scaling\":{\"rope_type\":\"longrope\",\"long_factor\":[1,1],\"short_factor\":[1]}}",
         TB_EFORMAT, "'short_factor'"},
        {"{\"model_type\":\"llama\"," SIZES(
             1) ",\"rope_scaling\":{\"rope_type\":\"longrope\",\"short_factor\":[1,1,1,1,1,1,1,-1]}}",
         TB_EFORMAT, "must be positive"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"rope_scaling\":{\"rope_type\":\"linear\"}}", TB_EFORMAT, "'factor'"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"rope_scaling\":{\"factor\":2}}", TB_EFORMAT, "no type"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"rope_scaling\":{\"type\":2}}", TB_EFORMAT, "no type"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"rope_scaling\":\"linear\"}", TB_EFORMAT, "'rope_scaling'"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"partial_rotary_factor\":0.5}", TB_EUNSUPPORTED,
         "'partial_rotary_factor'"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"quantization_config\":{\"quant_method\":\"gptq\"}}", TB_EUNSUPPORTED,
         "'quantization_config' = gptq"},
        {"{\"model_type\":\"qwen3\"," SIZES(1) ",\"num_experts\":8}", TB_EUNSUPPORTED, "'num_experts'"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"final_logit_softcapping\":30.0}", TB_EUNSUPPORTED,
         "'final_logit_softcapping'"},
        {"{\"model_type\":\"gemma3_text\"," SIZES(1) ",\"use_bidirectional_attention\":true}", TB_EUNSUPPORTED,
         "'use_bidirectional_attention'"},
        {"{\"model_type\":\"gemma3_text\"," SIZES(2) ",\"layer_types\":[\"full_attention\"]}", TB_EFORMAT,
         "'layer_types'"},
        {"{\"model_type\":\"gemma3\",\"quantization_config\":{\"quant_method\":\"fp8\"},\"text_config\":{" SIZES(
             1) "}}",
         TB_EUNSUPPORTED, "'quantization_config' = fp8"},
        {"{\"model_type\":\"qwen3\"," SIZES(1) ",\"layer_types\":[\"linear_attention\"]}", TB_EUNSUPPORTED,
         "'layer_types' = linear_attention"},
        {"{\"model_type\":\"gemma3_text\"," SIZES(1) ",\"layer_types\":[\"chunked_attention\"]}", TB_EUNSUPPORTED,
         "chunked_attention"},
        {"{\"model_type\":\"smollm3\"," SIZES(2) ",\"no_rope_layers\":[1]}", TB_EFORMAT, "'no_rope_layers'"},
        {"{\"model_type\":\"llama\"," SIZES(1) ",\"rope_theta\":Infinity}", TB_EFORMAT, "'rope_theta'"},
        {"{\"model_type\":\"llama\"," SIZES(NaN) "}", TB_EFORMAT, "'num_hidden_layers'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_checkpoint *c;
        tb_code rc = open_config(&c, cases[i].config);
        if (rc != cases[i].code || !strstr(err.message, cases[i].sentence))
            fail_msg("%s: code %d and '%s'", cases[i].config, rc, err.message);
    }
}

// ---- names ----

typedef struct name_pair {
    const char *hf, *gguf; // NULL: skipped
} name_pair;

// A folder of those tensors must have exactly those names.
static void assert_names(const char *config, const name_pair *pairs, size_t count)
{
    test_tensor tensors[32];
    size_t known = 0;
    tb_checkpoint *c;
    for (size_t i = 0; i < count; i++) {
        tensors[i] = (test_tensor){pairs[i].hf, pairs[i].gguf ? "F32" : "I64", "[2]", pairs[i].gguf ? 8 : 16, 0};
        known += pairs[i].gguf != NULL;
    }
    clear_folder();
    write_text("config.json", config);
    write_safetensors("model.safetensors", tensors, count);
    if (open_folder(&c))
        fail_msg("%s", err.message);
    assert_int_equal(tb_checkpoint_tensor_count(c), known);
    for (size_t i = 0; i < count; i++)
        if (pairs[i].gguf && !tb_checkpoint_tensor(c, pairs[i].gguf))
            fail_msg("'%s' is missing", pairs[i].gguf);
    tb_checkpoint_close(c);
}

static void hf_names__are_those_of_gguf(void **state)
{
    (void)state;
    static const name_pair llama[] = {
        {"model.embed_tokens.weight", "token_embd.weight"},
        {"model.norm.weight", "output_norm.weight"},
        {"model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"},
        {"model.layers.10.post_attention_layernorm.weight", "blk.10.ffn_norm.weight"},
        {"model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight"},
        {"model.layers.0.self_attn.q_proj.bias", "blk.0.attn_q.bias"},
        {"model.layers.0.self_attn.k_proj.weight", "blk.0.attn_k.weight"},
        {"model.layers.0.self_attn.k_proj.bias", "blk.0.attn_k.bias"},
        {"model.layers.0.self_attn.v_proj.weight", "blk.0.attn_v.weight"},
        {"model.layers.0.self_attn.v_proj.bias", "blk.0.attn_v.bias"},
        {"model.layers.0.self_attn.o_proj.weight", "blk.0.attn_output.weight"},
        {"model.layers.0.self_attn.o_proj.bias", "blk.0.attn_output.bias"},
        {"model.layers.0.self_attn.q_norm.weight", "blk.0.attn_q_norm.weight"},
        {"model.layers.0.self_attn.k_norm.weight", "blk.0.attn_k_norm.weight"},
        {"model.layers.0.mlp.gate_proj.weight", "blk.0.ffn_gate.weight"},
        {"model.layers.0.mlp.up_proj.weight", "blk.0.ffn_up.weight"},
        {"model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"},
        {"model.layers.0.self_attn.rotary_emb.inv_freq", NULL},
    };
    assert_names("{\"model_type\":\"llama\"," SIZES(1) "}", llama, sizeof llama / sizeof llama[0]);
}

static void hf_names__follow_gemmas_sandwich_and_prefixes(void **state)
{
    (void)state;
    static const name_pair plain[] = {
        {"model.embed_tokens.weight", "token_embd.weight"},
        {"model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"},
        {"model.layers.0.post_attention_layernorm.weight", "blk.0.post_attention_norm.weight"},
        {"model.layers.0.pre_feedforward_layernorm.weight", "blk.0.ffn_norm.weight"},
        {"model.layers.0.post_feedforward_layernorm.weight", "blk.0.post_ffw_norm.weight"},
    };
    static const name_pair older[] = {
        {"language_model.model.embed_tokens.weight", "token_embd.weight"},
        {"language_model.model.layers.3.mlp.up_proj.weight", "blk.3.ffn_up.weight"},
        {"vision_tower.vision_model.post_layernorm.weight", NULL},
        {"multi_modal_projector.mm_soft_emb_norm.weight", NULL},
    };
    static const name_pair newer[] = {
        {"model.language_model.norm.weight", "output_norm.weight"},
        {"model.language_model.layers.3.mlp.up_proj.weight", "blk.3.ffn_up.weight"},
        {"model.vision_tower.vision_model.post_layernorm.weight", NULL},
        {"model.multi_modal_projector.mm_input_projection_weight", NULL},
    };
    const char *config = "{\"model_type\":\"gemma3_text\"," SIZES(1) "}";
    assert_names(config, plain, sizeof plain / sizeof plain[0]);
    assert_names(config, older, sizeof older / sizeof older[0]);
    assert_names(config, newer, sizeof newer / sizeof newer[0]);
}

static void hf_names__refuse_strangers(void **state)
{
    (void)state;
    static const char *const strangers[] = {
        "score.weight",
        "model.layers.0.self_attn.qkv_proj.weight",
        "model.layers.00.mlp.up_proj.weight",
        "model.layers..mlp.up_proj.weight",
        "model.layers.1234567.mlp.up_proj.weight",
        "model.layers.0.mlp.up_proj.scale",
        "model.layers.0.pre_feedforward_layernorm.weight", // not in a llama
        "language_model.model.norm.weight",
        "vision_tower.norm.weight",
        "model.norm",
    };
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        tb_checkpoint *c;
        clear_folder();
        write_text("config.json", "{\"model_type\":\"llama\"," SIZES(1) "}");
        write_safetensors("model.safetensors", &(test_tensor){strangers[i], "F32", "[1]", 4, 0}, 1);
        assert_int_equal(open_folder(&c), TB_EUNSUPPORTED);
        assert_non_null(strstr(err.message, strangers[i]));
    }
}

// ---- tensors ----

static void hf_tensors__add_one_to_gemmas_norms(void **state)
{
    (void)state;
    static const float norm[] = {0.5f, -1}, matrix[] = {3, 4};
    static const uint16_t brain[] = {0x3F80, 0xBE80}; // 1, −0.25
    tb_str file = {0};
    tb_checkpoint *c;
    put_raw_safetensors(
        &file,
        "{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"model.layers.0.mlp.up_proj.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]},"
        "\"model.layers.0.self_attn.q_norm.weight\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[16,20]}} ",
        20);
    memcpy(file.data + file.size - 20, norm, 8);
    memcpy(file.data + file.size - 12, matrix, 8);
    memcpy(file.data + file.size - 4, brain, 4);
    clear_folder();
    write_text("config.json", "{\"model_type\":\"gemma3_text\"," SIZES(1) "}");
    temp_write(FOLDER "/model.safetensors", file.data, file.size);
    if (open_folder(&c))
        fail_msg("%s", err.message);
    const tb_tensor_info *head_norm = tb_checkpoint_tensor(c, "blk.0.attn_q_norm.weight");
    assert_memory_equal(tb_checkpoint_tensor(c, "output_norm.weight")->data, ((float[]){1.5f, 0}), 8);
    assert_memory_equal(tb_checkpoint_tensor(c, "blk.0.ffn_up.weight")->data, matrix, 8);
    assert_int_equal(head_norm->type, TB_TYPE_F32);
    assert_int_equal(head_norm->bytes, 8);
    assert_memory_equal(head_norm->data, ((float[]){2, 0.75f}), 8);
    tb_checkpoint_close(c);
    tb_str_clear(&file);
}

// Embedding (F32) and head of `rows` rows of two ones; of the head `odd` is a two, if it has so many.
static void write_two_matrices(bool head_is_half, size_t rows, size_t odd)
{
    tb_str file = {0};
    char header[512];
    size_t n = 2 * rows, begin = n * sizeof(float), end = begin + n * (head_is_half ? 2 : 4);
    int size = snprintf(header, sizeof header,
                        "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[%zu,2],\"data_offsets\":[0,%zu]},"
                        "\"lm_head.weight\":{\"dtype\":\"%s\",\"shape\":[%zu,2],\"data_offsets\":[%zu,%zu]}}",
                        rows, begin, head_is_half ? "F16" : "F32", rows, begin, end);
    put_number(&file, (uint64_t)size, 8);
    put_bytes(&file, header, (size_t)size);
    for (size_t i = 0; i < 2 * n; i++)
        if (i < n || !head_is_half)
            put_number(&file, i == n + odd ? 0x40000000u : 0x3F800000u, 4);
        else
            put_number(&file, i == n + odd ? 0x4000u : 0x3C00u, 2);
    temp_write(FOLDER "/model.safetensors", file.data, file.size);
    tb_str_clear(&file);
}

// Whichever value of a head differs from the embedding, the head counts, tied or not, and somebody is told.
static void hf_tensors__keep_a_tied_head_that_differs(void **state)
{
    (void)state;
    enum { ROWS = 700, VALUES = 2 * ROWS };
    static const size_t odd[] = {0, 1, 1023, 1024, VALUES - 1, VALUES};
    clear_folder();
    write_text("config.json", "{\"model_type\":\"llama\"," SIZES(1) "}");
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        for (int half = 0; half < 2; half++) {
            tb_checkpoint *c;
            write_two_matrices(half, ROWS, odd[i]);
            if (open_folder(&c))
                fail_msg("%s", err.message);
            bool differs = odd[i] < VALUES;
            assert_int_equal(tb_checkpoint_tensor(c, "output.weight") != NULL, differs);
            assert_int_equal(tb_checkpoint_note(c, 0) != NULL, differs);
            assert_true(!differs || strstr(tb_checkpoint_note(c, 0), "lm_head.weight"));
            tb_checkpoint_close(c);
        }
}

static void hf_tensors__need_a_head_that_is_not_tied(void **state)
{
    (void)state;
    static const test_tensor both[] = {{"model.embed_tokens.weight", "F32", "[1, 2]", 8, 0},
                                       {"lm_head.weight", "F32", "[1, 2]", 8, 0}};
    tb_checkpoint *c;
    clear_folder();
    write_safetensors("model.safetensors", both, 2);

    const char *untied = "{\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":128,"
                         "\"num_hidden_layers\":1,\"num_attention_heads\":4,\"vocab_size\":2,"
                         "\"max_position_embeddings\":256,\"rms_norm_eps\":1e-5}";
    write_text("config.json", untied);
    assert_int_equal(open_folder(&c), TB_OK);
    assert_non_null(tb_checkpoint_tensor(c, "output.weight"));
    tb_checkpoint_close(c);

    write_safetensors("model.safetensors", both, 1);
    assert_int_equal(open_folder(&c), TB_EFORMAT);
    assert_non_null(strstr(err.message, "lm_head.weight"));
}

// ---- several files ----

static const test_tensor part_a[] = {{"model.embed_tokens.weight", "F32", "[1, 2]", 8, 0}};
static const test_tensor part_b[] = {{"model.norm.weight", "F32", "[2]", 8, 0},
                                     {"model.layers.0.mlp.up_proj.weight", "F32", "[1, 2]", 8, 0}};

static tb_code open_index(tb_checkpoint **out, const char *index)
{
    clear_folder();
    write_text("config.json", "{\"model_type\":\"llama\"," SIZES(1) "}");
    write_safetensors("a.safetensors", part_a, 1);
    write_safetensors("b.safetensors", part_b, 2);
    write_text("model.safetensors.index.json", index);
    return open_folder(out);
}

static void hf_shards__are_one_checkpoint(void **state)
{
    (void)state;
    tb_checkpoint *c;
    if (open_index(&c, "{\"metadata\":{\"total_size\":24},\"weight_map\":{"
                       "\"model.norm.weight\":\"b.safetensors\",\"model.embed_tokens.weight\":\"a.safetensors\","
                       "\"model.layers.0.mlp.up_proj.weight\":\"b.safetensors\"}}"))
        fail_msg("%s", err.message);
    assert_int_equal(tb_checkpoint_tensor_count(c), 3);
    assert_int_equal(((const unsigned char *)tb_checkpoint_tensor(c, "token_embd.weight")->data)[0], 1);
    assert_int_equal(((const unsigned char *)tb_checkpoint_tensor(c, "blk.0.ffn_up.weight")->data)[0], 9);
    walk_checkpoint(c);
    tb_checkpoint_close(c);
}

static void hf_shards__must_be_those_of_the_index(void **state)
{
    (void)state;
    static const struct {
        const char *index;
        tb_code code;
        const char *sentence;
    } cases[] = {
        {"{}", TB_EFORMAT, "no 'weight_map'"},
        {"{\"weight_map\":{\"x\":1}}", TB_EFORMAT, "no file of the folder"},
        {"{\"weight_map\":{\"x\":\"\"}}", TB_EFORMAT, "no file of the folder"},
        {"{\"weight_map\":{\"x\":\"..\"}}", TB_EFORMAT, "no file of the folder"},
        {"{\"weight_map\":{\"x\":\"../a.safetensors\"}}", TB_EFORMAT, "no file of the folder"},
        {"{\"weight_map\":{\"x\":\"/etc/passwd\"}}", TB_EFORMAT, "'/etc/passwd'"},
        {"{\"weight_map\":{\"x\":\"c.safetensors\"}}", TB_EIO, "c.safetensors"},
        {"{\"weight_map\":{\"model.embed_tokens.weight\":\"a.safetensors\",\"model.norm.weight\":\"a.safetensors\"}}",
         TB_EFORMAT, "2 tensors, its files have 1"},
        {"{\"weight_map\":{\"model.embed_tokens.weight\":\"a.safetensors\",\"model.norm.weight\":\"b.safetensors\"}}",
         TB_EFORMAT, "'model.layers.0.mlp.up_proj.weight'"},
        {"{\"weight_map\":{\"model.embed_tokens.weight\":\"b.safetensors\",\"model.norm.weight\":\"a.safetensors\"}}",
         TB_EFORMAT, "does not put"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_checkpoint *c;
        tb_code rc = open_index(&c, cases[i].index);
        if (rc != cases[i].code || !strstr(err.message, cases[i].sentence))
            fail_msg("%s: code %d and '%s'", cases[i].index, rc, err.message);
    }
}

static void hf_folder__says_what_is_missing(void **state)
{
    (void)state;
    tb_checkpoint *c;
    clear_folder();
    write_text("tokenizer_config.json", "{}");
    assert_int_equal(open_folder(&c), TB_EFORMAT);
    assert_non_null(strstr(err.message, "no config.json"));
    write_text("config.json", "{\"model_type\":\"llama\"," SIZES(1) "}");
    assert_int_equal(open_folder(&c), TB_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "no 'model.safetensors'"));
}

// The cache of Hugging Face keeps files elsewhere and links to them.
static void hf_folder__works_through_links(void **state)
{
    (void)state;
    tb_checkpoint *c;
    clear_folder();
    write_text("config.json", "{\"model_type\":\"llama\"," SIZES(1) "}");
    write_safetensors("model.safetensors", embedding, 1);
    temp_write("linked/x", "", 0);
    assert_int_equal(symlink(temp_path(FOLDER "/config.json"), temp_path("linked/config.json")), 0);
    assert_int_equal(symlink("../" FOLDER "/model.safetensors", temp_path("linked/model.safetensors")), 0);
    assert_int_equal(tb_checkpoint_open(&c, temp_path("linked"), &err), TB_OK);
    assert_int_equal(tb_checkpoint_tensor_count(c), 1);
    tb_checkpoint_close(c);
}

// ---- tokenizer files ----

static void assert_file(const tb_checkpoint *c, tb_hf_file which, const char *expected)
{
    tb_text text = tb_checkpoint_hf_file(c, which);
    assert_int_equal(text.size, strlen(expected));
    if (text.size)
        assert_memory_equal(text.data, expected, text.size);
}

static void hf_folder__lends_tokenizer_files(void **state)
{
    (void)state;
    tb_checkpoint *c = must_open_config("{\"model_type\":\"llama\"," SIZES(1) "}");
    for (int i = 0; i < TB_HF_FILES; i++)
        assert_null(tb_checkpoint_hf_file(c, (tb_hf_file)i).data);
    assert_null(tb_checkpoint_find(c, "tokenizer.chat_template"));
    tb_checkpoint_close(c);
    write_text("tokenizer.json", "{\"a\":1}");
    write_text("tokenizer.model", "abc");
    write_text("tokenizer_config.json", "{\"chat_template\":\"{{ x }}\"}");
    assert_int_equal(open_folder(&c), TB_OK);
    assert_file(c, TB_HF_TOKENIZER_JSON, "{\"a\":1}");
    assert_file(c, TB_HF_TOKENIZER_MODEL, "abc");
    assert_file(c, TB_HF_TOKENIZER_CONFIG, "{\"chat_template\":\"{{ x }}\"}");
    assert_text_value(c, "tokenizer.chat_template", "{{ x }}");
    tb_checkpoint_close(c);
}

// NaN, Infinity, keys twice, integers of any size: in every file of settings.
static void hf_folder__is_read_as_python_reads_it(void **state)
{
    (void)state;
    tb_checkpoint *c;
    write_text("config.json", "{\"model_type\":\"falcon\"," SIZES(
                                  1) ",\"a\":NaN,\"b\":[-Infinity,1e999],\"model_type\":\"llama\",\"eos_token_id\":7}");
    write_text("generation_config.json", "{\"temperature\":Infinity,\"eos_token_id\":1,\"eos_token_id\":9}");
    write_text("tokenizer_config.json", "{\"model_max_length\":Infinity,\"a\":NaN,\"chat_template\":\"x\","
                                        "\"chat_template\":\"y\",\"n\":1000000000000000019884624838656}");
    write_text("special_tokens_map.json", "{\"a\":NaN,\"bos_token\":\"<s>\",\"bos_token\":\"<b>\"}");
    write_text("added_tokens.json", "{\"<b>\":5,\"<b>\":4}");
    if (open_folder(&c))
        fail_msg("%s", err.message);
    assert_text_value(c, "general.architecture", "llama");
    assert_text_value(c, "tokenizer.chat_template", "y");
    const tb_kv *ends = tb_checkpoint_find(c, TB_KEY_END_IDS);
    assert_int_equal(ends->value.array.count, 2);
    assert_int_equal(tb_kv_array_i64(ends, 1), 9);
    tb_text settings = tb_checkpoint_hf_file(c, TB_HF_TOKENIZER_CONFIG);
    assert_non_null(strstr(settings.data, "\"bos_token\":\"<b>\""));
    assert_non_null(strstr(settings.data, "\"4\":{\"content\":\"<b>\""));
    tb_checkpoint_close(c);
}

// Opens the folder as it is, with settings that go into tokenizer_config.json.
static tb_checkpoint *open_with_settings(const char *settings)
{
    tb_checkpoint *c;
    write_text("tokenizer_config.json", settings);
    if (open_folder(&c))
        fail_msg("%s", err.message);
    return c;
}

static void hf_folder__completes_the_settings_of_the_tokenizer(void **state)
{
    (void)state;
    tb_checkpoint_close(must_open_config("{\"model_type\":\"llama\"," SIZES(1) "}"));
    write_text("special_tokens_map.json", "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\"},"
                                          "\"additional_special_tokens\":[\"<a>\",{\"content\":\"<b>\"}]}");
    write_text("added_tokens.json", "{\"<a>\":7,\"<b>\":8,\"<c>\":9}");
    tb_checkpoint *c = open_with_settings("{\"bos_token\":null,\"model_max_length\":1000000000000000019884624838656}");
    assert_file(c, TB_HF_TOKENIZER_CONFIG,
                "{\"bos_token\":null,\"model_max_length\":1e30,\"eos_token\":{\"content\":\"</s>\"},"
                "\"added_tokens_decoder\":{\"7\":{\"content\":\"<a>\",\"special\":true},"
                "\"8\":{\"content\":\"<b>\",\"special\":true},\"9\":{\"content\":\"<c>\",\"special\":false}}}");
    tb_checkpoint_close(c);
    c = open_with_settings("{\"bos_token\":\"x\",\"eos_token\":\"y\",\"added_tokens_decoder\":{}}");
    assert_file(c, TB_HF_TOKENIZER_CONFIG, "{\"bos_token\":\"x\",\"eos_token\":\"y\",\"added_tokens_decoder\":{}}");
    tb_checkpoint_close(c);
    temp_delete(FOLDER "/tokenizer_config.json");
    temp_delete(FOLDER "/added_tokens.json");
    write_text("special_tokens_map.json", "{\"bos_token\":\"<s>\"}");
    assert_int_equal(open_folder(&c), TB_OK);
    assert_file(c, TB_HF_TOKENIZER_CONFIG, "{\"bos_token\":\"<s>\"}");
    tb_checkpoint_close(c);
}

static void hf_folder__names_the_tokenizer_file_that_is_damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                        "generation_config.json", "chat_template.json"};
    static const char *const texts[] = {"{", "[]", "{\"a\":1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            tb_checkpoint *c = must_open_config("{\"model_type\":\"llama\"," SIZES(1) "}");
            tb_checkpoint_close(c);
            write_text(names[i], texts[k]);
            assert_int_equal(open_folder(&c), TB_EFORMAT);
            assert_non_null(strstr(err.message, names[i]));
        }
    clear_folder();
    write_text("added_tokens.json", "{\"<a>\":\"7\"}");
    write_text("tokenizer.model", "abc");
    tb_checkpoint *c;
    assert_int_equal(open_folder(&c), TB_EFORMAT);
    assert_non_null(strstr(err.message, "no valid id for '<a>'"));
}

static void hf_folder__chooses_the_chat_template(void **state)
{
    (void)state;
    tb_checkpoint_close(must_open_config("{\"model_type\":\"llama\"," SIZES(1) "}"));
    write_text("chat_template.json", "{\"chat_template\":\"of the processor\"}");
    tb_checkpoint *c = open_with_settings("{}");
    assert_text_value(c, "tokenizer.chat_template", "of the processor");
    assert_null(tb_checkpoint_find(c, "tokenizer.chat_template.tool_use"));
    tb_checkpoint_close(c);
    c = open_with_settings("{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"t\"},"
                           "{\"name\":\"default\",\"template\":\"d\"},{\"name\":\"rag\",\"template\":\"r\"}]}");
    assert_text_value(c, "tokenizer.chat_template", "d");
    assert_text_value(c, "tokenizer.chat_template.tool_use", "t");
    tb_checkpoint_close(c);
    write_text("additional_chat_templates/tool_use.jinja", "tools of a file");
    write_text("chat_template.jinja", "of a file");
    assert_int_equal(open_folder(&c), TB_OK);
    assert_text_value(c, "tokenizer.chat_template", "of a file");
    assert_text_value(c, "tokenizer.chat_template.tool_use", "tools of a file");
    tb_checkpoint_close(c);
}

static void hf_folder__gathers_the_ids_that_end_a_text(void **state)
{
    (void)state;
    tb_checkpoint_close(must_open_config("{\"model_type\":\"llama\"," SIZES(1) "}"));
    write_text("generation_config.json", "{\"bos_token_id\":3,\"eos_token_id\":[9,8,8,-1,null]}");
    tb_checkpoint *c = open_with_settings("{}");
    assert_number(c, "tokenizer.ggml.bos_token_id", 3);
    assert_number(c, "tokenizer.ggml.eos_token_id", 9);
    assert_ids(c, TB_KEY_END_IDS, "9 8");
    tb_checkpoint_close(c);
    write_text("config.json", "{\"model_type\":\"gemma3\",\"eos_token_id\":[1,106],\"text_config\":{"
                              "\"model_type\":\"gemma3_text\",\"bos_token_id\":2,\"eos_token_id\":1," SIZES(1) "}}");
    c = open_with_settings("{}");
    assert_number(c, "tokenizer.ggml.bos_token_id", 2);
    assert_number(c, "tokenizer.ggml.eos_token_id", 1);
    assert_ids(c, TB_KEY_END_IDS, "1 106 9 8");
    tb_checkpoint_close(c);
}

static void hf_folder__reports_every_failed_allocation(void **state)
{
    (void)state;
    tb_checkpoint *c;
    if (open_index(&c, "{\"weight_map\":{\"model.norm.weight\":\"b.safetensors\","
                       "\"model.embed_tokens.weight\":\"a.safetensors\","
                       "\"model.layers.0.mlp.up_proj.weight\":\"b.safetensors\"}}"))
        fail_msg("%s", err.message);
    tb_checkpoint_close(c);
    write_text("config.json", "{\"model_type\":\"gemma3_text\"," SIZES(2) ",\"sliding_window\":4}");
    write_text("tokenizer_config.json", "{\"chat_template\":\"{{ x }}\"}");
    write_text("special_tokens_map.json", "{\"bos_token\":\"<s>\"}");
    write_text("added_tokens.json", "{\"<a>\":7}");
    write_text("generation_config.json", "{\"eos_token_id\":[9,8]}");
    tb_code rc = TB_ENOMEM;
    int n = 0;
    for (; rc == TB_ENOMEM; n++) {
        tb_mem_fail_after(n);
        rc = open_folder(&c);
        tb_mem_fail_after(-1);
        if (rc != TB_OK)
            assert_int_equal(err.code, TB_ENOMEM);
    }
    if (rc)
        fail_msg("%s", err.message);
    assert_true(n > 30);
    tb_checkpoint_close(c);
}

// ---- a real model in both formats ----

// Row `row` of a matrix whose heads GGUF stores with the two halves of RoPE interleaved:
// the row of the folder that lies there.
static size_t halves_row(size_t row, size_t head_size)
{
    size_t head = row / head_size, i = row % head_size;
    return head * head_size + i / 2 + (i % 2) * (head_size / 2);
}

static bool is_permuted(const char *name)
{
    return strstr(name, "attn_q.weight") || strstr(name, "attn_k.weight");
}

static void assert_same_tensor(const tb_tensor_info *gguf, const tb_tensor_info *hf, size_t head_size)
{
    size_t row_bytes = tb_row_bytes(gguf->type, (size_t)gguf->dims[0]);
    assert_int_equal(gguf->type, hf->type);
    assert_memory_equal(gguf->dims, hf->dims, sizeof gguf->dims);
    for (size_t row = 0; row < gguf->dims[1]; row++) {
        size_t other = is_permuted(gguf->name.data) ? halves_row(row, head_size) : row;
        const unsigned char *a = gguf->data, *b = hf->data;
        assert_memory_equal(a + row * row_bytes, b + other * row_bytes, row_bytes);
    }
}

static void stories__are_the_same_in_both_formats(void **state)
{
    (void)state;
    const char *shared = getenv("TWOBIT_SHARED");
    char gguf_path[1024], hf_path[1024];
    snprintf(gguf_path, sizeof gguf_path, "%s/data/models/stories260K.gguf", shared ? shared : TB_SHARED);
    snprintf(hf_path, sizeof hf_path, "%s/data/models/stories260K-hf", shared ? shared : TB_SHARED);
    if (!tb_path_exists(gguf_path) || !tb_path_exists(hf_path)) {
        print_message("SKIPPED: '%s' is absent; set TWOBIT_SHARED to compare a real model\n", gguf_path);
        skip();
    }
    tb_checkpoint *gguf, *hf;
    if (tb_checkpoint_open(&gguf, gguf_path, &err) || tb_checkpoint_open(&hf, hf_path, &err))
        fail_msg("%s", err.message);
    // The GGUF file stores the tied head a second time.
    assert_int_equal(tb_checkpoint_tensor_count(gguf), tb_checkpoint_tensor_count(hf) + 1);
    for (size_t i = 0; i < tb_checkpoint_tensor_count(hf); i++) {
        const tb_tensor_info *tensor = tb_checkpoint_tensor_at(hf, i);
        const tb_tensor_info *same = tb_checkpoint_tensor(gguf, tensor->name.data);
        assert_non_null(same);
        assert_same_tensor(same, tensor, 8);
    }
    static const char *const keys[] = {"llama.block_count",
                                       "llama.embedding_length",
                                       "llama.feed_forward_length",
                                       "llama.attention.head_count",
                                       "llama.attention.head_count_kv",
                                       "llama.rope.dimension_count",
                                       "llama.attention.layer_norm_rms_epsilon"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        double value;
        assert_int_equal(tb_checkpoint_get_f64(&value, gguf, keys[i], true, &err), TB_OK);
        assert_number(hf, keys[i], value);
    }
    tb_checkpoint_close(gguf);
    tb_checkpoint_close(hf);
}

static void hf_folder__without_config_is_a_tokenizer(void **state)
{
    (void)state;
    clear_folder();
    write_text("tokenizer.json", "{\"model\":{}}");
    write_text("tokenizer_config.json", "{\"chat_template\":\"hello\"}");
    tb_checkpoint *c;
    assert_int_equal(open_folder(&c), TB_OK);
    assert_int_equal(tb_checkpoint_tensor_count(c), 0);
    assert_false(tb_checkpoint_is_gguf(c));
    assert_non_null(tb_checkpoint_find(c, "tokenizer.chat_template"));
    tb_checkpoint_close(c);
    clear_folder();
    assert_int_equal(open_folder(&c), TB_EFORMAT);
    assert_null(c);
}

static void tokenizer_file__opens_alone(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        tb_hf_file which;
    } files[] = {{"tokenizer.json", TB_HF_TOKENIZER_JSON}, {"tokenizer.model", TB_HF_TOKENIZER_MODEL}};
    for (size_t i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, FOLDER "/%s", files[i].name);
        clear_folder();
        write_text(files[i].name, "bytes");
        tb_checkpoint *c;
        assert_int_equal(tb_checkpoint_open(&c, temp_path(name), &err), TB_OK);
        assert_int_equal(tb_checkpoint_hf_file(c, files[i].which).size, 5);
        assert_int_equal(tb_checkpoint_tensor_count(c), 0);
        assert_int_equal(tb_checkpoint_kv_count(c), 0);
        tb_checkpoint_close(c);
    }
    clear_folder();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hf_config__translates_a_llama),
        cmocka_unit_test(hf_config__has_the_defaults_of_old_llamas),
        cmocka_unit_test(hf_config__translates_rope_scaling),
        cmocka_unit_test(hf_config__has_the_defaults_of_the_classes),
        cmocka_unit_test(hf_config__prefers_rope_scaling_to_rope_parameters),
        cmocka_unit_test(hf_config__translates_the_other_families),
        cmocka_unit_test(hf_config__translates_smollm3),
        cmocka_unit_test(hf_config__translates_gemma3),
        cmocka_unit_test(hf_config__refuses_by_name_what_it_does_not_know),
        cmocka_unit_test(hf_names__are_those_of_gguf),
        cmocka_unit_test(hf_names__follow_gemmas_sandwich_and_prefixes),
        cmocka_unit_test(hf_names__refuse_strangers),
        cmocka_unit_test(hf_tensors__add_one_to_gemmas_norms),
        cmocka_unit_test(hf_tensors__keep_a_tied_head_that_differs),
        cmocka_unit_test(hf_tensors__need_a_head_that_is_not_tied),
        cmocka_unit_test(hf_shards__are_one_checkpoint),
        cmocka_unit_test(hf_shards__must_be_those_of_the_index),
        cmocka_unit_test(hf_folder__says_what_is_missing),
        cmocka_unit_test(hf_folder__works_through_links),
        cmocka_unit_test(hf_folder__lends_tokenizer_files),
        cmocka_unit_test(hf_folder__is_read_as_python_reads_it),
        cmocka_unit_test(hf_folder__completes_the_settings_of_the_tokenizer),
        cmocka_unit_test(hf_folder__names_the_tokenizer_file_that_is_damaged),
        cmocka_unit_test(hf_folder__chooses_the_chat_template),
        cmocka_unit_test(hf_folder__gathers_the_ids_that_end_a_text),
        cmocka_unit_test(hf_folder__reports_every_failed_allocation),
        cmocka_unit_test(stories__are_the_same_in_both_formats),
        cmocka_unit_test(hf_folder__without_config_is_a_tokenizer),
        cmocka_unit_test(tokenizer_file__opens_alone),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
