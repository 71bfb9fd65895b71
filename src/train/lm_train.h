// Training a small transformer on a text, into a folder that opens like any model. Part of train.h.
#ifndef TB_TRAIN_LM_TRAIN_H
#define TB_TRAIN_LM_TRAIN_H

#include "train/lm.h"
#include "train/optimizer.h"

// Tokens to learn from, and tokens that follow them to measure with.
typedef struct tb_lm_text {
    const int32_t *ids, *held;
    size_t count, held_count;
    int32_t first; // stands in front of every window; −1: none
} tb_lm_text;

// A file of the folder that training does not make.
typedef struct tb_lm_file {
    const char *name;
    tb_text content;
} tb_lm_file;

typedef struct tb_lm_training {
    tb_lm_shape shape;
    tb_lm_text text;
    uint64_t seed, steps;
    size_t batch;        // windows of a step
    double rate, warmup; // the highest rate; steps on the way to it, as a share of all
    double decay;        // of weights
    double clip;         // norm of gradients, at most
    tb_optimizer_kind optimizer;
    tb_lm_penalty penalty;
    uint64_t measure_every;    // steps between two losses on what was held out
    uint64_t patience;         // ends where so many of them bring nothing better; 0: never
    uint64_t probe_every;      // steps between two probes; 0: none
    uint64_t checkpoint_every; // steps between two saved states
    int32_t bos, eos;          // for config.json
    bool half;                 // the finished model is written in F16, not in F32
    const tb_lm_file *files;
    size_t file_count;
    size_t threads;
    const tb_report *report;
} tb_lm_training;

// What a probe looks at, over windows of its own.
enum {
    TB_LM_PROBE_SINK,           // weight of the first position in the head that gives it most
    TB_LM_PROBE_HEADS,          // share of heads that give it more than 0.3
    TB_LM_PROBE_LARGEST,        // largest |h|
    TB_LM_PROBE_KURTOSIS,       // of h behind the block where it is highest
    TB_LM_PROBE_FIRST_GRADIENT, // norm of the loss's gradient by the first position's embedding …
    TB_LM_PROBE_GRADIENT,       // … and by the others', on average
    TB_LM_PROBES
};

// What was told on the way: of the steps that were made, whichever process made them.
typedef struct tb_lm_log {
    uint64_t steps, best_step; // made; after which the weights that were kept were best
    const double *loss;        // [steps]: nats per token of each batch
    const double *held;        // [steps/measure_every]
    const double *probes;      // [steps/probe_every][TB_LM_PROBES]
    double held_loss;          // of the finished model on all that was held out; NaN where nothing was
    double seconds;            // of the steps of this process
    uint64_t own_steps;
    tb_params *values; // that the arrays lie in
} tb_lm_log;

// Trains and writes `folder`: config.json, model.safetensors and the given files. Until it is complete the work lies in
// FOLDER.partial, from which the same call goes on with the same bits. TB_EINVAL: what does not fit, a state of
// another training; TB_EIO: the folder is there already.
tb_code tb_lm_train(tb_lm_log *log, const char *folder, const tb_lm_training *training, tb_error *err);
void tb_lm_log_clear(tb_lm_log *log);

#endif
