// For tests: GGUF files put together byte by byte, without the writer under test. Memory
// failures abort the test.
#ifndef TB_TEST_GGUF_BYTES_H
#define TB_TEST_GGUF_BYTES_H

#include "formats/formats.h"

void put_bytes(tb_str *out, const void *bytes, size_t n);
void put_number(tb_str *out, uint64_t value, size_t bytes); // little-endian
void put_text(tb_str *out, const char *text);               // length and bytes

void put_header(tb_str *out, uint32_t version, uint64_t tensors, uint64_t kvs);
void put_key(tb_str *out, const char *key, uint32_t type);
void put_array_key(tb_str *out, const char *key, uint32_t type, uint64_t count);
void put_tensor(tb_str *out, const char *name, unsigned dim_count, const uint64_t *dims, uint32_t type,
                uint64_t offset);
void put_padding(tb_str *out); // zeros up to a multiple of 32

// A small valid file: an entry of each metadata type, arrays of numbers, truth values and
// texts, and three tensors (F32 "a" {4, 2}, Q8_0 "b" {32, 1}, BF16 "c" {3}) whose bytes count up from 1.
void put_sample(tb_str *out);

#endif
