// layout, ggml types: sizes against GGUF's, decoders against values from another program.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "layout/layout.h"

static size_t read_golden(char **data, const char *name, const char *suffix)
{
    char path[512];
    tb_error err;
    size_t size;
    snprintf(path, sizeof path, TB_GOLDEN "/ggml_types/%s.%s", name, suffix);
    if (tb_file_read(data, &size, path, 1 << 20, &err))
        fail_msg("%s", err.message);
    return size;
}

static void check_golden(const tb_type_traits *traits)
{
    char *units, *values;
    size_t unit_bytes = read_golden(&units, traits->name, "bin");
    size_t value_bytes = read_golden(&values, traits->name, "f32");
    size_t n = value_bytes / sizeof(float);
    assert_int_equal(unit_bytes / traits->unit_bytes * traits->unit_size, n);
    float *decoded = tb_alloc(value_bytes);
    traits->decode(decoded, units, n);
    for (size_t i = 0; i < n; i++) {
        float expected;
        memcpy(&expected, values + i * sizeof expected, sizeof expected);
        if (tb_float_bits(decoded[i]) != tb_float_bits(expected))
            fail_msg("%s value %zu: decoded %.9g, expected %.9g", traits->name, i, (double)decoded[i],
                     (double)expected);
    }
    tb_free(decoded);
    tb_free(units);
    tb_free(values);
}

static bool has_golden(tb_type type)
{
    return type != TB_TYPE_F32 && type != TB_TYPE_F16;
}

static void decoders__agree_with_the_gguf_package(void **state)
{
    (void)state;
    size_t checked = 0;
    for (uint32_t type = 0; type < 256; type++) {
        const tb_type_traits *traits = tb_type_traits_get(type);
        if (!traits || !traits->decode || !has_golden((tb_type)type))
            continue;
        check_golden(traits);
        checked++;
    }
    assert_int_equal(checked, 23); // every decodable type but F32 and F16
}

static void decode_f16__gives_every_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint16_t half = (uint16_t)h;
        float value;
        tb_type_traits_get(TB_TYPE_F16)->decode(&value, &half, 1);
        assert_int_equal(tb_float_bits(value), tb_float_bits(tb_half_to_float(half)));
    }
}

static void decoders__read_unaligned_bytes(void **state)
{
    (void)state;
    uint8_t shifted[300];
    float aligned_values[256], shifted_values[256];
    for (uint32_t type = 0; type < 256; type++) {
        const tb_type_traits *traits = tb_type_traits_get(type);
        if (!traits || !traits->decode)
            continue;
        char *units;
        uint8_t plain[4] = {1, 2, 3, 4};
        if (has_golden((tb_type)type)) {
            read_golden(&units, traits->name, "bin");
            traits->decode(aligned_values, units, traits->unit_size);
            memcpy(shifted + 1, units, traits->unit_bytes);
            tb_free(units);
        } else {
            traits->decode(aligned_values, plain, 1);
            memcpy(shifted + 1, plain, sizeof plain);
        }
        traits->decode(shifted_values, shifted + 1, traits->unit_size);
        assert_memory_equal(shifted_values, aligned_values, traits->unit_size * sizeof(float));
    }
}

static void plane_type_find__knows_plane_types_by_whole_names_only(void **state)
{
    (void)state;
    static const tb_type planes[] = {TB_TYPE_BITPLANES, TB_TYPE_AFFINE, TB_TYPE_TRITPLANES, TB_TYPE_OFFSET};
    static const char *const others[] = {"", "off", "offsets", "Q4_K", "unknown"};
    tb_type type;
    for (size_t i = 0; i < sizeof planes / sizeof planes[0]; i++) {
        const char *name = tb_type_name((uint32_t)planes[i]);
        assert_true(tb_plane_type_find(&type, name, strlen(name)));
        assert_int_equal(type, planes[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(tb_plane_type_find(&type, others[i], strlen(others[i])));
}

static void traits__name_every_type_and_refuse_others(void **state)
{
    (void)state;
    assert_string_equal(tb_type_name(TB_TYPE_Q4_K), "Q4_K");
    assert_string_equal(tb_type_name(TB_TYPE_BITPLANES), "bitplanes");
    assert_string_equal(tb_type_name(TB_TYPE_AFFINE), "affine");
    assert_string_equal(tb_type_name(TB_TYPE_TRITPLANES), "tritplanes");
    assert_string_equal(tb_type_name(TB_TYPE_OFFSET), "offset");
    const uint32_t not_types[] = {4, 5, 31, 36, 42, 0xFFF, TB_TYPE_BITPLANES, TB_TYPE_TRITPLANES, UINT32_MAX};
    for (size_t i = 0; i < sizeof not_types / sizeof not_types[0]; i++)
        assert_null(tb_type_traits_get(not_types[i]));
    assert_string_equal(tb_type_name(UINT32_MAX), "unknown");
    assert_string_equal(tb_type_name(TB_TYPE_NVFP4), "NVFP4");
    assert_null(tb_type_traits_get(TB_TYPE_NVFP4)->decode);
    assert_string_equal(tb_type_name(TB_TYPE_Q1_0), "Q1_0");
    assert_null(tb_type_traits_get(TB_TYPE_Q1_0)->decode);
}

static void row_bytes__count_whole_units(void **state)
{
    (void)state;
    assert_int_equal(tb_row_bytes(TB_TYPE_F32, 3), 12);
    assert_int_equal(tb_row_bytes(TB_TYPE_Q8_0, 64), 68);
    assert_int_equal(tb_row_bytes(TB_TYPE_Q6_K, 512), 420);
    assert_int_equal(tb_row_bytes(TB_TYPE_Q6_K, 128), 0);
    assert_int_equal(tb_row_bytes(TB_TYPE_AFFINE, 128), 0);
    assert_int_equal(tb_row_bytes(TB_TYPE_F64, SIZE_MAX / 4), 0);
}

static void encode_q8_0__is_off_by_half_a_step_at_most(void **state)
{
    (void)state;
    enum { N = 32 * 64 };
    static float x[N], y[N];
    static uint8_t units[N / 32 * 34];
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < N; i++)
        x[i] = (float)(tb_rng_normal(&rng) * exp2((double)(i / 32 % 20) - 10));
    tb_encode_q8_0(units, x, N);
    tb_type_traits_get(TB_TYPE_Q8_0)->decode(y, units, N);
    for (size_t b = 0; b < N / 32; b++) {
        float largest = 0;
        for (size_t i = 0; i < 32; i++)
            largest = fmaxf(largest, fabsf(x[b * 32 + i]));
        // Half a step, plus what the rounding of the scale to half cuts off the largest value.
        float step = largest / 127;
        for (size_t i = 0; i < 32; i++)
            assert_true(fabsf(x[b * 32 + i] - y[b * 32 + i]) <=
                        0.5f * step * (1 + 0x1p-10f) + largest * 0x1p-11f + 127 * 0x1p-25f);
    }
}

static void encode_q8_0__keeps_what_q8_0_can_hold(void **state)
{
    (void)state;
    // Values q·d with a half d and the code ±127 present come back as they were.
    float x[32], y[32];
    uint8_t unit[34], again[34];
    for (int i = 0; i < 32; i++)
        x[i] = (float)(i * 8 - 121) * 0.03125f;
    x[5] = 127 * 0.03125f;
    tb_encode_q8_0(unit, x, 32);
    tb_type_traits_get(TB_TYPE_Q8_0)->decode(y, unit, 32);
    assert_memory_equal(x, y, sizeof x);
    tb_encode_q8_0(again, y, 32);
    assert_memory_equal(unit, again, sizeof unit);
}

static void encode_q8_0__survives_strange_values(void **state)
{
    (void)state;
    float x[64] = {[0] = NAN, [1] = INFINITY, [2] = -INFINITY, [3] = 1, [32] = 1e-30f, [33] = -1e-38f}, y[64];
    uint8_t units[68];
    tb_encode_q8_0(units, x, 64);
    tb_type_traits_get(TB_TYPE_Q8_0)->decode(y, units, 64);
    assert_true(y[0] == 0 && y[1] == 65504.0f * 127 && y[2] == -y[1] && y[3] == 0);
    for (size_t i = 32; i < 64; i++)
        assert_true(y[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders__agree_with_the_gguf_package),
        cmocka_unit_test(decode_f16__gives_every_half),
        cmocka_unit_test(decoders__read_unaligned_bytes),
        cmocka_unit_test(traits__name_every_type_and_refuse_others),
        cmocka_unit_test(row_bytes__count_whole_units),
        cmocka_unit_test(encode_q8_0__is_off_by_half_a_step_at_most),
        cmocka_unit_test(encode_q8_0__keeps_what_q8_0_can_hold),
        cmocka_unit_test(plane_type_find__knows_plane_types_by_whole_names_only),
        cmocka_unit_test(encode_q8_0__survives_strange_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
