// The fit works on the finite weights of a group, gathered in column order: sums in that
// order give the same bits on every machine. The loop over weights in the trit step has
// no branches, so that the compiler can do several weights at once; sorting the group instead
// (specification 3.7) would save little more and decide ties differently.
#include "quant/ptqtp.h"

#include "quant/coefs.h"

#include <math.h>
#include <string.h>

enum { ROWS = 16, PAIRS = 9 };

#define FIRST_RIDGE 1e-8  // λ0
#define LARGEST_RIDGE 1.0 // λ_max
#define LARGEST_CONDITION 1e12

// The nine pairs in the order that decides ties: lexicographic in the fit, which puts
// opposite signs before (0,0) and leads to the better basin; sparse first when packing.
typedef struct trit_pair {
    int8_t p, q;
} trit_pair;
static const trit_pair fit_order[PAIRS] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 0},
                                           {0, 1},   {1, -1}, {1, 0},  {1, 1}};
static const trit_pair pack_order[PAIRS] = {{0, 0},   {0, -1}, {0, 1},  {-1, 0}, {1, 0},
                                            {-1, -1}, {-1, 1}, {1, -1}, {1, 1}};

// A group during the fit.
typedef struct group_fit {
    const double *w; // [n] finite weights
    double *pick;    // [n] index into an order of pairs
    double *last;    // [n] the pick before
    size_t n;
    double alpha[2];
    double ridge; // λ: kept from step to step
} group_fit;

// Ridge regression on two planes whose Gram matrix is made of integers, so that the
// determinant does not cancel (3.3).
static void solve_scales(group_fit *fit, double s11, double s22, double s12, double b1, double b2)
{
    double minor = s11 * s22 - s12 * s12, l = fit->ridge;
    double det = minor + l * (s11 + s22) + l * l;
    double condition = ((s11 + l) * (s11 + l) + (s22 + l) * (s22 + l) + 2 * s12 * s12) / det;
    if (condition >= LARGEST_CONDITION) {
        l = fmin(l * sqrt(condition / LARGEST_CONDITION), LARGEST_RIDGE);
        det = minor + l * (s11 + s22) + l * l;
        fit->ridge = l;
    }
    fit->alpha[0] = ((s22 * b1 - s12 * b2) + l * b1) / det;
    fit->alpha[1] = ((s11 * b2 - s12 * b1) + l * b2) / det;
}

// Scales for the planes t1 = t2 = sign(w), with which the alternation starts (3.2).
static void fit_scales_to_signs(group_fit *fit)
{
    double n = (double)fit->n, b = 0;
    for (size_t i = 0; i < fit->n; i++)
        b += fabs(fit->w[i]);
    solve_scales(fit, n, n, n, b, b);
}

static void fit_scales_to_picks(group_fit *fit)
{
    double s11 = 0, s22 = 0, s12 = 0, b1 = 0, b2 = 0;
    for (size_t i = 0; i < fit->n; i++) {
        trit_pair pair = fit_order[(unsigned)fit->pick[i]];
        s11 += pair.p * pair.p;
        s22 += pair.q * pair.q;
        s12 += pair.p * pair.q;
        b1 += pair.p * fit->w[i];
        b2 += pair.q * fit->w[i];
    }
    solve_scales(fit, s11, s22, s12, b1, b2);
}

// The nearest of nine levels for every weight, the first of equals (3.4).
static void pick_levels(double *pick, const double *w, size_t n, const double levels[PAIRS])
{
    for (size_t i = 0; i < n; i++) {
        double least = fabs(w[i] - levels[0]), best = 0;
        for (int k = 1; k < PAIRS; k++) {
            double distance = fabs(w[i] - levels[k]);
            best = distance < least ? k : best;
            least = distance < least ? distance : least;
        }
        pick[i] = best;
    }
}

static void list_levels(double levels[PAIRS], const trit_pair order[PAIRS], const double alpha[2])
{
    for (int k = 0; k < PAIRS; k++)
        levels[k] = alpha[0] * order[k].p + alpha[1] * order[k].q;
}

// Picks that stand for t1 = t2 = sign(w), with sign(0) = +1.
static void pick_signs(group_fit *fit)
{
    for (size_t i = 0; i < fit->n; i++)
        fit->last[i] = fit->w[i] >= 0 ? PAIRS - 1 : 0;
}

// Alternates until no trit changes; returns the steps taken, or the cap.
static unsigned alternate(group_fit *fit, unsigned max_iterations)
{
    double levels[PAIRS];
    fit_scales_to_signs(fit);
    pick_signs(fit);
    for (unsigned step = 1; step <= max_iterations; step++) {
        list_levels(levels, fit_order, fit->alpha);
        pick_levels(fit->pick, fit->w, fit->n, levels);
        if (memcmp(fit->pick, fit->last, fit->n * sizeof *fit->pick) == 0)
            return step;
        memcpy(fit->last, fit->pick, fit->n * sizeof *fit->pick);
        fit_scales_to_picks(fit);
    }
    return max_iterations;
}

// The finite weights in order; returns how many.
static size_t gather(double *out, const float *weights, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(weights[i]))
            out[count++] = (double)weights[i];
    return count;
}

// Trits from picks, (0, 0) for weights that were not gathered.
static void scatter(int8_t *t1, int8_t *t2, const double *pick, const trit_pair order[PAIRS], const float *weights,
                    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        trit_pair pair = isfinite(weights[i]) ? order[(unsigned)*pick++] : (trit_pair){0, 0};
        t1[i] = pair.p;
        t2[i] = pair.q;
    }
}

static bool all_zero(const double *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (w[i] != 0)
            return false;
    return true;
}

void tb_ptqtp_fit(tb_trit_fit *out, int8_t *t1, int8_t *t2, const float *weights, size_t n, unsigned max_iterations,
                  double *scratch)
{
    group_fit fit = {.w = scratch, .pick = scratch + n, .last = scratch + 2 * n, .ridge = FIRST_RIDGE};
    fit.n = gather(scratch, weights, n);
    *out = (tb_trit_fit){0};
    memset(t1, 0, n);
    memset(t2, 0, n);
    if (all_zero(fit.w, fit.n))
        return;
    out->iterations = alternate(&fit, max_iterations);
    memcpy(out->alpha, fit.alpha, sizeof fit.alpha);
    scatter(t1, t2, fit.pick, fit_order, weights, n);
}

void tb_ptqtp_round(uint16_t scales[2], int8_t *t1, int8_t *t2, const tb_trit_fit *fit, const float *weights, size_t n,
                    double *scratch, size_t *clamped)
{
    double first = fabs(fit->alpha[0]), second = fabs(fit->alpha[1]), levels[PAIRS];
    scales[0] = tb_coef_store(fmax(first, second), clamped);
    scales[1] = tb_coef_store(fmin(first, second), clamped);
    const double alpha[2] = {(double)tb_half_to_float(scales[0]), (double)tb_half_to_float(scales[1])};
    list_levels(levels, pack_order, alpha);
    size_t count = gather(scratch, weights, n);
    pick_levels(scratch + n, scratch, count, levels);
    scatter(t1, t2, scratch + n, pack_order, weights, n);
}

typedef struct ptqtp {
    tb_packed *out;
    const tb_quant_problem *problem;
    size_t group;
    unsigned max_iterations;
    double *scratch; // [workers][3][group]
    int8_t *trits;   // [workers][2][cols]
    size_t *clamped; // [rows]
    double *error;   // [rows]
    double *energy;  // [rows]
} ptqtp;

static void add_errors(ptqtp *p, size_t row, const uint16_t scales[2], const int8_t *t1, const int8_t *t2,
                       const float *weights, size_t n)
{
    double first = (double)tb_half_to_float(scales[0]), second = (double)tb_half_to_float(scales[1]);
    for (size_t i = 0; i < n; i++) {
        double w = isfinite(weights[i]) ? (double)weights[i] : 0;
        double error = w - (first * t1[i] + second * t2[i]);
        p->error[row] += error * error;
        p->energy[row] += w * w;
    }
}

static void quantize_row(ptqtp *p, size_t row, double *scratch, int8_t *t1, int8_t *t2)
{
    size_t cols = p->problem->cols, groups = tb_matrix_groups(&p->out->view);
    const float *weights = p->problem->weights + row * cols;
    for (size_t g = 0; g < groups; g++) {
        size_t start = g * p->group, n = cols - start < p->group ? cols - start : p->group;
        uint16_t *scales = p->out->coefs + (row * groups + g) * 2;
        tb_trit_fit fit;
        tb_ptqtp_fit(&fit, t1 + start, t2 + start, weights + start, n, p->max_iterations, scratch);
        tb_ptqtp_round(scales, t1 + start, t2 + start, &fit, weights + start, n, scratch, &p->clamped[row]);
        add_errors(p, row, scales, t1 + start, t2 + start, weights + start, n);
    }
    tb_packed_set_trits(p->out, row, 0, t1);
    tb_packed_set_trits(p->out, row, 1, t2);
}

static void quantize_rows(void *user, size_t begin, size_t end, size_t worker)
{
    ptqtp *p = user;
    double *scratch = p->scratch + worker * 3 * p->group;
    int8_t *trits = p->trits + worker * 2 * p->problem->cols;
    for (size_t row = begin; row < end; row++)
        quantize_row(p, row, scratch, trits, trits + p->problem->cols);
}

static void ptqtp_clear(ptqtp *p)
{
    tb_free(p->energy);
    tb_free(p->error);
    tb_free(p->clamped);
    tb_free(p->trits);
    tb_free(p->scratch);
}

tb_code tb_ptqtp_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                          tb_quant_report *report, tb_error *err)
{
    size_t rows = problem->rows, threads = options->threads;
    ptqtp p = {.out = out, .problem = problem, .group = options->group, .max_iterations = options->iterations};
    p.scratch = tb_alloc_array(threads * 3 * options->group, sizeof *p.scratch);
    p.trits = tb_alloc_array(threads * 2, problem->cols);
    p.clamped = tb_alloc_array(rows, sizeof *p.clamped);
    p.error = tb_alloc_array(rows, sizeof *p.error);
    p.energy = tb_alloc_array(rows, sizeof *p.energy);
    tb_code rc = TB_OK;
    if (p.scratch && p.trits && p.clamped && p.error && p.energy)
        tb_parallel(threads, rows, ROWS, quantize_rows, &p);
    else
        rc = tb_fail(err, TB_ENOMEM, "no memory to quantize a matrix of %zu x %zu", rows, problem->cols);
    for (size_t r = 0; !rc && r < rows; r++) {
        report->clamped_coefs += p.clamped[r];
        report->error += p.error[r];
        report->energy += p.energy[r];
    }
    ptqtp_clear(&p);
    return rc;
}
