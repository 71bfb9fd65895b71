// Pictures of what `twobit sink` measures.
#ifndef TB_CLI_SINK_PLOT_H
#define TB_CLI_SINK_PLOT_H

#include "cli/sink_args.h"

// Blocks × heads, coloured by the mean weight of the first token; the reference's beside it, or NULL.
tb_code tb_sink_plot_map(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                         tb_error *err);

// The largest activations over the depth, logarithmic.
tb_code tb_sink_plot_massive(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                             tb_error *err);

#endif
