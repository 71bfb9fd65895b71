// What `twobit quantize` is told, apart from the model: also the recipes of `twobit compare`, which are its options.
#ifndef TB_CLI_QUANTIZE_ARGS_H
#define TB_CLI_QUANTIZE_ARGS_H

#include "cli/cli.h"
#include "quant/quant.h"

typedef struct tb_quantize_args {
    const char *output, *method, *calibration, *allocate, *block_bits, *widths;
    uint64_t bits, group, calibration_tokens, iterations, size, head_bits, embedding_bits;
    double damping, average_bits;
    bool no_shrinkage, keep_head, no_measure, json;
} tb_quantize_args;

extern const tb_quantize_args tb_quantize_defaults;
extern const tb_option tb_quantize_options[];

// Blocks get widths by a rule: there is one, or a budget for the default one.
bool tb_quantize_allocates(const tb_quantize_args *args);

// Blocks may differ in width: by a rule, or as the list says.
bool tb_quantize_mixes_widths(const tb_quantize_args *args);

// Turns the arguments into options of the pipeline, and into those of its widths, which count only where
// tb_quantize_allocates. What does not fit the method, or not together, is a mistake of usage.
tb_code tb_quantize_resolve(tb_pipeline_options *pipeline, tb_widths_options *widths, tb_cli *cli,
                            const tb_quantize_args *args, tb_error *err);

// bits[blocks] of "4,2,2,2".
tb_code tb_parse_block_bits(uint8_t *bits, const char *list, size_t blocks, tb_error *err);

#endif
