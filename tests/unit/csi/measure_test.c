// The Monte-Carlo engine.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/csi.h"
#include "sample.h"
#include "thread_ranks.h"

static const tb_csi_options small = {.n = 8, .p = 64, .seed = 2};
static const tb_csi_point point = {0.2, 5};
static const tb_csi_receiver receivers[] = {{TB_CSI_HARD, 1}, {TB_CSI_SOFT, 2}};

static void receive(void *user, tb_csi_batch *batch, size_t receiver, size_t worker)
{
    (void)worker;
    tb_csi_receive(batch, &receivers[receiver], user);
}

static tb_code measure(tb_csi_tally tallies[2], tb_csi_link *link, tb_csi_measure_options options)
{
    tb_error err;
    return tb_csi_measure(tallies, link, &point, 1, receive, link, 2, &options, &err);
}

static void measure__has_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    const double tolerances[] = {0, 0.05};
    tb_csi_link *link = sample_link(small);
    for (size_t i = 0; i < 2; i++) {
        tb_csi_tally one[2], other[2];
        tb_csi_measure_options options = {.frames = 3000, .tolerance = tolerances[i], .threads = 1};
        assert_int_equal(measure(one, link, options), TB_OK);
        for (options.threads = 2; options.threads <= 5; options.threads += 3) {
            assert_int_equal(measure(other, link, options), TB_OK);
            assert_memory_equal(one, other, sizeof one);
        }
        assert_true(one[0].frames == (i ? one[0].frames : 3000));
    }
    tb_csi_link_free(link);
}

static const tb_csi_point two_points[] = {{0.2, 5}, {0.1, 8}};

// A measurement at both points by several ranks.
typedef struct shared_work {
    tb_csi_link *link;
    tb_csi_measure_options options;
    size_t stopped; // the rank that is asked to stop; SIZE_MAX: all are, if the options say so
    tb_csi_tally tallies[3][4];
    tb_code codes[3];
    tb_error errors[3];
} shared_work;

// Ranks with different numbers of threads, which meet at the end as the program's do.
static void measure_share(void *user, tb_ranks *ranks)
{
    shared_work *w = user;
    size_t rank = tb_ranks_rank(ranks);
    tb_csi_measure_options options = w->options;
    options.ranks = ranks;
    options.threads += rank % 2;
    if (w->stopped != SIZE_MAX && rank != w->stopped)
        options.report = NULL;
    tb_code rc =
        tb_csi_measure(w->tallies[rank], w->link, two_points, 2, receive, w->link, 2, &options, &w->errors[rank]);
    w->codes[rank] = tb_ranks_meet(ranks, rc, NULL, 0, &w->errors[rank]);
}

// What every rank gets.
static tb_code measure_both(tb_csi_tally tallies[4], tb_csi_link *link, tb_csi_measure_options options, size_t ranks,
                            tb_error *err)
{
    shared_work w = {.link = link, .options = options, .stopped = SIZE_MAX};
    run_ranks(ranks, measure_share, &w);
    for (size_t rank = 1; rank < ranks; rank++) {
        assert_int_equal(w.codes[rank], w.codes[0]);
        assert_memory_equal(w.tallies[rank], w.tallies[0], sizeof w.tallies[0]);
    }
    memcpy(tallies, w.tallies[0], sizeof w.tallies[0]);
    *err = w.errors[0];
    return w.codes[0];
}

static void measure__has_the_same_bits_for_any_number_of_ranks(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_error err;
    for (size_t i = 0; i < 2; i++) {
        tb_csi_tally alone[4], together[4];
        tb_csi_measure_options options = {.frames = 3000, .tolerance = i ? 0.05 : 0, .threads = 1};
        assert_int_equal(tb_csi_measure(alone, link, two_points, 2, receive, link, 2, &options, &err), TB_OK);
        assert_true((alone[0].frames < 3000) == (i == 1));
        for (size_t ranks = 1; ranks <= 3; ranks++) {
            assert_int_equal(measure_both(together, link, options, ranks, &err), TB_OK);
            assert_memory_equal(together, alone, sizeof alone);
        }
    }
    tb_csi_link_free(link);
}

static bool stop_at_once(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)user, (void)stage, (void)done, (void)total, (void)unit;
    return true;
}

static void measure__stops_on_all_ranks_when_one_is_asked_to(void **state)
{
    (void)state;
    tb_report stop = {.progress = stop_at_once};
    shared_work w = {
        .link = sample_link(small), .options = {.frames = 3000, .threads = 1, .report = &stop}, .stopped = 1};
    run_ranks(3, measure_share, &w);
    for (size_t rank = 0; rank < 3; rank++) {
        assert_int_equal(w.codes[rank], TB_ECANCELLED);
        assert_string_equal(w.errors[rank].message, "process 1: the measurement was stopped");
    }
    tb_csi_link_free(w.link);
}

static void measure__stops_when_the_intervals_are_tight(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_csi_tally t[2];
    assert_int_equal(measure(t, link, (tb_csi_measure_options){.frames = 20000, .tolerance = 0.04, .threads = 1}),
                     TB_OK);
    assert_in_range(t[0].frames, 512, 10000);
    assert_int_equal(t[0].frames % TB_CSI_UNIT_FRAMES, 0);
    for (size_t i = 0; i < 2; i++) {
        tb_csi_score s = tb_csi_tally_score(&t[i]);
        assert_true(s.nmse_ci <= 0.04 * s.nmse && s.ber_ci <= 0.04 * s.ber);
    }
    tb_csi_link_free(link);
}

static void measure__stops_when_asked(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_csi_tally t[2];
    tb_report report = {.progress = stop_at_once};
    assert_int_equal(measure(t, link, (tb_csi_measure_options){.frames = 300, .threads = 1, .report = &report}),
                     TB_ECANCELLED);
    tb_csi_link_free(link);
}

// Stops when so many frames are done.
static bool stop_there(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)stage, (void)total, (void)unit;
    return done >= *(const double *)user;
}

// Stopped within the first point, at its end, within the second; with tolerances the points end early.
static void measure__goes_on_to_the_same_bits_with_any_threads_and_ranks(void **state)
{
    (void)state;
    static const double stops[] = {512, 4000, 4500}, tolerances[] = {0, 0.05};
    tb_csi_link *link = sample_link(small);
    char path[] = "/tmp/twobit-measure-XXXXXX";
    int handle = mkstemp(path);
    assert_true(handle >= 0);
    close(handle);
    for (int k = 0; k < 2; k++) {
        tb_csi_tally whole[4], parts[4];
        tb_error err;
        tb_csi_measure_options options = {.frames = 4000, .tolerance = tolerances[k], .threads = 1, .receivers = "two"};
        assert_int_equal(measure_both(whole, link, options, 1, &err), TB_OK);
        assert_true((whole[0].frames < 4000) == (k == 1));
        options.state_path = path;
        remove(path);
        for (size_t i = 0; i < 3; i++) {
            tb_report report = {.progress = stop_there, .user = (void *)(uintptr_t)&stops[i]};
            options.report = &report;
            options.threads = i + 1;
            assert_int_equal(measure_both(parts, link, options, 3 - i, &err), TB_ECANCELLED);
        }
        options.report = NULL;
        assert_int_equal(measure_both(parts, link, options, 2, &err), TB_OK);
        assert_memory_equal(whole, parts, sizeof whole);
        options.frames++;
        assert_int_equal(measure_both(parts, link, options, 1, &err), TB_EINVAL);
        assert_non_null(strstr(err.message, "belongs to another measurement"));
    }
    assert_int_equal(tb_file_write(path, "{}", 2, NULL), TB_OK);
    tb_csi_tally parts[4];
    tb_error err;
    assert_int_equal(
        measure_both(parts, link, (tb_csi_measure_options){.frames = 9, .threads = 1, .state_path = path}, 2, &err),
        TB_EFORMAT);
    remove(path);
    tb_csi_link_free(link);
}

// A frame is the same alone, in a batch, and whatever was drawn before.
static void frames__do_not_depend_on_their_batch(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_csi_batch many, one;
    tb_error err;
    assert_int_equal(tb_csi_batch_init(&many, link, 10, &err), TB_OK);
    assert_int_equal(tb_csi_batch_init(&one, link, 1, &err), TB_OK);
    tb_csi_batch_draw(&many, link, &point, 100, 10);
    for (size_t i = 10; i-- > 0;) {
        one.count = 0;
        tb_csi_batch_draw(&one, link, &point, 100 + i, 1);
        assert_memory_equal(one.frames[0].r, many.frames[i].r, 128 * sizeof(double));
        assert_memory_equal(one.frames[0].h, many.frames[i].h, 16 * sizeof(double));
        assert_memory_equal(one.frames[0].bits, many.frames[i].bits, 128);
    }
    tb_csi_batch_clear(&many);
    tb_csi_batch_clear(&one);
    tb_csi_link_free(link);
}

static tb_code run_all(tb_csi_options options)
{
    tb_csi_link *link;
    tb_csi_tally t[2];
    tb_code rc = tb_csi_link_new(&link, &options, NULL);
    if (rc)
        return rc;
    rc = measure(t, link, (tb_csi_measure_options){.frames = 4, .threads = 2});
    tb_csi_link_free(link);
    return rc;
}

static void csi__survives_every_failed_allocation(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        tb_csi_options options = small;
        options.channel = kind == 1 ? TB_CSI_SPARSE : kind == 2 ? TB_CSI_CDL_D : TB_CSI_RAYLEIGH;
        options.spreading = kind ? TB_CSI_WALSH_RANDOM : TB_CSI_WALSH_FIRST;
        tb_code rc = TB_ENOMEM;
        for (long long n = 0; rc; n++) {
            tb_mem_fail_after(n);
            rc = run_all(options);
            tb_mem_fail_after(-1);
            assert_true(rc == TB_OK || rc == TB_ENOMEM);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measure__has_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(measure__has_the_same_bits_for_any_number_of_ranks),
        cmocka_unit_test(measure__stops_on_all_ranks_when_one_is_asked_to),
        cmocka_unit_test(measure__stops_when_the_intervals_are_tight),
        cmocka_unit_test(measure__stops_when_asked),
        cmocka_unit_test(measure__goes_on_to_the_same_bits_with_any_threads_and_ranks),
        cmocka_unit_test(frames__do_not_depend_on_their_batch),
        cmocka_unit_test(csi__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
