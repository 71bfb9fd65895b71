// Coefficients as they are stored: IEEE half, clamped to its finite range.
#ifndef TB_QUANT_COEFS_H
#define TB_QUANT_COEFS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

#define TB_COEF_MAX 65504.0 // largest finite half

// The nearest half, rounded once: on the way through float the value is rounded to odd (cut
// off, with the last bit set when something was lost), so that the second rounding sees
// which side of a midpoint it was on.
static inline uint16_t tb_half_from_double(double value)
{
    float nearest = (float)value;
    uint32_t bits = tb_float_bits(nearest);
    if ((double)nearest != value && isfinite(nearest)) {
        if (fabs((double)nearest) > fabs(value))
            bits--;
        bits |= 1;
    }
    return tb_half_from_float(tb_float_from_bits(bits));
}

// The stored form of a coefficient; counts in *clamped those at or beyond the limit of half.
static inline uint16_t tb_coef_store(double value, size_t *clamped)
{
    *clamped += fabs(value) >= TB_COEF_MAX;
    return tb_half_from_double(fmin(fmax(value, -TB_COEF_MAX), TB_COEF_MAX));
}

// The value that the stored form stands for.
static inline double tb_coef_round(double value, size_t *clamped)
{
    return (double)tb_half_to_float(tb_coef_store(value, clamped));
}

#endif
