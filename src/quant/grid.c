#include "quant/grid.h"

#include "quant/coefs.h"

#include <math.h>

// Narrower grids span 1 − CLIP_STEP, 1 − 2·CLIP_STEP … of what the weights span. Two bits on normal weights want
// about 0.6 of it; half the step makes errors 0.3 % smaller.
#define CLIP_STEP 0.04
enum { CLIP_STEPS = 20 };

// Adding and subtracting it rounds a double of at most 2^51 to the nearest integer, halves to even.
#define ROUNDER 0x1.8p52

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

static double cost(const tb_grid *grid, const double *weights, const double *importance, size_t n)
{
    double least = -grid->zero, most = grid->top - grid->zero, steps_per_unit = 1 / grid->scale, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double steps = weights[i] * steps_per_unit;
        steps = steps < least ? least : steps;
        steps = steps > most ? most : steps;
        steps = (steps + ROUNDER) - ROUNDER;
        double error = weights[i] - steps * grid->scale;
        sum += importance[i] * error * error;
    }
    return sum;
}

void tb_grid_fit_clipped(tb_grid *grid, const double *weights, const double *importance, size_t n, unsigned bits,
                         size_t *clamped)
{
    tb_grid whole = {0};
    double low = span(&whole, weights, n, bits), true_zero = -low / whole.scale;
    size_t clamped_here = 0;
    tb_grid_fit_half(grid, weights, n, bits, &clamped_here);
    double least = grid->scale > 0 ? cost(grid, weights, importance, n) : 0;
    for (int step = 0; step <= CLIP_STEPS && least > 0; step++)
        for (int side = 0; side < 2; side++) {
            size_t clamped_now = 0;
            tb_grid narrow = {.zero = side ? ceil(true_zero) : floor(true_zero), .top = whole.top};
            narrow.scale = tb_coef_round(whole.scale * (1 - CLIP_STEP * step), &clamped_now);
            double now = narrow.scale > 0 ? cost(&narrow, weights, importance, n) : INFINITY;
            if (now < least) {
                least = now;
                *grid = narrow;
                clamped_here = clamped_now;
            }
        }
    *clamped += clamped_here;
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
