// Frames and the two-pass receiver against vectors of an independent program.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csi/receiver.h"
#include "csi/streams.h"
#include "csv.h"
#include "rounding.h"
#include "sample.h"

#define SEED 190711836

static uint32_t hex(const csv *table, size_t row, const char *column)
{
    return (uint32_t)strtoul(csv_text(table, row, column), NULL, 16);
}

static void philox__gives_the_published_answers(void **state)
{
    (void)state;
    csv t = csv_open("philox_kat.csv");
    for (size_t i = 0; i < t.rows; i++) {
        uint32_t counter[] = {hex(&t, i, "c0"), hex(&t, i, "c1"), hex(&t, i, "c2"), hex(&t, i, "c3")};
        uint32_t key[] = {hex(&t, i, "k0"), hex(&t, i, "k1")}, out[4];
        uint32_t expected[] = {hex(&t, i, "o0"), hex(&t, i, "o1"), hex(&t, i, "o2"), hex(&t, i, "o3")};
        tb_philox(out, counter, key);
        assert_memory_equal(out, expected, sizeof out);
        // The same words through the streams: key low word only, counter (block, purpose, frame).
        tb_csi_stream stream = {(uint64_t)key[1] << 32 | key[0], (uint64_t)counter[3] << 32 | counter[2],
                                (tb_csi_purpose)counter[1]};
        tb_csi_words(out, &stream, counter[0]);
        assert_memory_equal(out, expected, sizeof out);
    }
    assert_int_equal(t.rows, 5);
    csv_close(&t);
}

// ---- one frame, all intermediates ----

// The tables have twelve digits, so a value is off by half of the last; and two programs sum in orders of their own: up
// to 512 symbols and 64 antennas, twice in each of two passes.
static double tolerance_of(double scale, size_t count)
{
    return (5e-12 + rounding_of_double_sums(4 * (512 + 64), count)) * scale;
}

// Rows of a name in order: re and im of a vector.
static void assert_vector(const csv *t, const char *name, const double *re, const double *im, size_t n)
{
    size_t found = 0;
    for (size_t row = 0; row < t->rows; row++) {
        if (strcmp(csv_text(t, row, "name"), name) != 0)
            continue;
        double scale = 1 + fabs(csv_get(t, row, "re")) + fabs(csv_get(t, row, "im"));
        assert_near(re[found], csv_get(t, row, "re"), tolerance_of(scale, 2 * n));
        assert_near(im[found], csv_get(t, row, "im"), tolerance_of(scale, 2 * n));
        found++;
    }
    assert_int_equal(found, n);
}

static void assert_scalar(const csv *t, const char *name, double value)
{
    double zero = 0;
    assert_vector(t, name, &value, &zero, 1);
}

static void frame__equals_the_vector_step_by_step(void **state)
{
    (void)state;
    enum { N = 16, P = 128 };
    csv t = csv_open("frame0_n16_p128.csv");
    tb_csi_link *link = sample_link((tb_csi_options){.n = N, .p = P, .b = 64, .seed = SEED});
    tb_csi_batch batch;
    tb_error err;
    tb_csi_point point = {0.2, 5};
    assert_int_equal(tb_csi_batch_init(&batch, link, 1, &err), TB_OK);
    tb_csi_batch_draw(&batch, link, &point, 0, 1);
    const tb_csi_frame *f = &batch.frames[0];
    assert_vector(&t, "h", f->h, f->h + N, N);
    assert_vector(&t, "d", f->d, f->d + P, P);
    assert_vector(&t, "r", f->r, f->r + P, P);
    assert_scalar(&t, "sigma2_eff", f->s2);

    double y[2 * P], z[2 * P], h[2 * N], correlation[2 * N], scratch[P];
    for (int part = 0; part < 2; part++)
        tb_csi_despread(correlation + part * N, link, f->r + part * P, scratch);
    assert_vector(&t, "y1", correlation, correlation + N, N);
    double c1 = tb_csi_shrinkage(0.2, 0.8, f->s2, 8), p1 = tb_csi_error_after_cancel(0.2, f->s2, c1, 8);
    assert_scalar(&t, "c1", c1);
    assert_scalar(&t, "p1", p1);
    tb_csi_estimate_h(h, link, f->r, f->rho, c1, scratch);
    assert_vector(&t, "h1", h, h + N, N);
    tb_csi_cancel_h(z, link, f, h);
    assert_vector(&t, "z1", z, z + P, P);
    for (int i = 0; i < 2 * P; i++)
        z[i] = copysign(sqrt(0.5), z[i]);
    assert_vector(&t, "d1", z, z + P, P);
    for (int i = 0; i < 2 * P; i++)
        y[i] = f->r[i] - sqrt(0.8) * z[i];
    for (int part = 0; part < 2; part++)
        tb_csi_despread(correlation + part * N, link, y + part * P, scratch);
    assert_vector(&t, "y2", correlation, correlation + N, N);
    assert_scalar(&t, "c2", tb_csi_shrinkage(0.2, 0.8 * 4 * p1, f->s2, 8));

    tb_csi_receive(&batch, &(tb_csi_receiver){TB_CSI_HARD, 2}, link);
    assert_vector(&t, "h2", batch.estimates[0].h, batch.estimates[0].h + N, N);
    double d2[2 * P];
    tb_csi_modulate(d2, link, batch.estimates[0].bits);
    assert_vector(&t, "d2", d2, d2 + P, P);
    tb_csi_batch_clear(&batch);
    tb_csi_link_free(link);
    csv_close(&t);
}

// ---- ten frames, two settings ----

static double sum(const double *x, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += x[i];
    return total;
}

static void assert_close(const csv *t, size_t row, const char *column, double value)
{
    double expected = csv_get(t, row, column);
    assert_near(value, expected, tolerance_of(1 + fabs(expected), 1));
}

static tb_csi_tally receive(tb_csi_batch *batch, const tb_csi_link *link, const char *name)
{
    tb_csi_receiver receiver;
    tb_csi_tally tally = {0};
    assert_true(tb_csi_receiver_find(&receiver, name));
    tb_csi_receive(batch, &receiver, link);
    tb_csi_tally_batch(&tally, batch, link);
    return tally;
}

static void frames__have_the_errors_of_the_vectors(void **state)
{
    (void)state;
    enum { N = 64, P = 512 };
    csv t = csv_open("frames_n64_p512.csv");
    tb_csi_link *link = sample_link((tb_csi_options){.seed = SEED});
    tb_csi_batch batch;
    tb_error err;
    assert_int_equal(tb_csi_batch_init(&batch, link, 1, &err), TB_OK);
    assert_int_equal(t.rows, 20);
    for (size_t row = 0; row < t.rows; row++) {
        tb_csi_point point = {csv_get(&t, row, "rho"), csv_get(&t, row, "snr_db")};
        batch.count = 0;
        tb_csi_batch_draw(&batch, link, &point, (uint64_t)csv_get(&t, row, "frame"), 1);
        const tb_csi_frame *f = &batch.frames[0];
        assert_close(&t, row, "sigma2_eff", f->s2);
        assert_close(&t, row, "sum_re_h", sum(f->h, N));
        assert_close(&t, row, "sum_im_h", sum(f->h + N, N));
        assert_close(&t, row, "sum_re_d", sum(f->d, P));
        assert_close(&t, row, "sum_im_d", sum(f->d + P, P));
        assert_close(&t, row, "sum_re_r", sum(f->r, P));
        assert_close(&t, row, "sum_im_r", sum(f->r + P, P));
        tb_csi_tally ls = receive(&batch, link, "ls"), none = receive(&batch, link, "none");
        tb_csi_tally one = receive(&batch, link, "mmse"), two = receive(&batch, link, "hard-2");
        assert_close(&t, row, "se_ref", ls.power);
        assert_close(&t, row, "se_ls", ls.error);
        assert_close(&t, row, "se_h1", one.error);
        assert_close(&t, row, "se_h2", two.error);
        assert_int_equal(none.bit_errors, (int)csv_get(&t, row, "err_noic"));
        assert_int_equal(one.bit_errors, (int)csv_get(&t, row, "err_d1"));
        assert_int_equal(two.bit_errors, (int)csv_get(&t, row, "err_d2"));
    }
    tb_csi_batch_clear(&batch);
    tb_csi_link_free(link);
    csv_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox__gives_the_published_answers),
        cmocka_unit_test(frame__equals_the_vector_step_by_step),
        cmocka_unit_test(frames__have_the_errors_of_the_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
