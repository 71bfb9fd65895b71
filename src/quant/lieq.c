// Spectra are eigenvalues of the smaller Gram matrix of Z, in double: squaring the condition number is harmless here,
// tiny eigenvalues carry no entropy (section 3.6).
#include "quant/lieq.h"

#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

// Relative size below which an eigenvalue is rounding noise.
#define ENERGY_FLOOR 1e-12
// Standard deviation of the random counterpart; the effective rank does not depend on it.
#define RANDOM_DEVIATION 0.02

static void copy_to_double(double *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = src[i];
}

// Z[tokens][rows] of the chosen outputs; data-free: W itself, [rows][cols].
static void project(double *z, const tb_projection *p, size_t first_row, size_t row_count, double *inputs,
                    double *weights)
{
    const float *w = p->weights + first_row * p->cols;
    if (!p->inputs) {
        copy_to_double(z, w, row_count * p->cols);
        return;
    }
    copy_to_double(weights, w, row_count * p->cols);
    for (size_t t = 0; t < p->tokens; t++)
        copy_to_double(inputs + t * p->cols, p->inputs + t * p->stride, p->cols);
    tb_gemm_f64(z, row_count, inputs, p->cols, false, weights, p->cols, true, p->tokens, row_count, p->cols, 1, 0);
}

static void center_rows(double *z, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        double *row = z + r * cols, mean = 0, norm = 0;
        for (size_t c = 0; c < cols; c++)
            mean += row[c];
        mean /= (double)cols;
        for (size_t c = 0; c < cols; c++) {
            row[c] -= mean;
            norm += row[c] * row[c];
        }
        norm = fmax(sqrt(norm), 1e-6);
        for (size_t c = 0; c < cols; c++)
            row[c] /= norm;
    }
}

// Largest first, noise removed. Eigenvalues come ascending.
static void clean_energies(double *energies, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        double swap = energies[i];
        energies[i] = energies[n - 1 - i];
        energies[n - 1 - i] = swap;
    }
    double floor = ENERGY_FLOOR * energies[0];
    for (size_t i = 0; i < n; i++)
        if (!(energies[i] > 0) || energies[i] < floor)
            energies[i] = 0;
}

// Divides by the largest magnitude, so that squares neither vanish nor overflow. Effective ranks and shares do not see
// it.
static void normalise(double *z, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(z[i]));
    if (most > 0)
        for (size_t i = 0; i < n; i++)
            z[i] /= most;
}

tb_code tb_projection_energies(double **energies, size_t *count, const tb_projection *p, size_t first_row,
                               size_t row_count, bool center, tb_error *err)
{
    *energies = NULL;
    *count = 0;
    if (row_count == 0 || first_row > p->rows || row_count > p->rows - first_row || p->cols == 0 ||
        (p->inputs && p->tokens == 0))
        return tb_fail(err, TB_EINVAL, "a projection without tokens or outputs has no spectrum");
    size_t z_rows = p->inputs ? p->tokens : row_count, z_cols = p->inputs ? row_count : p->cols;
    size_t smaller = z_rows < z_cols ? z_rows : z_cols;
    tb_code rc = TB_OK;
    double *z = tb_alloc_array(z_rows * z_cols, sizeof *z);
    double *gram = tb_alloc_array(smaller * smaller, sizeof *gram);
    double *inputs = p->inputs ? tb_alloc_array(p->tokens * p->cols, sizeof *inputs) : NULL;
    double *weights = p->inputs ? tb_alloc_array(row_count * p->cols, sizeof *weights) : NULL;
    double *values = tb_alloc_array(smaller, sizeof *values);
    if (!z || !gram || !values || (p->inputs && (!inputs || !weights))) {
        rc = tb_fail(err, TB_ENOMEM, "no memory for the spectrum of a %zu x %zu matrix", z_rows, z_cols);
        goto done;
    }
    project(z, p, first_row, row_count, inputs, weights);
    if (center)
        center_rows(z, z_rows, z_cols);
    normalise(z, z_rows * z_cols);
    bool columns = z_cols <= z_rows; // ZᵀZ, else ZZᵀ
    tb_gemm_f64(gram, smaller, z, z_cols, columns, z, z_cols, !columns, smaller, smaller, columns ? z_rows : z_cols, 1,
                0);
    rc = tb_symmetric_eigenvalues(values, gram, smaller, err);
    if (rc)
        goto done;
    clean_energies(values, smaller);
    *energies = values;
    *count = smaller;
    values = NULL;
done:
    tb_free(z);
    tb_free(gram);
    tb_free(inputs);
    tb_free(weights);
    tb_free(values);
    return rc;
}

static double total(const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return sum;
}

double tb_effective_rank(const double *energies, size_t n)
{
    double sum = total(energies, n), entropy = 0;
    if (!(sum > 0))
        return 1;
    for (size_t i = 0; i < n; i++)
        if (energies[i] > 0)
            entropy -= energies[i] / sum * log(energies[i] / sum);
    return exp(entropy);
}

double tb_energy_share(const double *energies, size_t n, size_t k)
{
    double sum = total(energies, n);
    return sum > 0 ? total(energies, k < n ? k : n) / sum : 0;
}

double tb_gaussian_rank(size_t rows, size_t cols)
{
    double m = (double)(rows < cols ? rows : cols), n = (double)(rows < cols ? cols : rows);
    return m * exp(-m / (2 * n));
}

void tb_random_weights(float *weights, size_t n, uint64_t seed, size_t block, size_t projection, size_t draw)
{
    tb_rng rng;
    tb_rng_init(&rng, seed, (uint64_t)block << 32 | (uint64_t)projection << 16 | draw);
    for (size_t i = 0; i < n; i++)
        weights[i] = (float)(RANDOM_DEVIATION * tb_rng_normal(&rng));
}

double tb_rank_gap(double random_rank, double trained_rank)
{
    return (random_rank - trained_rank) / random_rank;
}

// scores += (values − min)/(max − min)
static void add_normalised(double *scores, const double *values, size_t n)
{
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    if (most > least)
        for (size_t i = 0; i < n; i++)
            scores[i] += (values[i] - least) / (most - least);
}

void tb_score_composite(double *scores, const double *loss_increase, const double *rank_gap, const double *energy_gain,
                        size_t blocks)
{
    memset(scores, 0, blocks * sizeof *scores);
    add_normalised(scores, loss_increase, blocks);
    add_normalised(scores, rank_gap, blocks);
    add_normalised(scores, energy_gain, blocks);
    for (size_t i = 0; i < blocks; i++)
        scores[i] /= 3;
}

// Insertion sort: stable, and a model has at most a few hundred blocks.
void tb_score_order(size_t *order, const double *scores, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++) {
        size_t place = i;
        while (place > 0 && scores[i] > scores[order[place - 1]]) {
            order[place] = order[place - 1];
            place--;
        }
        order[place] = i;
    }
}

void tb_allocate_two(uint8_t *bits, const size_t *order, size_t blocks, double average, unsigned low, unsigned high)
{
    double share = (average - low) / (double)(high - low);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    size_t n = (size_t)floor(share * (double)blocks + 0.5);
    if (n == 0 && average > low)
        n = 1;
    for (size_t i = 0; i < blocks; i++)
        bits[order[i]] = (uint8_t)(i < n ? high : low);
}
