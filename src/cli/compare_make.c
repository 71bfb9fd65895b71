// Making what the work folder does not hold. Each model is quantized by a child process, so that
// its peak memory is its own; then all that are not measured yet go through the text together,
// beside the original, which is computed once for all of them.
#include "cli/compare.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/child.h"

// As `twobit bench` measures by default.
enum { BENCH_PROMPT = 128, BENCH_GENERATE = 32, BENCH_REPEATS = 3 };

// ---- quantizing ----

// Arguments of a child; the texts of numbers lie in `numbers`.
typedef struct command_line {
    const char *items[40];
    size_t count;
    char numbers[8][24];
    size_t number_count;
} command_line;

static void add(command_line *line, const char *item)
{
    line->items[line->count++] = item;
}

static void add_option(command_line *line, const char *name, const char *value)
{
    if (!value)
        return;
    add(line, name);
    add(line, value);
}

// Options with value 0 are at their default and left out.
static void add_number(command_line *line, const char *name, uint64_t value)
{
    char *text = line->numbers[line->number_count];
    if (value == 0)
        return;
    snprintf(text, sizeof line->numbers[0], "%" PRIu64, value);
    line->number_count++;
    add_option(line, name, text);
}

static void make_command_line(command_line *line, const tb_comparison *c, const tb_compare_row *row)
{
    const tb_common_options *common = &c->cli->common;
    *line = (command_line){0};
    add(line, "quantize");
    add(line, "--json");
    add_option(line, "--output", row->path);
    add_option(line, "--method", tb_method_get(row->method)->name);
    add_number(line, "--bits", row->quant.bits);
    add_number(line, "--group", row->quant.group);
    add_option(line, "--calib", c->args->calibration);
    add_number(line, "--calib-tokens", c->args->calibration_tokens);
    add_number(line, "--seed", common->seed);
    add_number(line, "--threads", common->threads);
    add_option(line, "--cpu", common->cpu);
    if (common->quiet)
        add(line, "--quiet");
    add(line, "--");
    add(line, c->model_path);
}

// Takes over what the child printed.
static tb_code read_result(tb_compare_row *row, const tb_str *output, tb_error *err)
{
    json_t *result = json_loadb(tb_str_get(output), output->size, 0, NULL);
    row->quantized = result && tb_compare_take_quantized(row, result);
    json_decref(result);
    if (!row->quantized)
        return tb_fail(err, TB_EFORMAT, "the child process printed something else than its result");
    return TB_OK;
}

static tb_code quantize(const tb_comparison *c, tb_compare_row *row, tb_error *err)
{
    command_line line;
    tb_str output = {0};
    make_command_line(&line, c, row);
    tb_code rc = tb_child_run(&output, line.items, err);
    if (!rc)
        rc = read_result(row, &output, err);
    if (!rc)
        rc = tb_compare_save_quantized(row, err);
    tb_str_clear(&output);
    return rc ? tb_fail_context(err, rc, "quantizing with %s", row->name) : TB_OK;
}

static tb_code quantize_missing(tb_comparison *c, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 1; !rc && i < c->count; i++) {
        tb_compare_row *row = &c->rows[i];
        if (row->quantized)
            continue;
        tb_report_note(&c->cli->report, TB_NOTE_INFO, "quantizing with %s (%zu of %zu)", row->name, i, c->count - 1);
        rc = quantize(c, row, err);
    }
    return rc;
}

// ---- measuring ----

// The rows to measure and their models, in the same order.
typedef struct batch {
    tb_compare_row **rows;
    tb_model **models;
    tb_perplexity_result *results;
    size_t count;
} batch;

static void take_result(tb_compare_row *row, const tb_perplexity_result *r)
{
    row->tokens = r->tokens;
    row->windows = r->windows;
    row->ctx = r->ctx;
    row->skip = r->skip;
    row->broken = r->broken;
    row->perplexity = r->perplexity;
    row->stderr_ = r->stderr_;
    row->nll = r->nll;
    row->kl_mean = r->kl_mean;
    row->kl_p99 = r->kl_p99;
    row->top1_agreement = r->top1_agreement;
}

// The original's own figures come from a pass in which it was the reference.
static void take_reference(tb_compare_row *row, const tb_perplexity_result *r)
{
    take_result(row, r);
    row->broken = false;
    row->perplexity = r->reference_perplexity;
    row->stderr_ = r->reference_stderr;
    row->nll = r->reference_nll;
    row->kl_mean = row->kl_p99 = 0;
    row->top1_agreement = 1;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static tb_code measure_speed(const tb_comparison *c, tb_compare_row *row, const tb_model *model, tb_error *err)
{
    size_t context = tb_model_context_length(model);
    tb_bench_result speed;
    tb_code rc = tb_measure_speed(&speed, model, smaller(BENCH_PROMPT, context / 2),
                                  smaller(BENCH_GENERATE, context / 4), BENCH_REPEATS, &c->cli->report, err);
    if (rc)
        return rc;
    row->prefill_tps = speed.prefill_tps;
    row->decode_tps = speed.decode_tps;
    return TB_OK;
}

// Speed is measured last and the record written with it: a row is measured wholly or not at all.
static tb_code finish_row(const tb_comparison *c, tb_compare_row *row, const tb_model *model, tb_error *err)
{
    tb_code rc = measure_speed(c, row, model, err);
    if (!rc)
        rc = tb_compare_save_measured(row, err);
    row->measured = rc == TB_OK;
    return rc ? tb_fail_context(err, rc, "measuring %s", row->name) : TB_OK;
}

static tb_perplexity_options get_protocol(const tb_comparison *c)
{
    return (tb_perplexity_options){
        .ctx = (size_t)c->args->ctx,
        .skip = (size_t)c->args->skip,
        .max_tokens = (size_t)c->args->max_tokens,
        .report = &c->cli->report,
    };
}

static tb_code open_batch(batch *b, tb_comparison *c, tb_error *err)
{
    b->rows = tb_arena_array(&c->arena, c->count, sizeof(tb_compare_row *));
    b->models = tb_arena_array(&c->arena, c->count, sizeof(tb_model *));
    b->results = tb_arena_array(&c->arena, c->count, sizeof *b->results);
    if (!b->rows || !b->models || !b->results)
        return tb_fail(err, TB_ENOMEM, "no memory to measure %zu models", c->count);
    tb_code rc = TB_OK;
    for (size_t i = 1; !rc && i < c->count; i++) {
        tb_compare_row *row = &c->rows[i];
        if (row->measured)
            continue;
        rc = tb_cli_open_model(&b->models[b->count], c->cli, row->path, err);
        if (!rc)
            b->rows[b->count++] = row;
    }
    return rc;
}

static void close_batch(batch *b)
{
    for (size_t i = 0; i < b->count; i++)
        tb_model_close(b->models[i]);
}

// The quantized models that are missing, in one pass. The original is measured on the way.
static tb_code measure_batch(tb_comparison *c, batch *b, const int32_t *ids, size_t id_count, tb_error *err)
{
    tb_perplexity_options protocol = get_protocol(c);
    const tb_model *const *models = (const tb_model *const *)b->models;
    tb_code rc = tb_measure_perplexities(b->results, models, b->count, c->model, ids, id_count, &protocol, err);
    for (size_t i = 0; !rc && i < b->count; i++) {
        take_result(b->rows[i], &b->results[i]);
        if (!b->results[i].broken)
            take_reference(&c->rows[0], &b->results[i]);
        rc = finish_row(c, b->rows[i], b->models[i], err);
    }
    return rc;
}

static tb_code measure_original(tb_comparison *c, const int32_t *ids, size_t id_count, tb_error *err)
{
    tb_compare_row *row = &c->rows[0];
    tb_perplexity_options protocol = get_protocol(c);
    tb_perplexity_result result;
    tb_code rc = TB_OK;
    if (row->windows == 0) { // no pass has gone over the text
        rc = tb_measure_perplexity(&result, c->model, NULL, ids, id_count, &protocol, err);
        if (!rc && result.broken)
            rc = tb_fail(err, TB_EINVAL, "the model is broken: its logits are not finite");
        if (!rc)
            take_result(row, &result);
        row->top1_agreement = 1;
    }
    return rc ? rc : finish_row(c, row, c->model, err);
}

static bool all_measured(const tb_comparison *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (!c->rows[i].measured)
            return false;
    return true;
}

static tb_code measure_missing(tb_comparison *c, tb_error *err)
{
    int32_t *ids;
    size_t id_count;
    batch b = {0};
    tb_code rc = tb_cli_read_tokens(&ids, &id_count, c->model, c->args->text, err);
    if (!rc)
        rc = open_batch(&b, c, err);
    if (!rc && b.count > 0) {
        tb_report_note(&c->cli->report, TB_NOTE_INFO, "measuring %zu model%s beside the original", b.count,
                       b.count == 1 ? "" : "s");
        rc = measure_batch(c, &b, ids, id_count, err);
    }
    if (!rc && !c->rows[0].measured)
        rc = measure_original(c, ids, id_count, err);
    close_batch(&b);
    tb_free_ids(ids);
    return rc;
}

tb_code tb_compare_make(tb_comparison *c, tb_error *err)
{
    tb_code rc = quantize_missing(c, err);
    return rc || all_measured(c) ? rc : measure_missing(c, err);
}
