// How the scores of a query become the weights of values, where that is no softmax. Private to model.
//
// Such weights need not sum to 1 and may all be 0: a head can be silent without a key to be silent on. They are made
// from a whole row of scores at once (docs/formats.md has the formulas).
#ifndef TB_MODEL_WEIGHING_H
#define TB_MODEL_WEIGHING_H

#include <stddef.h>

typedef enum tb_weighing_kind {
    TB_SOFTMAX, // done piece by piece in attention.c
    TB_CLIP,
    TB_SIGMOID,
    TB_RELU,
    TB_SOFTPICK,
    TB_ELASTIC,
} tb_weighing_kind;

typedef struct tb_weighing {
    tb_weighing_kind kind;
    float number; // CLIP: −γ ≥ 0; SIGMOID: the bias; ELASTIC: τ
} tb_weighing;

// Makes the scores x[n] of one query weights, in place. Not for TB_SOFTMAX.
void tb_weigh_scores(float *x, const tb_weighing *weighing, size_t n);

#endif
