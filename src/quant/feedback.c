// With D = W − Q of the columns done so far and V the factor of the curvature, the best
// real-valued answer of a later group e to those errors is (BPDQ spec, end of section 6)
//
//     target_e = W_e + (Σ_{earlier d} D_d·V_de)·V_ee⁻¹
//
// and what a group leaves behind is E_e = (target_e − Q_e)·V_ee, with ΣE² the objective. D
// takes the place of W as the walk goes on.
#include "quant/feedback.h"

#include <math.h>
#include <string.h>

#include "tensor/tensor.h"

enum { ROWS = 64 }; // rows per range: enough for the products to run at speed

typedef struct walk {
    double *weights; // [rows][cols]: D before `start`, W from there on
    const tb_curvature *curvature;
    size_t start, size; // positions of the current group
    double *factor;     // [size][size]
    double *target;     // [rows][size]
    double *quantized;  // [rows][size]
    double *row_error;  // [rows]
    double *row_energy; // [rows]
    double *scratch;    // [workers][ROWS][cols]
} walk;

void tb_feedback_gather(double *out, const float *weights, size_t rows, const tb_curvature *curvature)
{
    size_t cols = curvature->cols;
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < cols; p++) {
            size_t column = curvature->columns[p];
            float w = weights[r * cols + column];
            out[r * cols + p] = isfinite(w) && !curvature->dead[column] ? (double)w : 0;
        }
}

static double sum_squares(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

// ‖W·V‖² row by row: the objective of Q = 0.
static void measure_energy(void *user, size_t begin, size_t end, size_t worker)
{
    walk *w = user;
    size_t cols = w->curvature->cols, rows = end - begin;
    double *whitened = w->scratch + worker * ROWS * cols;
    memcpy(whitened, w->weights + begin * cols, rows * cols * sizeof *whitened);
    tb_multiply_upper_right(whitened, cols, w->curvature->factor, cols, rows, cols);
    for (size_t r = 0; r < rows; r++)
        w->row_energy[begin + r] = sum_squares(whitened + r * cols, cols);
}

static void correct_targets(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    walk *w = user;
    size_t cols = w->curvature->cols, size = w->size, rows = end - begin;
    double *target = w->target + begin * size;
    const double *weights = w->weights + begin * cols;
    memset(target, 0, rows * size * sizeof *target);
    if (w->start > 0) {
        const double *factor = w->curvature->factor + w->start;
        tb_gemm_f64(target, size, weights, cols, false, factor, cols, false, rows, size, w->start, 1, 0);
        tb_solve_upper_right(target, size, w->factor, size, rows, size);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t t = 0; t < size; t++)
            target[r * size + t] += weights[r * cols + w->start + t];
}

// Stores D of the group and adds its errors.
static void settle_group(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    walk *w = user;
    size_t cols = w->curvature->cols, size = w->size;
    for (size_t r = begin; r < end; r++) {
        double *weights = w->weights + r * cols + w->start, *target = w->target + r * size;
        for (size_t t = 0; t < size; t++) {
            weights[t] -= w->quantized[r * size + t];
            target[t] -= w->quantized[r * size + t];
        }
    }
    double *error = w->target + begin * size;
    tb_multiply_upper_right(error, size, w->factor, size, end - begin, size);
    for (size_t r = begin; r < end; r++)
        w->row_error[r] += sum_squares(w->target + r * size, size);
}

static void enter_group(walk *w, size_t turn)
{
    const tb_curvature *c = w->curvature;
    w->start = c->starts[turn];
    w->size = c->starts[turn + 1] - w->start;
    for (size_t t = 0; t < w->size; t++)
        memcpy(w->factor + t * w->size, c->factor + (w->start + t) * c->cols + w->start, w->size * sizeof *w->factor);
}

static tb_code visit_groups(walk *w, size_t rows, size_t threads, tb_group_visitor visitor, tb_error *err)
{
    const tb_curvature *c = w->curvature;
    tb_code rc = TB_OK;
    for (size_t turn = 0; !rc && turn < c->groups; turn++) {
        enter_group(w, turn);
        tb_parallel(threads, rows, ROWS, correct_targets, w);
        tb_group group = {.index = c->order[turn],
                          .size = w->size,
                          .columns = c->columns + w->start,
                          .factor = w->factor,
                          .target = w->target,
                          .rows = rows,
                          .threads = threads};
        rc = visitor.quantize(visitor.user, &group, w->quantized, err);
        if (!rc)
            tb_parallel(threads, rows, ROWS, settle_group, w);
    }
    return rc;
}

static void walk_clear(walk *w)
{
    tb_free(w->scratch);
    tb_free(w->row_energy);
    tb_free(w->row_error);
    tb_free(w->quantized);
    tb_free(w->target);
    tb_free(w->factor);
}

static tb_code walk_init(walk *w, double *weights, size_t rows, const tb_curvature *curvature, size_t threads,
                         tb_error *err)
{
    size_t group = curvature->group < curvature->cols ? curvature->group : curvature->cols;
    *w = (walk){.weights = weights, .curvature = curvature};
    w->factor = tb_alloc_array(group * group, sizeof *w->factor);
    w->target = tb_alloc_array(rows * group, sizeof *w->target);
    w->quantized = tb_alloc_array(rows * group, sizeof *w->quantized);
    w->row_error = tb_alloc_array(rows, sizeof *w->row_error);
    w->row_energy = tb_alloc_array(rows, sizeof *w->row_energy);
    w->scratch = tb_alloc_array(threads * ROWS * curvature->cols, sizeof *w->scratch);
    if (w->factor && w->target && w->quantized && w->row_error && w->row_energy && w->scratch)
        return TB_OK;
    walk_clear(w);
    return tb_fail(err, TB_ENOMEM, "no memory to quantize a matrix of %zu x %zu", rows, curvature->cols);
}

tb_code tb_feedback_run(double *weights, size_t rows, const tb_curvature *curvature, size_t threads,
                        tb_group_visitor visitor, tb_quant_report *report, tb_error *err)
{
    walk w;
    tb_code rc = walk_init(&w, weights, rows, curvature, threads, err);
    if (rc)
        return rc;
    tb_parallel(threads, rows, ROWS, measure_energy, &w);
    rc = visit_groups(&w, rows, threads, visitor, err);
    // Rows are added in order, so that the sums do not depend on threads.
    for (size_t r = 0; r < rows; r++) {
        report->error += w.row_error[r];
        report->energy += w.row_energy[r];
    }
    walk_clear(&w);
    return rc;
}
