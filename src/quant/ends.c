#include "quant/ends.h"

#include "quant/decoded.h"
#include "quant/line.h"

#include <string.h>

enum {
    GROUP = 64, // as for the linears: half a bit a weight for scale and offset
    ROWS = 64,  // rows per range
};

static double row_bytes(const tb_matrix *shape)
{
    return tb_matrix_bits(shape) / 8 / (double)shape->rows;
}

// Rows that do not divide into blocks become halves at eight bits.
tb_matrix tb_end_shape(const tb_matrix *source, unsigned bits)
{
    tb_matrix shape = {.type = TB_TYPE_Q8_0, .rows = source->rows, .cols = source->cols};
    if (bits == 0)
        return *source;
    if (bits < TB_MOST_END_BITS) {
        shape.type = TB_TYPE_OFFSET;
        shape.planes = bits;
        shape.group = GROUP;
    } else if (tb_row_bytes(TB_TYPE_Q8_0, source->cols) == 0) {
        shape.type = TB_TYPE_F16;
    }
    return row_bytes(source) <= row_bytes(&shape) ? *source : shape;
}

typedef struct conversion {
    tb_packed *out;
    const tb_matrix *source;
    float *rows;       // [workers][cols]
    size_t *nonfinite; // [rows]
} conversion;

static void pack_lines(tb_packed *out, size_t row, const float *values)
{
    const tb_matrix *m = &out->view;
    size_t ignored = 0;
    for (size_t first = 0; first < m->cols; first += m->group) {
        double weights[GROUP];
        size_t n = m->cols - first < m->group ? m->cols - first : m->group;
        for (size_t i = 0; i < n; i++)
            weights[i] = (double)values[first + i];
        tb_line line;
        tb_line_fit(&line, weights, n, m->planes, &ignored);
        tb_line_pack(out, row, first, &line, weights, n, NULL);
    }
}

static void encode_row(tb_packed *out, size_t row, const float *values)
{
    const tb_matrix *m = &out->view;
    unsigned char *dst = (unsigned char *)out->data + row * tb_row_bytes(m->type, m->cols);
    if (m->type == TB_TYPE_OFFSET)
        pack_lines(out, row, values);
    else if (m->type == TB_TYPE_Q8_0)
        tb_encode_q8_0(dst, values, m->cols);
    else
        for (size_t c = 0; c < m->cols; c++)
            ((uint16_t *)(void *)dst)[c] = tb_half_from_float(values[c]);
}

static void convert_rows(void *user, size_t begin, size_t end, size_t worker)
{
    conversion *c = user;
    float *values = c->rows + worker * c->source->cols;
    for (size_t r = begin; r < end; r++) {
        tb_matrix_decode_row(values, c->source, r);
        c->nonfinite[r] = tb_zero_nonfinite(values, c->source->cols);
        encode_row(c->out, r, values);
    }
}

tb_code tb_end_convert(tb_matrix *out, tb_packed *packed, const tb_matrix *source, unsigned bits, size_t threads,
                       size_t *nonfinite, tb_error *err)
{
    tb_matrix shape = tb_end_shape(source, bits);
    *out = *source;
    *packed = (tb_packed){0};
    if (shape.data)
        return TB_OK;
    tb_code rc = tb_packed_init(packed, shape.type, shape.rows, shape.cols, shape.planes, shape.group, err);
    conversion c = {.out = packed, .source = source};
    if (!rc) {
        c.rows = tb_alloc_array(threads * source->cols, sizeof *c.rows);
        c.nonfinite = tb_alloc_array(source->rows, sizeof *c.nonfinite);
    }
    if (!rc && (!c.rows || !c.nonfinite))
        rc = tb_fail(err, TB_ENOMEM, "no memory to convert a matrix of %zu x %zu", source->rows, source->cols);
    if (!rc)
        tb_parallel(threads, source->rows, ROWS, convert_rows, &c);
    for (size_t r = 0; r < source->rows && !rc; r++)
        *nonfinite += c.nonfinite[r];
    *out = packed->view;
    tb_free(c.nonfinite);
    tb_free(c.rows);
    return rc;
}
