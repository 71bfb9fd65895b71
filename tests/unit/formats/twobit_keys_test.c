// Files with plane-type matrices: without a known version and checksums they are refused, and
// values that changed are found.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "formats/formats.h"
#include "temp_folder.h"

#define OUT "planes.gguf"
#define NAME "blk.0.attn_q.weight"

static tb_error err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

typedef struct keys {
    uint32_t version; // 0: no such key
    bool has_checksum;
    uint64_t checksum_error; // added to the true one
    const char *extra;       // a checksum of another name, or NULL
} keys;

static void write_file(const keys *k)
{
    tb_packed packed;
    tb_gguf_writer *w;
    float row[64];
    OK(tb_packed_init(&packed, TB_TYPE_BITPLANES, 3, 64, 2, 32, &err));
    for (size_t i = 0; i < 3 * 2 * 3; i++)
        packed.coefs[i] = (uint16_t)(0x3000 + i);
    for (size_t i = 0; i < 3 * 64; i++)
        tb_packed_set_code(&packed, i / 64, i % 64, (unsigned)(i * 7 % 4));
    OK(tb_gguf_writer_open(&w, temp_path(OUT), &err));
    if (k->version)
        OK(tb_gguf_writer_add_u32(w, TB_KEY_TWOBIT_VERSION, k->version, &err));
    OK(tb_gguf_writer_add_matrix(w, NAME, &packed.view, &err));
    if (k->has_checksum)
        OK(tb_gguf_writer_add_u64(w, TB_KEY_CHECKSUM NAME, tb_matrix_checksum(&packed.view, row) + k->checksum_error,
                                  &err));
    if (k->extra)
        OK(tb_gguf_writer_add_u64(w, k->extra, 1, &err));
    OK(tb_gguf_writer_begin(w, &err));
    OK(tb_gguf_writer_matrix(w, &packed.view, &err));
    OK(tb_gguf_writer_commit(w, &err));
    tb_gguf_writer_close(w);
    tb_packed_clear(&packed);
}

static void expect(keys k, tb_code check, tb_code verify, const char *says)
{
    tb_checkpoint *c;
    write_file(&k);
    OK(tb_checkpoint_open(&c, temp_path(OUT), &err));
    assert_int_equal(tb_checkpoint_check_planes(c, &err), check);
    if (check)
        assert_non_null(strstr(err.message, says));
    assert_int_equal(tb_checkpoint_verify(c, 2, NULL, &err), verify);
    if (verify)
        assert_non_null(strstr(err.message, says));
    tb_checkpoint_close(c);
}

static void planes__pass_with_version_and_checksum(void **state)
{
    (void)state;
    expect((keys){.version = TB_TWOBIT_VERSION, .has_checksum = true}, TB_OK, TB_OK, NULL);
}

static void planes__of_unknown_versions_are_refused(void **state)
{
    (void)state;
    expect((keys){.version = 0, .has_checksum = true}, TB_EFORMAT, TB_EFORMAT, "no '" TB_KEY_TWOBIT_VERSION "'");
    expect((keys){.version = TB_TWOBIT_VERSION + 1, .has_checksum = true}, TB_EUNSUPPORTED, TB_EUNSUPPORTED,
           "newer twobit");
}

static void planes__without_a_checksum_are_refused(void **state)
{
    (void)state;
    expect((keys){.version = TB_TWOBIT_VERSION}, TB_EFORMAT, TB_EFORMAT, "no checksum of its matrix '" NAME "'");
}

static void verify__finds_values_that_changed(void **state)
{
    (void)state;
    expect((keys){.version = TB_TWOBIT_VERSION, .has_checksum = true, .checksum_error = 1}, TB_OK, TB_EFORMAT,
           "matrix '" NAME "'");
    expect((keys){.version = TB_TWOBIT_VERSION, .has_checksum = true, .extra = TB_KEY_CHECKSUM "lost"}, TB_OK,
           TB_EFORMAT, "not the matrix");
}

static void verify__says_when_there_is_nothing_to_verify(void **state)
{
    (void)state;
    tb_gguf_writer *w;
    tb_checkpoint *c;
    OK(tb_gguf_writer_open(&w, temp_path(OUT), &err));
    OK(tb_gguf_writer_begin(w, &err));
    OK(tb_gguf_writer_commit(w, &err));
    tb_gguf_writer_close(w);
    OK(tb_checkpoint_open(&c, temp_path(OUT), &err));
    OK(tb_checkpoint_check_planes(c, &err));
    assert_int_equal(tb_checkpoint_verify(c, 1, NULL, &err), TB_EUNSUPPORTED);
    tb_checkpoint_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planes__pass_with_version_and_checksum),
        cmocka_unit_test(planes__of_unknown_versions_are_refused),
        cmocka_unit_test(planes__without_a_checksum_are_refused),
        cmocka_unit_test(verify__finds_values_that_changed),
        cmocka_unit_test(verify__says_when_there_is_nothing_to_verify),
    };
    return cmocka_run_group_tests(tests, temp_folder_make, temp_folder_remove);
}
