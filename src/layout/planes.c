// The plane types, read element by element: the definition that every kernel is held to.
//
// Within a group a bit-plane code stands for one of 2^planes levels, and a pair of trits for
// one of nine; decoding tabulates the levels of a group once.
#include "layout/planes.h"

#include "base/base.h"

#include <assert.h>
#include <string.h>

static const uint8_t powers_of_3[TB_TRITS_PER_BYTE] = {1, 3, 9, 27, 81};

// The words of all planes for columns 32·word … 32·word+31 of a row.
static void load_words(uint32_t words[TB_MAX_OFFSET_PLANES], const tb_matrix *m, size_t row, size_t word)
{
    const uint8_t *p = m->data;
    p += (row * tb_matrix_words(m) + word) * m->planes * sizeof(uint32_t);
    memcpy(words, p, m->planes * sizeof(uint32_t));
}

static unsigned code_at(const uint32_t *words, unsigned planes, unsigned bit)
{
    unsigned code = 0;
    for (unsigned i = 0; i < planes; i++)
        code |= (words[i] >> bit & 1u) << i;
    return code;
}

unsigned tb_matrix_get_code(const tb_matrix *m, size_t row, size_t col)
{
    assert(row < m->rows && col < m->cols);
    uint32_t words[TB_MAX_OFFSET_PLANES];
    load_words(words, m, row, col / TB_PLANE_WORD);
    return code_at(words, m->planes, col % TB_PLANE_WORD);
}

unsigned tb_matrix_get_zero(const tb_matrix *m, size_t row, size_t group)
{
    size_t groups = tb_matrix_groups(m);
    assert(row < m->rows && group < groups);
    return m->zeros[row * ((groups + 1) / 2) + group / 2] >> (group % 2 * 4) & 15u;
}

static unsigned trit_digit(const uint8_t *bytes, size_t col)
{
    return bytes[col / TB_TRITS_PER_BYTE] / powers_of_3[col % TB_TRITS_PER_BYTE] % 3u;
}

static const uint8_t *trit_row(const tb_matrix *m, size_t row, unsigned plane)
{
    return (const uint8_t *)m->data + (2 * row + plane) * tb_matrix_trit_bytes(m);
}

int tb_matrix_get_trit(const tb_matrix *m, size_t row, unsigned plane, size_t col)
{
    assert(row < m->rows && plane < 2 && col < m->cols);
    return (int)trit_digit(trit_row(m, row, plane), col) - 1;
}

static void variable_levels(float *levels, const uint16_t *coefs, unsigned planes)
{
    float bias = tb_half_to_float(coefs[planes]);
    for (unsigned code = 0; code < 1u << planes; code++) {
        float sum = 0;
        for (unsigned i = 0; i < planes; i++)
            sum += code >> i & 1u ? tb_half_to_float(coefs[i]) : 0;
        levels[code] = sum + bias;
    }
}

static void uniform_levels(float *levels, uint16_t scale, unsigned zero, unsigned planes)
{
    for (unsigned code = 0; code < 1u << planes; code++)
        levels[code] = (float)((int)code - (int)zero) * tb_half_to_float(scale);
}

static void group_levels(float *levels, const tb_matrix *m, size_t row, size_t group)
{
    size_t index = row * tb_matrix_groups(m) + group;
    if (m->type == TB_TYPE_AFFINE)
        uniform_levels(levels, m->coefs[index], tb_matrix_get_zero(m, row, group), m->planes);
    else
        variable_levels(levels, m->coefs + index * (m->planes + 1), m->planes);
}

void tb_bitplanes_decode(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n)
{
    float levels[1u << TB_MAX_PLANES];
    size_t end = first + n, levels_end = first;
    for (size_t col = first; col < end;) {
        if (col >= levels_end) {
            group_levels(levels, m, row, col / m->group);
            levels_end = (col / m->group + 1) * m->group;
        }
        uint32_t words[TB_MAX_OFFSET_PLANES];
        load_words(words, m, row, col / TB_PLANE_WORD);
        size_t stop = tb_min_size(end, (col / TB_PLANE_WORD + 1) * TB_PLANE_WORD);
        for (; col < stop; col++)
            *dst++ = levels[code_at(words, m->planes, col % TB_PLANE_WORD)];
    }
}

void tb_offset_decode(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n)
{
    size_t end = first + n;
    for (size_t col = first; col < end;) {
        const uint16_t *coefs = m->coefs + (row * tb_matrix_groups(m) + col / m->group) * 2;
        float scale = tb_half_to_float(coefs[0]), offset = tb_half_to_float(coefs[1]);
        uint32_t words[TB_MAX_OFFSET_PLANES];
        load_words(words, m, row, col / TB_PLANE_WORD);
        size_t stop = tb_min_size(end, (col / TB_PLANE_WORD + 1) * TB_PLANE_WORD);
        for (; col < stop; col++)
            *dst++ = (float)code_at(words, m->planes, col % TB_PLANE_WORD) * scale + offset;
    }
}

void tb_tritplanes_decode(float *dst, const tb_matrix *m, size_t row, size_t first, size_t n)
{
    const uint8_t *plane1 = trit_row(m, row, 0), *plane2 = trit_row(m, row, 1);
    const uint16_t *coefs = m->coefs + row * tb_matrix_groups(m) * 2;
    float levels[3][3];
    size_t levels_end = first;
    for (size_t col = first; col < first + n; col++) {
        if (col >= levels_end) {
            size_t group = col / m->group;
            float alpha1 = tb_half_to_float(coefs[2 * group]), alpha2 = tb_half_to_float(coefs[2 * group + 1]);
            for (int t1 = -1; t1 <= 1; t1++)
                for (int t2 = -1; t2 <= 1; t2++)
                    levels[t1 + 1][t2 + 1] = (float)t1 * alpha1 + (float)t2 * alpha2;
            levels_end = (group + 1) * m->group;
        }
        *dst++ = levels[trit_digit(plane1, col)][trit_digit(plane2, col)];
    }
}
