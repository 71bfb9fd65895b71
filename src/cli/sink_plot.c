#include "cli/sink_plot.h"

#include "cli/plot.h"

// ---- maps ----

enum { CELL = 22, MARGIN = 90, LEAST_MAP = 380, GAP = 60 };

static double first_of(const tb_sink_result *r, size_t at)
{
    return r->map.heads[at].first;
}

static double entropy_of(const tb_sink_result *r, size_t at)
{
    return r->map.heads[at].entropy_share;
}

// Beyond the scale it does not matter by how much.
static double value_of(const tb_sink_result *r, size_t at)
{
    return r->values[at].value_ratio;
}

// A value of each head, 0 … 1, drawn as a map.
typedef struct head_map {
    const char *title, *scale;
    double (*value)(const tb_sink_result *result, size_t at);
} head_map;

static tb_code add_map_data(tb_str *s, const char *name, const tb_sink_result *r, const head_map *map, tb_error *err)
{
    tb_code rc = tb_str_printf(s, err, "$%s << END\n", name);
    for (size_t b = 0; b < r->blocks; b++) {
        for (size_t h = 0; h < r->heads && !rc; h++)
            rc = tb_str_printf(s, err, "%.4f ", map->value(r, b * r->heads + h));
        if (!rc)
            rc = tb_str_append_text(s, "\n", err);
    }
    return rc ? rc : tb_str_append_text(s, "END\n", err);
}

static tb_code add_map(tb_str *s, const char *name, const char *model, const tb_sink_result *r, tb_error *err)
{
    tb_code rc = tb_str_append_text(s, "set title ", err);
    if (!rc)
        rc = tb_plot_quote(s, tb_sink_model_name(model), err);
    if (rc)
        return rc;
    return tb_str_printf(s, err,
                         " noenhanced\nset xrange [-0.5:%zu-0.5]\nset yrange [%zu-0.5:-0.5]\n"
                         "plot $%s matrix with image pixels notitle\n",
                         r->heads, r->blocks, name);
}

const char *const tb_sink_colours[TB_SINK_COLOURS] = {"#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c",
                                                      "#28ae80", "#5ec962", "#addc30", "#fde725"};

static tb_code add_palette(tb_str *s, tb_error *err)
{
    tb_code rc = tb_str_append_text(s, "set palette defined (", err);
    for (size_t i = 0; i < TB_SINK_COLOURS && !rc; i++)
        rc = tb_str_printf(s, err, "%s%zu '%s'", i ? ", " : "", i, tb_sink_colours[i]);
    return rc ? rc : tb_str_append_text(s, ")\n", err);
}

static tb_code plot_heads(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                          const head_map *map, tb_error *err)
{
    tb_str s = {0};
    size_t cells = r->heads * CELL > LEAST_MAP ? r->heads * CELL : LEAST_MAP, maps = reference ? 2 : 1;
    tb_code rc = add_map_data(&s, "model", r, map, err);
    if (!rc && reference)
        rc = add_map_data(&s, "reference", reference, map, err);
    if (!rc)
        rc = add_palette(&s, err);
    if (!rc)
        rc = tb_str_printf(&s, err,
                           "set cbrange [0:1]\nset cblabel '%s'\nset xlabel 'head'\nset ylabel 'block'\n"
                           "set xtics 1 out nomirror\nset ytics 1 out nomirror\nset tics font ',9'\nset border 0\n"
                           "set multiplot layout 1,%zu title '%s' font ',14'\n",
                           map->scale, maps, map->title);
    if (!rc)
        rc = add_map(&s, "model", job->cli->operands.items[0], r, err);
    if (!rc && reference)
        rc = add_map(&s, "reference", job->args->reference, reference, err);
    if (!rc)
        rc = tb_str_append_text(&s, "unset multiplot\n", err);
    if (!rc)
        rc = tb_plot_draw(job->args->plot, s.data, (unsigned)(maps * (cells + GAP) + MARGIN),
                          (unsigned)(r->blocks * CELL + 2 * MARGIN), err);
    tb_str_clear(&s);
    return rc;
}

tb_code tb_sink_plot_map(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                         tb_error *err)
{
    static const head_map map = {"Weight of the first token", "α_0: its mean weight over the queries", first_of};
    return plot_heads(job, r, reference, &map, err);
}

tb_code tb_sink_plot_value(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                           tb_error *err)
{
    static const head_map map = {"Value of the first token", "its length over that of the others (1: or more)",
                                 value_of};
    return plot_heads(job, r, reference, &map, err);
}

tb_code tb_sink_plot_entropy(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                             tb_error *err)
{
    static const head_map map = {"Entropy of attention", "share of the largest that it could be", entropy_of};
    return plot_heads(job, r, reference, &map, err);
}

// ---- curves ----

enum { WIDTH = 900, HEIGHT = 480 };

// Lines over stages or positions.
typedef struct curves {
    const char *title;
    // Appends the row of a stage or position: its number, and what the lines are drawn from.
    tb_code (*add_row)(tb_str *s, const tb_sink_result *result, size_t at, tb_error *err);
    double margin;                  // beside the first and the last
    const char *axes, *key, *lines; // as gnuplot has them; $model is the data
    const char *reference_lines;    // of $reference
} curves;

static tb_code add_rows(tb_str *s, const char *name, const tb_sink_result *r, const curves *c, size_t rows,
                        tb_error *err)
{
    tb_code rc = tb_str_printf(s, err, "$%s << END\n", name);
    for (size_t i = 0; i < rows && !rc; i++)
        rc = c->add_row(s, r, i, err);
    return rc ? rc : tb_str_append_text(s, "END\n", err);
}

static tb_code plot_curves(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                           const curves *c, size_t rows, tb_error *err)
{
    tb_str s = {0};
    tb_code rc = add_rows(&s, "model", r, c, rows, err);
    if (!rc && reference)
        rc = add_rows(&s, "reference", reference, c, rows, err);
    if (!rc)
        rc = tb_str_printf(&s, err, "set title \"%s: \".", c->title);
    if (!rc)
        rc = tb_plot_quote(&s, tb_sink_model_name(job->cli->operands.items[0]), err);
    if (!rc)
        rc = tb_str_printf(
            &s, err,
            " noenhanced\nset xrange [%g:%g]\n%sset border 3\nset xtics out nomirror\nset ytics out nomirror\n"
            "set grid ytics lt 1 lc rgb '#dddddd'\nset key %s\nplot %s",
            -c->margin, (double)rows - 1 + c->margin, c->axes, c->key, c->lines);
    if (!rc && reference)
        rc = tb_str_printf(&s, err, ", %s", c->reference_lines);
    if (!rc)
        rc = tb_str_append_text(&s, "\n", err);
    if (!rc)
        rc = tb_plot_draw(job->args->plot, s.data, WIDTH, HEIGHT, err);
    tb_str_clear(&s);
    return rc;
}

#define STAGES "set xlabel 'stage (0: the embeddings, s: behind block s − 1)'\n"

static tb_code add_stage(tb_str *s, const tb_sink_result *r, size_t at, tb_error *err)
{
    const tb_sink_stage *t = &r->massive.stages[at];
    return tb_str_printf(s, err, "%zu %.6g %.6g %.6g %.6g %.6g %.6g\n", at, t->top[0], t->top[1], t->top[2],
                         t->first_top, t->rest_top, t->median);
}

tb_code tb_sink_plot_massive(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                             tb_error *err)
{
    static const curves c = {
        .title = "Largest activations of the residual stream",
        .add_row = add_stage,
        .margin = 0.5,
        .axes = "set logscale y\n" STAGES "set ylabel 'magnitude'\n",
        .key = "outside right top",
        .lines = "$model using 1:2 with linespoints pt 7 lw 2 lc rgb '#d1495b' title 'largest',"
                 " '' using 1:3 with linespoints pt 7 ps 0.7 lc rgb '#edae49' title 'second',"
                 " '' using 1:4 with linespoints pt 7 ps 0.7 lc rgb '#66a182' title 'third',"
                 " '' using 1:6 with lines lw 2 lc rgb '#1f5f8b' title 'largest behind the first token',"
                 " '' using 1:7 with lines lw 2 lc rgb '#888888' title 'median'",
        .reference_lines =
            "$reference using 1:2 with lines dt 2 lw 2 lc rgb '#d1495b' title 'largest of the reference'",
    };
    return plot_curves(job, r, reference, &c, r->blocks + 1, err);
}

static tb_code add_position(tb_str *s, const tb_sink_result *r, size_t at, tb_error *err)
{
    return tb_str_printf(s, err, "%zu %.6g %.6g\n", at, 100 * (double)r->positions.sinks[at] / (double)r->sequences,
                         100 * (double)r->positions.massive[at] / (double)r->sequences);
}

tb_code tb_sink_plot_positions(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                               tb_error *err)
{
    static const curves c = {
        .title = "Where sinks are",
        .add_row = add_position,
        .margin = 1,
        .axes = "set xlabel 'position'\nset ylabel '% of the sequences'\nset yrange [0:100]\n",
        .key = "top right",
        .lines = "$model using 1:3 with lines lw 2 lc rgb '#edae49' title 'massive activations',"
                 " '' using 1:2 with impulses lw 3 lc rgb '#d1495b' title 'a sink in some head'",
        .reference_lines = "$reference using 1:2 with points pt 6 lc rgb '#1f5f8b' title 'of the reference'",
    };
    return plot_curves(job, r, reference, &c, r->rows, err);
}

static tb_code add_shape(tb_str *s, const tb_sink_result *r, size_t at, tb_error *err)
{
    const tb_sink_stage_shape *shape = &r->geometry.stages[at];
    return tb_str_printf(s, err, "%zu %.6g %.6g\n", at, shape->rank, shape->rest_rank);
}

tb_code tb_sink_plot_geometry(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                              tb_error *err)
{
    static const curves c = {
        .title = "Directions of the residual stream",
        .add_row = add_shape,
        .margin = 0.5,
        .axes = STAGES "set ylabel 'directions'\nset yrange [0:*]\n",
        .key = "top right",
        .lines = "$model using 1:2 with linespoints pt 7 lw 2 lc rgb '#d1495b' title 'all tokens',"
                 " '' using 1:3 with linespoints pt 7 lw 2 lc rgb '#1f5f8b' title 'without the first'",
        .reference_lines =
            "$reference using 1:2 with lines dt 2 lw 2 lc rgb '#d1495b' title 'all tokens, of the reference'",
    };
    return plot_curves(job, r, reference, &c, r->blocks + 1, err);
}
