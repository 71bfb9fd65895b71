// The networks that come with twobit reach what their documentation says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csi/csi.h"
#include "sample.h"

enum { FRAMES = 6000, HARD = 0, FLOAT = 1, TRITS = 2, RECEIVERS = 3 };
static const char *const names[] = {"hard", TB_CSI_SHARE "/hybrid.safetensors",
                                    TB_CSI_SHARE "/hybrid-trits.safetensors"};

static void measure(tb_csi_score scores[RECEIVERS], double rho, double snr_db)
{
    tb_csi_link *link = sample_link((tb_csi_options){.n = 8, .p = 64, .b = 64, .seed = 21});
    tb_csi_panel *panel;
    tb_csi_tally tallies[RECEIVERS];
    tb_csi_measure_options options = {.frames = FRAMES, .threads = 1};
    tb_csi_point point = {rho, snr_db};
    tb_error err;
    if (tb_csi_panel_new(&panel, names, RECEIVERS, link, &(tb_csi_panel_options){0}, &err))
        fail_msg("%s", err.message);
    assert_int_equal(tb_csi_measure(tallies, link, &point, 1, tb_csi_panel_receive, panel, RECEIVERS, &options, &err),
                     TB_OK);
    for (int i = 0; i < RECEIVERS; i++)
        scores[i] = tb_csi_tally_score(&tallies[i]);
    tb_csi_panel_free(panel);
    tb_csi_link_free(link);
}

static void networks__are_as_good_as_documented(void **state)
{
    (void)state;
    static const struct {
        double snr_db, nmse, ber, trits_nmse, trits_ber;
    } most[] = {{5, 0.300, 0.0752, 0.305, 0.0766}, {10, 0.0800, 0.0060, 0.0860, 0.0069}};
    for (size_t i = 0; i < 2; i++) {
        tb_csi_score s[RECEIVERS];
        measure(s, 0.2, most[i].snr_db);
        assert_true(s[FLOAT].nmse < most[i].nmse && s[FLOAT].ber < most[i].ber);
        assert_true(s[TRITS].nmse < most[i].trits_nmse && s[TRITS].ber < most[i].trits_ber);
    }
}

static void hybrid__beats_hard_decisions(void **state)
{
    (void)state;
    const double rho[] = {0.1, 0.3}, snr_db[] = {5, 10};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++) {
            tb_csi_score s[RECEIVERS];
            measure(s, rho[i], snr_db[k]);
            assert_true(s[FLOAT].ber < s[HARD].ber && s[FLOAT].nmse < s[HARD].nmse);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks__are_as_good_as_documented),
        cmocka_unit_test(hybrid__beats_hard_decisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
