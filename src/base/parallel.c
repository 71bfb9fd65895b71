// OpenMP hands out the ranges dynamically; which thread gets which range is unspecified.
#include "base/parallel.h"

#include <omp.h>

void tb_parallel(size_t threads, size_t n, size_t grain, tb_range_fn fn, void *user)
{
    if (grain == 0)
        grain = 1;
    size_t ranges = n / grain + (n % grain != 0);
    if (threads > ranges)
        threads = ranges;
    if (threads <= 1) {
        for (size_t i = 0; i < ranges; i++)
            fn(user, i * grain, i + 1 < ranges ? (i + 1) * grain : n, 0);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads((int)threads)
    for (size_t i = 0; i < ranges; i++)
        fn(user, i * grain, i + 1 < ranges ? (i + 1) * grain : n, (size_t)omp_get_thread_num());
}

size_t tb_cpu_count(void)
{
    int n = omp_get_num_procs();
    return n > 0 ? (size_t)n : 1;
}
