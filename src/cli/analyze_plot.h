// The picture of an analysis: three panels over the blocks.
#ifndef TB_CLI_ANALYZE_PLOT_H
#define TB_CLI_ANALYZE_PLOT_H

#include "quant/quant.h"

// places[block]: the place in the order of scores, from 1.
tb_code tb_analyze_plot(const char *path, const tb_analysis *analysis, const char *model, const char *score,
                        const size_t *places, tb_error *err);

#endif
