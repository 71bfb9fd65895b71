// Random bytes are valid weights nearly everywhere: only the scales of units and the coefficients
// of planes are chosen, so that all values are finite.
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Where the half-precision scales of a unit lie; everything else in a unit may be any byte.
static const struct {
    tb_type type;
    unsigned count, offsets[2];
} scales[] = {
    {TB_TYPE_Q4_0, 1, {0}},    {TB_TYPE_Q4_1, 2, {0, 2}},   {TB_TYPE_Q5_0, 1, {0}},    {TB_TYPE_Q5_1, 2, {0, 2}},
    {TB_TYPE_Q8_0, 1, {0}},    {TB_TYPE_Q2_K, 2, {80, 82}}, {TB_TYPE_Q3_K, 1, {108}},  {TB_TYPE_Q4_K, 2, {0, 2}},
    {TB_TYPE_Q5_K, 2, {0, 2}}, {TB_TYPE_Q6_K, 1, {208}},    {TB_TYPE_IQ1_S, 1, {0}},   {TB_TYPE_IQ2_XXS, 1, {0}},
    {TB_TYPE_IQ2_XS, 1, {0}},  {TB_TYPE_IQ2_S, 1, {0}},     {TB_TYPE_IQ3_XXS, 1, {0}}, {TB_TYPE_IQ3_S, 1, {0}},
    {TB_TYPE_IQ4_NL, 1, {0}},  {TB_TYPE_IQ4_XS, 1, {0}},    {TB_TYPE_TQ1_0, 1, {52}},  {TB_TYPE_TQ2_0, 1, {64}},
};

static float sample_value(sample_kind kind, tb_rng *rng)
{
    switch (kind) {
    case SAMPLE_INTEGER:
        return (float)((int)tb_rng_below(rng, 9) - 4);
    case SAMPLE_EXTREME: {
        static const float extremes[] = {0, -0.0f, 0x1p-24f, -0x1p-24f, 0x1.4p-15f, 1024, -1024, 1};
        return extremes[tb_rng_below(rng, 8)];
    }
    default:
        return (float)tb_rng_normal(rng);
    }
}

static uint16_t sample_half(sample_kind kind, tb_rng *rng)
{
    return tb_half_from_float(sample_value(kind, rng));
}

static void put_half(uint8_t *p, uint16_t half)
{
    p[0] = (uint8_t)(half & 0xFF);
    p[1] = (uint8_t)(half >> 8);
}

static void put_values(tb_packed *out, size_t bytes, sample_kind kind, tb_rng *rng)
{
    uint8_t *p = out->data, *end = p + bytes;
    while (p < end) {
        float value = sample_value(kind, rng);
        switch (out->view.type) {
        case TB_TYPE_F32:
            memcpy(p, &value, sizeof value);
            p += 4;
            break;
        case TB_TYPE_F16:
            put_half(p, tb_half_from_float(value));
            p += 2;
            break;
        default: // TB_TYPE_BF16
            put_half(p, tb_bfloat_from_float(value));
            p += 2;
            break;
        }
    }
}

// The four nibbles of IQ1_M's half lie on top of its four scale words.
static void put_iq1_m_scale(uint8_t *unit, uint16_t half)
{
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *top = unit + 48 + 2 * i + 1;
        *top = (uint8_t)((*top & 15u) | (half >> 4 * i & 15u) << 4);
    }
}

static void put_unit_scales(uint8_t *unit, tb_type type, sample_kind kind, tb_rng *rng)
{
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        if (scales[i].type == type)
            for (unsigned j = 0; j < scales[i].count; j++)
                put_half(unit + scales[i].offsets[j], sample_half(kind, rng));
    if (type == TB_TYPE_IQ1_M)
        put_iq1_m_scale(unit, sample_half(kind, rng));
    if (type == TB_TYPE_MXFP4) // an exponent: around 1, or towards the ends of what x can bear
        unit[0] = (uint8_t)(kind == SAMPLE_EXTREME ? tb_rng_below(rng, 150) : 126 + tb_rng_below(rng, 3));
}

static void put_random_bytes(uint8_t *p, size_t n, tb_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)tb_rng_u32(rng);
}

static void put_units(tb_packed *out, size_t bytes, sample_kind kind, tb_rng *rng)
{
    size_t unit_bytes = tb_type_traits_get((uint32_t)out->view.type)->unit_bytes;
    put_random_bytes(out->data, bytes, rng);
    for (uint8_t *p = out->data; p < (uint8_t *)out->data + bytes; p += unit_bytes)
        put_unit_scales(p, out->view.type, kind, rng);
}

static void put_planes(tb_packed *out, const tb_matrix_part *parts, size_t count, sample_kind kind, tb_rng *rng)
{
    // Bits past the last column and bytes beyond 242 included: kernels must bear them.
    put_random_bytes(out->data, parts[0].bytes, rng);
    if (count > 2)
        put_random_bytes(out->zeros, parts[2].bytes, rng);
    for (size_t i = 0; i < parts[1].bytes / sizeof(uint16_t); i++)
        out->coefs[i] = sample_half(kind, rng);
}

void sample_matrix(tb_packed *out, const sample_shape *shape, sample_kind kind, tb_rng *rng)
{
    tb_error err;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    if (tb_packed_init(out, shape->type, shape->rows, shape->cols, shape->planes, shape->group, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    size_t count = tb_matrix_get_parts(parts, &out->view);
    if (tb_type_is_plane(shape->type))
        put_planes(out, parts, count, kind, rng);
    else if (tb_type_traits_get((uint32_t)shape->type)->unit_size == 1)
        put_values(out, parts[0].bytes, kind, rng);
    else
        put_units(out, parts[0].bytes, kind, rng);
}

void sample_vector(float *x, size_t n, sample_kind kind, tb_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        x[i] = sample_value(kind, rng);
}

static void every_plane_shape(const tb_plane_traits *traits, size_t rows, void (*fn)(void *, const sample_shape *),
                              void *user)
{
    static const size_t widths[] = {1, 7, 31, 32, 33, 63, 64, 65, 159, 160, 161, 172, 200, 320, 333, 576};
    static const size_t groups[] = {32, 64, 96, 192, 1024};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
        for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
            for (unsigned planes = traits->least_planes; planes <= traits->most_planes; planes++)
                fn(user, &(sample_shape){traits->type, rows, widths[w], planes, groups[g]});
}

static void every_ggml_shape(const tb_type_traits *traits, size_t rows, void (*fn)(void *, const sample_shape *),
                             void *user)
{
    static const size_t values[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 200, 257, 576};
    static const size_t units[] = {1, 2, 3, 5, 8, 9};
    bool plain = traits->unit_size == 1;
    size_t count = plain ? sizeof values / sizeof values[0] : sizeof units / sizeof units[0];
    for (size_t i = 0; i < count; i++)
        fn(user, &(sample_shape){traits->type, rows, plain ? values[i] : units[i] * traits->unit_size, 0, 0});
}

void sample_every_shape(size_t rows, void (*fn)(void *user, const sample_shape *shape), void *user)
{
    for (uint32_t type = 0; type < TB_GGML_TYPES; type++)
        if (tb_type_is_decodable(type))
            every_ggml_shape(tb_type_traits_get(type), rows, fn, user);
    for (uint32_t i = 0; i < TB_PLANE_TYPES; i++)
        every_plane_shape(tb_plane_traits_get(TB_TYPE_BITPLANES + i), rows, fn, user);
}
