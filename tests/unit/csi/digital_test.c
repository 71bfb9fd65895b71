// A digital CSI: the mode in which results can be compared with published ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "csi/link.h"
#include "csv.h"
#include "rounding.h"
#include "sample.h"

enum { M = 160, FRAMES = 500 };

static const tb_csi_options digital = {.n = M, .p = 512, .b = 64, .channel = TB_CSI_DIGITAL, .seed = 9};

static void digital_csi__has_symbols_and_orthogonal_columns(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(digital);
    double h[2 * M], back[M], spread[512], scratch[512];
    size_t positive = 0;
    for (uint64_t frame = 0; frame < 50; frame++) {
        tb_csi_channel_draw(h, link, frame);
        for (size_t i = 0; i < 2 * M; i++) {
            assert_near(fabs(h[i]), sqrt(0.5), 0x1p-53);
            positive += h[i] > 0;
        }
    }
    assert_within((double)positive / (50 * 2 * M), 0.5, 1.96 * 0.5 / sqrt(50 * 2 * M));
    tb_csi_spread(spread, link, h);
    tb_csi_despread(back, link, spread, scratch);
    for (size_t i = 0; i < M; i++)
        assert_near(back[i], 512 * h[i], rounding_of_double_sums(M + 512, M) * 512); // of M terms, then of 512
    tb_csi_link_free(link);
}

// Both sides have an interval; the other program's is that of as many frames.
static void digital_csi__agrees_with_another_program(void **state)
{
    (void)state;
    csv t = csv_open("digital_mode_m160.csv");
    static const char *const names[] = {"hard-1", "soft-1", "hard-3", "soft-3"};
    static const char *const data[] = {"hard_ulus_ber", "soft_ulus_ber"}, *const csi[] = {"hard_csi_ber",
                                                                                          "soft_csi_ber"};
    static const tb_csi_point points[] = {{0.1, 0}, {0.1, 6}, {0.1, 10}, {0.05, 8}, {0.15, 10}};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        tb_csi_score s[4];
        sample_scores(s, digital, points[i], names, 4, FRAMES);
        for (size_t k = 0; k < 4; k++) {
            size_t row =
                csv_find(&t, "rho", points[i].rho, "snr_db", points[i].snr_db, "iter", k < 2 ? 1.0 : 3.0, NULL);
            assert_within(s[k].ber, csv_get(&t, row, data[k % 2]), sqrt(2) * s[k].ber_ci);
            assert_within(s[k].csi_ber, csv_get(&t, row, csi[k % 2]), sqrt(2) * s[k].csi_ber_ci);
        }
    }
    csv_close(&t);
}

// The published network's error rate at an SNR, for M = 160 and ρ = 0.1.
static double published(const csv *t, const char *quantity, double snr_db)
{
    char column[16];
    snprintf(column, sizeof column, "snr%.0f", snr_db);
    for (size_t row = 0; row < t->rows; row++)
        if (strcmp(csv_text(t, row, "quantity"), quantity) == 0 && strcmp(csv_text(t, row, "scheme"), "network") == 0 &&
            csv_get(t, row, "M") == M && csv_get(t, row, "rho") == 0.1)
            return csv_get(t, row, column);
    fail_msg("no %s", quantity);
    return 0;
}

static void soft_passes__come_close_to_the_published_network(void **state)
{
    (void)state;
    csv t = csv_open("published_1bitcs_sibling.csv");
    for (double snr_db = 0; snr_db <= 12; snr_db += 4) {
        tb_csi_score s = sample_score(digital, (tb_csi_point){0.1, snr_db}, "soft-3", 2 * FRAMES);
        double data = s.ber / published(&t, "ber_ulus", snr_db), csi = s.csi_ber / published(&t, "ber_mfv", snr_db);
        assert_true(data < 1.5 && data > 1 / 1.5);
        assert_true(csi < 1.5 && csi > 1 / 1.5);
    }
    csv_close(&t);
}

static void digital_csi__without_power_is_not_seen(void **state)
{
    (void)state;
    static const char *const names[] = {"ls", "hard", "soft"};
    tb_csi_score s[3];
    sample_scores(s, digital, (tb_csi_point){0, 5}, names, 3, 100);
    for (size_t i = 0; i < 3; i++) {
        assert_true(s[i].nmse == 1);
        assert_within(s[i].ber, tb_csi_theory_at(&(tb_csi_point){0, 5}, 3, 64).ber_known_csi, s[i].ber_ci);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digital_csi__has_symbols_and_orthogonal_columns),
        cmocka_unit_test(digital_csi__agrees_with_another_program),
        cmocka_unit_test(soft_passes__come_close_to_the_published_network),
        cmocka_unit_test(digital_csi__without_power_is_not_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
