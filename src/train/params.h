// What is learned: matrices by their names, shared by any number of graphs and passes. Part of train.h.
#ifndef TB_TRAIN_PARAMS_H
#define TB_TRAIN_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "formats/formats.h"

typedef enum tb_precision { TB_SINGLE, TB_DOUBLE } tb_precision;

static inline size_t tb_precision_bytes(tb_precision precision)
{
    return precision == TB_DOUBLE ? sizeof(double) : sizeof(float);
}

// A matrix by its name, row-major. The arrays are of float or double, as the set says.
typedef struct tb_param {
    const char *name;
    size_t rows, cols;
    void *value;
    void *gradient;      // of the last backward pass
    void *mean, *square; // Adam's moments; NULL in a set that is not trained
    bool frozen;         // gets no gradient in graphs built from now on, and is not moved
    bool vector;         // of a model's: written with one dimension, and its weights do not decay
} tb_param;

typedef struct tb_params tb_params;

// `trained`: with gradients and moments.
tb_code tb_params_new(tb_params **out, tb_precision precision, bool trained, tb_error *err);
void tb_params_free(tb_params *params);

// A new parameter of zeros. TB_EINVAL: the name is taken, or a dimension is 0.
tb_code tb_params_add(tb_param **out, tb_params *params, const char *name, size_t rows, size_t cols, tb_error *err);

tb_precision tb_params_precision(const tb_params *params);
size_t tb_params_count(const tb_params *params);
tb_param *tb_params_at(tb_params *params, size_t index);
tb_param *tb_params_find(tb_params *params, const char *name); // NULL: absent

// Element access whatever the precision.
double tb_param_get(const tb_params *params, const tb_param *param, size_t index);
void tb_param_set(tb_params *params, tb_param *param, size_t index, double value);

// Writes the values as safetensors under the parameters' names; with `state` also gradients' moments
// ("NAME.mean", "NAME.square"), so that training can go on from the file with the same bits.
tb_code tb_params_save(const char *path, tb_params *params, bool state, const char *const *metadata, size_t pairs,
                       tb_error *err);

// Fills the parameters from a file. TB_EFORMAT: one is missing, of another shape or type, or not
// finite; the parameters are then partly filled.
tb_code tb_params_load(tb_params *params, bool state, const tb_safetensors *file, const char *path, tb_error *err);

#endif
