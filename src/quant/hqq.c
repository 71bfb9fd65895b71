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

#include <math.h>

// p, the first β and κ of the authors' code.
#define NORM 0.7
#define FIRST_BETA 10.0
#define KAPPA 1.01

// value = scale·code + offset, both as stored
typedef struct line {
    double scale, offset, top;
} line;

static double nearest_code(const line *l, double weight)
{
    double code = l->scale > 0 ? rint((weight - l->offset) / l->scale) : 0;
    return fmin(fmax(code, 0), l->top);
}

static double shrink(double x, double beta)
{
    double size = fabs(x);
    return size > 0 ? copysign(fmax(size - pow(size, NORM - 1) / beta, 0), x) : 0;
}

// Σ|w − q|^p, in steps.
static double sparse_cost(const line *l, const double *weights, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow(fabs((weights[i] - l->offset) / l->scale - nearest_code(l, weights[i])), NORM);
    return sum;
}

// The mean of what codes are off from weights, those errors left out that β lets stand.
static double improve_offset(const line *l, const double *weights, size_t n, double beta)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double error = (weights[i] - l->offset) / l->scale - nearest_code(l, weights[i]);
        sum += error - shrink(error, beta);
    }
    return l->offset + l->scale * sum / (double)n;
}

static void fit_offset(line *best, const double *weights, size_t n, unsigned iterations, size_t *clamped)
{
    line now = *best;
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

// `options`: resolved
static void fit_line(line *l, const double *weights, size_t n, const tb_quant_options *options, size_t *clamped)
{
    double low = weights[0], high = weights[0];
    for (size_t i = 1; i < n; i++) {
        low = fmin(low, weights[i]);
        high = fmax(high, weights[i]);
    }
    l->top = (double)((1u << options->bits) - 1);
    l->scale = tb_coef_round((high - low) / l->top, clamped);
    l->offset = tb_coef_round(l->scale > 0 ? low : (low + high) / 2, clamped);
    size_t clamped_on_the_way = 0; // the first offset has been counted
    if (l->scale > 0)
        fit_offset(l, weights, n, options->iterations, &clamped_on_the_way);
}

static void quantize_group(const void *user, tb_packed *out, const tb_lone_group *group, double *values,
                           size_t *clamped)
{
    line l;
    fit_line(&l, group->weights, group->size, user, clamped);
    uint16_t *coefs = out->coefs + (group->row * tb_matrix_groups(&out->view) + group->index) * 2;
    coefs[0] = tb_half_from_double(l.scale);
    coefs[1] = tb_half_from_double(l.offset);
    for (size_t i = 0; i < group->size; i++) {
        double code = nearest_code(&l, group->weights[i]);
        tb_packed_set_code(out, group->row, group->first + i, (unsigned)code);
        values[i] = (double)(float)(code * l.scale + l.offset);
    }
}

tb_code tb_hqq_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                        tb_quant_report *report, tb_error *err)
{
    return tb_each_group(out, problem, options, (tb_group_quantizer){quantize_group, options}, report, err);
}
