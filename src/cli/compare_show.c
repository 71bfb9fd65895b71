// The table for people, on the terminal and as Markdown, and below it how everything was measured.
#include "cli/compare_show.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/number_text.h"
#include "cli/table.h"

// All that there can be besides the texts.
enum { OTHER_COLUMNS = 12 };

static bool has_many_models(const tb_comparison *c)
{
    return c->grid.model_count > 1;
}

// ---- columns ----

static void add_column(tb_table *table, tb_column *columns, const char *heading, bool right)
{
    columns[table->column_count++] = (tb_column){heading, right};
}

// A column for a text, whose name stands behind `before`.
static tb_code add_text_column(tb_table *table, tb_column *columns, const char *before, const char *text,
                               tb_arena *arena, tb_error *err)
{
    size_t size = strlen(before) + strlen(text) + 1;
    char *heading = tb_arena_alloc(arena, size);
    if (!heading)
        return tb_fail(err, TB_ENOMEM, "no memory for the table");
    snprintf(heading, size, "%s%s", before, text);
    add_column(table, columns, heading, true);
    return TB_OK;
}

static tb_code add_text_columns(tb_table *table, tb_column *columns, const tb_comparison *c, tb_arena *arena,
                                tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t t = 0; !rc && t < c->grid.text_count; t++) {
        rc = add_text_column(table, columns, "perplexity\non ", c->texts[t].name, arena, err);
        if (!rc && c->options.against)
            rc = add_text_column(table, columns, "nats more than\nthe base on ", c->texts[t].name, arena, err);
    }
    return rc;
}

static tb_code make_columns(tb_table *table, tb_column *columns, const tb_comparison *c, tb_arena *arena, tb_error *err)
{
    tb_table_init(table, columns, 0);
    if (has_many_models(c))
        add_column(table, columns, "model", false);
    add_column(table, columns, "recipe", false);
    add_column(table, columns, "bytes of\nthe whole file", true);
    add_column(table, columns, "bits per weight\nof the linears", true);
    tb_code rc = add_text_columns(table, columns, c, arena, err);
    if (rc)
        return rc;
    add_column(table, columns, "divergence from\nthe original", true);
    add_column(table, columns, "99 % of\nit below", true);
    add_column(table, columns, "same likeliest\ntoken", true);
    add_column(table, columns, "time to\nquantize", true);
    add_column(table, columns, "peak memory\nto quantize", true);
    if (c->options.speed)
        add_column(table, columns, "decode,\ntokens/s", true);
    return TB_OK;
}

// ---- rows ----

typedef struct filling {
    tb_table *table;
    tb_code rc; // errors stick
    tb_error *err;
} filling;

static void add(filling *f, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

static void add(filling *f, const char *format, ...)
{
    char cell[256];
    va_list args;
    va_start(args, format);
    vsnprintf(cell, sizeof cell, format, args);
    va_end(args);
    if (!f->rc)
        f->rc = tb_table_add(f->table, cell, f->err);
}

static void add_perplexity(filling *f, const tb_compare_cell *cell)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    if (cell->result.broken)
        add(f, "broken");
    else
        add(f, "%s ± %s", tb_text_of_real(a, cell->result.perplexity), tb_text_of_real(b, cell->result.stderr_));
}

static void add_difference(filling *f, bool base, const tb_compare_cell *cell)
{
    if (base || !isfinite(cell->more))
        add(f, "-");
    else
        add(f, "%+.4f ± %.4f", cell->more, cell->more_stderr);
}

static void add_divergence(filling *f, const tb_compare_row *row)
{
    if (row->broken || row->kind == TB_ROW_ORIGINAL) {
        add(f, "-");
        add(f, "-");
        add(f, "-");
        return;
    }
    add(f, "%.4f", row->pooled.kl_mean);
    add(f, "%.3f", row->pooled.kl_p99);
    add(f, "%.1f %%", 100 * row->pooled.top1_agreement);
}

static void add_costs(filling *f, const tb_compare_row *row)
{
    char a[TB_NUMBER_TEXT];
    if (!row->timed) {
        add(f, "-");
        add(f, "-");
        return;
    }
    add(f, "%s%s", row->blocks_reused ? "> " : "", tb_text_of_seconds(a, row->quantize_seconds));
    add(f, "%.0f MiB", (double)row->quantize_peak_rss_bytes / (1 << 20));
}

static void add_row(filling *f, const tb_comparison *c, const tb_compare_model *m, const tb_compare_row *row)
{
    char a[TB_NUMBER_TEXT];
    if (has_many_models(c))
        add(f, "%s", m->source->name);
    add(f, "%s", row->name);
    if (row->missing) {
        while (f->table->cell_count % f->table->column_count && !f->rc)
            add(f, "-");
        return;
    }
    add(f, "%s", tb_text_of_count(a, row->file_bytes));
    add(f, "%.3f", row->linear_bits);
    for (size_t t = 0; t < c->grid.text_count; t++) {
        add_perplexity(f, &row->cells[t]);
        if (c->options.against)
            add_difference(f, row == &m->rows[m->base], &row->cells[t]);
    }
    add_divergence(f, row);
    add_costs(f, row);
    if (c->options.speed)
        add(f, "%s", row->clocked ? tb_text_of_real(a, row->decode_tps) : "-");
}

// ---- below the table ----

static tb_code append_texts(tb_str *out, const tb_comparison *c, const tb_compare_model *m, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t t = 0; !rc && t < c->grid.text_count; t++) {
        const tb_perplexity_result *r = &m->rows[0].cells[t].result;
        const tb_compare_text *text = &c->texts[t];
        char a[TB_NUMBER_TEXT];
        if (has_many_models(c))
            rc = tb_str_printf(out, err, "%s, ", m->source->name);
        if (!rc)
            rc = tb_str_printf(out, err,
                               "%s (%s): %zu windows of %zu tokens, positions %zu to %zu scored, %s predictions.\n",
                               text->name, text->path ? text->path : "comes with twobit", r->windows, r->ctx, r->skip,
                               r->ctx - 2, tb_text_of_count(a, r->tokens));
    }
    return rc;
}

static bool has_reused_blocks(const tb_compare_model *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->rows[i].blocks_reused)
            return true;
    return false;
}

static tb_code append_rows_notes(tb_str *out, const tb_compare_model *m, tb_error *err)
{
    tb_code rc = TB_OK;
    if (has_reused_blocks(m))
        rc = tb_str_append_text(out, "\"> \": quantizing was interrupted, the time is that of the last part.\n", err);
    for (size_t i = 0; !rc && i < m->count; i++)
        if (m->rows[i].missing)
            rc = tb_str_printf(out, err, "%s with %s is missing: %s.\n", m->source->name, m->rows[i].name,
                               m->rows[i].missing);
    return rc;
}

static tb_code append_machine(tb_str *out, const tb_comparison *c, tb_error *err)
{
    char machine[TB_MACHINE_NAME];
    return tb_str_printf(out, err, "Calibration: %s, seed %" PRIu64 ". Machine: %zu threads, kernels %s, %s.\n",
                         c->options.calibration ? c->options.calibration : "calibration text of twobit",
                         c->options.seed, tb_compare_threads(c), c->cpu_name, tb_machine_name(machine));
}

static tb_code append_protocol(tb_str *out, const tb_comparison *c, tb_error *err)
{
    tb_code rc = tb_str_printf(out, err,
                               "\nPerplexity ± standard error; divergence is KL from the original in nats per token%s. "
                               "Windows do not overlap.\n",
                               c->grid.text_count > 1 ? ", over all texts" : "");
    if (!rc && c->options.against)
        rc = tb_str_printf(out, err, "The base is %s; differences and their errors are taken window by window.\n",
                           strcmp(c->options.against, TB_COMPARE_ORIGINAL) == 0 ? "the original" : c->options.against);
    for (size_t i = 0; !rc && i < c->grid.model_count; i++)
        rc = append_texts(out, c, &c->models[i], err);
    for (size_t i = 0; !rc && i < c->grid.model_count; i++)
        rc = append_rows_notes(out, &c->models[i], err);
    return rc ? rc : append_machine(out, c, err);
}

// ---- entrances ----

typedef tb_code write_table(tb_str *out, const tb_table *table, tb_error *err);

static tb_code append_all(tb_str *out, const tb_comparison *c, write_table *write, tb_error *err)
{
    tb_column columns[OTHER_COLUMNS + 2 * TB_MOST_GRID_TEXTS] = {0};
    tb_table table;
    tb_arena arena = {0};
    tb_code rc = make_columns(&table, columns, c, &arena, err);
    filling f = {&table, rc, err};
    for (size_t i = 0; i < c->grid.model_count; i++)
        for (size_t r = 0; !f.rc && r < c->models[i].count; r++)
            add_row(&f, c, &c->models[i], &c->models[i].rows[r]);
    rc = f.rc ? f.rc : write(out, &table, err);
    tb_table_clear(&table);
    tb_arena_clear(&arena);
    return rc ? rc : append_protocol(out, c, err);
}

tb_code tb_compare_print_table(const tb_comparison *c, tb_error *err)
{
    tb_str text = {0};
    tb_code rc = append_all(&text, c, tb_table_write, err);
    if (!rc)
        printf("%sThe files are in '%s'.\n", tb_str_get(&text), c->folder.path);
    tb_str_clear(&text);
    return rc;
}

tb_code tb_compare_write_markdown(const tb_comparison *c, const char *path, tb_error *err)
{
    tb_str text = {0};
    tb_code rc = append_all(&text, c, tb_table_write_markdown, err);
    if (!rc)
        rc = tb_file_write(path, tb_str_get(&text), text.size, err);
    tb_str_clear(&text);
    return rc;
}
