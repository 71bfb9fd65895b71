// A text as one vector. It is an ordinary pass, watched behind the last block.
#include <math.h>

#include "model/pass.h"
#include "model/weights.h"

enum { BATCH = 256 }; // tokens computed at once

typedef struct embedding {
    const tb_model *model;
    size_t first;  // position of the first row that counts
    float *normed; // [width]
    double *sum;   // [width]
} embedding;

static void see_residual(void *user, const tb_probe_place *at, const tb_probe_rows *rows)
{
    const embedding *e = user;
    const tb_model *model = e->model;
    size_t width = model->settings.config.width;
    if (at->block + 1 != model->settings.config.blocks)
        return;
    for (size_t t = 0; t < rows->rows; t++) {
        if ((size_t)rows->positions[t] < e->first)
            continue;
        tb_norm_row(e->normed, model, rows->x + t * rows->stride, model->output_norm, &model->output_tanh, width);
        for (size_t i = 0; i < width; i++)
            e->sum[i] += (double)e->normed[i];
    }
}

static tb_code check(const tb_model *model, size_t count, bool mask_first, tb_error *err)
{
    size_t context = model->settings.config.context;
    if (count == 0)
        return tb_fail(err, TB_EINVAL, "the text is empty");
    if (mask_first && count == 1)
        return tb_fail(err, TB_EINVAL, "the text has one token, and with the first one masked none is left");
    if (count > context)
        return tb_fail(err, TB_ELIMIT, "the text has %zu tokens, and the model's context %zu", count, context);
    return TB_OK;
}

static tb_code push(const embedding *e, const int32_t *ids, size_t count, size_t hidden, tb_error *err)
{
    const tb_seq_options exact = {.context = count, .batch = BATCH, .kv_cache = TB_KV_CACHE_F32};
    const tb_probe probe = {.residual = see_residual, .hidden = hidden, .user = (void *)(uintptr_t)e};
    tb_seq *seq;
    tb_code rc = tb_seq_new(&seq, e->model, &exact, err);
    if (rc)
        return rc;
    tb_seq_set_probe(seq, &probe);
    rc = tb_seq_push(seq, ids, count, err);
    tb_seq_free(seq);
    return rc;
}

size_t tb_model_embedding_size(const tb_model *model)
{
    return model->settings.config.width;
}

tb_code tb_model_embed(float *out, const tb_model *model, const int32_t *ids, size_t count, bool mask_first,
                       tb_error *err)
{
    size_t width = model->settings.config.width, registers = model->settings.config.registers;
    embedding e = {.model = model, .first = registers + mask_first};
    tb_code rc = check(model, count, mask_first, err);
    if (rc)
        return rc;
    e.normed = tb_alloc_array(tb_padded(width), sizeof *e.normed);
    e.sum = tb_alloc_array(width, sizeof *e.sum);
    rc = e.normed && e.sum ? push(&e, ids, count, mask_first ? registers + 1 : 0, err)
                           : tb_fail(err, TB_ENOMEM, "no memory for an embedding of %zu numbers", width);
    for (size_t i = 0; i < width && !rc; i++) {
        out[i] = (float)(e.sum[i] / (double)(count - mask_first));
        if (!isfinite(out[i]))
            rc = tb_fail(err, TB_EINVAL, "the model is broken: its numbers are not finite");
    }
    tb_free(e.sum);
    tb_free(e.normed);
    return rc;
}
