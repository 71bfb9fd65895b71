// Tasks so small that what a normalizer of attention can and cannot do shows at once (T-20 and T-21 of the
// specification of attention sinks): one head over 32 tokens, each with a content. Some are triggers, where the output
// must be the mean of all contents so far; elsewhere it must be 0. With an anchor the first token is another one,
// without a content, which a head that should be silent may look at.
#ifndef TB_TEST_SINK_TOY_H
#define TB_TEST_SINK_TOY_H

#include "train/train.h"

typedef struct toy_options {
    tb_lm_normalizer normalizer;
    tb_lm_gate gate; // none, head or elem
    bool slot;       // a learned key and value
    bool anchor;
    uint64_t seed, steps;
    size_t batch;
} toy_options;

// Means over sequences that training did not see.
typedef struct toy_result {
    double error;          // squared, per row and element
    double row_sum;        // of weights, in rows that are no triggers
    double anchor_mass;    // weight of the first token in such rows …
    double trigger_anchor; // … and in triggers
    double anchor_value;   // size of what the first token's value puts out, relative to the others'
} toy_result;

toy_result toy_run(const toy_options *options);

#endif
