// LieQ: the golden vectors of an independent double-precision program (tests/golden/lieq), and the invariances of
// effective ranks and allocations on random input.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"

enum { BLOCKS = 6, TOKENS = 32, PROJECTIONS = 7, BUDGETS = 7, HEAD = 8 };

static const char *const projections[PROJECTIONS] = {"q", "k", "v", "o", "gate", "up", "down"};
static const char *const inputs[PROJECTIONS] = {"attn", "attn", "attn", "o", "mlp", "mlp", "down"};

static tb_npy golden(char kind, size_t item_size, const char *format, const char *name)
{
    char file[64];
    snprintf(file, sizeof file, format, name);
    return golden_open("lieq", file, kind, item_size, 0);
}

static tb_npy golden_f64(const char *format, const char *name)
{
    return golden('f', 8, format, name);
}

static void assert_near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-9 * fmax(fabs(expected), 1e-3)))
        fail_msg("%.15g instead of %.15g", got, expected);
}

// One projection of one block; `random` takes its random counterpart, `free_of_data` H = I.
struct golden_projection {
    tb_npy h, w;
    tb_projection p;
};

static struct golden_projection open_projection(size_t block, size_t which, bool random, bool free_of_data)
{
    struct golden_projection g = {.h = golden('f', 4, "h_%s", inputs[which]),
                                  .w = golden('f', 4, random ? "r_%s" : "w_%s", projections[which])};
    size_t rows = g.w.dims[1], cols = g.w.dims[2];
    g.p = (tb_projection){
        .inputs = free_of_data ? NULL : (const float *)g.h.data + block * TOKENS * cols,
        .tokens = TOKENS,
        .stride = cols,
        .weights = (const float *)g.w.data + block * rows * cols,
        .rows = rows,
        .cols = cols,
    };
    return g;
}

static void close_projection(struct golden_projection *g)
{
    tb_npy_close(&g->h);
    tb_npy_close(&g->w);
}

static double rank_of(const tb_projection *p, size_t first, size_t count, bool center)
{
    double *energies;
    size_t n;
    tb_error err;
    if (tb_projection_energies(&energies, &n, p, first, count, center, &err))
        fail_msg("%s", err.message);
    double rank = tb_effective_rank(energies, n);
    tb_free(energies);
    return rank;
}

static double gap_of(size_t block, size_t which, size_t first, size_t count, bool center)
{
    struct golden_projection trained = open_projection(block, which, false, false);
    struct golden_projection random = open_projection(block, which, true, false);
    size_t rows = count ? count : trained.p.rows;
    double gap = tb_rank_gap(rank_of(&random.p, first, rows, center), rank_of(&trained.p, first, rows, center));
    close_projection(&trained);
    close_projection(&random);
    return gap;
}

static double score_qkv(size_t block)
{
    return (gap_of(block, 0, 0, 0, false) + gap_of(block, 1, 0, 0, false) + gap_of(block, 2, 0, 0, false)) / 3;
}

static void energies__reproduce_golden_ranks_and_shares(void **state)
{
    (void)state;
    static const size_t ks[] = {1, 2, 4, 8};
    for (int random = 0; random < 2; random++) {
        tb_npy rank = golden_f64("compact_%s", random ? "random" : "trained");
        tb_npy share = golden_f64("energy_%s", random ? "random" : "trained");
        for (size_t i = 0; i < BLOCKS * PROJECTIONS; i++) {
            struct golden_projection g = open_projection(i / PROJECTIONS, i % PROJECTIONS, random, false);
            double *energies;
            size_t n;
            assert_int_equal(tb_projection_energies(&energies, &n, &g.p, 0, g.p.rows, false, NULL), TB_OK);
            assert_near(tb_effective_rank(energies, n), ((const double *)rank.data)[i]);
            for (size_t k = 0; k < 4; k++)
                assert_near(tb_energy_share(energies, n, ks[k]), ((const double *)share.data)[i * 4 + k]);
            tb_free(energies);
            close_projection(&g);
        }
        tb_npy_close(&rank);
        tb_npy_close(&share);
    }
}

static void gaps__reproduce_golden_variants(void **state)
{
    (void)state;
    tb_npy plain = golden_f64("%s", "delta_r"), centred = golden_f64("%s", "delta_r_centred");
    for (size_t b = 0; b < BLOCKS; b++) {
        for (size_t p = 0; p < PROJECTIONS; p++)
            assert_near(gap_of(b, p, 0, 0, false), ((const double *)plain.data)[b * PROJECTIONS + p]);
        for (size_t p = 0; p < 3; p++)
            assert_near(gap_of(b, p, 0, 0, true), ((const double *)centred.data)[b * 3 + p]);
    }
    tb_npy_close(&plain);
    tb_npy_close(&centred);
    for (size_t p = 0; p < 3; p++) {
        tb_npy heads = golden_f64("delta_r_heads_%s", projections[p]);
        size_t count = heads.dims[1];
        for (size_t b = 0; b < BLOCKS; b++)
            for (size_t head = 0; head < count; head++)
                assert_near(gap_of(b, p, head * HEAD, HEAD, false), ((const double *)heads.data)[b * count + head]);
        tb_npy_close(&heads);
    }
}

static void data_free_gaps__reproduce_golden(void **state)
{
    (void)state;
    tb_npy rank = golden_f64("%s", "compact_weight"), base = golden_f64("%s", "compact_baseline");
    for (size_t i = 0; i < BLOCKS * PROJECTIONS; i++) {
        struct golden_projection g = open_projection(i / PROJECTIONS, i % PROJECTIONS, false, true);
        assert_near(rank_of(&g.p, 0, g.p.rows, false), ((const double *)rank.data)[i]);
        assert_near(tb_gaussian_rank(g.p.rows, g.p.cols), ((const double *)base.data)[i]);
        close_projection(&g);
    }
    tb_npy_close(&rank);
    tb_npy_close(&base);
}

static void composite__reproduces_golden_score(void **state)
{
    (void)state;
    tb_npy skip = golden_f64("nll_%s", "skip"), base = golden_f64("nll_%s", "base"), gain = golden_f64("%s", "delta_e");
    tb_npy expected = golden_f64("score_%s", "composite");
    double loss[BLOCKS], gap[BLOCKS], score[BLOCKS];
    for (size_t b = 0; b < BLOCKS; b++) {
        loss[b] = ((const double *)skip.data)[b] - ((const double *)base.data)[0];
        gap[b] = score_qkv(b);
    }
    tb_score_composite(score, loss, gap, gain.data, BLOCKS);
    for (size_t b = 0; b < BLOCKS; b++)
        assert_near(score[b], ((const double *)expected.data)[b]);
    tb_npy_close(&skip);
    tb_npy_close(&base);
    tb_npy_close(&gain);
    tb_npy_close(&expected);
}

static void check_allocation(const char *file, const double *scores)
{
    tb_npy expected = golden('i', 1, "bits_%s", file), budgets = golden_f64("%s", "budgets");
    size_t order[BLOCKS];
    tb_score_order(order, scores, BLOCKS);
    for (size_t i = 0; i < BUDGETS; i++) {
        uint8_t bits[BLOCKS];
        tb_allocate_two(bits, order, BLOCKS, ((const double *)budgets.data)[i], 2, 4);
        assert_memory_equal(bits, (const uint8_t *)expected.data + i * BLOCKS, BLOCKS);
    }
    tb_npy_close(&expected);
    tb_npy_close(&budgets);
}

static void allocation__reproduces_golden_budgets(void **state)
{
    (void)state;
    tb_npy scores = golden_f64("score_%s", "qkv"), tie = golden_f64("score_%s", "tie");
    tb_npy order = golden('i', 4, "order_%s", "qkv");
    size_t got[BLOCKS];
    tb_score_order(got, scores.data, BLOCKS);
    for (size_t b = 0; b < BLOCKS; b++)
        assert_int_equal(got[b], ((const int32_t *)order.data)[b]);
    check_allocation("count", scores.data);
    check_allocation("count_tie", tie.data);
    tb_npy_close(&scores);
    tb_npy_close(&tie);
    tb_npy_close(&order);
}

// The shipped rule rounds down where LieQ rounds, and so never exceeds the average: with blocks of one size it gives
// the high width to the longest prefix of LieQ's order that fits.
static void allocation__by_score_is_a_prefix_of_the_golden_order(void **state)
{
    (void)state;
    tb_npy scores = golden_f64("score_%s", "qkv"), budgets = golden_f64("%s", "budgets");
    tb_npy order = golden('i', 4, "order_%s", "qkv");
    const unsigned widths[] = {2, 4};
    uint64_t costs[BLOCKS * 2];
    for (size_t b = 0; b < BLOCKS; b++) {
        costs[b * 2] = 2;
        costs[b * 2 + 1] = 4;
    }
    for (size_t i = 0; i < BUDGETS; i++) {
        uint8_t bits[BLOCKS];
        double total = ((const double *)budgets.data)[i] * BLOCKS * (1 + 1e-12); // 2.5 times 6 is 15
        total = total > 4 * BLOCKS ? 4 * BLOCKS : total;
        tb_allocation a = {widths, 2, BLOCKS, costs, (uint64_t)total};
        size_t high = total < 2 * BLOCKS ? 0 : (size_t)((total - 2 * BLOCKS) / 2);
        assert_int_equal(tb_allocate_by_score(bits, &a, scores.data), total >= 2 * BLOCKS);
        for (size_t b = 0; b < BLOCKS; b++)
            assert_int_equal(bits[((const int32_t *)order.data)[b]], b < high ? 4 : 2);
    }
    tb_npy_close(&scores);
    tb_npy_close(&budgets);
    tb_npy_close(&order);
}

static void effective_rank__of_corner_matrices(void **state)
{
    (void)state;
    tb_npy z = golden_f64("%s", "corner_z"), rank = golden_f64("%s", "corner_compact"),
           share = golden_f64("%s", "corner_energy1");
    float identity[6 * 6] = {0}, rows[8 * 6];
    for (size_t i = 0; i < 6; i++)
        identity[i * 6 + i] = 1;
    for (size_t m = 0; m < 6; m++) {
        for (size_t i = 0; i < 48; i++)
            rows[i] = (float)((const double *)z.data)[m * 48 + i];
        tb_projection p = {rows, 8, 6, identity, 6, 6};
        double *energies;
        size_t n;
        assert_int_equal(tb_projection_energies(&energies, &n, &p, 0, 6, false, NULL), TB_OK);
        double tolerance = 1e-6; // the matrices were rounded to float on the way here
        assert_true(fabs(tb_effective_rank(energies, n) - ((const double *)rank.data)[m]) < tolerance);
        assert_true(fabs(tb_energy_share(energies, n, 1) - ((const double *)share.data)[m]) < tolerance);
        tb_free(energies);
    }
    tb_npy_close(&z);
    tb_npy_close(&rank);
    tb_npy_close(&share);
}

static void effective_rank__ignores_scale_and_transposition(void **state)
{
    (void)state;
    enum { ROWS = 40, COLS = 24 };
    float w[ROWS * COLS], t[COLS * ROWS], scaled[ROWS * COLS];
    tb_random_weights(w, ROWS * COLS, 5, 0, 0, 0);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++) {
            t[c * ROWS + r] = w[r * COLS + c];
            scaled[r * COLS + c] = w[r * COLS + c] * 0x1p-60f;
        }
    double rank = rank_of(&(tb_projection){.weights = w, .rows = ROWS, .cols = COLS}, 0, ROWS, false);
    assert_near(rank_of(&(tb_projection){.weights = t, .rows = COLS, .cols = ROWS}, 0, COLS, false), rank);
    assert_near(rank_of(&(tb_projection){.weights = scaled, .rows = ROWS, .cols = COLS}, 0, ROWS, false), rank);
    assert_true(rank >= 1 && rank <= COLS);
}

static void gaussian_rank__predicts_random_matrices(void **state)
{
    (void)state;
    enum { ROWS = 128, COLS = 256 };
    static float w[ROWS * COLS];
    tb_random_weights(w, ROWS * COLS, 11, 3, 2, 0);
    double rank = rank_of(&(tb_projection){.weights = w, .rows = ROWS, .cols = COLS}, 0, ROWS, false);
    assert_true(fabs(rank / tb_gaussian_rank(ROWS, COLS) - 1) < 0.025);
}

static void allocation__never_takes_bits_away_when_the_budget_grows(void **state)
{
    (void)state;
    enum { N = 12 };
    tb_rng rng;
    tb_rng_init(&rng, 1, 0);
    for (int round = 0; round < 200; round++) {
        double scores[N];
        size_t order[N];
        uint8_t before[N] = {0}, bits[N];
        for (size_t i = 0; i < N; i++)
            scores[i] = tb_rng_normal(&rng);
        tb_score_order(order, scores, N);
        for (double budget = 2; budget <= 4; budget += 0.125) {
            tb_allocate_two(bits, order, N, budget, 2, 4);
            double used = 0;
            for (size_t i = 0; i < N; i++) {
                assert_true(bits[i] >= before[i]);
                before[i] = bits[i];
                used += bits[i];
            }
            // Rounding adds half a block's two bits at most; the one block above the floor a whole one's.
            assert_true(used <= N * budget + (budget < 2 + 1.0 / N ? 2 : 1));
        }
        for (size_t i = 0; i < N; i++)
            assert_int_equal(bits[i], 4);
    }
}

static void energies__survive_lack_of_memory(void **state)
{
    (void)state;
    float w[64];
    tb_random_weights(w, 64, 1, 1, 1, 0);
    tb_projection p = {.inputs = w, .tokens = 8, .stride = 8, .weights = w, .rows = 8, .cols = 8};
    for (long long n = 0; n < 5; n++) {
        double *energies;
        size_t count;
        tb_error err;
        tb_mem_fail_after(n);
        tb_code rc = tb_projection_energies(&energies, &count, &p, 0, 8, false, &err);
        tb_mem_fail_after(-1);
        assert_int_equal(rc, TB_ENOMEM);
        assert_null(energies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(energies__reproduce_golden_ranks_and_shares),
        cmocka_unit_test(gaps__reproduce_golden_variants),
        cmocka_unit_test(data_free_gaps__reproduce_golden),
        cmocka_unit_test(composite__reproduces_golden_score),
        cmocka_unit_test(allocation__reproduces_golden_budgets),
        cmocka_unit_test(allocation__by_score_is_a_prefix_of_the_golden_order),
        cmocka_unit_test(effective_rank__of_corner_matrices),
        cmocka_unit_test(effective_rank__ignores_scale_and_transposition),
        cmocka_unit_test(gaussian_rank__predicts_random_matrices),
        cmocka_unit_test(allocation__never_takes_bits_away_when_the_budget_grows),
        cmocka_unit_test(energies__survive_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
