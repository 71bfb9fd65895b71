// A build without MPI: refuses to be one of several, which would each do all of the work and write
// the same files.
#include "cli/launch.h"

#include <stdlib.h>

// The number that the launcher (of Open MPI, of MPICH) left in the environment, or 0.
static size_t number_of(const char *open_mpi, const char *mpich)
{
    const char *text = getenv(open_mpi);
    if (!text)
        text = getenv(mpich);
    return text ? strtoul(text, NULL, 10) : 0;
}

tb_code tb_ranks_join(tb_ranks *ranks, tb_error *err)
{
    *ranks = (tb_ranks){0};
    if (number_of("OMPI_COMM_WORLD_SIZE", "PMI_SIZE") < 2)
        return TB_OK;
    ranks->rank = number_of("OMPI_COMM_WORLD_RANK", "PMI_RANK");
    return tb_fail(err, TB_EUNSUPPORTED, "this program is built without MPI; start it without mpirun");
}

void tb_ranks_leave(tb_ranks *ranks)
{
    *ranks = (tb_ranks){0};
}
