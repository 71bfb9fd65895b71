// Closed forms, averaged over the uplink: ‖g‖² is Gamma(B, 1/B).
#include <math.h>

#include "csi/receiver.h"

static tb_csi_theory theory_of(double rho, double s2, size_t r)
{
    double repeats = (double)r, c = tb_csi_shrinkage(rho, 1 - rho, s2, r);
    return (tb_csi_theory){
        .nmse_ls = (1 - rho + s2) / (repeats * rho),
        .nmse_mmse = 1 - c,
        .nmse_genie_ls = s2 / (repeats * rho),
        .nmse_genie_mmse = 1 / (1 + repeats * rho / s2),
        .ber_no_cancel = tb_csi_tail(sqrt((1 - rho) / (rho + s2))),
        .ber_cancel = tb_csi_error_after_cancel(rho, s2, c, r),
        .ber_known_csi = tb_csi_tail(sqrt((1 - rho) / s2)),
    };
}

static void add(tb_csi_theory *sum, const tb_csi_theory *term, double weight)
{
    sum->nmse_ls += weight * term->nmse_ls;
    sum->nmse_mmse += weight * term->nmse_mmse;
    sum->nmse_genie_ls += weight * term->nmse_genie_ls;
    sum->nmse_genie_mmse += weight * term->nmse_genie_mmse;
    sum->ber_no_cancel += weight * term->ber_no_cancel;
    sum->ber_cancel += weight * term->ber_cancel;
    sum->ber_known_csi += weight * term->ber_known_csi;
}

// ∫ f(x)·B^B/Γ(B)·x^(B−1)·e^(−Bx) dx with x = e^t: the integrand falls off exponentially on both
// sides, so that the trapezoidal rule converges faster than any power of its step.
tb_csi_theory tb_csi_theory_at(const tb_csi_point *point, size_t r, size_t b)
{
    double energy = pow(10, point->snr_db / 10), shape = (double)b;
    if (b == 0)
        return theory_of(point->rho, 1 / energy, r);
    const double least = -45 / shape - 12 / sqrt(shape), most = 4 / shape + 12 / sqrt(shape);
    enum { STEPS = 2000 };
    double step = (most - least) / STEPS, scale = shape * log(shape) - lgamma(shape);
    tb_csi_theory sum = {0};
    for (int i = 0; i <= STEPS; i++) {
        double t = least + step * i, x = exp(t), weight = step * exp(scale + shape * (t - x));
        if (weight < 1e-30)
            continue;
        tb_csi_theory term = theory_of(point->rho, 1 / (energy * x), r);
        add(&sum, &term, weight);
    }
    return sum;
}
