#include "model/prefix.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "model/weights.h"

enum { MOST_TOKENS = 4096 }; // of a prefix: longer ones are a text to be computed

static const char tokens_name[] = "prefix.tokens", keys_name[] = "prefix.k", values_name[] = "prefix.v";

bool tb_prefix_has_tensor(const char *name)
{
    return strcmp(name, tokens_name) == 0 || strcmp(name, keys_name) == 0 || strcmp(name, values_name) == 0;
}

bool tb_prefix_has_key(tb_text key)
{
    return tb_text_is(key, TB_KEY_PREFIX_SOURCE) || tb_text_is(key, TB_KEY_PREFIX_HASH);
}

// ---- shapes ----

static void set_dims(uint64_t dims[4], const tb_config *config, size_t count)
{
    dims[0] = config->head_size;
    dims[1] = count;
    dims[2] = config->kv_heads;
    dims[3] = config->blocks;
}

// Numbers of the keys, and of the values.
static size_t number_count(const tb_config *config, size_t count)
{
    return config->head_size * count * config->kv_heads * config->blocks;
}

static tb_code hash_of(char out[65], const tb_prefix *prefix, const tb_config *config, tb_error *err)
{
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_fail(err, TB_ENOMEM, "no memory for a fingerprint");
    size_t bytes = number_count(config, prefix->count) * sizeof *prefix->keys;
    tb_hash_update(hash, prefix->source, strlen(prefix->source));
    tb_hash_update(hash, prefix->tokens, prefix->count * sizeof *prefix->tokens);
    tb_hash_update(hash, prefix->keys, bytes);
    tb_hash_update(hash, prefix->values, bytes);
    tb_hash_hex(hash, out);
    tb_hash_free(hash);
    return TB_OK;
}

// ---- reading ----

static tb_code fail_shape(const char *path, const char *name, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "'%s' of '%s' is missing or does not have the model's shape", name, path);
}

// Keys turned for one length are wrong for another; registers stand where a prefix would.
static tb_code check_settings(const tb_settings *settings, tb_error *err)
{
    if (settings->rope.original)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "a prefix needs RoPE that is the same at every length, and the model's is not");
    if (settings->config.registers)
        return tb_fail(err, TB_EUNSUPPORTED, "texts of the model begin with registers already: it takes no prefix");
    return TB_OK;
}

tb_code tb_model_check_prefix(const tb_model *model, tb_error *err)
{
    return check_settings(&model->settings, err);
}

static tb_code read_tokens(tb_prefix *out, const tb_checkpoint *checkpoint, const tb_settings *settings, tb_error *err)
{
    const char *path = tb_checkpoint_path(checkpoint);
    const tb_tensor_info *tensor = tb_checkpoint_tensor(checkpoint, tokens_name);
    if (tensor->type != TB_TYPE_I32 || tensor->dim_count != 1 || tensor->dims[0] == 0)
        return fail_shape(path, tokens_name, err);
    if (tensor->dims[0] > MOST_TOKENS || tensor->dims[0] >= settings->config.context)
        return tb_fail(err, TB_ELIMIT,
                       "the prefix of '%s' has %" PRIu64 " tokens; %d, and less than a context, are the most", path,
                       tensor->dims[0], MOST_TOKENS);
    out->tokens = tensor->data;
    for (size_t i = 0; i < tensor->dims[0]; i++)
        if (out->tokens[i] < 0 || (size_t)out->tokens[i] >= settings->config.vocab)
            return tb_fail(err, TB_EFORMAT, "token %" PRId32 " in the prefix of '%s' is outside the vocabulary of %zu",
                           out->tokens[i], path, settings->config.vocab);
    out->count = (size_t)tensor->dims[0];
    return TB_OK;
}

static tb_code read_numbers(const uint16_t **out, const tb_checkpoint *checkpoint, const char *name,
                            const tb_config *config, size_t count, tb_error *err)
{
    const tb_tensor_info *tensor = tb_checkpoint_tensor(checkpoint, name);
    uint64_t dims[4];
    set_dims(dims, config, count);
    if (!tensor || tensor->type != TB_TYPE_F16 || memcmp(tensor->dims, dims, sizeof dims) != 0)
        return fail_shape(tb_checkpoint_path(checkpoint), name, err);
    *out = tensor->data;
    for (size_t i = 0; i < number_count(config, count); i++)
        if (!isfinite(tb_half_to_float((*out)[i])))
            return tb_fail(err, TB_EFORMAT, "'%s' of '%s' has numbers that are not finite", name,
                           tb_checkpoint_path(checkpoint));
    return TB_OK;
}

// The text under a key, 64 digits.
static tb_code read_digits(char out[65], const tb_checkpoint *checkpoint, const char *key, tb_error *err)
{
    tb_text text = {0};
    tb_code rc = tb_checkpoint_get_text(&text, checkpoint, key, true, err);
    if (!rc && text.size != 64)
        rc = tb_fail(err, TB_EFORMAT, "'%s' of '%s' is no fingerprint", key, tb_checkpoint_path(checkpoint));
    if (!rc)
        memcpy(out, text.data, text.size);
    return rc;
}

tb_code tb_prefix_read(tb_prefix *out, const tb_checkpoint *checkpoint, const tb_settings *settings, tb_error *err)
{
    char stored[65] = {0}, computed[65];
    *out = (tb_prefix){0};
    if (!tb_checkpoint_tensor(checkpoint, tokens_name))
        return TB_OK;
    tb_code rc = check_settings(settings, err);
    if (!rc)
        rc = read_tokens(out, checkpoint, settings, err);
    if (!rc)
        rc = read_numbers(&out->keys, checkpoint, keys_name, &settings->config, out->count, err);
    if (!rc)
        rc = read_numbers(&out->values, checkpoint, values_name, &settings->config, out->count, err);
    if (!rc)
        rc = read_digits(out->source, checkpoint, TB_KEY_PREFIX_SOURCE, err);
    if (!rc)
        rc = read_digits(stored, checkpoint, TB_KEY_PREFIX_HASH, err);
    if (!rc)
        rc = hash_of(computed, out, &settings->config, err);
    if (!rc && memcmp(stored, computed, sizeof stored) != 0)
        rc = tb_fail(err, TB_EFORMAT, "the prefix of '%s' is not what was written", tb_checkpoint_path(checkpoint));
    return rc;
}

// The fingerprint of the model that a checkpoint was quantized from, or its own.
static tb_code find_origin(char out[65], const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_text source = {0};
    tb_code rc = tb_checkpoint_get_text(&source, checkpoint, "twobit.source", false, err);
    if (rc || source.size != 64)
        return rc ? rc : tb_checkpoint_fingerprint(out, checkpoint, err);
    memcpy(out, source.data, source.size);
    out[source.size] = '\0';
    return TB_OK;
}

tb_code tb_model_origin(char out[65], const tb_model *model, tb_error *err)
{
    return find_origin(out, model->checkpoint, err);
}

tb_code tb_prefix_check_source(const tb_prefix *prefix, const tb_checkpoint *model, const char *path, tb_error *err)
{
    char own[65];
    tb_code rc = find_origin(own, model, err);
    if (!rc && memcmp(own, prefix->source, sizeof own) != 0)
        rc = tb_fail(err, TB_EINVAL, "the prefix of '%s' was made for another model than '%s'", path,
                     tb_checkpoint_path(model));
    return rc;
}

// ---- in the forward pass ----

static void put_row(float *to, const uint16_t *from, const tb_prefix *prefix, const tb_config *config, size_t block,
                    size_t position)
{
    const size_t n = config->head_size;
    for (size_t h = 0; h < config->kv_heads; h++) {
        const uint16_t *row = from + ((block * config->kv_heads + h) * prefix->count + position) * n;
        for (size_t i = 0; i < n; i++)
            to[h * n + i] = tb_half_to_float(row[i]);
    }
}

void tb_prefix_put(float *keys, float *values, size_t stride, const tb_prefix *prefix, const tb_config *config,
                   size_t block, const int32_t *positions, size_t count, size_t limit)
{
    for (size_t i = 0; i < count && (size_t)positions[i] < limit; i++) {
        put_row(keys + i * stride, prefix->keys, prefix, config, block, (size_t)positions[i]);
        put_row(values + i * stride, prefix->values, prefix, config, block, (size_t)positions[i]);
    }
}

// ---- texts ----

size_t tb_prefix_match(const tb_prefix *prefix, const int32_t *ids, size_t count)
{
    size_t n = 0;
    while (n < prefix->count && n < count && ids[n] == prefix->tokens[n])
        n++;
    return n;
}

const tb_prefix *tb_model_prefix(const tb_model *model)
{
    return &model->prefix;
}

int32_t tb_model_begin_token(const tb_model *model)
{
    if (!model->tokenizer)
        return -1;
    int32_t bos = tb_tokenizer_bos(model->tokenizer);
    return bos >= 0 ? bos : tb_tokenizer_eos(model->tokenizer);
}

// A BOS that stands there already is that of the prefix, wherever it has one.
static bool begins_like_prefix(const tb_model *model, const tb_ids *ids)
{
    int32_t begin = tb_model_begin_token(model);
    bool found = false;
    for (size_t i = 0; i < model->prefix.count; i++)
        found |= model->prefix.tokens[i] == begin;
    return found && ids->size > 0 && ids->data[0] == begin;
}

tb_code tb_model_begin_text(tb_ids *ids, const tb_model *model, tb_error *err)
{
    const tb_prefix *prefix = &model->prefix;
    if (tb_prefix_match(prefix, ids->data, ids->size) == prefix->count)
        return TB_OK;
    size_t old = begins_like_prefix(model, ids) ? 1 : 0, rest = ids->size - old;
    int32_t *all = tb_alloc_array(prefix->count + rest, sizeof *all);
    if (!all)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu tokens", prefix->count + rest);
    memcpy(all, prefix->tokens, prefix->count * sizeof *all);
    if (rest)
        memcpy(all + prefix->count, ids->data + old, rest * sizeof *all);
    tb_ids_clear(ids);
    *ids = (tb_ids){.data = all, .size = prefix->count + rest, .capacity = prefix->count + rest};
    return TB_OK;
}

size_t tb_model_begin_window(int32_t *ids, size_t count, const tb_model *model)
{
    const tb_prefix *prefix = &model->prefix;
    size_t n = prefix->count < count ? prefix->count : count;
    for (size_t i = 0; i < n; i++)
        ids[i] = prefix->tokens[i];
    if (n > 0 || count == 0 || !model->tokenizer || !tb_tokenizer_adds_bos(model->tokenizer))
        return n;
    ids[0] = tb_tokenizer_bos(model->tokenizer);
    return 1;
}

// ---- making ----

// Rows of one head, as they are remembered: floats.
static void take_rows(uint16_t *keys, uint16_t *values, const tb_kv_head *head, size_t n)
{
    tb_kv_segment all;
    head->policy->segments(&all, head); // a plain cache has one
    for (size_t i = 0; i < n; i++) {
        keys[i] = tb_half_from_float(((const float *)all.keys)[i]);
        values[i] = tb_half_from_float(((const float *)all.values)[i]);
    }
}

static tb_code compute(uint16_t *keys, uint16_t *values, const tb_model *model, const int32_t *tokens, size_t count,
                       tb_error *err)
{
    const tb_config *config = &model->settings.config;
    const size_t n = count * config->head_size;
    tb_seq *seq;
    tb_code rc = tb_seq_new(&seq, model, &(tb_seq_options){.context = count, .kv_cache = TB_KV_CACHE_F32}, err);
    if (!rc)
        rc = tb_seq_push(seq, tokens, count, err);
    for (size_t b = 0; b < config->blocks && !rc; b++)
        for (size_t h = 0; h < config->kv_heads; h++) {
            size_t at = (b * config->kv_heads + h) * n;
            take_rows(keys + at, values + at, &tb_memory_get_kv(tb_seq_memory(seq), b)->heads[h], n);
        }
    tb_seq_free(seq);
    for (size_t i = 0; i < number_count(config, count) && !rc; i++)
        if (!isfinite(tb_half_to_float(keys[i])) || !isfinite(tb_half_to_float(values[i])))
            rc = tb_fail(err, TB_EINVAL, "the model is broken, or its keys are beyond the range of half");
    return rc;
}

tb_code tb_prefix_make(tb_prefix *out, tb_arena *arena, const tb_model *model, const int32_t *tokens, size_t count,
                       tb_error *err)
{
    size_t n = number_count(&model->settings.config, count);
    int32_t *own = tb_arena_array(arena, count, sizeof *own);
    uint16_t *keys = tb_arena_array(arena, n, sizeof *keys), *values = tb_arena_array(arena, n, sizeof *values);
    *out = (tb_prefix){.count = count, .tokens = own, .keys = keys, .values = values};
    if (count == 0 || count > MOST_TOKENS || count >= model->settings.config.context)
        return tb_fail(err, TB_EINVAL, "a prefix has 1 to %d tokens and leaves room in the context, not %zu",
                       MOST_TOKENS, count);
    if (!own || !keys || !values)
        return tb_fail(err, TB_ENOMEM, "no memory for a prefix of %zu tokens", count);
    memcpy(own, tokens, count * sizeof *own);
    tb_code rc = check_settings(&model->settings, err);
    if (!rc)
        rc = compute(keys, values, model, tokens, count, err);
    return rc ? rc : tb_checkpoint_fingerprint(out->source, model->checkpoint, err);
}

tb_code tb_prefix_make_of_text(tb_prefix *out, tb_arena *arena, const tb_model *model, tb_text text, bool special,
                               tb_error *err)
{
    const tb_tokenizer *tokenizer = model->tokenizer;
    int32_t first = tb_model_begin_token(model);
    tb_ids ids = {0};
    if (first < 0)
        return tb_fail(err, TB_EUNSUPPORTED, "'%s' has no token that begins a text",
                       tb_checkpoint_path(model->checkpoint));
    tb_code rc = tb_encode(&ids, tokenizer, text, special ? TB_ENCODE_SPECIAL : 0, err);
    int32_t *all = rc ? NULL : tb_alloc_array(ids.size + 1, sizeof *all);
    if (!rc && !all)
        rc = tb_fail(err, TB_ENOMEM, "no memory for %zu tokens", ids.size + 1);
    if (!rc) {
        all[0] = first;
        if (ids.size)
            memcpy(all + 1, ids.data, ids.size * sizeof *all);
        rc = tb_prefix_make(out, arena, model, all, ids.size + 1, err);
    }
    tb_free(all);
    tb_ids_clear(&ids);
    return rc;
}

// ---- writing ----

tb_code tb_prefix_hash(char out[65], const tb_prefix *prefix, const tb_model *model, tb_error *err)
{
    return hash_of(out, prefix, &model->settings.config, err);
}

tb_code tb_prefix_declare(tb_gguf_writer *w, const tb_prefix *prefix, const tb_model *model, tb_error *err)
{
    char hash[65];
    uint64_t dims[4], count = prefix->count;
    set_dims(dims, &model->settings.config, prefix->count);
    tb_code rc = tb_prefix_hash(hash, prefix, model, err);
    if (!rc)
        rc = tb_gguf_writer_add_text(w, TB_KEY_PREFIX_SOURCE, (tb_text){prefix->source, strlen(prefix->source)}, err);
    if (!rc)
        rc = tb_gguf_writer_add_text(w, TB_KEY_PREFIX_HASH, (tb_text){hash, strlen(hash)}, err);
    if (!rc)
        rc = tb_gguf_writer_add_tensor(w, tokens_name, TB_TYPE_I32, 1, &count, err);
    if (!rc)
        rc = tb_gguf_writer_add_tensor(w, keys_name, TB_TYPE_F16, 4, dims, err);
    return rc ? rc : tb_gguf_writer_add_tensor(w, values_name, TB_TYPE_F16, 4, dims, err);
}

tb_code tb_prefix_write(tb_gguf_writer *w, const tb_prefix *prefix, const tb_model *model, tb_error *err)
{
    size_t bytes = number_count(&model->settings.config, prefix->count) * sizeof *prefix->keys;
    tb_code rc = tb_gguf_writer_data(w, prefix->tokens, prefix->count * sizeof *prefix->tokens, err);
    if (!rc)
        rc = tb_gguf_writer_data(w, prefix->keys, bytes, err);
    return rc ? rc : tb_gguf_writer_data(w, prefix->values, bytes, err);
}

tb_code tb_prefix_save(const tb_prefix *prefix, const tb_model *model, const char *path, tb_error *err)
{
    const char *arch = model->settings.arch->name;
    tb_gguf_writer *w;
    tb_code rc = tb_gguf_writer_open(&w, path, err);
    if (rc)
        return rc;
    rc = tb_gguf_writer_add_text(w, "general.architecture", (tb_text){arch, strlen(arch)}, err);
    if (!rc)
        rc = tb_prefix_declare(w, prefix, model, err);
    if (!rc)
        rc = tb_gguf_writer_begin(w, err);
    if (!rc)
        rc = tb_prefix_write(w, prefix, model, err);
    if (!rc)
        rc = tb_gguf_writer_commit(w, err);
    tb_gguf_writer_close(w);
    return rc;
}
