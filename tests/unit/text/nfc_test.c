// text: normalization form C against utf8proc's own, and with linear work.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "small_vocab.h"
#include "text/normalize.h"

// The linker sends text's questions for a character's properties here: they are counted.
static size_t questions, most_questions = SIZE_MAX;

const utf8proc_property_t *__real_utf8proc_get_property(utf8proc_int32_t c);
const utf8proc_property_t *__wrap_utf8proc_get_property(utf8proc_int32_t c);

const utf8proc_property_t *__wrap_utf8proc_get_property(utf8proc_int32_t c)
{
    assert_true(++questions <= most_questions);
    return __real_utf8proc_get_property(c);
}

static void append(tb_str *text, uint32_t c)
{
    char bytes[4];
    tb_str_append(text, bytes, tb_utf8_encode(bytes, c), NULL);
}

static void check_against_utf8proc(const tb_str *text)
{
    tb_str normal = {0};
    assert_int_equal(tb_form_append(&normal, (tb_text){tb_str_get(text), text->size}, TB_NFC, NULL), TB_OK);
    utf8proc_uint8_t *expected = utf8proc_NFC((const utf8proc_uint8_t *)tb_str_get(text));
    assert_non_null(expected);
    assert_string_equal(tb_str_get(&normal), (const char *)expected);
    free(expected);
    tb_str_clear(&normal);
}

static void nfc__agrees_for_every_character_alone_and_behind_others(void **state)
{
    (void)state;
    static const uint32_t before[] = {0, 'e', 0x1EB9, 0x0323, 0x1100, 0xAC00, 0x3042};
    tb_str text = {0};
    for (uint32_t c = 1; c < 0x30000; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        tb_str_reset(&text);
        for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
            if (before[i])
                append(&text, before[i]);
            append(&text, c);
            append(&text, 0x301); // an acute accent, which composes with many
            append(&text, '.');
        }
        check_against_utf8proc(&text);
    }
    tb_str_clear(&text);
}

static void nfc__agrees_on_random_runs_of_marks(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 5, 0);
    tb_str text = {0};
    for (size_t i = 0; i < 2000; i++) {
        tb_str_reset(&text);
        for (size_t k = 1 + tb_rng_below(&rng, 60); k > 0; k--)
            append(&text, tb_rng_below(&rng, 8) ? 0x300 + (uint32_t)tb_rng_below(&rng, 0x70) : 'a' + (uint32_t)k % 26);
        check_against_utf8proc(&text);
    }
    tb_str_clear(&text);
}

static void nfc__leaves_other_bytes_alone(void **state)
{
    (void)state;
    tb_str normal = {0};
    tb_text text = slice_of("e\xCC\x81\xCC"
                            "e\xCC\x81\xFFo\x80\xCC\x81 \xE1\x84");
    assert_int_equal(tb_form_append(&normal, text, TB_NFC, NULL), TB_OK);
    assert_string_equal(tb_str_get(&normal), "\xC3\xA9\xCC\xC3\xA9\xFFo\x80\xCC\x81 \xE1\x84");
    tb_str_clear(&normal);
}

static void nfc__sorts_a_long_run_of_marks_in_linear_work(void **state)
{
    (void)state;
    enum { MARKS = 1 << 18 };
    tb_str text = {0}, normal = {0};
    append(&text, 'q');
    for (size_t i = 0; i < MARKS; i++)
        append(&text, i % 2 ? 0x0316 : 0x0301); // below, above: each out of order
    questions = 0;
    most_questions = 3 * (MARKS + 1); // each is found, counted and placed
    assert_int_equal(tb_form_append(&normal, (tb_text){text.data, text.size}, TB_NFC, NULL), TB_OK);
    most_questions = SIZE_MAX;
    assert_int_equal(normal.size, text.size);
    assert_memory_equal(normal.data + 1, "\xCC\x96\xCC\x96", 4);
    assert_memory_equal(normal.data + normal.size - 4, "\xCC\x81\xCC\x81", 4);
    tb_str_clear(&text);
    tb_str_clear(&normal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nfc__agrees_for_every_character_alone_and_behind_others),
        cmocka_unit_test(nfc__agrees_on_random_runs_of_marks),
        cmocka_unit_test(nfc__leaves_other_bytes_alone),
        cmocka_unit_test(nfc__sorts_a_long_run_of_marks_in_linear_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
