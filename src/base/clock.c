#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

double tb_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// VmHWM, unlike getrusage's ru_maxrss, can be reset, and does not inherit from the parent.
size_t tb_peak_rss_bytes(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    if (!status)
        return 0;
    char line[256];
    size_t kib = 0;
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %zu kB", &kib) == 1)
            break;
    fclose(status);
    return kib * 1024;
}

void tb_peak_rss_reset(void)
{
    FILE *clear = fopen("/proc/self/clear_refs", "w");
    if (!clear)
        return;
    fputs("5", clear); // proc(5): 5 resets the peak resident set size
    fclose(clear);
}
