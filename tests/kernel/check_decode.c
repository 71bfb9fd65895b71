// Decoding rows: the same bits as tb_matrix_decode_row for every type, shape and stride; nothing
// else is written.
#include "check.h"

#include <string.h>

enum { ROWS = 3, GAP = 5, MOST_COLS = 4096 };

static void check_rows(const char *name, const tb_matrix *w, tb_decode_rows_fn *decode, size_t row0, size_t row1)
{
    static float expected[MOST_COLS];
    size_t stride = w->cols + GAP, count = row1 - row0;
    guarded out = guarded_new(((count - 1) * stride + w->cols) * sizeof(float));
    memset(out.data, 0xFF, out.size); // NaN
    decode(out.data, stride, w, row0, row1);
    const float *rows = out.data;
    for (size_t i = 0; i < count; i++) {
        tb_matrix_decode_row(expected, w, row0 + i);
        for (size_t c = 0; c < w->cols; c++)
            if (tb_float_bits(rows[i * stride + c]) != tb_float_bits(expected[c])) {
                check_fail(name, "row %zu column %zu decodes to %.9g instead of %.9g", row0 + i, c,
                           (double)rows[i * stride + c], (double)expected[c]);
                break;
            }
        for (size_t c = w->cols; c < stride && i + 1 < count; c++)
            if (tb_float_bits(rows[i * stride + c]) != 0xFFFFFFFF)
                check_fail(name, "wrote between its rows");
    }
    if (!guarded_is_intact(&out))
        check_fail(name, "wrote before its output");
    guarded_free(&out);
}

static void check_shape(void *user, const sample_shape *shape)
{
    const tb_kernels *kernels = user;
    tb_rng rng;
    tb_rng_init(&rng, 2, shape->cols * 64 + shape->planes);
    for (sample_kind kind = SAMPLE_NORMAL; kind <= SAMPLE_EXTREME; kind++) {
        tb_packed packed;
        sample_matrix(&packed, shape, kind, &rng);
        const char *name = shape_name(shape);
        check_begin(name);
        check_rows(name, &packed.view, tb_kernels_decode(kernels, shape->type), 0, ROWS);
        check_rows(name, &packed.view, tb_kernels_decode(kernels, shape->type), ROWS - 1, ROWS);
        tb_packed_clear(&packed);
    }
}

void check_decode(const tb_kernels *kernels)
{
    tb_kernels copy = *kernels;
    sample_every_shape(ROWS, check_shape, &copy);
}
