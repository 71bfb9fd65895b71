// Fingerprints stand for the whole content and for nothing else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "folder_files.h"
#include "gguf_bytes.h"
#include "temp_folder.h"

static void fingerprint_of(char out[65], const char *path)
{
    tb_checkpoint *c;
    tb_error err;
    if (tb_checkpoint_open(&c, path, &err) || tb_checkpoint_fingerprint(out, c, &err))
        fail_msg("%s", err.message);
    tb_checkpoint_close(c);
}

static void fingerprint__follows_content_and_not_the_name(void **state)
{
    (void)state;
    char first[65], copy[65], changed[65];
    tb_str file = {0};
    put_sample(&file);
    temp_write("a.gguf", file.data, file.size);
    temp_write("b.gguf", file.data, file.size);
    file.data[file.size - 1] ^= 1; // a weight
    temp_write("c.gguf", file.data, file.size);
    fingerprint_of(first, temp_path("a.gguf"));
    fingerprint_of(copy, temp_path("b.gguf"));
    fingerprint_of(changed, temp_path("c.gguf"));
    assert_int_equal(strlen(first), 64);
    assert_string_equal(first, copy);
    assert_string_not_equal(first, changed);
    tb_str_clear(&file);
}

// A config of three blocks with settings of its own.
#define CONFIG(settings)                                                                                               \
    "{\"model_type\":\"mistral\",\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":3,"                \
    "\"num_attention_heads\":4,\"vocab_size\":2,\"max_position_embeddings\":256," settings "}"

#define LONGROPE(last)                                                                                                 \
    "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1,1,1,1,1,1],\"long_factor\":[1,1,1,1,1,1,1," last  \
    "]}"

static void fingerprint__notices_every_changed_setting_of_a_folder(void **state)
{
    (void)state;
    static const test_tensor tensors[] = {{"model.embed_tokens.weight", "F32", "[2, 2]", 16, 0},
                                          {"lm_head.weight", "F32", "[2, 2]", 16, 0}};
    static const char *const configs[] = {
        CONFIG("\"tie_word_embeddings\":true,\"rms_norm_eps\":1e-5"),
        CONFIG("\"tie_word_embeddings\":true,\"rms_norm_eps\":1e-6"),
        CONFIG("\"tie_word_embeddings\":true,\"rms_norm_eps\":1e-5," // another list
               "\"layer_types\":[\"full_attention\",\"sliding_attention\",\"sliding_attention\"]"),
        CONFIG(LONGROPE("2")), // factors
        CONFIG(LONGROPE("3")),
    };
    enum { CONFIGS = sizeof configs / sizeof configs[0] };
    char prints[CONFIGS][65];
    write_safetensors("model.safetensors", tensors, 2);
    for (size_t i = 0; i < CONFIGS; i++) {
        write_text("config.json", configs[i]);
        fingerprint_of(prints[i], temp_path(FOLDER));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(prints[i], prints[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprint__follows_content_and_not_the_name),
        cmocka_unit_test(fingerprint__notices_every_changed_setting_of_a_folder),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
