// This program as a child of itself: for work whose memory is to be measured alone.
#ifndef TB_CLI_CHILD_H
#define TB_CLI_CHILD_H

#include "base/base.h"

// Runs this program with `arguments` (NULL ends them) and appends what it prints on stdout. Its
// stderr is ours, so that its progress is seen. Ctrl-C reaches it as it reaches us; SIGTERM is
// passed on. TB_ECANCELLED when it was stopped, TB_EIO when it failed (and has said why).
tb_code tb_child_run(tb_str *output, const char *const *arguments, tb_error *err);

#endif
