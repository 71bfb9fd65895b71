// What a recipe can say: options of `twobit quantize`, apart from files and texts. The command and the recipes of
// `twobit compare` read the same table, so that whatever one learns, the other knows.
#ifndef TB_LAB_RECIPE_ARGS_H
#define TB_LAB_RECIPE_ARGS_H

#include "base/base.h"
#include "quant/quant.h"

typedef struct tb_recipe_args {
    const char *method, *allocate, *block_bits, *widths;
    uint64_t bits, group, calibration_tokens, iterations, size, head_bits, embedding_bits;
    double damping, average_bits;
    bool no_shrinkage, published, keep_head;
} tb_recipe_args;

// What counts where nothing is said.
#define TB_RECIPE_DEFAULTS                                                                                             \
    {                                                                                                                  \
        .method = "bpdq", .widths = "2,4"                                                                              \
    }

// Describes a tb_recipe_args.
extern const tb_option tb_recipe_option_table[];

// Blocks get widths by a rule: there is one, or a budget for the default one.
bool tb_recipe_allocates(const tb_recipe_args *args);

// Blocks may differ in width: by a rule, or as the list says.
bool tb_recipe_mixes_widths(const tb_recipe_args *args);

// Turns the arguments into options of the pipeline, and into those of its widths, which count only where
// tb_recipe_allocates. Threads, texts and reports are left at 0. `seed` is that of the widths. TB_EINVAL: what does not
// fit the method, or not together.
tb_code tb_recipe_resolve(tb_pipeline_options *pipeline, tb_widths_options *widths, const tb_recipe_args *args,
                          uint64_t seed, tb_error *err);

// Gives the blocks of a pipeline the widths that the arguments want, by a list or by the rule in `widths`; nothing
// where all are alike.
tb_code tb_recipe_set_widths(tb_pipeline *pipeline, const tb_recipe_args *args, size_t blocks,
                             const tb_widths_options *widths, tb_error *err);

#endif
