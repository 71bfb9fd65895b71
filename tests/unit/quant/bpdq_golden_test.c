// BPDQ against the authors' quantizer: tests/golden/bpdq has the cases, their origin and how
// exact to be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "golden.h"
#include "layer.h"
#include "quant/bpdq.h"
#include "quant/curvature.h"
#include "quant/grid.h"

static const struct {
    const char *folder;
    double coef_tolerance; // of the largest coefficient: how exact the authors' chain of floats is, from the README
    size_t loose_rows;     // first rows whose planes coincide: coefficients are not unique, their sums are
} cases[] = {
    {"bpdq/a_k2_g64", 1e-5, 0},      {"bpdq/b_k3_g32", 1e-5, 0},        {"bpdq/c_k2_g128_corr", 1e-4, 0},
    {"bpdq/d_k2_g64_dead", 1e-5, 0}, {"bpdq/e_k4_g64_tail", 1e-5, 0},   {"bpdq/f_k1_g32", 1e-5, 0},
    {"bpdq/g_k2_g256", 1e-5, 0},     {"bpdq/h_k2_degenerate", 1e-5, 4}, {"bpdq/i_k2_smallH", 1e-5, 0},
};
enum { CASE_A = 0, CASE_D = 3, CASE_H = 7, CASES = sizeof cases / sizeof cases[0] };

typedef struct golden_case {
    const char *folder;
    double coef_tolerance;
    size_t loose_rows;
    size_t rows, cols, groups, iterations;
    tb_quant_options options;
    tb_npy weights;
    double *moments;
    tb_curvature *curvature;
} golden_case;

static double *load_moments(const golden_case *c)
{
    double *lower = golden_doubles(c->folder, "H_lower", c->cols * (c->cols + 1) / 2);
    double *full = tb_alloc_array(c->cols * c->cols, sizeof *full);
    assert_non_null(full);
    for (size_t i = 0, k = 0; i < c->cols; i++)
        for (size_t j = 0; j <= i; j++, k++)
            full[i * c->cols + j] = full[j * c->cols + i] = lower[k];
    tb_free(lower);
    return full;
}

static void load(golden_case *c, size_t index)
{
    tb_error err;
    *c = (golden_case){.folder = cases[index].folder,
                       .coef_tolerance = cases[index].coef_tolerance,
                       .loose_rows = cases[index].loose_rows};
    c->weights = golden_open(c->folder, "W", 'f', 4, 0);
    c->rows = c->weights.dims[0];
    c->cols = c->weights.dims[1];
    tb_npy coefs = golden_open(c->folder, "c_f32", 'f', 4, 0), scores = golden_open(c->folder, "best_score", 'f', 8, 0);
    c->groups = coefs.dims[0];
    c->iterations = scores.dims[1];
    c->options = (tb_quant_options){.bits = (unsigned)coefs.dims[1] - 1,
                                    .group = c->cols / c->groups,
                                    .iterations = (unsigned)c->iterations,
                                    .published = true};
    tb_npy_close(&scores);
    tb_npy_close(&coefs);
    assert_int_equal(tb_quant_options_resolve(&c->options, TB_METHOD_BPDQ, &c->options, &err), TB_OK);
    c->moments = load_moments(c);
    assert_int_equal(tb_curvature_new(&c->curvature, c->moments, c->cols, &c->options, &err), TB_OK);
}

static void unload(golden_case *c)
{
    tb_curvature_free(c->curvature);
    tb_free(c->moments);
    tb_npy_close(&c->weights);
}

static tb_bpdq_solution solve(const golden_case *c, const tb_quant_options *options, tb_quant_report *report)
{
    tb_bpdq_solution solution;
    tb_error err;
    tb_quant_problem problem = {
        .weights = c->weights.data, .rows = c->rows, .cols = c->cols, .curvature = c->curvature};
    *report = (tb_quant_report){0};
    assert_int_equal(tb_bpdq_solve(&solution, &problem, options, report, &err), TB_OK);
    return solution;
}

static void check_order(const golden_case *c)
{
    tb_npy perm = golden_open(c->folder, "perm", 'i', 4, c->cols);
    tb_npy order = golden_open(c->folder, "group_order", 'i', 4, c->groups);
    for (size_t p = 0; p < c->cols; p++)
        assert_int_equal(c->curvature->columns[p], ((const int32_t *)perm.data)[p]);
    for (size_t g = 0; g < c->groups; g++)
        assert_int_equal(c->curvature->order[g], ((const int32_t *)order.data)[g]);
    tb_npy_close(&order);
    tb_npy_close(&perm);
}

static void check_planes(const golden_case *c, const tb_bpdq_solution *s)
{
    tb_npy planes = golden_open(c->folder, "B", 'i', 4, c->cols / 32 * s->planes * c->rows);
    const uint32_t *words = planes.data; // [cols/32][planes][rows]
    for (size_t r = 0; r < c->rows; r++)
        for (size_t j = 0; j < c->cols; j++)
            for (unsigned i = 0; i < s->planes; i++) {
                unsigned bit = words[(j / 32 * s->planes + i) * c->rows + r] >> (j % 32) & 1;
                assert_int_equal(s->codes[r * c->cols + j] >> i & 1, bit);
            }
    tb_npy_close(&planes);
}

static double largest(const double *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

static void check_coefs(const golden_case *c, const tb_bpdq_solution *s)
{
    size_t n = s->planes + 1;
    double *coefs = golden_doubles(c->folder, "c_f32", c->groups * n * c->rows); // [groups][n][rows]
    double tolerance = c->coef_tolerance * largest(coefs, c->groups * n * c->rows);
    for (size_t r = c->loose_rows; r < c->rows; r++)
        for (size_t g = 0; g < c->groups; g++)
            for (size_t i = 0; i < n; i++) {
                double difference = s->coefs[(r * c->groups + g) * n + i] - coefs[(g * n + i) * c->rows + r];
                assert_true(fabs(difference) <= tolerance);
            }
    tb_free(coefs);
}

static double value_of(const tb_bpdq_solution *s, size_t group_size, size_t r, size_t j)
{
    const double *coefs = s->coefs + (r * s->groups + j / group_size) * (s->planes + 1);
    double value = coefs[s->planes];
    for (unsigned i = 0; i < s->planes; i++)
        value += (s->codes[r * s->cols + j] >> i & 1) * coefs[i];
    return value;
}

static void check_values(const golden_case *c, const tb_bpdq_solution *s)
{
    double *values = golden_doubles(c->folder, "Q_f32", c->rows * c->cols);
    double tolerance = c->coef_tolerance * largest(values, c->rows * c->cols);
    for (size_t r = 0; r < c->rows; r++)
        for (size_t j = 0; j < c->cols; j++)
            assert_true(fabs(value_of(s, c->options.group, r, j) - values[r * c->cols + j]) <= tolerance);
    tb_free(values);
}

static void check_errors(const golden_case *c, const tb_bpdq_solution *s, double error)
{
    double *errors = golden_doubles(c->folder, "E_f32", c->rows * c->cols), sum = 0;
    for (size_t i = 0; i < c->rows * c->cols; i++)
        sum += errors[i] * errors[i];
    assert_true(fabs(error - sum) <= 1e-5 * sum); // as the README says
    tb_free(errors);
    double *scores = golden_doubles(c->folder, "best_score", c->groups * c->iterations);
    for (size_t i = 0; i < c->groups * c->iterations; i++)
        assert_true(fabs(s->scores[i] - scores[i]) <= 2 * c->coef_tolerance * scores[i]); // squares
    tb_free(scores);
}

// Σ E² = tr((W₀ − Q)(H + λI)(W₀ − Q)ᵀ), W₀ with dead columns at 0, H with 1 on their diagonal.
static void check_energy(const golden_case *c, const tb_bpdq_solution *s, double error)
{
    size_t n = c->cols;
    const float *weights = c->weights.data;
    double mean = 0, sum = 0, magnitude = 0;
    for (size_t j = 0; j < n; j++)
        mean += (c->curvature->dead[j] ? 1 : c->moments[j * n + j]) / (double)n;
    double *d = tb_alloc_array(n, sizeof *d);
    for (size_t r = 0; r < c->rows; r++) {
        for (size_t j = 0; j < n; j++)
            d[j] = (c->curvature->dead[j] ? 0 : (double)weights[r * n + j]) - value_of(s, c->options.group, r, j);
        for (size_t i = 0; i < n; i++) {
            double inner = (c->curvature->damping * mean + c->curvature->dead[i]) * d[i];
            for (size_t j = 0; j < n; j++)
                inner += c->moments[i * n + j] * d[j];
            sum += d[i] * inner;
        }
        double length = 0; // Σ|V|·|Vᵀ| between |d| and |d| is below the square of this
        for (size_t j = 0; j < n; j++)
            length += sqrt(c->moments[j * n + j] + c->curvature->damping * mean + c->curvature->dead[j]) * fabs(d[j]);
        magnitude += length * length;
    }
    tb_free(d);
    // n·u each from factoring, from the errors behind the factor, and from both sums here.
    assert_true(fabs(error - sum) <= 4 * (double)n * 0x1p-53 * magnitude);
}

static void bpdq__reproduces_the_golden_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        golden_case c;
        load(&c, i);
        tb_quant_report report;
        tb_bpdq_solution solution = solve(&c, &c.options, &report);
        check_order(&c);
        check_planes(&c, &solution);
        check_coefs(&c, &solution);
        check_values(&c, &solution);
        check_errors(&c, &solution, report.error);
        check_energy(&c, &solution, report.error);
        tb_bpdq_solution_clear(&solution);
        unload(&c);
    }
}

// ---- the shipped defaults on the same cases ----

// Row r of D·V + target·V of a group as positions of the processing order: what the coefficients are fitted to.
static void whiten_group(double *out, const double *errors, const double *weights, const tb_curvature *c, size_t begin,
                         size_t end)
{
    for (size_t j = begin; j < end; j++) {
        double sum = 0;
        for (size_t i = 0; i <= j; i++)
            sum += (i < begin ? errors[i] : weights[i]) * c->factor[i * c->cols + j];
        out[j - begin] = sum;
    }
}

// x ← A⁻¹·x for a symmetric positive definite A[n][n], by elimination.
static void solve_naively(double *x, double *a, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = k + 1; i < n; i++) {
            double share = a[i * n + k] / a[k * n + k];
            for (size_t j = k; j < n; j++)
                a[i * n + j] -= share * a[k * n + j];
            x[i] -= share * x[k];
        }
    for (size_t i = n; i-- > 0;) {
        for (size_t j = i + 1; j < n; j++)
            x[i] -= a[i * n + j] * x[j];
        x[i] /= a[i * n + i];
    }
}

// The coefficients of a row and group by their definition: ridge regression of the whitened target on the whitened
// planes and ones, the ridge 1e-4 of the mean diagonal.
static void fit_naively(double *coefs, const double *target, const golden_case *c, const tb_bpdq_solution *s, size_t r,
                        size_t begin, size_t end)
{
    size_t n = s->planes + 1, size = end - begin;
    double a[25] = {0}, *x = tb_alloc_array(n * size, sizeof *x), trace = 0;
    for (size_t j = 0; j < size; j++)
        for (size_t i = 0; i <= j; i++) {
            double v = c->curvature->factor[(begin + i) * c->cols + begin + j];
            unsigned code = s->codes[r * c->cols + c->curvature->columns[begin + i]];
            for (size_t p = 0; p < n; p++)
                x[p * size + j] += p + 1 == n || code >> p & 1 ? v : 0;
        }
    for (size_t p = 0; p < n; p++) {
        coefs[p] = 0;
        for (size_t j = 0; j < size; j++)
            coefs[p] += x[p * size + j] * target[j];
        for (size_t q = 0; q < n; q++)
            for (size_t j = 0; j < size; j++)
                a[p * n + q] += x[p * size + j] * x[q * size + j];
        trace += a[p * n + p];
    }
    for (size_t p = 0; p < n; p++)
        a[p * n + p] += 1e-4 * trace / (double)n;
    solve_naively(coefs, a, n);
    tb_free(x);
}

// Half the last place of a half of that size: normal ones keep 11 bits, the smallest step is 2^-24. The fit of double
// numbers adds what its condition, at most the trace over the ridge, makes of ε.
static double half_step(double value, double most, size_t n)
{
    double condition = (double)n / 1e-4;
    return fmax(fabs(value) * 0x1p-11, 0x1p-25) + 16 * (double)n * condition * 0x1p-52 * most;
}

static void check_default_row(const golden_case *c, const tb_bpdq_solution *s, size_t r, double *weights,
                              double *errors)
{
    const tb_curvature *curvature = c->curvature;
    size_t n = s->planes + 1;
    for (size_t p = 0; p < c->cols; p++) {
        size_t column = curvature->columns[p];
        weights[p] = curvature->dead[column] ? 0 : (double)((const float *)c->weights.data)[r * c->cols + column];
    }
    for (size_t turn = 0; turn < curvature->groups; turn++) {
        size_t begin = curvature->starts[turn], end = curvature->starts[turn + 1];
        double *target = tb_alloc_array(end - begin, sizeof *target), fit[5];
        whiten_group(target, errors, weights, curvature, begin, end);
        fit_naively(fit, target, c, s, r, begin, end);
        const double *coefs = s->coefs + (r * s->groups + curvature->order[turn]) * n;
        for (size_t i = 0; i < n; i++) {
            assert_true((double)tb_half_to_float(tb_half_from_float((float)coefs[i])) == coefs[i]);
            assert_true(fabs(coefs[i] - fit[i]) <= half_step(fit[i], largest(fit, n), n));
        }
        for (size_t p = begin; p < end; p++)
            errors[p] = weights[p] - value_of(s, c->options.group, r, curvature->columns[p]);
        tb_free(target);
    }
}

// Early rounding and the relative ridge lead to other planes than the authors'; what must hold is that every
// coefficient is the fit to its planes and to the errors before them, rounded to half, and that the error is the
// objective's.
static void bpdq__fits_the_golden_cases_by_default(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        golden_case c;
        load(&c, i);
        tb_quant_report report;
        c.options.published = false;
        tb_bpdq_solution solution = solve(&c, &c.options, &report);
        double *weights = tb_alloc_array(c.cols, sizeof *weights), *errors = tb_alloc_array(c.cols, sizeof *errors);
        for (size_t r = 0; r < c.rows; r++)
            check_default_row(&c, &solution, r, weights, errors);
        check_energy(&c, &solution, report.error);
        tb_free(errors), tb_free(weights);
        tb_bpdq_solution_clear(&solution);
        unload(&c);
    }
}

static void bpdq__finds_the_dead_columns_of_the_golden_case(void **state)
{
    (void)state;
    static const size_t dead[] = {0, 3, 64, 65, 100, 126, 127};
    golden_case c;
    load(&c, CASE_D);
    assert_int_equal(c.curvature->dead_columns, sizeof dead / sizeof dead[0]);
    for (size_t i = 0; i < sizeof dead / sizeof dead[0]; i++)
        assert_true(c.curvature->dead[dead[i]]);
    unload(&c);
}

// The state after one iteration of the first group.
static void check_first_iteration(const golden_case *c)
{
    tb_quant_options options = c->options;
    options.iterations = 1;
    tb_quant_report report;
    tb_bpdq_solution s = solve(c, &options, &report);
    size_t size = options.group, group = c->curvature->order[0], n = s.planes + 1;
    tb_npy planes = golden_open(c->folder, "g0_it1_B", 'u', 1, s.planes * c->rows * size); // [planes][rows][size]
    double *coefs = golden_doubles(c->folder, "g0_it1_c", c->rows * n), tolerance = 1e-5 * largest(coefs, c->rows * n);
    for (size_t r = 0; r < c->rows; r++) {
        for (unsigned i = 0; i < s.planes; i++)
            for (size_t t = 0; t < size; t++) {
                unsigned code = s.codes[r * c->cols + c->curvature->columns[t]];
                assert_int_equal(code >> i & 1, ((const uint8_t *)planes.data)[(i * c->rows + r) * size + t]);
            }
        for (size_t i = 0; i < n && r >= c->loose_rows; i++)
            assert_true(fabs(s.coefs[(r * c->groups + group) * n + i] - coefs[r * n + i]) <= tolerance);
    }
    tb_free(coefs);
    tb_npy_close(&planes);
    tb_bpdq_solution_clear(&s);
}

static void bpdq__reproduces_the_first_iteration(void **state)
{
    (void)state;
    static const size_t with_trace[] = {CASE_A, CASE_H};
    for (size_t i = 0; i < 2; i++) {
        golden_case c;
        load(&c, with_trace[i]);
        check_first_iteration(&c);
        unload(&c);
    }
}

static void grid__reproduces_the_initial_codes(void **state)
{
    (void)state;
    static const char *const folders[] = {"bpdq/a_k2_g64", "bpdq/h_k2_degenerate"};
    for (size_t f = 0; f < 2; f++) {
        tb_npy codes = golden_open(folders[f], "g0_q8", 'u', 1, 0);
        size_t rows = codes.dims[0], size = codes.dims[1];
        double *target = golden_doubles(folders[f], "g0_Wt", rows * size);
        double *scales = golden_doubles(folders[f], "g0_scale", rows),
               *zeros = golden_doubles(folders[f], "g0_zero", rows);
        for (size_t r = 0; r < rows; r++) {
            tb_grid grid;
            tb_grid_fit(&grid, target + r * size, size, 8);
            // The authors' is a float: of a difference, a quotient.
            assert_true(fabs(grid.scale - scales[r]) <= 3 * 0x1p-24 * scales[r]);
            // The zero row: 127.5 rounds to even, which float arithmetic misses.
            if (target[r * size] == 0)
                continue;
            assert_true(grid.zero == zeros[r]);
            for (size_t t = 0; t < size; t++)
                assert_int_equal(tb_grid_code(&grid, target[r * size + t]),
                                 ((const uint8_t *)codes.data)[r * size + t]);
        }
        tb_free(zeros);
        tb_free(scales);
        tb_free(target);
        tb_npy_close(&codes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpdq__reproduces_the_golden_cases),
        cmocka_unit_test(bpdq__fits_the_golden_cases_by_default),
        cmocka_unit_test(bpdq__finds_the_dead_columns_of_the_golden_case),
        cmocka_unit_test(bpdq__reproduces_the_first_iteration),
        cmocka_unit_test(grid__reproduces_the_initial_codes),
    };
    return cmocka_run_group_tests(tests, layer_setup, NULL);
}
