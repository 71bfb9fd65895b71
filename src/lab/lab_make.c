// Making the quantized models that the work folder does not hold. Each is quantized by a child process, so that its
// peak memory is its own. Which blocks get how many bits is decided here, so that recipes with the same scores share
// one analysis; the child is told the widths.
#include "lab/lab.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lab/child.h"

// Kinds of numbers in the store.
#define QUANTIZE_NUMBERS "quantize" // seconds, peak_rss_bytes, blocks_reused
#define SCORE_NUMBERS "scores"      // of the blocks

enum { QUANTIZE_COUNT = 3 };

static tb_code fail_memory(tb_error *err)
{
    return tb_fail(err, TB_ENOMEM, "no memory to compare models");
}

// A recipe on its way to a file.
typedef struct making {
    tb_compare_row *row;
    tb_pipeline_options pipeline;
    tb_widths_options widths;
    tb_pipeline *made; // ready
    const tb_quant_identity *identity;
} making;

// ---- widths ----

// The scores of the model's blocks, from the store or by an analysis, which is then kept.
static tb_code get_scores(double *scores, tb_score kind, tb_comparison *c, const tb_compare_model *m, const making *k,
                          tb_error *err)
{
    size_t blocks = tb_model_config(m->model)->blocks, count = blocks;
    const char *key = tb_compare_key(c, "model %s; score %s, calibration %s, seed %" PRIu64, m->fingerprint,
                                     tb_score_name(kind), c->calibration_hash, k->widths.seed);
    if (!key)
        return fail_memory(err);
    tb_code rc = tb_store_get_numbers(scores, &count, c->store, SCORE_NUMBERS, key, err);
    if (rc || (count == blocks && !c->options.fresh))
        return rc;
    tb_report_note(c->options.report, TB_NOTE_INFO, "scoring the blocks of %s for %s", m->source->name, k->row->name);
    rc = tb_pipeline_score_blocks(scores, k->made, kind, k->widths.seed, err);
    return rc ? rc : tb_store_put_numbers(c->store, SCORE_NUMBERS, key, scores, blocks, err);
}

static tb_code choose_widths(making *k, tb_comparison *c, const tb_compare_model *m, tb_error *err)
{
    const tb_recipe_args *args = &k->row->recipe->args;
    size_t blocks = tb_model_config(m->model)->blocks;
    tb_score kind;
    if (tb_recipe_allocates(args) && tb_allocation_rule_score(&kind, k->widths.rule)) {
        double *scores = tb_arena_array(&c->arena, blocks, sizeof *scores);
        tb_code rc = scores ? get_scores(scores, kind, c, m, k, err) : fail_memory(err);
        if (rc)
            return rc;
        k->widths.scores = scores;
    }
    return tb_recipe_set_widths(k->made, args, blocks, &k->widths, err);
}

// ---- what a file will be ----

static tb_code plan(making *k, tb_comparison *c, const tb_compare_model *m, tb_error *err)
{
    const tb_lab_recipe *recipe = k->row->recipe;
    tb_code rc = tb_lab_recipe_resolve(&k->pipeline, &k->widths, recipe, c->options.seed, err);
    k->pipeline.quant.threads = tb_compare_threads(c);
    if (tb_recipe_allocates(&recipe->args)) // scoring takes time; what else there is to say, the child says
        k->pipeline.report = c->options.report;
    k->pipeline.fingerprint = m->fingerprint;
    k->pipeline.calibration_path = c->options.calibration;
    if (!k->pipeline.calibration_tokens)
        k->pipeline.calibration_tokens = (size_t)c->options.calibration_tokens;
    if (!rc)
        rc = tb_quant_options_resolve(&k->row->quant, k->pipeline.method, &k->pipeline.quant, err);
    k->row->method = k->pipeline.method;
    if (!rc)
        rc = tb_pipeline_new(&k->made, m->model, &k->pipeline, err);
    if (!rc)
        rc = choose_widths(k, c, m, err);
    return rc ? rc : tb_pipeline_identify(&k->identity, k->made, err);
}

// ---- the child ----

// Arguments of a child; `storage` holds those that are printed for it.
typedef struct command_line {
    const char *items[TB_MOST_RECIPE_OPTIONS + 32];
    size_t count;
    tb_comparison *c;
    bool failed; // memory ran out
} command_line;

static void add(command_line *line, const char *item)
{
    line->failed |= !item;
    line->items[line->count++] = item;
}

static void add_text(command_line *line, const char *name, const char *value)
{
    if (value)
        add(line, tb_compare_keep(line->c, "--%s=%s", name, value));
}

// Options with value 0 are at their default and left out.
static void add_number(command_line *line, const char *name, uint64_t value)
{
    if (value)
        add(line, tb_compare_keep(line->c, "--%s=%" PRIu64, name, value));
}

static bool has_name(const char *option, const char *name)
{
    size_t n = strlen(name);
    return strncmp(option, "--", 2) == 0 && strncmp(option + 2, name, n) == 0 &&
           (option[2 + n] == '=' || option[2 + n] == '\0');
}

// What the parent has decided already: the widths, and the seed, of which nothing else depends.
static bool is_decided(const char *option)
{
    static const char *const names[] = {"allocate", "avg-bits", "size", "widths", "block-bits", "seed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (has_name(option, names[i]))
            return true;
    return false;
}

static void add_widths(command_line *line, const uint8_t *bits, size_t blocks)
{
    tb_str list = {0};
    tb_code rc = TB_OK;
    for (size_t b = 0; !rc && b < blocks; b++)
        rc = tb_str_printf(&list, NULL, b ? ",%u" : "%u", (unsigned)bits[b]);
    line->failed |= rc != TB_OK;
    add_text(line, "block-bits", tb_str_get(&list));
    tb_str_clear(&list);
}

static tb_code make_command_line(command_line *line, tb_comparison *c, const tb_compare_model *m, const making *k,
                                 const char *output, tb_error *err)
{
    const tb_lab_options *o = &c->options;
    const tb_lab_recipe *recipe = k->row->recipe;
    *line = (command_line){.c = c};
    add(line, "quantize");
    add(line, "--json");
    add(line, "--no-measure"); // that is done here
    add_text(line, "output", output);
    for (size_t i = 0; i < recipe->option_count; i++)
        if (!is_decided(recipe->options[i]))
            add(line, recipe->options[i]);
    const uint8_t *bits = tb_pipeline_get_widths(k->made);
    if (bits)
        add_widths(line, bits, tb_model_config(m->model)->blocks);
    add_text(line, "calib", c->options.calibration);
    if (!recipe->args.calibration_tokens)
        add_number(line, "calib-tokens", c->options.calibration_tokens);
    add_number(line, "seed", o->seed);
    add_number(line, "threads", o->threads);
    add_text(line, "cpu", o->cpu);
    if (o->quiet)
        add(line, "--quiet");
    add(line, "--");
    add(line, m->source->path);
    return line->failed ? fail_memory(err) : TB_OK;
}

// What the child printed, as numbers for the store.
static tb_code read_result(double numbers[QUANTIZE_COUNT], const tb_str *output, tb_error *err)
{
    json_t *result = json_loadb(tb_str_get(output), output->size, 0, NULL);
    bool complete = result && json_unpack(result, "{s:F, s:F, s:F}", "seconds", &numbers[0], "peak_rss_bytes",
                                          &numbers[1], "blocks_reused", &numbers[2]) == 0;
    json_decref(result);
    return complete ? TB_OK : tb_fail(err, TB_EFORMAT, "the child process printed something else than its result");
}

static tb_code run_child(double numbers[QUANTIZE_COUNT], tb_comparison *c, const tb_compare_model *m, const making *k,
                         const char *path, tb_error *err)
{
    command_line line;
    tb_str output = {0};
    tb_code rc = make_command_line(&line, c, m, k, path, err);
    if (!rc)
        rc = tb_child_run(&output, line.items, c->options.report, err);
    if (!rc)
        rc = read_result(numbers, &output, err);
    tb_str_clear(&output);
    return rc;
}

// ---- rows ----

static void take_numbers(tb_compare_row *row, const double numbers[QUANTIZE_COUNT])
{
    row->timed = true;
    row->quantize_seconds = numbers[0];
    row->quantize_peak_rss_bytes = (size_t)numbers[1];
    row->blocks_reused = (size_t)numbers[2];
}

static tb_code quantize(making *k, tb_comparison *c, const tb_compare_model *m, const char *key, tb_error *err)
{
    tb_compare_row *row = k->row;
    double numbers[QUANTIZE_COUNT];
    const char *path = tb_folder_name_file(&c->folder, m->source->name, row->recipe->name, k->identity);
    if (!path)
        return fail_memory(err);
    tb_report_note(c->options.report, TB_NOTE_INFO, "quantizing %s with %s (%zu of %zu)", m->source->name, row->name,
                   (size_t)(row - m->rows), c->grid.recipe_count);
    tb_code rc = run_child(numbers, c, m, k, path, err);
    if (!rc)
        rc = tb_folder_add(&c->folder, path, err);
    if (!rc && !(row->path = tb_folder_find(&c->folder, k->identity)))
        rc = tb_fail(err, TB_EFORMAT, "'%s' is not what was planned", path);
    if (rc)
        return rc;
    take_numbers(row, numbers);
    return tb_store_put_numbers(c->store, QUANTIZE_NUMBERS, key, numbers, QUANTIZE_COUNT, err);
}

// Takes the file that is there, with what was measured when it was made, or makes it.
static tb_code find_or_quantize(making *k, tb_comparison *c, const tb_compare_model *m, tb_error *err)
{
    tb_compare_row *row = k->row;
    double numbers[QUANTIZE_COUNT];
    size_t count = QUANTIZE_COUNT;
    row->subject = tb_compare_keep(c, "model %s, recipe %s, calibration %s", m->fingerprint,
                                   tb_str_get(&k->identity->recipe), k->identity->tokens);
    const char *key = row->subject ? tb_compare_key(c, "%s", row->subject) : NULL;
    if (!key)
        return fail_memory(err);
    row->path = c->options.fresh ? NULL : tb_folder_find(&c->folder, k->identity);
    if (!row->path)
        return quantize(k, c, m, key, err);
    tb_code rc = tb_store_get_numbers(numbers, &count, c->store, QUANTIZE_NUMBERS, key, err);
    if (!rc && count == QUANTIZE_COUNT)
        take_numbers(row, numbers);
    return rc;
}

// What stops everything: the user, memory, damaged results. All else is a matter of the recipe.
static bool is_fatal(tb_code rc)
{
    return rc == TB_ECANCELLED || rc == TB_ENOMEM || rc == TB_EFORMAT;
}

static tb_code make_recipe_row(tb_comparison *c, const tb_compare_model *m, tb_compare_row *row, tb_error *err)
{
    making k = {.row = row};
    tb_error why;
    tb_code rc = plan(&k, c, m, &why);
    if (!rc)
        rc = find_or_quantize(&k, c, m, &why);
    tb_pipeline_free(k.made);
    if (!rc)
        return TB_OK;
    if (is_fatal(rc))
        return tb_fail(err, rc, "%s", why.message);
    tb_report_note(c->options.report, TB_NOTE_WARNING, "%s with %s: %s", m->source->name, row->name, why.message);
    row->missing = tb_compare_keep(c, "%s", why.message);
    return row->missing ? TB_OK : fail_memory(err);
}

static tb_code make_original_row(tb_comparison *c, const tb_compare_model *m, tb_compare_row *row, tb_error *err)
{
    row->path = m->source->path;
    row->subject = tb_compare_keep(c, "model %s", m->fingerprint);
    return row->subject ? TB_OK : fail_memory(err);
}

// The same tokens of every text: otherwise the two models do not speak of the same predictions.
static tb_code check_tokens(const tb_comparison *c, const tb_model *model, const tb_model *other, tb_error *err)
{
    if (tb_model_vocab_size(model) != tb_model_vocab_size(other))
        return tb_fail(err, TB_EINVAL, "it is another model: its vocabulary has %zu tokens, not %zu",
                       tb_model_vocab_size(other), tb_model_vocab_size(model));
    tb_code rc = TB_OK;
    for (size_t t = 0; !rc && t < c->grid.text_count; t++) {
        int32_t *ids = NULL, *other_ids = NULL;
        size_t count = 0, other_count = 0;
        tb_text text = c->texts[t].text;
        rc = tb_model_tokenize(model, text.data, text.size, 0, &ids, &count, err);
        if (!rc)
            rc = tb_model_tokenize(other, text.data, text.size, 0, &other_ids, &other_count, err);
        if (!rc && (count != other_count || memcmp(ids, other_ids, count * sizeof *ids) != 0))
            rc = tb_fail(err, TB_EINVAL, "its tokenizer cuts the text '%s' into other tokens", c->texts[t].name);
        tb_free_ids(ids);
        tb_free_ids(other_ids);
    }
    return rc;
}

static tb_code inspect_also(char fingerprint[65], const tb_comparison *c, const tb_compare_model *m, const char *path,
                            tb_error *err)
{
    tb_model *model;
    tb_code rc = tb_compare_open_model(&model, c, path, err);
    if (rc)
        return rc;
    rc = check_tokens(c, m->model, model, err);
    if (!rc)
        rc = tb_checkpoint_fingerprint(fingerprint, tb_model_checkpoint(model), err);
    tb_model_close(model);
    return rc ? tb_fail_context(err, rc, "'%s' beside '%s'", path, m->source->path) : TB_OK;
}

static tb_code make_also_row(tb_comparison *c, const tb_compare_model *m, tb_compare_row *row, const char *path,
                             tb_error *err)
{
    char fingerprint[65];
    row->path = path;
    row->name = tb_lab_grid_name_of_file(&c->arena, path);
    tb_code rc = row->name ? inspect_also(fingerprint, c, m, path, err) : fail_memory(err);
    if (rc)
        return rc;
    row->subject = tb_compare_keep(c, "model %s", fingerprint);
    return row->subject ? TB_OK : fail_memory(err);
}

static tb_code plan_rows(tb_comparison *c, tb_compare_model *m, tb_error *err)
{
    size_t texts = c->grid.text_count;
    m->count = 1 + c->grid.recipe_count + m->source->also_count;
    m->rows = tb_arena_array(&c->arena, m->count, sizeof *m->rows);
    if (!m->rows)
        return fail_memory(err);
    for (size_t i = 0; i < m->count; i++) {
        tb_compare_row *row = &m->rows[i];
        row->kind = i == 0 ? TB_ROW_ORIGINAL : i <= c->grid.recipe_count ? TB_ROW_RECIPE : TB_ROW_ALSO;
        row->recipe = row->kind == TB_ROW_RECIPE ? &c->grid.recipes[i - 1] : NULL;
        row->name = row->recipe ? row->recipe->name : TB_COMPARE_ORIGINAL;
        if (c->options.against && strcmp(row->name, c->options.against) == 0)
            m->base = i;
        row->cells = tb_arena_array(&c->arena, texts, sizeof *row->cells);
        if (!row->cells)
            return fail_memory(err);
    }
    return TB_OK;
}

// Other files first: one that does not fit is better known before hours of quantizing.
tb_code tb_compare_make_rows(tb_comparison *c, tb_compare_model *m, tb_error *err)
{
    size_t recipes = c->grid.recipe_count;
    tb_code rc = plan_rows(c, m, err);
    if (!rc)
        rc = make_original_row(c, m, &m->rows[0], err);
    for (size_t i = 0; !rc && i < m->source->also_count; i++)
        rc = make_also_row(c, m, &m->rows[1 + recipes + i], m->source->also[i], err);
    for (size_t i = 0; !rc && i < recipes; i++)
        rc = make_recipe_row(c, m, &m->rows[1 + i], err);
    return rc;
}
