// What an experiment does to the rows of a pass. Private to sink.
#ifndef TB_SINK_EXPERIMENT_H
#define TB_SINK_EXPERIMENT_H

#include "sink/remove.h"
#include "sink/sequences.h"

// A first token's keys and values in all blocks.
typedef struct tb_first_rows {
    float *keys, *values; // [blocks][kv_heads·head_size]
} tb_first_rows;

// What experiments know of the model.
typedef struct tb_sink_knowledge {
    const tb_config *config;
    size_t emergence; // stage; 0: there are no massive activations
    bool *massive;    // [width]: the first token's massive channels there
    size_t massive_count;
    double *means;          // [width]: the first token there, mean over the sequences
    bool *dormant, *others; // [blocks][heads]: dormant heads; as many others
    size_t dormant_count;
    tb_super_result super; // its first `super_count` lie in front of the emergence
    size_t super_count;
} tb_sink_knowledge;

typedef struct tb_sink_experiment {
    tb_ablation_kind kind;
    const tb_sink_knowledge *known;
    size_t target;                   // position that massive activations move to
    tb_sink_removal removal;         // of super weights
    tb_first_rows other;             // of another prompt
    struct tb_sink_magnitude *order; // [width]: scratch
} tb_sink_experiment;

tb_code tb_sink_experiment_init(tb_sink_experiment *experiment, tb_arena *arena, const tb_sink_knowledge *known,
                                const tb_sink_sequences *sequences, tb_error *err);

// How many things it works on; false: none, so that it makes no sense.
bool tb_sink_experiment_objects(size_t *out, const tb_sink_experiment *experiment);

// The calls of a probe.
void tb_sink_experiment_input(tb_sink_experiment *experiment, size_t block, const tb_probe_rows *down_input);
void tb_sink_experiment_edit(const tb_sink_experiment *experiment, size_t block, tb_edit_stage stage,
                             const tb_edit_rows *rows);

#endif
