// Inside csi: the steps of receivers.
#ifndef TB_CSI_RECEIVER_H
#define TB_CSI_RECEIVER_H

#include "csi/link.h"

// c = γ/(1 + γ) with γ = R·ρ/(interference + s2); 0 where there is no CSI.
double tb_csi_shrinkage(double rho, double interference, double s2, size_t r);

// h = shrinkage·Wᵀy/(P·√(ρ/N)); 0 for ρ = 0. `scratch`: [P].
void tb_csi_estimate_h(double *h, const tb_csi_link *link, const double *y, double rho, double shrinkage,
                       double *scratch);

// z = r − √(ρ/N)·W·h
void tb_csi_cancel_h(double *z, const tb_csi_link *link, const tb_csi_frame *frame, const double *h);

// The bit error rate of QPSK after the first cancellation with shrinkage c: exact for independent
// h and walsh-first spreading, where the R observations of a real block share one estimate.
double tb_csi_error_after_cancel(double rho, double s2, double c, size_t r);

// The power of QPSK data that stays when one pass's decisions are cancelled, on the same conditions.
double tb_csi_power_after_decisions(const tb_csi_frame *frame, size_t r);

void tb_csi_receive_bayes(tb_csi_estimate *out, const tb_csi_link *link, const tb_csi_frame *frame, double *scratch);

#endif
