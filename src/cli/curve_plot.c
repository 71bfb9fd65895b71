#include "cli/curve_plot.h"

#include <math.h>

#include "cli/plot.h"

enum { WIDTH = 1000, HEIGHT = 560 };

// One line per point: the middle of its piece, and perplexities there.
static tb_code add_data(tb_str *s, const tb_curve *curve, size_t piece, tb_error *err)
{
    tb_code rc = tb_str_append_text(s, "$curve << END\n", err);
    for (size_t i = 0; i < curve->count && !rc; i++) {
        const tb_curve_point *p = &curve->points[i];
        rc = tb_str_printf(s, err, "%.1f %.9g %.9g\n", (double)p->first + (double)piece / 2, exp(p->nll),
                           exp(p->reference_nll));
    }
    return rc ? rc : tb_str_append_text(s, "END\n", err);
}

tb_code tb_curve_plot(const char *path, const tb_curve *curve, size_t piece, const char *what, bool has_reference,
                      tb_error *err)
{
    tb_str script = {0};
    tb_code rc = add_data(&script, curve, piece, err);
    if (!rc)
        rc = tb_str_append_text(&script, "set title ", err);
    if (!rc)
        rc = tb_plot_quote(&script, what, err);
    if (!rc)
        rc = tb_str_printf(
            &script, err,
            " noenhanced font ',16'\n"
            "set border 3\nset tics out nomirror\nset grid ytics lt 1 lc rgb '#dddddd'\n"
            "set xlabel 'position in the text, tokens'\nset ylabel 'perplexity of %zu tokens each'\n"
            "set logscale y\nset xrange [0:*]\nset key top right\n"
            "plot %s$curve using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb '#1f5f8b' title 'the stream'\n",
            piece,
            has_reference ? "$curve using 1:3 with lines lw 2 lc rgb '#888888' title 'the reference, which sees all', "
                          : "");
    if (!rc)
        rc = tb_plot_draw(path, script.data, WIDTH, HEIGHT, err);
    tb_str_clear(&script);
    return rc;
}
