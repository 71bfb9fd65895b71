// The exact posterior. With walsh-first spreading u = H_N·h/√N has independent CN(0, 1) entries
// when h has, and the frame falls apart into 2N real blocks of R observations that share one unknown:
//
//     r_j = √ρ·u + a·l_j + w_j,   u ~ N(0, 1/2), w_j ~ N(0, s2/2), a = √(1−ρ), l_j a level
//
// QPSK with R ≤ 8: all 2^R sign patterns. Otherwise: u on a grid, the levels summed out.
#include <math.h>
#include <string.h>

#include "csi/receiver.h"

enum { MOST_PATTERN_BITS = 8, PATTERNS = 1 << MOST_PATTERN_BITS };

// One real block.
typedef struct block {
    const tb_csi_axis *axis;
    size_t r;
    double rho, s2;
    const double *seen; // [r]
    unsigned *places;   // [r]: out, the likeliest level of each symbol
} block;

// ---- all sign patterns ----

// x[0 … 2^R) ← log-weights of the patterns without the term that depends on their sum: bit j of
// the index set means s_j = +1.
static void fill_exponents(double *x, const block *b, double slope)
{
    double least = 0;
    for (size_t j = 0; j < b->r; j++)
        least -= slope * b->seen[j];
    x[0] = least;
    for (size_t j = 0; j < b->r; j++)
        for (size_t i = 0; i < (size_t)1 << j; i++)
            x[(1u << j) + i] = x[i] + 2 * slope * b->seen[j];
}

static int sign_sum(unsigned pattern, size_t r)
{
    int ones = 0;
    for (unsigned bits = pattern; bits; bits &= bits - 1)
        ones++;
    return 2 * ones - (int)r;
}

// log p(s|r) = (2/s2)·[a·Σ s_j·r_j − a·κ·S·Y + a²·κ·S²/2] + const, κ = ρ/(s2 + R·ρ),
// S = Σ s_j, Y = Σ r_j; E[u|r, s] = √ρ·(Y − a·S)/(s2 + R·ρ).
static double enumerate(const block *b)
{
    double x[PATTERNS], by_sum[MOST_PATTERN_BITS + 1], positive[MOST_PATTERN_BITS] = {0};
    double a = sqrt((1 - b->rho) / 2), total = 0, signs = 0, y = 0, most = -INFINITY;
    double spread = b->s2 + (double)b->r * b->rho, kappa = b->rho / spread;
    for (size_t j = 0; j < b->r; j++)
        y += b->seen[j];
    for (size_t ones = 0; ones <= b->r; ones++) {
        double s = 2 * (double)ones - (double)b->r;
        by_sum[ones] = 2 / b->s2 * (a * a * kappa * s * s / 2 - a * kappa * s * y);
    }
    fill_exponents(x, b, 2 * a / b->s2);
    unsigned patterns = 1u << b->r;
    for (unsigned i = 0; i < patterns; i++) {
        x[i] += by_sum[(size_t)(sign_sum(i, b->r) + (int)b->r) / 2];
        most = fmax(most, x[i]);
    }
    for (unsigned i = 0; i < patterns; i++) {
        if (x[i] < most - 40) // below 1e-17 of the largest: nothing to the sums
            continue;
        double weight = exp(x[i] - most);
        total += weight;
        signs += weight * sign_sum(i, b->r);
        for (size_t j = 0; j < b->r; j++)
            positive[j] += i >> j & 1 ? weight : 0;
    }
    for (size_t j = 0; j < b->r; j++)
        b->places[j] = 2 * positive[j] >= total;
    return sqrt(b->rho) * (y - a * signs / total) / spread;
}

// ---- a grid over u ----

enum { GRID = 161 };
static const double grid_reach = 4 * 0.70710678118654752440; // four standard deviations of u

// The log-likelihood of what is seen of one symbol, summed over its levels; level weights too.
static double symbol_likelihood(double weights[8], const block *b, double rest)
{
    double exponents[8], most = -INFINITY, total = 0;
    for (unsigned k = 0; k < b->axis->level_count; k++) {
        double miss = rest - sqrt(1 - b->rho) * b->axis->levels[k];
        exponents[k] = -miss * miss / b->s2;
        most = fmax(most, exponents[k]);
    }
    for (unsigned k = 0; k < b->axis->level_count; k++)
        total += weights[k] = exp(exponents[k] - most);
    for (unsigned k = 0; k < b->axis->level_count; k++)
        weights[k] /= total;
    return most + log(total);
}

static double integrate(const block *b)
{
    double posterior[GRID], weights[8], most = -INFINITY, total = 0, mean = 0;
    double step = 2 * grid_reach / (GRID - 1), root = sqrt(b->rho);
    for (size_t i = 0; i < GRID; i++) {
        double u = step * (double)i - grid_reach;
        posterior[i] = -u * u;
        for (size_t j = 0; j < b->r; j++)
            posterior[i] += symbol_likelihood(weights, b, b->seen[j] - root * u);
        most = fmax(most, posterior[i]);
    }
    for (size_t i = 0; i < GRID; i++) {
        posterior[i] = exp(posterior[i] - most);
        total += posterior[i];
        mean += posterior[i] * (step * (double)i - grid_reach);
    }
    for (size_t j = 0; j < b->r; j++) {
        double levels[8] = {0};
        for (size_t i = 0; i < GRID; i++) {
            if (posterior[i] < 1e-17)
                continue;
            symbol_likelihood(weights, b, b->seen[j] - root * (step * (double)i - grid_reach));
            for (unsigned k = 0; k < b->axis->level_count; k++)
                levels[k] += posterior[i] * weights[k];
        }
        unsigned best = 0;
        for (unsigned k = 1; k < b->axis->level_count; k++)
            best = levels[k] >= levels[best] ? k : best;
        b->places[j] = best;
    }
    return mean / total;
}

// ---- the frame ----

// Fills h and the levels chosen for each real symbol.
void tb_csi_receive_bayes(tb_csi_estimate *out, const tb_csi_link *link, const tb_csi_frame *f, double *scratch)
{
    size_t n = link->options.n, p = link->options.p, r = link->r;
    double *seen = scratch, *decided = scratch + 2 * p;
    unsigned *places = (unsigned *)(void *)(scratch + p);
    block b = {.axis = &link->axis, .r = r, .rho = f->rho, .s2 = f->s2, .seen = seen, .places = places};
    bool few = link->options.modulation == TB_CSI_QPSK && r <= MOST_PATTERN_BITS;
    for (size_t part = 0; part < 2; part++) {
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < r; j++)
                seen[j] = f->r[part * p + j * n + i];
            out->h[part * n + i] = few ? enumerate(&b) : integrate(&b);
            for (size_t j = 0; j < r; j++)
                decided[part * p + j * n + i] = link->axis.levels[places[j]];
        }
        tb_csi_hadamard(out->h + part * n, n);
    }
    double unitary = 1 / sqrt((double)n);
    for (size_t i = 0; i < 2 * n; i++)
        out->h[i] *= unitary;
    tb_csi_demodulate(out->bits, link, decided, 1);
}
