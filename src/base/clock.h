// Time and memory of this process.
#ifndef TB_BASE_CLOCK_H
#define TB_BASE_CLOCK_H

#include <stddef.h>

// Seconds of a clock that never runs backwards.
double tb_clock_seconds(void);

// Largest resident set so far, in bytes; 0 if unknown.
size_t tb_peak_rss_bytes(void);

// Starts the measurement of tb_peak_rss_bytes afresh where the system allows it.
void tb_peak_rss_reset(void);

#endif
