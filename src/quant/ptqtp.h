// PTQTP: two trit-planes and two scales per row and group, fitted to the weights alone by
// alternating a 2×2 ridge regression with an exhaustive search over the nine trit pairs.
#ifndef TB_QUANT_PTQTP_H
#define TB_QUANT_PTQTP_H

#include "quant/method.h"

// One group after the fit, not yet canonical: any sign, any order of the planes.
typedef struct tb_trit_fit {
    double alpha[2];
    unsigned iterations; // 0 for a group without a weight that is finite and not 0
} tb_trit_fit;

// Fits n weights: trits t1[n], t2[n], scales and iteration count. Non-finite weights get trits
// (0, 0) and do not count. `scratch` holds 3·n doubles.
void tb_ptqtp_fit(tb_trit_fit *fit, int8_t *t1, int8_t *t2, const float *weights, size_t n, unsigned max_iterations,
                  double *scratch);

// The stored form of a fit: scales in half with α1 ≥ α2 ≥ 0, and the trits that are best for
// these scales (searched afresh; the fit's own are not needed).
void tb_ptqtp_round(uint16_t scales[2], int8_t *t1, int8_t *t2, const tb_trit_fit *fit, const float *weights, size_t n,
                    double *scratch, size_t *clamped);

// `out` is zeroed storage of TB_TYPE_TRITPLANES whose group is used. `options` are resolved.
// Adds to the report.
tb_code tb_ptqtp_quantize(tb_packed *out, const tb_quant_problem *problem, const tb_quant_options *options,
                          tb_quant_report *report, tb_error *err);

#endif
