// The order of the work: texts are read once, then each model in turn is opened, its rows made and measured. Also what
// lives as long as a comparison: texts in its arena, and the keys of its results.
#include "lab/lab.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- texts and keys ----

static const char *print_to_arena(tb_arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = n < 0 ? NULL : tb_arena_alloc(arena, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, args);
    return text;
}

const char *tb_compare_keep(tb_comparison *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = print_to_arena(&c->arena, format, args);
    va_end(args);
    return text;
}

const char *tb_compare_key(tb_comparison *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = print_to_arena(&c->arena, format, args);
    va_end(args);
    char blas[TB_BLAS_NAME];
    return text ? tb_compare_keep(c, "twobit " TB_VERSION ", kernels %s, %s; %s", c->cpu_name, tb_blas_name(blas), text)
                : NULL;
}

size_t tb_compare_threads(const tb_comparison *c)
{
    return c->options.threads ? (size_t)c->options.threads : tb_cpu_count();
}

// ---- what everything is made from ----

static tb_code hash_text(char out[65], tb_text text, tb_error *err)
{
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_fail(err, TB_ENOMEM, "no memory for a fingerprint");
    tb_hash_update(hash, text.data, text.size);
    tb_hash_hex(hash, out);
    tb_hash_free(hash);
    return TB_OK;
}

static tb_code read_text(tb_compare_text *out, const tb_lab_grid_text *from, tb_error *err)
{
    *out = (tb_compare_text){.name = from->name, .path = from->path, .text = tb_builtin_text_get(TB_TEXT_HELDOUT)};
    tb_code rc = TB_OK;
    if (from->path) {
        rc = tb_text_read(&out->own, &out->text.size, from->path, err);
        out->text.data = out->own;
    }
    return rc ? rc : hash_text(out->hash, out->text, err);
}

// Texts are read once, so that standard input can be one.
static tb_code read_texts(tb_comparison *c, tb_error *err)
{
    c->texts = tb_arena_array(&c->arena, c->grid.text_count, sizeof *c->texts);
    c->models = tb_arena_array(&c->arena, c->grid.model_count, sizeof *c->models);
    if (!c->texts || !c->models)
        return tb_fail(err, TB_ENOMEM, "no memory to compare models");
    tb_code rc = TB_OK;
    for (size_t t = 0; !rc && t < c->grid.text_count; t++)
        rc = read_text(&c->texts[t], &c->grid.texts[t], err);
    tb_compare_text calibration = {0};
    if (!rc && c->options.calibration)
        rc = read_text(&calibration, &(tb_lab_grid_text){.path = c->options.calibration}, err);
    snprintf(c->calibration_hash, sizeof c->calibration_hash, "%s",
             c->options.calibration ? calibration.hash : "built in");
    tb_free(calibration.own);
    return rc;
}

static tb_code open_store(tb_comparison *c, tb_error *err)
{
    tb_code rc = tb_folder_open(&c->folder, c->options.work, err);
    if (rc)
        return rc;
    const char *path = tb_compare_keep(c, "%s/results.sqlite", c->folder.path);
    return path ? tb_store_open(&c->store, path, err) : tb_fail(err, TB_ENOMEM, "no memory for a path");
}

// ---- the work ----

tb_code tb_compare_open_model(tb_model **out, const tb_comparison *c, const char *path, tb_error *err)
{
    tb_model_options options = {.threads = (size_t)c->options.threads, .cpu = c->options.cpu};
    return tb_model_open(out, path, &options, err);
}

static tb_code open_model(tb_comparison *c, size_t index, tb_error *err)
{
    tb_compare_model *m = &c->models[index];
    m->source = &c->grid.models[index];
    tb_code rc = tb_compare_open_model(&m->model, c, m->source->path, err);
    if (rc)
        return rc;
    c->cpu_name = tb_cpu_name(tb_model_compute(m->model)->kernels.cpu);
    return tb_checkpoint_fingerprint(m->fingerprint, tb_model_checkpoint(m->model), err);
}

static tb_code compare_model(tb_comparison *c, size_t index, tb_error *err)
{
    tb_compare_model *m = &c->models[index];
    tb_code rc = open_model(c, index, err);
    if (!rc)
        rc = tb_compare_make_rows(c, m, err);
    if (!rc)
        rc = tb_compare_measure_rows(c, m, err);
    tb_model_close(m->model);
    m->model = NULL;
    return rc;
}

tb_code tb_compare(tb_comparison *c, tb_error *err)
{
    tb_code rc = read_texts(c, err);
    if (!rc)
        rc = open_store(c, err);
    for (size_t i = 0; i < c->grid.model_count; i++)
        c->cells += (1 + c->grid.recipe_count + c->grid.models[i].also_count) * c->grid.text_count;
    for (size_t i = 0; !rc && i < c->grid.model_count; i++)
        rc = compare_model(c, i, err);
    return rc;
}

void tb_comparison_clear(tb_comparison *c)
{
    for (size_t t = 0; c->texts && t < c->grid.text_count; t++)
        tb_free(c->texts[t].own);
    tb_store_close(c->store);
    tb_folder_clear(&c->folder);
    tb_lab_grid_clear(&c->grid);
    tb_arena_clear(&c->arena);
}
