// Pictures, drawn by gnuplot.
#ifndef TB_CLI_PLOT_H
#define TB_CLI_PLOT_H

#include "base/base.h"

// Whether a picture can be written there: TB_EINVAL unless the name ends in .svg or .png, TB_EUNSUPPORTED when gnuplot
// is not installed. Asked before the work that the picture is to show.
tb_code tb_plot_check(const char *path, tb_error *err);

// Runs a script of gnuplot, which sets neither terminal nor output, and writes the picture of width × height pixels,
// complete or not at all.
tb_code tb_plot_draw(const char *path, const char *script, unsigned width, unsigned height, tb_error *err);

// Appends a text as a string of gnuplot, quoted, without the markup of its enhanced mode.
tb_code tb_plot_quote(tb_str *out, const char *text, tb_error *err);

#endif
