// Any bytes as weights of any type: one row decoded by layout and by the kernels of every level of
// this processor, which must agree, and multiplied.
//
// Input: type (GGUF's number; 0xF0, 0xF1, 0xF2: bit-planes, affine, trit-planes), planes − 1, group/32 − 1,
// then the data, coefficients and zero points. As many columns as the bytes suffice for.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "kernels/kernels.h"
#include "layout/layout.h"

enum { HEADER = 3, MOST_COLS = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fits(const tb_matrix *shape, size_t size)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, shape), bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += parts[i].bytes;
    return count > 0 && bytes <= size;
}

// The widest row of this shape in `size` bytes; false when not even the smallest fits.
static bool find_columns(tb_matrix *shape, size_t size)
{
    const tb_type_traits *traits = tb_type_traits_get((uint32_t)shape->type);
    size_t step = traits ? traits->unit_size : 1;
    for (size_t cols = MOST_COLS / step * step; cols > 0; cols -= step) {
        shape->cols = cols;
        if (fits(shape, size))
            return true;
    }
    return false;
}

static bool read_shape(tb_matrix *shape, const uint8_t *data, size_t size)
{
    if (size < HEADER)
        return false;
    memset(shape, 0, sizeof *shape);
    shape->rows = 1;
    shape->type = data[0] >= 0xF0 && data[0] <= 0xF3 ? TB_TYPE_BITPLANES + (data[0] - 0xF0) : data[0];
    shape->planes = data[1] % (shape->type == TB_TYPE_OFFSET ? TB_MAX_OFFSET_PLANES : TB_MAX_PLANES) + 1u;
    shape->group = (data[2] + (size_t)1) * TB_PLANE_WORD;
    if (!tb_type_is_decodable((uint32_t)shape->type))
        return false;
    return find_columns(shape, size - HEADER);
}

// A copy whose last byte is the last of its allocation, so that a sanitizer sees what reads further.
static void *copy_at_end(void **copy, const uint8_t *bytes, size_t n)
{
    size_t padded = tb_round_up(n, TB_ALIGNMENT);
    *copy = tb_alloc(padded);
    if (!*copy)
        abort();
    return memcpy((uint8_t *)*copy + padded - n, bytes, n);
}

static void multiply(const tb_product *product, const tb_matrix *m, const float *x)
{
    float y;
    void *prepared = tb_alloc(product->form->bytes(m->cols));
    if (!prepared)
        abort();
    product->form->prepare(prepared, x, m->cols);
    product->gemv(&y, m, 0, 1, prepared);
    tb_free(prepared);
}

static void check_kernels(const tb_matrix *m, tb_cpu cpu, const float *x, const float *expected)
{
    static float decoded[MOST_COLS];
    tb_kernels kernels;
    tb_kernels_init(&kernels, cpu);
    multiply(tb_kernels_product(&kernels, m->type), m, x);
    tb_kernels_decode(&kernels, m->type)(decoded, m->cols, m, 0, 1);
    for (size_t i = 0; i < m->cols; i++)
        if (tb_float_bits(decoded[i]) != tb_float_bits(expected[i]) && !(isnan(decoded[i]) && isnan(expected[i])))
            abort();
}

static void check_row(const tb_matrix *m)
{
    static float x[MOST_COLS], expected[MOST_COLS], scratch[MOST_COLS];
    for (size_t i = 0; i < m->cols; i++)
        x[i] = (float)(i % 7) - 3;
    tb_matrix_decode_row(expected, m, 0);
    tb_matrix_checksum(m, scratch);
    check_kernels(m, tb_cpu_detect() & TB_CPU_AVX2, x, expected);
    check_kernels(m, tb_cpu_detect(), x, expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_matrix m;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    if (!read_shape(&m, data, size))
        return 0;
    void *copies[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, &m);
    data += HEADER;
    for (size_t i = 0; i < count; data += parts[i++].bytes)
        tb_matrix_set_part(&m, i, copy_at_end(&copies[i], data, parts[i].bytes));
    check_row(&m);
    for (size_t i = 0; i < count; i++)
        tb_free(copies[i]);
    return 0;
}
