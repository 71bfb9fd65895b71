// Meetings of ranks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "thread_ranks.h"

enum { RANKS = 3 };

// What each rank saw; looked at when all are done, for cmocka's asserts are not for threads.
typedef struct seen {
    int parts[RANKS][RANKS];
    tb_code codes[RANKS][2];
    tb_error errors[RANKS][2];
    size_t failing; // the lowest rank that fails; RANKS: none
} seen;

static void bring_squares(void *user, tb_ranks *ranks)
{
    seen *s = user;
    size_t rank = tb_ranks_rank(ranks);
    s->parts[rank][rank] = (int)(rank * rank + 1);
    s->codes[rank][0] = tb_ranks_meet(ranks, TB_OK, s->parts[rank], sizeof(int), &s->errors[rank][0]);
}

static void meet__gathers_the_parts_of_all_in_their_order(void **state)
{
    (void)state;
    seen s = {0};
    run_ranks(RANKS, bring_squares, &s);
    for (size_t rank = 0; rank < RANKS; rank++) {
        assert_int_equal(s.codes[rank][0], TB_OK);
        for (size_t i = 0; i < RANKS; i++)
            assert_int_equal(s.parts[rank][i], i * i + 1);
    }
}

// Ranks from `failing` on fail before they meet twice.
static void fail_and_meet(void *user, tb_ranks *ranks)
{
    seen *s = user;
    size_t rank = tb_ranks_rank(ranks);
    tb_error *errors = s->errors[rank];
    tb_code rc = rank >= s->failing ? tb_fail(&errors[0], TB_EFORMAT, "file %zu is broken", rank) : TB_OK;
    s->codes[rank][0] = tb_ranks_meet(ranks, rc, s->parts[rank], sizeof(int), &errors[0]);
    errors[1] = errors[0];
    s->codes[rank][1] = tb_ranks_meet(ranks, s->codes[rank][0], NULL, 0, &errors[1]);
}

static void meet__gives_all_the_failure_of_the_lowest(void **state)
{
    (void)state;
    const char *const sentences[] = {"file 0 is broken", "process 1: file 1 is broken", "process 2: file 2 is broken"};
    for (size_t failing = 0; failing < RANKS; failing++) {
        seen s = {.failing = failing};
        run_ranks(RANKS, fail_and_meet, &s);
        for (size_t rank = 0; rank < RANKS; rank++)
            for (size_t meeting = 0; meeting < 2; meeting++) {
                assert_int_equal(s.codes[rank][meeting], TB_EFORMAT);
                assert_string_equal(s.errors[rank][meeting].message, sentences[failing]);
            }
    }
}

static void meet__of_one_process_changes_nothing(void **state)
{
    (void)state;
    int part = 7;
    tb_error err;
    assert_int_equal(tb_ranks_meet(NULL, TB_OK, &part, sizeof part, &err), TB_OK);
    assert_int_equal(tb_ranks_meet(NULL, tb_fail(&err, TB_EIO, "gone"), &part, sizeof part, &err), TB_EIO);
    assert_string_equal(err.message, "gone");
    assert_int_equal(part, 7);
    assert_true(tb_ranks_is_first(NULL) && tb_ranks_count(NULL) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meet__gathers_the_parts_of_all_in_their_order),
        cmocka_unit_test(meet__gives_all_the_failure_of_the_lowest),
        cmocka_unit_test(meet__of_one_process_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
