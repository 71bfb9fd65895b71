// This program as a child of itself: for work whose memory is to be measured alone.
#ifndef TB_LAB_CHILD_H
#define TB_LAB_CHILD_H

#include "base/base.h"

// Runs this program with `arguments` (NULL ends them) and appends what it prints on stdout. Its
// stderr is ours, so that its progress is seen. Ctrl-C reaches it as it reaches us; where the
// report asks to stop, so is the child asked. However we end, it does not outlive us. TB_ECANCELLED when it was
// stopped, TB_EIO when it failed (and has said why).
tb_code tb_child_run(tb_str *output, const char *const *arguments, const tb_report *report, tb_error *err);

#endif
