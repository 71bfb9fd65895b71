#include "agent/intervals.h"

#include <math.h>
#include <stdlib.h>

enum { SAMPLES = 10000, SEED = 20260810 }; // the day of the official tasks; any would do

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean_of_sample(tb_rng *rng, const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[tb_rng_below(rng, n)];
    return sum / (double)n;
}

tb_code tb_interval_of_mean(tb_interval *out, const double *values, size_t n, tb_error *err)
{
    *out = (tb_interval){0};
    if (n == 0)
        return TB_OK;
    double *means = tb_alloc_array(SAMPLES, sizeof *means), sum = 0;
    if (!means)
        return tb_fail(err, TB_ENOMEM, "no memory for %d samples", SAMPLES);
    tb_rng rng;
    tb_rng_init(&rng, SEED, 0);
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    for (size_t i = 0; i < SAMPLES; i++)
        means[i] = mean_of_sample(&rng, values, n);
    qsort(means, SAMPLES, sizeof *means, by_size);
    *out = (tb_interval){sum / (double)n, means[SAMPLES * 25 / 1000], means[SAMPLES * 975 / 1000 - 1]};
    tb_free(means);
    return TB_OK;
}

// By logarithms, because 2^−n underflows.
double tb_sign_test(size_t wins, size_t losses)
{
    size_t n = wins + losses, least = wins < losses ? wins : losses;
    double tail = 0;
    for (size_t k = 0; k <= least; k++)
        tail += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) - (double)n * log(2));
    return fmin(1, 2 * tail);
}
