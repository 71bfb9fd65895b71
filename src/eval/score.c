// Logits become probabilities here: softmax relative to the largest logit, in double.
//
// With m the largest logit and S = Σ exp(x − m), log p_i = x_i − m − log S. The divergence
// KL(p‖q) = Σ p_i·(log p_i − log q_i) needs one pass over both models' logits a and b:
//     Σ p_i·((a_i − m_a) − (b_i − m_b)) − log S_a + log S_b
// It is exactly 0 for equal logits.
#include "eval/score.h"

#include <math.h>
#include <stdlib.h>

// Index of the largest logit, the first of equals; `vocab` when one is not finite.
static size_t find_largest(const float *logits, size_t vocab)
{
    size_t best = 0;
    for (size_t i = 0; i < vocab; i++) {
        if (!isfinite(logits[i]))
            return vocab;
        if (logits[i] > logits[best])
            best = i;
    }
    return best;
}

// Σ exp(x − largest)
static double sum_exp(const float *logits, size_t vocab, double largest)
{
    double sum = 0;
    for (size_t i = 0; i < vocab; i++)
        sum += exp(logits[i] - largest);
    return sum;
}

// −log of the probability of `target`.
static double score_target(const float *logits, size_t top, double log_sum, int32_t target)
{
    return log_sum - ((double)logits[target] - logits[top]);
}

static void score_against(tb_prediction_score *score, const float *q, const float *p, size_t vocab, size_t q_top,
                          size_t p_top, double q_log_sum, int32_t target)
{
    double q_largest = q[q_top], p_largest = p[p_top];
    double sum = 0, weighted = 0;
    for (size_t i = 0; i < vocab; i++) {
        double a = p[i] - p_largest, weight = exp(a);
        sum += weight;
        weighted += weight * (a - (q[i] - q_largest));
    }
    double p_log_sum = log(sum);
    // Rounding may leave a tiny negative number where the divergence is 0.
    score->kl = fmax(weighted / sum - p_log_sum + q_log_sum, 0);
    score->reference_nll = score_target(p, p_top, p_log_sum, target);
    score->agrees = p_top == q_top;
}

void tb_score_prediction(tb_prediction_score *score, const float *logits, const float *reference, size_t vocab,
                         int32_t target)
{
    *score = (tb_prediction_score){0};
    size_t top = find_largest(logits, vocab);
    size_t reference_top = reference ? find_largest(reference, vocab) : 0;
    score->finite = top != vocab;
    score->reference_finite = reference_top != vocab;
    double log_sum = score->finite ? log(sum_exp(logits, vocab, logits[top])) : 0;
    if (score->finite)
        score->nll = score_target(logits, top, log_sum, target);
    if (!reference || !score->reference_finite)
        return;
    if (score->finite)
        score_against(score, logits, reference, vocab, top, reference_top, log_sum, target);
    else
        score->reference_nll =
            score_target(reference, reference_top, log(sum_exp(reference, vocab, reference[reference_top])), target);
}

static double mean_of(const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return sum / (double)n;
}

tb_mean tb_mean_of_windows(const double *values, size_t windows, size_t per_window)
{
    size_t n = windows * per_window;
    double mean = mean_of(values, n);
    // A sample is a window, or a value when there is one window only.
    size_t samples = windows > 1 ? windows : n, length = n / samples;
    double square = 0;
    for (size_t s = 0; s < samples; s++) {
        double off = mean_of(values + s * length, length) - mean;
        square += off * off;
    }
    double variance = samples > 1 ? square / (double)(samples - 1) : 0;
    return (tb_mean){mean, sqrt(variance / (double)samples)};
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double tb_percentile(double *values, size_t n, double share)
{
    qsort(values, n, sizeof *values, compare_doubles);
    double at = share * (double)(n - 1);
    size_t below = (size_t)at;
    if (below + 1 >= n)
        return values[n - 1];
    return values[below] + (at - (double)below) * (values[below + 1] - values[below]);
}
