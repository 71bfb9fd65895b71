// How far a mean over tasks may be from what other tasks of the kind would give.
#ifndef TB_AGENT_INTERVALS_H
#define TB_AGENT_INTERVALS_H

#include "base/base.h"

typedef struct tb_interval {
    double mean, low, high; // of 95 %
} tb_interval;

// The bootstrap's percentile interval of the mean: 10,000 samples of `n` values with replacement, always the same ones.
// n = 0 gives zeros.
tb_code tb_interval_of_mean(tb_interval *out, const double *values, size_t n, tb_error *err);

// The two-sided sign test: the chance that of `wins` + `losses` fair coins one side comes at least as often as the more
// frequent one did. 1 where there is none.
double tb_sign_test(size_t wins, size_t losses);

#endif
