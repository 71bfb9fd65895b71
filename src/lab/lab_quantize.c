// tb_quantize of twobit.h: a recipe and a model to a file.
#include "lab/lab_recipe.h"

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
    rc = tb_recipe_choose_widths(&bits, &pipeline, model, &recipe->args, &widths, err);
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
