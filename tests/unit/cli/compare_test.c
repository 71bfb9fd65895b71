// cli: the list of methods to compare, and the choice of the best.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/compare.h"

static tb_error err;

static tb_code plan(tb_comparison *c, const char *methods)
{
    *c = (tb_comparison){.model_path = "model.gguf"};
    err = (tb_error){0};
    return tb_compare_plan(c, methods, &err);
}

static void plan__fills_in_the_defaults_of_each_method(void **state)
{
    (void)state;
    tb_comparison c;
    assert_int_equal(plan(&c, TB_COMPARE_METHODS), TB_OK);
    assert_int_equal(c.count, 8);
    assert_true(c.rows[0].original && c.rows[0].quantized);
    assert_string_equal(c.rows[0].path, "model.gguf");
    for (size_t i = 1; i < c.count; i++) {
        assert_false(c.rows[i].original);
        assert_int_equal(c.rows[i].quant.group, tb_method_get(c.rows[i].method)->default_group);
        assert_in_range(c.rows[i].quant.bits, 2, 3);
    }
    tb_arena_clear(&c.arena);
}

static void plan__takes_bits_and_group_from_the_list(void **state)
{
    (void)state;
    tb_comparison c;
    assert_int_equal(plan(&c, "bpdq:3:192,gptq:4"), TB_OK);
    assert_int_equal(c.count, 3);
    assert_string_equal(c.rows[1].name, "bpdq:3:192");
    assert_int_equal(c.rows[1].method, TB_METHOD_BPDQ);
    assert_int_equal(c.rows[1].quant.bits, 3);
    assert_int_equal(c.rows[1].quant.group, 192);
    assert_int_equal(c.rows[2].method, TB_METHOD_GPTQ);
    assert_int_equal(c.rows[2].quant.bits, 4);
    tb_arena_clear(&c.arena);
}

static void plan__names_what_does_not_fit(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "rtn,",       "rtn,,gptq", "nonsense:2",        "rtn:", "rtn:two", "rtn:-1", "rtn:99",
        "rtn:2:33", "rtn:2:64:1", "rtn:2:",    "rtn:2:99999999999", "RTN",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tb_comparison c;
        if (plan(&c, bad[i]) != TB_EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(err.message[0] != '\0');
        tb_arena_clear(&c.arena);
    }
}

static void best__has_the_least_divergence_under_four_bits(void **state)
{
    (void)state;
    tb_compare_row rows[] = {
        {.original = true, .linear_bits = 3, .kl_mean = 0},
        {.linear_bits = 2.3, .kl_mean = 1.5},
        {.linear_bits = 3.3, .kl_mean = 0.5},
        {.linear_bits = 3.2, .kl_mean = 0, .broken = true},
        {.linear_bits = 4.0, .kl_mean = 0.1},
    };
    tb_comparison c = {.rows = rows, .count = 5};
    assert_true(tb_compare_best(&c) == &rows[2]);
    c.count = 1;
    assert_null(tb_compare_best(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan__fills_in_the_defaults_of_each_method),
        cmocka_unit_test(plan__takes_bits_and_group_from_the_list),
        cmocka_unit_test(plan__names_what_does_not_fit),
        cmocka_unit_test(best__has_the_least_divergence_under_four_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
