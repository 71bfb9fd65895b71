// The recipe of a quantized file: everything besides model and text that bears on the result,
// as a JSON object. It goes into the file and decides whether an interrupted run may continue.
#ifndef TB_QUANT_RECIPE_H
#define TB_QUANT_RECIPE_H

#include "quant/calibration.h"
#include "quant/ends.h"
#include "quant/held_out.h"
#include "quant/options.h"

// What it is written from.
typedef struct tb_recipe_facts {
    tb_method method;
    const tb_quant_options *options; // resolved
    const tb_windows *windows;       // NULL without calibration
    const uint8_t *block_bits;       // [blocks]; NULL when all have options->bits
    size_t blocks;
    tb_end_bits ends; // written where they are not the default, those of the embedding where they are not the head's
    // The kernel level that the calibration's states depend on, as they do on the BLAS library, which is named with it;
    // NULL without calibration.
    const char *cpu;
    const char *prefix; // its fingerprint; NULL: there is none
    const tb_model *model;
    const bool *held_out; // [tb_model_linear_count] matrices of the model; NULL: none
} tb_recipe_facts;

// Appends the object on one line.
tb_code tb_recipe_append(tb_str *out, const tb_recipe_facts *facts, tb_error *err);

#endif
