// A safetensors file by itself: written, read back, refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "formats/formats.h"
#include "temp_folder.h"

#define TEXT(t)                                                                                                        \
    {                                                                                                                  \
        t, sizeof t - 1                                                                                                \
    }
static const float weights[] = {1, 2, 3, 4, 5, 6};
static const unsigned char bytes[] = {7, 8, 9};
static const tb_safetensor tensors[] = {
    {TEXT("w"), TEXT("F32"), 2, {2, 3, 1, 1}, (const unsigned char *)weights, sizeof weights},
    {TEXT("b"), TEXT("U8"), 1, {3, 1, 1, 1}, bytes, sizeof bytes},
    {TEXT("none"), TEXT("I64"), 1, {0, 1, 1, 1}, bytes, 0},
};
static const char *const metadata[] = {"net", "hybrid", "say \"ä\"", "line\nbreak"};

static tb_error err;

static void safetensors_file__comes_back_as_written(void **state)
{
    (void)state;
    tb_safetensors *file;
    const char *path = temp_path("a.safetensors");
    assert_int_equal(tb_safetensors_write(path, tensors, 3, metadata, 2, &err), TB_OK);
    if (tb_safetensors_open(&file, path, &err))
        fail_msg("%s", err.message);
    assert_int_equal(tb_safetensors_count(file), 3);
    for (size_t i = 0; i < 3; i++) {
        const tb_safetensor *t = tb_safetensors_find(file, tensors[i].name.data);
        assert_ptr_equal(t, tb_safetensors_at(file, i));
        assert_string_equal(t->dtype.data, tensors[i].dtype.data);
        assert_int_equal(t->dim_count, tensors[i].dim_count);
        assert_memory_equal(t->dims, tensors[i].dims, sizeof t->dims);
        assert_int_equal(t->bytes, tensors[i].bytes);
        assert_memory_equal(t->data, tensors[i].data, t->bytes);
    }
    assert_null(tb_safetensors_find(file, "x"));
    assert_string_equal(tb_safetensors_metadata(file, "net"), "hybrid");
    assert_string_equal(tb_safetensors_metadata(file, "say \"ä\""), "line\nbreak");
    assert_null(tb_safetensors_metadata(file, "x"));
    tb_safetensors_close(file);
}

static void expect_refusal(const char *header, const char *part)
{
    unsigned char content[256] = {(unsigned char)strlen(header)};
    tb_safetensors *file;
    memcpy(content + 8, header, strlen(header));
    temp_write("bad.safetensors", content, 8 + strlen(header));
    assert_int_equal(tb_safetensors_open(&file, temp_path("bad.safetensors"), &err), TB_EFORMAT);
    assert_null(file);
    assert_non_null(strstr(err.message, part));
}

static void safetensors_file__refuses_metadata_that_is_no_text(void **state)
{
    (void)state;
    expect_refusal("{\"__metadata__\":{\"seed\":3}}", "metadata 'seed'");
    expect_refusal("{\"__metadata__\":[]}", "is no object");
}

static tb_code write_and_read(void)
{
    tb_safetensors *file;
    const char *path = temp_path("b.safetensors");
    tb_code rc = tb_safetensors_write(path, tensors, 3, metadata, 2, &err);
    if (!rc)
        rc = tb_safetensors_open(&file, path, &err);
    if (!rc)
        tb_safetensors_close(file);
    return rc;
}

static void safetensors_file__survives_every_failed_allocation(void **state)
{
    (void)state;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc; n++) {
        tb_mem_fail_after(n);
        rc = write_and_read();
        tb_mem_fail_after(-1);
        assert_true(rc == TB_OK || rc == TB_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_file__comes_back_as_written),
        cmocka_unit_test(safetensors_file__refuses_metadata_that_is_no_text),
        cmocka_unit_test(safetensors_file__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
