// Inside csi: the link with its tables, and the steps between user and receiver.
#ifndef TB_CSI_LINK_H
#define TB_CSI_LINK_H

#include "csi/csi.h"

// One axis of a square QAM: levels −(L−1)·step … (L−1)·step, 2·step apart, Gray-coded.
typedef struct tb_csi_axis {
    unsigned bits;        // per axis
    unsigned level_count; // 2^bits
    double step;
    double levels[8];  // ascending
    uint8_t codes[8];  // bits of each level, the first (which chooses the sign) most significant
    uint8_t places[8]; // index of the level that a code means
} tb_csi_axis;

void tb_csi_axis_init(tb_csi_axis *axis, tb_csi_modulation modulation);

struct tb_csi_link {
    tb_csi_options options; // defaults filled in
    size_t r;               // P/N, rounded down
    tb_csi_axis axis;
    uint32_t *columns; // [n]; NULL: the first N of a power of two
    double *rays;      // [ray_count][2n], cdl only: array response of each ray times its amplitude
    size_t ray_count;
    double *angles; // [n][2]: cos, sin of 2π·k/n, sparse only
    tb_arena arena;
};

// ---- spreading: on real vectors, once for each part of a complex one ----

tb_code tb_csi_spreading_init(tb_csi_link *link, tb_error *err);

// out[P] = W·v[N]
void tb_csi_spread(double *out, const tb_csi_link *link, const double *v);

// out[N] = Wᵀ·y[P], not divided by P. `scratch` holds P values.
void tb_csi_despread(double *out, const tb_csi_link *link, const double *y, double *scratch);

// x[n] ← H·x with the Hadamard matrix of order n, a power of two.
void tb_csi_hadamard(double *x, size_t n);

// ---- channel ----

tb_code tb_csi_channel_init(tb_csi_link *link, tb_error *err);

// h[2N] of one frame.
void tb_csi_channel_draw(double *h, const tb_csi_link *link, uint64_t frame);

// ---- symbols ----

// d[2P] from bits: bit i of a symbol goes to the real axis when i is even.
void tb_csi_modulate(double *d, const tb_csi_link *link, const uint8_t *bits);

// d[n] ← the levels nearest to z[n] = gain·level + noise (gain 0: only signs count). May be z itself.
void tb_csi_decide(double *d, const tb_csi_axis *axis, const double *z, size_t n, double gain);

// Hard decisions on z[2P] = gain·d + noise: bits.
void tb_csi_demodulate(uint8_t *bits, const tb_csi_link *link, const double *z, double gain);

// The probability that a standard normal exceeds x.
double tb_csi_tail(double x);

#endif
