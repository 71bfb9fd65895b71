// Sets of parameters, and their files.
#include <math.h>
#include <string.h>

#include "train/train.h"

struct tb_params {
    tb_precision precision;
    bool trained;
    tb_param **items; // [room], the first `count` in the arena
    size_t count, room;
    tb_arena arena;
};

tb_code tb_params_new(tb_params **out, tb_precision precision, bool trained, tb_error *err)
{
    tb_params *params = *out = tb_new(tb_params);
    if (!params)
        return tb_fail(err, TB_ENOMEM, "no memory for parameters");
    params->precision = precision;
    params->trained = trained;
    return TB_OK;
}

void tb_params_free(tb_params *params)
{
    if (!params)
        return;
    tb_arena_clear(&params->arena);
    tb_free(params->items);
    tb_free(params);
}

static void *new_values(tb_params *params, size_t size)
{
    return tb_arena_array(&params->arena, size, tb_precision_bytes(params->precision));
}

// Room for one more.
static tb_code grow(tb_params *params, tb_error *err)
{
    if (params->count < params->room)
        return TB_OK;
    size_t room = params->room ? 2 * params->room : 64;
    tb_param **items = tb_realloc_array(params->items, params->room, room, sizeof(void *));
    if (!items)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu parameters", room);
    params->items = items;
    params->room = room;
    return TB_OK;
}

tb_code tb_params_add(tb_param **out, tb_params *params, const char *name, size_t rows, size_t cols, tb_error *err)
{
    size_t size;
    *out = NULL;
    if (tb_params_find(params, name))
        return tb_fail(err, TB_EINVAL, "there are two parameters '%s'", name);
    if (!tb_mul_size(&size, rows, cols) || size == 0)
        return tb_fail(err, TB_EINVAL, "parameter '%s' cannot be %zu × %zu", name, rows, cols);
    tb_code rc = grow(params, err);
    if (rc)
        return rc;
    tb_param *p = tb_arena_alloc(&params->arena, sizeof *p);
    if (!p)
        return tb_fail(err, TB_ENOMEM, "no memory for parameter '%s'", name);
    *p = (tb_param){.name = tb_arena_text(&params->arena, name, strlen(name)), .rows = rows, .cols = cols};
    p->value = new_values(params, size);
    if (params->trained) {
        p->gradient = new_values(params, size);
        p->mean = new_values(params, size);
        p->square = new_values(params, size);
    }
    if (!p->name || !p->value || (params->trained && (!p->gradient || !p->mean || !p->square)))
        return tb_fail(err, TB_ENOMEM, "no memory for parameter '%s' of %zu × %zu", name, rows, cols);
    params->items[params->count++] = p;
    *out = p;
    return TB_OK;
}

tb_precision tb_params_precision(const tb_params *params)
{
    return params->precision;
}

size_t tb_params_count(const tb_params *params)
{
    return params->count;
}

tb_param *tb_params_at(tb_params *params, size_t index)
{
    return params->items[index];
}

tb_param *tb_params_find(tb_params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++)
        if (strcmp(params->items[i]->name, name) == 0)
            return params->items[i];
    return NULL;
}

double tb_param_get(const tb_params *params, const tb_param *param, size_t index)
{
    return params->precision == TB_DOUBLE ? ((const double *)param->value)[index]
                                          : (double)((const float *)param->value)[index];
}

void tb_param_set(tb_params *params, tb_param *param, size_t index, double value)
{
    if (params->precision == TB_DOUBLE)
        ((double *)param->value)[index] = value;
    else
        ((float *)param->value)[index] = (float)value;
}

// ---- files ----

// What a parameter has in a file.
enum { PARTS = 3, NAME_LIMIT = 256 };
static const char *const part_suffixes[PARTS] = {"", ".mean", ".square"};

static void *part_of(const tb_param *param, size_t part)
{
    return part == 0 ? param->value : part == 1 ? param->mean : param->square;
}

static const char *dtype_of(const tb_params *params)
{
    return params->precision == TB_DOUBLE ? "F64" : "F32";
}

static tb_code part_name(tb_str *name, const tb_param *param, size_t part, tb_error *err)
{
    tb_str_reset(name);
    return tb_str_printf(name, err, "%s%s", param->name, part_suffixes[part]);
}

static tb_code describe(tb_safetensor *out, tb_arena *arena, const tb_params *params, size_t index, size_t part,
                        tb_error *err)
{
    const tb_param *p = params->items[index];
    tb_str name = {0};
    tb_code rc = part_name(&name, p, part, err);
    char *copy = rc ? NULL : tb_arena_text(arena, name.data, name.size);
    if (!rc && !copy)
        rc = tb_fail(err, TB_ENOMEM, "no memory to write parameters");
    *out = (tb_safetensor){.name = {copy, name.size},
                           .dtype = {dtype_of(params), 3},
                           .dim_count = 2,
                           .dims = {p->rows, p->cols, 1, 1},
                           .data = part_of(p, part),
                           .bytes = p->rows * p->cols * tb_precision_bytes(params->precision)};
    tb_str_clear(&name);
    return rc;
}

tb_code tb_params_save(const char *path, tb_params *params, bool state, const char *const *metadata, size_t pairs,
                       tb_error *err)
{
    size_t parts = state ? PARTS : 1;
    tb_arena arena = {0};
    tb_safetensor *tensors = tb_arena_array(&arena, params->count * parts, sizeof *tensors);
    tb_code rc = tensors ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory to write parameters");
    for (size_t i = 0; !rc && i < params->count * parts; i++)
        rc = describe(&tensors[i], &arena, params, i / parts, i % parts, err);
    if (!rc)
        rc = tb_safetensors_write(path, tensors, params->count * parts, metadata, pairs, err);
    tb_arena_clear(&arena);
    return rc;
}

static bool all_finite(const tb_params *params, const void *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (params->precision == TB_DOUBLE ? !isfinite(((const double *)values)[i])
                                           : !isfinite(((const float *)values)[i]))
            return false;
    return true;
}

static tb_code load_part(const tb_params *params, const tb_param *p, size_t part, const tb_safetensors *file,
                         const char *name, const char *path, tb_error *err)
{
    const tb_safetensor *t = tb_safetensors_find(file, name);
    size_t size = p->rows * p->cols;
    if (!t)
        return tb_fail(err, TB_EFORMAT, "'%s' has no tensor '%s'", path, name);
    if (strcmp(t->dtype.data, dtype_of(params)) != 0)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' is of type %s, not %s", name, path, t->dtype.data,
                       dtype_of(params));
    if (t->dim_count != 2 || t->dims[0] != p->rows || t->dims[1] != p->cols)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' is not %zu × %zu", name, path, p->rows, p->cols);
    memcpy(part_of(p, part), t->data, t->bytes);
    if (!all_finite(params, part_of(p, part), size))
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' has values that are not finite", name, path);
    return TB_OK;
}

tb_code tb_params_load(tb_params *params, bool state, const tb_safetensors *file, const char *path, tb_error *err)
{
    size_t parts = state ? PARTS : 1;
    tb_str name = {0};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < params->count * parts; i++) {
        const tb_param *p = params->items[i / parts];
        rc = part_name(&name, p, i % parts, err);
        if (!rc)
            rc = load_part(params, p, i % parts, file, tb_str_get(&name), path, err);
    }
    tb_str_clear(&name);
    return rc;
}
