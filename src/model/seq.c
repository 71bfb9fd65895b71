// One timeline on a model: its tokens, the caches of all blocks, the logits after the last
// token. Nothing is allocated after tb_seq_new.
#include "model/runner.h"

#include <inttypes.h>
#include <string.h>

enum { DEFAULT_CONTEXT = 4096, DEFAULT_BATCH = 256 };

struct tb_seq {
    const tb_model *model;
    size_t context, length;
    size_t turned; // the length that RoPE turned the keys for
    tb_kv_cache_type kv_cache;
    bool has_logits;
    int32_t *tokens;    // [context]
    float *logits;      // [vocab]
    int32_t *positions; // [batch]
    tb_memory memory;
    const tb_probe *probe; // or NULL; borrowed
    tb_runner runner;
};

static tb_code allocate(tb_seq *seq, size_t batch, tb_error *err)
{
    const tb_config *config = &seq->model->settings.config;
    tb_code rc = tb_runner_init(&seq->runner, seq->model, batch, seq->context, err);
    if (!rc)
        rc = tb_memory_init(&seq->memory, &seq->model->settings, 0, config->blocks, seq->kv_cache, seq->context, err);
    if (rc)
        return rc;
    seq->tokens = tb_alloc_array(seq->context, sizeof *seq->tokens);
    seq->logits = tb_alloc_array(config->vocab, sizeof *seq->logits);
    seq->positions = tb_alloc_array(batch, sizeof *seq->positions);
    if (!seq->tokens || !seq->logits || !seq->positions)
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
    seq->kv_cache = options->kv_cache;
    seq->context = options->context ? options->context : trained < DEFAULT_CONTEXT ? trained : DEFAULT_CONTEXT;
    size_t batch = options->batch ? options->batch : DEFAULT_BATCH;
    tb_code rc = allocate(seq, batch < seq->context ? batch : seq->context, err);
    if (rc) {
        tb_seq_free(seq);
        return rc;
    }
    *out = seq;
    return TB_OK;
}

tb_code tb_seq_fork(tb_seq **out, const tb_seq *seq, tb_error *err)
{
    tb_seq_options options = {.context = seq->context, .batch = seq->runner.rows, .kv_cache = seq->kv_cache};
    tb_code rc = tb_seq_new(out, seq->model, &options, err);
    if (rc)
        return rc;
    tb_seq *fork = *out;
    fork->length = seq->length;
    fork->turned = seq->turned;
    fork->has_logits = seq->has_logits;
    memcpy(fork->tokens, seq->tokens, seq->length * sizeof *seq->tokens);
    memcpy(fork->logits, seq->logits, tb_model_vocab_size(seq->model) * sizeof *seq->logits);
    tb_memory_copy(&fork->memory, &seq->memory);
    return TB_OK;
}

void tb_seq_free(tb_seq *seq)
{
    if (!seq)
        return;
    tb_runner_clear(&seq->runner);
    tb_memory_clear(&seq->memory);
    tb_free(seq->positions);
    tb_free(seq->tokens);
    tb_free(seq->logits);
    tb_free(seq);
}

const tb_model *tb_seq_model(const tb_seq *seq)
{
    return seq->model;
}

void tb_seq_set_probe(tb_seq *seq, const tb_probe *probe)
{
    seq->probe = probe;
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

// Computes n tokens, at most a batch, with the logits after the last `wanted` of them.
static void push_batch(tb_seq *seq, const int32_t *tokens, size_t n, float *logits, size_t wanted)
{
    for (size_t i = 0; i < n; i++)
        seq->positions[i] = (int32_t)(seq->length + i);
    tb_span span = {&seq->memory, seq->turned, 0, n, wanted, logits};
    tb_batch batch = {tokens, seq->positions, n, &span, 1};
    tb_runner_run(&seq->runner, &batch, seq->probe);
    memmove(seq->tokens + seq->length, tokens, n * sizeof *tokens);
    seq->length += n;
}

// Makes the sequence one that is going to have `length` tokens: where RoPE turns such a one otherwise than the keys
// that are there, they are computed again. (longrope, once when the original context is left behind, and on the way
// back.)
static void prepare_length(tb_seq *seq, size_t length)
{
    size_t done = seq->length, turned = seq->turned;
    seq->turned = length;
    if (done == 0 || !tb_rope_turns_again(&seq->model->settings.rope, turned, length))
        return;
    tb_memory_truncate(&seq->memory, 0);
    seq->length = 0;
    while (seq->length < done) {
        size_t left = done - seq->length, most = seq->runner.rows;
        push_batch(seq, seq->tokens + seq->length, left < most ? left : most, NULL, 0);
    }
}

// `all` [n][vocab] or NULL.
static tb_code push(tb_seq *seq, const int32_t *tokens, size_t n, float *all, tb_error *err)
{
    size_t vocab = seq->model->settings.config.vocab, most = seq->runner.rows, count;
    tb_code rc = check_push(seq, tokens, n, err);
    if (rc || n == 0)
        return rc;
    prepare_length(seq, seq->length + n);
    for (size_t done = 0; done < n; done += count) {
        count = n - done < most ? n - done : most;
        if (all)
            push_batch(seq, tokens + done, count, all + done * vocab, count);
        else
            push_batch(seq, tokens + done, count, seq->logits, done + count == n);
    }
    if (all)
        memcpy(seq->logits, all + (n - 1) * vocab, vocab * sizeof *all);
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

size_t tb_seq_reuse(tb_seq *seq, const int32_t *ids, size_t count)
{
    size_t most = seq->length < count - 1 ? seq->length : count - 1, n = 0;
    while (n < most && seq->tokens[n] == ids[n])
        n++;
    tb_seq_truncate(seq, n);
    return n;
}
