// Hidden states of many windows, taken through the model block by block: what layer-wise
// quantization and diagnostics need. Keys and values are floats and live for one window.
#include "model/runner.h"

#include <inttypes.h>

enum { BATCH = 512 }; // tokens computed at once

static tb_code find_prefixes(tb_states *states, const tb_model *model, const int32_t *tokens, tb_error *err)
{
    states->prefixed = tb_alloc_array(states->windows, sizeof *states->prefixed);
    if (!states->prefixed) {
        tb_states_clear(states);
        return tb_fail(err, TB_ENOMEM, "no memory for %zu windows", states->windows);
    }
    for (size_t w = 0; w < states->windows; w++)
        states->prefixed[w] = tb_prefix_match(&model->prefix, tokens + w * states->length, states->length);
    return TB_OK;
}

tb_code tb_states_init(tb_states *states, const tb_model *model, const int32_t *tokens, size_t windows, size_t length,
                       tb_error *err)
{
    const tb_config *config = &model->settings.config;
    size_t stride = tb_padded(config->width), rows = config->registers + length, count, n;
    *states = (tb_states){0};
    if (windows == 0 || length == 0)
        return tb_fail(err, TB_EINVAL, "there are no windows to compute");
    if (!tb_mul_size(&count, windows, rows) || !tb_mul_size(&n, count, stride))
        return tb_fail(err, TB_ENOMEM, "no memory for %zu windows of %zu tokens", windows, length);
    for (size_t i = 0; i < windows * length; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= config->vocab)
            return tb_fail(err, TB_EINVAL, "token %" PRId32 " is outside the vocabulary of %zu", tokens[i],
                           config->vocab);
    float *x = tb_alloc_array(n, sizeof *x);
    if (!x)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu windows of %zu tokens", windows, length);
    *states = (tb_states){.x = x, .windows = windows, .length = rows, .stride = stride, .registers = config->registers};
    for (size_t w = 0; w < windows; w++, x += rows * stride) {
        for (size_t i = 0; i < config->registers; i++)
            tb_embed(x + i * stride, model, (const int32_t[]){tb_register_id(i)}, 1);
        tb_embed(x + config->registers * stride, model, tokens + w * length, length);
    }
    return model->prefix.count ? find_prefixes(states, model, tokens, err) : TB_OK;
}

void tb_states_clear(tb_states *states)
{
    tb_free(states->prefixed);
    tb_free(states->x);
    *states = (tb_states){0};
}

const char *tb_states_level(const tb_model *model, size_t length)
{
    size_t last = length % BATCH; // tokens of a window's last piece, the smallest
    return tb_compute_level(&model->compute, last ? last : BATCH);
}

// A block over the windows of one length.
typedef struct block_job {
    tb_kv_plan plan;
    tb_runner runner;
    tb_memory memory;   // of the window under way
    int32_t *positions; // 0 … length − 1
    size_t length, prompt, block;
    const tb_block_override *override;
    const tb_probe *probe;
} block_job;

static tb_code job_init(block_job *job, const tb_model *model, tb_error *err)
{
    size_t length = job->length;
    job->plan.capacity = length;
    job->plan.batch = length < BATCH ? length : BATCH;
    tb_code rc = tb_kv_plan_check(&job->plan, &model->settings, err);
    if (!rc)
        rc = tb_runner_init(&job->runner, model, job->plan.batch, &job->plan, err);
    if (!rc)
        rc = tb_memory_init(&job->memory, &model->settings, job->block, 1, &job->plan, err);
    if (rc)
        return rc;
    job->positions = tb_alloc_array(length, sizeof *job->positions);
    if (!job->positions)
        return tb_fail(err, TB_ENOMEM, "no memory for windows of %zu tokens", length);
    for (size_t i = 0; i < length; i++)
        job->positions[i] = (int32_t)i;
    return TB_OK;
}

static void job_clear(block_job *job)
{
    tb_free(job->positions);
    tb_memory_clear(&job->memory);
    tb_runner_clear(&job->runner);
}

// A window is a sequence of its own: one span, in pieces where it is long.
static void run_window(float *x, block_job *job, size_t prefixed)
{
    const tb_runner *runner = &job->runner;
    tb_memory_truncate(&job->memory, 0);
    tb_memory_set_prompt(&job->memory, job->prompt);
    for (size_t done = 0; done < job->length; done += runner->rows) {
        size_t left = job->length - done;
        tb_span span = {.memory = &job->memory,
                        .prefixed = prefixed,
                        .length = job->length,
                        .count = left < runner->rows ? left : runner->rows};
        tb_batch batch = {.positions = job->positions + done, .rows = span.count, .spans = &span, .span_count = 1};
        tb_runner_run_block(runner, x + done * runner->width_stride, &batch, job->block, job->override, job->probe);
    }
}

tb_code tb_states_run_block(tb_states *states, const tb_model *model, size_t block, const tb_block_override *override,
                            const tb_probe *probe, tb_error *err)
{
    static const tb_seq_options exact = {.kv_cache = TB_KV_CACHE_F32};
    block_job job = {.length = states->length,
                     .prompt = states->registers + states->prompt,
                     .block = block,
                     .override = override,
                     .probe = probe};
    job.plan = tb_kv_plan_of(states->memory ? states->memory : &exact, &model->settings);
    tb_code rc = job_init(&job, model, err);
    for (size_t i = 0; i < states->windows && !rc; i++)
        run_window(states->x + i * states->length * states->stride, &job, states->prefixed ? states->prefixed[i] : 0);
    job_clear(&job);
    return rc;
}

tb_code tb_states_logits(float *logits, const tb_model *model, const float *x, size_t stride, size_t n, tb_error *err)
{
    size_t vocab = model->settings.config.vocab;
    tb_runner runner;
    tb_code rc = tb_runner_init(&runner, model, n < BATCH ? n : BATCH, &(tb_kv_plan){.capacity = 1}, err);
    for (size_t done = 0; done < n && !rc; done += runner.rows) {
        size_t rows = n - done < runner.rows ? n - done : runner.rows;
        tb_runner_run_head(logits + done * vocab, &runner, x + done * stride, stride, rows);
    }
    tb_runner_clear(&runner);
    return rc;
}
