// twobit csi plot: the curves of `twobit csi evaluate --json`, drawn by gnuplot: NMSE on the left,
// BER on the right, logarithmic, with intervals.
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "cli/csi_args.h"
#include "cli/plot.h"

typedef struct plot_args {
    const char *output, *title;
} plot_args;

static const plot_args defaults;

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(plot_args, output), "FILE", 0, 0, "picture to write: .svg or .png"},
    {"title", 0, TB_OPTION_TEXT, offsetof(plot_args, title), "TEXT", 0, 0, "title (default: the link's dimensions)"},
    {0},
};

static const char *const examples[] = {
    "twobit csi plot results.json -o results.svg",
    "curves of every receiver over the SNR",
    NULL,
};

enum { RESULTS_LIMIT = 64 << 20, MOST_CURVES = 64, WIDTH = 1100, HEIGHT = 480 };

// A receiver at one ρ, or at one SNR when the results vary ρ only.
typedef struct curve {
    const char *receiver; // inside the results
    double fixed;         // the ρ or the SNR
} curve;

typedef struct plot {
    const json_t *results, *points;
    bool over_rho; // the x axis
    bool several;  // values of what is fixed
    curve curves[MOST_CURVES];
    size_t curve_count;
} plot;

// ---- reading ----

static tb_code fail_results(const char *path, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "'%s' holds no results of 'twobit csi evaluate --json'", path);
}

static double number_of(const json_t *point, const char *key)
{
    return json_number_value(json_object_get(point, key));
}

static bool is_result(const json_t *point)
{
    static const char *const keys[] = {"snr_db", "rho", "nmse", "nmse_ci", "ber", "ber_ci"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *value = json_object_get(point, keys[i]);
        if (!json_is_number(value) && !json_is_null(value))
            return false;
    }
    return json_is_string(json_object_get(point, "receiver"));
}

static tb_code read_results(json_t **out, const char *path, tb_error *err)
{
    char *text;
    size_t size;
    tb_code rc = tb_file_read(&text, &size, path, RESULTS_LIMIT, err);
    if (rc)
        return rc;
    json_t *results = *out = json_loadb(text, size, 0, NULL);
    tb_free(text);
    const json_t *points = json_object_get(results, "points");
    bool valid = json_array_size(points) > 0;
    for (size_t i = 0; valid && i < json_array_size(points); i++)
        valid = is_result(json_array_get(points, i));
    return valid ? TB_OK : fail_results(path, err);
}

// ---- curves ----

static bool ends_in(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

static bool varies(const json_t *points, const char *key)
{
    double first = number_of(json_array_get(points, 0), key);
    for (size_t i = 1; i < json_array_size(points); i++)
        if (number_of(json_array_get(points, i), key) != first)
            return true;
    return false;
}

static double fixed_of(const plot *p, const json_t *point)
{
    return number_of(point, p->over_rho ? "snr_db" : "rho");
}

static bool is_on(const plot *p, const curve *c, const json_t *point)
{
    return fixed_of(p, point) == c->fixed &&
           strcmp(json_string_value(json_object_get(point, "receiver")), c->receiver) == 0;
}

static tb_code find_curves(plot *p, tb_error *err)
{
    p->over_rho = varies(p->points, "rho") && !varies(p->points, "snr_db");
    p->several = varies(p->points, p->over_rho ? "snr_db" : "rho");
    for (size_t i = 0; i < json_array_size(p->points); i++) {
        const json_t *point = json_array_get(p->points, i);
        size_t k = 0;
        while (k < p->curve_count && !is_on(p, &p->curves[k], point))
            k++;
        if (k < p->curve_count)
            continue;
        if (k == MOST_CURVES)
            return tb_fail(err, TB_ELIMIT, "more than %d curves", MOST_CURVES);
        p->curves[p->curve_count++] =
            (curve){json_string_value(json_object_get(point, "receiver")), fixed_of(p, point)};
    }
    return TB_OK;
}

// ---- the script ----

// Data of one curve: x, value, ends of the interval. Zero has no place on a logarithmic axis.
static tb_code add_data(tb_str *script, const plot *p, size_t k, const char *measure, tb_error *err)
{
    char ci_key[16] = "";
    strcat(strcpy(ci_key, measure), "_ci");
    tb_code rc = tb_str_printf(script, err, "$%s%zu << EOD\n", measure, k);
    for (size_t i = 0; !rc && i < json_array_size(p->points); i++) {
        const json_t *point = json_array_get(p->points, i);
        double value = number_of(point, measure), ci = number_of(point, ci_key);
        if (is_on(p, &p->curves[k], point) && value > 0)
            rc = tb_str_printf(script, err, "%.9g %.9g %.9g %.9g\n", number_of(point, p->over_rho ? "rho" : "snr_db"),
                               value, fmax(value - ci, value / 10), value + ci);
    }
    return rc ? rc : tb_str_append_text(script, "EOD\n", err);
}

// Names as a figure has them.
static const char *const printed[][2] = {
    {"none", "no cancellation"}, {"ls", "LS"},       {"mmse", "MMSE"},    {"hard", "hard-2"},  {"soft", "soft-2"},
    {"bayes", "Bayes bound"},    {"qpsk", "QPSK"},   {"16qam", "16-QAM"}, {"64qam", "64-QAM"}, {"rayleigh", "Rayleigh"},
    {"sparse", "sparse angles"}, {"cdl-a", "CDL-A"}, {"cdl-b", "CDL-B"},  {"cdl-c", "CDL-C"},  {"cdl-d", "CDL-D"},
    {"digital", "digital CSI"},
};

static const char *print_of(const char *name)
{
    for (size_t i = 0; i < sizeof printed / sizeof printed[0]; i++)
        if (strcmp(printed[i][0], name) == 0)
            return printed[i][1];
    return name;
}

// "hard-2", "hard-2, ρ = 0.1"
static tb_code add_title(tb_str *script, const plot *p, const curve *c, tb_error *err)
{
    tb_str title = {0};
    const char *slash = strrchr(c->receiver, '/'), *name = print_of(slash ? slash + 1 : c->receiver);
    const char suffix[] = ".safetensors";
    size_t size = strlen(name), cut = ends_in(name, suffix) ? sizeof suffix - 1 : 0;
    tb_code rc = tb_str_append(&title, name, size - cut, err);
    if (!rc && p->several && p->over_rho)
        rc = tb_str_printf(&title, err, ", %g dB", c->fixed);
    else if (!rc && p->several)
        rc = tb_str_printf(&title, err, ", ρ = %g", c->fixed);
    if (!rc)
        rc = tb_plot_quote(script, tb_str_get(&title), err);
    tb_str_clear(&title);
    return rc;
}

static bool has_data(const plot *p, size_t k, const char *measure)
{
    for (size_t i = 0; i < json_array_size(p->points); i++)
        if (is_on(p, &p->curves[k], json_array_get(p->points, i)) &&
            number_of(json_array_get(p->points, i), measure) > 0)
            return true;
    return false;
}

static tb_code add_panel(tb_str *script, const plot *p, const char *measure, const char *label, const char *key,
                         tb_error *err)
{
    tb_code rc = tb_str_printf(script, err, "set ylabel \"%s\"\nset key %s\nplot ", label, key);
    const char *separator = "";
    for (size_t k = 0; !rc && k < p->curve_count; k++) {
        if (!has_data(p, k, measure))
            continue;
        rc = tb_str_printf(script, err, "%s$%s%zu using 1:2:3:4 with yerrorbars ls %zu pt 0 notitle, ", separator,
                           measure, k, k % 8 + 1);
        if (!rc)
            rc = tb_str_printf(script, err, "$%s%zu using 1:2 with linespoints ls %zu title ", measure, k, k % 8 + 1);
        if (!rc)
            rc = add_title(script, p, &p->curves[k], err);
        separator = ", ";
    }
    if (!rc && !*separator)
        rc = tb_str_append_text(script, "1 notitle", err); // nothing to show: an empty frame
    return rc ? rc : tb_str_append_text(script, "\n", err);
}

// Colours that remain apart for the colour-blind (Okabe and Ito) and markers that do in print.
static const char styles[] = "set linetype 1 lc rgb '#0072b2' pt 7\n"
                             "set linetype 2 lc rgb '#d55e00' pt 5\n"
                             "set linetype 3 lc rgb '#009e73' pt 9\n"
                             "set linetype 4 lc rgb '#000000' pt 13\n"
                             "set linetype 5 lc rgb '#cc79a7' pt 11\n"
                             "set linetype 6 lc rgb '#e69f00' pt 6\n"
                             "set linetype 7 lc rgb '#56b4e9' pt 4\n"
                             "set linetype 8 lc rgb '#999999' pt 8\n"
                             "do for [i=1:8] { set style line i lt i lw 1.5 ps 0.8 }\n";

static tb_code add_default_title(tb_str *title, const plot *p, tb_error *err)
{
    const json_t *r = p->results;
    const char *channel = json_string_value(json_object_get(r, "channel"));
    const char *modulation = json_string_value(json_object_get(r, "modulation"));
    tb_code rc =
        tb_str_printf(title, err, "N = %.0f, P = %.0f, B = %.0f, %s, %s", number_of(r, "n"), number_of(r, "p"),
                      number_of(r, "b"), print_of(channel ? channel : "?"), print_of(modulation ? modulation : "?"));
    if (!rc && !p->several)
        rc = tb_str_printf(title, err, p->over_rho ? ", %g dB" : ", ρ = %g", p->curves[0].fixed);
    return rc;
}

static tb_code add_head(tb_str *script, const plot *p, const plot_args *args, tb_error *err)
{
    tb_str title = {0};
    tb_code rc = args->title ? TB_OK : add_default_title(&title, p, err);
    if (!rc)
        rc = tb_str_printf(script, err, "%sset multiplot layout 1,2 title ", styles);
    if (!rc)
        rc = tb_plot_quote(script, args->title ? args->title : tb_str_get(&title), err);
    if (!rc)
        rc = tb_str_printf(script, err,
                           " noenhanced\nset xlabel \"%s\"\nset logscale y\nset format y \"10^{%%L}\"\n"
                           "set grid xtics ytics mytics lt 1 lc rgb '#b8b8b8' lw 0.6, lt 1 lc rgb '#e0e0e0' lw 0.5\n"
                           "set mytics 10\nset errorbars 0.6\nset key opaque box lt 1 lc rgb '#b8b8b8' lw 0.6\n",
                           p->over_rho ? "ρ" : "SNR per symbol [dB]");
    tb_str_clear(&title);
    return rc;
}

// The axis ends a little beside the first and the last point.
static tb_code add_range(tb_str *script, const plot *p, tb_error *err)
{
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < json_array_size(p->points); i++) {
        double x = number_of(json_array_get(p->points, i), p->over_rho ? "rho" : "snr_db");
        least = fmin(least, x);
        most = fmax(most, x);
    }
    double margin = most > least ? 0.04 * (most - least) : 0.5;
    return tb_str_printf(script, err, "set xrange [%.9g:%.9g]\n", least - margin, most + margin);
}

static tb_code make_script(tb_str *script, const plot *p, const plot_args *args, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t k = 0; !rc && k < p->curve_count; k++) {
        rc = add_data(script, p, k, "nmse", err);
        if (!rc)
            rc = add_data(script, p, k, "ber", err);
    }
    if (!rc)
        rc = add_head(script, p, args, err);
    if (!rc)
        rc = add_range(script, p, err);
    if (!rc)
        rc = add_panel(script, p, "nmse", "NMSE of the CSI", "bottom left Left reverse samplen 2 noenhanced", err);
    if (!rc)
        rc = add_panel(script, p, "ber", "BER of the data", "bottom left Left reverse samplen 2 noenhanced", err);
    return rc ? rc : tb_str_append_text(script, "unset multiplot\n", err);
}

// ---- the command ----

static tb_code draw(const char *path, const plot_args *args, tb_error *err)
{
    json_t *results = NULL;
    tb_str script = {0};
    plot *p = tb_new(plot);
    tb_code rc = p ? read_results(&results, path, err) : tb_fail(err, TB_ENOMEM, "no memory for the curves");
    if (!rc) {
        p->results = results;
        p->points = json_object_get(results, "points");
        rc = find_curves(p, err);
    }
    if (!rc)
        rc = make_script(&script, p, args, err);
    if (!rc)
        rc = tb_plot_draw(args->output, script.data, WIDTH, HEIGHT, err);
    tb_str_clear(&script);
    json_decref(results);
    tb_free(p);
    return rc;
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const plot_args *args = untyped;
    if (!args->output)
        return tb_fail_usage(cli, err, "option '--output' is missing");
    tb_code rc = tb_plot_check(args->output, err);
    if (rc == TB_EINVAL)
        cli->misused = true;
    return rc ? rc : draw(cli->operands.items[0], args, err);
}

const tb_command tb_command_csi_plot = {
    .name = "csi plot",
    .summary = "draw results as curves",
    .usage = "RESULTS.json -o FILE.svg",
    .examples = examples,
    .notes =
        "Needs gnuplot (Debian: gnuplot-nox). Error-free points have no place on logarithmic axes and are left out.\n",
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
