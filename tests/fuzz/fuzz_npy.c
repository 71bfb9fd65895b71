// An .npy file: it is refused, or its values lie where its shape says, and floats come back from a file of our own.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/formats.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_values(const tb_npy *npy)
{
    size_t count = 1;
    require(npy->kind == 'f' || npy->kind == 'i' || npy->kind == 'u' || npy->kind == 'b');
    require(npy->dim_count <= TB_MAX_DIMS);
    for (unsigned i = 0; i < npy->dim_count; i++)
        count *= npy->dims[i];
    require(count == npy->count && (uintptr_t)npy->data % npy->item_size == 0);
    require((const char *)npy->data + count * npy->item_size == (const char *)npy->map.data + npy->map.size);
    volatile unsigned char sum = 0; // so that all of it is read
    for (size_t i = 0; i < count * npy->item_size; i++)
        sum ^= ((const unsigned char *)npy->data)[i];
    (void)sum;
}

static void write_again(const tb_npy *npy)
{
    char path[128];
    tb_outfile *file;
    tb_npy copy;
    require(strlen(scratch_folder()) + 16 < sizeof path);
    strcat(strcpy(path, scratch_folder()), "/again.npy");
    require(tb_outfile_open(&file, path, NULL) == TB_OK);
    require(tb_npy_write_header_f32(file, npy->dims, npy->dim_count, NULL) == TB_OK);
    require(tb_outfile_write(file, npy->data, npy->count * sizeof(float), NULL) == TB_OK);
    require(tb_outfile_commit(file, NULL) == TB_OK);
    tb_outfile_close(file);
    require(tb_npy_open(&copy, path, NULL) == TB_OK);
    require(copy.dim_count == npy->dim_count && memcmp(copy.dims, npy->dims, sizeof copy.dims) == 0);
    require(copy.count == 0 || memcmp(copy.data, npy->data, copy.count * sizeof(float)) == 0);
    tb_npy_close(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_npy npy;
    tb_error err;
    if (tb_npy_open(&npy, scratch_write("array.npy", data, size), &err))
        return 0;
    check_values(&npy);
    if (npy.kind == 'f' && npy.item_size == sizeof(float))
        write_again(&npy);
    tb_npy_close(&npy);
    return 0;
}
