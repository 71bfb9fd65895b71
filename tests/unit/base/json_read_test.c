// base: JSON as Python writes and reads it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "base/base.h"

static json_t *read_json(const char *text)
{
    json_t *json;
    tb_error err;
    if (tb_json_read(&json, (tb_text){text, strlen(text)}, "it", &err))
        fail_msg("%s: %s", text, err.message);
    return json;
}

static void json__has_numbers_that_are_none(void **state)
{
    (void)state;
    json_t *json = read_json("{\"a\": NaN, \"b\": [Infinity, -Infinity], \"c\": {\"d\":1e999,\"e\":-1e999}, "
                             "\"f\\\"NaN\": \"-Infinity NaN\"}");
    assert_string_equal(json_string_value(json_object_get(json, "a")), "NaN");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "b"), 0)), "Infinity");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "b"), 1)), "-Infinity");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "c"), "d")), "Infinity");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "c"), "e")), "-Infinity");
    assert_string_equal(json_string_value(json_object_get(json, "f\"NaN")), "-Infinity NaN");
    json_decref(json);
}

static void json__has_integers_of_any_size(void **state)
{
    (void)state;
    json_t *json = read_json("{\"a\": 1000000000000000019884624838656, \"b\": -9223372036854775808, \"c\": 3, \"d\": "
                             "[10000000000000000000]}");
    assert_true(json_real_value(json_object_get(json, "a")) == 1e30);
    assert_true(json_number_value(json_object_get(json, "b")) == -9223372036854775808.0);
    assert_true(json_is_integer(json_object_get(json, "c")));
    assert_true(json_real_value(json_array_get(json_object_get(json, "d"), 0)) == 1e19);
    json_decref(json);
    char text[600] = "{\"a\": ";
    memset(text + strlen(text), '9', 500);
    strcat(text, "}");
    json = read_json(text);
    assert_string_equal(json_string_value(json_object_get(json, "a")), "Infinity");
    json_decref(json);
}

static void json__the_last_of_equal_keys_counts(void **state)
{
    (void)state;
    json_t *json = read_json("{\"a\": 1, \"b\": {\"c\": 2, \"c\": NaN, \"c\": 3}, \"a\": \"x\\u0000y\"}");
    assert_int_equal(json_string_length(json_object_get(json, "a")), 3);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "b"), "c")), 3);
    json_decref(json);
}

static void json__refuses_what_python_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "[1]",
                                      "NaN",
                                      "{\"a\": nan}",
                                      "{\"a\": -NaN}",
                                      "{\"a\": +1}",
                                      "{\"a\": 01}",
                                      "{\"a\": 1.}",
                                      "{\"a\": --1}",
                                      "{\"a\": Infinity1}",
                                      "{\"a\": 'x'}",
                                      "{\"a\": 1,}",
                                      "{\"a\": \"\\",
                                      "{a: 1}",
                                      "{\"a\": 1} x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *json;
        tb_error err = {0};
        if (tb_json_read(&json, (tb_text){bad[i], strlen(bad[i])}, "it", &err) != TB_EFORMAT)
            fail_msg("%s is read", bad[i]);
        assert_null(json);
        assert_memory_equal(err.message, "it ", 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json__has_numbers_that_are_none),
        cmocka_unit_test(json__has_integers_of_any_size),
        cmocka_unit_test(json__the_last_of_equal_keys_counts),
        cmocka_unit_test(json__refuses_what_python_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
