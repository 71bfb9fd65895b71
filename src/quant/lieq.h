// LieQ: which blocks of a model deserve more bits (arXiv 2508.03332; the sections named below are
// those of its two versions as we read them). Pure functions of weights, inputs and losses; the widths they
// choose are used by any quantizer.
//
// Letters: H[tokens][cols] inputs of a projection, W[rows][cols] its weights, Z = H·Wᵀ its outputs,
// σ_k the singular values of Z, p_k = σ_k²/Σσ² its energy spectrum.
#ifndef TB_QUANT_LIEQ_H
#define TB_QUANT_LIEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

// ---- spectra ----

// One projection: its inputs and its weights, borrowed.
typedef struct tb_projection {
    const float *inputs; // H[tokens][cols], rows `stride` floats apart; NULL: H = I (data-free), Z = W
    size_t tokens, stride;
    const float *weights; // W[rows][cols]
    size_t rows, cols;
} tb_projection;

// Energies σ_k² of Z, descending, in new memory (tb_free): min(tokens, rows) of them, or min(rows, cols) when
// data-free. Only outputs first_row … first_row + row_count − 1 count (a head); `center` subtracts from each token
// its mean over these outputs and divides by max(‖·‖₂, 1e-6). Energies below 1e-12 of the largest are 0 (section 3.6).
tb_code tb_projection_energies(double **energies, size_t *count, const tb_projection *projection, size_t first_row,
                               size_t row_count, bool center, tb_error *err);

// Effective rank exp(−Σ p_k ln p_k), between 1 and n; 1 when all energies are 0. Large means spread out, although
// the paper calls it compactness.
double tb_effective_rank(const double *energies, size_t n);

// Share of the first k energies, 0 when there is none at all, 1 for k ≥ n otherwise.
double tb_energy_share(const double *energies, size_t n, size_t k);

// Effective rank of a random Gaussian rows × cols matrix, m·exp(−m/2n) with m the smaller side (section 3.5).
double tb_gaussian_rank(size_t rows, size_t cols);

// Weights of the random counterpart: N(0, 0.02²) from a stream fixed by (seed, block, projection, draw).
void tb_random_weights(float *weights, size_t n, uint64_t seed, size_t block, size_t projection, size_t draw);

// ---- scores ----

// Relative gap of effective ranks, (random − trained)/random; positive: training concentrated the outputs.
double tb_rank_gap(double random_rank, double trained_rank);

// v1 composite: mean of the min–max normalised loss increases, rank gaps and energy gains (section 5).
void tb_score_composite(double *scores, const double *loss_increase, const double *rank_gap, const double *energy_gain,
                        size_t blocks);

// ---- allocation ----

// Blocks by score, best first; equal scores keep the lower index first.
void tb_score_order(size_t *order, const double *scores, size_t blocks);

// LieQ's own rule for two widths: of all blocks, the share that `average` bits per weight allow, rounded half up, gets
// `high` bits, the best of `order` first; at least one block where `average` is above `low`. The others get `low`.
void tb_allocate_two(uint8_t *bits, const size_t *order, size_t blocks, double average, unsigned low, unsigned high);

#endif
