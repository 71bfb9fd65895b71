// NumPy arrays: headers as NumPy writes them, round trips, and files that are cut or odd.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "formats/formats.h"
#include "temp_folder.h"

static tb_error err;

// A file with that dict, padded as NumPy does, and `n` bytes of values.
static size_t make_npy(char *out, const char *dict, int version, const void *values, size_t n)
{
    size_t prefix = version == 1 ? 10 : 12;
    size_t header = (prefix + strlen(dict) + 1 + 63) / 64 * 64 - prefix;
    memcpy(out, "\x93NUMPY", 6);
    memset(out + 6, 0, 6);
    out[6] = (char)version;
    out[8] = (char)(header & 0xFF);
    out[9] = (char)(header >> 8);
    memset(out + prefix, ' ', header);
    memcpy(out + prefix, dict, strlen(dict));
    out[prefix + header - 1] = '\n';
    memcpy(out + prefix + header, values, n);
    return prefix + header + n;
}

static tb_code open_npy(tb_npy *npy, const char *dict, int version, const void *values, size_t n)
{
    char file[512];
    temp_write("x.npy", file, make_npy(file, dict, version, values, n));
    return tb_npy_open(npy, temp_path("x.npy"), &err);
}

static void npy_open__reads_what_numpy_writes(void **state)
{
    (void)state;
    static const float values[] = {1, 2, 3, 4, 5, 6};
    tb_npy npy;
    for (int version = 1; version <= 3; version++) {
        const char *dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        assert_int_equal(open_npy(&npy, dict, version, values, sizeof values), TB_OK);
        assert_int_equal(npy.kind, 'f');
        assert_int_equal(npy.item_size, 4);
        assert_int_equal(npy.dim_count, 2);
        assert_int_equal(npy.dims[0], 2);
        assert_int_equal(npy.dims[1], 3);
        assert_int_equal(npy.count, 6);
        assert_memory_equal(npy.data, values, sizeof values);
        tb_npy_close(&npy);
    }
    assert_int_equal(open_npy(&npy, "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }", 1, values, 24), TB_OK);
    assert_int_equal(npy.kind, 'i');
    assert_int_equal(npy.count, 3);
    tb_npy_close(&npy);
    assert_int_equal(open_npy(&npy, "{'descr': '|b1', 'fortran_order': False, 'shape': (), }", 1, values, 1), TB_OK);
    assert_int_equal(npy.dim_count, 0);
    assert_int_equal(npy.count, 1);
    tb_npy_close(&npy);
}

static void npy_open__rejects_what_it_does_not_read(void **state)
{
    (void)state;
    static const char *const dicts[] = {
        "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
        "{'descr': '<f4', 'fortran_order': False, }",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "",
    };
    static const float values[2];
    for (size_t i = 0; i < sizeof dicts / sizeof dicts[0]; i++) {
        tb_npy npy;
        if (open_npy(&npy, dicts[i], 1, values, sizeof values) != TB_EUNSUPPORTED)
            fail_msg("accepted: %s", dicts[i]);
        assert_null(npy.map.data);
    }
}

static void npy_open__rejects_sizes_that_do_not_fit(void **state)
{
    (void)state;
    static const float values[4];
    tb_npy npy;
    const char *dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
    assert_int_equal(open_npy(&npy, dict, 1, values, 8), TB_EFORMAT);
    assert_int_equal(open_npy(&npy, dict, 1, values, 16), TB_EFORMAT);
    dict = "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }";
    assert_int_equal(open_npy(&npy, dict, 1, values, 8), TB_EFORMAT);
}

static void npy_open__survives_truncation_and_changed_bytes(void **state)
{
    (void)state;
    static const float values[] = {1, 2, 3};
    char file[512];
    size_t size = make_npy(file, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 1, values, 12);
    tb_npy npy;
    for (size_t n = 0; n < size; n++) {
        temp_write("x.npy", file, n);
        assert_int_not_equal(tb_npy_open(&npy, temp_path("x.npy"), &err), TB_OK);
    }
    for (size_t i = 0; i < size - 12; i++)
        for (int bit = 0; bit < 8; bit++) {
            file[i] = (char)(file[i] ^ (1 << bit));
            temp_write("x.npy", file, size);
            if (tb_npy_open(&npy, temp_path("x.npy"), &err) == TB_OK) {
                assert_int_equal(npy.count * npy.item_size, 12);
                assert_memory_equal(npy.data, values, 12);
                tb_npy_close(&npy);
            }
            file[i] = (char)(file[i] ^ (1 << bit));
        }
}

static void npy_write__is_read_back(void **state)
{
    (void)state;
    static const size_t dims[][TB_MAX_DIMS] = {{2, 3}, {6}, {1, 2, 3, 1}};
    static const unsigned dim_counts[] = {2, 1, 4};
    static const float values[] = {1, -2, 3.5f, 4, 5, 6e30f};
    for (size_t i = 0; i < 3; i++) {
        tb_outfile *file;
        tb_npy npy;
        assert_int_equal(tb_outfile_open(&file, temp_path("y.npy"), &err), TB_OK);
        assert_int_equal(tb_npy_write_header_f32(file, dims[i], dim_counts[i], &err), TB_OK);
        assert_int_equal(tb_outfile_position(file) % 64, 0);
        assert_int_equal(tb_outfile_write(file, values, sizeof values, &err), TB_OK);
        assert_int_equal(tb_outfile_commit(file, &err), TB_OK);
        tb_outfile_close(file);
        assert_int_equal(tb_npy_open(&npy, temp_path("y.npy"), &err), TB_OK);
        assert_int_equal(npy.dim_count, dim_counts[i]);
        for (unsigned k = 0; k < dim_counts[i]; k++)
            assert_int_equal(npy.dims[k], dims[i][k]);
        assert_memory_equal(npy.data, values, sizeof values);
        tb_npy_close(&npy);
    }
}

// The first bytes of numpy.save(file, numpy.zeros((3, 4), numpy.float32)).
static void npy_write__has_the_bytes_of_numpy(void **state)
{
    (void)state;
    static const char expected[] =
        "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"
        "                                                          \n";
    tb_outfile *file;
    char *written;
    size_t size;
    assert_int_equal(tb_outfile_open(&file, temp_path("z.npy"), &err), TB_OK);
    assert_int_equal(tb_npy_write_header_f32(file, (size_t[]){3, 4}, 2, &err), TB_OK);
    assert_int_equal(tb_outfile_commit(file, &err), TB_OK);
    tb_outfile_close(file);
    assert_int_equal(tb_file_read(&written, &size, temp_path("z.npy"), 1024, &err), TB_OK);
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(written, expected, size);
    tb_free(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_open__reads_what_numpy_writes),
        cmocka_unit_test(npy_open__rejects_what_it_does_not_read),
        cmocka_unit_test(npy_open__rejects_sizes_that_do_not_fit),
        cmocka_unit_test(npy_open__survives_truncation_and_changed_bytes),
        cmocka_unit_test(npy_write__is_read_back),
        cmocka_unit_test(npy_write__has_the_bytes_of_numpy),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
