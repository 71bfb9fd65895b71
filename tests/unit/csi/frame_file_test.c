// Files of frames, written: interrupted, taken up again, refused.
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

enum { FRAMES = 1100 };

static const tb_csi_options small = {.n = 2, .p = 8, .seed = 4};
static const tb_csi_point point = {0.2, 5};

static char folder[] = "/tmp/twobit-frames-XXXXXX";
static char whole_path[64], other_path[64], partial_path[80];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(whole_path, sizeof whole_path, "%s/whole", folder);
    snprintf(other_path, sizeof other_path, "%s/other", folder);
    snprintf(partial_path, sizeof partial_path, "%s.partial", other_path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    remove(whole_path);
    remove(other_path);
    remove(partial_path);
    return rmdir(folder);
}

static tb_code write_frames(const char *path, size_t frames, size_t threads, const tb_report *report, tb_error *err)
{
    tb_csi_link *link = sample_link(small);
    tb_code rc = tb_csi_write_frames(path, link, &point, frames, threads, report, err);
    tb_csi_link_free(link);
    return rc;
}

// Stops when so many frames are done.
static bool stop_there(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)stage, (void)total, (void)unit;
    return done >= *(const double *)user;
}

static void frames__go_on_to_the_same_file_with_any_threads(void **state)
{
    (void)state;
    static const double stops[] = {0, 256, 700};
    tb_error err;
    assert_int_equal(write_frames(whole_path, FRAMES, 1, NULL, &err), TB_OK);
    for (size_t i = 0; i < 3; i++) {
        tb_report report = {.progress = stop_there, .user = (void *)(uintptr_t)&stops[i]};
        assert_int_equal(write_frames(other_path, FRAMES, 3 - i, &report, &err), TB_ECANCELLED);
        assert_true(tb_path_exists(partial_path) && !tb_path_exists(other_path));
    }
    assert_int_equal(write_frames(other_path, FRAMES + 1, 1, NULL, &err), TB_EINVAL); // of another size
    assert_int_equal(write_frames(other_path, FRAMES, 2, NULL, &err), TB_OK);
    assert_false(tb_path_exists(partial_path));
    tb_map whole, other;
    assert_int_equal(tb_map_open(&whole, whole_path, &err), TB_OK);
    assert_int_equal(tb_map_open(&other, other_path, &err), TB_OK);
    assert_int_equal(whole.size, other.size);
    assert_memory_equal(whole.data, other.data, whole.size);
    tb_map_close(&whole);
    tb_map_close(&other);
}

static void frames__of_other_options_are_not_gone_on_with(void **state)
{
    (void)state;
    const double at_once = 0;
    tb_report report = {.progress = stop_there, .user = (void *)(uintptr_t)&at_once};
    tb_error err;
    assert_int_equal(write_frames(other_path, FRAMES, 1, &report, &err), TB_ECANCELLED);
    tb_csi_options options = small;
    options.seed++; // as many bytes
    tb_csi_link *link = sample_link(options);
    assert_int_equal(tb_csi_write_frames(other_path, link, &point, FRAMES, 1, NULL, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "belongs to other frames; remove it to begin anew"));
    tb_csi_link_free(link);
    remove(partial_path);
}

static void frames__survive_every_failed_allocation(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc; n++) {
        tb_mem_fail_after(n);
        rc = tb_csi_write_frames(other_path, link, &point, 2, 1, NULL, NULL);
        tb_mem_fail_after(-1);
        assert_true(rc == TB_OK || rc == TB_ENOMEM);
        remove(partial_path);
    }
    tb_csi_link_free(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames__go_on_to_the_same_file_with_any_threads),
        cmocka_unit_test(frames__of_other_options_are_not_gone_on_with),
        cmocka_unit_test(frames__survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
