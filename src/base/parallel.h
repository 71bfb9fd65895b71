// Parallel loops over index ranges.
#ifndef TB_BASE_PARALLEL_H
#define TB_BASE_PARALLEL_H

#include <stddef.h>

// Works on indices [begin, end). `worker` is below the number of threads and unique among
// the calls that run at the same time: an index for per-thread scratch.
typedef void (*tb_range_fn)(void *user, size_t begin, size_t end, size_t worker);

// Calls `fn` on consecutive ranges of `grain` indices (the last may be shorter) that cover
// [0, n), on up to `threads` threads. The cutting depends on `n` and `grain` only, never on
// `threads`: a result that is computed range by range is the same for any number of threads.
// Returns when all are done. Not to be nested.
void tb_parallel(size_t threads, size_t n, size_t grain, tb_range_fn fn, void *user);

// Logical processors this process may use; at least 1.
size_t tb_cpu_count(void);

#endif
