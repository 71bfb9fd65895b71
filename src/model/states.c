// Hidden states of many windows, taken through the model block by block: what layer-wise
// quantization and diagnostics need. Keys and values are floats and live for one window.
#include "model/forward.h"

#include <inttypes.h>

enum { BATCH = 512 }; // tokens computed at once

tb_code tb_states_init(tb_states *states, const tb_model *model, const int32_t *tokens, size_t windows, size_t length,
                       tb_error *err)
{
    const tb_config *config = &model->settings.config;
    size_t stride = tb_padded(config->width), count, n;
    *states = (tb_states){0};
    if (windows == 0 || length == 0)
        return tb_fail(err, TB_EINVAL, "there are no windows to compute");
    if (!tb_mul_size(&count, windows, length) || !tb_mul_size(&n, count, stride))
        return tb_fail(err, TB_ENOMEM, "no memory for %zu windows of %zu tokens", windows, length);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= config->vocab)
            return tb_fail(err, TB_EINVAL, "token %" PRId32 " is outside the vocabulary of %zu", tokens[i],
                           config->vocab);
    float *x = tb_alloc_array(n, sizeof *x);
    if (!x)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu windows of %zu tokens", windows, length);
    *states = (tb_states){.x = x, .windows = windows, .length = length, .stride = stride};
    tb_forward_embed(x, &(tb_workspace){.model = model, .width_stride = stride}, tokens, count);
    return TB_OK;
}

void tb_states_clear(tb_states *states)
{
    tb_free(states->x);
    *states = (tb_states){0};
}

const char *tb_states_level(const tb_model *model, size_t length)
{
    size_t last = length % BATCH; // tokens of a window's last piece, the smallest
    return tb_compute_level(&model->compute, last ? last : BATCH);
}

static void run_window(float *x, const tb_workspace *w, size_t block, const tb_block_override *override,
                       tb_memory *memory, const int32_t *positions)
{
    size_t length = memory->capacity;
    tb_memory_truncate(memory, 0);
    for (size_t done = 0; done < length; done += w->batch) {
        size_t tokens = length - done < w->batch ? length - done : w->batch;
        tb_forward_block(x + done * w->width_stride, w, block, override, tb_memory_get_kv(memory, block), tokens,
                         positions + done);
    }
}

tb_code tb_states_run_block(tb_states *states, const tb_model *model, size_t block, const tb_block_override *override,
                            const tb_probe *probe, tb_error *err)
{
    size_t length = states->length;
    tb_workspace w;
    tb_memory memory = {0};
    tb_code rc = tb_workspace_init(&w, model, length < BATCH ? length : BATCH, length, err);
    if (!rc)
        rc = tb_memory_init(&memory, &model->settings, block, 1, TB_KV_CACHE_F32, length, err);
    int32_t *positions = rc ? NULL : tb_alloc_array(length, sizeof *positions);
    if (!rc && !positions)
        rc = tb_fail(err, TB_ENOMEM, "no memory for windows of %zu tokens", length);
    for (size_t i = 0; i < length && !rc; i++)
        positions[i] = (int32_t)i;
    w.probe = probe;
    w.length = length;
    for (size_t i = 0; i < states->windows && !rc; i++)
        run_window(states->x + i * length * states->stride, &w, block, override, &memory, positions);
    tb_free(positions);
    tb_memory_clear(&memory);
    tb_workspace_clear(&w);
    return rc;
}

tb_code tb_states_logits(float *logits, const tb_model *model, const float *x, size_t stride, size_t n, tb_error *err)
{
    size_t vocab = model->settings.config.vocab;
    tb_workspace w;
    tb_code rc = tb_workspace_init(&w, model, n < BATCH ? n : BATCH, 1, err);
    for (size_t done = 0; done < n && !rc; done += w.batch) {
        size_t tokens = n - done < w.batch ? n - done : w.batch;
        tb_forward_head(logits + done * vocab, &w, x + done * stride, stride, tokens);
    }
    tb_workspace_clear(&w);
    return rc;
}
