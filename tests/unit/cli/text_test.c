// cli: tables align, numbers read well, progress lines say what they mean.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/number_text.h"
#include "cli/progress.h"
#include "cli/table.h"

static const tb_column columns[] = {{"method", false}, {"file\nbytes", true}, {"note", false}};

static void add_cells(tb_table *table, const char *const *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(tb_table_add(table, cells[i], NULL), TB_OK);
}

static void table__aligns_columns_and_stacks_headings(void **state)
{
    (void)state;
    static const char *const cells[] = {"original", "98,362,432", "", "rtn\n2", "7 ± 1", "broken"};
    tb_table table;
    tb_table_init(&table, columns, 3);
    add_cells(&table, cells, 6);
    tb_str text = {0};
    assert_int_equal(tb_table_write(&text, &table, NULL), TB_OK);
    assert_string_equal(text.data, "                file  \n"
                                   "method         bytes  note\n"
                                   "original  98,362,432  \n"
                                   "rtn?2          7 ± 1  broken\n");
    tb_str_clear(&text);
    tb_table_clear(&table);
}

static void table__survives_failing_allocations(void **state)
{
    (void)state;
    bool complete = false;
    for (long long n = 0; !complete; n++) {
        tb_table table;
        tb_table_init(&table, columns, 3);
        tb_str text = {0};
        tb_error err;
        tb_mem_fail_after(n);
        tb_code rc = tb_table_add(&table, "a cell that is long enough to make the storage grow more than once", &err);
        if (!rc)
            rc = tb_table_write(&text, &table, &err);
        tb_mem_fail_after(-1);
        complete = rc == TB_OK;
        assert_true(complete || rc == TB_ENOMEM);
        tb_str_clear(&text);
        tb_table_clear(&table);
    }
}

static void numbers__counts_have_separators(void **state)
{
    (void)state;
    char out[TB_NUMBER_TEXT];
    assert_string_equal(tb_text_of_count(out, 0), "0");
    assert_string_equal(tb_text_of_count(out, 999), "999");
    assert_string_equal(tb_text_of_count(out, 1000), "1,000");
    assert_string_equal(tb_text_of_count(out, 98362432), "98,362,432");
    assert_string_equal(tb_text_of_count(out, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void numbers__seconds_become_minutes_and_hours(void **state)
{
    (void)state;
    char out[TB_NUMBER_TEXT];
    assert_string_equal(tb_text_of_seconds(out, 0.04), "0.0 s");
    assert_string_equal(tb_text_of_seconds(out, 9.94), "9.9 s");
    assert_string_equal(tb_text_of_seconds(out, 9.96), "0:10");
    assert_string_equal(tb_text_of_seconds(out, 59.6), "1:00");
    assert_string_equal(tb_text_of_seconds(out, 3599.6), "1:00:00");
    assert_string_equal(tb_text_of_seconds(out, 3723), "1:02:03");
}

static void numbers__reals_keep_three_digits(void **state)
{
    (void)state;
    char out[TB_NUMBER_TEXT];
    assert_string_equal(tb_text_of_real(out, 0), "0.0000");
    assert_string_equal(tb_text_of_real(out, 0.12345), "0.123");
    assert_string_equal(tb_text_of_real(out, 29.36), "29.4");
    assert_string_equal(tb_text_of_real(out, 575421), "575421");
    assert_string_equal(tb_text_of_real(out, 1.5e7), "1.5e+07");
}

static void progress__says_rate_and_time_left(void **state)
{
    (void)state;
    char line[256];
    // 10 of the 12 blocks were done in these 20 seconds: 0.5 a second, 18 are left.
    tb_progress_format(line, sizeof line, 200, "quantize", 12, 2, 30, "blocks", 20);
    assert_string_equal(line, "quantize [##########              ] 12/30 blocks, 0.500 blocks/s, 0:36 left");
    tb_progress_format(line, sizeof line, 200, "measure", 0, 0, 1000, "tokens", 0);
    assert_string_equal(line, "measure [                        ] 0/1000 tokens");
    tb_progress_format(line, sizeof line, 200, "measure", 1, 0, 40000, "tokens", 1);
    assert_non_null(strstr(line, "1.00 tokens/s, 11:06:39 left"));
}

static void progress__never_exceeds_the_terminal(void **state)
{
    (void)state;
    char line[256];
    for (size_t width = 1; width < 200; width++) {
        tb_progress_format(line, sizeof line, width, "measure", 500, 0, 1000, "tokens", 10);
        assert_true(strlen(line) <= width);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table__aligns_columns_and_stacks_headings),
        cmocka_unit_test(table__survives_failing_allocations),
        cmocka_unit_test(numbers__counts_have_separators),
        cmocka_unit_test(numbers__seconds_become_minutes_and_hours),
        cmocka_unit_test(numbers__reals_keep_three_digits),
        cmocka_unit_test(progress__says_rate_and_time_left),
        cmocka_unit_test(progress__never_exceeds_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
