#include "quant/grid.h"

#include "quant/coefs.h"

#include <math.h>

static void set_zero(tb_grid *grid, double low)
{
    double zero = grid->scale > 0 ? rint(-low / grid->scale) : 0;
    grid->zero = fmin(fmax(zero, 0), grid->top);
}

// Sets scale and top; returns the low end.
static double span(tb_grid *grid, const double *weights, size_t n, unsigned bits)
{
    double low = 0, high = 0;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, weights[i]);
        high = fmax(high, weights[i]);
    }
    if (low == high) {
        low = -1;
        high = 1;
    }
    grid->top = (double)((1u << bits) - 1);
    grid->scale = (high - low) / grid->top;
    return low;
}

void tb_grid_fit(tb_grid *grid, const double *weights, size_t n, unsigned bits)
{
    double low = span(grid, weights, n, bits);
    set_zero(grid, low);
}

void tb_grid_fit_half(tb_grid *grid, const double *weights, size_t n, unsigned bits, size_t *clamped)
{
    double low = span(grid, weights, n, bits);
    grid->scale = tb_coef_round(grid->scale, clamped);
    set_zero(grid, low);
}

unsigned tb_grid_code(const tb_grid *grid, double weight)
{
    double code = grid->scale > 0 ? rint(weight / grid->scale) + grid->zero : grid->zero;
    return (unsigned)fmin(fmax(code, 0), grid->top);
}

double tb_grid_value(const tb_grid *grid, unsigned code)
{
    return ((double)code - grid->zero) * grid->scale;
}
