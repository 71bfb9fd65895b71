#include "quant/recipe.h"

#include <jansson.h>

#include "quant/method.h"
#include "tensor/tensor.h"

static int append_piece(const char *bytes, size_t n, void *text)
{
    return tb_str_append(text, bytes, n, NULL) ? -1 : 0;
}

// Each returns false when memory ran out.

static bool set_curvature(json_t *recipe, const tb_quant_options *o, const tb_windows *w)
{
    return json_object_set_new(recipe, "damping", json_real(o->damping)) == 0 &&
           json_object_set_new(recipe, "windows", json_integer((json_int_t)w->count)) == 0 &&
           json_object_set_new(recipe, "window", json_integer((json_int_t)w->length)) == 0;
}

static bool set_bits(json_t *recipe, const tb_quant_options *o, const uint8_t *block_bits, size_t blocks)
{
    if (!block_bits)
        return json_object_set_new(recipe, "bits", json_integer(o->bits)) == 0;
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; i < blocks && ok; i++)
        ok = json_array_append_new(list, json_integer(block_bits[i])) == 0;
    if (ok)
        return json_object_set_new(recipe, "block_bits", list) == 0;
    json_decref(list);
    return false;
}

// The kernels on which the states of the calibration text depend.
static bool set_kernels(json_t *recipe, const char *cpu)
{
    char blas[TB_BLAS_NAME];
    return json_object_set_new(recipe, "cpu", json_string(cpu)) == 0 &&
           json_object_set_new(recipe, "blas", json_string(tb_blas_name(blas))) == 0;
}

// Where they are the default there is no key: files made before there was a choice have the same recipe.
static bool set_end_bits(json_t *recipe, tb_end_bits ends)
{
    bool ok = ends.head == 0 || ends.head == TB_MOST_END_BITS ||
              json_object_set_new(recipe, "head_bits", json_integer((json_int_t)ends.head)) == 0;
    return ok && (ends.embedding == ends.head ||
                  json_object_set_new(recipe, "embedding_bits", json_integer((json_int_t)ends.embedding)) == 0);
}

// The names of matrices that are held out, whoever wants them so, and the least bits of gates where there are some.
static bool set_held_out(json_t *recipe, const tb_recipe_facts *f)
{
    json_t *names = json_array();
    bool ok = names != NULL, gates = false;
    for (size_t b = 0; b < f->blocks && ok; b++) {
        tb_linears linears = tb_model_linears(f->model, b);
        for (size_t i = 0; i < linears.count && ok; i++) {
            gates |= linears.at[i].has_gate;
            if (tb_is_held_out(f->held_out ? f->held_out + linears.first : NULL, i, &linears.at[i], f->method))
                ok = json_array_append_new(names, json_string(linears.at[i].name)) == 0;
        }
    }
    if (ok && json_array_size(names))
        ok = json_object_set(recipe, "held_out", names) == 0;
    json_decref(names);
    return ok && (!gates || json_object_set_new(recipe, "gate_bits", json_integer(TB_LEAST_GATE_BITS)) == 0);
}

tb_code tb_recipe_append(tb_str *out, const tb_recipe_facts *f, tb_error *err)
{
    const tb_method_traits *method = tb_method_get(f->method);
    json_t *recipe = json_pack("{s:s, s:I, s:b}", "method", method->name, "group", (json_int_t)f->options->group,
                               "keep_head", f->ends.head == 0);
    bool ok = recipe && set_bits(recipe, f->options, f->block_bits, f->blocks) && set_end_bits(recipe, f->ends);
    if (ok && f->cpu)
        ok = set_kernels(recipe, f->cpu);
    if (ok && f->windows)
        ok = set_curvature(recipe, f->options, f->windows);
    if (ok && f->prefix)
        ok = json_object_set_new(recipe, "prefix", json_string(f->prefix)) == 0;
    ok = ok && set_held_out(recipe, f);
    if (ok && method->needs_curvature)
        ok = json_object_set_new(recipe, "shrinkage", json_boolean(!f->options->no_shrinkage)) == 0;
    if (ok && f->options->published)
        ok = json_object_set_new(recipe, "published", json_true()) == 0;
    if (ok && (f->method == TB_METHOD_HQQ || f->method == TB_METHOD_BPDQ || f->method == TB_METHOD_PTQTP))
        ok = json_object_set_new(recipe, "iterations", json_integer(f->options->iterations)) == 0;
    if (ok)
        ok =
            json_dump_callback(recipe, append_piece, out, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15)) == 0;
    json_decref(recipe);
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the recipe");
}
