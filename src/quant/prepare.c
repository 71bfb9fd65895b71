// A pipeline made ready: whatever the widths of the blocks, the text is read here and nowhere else.
#include "quant/pipeline_state.h"

#include <string.h>

#include "quant/recipe.h"

enum { CALIBRATION_TOKENS = 16384 };

static size_t block_count(const tb_pipeline *p)
{
    return tb_model_config(p->model)->blocks;
}

static tb_end_bits end_bits(const tb_pipeline *p)
{
    const tb_pipeline_options *o = &p->options;
    unsigned head = o->head_bits ? o->head_bits : TB_MOST_END_BITS;
    if (o->keep_head)
        return (tb_end_bits){0};
    return (tb_end_bits){.embedding = o->embedding_bits ? o->embedding_bits : head, .head = head};
}

static tb_code check_end_bits(const tb_pipeline *p, tb_error *err)
{
    unsigned head = p->options.head_bits, embedding = p->options.embedding_bits;
    if (head && (head < TB_LEAST_HEAD_BITS || head > TB_MOST_END_BITS))
        return tb_fail(err, TB_EINVAL, "the head takes %d to %d bits, not %u", TB_LEAST_HEAD_BITS, TB_MOST_END_BITS,
                       head);
    if (embedding && (embedding < TB_LEAST_EMBEDDING_BITS || embedding > TB_MOST_END_BITS))
        return tb_fail(err, TB_EINVAL, "the embedding takes %d to %d bits, not %u", TB_LEAST_EMBEDDING_BITS,
                       TB_MOST_END_BITS, embedding);
    if (embedding && tb_model_head_is_tied(p->model))
        return tb_fail(err, TB_EINVAL, "the embedding of this model is its head as well and takes the head's bits");
    return TB_OK;
}

// Quantizing planes again would lose twice without a word.
static tb_code check_source(const tb_pipeline *p, tb_error *err)
{
    for (size_t b = 0; b < block_count(p); b++) {
        tb_linears linears = tb_model_linears(p->model, b);
        for (size_t i = 0; i < linears.count; i++)
            if (tb_type_is_plane(linears.at[i].matrix.type))
                return tb_fail(err, TB_EUNSUPPORTED, "'%s' has been quantized by twobit already; quantize the original",
                               tb_checkpoint_path(tb_model_checkpoint(p->model)));
    }
    return TB_OK;
}

// Scales of a mixture's input would have to be divided out of its router as well, and some norms have no weight per
// channel.
static tb_code check_method(const tb_pipeline *p, tb_error *err)
{
    const tb_method_traits *traits = tb_method_get(p->options.method);
    if (traits->scales_inputs && !tb_model_can_fold(p->model))
        return tb_fail(err, TB_EUNSUPPORTED, "%s scales inputs, which it lacks for %s like '%s'", traits->name,
                       tb_model_config(p->model)->experts ? "a mixture of experts" : "variants of attention",
                       tb_checkpoint_path(tb_model_checkpoint(p->model)));
    return TB_OK;
}

static tb_code hash_tokens(tb_pipeline *p, tb_error *err)
{
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_fail(err, TB_ENOMEM, "no memory for a fingerprint");
    tb_hash_update(hash, p->windows.ids.data, p->windows.count * p->windows.length * sizeof *p->windows.ids.data);
    tb_hash_hex(hash, p->identity.tokens);
    tb_hash_free(hash);
    return TB_OK;
}

static tb_code prepare(tb_pipeline *p, tb_error *err)
{
    const tb_pipeline_options *o = &p->options;
    p->calibrated = tb_method_is_calibrated(o->method);
    tb_code rc = check_end_bits(p, err);
    if (!rc)
        rc = tb_quant_options_resolve(&p->quant, o->method, &o->quant, err);
    if (!rc)
        rc = check_source(p, err);
    if (!rc)
        rc = check_method(p, err);
    if (!rc && p->calibrated)
        rc = tb_windows_read(&p->windows, p->model, o->calibration_path,
                             o->calibration_tokens ? o->calibration_tokens : CALIBRATION_TOKENS, o->window, o->report,
                             err);
    return rc || !p->calibrated ? rc : hash_tokens(p, err);
}

tb_code tb_pipeline_new(tb_pipeline **out, const tb_model *model, const tb_pipeline_options *options, tb_error *err)
{
    *out = NULL;
    tb_pipeline *p = tb_new(tb_pipeline);
    if (!p)
        return tb_fail(err, TB_ENOMEM, "no memory to quantize a model");
    p->model = model;
    p->options = *options;
    tb_code rc = prepare(p, err);
    if (rc) {
        tb_pipeline_free(p);
        return rc;
    }
    *out = p;
    return TB_OK;
}

void tb_pipeline_free(tb_pipeline *p)
{
    if (!p)
        return;
    tb_windows_clear(&p->windows);
    tb_str_clear(&p->identity.recipe);
    tb_free(p->block_bits);
    tb_free(p);
}

// ---- widths ----

tb_code tb_pipeline_set_widths(tb_pipeline *p, const uint8_t *bits, tb_error *err)
{
    size_t blocks = block_count(p);
    tb_quant_options resolved;
    tb_code rc = TB_OK;
    for (size_t b = 0; b < blocks && !rc; b++) {
        tb_quant_options options = p->options.quant;
        options.bits = bits[b];
        rc = bits[b] ? tb_quant_options_resolve(&resolved, p->options.method, &options, err)
                     : tb_fail(err, TB_EINVAL, "block %zu has no width", b);
    }
    if (!rc && !p->block_bits && !(p->block_bits = tb_alloc_array(blocks, sizeof *p->block_bits)))
        rc = tb_fail(err, TB_ENOMEM, "no memory for the widths of %zu blocks", blocks);
    if (!rc)
        memcpy(p->block_bits, bits, blocks);
    return rc;
}

const uint8_t *tb_pipeline_get_widths(const tb_pipeline *p)
{
    return p->block_bits;
}

// ---- the file ----

tb_output tb_pipeline_output(const tb_pipeline *p)
{
    return (tb_output){.model = p->model,
                       .method = p->options.method,
                       .options = &p->quant,
                       .block_bits = p->block_bits,
                       .held_out = p->options.held_out,
                       .identity = &p->identity,
                       .end_bits = end_bits(p),
                       .report = p->options.report};
}

static tb_code find_fingerprint(tb_pipeline *p, tb_error *err)
{
    if (p->identity.model[0])
        return TB_OK;
    if (!p->options.fingerprint) {
        tb_report_progress(p->options.report, "read model", 0, 1, "models");
        return tb_checkpoint_fingerprint(p->identity.model, tb_model_checkpoint(p->model), err);
    }
    memcpy(p->identity.model, p->options.fingerprint, sizeof p->identity.model);
    return TB_OK;
}

static tb_code write_recipe(tb_pipeline *p, tb_error *err)
{
    const tb_prefix *prefix = tb_model_prefix(p->model);
    char hash[65];
    tb_code rc = prefix->count ? tb_prefix_hash(hash, prefix, p->model, err) : TB_OK;
    if (rc)
        return rc;
    const tb_recipe_facts facts = {.model = p->model,
                                   .held_out = p->options.held_out,
                                   .prefix = prefix->count ? hash : NULL,
                                   .method = p->options.method,
                                   .options = &p->quant,
                                   .windows = p->calibrated ? &p->windows : NULL,
                                   .block_bits = p->block_bits,
                                   .blocks = block_count(p),
                                   .ends = end_bits(p),
                                   .cpu = p->calibrated ? tb_states_level(p->model, p->windows.length) : NULL};
    tb_str_reset(&p->identity.recipe);
    return tb_recipe_append(&p->identity.recipe, &facts, err);
}

tb_code tb_pipeline_identify(const tb_quant_identity **out, tb_pipeline *p, tb_error *err)
{
    *out = &p->identity;
    tb_code rc = find_fingerprint(p, err);
    if (!rc)
        rc = write_recipe(p, err);
    tb_output output = tb_pipeline_output(p);
    return rc ? rc : tb_output_measure(&p->identity.file_bytes, &output, err);
}
