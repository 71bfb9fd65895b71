// A stored matrix as a whole: the sizes of its parts, its decoded rows, its checksum.
#include "base/base.h"
#include "layout/layout.h"
#include "layout/planes.h"

#include <assert.h>
#include <string.h>

// FNV-1a, 64 bits: offset basis and prime of its authors.
#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

size_t tb_row_bytes(tb_type type, size_t cols)
{
    const tb_type_traits *traits = tb_type_traits_get((uint32_t)type);
    size_t bytes;
    if (!traits || cols % traits->block_size || !tb_mul_size(&bytes, cols / traits->block_size, traits->block_bytes))
        return 0;
    return bytes;
}

static bool block_sizes(tb_matrix_sizes *out, const tb_matrix *shape)
{
    size_t row_bytes = tb_row_bytes(shape->type, shape->cols);
    return row_bytes && tb_mul_size(&out->data, shape->rows, row_bytes);
}

static bool bitplane_sizes(tb_matrix_sizes *out, const tb_matrix *shape)
{
    size_t groups = tb_matrix_groups(shape);
    bool affine = shape->type == TB_TYPE_AFFINE;
    size_t per_group = affine ? 1 : shape->type == TB_TYPE_OFFSET ? 2 : shape->planes + 1;
    size_t row_coefs = groups * per_group;
    size_t row_zeros = affine ? (groups + 1) / 2 : 0;
    return tb_mul_size(&out->data, shape->rows, tb_matrix_words(shape) * shape->planes * sizeof(uint32_t)) &&
           tb_mul_size(&out->coefs, shape->rows, row_coefs * sizeof(uint16_t)) &&
           tb_mul_size(&out->zeros, shape->rows, row_zeros);
}

static bool tritplane_sizes(tb_matrix_sizes *out, const tb_matrix *shape)
{
    return tb_mul_size(&out->data, shape->rows, 2 * tb_matrix_trit_bytes(shape)) &&
           tb_mul_size(&out->coefs, shape->rows, tb_matrix_groups(shape) * 2 * sizeof(uint16_t));
}

static bool valid_planes(const tb_matrix *shape)
{
    if (shape->group == 0 || shape->group % TB_PLANE_WORD || shape->group > TB_MAX_DIM)
        return false;
    if (shape->type == TB_TYPE_TRITPLANES)
        return shape->planes == 2;
    unsigned most = shape->type == TB_TYPE_OFFSET ? TB_MAX_OFFSET_PLANES : TB_MAX_PLANES;
    return shape->planes >= 1 && shape->planes <= most;
}

bool tb_matrix_get_sizes(tb_matrix_sizes *out, const tb_matrix *shape)
{
    memset(out, 0, sizeof *out);
    if (shape->rows == 0 || shape->cols == 0 || shape->rows > TB_MAX_DIM || shape->cols > TB_MAX_DIM)
        return false;
    if (!tb_type_is_plane(shape->type))
        return block_sizes(out, shape);
    if (!valid_planes(shape))
        return false;
    return shape->type == TB_TYPE_TRITPLANES ? tritplane_sizes(out, shape) : bitplane_sizes(out, shape);
}

double tb_matrix_bits(const tb_matrix *m)
{
    tb_matrix_sizes sizes;
    if (!tb_matrix_get_sizes(&sizes, m))
        return 0;
    return 8 * ((double)sizes.data + (double)sizes.coefs + (double)sizes.zeros);
}

static void decode_blocks(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n)
{
    const tb_type_traits *traits = tb_type_traits_get((uint32_t)m->type);
    assert(traits && traits->decode && first % traits->block_size == 0 && n % traits->block_size == 0);
    const uint8_t *start = (const uint8_t *)m->data + row * tb_row_bytes(m->type, m->cols);
    traits->decode(dst, start + first / traits->block_size * traits->block_bytes, n);
}

void tb_matrix_decode_part(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n)
{
    assert(row < m->rows && first <= m->cols && n <= m->cols - first);
    switch (m->type) {
    case TB_TYPE_BITPLANES:
    case TB_TYPE_AFFINE:
        tb_bitplanes_decode(dst, m, row, first, n);
        break;
    case TB_TYPE_TRITPLANES:
        tb_tritplanes_decode(dst, m, row, first, n);
        break;
    case TB_TYPE_OFFSET:
        tb_offset_decode(dst, m, row, first, n);
        break;
    default:
        decode_blocks(dst, m, row, first, n);
        break;
    }
}

void tb_matrix_decode_row(float *dst, const tb_matrix *m, size_t row)
{
    tb_matrix_decode_part(dst, m, row, 0, m->cols);
}

// The bits of a value, equal for values that count as equal.
static uint32_t canonical_bits(float value)
{
    uint32_t bits = tb_float_bits(value);
    if (value == 0)
        return 0;
    return value == value ? bits : 0x7FC00000u;
}

uint64_t tb_matrix_checksum(const tb_matrix *m, float *row_scratch)
{
    uint64_t sum = FNV_OFFSET;
    for (size_t r = 0; r < m->rows; r++) {
        tb_matrix_decode_row(row_scratch, m, r);
        uint64_t row_sum = FNV_OFFSET;
        for (size_t c = 0; c < m->cols; c++)
            row_sum = (row_sum ^ canonical_bits(row_scratch[c])) * FNV_PRIME;
        sum = (sum ^ row_sum) * FNV_PRIME;
    }
    return sum;
}
