// The options by which tokens are chosen: one table for every command that does.
#ifndef TB_GENERATE_SAMPLING_H
#define TB_GENERATE_SAMPLING_H

#include "base/base.h"
#include "twobit/twobit.h"

// What was given on the command line.
typedef struct tb_sampling_args {
    double temperature;
    uint64_t top_k;
    double top_p, min_p, typical_p;
    double repeat_penalty, presence_penalty, frequency_penalty;
    tb_option_texts logit_biases, stops;
} tb_sampling_args;

// What is used where nothing was given: lively, without the unlikely.
#define TB_SAMPLING_DEFAULTS                                                                                           \
    {                                                                                                                  \
        .temperature = 0.8, .top_k = 40, .top_p = 0.95, .min_p = 0.05                                                  \
    }

// Describes a tb_sampling_args: the shared table of commands that sample.
extern const tb_option tb_sampling_option_table[];

// The same in the sampler's terms. `options` points into it: do not move it.
typedef struct tb_sampling {
    tb_sampler_options options;
    int32_t bias_ids[TB_MOST_OPTION_TEXTS];
    float bias_values[TB_MOST_OPTION_TEXTS];
} tb_sampling;

// TB_EINVAL for a bias that cannot be read or an empty stop string.
tb_code tb_sampling_init(tb_sampling *out, const tb_sampling_args *args, uint64_t seed, tb_error *err);

#endif
