// One timeline on a model: its tokens, the caches of all blocks, the logits after the last
// token. Nothing is allocated after tb_seq_new.
#include "model/runner.h"
#include "model/token_list.h"

#include <inttypes.h>
#include <string.h>

enum { DEFAULT_CONTEXT = 4096, DEFAULT_BATCH = 256 };

struct tb_seq {
    const tb_model *model;
    tb_seq_options options; // with the defaults filled in
    size_t context;
    size_t prefixed; // first tokens that are the model's prefix
    size_t turned;   // the length that RoPE turned the keys for
    bool has_logits;
    bool has_registers; // they are in the memory, where the model has some
    tb_token_list tokens;
    float *logits;      // [vocab]
    int32_t *positions; // [batch]
    int32_t *ids;       // [batch]: registers and the tokens behind them
    tb_memory memory;
    const tb_probe *probe; // or NULL; borrowed
    tb_runner runner;
};

static bool is_stream(const tb_seq *seq)
{
    return seq->options.window > 0;
}

// A stream can go back by a batch, and then still knows the tokens that it sees.
static bool init_tokens(tb_seq *seq)
{
    const tb_seq_options *o = &seq->options;
    if (!is_stream(seq))
        return tb_token_list_init(&seq->tokens, o->context);
    return tb_token_list_init_endless(&seq->tokens, o->keep_sinks + o->window + o->batch);
}

static tb_code allocate(tb_seq *seq, tb_error *err)
{
    const tb_config *config = &seq->model->settings.config;
    tb_kv_plan plan = tb_kv_plan_of(&seq->options, &seq->model->settings);
    const size_t prefix = seq->model->prefix.count;
    tb_code rc = tb_kv_plan_check(&plan, &seq->model->settings, err);
    if (!rc && is_stream(seq) && prefix > seq->options.keep_sinks)
        rc = tb_fail(err, TB_EINVAL, "a stream keeps the model's prefix: its %zu first tokens at least, not %zu",
                     prefix, seq->options.keep_sinks);
    if (!rc)
        rc = tb_runner_init(&seq->runner, seq->model, plan.batch, &plan, err);
    if (!rc)
        rc = tb_memory_init(&seq->memory, &seq->model->settings, 0, config->blocks, &plan, err);
    if (rc)
        return rc;
    seq->logits = tb_alloc_array(config->vocab, sizeof *seq->logits);
    seq->positions = tb_alloc_array(plan.batch, sizeof *seq->positions);
    seq->ids = tb_alloc_array(plan.batch, sizeof *seq->ids);
    if (!init_tokens(seq) || !seq->logits || !seq->positions || !seq->ids)
        return tb_fail(err, TB_ENOMEM, "no memory for a sequence of %zu tokens",
                       tb_kv_plan_rows(&plan, &seq->model->settings));
    return TB_OK;
}

// A batch is not longer than what fits at once.
static void fill_in(tb_seq_options *options, const tb_config *config)
{
    size_t trained = config->context;
    if (options->context == 0)
        options->context = tb_min_size(trained, DEFAULT_CONTEXT);
    if (options->batch == 0)
        options->batch = DEFAULT_BATCH;
    options->batch = tb_min_size(options->batch, config->registers + (options->window ? trained : options->context));
}

tb_code tb_seq_new(tb_seq **out, const tb_model *model, const tb_seq_options *options, tb_error *err)
{
    static const tb_seq_options defaults = {0};
    *out = NULL;
    if (!options)
        options = &defaults;
    if (options->window && options->context)
        return tb_fail(err, TB_EINVAL, "a stream has no end, so it takes no context of %zu tokens", options->context);
    tb_seq *seq = tb_new(tb_seq);
    if (!seq)
        return tb_fail(err, TB_ENOMEM, "no memory for a sequence");
    seq->model = model;
    seq->options = *options;
    fill_in(&seq->options, &model->settings.config);
    seq->context = is_stream(seq) ? INT32_MAX : seq->options.context;
    tb_code rc = allocate(seq, err);
    if (rc) {
        tb_seq_free(seq);
        return rc;
    }
    *out = seq;
    return TB_OK;
}

tb_code tb_seq_fork(tb_seq **out, const tb_seq *seq, tb_error *err)
{
    tb_seq_options options = seq->options;
    if (is_stream(seq))
        options.context = 0;
    tb_code rc = tb_seq_new(out, seq->model, &options, err);
    if (rc)
        return rc;
    tb_seq *fork = *out;
    fork->prefixed = seq->prefixed;
    fork->turned = seq->turned;
    fork->has_logits = seq->has_logits;
    fork->has_registers = seq->has_registers;
    tb_token_list_copy(&fork->tokens, &seq->tokens);
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
    tb_free(seq->ids);
    tb_free(seq->positions);
    tb_token_list_clear(&seq->tokens);
    tb_free(seq->logits);
    tb_free(seq);
}

const tb_model *tb_seq_model(const tb_seq *seq)
{
    return seq->model;
}

const tb_memory *tb_seq_memory(const tb_seq *seq)
{
    return &seq->memory;
}

void tb_seq_set_probe(tb_seq *seq, const tb_probe *probe)
{
    seq->probe = probe;
}

static tb_code check_push(const tb_seq *seq, const int32_t *tokens, size_t n, tb_error *err)
{
    size_t vocab = seq->model->settings.config.vocab;
    if (n > seq->context - seq->tokens.length)
        return tb_fail(err, TB_ELIMIT, "%zu tokens do not fit behind %zu in a context of %zu", n, seq->tokens.length,
                       seq->context);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= vocab)
            return tb_fail(err, TB_EINVAL, "token %" PRId32 " is outside the vocabulary of %zu", tokens[i], vocab);
    return TB_OK;
}

// Where the text begins: behind the registers.
static size_t first_position(const tb_seq *seq)
{
    return seq->model->settings.config.registers;
}

// Computes n tokens or registers, at most a batch, with the logits after the last `wanted` of them.
static void compute(tb_seq *seq, size_t position, const int32_t *tokens, size_t n, float *logits, size_t wanted)
{
    for (size_t i = 0; i < n; i++)
        seq->positions[i] = (int32_t)(position + i);
    tb_span span = {
        .memory = &seq->memory,
        .prefixed = seq->prefixed,
        .length = seq->turned,
        .count = n,
        .wanted = wanted,
        .logits = logits,
    };
    tb_batch batch = {tokens, seq->positions, n, &span, 1};
    tb_runner_run(&seq->runner, &batch, seq->probe);
}

// Registers are rows like those of tokens, computed once and kept for all texts that follow: in one piece with the
// first tokens where the batch has room, so that a probe sees a text with all that stands in front of it.
static size_t missing_registers(const tb_seq *seq)
{
    return seq->has_registers ? 0 : first_position(seq);
}

static void push_registers(tb_seq *seq)
{
    size_t count = first_position(seq), most = seq->runner.rows;
    for (size_t done = 0; done < count; done += most) {
        size_t n = tb_min_size(count - done, most);
        for (size_t i = 0; i < n; i++)
            seq->ids[i] = tb_register_id(done + i);
        compute(seq, done, seq->ids, n, NULL, 0);
    }
    seq->has_registers = true;
}

static void push_batch(tb_seq *seq, const int32_t *tokens, size_t n, float *logits, size_t wanted)
{
    const tb_prefix *prefix = &seq->model->prefix;
    size_t registers = missing_registers(seq);
    if (prefix->count > seq->prefixed && seq->prefixed == seq->tokens.length) { // so far all are
        const tb_prefix rest = {.count = prefix->count - seq->prefixed, .tokens = prefix->tokens + seq->prefixed};
        seq->prefixed += tb_prefix_match(&rest, tokens, n);
    }
    for (size_t i = 0; i < registers; i++)
        seq->ids[i] = tb_register_id(i);
    memcpy(seq->ids + registers, tokens, n * sizeof *tokens);
    compute(seq, first_position(seq) - registers + seq->tokens.length, seq->ids, registers + n, logits, wanted);
    seq->has_registers = true;
    tb_token_list_add(&seq->tokens, tokens, n);
}

// Makes the sequence one that is going to have `length` tokens: where RoPE turns such a one otherwise than the keys
// that are there, they are computed again. (longrope, once when the original context is left behind, and on the way
// back.)
static void prepare_length(tb_seq *seq, size_t length)
{
    size_t there = seq->tokens.length, turned = seq->turned, most = seq->runner.rows, first = first_position(seq);
    bool holds = there > 0 || (first > 0 && seq->has_registers);
    seq->turned = first + length;
    bool again = holds && tb_rope_turns_again(&seq->model->settings.rope, turned, seq->turned);
    if (again)
        tb_memory_truncate(&seq->memory, 0);
    if (again || missing_registers(seq) >= most)
        push_registers(seq);
    for (size_t done = 0; again && done < there; done += most)
        compute(seq, first + done, seq->tokens.ids + done, tb_min_size(there - done, most), NULL, 0);
}

// `all` [n][vocab] or NULL.
static tb_code push(tb_seq *seq, const int32_t *tokens, size_t n, float *all, tb_error *err)
{
    size_t vocab = seq->model->settings.config.vocab, most = seq->runner.rows, count;
    tb_code rc = check_push(seq, tokens, n, err);
    if (rc || n == 0)
        return rc;
    prepare_length(seq, seq->tokens.length + n);
    for (size_t done = 0; done < n; done += count) {
        count = tb_min_size(n - done, most - missing_registers(seq));
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

void tb_seq_set_prompt(tb_seq *seq, size_t length)
{
    tb_memory_set_prompt(&seq->memory, first_position(seq) + length);
}

const float *tb_seq_logits(const tb_seq *seq)
{
    return seq->has_logits ? seq->logits : NULL;
}

size_t tb_seq_length(const tb_seq *seq)
{
    return seq->tokens.length;
}

size_t tb_seq_kv_bytes(const tb_seq *seq)
{
    return seq->memory.bytes;
}

size_t tb_seq_context(const tb_seq *seq)
{
    return seq->context;
}

size_t tb_seq_dropped(const tb_seq *seq)
{
    size_t seen = seq->options.keep_sinks + seq->options.window, length = seq->tokens.length;
    return is_stream(seq) && length > seen ? length - seen : 0;
}

double tb_seq_skipped(const tb_seq *seq)
{
    double met = 0, skipped = 0;
    for (size_t b = 0; b < seq->memory.blocks; b++)
        for (size_t h = 0; h < seq->memory.kv[b].head_count; h++) {
            met += (double)seq->memory.kv[b].heads[h].pages_met;
            skipped += (double)seq->memory.kv[b].heads[h].pages_skipped;
        }
    return met > 0 ? skipped / met : 0;
}

const int32_t *tb_seq_tokens(const tb_seq *seq)
{
    return seq->tokens.ids + (tb_seq_dropped(seq) - seq->tokens.first);
}

size_t tb_seq_truncate(tb_seq *seq, size_t length)
{
    bool anew = length == 0 && seq->probe && first_position(seq) > 0; // who watches is to see the registers, too
    if (length >= seq->tokens.length && !anew)
        return seq->tokens.length;
    if (!tb_memory_truncate(&seq->memory, anew ? 0 : first_position(seq) + length) || anew) {
        seq->has_registers = false;
        length = 0;
    }
    tb_token_list_truncate(&seq->tokens, length);
    seq->prefixed = tb_min_size(seq->prefixed, length);
    seq->has_logits = false;
    return length;
}

size_t tb_seq_reuse(tb_seq *seq, const int32_t *ids, size_t count)
{
    return tb_seq_truncate(seq, tb_token_list_match(&seq->tokens, ids, count - 1));
}
