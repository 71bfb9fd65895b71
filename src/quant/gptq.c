#include "quant/gptq.h"

#include "quant/coefs.h"
#include "quant/feedback.h"
#include "quant/grid.h"

#include <string.h>

enum { ROWS = 16 }; // rows per range

typedef struct gptq {
    tb_packed *out;
    unsigned bits;
    size_t largest_group;
    double *carried; // [workers][largest_group]
    size_t *clamped; // [rows]
    // For the rows of the current group:
    const tb_group *group;
    double *quantized;
} gptq;

// carried[j] gathers (Σ_{s<j} (w_s − q_s)·V_sj), so that the weight to round at column j is
// w_j + carried[j]/V_jj.
static void quantize_row(gptq *g, size_t row, double *carried)
{
    const tb_group *group = g->group;
    size_t size = group->size;
    const double *target = group->target + row * size;
    tb_grid grid;
    tb_grid_fit_half(&grid, target, size, g->bits, &g->clamped[row]);
    g->out->coefs[row * tb_matrix_groups(&g->out->view) + group->index] = tb_half_from_double(grid.scale);
    tb_packed_set_zero(g->out, row, group->index, (unsigned)grid.zero);
    memset(carried, 0, size * sizeof *carried);
    for (size_t t = 0; t < size; t++) {
        const double *factor = group->factor + t * size;
        unsigned code = tb_grid_code(&grid, target[t] + carried[t] / factor[t]);
        tb_packed_set_code(g->out, row, group->columns[t], code);
        g->quantized[row * size + t] = tb_grid_value(&grid, code);
        double error = target[t] - g->quantized[row * size + t];
        for (size_t j = t + 1; j < size; j++)
            carried[j] += error * factor[j];
    }
}

static void quantize_rows(void *user, size_t begin, size_t end, size_t worker)
{
    gptq *g = user;
    for (size_t row = begin; row < end; row++)
        quantize_row(g, row, g->carried + worker * g->largest_group);
}

static tb_code quantize_group(void *user, const tb_group *group, double *quantized, tb_error *err)
{
    (void)err;
    gptq *g = user;
    g->group = group;
    g->quantized = quantized;
    tb_parallel(group->threads, group->rows, ROWS, quantize_rows, g);
    return TB_OK;
}

tb_code tb_gptq_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                         tb_quant_report *report, tb_error *err)
{
    size_t rows = problem->rows, cols = problem->cols;
    gptq g = {.out = out, .bits = options->bits, .largest_group = options->group};
    double *weights = tb_alloc_array(rows * cols, sizeof *weights);
    g.carried = tb_alloc_array(options->threads * options->group, sizeof *g.carried);
    g.clamped = tb_alloc_array(rows, sizeof *g.clamped);
    tb_code rc = TB_OK;
    if (!weights || !g.carried || !g.clamped)
        rc = tb_fail(err, TB_ENOMEM, "no memory to quantize a matrix of %zu x %zu", rows, cols);
    if (!rc) {
        tb_feedback_gather(weights, problem->weights, rows, problem->curvature);
        tb_group_visitor visitor = {quantize_group, &g};
        rc = tb_feedback_run(weights, rows, problem->curvature, options->threads, visitor, report, err);
    }
    for (size_t r = 0; !rc && r < rows; r++)
        report->clamped_coefs += g.clamped[r];
    tb_free(g.clamped);
    tb_free(g.carried);
    tb_free(weights);
    return rc;
}
