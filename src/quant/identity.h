// What a quantized file is made from.
#ifndef TB_QUANT_IDENTITY_H
#define TB_QUANT_IDENTITY_H

#include "base/base.h"

// Two files that agree in all of it are the same, byte for byte. The file says it itself: twobit.source,
// twobit.calibration, twobit.recipe; so does the folder of an interrupted run.
typedef struct tb_quant_identity {
    char model[65];  // fingerprint of the checkpoint
    char tokens[65]; // SHA-256 of the calibration tokens; empty without calibration
    tb_str recipe;   // JSON object: everything else that bears on the result
    uint64_t file_bytes;
} tb_quant_identity;

#endif
