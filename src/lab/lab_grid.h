// A grid: models × recipes × texts, from the command line or from a JSON file like
//
//   {"models": ["smollm2.gguf", {"name": "Gemma", "file": "gemma.gguf", "also": ["gemma-q2_k.gguf"]}],
//    "texts": [{"name": "wiki", "file": "wiki.test.raw"}, {"name": "held-out"}],
//    "recipes": ["gptq:3", {"method": "bpdq", "bits": 2, "group": 192}],
//    "max-tokens": 20480}
//
// Every key may be missing. Names of files are relative to the folder of the JSON file. A text without a file is the
// held-out text that comes with twobit.
#ifndef TB_LAB_GRID_H
#define TB_LAB_GRID_H

#include "lab/lab_recipe.h"

enum { TB_MOST_GRID_MODELS = 64, TB_MOST_GRID_TEXTS = 16, TB_MOST_GRID_RECIPES = 256, TB_MOST_GRID_ALSO = 64 };

typedef struct tb_lab_grid_model {
    const char *name, *path;
    const char *also[TB_MOST_GRID_ALSO]; // other files of the same model, to be measured as they are
    size_t also_count;
} tb_lab_grid_model;

typedef struct tb_lab_grid_text {
    const char *name;
    const char *path; // "-": standard input; NULL: the held-out text
} tb_lab_grid_text;

typedef struct tb_lab_grid {
    tb_lab_grid_model *models; // [model_count], names differ
    tb_lab_grid_text *texts;   // [text_count], names differ
    tb_lab_recipe *recipes;
    size_t model_count, text_count, recipe_count;
    const char *calibration;                            // NULL: not said
    uint64_t ctx, skip, max_tokens, calibration_tokens; // 0: not said
    tb_arena arena;                                     // of everything
} tb_lab_grid;

// An empty grid. Clear with tb_lab_grid_clear, also after failure.
tb_code tb_lab_grid_init(tb_lab_grid *grid, tb_error *err);
void tb_lab_grid_clear(tb_lab_grid *grid);

// Adds what a JSON text says, or a file of it. TB_EINVAL says what is not understood.
tb_code tb_lab_grid_parse(tb_lab_grid *grid, const char *json, size_t size, const char *folder, tb_error *err);
tb_code tb_lab_grid_read(tb_lab_grid *grid, const char *path, tb_error *err);

// Adds one: a model by its path, a text by "NAME=FILE", "FILE" or "held-out", recipes separated by commas (those that
// the grid has already are left out).
tb_code tb_lab_grid_add_model(tb_lab_grid *grid, const char *path, tb_error *err);
tb_code tb_lab_grid_add_also(tb_lab_grid *grid, size_t model, const char *path, tb_error *err);
tb_code tb_lab_grid_add_text(tb_lab_grid *grid, const char *text, tb_error *err);
tb_code tb_lab_grid_add_recipes(tb_lab_grid *grid, const char *list, tb_error *err);

// What a file is called when nobody says otherwise: "smollm2" for "models/smollm2.gguf". NULL: no memory.
const char *tb_lab_grid_name_of_file(tb_arena *arena, const char *path);

#endif
