// What a method can be told.
#ifndef TB_QUANT_OPTIONS_H
#define TB_QUANT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

typedef enum tb_method {
    TB_METHOD_RTN,
    TB_METHOD_CLIP,
    TB_METHOD_HQQ,
    TB_METHOD_AWQ,
    TB_METHOD_GPTQ,
    TB_METHOD_BPDQ,
    TB_METHOD_PTQTP,
    TB_METHODS
} tb_method;

// A zeroed object means: every default.
typedef struct tb_quant_options {
    unsigned bits;       // planes: 1 … 4; 0: the method's default. PTQTP: always two trit-planes
    size_t group;        // columns per group, a multiple of 32; 0: the method's default
    double damping;      // δ: H_jj += δ·mean(diag H); 0: 0.05
    unsigned iterations; // BPDQ sweeps (0: 10), most steps of HQQ (0: 20) and PTQTP (0: 50)
    bool no_shrinkage;   // the pipeline leaves second moments as the text gave them (see tb_moments_shrink)
    // As the paper has it: no shrinkage, and in BPDQ the ridge of the coefficient fit is added as it stands, not times
    // the mean diagonal of the fit, and coefficients are rounded to half when they are packed, not before errors are
    // propagated.
    bool published;
    size_t threads; // 0: 1. Results do not depend on it
} tb_quant_options;

// The options with every default of the method filled in. TB_EINVAL: one is out of range.
tb_code tb_quant_options_resolve(tb_quant_options *out, tb_method method, const tb_quant_options *options,
                                 tb_error *err);

#endif
