// Grid files of compare, and the recipes in them.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab_grid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The name of a recipe that was written as a text means the very same recipe.
static void parse_again(const char *text)
{
    tb_arena arena = {0};
    tb_lab_recipe first, second;
    if (!tb_lab_recipe_parse(&first, &arena, text, NULL) &&
        (tb_lab_recipe_parse(&second, &arena, first.name, NULL) || strcmp(first.name, second.name) != 0))
        abort();
    tb_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_lab_grid grid;
    tb_error err;
    if (!tb_lab_grid_init(&grid, &err)) {
        if (tb_lab_grid_parse(&grid, (const char *)data, size, "folder", &err) && !err.message[0])
            abort();
        for (size_t i = 0; i < grid.recipe_count; i++)
            parse_again(grid.recipes[i].name);
    }
    tb_lab_grid_clear(&grid);
    return 0;
}
