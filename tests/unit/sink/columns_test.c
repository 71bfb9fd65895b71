// Figures of heads, from rows of attention that are planted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "sink/columns.h"

enum { T = 64 };

// A sum of 64 · 64 weights, each cut to units of 2^-32 from a float.
#define EXACT (T * T * (0x1p-32 + 0x1p-24))

typedef struct fixture {
    tb_arena arena;
    tb_sink_columns columns;
    tb_sink_head head;
    double alpha[T];
    tb_sink_mark marks[T];
} fixture;

static void begin(fixture *f, size_t workers)
{
    tb_error err;
    memset(f, 0, sizeof *f);
    assert_int_equal(tb_sink_columns_init(&f->columns, &f->arena, workers, 1, T, &err), TB_OK);
}

static void add_row(fixture *f, size_t worker, size_t position, const float *weights, size_t first, size_t count)
{
    tb_attention_piece piece = {.weights = weights, .count = count, .first = first};
    tb_sink_columns_add(&f->columns, worker, 0, position, &piece, 1);
}

static void take(fixture *f)
{
    tb_sink_columns_take(&f->head, f->alpha, f->marks, 1, &f->columns, 0.3);
    tb_arena_clear(&f->arena);
}

static void columns__uniform_head_has_the_mean_of_reciprocals(void **state)
{
    (void)state;
    fixture f;
    double expected = 0;
    begin(&f, 1);
    for (size_t i = 0; i < T; i++) {
        float row[T];
        for (size_t k = 0; k <= i; k++)
            row[k] = 1.0f / (float)(i + 1);
        add_row(&f, 0, i, row, 0, i + 1);
        expected += 1 / (double)(i + 1) / T;
    }
    take(&f);
    assert_true(fabs(f.head.first - expected) < EXACT);
    assert_true(fabs(f.head.first - 0.0741) < 0.00005);
    assert_true(f.head.sink == 0 && f.head.anywhere == 0);
    assert_true(fabs(f.head.entropy_share - 1) < EXACT);
    assert_true(f.head.argmax == 1); // the first of equals
    assert_true(f.head.sink_logit < EXACT);
}

static void columns__head_on_the_first_token_has_1(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 1);
    for (size_t i = 0; i < T; i++)
        add_row(&f, 0, i, (float[T]){1}, 0, i + 1);
    take(&f);
    assert_true(f.head.first == 1 && f.head.sink == 1 && f.head.anywhere == 1);
    assert_true(f.head.share == 1 && f.head.argmax == 1);
    assert_true(f.head.entropy == 0 && f.head.sink_logit == 0);
    assert_true(f.alpha[0] == 1 && f.alpha[1] == 0);
}

// A head that looks at the token before gives the last columns much, but no column is a sink.
static void columns__previous_token_is_no_sink(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 1);
    for (size_t i = 0; i < T; i++) {
        float row[T] = {0};
        row[i ? i - 1 : 0] = 1;
        add_row(&f, 0, i, row, 0, i + 1);
    }
    take(&f);
    assert_true(fabs(f.head.first - 2.0 / T) < EXACT);
    assert_true(f.head.anywhere == 0);
    assert_true(fabs(f.head.share - 1.0 / (T - 1)) < EXACT);
    assert_true(f.alpha[T - 2] == 0.5); // of two queries
}

static void columns__sink_elsewhere_counts_as_one(void **state)
{
    (void)state;
    enum { AT = 5 };
    fixture f;
    begin(&f, 1);
    for (size_t i = 0; i < T; i++) {
        float row[T] = {0};
        row[i < AT ? i : AT] = 1;
        add_row(&f, 0, i, row, 0, i + 1);
    }
    take(&f);
    assert_true(f.head.sink == 0 && f.head.anywhere == 1);
    assert_true(f.alpha[AT] == 1);
    for (size_t k = 0; k < T; k++)
        assert_true(f.marks[k].heads[1] == (k == AT) && f.marks[k].heads[0] == 0);
    assert_true(f.head.argmax == 0);
}

// Near blocks: columns are averaged over the queries that see them, whichever keys a piece holds.
static void columns__are_averaged_over_those_that_see_them(void **state)
{
    (void)state;
    enum { REACH = 4 };
    fixture f;
    begin(&f, 1);
    for (size_t i = 0; i < T; i++) {
        size_t first = i < REACH ? 0 : i - REACH + 1, count = i - first + 1;
        float row[REACH] = {0};
        int32_t positions[REACH];
        row[0] = 0.5f;
        for (size_t k = 0; k < count; k++)
            positions[k] = (int32_t)(first + k);
        tb_attention_piece piece = {row, count, i % 2 ? positions : NULL, first};
        tb_sink_columns_add(&f.columns, 0, 0, i, &piece, 1);
    }
    take(&f);
    assert_true(f.head.first == 0.5 && f.head.share == 0.5 && f.head.argmax == 1);
    assert_true(f.head.sink_logit == 0.5);
    assert_true(f.alpha[1] == 0.125); // one of the four queries that see it
}

static void columns__do_not_depend_on_who_adds_what(void **state)
{
    (void)state;
    fixture a, b;
    tb_rng rng;
    float rows[T][T];
    tb_rng_init(&rng, 1, 0);
    for (size_t i = 0; i < T; i++) {
        float sum = 0;
        for (size_t k = 0; k <= i; k++)
            sum += rows[i][k] = (float)exp(3 * tb_rng_normal(&rng));
        for (size_t k = 0; k <= i; k++)
            rows[i][k] /= sum;
    }
    begin(&a, 1);
    begin(&b, 3);
    for (size_t i = 0; i < T; i++) {
        add_row(&a, 0, i, rows[i], 0, i + 1);
        add_row(&b, i % 3, T - 1 - i, rows[T - 1 - i], 0, T - i);
    }
    take(&a);
    take(&b);
    assert_memory_equal(&a.head, &b.head, sizeof a.head);
    assert_memory_equal(a.alpha, b.alpha, sizeof a.alpha);
}

static void columns__not_a_number_counts_as_0(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 1);
    add_row(&f, 0, 0, (float[]){NAN}, 0, 1);
    add_row(&f, 0, 1, (float[]){INFINITY, -1}, 0, 2);
    take(&f);
    assert_true(isfinite(f.head.first) && isfinite(f.head.entropy) && f.head.first >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns__uniform_head_has_the_mean_of_reciprocals),
        cmocka_unit_test(columns__head_on_the_first_token_has_1),
        cmocka_unit_test(columns__previous_token_is_no_sink),
        cmocka_unit_test(columns__sink_elsewhere_counts_as_one),
        cmocka_unit_test(columns__are_averaged_over_those_that_see_them),
        cmocka_unit_test(columns__do_not_depend_on_who_adds_what),
        cmocka_unit_test(columns__not_a_number_counts_as_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
