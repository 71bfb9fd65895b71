// One timeline on a model: its tokens, the caches of all blocks, the logits after the last
// token. Nothing is allocated after tb_seq_new.
#include "model/forward.h"

#include <inttypes.h>
#include <string.h>

enum { DEFAULT_CONTEXT = 4096, DEFAULT_BATCH = 256 };

struct tb_seq {
    const tb_model *model;
    size_t context, length;
    bool has_logits;
    int32_t *tokens;    // [context]
    float *logits;      // [vocab]
    float *x;           // [batch][width_stride]: the residual stream
    int32_t *positions; // [batch]
    tb_memory memory;
    tb_workspace work;
};

static tb_code allocate(tb_seq *seq, size_t batch, tb_kv_cache_type type, tb_error *err)
{
    const tb_config *config = &seq->model->settings.config;
    tb_code rc = tb_workspace_init(&seq->work, seq->model, batch, seq->context, err);
    if (!rc)
        rc = tb_memory_init(&seq->memory, &seq->model->settings, 0, config->blocks, type, seq->context, err);
    if (rc)
        return rc;
    seq->tokens = tb_alloc_array(seq->context, sizeof *seq->tokens);
    seq->logits = tb_alloc_array(config->vocab, sizeof *seq->logits);
    seq->x = tb_alloc_array(batch, seq->work.width_stride * sizeof *seq->x);
    seq->positions = tb_alloc_array(batch, sizeof *seq->positions);
    if (!seq->tokens || !seq->logits || !seq->x || !seq->positions)
        return tb_fail(err, TB_ENOMEM, "no memory for a sequence of %zu tokens", seq->context);
    return TB_OK;
}

tb_code tb_seq_new(tb_seq **out, const tb_model *model, const tb_seq_options *options, tb_error *err)
{
    static const tb_seq_options defaults = {0};
    size_t trained = model->settings.config.context;
    *out = NULL;
    if (!options)
        options = &defaults;
    if (options->kv_cache != TB_KV_CACHE_F16 && options->kv_cache != TB_KV_CACHE_F32)
        return tb_fail(err, TB_EINVAL, "KV cache type %d is neither f16 nor f32", (int)options->kv_cache);
    tb_seq *seq = tb_new(tb_seq);
    if (!seq)
        return tb_fail(err, TB_ENOMEM, "no memory for a sequence");
    seq->model = model;
    seq->context = options->context ? options->context : trained < DEFAULT_CONTEXT ? trained : DEFAULT_CONTEXT;
    size_t batch = options->batch ? options->batch : DEFAULT_BATCH;
    tb_code rc = allocate(seq, batch < seq->context ? batch : seq->context, options->kv_cache, err);
    if (rc) {
        tb_seq_free(seq);
        return rc;
    }
    *out = seq;
    return TB_OK;
}

void tb_seq_free(tb_seq *seq)
{
    if (!seq)
        return;
    tb_workspace_clear(&seq->work);
    tb_memory_clear(&seq->memory);
    tb_free(seq->positions);
    tb_free(seq->tokens);
    tb_free(seq->logits);
    tb_free(seq->x);
    tb_free(seq);
}

const tb_model *tb_seq_model(const tb_seq *seq)
{
    return seq->model;
}

void tb_seq_set_probe(tb_seq *seq, const tb_probe *probe)
{
    seq->work.probe = probe;
}

static tb_code check_push(const tb_seq *seq, const int32_t *tokens, size_t n, tb_error *err)
{
    size_t vocab = seq->model->settings.config.vocab;
    if (n > seq->context - seq->length)
        return tb_fail(err, TB_ELIMIT, "%zu tokens do not fit behind %zu in a context of %zu", n, seq->length,
                       seq->context);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= vocab)
            return tb_fail(err, TB_EINVAL, "token %" PRId32 " is outside the vocabulary of %zu", tokens[i], vocab);
    return TB_OK;
}

// Runs one batch through all blocks; the residual stream is then in seq->x.
static void push_batch(tb_seq *seq, const int32_t *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++)
        seq->positions[i] = (int32_t)(seq->length + i);
    tb_forward_embed(seq->x, &seq->work, tokens, n);
    for (size_t block = 0; block < seq->model->settings.config.blocks; block++)
        tb_forward_block(seq->x, &seq->work, block, NULL, tb_memory_get_kv(&seq->memory, block), n, seq->positions);
    memmove(seq->tokens + seq->length, tokens, n * sizeof *tokens);
    seq->length += n;
}

// Makes the sequence one that is going to have `length` tokens: where RoPE turns such a one otherwise than the keys
// that are there, they are computed again. (longrope, once when the original context is left behind, and on the way
// back.)
static void prepare_length(tb_seq *seq, size_t length)
{
    size_t done = seq->length, turned = seq->work.length;
    seq->work.length = length;
    if (done == 0 || !tb_rope_turns_again(&seq->model->settings.rope, turned, length))
        return;
    tb_memory_truncate(&seq->memory, 0);
    seq->length = 0;
    while (seq->length < done) {
        size_t left = done - seq->length;
        push_batch(seq, seq->tokens + seq->length, left < seq->work.batch ? left : seq->work.batch);
    }
}

// `all` [n][vocab] or NULL.
static tb_code push(tb_seq *seq, const int32_t *tokens, size_t n, float *all, tb_error *err)
{
    size_t vocab = seq->model->settings.config.vocab, stride = seq->work.width_stride;
    tb_code rc = check_push(seq, tokens, n, err);
    if (rc || n == 0)
        return rc;
    prepare_length(seq, seq->length + n);
    size_t count = 0;
    for (size_t done = 0; done < n; done += count) {
        count = n - done < seq->work.batch ? n - done : seq->work.batch;
        push_batch(seq, tokens + done, count);
        if (all)
            tb_forward_head(all + done * vocab, &seq->work, seq->x, stride, count);
    }
    if (all)
        memcpy(seq->logits, all + (n - 1) * vocab, vocab * sizeof *all);
    else
        tb_forward_head(seq->logits, &seq->work, seq->x + (count - 1) * stride, stride, 1);
    seq->has_logits = true;
    return TB_OK;
}

tb_code tb_seq_push(tb_seq *seq, const int32_t *tokens, size_t n, tb_error *err)
{
    return push(seq, tokens, n, NULL, err);
}

tb_code tb_seq_push_all(tb_seq *seq, const int32_t *tokens, size_t n, float *out, tb_error *err)
{
    return push(seq, tokens, n, out, err);
}

const float *tb_seq_logits(const tb_seq *seq)
{
    return seq->has_logits ? seq->logits : NULL;
}

size_t tb_seq_length(const tb_seq *seq)
{
    return seq->length;
}

size_t tb_seq_context(const tb_seq *seq)
{
    return seq->context;
}

const int32_t *tb_seq_tokens(const tb_seq *seq)
{
    return seq->tokens;
}

void tb_seq_truncate(tb_seq *seq, size_t length)
{
    if (length >= seq->length)
        return;
    tb_memory_truncate(&seq->memory, length);
    seq->length = length;
    seq->has_logits = false;
}
