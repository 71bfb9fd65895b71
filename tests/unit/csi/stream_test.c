// Frames one by one, drawn and from files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/csi.h"
#include "csi/csi_net.h"
#include "csi/receiver.h"
#include "rounding.h"
#include "sample.h"

enum { FRAMES = 300, RECEIVERS = 5 };

static const tb_csi_options small = {.n = 8, .p = 64, .seed = 7};
static const tb_csi_point point = {0.2, 8};

static char folder[] = "/tmp/twobit-stream-XXXXXX";
static char frames_path[64], broken_path[64], paper_path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(frames_path, sizeof frames_path, "%s/frames.safetensors", folder);
    snprintf(broken_path, sizeof broken_path, "%s/broken.safetensors", folder);
    snprintf(paper_path, sizeof paper_path, "%s/paper.safetensors", folder);
    tb_csi_link *link = sample_link(small);
    tb_csi_train_options options = {
        .net = {.kind = TB_CSI_PAPER, .n = 8, .p = 64, .hidden = 2}, .batch = 16, .steps_factor = 0.003, .threads = 1};
    tb_error err;
    tb_code rc = tb_csi_train(paper_path, link, &options, &err);
    if (rc)
        print_error("%s\n", err.message);
    if (!rc)
        rc = tb_csi_write_frames(frames_path, link, &point, FRAMES, 2, NULL, NULL);
    tb_csi_link_free(link);
    return rc;
}

static int remove_folder(void **state)
{
    (void)state;
    remove(frames_path);
    remove(broken_path);
    remove(paper_path);
    return rmdir(folder);
}

// ---- streams ----

typedef struct fixture {
    tb_csi_link *link;
    tb_csi_panel *panel;
    tb_csi_tally batch[RECEIVERS];
} fixture;

// The batch evaluator's results of all kinds of receivers.
static fixture evaluate(tb_csi_normaliser normaliser)
{
    const char *const names[RECEIVERS] = {"hard", "bayes", TB_CSI_SHARE "/hybrid.safetensors",
                                          TB_CSI_SHARE "/hybrid-trits.safetensors", paper_path};
    fixture f = {.link = sample_link(small)};
    tb_error err;
    tb_csi_panel_options options = {.normaliser = normaliser};
    tb_csi_measure_options measure = {.frames = FRAMES, .threads = 1};
    assert_int_equal(tb_csi_panel_new(&f.panel, names, RECEIVERS, f.link, &options, &err), TB_OK);
    assert_int_equal(
        tb_csi_measure(f.batch, f.link, &point, 1, tb_csi_panel_receive, f.panel, RECEIVERS, &measure, &err), TB_OK);
    return f;
}

static void clear(fixture *f)
{
    tb_csi_panel_free(f->panel);
    tb_csi_link_free(f->link);
}

// Sums over frames are those of doubles. Networks, which begin with the third receiver, sum floats in other blocks of
// rows: up to 2·P inputs, thrice with mean and variance, and as many hidden units, in four stages. An estimate that is
// off by δ of itself moves Σ‖ĥ − h‖² by at most 2δ·√(Σ‖ĥ − h‖²·Σ‖h‖²).
static void assert_same(const tb_csi_tally *stream, const tb_csi_tally *batch, size_t receiver)
{
    double sums = rounding_of_double_sums(FRAMES * 16, 1);
    double off = receiver < 2 ? 0 : rounding_of_sums(4 * 4 * 128, FRAMES * 16);
    assert_int_equal(stream->frames, batch->frames);
    assert_int_equal(stream->bit_errors, batch->bit_errors);
    assert_int_equal(stream->frame_errors, batch->frame_errors);
    assert_near(stream->error, batch->error, sums * batch->error + 2 * off * sqrt(batch->error * batch->power));
    assert_near(stream->power, batch->power, sums * batch->power);
}

static void stream__gives_what_the_batch_evaluator_gives(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        fixture f = evaluate(k ? TB_CSI_BY_ANALYSIS : TB_CSI_BY_FRAME);
        tb_csi_source source = {f.link, point, NULL};
        tb_csi_stream_options options = {FRAMES, 2000, NULL};
        tb_csi_stream_score scores[RECEIVERS];
        assert_int_equal(
            tb_csi_stream_measure(scores, &source, tb_csi_panel_receive, f.panel, RECEIVERS, &options, NULL), TB_OK);
        for (size_t i = 0; i < RECEIVERS; i++)
            assert_same(&scores[i].tally, &f.batch[i], i);
        clear(&f);
    }
}

static void stream__takes_the_frames_of_a_file(void **state)
{
    (void)state;
    fixture f = evaluate(TB_CSI_BY_ANALYSIS);
    tb_csi_source source = {.link = f.link};
    tb_error err;
    assert_int_equal(tb_csi_frame_file_open((tb_csi_frame_file **)&source.file, frames_path, &err), TB_OK);
    assert_int_equal(tb_csi_frame_file_count(source.file), FRAMES);
    assert_int_equal(tb_csi_frame_file_options(source.file)->n, small.n);
    assert_int_equal(tb_csi_frame_file_options(source.file)->seed, small.seed);
    assert_true(tb_csi_frame_file_point(source.file).snr_db == point.snr_db);
    tb_csi_stream_options options = {FRAMES, 2000, NULL};
    tb_csi_stream_score scores[RECEIVERS];
    assert_int_equal(tb_csi_stream_measure(scores, &source, tb_csi_panel_receive, f.panel, RECEIVERS, &options, &err),
                     TB_OK);
    for (size_t i = 0; i < RECEIVERS; i++)
        assert_same(&scores[i].tally, &f.batch[i], i);
    options.frames++;
    assert_int_equal(tb_csi_stream_measure(scores, &source, tb_csi_panel_receive, f.panel, RECEIVERS, &options, &err),
                     TB_EINVAL);
    tb_csi_frame_file_close((tb_csi_frame_file *)(uintptr_t)source.file);
    clear(&f);
}

// From the first frame on every allocation would fail.
static void receive_without_memory(void *panel, tb_csi_batch *batch, size_t receiver, size_t worker)
{
    tb_mem_fail_after(0);
    tb_csi_panel_receive(panel, batch, receiver, worker);
}

static void stream__allocates_nothing_per_frame(void **state)
{
    (void)state;
    fixture f = evaluate(TB_CSI_BY_ANALYSIS);
    tb_csi_source source = {f.link, point, NULL};
    tb_csi_stream_options options = {FRAMES, 2000, NULL};
    tb_csi_stream_score scores[RECEIVERS];
    tb_code rc = tb_csi_stream_measure(scores, &source, receive_without_memory, f.panel, RECEIVERS, &options, NULL);
    tb_mem_fail_after(-1);
    assert_int_equal(rc, TB_OK);
    for (size_t i = 0; i < RECEIVERS; i++)
        assert_same(&scores[i].tally, &f.batch[i], i);
    clear(&f);
}

// The second receiver takes half a millisecond for every tenth frame.
static void receive_slowly(void *user, tb_csi_batch *batch, size_t receiver, size_t worker)
{
    (void)batch;
    (void)worker;
    size_t *calls = user;
    double until = tb_clock_seconds() + (receiver && calls[receiver]++ % 10 == 0 ? 5e-4 : 0);
    while (tb_clock_seconds() < until)
        ;
}

static void stream__counts_what_comes_too_late(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_csi_source source = {link, point, NULL};
    tb_csi_stream_score s[2];
    const double rates[] = {0.1, 1e9};
    for (int k = 0; k < 2; k++) {
        size_t calls[2] = {0};
        tb_csi_stream_options options = {100, rates[k], NULL};
        assert_int_equal(tb_csi_stream_measure(s, &source, receive_slowly, calls, 2, &options, NULL), TB_OK);
        assert_int_equal(s[1].missed, k ? 100 : 0);
        assert_true(s[1].median < 5e-4 && s[1].p99 >= 5e-4 && s[1].worst >= s[1].p99 && s[1].seconds >= 10 * 5e-4);
        assert_true(s[0].median <= s[0].p99 && s[0].p99 <= s[0].worst);
    }
    tb_csi_link_free(link);
}

static void stream__refuses_what_does_not_flow(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_csi_source source = {link, point, NULL};
    tb_csi_stream_score s[2];
    size_t calls[2] = {0};
    const tb_csi_stream_options none = {0, 2000, NULL}, standing = {100, 0, NULL};
    assert_int_equal(tb_csi_stream_measure(s, &source, receive_slowly, calls, 2, &none, NULL), TB_EINVAL);
    assert_int_equal(tb_csi_stream_measure(s, &source, receive_slowly, calls, 2, &standing, NULL), TB_EINVAL);
    source.point.rho = 2;
    assert_int_equal(
        tb_csi_stream_measure(s, &source, receive_slowly, calls, 2, &(tb_csi_stream_options){9, 1, NULL}, NULL),
        TB_EINVAL);
    tb_csi_link_free(link);
}

// ---- the analytic normaliser ----

static double root_mean_square(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum / (double)n);
}

// Both passes of the linear receiver with decisions, whose signals the subnets read.
static void measure_deviations(double ratios[TB_CSI_STAGES], const tb_csi_link *link, const tb_csi_frame *f,
                               double *scratch)
{
    size_t n = link->options.n, p = link->options.p, r = link->r;
    double *y = scratch, *z = y + 2 * p, *q = z + 2 * p, *h = q + 2 * n, *room = h + 2 * n;
    double interference = 1 - f->rho, gain = sqrt(1 - f->rho);
    memcpy(y, f->r, 2 * p * sizeof *y);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t part = 0; part < 2; part++)
            tb_csi_despread(q + part * n, link, y + part * p, room);
        tb_csi_estimate_h(h, link, y, f->rho, tb_csi_shrinkage(f->rho, interference, f->s2, r), room);
        tb_csi_cancel_h(z, link, f, h);
        tb_csi_stage csi = pass ? TB_CSI_CSI2 : TB_CSI_CSI1, det = pass ? TB_CSI_DET2 : TB_CSI_DET1;
        ratios[csi] += root_mean_square(q, 2 * n) / tb_csi_expected_deviation(link, f, csi);
        ratios[det] += root_mean_square(z, 2 * p) / tb_csi_expected_deviation(link, f, det);
        for (size_t i = 0; i < 2 * p; i++)
            y[i] = f->r[i] - gain * copysign(sqrt(0.5), z[i]);
        interference = tb_csi_power_after_decisions(f, r);
    }
}

static void deviation__is_what_a_linear_receiver_shows(void **state)
{
    (void)state;
    enum { DRAWN = 200 };
    static const tb_csi_point points[] = {{0.2, 5}, {0.1, 10}, {0.3, 15}, {0.05, 0}};
    tb_csi_link *link = sample_link((tb_csi_options){.n = 64, .p = 512});
    tb_csi_batch batch;
    double *scratch = tb_alloc_array(4 * 512 + 4 * 64 + 512, sizeof *scratch);
    assert_non_null(scratch);
    assert_int_equal(tb_csi_batch_init(&batch, link, DRAWN, NULL), TB_OK);
    for (size_t k = 0; k < sizeof points / sizeof points[0]; k++) {
        double ratios[TB_CSI_STAGES] = {0};
        batch.count = 0;
        tb_csi_batch_draw(&batch, link, &points[k], 0, DRAWN);
        for (size_t i = 0; i < DRAWN; i++)
            measure_deviations(ratios, link, &batch.frames[i], scratch);
        for (int stage = 0; stage < TB_CSI_STAGES; stage++)
            assert_near(ratios[stage] / DRAWN, 1, stage == TB_CSI_CSI2 ? 0.05 : 0.01); // CSI2: to first order only
    }
    tb_free(scratch);
    tb_csi_batch_clear(&batch);
    tb_csi_link_free(link);
}

// ---- files ----

// Opens the file of frames with `size` bytes at the first place of `text` overwritten, cut to `length` when that is not
// 0.
static tb_code open_broken(const char *text, const void *bytes, size_t size, size_t length, tb_error *err)
{
    char *file, *place = NULL;
    size_t whole;
    assert_int_equal(tb_file_read(&file, &whole, frames_path, 1 << 28, err), TB_OK);
    for (size_t i = 0; text && !place && i + strlen(text) <= whole; i++)
        place = memcmp(file + i, text, strlen(text)) == 0 ? file + i : NULL;
    assert_true(place || !text);
    if (place)
        memcpy(place, bytes, size);
    assert_int_equal(tb_file_write(broken_path, file, length ? length : whole, err), TB_OK);
    tb_free(file);
    tb_csi_frame_file *opened;
    tb_code rc = tb_csi_frame_file_open(&opened, broken_path, err);
    assert_true((opened == NULL) == (rc != TB_OK));
    tb_csi_frame_file_close(opened);
    return rc;
}

static void frame_file__is_refused_when_something_is_wrong(void **state)
{
    (void)state;
    tb_error err;
    tb_csi_frame_file *file;
    tb_csi_batch batch;
    tb_csi_link *link = sample_link(small);
    assert_int_equal(tb_csi_batch_init(&batch, link, 1, &err), TB_OK);
    tb_csi_batch_draw(&batch, link, &point, 0, 1);
    const tb_csi_frame *first = &batch.frames[0];
    const double nan = NAN, zero = 0;
    char s2[sizeof(double) + 1] = {0}, h[sizeof(double) + 1] = {0}; // texts: values hold no zero byte
    memcpy(s2, &first->s2, sizeof(double));
    memcpy(h, first->h, sizeof(double));
    assert_int_equal(tb_csi_frame_file_open(&file, "nowhere.safetensors", &err), TB_EIO);
    assert_int_equal(tb_csi_frame_file_open(&file, paper_path, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "does not say"));
    assert_int_equal(open_broken(NULL, NULL, 0, 0, &err), TB_OK);
    assert_int_equal(open_broken(NULL, NULL, 0, 4000, &err), TB_EFORMAT);
    assert_int_equal(open_broken("\"p\":\"64\"", "\"p\":\"32\"", 8, 0, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "rows of 64"));
    assert_int_equal(open_broken("\"n\":\"8\"", "\"n\":\"7\"", 7, 0, &err), TB_EINVAL);
    assert_int_equal(open_broken("\"rho\":\"0.2", "\"rho\":\"9.2", 9, 0, &err), TB_EINVAL);
    assert_int_equal(open_broken("\"seed\":\"7\"", "\"seed\":\"x\"", 10, 0, &err), TB_EFORMAT);
    assert_int_equal(open_broken("rayleigh", "waterway", 8, 0, &err), TB_EFORMAT);
    assert_int_equal(open_broken(h, &nan, sizeof nan, 0, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "not finite"));
    assert_int_equal(open_broken(s2, &zero, sizeof zero, 0, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "frame 0"));
    tb_csi_batch_clear(&batch);
    tb_csi_link_free(link);
}

static tb_code open_and_stream(void)
{
    tb_csi_frame_file *file;
    tb_csi_link *link;
    tb_code rc = tb_csi_frame_file_open(&file, frames_path, NULL);
    if (!rc)
        rc = tb_csi_link_new(&link, tb_csi_frame_file_options(file), NULL);
    if (!rc) {
        tb_csi_source source = {link, point, file};
        tb_csi_stream_score s[2];
        size_t calls[2] = {1, 1};
        rc = tb_csi_stream_measure(s, &source, receive_slowly, calls, 1, &(tb_csi_stream_options){3, 1, NULL}, NULL);
        tb_csi_link_free(link);
    }
    tb_csi_frame_file_close(file);
    return rc;
}

static void stream__survives_every_failed_allocation(void **state)
{
    (void)state;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc; n++) {
        tb_mem_fail_after(n);
        rc = open_and_stream();
        tb_mem_fail_after(-1);
        assert_true(rc == TB_OK || rc == TB_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream__gives_what_the_batch_evaluator_gives),
        cmocka_unit_test(stream__takes_the_frames_of_a_file),
        cmocka_unit_test(stream__allocates_nothing_per_frame),
        cmocka_unit_test(stream__counts_what_comes_too_late),
        cmocka_unit_test(stream__refuses_what_does_not_flow),
        cmocka_unit_test(deviation__is_what_a_linear_receiver_shows),
        cmocka_unit_test(frame_file__is_refused_when_something_is_wrong),
        cmocka_unit_test(stream__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
