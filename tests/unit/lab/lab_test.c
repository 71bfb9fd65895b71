// lab: recipes and grids, what they become and what is wrong with them; the front; the choice of the best.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/lab_front.h"

static tb_error err;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

// ---- recipes ----

static void recipe__is_called_by_what_is_not_the_default(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } cases[] = {
        {"rtn", "rtn:2"},
        {"bpdq:3", "bpdq:3"},
        {"bpdq:2:64", "bpdq:2"},
        {"bpdq:3:192", "bpdq:3:192"},
        {"ptqtp", "ptqtp"},
        {"ptqtp:2:64", "ptqtp"},
        {"ptqtp:2:128", "ptqtp:2:128"},
        {"bpdq+lieq=2.25", "bpdq+lieq=2.25"},
        {"bpdq:2:64+lieq=2.25", "bpdq+lieq=2.25"},
        {"bpdq+lieq+size=80000000+widths=2/3/4", "bpdq+lieq+size=80000000+widths=2/3/4"},
        {"bpdq+random=2.25+seed=3", "bpdq+random=2.25+seed=3"},
        {"gptq:3+damping=0.01+keep-head", "gptq:3+damping=0.01+keep-head"},
        {"bpdq:2+no-shrinkage", "bpdq:2+no-shrinkage"},
        {"gptq:3+head-bits=6+embedding-bits=3", "gptq:3+head=6+embedding=3"},
        {"gptq+block-bits=4/2/2", "gptq+block-bits=4/2/2"},
        {"gptq:3+calib-tokens=4096", "gptq:3+calib-tokens=4096"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_arena arena = {0};
        tb_lab_recipe recipe, again;
        OK(tb_lab_recipe_parse(&recipe, &arena, cases[i].text, &err));
        assert_string_equal(recipe.name, cases[i].name);
        OK(tb_lab_recipe_parse(&again, &arena, recipe.name, &err)); // and means itself
        assert_string_equal(again.name, recipe.name);
        tb_arena_clear(&arena);
    }
}

static void recipe__becomes_options_of_quantize(void **state)
{
    (void)state;
    tb_arena arena = {0};
    tb_lab_recipe recipe;
    tb_pipeline_options pipeline;
    tb_widths_options widths;
    OK(tb_lab_recipe_parse(&recipe, &arena, "bpdq:2:192+lieq-v1=2.5+widths=2/3+seed=7", &err));
    OK(tb_lab_recipe_resolve(&pipeline, &widths, &recipe, 5, &err));
    assert_int_equal(pipeline.method, TB_METHOD_BPDQ);
    assert_int_equal(pipeline.quant.bits, 0);
    assert_int_equal(pipeline.quant.group, 192);
    assert_int_equal(widths.rule, TB_ALLOCATE_LIEQ_V1);
    assert_true(widths.average_bits == 2.5);
    assert_int_equal(widths.width_count, 2);
    assert_int_equal(widths.widths[1], 3);
    assert_int_equal(widths.seed, 7);
    static const char *const options[] = {"--method=bpdq",  "--group=192",  "--allocate=lieq-v1",
                                          "--avg-bits=2.5", "--widths=2,3", "--seed=7"};
    assert_int_equal(recipe.option_count, sizeof options / sizeof options[0]);
    for (size_t i = 0; i < recipe.option_count; i++)
        assert_string_equal(recipe.options[i], options[i]);
    OK(tb_lab_recipe_parse(&recipe, &arena, "bpdq+random=2.5", &err));
    OK(tb_lab_recipe_resolve(&pipeline, &widths, &recipe, 5, &err));
    assert_int_equal(widths.seed, 5); // where the recipe has none
    tb_arena_clear(&arena);
}

static void recipe__names_what_does_not_fit(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "rtn,",
        "nonsense:2",
        "rtn:",
        "rtn:two",
        "rtn:-1",
        "rtn:99",
        "rtn:2:33",
        "rtn:2:64:1",
        "rtn:2:",
        "rtn:2:99999999999",
        "RTN",
        "rtn+",
        "+rtn",
        "rtn+=2",
        "rtn+hed=6",
        "rtn+lieq",
        "rtn+lieq=2.25+size=100",
        "rtn+lieq=x",
        "rtn+lieq=2.25+first=2.5",
        "rtn:3+lieq=3.5",
        "rtn+lieq=2.25+widths=4/x",
        "rtn:2+block-bits=2/2",
        "rtn+output=x",
        "rtn+json",
        "rtn+calib=x",
        "rtn+threads=2",
        "rtn+keep-head=1",
        "rtn+seed=-1",
        "rtn:2+bits=3",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tb_arena arena = {0};
        tb_lab_recipe recipe;
        err.message[0] = '\0';
        if (tb_lab_recipe_parse(&recipe, &arena, bad[i], &err) != TB_EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(strncmp(err.message, "recipe '", 8) == 0 && !strchr(err.message, '\n'));
        tb_arena_clear(&arena);
    }
}

// ---- grids ----

static tb_code parse(tb_lab_grid *grid, const char *json)
{
    OK(tb_lab_grid_init(grid, &err));
    return tb_lab_grid_parse(grid, json, strlen(json), "folder", &err);
}

static void grid__reads_everything_and_names_it(void **state)
{
    (void)state;
    tb_lab_grid grid;
    OK(parse(
        &grid,
        "{\"models\": [\"a.gguf\", {\"name\": \"B\", \"file\": \"/models/b.gguf\", \"also\": [\"q2.gguf\"]}],"
        " \"texts\": [\"wiki.raw\", {\"name\": \"code\", \"file\": \"c.txt\"}, {\"name\": \"held\"}, \"held-out\"],"
        " \"recipes\": [\"rtn:3\", {\"method\": \"bpdq\", \"bits\": 2, \"group\": 192}, {\"method\": \"gptq\","
        " \"allocate\": \"lieq\", \"avg-bits\": 2.25, \"widths\": [2, 3, 4], \"keep-head\": true, \"seed\": 3},"
        " {\"name\": \"mine\", \"method\": \"rtn\", \"keep-head\": false}, \"rtn:3:64\"],"
        " \"ctx\": 128, \"skip\": 1, \"max-tokens\": 4096, \"calib\": \"c4.txt\", \"calib-tokens\": 2048,"
        " \"about\": \"a note\"}"));
    assert_int_equal(grid.model_count, 2);
    assert_string_equal(grid.models[0].name, "a");
    assert_string_equal(grid.models[0].path, "folder/a.gguf");
    assert_string_equal(grid.models[1].name, "B");
    assert_string_equal(grid.models[1].path, "/models/b.gguf");
    assert_string_equal(grid.models[1].also[0], "folder/q2.gguf");
    assert_int_equal(grid.text_count, 4);
    assert_string_equal(grid.texts[0].name, "wiki.raw");
    assert_string_equal(grid.texts[1].path, "folder/c.txt");
    assert_null(grid.texts[2].path);
    assert_string_equal(grid.texts[3].name, "held-out");
    assert_int_equal(grid.recipe_count, 4); // the last is the first
    assert_string_equal(grid.recipes[1].name, "bpdq:2:192");
    assert_string_equal(grid.recipes[2].name, "gptq+lieq=2.25+widths=2/3/4+keep-head+seed=3");
    assert_string_equal(grid.recipes[3].name, "mine");
    assert_string_equal(grid.calibration, "folder/c4.txt");
    assert_true(grid.ctx == 128 && grid.skip == 1 && grid.max_tokens == 4096 && grid.calibration_tokens == 2048);
    tb_lab_grid_clear(&grid);
}

static void grid__names_what_does_not_fit(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"ctx\": 1, \"ctx\": 2}",
        "{\"ctx\": -1}",
        "{\"ctx\": 1.5}",
        "{\"max-tokens\": \"many\"}",
        "{\"modles\": []}",
        "{\"models\": \"a.gguf\"}",
        "{\"models\": [3]}",
        "{\"models\": [\"\"]}",
        "{\"models\": [{\"name\": \"a\"}]}",
        "{\"models\": [{\"file\": \"a\", \"fiel\": \"b\"}]}",
        "{\"models\": [{\"file\": \"a\", \"also\": \"b\"}]}",
        "{\"models\": [{\"file\": \"a\", \"also\": [1]}]}",
        "{\"models\": [\"x/a.gguf\", \"y/a.gguf\"]}",
        "{\"texts\": [{}]}",
        "{\"texts\": [null]}",
        "{\"texts\": [{\"name\": 3}]}",
        "{\"texts\": [\"a\", \"b/a\"]}",
        "{\"recipes\": {}}",
        "{\"recipes\": [3]}",
        "{\"recipes\": [\"bpdq:9\"]}",
        "{\"recipes\": [{\"bits\": 3}]}",
        "{\"recipes\": [{\"method\": \"rtn\", \"name\": \"\"}]}",
        "{\"recipes\": [{\"method\": \"rtn\", \"bits\": null}]}",
        "{\"recipes\": [{\"method\": \"rtn\", \"bits\": {}}]}",
        "{\"recipes\": [{\"method\": \"rtn\", \"widths\": [\"2\"]}]}",
        "{\"recipes\": [{\"method\": \"rtn\", \"\": 3}]}",
        "{\"recipes\": [{\"method\": \"rtn\", \"bits=3 --x\": 3}]}",
        "{\"calib\": \"\"}",
        "{\"calib\": 3}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tb_lab_grid grid;
        err.message[0] = '\0';
        if (parse(&grid, bad[i]) != TB_EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(err.message[0] && !strchr(err.message, '\n'));
        tb_lab_grid_clear(&grid);
    }
}

static void grid__takes_texts_of_the_command_line(void **state)
{
    (void)state;
    static const struct {
        const char *given, *name, *path;
    } cases[] = {
        {"wiki=data/wiki.raw", "wiki", "data/wiki.raw"},
        {"data/wiki.raw", "wiki.raw", "data/wiki.raw"},
        {"./a=b.txt", "a=b.txt", "./a=b.txt"},
        {"x=a=b.txt", "x", "a=b.txt"},
        {"held-out", "held-out", NULL},
        {"-", "stdin", "-"},
    };
    tb_lab_grid grid;
    OK(tb_lab_grid_init(&grid, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OK(tb_lab_grid_add_text(&grid, cases[i].given, &err));
        assert_string_equal(grid.texts[i].name, cases[i].name);
        if (cases[i].path)
            assert_string_equal(grid.texts[i].path, cases[i].path);
        else
            assert_null(grid.texts[i].path);
    }
    static const char *const bad[] = {"", "wiki=", "wiki=other", "/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (tb_lab_grid_add_text(&grid, bad[i], &err) != TB_EINVAL)
            fail_msg("'%s' was taken", bad[i]);
    tb_lab_grid_clear(&grid);
}

static void grid__survives_failing_memory(void **state)
{
    (void)state;
    static const char json[] =
        "{\"models\": [{\"name\": \"m\", \"file\": \"a\", \"also\": [\"b\"]}], \"texts\": [\"t\"],"
        " \"calib\": \"c\", \"recipes\": [\"rtn\", {\"method\": \"bpdq\", \"bits\": 3}]}";
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc == TB_ENOMEM; n++) {
        tb_lab_grid grid;
        tb_mem_fail_after(n);
        rc = tb_lab_grid_init(&grid, &err);
        if (!rc)
            rc = tb_lab_grid_parse(&grid, json, sizeof json - 1, "folder", &err);
        tb_mem_fail_after(-1);
        tb_lab_grid_clear(&grid);
        assert_true(n < 1000);
    }
    OK(rc);
}

// ---- the front ----

enum { POINTS = 20, ROUNDS = 200 };

static void front__is_what_nothing_beats(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (int round = 0; round < ROUNDS; round++) {
        tb_front_point p[POINTS];
        for (size_t i = 0; i < POINTS; i++) // few values, so that many are equal
            p[i] = (tb_front_point){.size = (double)tb_rng_below(&rng, 9), .loss = (double)tb_rng_below(&rng, 9)};
        tb_find_front(p, POINTS);
        for (size_t i = 0; i < POINTS; i++) {
            bool covered = false; // by a point of the front that is as good in both and better in one
            for (size_t j = 0; j < POINTS; j++) {
                bool better = p[j].size < p[i].size || p[j].loss < p[i].loss;
                bool beaten = p[j].size <= p[i].size && p[j].loss <= p[i].loss && better;
                assert_false(p[i].on_front && beaten);
                covered |= p[j].on_front && beaten;
            }
            assert_true(p[i].on_front != covered);
        }
    }
}

static void front__leaves_out_what_is_not_finite(void **state)
{
    (void)state;
    tb_front_point p[] = {{.size = 1, .loss = NAN}, {.size = 2, .loss = 3}, {.size = 3, .loss = INFINITY}};
    tb_find_front(p, 3);
    assert_false(p[0].on_front);
    assert_true(p[1].on_front);
    assert_false(p[2].on_front);
    tb_find_front(p, 0);
}

static void best__has_the_least_divergence_under_four_bits(void **state)
{
    (void)state;
    tb_compare_row rows[] = {
        {.kind = TB_ROW_ORIGINAL, .linear_bits = 3},
        {.kind = TB_ROW_RECIPE, .linear_bits = 2.3, .pooled.kl_mean = 1.5},
        {.kind = TB_ROW_RECIPE, .linear_bits = 3.3, .pooled.kl_mean = 0.5},
        {.kind = TB_ROW_RECIPE, .linear_bits = 3.2, .broken = true},
        {.kind = TB_ROW_RECIPE, .linear_bits = 4.0, .pooled.kl_mean = 0.1},
        {.kind = TB_ROW_RECIPE, .missing = "no reason"},
        {.kind = TB_ROW_ALSO, .linear_bits = 2},
    };
    tb_compare_model m = {.rows = rows, .count = 7};
    assert_true(tb_compare_best(&m) == &rows[2]);
    m.count = 1;
    assert_null(tb_compare_best(&m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipe__is_called_by_what_is_not_the_default),
        cmocka_unit_test(recipe__becomes_options_of_quantize),
        cmocka_unit_test(recipe__names_what_does_not_fit),
        cmocka_unit_test(grid__reads_everything_and_names_it),
        cmocka_unit_test(grid__names_what_does_not_fit),
        cmocka_unit_test(grid__takes_texts_of_the_command_line),
        cmocka_unit_test(grid__survives_failing_memory),
        cmocka_unit_test(front__is_what_nothing_beats),
        cmocka_unit_test(front__leaves_out_what_is_not_finite),
        cmocka_unit_test(best__has_the_least_divergence_under_four_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
