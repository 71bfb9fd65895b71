// Ranks that are threads of the test, so that what several processes do can be tested in one.
#ifndef TB_TEST_THREAD_RANKS_H
#define TB_TEST_THREAD_RANKS_H

#include "base/base.h"

// Runs `fn` once for each of `count` ranks (at most 8), all at the same time, and waits for them.
void run_ranks(size_t count, void (*fn)(void *user, tb_ranks *ranks), void *user);

#endif
