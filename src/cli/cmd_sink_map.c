// twobit sink map: which heads spend their attention on the first token.
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/sink_args.h"
#include "cli/sink_plot.h"
#include "cli/table.h"

static const char *const examples[] = {
    "twobit sink map model.gguf",
    "a line per block: which of its heads give the first token how much of their attention",
    "twobit sink map model.gguf --input repeat --bos never",
    "the same of one token repeated: is it the position or the content?",
    "twobit sink map small.gguf --reference model.gguf --plot map.svg",
    "whether the sinks of a model survived its quantization, and a picture",
    NULL,
};

static const char notes[] =
    "α_k is the weight of position k, averaged over the queries that see it, Sink_k the share of heads with α_k above\n"
    "ε, averaged over sequences; Sink_* asks for any k that a quarter of the queries see. A head that reads all it "
    "sees\n"
    "alike has the uniform α_0 that is printed. Rates depend on T, ε and the BOS: compare like with like.\n";

enum { LEVELS = 10, MAP_TEXT = 512 };

// ---- text ----

// A character per head, from ' ' (0) to '@' (1).
static const char *heads_text(char out[MAP_TEXT], const tb_sink_head *heads, size_t count)
{
    static const char levels[LEVELS + 1] = " .:-=+*#%@";
    size_t n = 0;
    out[n++] = '|';
    for (size_t h = 0; h < count && n + 2 < MAP_TEXT; h++)
        out[n++] = levels[(size_t)fmin(fmax(heads[h].first, 0) * LEVELS, LEVELS - 1)];
    out[n++] = '|';
    out[n] = '\0';
    return out;
}

static double mean_first(const tb_sink_head *heads, size_t count)
{
    double sum = 0;
    for (size_t h = 0; h < count; h++)
        sum += heads[h].first;
    return sum / (double)count;
}

static tb_code add_block(tb_table *table, const tb_sink_result *r, size_t block, tb_error *err)
{
    char text[MAP_TEXT];
    const tb_sink_head *heads = r->map.heads + block * r->heads;
    tb_code rc = tb_table_add(table, heads_text(text, heads, r->heads), err);
    return rc ? rc : tb_table_printf(table, err, "%.2f", mean_first(heads, r->heads));
}

static tb_code print_blocks(const tb_sink_result *r, const tb_sink_result *reference, tb_error *err)
{
    static const tb_column columns[] = {
        {"\nblock", true},   {"α_0 of its heads\n(blank: 0, @: 1)", false},
        {"mean\nα_0", true}, {"of the reference's\nheads", false},
        {"mean\nα_0", true},
    };
    tb_table table;
    char number[TB_NUMBER_TEXT];
    tb_code rc = TB_OK;
    tb_table_init(&table, columns, reference ? 5 : 3);
    for (size_t b = 0; b < r->blocks && !rc; b++) {
        rc = tb_table_add(&table, tb_text_of_count(number, b), err);
        if (!rc)
            rc = add_block(&table, r, b, err);
        if (!rc && reference)
            rc = add_block(&table, reference, b, err);
    }
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

typedef struct figure {
    const char *name, *unit;
    int digits;
    double factor, value, uniform; // uniform: of heads that read all they see alike; NaN: none to tell
} figure;

enum { FIGURES = 9 };

static void get_figures(figure out[FIGURES], const tb_sink_map *m, double epsilon)
{
    const figure figures[FIGURES] = {
        {"mean α_0", "", 4, 1, m->first, m->uniform},
        {"Sink_0 (α_0 > ε)", " %", 1, 100, m->sink, m->uniform > epsilon},
        {"Sink_* (α_k > ε for some k)", " %", 1, 100, m->anywhere, m->uniform > epsilon},
        {"first-token share (queries i ≥ 1)", " %", 1, 100, m->share, NAN},
        {"first token has the most weight", " %", 1, 100, m->argmax, NAN},
        {"weight on a sink logit", " %", 1, 100, m->sink_logit, 0},
        {"entropy, nats", "", 3, 1, m->entropy, NAN},
        {"entropy of its largest", " %", 1, 100, m->entropy_share, 1},
        {"mean α of the text's first token", "", 4, 1, m->text, NAN},
    };
    for (size_t i = 0; i < FIGURES; i++)
        out[i] = figures[i];
}

static tb_code add_figure(tb_table *table, const figure *f, double value, tb_error *err)
{
    return tb_table_printf(table, err, "%.*f%s", f->digits, f->factor * value, f->unit);
}

static tb_code print_figures(const tb_sink_result *r, const tb_sink_result *reference, tb_error *err)
{
    static const tb_column columns[] = {
        {"mean over all heads", false}, {"model", true}, {"uniform heads", true}, {"reference", true}};
    figure own[FIGURES], others[FIGURES];
    tb_table table;
    tb_code rc = TB_OK;
    size_t count = r->registers ? FIGURES : FIGURES - 1; // elsewhere the last one is the first
    get_figures(own, &r->map, r->epsilon);
    if (reference)
        get_figures(others, &reference->map, r->epsilon);
    tb_table_init(&table, columns, reference ? 4 : 3);
    for (size_t i = 0; i < count && !rc; i++) {
        const figure *f = &own[i];
        rc = tb_table_add(&table, f->name, err);
        if (!rc)
            rc = add_figure(&table, f, f->value, err);
        if (!rc)
            rc = isnan(f->uniform) ? tb_table_add(&table, "", err) : add_figure(&table, f, f->uniform, err);
        if (!rc && reference)
            rc = add_figure(&table, f, others[i].value, err);
    }
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

static tb_code print_map(const tb_sink_job *job, const tb_sink_result *r, const tb_sink_result *reference,
                         tb_error *err)
{
    (void)job;
    tb_code rc = print_blocks(r, reference, err);
    putchar('\n');
    return rc ? rc : print_figures(r, reference, err);
}

// ---- JSON ----

static json_t *make_head(const tb_sink_head *h)
{
    return json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "alpha_0", tb_json_real(h->first), "sink_0",
                     tb_json_real(h->sink), "sink_any", tb_json_real(h->anywhere), "strongest",
                     (json_int_t)h->strongest, "first_share", tb_json_real(h->share), "argmax_first",
                     tb_json_real(h->argmax), "sink_logit", tb_json_real(h->sink_logit), "entropy",
                     tb_json_real(h->entropy), "entropy_share", tb_json_real(h->entropy_share));
}

// {"alpha_0": …, "heads": [[{…} per head] per block]}
static json_t *make_map(const tb_sink_result *r)
{
    const tb_sink_map *m = &r->map;
    json_t *blocks = json_array();
    for (size_t b = 0; b < r->blocks; b++) {
        json_t *heads = json_array();
        for (size_t h = 0; h < r->heads; h++)
            json_array_append_new(heads, make_head(&m->heads[b * r->heads + h]));
        json_array_append_new(blocks, heads);
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "alpha_0", tb_json_real(m->first),
                     "alpha_text", tb_json_real(m->text), "alpha_0_uniform", tb_json_real(m->uniform), "sink_0",
                     tb_json_real(m->sink), "sink_any", tb_json_real(m->anywhere), "first_share",
                     tb_json_real(m->share), "argmax_first", tb_json_real(m->argmax), "sink_logit",
                     tb_json_real(m->sink_logit), "entropy", tb_json_real(m->entropy), "entropy_share",
                     tb_json_real(m->entropy_share), "heads", blocks);
}

// ---- the command ----

static const tb_sink_view view = {
    .what = TB_SINK_WHAT_MAP,
    .key = "map",
    .make = make_map,
    .print_both = print_map,
    .plot = tb_sink_plot_map,
};

static tb_code run(tb_cli *cli, const void *args, tb_error *err)
{
    return tb_sink_run(cli, args, &view, err);
}

const tb_command tb_command_sink_map = {
    .name = "sink map",
    .summary = "show which heads spend their attention on the first token",
    .usage = "MODEL [--reference MODEL0] [--plot FILE] [options]",
    .examples = examples,
    .notes = notes,
    .least_operands = 1,
    .most_operands = 1,
    .options = tb_sink_option_table,
    .defaults = &tb_sink_args_default,
    .args_size = sizeof tb_sink_args_default,
    .shared = {{tb_sink_protocol_table, 0}},
    .run = run,
};
