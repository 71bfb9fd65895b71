// Second moments made ready for error feedback (spec of BPDQ, sections 3 and 4): dead
// columns, group-aware order of the columns, damping, and the factor H + λI = V·Vᵀ with V
// upper triangular in that order. Read-only once made, shared by matrices and threads.
#ifndef TB_QUANT_CURVATURE_H
#define TB_QUANT_CURVATURE_H

#include "quant/method.h"

// δ when the options do not say.
#define TB_DAMPING 0.05

struct tb_curvature {
    size_t cols, group, groups;
    bool *dead;          // [cols] by column: the input was zero in every token
    size_t dead_columns; // how many of them
    // Processing order. Groups keep their columns and their size (the last group of a row may
    // be shorter than the others), so positions are counted by starts, not by p·group.
    size_t *order;   // [groups] turn → group
    size_t *starts;  // [groups + 1] first position of each turn
    size_t *columns; // [cols] position → column
    double damping;  // δ that led to a factor
    double *factor;  // V[cols][cols], by position
};

#endif
