// Measuring the rows of a model: all that lack scores go through a text together, beside the original, which is
// computed once for all of them. What comes out of a batch of windows is kept at once; results are made from what is
// kept.
#include "lab/lab.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab/lab_front.h"

#define SPEED_NUMBERS "speed" // prefill_tps, decode_tps

// As `twobit bench` measures by default.
enum { BENCH_PROMPT = 128, BENCH_GENERATE = 32, BENCH_REPEATS = 3 };

// One text on its way through the rows of a model. Arrays are in the order of `rows`; the original comes last.
typedef struct measuring {
    tb_comparison *c;
    tb_compare_model *m;
    size_t text; // its index
    int32_t *ids;
    size_t id_count;
    tb_window_plan plan;
    tb_compare_row **rows; // [count + 1]
    tb_model **models;     // [count + 1]
    bool **present;        // [count + 1][windows]: kept already
    size_t count;
    size_t pending; // cells that are not complete
    tb_report report;
} measuring;

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory to measure models");
}

// ---- models ----

// Opens the model of every row that has one.
static tb_code open_rows(measuring *k, tb_error *err)
{
    tb_comparison *c = k->c;
    k->rows = tb_arena_array(&c->arena, k->m->count, sizeof(tb_compare_row *));
    k->models = tb_arena_array(&c->arena, k->m->count, sizeof(tb_model *));
    k->present = tb_arena_array(&c->arena, k->m->count, sizeof(bool *));
    if (!k->rows || !k->models || !k->present)
        return fail_memory(err);
    tb_code rc = TB_OK;
    for (size_t i = 1; !rc && i < k->m->count; i++) {
        tb_compare_row *row = &k->m->rows[i];
        if (row->missing)
            continue;
        rc = tb_compare_open_model(&k->models[k->count], c, row->path, err);
        if (!rc)
            k->rows[k->count++] = row;
    }
    k->rows[k->count] = &k->m->rows[0];
    k->models[k->count] = k->m->model;
    for (size_t i = 0; !rc && i <= k->count; i++) {
        k->rows[i]->file_bytes = tb_checkpoint_file_bytes(tb_model_checkpoint(k->models[i]));
        k->rows[i]->linear_bits = tb_model_linear_bits(k->models[i]);
    }
    return rc;
}

static void close_rows(measuring *k)
{
    for (size_t i = 0; i < k->count; i++)
        tb_model_close(k->models[i]);
}

// ---- what is kept ----

static tb_compare_cell *cell_of(const measuring *k, size_t index)
{
    return &k->rows[index]->cells[k->text];
}

// What the scores of a row on the text depend on.
static const char *describe_cell(const measuring *k, size_t index)
{
    const tb_compare_row *row = k->rows[index];
    bool original = row->kind == TB_ROW_ORIGINAL;
    return tb_compare_key(k->c, "%s%s%s; text %s, ctx %zu, skip %zu", row->subject, original ? "" : "; beside model ",
                          original ? "" : k->m->fingerprint, k->c->texts[k->text].hash, k->plan.ctx, k->plan.skip);
}

static bool is_complete(const measuring *k, size_t index)
{
    for (size_t w = 0; w < k->plan.windows; w++)
        if (!k->present[index][w])
            return false;
    return true;
}

// Two recipes may have come to the same file, and so to the same cell: it is measured once, for the first of them.
static void leave_to_earlier(measuring *k, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (cell_of(k, i)->id == cell_of(k, index)->id)
            memset(k->present[index], true, k->plan.windows * sizeof(bool));
}

static tb_code find_cell(measuring *k, size_t index, tb_error *err)
{
    tb_store *store = k->c->store;
    tb_compare_cell *cell = cell_of(k, index);
    const char *key = describe_cell(k, index);
    k->present[index] = tb_arena_array(&k->c->arena, k->plan.windows, sizeof(bool));
    if (!key || !k->present[index])
        return fail_memory(err);
    tb_code rc = tb_store_cell(&cell->id, store, key, err);
    if (!rc && k->c->options.fresh)
        rc = tb_store_forget_windows(store, cell->id, err);
    if (!rc)
        rc = tb_store_find_windows(k->present[index], store, cell->id, k->plan.windows, err);
    if (!rc)
        leave_to_earlier(k, index);
    k->pending += !rc && !is_complete(k, index);
    return rc;
}

static tb_code find_cells(measuring *k, tb_error *err)
{
    tb_code rc = tb_store_begin(k->c->store, err);
    k->pending = 0;
    for (size_t i = 0; !rc && i <= k->count; i++)
        rc = find_cell(k, i, err);
    return rc ? rc : tb_store_commit(k->c->store, err);
}

static tb_code keep_scores(measuring *k, size_t index, const tb_window_scores *scores, tb_error *err)
{
    if (k->present[index][scores->window])
        return TB_OK;
    tb_code rc = tb_store_put_window(k->c->store, cell_of(k, index)->id, scores, err);
    k->present[index][scores->window] = rc == TB_OK;
    return rc;
}

// ---- the pass ----

static bool wants_row(void *user, size_t model, size_t window)
{
    const measuring *k = user;
    return !k->present[model][window];
}

static tb_code take_rows(void *user, const tb_window_scores *scores, size_t n, tb_error *err)
{
    measuring *k = user;
    tb_code rc = tb_store_begin(k->c->store, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = keep_scores(k, scores[i].model, &scores[i], err);
    return rc ? rc : tb_store_commit(k->c->store, err);
}

// The original alone is the only model of its pass.
static bool wants_original(void *user, size_t model, size_t window)
{
    const measuring *k = user;
    return wants_row(user, k->count + model, window);
}

static tb_code take_original(void *user, const tb_window_scores *scores, size_t n, tb_error *err)
{
    measuring *k = user;
    tb_code rc = tb_store_begin(k->c->store, err);
    for (size_t i = 0; !rc && i < n; i++) {
        if (scores[i].broken)
            return tb_fail(err, TB_EINVAL, "the model '%s' is broken: its logits are not finite", k->m->source->path);
        rc = keep_scores(k, k->count, &scores[i], err);
    }
    return rc ? rc : tb_store_commit(k->c->store, err);
}

// The pass tells tokens; people are told cells of the whole grid. The stage is the number of the pass, short enough for
// the time left to fit behind it; a note has said what is measured.
static bool tell_cells(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)stage;
    (void)unit;
    const measuring *k = user;
    tb_comparison *c = k->c;
    char text[64];
    size_t texts = c->grid.text_count, pass = (size_t)(k->m - c->models) * texts + k->text + 1;
    snprintf(text, sizeof text, "pass %zu/%zu", pass, c->grid.model_count * texts);
    double cells = (double)c->cells_done + (double)k->pending * done / total;
    return tb_report_progress(c->options.report, text, cells, (double)c->cells, "cells");
}

static tb_window_pass make_pass(measuring *k, const tb_perplexity_options *protocol)
{
    return (tb_window_pass){.models = (const tb_model *const *)k->models,
                            .count = k->count,
                            .reference = k->m->model,
                            .tokens = k->ids,
                            .token_count = k->id_count,
                            .options = protocol,
                            .wants = wants_row,
                            .take = take_rows,
                            .user = k};
}

static tb_code run_passes(measuring *k, const tb_perplexity_options *protocol, tb_error *err)
{
    tb_window_pass pass = make_pass(k, protocol);
    tb_code rc = k->count ? tb_measure_windows(&pass, err) : TB_OK;
    if (rc || is_complete(k, k->count))
        return rc;
    const tb_model *original = k->m->model;
    pass.models = &original;
    pass.count = 1;
    pass.reference = NULL;
    pass.wants = wants_original;
    pass.take = take_original;
    return tb_measure_windows(&pass, err);
}

static void note_pass(const measuring *k)
{
    tb_report_note(k->c->options.report, TB_NOTE_INFO,
                   "measuring %s on %s: %zu of %zu models, %zu windows of %zu tokens", k->m->source->name,
                   k->c->texts[k->text].name, k->pending, k->count + 1, k->plan.windows, k->plan.ctx);
}

static tb_code plan_windows(measuring *k, const tb_perplexity_options *protocol, tb_error *err)
{
    tb_window_pass all = make_pass(k, protocol);
    return tb_window_plan_init(&k->plan, tb_window_pass_context(&all), k->id_count, protocol, err);
}

static tb_code complete_cells(measuring *k, tb_error *err)
{
    tb_perplexity_options protocol = k->c->options.protocol;
    k->report = (tb_report){.progress = tell_cells, .user = k};
    protocol.report = &k->report;
    tb_code rc = plan_windows(k, &protocol, err);
    if (!rc)
        rc = find_cells(k, err);
    if (!rc && k->pending) {
        note_pass(k);
        k->c->cells_done += k->count + 1 - k->pending;
        rc = run_passes(k, &protocol, err);
        k->c->cells_done -= k->count + 1 - k->pending;
    }
    k->c->cells_done += k->m->count;
    return rc;
}

// ---- results ----

// The scores of a row on the text, in memory of `arena`.
static tb_code read_scores(tb_text_scores *out, tb_arena *arena, const measuring *k, size_t index, tb_error *err)
{
    size_t n = k->plan.windows * k->plan.predictions;
    bool compared = k->rows[index]->kind != TB_ROW_ORIGINAL;
    *out = (tb_text_scores){.windows = k->plan.windows, .predictions = k->plan.predictions};
    out->nll = tb_arena_array(arena, n, sizeof *out->nll);
    out->kl = compared ? tb_arena_array(arena, n, sizeof *out->kl) : NULL;
    if (!out->nll || (compared && !out->kl))
        return fail_memory(err);
    return tb_store_read_windows(out, k->c->store, cell_of(k, index)->id, err);
}

// Those of the row that others are compared with; no windows where it could not be made.
static tb_code read_base(tb_text_scores *out, tb_arena *arena, const measuring *k, tb_error *err)
{
    *out = (tb_text_scores){0};
    for (size_t i = 0; i <= k->count; i++)
        if (k->rows[i] == &k->m->rows[k->m->base])
            return read_scores(out, arena, k, i, err);
    return TB_OK;
}

// Changes `scores`.
static void take_result(const measuring *k, size_t index, tb_text_scores *scores, const tb_text_scores *base)
{
    tb_compare_cell *cell = cell_of(k, index);
    tb_perplexity_result *result = &cell->result;
    tb_text_scores_summarize(result, scores);
    result->ctx = k->plan.ctx;
    result->skip = k->plan.skip;
    if (k->rows[index]->kind == TB_ROW_ORIGINAL)
        result->top1_agreement = 1;
    k->rows[index]->broken |= result->broken;
    cell->more = cell->more_stderr = NAN;
    if (base->windows && !base->broken && !result->broken)
        tb_text_scores_compare(&cell->more, &cell->more_stderr, scores, base);
}

static tb_code take_results(measuring *k, tb_error *err)
{
    tb_arena arena = {0}, base_arena = {0};
    tb_text_scores base;
    tb_code rc = read_base(&base, &base_arena, k, err);
    for (size_t i = 0; !rc && i <= k->count; i++) {
        tb_text_scores scores;
        rc = read_scores(&scores, &arena, k, i, err);
        if (!rc)
            take_result(k, i, &scores, &base);
        tb_arena_clear(&arena);
    }
    tb_arena_clear(&base_arena);
    return rc;
}

static tb_code measure_text(measuring *k, tb_error *err)
{
    const tb_compare_text *text = &k->c->texts[k->text];
    tb_code rc = tb_model_tokenize(k->m->model, text->text.data, text->text.size, 0, &k->ids, &k->id_count, err);
    if (!rc)
        rc = complete_cells(k, err);
    if (!rc)
        rc = take_results(k, err);
    tb_free_ids(k->ids);
    k->ids = NULL;
    return rc ? tb_fail_context(err, rc, "measuring %s on %s", k->m->source->name, text->name) : TB_OK;
}

// Divergence and agreement over all texts. With one text they are known.
static tb_code pool_row(measuring *k, size_t index, tb_error *err)
{
    tb_compare_row *row = k->rows[index];
    tb_comparison *c = k->c;
    row->pooled = row->cells[0].result;
    if (c->grid.text_count == 1 || row->kind == TB_ROW_ORIGINAL || row->broken)
        return TB_OK;
    size_t total = 0, done = 0;
    for (size_t t = 0; t < c->grid.text_count; t++)
        total += row->cells[t].result.tokens;
    tb_arena arena = {0};
    tb_text_scores all = {.windows = 1, .predictions = total};
    all.nll = tb_arena_array(&arena, total, sizeof *all.nll);
    all.kl = tb_arena_array(&arena, total, sizeof *all.kl);
    tb_code rc = all.nll && all.kl ? TB_OK : fail_memory(err);
    for (size_t t = 0; !rc && t < c->grid.text_count; t++) {
        const tb_perplexity_result *r = &row->cells[t].result;
        tb_text_scores part = {.windows = r->windows, .predictions = r->tokens / r->windows};
        part.nll = all.nll + done;
        part.kl = all.kl + done;
        rc = tb_store_read_windows(&part, c->store, row->cells[t].id, err);
        all.agreements += part.agreements;
        done += r->tokens;
    }
    if (!rc)
        tb_text_scores_summarize(&row->pooled, &all);
    tb_arena_clear(&arena);
    return rc;
}

static tb_code find_fronts(const tb_comparison *c, tb_compare_model *m, tb_error *err)
{
    tb_front_point *points = tb_alloc_array(m->count, sizeof *points);
    if (!points)
        return fail_memory(err);
    for (size_t t = 0; t < c->grid.text_count; t++) {
        for (size_t i = 0; i < m->count; i++) {
            const tb_compare_row *row = &m->rows[i];
            bool counts = row->kind != TB_ROW_ORIGINAL && !row->missing && !row->cells[t].result.broken;
            points[i] = (tb_front_point){.size = (double)row->file_bytes,
                                         .loss = counts ? row->cells[t].result.perplexity : NAN};
        }
        tb_find_front(points, m->count);
        for (size_t i = 0; i < m->count; i++)
            m->rows[i].cells[t].on_front = points[i].on_front;
    }
    tb_free(points);
    return TB_OK;
}

// ---- speed ----

static tb_code clock_row(measuring *k, size_t index, tb_error *err)
{
    tb_comparison *c = k->c;
    tb_compare_row *row = k->rows[index];
    const tb_model *model = k->models[index];
    char machine[TB_MACHINE_NAME];
    double numbers[2];
    size_t count = 2, context = tb_model_context_length(model);
    const char *key = tb_compare_key(c, "%s; %zu threads, %s", row->subject, tb_model_compute(model)->threads,
                                     tb_machine_name(machine));
    if (!key)
        return fail_memory(err);
    tb_code rc = tb_store_get_numbers(numbers, &count, c->store, SPEED_NUMBERS, key, err);
    if (!rc && (count != 2 || c->options.fresh)) {
        tb_bench_result speed;
        rc = tb_measure_speed(&speed, model, tb_min_size(BENCH_PROMPT, context / 2),
                              tb_min_size(BENCH_GENERATE, context / 4), BENCH_REPEATS, NULL, c->options.report, err);
        numbers[0] = rc ? 0 : speed.prefill_tps;
        numbers[1] = rc ? 0 : speed.decode_tps;
        if (!rc)
            rc = tb_store_put_numbers(c->store, SPEED_NUMBERS, key, numbers, 2, err);
    }
    row->clocked = rc == TB_OK;
    row->prefill_tps = numbers[0];
    row->decode_tps = numbers[1];
    return rc ? tb_fail_context(err, rc, "measuring the speed of %s", row->name) : TB_OK;
}

// ---- entrance ----

static tb_code measure_rows(measuring *k, tb_error *err)
{
    tb_comparison *c = k->c;
    tb_code rc = open_rows(k, err);
    for (k->text = 0; !rc && k->text < c->grid.text_count; k->text++)
        rc = measure_text(k, err);
    for (size_t i = 0; !rc && i <= k->count; i++)
        rc = pool_row(k, i, err);
    for (size_t i = 0; !rc && c->options.speed && i <= k->count; i++)
        rc = clock_row(k, i, err);
    return rc ? rc : find_fronts(c, k->m, err);
}

tb_code tb_compare_measure_rows(tb_comparison *c, tb_compare_model *m, tb_error *err)
{
    measuring k = {.c = c, .m = m};
    tb_code rc = measure_rows(&k, err);
    close_rows(&k);
    return rc;
}

const tb_compare_row *tb_compare_best(const tb_compare_model *m)
{
    const tb_compare_row *best = NULL;
    for (size_t i = 0; i < m->count; i++) {
        const tb_compare_row *row = &m->rows[i];
        bool counts = row->kind == TB_ROW_RECIPE && !row->missing && !row->broken && row->linear_bits < 4;
        if (counts && (!best || row->pooled.kl_mean < best->pooled.kl_mean))
            best = row;
    }
    return best;
}
