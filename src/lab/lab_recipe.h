// A recipe: one way to quantize a model, written as a short text or as a JSON object. Its keys are the options of
// `twobit quantize`, so that whatever that command learns, recipes know.
//
//   bpdq                                 a method with its defaults
//   bpdq:3:192                           method:bits:group
//   gptq:3+head=6+embedding=3            more options behind +; both are short for their names with -bits
//   bpdq+lieq=2.25                       blocks of 2 and 4 bits, on average 2.25, by LieQ's rule
//   bpdq+random=2.25+seed=3              any rule of --allocate
//   bpdq+lieq+size=80000000+widths=2/3/4 under a size of the file
//
//   {"method": "bpdq", "allocate": "lieq", "size": 80000000, "widths": [2, 3, 4]}
#ifndef TB_LAB_RECIPE_H
#define TB_LAB_RECIPE_H

#include "lab/recipe_args.h"

enum { TB_MOST_RECIPE_OPTIONS = 24 };

typedef struct tb_lab_recipe {
    const char *name;                            // the short text, without what is the default; or what the grid says
    const char *options[TB_MOST_RECIPE_OPTIONS]; // of quantize: "--method=bpdq" …
    size_t option_count;
    tb_recipe_args args; // the same, parsed
    bool seeded;         // the recipe has a seed of its own
    uint64_t seed;
} tb_lab_recipe;

struct json_t;

// Everything that the recipe points to lies in the arena. TB_EINVAL says what is wrong with the recipe; what depends
// on the model (whether groups divide its rows) is not known here.
tb_code tb_lab_recipe_parse(tb_lab_recipe *out, tb_arena *arena, const char *text, tb_error *err);

// The same from JSON: such a text, or an object, which may also have a "name".
tb_code tb_lab_recipe_read(tb_lab_recipe *out, tb_arena *arena, const struct json_t *json, tb_error *err);

// What the pipeline and the choice of widths are told for a recipe that was parsed; see tb_recipe_resolve. `seed`
// counts where the recipe has none.
tb_code tb_lab_recipe_resolve(tb_pipeline_options *pipeline, tb_widths_options *widths, const tb_lab_recipe *recipe,
                              uint64_t seed, tb_error *err);

#endif
