// base: option tables give parsing and help.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "base/base.h"

typedef struct fields {
    bool json, quiet;
    const char *text;
    uint64_t count;
    double real;
} fields;

static const tb_option table[] = {
    {"json", 0, TB_OPTION_FLAG, offsetof(fields, json), NULL, 0, 0, "results as JSON"},
    {"quiet", 'q', TB_OPTION_FLAG, offsetof(fields, quiet), NULL, 0, 0, "say less"},
    {"text", 'p', TB_OPTION_TEXT, offsetof(fields, text), "TEXT", 0, 0, "a text"},
    {"count", 'n', TB_OPTION_COUNT, offsetof(fields, count), "N", 1, 1000, "how many"},
    {"temp", 0, TB_OPTION_REAL, offsetof(fields, real), "T", 0, 10, "how warm"},
    {0},
};

enum { MOST_ARGS = 8 };

typedef struct parsed {
    fields fields;
    const char *operands[MOST_ARGS];
    size_t operand_count;
    tb_code code;
    tb_error err;
} parsed;

// Parses a NULL-terminated list.
static parsed parse(const char *const *argv)
{
    parsed p = {.fields = {.count = 7}};
    int argc = 0;
    while (argv[argc])
        argc++;
    tb_operands operands = {p.operands, 0};
    tb_option_set set = {table, &p.fields};
    p.code = tb_options_parse(&operands, &set, 1, argc, argv, &p.err);
    p.operand_count = operands.count;
    return p;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void options__values_come_attached_or_apart(void **state)
{
    (void)state;
    parsed all[] = {
        PARSE("--count", "12", "--text", "-x", "--temp", "0.5"),
        PARSE("--count=12", "--text=-x", "--temp=0.5"),
        PARSE("-n", "12", "-p", "-x", "--temp", "5e-1"),
        PARSE("-n12", "-p-x", "--temp=+.5"),
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(all[i].code, TB_OK);
        assert_int_equal(all[i].fields.count, 12);
        assert_string_equal(all[i].fields.text, "-x");
        assert_true(all[i].fields.real == 0.5);
        assert_false(all[i].fields.quiet);
    }
}

static void options__operands_and_defaults_stay(void **state)
{
    (void)state;
    parsed p = PARSE("model", "--json", "-", "--", "--count", "-q");
    assert_int_equal(p.code, TB_OK);
    assert_true(p.fields.json);
    assert_false(p.fields.quiet);
    assert_int_equal(p.fields.count, 7);
    assert_int_equal(p.operand_count, 4);
    assert_string_equal(p.operands[0], "model");
    assert_string_equal(p.operands[1], "-");
    assert_string_equal(p.operands[2], "--count");
    assert_string_equal(p.operands[3], "-q");
}

static void options__letters_join(void **state)
{
    (void)state;
    parsed p = PARSE("-qn5");
    assert_int_equal(p.code, TB_OK);
    assert_true(p.fields.quiet);
    assert_int_equal(p.fields.count, 5);
}

static void assert_refused(parsed p, const char *message)
{
    assert_int_equal(p.code, TB_EINVAL);
    assert_string_equal(p.err.message, message);
}

static void options__mistakes_are_named(void **state)
{
    (void)state;
    assert_refused(PARSE("--cuont=3"), "unknown option '--cuont'; did you mean '--count'?");
    assert_refused(PARSE("--zzz"), "unknown option '--zzz'");
    assert_refused(PARSE("-x"), "unknown option '-x'");
    assert_refused(PARSE("--json=1"), "option '--json' takes no value");
    assert_refused(PARSE("--count"), "option '--count' needs a value: N");
    assert_refused(PARSE("-n"), "option '--count' needs a value: N");
}

static void options__numbers_are_strict(void **state)
{
    (void)state;
    static const char *const bad_counts[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1e3", "1.5", "12k", "ten"};
    for (size_t i = 0; i < sizeof bad_counts / sizeof bad_counts[0]; i++)
        assert_int_equal(PARSE("--count", bad_counts[i]).code, TB_EINVAL);
    assert_refused(PARSE("--count", "0"), "option '--count': 0 is too small, the least is 1");
    assert_refused(PARSE("--count", "1001"), "option '--count': 1001 is too large, the most is 1000");
    assert_refused(PARSE("--count", "18446744073709551616"), "option '--count': '18446744073709551616' is too large");

    static const char *const bad_reals[] = {"", " 1", "1 ", "nan", "inf", "0x1p3", "1,5", "--1", "1e", "."};
    for (size_t i = 0; i < sizeof bad_reals / sizeof bad_reals[0]; i++)
        assert_int_equal(PARSE("--temp", bad_reals[i]).code, TB_EINVAL);
    assert_refused(PARSE("--temp=-0.5"), "option '--temp': -0.5 is too small, the least is 0");
    assert_refused(PARSE("--temp=1e999"), "option '--temp': '1e999' is too large");
}

static void options__largest_numbers_are_kept_exactly(void **state)
{
    (void)state;
    uint64_t value;
    assert_int_equal(tb_parse_count(&value, "18446744073709551615", NULL), TB_OK);
    assert_true(value == UINT64_MAX);
}

static void options__description_shows_defaults(void **state)
{
    (void)state;
    fields defaults = {.count = 128};
    tb_str text = {0};
    assert_int_equal(tb_options_describe(&text, table, &defaults, NULL), TB_OK);
    assert_non_null(strstr(text.data, "  -n, --count N             how many (default 128)\n"));
    assert_non_null(strstr(text.data, "      --json                results as JSON\n"));
    assert_non_null(strstr(text.data, "      --temp T              how warm\n"));
    tb_str_clear(&text);
}

static void options__long_descriptions_are_wrapped(void **state)
{
    (void)state;
    static const tb_option wordy[] = {
        {"words", 0, TB_OPTION_FLAG, offsetof(fields, json), NULL, 0, 0,
         "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
         "eighteen nineteen twenty"},
        {0},
    };
    tb_str text = {0};
    assert_int_equal(tb_options_describe(&text, wordy, &(fields){0}, NULL), TB_OK);
    for (const char *line = text.data; *line; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 1, 100);
    assert_non_null(strstr(text.data, "\n                            f"));
    tb_str_clear(&text);
}

static void suggest__finds_what_was_meant(void **state)
{
    (void)state;
    static const char *const names[] = {"info", "run", "quantize", "perplexity", "compare"};
    enum { N = sizeof names / sizeof names[0] };
    assert_string_equal(tb_suggest("quantise", names, N), "quantize");
    assert_string_equal(tb_suggest("pertplexity", names, N), "perplexity");
    assert_string_equal(tb_suggest("rnu", names, N), "run");
    assert_string_equal(tb_suggest("comp", names, N), "compare");
    assert_null(tb_suggest("serve", names, N));
    assert_null(tb_suggest("", names, N));
    assert_null(tb_suggest("an-endless-word-that-nobody-would-ever-type", names, N));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options__values_come_attached_or_apart),
        cmocka_unit_test(options__operands_and_defaults_stay),
        cmocka_unit_test(options__letters_join),
        cmocka_unit_test(options__mistakes_are_named),
        cmocka_unit_test(options__numbers_are_strict),
        cmocka_unit_test(options__largest_numbers_are_kept_exactly),
        cmocka_unit_test(options__description_shows_defaults),
        cmocka_unit_test(options__long_descriptions_are_wrapped),
        cmocka_unit_test(suggest__finds_what_was_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
