#include "cli/train_plot.h"

#include "cli/plot.h"

enum { WIDTH = 1000, PANEL_HEIGHT = 380, POINTS = 500 }; // as many points as a screen can tell apart

// The loss, averaged over runs of steps so that at most POINTS are left.
static tb_code add_losses(tb_str *s, const tb_lm_log *log, tb_error *err)
{
    uint64_t run = log->steps / POINTS + 1;
    tb_code rc = tb_str_append_text(s, "$loss << END\n", err);
    for (uint64_t first = 0; !rc && first < log->steps; first += run) {
        uint64_t n = log->steps - first < run ? log->steps - first : run;
        double mean = 0;
        for (uint64_t i = first; i < first + n; i++)
            mean += log->loss[i] / (double)n;
        rc = tb_str_printf(s, err, "%llu %.6g\n", (unsigned long long)(first + n), mean);
    }
    return rc ? rc : tb_str_append_text(s, "END\n", err);
}

static tb_code add_rows(tb_str *s, const char *name, const double *values, size_t cols, uint64_t every, uint64_t steps,
                        tb_error *err)
{
    tb_code rc = tb_str_printf(s, err, "$%s << END\n", name);
    for (uint64_t i = 0; !rc && every && (i + 1) * every <= steps; i++) {
        rc = tb_str_printf(s, err, "%llu", (unsigned long long)((i + 1) * every));
        for (size_t c = 0; !rc && c < cols; c++)
            rc = tb_str_printf(s, err, " %.6g", values[i * cols + c]);
        if (!rc)
            rc = tb_str_append_text(s, "\n", err);
    }
    return rc ? rc : tb_str_append_text(s, "END\n", err);
}

static tb_code add_loss_panel(tb_str *s, bool held, tb_error *err)
{
    return tb_str_printf(s, err,
                         "set title 'Loss: nats per token'\nset ylabel ''\n"
                         "plot $loss using 1:2 with lines lw 2 lc rgb '#9db4c8' title 'batches'%s\n",
                         held ? ", $held using 1:2 with linespoints pt 7 ps 0.5 lw 2 lc rgb '#d1495b' title 'held out'"
                              : "");
}

static tb_code add_probe_panels(tb_str *s, tb_error *err)
{
    return tb_str_append_text(
        s,
        "set title 'The sink: weight that the strongest head gives to the first position'\nset yrange [0:1]\n"
        "plot $probes using 1:2 with linespoints pt 7 ps 0.5 lw 2 lc rgb '#d1495b' title 'strongest head',"
        " '' using 1:3 with linespoints pt 6 ps 0.5 lw 2 lc rgb '#1f5f8b' title 'share of heads above 0.3'\n"
        "set title 'Activations and gradients'\nset yrange [*:*]\nset logscale y\nset xlabel 'step'\n"
        "plot $probes using 1:4 with linespoints pt 7 ps 0.5 lw 2 lc rgb '#d1495b' title 'largest activation',"
        " '' using 1:5 with linespoints pt 6 ps 0.5 lw 2 lc rgb '#1f5f8b' title 'kurtosis',"
        " '' using 1:($6/$7) with linespoints pt 4 ps 0.5 lw 2 lc rgb '#888888'"
        " title 'gradient at the first position / at the others'\n",
        err);
}

tb_code tb_train_plot(const char *path, const tb_lm_log *log, const tb_lm_training *t, tb_error *err)
{
    tb_str s = {0};
    bool held = t->text.held_count && log->steps >= t->measure_every,
         probes = t->probe_every && log->steps >= t->probe_every;
    unsigned panels = probes ? 3 : 1;
    tb_code rc = add_losses(&s, log, err);
    if (!rc)
        rc = add_rows(&s, "held", log->held, 1, t->measure_every, log->steps, err);
    if (!rc)
        rc = add_rows(&s, "probes", log->probes, TB_LM_PROBES, t->probe_every, log->steps, err);
    if (!rc)
        rc = tb_str_printf(&s, err,
                           "set multiplot layout %u,1\nset xrange [0:%llu]\nset xtics out nomirror\n"
                           "set ytics out nomirror\nset border 3\nset grid ytics lt 1 lc rgb '#dddddd'\n%s",
                           panels, (unsigned long long)log->steps, probes ? "" : "set xlabel 'step'\n");
    if (!rc)
        rc = add_loss_panel(&s, held, err);
    if (!rc && probes)
        rc = add_probe_panels(&s, err);
    if (!rc)
        rc = tb_str_append_text(&s, "unset multiplot\n", err);
    if (!rc)
        rc = tb_plot_draw(path, s.data, WIDTH, panels * PANEL_HEIGHT, err);
    tb_str_clear(&s);
    return rc;
}
