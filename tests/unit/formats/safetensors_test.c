// Safetensors files inside a folder: what the header says is checked against the file.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "folder_files.h"
#include "gguf_bytes.h"
#include "temp_folder.h"
#include "walk.h"

#define SAFETENSORS "model.safetensors"

static tb_error err;

static int make_folder(void **state)
{
    int failed = temp_folder_make(state);
    if (!failed)
        write_text("config.json", "{\"model_type\":\"llama\",\"hidden_size\":4,\"intermediate_size\":8,"
                                  "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"vocab_size\":3,"
                                  "\"max_position_embeddings\":16,\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true}");
    return failed;
}

static tb_code open_folder(tb_checkpoint **out)
{
    err = (tb_error){0};
    return tb_checkpoint_open(out, temp_path(FOLDER), &err);
}

static const test_tensor sample[] = {
    {"model.embed_tokens.weight", "BF16", "[3, 4]", 24, 0},
    {"model.norm.weight", "F32", "[4]", 16, 0},
    {"model.layers.0.mlp.down_proj.weight", "F16", "[4, 8]", 64, 0},
};

static void safetensors__gives_types_dims_and_bytes(void **state)
{
    (void)state;
    tb_checkpoint *c;
    write_safetensors(SAFETENSORS, sample, 3);
    if (open_folder(&c))
        fail_msg("%s", err.message);
    const tb_tensor_info *embedding = tb_checkpoint_tensor(c, "token_embd.weight");
    const tb_tensor_info *norm = tb_checkpoint_tensor(c, "output_norm.weight");
    const tb_tensor_info *down = tb_checkpoint_tensor(c, "blk.0.ffn_down.weight");
    assert_int_equal(tb_checkpoint_tensor_count(c), 3);
    assert_false(tb_checkpoint_is_gguf(c));
    assert_int_equal(embedding->type, TB_TYPE_BF16);
    assert_int_equal(embedding->dims[0], 4); // fastest first
    assert_int_equal(embedding->dims[1], 3);
    assert_int_equal(embedding->bytes, 24);
    assert_int_equal(((const unsigned char *)embedding->data)[0], 1);
    assert_int_equal(norm->type, TB_TYPE_F32);
    assert_int_equal(norm->dim_count, 1);
    assert_int_equal(((const unsigned char *)norm->data)[0], 25);
    assert_int_equal(down->type, TB_TYPE_F16);
    assert_int_equal(down->dims[0] * 10 + down->dims[1], 84);
    assert_int_equal(((const unsigned char *)down->data)[63], 104);
    tb_checkpoint_close(c);
}

// Old writers do not pad the header.
static void safetensors__copies_values_at_odd_places(void **state)
{
    (void)state;
    tb_str file = {0};
    tb_checkpoint *c;
    put_raw_safetensors(&file, "{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]} }", 4);
    assert_int_not_equal((file.size - 4) % 4, 0);
    temp_write(FOLDER "/" SAFETENSORS, file.data, file.size);
    tb_str_clear(&file);
    if (open_folder(&c))
        fail_msg("%s", err.message);
    const tb_tensor_info *norm = tb_checkpoint_tensor(c, "output_norm.weight");
    assert_int_equal((uintptr_t)norm->data % 4, 0);
    assert_memory_equal(norm->data, "\1\2\3\4", 4);
    tb_checkpoint_close(c);
}

static void assert_refused(const char *header, size_t data_bytes, tb_code code, const char *sentence)
{
    tb_str file = {0};
    tb_checkpoint *c;
    put_raw_safetensors(&file, header, data_bytes);
    temp_write(FOLDER "/" SAFETENSORS, file.data, file.size);
    tb_str_clear(&file);
    tb_code rc = open_folder(&c);
    if (rc != code || !strstr(err.message, sentence))
        fail_msg("%s: code %d and '%s' instead of %d and '%s'", header, rc, err.message, code, sentence);
}

// An entry of the model's norm.
#define NORM(rest) "{\"model.norm.weight\":{" rest "}}"
#define F32 "\"dtype\":\"F32\","

static void safetensors__rejects_headers_that_contradict_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t bytes;
        tb_code code;
        const char *sentence;
    } cases[] = {
        {NORM(F32 "\"shape\":[4],\"data_offsets\":[0,20]"), 16, TB_EFORMAT, "lies outside"},
        {NORM(F32 "\"shape\":[4],\"data_offsets\":[16,0]"), 16, TB_EFORMAT, "no valid 'data_offsets'"},
        {NORM(F32 "\"shape\":[4],\"data_offsets\":[-16,0]"), 16, TB_EFORMAT, "no valid 'data_offsets'"},
        {NORM(F32 "\"shape\":[4],\"data_offsets\":[0.0,16.0]"), 16, TB_EFORMAT, "no valid 'data_offsets'"},
        {NORM(F32 "\"shape\":[4],\"data_offsets\":[0,8,16]"), 16, TB_EFORMAT, "no valid 'data_offsets'"},
        {NORM(F32 "\"shape\":[4]"), 16, TB_EFORMAT, "no valid 'data_offsets'"},
        {NORM(F32 "\"shape\":[3],\"data_offsets\":[0,16]"), 16, TB_EFORMAT, "a size that its shape does not give"},
        {NORM(F32 "\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]"), 0, TB_EFORMAT, "a size that its shape"},
        {NORM(F32 "\"shape\":[-4],\"data_offsets\":[0,16]"), 16, TB_EFORMAT, "a dimension that is no number"},
        {NORM(F32 "\"shape\":[1,1,1,1,4],\"data_offsets\":[0,16]"), 16, TB_EFORMAT, "more than 4 dimensions"},
        {NORM(F32 "\"shape\":4,\"data_offsets\":[0,16]"), 16, TB_EFORMAT, "no 'shape'"},
        {NORM("\"shape\":[4],\"data_offsets\":[0,16]"), 16, TB_EFORMAT, "no 'dtype'"},
        {NORM("\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]"), 2, TB_EUNSUPPORTED, "unknown type 'F4'"},
        {NORM("\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]"), 16, TB_EUNSUPPORTED, "has type F64"},
        {NORM(F32 "\"shape\":[0],\"data_offsets\":[0,0]"), 0, TB_EFORMAT, "has no values"},
        {NORM(F32 "\"shape\":[],\"data_offsets\":[0,4]"), 4, TB_EFORMAT, "has no values"},
        {NORM(F32 "\"shape\":[4],\"data_offsets\":[0,16]"), 20, TB_EFORMAT, "4 bytes behind its last tensor"},
        {NORM(F32 "\"shape\":[4],\"data_offsets\":[4,20]"), 20, TB_EFORMAT, "gap"},
        {"{\"model.norm.weight\":3}", 0, TB_EFORMAT, "no description"},
        {"[]", 0, TB_EFORMAT, "not a JSON object"},
        {"{\"model.norm.weight\":", 0, TB_EFORMAT, "not valid JSON"},
        {"{\"a\":1,\"a\":2}", 0, TB_EFORMAT, "duplicate"},
        {"{} {}", 0, TB_EFORMAT, "not valid JSON"},
        {"{\"model.layers.0.mlp.experts.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
         TB_EUNSUPPORTED, "'model.layers.0.mlp.experts.weight'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(cases[i].header, cases[i].bytes, cases[i].code, cases[i].sentence);
}

static void safetensors__rejects_tensors_that_overlap(void **state)
{
    (void)state;
    assert_refused(
        "{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
        "\"model.layers.0.input_layernorm.weight\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[8,24]}}",
        24, TB_EFORMAT, "overlaps");
}

static void safetensors__rejects_headers_beyond_the_file(void **state)
{
    (void)state;
    tb_checkpoint *c;
    temp_write(FOLDER "/" SAFETENSORS, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F{}", 10);
    assert_int_equal(open_folder(&c), TB_EFORMAT);
    assert_non_null(strstr(err.message, "9223372036854775807"));
    temp_write(FOLDER "/" SAFETENSORS, "\2\0\0", 3);
    assert_int_equal(open_folder(&c), TB_EFORMAT);
    temp_write(FOLDER "/" SAFETENSORS, "", 0);
    assert_int_equal(open_folder(&c), TB_EFORMAT);
}

static void safetensors__survives_truncation_and_changed_bytes(void **state)
{
    (void)state;
    static const unsigned char changes[] = {0x01, 0x80, 0xFF};
    tb_str file = {0};
    tb_checkpoint *c;
    put_safetensors(&file, sample, 3);
    for (size_t size = 0; size < file.size; size++) {
        temp_write(FOLDER "/" SAFETENSORS, file.data, size);
        assert_int_equal(open_folder(&c), TB_EFORMAT);
        assert_non_null(strstr(err.message, SAFETENSORS));
    }
    for (size_t i = 0; i < file.size; i++)
        for (size_t k = 0; k < sizeof changes; k++) {
            file.data[i] = (char)(file.data[i] ^ changes[k]);
            temp_write(FOLDER "/" SAFETENSORS, file.data, file.size);
            if (open_folder(&c) == TB_OK) {
                walk_checkpoint(c);
                tb_checkpoint_close(c);
            } else {
                assert_true(err.message[0] != '\0');
            }
            file.data[i] = (char)(file.data[i] ^ changes[k]);
        }
    tb_str_clear(&file);
}

static void safetensors__reports_every_failed_allocation(void **state)
{
    (void)state;
    tb_checkpoint *c;
    write_safetensors(SAFETENSORS, sample, 3);
    tb_code rc = TB_ENOMEM;
    int n = 0;
    for (; rc == TB_ENOMEM; n++) {
        tb_mem_fail_after(n);
        rc = open_folder(&c);
        tb_mem_fail_after(-1);
    }
    if (rc)
        fail_msg("%s", err.message);
    assert_true(n > 10);
    tb_checkpoint_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors__gives_types_dims_and_bytes),
        cmocka_unit_test(safetensors__copies_values_at_odd_places),
        cmocka_unit_test(safetensors__rejects_headers_that_contradict_the_file),
        cmocka_unit_test(safetensors__rejects_tensors_that_overlap),
        cmocka_unit_test(safetensors__rejects_headers_beyond_the_file),
        cmocka_unit_test(safetensors__survives_truncation_and_changed_bytes),
        cmocka_unit_test(safetensors__reports_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, make_folder, temp_folder_remove);
}
