// Counting errors, and how sure the counts are.
#include <math.h>

#include "csi/link.h"

// ---- intervals ----

// The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by
// Lentz's method.
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m <= 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        for (int k = 0; k < 2; k++) {
            double term = k ? odd : even;
            d = 1 + term * d;
            c = 1 + term / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            f *= c * d;
        }
        if (fabs(c * d - 1) < 1e-15)
            break;
    }
    return f;
}

// Of a positive number. lgamma itself writes a sign to a variable that all threads share.
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

// The regularised incomplete beta function I_x(a, b).
static double beta_share(double x, double a, double b)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

// x with I_x(a, b) = share, by bisection.
static double beta_quantile(double share, double a, double b)
{
    double low = 0, high = 1;
    for (int i = 0; i < 200 && high - low > 1e-12 * low; i++) {
        double middle = (low + high) / 2;
        if (beta_share(middle, a, b) < share)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

void tb_clopper_pearson(double *low, double *high, uint64_t hits, uint64_t trials, double confidence)
{
    double outside = (1 - confidence) / 2, k = (double)hits, n = (double)trials;
    *low = hits ? beta_quantile(outside, k, n - k + 1) : 0;
    *high = hits < trials ? beta_quantile(1 - outside, k + 1, n - k) : 1;
}

// P(|t| > T) = I_x(ν/2, 1/2) with x = ν/(ν + T²).
double tb_student_quantile(double confidence, double freedom)
{
    double x = beta_quantile(1 - confidence, freedom / 2, 0.5);
    return sqrt(freedom * (1 - x) / x);
}

// ---- counting ----

static uint64_t count_differences(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += a[i] != b[i];
    return count;
}

static uint64_t count_sign_changes(const double *a, const double *b, size_t n)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += signbit(a[i]) != signbit(b[i]);
    return count;
}

static void tally_csi_bits(tb_csi_tally *tally, const double *sent, const double *seen, size_t n)
{
    uint64_t wrong = count_sign_changes(sent, seen, n);
    tally->csi_bits += n;
    tally->csi_bit_errors += wrong;
    tally->csi_bit_errors_squared += wrong * wrong;
}

void tb_csi_tally_batch(tb_csi_tally *tally, const tb_csi_batch *batch, const tb_csi_link *link)
{
    size_t bits = tb_csi_link_bits(link);
    for (size_t i = 0; i < batch->count; i++) {
        const tb_csi_frame *frame = &batch->frames[i];
        const tb_csi_estimate *estimate = &batch->estimates[i];
        uint64_t wrong = count_differences(frame->bits, estimate->bits, bits);
        double error = 0, power = 0;
        for (size_t j = 0; j < 2 * link->options.n; j++) {
            double miss = estimate->h[j] - frame->h[j];
            error += miss * miss;
            power += frame->h[j] * frame->h[j];
        }
        tally->frames++;
        tally->bits += bits;
        tally->bit_errors += wrong;
        tally->frame_errors += wrong > 0;
        tally->bit_errors_squared += wrong * wrong;
        tally->error += error;
        tally->power += power;
        tally->error_squared += error * error;
        tally->error_power += error * power;
        tally->power_squared += power * power;
        if (link->options.channel == TB_CSI_DIGITAL)
            tally_csi_bits(tally, frame->h, estimate->h, 2 * link->options.n);
    }
}

// A bit error rate over frames, whose errors add up to `errors` and their squares to `squares`.
static void score_bits(double *rate, double *ci, const tb_csi_tally *t, uint64_t bits, uint64_t errors,
                       uint64_t squares, double quantile)
{
    double frames = (double)t->frames, sum = (double)errors;
    double spread = fmax((double)squares - sum * sum / frames, 0) / (frames * (frames - 1));
    *rate = sum / (double)bits;
    *ci = quantile * sqrt(spread) / ((double)bits / frames);
    if (!errors) {
        double low;
        tb_clopper_pearson(&low, ci, 0, bits, 0.95);
    }
}

// A ratio of sums of e and q has the variance Σ(e − NMSE·q)²/(F·(F−1))/mean(q)².
tb_csi_score tb_csi_tally_score(const tb_csi_tally *t)
{
    tb_csi_score score = {NAN, INFINITY, NAN, INFINITY, NAN, NAN};
    if (!t->frames)
        return score;
    double frames = (double)t->frames;
    score.nmse = t->error / t->power;
    score.ber = (double)t->bit_errors / (double)t->bits;
    if (t->frames < 2)
        return score;
    double spread = t->error_squared - 2 * score.nmse * t->error_power + score.nmse * score.nmse * t->power_squared;
    double quantile = tb_student_quantile(0.95, frames - 1), count = frames * (frames - 1);
    score.nmse_ci = quantile * sqrt(fmax(spread, 0) / count) / (t->power / frames);
    score_bits(&score.ber, &score.ber_ci, t, t->bits, t->bit_errors, t->bit_errors_squared, quantile);
    if (t->csi_bits)
        score_bits(&score.csi_ber, &score.csi_ber_ci, t, t->csi_bits, t->csi_bit_errors, t->csi_bit_errors_squared,
                   quantile);
    return score;
}
