// A meeting is two exchanges: how each rank is, and if all are well, what they bring.
#include "base/ranks.h"

#include "base/mem.h"

tb_code tb_ranks_init(tb_ranks *ranks, size_t rank, size_t count, tb_gather_fn gather, void *user, tb_error *err)
{
    *ranks = (tb_ranks){.rank = rank, .count = count, .gather = gather, .user = user};
    ranks->reports = tb_alloc_array(count, sizeof *ranks->reports);
    return ranks->reports ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu processes", count);
}

void tb_ranks_clear(tb_ranks *ranks)
{
    tb_free(ranks->reports);
    *ranks = (tb_ranks){0};
}

// The failure of the lowest rank that has one. Rank 0 is the one that people watch; others are named.
static tb_code find_failure(const tb_ranks *ranks, tb_error *err)
{
    for (size_t i = 0; i < ranks->count; i++) {
        const tb_error *report = &ranks->reports[i];
        if (report->code)
            return i ? tb_fail(err, report->code, "process %zu: %s", i, report->message)
                     : tb_fail(err, report->code, "%s", report->message);
    }
    return TB_OK;
}

static tb_code exchange(tb_ranks *ranks, tb_code rc, void *parts, size_t bytes, tb_error *err)
{
    tb_error *own = &ranks->reports[ranks->rank];
    *own = rc && err ? *err : (tb_error){.code = rc};
    own->code = rc;
    tb_code failure = ranks->gather(ranks->user, ranks->reports, sizeof *ranks->reports, err);
    if (!failure)
        failure = find_failure(ranks, err);
    if (!failure && bytes)
        failure = ranks->gather(ranks->user, parts, bytes, err);
    return failure;
}

tb_code tb_ranks_meet(tb_ranks *ranks, tb_code rc, void *parts, size_t bytes, tb_error *err)
{
    if (!ranks || ranks->parted)
        return rc;
    rc = exchange(ranks, rc, parts, bytes, err);
    ranks->parted = rc != TB_OK;
    return rc;
}
