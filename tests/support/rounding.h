// How far two ways to one result may be apart because floats round: the tolerances of tests.
//
// u = 2^-24 is half the distance from 1 to the next float. A sum of n products is off by at most n·u·Σ|w·x|, in
// whatever order (Higham, Accuracy and Stability of Numerical Algorithms, 3.1). That is a bound for the worst of all
// inputs, and through the layers of a model it would say nothing. Roundings are independent of one another, though: a
// sum is off by √n·u, as a standard deviation, and what stands one behind the other adds in squares. `deviations_of`
// says how many deviations the largest of `count` such values may be away in all but 10^-6 of all runs.
#ifndef TB_TEST_ROUNDING_H
#define TB_TEST_ROUNDING_H

#include <math.h>

#include "model/model.h"

static inline double deviations_of(size_t count)
{
    return sqrt(2 * log(2 * (double)count / 1e-6));
}

// Two sums of the same n products in different order: the largest difference among `count` of them, relative to Σ|w·x|.
static inline double rounding_of_sums(size_t n, size_t count)
{
    return deviations_of(count) * 0x1p-24 * sqrt(2 * (double)n);
}

// The same of doubles, whose u is 2^-53.
static inline double rounding_of_double_sums(size_t n, size_t count)
{
    return rounding_of_sums(n, count) * 0x1p-29;
}

// Terms of all sums that stand one behind the other between the embedding and a logit. Norms sum squares.
static inline size_t summed_terms(const tb_config *c, size_t tokens)
{
    size_t attention = 2 * c->width + c->head_size + tokens + c->heads * c->head_size;
    size_t feed_forward = 2 * c->width + c->ffn_width;
    if (c->experts) // the router's scores and shares, and the sum over experts besides
        feed_forward += c->width + c->experts + c->experts_used + c->expert_width + c->shared_width;
    return c->blocks * (attention + feed_forward) + 2 * c->width;
}

// Two passes over `tokens` tokens that differ in the order of sums, or in factors that cancel: the largest difference
// among `count` logits, or values on their way, relative to the largest of them.
static inline double rounding_of_passes(const tb_config *config, size_t tokens, size_t count)
{
    return rounding_of_sums(summed_terms(config, tokens), count);
}

// Two passes, one of them with keys and values of 11 bits: each is off by at most 2^-11 of itself and evenly so, 1/√3
// of that as a standard deviation. A block has two sums of such, scores and outputs; a sum of them is off by no more.
static inline double rounding_of_halves(const tb_config *config, size_t count)
{
    return deviations_of(count) * 0x1p-11 * sqrt(2 * (double)config->blocks / 3);
}

// What `n` logits in two passes may be apart, as a number.
static inline double rounding_of_logits(const tb_config *config, size_t tokens, const float *logits, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)logits[i]));
    return rounding_of_passes(config, tokens, n) * largest;
}

// The mean of n logs of probabilities, from logits that are `off` apart: a logit moves by that, and so does the log of
// the sum. Different predictions do so independently.
static inline double rounding_of_log_probability(double off, size_t n)
{
    return 2 * off / sqrt((double)n);
}

// The mean over n predictions of a divergence of q from p, `kl`, their logits p_off and q_off apart. To first order
// Σp·(log p − log q) moves by Σp·d(log q) and by Σdp·(log p − log q), where |dp| is at most 2·p_off·p and
// Σp·|log p − log q| at most kl + 2, as p·log(q/p) ≤ q − p.
static inline double rounding_of_divergence(double p_off, double q_off, double kl, size_t n)
{
    return (2 * q_off + 2 * p_off * (kl + 2)) / sqrt((double)n);
}

#endif
