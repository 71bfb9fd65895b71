// What moves parameters along their gradients. Part of train.h.
#ifndef TB_TRAIN_OPTIMIZER_H
#define TB_TRAIN_OPTIMIZER_H

#include "train/params.h"

// Adam (Kingma and Ba, arXiv 1412.6980) with bias correction; with decay > 0 AdamW (Loshchilov and
// Hutter, arXiv 1711.05101): weights shrink by rate·decay apart from the gradient.
typedef struct tb_adam {
    double beta1, beta2, epsilon, decay; // 0: 0.9, 0.999, 1e-8, none
    size_t threads;                      // 0: 1
} tb_adam;

// Step number `step` (from 1) of all parameters that are not frozen.
void tb_adam_step(tb_params *params, const tb_adam *adam, double rate, uint64_t step);

// The optimizers that language models are trained with.
typedef enum tb_optimizer_kind {
    TB_SGD,       // gradient descent with momentum
    TB_ADAMW,     // β 0.9, 0.95
    TB_MUON,      // orthogonalised momentum for matrices inside of blocks, AdamW for the rest
    TB_ORTHOADAM, // AdamW in coordinates that a fixed orthogonal matrix per parameter turns
    TB_OPTIMIZERS
} tb_optimizer_kind;

extern const char *const tb_optimizer_names[TB_OPTIMIZERS];

// Moves a set of parameters, which it borrows, in single precision. Its state lies with the parameters. `seed` is of
// the coordinates of orthoadam.
typedef struct tb_optimizer tb_optimizer;
tb_code tb_optimizer_new(tb_optimizer **out, tb_optimizer_kind kind, tb_params *params, double decay, uint64_t seed,
                         tb_error *err);
void tb_optimizer_free(tb_optimizer *optimizer);
// Step number `step` (from 1).
void tb_optimizer_step(tb_optimizer *optimizer, double rate, uint64_t step, size_t threads);

// Shrinks all gradients, of single precision, so that their norm is `most` at most; returns what it was.
double tb_params_clip(tb_params *params, double most);

typedef enum tb_schedule_kind { TB_RATE_CONSTANT, TB_RATE_LINEAR, TB_RATE_COSINE } tb_schedule_kind;

// A learning rate over `steps`: grows linearly for `warmup` steps, then stays, or falls to 0.
typedef struct tb_schedule {
    tb_schedule_kind kind;
    double rate;
    uint64_t warmup, steps;
} tb_schedule;

// The rate of a step, counted from 1.
double tb_schedule_rate(const tb_schedule *schedule, uint64_t step);

#endif
