// Intervals and closed forms.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "csi/csi.h"
#include "csv.h"

static void assert_relative(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance * fabs(expected)))
        fail_msg("%.10g is not %.10g", value, expected);
}

static void clopper_pearson__gives_known_intervals(void **state)
{
    (void)state;
    static const struct {
        uint64_t hits, trials;
        double confidence, low, high;
    } known[] = {
        {100, 1000000, 0.95, 8.13647e-5, 1.216255e-4},
        {100, 1000000, 0.90, 8.41399e-5, 1.180782e-4},
        {0, 1000000, 0.95, 0, 3.688873e-6},
        {5, 1000, 0.95, 0.00162542, 0.01162947},
        {1000, 1000, 0.95, 0.996317947, 1}, // 1 − the upper bound of none in a thousand
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double low, high;
        tb_clopper_pearson(&low, &high, known[i].hits, known[i].trials, known[i].confidence);
        assert_relative(low, known[i].low, 1e-6);
        assert_relative(high, known[i].high, 1e-6);
    }
}

// Tables of the t distribution.
static void student_quantile__gives_known_values(void **state)
{
    (void)state;
    assert_relative(tb_student_quantile(0.95, 1), 12.7062047, 1e-7);
    assert_relative(tb_student_quantile(0.95, 10), 2.2281389, 1e-7);
    assert_relative(tb_student_quantile(0.99, 30), 2.7499957, 1e-7);
    assert_relative(tb_student_quantile(0.95, 1e6), 1.9599640, 1e-5);
}

// Frames with errors 1, 3 of 10 bits: mean 0.2, spread of the mean 0.1.
static void score__takes_spread_between_frames(void **state)
{
    (void)state;
    tb_csi_tally tally = {.frames = 2,
                          .bits = 20,
                          .bit_errors = 4,
                          .bit_errors_squared = 10,
                          .error = 3,
                          .power = 10,
                          .error_squared = 5,
                          .error_power = 15,
                          .power_squared = 50};
    tb_csi_score score = tb_csi_tally_score(&tally);
    double t = tb_student_quantile(0.95, 1);
    assert_relative(score.ber, 0.2, 1e-12);
    assert_relative(score.ber_ci, t * 0.1, 1e-9);
    assert_relative(score.nmse, 0.3, 1e-12); // e = 1, 2; q = 5, 5
    assert_relative(score.nmse_ci, t * 0.1, 1e-9);
}

// The table has 8 digits, but its average over ‖g‖² loses some where only its tail counts (the
// next test has such values from quadrature with 30 digits).
static void assert_tabled(const csv *t, size_t row, const char *column, double value)
{
    double expected = csv_get(t, row, column);
    assert_relative(value, expected, expected < 1e-9 ? 2e-5 : 5.1e-8);
}

static void theory__equals_the_closed_forms(void **state)
{
    (void)state;
    csv t = csv_open("closed_form.csv");
    for (size_t row = 0; row < t.rows; row++) {
        tb_csi_point point = {csv_get(&t, row, "rho"), csv_get(&t, row, "snr_db")};
        size_t r = (size_t)(csv_get(&t, row, "P") / csv_get(&t, row, "N"));
        tb_csi_theory theory = tb_csi_theory_at(&point, r, (size_t)csv_get(&t, row, "B"));
        assert_tabled(&t, row, "nmse_ls", theory.nmse_ls);
        assert_tabled(&t, row, "nmse_lmmse", theory.nmse_mmse);
        assert_tabled(&t, row, "nmse_genie_ls", theory.nmse_genie_ls);
        assert_tabled(&t, row, "nmse_genie_lmmse", theory.nmse_genie_mmse);
        assert_tabled(&t, row, "ber_noic", theory.ber_no_cancel);
        assert_tabled(&t, row, "ber_ic1", theory.ber_cancel);
        assert_tabled(&t, row, "ber_perfect_csi", theory.ber_known_csi);
    }
    assert_true(t.rows > 100);
    csv_close(&t);
}

static void theory__averages_far_into_the_tail(void **state)
{
    (void)state;
    const double rho[] = {0.05, 0.2, 0.3};
    const double expected[] = {1.98281563478681e-17, 1.79529451580933e-15, 4.37719126417739e-14};
    for (size_t i = 0; i < 3; i++)
        assert_relative(tb_csi_theory_at(&(tb_csi_point){rho[i], 20}, 8, 64).ber_known_csi, expected[i], 1e-10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clopper_pearson__gives_known_intervals),
        cmocka_unit_test(student_quantile__gives_known_values),
        cmocka_unit_test(score__takes_spread_between_frames),
        cmocka_unit_test(theory__equals_the_closed_forms),
        cmocka_unit_test(theory__averages_far_into_the_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
