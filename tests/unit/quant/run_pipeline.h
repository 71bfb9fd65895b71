// A pipeline made, asked one thing, and freed.
#ifndef TB_TEST_RUN_PIPELINE_H
#define TB_TEST_RUN_PIPELINE_H

#include "quant/quant.h"

// With the widths bits[blocks]; NULL: all the same.
static inline tb_code make_pipeline(tb_pipeline **out, const tb_model *model, const tb_pipeline_options *options,
                                    const uint8_t *bits, tb_error *err)
{
    tb_code rc = tb_pipeline_new(out, model, options, err);
    return rc || !bits ? rc : tb_pipeline_set_widths(*out, bits, err);
}

static inline tb_code run_pipeline(tb_pipeline_result *result, const char *path, const tb_model *model,
                                   const tb_pipeline_options *options, const uint8_t *bits, tb_error *err)
{
    tb_pipeline *pipeline;
    tb_code rc = make_pipeline(&pipeline, model, options, bits, err);
    if (!rc)
        rc = tb_pipeline_run(result, pipeline, path, err);
    tb_pipeline_free(pipeline);
    return rc;
}

// The size of the file that would be written.
static inline tb_code plan_bytes(uint64_t *bytes, const tb_model *model, const tb_pipeline_options *options,
                                 const uint8_t *bits, tb_error *err)
{
    tb_pipeline *pipeline;
    const tb_quant_identity *identity;
    tb_code rc = make_pipeline(&pipeline, model, options, bits, err);
    if (!rc)
        rc = tb_pipeline_identify(&identity, pipeline, err);
    if (!rc)
        *bytes = identity->file_bytes;
    tb_pipeline_free(pipeline);
    return rc;
}

// bits[blocks] by a rule.
static inline tb_code choose_widths(uint8_t *bits, const tb_model *model, const tb_pipeline_options *options,
                                    const tb_widths_options *widths, tb_error *err)
{
    tb_pipeline *pipeline;
    tb_code rc = tb_pipeline_new(&pipeline, model, options, err);
    if (!rc)
        rc = tb_pipeline_choose_widths(pipeline, widths, err);
    for (size_t b = 0; b < tb_model_config(model)->blocks && !rc; b++)
        bits[b] = tb_pipeline_get_widths(pipeline)[b];
    tb_pipeline_free(pipeline);
    return rc;
}

static inline tb_code score_blocks(double *scores, const tb_model *model, const tb_pipeline_options *options,
                                   tb_score score, uint64_t seed, tb_error *err)
{
    tb_pipeline *pipeline;
    tb_code rc = tb_pipeline_new(&pipeline, model, options, err);
    if (!rc)
        rc = tb_pipeline_score_blocks(scores, pipeline, score, seed, err);
    tb_pipeline_free(pipeline);
    return rc;
}

#endif
