// Ranks by MPI.
#include "cli/launch.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>

static tb_code fail_mpi(int status, const char *what, tb_error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int size;
    MPI_Error_string(status, text, &size);
    return tb_fail(err, TB_EIO, "cannot %s: %s", what, text);
}

static tb_code gather(void *user, void *parts, size_t bytes, tb_error *err)
{
    (void)user;
    if (bytes > INT_MAX)
        return tb_fail(err, TB_ELIMIT, "%zu bytes are too many to exchange between processes", bytes);
    int status = MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, parts, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
    return status == MPI_SUCCESS ? TB_OK : fail_mpi(status, "exchange results with the other processes", err);
}

// What the launchers of Open MPI, of MPICH and of batch systems leave in the environment.
static bool is_launched(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMI_RANK") || getenv("PMIX_RANK");
}

static bool is_initialised(void)
{
    int initialised;
    MPI_Initialized(&initialised);
    return initialised;
}

tb_code tb_ranks_join(tb_ranks *ranks, tb_error *err)
{
    *ranks = (tb_ranks){0};
    if (!is_launched())
        return TB_OK;
    int rank, count, status = MPI_Init(NULL, NULL);
    if (status != MPI_SUCCESS)
        return fail_mpi(status, "start MPI", err);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    return tb_ranks_init(ranks, (size_t)rank, (size_t)count, gather, NULL, err);
}

void tb_ranks_leave(tb_ranks *ranks)
{
    if (is_initialised())
        MPI_Finalize();
    tb_ranks_clear(ranks);
}
