// Uniform grids that begin anywhere, as TB_TYPE_OFFSET stores them: value = scale·code + offset.
#ifndef TB_QUANT_LINE_H
#define TB_QUANT_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "layout/layout.h"

// Scale and offset are halves already.
typedef struct tb_line {
    double scale, offset;
    double top; // largest code, 2^bits − 1
} tb_line;

// The line from the smallest to the largest of n weights. Counts in *clamped coefficients that half cannot hold.
void tb_line_span(tb_line *line, const double *weights, size_t n, unsigned bits, size_t *clamped);

// The line with a small Σ(w − value)²: the best of narrower spans about the same middle, then least squares for the
// codes it gives, as long as that helps. Never worse than tb_line_span.
void tb_line_fit(tb_line *line, const double *weights, size_t n, unsigned bits, size_t *clamped);

// The nearest code (halves to even), and its value as layout decodes it.
double tb_line_code(const tb_line *line, double weight);
double tb_line_value(const tb_line *line, double code);

// Packs n weights from column `first` on: coefficients of the group, codes. Says in values[n] what they became, if it
// is not NULL.
void tb_line_pack(tb_packed *out, size_t row, size_t first, const tb_line *line, const double *weights, size_t n,
                  double *values);

#endif
