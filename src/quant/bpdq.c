// One group of one row has weights wt, the curvature factor V, planes b_0 … b_{k−1} and
// coefficients c with the bias c_k. Everything is done in whitened coordinates,
//
//     u = wt·V,   z_i = b_i·V,   o = 1·V,   E = u − Σ c_i·z_i − c_k·o,
//
// where the metric is the plain scalar product:
//  - the fit is a ridge regression of u on z_0 … z_{k−1}, o;
//  - the sweep adds row t of V to z_i when it sets bit t of plane i. Before it decides t, z_i[t]
//    holds Σ_{s<t} b_i[s]·V_st, and the weight to round (with the feedback of the columns before)
//    is (u_t − c_k·o'_t − Σ c_i·z_i[t])/V_tt with o'_t = Σ_{s<t} V_st. When the sweep ends the z_i
//    are complete, ready for the next fit;
//  - E costs one combination and needs no "delta correction".
// Section numbers are those of the specification.
#include "quant/bpdq.h"

#include "quant/coefs.h"
#include "quant/feedback.h"
#include "quant/grid.h"

#include <math.h>
#include <string.h>

enum {
    ROWS = 8,         // rows per range
    INITIAL_BITS = 8, // P: width of the code whose top bits are the first planes (5.1)
    COEFS = TB_MAX_PLANES + 1,
    LEVELS = 1 << TB_MAX_PLANES,
};

// The authors' α, which they add as it stands. Relative to the mean diagonal of the fit anything from 1e-10 to
// 1e-3 gives the same errors on real layers, and layers with quiet inputs lose nothing.
#define RIDGE 1e-4

// A column whose pivot falls below this share of its diagonal is a combination of those
// before it, and gets no coefficient.
#define LEAST_PIVOT 1e-14

// All iterates of the current group: which one is kept depends on the whole matrix (5.6).
typedef struct history {
    uint8_t *codes; // [iterations][rows][size]
    double *coefs;  // [iterations][rows][planes + 1]
    double *scores; // [iterations][rows]
} history;

typedef struct bpdq {
    const tb_quant_options *options;
    tb_bpdq_solution *solution;
    size_t rows, largest_group, iterations;
    unsigned planes;
    history history;
    size_t kept;         // the iterate kept
    double *ones;        // [largest_group] o
    double *ones_before; // [largest_group] o'
    double *scratch;     // [workers][planes + 1][largest_group]: z_0 … z_{k−1} and u
    size_t turn;         // groups done
    const tb_group *group;
    double *quantized;
} bpdq;

// One row at work. size: columns of the group.
typedef struct row_state {
    size_t size;
    unsigned planes;
    const double *factor;             // V[size][size]
    const double *ones, *ones_before; // o, o'
    double *whitened;                 // u[size]
    double *basis;                    // z[planes][size]
    double coefs[COEFS];
} row_state;

// y[from…] += scale·V[t][from…] for the part of row t that is not zero.
static void add_factor_row(double *y, const row_state *row, size_t t, double scale)
{
    const double *factor = row->factor + t * row->size;
    for (size_t j = t; j < row->size; j++)
        y[j] += scale * factor[j];
}

static void whiten_target(row_state *row, const double *target)
{
    memset(row->whitened, 0, row->size * sizeof *row->whitened);
    for (size_t t = 0; t < row->size; t++)
        add_factor_row(row->whitened, row, t, target[t]);
}

static void clear_basis(row_state *row)
{
    memset(row->basis, 0, row->planes * row->size * sizeof *row->basis);
}

// Sets column t of every plane to a bit of `code`.
static void add_code(row_state *row, size_t t, unsigned code)
{
    for (unsigned i = 0; i < row->planes; i++)
        if (code >> i & 1)
            add_factor_row(row->basis + i * row->size, row, t, 1);
}

// The top bits of an 8-bit min/max code are the first planes (5.1, 5.2).
static void set_initial_planes(row_state *row, const double *target)
{
    tb_grid grid;
    tb_grid_fit(&grid, target, row->size, INITIAL_BITS);
    clear_basis(row);
    for (size_t t = 0; t < row->size; t++)
        add_code(row, t, tb_grid_code(&grid, target[t]) >> (INITIAL_BITS - row->planes));
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static const double *regressor(const row_state *row, unsigned i)
{
    return i < row->planes ? row->basis + i * row->size : row->ones;
}

// Cholesky factor of A in its lower triangle; a column that depends on earlier ones gets
// diagonal 0.
static void factor_normal_matrix(double a[COEFS][COEFS], unsigned n)
{
    for (unsigned j = 0; j < n; j++) {
        double pivot = a[j][j];
        for (unsigned m = 0; m < j; m++)
            pivot -= a[j][m] * a[j][m];
        double diagonal = pivot > LEAST_PIVOT * a[j][j] ? sqrt(pivot) : 0;
        a[j][j] = diagonal;
        for (unsigned i = j + 1; i < n; i++) {
            double sum = a[i][j];
            for (unsigned m = 0; m < j; m++)
                sum -= a[i][m] * a[j][m];
            a[i][j] = diagonal > 0 ? sum / diagonal : 0;
        }
    }
}

// x ← L⁻ᵀ·L⁻¹·x, with 0 for the columns without a diagonal.
static void solve_normal_equations(double *x, double l[COEFS][COEFS], unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned m = 0; m < i; m++)
            x[i] -= l[i][m] * x[m];
        x[i] = l[i][i] > 0 ? x[i] / l[i][i] : 0;
    }
    for (unsigned i = n; i-- > 0;) {
        for (unsigned m = i + 1; m < n; m++)
            x[i] -= l[m][i] * x[m];
        x[i] = l[i][i] > 0 ? x[i] / l[i][i] : 0;
    }
}

// "Solve C" (5.3), and the rounding to the stored form unless the options say otherwise.
static void fit_coefs(row_state *row, const tb_quant_options *options)
{
    unsigned n = row->planes + 1;
    double a[COEFS][COEFS], trace = 0;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j <= i; j++)
            a[i][j] = dot(regressor(row, i), regressor(row, j), row->size);
        row->coefs[i] = dot(regressor(row, i), row->whitened, row->size);
        trace += a[i][i];
    }
    double ridge = options->published ? RIDGE : RIDGE * trace / n;
    for (unsigned i = 0; i < n; i++)
        a[i][i] += ridge;
    factor_normal_matrix(a, n);
    solve_normal_equations(row->coefs, a, n);
    size_t clamped = 0; // counted when packing
    for (unsigned i = 0; i < n && !options->published; i++)
        row->coefs[i] = tb_coef_round(row->coefs[i], &clamped);
}

// The value of a code, summed in the order of the stored form.
static double code_value(const double *coefs, unsigned planes, unsigned code)
{
    double value = 0;
    for (unsigned i = 0; i < planes; i++)
        value += (code >> i & 1) * coefs[i];
    return value + coefs[planes];
}

// The levels in the order that decides ties: plane 0 varies slowest (5.4).
static void list_levels(double *levels, unsigned *codes, const row_state *row)
{
    for (unsigned m = 0; m < 1u << row->planes; m++) {
        codes[m] = 0;
        for (unsigned i = 0; i < row->planes; i++)
            codes[m] |= (m >> (row->planes - 1 - i) & 1) << i;
        levels[m] = code_value(row->coefs, row->planes, codes[m]);
    }
}

static unsigned nearest_level(const double *levels, unsigned count, double y)
{
    unsigned best = 0;
    double least = (y - levels[0]) * (y - levels[0]);
    for (unsigned m = 1; m < count; m++) {
        double distance = (y - levels[m]) * (y - levels[m]);
        best = distance < least ? m : best;
        least = distance < least ? distance : least;
    }
    return best;
}

// New planes for the present coefficients (5.4).
static void sweep(row_state *row, uint8_t *codes)
{
    double levels[LEVELS];
    unsigned code_of[LEVELS], planes = row->planes;
    list_levels(levels, code_of, row);
    clear_basis(row);
    for (size_t t = 0; t < row->size; t++) {
        double y = row->whitened[t] - row->coefs[planes] * row->ones_before[t];
        for (unsigned i = 0; i < planes; i++)
            y -= row->coefs[i] * row->basis[i * row->size + t];
        y /= row->factor[t * row->size + t];
        unsigned code = code_of[nearest_level(levels, 1u << planes, y)];
        codes[t] = (uint8_t)code;
        add_code(row, t, code);
    }
}

// ΣE² of the row (5.6).
static double score(const row_state *row)
{
    double sum = 0;
    for (size_t t = 0; t < row->size; t++) {
        double error = row->whitened[t] - row->coefs[row->planes] * row->ones[t];
        for (unsigned i = 0; i < row->planes; i++)
            error -= row->coefs[i] * row->basis[i * row->size + t];
        sum += error * error;
    }
    return sum;
}

static void iterate_row(bpdq *b, size_t index, row_state *row)
{
    const double *target = b->group->target + index * row->size;
    whiten_target(row, target);
    set_initial_planes(row, target);
    fit_coefs(row, b->options);
    for (size_t i = 0; i < b->iterations; i++) {
        size_t slot = i * b->rows + index;
        sweep(row, b->history.codes + slot * row->size);
        fit_coefs(row, b->options);
        memcpy(b->history.coefs + slot * (row->planes + 1), row->coefs, (row->planes + 1) * sizeof *row->coefs);
        b->history.scores[slot] = score(row);
    }
}

static void iterate_rows(void *user, size_t begin, size_t end, size_t worker)
{
    bpdq *b = user;
    double *scratch = b->scratch + worker * (b->planes + 1) * b->largest_group;
    row_state row = {.size = b->group->size,
                     .planes = b->planes,
                     .factor = b->group->factor,
                     .ones = b->ones,
                     .ones_before = b->ones_before,
                     .basis = scratch,
                     .whitened = scratch + b->planes * b->largest_group};
    for (size_t index = begin; index < end; index++)
        iterate_row(b, index, &row);
}

// o and o' of the group.
static void whiten_ones(bpdq *b)
{
    size_t size = b->group->size;
    for (size_t j = 0; j < size; j++) {
        b->ones_before[j] = 0;
        for (size_t t = 0; t < j; t++)
            b->ones_before[j] += b->group->factor[t * size + j];
        b->ones[j] = b->ones_before[j] + b->group->factor[j * size + j];
    }
}

// The strictly smallest sum over all rows wins, the earliest of equals (5.6).
static void choose(bpdq *b)
{
    double *scores = b->solution->scores + b->turn * b->iterations, least = INFINITY;
    size_t best = 0;
    for (size_t i = 0; i < b->iterations; i++) {
        double sum = 0;
        for (size_t r = 0; r < b->rows; r++)
            sum += b->history.scores[i * b->rows + r];
        best = sum < least ? i : best;
        least = sum < least ? sum : least;
        scores[i] = least;
    }
    b->kept = best;
}

static void keep_row(bpdq *b, size_t index)
{
    const tb_group *group = b->group;
    tb_bpdq_solution *solution = b->solution;
    size_t slot = b->kept * b->rows + index, n = b->planes + 1;
    const double *coefs = b->history.coefs + slot * n;
    memcpy(solution->coefs + (index * solution->groups + group->index) * n, coefs, n * sizeof *coefs);
    for (size_t t = 0; t < group->size; t++) {
        uint8_t code = b->history.codes[slot * group->size + t];
        solution->codes[index * solution->cols + group->columns[t]] = code;
        b->quantized[index * group->size + t] = code_value(coefs, b->planes, code);
    }
}

static tb_code quantize_group(void *user, const tb_group *group, double *quantized, tb_error *err)
{
    (void)err;
    bpdq *b = user;
    b->group = group;
    b->quantized = quantized;
    whiten_ones(b);
    tb_parallel(group->threads, b->rows, ROWS, iterate_rows, b);
    choose(b);
    for (size_t index = 0; index < b->rows; index++)
        keep_row(b, index);
    b->turn++;
    return TB_OK;
}

static void bpdq_clear(bpdq *b)
{
    tb_free(b->scratch);
    tb_free(b->ones_before);
    tb_free(b->ones);
    tb_free(b->history.scores);
    tb_free(b->history.coefs);
    tb_free(b->history.codes);
}

static tb_code bpdq_init(bpdq *b, const tb_quant_problem *problem, const tb_quant_options *options,
                         tb_bpdq_solution *solution, tb_error *err)
{
    size_t group = options->group < problem->cols ? options->group : problem->cols;
    size_t slots = options->iterations * problem->rows;
    *b = (bpdq){.options = options,
                .solution = solution,
                .rows = problem->rows,
                .largest_group = group,
                .iterations = options->iterations,
                .planes = options->bits};
    b->history.codes = tb_alloc_array(slots, group);
    b->history.coefs = tb_alloc_array(slots * (b->planes + 1), sizeof *b->history.coefs);
    b->history.scores = tb_alloc_array(slots, sizeof *b->history.scores);
    b->ones = tb_alloc_array(group, sizeof *b->ones);
    b->ones_before = tb_alloc_array(group, sizeof *b->ones_before);
    b->scratch = tb_alloc_array(options->threads * (b->planes + 1) * group, sizeof *b->scratch);
    if (b->history.codes && b->history.coefs && b->history.scores && b->ones && b->ones_before && b->scratch)
        return TB_OK;
    bpdq_clear(b);
    return tb_fail(err, TB_ENOMEM, "no memory to quantize a matrix of %zu x %zu", problem->rows, problem->cols);
}

static tb_code solution_init(tb_bpdq_solution *solution, const tb_quant_problem *problem,
                             const tb_quant_options *options, tb_error *err)
{
    size_t groups = problem->curvature->groups;
    *solution =
        (tb_bpdq_solution){.rows = problem->rows, .cols = problem->cols, .groups = groups, .planes = options->bits};
    solution->codes = tb_alloc_array(problem->rows, problem->cols);
    solution->coefs = tb_alloc_array(problem->rows * groups * (options->bits + 1), sizeof *solution->coefs);
    solution->scores = tb_alloc_array(groups * options->iterations, sizeof *solution->scores);
    if (solution->codes && solution->coefs && solution->scores)
        return TB_OK;
    tb_bpdq_solution_clear(solution);
    return tb_fail(err, TB_ENOMEM, "no memory to quantize a matrix of %zu x %zu", problem->rows, problem->cols);
}

void tb_bpdq_solution_clear(tb_bpdq_solution *solution)
{
    tb_free(solution->codes);
    tb_free(solution->coefs);
    tb_free(solution->scores);
    *solution = (tb_bpdq_solution){0};
}

tb_code tb_bpdq_solve(tb_bpdq_solution *out, const tb_quant_problem *problem, const tb_quant_options *options,
                      tb_quant_report *report, tb_error *err)
{
    bpdq b;
    tb_code rc = solution_init(out, problem, options, err);
    if (rc)
        return rc;
    double *weights = tb_alloc_array(problem->rows * problem->cols, sizeof *weights);
    rc = weights ? bpdq_init(&b, problem, options, out, err)
                 : tb_fail(err, TB_ENOMEM, "no memory to quantize a matrix of %zu x %zu", problem->rows, problem->cols);
    if (!rc) {
        tb_feedback_gather(weights, problem->weights, problem->rows, problem->curvature);
        tb_group_visitor visitor = {quantize_group, &b};
        rc = tb_feedback_run(weights, problem->rows, problem->curvature, options->threads, visitor, report, err);
        bpdq_clear(&b);
    }
    tb_free(weights);
    if (rc)
        tb_bpdq_solution_clear(out);
    return rc;
}

static void pack(tb_packed *out, const tb_bpdq_solution *solution, tb_quant_report *report)
{
    size_t coefs = solution->rows * solution->groups * (solution->planes + 1);
    for (size_t i = 0; i < coefs; i++)
        out->coefs[i] = tb_coef_store(solution->coefs[i], &report->clamped_coefs);
    for (size_t r = 0; r < solution->rows; r++)
        for (size_t c = 0; c < solution->cols; c++)
            tb_packed_set_code(out, r, c, solution->codes[r * solution->cols + c]);
}

tb_code tb_bpdq_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                         tb_quant_report *report, tb_error *err)
{
    tb_bpdq_solution solution;
    tb_code rc = tb_bpdq_solve(&solution, problem, options, report, err);
    if (rc)
        return rc;
    pack(out, &solution, report);
    tb_bpdq_solution_clear(&solution);
    return TB_OK;
}
