// The results for programs: JSON with everything, CSV with a line for each recipe on each text.
#include "cli/compare_show.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "cli/json_out.h"

// ---- JSON ----

static json_t *make_text(const char *text)
{
    return text ? tb_json_text(text, strlen(text)) : json_null();
}

static json_t *null_or(bool known, json_t *value)
{
    if (known)
        return value;
    json_decref(value);
    return json_null();
}

static json_t *make_real(bool known, double value)
{
    return known ? tb_json_real(value) : json_null();
}

static json_t *make_count(bool known, size_t value)
{
    return known ? json_integer((json_int_t)value) : json_null();
}

// Appends to a list that may be NULL already; NULL when memory ran out.
static json_t *append(json_t *list, json_t *item)
{
    if (list && !json_array_append_new(list, item))
        return list;
    json_decref(list);
    return NULL;
}

static json_t *make_cell(const tb_compare_text *text, const tb_compare_cell *cell)
{
    const tb_perplexity_result *r = &cell->result;
    bool sound = !r->broken;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:b}", "text",
                     make_text(text->name), "perplexity", make_real(sound, r->perplexity), "stderr",
                     make_real(sound, r->stderr_), "nll", make_real(sound, r->nll), "nll_stderr",
                     make_real(sound, r->nll_stderr), "nll_more", make_real(true, cell->more), "nll_more_stderr",
                     make_real(true, cell->more_stderr), "kl_mean", make_real(sound, r->kl_mean), "kl_p99",
                     make_real(sound, r->kl_p99), "top1_agreement", make_real(sound, r->top1_agreement), "windows",
                     (json_int_t)r->windows, "tokens", (json_int_t)r->tokens, "ctx", (json_int_t)r->ctx, "skip",
                     (json_int_t)r->skip, "broken", (int)r->broken, "on_front", (int)cell->on_front);
}

static json_t *make_cells(const tb_comparison *c, const tb_compare_row *row)
{
    json_t *list = json_array();
    for (size_t t = 0; list && !row->missing && t < c->grid.text_count; t++)
        list = append(list, make_cell(&c->texts[t], &row->cells[t]));
    return list;
}

static json_t *make_row(const tb_comparison *c, const tb_compare_model *m, const tb_compare_row *row)
{
    static const char *const kinds[] = {"original", "recipe", "also"};
    bool made = row->kind == TB_ROW_RECIPE, there = !row->missing, sound = there && !row->broken;
    const tb_perplexity_result *r = &row->pooled;
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}",
                     "model", make_text(m->source->name), "kind", kinds[row->kind], "recipe", make_text(row->name),
                     "method", null_or(made, make_text(made ? tb_method_get(row->method)->name : "")), "bits",
                     make_count(made && !tb_recipe_mixes_widths(&row->recipe->args), row->quant.bits), "group",
                     make_count(made, row->quant.group), "file", make_text(row->path), "file_bytes",
                     make_count(there, row->file_bytes), "linear_bits_per_weight", make_real(there, row->linear_bits),
                     "kl_mean", make_real(sound, r->kl_mean), "kl_p99", make_real(sound, r->kl_p99), "top1_agreement",
                     make_real(sound, r->top1_agreement), "quantize_seconds",
                     make_real(row->timed, row->quantize_seconds), "peak_rss_bytes",
                     make_count(row->timed, row->quantize_peak_rss_bytes), "prefill_tps",
                     make_real(row->clocked, row->prefill_tps), "decode_tps", make_real(row->clocked, row->decode_tps),
                     "missing", make_text(row->missing), "broken", (int)row->broken, "texts", make_cells(c, row));
}

static json_t *make_rows(const tb_comparison *c)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < c->grid.model_count; i++)
        for (size_t r = 0; rows && r < c->models[i].count; r++)
            rows = append(rows, make_row(c, &c->models[i], &c->models[i].rows[r]));
    return rows;
}

static json_t *make_models(const tb_comparison *c)
{
    json_t *models = json_array();
    for (size_t i = 0; models && i < c->grid.model_count; i++)
        models =
            append(models, json_pack("{s:o, s:o, s:s}", "name", make_text(c->models[i].source->name), "file",
                                     make_text(c->models[i].source->path), "fingerprint", c->models[i].fingerprint));
    return models;
}

static json_t *make_texts(const tb_comparison *c)
{
    json_t *texts = json_array();
    for (size_t t = 0; texts && t < c->grid.text_count; t++)
        texts = append(texts, json_pack("{s:o, s:o, s:s}", "name", make_text(c->texts[t].name), "file",
                                        make_text(c->texts[t].path), "sha256", c->texts[t].hash));
    return texts;
}

static json_t *make_protocol(const tb_comparison *c)
{
    const char *calibration = c->options.calibration ? c->options.calibration : "calibration text of twobit";
    char machine[TB_MACHINE_NAME];
    return json_pack("{s:o, s:I, s:o, s:I, s:I, s:I, s:s, s:s, s:s}", "against",
                     make_text(c->options.against ? c->options.against : TB_COMPARE_ORIGINAL), "max_tokens",
                     (json_int_t)c->options.protocol.max_tokens, "calibration", make_text(calibration),
                     "calibration_tokens", (json_int_t)c->options.calibration_tokens, "seed",
                     (json_int_t)c->options.seed, "threads", (json_int_t)tb_compare_threads(c), "cpu", c->cpu_name,
                     "machine", tb_machine_name(machine), "version", TB_VERSION);
}

tb_code tb_compare_print_json(const tb_comparison *c, json_t *continuations, tb_error *err)
{
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "folder", make_text(c->folder.path), "protocol", make_protocol(c),
                  "models", make_models(c), "texts", make_texts(c), "rows", make_rows(c));
    if (continuations && json_object_set_new(object, "continuations", continuations)) {
        json_decref(object);
        object = NULL;
    }
    return tb_json_print(object, err);
}

// ---- CSV ----

// RFC 4180: quoted where it must be.
static tb_code append_field(tb_str *out, const char *text, tb_error *err)
{
    if (!strpbrk(text, ",\"\r\n"))
        return tb_str_append_text(out, text, err);
    tb_code rc = tb_str_append_text(out, "\"", err);
    for (; !rc && *text; text++)
        rc = tb_str_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1, err);
    return rc ? rc : tb_str_append_text(out, "\"", err);
}

static tb_code append_number(tb_str *out, bool known, double value, tb_error *err)
{
    return known && isfinite(value) ? tb_str_printf(out, err, ",%.12g", value) : tb_str_append_text(out, ",", err);
}

static tb_code append_line(tb_str *out, const tb_comparison *c, const tb_compare_model *m, const tb_compare_row *row,
                           size_t text, tb_error *err)
{
    const tb_perplexity_result *r = &row->cells[text].result;
    bool there = !row->missing, sound = there && !r->broken;
    const char *const names[] = {m->source->name, row->name, c->texts[text].name};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < 3; i++) {
        rc = i ? tb_str_append_text(out, ",", err) : TB_OK;
        if (!rc)
            rc = append_field(out, names[i], err);
    }
    const struct {
        bool known;
        double value;
    } numbers[] = {
        {there, (double)row->file_bytes},
        {there, row->linear_bits},
        {there, (double)r->windows},
        {there, (double)r->tokens},
        {sound, r->perplexity},
        {sound, r->stderr_},
        {sound, r->nll},
        {sound, r->nll_stderr},
        {there, row->cells[text].more},
        {there, row->cells[text].more_stderr},
        {sound, r->kl_mean},
        {sound, r->kl_p99},
        {sound, r->top1_agreement},
        {true, row->cells[text].on_front},
        {row->timed, row->quantize_seconds},
        {row->timed, (double)row->quantize_peak_rss_bytes},
        {row->clocked, row->prefill_tps},
        {row->clocked, row->decode_tps},
    };
    for (size_t i = 0; !rc && i < sizeof numbers / sizeof numbers[0]; i++)
        rc = append_number(out, numbers[i].known, numbers[i].value, err);
    return rc ? rc : tb_str_append_text(out, "\n", err);
}

tb_code tb_compare_write_csv(const tb_comparison *c, const char *path, tb_error *err)
{
    tb_str out = {0};
    tb_code rc = tb_str_append_text(
        &out,
        "model,recipe,text,file_bytes,linear_bits_per_weight,windows,tokens,perplexity,"
        "stderr,nll,nll_stderr,nll_more,nll_more_stderr,kl_mean,kl_p99,top1_agreement,on_front,quantize_seconds,"
        "peak_rss_bytes,prefill_tps,decode_tps\n",
        err);
    for (size_t i = 0; i < c->grid.model_count; i++)
        for (size_t r = 0; r < c->models[i].count; r++)
            for (size_t t = 0; !rc && t < c->grid.text_count; t++)
                rc = append_line(&out, c, &c->models[i], &c->models[i].rows[r], t, err);
    if (!rc)
        rc = tb_file_write(path, tb_str_get(&out), out.size, err);
    tb_str_clear(&out);
    return rc;
}
