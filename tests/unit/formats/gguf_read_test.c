// Reading GGUF: everything a valid file says comes out, and no other file does harm.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gguf_bytes.h"
#include "temp_folder.h"
#include "walk.h"

#define FILE_NAME "model.gguf"

// Opens the bytes as a file; the checkpoint is closed by the caller.
static tb_code open_bytes(tb_checkpoint **out, const void *bytes, size_t size, tb_error *err)
{
    temp_write(FILE_NAME, bytes, size);
    return tb_checkpoint_open(out, temp_path(FILE_NAME), err);
}

static tb_checkpoint *open_sample(void)
{
    tb_str file = {0};
    tb_checkpoint *checkpoint;
    tb_error err = {0};
    put_sample(&file);
    if (open_bytes(&checkpoint, file.data, file.size, &err))
        fail_msg("%s", err.message);
    tb_str_clear(&file);
    return checkpoint;
}

static void assert_text(tb_text text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

// ---- what a valid file says ----

static void gguf_open__reads_every_metadata_type(void **state)
{
    (void)state;
    tb_checkpoint *c = open_sample();
    assert_int_equal(tb_checkpoint_kv_count(c), 16);
    assert_int_equal(tb_checkpoint_find(c, "u8")->value.u, 200);
    assert_int_equal(tb_checkpoint_find(c, "i8")->value.i, INT8_MIN);
    assert_int_equal(tb_checkpoint_find(c, "u16")->value.u, 60000);
    assert_int_equal(tb_checkpoint_find(c, "i16")->value.i, INT16_MIN);
    assert_int_equal(tb_checkpoint_find(c, "u32")->value.u, 4000000000u);
    assert_int_equal(tb_checkpoint_find(c, "i32")->value.i, INT32_MIN);
    assert_true(tb_checkpoint_find(c, "f32")->value.f == 1.5);
    assert_int_equal(tb_checkpoint_find(c, "bool")->value.u, 1);
    assert_true(tb_checkpoint_find(c, "u64")->value.u == UINT64_MAX);
    assert_true(tb_checkpoint_find(c, "i64")->value.i == INT64_MIN);
    assert_true(tb_checkpoint_find(c, "f64")->value.f == -2.0);
    assert_text(tb_checkpoint_find(c, "text")->value.text, "a text");
    assert_null(tb_checkpoint_find(c, "u"));
    assert_null(tb_checkpoint_find(c, "u8x"));
    tb_checkpoint_close(c);
}

static void gguf_open__reads_arrays(void **state)
{
    (void)state;
    tb_checkpoint *c = open_sample();
    const tb_kv *numbers = tb_checkpoint_find(c, "i16s"), *texts = tb_checkpoint_find(c, "texts");
    assert_int_equal(numbers->type, TB_KV_ARRAY);
    assert_int_equal(numbers->value.array.type, TB_KV_I16);
    assert_int_equal(numbers->value.array.count, 3);
    assert_int_equal(tb_kv_array_i64(numbers, 0), 1);
    assert_int_equal(tb_kv_array_i64(numbers, 1), -1);
    assert_true(tb_kv_array_f64(numbers, 2) == -32768.0);
    assert_int_equal(tb_kv_array_i64(tb_checkpoint_find(c, "bools"), 0), 1);
    assert_int_equal(tb_kv_array_i64(tb_checkpoint_find(c, "bools"), 1), 0);
    assert_int_equal(texts->value.array.count, 3);
    assert_text(texts->value.array.texts[0], "one");
    assert_text(texts->value.array.texts[1], "");
    assert_text(texts->value.array.texts[2], "zwölf");
    assert_int_equal(tb_checkpoint_find(c, "nothing")->value.array.count, 0);
    tb_checkpoint_close(c);
}

static void gguf_open__finds_tensors_and_their_bytes(void **state)
{
    (void)state;
    tb_checkpoint *c = open_sample();
    const tb_tensor_info *a = tb_checkpoint_tensor(c, "a"), *b = tb_checkpoint_tensor(c, "b");
    const tb_tensor_info *last = tb_checkpoint_tensor(c, "c");
    assert_int_equal(tb_checkpoint_tensor_count(c), 3);
    assert_ptr_equal(a, tb_checkpoint_tensor_at(c, 0));
    assert_int_equal(a->type, TB_TYPE_F32);
    assert_int_equal(a->dim_count, 2);
    assert_int_equal(a->dims[0] * 1000 + a->dims[1] * 100 + a->dims[2] * 10 + a->dims[3], 4211);
    assert_int_equal(a->bytes, 32);
    assert_int_equal(((const unsigned char *)a->data)[0], 1);
    assert_int_equal(b->bytes, 34);
    assert_int_equal(((const unsigned char *)b->data)[0], 33);
    assert_int_equal(last->bytes, 6);
    assert_int_equal(((const unsigned char *)last->data)[5], 102);
    assert_int_equal((uintptr_t)a->data % 32, 0);
    assert_null(tb_checkpoint_tensor(c, "d"));
    assert_true(tb_checkpoint_is_gguf(c));
    tb_checkpoint_close(c);
}

static void gguf_open__reads_version_2(void **state)
{
    (void)state;
    tb_str file = {0};
    put_sample(&file);
    file.data[4] = 2;
    tb_checkpoint *c;
    assert_int_equal(open_bytes(&c, file.data, file.size, NULL), TB_OK);
    assert_int_equal(tb_checkpoint_tensor_count(c), 3);
    tb_checkpoint_close(c);
    tb_str_clear(&file);
}

static void gguf_open__accepts_a_vocabulary_without_tensors(void **state)
{
    (void)state;
    tb_str file = {0};
    put_header(&file, 3, 0, 1);
    put_array_key(&file, "tokenizer.ggml.tokens", TB_KV_TEXT, 1);
    put_text(&file, "x");
    tb_checkpoint *c;
    assert_int_equal(open_bytes(&c, file.data, file.size, NULL), TB_OK);
    assert_int_equal(tb_checkpoint_tensor_count(c), 0);
    assert_int_equal(tb_checkpoint_file_bytes(c), file.size);
    tb_checkpoint_close(c);
    tb_str_clear(&file);
}

static void get__converts_what_fits_and_names_the_key_otherwise(void **state)
{
    (void)state;
    tb_checkpoint *c = open_sample();
    uint64_t u = 7;
    double f = 7;
    bool b = false;
    tb_text t = {0};
    tb_error err = {0};
    assert_int_equal(tb_checkpoint_get_u64(&u, c, "absent", false, &err), TB_OK);
    assert_int_equal(u, 7);
    assert_int_equal(tb_checkpoint_get_u64(&u, c, "absent", true, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "'absent'"));
    assert_int_equal(tb_checkpoint_get_u64(&u, c, "u64", true, &err), TB_OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(tb_checkpoint_get_u64(&u, c, "i8", true, &err), TB_EFORMAT); // negative
    assert_int_equal(tb_checkpoint_get_u64(&u, c, "f32", true, &err), TB_EFORMAT);
    assert_int_equal(tb_checkpoint_get_u64(&u, c, "i16s", true, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "'i16s'"));
    assert_int_equal(tb_checkpoint_get_f64(&f, c, "f32", true, &err), TB_OK);
    assert_true(f == 1.5);
    assert_int_equal(tb_checkpoint_get_f64(&f, c, "i8", true, &err), TB_OK);
    assert_true(f == -128);
    assert_int_equal(tb_checkpoint_get_f64(&f, c, "text", true, &err), TB_EFORMAT);
    assert_int_equal(tb_checkpoint_get_bool(&b, c, "bool", true, &err), TB_OK);
    assert_true(b);
    assert_int_equal(tb_checkpoint_get_bool(&b, c, "u8", true, &err), TB_EFORMAT);
    assert_int_equal(tb_checkpoint_get_text(&t, c, "text", true, &err), TB_OK);
    assert_text(t, "a text");
    assert_int_equal(tb_checkpoint_get_text(&t, c, "texts", true, &err), TB_EFORMAT);
    tb_checkpoint_close(c);
}

// ---- what is refused ----

static void assert_refused(const tb_str *file, tb_code code, const char *sentence)
{
    tb_checkpoint *c = NULL;
    tb_error err = {0};
    tb_code rc = open_bytes(&c, file->data, file->size, &err);
    if (rc != code || !strstr(err.message, sentence))
        fail_msg("code %d and '%s' instead of %d and '%s'", rc, err.message, code, sentence);
    assert_null(c);
}

static void gguf_open__names_other_files_and_versions(void **state)
{
    (void)state;
    static const struct {
        const char *start, *sentence;
        tb_code code;
    } cases[] = {
        {"", "has only 0 bytes", TB_EFORMAT},
        {"PK\3\4 anything", "does not start with 'GGUF'", TB_EFORMAT},
        {"tjgg12345678", "before GGUF", TB_EUNSUPPORTED},
        {"GGUF\1\0\0\0xxxxxxxxxxxxxxxx", "GGUF version 1", TB_EUNSUPPORTED},
        {"GGUF\0\0\0\3xxxxxxxxxxxxxxxx", "big-endian", TB_EUNSUPPORTED},
        {"GGUF\4\0\0\0xxxxxxxxxxxxxxxx", "GGUF version 4", TB_EUNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_str file = {0};
        put_bytes(&file, cases[i].start, i < 2 ? strlen(cases[i].start) : i == 2 ? 12 : 24);
        assert_refused(&file, cases[i].code, cases[i].sentence);
        tb_str_clear(&file);
    }
}

static void gguf_open__rejects_counts_beyond_the_file(void **state)
{
    (void)state;
    // Each would take terabytes if it were believed.
    for (int i = 0; i < 4; i++) {
        tb_str file = {0};
        put_header(&file, 3, i == 0 ? UINT64_C(1) << 40 : 0, i == 1 ? UINT64_C(1) << 60 : 1);
        if (i == 2)
            put_array_key(&file, "k", TB_KV_TEXT, UINT64_C(1) << 61);
        else
            put_array_key(&file, "k", TB_KV_F64, UINT64_C(1) << 61);
        put_number(&file, 0, 8);
        assert_refused(&file, TB_EFORMAT, i < 2 ? "more than it has room for" : "'k' announces 2305843009213693952");
        tb_str_clear(&file);
    }
}

// A file with one metadata entry that `put` writes.
static void assert_entry_refused(void (*put)(tb_str *), tb_code code, const char *sentence)
{
    tb_str file = {0};
    put_header(&file, 3, 0, 1);
    put(&file);
    put_number(&file, 0, 8); // so that it is not the length that is refused
    assert_refused(&file, code, sentence);
    tb_str_clear(&file);
}

static void put_nested(tb_str *out)
{
    put_array_key(out, "nested", TB_KV_ARRAY, 1);
}

static void put_unknown_type(tb_str *out)
{
    put_key(out, "odd", 13);
}

static void put_unknown_element(tb_str *out)
{
    put_array_key(out, "odds", 99, 1);
}

static void put_untruth(tb_str *out)
{
    put_key(out, "flag", TB_KV_BOOL);
    put_number(out, 2, 1);
}

static void put_bad_key(tb_str *out)
{
    put_key(out, "a\xC0\xAF", TB_KV_U8); // an overlong '/'
}

static void put_empty_key(tb_str *out)
{
    put_key(out, "", TB_KV_U32);
}

static void put_alignment_48(tb_str *out)
{
    put_key(out, "general.alignment", TB_KV_U32);
    put_number(out, 48, 4);
}

static void put_alignment_4(tb_str *out)
{
    put_key(out, "general.alignment", TB_KV_U32);
    put_number(out, 4, 4);
}

static void put_split(tb_str *out)
{
    put_key(out, "split.count", TB_KV_U16);
    put_number(out, 3, 2);
}

static void put_many_splits(tb_str *out)
{
    put_key(out, "split.count", TB_KV_U16);
    put_number(out, 2000, 2);
}

static void gguf_open__rejects_bad_metadata(void **state)
{
    (void)state;
    assert_entry_refused(put_nested, TB_EUNSUPPORTED, "'nested'");
    assert_entry_refused(put_unknown_type, TB_EFORMAT, "'odd' of");
    assert_entry_refused(put_unknown_element, TB_EFORMAT, "unknown type 99");
    assert_entry_refused(put_untruth, TB_EFORMAT, "'flag'");
    assert_entry_refused(put_bad_key, TB_EFORMAT, "not UTF-8");
    assert_entry_refused(put_empty_key, TB_EFORMAT, "empty");
    assert_entry_refused(put_alignment_48, TB_EFORMAT, "is 48, not a power of two");
    assert_entry_refused(put_alignment_4, TB_EFORMAT, "is 4, not a power of two from 8 on");
    assert_entry_refused(put_split, TB_EFORMAT, "does not end in '-00001-of-00003.gguf'");
    assert_entry_refused(put_many_splits, TB_ELIMIT, "one of 2000 parts");
}

// Alignments smaller and larger than the usual one.
static void gguf_open__reads_other_alignments(void **state)
{
    (void)state;
    for (unsigned alignment = 8; alignment <= 64; alignment *= 2) {
        tb_str file = {0};
        tb_checkpoint *c;
        tb_error err = {0};
        put_header(&file, 3, 2, 1);
        put_key(&file, "general.alignment", TB_KV_U32);
        put_number(&file, alignment, 4);
        put_tensor(&file, "a", 1, (uint64_t[]){1}, TB_TYPE_F32, 0);
        put_tensor(&file, "b", 1, (uint64_t[]){1}, TB_TYPE_F32, alignment);
        while (file.size % alignment)
            put_number(&file, 0, 1);
        put_number(&file, 0x3F800000u, 4);
        for (size_t i = 4; i < alignment; i++)
            put_number(&file, 0, 1);
        put_number(&file, 0x40000000u, 4);
        if (open_bytes(&c, file.data, file.size, &err))
            fail_msg("%s", err.message);
        assert_true(*(const float *)tb_checkpoint_tensor(c, "a")->data == 1);
        assert_true(*(const float *)tb_checkpoint_tensor(c, "b")->data == 2);
        tb_checkpoint_close(c);
        tb_str_clear(&file);
    }
}

// ---- fused matrices ----

static void put_size(tb_str *out, const char *name, uint32_t value)
{
    char key[64];
    snprintf(key, sizeof key, "x.%s", name);
    put_key(out, key, TB_KV_U32);
    put_number(out, value, 4);
}

// Two query heads and one key head of 2 in a width of 4, feed-forward of 3; q, k and v have so many rows together.
static tb_checkpoint *open_fused(uint64_t qkv_rows)
{
    tb_str file = {0};
    tb_checkpoint *c;
    tb_error err = {0};
    put_header(&file, 3, 3, 5);
    put_key(&file, "general.architecture", TB_KV_TEXT);
    put_text(&file, "x");
    put_size(&file, "attention.head_count", 2);
    put_size(&file, "attention.head_count_kv", 1);
    put_size(&file, "embedding_length", 4);
    put_size(&file, "feed_forward_length", 3);
    put_tensor(&file, "blk.10.attn_qkv.weight", 2, (uint64_t[]){4, qkv_rows}, TB_TYPE_F32, 0);
    put_tensor(&file, "blk.10.attn_qkv.bias", 1, (uint64_t[]){8}, TB_TYPE_F32, 256);
    put_tensor(&file, "blk.10.ffn_up.weight", 2, (uint64_t[]){4, 6}, TB_TYPE_F16, 320);
    put_padding(&file);
    for (unsigned i = 0; i < 256 / 4 + 32 / 4 + 32 / 4; i++) {
        float value = (float)i;
        put_bytes(&file, &value, sizeof value);
    }
    for (unsigned i = 0; i < 24; i++)
        put_number(&file, 0x3C00 + i, 2);
    if (open_bytes(&c, file.data, file.size, &err))
        fail_msg("%s", err.message);
    tb_str_clear(&file);
    return c;
}

static void assert_part(const tb_checkpoint *c, const char *name, size_t rows, double first)
{
    const tb_tensor_info *t = tb_checkpoint_tensor(c, name);
    if (!t)
        fail_msg("there is no '%s'", name);
    float value;
    tb_type_traits_get(t->type)->decode(&value, t->data, 1);
    assert_int_equal(t->dims[t->dim_count - 1], rows);
    assert_int_equal(t->bytes, rows * (t->dim_count == 2 ? t->dims[0] : 1) * (t->type == TB_TYPE_F32 ? 4 : 2));
    assert_true((double)value == first);
}

static void gguf_fused__opens_as_its_parts(void **state)
{
    (void)state;
    tb_checkpoint *c = open_fused(8);
    assert_int_equal(tb_checkpoint_tensor_count(c), 8);
    assert_part(c, "blk.10.attn_q.weight", 4, 0);
    assert_part(c, "blk.10.attn_k.weight", 2, 16);
    assert_part(c, "blk.10.attn_v.weight", 2, 24);
    assert_part(c, "blk.10.attn_q.bias", 4, 64);
    assert_part(c, "blk.10.attn_k.bias", 2, 68);
    assert_part(c, "blk.10.attn_v.bias", 2, 70);
    assert_part(c, "blk.10.ffn_gate.weight", 3, 1);
    assert_part(c, "blk.10.ffn_up.weight", 3, 1 + 12 / 1024.0);
    tb_checkpoint_close(c);
    c = open_fused(7); // not the rows of its parts: it stays what it is, and no model has a place for it
    assert_non_null(tb_checkpoint_tensor(c, "blk.10.attn_qkv.weight"));
    assert_null(tb_checkpoint_tensor(c, "blk.10.attn_q.weight"));
    tb_checkpoint_close(c);
}

// ---- models in parts ----

// Part `index` of `count` under the name of part `named`: a tensor of its own, F32 {1} with the value of `index`.
static void write_part(unsigned named, unsigned index, unsigned count, unsigned tensors)
{
    tb_str file = {0};
    char text[64];
    put_header(&file, 3, 1, index ? 2 : 4);
    put_key(&file, "split.no", TB_KV_U16);
    put_number(&file, index, 2);
    put_key(&file, "split.count", TB_KV_U16);
    put_number(&file, count, 2);
    if (index == 0) {
        put_key(&file, "split.tensors.count", TB_KV_I32);
        put_number(&file, tensors, 4);
        put_key(&file, "general.name", TB_KV_TEXT);
        put_text(&file, "parted");
    }
    snprintf(text, sizeof text, "t%u", index);
    put_tensor(&file, text, 1, (uint64_t[]){1}, TB_TYPE_F32, 0);
    put_padding(&file);
    float value = (float)index;
    put_bytes(&file, &value, sizeof value);
    snprintf(text, sizeof text, "parted-%05u-of-%05u.gguf", named + 1, count);
    temp_write(text, file.data, file.size);
    tb_str_clear(&file);
}

static tb_code open_part(tb_checkpoint **out, unsigned index, tb_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "parted-%05u-of-00003.gguf", index + 1);
    return tb_checkpoint_open(out, temp_path(name), err);
}

static void gguf_parts__are_one_checkpoint(void **state)
{
    (void)state;
    tb_checkpoint *c;
    tb_error err = {0};
    for (unsigned i = 0; i < 3; i++)
        write_part(i, i, 3, 3);
    if (open_part(&c, 0, &err))
        fail_msg("%s", err.message);
    assert_int_equal(tb_checkpoint_tensor_count(c), 3);
    assert_text(tb_checkpoint_find(c, "general.name")->value.text, "parted");
    for (unsigned i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%u", i);
        assert_true(*(const float *)tb_checkpoint_tensor(c, name)->data == (float)i);
    }
    size_t bytes = tb_checkpoint_file_bytes(c);
    tb_checkpoint_close(c);
    assert_true(bytes > 3 * 32);
}

static void expect_part_refused(unsigned opened, tb_code code, const char *part)
{
    tb_checkpoint *c;
    tb_error err = {0};
    assert_int_equal(open_part(&c, opened, &err), code);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" lacks \"%s\"", err.message, part);
}

static void gguf_parts__must_be_those_of_the_model(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        write_part(i, i, 3, 3);
    expect_part_refused(2, TB_EINVAL, "is part 3 of 3 of a model; give the first, '");
    expect_part_refused(1, TB_EINVAL, "/parted-00001-of-00003.gguf'");
    write_part(0, 0, 3, 4);
    expect_part_refused(0, TB_EFORMAT, "have 3 tensors, not the 4");
    write_part(0, 0, 3, 3);
    write_part(1, 2, 3, 3);
    expect_part_refused(0, TB_EFORMAT, "parted-00002-of-00003.gguf' says that it is part 3 of 3");
    expect_part_refused(1, TB_EFORMAT, "its name does not end in '-00003-of-00003.gguf'");
    temp_delete("parted-00002-of-00003.gguf");
    expect_part_refused(0, TB_EIO, "parted-00002-of-00003.gguf");
    temp_write("parted-00002-of-00003.gguf", "GGUF", 4);
    expect_part_refused(0, TB_EFORMAT, "parted-00002-of-00003.gguf' ends inside its header");
}

static void gguf_open__rejects_a_key_given_twice(void **state)
{
    (void)state;
    tb_str file = {0};
    put_header(&file, 3, 0, 3);
    for (int i = 0; i < 3; i++) {
        put_key(&file, i == 1 ? "other" : "same", TB_KV_U32);
        put_number(&file, 1, 4);
    }
    assert_refused(&file, TB_EFORMAT, "two metadata keys named 'same'");
    tb_str_clear(&file);
}

typedef struct tensor_case {
    unsigned dim_count;
    uint64_t dims[5];
    uint32_t type;
    uint64_t offset;
    tb_code code;
    const char *sentence;
} tensor_case;

// 64 bytes of tensors lie behind each entry.
static void gguf_open__rejects_bad_tensors(void **state)
{
    (void)state;
    static const tensor_case cases[] = {
        {1, {17}, TB_TYPE_F32, 0, TB_EFORMAT, "lies outside"},
        {1, {8}, TB_TYPE_F32, 64, TB_EFORMAT, "lies outside"},
        {1, {8}, TB_TYPE_F32, UINT64_MAX - 31, TB_EFORMAT, "lies outside"},
        {1, {8}, TB_TYPE_F32, 4, TB_EFORMAT, "not aligned"},
        {0, {0}, TB_TYPE_F32, 0, TB_EFORMAT, "0 dimensions"},
        {5, {1, 1, 1, 1, 1}, TB_TYPE_F32, 0, TB_EFORMAT, "5 dimensions"},
        {2, {4, 0}, TB_TYPE_F32, 0, TB_EFORMAT, "dimension of 0"},
        {1, {33}, TB_TYPE_Q8_0, 0, TB_EFORMAT, "not a multiple of the 32"},
        {2, {UINT64_C(1) << 33, UINT64_C(1) << 33}, TB_TYPE_F32, 0, TB_EFORMAT, "too large"},
        {4,
         {UINT64_C(1) << 16, UINT64_C(1) << 16, UINT64_C(1) << 16, UINT64_C(1) << 16},
         TB_TYPE_F32,
         0,
         TB_EFORMAT,
         "too large"},
        {1, {8}, 4, 0, TB_EUNSUPPORTED, "unknown type 4"},
        {1, {8}, 0x1000, 0, TB_EUNSUPPORTED, "unknown type 4096"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_str file = {0};
        put_header(&file, 3, 1, 0);
        put_tensor(&file, "blk.0.x", cases[i].dim_count, cases[i].dims, cases[i].type, cases[i].offset);
        put_padding(&file);
        for (int k = 0; k < 8; k++)
            put_number(&file, 0, 8);
        assert_refused(&file, cases[i].code, cases[i].sentence);
        assert_refused(&file, cases[i].code, "'blk.0.x'");
        tb_str_clear(&file);
    }
}

// Two F32 tensors of 32 bytes.
static void put_pair(tb_str *out, const char *first, const char *second, uint64_t offset)
{
    put_header(out, 3, 2, 0);
    put_tensor(out, first, 1, (uint64_t[]){8}, TB_TYPE_F32, 0);
    put_tensor(out, second, 1, (uint64_t[]){8}, TB_TYPE_F32, offset);
    put_padding(out);
    for (int k = 0; k < 8; k++)
        put_number(out, 0, 8);
}

static void gguf_open__rejects_tensors_that_share_name_or_bytes(void **state)
{
    (void)state;
    tb_str file = {0};
    put_pair(&file, "x", "y", 32);
    tb_checkpoint *c;
    assert_int_equal(open_bytes(&c, file.data, file.size, NULL), TB_OK);
    tb_checkpoint_close(c);
    tb_str_reset(&file);
    put_pair(&file, "x", "x", 32);
    assert_refused(&file, TB_EFORMAT, "two tensors named 'x'");
    tb_str_reset(&file);
    put_pair(&file, "x", "y", 0);
    assert_refused(&file, TB_EFORMAT, "overlap");
    tb_str_clear(&file);
}

static void checkpoint_open__names_a_path_that_does_not_exist(void **state)
{
    (void)state;
    tb_checkpoint *c;
    tb_error err;
    assert_int_equal(tb_checkpoint_open(&c, temp_path("nowhere"), &err), TB_EIO);
    assert_non_null(strstr(err.message, "nowhere"));
    assert_non_null(strstr(err.message, "No such file"));
}

// ---- damaged files ----

static void gguf_open__rejects_every_truncation(void **state)
{
    (void)state;
    tb_str file = {0};
    put_sample(&file);
    for (size_t size = 0; size < file.size; size++) {
        tb_checkpoint *c;
        tb_error err = {0};
        assert_int_equal(open_bytes(&c, file.data, size, &err), TB_EFORMAT);
        assert_non_null(strstr(err.message, FILE_NAME));
    }
    tb_str_clear(&file);
}

static void gguf_open__survives_every_changed_byte(void **state)
{
    (void)state;
    static const unsigned char changes[] = {0x01, 0x80, 0xFF};
    tb_str file = {0};
    put_sample(&file);
    for (size_t i = 0; i < file.size; i++)
        for (size_t k = 0; k < sizeof changes; k++) {
            tb_checkpoint *c;
            tb_error err = {0};
            file.data[i] = (char)(file.data[i] ^ changes[k]);
            if (open_bytes(&c, file.data, file.size, &err) == TB_OK) {
                walk_checkpoint(c);
                tb_checkpoint_close(c);
            } else {
                assert_true(err.message[0] != '\0');
            }
            file.data[i] = (char)(file.data[i] ^ changes[k]);
        }
    tb_str_clear(&file);
}

static void gguf_open__reports_every_failed_allocation(void **state)
{
    (void)state;
    tb_str file = {0};
    put_sample(&file);
    temp_write(FILE_NAME, file.data, file.size);
    tb_str_clear(&file);
    tb_code rc = TB_ENOMEM;
    int n = 0;
    for (; rc == TB_ENOMEM; n++) {
        tb_checkpoint *c;
        tb_error err = {0};
        tb_mem_fail_after(n);
        rc = tb_checkpoint_open(&c, temp_path(FILE_NAME), &err);
        tb_mem_fail_after(-1);
        if (rc == TB_OK)
            tb_checkpoint_close(c);
        else
            assert_int_equal(err.code, TB_ENOMEM);
    }
    assert_int_equal(rc, TB_OK);
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_open__reads_every_metadata_type),
        cmocka_unit_test(gguf_open__reads_arrays),
        cmocka_unit_test(gguf_open__finds_tensors_and_their_bytes),
        cmocka_unit_test(gguf_open__reads_version_2),
        cmocka_unit_test(gguf_open__accepts_a_vocabulary_without_tensors),
        cmocka_unit_test(get__converts_what_fits_and_names_the_key_otherwise),
        cmocka_unit_test(gguf_open__names_other_files_and_versions),
        cmocka_unit_test(gguf_open__rejects_counts_beyond_the_file),
        cmocka_unit_test(gguf_open__rejects_bad_metadata),
        cmocka_unit_test(gguf_open__reads_other_alignments),
        cmocka_unit_test(gguf_fused__opens_as_its_parts),
        cmocka_unit_test(gguf_parts__are_one_checkpoint),
        cmocka_unit_test(gguf_parts__must_be_those_of_the_model),
        cmocka_unit_test(gguf_open__rejects_a_key_given_twice),
        cmocka_unit_test(gguf_open__rejects_bad_tensors),
        cmocka_unit_test(gguf_open__rejects_tensors_that_share_name_or_bytes),
        cmocka_unit_test(checkpoint_open__names_a_path_that_does_not_exist),
        cmocka_unit_test(gguf_open__rejects_every_truncation),
        cmocka_unit_test(gguf_open__survives_every_changed_byte),
        cmocka_unit_test(gguf_open__reports_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
