// Pictures of what `twobit sink` measures.
#ifndef TB_CLI_SINK_PLOT_H
#define TB_CLI_SINK_PLOT_H

#include "cli/sink_args.h"

// Perceptually even colours for 0 … 1, after viridis (Smith and van der Walt): "#440154" …
enum { TB_SINK_COLOURS = 9 };
extern const char *const tb_sink_colours[TB_SINK_COLOURS];

// Blocks × heads, coloured by the mean weight of the first token; the reference's beside it, or NULL.
tb_code tb_sink_plot_map(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                         tb_error *err);

// The largest activations over the depth, logarithmic.
tb_code tb_sink_plot_massive(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                             tb_error *err);

// Blocks × heads, by the first value's length over that of the others.
tb_code tb_sink_plot_value(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                           tb_error *err);

// Blocks × heads, by the share of the entropy that there could be.
tb_code tb_sink_plot_entropy(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                             tb_error *err);

// In how many sequences each position is a sink, or has massive activations.
tb_code tb_sink_plot_positions(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                               tb_error *err);

// Directions of the residual stream over the depth, with the first token and without.
tb_code tb_sink_plot_geometry(const tb_sink_job *job, const tb_sink_result *result, const tb_sink_result *reference,
                              tb_error *err);

#endif
