// The classical receivers: interference cancellation in passes. Pass i, with I_i the power of data
// still in y_i (I_1 = 1−ρ, y_1 = r):
//
//     γ_i = R·ρ/(I_i + s2),  c_i = γ_i/(1 + γ_i)
//     h_i = c_i·Wᵀy_i/(P·√(ρ/N))         linear MMSE estimate; c = 1: least squares
//     z_i = r − √(ρ/N)·W·h_i             CSI cancelled
//     d_i = decision on z_i
//     y_{i+1} = r − √(1−ρ)·d_i           data cancelled
//
// A digital CSI (arXiv 2203.06606) is decided as well: h_i ← decision on Wᵀy_i/(P·√(ρ/N)), which is
// h and noise of variance (I_i + s2)·N/(ρ·P).
#include "csi/receiver.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool tb_csi_receiver_find(tb_csi_receiver *out, const char *name)
{
    static const struct {
        const char *name;
        tb_csi_receiver receiver;
        bool takes_passes;
    } table[] = {
        {"none", {TB_CSI_NO_CANCEL, 1}, false}, {"ls", {TB_CSI_LS, 1}, false},    {"mmse", {TB_CSI_HARD, 1}, false},
        {"hard", {TB_CSI_HARD, 2}, true},       {"soft", {TB_CSI_SOFT, 2}, true}, {"bayes", {TB_CSI_BAYES, 1}, false},
    };
    size_t length = strcspn(name, "-");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strlen(table[i].name) != length || strncmp(table[i].name, name, length) != 0)
            continue;
        *out = table[i].receiver;
        if (!name[length])
            return true;
        const char *digits = name + length + 1;
        unsigned long passes = strspn(digits, "0123456789") == strlen(digits) ? strtoul(digits, NULL, 10) : 0;
        out->passes = (unsigned)passes;
        return table[i].takes_passes && passes >= 1 && passes <= TB_CSI_MAX_PASSES;
    }
    return false;
}

tb_code tb_csi_receiver_check(const tb_csi_receiver *receiver, const tb_csi_link *link, tb_error *err)
{
    const tb_csi_options *o = &link->options;
    if (receiver->kind == TB_CSI_BAYES && (o->spreading != TB_CSI_WALSH_FIRST || o->channel != TB_CSI_RAYLEIGH))
        return tb_fail(err, TB_EUNSUPPORTED,
                       "the Bayes receiver knows the rayleigh channel with walsh-first spreading only");
    return TB_OK;
}

double tb_csi_shrinkage(double rho, double interference, double s2, size_t r)
{
    double signal = (double)r * rho, rest = interference + s2;
    return signal > 0 ? signal / (signal + rest) : 0;
}

void tb_csi_estimate_h(double *h, const tb_csi_link *link, const double *y, double rho, double shrinkage,
                       double *scratch)
{
    size_t n = link->options.n, p = link->options.p;
    double gain = rho > 0 ? shrinkage / ((double)p * sqrt(rho / (double)n)) : 0;
    for (size_t part = 0; part < 2; part++)
        tb_csi_despread(h + part * n, link, y + part * p, scratch);
    for (size_t i = 0; i < 2 * n; i++)
        h[i] *= gain;
}

void tb_csi_cancel_h(double *z, const tb_csi_link *link, const tb_csi_frame *frame, const double *h)
{
    size_t n = link->options.n, p = link->options.p;
    double gain = sqrt(frame->rho / (double)n);
    for (size_t part = 0; part < 2; part++)
        tb_csi_spread(z + part * p, link, h + part * n);
    for (size_t i = 0; i < 2 * p; i++)
        z[i] = frame->r[i] - gain * z[i];
}

double tb_csi_error_after_cancel(double rho, double s2, double c, size_t r)
{
    const size_t many = 512; // the others' signs then add up to a Gaussian, and binomials would underflow
    if (r > many)
        return tb_csi_tail(sqrt((1 - rho) / ((1 - c) * rho + s2)));
    double a = sqrt((1 - rho) / 2), repeats = (double)r;
    double variance = (1 - c) * (1 - c) * rho / 2 + s2 / 2 * (1 - 2 * c / repeats + c * c / repeats);
    double sum = 0, choices = pow(0.5, repeats - 1); // C(R−1, m)/2^(R−1), for m = 0
    for (size_t m = 0; m < r; m++) {
        double others = repeats - 1 - 2 * (double)m; // their signs' sum
        sum += choices * tb_csi_tail((a * (1 - c / repeats) - c * a / repeats * others) / sqrt(variance));
        choices *= (repeats - 1 - (double)m) / ((double)m + 1);
    }
    return sum;
}

double tb_csi_power_after_decisions(const tb_csi_frame *f, size_t r)
{
    double c = tb_csi_shrinkage(f->rho, 1 - f->rho, f->s2, r);
    return (1 - f->rho) * 4 * tb_csi_error_after_cancel(f->rho, f->s2, c, r); // a wrong bit is off by 2, its square 4
}

// Power of data left by hard decisions: each wrong one of a real axis is off by 2·step, with
// Gaussian interference of variance v per complex symbol.
static double hard_residual(const tb_csi_axis *axis, double rho, double v)
{
    double levels = axis->level_count, distance = 2 * axis->step;
    double wrong = 2 * (1 - 1 / levels) * tb_csi_tail(axis->step * sqrt(2 * (1 - rho) / v));
    return (1 - rho) * 2 * wrong * distance * distance;
}

static double residual_after_hard(const tb_csi_link *link, const tb_csi_frame *f, double rest, unsigned pass)
{
    if (pass == 0 && link->options.modulation == TB_CSI_QPSK && link->options.channel != TB_CSI_DIGITAL) {
        double c = tb_csi_shrinkage(f->rho, 1 - f->rho, f->s2, link->r);
        return (1 - f->rho) * 4 * tb_csi_error_after_cancel(f->rho, f->s2, c, link->r);
    }
    return hard_residual(&link->axis, f->rho, rest + f->s2);
}

// ŝ = E[level | x] for x = gain·level + noise of the given variance; adds the posterior variance.
static double soft_level(const tb_csi_axis *axis, double x, double gain, double variance, double *left)
{
    if (axis->level_count == 2) {
        double s = tanh(gain * axis->step * x / variance);
        *left += axis->step * axis->step * (1 - s * s);
        return axis->step * s;
    }
    double exponents[8], most = -INFINITY, total = 0, mean = 0, square = 0;
    for (unsigned k = 0; k < axis->level_count; k++) {
        double miss = x - gain * axis->levels[k];
        exponents[k] = -miss * miss / (2 * variance);
        most = fmax(most, exponents[k]);
    }
    for (unsigned k = 0; k < axis->level_count; k++) {
        double weight = exp(exponents[k] - most), level = axis->levels[k];
        total += weight;
        mean += weight * level;
        square += weight * level * level;
    }
    mean /= total;
    *left += square / total - mean * mean;
    return mean;
}

// y = r − √(1−ρ)·d̂ with d̂ decided from z, where `rest` of the CSI's power stayed; returns the power of data that stays.
static double cancel_data(double *y, const tb_csi_link *link, const tb_csi_frame *f, const double *z, double rest,
                          const tb_csi_receiver *receiver, unsigned pass)
{
    size_t p = link->options.p;
    double gain = sqrt(1 - f->rho);
    if (receiver->kind != TB_CSI_SOFT) {
        tb_csi_decide(y, &link->axis, z, 2 * p, gain);
        for (size_t i = 0; i < 2 * p; i++)
            y[i] = f->r[i] - gain * y[i];
        return residual_after_hard(link, f, rest, pass);
    }
    double left = 0, variance = (rest + f->s2) / 2;
    for (size_t i = 0; i < 2 * p; i++)
        y[i] = f->r[i] - gain * soft_level(&link->axis, z[i], gain, variance, &left);
    return gain * gain * left / (double)p;
}

// Decides the entries of a digital h, each real part ±1/√2; returns what stays of the CSI's power.
static double decide_csi(double *h, const tb_csi_link *link, const tb_csi_frame *f, double interference, bool soft)
{
    size_t n = link->options.n;
    tb_csi_axis axis;
    tb_csi_axis_init(&axis, TB_CSI_QPSK);
    double left = 0, variance = (interference + f->s2) * (double)n / (2 * f->rho * (double)link->options.p);
    for (size_t i = 0; i < 2 * n; i++)
        h[i] = soft ? soft_level(&axis, h[i], 1, variance, &left) : copysign(axis.step, h[i]);
    return f->rho * left / (double)n;
}

// Estimates h from y; returns what stays of the CSI's power when it is cancelled.
static double estimate_csi(double *h, const tb_csi_receiver *receiver, const tb_csi_link *link, const tb_csi_frame *f,
                           const double *y, double interference, double *scratch)
{
    bool digital = link->options.channel == TB_CSI_DIGITAL;
    double c = tb_csi_shrinkage(f->rho, interference, f->s2, link->r);
    tb_csi_estimate_h(h, link, y, f->rho, digital || receiver->kind == TB_CSI_LS ? 1 : c, scratch);
    if (digital && receiver->kind != TB_CSI_LS && f->rho > 0)
        return decide_csi(h, link, f, interference, receiver->kind == TB_CSI_SOFT);
    return (1 - c) * f->rho;
}

static void receive_frame(tb_csi_estimate *out, const tb_csi_receiver *receiver, const tb_csi_link *link,
                          const tb_csi_frame *f, double *scratch)
{
    size_t p = link->options.p;
    double *y = scratch, *z = scratch + 2 * p;
    double interference = 1 - f->rho;
    memcpy(y, f->r, 2 * p * sizeof *y);
    for (unsigned pass = 0; pass < receiver->passes; pass++) {
        double rest = estimate_csi(out->h, receiver, link, f, y, interference, z);
        tb_csi_cancel_h(z, link, f, out->h);
        if (pass + 1 < receiver->passes)
            interference = cancel_data(y, link, f, z, rest, receiver, pass);
    }
    tb_csi_demodulate(out->bits, link, receiver->kind == TB_CSI_NO_CANCEL ? f->r : z, sqrt(1 - f->rho));
}

void tb_csi_receive(tb_csi_batch *batch, const tb_csi_receiver *receiver, const tb_csi_link *link)
{
    for (size_t i = 0; i < batch->count; i++)
        if (receiver->kind == TB_CSI_BAYES)
            tb_csi_receive_bayes(&batch->estimates[i], link, &batch->frames[i], batch->scratch);
        else
            receive_frame(&batch->estimates[i], receiver, link, &batch->frames[i], batch->scratch);
}
