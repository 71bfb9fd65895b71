// Several processes at work on one thing: the ranks of MPI, on one machine or on many. All run the
// same program with the same arguments; they meet now and then to exchange what each has computed.
// Whoever fails says so at the next meeting, so that all of them end, and with the same error.
#ifndef TB_BASE_RANKS_H
#define TB_BASE_RANKS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fail.h"

// How bytes travel. Called by all ranks in the same order and with the same `bytes`: each has
// filled parts[rank] of parts[count][bytes]; when it returns, all parts are filled everywhere.
typedef tb_code (*tb_gather_fn)(void *user, void *parts, size_t bytes, tb_error *err);

// NULL in place of a tb_ranks means: one process.
typedef struct tb_ranks {
    size_t rank, count;
    tb_gather_fn gather;
    void *user;
    bool parted;       // a meeting has failed: there will be no other
    tb_error *reports; // [count]
} tb_ranks;

tb_code tb_ranks_init(tb_ranks *ranks, size_t rank, size_t count, tb_gather_fn gather, void *user, tb_error *err);
void tb_ranks_clear(tb_ranks *ranks); // accepts a zeroed one

static inline size_t tb_ranks_count(const tb_ranks *ranks)
{
    return ranks ? ranks->count : 1;
}

static inline size_t tb_ranks_rank(const tb_ranks *ranks)
{
    return ranks ? ranks->rank : 0;
}

// The rank that speaks for all: it alone prints and writes files.
static inline bool tb_ranks_is_first(const tb_ranks *ranks)
{
    return tb_ranks_rank(ranks) == 0;
}

// Brings all ranks together. `rc` says how this one got here, `err` why, as tb_fail left them. When all
// come with TB_OK, parts[count][bytes] is gathered (bytes may be 0). Otherwise every rank gets the
// failure of the lowest rank that has one, from this meeting and from all that follow.
tb_code tb_ranks_meet(tb_ranks *ranks, tb_code rc, void *parts, size_t bytes, tb_error *err);

#endif
