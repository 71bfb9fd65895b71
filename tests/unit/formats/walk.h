// For tests and fuzzing: touches every byte that a checkpoint lends, so that a sanitizer sees
// what points outside.
#ifndef TB_TEST_WALK_H
#define TB_TEST_WALK_H

#include "formats/formats.h"

// A sum over all of it.
uint64_t walk_checkpoint(const tb_checkpoint *checkpoint);

#endif
