// For tests: Hugging Face folders put together by hand, in the temporary folder.
#ifndef TB_TEST_FOLDER_FILES_H
#define TB_TEST_FOLDER_FILES_H

#include "formats/formats.h"

#define FOLDER "model"

typedef struct test_tensor {
    const char *name, *dtype, *shape; // shape as JSON: "[2, 3]"
    size_t bytes;
    size_t skip; // bytes left out before it, to make gaps
} test_tensor;

// A safetensors file: header, then bytes that count up from 1.
void put_safetensors(tb_str *out, const test_tensor *tensors, size_t count);

// The same with a header given as it is.
void put_raw_safetensors(tb_str *out, const char *header, size_t data_bytes);

void write_safetensors(const char *name, const test_tensor *tensors, size_t count);
void write_text(const char *name, const char *text);

#endif
