// The ranks of a program that mpirun started. Only then is MPI ever initialised: a program that a
// person starts alone is neither slower nor noisier for it.
#ifndef TB_CLI_LAUNCH_H
#define TB_CLI_LAUNCH_H

#include "base/base.h"

// Joins the other processes. *ranks is zeroed, and there is nothing to do, for a program started alone.
// On failure the rank may be known: only the first one should talk. Leave with tb_ranks_leave in any case.
tb_code tb_ranks_join(tb_ranks *ranks, tb_error *err);

void tb_ranks_leave(tb_ranks *ranks);

#endif
