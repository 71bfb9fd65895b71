// The factor is taken of H itself, not of its inverse: V·Vᵀ = H + λI with V upper triangular
// has the same diagonal blocks as the inverse of the classic GPTQ factor U, so whitening is a
// product with V, error feedback a product and a small solve, and no second n×n matrix exists.
#include "quant/curvature.h"

#include "quant/objective.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/tensor.h"

// The ladder of section 3.4: δ rises in steps below 1; then floors are added to the diagonal,
// from 1e-6 of its largest value upwards, each with the whole ladder again.
#define DAMPING_STEP 0.01
#define DAMPING_END 1.0
#define LEAST_FLOOR 1e-6
enum { FLOORS = 6 };

// A column or a group with the key by which it is ordered.
typedef struct ranked {
    double key;
    size_t index;
} ranked;

// Descending by key, ascending by index where keys are equal: insertion sort is stable.
static void rank_descending(ranked *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        ranked item = items[i];
        size_t j = i;
        for (; j > 0 && items[j - 1].key < item.key; j--)
            items[j] = items[j - 1];
        items[j] = item;
    }
}

static size_t group_size(const tb_curvature *c, size_t group)
{
    size_t start = group * c->group;
    return c->cols - start < c->group ? c->cols - start : c->group;
}

static double diagonal(const tb_curvature *c, const double *moments, size_t column)
{
    return c->dead[column] ? 1.0 : moments[column * c->cols + column];
}

// Groups by their largest diagonal element, columns inside a group by their own.
static void order_columns(tb_curvature *c, const double *moments, ranked *groups, ranked *columns)
{
    for (size_t g = 0; g < c->groups; g++) {
        groups[g] = (ranked){-INFINITY, g};
        for (size_t i = 0; i < group_size(c, g); i++)
            groups[g].key = fmax(groups[g].key, diagonal(c, moments, g * c->group + i));
    }
    rank_descending(groups, c->groups);
    size_t position = 0;
    for (size_t turn = 0; turn < c->groups; turn++) {
        size_t g = groups[turn].index, size = group_size(c, g);
        c->order[turn] = g;
        c->starts[turn] = position;
        for (size_t i = 0; i < size; i++)
            columns[i] = (ranked){diagonal(c, moments, g * c->group + i), g * c->group + i};
        rank_descending(columns, size);
        for (size_t i = 0; i < size; i++)
            c->columns[position++] = columns[i].index;
    }
    c->starts[c->groups] = position;
}

static tb_code find_order(tb_curvature *c, const double *moments, tb_error *err)
{
    tb_code rc = TB_OK;
    ranked *groups = tb_alloc_array(c->groups, sizeof *groups);
    ranked *columns = tb_alloc_array(c->group, sizeof *columns);
    if (groups && columns)
        order_columns(c, moments, groups, columns);
    else
        rc = tb_fail(err, TB_ENOMEM, "no memory to order %zu columns", c->cols);
    tb_free(columns);
    tb_free(groups);
    return rc;
}

static void find_dead_columns(tb_curvature *c, const double *moments)
{
    for (size_t j = 0; j < c->cols; j++) {
        c->dead[j] = moments[j * c->cols + j] == 0;
        c->dead_columns += c->dead[j];
    }
}

// Mean and largest magnitude of the diagonal, dead columns counted as 1.
static void diagonal_statistics(const tb_curvature *c, const double *moments, double *mean, double *largest)
{
    *mean = *largest = 0;
    for (size_t j = 0; j < c->cols; j++) {
        double value = diagonal(c, moments, j);
        *mean += value / (double)c->cols;
        *largest = fmax(*largest, fabs(value));
    }
}

// H in processing order, with `floor` and `lambda` on its diagonal.
static void fill_damped(tb_curvature *c, const double *moments, double floor, double lambda)
{
    for (size_t i = 0; i < c->cols; i++) {
        double *row = c->factor + i * c->cols;
        const double *source = moments + c->columns[i] * c->cols;
        for (size_t j = 0; j < c->cols; j++)
            row[j] = source[c->columns[j]];
        double value = diagonal(c, moments, c->columns[i]);
        if (floor > 0)
            value = fmax(value + floor, floor);
        row[i] = value + lambda;
    }
}

static tb_code factor_damped(tb_curvature *c, const double *moments, const tb_quant_options *options, tb_error *err)
{
    double mean, largest, damping = options->damping ? options->damping : TB_DAMPING;
    diagonal_statistics(c, moments, &mean, &largest);
    double floor = 0;
    for (int attempt = 0; attempt <= FLOORS; attempt++) {
        // Counting the steps keeps δ exact: sums of 0.01 would drift.
        for (int step = 0; damping + DAMPING_STEP * step < DAMPING_END || step == 0; step++) {
            c->damping = damping + DAMPING_STEP * step;
            fill_damped(c, moments, floor, c->damping * (mean + floor));
            tb_code rc = tb_factor_upper(options->threads ? options->threads : 1, c->factor, c->cols, err);
            if (rc != TB_EINVAL) // a factor, or no memory
                return rc;
        }
        floor = attempt == 0 ? LEAST_FLOOR * largest : floor * 10;
    }
    return tb_fail(err, TB_EUNSUPPORTED, "second moments of %zu inputs are not positive definite, even when damped",
                   c->cols);
}

void tb_moments_shrink(double *moments, size_t cols, size_t tokens)
{
    double kept = (double)tokens / ((double)tokens + (double)cols);
    for (size_t i = 0; i < cols; i++)
        for (size_t j = 0; j < cols; j++)
            if (i != j)
                moments[i * cols + j] *= kept;
}

static tb_code allocate(tb_curvature *c, tb_error *err)
{
    size_t square;
    c->dead = tb_alloc_array(c->cols, sizeof *c->dead);
    c->order = tb_alloc_array(c->groups, sizeof *c->order);
    c->starts = tb_alloc_array(c->groups + 1, sizeof *c->starts);
    c->columns = tb_alloc_array(c->cols, sizeof *c->columns);
    if (tb_mul_size(&square, c->cols, c->cols))
        c->factor = tb_alloc_array(square, sizeof *c->factor);
    if (c->dead && c->order && c->starts && c->columns && c->factor)
        return TB_OK;
    return tb_fail(err, TB_ENOMEM, "no memory for the second moments of %zu inputs", c->cols);
}

tb_code tb_curvature_new(tb_curvature **out, const double *moments, size_t cols, const tb_quant_options *options,
                         tb_error *err)
{
    *out = NULL;
    if (cols == 0 || options->group == 0)
        return tb_fail(err, TB_EINVAL, "second moments of %zu inputs in groups of %zu make no sense", cols,
                       options->group);
    tb_curvature *c = tb_new(tb_curvature);
    if (!c)
        return tb_fail(err, TB_ENOMEM, "no memory for the second moments of %zu inputs", cols);
    c->cols = cols;
    c->group = options->group;
    c->groups = (cols + options->group - 1) / options->group;
    tb_code rc = allocate(c, err);
    if (!rc)
        rc = tb_moments_check(moments, cols, err);
    if (!rc) {
        find_dead_columns(c, moments);
        rc = find_order(c, moments, err);
    }
    if (!rc)
        rc = factor_damped(c, moments, options, err);
    if (rc) {
        tb_curvature_free(c);
        return rc;
    }
    *out = c;
    return TB_OK;
}

void tb_curvature_free(tb_curvature *c)
{
    if (!c)
        return;
    tb_free(c->factor);
    tb_free(c->columns);
    tb_free(c->starts);
    tb_free(c->order);
    tb_free(c->dead);
    tb_free(c);
}
