#include "quant/each_group.h"

#include <math.h>

enum { ROWS = 16 }; // rows per range

typedef struct walk {
    tb_packed *out;
    const tb_quant_problem *problem;
    tb_group_quantizer quantizer;
    size_t group;
    double *scratch; // [workers][2][group]: weights and values
    size_t *clamped; // [rows]
    double *error;   // [rows]
    double *energy;  // [rows]
} walk;

static void visit_group(walk *w, size_t row, size_t first, double *scratch)
{
    size_t left = w->problem->cols - first, size = left < w->group ? left : w->group;
    const float *source = w->problem->weights + row * w->problem->cols + first;
    double *weights = scratch, *values = scratch + w->group;
    for (size_t i = 0; i < size; i++)
        weights[i] = isfinite(source[i]) ? (double)source[i] : 0;
    tb_lone_group group = {row, first / w->group, first, weights, size};
    w->quantizer.quantize(w->quantizer.user, w->out, &group, values, &w->clamped[row]);
    for (size_t i = 0; i < size; i++) {
        double error = weights[i] - values[i];
        w->error[row] += error * error;
        w->energy[row] += weights[i] * weights[i];
    }
}

static void visit_rows(void *user, size_t begin, size_t end, size_t worker)
{
    walk *w = user;
    for (size_t row = begin; row < end; row++)
        for (size_t first = 0; first < w->problem->cols; first += w->group)
            visit_group(w, row, first, w->scratch + worker * 2 * w->group);
}

tb_code tb_each_group(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                      tb_group_quantizer quantizer, tb_quant_report *report, tb_error *err)
{
    size_t rows = problem->rows;
    walk w = {.out = out, .problem = problem, .quantizer = quantizer, .group = options->group};
    w.scratch = tb_alloc_array(options->threads * 2 * options->group, sizeof *w.scratch);
    w.clamped = tb_alloc_array(rows, sizeof *w.clamped);
    w.error = tb_alloc_array(rows, sizeof *w.error);
    w.energy = tb_alloc_array(rows, sizeof *w.energy);
    tb_code rc = TB_OK;
    if (w.scratch && w.clamped && w.error && w.energy)
        tb_parallel(options->threads, rows, ROWS, visit_rows, &w);
    else
        rc = tb_fail(err, TB_ENOMEM, "no memory to quantize a matrix of %zu x %zu", rows, problem->cols);
    // Rows are added in order, so that the sums do not depend on threads.
    for (size_t r = 0; !rc && r < rows; r++) {
        report->clamped_coefs += w.clamped[r];
        report->error += w.error[r];
        report->energy += w.energy[r];
    }
    tb_free(w.energy);
    tb_free(w.error);
    tb_free(w.clamped);
    tb_free(w.scratch);
    return rc;
}
