// Matrices that own their storage, written element by element.
#include "base/base.h"
#include "layout/layout.h"

#include <assert.h>
#include <string.h>

tb_code tb_packed_init(tb_packed *packed, tb_type type, size_t rows, size_t cols, unsigned planes, size_t group,
                       tb_error *err)
{
    memset(packed, 0, sizeof *packed);
    tb_matrix view = {.type = type, .rows = rows, .cols = cols};
    if (tb_type_is_plane(type)) {
        view.planes = planes;
        view.group = group;
    }
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, &view);
    if (count == 0)
        return tb_fail(err, TB_EINVAL, "no %s matrix has %zu rows, %zu columns, %u planes and groups of %zu",
                       tb_type_name((uint32_t)type), rows, cols, view.planes, view.group);
    void *storage[TB_MATRIX_PARTS] = {NULL};
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        storage[i] = tb_alloc_array(parts[i].bytes, 1);
        ok = storage[i];
        tb_matrix_set_part(&view, i, storage[i]);
    }
    *packed = (tb_packed){view, storage[0], storage[1], storage[2]};
    if (ok)
        return TB_OK;
    tb_packed_clear(packed);
    return tb_fail(err, TB_ENOMEM, "no memory for a %s matrix of %zu rows and %zu columns",
                   tb_type_name((uint32_t)type), rows, cols);
}

void tb_packed_clear(tb_packed *packed)
{
    if (!packed)
        return;
    tb_free(packed->data);
    tb_free(packed->coefs);
    tb_free(packed->zeros);
    memset(packed, 0, sizeof *packed);
}

void *tb_packed_part(tb_packed *packed, size_t index)
{
    void *const parts[TB_MATRIX_PARTS] = {packed->data, packed->coefs, packed->zeros};
    return parts[index];
}

void tb_packed_set_code(tb_packed *packed, size_t row, size_t col, unsigned code)
{
    const tb_matrix *m = &packed->view;
    assert(row < m->rows && col < m->cols && code < 1u << m->planes);
    uint32_t *words = (uint32_t *)packed->data + (row * tb_matrix_words(m) + col / TB_PLANE_WORD) * m->planes;
    uint32_t bit = (uint32_t)1 << col % TB_PLANE_WORD;
    for (unsigned i = 0; i < m->planes; i++)
        words[i] = code >> i & 1u ? words[i] | bit : words[i] & ~bit;
}

void tb_packed_set_zero(tb_packed *packed, size_t row, size_t group, unsigned zero)
{
    size_t groups = tb_matrix_groups(&packed->view);
    assert(row < packed->view.rows && group < groups && zero < 16);
    uint8_t *byte = packed->zeros + row * ((groups + 1) / 2) + group / 2;
    unsigned shift = group % 2 * 4;
    *byte = (uint8_t)((*byte & ~(15u << shift)) | zero << shift);
}

void tb_packed_set_trits(tb_packed *packed, size_t row, unsigned plane, const int8_t *trits)
{
    const tb_matrix *m = &packed->view;
    assert(row < m->rows && plane < 2);
    size_t bytes = tb_matrix_trit_bytes(m);
    uint8_t *out = (uint8_t *)packed->data + (2 * row + plane) * bytes;
    for (size_t b = 0; b < bytes; b++) {
        unsigned byte = 0;
        for (size_t i = TB_TRITS_PER_BYTE; i-- > 0;) {
            size_t col = b * TB_TRITS_PER_BYTE + i;
            int trit = col < m->cols ? trits[col] : 0;
            assert(trit >= -1 && trit <= 1);
            byte = byte * 3 + (unsigned)(trit + 1);
        }
        out[b] = (uint8_t)byte;
    }
}
