// The picture of a stream: perplexity over the position in the text.
#ifndef TB_CLI_CURVE_PLOT_H
#define TB_CLI_CURVE_PLOT_H

#include "eval/eval.h"

// `piece`: predictions of each point. `what` names model and stream.
tb_code tb_curve_plot(const char *path, const tb_curve *curve, size_t piece, const char *what, bool has_reference,
                      tb_error *err);

#endif
