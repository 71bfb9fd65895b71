// tb_quantize of twobit.h: a recipe and a model to a file.
#include "lab/lab_recipe.h"

// bits[blocks], in new memory (tb_free), or NULL where all blocks are alike; the pipeline borrows them.
static tb_code choose_widths(uint8_t **bits, tb_pipeline_options *pipeline, const tb_model *model,
                             const tb_recipe_args *args, const tb_widths_options *widths, tb_error *err)
{
    size_t blocks = tb_model_config(model)->blocks;
    *bits = NULL;
    if (!tb_recipe_mixes_widths(args))
        return TB_OK;
    *bits = tb_alloc_array(blocks, sizeof **bits);
    if (!*bits)
        return tb_fail(err, TB_ENOMEM, "no memory for the widths of %zu blocks", blocks);
    pipeline->block_bits = *bits;
    if (args->block_bits)
        return tb_parse_block_bits(*bits, args->block_bits, blocks, err);
    return tb_choose_widths(*bits, model, pipeline, widths, err);
}

static tb_code quantize(const char *input, const char *output, const tb_lab_recipe *recipe,
                        const tb_quantize_options *o, tb_error *err)
{
    tb_pipeline_options pipeline;
    tb_widths_options widths;
    tb_model *model;
    uint8_t *bits = NULL;
    tb_code rc = tb_lab_recipe_resolve(&pipeline, &widths, recipe, o->seed, err);
    if (rc)
        return rc;
    pipeline.quant.threads = o->threads ? o->threads : tb_cpu_count();
    pipeline.calibration_path = o->calibration;
    pipeline.unmeasured = true;
    pipeline.report = o->report;
    rc = tb_model_open(&model, input, &(tb_model_options){.threads = o->threads, .cpu = o->cpu}, err);
    if (rc)
        return rc;
    tb_pipeline_result result;
    rc = choose_widths(&bits, &pipeline, model, &recipe->args, &widths, err);
    if (!rc)
        rc = tb_pipeline_run(&result, output, model, &pipeline, err);
    tb_free(bits);
    tb_model_close(model);
    return rc;
}

tb_code tb_quantize(const char *input, const char *output, const char *recipe, const tb_quantize_options *options,
                    tb_error *err)
{
    static const tb_quantize_options defaults = {0};
    tb_arena arena = {0};
    tb_lab_recipe parsed;
    tb_code rc = tb_lab_recipe_parse(&parsed, &arena, recipe, err);
    if (!rc)
        rc = quantize(input, output, &parsed, options ? options : &defaults, err);
    tb_arena_clear(&arena);
    return rc;
}
