// Matrices in files: what is written is what is read, and parts that do not fit are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "formats/formats.h"
#include "temp_folder.h"

#define OUT "planes.gguf"
#define NAME "blk.0.attn_q.weight"
#define KEY "twobit.matrix." NAME

static tb_error err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

// ---- round trips ----

// Random codes, trits, coefficients and zeros; bits past the last column stay as init left them.
static void fill(tb_packed *packed, uint64_t seed)
{
    const tb_matrix *m = &packed->view;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    tb_rng rng;
    tb_rng_init(&rng, seed, 0);
    assert_true(tb_matrix_get_parts(parts, m) > 1);
    for (size_t i = 0; i < parts[1].bytes / sizeof(uint16_t); i++)
        packed->coefs[i] = tb_half_from_float((float)tb_rng_normal(&rng));
    for (size_t row = 0; row < m->rows; row++) {
        int8_t trits[512];
        if (m->type == TB_TYPE_AFFINE)
            for (size_t g = 0; g < tb_matrix_groups(m); g++)
                tb_packed_set_zero(packed, row, g, (unsigned)tb_rng_below(&rng, 16));
        for (unsigned plane = 0; plane < 2 && m->type == TB_TYPE_TRITPLANES; plane++) {
            for (size_t col = 0; col < m->cols; col++)
                trits[col] = (int8_t)((int)tb_rng_below(&rng, 3) - 1);
            tb_packed_set_trits(packed, row, plane, trits);
        }
        for (size_t col = 0; col < m->cols && m->type != TB_TYPE_TRITPLANES; col++)
            tb_packed_set_code(packed, row, col, (unsigned)tb_rng_below(&rng, 1u << m->planes));
    }
}

static void write_matrix(const tb_matrix *m)
{
    tb_gguf_writer *w;
    OK(tb_gguf_writer_open(&w, temp_path(OUT), &err));
    OK(tb_gguf_writer_add_matrix(w, NAME, m, &err));
    OK(tb_gguf_writer_begin(w, &err));
    OK(tb_gguf_writer_matrix(w, m, &err));
    OK(tb_gguf_writer_commit(w, &err));
    tb_gguf_writer_close(w);
}

static void assert_same_matrix(const tb_matrix *a, const tb_matrix *b)
{
    tb_matrix_part left[TB_MATRIX_PARTS], right[TB_MATRIX_PARTS];
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    assert_int_equal(a->planes, b->planes);
    assert_int_equal(a->group, b->group);
    size_t count = tb_matrix_get_parts(left, a);
    assert_true(count > 0 && tb_matrix_get_parts(right, b) == count);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(left[i].data, right[i].data, left[i].bytes);
}

static void matrix__reads_back_what_was_written(void **state)
{
    (void)state;
    static const struct {
        tb_type type;
        size_t rows, cols;
        unsigned planes;
        size_t group;
    } shapes[] = {
        {TB_TYPE_BITPLANES, 5, 192, 2, 64},  {TB_TYPE_BITPLANES, 3, 100, 1, 32},  {TB_TYPE_BITPLANES, 2, 224, 4, 96},
        {TB_TYPE_AFFINE, 4, 192, 2, 64},     {TB_TYPE_AFFINE, 3, 33, 3, 32},      {TB_TYPE_AFFINE, 1, 32, 4, 32},
        {TB_TYPE_TRITPLANES, 5, 192, 2, 64}, {TB_TYPE_TRITPLANES, 2, 101, 2, 32}, {TB_TYPE_OFFSET, 3, 101, 6, 64},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        tb_packed packed;
        tb_matrix read;
        tb_checkpoint *c;
        OK(tb_packed_init(&packed, shapes[i].type, shapes[i].rows, shapes[i].cols, shapes[i].planes, shapes[i].group,
                          &err));
        fill(&packed, i);
        write_matrix(&packed.view);
        OK(tb_checkpoint_open(&c, temp_path(OUT), &err));
        OK(tb_checkpoint_matrix(&read, c, NAME, &err));
        assert_same_matrix(&read, &packed.view);
        tb_checkpoint_close(c);
        tb_packed_clear(&packed);
    }
}

static void matrix__is_a_tensor_for_ggml_types(void **state)
{
    (void)state;
    tb_packed packed;
    tb_matrix read;
    tb_checkpoint *c;
    OK(tb_packed_init(&packed, TB_TYPE_Q8_0, 3, 64, 0, 0, &err));
    memset(packed.data, 0x11, 3 * 2 * 34);
    write_matrix(&packed.view);
    OK(tb_checkpoint_open(&c, temp_path(OUT), &err));
    assert_int_equal(tb_checkpoint_kv_count(c), 0);
    OK(tb_checkpoint_matrix(&read, c, NAME, &err));
    assert_int_equal(read.type, TB_TYPE_Q8_0);
    assert_int_equal(read.rows, 3);
    assert_int_equal(read.cols, 64);
    assert_memory_equal(read.data, packed.data, 3 * 2 * 34);
    OK(tb_checkpoint_matrix(&read, c, "blk.1.attn_q.weight", &err));
    assert_int_equal(read.rows, 0); // there is none
    tb_checkpoint_close(c);
    tb_packed_clear(&packed);
}

static void writer_matrix__refuses_another_matrix_than_declared(void **state)
{
    (void)state;
    tb_packed declared, other;
    tb_gguf_writer *w;
    OK(tb_packed_init(&declared, TB_TYPE_BITPLANES, 2, 64, 2, 32, &err));
    OK(tb_packed_init(&other, TB_TYPE_BITPLANES, 2, 64, 2, 64, &err)); // fewer coefficients
    OK(tb_gguf_writer_open(&w, temp_path(OUT), &err));
    OK(tb_gguf_writer_add_matrix(w, NAME, &declared.view, &err));
    OK(tb_gguf_writer_begin(w, &err));
    assert_int_equal(tb_gguf_writer_matrix(w, &other.view, &err), TB_EINVAL);
    tb_gguf_writer_close(w);
    other.view.group = 33;
    OK(tb_gguf_writer_open(&w, temp_path(OUT), &err));
    assert_int_equal(tb_gguf_writer_add_matrix(w, NAME, &other.view, &err), TB_EINVAL);
    tb_gguf_writer_close(w);
    tb_packed_clear(&declared);
    tb_packed_clear(&other);
}

// ---- parts that do not fit ----

typedef struct part {
    const char *suffix; // NULL: no further part
    tb_type type;
    uint64_t dims[3];
} part;

// An affine matrix of 4 rows, 96 columns, groups of 64, 2 planes.
#define PLANES                                                                                                         \
    {                                                                                                                  \
        ".planes", TB_TYPE_I32,                                                                                        \
        {                                                                                                              \
            2, 3, 4                                                                                                    \
        }                                                                                                              \
    }
#define COEFS                                                                                                          \
    {                                                                                                                  \
        ".coefs", TB_TYPE_F16,                                                                                         \
        {                                                                                                              \
            1, 2, 4                                                                                                    \
        }                                                                                                              \
    }
#define ZEROS                                                                                                          \
    {                                                                                                                  \
        ".zeros", TB_TYPE_I8,                                                                                          \
        {                                                                                                              \
            1, 4, 1                                                                                                    \
        }                                                                                                              \
    }
#define SHAPE "affine 96 64 2"

static tb_code read_parts(tb_matrix *read, const char *shape, const part *parts)
{
    static const unsigned char zeros[4096];
    tb_gguf_writer *w;
    tb_checkpoint *c;
    OK(tb_gguf_writer_open(&w, temp_path(OUT), &err));
    if (shape)
        OK(tb_gguf_writer_add_text(w, KEY, (tb_text){shape, strlen(shape)}, &err));
    for (size_t i = 0; i < 4 && parts[i].suffix; i++) {
        char name[64];
        snprintf(name, sizeof name, NAME "%s", parts[i].suffix);
        OK(tb_gguf_writer_add_tensor(w, name, parts[i].type, 3, parts[i].dims, &err));
    }
    OK(tb_gguf_writer_begin(w, &err));
    for (size_t i = 0; i < 4 && parts[i].suffix; i++) {
        const tb_type_traits *traits = tb_type_traits_get(parts[i].type);
        const uint64_t *d = parts[i].dims;
        OK(tb_gguf_writer_data(w, zeros, d[0] / traits->unit_size * d[1] * d[2] * traits->unit_bytes, &err));
    }
    OK(tb_gguf_writer_commit(w, &err));
    tb_gguf_writer_close(w);
    OK(tb_checkpoint_open(&c, temp_path(OUT), &err));
    tb_code rc = tb_checkpoint_matrix(read, c, NAME, &err);
    tb_checkpoint_close(c);
    return rc;
}

static void matrix__rejects_parts_that_do_not_fit(void **state)
{
    (void)state;
    static const part cases[][4] = {
        {PLANES, ZEROS},
        {COEFS, ZEROS},
        {PLANES, COEFS},
        {PLANES, {".coefs", TB_TYPE_F16, {1, 3, 4}}, ZEROS},
        {PLANES, {".coefs", TB_TYPE_F16, {2, 2, 4}}, ZEROS},
        {PLANES, {".coefs", TB_TYPE_BF16, {1, 2, 4}}, ZEROS},
        {PLANES, COEFS, {".zeros", TB_TYPE_I8, {2, 4, 1}}},
        {PLANES, COEFS, {".zeros", TB_TYPE_I8, {1, 3, 1}}},
        {{".planes", TB_TYPE_I32, {2, 3, 5}}, COEFS, ZEROS},
        {{".planes", TB_TYPE_I32, {2, 2, 4}}, COEFS, ZEROS},
        {{".planes", TB_TYPE_I32, {3, 3, 4}}, COEFS, ZEROS},
        {{".planes", TB_TYPE_F32, {2, 3, 4}}, COEFS, ZEROS},
        {PLANES, COEFS, ZEROS, {"", TB_TYPE_F32, {96, 4, 1}}}, // stored twice
    };
    static const part good[4] = {PLANES, COEFS, ZEROS};
    tb_matrix read;
    OK(read_parts(&read, SHAPE, good));
    assert_int_equal(read.rows, 4);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read_parts(&read, SHAPE, cases[i]), TB_EFORMAT);
        assert_non_null(strstr(err.message, NAME));
        assert_int_equal(read.rows, 0);
    }
}

static void matrix__rejects_shapes_that_make_no_matrix(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        NULL,
        "",
        "affine",
        "affine 96 64",
        "affine 96 64 2 ",
        "affine 96 64 2 1",
        "affine 96 60 2",
        "affine 0 64 2",
        "affine 96 64 0",
        "affine 96 64 9",
        "affine -96 64 2",
        "affine  96 64 2",
        "affine 96 0 2",
        "affine 4294967392 64 2",
        "affine 96 64 2.0",
        "rotated 96 64 2",
        "Q8_0 96 64 2",
        "tritplanes 96 64 2",
    };
    static const part good[4] = {PLANES, COEFS, ZEROS};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        tb_matrix read;
        if (read_parts(&read, shapes[i], good) != TB_EFORMAT)
            fail_msg("'%s' is accepted", shapes[i] ? shapes[i] : "no shape");
        assert_non_null(strstr(err.message, NAME));
    }
}

static void matrix__rejects_tensors_of_three_dimensions(void **state)
{
    (void)state;
    static const part cube[4] = {{"", TB_TYPE_F32, {2, 2, 2}}};
    tb_matrix read;
    assert_int_equal(read_parts(&read, NULL, cube), TB_EFORMAT);
    assert_non_null(strstr(err.message, "dimensions"));
}

static void matrix__reports_every_failed_allocation(void **state)
{
    (void)state;
    static const part good[4] = {PLANES, COEFS, ZEROS};
    tb_matrix read;
    tb_checkpoint *c;
    OK(read_parts(&read, SHAPE, good));
    OK(tb_checkpoint_open(&c, temp_path(OUT), &err));
    tb_code rc = TB_ENOMEM;
    int n = 0;
    for (; rc == TB_ENOMEM; n++) {
        tb_mem_fail_after(n);
        rc = tb_checkpoint_matrix(&read, c, NAME, &err);
        tb_mem_fail_after(-1);
    }
    assert_int_equal(rc, TB_OK);
    assert_true(n > 3);
    tb_checkpoint_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrix__reads_back_what_was_written),
        cmocka_unit_test(matrix__is_a_tensor_for_ggml_types),
        cmocka_unit_test(writer_matrix__refuses_another_matrix_than_declared),
        cmocka_unit_test(matrix__rejects_parts_that_do_not_fit),
        cmocka_unit_test(matrix__rejects_shapes_that_make_no_matrix),
        cmocka_unit_test(matrix__rejects_tensors_of_three_dimensions),
        cmocka_unit_test(matrix__reports_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
