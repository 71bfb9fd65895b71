// The BLAS library chooses its kernels when it is loaded, before main. Where they do not fit the processor the program
// starts itself anew with the right ones.
#ifndef TB_CLI_RESTART_H
#define TB_CLI_RESTART_H

#include "base/base.h"

// Does not return where the program must start anew: same process, arguments, streams and environment, and one variable
// more, which also ends the matter: whoever set it chose. To be called before anything else happens.
void tb_restart_with_blas_core(char **argv);

// Says so where the library's kernels still do not fit the processor and the user has not asked for them.
void tb_note_blas_core(const tb_report *report);

#endif
