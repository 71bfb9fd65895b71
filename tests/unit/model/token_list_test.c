// Lists of tokens against a plain array that keeps all.
#include "model/token_list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

enum { MOST = 400, SPARED = 16 };

static void check(const tb_token_list *list, const int32_t *all, size_t length)
{
    assert_int_equal(list->length, length);
    assert_true(list->first <= length && length - list->first <= list->room);
    assert_memory_equal(list->ids, all + list->first, (length - list->first) * sizeof *all);
    for (size_t count = 0; count <= length; count++)
        assert_int_equal(tb_token_list_match(list, all, count), count < list->first ? 0 : count);
}

static void endless_list__knows_its_newest_and_the_text(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 16, 5);
    for (int repeat = 0; repeat < 30; repeat++) {
        int32_t all[MOST];
        size_t length = 0;
        tb_token_list list, copy;
        assert_true(tb_token_list_init_endless(&list, SPARED) && tb_token_list_init_endless(&copy, SPARED));
        while (length < MOST) {
            size_t n = 1 + tb_rng_below(&rng, SPARED < MOST - length ? SPARED : MOST - length);
            for (size_t i = 0; i < n; i++)
                all[length + i] = (int32_t)tb_rng_below(&rng, 5);
            tb_token_list_add(&list, all + length, n);
            length += n;
            check(&list, all, length);
            if (tb_rng_below(&rng, 8) == 0) {
                size_t left = length - tb_rng_below(&rng, length < SPARED ? length + 1 : SPARED);
                tb_token_list_truncate(&list, left);
                length = left;
                check(&list, all, length);
            }
        }
        tb_token_list_copy(&copy, &list);
        check(&copy, all, length);
        // One token that differs, kept or known by the fingerprint only.
        for (size_t i = 0; i < MOST; i += 7) {
            all[i] ^= 8;
            assert_int_equal(tb_token_list_match(&list, all, MOST), i < list.first ? 0 : i);
            all[i] ^= 8;
        }
        assert_true(list.first > 0);
        tb_token_list_truncate(&list, list.first - 1);
        check(&list, all, 0);
        tb_token_list_clear(&list), tb_token_list_clear(&copy);
    }
}

static void list__keeps_everything_up_to_its_most(void **state)
{
    (void)state;
    int32_t all[MOST];
    tb_token_list list;
    for (size_t i = 0; i < MOST; i++)
        all[i] = (int32_t)i;
    assert_true(tb_token_list_init(&list, MOST));
    for (size_t done = 0; done < MOST; done += 50)
        tb_token_list_add(&list, all + done, 50);
    check(&list, all, MOST);
    assert_int_equal(list.first, 0);
    tb_token_list_clear(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endless_list__knows_its_newest_and_the_text),
        cmocka_unit_test(list__keeps_everything_up_to_its_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
