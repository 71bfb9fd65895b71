#include "folder_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "gguf_bytes.h"
#include "temp_folder.h"

void put_raw_safetensors(tb_str *out, const char *header, size_t data_bytes)
{
    put_text(out, header);
    for (size_t i = 1; i <= data_bytes; i++)
        put_number(out, i, 1);
}

void put_safetensors(tb_str *out, const test_tensor *tensors, size_t count)
{
    tb_str header = {0};
    size_t offset = 0;
    tb_str_append_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}", NULL);
    for (size_t i = 0; i < count; i++) {
        size_t begin = offset + tensors[i].skip, end = begin + tensors[i].bytes;
        tb_str_printf(&header, NULL, ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                      tensors[i].name, tensors[i].dtype, tensors[i].shape, begin, end);
        offset = end;
    }
    tb_str_append_text(&header, "}", NULL);
    while (header.size % 8)
        tb_str_append_text(&header, " ", NULL);
    put_raw_safetensors(out, tb_str_get(&header), offset);
    tb_str_clear(&header);
}

void write_safetensors(const char *name, const test_tensor *tensors, size_t count)
{
    tb_str file = {0};
    char path[128];
    put_safetensors(&file, tensors, count);
    snprintf(path, sizeof path, FOLDER "/%s", name);
    temp_write(path, file.data, file.size);
    tb_str_clear(&file);
}

void write_text(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    temp_write(path, text, strlen(text));
}
