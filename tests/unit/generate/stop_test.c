// model: stop strings that span pieces, against a search of the whole text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "generate/generate.h"

enum { MOST_TEXT = 40, MOST_STRING = 6, MOST_STRINGS = 3, ROUNDS = 20000 };

typedef struct sample {
    char text[MOST_TEXT + 1];
    char strings[MOST_STRINGS][MOST_STRING + 1];
    const char *list[MOST_STRINGS];
    size_t count;
} sample;

// Two letters, so that texts and strings overlap in every way.
static void fill(char *text, size_t size, tb_rng *rng)
{
    for (size_t i = 0; i < size; i++)
        text[i] = tb_rng_below(rng, 2) ? 'a' : 'b';
    text[size] = '\0';
}

static void draw_sample(sample *s, tb_rng *rng)
{
    fill(s->text, tb_rng_below(rng, MOST_TEXT + 1), rng);
    s->count = tb_rng_below(rng, MOST_STRINGS + 1);
    for (size_t i = 0; i < s->count; i++) {
        fill(s->strings[i], 1 + tb_rng_below(rng, MOST_STRING), rng);
        s->list[i] = s->strings[i];
    }
}

// Length of the longest string of the sample that the first `end` bytes of the text end in.
static size_t longest_at(const sample *s, size_t end)
{
    size_t longest = 0;
    for (size_t i = 0; i < s->count; i++) {
        size_t n = strlen(s->list[i]);
        if (n <= end && n > longest && memcmp(s->text + end - n, s->list[i], n) == 0)
            longest = n;
    }
    return longest;
}

// Bytes before the first stop string.
static size_t search(const sample *s, bool *found)
{
    size_t size = strlen(s->text);
    for (size_t end = 1; end <= size; end++) {
        size_t n = longest_at(s, end);
        *found = n > 0;
        if (n)
            return end - n;
    }
    *found = false;
    return size;
}

// True when the text from `start` on is a beginning of a stop string.
static bool may_begin(const sample *s, const char *rest)
{
    for (size_t i = 0; i < s->count; i++)
        if (strncmp(s->list[i], rest, strlen(rest)) == 0)
            return true;
    return false;
}

// Nothing is held back without need: of the first `taken` bytes all but what may begin a string is out.
static void check_held(const sample *s, size_t taken, size_t released)
{
    sample so_far = *s;
    so_far.text[taken] = '\0';
    size_t start = 0;
    while (start < taken && !may_begin(s, so_far.text + start))
        start++;
    assert_int_equal(released, start);
}

static void push_in_pieces(tb_stop *stop, tb_str *out, const sample *s, bool *found, tb_rng *rng)
{
    size_t size = strlen(s->text), n;
    *found = false;
    for (size_t done = 0; done < size; done += n) {
        n = 1 + tb_rng_below(rng, size - done);
        assert_int_equal(tb_stop_push(stop, out, s->text + done, n, found, NULL), TB_OK);
        if (!*found)
            check_held(s, done + n, out->size);
    }
}

static void stop__cuts_where_a_search_of_the_whole_text_does(void **state)
{
    (void)state;
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (size_t round = 0; round < ROUNDS; round++) {
        sample s;
        bool wanted, found;
        tb_stop *stop;
        tb_str out = {0};
        draw_sample(&s, &rng);
        assert_int_equal(tb_stop_new(&stop, s.list, s.count, NULL), TB_OK);
        push_in_pieces(stop, &out, &s, &found, &rng);
        assert_int_equal(tb_stop_finish(stop, &out, NULL), TB_OK);
        size_t size = search(&s, &wanted);
        assert_int_equal(found, wanted);
        assert_int_equal(out.size, size);
        assert_memory_equal(tb_str_get(&out), s.text, size);
        tb_str_clear(&out);
        tb_stop_free(stop);
    }
}

static void stop__begins_afresh_after_finish(void **state)
{
    (void)state;
    static const char *const strings[] = {"END"};
    tb_stop *stop;
    tb_str out = {0};
    bool found;
    assert_int_equal(tb_stop_new(&stop, strings, 1, NULL), TB_OK);
    assert_int_equal(tb_stop_push(stop, &out, "one EN", 6, &found, NULL), TB_OK);
    assert_int_equal(tb_stop_finish(stop, &out, NULL), TB_OK);
    assert_int_equal(tb_stop_push(stop, &out, "D two END three", 15, &found, NULL), TB_OK);
    assert_true(found);
    assert_int_equal(tb_stop_push(stop, &out, " four", 5, &found, NULL), TB_OK);
    assert_true(found);
    assert_int_equal(tb_stop_finish(stop, &out, NULL), TB_OK);
    assert_string_equal(tb_str_get(&out), "one END two ");
    tb_str_clear(&out);
    tb_stop_free(stop);
}

static void stop__refuses_an_empty_string(void **state)
{
    (void)state;
    static const char *const strings[] = {"a", ""};
    tb_stop *stop;
    assert_int_equal(tb_stop_new(&stop, strings, 2, NULL), TB_EINVAL);
    assert_null(stop);
}

static void stop__survives_failing_allocations(void **state)
{
    (void)state;
    static const char *const strings[] = {"ab", "abc"};
    bool complete = false;
    for (long long n = 0; !complete; n++) {
        tb_stop *stop;
        tb_str out = {0};
        bool found;
        tb_mem_fail_after(n);
        tb_code rc = tb_stop_new(&stop, strings, 2, NULL);
        if (!rc)
            rc = tb_stop_push(stop, &out, "xxa", 3, &found, NULL);
        if (!rc)
            rc = tb_stop_finish(stop, &out, NULL);
        tb_mem_fail_after(-1);
        complete = rc == TB_OK;
        assert_true(complete || rc == TB_ENOMEM);
        tb_str_clear(&out);
        tb_stop_free(stop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop__cuts_where_a_search_of_the_whole_text_does),
        cmocka_unit_test(stop__begins_afresh_after_finish),
        cmocka_unit_test(stop__refuses_an_empty_string),
        cmocka_unit_test(stop__survives_failing_allocations),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
