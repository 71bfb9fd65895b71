// tb_quantize of twobit.h: a recipe and a model to a file.
#include "lab/lab_recipe.h"

static tb_code quantize_model(const tb_model *model, const char *output, const tb_recipe_args *recipe,
                              const tb_pipeline_options *options, const tb_widths_options *widths, tb_error *err)
{
    tb_pipeline *pipeline;
    tb_pipeline_result result;
    tb_code rc = tb_pipeline_new(&pipeline, model, options, err);
    if (!rc)
        rc = tb_recipe_set_widths(pipeline, recipe, tb_model_config(model)->blocks, widths, err);
    if (!rc)
        rc = tb_pipeline_run(&result, pipeline, output, err);
    tb_pipeline_free(pipeline);
    return rc;
}

static tb_code quantize(const char *input, const char *output, const tb_lab_recipe *recipe,
                        const tb_quantize_options *o, tb_error *err)
{
    tb_pipeline_options pipeline;
    tb_widths_options widths;
    tb_model *model;
    tb_code rc = tb_lab_recipe_resolve(&pipeline, &widths, recipe, o->seed, err);
    if (rc)
        return rc;
    pipeline.quant.threads = o->threads ? o->threads : tb_cpu_count();
    pipeline.calibration_path = o->calibration;
    pipeline.report = o->report;
    rc = tb_model_open(&model, input, &(tb_model_options){.threads = o->threads, .cpu = o->cpu}, err);
    if (rc)
        return rc;
    rc = quantize_model(model, output, &recipe->args, &pipeline, &widths, err);
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
