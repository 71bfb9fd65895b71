// The scale is that of the weights' span. The zero point z is found by alternating between two steps, in units of the
// scale, so that β means the same for every group (W in steps, Q the nearest codes):
//
//     E ← shrink(W − (Q − z)),  shrink(x) = sign(x)·max(0, |x| − |x|^(p−1)/β)
//     z ← mean(Q − (W − E)),    β ← κ·β
//
// Every z is judged as it would be stored, as an offset −z·scale rounded to half; the best is kept.
#include "quant/hqq.h"

#include "quant/coefs.h"
#include "quant/each_group.h"
#include "quant/line.h"

#include <math.h>

// p, the first β and κ of the authors' code.
#define NORM 0.7
#define FIRST_BETA 10.0
#define KAPPA 1.01

static double shrink(double x, double beta)
{
    double size = fabs(x);
    return size > 0 ? copysign(fmax(size - pow(size, NORM - 1) / beta, 0), x) : 0;
}

// Σ|w − q|^p, in steps.
static double sparse_cost(const tb_line *l, const double *weights, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow(fabs((weights[i] - l->offset) / l->scale - tb_line_code(l, weights[i])), NORM);
    return sum;
}

// The mean of what codes are off from weights, those errors left out that β lets stand.
static double improve_offset(const tb_line *l, const double *weights, size_t n, double beta)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double error = (weights[i] - l->offset) / l->scale - tb_line_code(l, weights[i]);
        sum += error - shrink(error, beta);
    }
    return l->offset + l->scale * sum / (double)n;
}

static void fit_offset(tb_line *best, const double *weights, size_t n, unsigned iterations, size_t *clamped)
{
    tb_line now = *best;
    double least = sparse_cost(best, weights, n), beta = FIRST_BETA;
    for (unsigned i = 0; i < iterations; i++, beta *= KAPPA) {
        now.offset = tb_coef_round(improve_offset(&now, weights, n, beta), clamped);
        double cost = sparse_cost(&now, weights, n);
        if (!(cost < least))
            return;
        least = cost;
        *best = now;
    }
}

static void quantize_group(const void *user, tb_packed *out, const tb_lone_group *group, double *values,
                           size_t *clamped)
{
    const tb_quant_options *options = user;
    tb_line line;
    size_t clamped_on_the_way = 0; // the first line has been counted
    tb_line_span(&line, group->weights, group->size, options->bits, clamped);
    if (line.scale > 0)
        fit_offset(&line, group->weights, group->size, options->iterations, &clamped_on_the_way);
    tb_line_pack(out, group->row, group->first, &line, group->weights, group->size, values);
}

tb_code tb_hqq_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                        tb_quant_report *report, tb_error *err)
{
    return tb_each_group(out, problem, options, (tb_group_quantizer){quantize_group, options}, report, err);
}
