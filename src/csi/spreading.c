// Spreading by ±1 matrices whose columns are Walsh functions: W[p][c] = (−1)^popcount(p & c) for
// each chosen column c of the Hadamard matrix of order P, so that WᵀW = P·I.
//
// The first N columns repeat where N is a power of two: W = 1_R ⊗ H_N. Spreading is then a transform
// of order N, tiled R times, and despreading folds first: P + N·log N additions. Any other columns
// take a transform of order P.
#include <string.h>

#include "csi/link.h"
#include "csi/streams.h"

void tb_csi_hadamard(double *x, size_t n)
{
    for (size_t half = 1; half < n; half *= 2)
        for (size_t i = 0; i < n; i += 2 * half)
            for (size_t j = i; j < i + half; j++) {
                double a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
}

// N different columns: the front of a shuffled deck (Fisher and Yates).
static void draw_columns(uint32_t *columns, uint32_t *deck, const double *draws, size_t n, size_t p)
{
    for (size_t i = 0; i < p; i++)
        deck[i] = (uint32_t)i;
    for (size_t i = 0; i < n; i++) {
        size_t j = i + (size_t)(draws[i] * (double)(p - i));
        columns[i] = deck[j];
        deck[j] = deck[i];
    }
}

static tb_code choose_columns(tb_csi_link *link, tb_error *err)
{
    size_t n = link->options.n, p = link->options.p;
    uint32_t *deck = tb_arena_array(&link->arena, p, sizeof *deck);
    double *draws = tb_arena_array(&link->arena, n, sizeof *draws);
    if (!deck || !draws)
        return tb_fail(err, TB_ENOMEM, "no memory for the spreading matrix");
    tb_csi_uniforms(draws, &(tb_csi_stream){link->options.spreading_seed, UINT64_MAX, TB_CSI_FOR_PATHS}, n);
    draw_columns(link->columns, deck, draws, n, p);
    return TB_OK;
}

tb_code tb_csi_spreading_init(tb_csi_link *link, tb_error *err)
{
    size_t n = link->options.n;
    bool first = link->options.spreading == TB_CSI_WALSH_FIRST;
    if (first && (n & (n - 1)) == 0)
        return TB_OK;
    link->columns = tb_arena_array(&link->arena, n, sizeof *link->columns);
    if (!link->columns)
        return tb_fail(err, TB_ENOMEM, "no memory for the spreading matrix");
    for (size_t i = 0; i < n; i++)
        link->columns[i] = (uint32_t)i;
    return first ? TB_OK : choose_columns(link, err);
}

void tb_csi_spread(double *out, const tb_csi_link *link, const double *v)
{
    size_t n = link->options.n, p = link->options.p;
    if (!link->columns) {
        memcpy(out, v, n * sizeof *out);
        tb_csi_hadamard(out, n);
        for (size_t i = n; i < p; i += n)
            memcpy(out + i, out, n * sizeof *out);
        return;
    }
    memset(out, 0, p * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[link->columns[i]] = v[i];
    tb_csi_hadamard(out, p);
}

void tb_csi_despread(double *out, const tb_csi_link *link, const double *y, double *scratch)
{
    size_t n = link->options.n, p = link->options.p;
    if (!link->columns) {
        memcpy(out, y, n * sizeof *out);
        for (size_t i = n; i < p; i += n)
            for (size_t j = 0; j < n; j++)
                out[j] += y[i + j];
        tb_csi_hadamard(out, n);
        return;
    }
    memcpy(scratch, y, p * sizeof *scratch);
    tb_csi_hadamard(scratch, p);
    for (size_t i = 0; i < n; i++)
        out[i] = scratch[link->columns[i]];
}
