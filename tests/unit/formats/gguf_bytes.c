#include "gguf_bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

void put_bytes(tb_str *out, const void *bytes, size_t n)
{
    assert_int_equal(tb_str_append(out, bytes, n, NULL), TB_OK);
}

void put_number(tb_str *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++, value >>= 8)
        put_bytes(out, &(unsigned char){value & 0xFF}, 1);
}

void put_text(tb_str *out, const char *text)
{
    put_number(out, strlen(text), 8);
    put_bytes(out, text, strlen(text));
}

void put_header(tb_str *out, uint32_t version, uint64_t tensors, uint64_t kvs)
{
    put_bytes(out, "GGUF", 4);
    put_number(out, version, 4);
    put_number(out, tensors, 8);
    put_number(out, kvs, 8);
}

void put_key(tb_str *out, const char *key, uint32_t type)
{
    put_text(out, key);
    put_number(out, type, 4);
}

void put_array_key(tb_str *out, const char *key, uint32_t type, uint64_t count)
{
    put_key(out, key, TB_KV_ARRAY);
    put_number(out, type, 4);
    put_number(out, count, 8);
}

void put_tensor(tb_str *out, const char *name, unsigned dim_count, const uint64_t *dims, uint32_t type, uint64_t offset)
{
    put_text(out, name);
    put_number(out, dim_count, 4);
    for (unsigned i = 0; i < dim_count; i++)
        put_number(out, dims[i], 8);
    put_number(out, type, 4);
    put_number(out, offset, 8);
}

void put_padding(tb_str *out)
{
    while (out->size % 32)
        put_bytes(out, "", 1);
}

static void put_scalars(tb_str *out)
{
    static const struct {
        const char *key;
        uint32_t type;
        uint64_t bits;
        size_t bytes;
    } scalars[] = {
        {"u8", 0, 200, 1},
        {"i8", 1, 0x80, 1},
        {"u16", 2, 60000, 2},
        {"i16", 3, 0x8000, 2},
        {"u32", 4, 4000000000u, 4},
        {"i32", 5, 0x80000000u, 4},
        {"f32", 6, 0x3FC00000u, 4},
        {"bool", 7, 1, 1},
        {"u64", 10, UINT64_MAX, 8},
        {"i64", 11, UINT64_C(0x8000000000000000), 8},
        {"f64", 12, UINT64_C(0xC000000000000000), 8},
    };
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
        put_key(out, scalars[i].key, scalars[i].type);
        put_number(out, scalars[i].bits, scalars[i].bytes);
    }
}

static void put_arrays(tb_str *out)
{
    put_array_key(out, "i16s", TB_KV_I16, 3);
    put_number(out, 1, 2);
    put_number(out, 0xFFFF, 2);
    put_number(out, 0x8000, 2);
    put_array_key(out, "bools", TB_KV_BOOL, 2);
    put_bytes(out, "\1\0", 2);
    put_array_key(out, "texts", TB_KV_TEXT, 3);
    put_text(out, "one");
    put_text(out, "");
    put_text(out, "zwölf");
    put_array_key(out, "nothing", TB_KV_F32, 0);
}

void put_sample(tb_str *out)
{
    put_header(out, 3, 3, 16);
    put_scalars(out);
    put_key(out, "text", TB_KV_TEXT);
    put_text(out, "a text");
    put_arrays(out);
    put_tensor(out, "a", 2, (uint64_t[]){4, 2}, TB_TYPE_F32, 0);
    put_tensor(out, "b", 2, (uint64_t[]){32, 1}, TB_TYPE_Q8_0, 32);
    put_tensor(out, "c", 1, (uint64_t[]){3}, TB_TYPE_BF16, 96);
    put_padding(out);
    for (unsigned i = 1; i <= 102; i++)
        put_number(out, i, 1);
}
