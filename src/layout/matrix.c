// A stored matrix as a whole: the sizes of its parts, its decoded rows, its checksum.
#include "base/base.h"
#include "layout/layout.h"

#include <assert.h>

// FNV-1a, 64 bits: offset basis and prime of its authors.
#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

size_t tb_row_bytes(tb_type type, size_t cols)
{
    const tb_type_traits *traits = tb_type_traits_get((uint32_t)type);
    size_t bytes;
    if (!traits || cols % traits->unit_size || !tb_mul_size(&bytes, cols / traits->unit_size, traits->unit_bytes))
        return 0;
    return bytes;
}

static const tb_type part_types[TB_PARTS] = {TB_TYPE_I32, TB_TYPE_I8, TB_TYPE_F16, TB_TYPE_I8};

// False when the bytes are too many to be counted.
static bool set_part(tb_matrix_part *out, tb_part part, const uint64_t dims[3], const void *data)
{
    tb_type type = part_types[part];
    *out = (tb_matrix_part){.suffix = tb_part_suffixes[part],
                            .type = type,
                            .dim_count = part == TB_PART_ZEROS ? 2 : 3,
                            .dims = {dims[0], dims[1], dims[2]},
                            .bytes = tb_type_traits_get((uint32_t)type)->unit_bytes,
                            .data = data};
    return tb_mul_size(&out->bytes, out->bytes, (size_t)dims[0]) &&
           tb_mul_size(&out->bytes, out->bytes, (size_t)dims[1]) &&
           tb_mul_size(&out->bytes, out->bytes, (size_t)dims[2]);
}

static size_t plane_parts(tb_matrix_part parts[TB_MATRIX_PARTS], const tb_matrix *m, const tb_plane_traits *traits)
{
    if (m->group == 0 || m->group % TB_PLANE_WORD || m->group > TB_MAX_DIM || m->planes < traits->least_planes ||
        m->planes > traits->most_planes)
        return 0;
    size_t groups = tb_matrix_groups(m);
    const uint64_t planes[3] = {m->planes, tb_matrix_words(m), m->rows},
                   trits[3] = {tb_matrix_trit_bytes(m), m->planes, m->rows},
                   coefs[3] = {traits->coefs + m->planes * traits->coefs_per_plane, groups, m->rows},
                   zeros[3] = {(groups + 1) / 2, m->rows, 1};
    bool fits = set_part(&parts[0], traits->data, traits->data == TB_PART_TRITS ? trits : planes, m->data) &&
                set_part(&parts[1], TB_PART_COEFS, coefs, m->coefs) &&
                (!traits->has_zeros || set_part(&parts[2], TB_PART_ZEROS, zeros, m->zeros));
    return !fits ? 0 : traits->has_zeros ? 3 : 2;
}

static size_t ggml_parts(tb_matrix_part *part, const tb_matrix *m)
{
    size_t row_bytes = tb_row_bytes(m->type, m->cols);
    *part = (tb_matrix_part){"", m->type, 2, {m->cols, m->rows, 1}, 0, m->data};
    return row_bytes && tb_mul_size(&part->bytes, m->rows, row_bytes) ? 1 : 0;
}

size_t tb_matrix_get_parts(tb_matrix_part parts[TB_MATRIX_PARTS], const tb_matrix *m)
{
    if (m->rows == 0 || m->cols == 0 || m->rows > TB_MAX_DIM || m->cols > TB_MAX_DIM)
        return 0;
    const tb_plane_traits *traits = tb_plane_traits_get((uint32_t)m->type);
    return traits ? plane_parts(parts, m, traits) : ggml_parts(parts, m);
}

void tb_matrix_set_part(tb_matrix *m, size_t index, const void *data)
{
    if (index == 0)
        m->data = data;
    else if (index == 1)
        m->coefs = data;
    else
        m->zeros = data;
}

double tb_matrix_bits(const tb_matrix *m)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, m);
    double bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += (double)parts[i].bytes;
    return 8 * bytes;
}

static void decode_ggml(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n)
{
    const tb_type_traits *traits = tb_type_traits_get((uint32_t)m->type);
    assert(traits && traits->decode && first % traits->unit_size == 0 && n % traits->unit_size == 0);
    const uint8_t *start = (const uint8_t *)m->data + row * tb_row_bytes(m->type, m->cols);
    traits->decode(dst, start + first / traits->unit_size * traits->unit_bytes, n);
}

void tb_matrix_decode_part(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n)
{
    assert(row < m->rows && first <= m->cols && n <= m->cols - first);
    const tb_plane_traits *traits = tb_plane_traits_get((uint32_t)m->type);
    if (traits)
        traits->decode(dst, m, row, first, n);
    else
        decode_ggml(dst, m, row, first, n);
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
