#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "golden.h"

static void golden_path(char *path, size_t size, const char *folder, const char *name)
{
    snprintf(path, size, "%s/%s/%s.npy", TB_GOLDEN, folder, name);
}

tb_npy golden_open(const char *folder, const char *name, char kind, size_t item_size, size_t count)
{
    char path[1024];
    tb_npy npy;
    tb_error err;
    golden_path(path, sizeof path, folder, name);
    if (tb_npy_open(&npy, path, &err))
        fail_msg("%s", err.message);
    assert_int_equal(npy.kind, kind);
    assert_int_equal(npy.item_size, item_size);
    if (count)
        assert_int_equal(npy.count, count);
    return npy;
}

double *golden_doubles(const char *folder, const char *name, size_t count)
{
    char path[1024];
    tb_npy npy;
    tb_error err;
    golden_path(path, sizeof path, folder, name);
    if (tb_npy_open(&npy, path, &err))
        fail_msg("%s", err.message);
    assert_int_equal(npy.kind, 'f');
    if (count)
        assert_int_equal(npy.count, count);
    double *values = tb_alloc_array(npy.count, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < npy.count; i++)
        values[i] = npy.item_size == 8 ? ((const double *)npy.data)[i] : (double)((const float *)npy.data)[i];
    tb_npy_close(&npy);
    return values;
}
