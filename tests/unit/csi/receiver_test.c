// Receivers: limits, closed forms, orderings, and Monte-Carlo results of another program.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "csi/receiver.h"
#include "csi/streams.h"
#include "csv.h"
#include "rounding.h"
#include "sample.h"

// N = 8, P = 64 has the statistics of N = 64, P = 512: they depend on P/N only.
static const tb_csi_options small = {.n = 8, .p = 64, .b = 64, .seed = 7};

static void receivers__agree_with_closed_forms(void **state)
{
    (void)state;
    static const tb_csi_point points[] = {{0.2, 0}, {0.2, 5}, {0.2, 10}, {0.1, 10}, {0.3, 5}, {0.05, 14}};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        tb_csi_score s[3];
        tb_csi_theory theory = tb_csi_theory_at(&points[i], 8, 64);
        sample_scores(s, small, points[i], (const char *const[]){"ls", "mmse", "none"}, 3, 6000);
        assert_within(s[0].nmse, theory.nmse_ls, s[0].nmse_ci);
        assert_within(s[1].nmse, theory.nmse_mmse, s[1].nmse_ci);
        assert_within(s[1].ber, theory.ber_cancel, s[1].ber_ci);
        assert_within(s[2].ber, theory.ber_no_cancel, s[2].ber_ci);
    }
}

// The other program's uncertainty is that of its own frames, as many blocks as ours or more.
static void assert_agrees(double value, double ci, double reference, double frames, double reference_frames)
{
    assert_within(value, reference, ci * sqrt(1 + frames / reference_frames));
}

static void receivers__agree_with_another_program(void **state)
{
    (void)state;
    enum { FRAMES = 4000, BLOCKS = 8 }; // our frames have an eighth of the blocks
    csv t = csv_open("baseline_mc.csv");
    static const tb_csi_point points[] = {{0.2, 5}, {0.2, 10}, {0.1, 10}};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        size_t row = csv_find(&t, "N", 64.0, "rho", points[i].rho, "snr_db", points[i].snr_db, NULL);
        tb_csi_score s[5];
        sample_scores(s, small, points[i], (const char *const[]){"hard-2", "hard-3", "soft-2", "soft-4", "bayes"}, 5,
                      FRAMES);
        static const char *const nmse[] = {"nmse_hard2", "nmse_hard3", "nmse_soft2", "nmse_soft4", "nmse_bayes"};
        static const char *const ber[] = {"ber_hard2", "ber_hard3", "ber_soft2", "ber_soft4", "ber_bayes"};
        for (size_t k = 0; k < 5; k++) {
            double frames = csv_get(&t, row, k == 4 ? "bayes_frames" : "frames");
            assert_agrees(s[k].nmse, s[k].nmse_ci, csv_get(&t, row, nmse[k]), FRAMES, BLOCKS * frames);
            assert_agrees(s[k].ber, s[k].ber_ci, csv_get(&t, row, ber[k]), FRAMES, BLOCKS * frames);
        }
        for (size_t k = 0; k < 4; k++) { // on the same frames, nothing beats the posterior
            assert_true(s[4].nmse < s[k].nmse + s[k].nmse_ci);
            assert_true(s[4].ber < s[k].ber + s[k].ber_ci);
        }
    }
    csv_close(&t);
}

static void random_columns__remove_the_error_floor(void **state)
{
    (void)state;
    enum { FRAMES = 512 };
    csv t = csv_open("spreading_choice.csv");
    tb_csi_options options = {.seed = 3};
    tb_csi_score first = sample_score(options, (tb_csi_point){0.2, 15}, "hard-3", FRAMES);
    options.spreading = TB_CSI_WALSH_RANDOM;
    tb_csi_score random = sample_score(options, (tb_csi_point){0.2, 15}, "hard-3", FRAMES);
    assert_true(random.ber + random.ber_ci < first.ber / 4);
    assert_true(random.nmse + random.nmse_ci < first.nmse);
    for (size_t row = 0; row < t.rows; row++)
        if (csv_get(&t, row, "rho") == 0.2 && csv_get(&t, row, "snr_db") == 15) {
            tb_csi_score *s = csv_text(&t, row, "columns")[0] == 'f' ? &first : &random;
            assert_agrees(s->nmse, s->nmse_ci, csv_get(&t, row, "nmse3"), FRAMES, csv_get(&t, row, "frames"));
        }
    csv_close(&t);
}

static void scale_model__has_the_statistics_of_the_whole(void **state)
{
    (void)state;
    tb_csi_score whole = sample_score((tb_csi_options){.seed = 1}, (tb_csi_point){0.2, 5}, "hard", 600);
    tb_csi_score scaled = sample_score(small, (tb_csi_point){0.2, 5}, "hard", 4800);
    assert_within(whole.nmse, scaled.nmse, hypot(whole.nmse_ci, scaled.nmse_ci));
    assert_within(whole.ber, scaled.ber, hypot(whole.ber_ci, scaled.ber_ci));
}

static void front_ends__agree(void **state)
{
    (void)state;
    tb_csi_options options = small;
    options.b = 4;
    tb_csi_score short_cut = sample_score(options, (tb_csi_point){0.2, 8}, "hard", 4000);
    options.full_front_end = true;
    options.seed++;
    tb_csi_score full = sample_score(options, (tb_csi_point){0.2, 8}, "hard", 4000);
    assert_within(full.nmse, short_cut.nmse, hypot(full.nmse_ci, short_cut.nmse_ci));
    assert_within(full.ber, short_cut.ber, hypot(full.ber_ci, short_cut.ber_ci));
}

// What zero forcing leaves of K users among B antennas: ‖g⊥‖² is Gamma(B−K+1, 1/B), E[s2] = B/(B−K)/E.
static void users__are_taken_apart_at_the_cost_of_antennas(void **state)
{
    (void)state;
    enum { FRAMES = 3000, B = 16 };
    for (size_t users = 1; users <= 5; users += 2) {
        tb_csi_options options = {.n = 4, .p = 4, .b = B, .users = users, .seed = 5};
        tb_csi_link *link = sample_link(options);
        tb_csi_batch batch;
        double sum = 0, squares = 0;
        assert_int_equal(tb_csi_batch_init(&batch, link, FRAMES, NULL), TB_OK);
        tb_csi_batch_draw(&batch, link, &(tb_csi_point){0.2, 10}, 0, FRAMES);
        for (size_t i = 0; i < FRAMES; i++) {
            double s2 = 10 * batch.frames[i].s2;
            sum += s2;
            squares += s2 * s2;
        }
        double mean = sum / FRAMES;
        assert_within(mean, (double)B / (double)(B - users), 1.96 * sqrt((squares / FRAMES - mean * mean) / FRAMES));
        tb_csi_batch_clear(&batch);
        tb_csi_link_free(link);
    }
}

// The full front end sends all users' frames through the uplink and combines what arrives.
static void users__do_not_hear_one_another(void **state)
{
    (void)state;
    tb_csi_options options = small;
    options.b = 6;
    options.users = 3;
    tb_csi_score short_cut = sample_score(options, (tb_csi_point){0.2, 10}, "hard", 4000);
    options.full_front_end = true;
    options.seed++;
    tb_csi_score full = sample_score(options, (tb_csi_point){0.2, 10}, "hard", 4000);
    options.users = 1;
    tb_csi_score alone = sample_score(options, (tb_csi_point){0.2, 10}, "hard", 4000);
    assert_within(full.nmse, short_cut.nmse, hypot(full.nmse_ci, short_cut.nmse_ci));
    assert_within(full.ber, short_cut.ber, hypot(full.ber_ci, short_cut.ber_ci));
    assert_true(alone.ber + alone.ber_ci < full.ber);
}

// s2 against the definition, [(GᴴG)⁻¹]₁₁/E for two users: ‖g_2‖²/(‖g_1‖²·‖g_2‖² − |g_1ᴴg_2|²).
static void two_users__have_the_noise_of_the_inverse(void **state)
{
    (void)state;
    enum { B = 8 };
    tb_csi_options options = {.n = 4, .p = 4, .b = B, .users = 2, .seed = 5};
    tb_csi_link *link = sample_link(options);
    tb_csi_batch batch;
    assert_int_equal(tb_csi_batch_init(&batch, link, 20, NULL), TB_OK);
    tb_csi_batch_draw(&batch, link, &(tb_csi_point){0.2, 0}, 0, 20);
    for (uint64_t f = 0; f < 20; f++) {
        double g[2][2 * B], norms[2] = {0}, re = 0, im = 0;
        for (uint64_t k = 0; k < 2; k++) {
            tb_csi_normals(g[k], g[k] + B, &(tb_csi_stream){5, f | k << 56, TB_CSI_FOR_UPLINK}, 0, B, 1.0 / B);
            for (size_t i = 0; i < 2 * B; i++)
                norms[k] += g[k][i] * g[k][i];
        }
        for (size_t i = 0; i < B; i++) {
            re += g[0][i] * g[1][i] + g[0][B + i] * g[1][B + i];
            im += g[0][i] * g[1][B + i] - g[0][B + i] * g[1][i];
        }
        double determinant = norms[0] * norms[1] - re * re - im * im, expected = norms[1] / determinant;
        // Four sums of 2·B terms whose products, the norms', the determinant is left of.
        double rounding = 4 * rounding_of_double_sums(2 * B, 20) * norms[0] * norms[1] / determinant;
        assert_near(batch.frames[f].s2, expected, rounding * expected);
    }
    tb_csi_batch_clear(&batch);
    tb_csi_link_free(link);
}

// ---- limits ----

static void no_csi__leaves_plain_data(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "ls", "mmse", "hard", "soft", "bayes"};
    tb_csi_point point = {0, 5};
    tb_csi_score s[6];
    sample_scores(s, small, point, names, 6, 3000);
    double expected = tb_csi_theory_at(&point, 8, 64).ber_known_csi;
    for (size_t i = 0; i < 6; i++) {
        assert_true(s[i].nmse == 1); // ĥ = 0
        assert_within(s[i].ber, expected, s[i].ber_ci);
    }
}

static void no_data__leaves_plain_csi(void **state)
{
    (void)state;
    static const char *const names[] = {"ls", "mmse", "hard", "soft", "bayes"};
    tb_csi_point point = {1, 5};
    tb_csi_score s[5];
    sample_scores(s, small, point, names, 5, 3000);
    tb_csi_theory theory = tb_csi_theory_at(&point, 8, 64);
    assert_within(s[0].nmse, theory.nmse_ls, s[0].nmse_ci);
    assert_within(s[0].nmse, theory.nmse_genie_ls, s[0].nmse_ci);
    for (size_t i = 1; i < 5; i++)
        assert_within(s[i].nmse, theory.nmse_genie_mmse, s[i].nmse_ci);
    for (size_t i = 0; i < 4; i++) // bits are guessed, coins independent of ours
        assert_within(s[i].ber, 0.5, s[i].ber_ci);
}

static void no_noise__leaves_only_blocks_of_equal_signs(void **state)
{
    (void)state;
    tb_csi_link *link = sample_link(small);
    tb_csi_batch batch;
    tb_error err;
    assert_int_equal(tb_csi_batch_init(&batch, link, 64, &err), TB_OK);
    tb_csi_batch_draw(&batch, link, &(tb_csi_point){0.02, 100}, 0, 64);
    tb_csi_receive(&batch, &(tb_csi_receiver){TB_CSI_HARD, 6}, link);
    size_t good = 0;
    for (size_t i = 0; i < batch.count; i++) {
        double error = 0, wrong = 0;
        for (size_t j = 0; j < 16; j++)
            error += pow(batch.estimates[i].h[j] - batch.frames[i].h[j], 2);
        for (size_t j = 0; j < tb_csi_link_bits(link); j++)
            wrong += batch.estimates[i].bits[j] != batch.frames[i].bits[j];
        good += error < 1e-8 && wrong == 0;
    }
    assert_true(good > 50); // 16 blocks, each of equal signs with probability 2^−7
    tb_csi_batch_clear(&batch);
    tb_csi_link_free(link);
}

// Nothing but the CSI arrives: despreading gives it back to rounding, for every kind of columns.
static void known_data_without_noise__leaves_h_itself(void **state)
{
    (void)state;
    for (int kind = 0; kind < TB_CSI_SPREADINGS; kind++) {
        tb_csi_options options = small;
        options.spreading = (tb_csi_spreading)kind;
        tb_csi_link *link = sample_link(options);
        double h[16], back[16], x[128], scratch[64], gain = sqrt(0.2 / 8);
        tb_csi_channel_draw(h, link, 3);
        for (size_t part = 0; part < 2; part++)
            tb_csi_spread(x + part * 64, link, h + part * 8);
        for (size_t i = 0; i < 128; i++)
            x[i] *= gain;
        tb_csi_estimate_h(back, link, x, 0.2, 1, scratch);
        for (size_t i = 0; i < 16; i++)
            assert_near(back[i], h[i], rounding_of_double_sums(8 + 64, 16) * 4); // sums of 8 and 64; no |h| is above 4
        tb_csi_link_free(link);
    }
}

// E[(ĥ − h)*·ĥ] = 0 for conditional means.
static void mmse_estimates__are_orthogonal_to_their_errors(void **state)
{
    (void)state;
    enum { FRAMES = 4000 };
    const tb_csi_receiver receivers[] = {{TB_CSI_HARD, 1}, {TB_CSI_BAYES, 1}};
    tb_csi_link *link = sample_link(small);
    tb_csi_batch batch;
    tb_error err;
    assert_int_equal(tb_csi_batch_init(&batch, link, FRAMES, &err), TB_OK);
    tb_csi_batch_draw(&batch, link, &(tb_csi_point){0.2, 5}, 0, FRAMES);
    for (int k = 0; k < 2; k++) {
        double sum = 0, squares = 0;
        tb_csi_receive(&batch, &receivers[k], link);
        for (size_t i = 0; i < FRAMES; i++) {
            double product = 0;
            for (size_t j = 0; j < 16; j++)
                product += (batch.estimates[i].h[j] - batch.frames[i].h[j]) * batch.estimates[i].h[j];
            sum += product;
            squares += product * product;
        }
        assert_within(sum / FRAMES, 0, 1.96 * sqrt(squares / FRAMES / FRAMES));
    }
    tb_csi_batch_clear(&batch);
    tb_csi_link_free(link);
}

// ---- other modulations and shapes ----

// At ρ = 0 and B large the link is AWGN: the Gray formula for square QAM.
static void modulations__have_the_error_rates_of_awgn(void **state)
{
    (void)state;
    csv t = csv_open("modulation_oracles.csv");
    size_t checked = 0;
    for (size_t row = 0; row < t.rows; row++) {
        tb_csi_options options = {.n = 8, .p = 512, .b = 1024, .seed = 11};
        double bits = 2, ber = csv_get(&t, row, "ber");
        if (csv_text(&t, row, "channel")[0] != 'a' || ber < 1e-3)
            continue;
        assert_true(tb_csi_modulation_find(&options.modulation, csv_text(&t, row, "modulation")));
        bits *= options.modulation + 1;
        tb_csi_point point = {0, csv_get(&t, row, "ebn0_db") + 10 * log10(bits)};
        tb_csi_score s = sample_score(options, point, "none", 150);
        assert_within(s.ber, ber, hypot(s.ber_ci, 0.005 * ber)); // ‖g‖² still varies by 3 %
        checked++;
    }
    assert_true(checked >= 9);
    csv_close(&t);
}

// At ρ = 0 what is left is the uplink: B branches combined, whose fading is that of the link.
static void data__has_the_error_rates_of_diversity(void **state)
{
    (void)state;
    csv t = csv_open("modulation_oracles.csv");
    size_t checked = 0;
    for (size_t row = 0; row < t.rows; row++) {
        double ber = csv_get(&t, row, "ber");
        if (csv_text(&t, row, "channel")[0] != 'r' || ber < 5e-4)
            continue;
        tb_csi_options options = {.n = 2, .p = 2, .b = (size_t)csv_get(&t, row, "diversity"), .seed = 12};
        tb_csi_point point = {0, csv_get(&t, row, "ebn0_db") + 10 * log10(2)};
        tb_csi_score s = sample_score(options, point, "none", 20000);
        assert_within(s.ber, ber, s.ber_ci);
        checked++;
    }
    assert_true(checked >= 15);
    csv_close(&t);
}

// The grid must give what all patterns give: N = 8 of 64 enumerates, 16-QAM never does.
static void bayes_grid__beats_every_other_receiver(void **state)
{
    (void)state;
    static const char *const names[] = {"mmse", "hard-3", "soft-3", "bayes"};
    tb_csi_options options[] = {small, small};
    options[0].modulation = TB_CSI_QAM16;
    options[1].n = 4; // R = 16
    for (size_t i = 0; i < 2; i++) {
        tb_csi_score s[4];
        sample_scores(s, options[i], (tb_csi_point){0.2, 10}, names, 4, 128);
        for (size_t k = 0; k < 3; k++) {
            assert_true(s[3].nmse <= s[k].nmse + s[3].nmse_ci / 2);
            assert_true(s[3].ber <= s[k].ber + s[3].ber_ci / 2);
        }
    }
}

static void bayes__refuses_links_it_does_not_know(void **state)
{
    (void)state;
    tb_csi_receiver bayes = {TB_CSI_BAYES, 1};
    tb_error err;
    tb_csi_link *link = sample_link((tb_csi_options){.channel = TB_CSI_CDL_A});
    assert_int_equal(tb_csi_receiver_check(&bayes, link, &err), TB_EUNSUPPORTED);
    tb_csi_link_free(link);
    link = sample_link((tb_csi_options){.spreading = TB_CSI_WALSH_RANDOM});
    assert_int_equal(tb_csi_receiver_check(&bayes, link, &err), TB_EUNSUPPORTED);
    tb_csi_link_free(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receivers__agree_with_closed_forms),
        cmocka_unit_test(receivers__agree_with_another_program),
        cmocka_unit_test(random_columns__remove_the_error_floor),
        cmocka_unit_test(scale_model__has_the_statistics_of_the_whole),
        cmocka_unit_test(front_ends__agree),
        cmocka_unit_test(users__are_taken_apart_at_the_cost_of_antennas),
        cmocka_unit_test(users__do_not_hear_one_another),
        cmocka_unit_test(two_users__have_the_noise_of_the_inverse),
        cmocka_unit_test(no_csi__leaves_plain_data),
        cmocka_unit_test(no_data__leaves_plain_csi),
        cmocka_unit_test(known_data_without_noise__leaves_h_itself),
        cmocka_unit_test(no_noise__leaves_only_blocks_of_equal_signs),
        cmocka_unit_test(mmse_estimates__are_orthogonal_to_their_errors),
        cmocka_unit_test(modulations__have_the_error_rates_of_awgn),
        cmocka_unit_test(data__has_the_error_rates_of_diversity),
        cmocka_unit_test(bayes_grid__beats_every_other_receiver),
        cmocka_unit_test(bayes__refuses_links_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
