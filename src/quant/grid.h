// Uniform grids: value = s·(q − z) with a scale, an integer zero point and codes of k bits,
// spanning zero, the smallest and the largest weight of a group.
#ifndef TB_QUANT_GRID_H
#define TB_QUANT_GRID_H

#include <stddef.h>
#include <stdint.h>

typedef struct tb_grid {
    double scale; // 0: too small for half, and every weight counts as 0
    double zero;  // an integer
    double top;   // largest code, 2^bits − 1
} tb_grid;

// The grid of n weights.
void tb_grid_fit(tb_grid *grid, const double *weights, size_t n, unsigned bits);

// The same with the scale rounded to half, as it will be stored, before zero and codes are
// derived from it. Counts in *clamped scales that half cannot hold.
void tb_grid_fit_half(tb_grid *grid, const double *weights, size_t n, unsigned bits, size_t *clamped);

// The grid among narrower ones and this one, with one or the other zero point next to their true zero, that costs the
// n weights least when the error of each counts importance[i] times its square. Ties go to the wider grid.
void tb_grid_fit_clipped(tb_grid *grid, const double *weights, const double *importance, size_t n, unsigned bits,
                         size_t *clamped);

// The nearest code (halves to even) and its value.
unsigned tb_grid_code(const tb_grid *grid, double weight);
double tb_grid_value(const tb_grid *grid, unsigned code);

#endif
