#include "cli/compare.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/json_out.h"
#include "cli/machine.h"
#include "cli/number_text.h"
#include "cli/table.h"

static const tb_column columns[] = {
    {"method", false},
    {"bits", true},
    {"group", true},
    {"bytes of\nthe whole file", true},
    {"bits per weight\nof the linears", true},
    {"perplexity", true},
    {"divergence from\nthe original", true},
    {"same likeliest\ntoken", true},
    {"time to\nquantize", true},
    {"peak memory\nto quantize", true},
    {"decode,\ntokens/s", true},
};

// Adds a printed cell; errors stick.
static void add(tb_table *table, tb_code *rc, tb_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;

static void add(tb_table *table, tb_code *rc, tb_error *err, const char *format, ...)
{
    char cell[128];
    va_list args;
    va_start(args, format);
    vsnprintf(cell, sizeof cell, format, args);
    va_end(args);
    if (!*rc)
        *rc = tb_table_add(table, cell, err);
}

static void add_identity(tb_table *table, tb_code *rc, const tb_compare_row *row, tb_error *err)
{
    if (row->original) {
        add(table, rc, err, "original");
        add(table, rc, err, "-");
        add(table, rc, err, "-");
        return;
    }
    add(table, rc, err, "%s", tb_method_get(row->method)->name);
    if (tb_method_get(row->method)->type == TB_TYPE_TRITPLANES)
        add(table, rc, err, "2 trits");
    else
        add(table, rc, err, "%u", row->quant.bits);
    add(table, rc, err, "%zu", row->quant.group);
}

static void add_quality(tb_table *table, tb_code *rc, const tb_compare_row *row, tb_error *err)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    if (row->broken) {
        add(table, rc, err, "broken");
        add(table, rc, err, "-");
        add(table, rc, err, "-");
        return;
    }
    add(table, rc, err, "%s ± %s", tb_text_of_real(a, row->perplexity), tb_text_of_real(b, row->stderr_));
    if (row->original)
        add(table, rc, err, "-");
    else
        add(table, rc, err, "%.4f", row->kl_mean);
    if (row->original)
        add(table, rc, err, "-");
    else
        add(table, rc, err, "%.1f %%", 100 * row->top1_agreement);
}

static void add_costs(tb_table *table, tb_code *rc, const tb_compare_row *row, tb_error *err)
{
    char a[TB_NUMBER_TEXT];
    if (row->original) {
        add(table, rc, err, "-");
        add(table, rc, err, "-");
    } else {
        add(table, rc, err, "%s%s", row->blocks_reused ? "> " : "", tb_text_of_seconds(a, row->quantize_seconds));
        add(table, rc, err, "%.0f MiB", (double)row->quantize_peak_rss_bytes / (1 << 20));
    }
    add(table, rc, err, "%s", tb_text_of_real(a, row->decode_tps));
}

static tb_code add_row(tb_table *table, const tb_compare_row *row, tb_error *err)
{
    tb_code rc = TB_OK;
    char a[TB_NUMBER_TEXT];
    add_identity(table, &rc, row, err);
    add(table, &rc, err, "%s", tb_text_of_count(a, row->file_bytes));
    add(table, &rc, err, "%.3f", row->linear_bits);
    add_quality(table, &rc, row, err);
    add_costs(table, &rc, row, err);
    return rc;
}

static const char *name_of_text(const tb_comparison *c)
{
    return c->args->text ? c->args->text : "held-out text of twobit";
}

static void print_protocol(const tb_comparison *c)
{
    const tb_compare_row *o = &c->rows[0];
    const tb_compute *compute = tb_model_compute(c->model);
    char a[TB_NUMBER_TEXT], machine[TB_MACHINE_NAME];
    printf("\nPerplexity and divergence (KL from the original, nats per token): %s,\n"
           "%zu windows of %zu tokens that do not overlap, positions %zu to %zu scored, %s predictions.\n",
           name_of_text(c), o->windows, o->ctx, o->skip, o->ctx - 2, tb_text_of_count(a, o->tokens));
    printf("Calibration: %s, seed %llu. Speed: %zu threads, kernels %s, %s.\n",
           c->args->calibration ? c->args->calibration : "calibration text of twobit",
           (unsigned long long)c->cli->common.seed, compute->threads, tb_cpu_name(compute->kernels.cpu),
           tb_machine_name(machine));
    for (size_t i = 1; i < c->count; i++)
        if (c->rows[i].blocks_reused) {
            puts("\"> \": quantizing was interrupted, the time is that of the last part.");
            break;
        }
    printf("The files are in '%s'.\n", c->folder);
}

tb_code tb_compare_print_table(const tb_comparison *c, tb_error *err)
{
    tb_table table;
    tb_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < c->count; i++)
        rc = add_row(&table, &c->rows[i], err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    if (!rc)
        print_protocol(c);
    return rc;
}

// ---- JSON ----

static json_t *null_or(bool known, json_t *value)
{
    if (known)
        return value;
    json_decref(value);
    return json_null();
}

static json_t *make_row(const tb_compare_row *row)
{
    bool sound = !row->broken, made = !row->original;
    const char *method = made ? tb_method_get(row->method)->name : "original";
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "method", method,
        "bits", null_or(made, json_integer(row->quant.bits)), "group",
        null_or(made, json_integer((json_int_t)row->quant.group)), "file", tb_json_text(row->path, strlen(row->path)),
        "file_bytes", (json_int_t)row->file_bytes, "linear_bits_per_weight", tb_json_real(row->linear_bits),
        "perplexity", null_or(sound, tb_json_real(row->perplexity)), "stderr",
        null_or(sound, tb_json_real(row->stderr_)), "nll", null_or(sound, tb_json_real(row->nll)), "kl_mean",
        null_or(sound, tb_json_real(row->kl_mean)), "kl_p99", null_or(sound, tb_json_real(row->kl_p99)),
        "top1_agreement", null_or(sound, tb_json_real(row->top1_agreement)), "quantize_seconds",
        null_or(made, tb_json_real(row->quantize_seconds)), "peak_rss_bytes",
        null_or(made, json_integer((json_int_t)row->quantize_peak_rss_bytes)), "prefill_tps",
        tb_json_real(row->prefill_tps), "decode_tps", tb_json_real(row->decode_tps), "broken", (int)row->broken);
}

static json_t *make_rows(const tb_comparison *c)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < c->count; i++)
        if (json_array_append_new(rows, make_row(&c->rows[i]))) {
            json_decref(rows);
            return NULL;
        }
    return rows;
}

static json_t *make_protocol(const tb_comparison *c)
{
    const tb_compare_row *o = &c->rows[0];
    const tb_compute *compute = tb_model_compute(c->model);
    const char *text = name_of_text(c);
    const char *calibration = c->args->calibration ? c->args->calibration : "calibration text of twobit";
    char machine[TB_MACHINE_NAME];
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:s, s:s}", "text", tb_json_text(text, strlen(text)),
                     "ctx", (json_int_t)o->ctx, "skip", (json_int_t)o->skip, "windows", (json_int_t)o->windows,
                     "tokens", (json_int_t)o->tokens, "calibration", tb_json_text(calibration, strlen(calibration)),
                     "seed", (json_int_t)c->cli->common.seed, "threads", (json_int_t)compute->threads, "cpu",
                     tb_cpu_name(compute->kernels.cpu), "machine", tb_machine_name(machine));
}

tb_code tb_compare_print_json(const tb_comparison *c, json_t *continuations, tb_error *err)
{
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o}", "model", tb_json_text(c->model_path, strlen(c->model_path)), "folder",
                  tb_json_text(c->folder, strlen(c->folder)), "protocol", make_protocol(c), "rows", make_rows(c));
    if (continuations && json_object_set_new(object, "continuations", continuations)) {
        json_decref(object);
        object = NULL;
    }
    return tb_json_print(object, err);
}
