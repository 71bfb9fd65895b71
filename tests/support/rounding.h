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

// Terms of all sums that stand one behind the other between the embedding and a logit. Norms sum squares.
static inline size_t summed_terms(const tb_config *c, size_t tokens)
{
    size_t attention = 2 * c->width + c->head_size + tokens + c->heads * c->head_size;
    size_t feed_forward = 2 * c->width + c->ffn_width;
    return c->blocks * (attention + feed_forward) + 2 * c->width;
}

// Two passes over `tokens` tokens that differ in the order of sums, or in factors that cancel: the largest difference
// among `count` logits, or values on their way, relative to the largest of them.
static inline double rounding_of_passes(const tb_config *config, size_t tokens, size_t count)
{
    return rounding_of_sums(summed_terms(config, tokens), count);
}

#endif
