// The parts of the link: spreading, modulation, channels, options.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "csi/link.h"
#include "sample.h"

enum { N = 16, P = 64 };

// ---- spreading ----

static void dense_matrix(double w[P][N], const tb_csi_link *link)
{
    for (size_t c = 0; c < N; c++) {
        double unit[N] = {0}, column[P];
        unit[c] = 1;
        tb_csi_spread(column, link, unit);
        for (size_t p = 0; p < P; p++)
            w[p][c] = column[p];
    }
}

static void spreading__is_orthogonal(void **state)
{
    (void)state;
    for (int kind = 0; kind < TB_CSI_SPREADINGS; kind++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            double w[P][N];
            tb_csi_link *link = sample_link(
                (tb_csi_options){.n = N, .p = P, .spreading = (tb_csi_spreading)kind, .spreading_seed = seed});
            dense_matrix(w, link);
            for (size_t a = 0; a < N; a++)
                for (size_t b = 0; b < N; b++) {
                    double product = 0;
                    for (size_t p = 0; p < P; p++) {
                        assert_true(fabs(w[p][a]) == 1);
                        product += w[p][a] * w[p][b];
                    }
                    assert_true(product == (a == b ? P : 0));
                }
            tb_csi_link_free(link);
        }
}

static void walsh_first__has_signs_by_parity(void **state)
{
    (void)state;
    double w[P][N];
    tb_csi_link *link = sample_link((tb_csi_options){.n = N, .p = P});
    dense_matrix(w, link);
    for (unsigned p = 0; p < P; p++)
        for (unsigned n = 0; n < N; n++) {
            unsigned parity = 0;
            for (unsigned bits = p & n & (N - 1); bits; bits >>= 1)
                parity ^= bits & 1;
            assert_true(w[p][n] == (parity ? -1 : 1));
        }
    tb_csi_link_free(link);
}

// Integers, so that every order of summation gives the same.
static void despreading__is_the_transposed_product(void **state)
{
    (void)state;
    for (int kind = 0; kind < TB_CSI_SPREADINGS; kind++) {
        double w[P][N], y[P], out[N], scratch[P];
        tb_csi_link *link = sample_link((tb_csi_options){.n = N, .p = P, .spreading = (tb_csi_spreading)kind});
        tb_rng rng;
        tb_rng_init(&rng, 1, 1);
        dense_matrix(w, link);
        for (size_t p = 0; p < P; p++)
            y[p] = (double)tb_rng_below(&rng, 200) - 100;
        tb_csi_despread(out, link, y, scratch);
        for (size_t n = 0; n < N; n++) {
            double expected = 0;
            for (size_t p = 0; p < P; p++)
                expected += w[p][n] * y[p];
            assert_true(out[n] == expected);
        }
        tb_csi_link_free(link);
    }
}

static void walsh_random__differs_by_seed(void **state)
{
    (void)state;
    double a[P][N], b[P][N];
    for (uint64_t seed = 1; seed < 4; seed++) {
        tb_csi_options options = {.n = N, .p = P, .spreading = TB_CSI_WALSH_RANDOM};
        tb_csi_link *first = sample_link(options);
        options.spreading_seed = seed;
        tb_csi_link *second = sample_link(options);
        dense_matrix(a, first);
        dense_matrix(b, second);
        assert_memory_not_equal(a, b, sizeof a);
        tb_csi_link_free(first);
        tb_csi_link_free(second);
    }
}

// ---- modulation ----

static void modulation__neighbours_differ_in_one_bit(void **state)
{
    (void)state;
    for (int kind = 0; kind < TB_CSI_MODULATIONS; kind++) {
        tb_csi_axis axis;
        tb_csi_axis_init(&axis, (tb_csi_modulation)kind);
        double power = 0;
        for (unsigned i = 0; i < axis.level_count; i++) {
            power += 2 * axis.levels[i] * axis.levels[i] / axis.level_count;
            unsigned changed = i ? axis.codes[i] ^ axis.codes[i - 1] : 1;
            assert_true(changed && (changed & (changed - 1)) == 0);
            assert_int_equal(axis.places[axis.codes[i]], i);
        }
        assert_near(power, 1, 4 * axis.level_count * 0x1p-53); // a sum, each term rounded thrice
        // TS 38.211: a first bit of 0 is positive; all bits 0 is the point nearest 1 in QPSK, then inside
        assert_true(axis.levels[axis.places[0]] > 0);
    }
}

static void modulation__survives_the_slicer(void **state)
{
    (void)state;
    const double gains[] = {1, 0.3};
    for (int kind = 0; kind < TB_CSI_MODULATIONS; kind++)
        for (int g = 0; g < 2; g++) {
            tb_csi_link *link = sample_link((tb_csi_options){.n = N, .p = P, .modulation = (tb_csi_modulation)kind});
            size_t bits = tb_csi_link_bits(link);
            uint8_t sent[6 * P], seen[6 * P];
            double d[2 * P];
            tb_rng rng;
            tb_rng_init(&rng, 5, 1);
            assert_int_equal(bits, (size_t)(2 * (kind + 1) * P));
            for (size_t i = 0; i < bits; i++)
                sent[i] = (uint8_t)tb_rng_below(&rng, 2);
            tb_csi_modulate(d, link, sent);
            for (size_t i = 0; i < 2 * P; i++) // less than half the distance of levels
                d[i] = gains[g] * (d[i] + link->axis.step * (1.98 * tb_rng_uniform(&rng) - 0.99));
            tb_csi_demodulate(seen, link, d, gains[g]);
            assert_memory_equal(sent, seen, bits);
            tb_csi_link_free(link);
        }
}

// ---- channels ----

static void channels__have_unit_power(void **state)
{
    (void)state;
    enum { FRAMES = 4000, ANTENNAS = 32 };
    for (int kind = 0; kind < TB_CSI_CHANNELS; kind++) {
        tb_csi_link *link = sample_link((tb_csi_options){.n = ANTENNAS, .p = P, .channel = (tb_csi_channel)kind});
        double sum = 0, squares = 0;
        for (uint64_t frame = 0; frame < FRAMES; frame++) {
            double h[2 * ANTENNAS], power = 0;
            tb_csi_channel_draw(h, link, frame);
            for (size_t i = 0; i < 2 * ANTENNAS; i++)
                power += h[i] * h[i] / ANTENNAS;
            sum += power;
            squares += power * power;
        }
        double mean = sum / FRAMES, variance = squares / FRAMES - mean * mean;
        assert_within(mean, 1, 1.96 * sqrt(fmax(variance, 0) / FRAMES) + 1e-12);
        tb_csi_link_free(link);
    }
}

// The sparse channel has energy at eight angles only.
static void sparse_channel__has_eight_angles(void **state)
{
    (void)state;
    enum { ANTENNAS = 64 };
    tb_csi_link *link = sample_link((tb_csi_options){.n = ANTENNAS, .channel = TB_CSI_SPARSE});
    for (uint64_t frame = 0; frame < 50; frame++) {
        double h[2 * ANTENNAS];
        int angles = 0;
        tb_csi_channel_draw(h, link, frame);
        for (size_t k = 0; k < ANTENNAS; k++) {
            double re = 0, im = 0;
            for (size_t i = 0; i < ANTENNAS; i++) {
                double phase = -2 * acos(-1.0) * (double)(i * k % ANTENNAS) / ANTENNAS;
                re += h[i] * cos(phase) - h[ANTENNAS + i] * sin(phase);
                im += h[i] * sin(phase) + h[ANTENNAS + i] * cos(phase);
            }
            angles += re * re + im * im > 1e-18;
        }
        assert_int_equal(angles, 8);
    }
    tb_csi_link_free(link);
}

// ---- options ----

static void expect_refusal(tb_csi_options options, const char *sentence)
{
    tb_csi_link *link;
    tb_error err;
    assert_int_equal(tb_csi_link_new(&link, &options, &err), TB_EINVAL);
    assert_null(link);
    assert_string_equal(err.message, sentence);
}

static void link__refuses_impossible_dimensions(void **state)
{
    (void)state;
    expect_refusal((tb_csi_options){.n = 48}, "48 antennas are not a power of two, which Walsh spreading needs");
    expect_refusal((tb_csi_options){.p = 500}, "500 symbols per frame are not a power of two up to 65536");
    expect_refusal((tb_csi_options){.n = 64, .p = 32}, "64 antennas need a frame of as many symbols, not 32");
    expect_refusal((tb_csi_options){.b = 4, .users = 5},
                   "5 users cannot be taken apart: there may be as many as combined antennas (4), up to 64");
    tb_csi_point outside = {1.2, 5}, nowhere = {0.2, NAN};
    tb_error err;
    assert_int_equal(tb_csi_point_check(&outside, &err), TB_EINVAL);
    assert_string_equal(err.message, "a power share rho of 1.2 lies outside 0 … 1");
    assert_int_equal(tb_csi_point_check(&nowhere, &err), TB_EINVAL);
}

static void receiver_names__are_understood_or_not(void **state)
{
    (void)state;
    tb_csi_receiver r;
    assert_true(tb_csi_receiver_find(&r, "hard") && r.kind == TB_CSI_HARD && r.passes == 2);
    assert_true(tb_csi_receiver_find(&r, "soft-4") && r.kind == TB_CSI_SOFT && r.passes == 4);
    assert_true(tb_csi_receiver_find(&r, "mmse") && r.kind == TB_CSI_HARD && r.passes == 1);
    const char *const wrong[] = {"", "har", "hard-", "hard-0", "hard-65", "hard-2x", "hard--1", "mmse-2", "bayes-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(tb_csi_receiver_find(&r, wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spreading__is_orthogonal),
        cmocka_unit_test(walsh_first__has_signs_by_parity),
        cmocka_unit_test(despreading__is_the_transposed_product),
        cmocka_unit_test(walsh_random__differs_by_seed),
        cmocka_unit_test(modulation__neighbours_differ_in_one_bit),
        cmocka_unit_test(modulation__survives_the_slicer),
        cmocka_unit_test(channels__have_unit_power),
        cmocka_unit_test(sparse_channel__has_eight_angles),
        cmocka_unit_test(link__refuses_impossible_dimensions),
        cmocka_unit_test(receiver_names__are_understood_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
