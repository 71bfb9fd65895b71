#include "quant/rtn.h"

#include "quant/coefs.h"
#include "quant/each_group.h"
#include "quant/grid.h"
#include "quant/objective.h"

typedef struct rounding {
    unsigned bits;
    const double *importance; // [cols] of errors, for the search of grids; NULL: grids span their group
} rounding;

static void quantize_group(const void *user, tb_packed *out, const tb_lone_group *group, double *values,
                           size_t *clamped)
{
    const rounding *r = user;
    tb_grid grid;
    if (r->importance)
        tb_grid_fit_clipped(&grid, group->weights, r->importance + group->first, group->size, r->bits, clamped);
    else
        tb_grid_fit_half(&grid, group->weights, group->size, r->bits, clamped);
    out->coefs[group->row * tb_matrix_groups(&out->view) + group->index] = tb_half_from_double(grid.scale);
    tb_packed_set_zero(out, group->row, group->index, (unsigned)grid.zero);
    for (size_t i = 0; i < group->size; i++) {
        unsigned code = tb_grid_code(&grid, group->weights[i]);
        tb_packed_set_code(out, group->row, group->first + i, code);
        values[i] = tb_grid_value(&grid, code);
    }
}

tb_code tb_rtn_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                        tb_quant_report *report, tb_error *err)
{
    rounding r = {.bits = options->bits};
    return tb_each_group(out, problem, options, (tb_group_quantizer){quantize_group, &r}, report, err);
}

tb_code tb_round_clipped(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                         const double *importance, tb_quant_report *report, tb_error *err)
{
    rounding r = {options->bits, importance};
    return tb_each_group(out, problem, options, (tb_group_quantizer){quantize_group, &r}, report, err);
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
    tb_code rc = tb_round_clipped(out, problem, options, importance, &of_weights, err);
    tb_free(importance);
    report->clamped_coefs += of_weights.clamped_coefs;
    if (rc)
        return rc;
    return tb_objective_measure(&report->error, &report->energy, &out->view, problem, options->threads, err);
}
