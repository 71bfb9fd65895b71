// The picture: perplexity over the size of the file, a panel for each model (a row) and text (a column). gnuplot draws
// points and axes; where names go is worked out here, which is why the edges of a panel are known in pixels.
#include "cli/compare_show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/chart_labels.h"
#include "cli/number_text.h"
#include "cli/plot.h"

// Pixels.
enum {
    PANEL_WIDTH = 860,
    PANEL_HEIGHT = 640,
    TITLE_HEIGHT = 56,
    MARGIN_LEFT = 78,
    MARGIN_RIGHT = 24,
    MARGIN_BOTTOM = 76,
    MARGIN_TOP = 40,
    POINT_RADIUS = 5,
    TEXT_HEIGHT = 15,
    SMALL_TEXT_HEIGHT = 12,
    KEY_LINE = 19,
    KEY_WIDTH = 190,
};

// Mean width of a character of the two sizes of text.
#define CHARACTER_WIDTH 8.3
#define SMALL_CHARACTER_WIDTH 7.2

// What has more times the original's perplexity would press everything else together.
#define HIGHEST_RATIO 10.0

#define MEGA 1e6

// gnuplot's point types.
enum { FILLED_CIRCLE = 7, FILLED_DIAMOND = 13, FILLED_SQUARE = 5, HOLLOW_TRIANGLE = 8, STAR = 3 };

// By method, in the order of the table; a picture stays readable with these side by side.
static const char *const colours[] = {"#8c8c8c", "#2a6f97", "#d1495b", "#e0992b",
                                      "#3f8f5f", "#7a5ea8", "#8a5a44", "#17a2b8"};

enum { COLOURS = sizeof colours / sizeof colours[0] };

static const char other_colour[] = "#222222";

typedef struct panel {
    const tb_comparison *c;
    const tb_compare_model *m;
    size_t text;
    double original;             // its perplexity
    double least_x, most_x;      // megabytes
    double least_y, most_y;      // perplexity
    double width, height;        // of the picture, pixels
    tb_box box;                  // inside the axes, pixels
    bool used[TB_METHODS];       // methods with a point that has one width
    bool used_mixed[TB_METHODS]; // and with widths by block
    bool used_other;
    bool clipped; // a point stands at the upper edge
} panel;

static bool is_drawn(const panel *p, const tb_compare_row *row)
{
    return row->kind != TB_ROW_ORIGINAL && !row->missing && !row->cells[p->text].result.broken;
}

static bool is_mixed(const tb_compare_row *row)
{
    return tb_recipe_mixes_widths(&row->recipe->args);
}

static double x_of(const tb_compare_row *row)
{
    return (double)row->file_bytes / MEGA;
}

static double perplexity_of(const panel *p, const tb_compare_row *row)
{
    return row->cells[p->text].result.perplexity;
}

static bool is_clipped(const panel *p, const tb_compare_row *row)
{
    return perplexity_of(p, row) > p->most_y;
}

// ---- axes ----

static void find_ranges(panel *p)
{
    const tb_compare_row *original = &p->m->rows[0];
    double least = INFINITY, most = 0, highest = p->original;
    for (size_t i = 0; i < p->m->count; i++) {
        const tb_compare_row *row = &p->m->rows[i];
        if (!is_drawn(p, row))
            continue;
        least = fmin(least, x_of(row));
        most = fmax(most, x_of(row));
        if (perplexity_of(p, row) <= HIGHEST_RATIO * p->original)
            highest = fmax(highest, perplexity_of(p, row));
        else
            p->clipped = true;
    }
    if (!isfinite(least))
        least = most = x_of(original);
    if (x_of(original) < 1.6 * most) // far away it would leave the others no room
        most = fmax(most, x_of(original));
    double pad = 0.09 * fmax(most - least, 0.02 * most);
    p->least_x = least - 1.6 * pad;
    p->most_x = most + pad;
    double lowest = p->original;
    for (size_t i = 0; i < p->m->count; i++) // another file may be better than the original
        if (is_drawn(p, &p->m->rows[i]))
            lowest = fmin(lowest, perplexity_of(p, &p->m->rows[i]));
    double span = fmax(log(highest / lowest), 0.1);
    p->least_y = lowest * exp(-0.11 * span);
    p->most_y = highest * exp((p->clipped ? 0.14 : 0.08) * span);
}

static double pixel_x(const panel *p, double x)
{
    return p->box.left + (x - p->least_x) / (p->most_x - p->least_x) * (p->box.right - p->box.left);
}

static double pixel_y(const panel *p, double perplexity)
{
    double share = log(fmin(perplexity, p->most_y) / p->least_y) / log(p->most_y / p->least_y);
    return p->box.bottom + share * (p->box.top - p->box.bottom);
}

// Round numbers of a logarithmic axis: as many as fit in a readable way.
static tb_code append_tics(tb_str *s, const panel *p, tb_error *err)
{
    static const double fine[] = {1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9};
    static const double coarse[] = {1, 1.5, 2, 3, 4, 5, 7};
    bool wide = p->most_y / p->least_y > 3;
    const double *steps = wide ? coarse : fine;
    size_t count = wide ? sizeof coarse / sizeof coarse[0] : sizeof fine / sizeof fine[0], written = 0;
    tb_code rc = tb_str_append_text(s, "set ytics out nomirror (", err);
    for (int exponent = (int)floor(log10(p->least_y)); !rc && pow(10, exponent) <= p->most_y; exponent++)
        for (size_t i = 0; !rc && i < count; i++) {
            double tic = steps[i] * pow(10, exponent);
            if (tic >= p->least_y && tic <= p->most_y)
                rc = tb_str_printf(s, err, "%s'%g' %.9g", written++ ? ", " : "", tic, tic);
        }
    return rc ? rc : tb_str_append_text(s, ")\n", err);
}

static tb_code append_text(tb_str *s, const char *before, const char *text, const char *after, tb_error *err)
{
    tb_code rc = tb_str_append_text(s, before, err);
    if (!rc)
        rc = tb_plot_quote(s, text, err);
    return rc ? rc : tb_str_append_text(s, after, err);
}

static tb_code append_title(tb_str *s, const panel *p, tb_error *err)
{
    tb_str title = {0};
    tb_code rc = tb_str_printf(&title, err, "%s, perplexity on %s", p->m->source->name, p->c->texts[p->text].name);
    if (!rc)
        rc = append_text(s, "set title ", tb_str_get(&title), " noenhanced font ',13'\n", err);
    tb_str_clear(&title);
    return rc;
}

static tb_code append_axes(tb_str *s, const panel *p, tb_error *err)
{
    tb_code rc = tb_str_printf(
        s, err,
        "set lmargin at screen %.5f\nset rmargin at screen %.5f\nset bmargin at screen %.5f\nset tmargin at screen "
        "%.5f\n"
        "set xrange [%.9g:%.9g]\nset logscale y\nset yrange [%.9g:%.9g]\n"
        "set xlabel 'size of the whole file, megabytes'\nset xtics out nomirror\nset border 3 lc rgb '#555555'\n"
        "set grid xtics ytics lt 1 lc rgb '#ececec'\n",
        p->box.left / p->width, p->box.right / p->width, p->box.bottom / p->height, p->box.top / p->height, p->least_x,
        p->most_x, p->least_y, p->most_y);
    if (!rc)
        rc = append_tics(s, p, err);
    return rc ? rc : append_title(s, p, err);
}

// ---- points ----

static const char *colour_of(const tb_compare_row *row)
{
    return row->kind == TB_ROW_ALSO ? other_colour : colours[row->method % COLOURS];
}

static int type_of(const panel *p, const tb_compare_row *row)
{
    if (is_clipped(p, row))
        return HOLLOW_TRIANGLE;
    return row->kind == TB_ROW_ALSO ? FILLED_SQUARE : is_mixed(row) ? FILLED_DIAMOND : FILLED_CIRCLE;
}

// Rows on the front from small to large; their number.
static size_t sort_front(const tb_compare_row **front, const panel *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->m->count; i++) {
        const tb_compare_row *row = &p->m->rows[i];
        if (!row->cells[p->text].on_front)
            continue;
        size_t at = count++;
        for (; at > 0 && front[at - 1]->file_bytes > row->file_bytes; at--)
            front[at] = front[at - 1];
        front[at] = row;
    }
    return count;
}

static tb_code append_front(tb_str *s, const panel *p, tb_arena *arena, tb_error *err)
{
    const tb_compare_row **front = tb_arena_array(arena, p->m->count, sizeof(tb_compare_row *));
    if (!front)
        return tb_fail(err, TB_ENOMEM, "no memory for the picture");
    size_t count = sort_front(front, p);
    tb_code rc = tb_str_append_text(s, "$front << END\n", err);
    for (size_t i = 0; !rc && i < count; i++)
        rc = tb_str_printf(s, err, "%.9g %.9g\n", x_of(front[i]), fmin(perplexity_of(p, front[i]), p->most_y));
    if (!rc && count) // it holds for every larger size
        rc = tb_str_printf(s, err, "%.9g %.9g\n", p->most_x, fmin(perplexity_of(p, front[count - 1]), p->most_y));
    return rc ? rc : tb_str_append_text(s, "END\n", err);
}

static tb_code append_points(tb_str *s, panel *p, tb_error *err)
{
    tb_code rc = tb_str_append_text(s, "$points << END\nNaN NaN 7 0\n", err); // a block must not be empty
    for (size_t i = 0; !rc && i < p->m->count; i++) {
        const tb_compare_row *row = &p->m->rows[i];
        if (!is_drawn(p, row))
            continue;
        rc = tb_str_printf(s, err, "%.9g %.9g %d %ld\n", x_of(row), fmin(perplexity_of(p, row), p->most_y),
                           type_of(p, row), strtol(colour_of(row) + 1, NULL, 16));
        if (row->kind == TB_ROW_ALSO)
            p->used_other = true;
        else if (!is_clipped(p, row) && is_mixed(row))
            p->used_mixed[row->method] = true;
        else
            p->used[row->method] = true;
    }
    return rc ? rc : tb_str_append_text(s, "END\n", err);
}

// ---- names ----

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

// The labels of a panel and the texts beside them.
typedef struct naming {
    tb_chart_label *labels; // [count]
    const char **texts;
    size_t count;
    tb_box *taken; // [taken_count]
    size_t taken_count;
    tb_arena *arena;
} naming;

static void add_label(naming *n, double x, double y, const char *text, bool optional)
{
    double width = (double)count_characters(text) * (optional ? SMALL_CHARACTER_WIDTH : CHARACTER_WIDTH);
    n->labels[n->count] = (tb_chart_label){
        .x = x, .y = y, .width = width, .height = optional ? SMALL_TEXT_HEIGHT : TEXT_HEIGHT, .optional = optional};
    n->texts[n->count++] = text;
}

static void add_taken(naming *n, double x, double y)
{
    n->taken[n->taken_count++] = (tb_box){x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS};
}

// "rtn:2 (315,739)" for a point at the upper edge.
static const char *name_clipped(tb_arena *arena, const panel *p, const tb_compare_row *row)
{
    char number[TB_NUMBER_TEXT];
    tb_text_of_count(number, (uint64_t)fmin(perplexity_of(p, row), 1e12));
    size_t size = strlen(row->name) + strlen(number) + sizeof " ()";
    char *text = tb_arena_alloc(arena, size);
    if (text)
        snprintf(text, size, "%s (%s)", row->name, number);
    return text;
}

static tb_code name_rows(naming *n, const panel *p, bool front, tb_error *err)
{
    for (size_t i = 0; i < p->m->count; i++) {
        const tb_compare_row *row = &p->m->rows[i];
        bool on_front = row->cells[p->text].on_front;
        if (!is_drawn(p, row) || on_front != front)
            continue;
        double x = pixel_x(p, x_of(row)), y = pixel_y(p, perplexity_of(p, row));
        const char *text = is_clipped(p, row) ? name_clipped(n->arena, p, row) : row->name;
        if (!text)
            return tb_fail(err, TB_ENOMEM, "no memory for the picture");
        add_label(n, x, y, text, !front);
        add_taken(n, x, y);
    }
    return TB_OK;
}

static size_t count_key_lines(const panel *p)
{
    size_t lines = 2; // the original and the front
    for (size_t i = 0; i < TB_METHODS; i++)
        lines += p->used[i] + p->used_mixed[i];
    return lines + p->used_other + p->clipped;
}

// The lines of the original and its text, and the legend, must stay readable.
static void take_fixed_boxes(naming *n, const panel *p)
{
    double y = pixel_y(p, p->original), lines = (double)count_key_lines(p);
    n->taken[n->taken_count++] = (tb_box){p->box.left, y - 2, p->box.right, y + 2};
    n->taken[n->taken_count++] =
        (tb_box){p->box.right - KEY_WIDTH, p->box.top - KEY_LINE * lines - 10, p->box.right, p->box.top};
}

static const char *name_original(tb_arena *arena, const panel *p)
{
    char number[TB_NUMBER_TEXT], text[128];
    snprintf(text, sizeof text, "original: %s, %.4g MB", tb_text_of_real(number, p->original), x_of(&p->m->rows[0]));
    return tb_arena_text(arena, text, strlen(text));
}

static tb_code append_label(tb_str *s, const panel *p, const tb_chart_label *label, const char *text, tb_error *err)
{
    const tb_box *b = &label->box;
    tb_code rc = append_text(s, "set label ", text, "", err);
    return rc ? rc
              : tb_str_printf(s, err, " at screen %.5f,%.5f left noenhanced front font ',%d' tc rgb '%s'\n",
                              b->left / p->width, (b->bottom + b->top) / 2 / p->height, label->optional ? 9 : 11,
                              label->optional ? "#777777" : "#111111");
}

static tb_code append_names(tb_str *s, const panel *p, tb_arena *arena, tb_error *err)
{
    size_t most = p->m->count + 4;
    naming n = {.labels = tb_arena_array(arena, most, sizeof *n.labels),
                .texts = tb_arena_array(arena, most, sizeof *n.texts),
                .taken = tb_arena_array(arena, most, sizeof *n.taken),
                .arena = arena};
    const char *original = name_original(arena, p);
    if (!n.labels || !n.texts || !n.taken || !original)
        return tb_fail(err, TB_ENOMEM, "no memory for the picture");
    take_fixed_boxes(&n, p);
    // The line's own text hangs at its left end.
    add_label(&n, p->box.left, pixel_y(p, p->original), original, false);
    n.labels[0].x += n.labels[0].width / 2 + 8;
    tb_code rc = name_rows(&n, p, true, err);
    if (!rc)
        rc = name_rows(&n, p, false, err);
    tb_place_labels(n.labels, n.count, n.taken, n.taken_count, p->box);
    for (size_t i = 0; !rc && i < n.count; i++)
        if (n.labels[i].placed)
            rc = append_label(s, p, &n.labels[i], n.texts[i], err);
    return rc;
}

// ---- the plot command ----

static tb_code append_key_entry(tb_str *s, int type, const char *colour, const char *title, const char *more,
                                tb_error *err)
{
    return tb_str_printf(s, err, ", NaN with points pt %d ps 1.3 lc rgb '%s' title '%s%s'", type, colour, title, more);
}

static tb_code append_plot(tb_str *s, const panel *p, tb_error *err)
{
    tb_code rc = tb_str_printf(s, err,
                               "set key top right Left reverse samplen 1.5 spacing 1.15 font ',11' opaque noenhanced\n"
                               "plot $front using 1:2 with steps lw 5 lc rgb '#d9e6ee' title 'the best for its size',"
                               " %.9g with lines lw 1.5 dt 2 lc rgb '#222222' title 'the original',"
                               " '-' using 1:2 with points pt %d ps 1.6 lw 1.5 lc rgb '#222222' notitle,"
                               " $points using 1:2:3:4 with points pt variable lc rgb variable ps 1.5 lw 1.6 notitle",
                               p->original, STAR);
    for (unsigned i = 0; !rc && i < TB_METHODS; i++) {
        const char *name = tb_method_get((tb_method)i)->name, *colour = colours[i % COLOURS];
        if (p->used[i])
            rc = append_key_entry(s, FILLED_CIRCLE, colour, name, "", err);
        if (!rc && p->used_mixed[i])
            rc = append_key_entry(s, FILLED_DIAMOND, colour, name, ", widths by block", err);
    }
    if (!rc && p->used_other)
        rc = append_key_entry(s, FILLED_SQUARE, other_colour, "another file", "", err);
    if (!rc && p->clipped)
        rc = append_key_entry(s, HOLLOW_TRIANGLE, "#777777", "beyond the edge (perplexity)", "", err);
    return rc ? rc : tb_str_printf(s, err, "\n%.9g %.9g\ne\nunset label\n", x_of(&p->m->rows[0]), p->original);
}

static tb_code append_panel(tb_str *s, panel *p, tb_error *err)
{
    tb_arena arena = {0};
    find_ranges(p);
    tb_code rc = append_axes(s, p, err);
    if (!rc)
        rc = append_front(s, p, &arena, err);
    if (!rc)
        rc = append_points(s, p, err);
    if (!rc)
        rc = append_names(s, p, &arena, err);
    tb_arena_clear(&arena);
    return rc ? rc : append_plot(s, p, err);
}

static tb_code append_panels(tb_str *s, const tb_comparison *c, double width, double height, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < c->grid.model_count; i++)
        for (size_t t = 0; !rc && t < c->grid.text_count; t++) {
            const tb_compare_model *m = &c->models[i];
            double left = (double)t * PANEL_WIDTH, top = height - TITLE_HEIGHT - (double)i * PANEL_HEIGHT;
            panel p = {.c = c,
                       .m = m,
                       .text = t,
                       .original = m->rows[0].cells[t].result.perplexity,
                       .width = width,
                       .height = height,
                       .box = {left + MARGIN_LEFT, top - PANEL_HEIGHT + MARGIN_BOTTOM,
                               left + PANEL_WIDTH - MARGIN_RIGHT, top - MARGIN_TOP}};
            rc = append_panel(s, &p, err);
        }
    return rc;
}

tb_code tb_compare_draw(const tb_comparison *c, const char *path, tb_error *err)
{
    unsigned width = PANEL_WIDTH * (unsigned)c->grid.text_count;
    unsigned height = TITLE_HEIGHT + PANEL_HEIGHT * (unsigned)c->grid.model_count;
    tb_str script = {0};
    tb_code rc = tb_str_printf(&script, err,
                               "set multiplot\nset label 'What is the best model in so many megabytes?' at screen "
                               "0.5,%.5f center font ',17'\n",
                               1 - TITLE_HEIGHT / 2.0 / height);
    if (!rc)
        rc = append_panels(&script, c, width, height, err);
    if (!rc)
        rc = tb_str_append_text(&script, "unset multiplot\n", err);
    if (!rc)
        rc = tb_plot_draw(path, script.data, width, height, err);
    tb_str_clear(&script);
    return rc;
}
