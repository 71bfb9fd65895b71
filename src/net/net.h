// net: what lies outside this process. Knows nothing of what it is used for.
//
//   process.c       child processes, which end and are cleaned up whatever becomes of us
//   process_run.c   a program that is run to its end, and what it writes
//   keeper.c        what stands between us and a child, and outlives us to clean up
#ifndef TB_NET_H
#define TB_NET_H

#include "net/process.h"

#endif
