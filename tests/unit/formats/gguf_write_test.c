// Writing GGUF: what goes in is read back, offsets are aligned, and a file appears whole or not at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "gguf_bytes.h"
#include "temp_folder.h"

#define OUT "out.gguf"

// Calls that must succeed.
static tb_error err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

static tb_gguf_writer *open_writer(void)
{
    tb_gguf_writer *w;
    OK(tb_gguf_writer_open(&w, temp_path(OUT), &err));
    return w;
}

static tb_checkpoint *commit_and_open(tb_gguf_writer *w)
{
    tb_checkpoint *c;
    OK(tb_gguf_writer_commit(w, &err));
    tb_gguf_writer_close(w);
    OK(tb_checkpoint_open(&c, temp_path(OUT), &err));
    return c;
}

static tb_checkpoint *open_sample(void)
{
    tb_str file = {0};
    tb_checkpoint *c;
    put_sample(&file);
    temp_write("sample.gguf", file.data, file.size);
    tb_str_clear(&file);
    OK(tb_checkpoint_open(&c, temp_path("sample.gguf"), &err));
    return c;
}

static void assert_same_text(tb_text a, tb_text b)
{
    assert_int_equal(a.size, b.size);
    if (a.size)
        assert_memory_equal(a.data, b.data, a.size);
}

static void assert_same_kv(const tb_kv *a, const tb_kv *b)
{
    assert_same_text(a->key, b->key);
    assert_int_equal(a->type, b->type);
    if (a->type == TB_KV_TEXT) {
        assert_same_text(a->value.text, b->value.text);
    } else if (a->type != TB_KV_ARRAY) {
        assert_true(a->value.u == b->value.u); // the same bits, whatever the type
    } else {
        assert_int_equal(a->value.array.type, b->value.array.type);
        assert_int_equal(a->value.array.count, b->value.array.count);
        for (size_t i = 0; i < a->value.array.count; i++) {
            if (a->value.array.type == TB_KV_TEXT)
                assert_same_text(a->value.array.texts[i], b->value.array.texts[i]);
            else
                assert_int_equal(tb_kv_array_i64(a, i), tb_kv_array_i64(b, i));
        }
    }
}

static void writer__copies_every_metadata_type(void **state)
{
    (void)state;
    tb_checkpoint *from = open_sample();
    tb_gguf_writer *w = open_writer();
    for (size_t i = 0; i < tb_checkpoint_kv_count(from); i++)
        OK(tb_gguf_writer_add_kv(w, tb_checkpoint_kv_at(from, i), &err));
    OK(tb_gguf_writer_begin(w, &err));
    tb_checkpoint *c = commit_and_open(w);
    assert_int_equal(tb_checkpoint_kv_count(c), tb_checkpoint_kv_count(from));
    for (size_t i = 0; i < tb_checkpoint_kv_count(c); i++)
        assert_same_kv(tb_checkpoint_kv_at(c, i), tb_checkpoint_kv_at(from, i));
    tb_checkpoint_close(c);
    tb_checkpoint_close(from);
}

// The same entries and tensors give the same bytes as a file put together by hand.
static void writer__reproduces_a_file_byte_by_byte(void **state)
{
    (void)state;
    tb_checkpoint *from = open_sample();
    tb_gguf_writer *w = open_writer();
    for (size_t i = 0; i < tb_checkpoint_kv_count(from); i++)
        OK(tb_gguf_writer_add_kv(w, tb_checkpoint_kv_at(from, i), &err));
    OK(tb_gguf_writer_add_tensor(w, "a", TB_TYPE_F32, 2, (uint64_t[]){4, 2}, &err));
    OK(tb_gguf_writer_add_tensor(w, "b", TB_TYPE_Q8_0, 2, (uint64_t[]){32, 1}, &err));
    OK(tb_gguf_writer_add_tensor(w, "c", TB_TYPE_BF16, 1, (uint64_t[]){3}, &err));
    OK(tb_gguf_writer_begin(w, &err));
    // In uneven pieces that ignore where tensors end.
    unsigned char bytes[32 + 34 + 6];
    for (unsigned i = 0; i < 3; i++) {
        const tb_tensor_info *tensor = tb_checkpoint_tensor_at(from, i);
        memcpy(bytes + (i == 0 ? 0 : i == 1 ? 32 : 66), tensor->data, tensor->bytes);
    }
    OK(tb_gguf_writer_data(w, bytes, 1, &err));
    OK(tb_gguf_writer_data(w, bytes + 1, 50, &err));
    OK(tb_gguf_writer_data(w, bytes + 51, 0, &err));
    OK(tb_gguf_writer_data(w, bytes + 51, sizeof bytes - 51, &err));
    OK(tb_gguf_writer_commit(w, &err));
    tb_gguf_writer_close(w);

    // The hand-made file counts through the padding between tensors and has none behind the last.
    char *written, *expected;
    size_t written_size, expected_size, tensors = 32 + 64 + 6;
    OK(tb_file_read(&written, &written_size, temp_path(OUT), 1 << 20, &err));
    OK(tb_file_read(&expected, &expected_size, temp_path("sample.gguf"), 1 << 20, &err));
    memset(expected + expected_size - tensors + 66, 0, 30);
    assert_int_equal(written_size, tb_round_up(expected_size, 32));
    assert_memory_equal(written, expected, expected_size);
    tb_checkpoint_close(from);
    tb_free(written);
    tb_free(expected);
}

static void writer__adds_values_of_its_own(void **state)
{
    (void)state;
    static const int32_t numbers[] = {1, -2, INT32_MIN};
    static const float floats[] = {0.5f, -1e30f};
    static const tb_text texts[] = {{"x", 1}, {"", 0}};
    tb_gguf_writer *w = open_writer();
    OK(tb_gguf_writer_add_u32(w, "u32", UINT32_MAX, &err));
    OK(tb_gguf_writer_add_u64(w, "u64", UINT64_MAX, &err));
    OK(tb_gguf_writer_add_f32(w, "f32", 0.1f, &err));
    OK(tb_gguf_writer_add_bool(w, "bool", true, &err));
    OK(tb_gguf_writer_add_text(w, "text", (tb_text){"hello", 5}, &err));
    OK(tb_gguf_writer_add_texts(w, "texts", texts, 2, &err));
    OK(tb_gguf_writer_add_i32s(w, "i32s", numbers, 3, &err));
    OK(tb_gguf_writer_add_f32s(w, "f32s", floats, 2, &err));
    OK(tb_gguf_writer_begin(w, &err));
    tb_checkpoint *c = commit_and_open(w);
    assert_int_equal(tb_checkpoint_find(c, "u32")->value.u, UINT32_MAX);
    assert_true(tb_checkpoint_find(c, "u64")->value.u == UINT64_MAX);
    assert_true(tb_checkpoint_find(c, "f32")->value.f == (double)0.1f);
    assert_int_equal(tb_checkpoint_find(c, "bool")->value.u, 1);
    assert_same_text(tb_checkpoint_find(c, "text")->value.text, (tb_text){"hello", 5});
    assert_same_text(tb_checkpoint_find(c, "texts")->value.array.texts[0], texts[0]);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(tb_kv_array_i64(tb_checkpoint_find(c, "i32s"), i), numbers[i]);
    for (size_t i = 0; i < 2; i++)
        assert_true(tb_kv_array_f64(tb_checkpoint_find(c, "f32s"), i) == (double)floats[i]);
    tb_checkpoint_close(c);
}

static void writer__keeps_every_tensor_type(void **state)
{
    (void)state;
    enum { TYPES = 64, ROWS = 3 };
    static unsigned char bytes[4096];
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)tb_rng_u32(&rng);
    tb_gguf_writer *w = open_writer();
    size_t count = 0;
    for (uint32_t type = 0; type < TYPES; type++) {
        const tb_type_traits *traits = tb_type_traits_get(type);
        if (!traits)
            continue;
        OK(tb_gguf_writer_add_tensor(w, traits->name, traits->type, 2, (uint64_t[]){2 * traits->unit_size, ROWS},
                                     &err));
        count++;
    }
    assert_true(count >= 30);
    OK(tb_gguf_writer_begin(w, &err));
    for (uint32_t type = 0; type < TYPES; type++) {
        const tb_type_traits *traits = tb_type_traits_get(type);
        if (traits)
            OK(tb_gguf_writer_data(w, bytes + type, 2 * ROWS * traits->unit_bytes, &err));
    }
    tb_checkpoint *c = commit_and_open(w);
    assert_int_equal(tb_checkpoint_tensor_count(c), count);
    for (uint32_t type = 0; type < TYPES; type++) {
        const tb_type_traits *traits = tb_type_traits_get(type);
        if (!traits)
            continue;
        const tb_tensor_info *tensor = tb_checkpoint_tensor(c, traits->name);
        assert_int_equal(tensor->type, type);
        assert_int_equal(tensor->bytes, 2 * ROWS * traits->unit_bytes);
        assert_int_equal((uintptr_t)tensor->data % 32, 0);
        assert_memory_equal(tensor->data, bytes + type, tensor->bytes);
    }
    tb_checkpoint_close(c);
}

static void writer__leaves_out_the_alignment_of_another_file(void **state)
{
    (void)state;
    tb_kv alignment = {.key = {"general.alignment", 17}, .type = TB_KV_U32, .value.u = 4096};
    tb_gguf_writer *w = open_writer();
    OK(tb_gguf_writer_add_kv(w, &alignment, &err));
    OK(tb_gguf_writer_add_tensor(w, "x", TB_TYPE_F32, 1, (uint64_t[]){1}, &err));
    OK(tb_gguf_writer_add_tensor(w, "y", TB_TYPE_F32, 1, (uint64_t[]){1}, &err));
    OK(tb_gguf_writer_begin(w, &err));
    OK(tb_gguf_writer_data(w, "12345678", 8, &err));
    tb_checkpoint *c = commit_and_open(w);
    assert_int_equal(tb_checkpoint_kv_count(c), 0);
    assert_memory_equal(tb_checkpoint_tensor(c, "y")->data, "5678", 4);
    tb_checkpoint_close(c);
}

// ---- misuse and failure ----

static void writer__refuses_what_makes_no_file(void **state)
{
    (void)state;
    tb_gguf_writer *w = open_writer();
    const uint64_t dims[] = {8, 2};
    assert_int_equal(tb_gguf_writer_add_u32(w, "", 1, &err), TB_EINVAL);
    assert_int_equal(tb_gguf_writer_add_u32(w, "\xFF", 1, &err), TB_EINVAL);
    assert_int_equal(tb_gguf_writer_add_tensor(w, "t", TB_TYPE_Q8_0, 2, dims, &err), TB_EINVAL);
    assert_int_equal(tb_gguf_writer_add_tensor(w, "t", TB_TYPE_F32, 5, dims, &err), TB_EINVAL);
    assert_int_equal(tb_gguf_writer_add_tensor(w, "t", TB_TYPE_BITPLANES, 2, dims, &err), TB_EINVAL);
    assert_int_equal(tb_gguf_writer_data(w, "x", 1, &err), TB_EINVAL); // not begun
    OK(tb_gguf_writer_add_tensor(w, "t", TB_TYPE_F32, 2, dims, &err));
    OK(tb_gguf_writer_begin(w, &err));
    assert_int_equal(tb_gguf_writer_add_u32(w, "late", 1, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "'late'"));
    unsigned char bytes[65] = {0};
    OK(tb_gguf_writer_data(w, bytes, 63, &err));
    assert_int_equal(tb_gguf_writer_commit(w, &err), TB_EINVAL); // one byte short
    assert_int_equal(tb_gguf_writer_data(w, bytes, 2, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "more bytes"));
    tb_gguf_writer_close(w);
}

static void writer__refuses_names_given_twice(void **state)
{
    (void)state;
    for (int tensors = 0; tensors < 2; tensors++) {
        tb_gguf_writer *w = open_writer();
        for (int i = 0; i < 200; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%d", i % 150);
            if (tensors)
                OK(tb_gguf_writer_add_tensor(w, name, TB_TYPE_F32, 1, (uint64_t[]){1}, &err));
            else
                OK(tb_gguf_writer_add_u32(w, name, 1, &err));
        }
        assert_int_equal(tb_gguf_writer_begin(w, &err), TB_EINVAL);
        assert_non_null(strstr(err.message, "twice"));
        tb_gguf_writer_close(w);
    }
}

static void writer__leaves_nothing_without_commit(void **state)
{
    (void)state;
    temp_delete(OUT);
    tb_gguf_writer *w = open_writer();
    OK(tb_gguf_writer_add_u32(w, "k", 1, &err));
    OK(tb_gguf_writer_begin(w, &err));
    assert_false(tb_path_exists(temp_path(OUT)));
    tb_gguf_writer_close(w);
    assert_false(tb_path_exists(temp_path(OUT)));
}

// A limit on the size of files stands for a disk that fills up.
static void writer__reports_a_full_disk_once_and_leaves_nothing(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    struct rlimit old, small;
    temp_delete(OUT);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = SIZE / 2, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);

    tb_gguf_writer *w = open_writer();
    unsigned char *bytes = tb_alloc_array(SIZE, 1);
    OK(tb_gguf_writer_add_tensor(w, "big", TB_TYPE_I8, 1, (uint64_t[]){SIZE}, &err));
    OK(tb_gguf_writer_begin(w, &err));
    tb_code rc = tb_gguf_writer_data(w, bytes, SIZE, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(rc, TB_EIO);
    assert_non_null(strstr(err.message, OUT));
    assert_non_null(strstr(err.message, "too large"));
    assert_int_equal(tb_gguf_writer_commit(w, &err), TB_EINVAL);
    tb_gguf_writer_close(w);
    tb_free(bytes);
    assert_false(tb_path_exists(temp_path(OUT)));
}

static tb_code write_small_file(const char *path)
{
    tb_gguf_writer *w;
    tb_code rc = tb_gguf_writer_open(&w, path, &err);
    if (rc)
        return rc;
    for (int i = 0; i < 100 && !rc; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        rc = tb_gguf_writer_add_text(w, name, (tb_text){name, strlen(name)}, &err);
        if (!rc)
            rc = tb_gguf_writer_add_tensor(w, name, TB_TYPE_F32, 1, (uint64_t[]){1}, &err);
    }
    if (!rc)
        rc = tb_gguf_writer_begin(w, &err);
    for (int i = 0; i < 100 && !rc; i++)
        rc = tb_gguf_writer_data(w, &(float){1}, 4, &err);
    if (!rc)
        rc = tb_gguf_writer_commit(w, &err);
    tb_gguf_writer_close(w);
    return rc;
}

static void writer__names_a_full_device(void **state)
{
    (void)state;
    if (!tb_path_exists("/dev/full")) {
        print_message("SKIPPED: there is no /dev/full\n");
        skip();
    }
    assert_int_equal(write_small_file("/dev/full"), TB_EIO);
    assert_non_null(strstr(err.message, "'/dev/full'"));
    assert_non_null(strstr(err.message, "No space left"));
}

static void writer__reports_every_failed_allocation(void **state)
{
    (void)state;
    temp_delete(OUT);
    tb_code rc = TB_ENOMEM;
    int n = 0;
    for (; rc == TB_ENOMEM; n++) {
        assert_false(tb_path_exists(temp_path(OUT)));
        tb_mem_fail_after(n);
        rc = write_small_file(temp_path(OUT));
        tb_mem_fail_after(-1);
    }
    assert_int_equal(rc, TB_OK);
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer__copies_every_metadata_type),
        cmocka_unit_test(writer__reproduces_a_file_byte_by_byte),
        cmocka_unit_test(writer__adds_values_of_its_own),
        cmocka_unit_test(writer__keeps_every_tensor_type),
        cmocka_unit_test(writer__leaves_out_the_alignment_of_another_file),
        cmocka_unit_test(writer__refuses_what_makes_no_file),
        cmocka_unit_test(writer__refuses_names_given_twice),
        cmocka_unit_test(writer__leaves_nothing_without_commit),
        cmocka_unit_test(writer__reports_a_full_disk_once_and_leaves_nothing),
        cmocka_unit_test(writer__names_a_full_device),
        cmocka_unit_test(writer__reports_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
