#include "quant/rtn.h"

#include "quant/coefs.h"
#include "quant/grid.h"
#include "quant/objective.h"

#include <math.h>

enum { ROWS = 16 }; // rows per range

typedef struct rtn_work {
    tb_packed *out;
    const tb_quant_problem *problem;
    const double *importance; // [cols] of errors, for the search of grids; NULL: grids span their group
    unsigned bits;
    size_t group;
    double *weights; // [workers][group]
    size_t *clamped; // [rows]
    double *error;   // [rows]
    double *energy;  // [rows]
} rtn_work;

static void quantize_group(rtn_work *work, size_t row, size_t group, const double *weights, size_t n)
{
    tb_grid grid;
    if (work->importance)
        tb_grid_fit_clipped(&grid, weights, work->importance + group * work->group, n, work->bits, &work->clamped[row]);
    else
        tb_grid_fit_half(&grid, weights, n, work->bits, &work->clamped[row]);
    work->out->coefs[row * tb_matrix_groups(&work->out->view) + group] = tb_half_from_double(grid.scale);
    tb_packed_set_zero(work->out, row, group, (unsigned)grid.zero);
    for (size_t i = 0; i < n; i++) {
        unsigned code = tb_grid_code(&grid, weights[i]);
        tb_packed_set_code(work->out, row, group * work->group + i, code);
        double error = weights[i] - tb_grid_value(&grid, code);
        work->error[row] += error * error;
        work->energy[row] += weights[i] * weights[i];
    }
}

static void quantize_rows(void *user, size_t begin, size_t end, size_t worker)
{
    rtn_work *work = user;
    double *weights = work->weights + worker * work->group;
    size_t cols = work->problem->cols;
    for (size_t row = begin; row < end; row++)
        for (size_t start = 0; start < cols; start += work->group) {
            size_t n = cols - start < work->group ? cols - start : work->group;
            const float *source = work->problem->weights + row * cols + start;
            for (size_t i = 0; i < n; i++)
                weights[i] = isfinite(source[i]) ? (double)source[i] : 0;
            quantize_group(work, row, start / work->group, weights, n);
        }
}

static void work_clear(rtn_work *work)
{
    tb_free(work->energy);
    tb_free(work->error);
    tb_free(work->clamped);
    tb_free(work->weights);
}

// Errors in the report are those of the weights alone.
static tb_code round_groups(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                            const double *importance, tb_quant_report *report, tb_error *err)
{
    size_t rows = problem->rows;
    rtn_work work = {
        .out = out, .problem = problem, .importance = importance, .bits = options->bits, .group = options->group};
    work.weights = tb_alloc_array(options->threads * options->group, sizeof *work.weights);
    work.clamped = tb_alloc_array(rows, sizeof *work.clamped);
    work.error = tb_alloc_array(rows, sizeof *work.error);
    work.energy = tb_alloc_array(rows, sizeof *work.energy);
    tb_code rc = TB_OK;
    if (work.weights && work.clamped && work.error && work.energy)
        tb_parallel(options->threads, rows, ROWS, quantize_rows, &work);
    else
        rc = tb_fail(err, TB_ENOMEM, "no memory to quantize a matrix of %zu x %zu", rows, problem->cols);
    for (size_t r = 0; !rc && r < rows; r++) {
        report->clamped_coefs += work.clamped[r];
        report->error += work.error[r];
        report->energy += work.energy[r];
    }
    work_clear(&work);
    return rc;
}

tb_code tb_rtn_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                        tb_quant_report *report, tb_error *err)
{
    return round_groups(out, problem, options, NULL, report, err);
}

tb_code tb_clip_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                         tb_quant_report *report, tb_error *err)
{
    size_t cols = problem->cols;
    tb_quant_report of_weights = {0};
    double *importance = tb_alloc_array(cols, sizeof *importance);
    if (!importance)
        return tb_fail(err, TB_ENOMEM, "no memory for the second moments of %zu inputs", cols);
    for (size_t c = 0; c < cols; c++)
        importance[c] = problem->moments[c * cols + c];
    tb_code rc = round_groups(out, problem, options, importance, &of_weights, err);
    tb_free(importance);
    report->clamped_coefs += of_weights.clamped_coefs;
    return rc ? rc : tb_objective_measure(report, &out->view, problem, options->threads, err);
}
