// layout, plane types: what is packed is unpacked, sizes add up, checksums notice changes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "layout/layout.h"

enum { ROWS = 5, MAX_COLS = 576 };

static const size_t widths[] = {1, 5, 31, 32, 33, 64, 172, 200, 576};
static const size_t groups[] = {32, 64, 192, 640};

typedef void check_fn(tb_rng *rng, size_t cols, size_t group, unsigned planes);

static void for_every_shape(check_fn *check, unsigned most_planes)
{
    tb_rng rng;
    tb_rng_init(&rng, 11, 0);
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
        for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
            for (unsigned planes = 1; planes <= most_planes; planes++)
                check(&rng, widths[w], groups[g], planes);
}

static void init(tb_packed *packed, tb_type type, size_t cols, size_t group, unsigned planes)
{
    assert_int_equal(tb_packed_init(packed, type, ROWS, cols, planes, group, NULL), TB_OK);
}

static void fill_coefs(tb_packed *packed, tb_rng *rng)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    if (tb_matrix_get_parts(parts, &packed->view) == 1)
        return;
    for (size_t i = 0; i < parts[1].bytes / sizeof(uint16_t); i++)
        packed->coefs[i] = tb_half_from_float((float)tb_rng_normal(rng));
}

static void fill_codes(unsigned codes[ROWS][MAX_COLS], tb_packed *packed, tb_rng *rng)
{
    const tb_matrix *m = &packed->view;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < m->cols; c++) {
            tb_packed_set_code(packed, r, c, (1u << m->planes) - 1); // must be replaced, not merged
            codes[r][c] = (unsigned)tb_rng_below(rng, 1u << m->planes);
            tb_packed_set_code(packed, r, c, codes[r][c]);
        }
}

static void check_bits_past_the_end(const tb_matrix *m)
{
    const uint32_t *words = m->data;
    size_t last = tb_matrix_words(m) - 1, used = m->cols - last * TB_PLANE_WORD;
    if (used == TB_PLANE_WORD)
        return;
    for (size_t r = 0; r < m->rows; r++)
        for (unsigned i = 0; i < m->planes; i++)
            assert_int_equal(words[(r * (last + 1) + last) * m->planes + i] >> used, 0);
}

static void check_bitplanes(tb_rng *rng, size_t cols, size_t group, unsigned planes)
{
    static unsigned codes[ROWS][MAX_COLS];
    tb_packed packed;
    init(&packed, TB_TYPE_BITPLANES, cols, group, planes);
    fill_coefs(&packed, rng);
    fill_codes(codes, &packed, rng);
    float row[MAX_COLS];
    for (size_t r = 0; r < ROWS; r++) {
        tb_matrix_decode_row(row, &packed.view, r);
        for (size_t c = 0; c < cols; c++) {
            const uint16_t *coefs = packed.coefs + (r * tb_matrix_groups(&packed.view) + c / group) * (planes + 1);
            float value = 0;
            for (unsigned i = 0; i < planes; i++)
                value += (float)(codes[r][c] >> i & 1) * tb_half_to_float(coefs[i]);
            value += tb_half_to_float(coefs[planes]);
            assert_int_equal(tb_matrix_get_code(&packed.view, r, c), codes[r][c]);
            assert_true(row[c] == value);
        }
    }
    check_bits_past_the_end(&packed.view);
    tb_packed_clear(&packed);
}

static void bitplanes__come_back_as_packed(void **state)
{
    (void)state;
    for_every_shape(check_bitplanes, TB_MAX_PLANES);
}

static void check_affine(tb_rng *rng, size_t cols, size_t group, unsigned planes)
{
    static unsigned codes[ROWS][MAX_COLS];
    tb_packed packed;
    init(&packed, TB_TYPE_AFFINE, cols, group, planes);
    fill_coefs(&packed, rng);
    fill_codes(codes, &packed, rng);
    size_t count = tb_matrix_groups(&packed.view);
    unsigned zeros[ROWS][MAX_COLS / 32 + 1];
    for (size_t r = 0; r < ROWS; r++)
        for (size_t g = 0; g < count; g++) {
            zeros[r][g] = (unsigned)tb_rng_below(rng, 16);
            tb_packed_set_zero(&packed, r, g, 15);
            tb_packed_set_zero(&packed, r, g, zeros[r][g]);
        }
    float row[MAX_COLS];
    for (size_t r = 0; r < ROWS; r++) {
        tb_matrix_decode_row(row, &packed.view, r);
        for (size_t c = 0; c < cols; c++) {
            float scale = tb_half_to_float(packed.coefs[r * count + c / group]);
            assert_int_equal(tb_matrix_get_zero(&packed.view, r, c / group), zeros[r][c / group]);
            assert_int_equal(tb_matrix_get_code(&packed.view, r, c), codes[r][c]);
            assert_true(row[c] == ((float)codes[r][c] - (float)zeros[r][c / group]) * scale);
        }
    }
    tb_packed_clear(&packed);
}

static void affine__comes_back_as_packed(void **state)
{
    (void)state;
    for_every_shape(check_affine, TB_MAX_PLANES);
}

static void check_offset(tb_rng *rng, size_t cols, size_t group, unsigned planes)
{
    static unsigned codes[ROWS][MAX_COLS];
    tb_packed packed;
    init(&packed, TB_TYPE_OFFSET, cols, group, planes);
    fill_coefs(&packed, rng);
    fill_codes(codes, &packed, rng);
    float row[MAX_COLS];
    for (size_t r = 0; r < ROWS; r++) {
        tb_matrix_decode_row(row, &packed.view, r);
        for (size_t c = 0; c < cols; c++) {
            const uint16_t *coefs = packed.coefs + (r * tb_matrix_groups(&packed.view) + c / group) * 2;
            double exact = codes[r][c] * (double)tb_half_to_float(coefs[0]) + (double)tb_half_to_float(coefs[1]);
            assert_int_equal(tb_matrix_get_code(&packed.view, r, c), codes[r][c]);
            assert_true(row[c] == (float)exact); // the double is exact, so there was one rounding
        }
    }
    check_bits_past_the_end(&packed.view);
    tb_packed_clear(&packed);
}

static void offset__comes_back_as_packed(void **state)
{
    (void)state;
    for_every_shape(check_offset, TB_MAX_OFFSET_PLANES);
}

static void check_tritplanes(tb_rng *rng, size_t cols, size_t group, unsigned planes)
{
    (void)planes;
    static int8_t trits[ROWS][2][MAX_COLS];
    tb_packed packed;
    init(&packed, TB_TYPE_TRITPLANES, cols, group, 2);
    fill_coefs(&packed, rng);
    for (size_t r = 0; r < ROWS; r++)
        for (unsigned plane = 0; plane < 2; plane++) {
            for (size_t c = 0; c < cols; c++)
                trits[r][plane][c] = (int8_t)((int)tb_rng_below(rng, 3) - 1);
            tb_packed_set_trits(&packed, r, plane, trits[r][plane]);
        }
    float row[MAX_COLS];
    for (size_t r = 0; r < ROWS; r++) {
        tb_matrix_decode_row(row, &packed.view, r);
        for (size_t c = 0; c < cols; c++) {
            const uint16_t *alpha = packed.coefs + (r * tb_matrix_groups(&packed.view) + c / group) * 2;
            int t1 = trits[r][0][c], t2 = trits[r][1][c];
            assert_int_equal(tb_matrix_get_trit(&packed.view, r, 0, c), t1);
            assert_int_equal(tb_matrix_get_trit(&packed.view, r, 1, c), t2);
            assert_true(row[c] == (float)t1 * tb_half_to_float(alpha[0]) + (float)t2 * tb_half_to_float(alpha[1]));
        }
    }
    tb_packed_clear(&packed);
}

static void tritplanes__come_back_as_packed(void **state)
{
    (void)state;
    for_every_shape(check_tritplanes, 1);
}

static void trits__pad_the_last_byte_with_zero_trits(void **state)
{
    (void)state;
    tb_packed packed;
    assert_int_equal(tb_packed_init(&packed, TB_TYPE_TRITPLANES, 1, 6, 2, 32, NULL), TB_OK);
    tb_packed_set_trits(&packed, 0, 1, (const int8_t[]){-1, 0, 1, 1, -1, 1});
    const uint8_t *bytes = packed.data;
    assert_int_equal(bytes[2], 0 + 1 * 3 + 2 * 9 + 2 * 27 + 0 * 81);
    assert_int_equal(bytes[3], 2 + 1 * 3 + 1 * 9 + 1 * 27 + 1 * 81);
    tb_packed_clear(&packed);
}

static void trit_bytes__have_a_meaning_beyond_242(void **state)
{
    (void)state;
    // Outside files may hold any byte; decoding stays within −1 … 1.
    uint8_t data[2 * 256];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    uint16_t coefs[] = {0x3C00, 0}; // α = (1, 0)
    tb_matrix m = {TB_TYPE_TRITPLANES, 1, 1280, data, 2, 1280, coefs, NULL};
    static float row[1280];
    tb_matrix_decode_row(row, &m, 0);
    for (size_t c = 0; c < 1280; c++)
        assert_true(row[c] == -1 || row[c] == 0 || row[c] == 1);
}

static void decode_part__agrees_with_decode_row(void **state)
{
    (void)state;
    static const tb_type types[] = {TB_TYPE_BITPLANES, TB_TYPE_AFFINE, TB_TYPE_TRITPLANES,
                                    TB_TYPE_OFFSET,    TB_TYPE_F16,    TB_TYPE_Q8_0};
    tb_rng rng;
    tb_rng_init(&rng, 5, 0);
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        tb_packed packed;
        tb_matrix_part parts[TB_MATRIX_PARTS];
        init(&packed, types[t], MAX_COLS, 192, 2);
        assert_true(tb_matrix_get_parts(parts, &packed.view));
        for (size_t i = 0; i < parts[0].bytes; i++)
            ((uint8_t *)packed.data)[i] = (uint8_t)(tb_rng_u32(&rng) & 0x3F); // finite halves
        fill_coefs(&packed, &rng);
        float row[MAX_COLS], part[MAX_COLS];
        tb_matrix_decode_row(row, &packed.view, ROWS - 1);
        size_t unit = tb_type_is_plane(types[t]) ? 1 : tb_type_traits_get((uint32_t)types[t])->unit_size;
        for (size_t first = 0; first < MAX_COLS; first += 31 * unit)
            for (size_t n = 0; first + n <= MAX_COLS; n += 47 * unit) {
                tb_matrix_decode_part(part, &packed.view, ROWS - 1, first, n);
                assert_memory_equal(part, row + first, n * sizeof(float));
            }
        tb_packed_clear(&packed);
    }
}

static bool parts_exist(tb_type type, size_t rows, size_t cols, unsigned planes, size_t group)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    tb_matrix shape = {.type = type, .rows = rows, .cols = cols, .planes = planes, .group = group};
    return tb_matrix_get_parts(parts, &shape) > 0;
}

// The parts have these suffixes and bytes; NULL ends the list.
static void check_parts(const tb_matrix *m, const char *const suffixes[], const size_t bytes[])
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, m), total = 0, i;
    for (i = 0; suffixes[i]; i++) {
        assert_true(i < count);
        assert_string_equal(parts[i].suffix, suffixes[i]);
        assert_int_equal(parts[i].bytes, bytes[i]);
        size_t items = 1;
        for (unsigned d = 0; d < parts[i].dim_count; d++)
            items *= (size_t)parts[i].dims[d];
        const tb_type_traits *traits = tb_type_traits_get((uint32_t)parts[i].type);
        assert_int_equal(items / traits->unit_size * traits->unit_bytes, bytes[i]);
        total += bytes[i];
    }
    assert_int_equal(count, i);
    assert_true(tb_matrix_bits(m) == 8.0 * (double)total);
}

static void parts__are_those_of_the_layout(void **state)
{
    (void)state;
    tb_matrix m = {.type = TB_TYPE_BITPLANES, .rows = 3, .cols = 200, .planes = 2, .group = 64};
    check_parts(&m, (const char *[]){".planes", ".coefs", NULL}, (size_t[]){3 * 7 * 2 * 4, 3 * 4 * 3 * 2});
    m.type = TB_TYPE_OFFSET;
    check_parts(&m, (const char *[]){".planes", ".coefs", NULL}, (size_t[]){3 * 7 * 2 * 4, 3 * 4 * 2 * 2});
    m.type = TB_TYPE_AFFINE;
    m.cols = 300; // five groups: three bytes of nibbles
    check_parts(&m, (const char *[]){".planes", ".coefs", ".zeros", NULL},
                (size_t[]){3 * 10 * 2 * 4, 3 * 5 * 2, 3 * 3});
    m.type = TB_TYPE_TRITPLANES;
    m.cols = 172;
    check_parts(&m, (const char *[]){".trits", ".coefs", NULL}, (size_t[]){3 * 2 * 35, 3 * 3 * 2 * 2});
    m.type = TB_TYPE_Q8_0;
    m.cols = 64;
    check_parts(&m, (const char *[]){"", NULL}, (size_t[]){3 * 68});
}

static void parts__refuse_shapes_that_cannot_be(void **state)
{
    (void)state;
    assert_true(parts_exist(TB_TYPE_BITPLANES, 1, 1, 1, 32));
    assert_false(parts_exist(TB_TYPE_BITPLANES, 0, 1, 1, 32));
    assert_false(parts_exist(TB_TYPE_BITPLANES, 1, 0, 1, 32));
    assert_false(parts_exist(TB_TYPE_BITPLANES, 1, 1, 0, 32));
    assert_false(parts_exist(TB_TYPE_BITPLANES, 1, 1, TB_MAX_PLANES + 1, 32));
    assert_false(parts_exist(TB_TYPE_OFFSET, 1, 1, TB_MAX_OFFSET_PLANES + 1, 32));
    assert_false(parts_exist(TB_TYPE_BITPLANES, 1, 1, 1, 0));
    assert_false(parts_exist(TB_TYPE_AFFINE, 1, 64, 1, 48));
    assert_false(parts_exist(TB_TYPE_AFFINE, 1, 64, 1, SIZE_MAX - 31));
    assert_false(parts_exist(TB_TYPE_TRITPLANES, 1, 64, 3, 32));
    assert_false(parts_exist(TB_TYPE_F32, SIZE_MAX, 1, 0, 0));
    assert_false(parts_exist(TB_TYPE_F32, 1, SIZE_MAX / 4, 0, 0));
    assert_false(parts_exist(TB_TYPE_BITPLANES, SIZE_MAX / 8, SIZE_MAX / 8, 1, 32));
    assert_false(parts_exist(TB_TYPE_Q4_K, 1, 128, 0, 0));
    assert_false(parts_exist((tb_type)99, 1, 128, 0, 0));
}

static void packed_init__says_what_is_wrong(void **state)
{
    (void)state;
    tb_packed packed;
    tb_error err;
    assert_int_equal(tb_packed_init(&packed, TB_TYPE_AFFINE, 4, 64, 9, 32, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "9 planes"));
    assert_null(packed.data);
    tb_packed_clear(&packed);
    tb_packed_clear(NULL);
}

static void packed_init__survives_failed_allocations(void **state)
{
    (void)state;
    tb_packed packed;
    for (long long n = 0; n < 3; n++) {
        tb_mem_fail_after(n);
        assert_int_equal(tb_packed_init(&packed, TB_TYPE_AFFINE, 4, 64, 2, 32, NULL), TB_ENOMEM);
        tb_mem_fail_after(-1);
        assert_null(packed.data);
        assert_null(packed.coefs);
    }
}

static void checksum__is_stable_and_sensitive(void **state)
{
    (void)state;
    tb_packed packed;
    tb_rng rng;
    tb_rng_init(&rng, 3, 0);
    static unsigned codes[ROWS][MAX_COLS];
    float scratch[MAX_COLS];
    init(&packed, TB_TYPE_BITPLANES, 172, 64, 2);
    fill_coefs(&packed, &rng);
    fill_codes(codes, &packed, &rng);
    uint64_t sum = tb_matrix_checksum(&packed.view, scratch);
    assert_true(sum == tb_matrix_checksum(&packed.view, scratch));

    tb_packed_set_code(&packed, 4, 171, codes[4][171] ^ 1); // one bit of the last weight
    assert_true(sum != tb_matrix_checksum(&packed.view, scratch));
    tb_packed_set_code(&packed, 4, 171, codes[4][171]);
    assert_true(sum == tb_matrix_checksum(&packed.view, scratch));

    packed.coefs[4] ^= 1; // one bit of one coefficient
    assert_true(sum != tb_matrix_checksum(&packed.view, scratch));
    tb_packed_clear(&packed);
}

static uint64_t checksum_f32(const float *values, size_t rows, size_t cols)
{
    float scratch[8];
    tb_matrix m = {.type = TB_TYPE_F32, .rows = rows, .cols = cols, .data = values};
    return tb_matrix_checksum(&m, scratch);
}

static void checksum__follows_its_definition(void **state)
{
    (void)state;
    // 64-bit FNV-1a by hand: (basis ^ bits(1.0))·prime, then over the row sum.
    const uint64_t basis = UINT64_C(14695981039346656037), prime = UINT64_C(1099511628211);
    uint64_t row = (basis ^ 0x3F800000) * prime;
    assert_true(checksum_f32((const float[]){1}, 1, 1) == (basis ^ row) * prime);
    assert_true(checksum_f32((const float[]){0, 1}, 1, 2) == checksum_f32((const float[]){-0.0f, 1}, 1, 2));
    assert_true(checksum_f32((const float[]){NAN}, 1, 1) == checksum_f32((const float[]){-NAN}, 1, 1));
    assert_true(checksum_f32((const float[]){1, 2}, 2, 1) != checksum_f32((const float[]){2, 1}, 2, 1));
    assert_true(checksum_f32((const float[]){1, 2}, 2, 1) != checksum_f32((const float[]){1, 2}, 1, 2));
    assert_true(checksum_f32((const float[]){1, 2}, 1, 2) != checksum_f32((const float[]){2, 1}, 1, 2));
}

static void checksum__looks_at_values_not_at_storage(void **state)
{
    (void)state;
    float values[8], scratch[8];
    uint16_t halves[8];
    for (int i = 0; i < 8; i++) {
        values[i] = (float)i * 0.5f;
        halves[i] = tb_half_from_float(values[i]);
    }
    tb_matrix m = {.type = TB_TYPE_F16, .rows = 2, .cols = 4, .data = halves};
    assert_true(tb_matrix_checksum(&m, scratch) == checksum_f32(values, 2, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bitplanes__come_back_as_packed),
        cmocka_unit_test(affine__comes_back_as_packed),
        cmocka_unit_test(offset__comes_back_as_packed),
        cmocka_unit_test(tritplanes__come_back_as_packed),
        cmocka_unit_test(trits__pad_the_last_byte_with_zero_trits),
        cmocka_unit_test(trit_bytes__have_a_meaning_beyond_242),
        cmocka_unit_test(decode_part__agrees_with_decode_row),
        cmocka_unit_test(parts__are_those_of_the_layout),
        cmocka_unit_test(parts__refuse_shapes_that_cannot_be),
        cmocka_unit_test(packed_init__says_what_is_wrong),
        cmocka_unit_test(packed_init__survives_failed_allocations),
        cmocka_unit_test(checksum__is_stable_and_sensitive),
        cmocka_unit_test(checksum__follows_its_definition),
        cmocka_unit_test(checksum__looks_at_values_not_at_storage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
