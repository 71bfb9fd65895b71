#include "quant/line.h"

#include "quant/coefs.h"

#include <math.h>

// Narrower spans are 1 − NARROWER, 1 − 2·NARROWER … of the whole: four bits on normal weights want about 0.85.
#define NARROWER 0.04
enum { NARROWINGS = 12, REFITS = 4 };

// Adding and subtracting it rounds a double of at most 2^51 to the nearest integer, halves to even.
#define ROUNDER 0x1.8p52

static void find_ends(double *low, double *high, const double *weights, size_t n)
{
    *low = *high = weights[0];
    for (size_t i = 1; i < n; i++) {
        *low = weights[i] < *low ? weights[i] : *low;
        *high = weights[i] > *high ? weights[i] : *high;
    }
}

// From low to high; where half has no scale for that, a single level in the middle.
static tb_line line_between(double low, double high, unsigned bits, size_t *clamped)
{
    tb_line line = {.top = (double)((1u << bits) - 1)};
    line.scale = tb_coef_round((high - low) / line.top, clamped);
    line.offset = tb_coef_round(line.scale > 0 ? low : (low + high) / 2, clamped);
    return line;
}

void tb_line_span(tb_line *line, const double *weights, size_t n, unsigned bits, size_t *clamped)
{
    double low, high;
    find_ends(&low, &high, weights, n);
    *line = line_between(low, high, bits, clamped);
}

// Sums over weights w and their codes q.
typedef struct sums {
    double w, q, qq, wq, cost;
} sums;

static sums add_up(const tb_line *line, const double *weights, size_t n)
{
    sums s = {0};
    double codes_per_unit = 1 / line->scale;
    for (size_t i = 0; i < n; i++) {
        double code = (weights[i] - line->offset) * codes_per_unit;
        code = code < 0 ? 0 : code;
        code = code > line->top ? line->top : code;
        code = (code + ROUNDER) - ROUNDER;
        double error = weights[i] - (code * line->scale + line->offset);
        s.w += weights[i];
        s.q += code;
        s.qq += code * code;
        s.wq += weights[i] * code;
        s.cost += error * error;
    }
    return s;
}

// The line of least squares through weights over codes; `line` itself where there is none.
static tb_line refit(const tb_line *line, const sums *s, size_t n)
{
    tb_line out = *line;
    size_t ignored = 0;
    double spread = s->qq - s->q * s->q / (double)n, scale = (s->wq - s->w * s->q / (double)n) / spread;
    if (!(spread > 0) || !(scale > 0))
        return out;
    out.scale = tb_coef_round(scale, &ignored);
    out.offset = tb_coef_round((s->w - scale * s->q) / (double)n, &ignored);
    return out;
}

void tb_line_fit(tb_line *line, const double *weights, size_t n, unsigned bits, size_t *clamped)
{
    double low, high;
    size_t ignored = 0;
    tb_line_span(line, weights, n, bits, clamped);
    if (!(line->scale > 0))
        return;
    find_ends(&low, &high, weights, n);
    sums best = add_up(line, weights, n);
    for (int i = 1; i <= NARROWINGS; i++) {
        double cut = (high - low) / 2 * NARROWER * i;
        tb_line narrow = line_between(low + cut, high - cut, bits, &ignored);
        sums now = narrow.scale > 0 ? add_up(&narrow, weights, n) : best;
        if (now.cost < best.cost) {
            best = now;
            *line = narrow;
        }
    }
    for (int i = 0; i < REFITS; i++) {
        tb_line better = refit(line, &best, n);
        sums now = better.scale > 0 ? add_up(&better, weights, n) : best;
        if (!(now.cost < best.cost))
            return;
        best = now;
        *line = better;
    }
}

double tb_line_code(const tb_line *line, double weight)
{
    double code = line->scale > 0 ? rint((weight - line->offset) / line->scale) : 0;
    return fmin(fmax(code, 0), line->top);
}

double tb_line_value(const tb_line *line, double code)
{
    return (double)(float)(code * line->scale + line->offset);
}

void tb_line_pack(tb_packed *out, size_t row, size_t first, const tb_line *line, const double *weights, size_t n,
                  double *values)
{
    const tb_matrix *m = &out->view;
    uint16_t *coefs = out->coefs + (row * tb_matrix_groups(m) + first / m->group) * 2;
    coefs[0] = tb_half_from_double(line->scale);
    coefs[1] = tb_half_from_double(line->offset);
    for (size_t i = 0; i < n; i++) {
        double code = tb_line_code(line, weights[i]);
        tb_packed_set_code(out, row, first + i, (unsigned)code);
        if (values)
            values[i] = tb_line_value(line, code);
    }
}
