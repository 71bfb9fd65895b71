// The arrays of a vocabulary that is read from files, and what all such files share:
// tokenizer_config.json and the objects that describe added tokens.
#include "text/vocab_file.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

// Ids may leave holes; this many more than a third of the vocabulary are a broken file.
enum { HOLES_ALLOWED = 65536 };

tb_code tb_vocab_file_new(tb_vocab_file **out, tb_error *err)
{
    *out = tb_new(tb_vocab_file);
    if (!*out)
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary");
    return TB_OK;
}

const tb_vocab *tb_vocab_file_get(const tb_vocab_file *file)
{
    return &file->vocab;
}

void tb_vocab_file_free(tb_vocab_file *file)
{
    if (!file)
        return;
    json_decref(file->tokenizer);
    json_decref(file->config);
    tb_arena_clear(&file->arena);
    tb_free(file);
}

tb_code tb_vocab_file_read_tokenizer(tb_vocab_file *file, tb_text text, tb_error *err)
{
    return tb_json_read(&file->tokenizer, text, "tokenizer.json", err);
}

static tb_code reserve(tb_vocab_file *file, size_t size, tb_error *err)
{
    file->tokens = tb_arena_array(&file->arena, size, sizeof *file->tokens);
    file->scores = tb_arena_array(&file->arena, size, sizeof *file->scores);
    file->kinds = tb_arena_array(&file->arena, size, sizeof *file->kinds);
    file->flags = tb_arena_array(&file->arena, size, sizeof *file->flags);
    if (!file->tokens || !file->scores || !file->kinds || !file->flags)
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", size);
    file->vocab.size = size;
    return TB_OK;
}

tb_code tb_vocab_file_reserve(tb_vocab_file *file, size_t size, size_t entries, tb_error *err)
{
    if (size == 0)
        return tb_fail(err, TB_EFORMAT, "the vocabulary is empty");
    if (size / 3 > entries + HOLES_ALLOWED)
        return tb_fail(err, TB_EFORMAT, "token ids reach %zu, but there are only %zu tokens", size - 1, entries);
    return reserve(file, size, err);
}

static bool same_text(tb_text a, tb_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

tb_code tb_vocab_file_set(tb_vocab_file *file, size_t id, tb_text text, tb_token_kind kind, tb_error *err)
{
    if (file->kinds[id] != 0 && !same_text(file->tokens[id], text))
        return tb_fail(err, TB_EFORMAT, "tokens '%.*s' and '%.*s' have the same id %zu",
                       (int)(file->tokens[id].size & 0xFF), file->tokens[id].data, (int)(text.size & 0xFF), text.data,
                       id);
    file->tokens[id] = text;
    file->kinds[id] = kind;
    return TB_OK;
}

tb_code tb_vocab_file_set_added(tb_vocab_file *file, size_t id, const json_t *token, tb_error *err)
{
    static const struct {
        const char *key;
        uint8_t flag;
    } flags[] = {
        {"lstrip", TB_TOKEN_LSTRIP},
        {"rstrip", TB_TOKEN_RSTRIP},
        {"single_word", TB_TOKEN_SINGLE_WORD},
        {"normalized", TB_TOKEN_NORMALIZED},
    };
    const json_t *content = json_object_get(token, "content");
    if (!json_is_string(content))
        return tb_fail(err, TB_EFORMAT, "added token %zu has no text 'content'", id);
    tb_text text = {json_string_value(content), json_string_length(content)};
    bool special = json_is_true(json_object_get(token, "special"));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(token, flags[i].key)))
            file->flags[id] |= flags[i].flag;
    return tb_vocab_file_set(file, id, text, special ? TB_TOKEN_CONTROL : TB_TOKEN_USER_DEFINED, err);
}

int32_t tb_vocab_file_find(const tb_vocab_file *file, tb_text token)
{
    for (size_t i = 0; token.size > 0 && i < file->vocab.size; i++)
        if (file->kinds[i] != 0 && same_text(file->tokens[i], token))
            return (int32_t)i;
    return -1;
}

static tb_code name_unused(tb_vocab_file *file, size_t first, tb_error *err)
{
    for (size_t i = first; i < file->vocab.size; i++) {
        if (file->kinds[i] != 0)
            continue;
        char name[32];
        int n = snprintf(name, sizeof name, "[PAD%zu]", i);
        file->tokens[i] = (tb_text){tb_arena_text(&file->arena, name, (size_t)n), (size_t)n};
        file->kinds[i] = TB_TOKEN_UNUSED;
        if (!file->tokens[i].data)
            return tb_fail(err, TB_ENOMEM, "no memory for unused tokens");
    }
    return TB_OK;
}

static void set_arrays(tb_vocab_file *file)
{
    tb_vocab *vocab = &file->vocab;
    vocab->tokens = file->tokens;
    vocab->scores = vocab->model == TB_VOCAB_BPE ? NULL : file->scores;
    vocab->kinds = file->kinds;
    vocab->flags = file->flags;
    vocab->merges = file->merges;
}

tb_code tb_vocab_file_finish(tb_vocab_file *file, tb_error *err)
{
    tb_code rc = name_unused(file, 0, err);
    if (!rc)
        set_arrays(file);
    return rc;
}

tb_code tb_vocab_file_pad(tb_vocab_file *file, size_t size, tb_error *err)
{
    tb_vocab_file old = *file;
    size_t n = old.vocab.size;
    if (size <= n)
        return TB_OK;
    tb_code rc = size > INT32_MAX ? tb_fail(err, TB_ELIMIT, "a vocabulary of %zu tokens is too large", size)
                                  : reserve(file, size, err);
    if (rc)
        return rc;
    memcpy(file->tokens, old.tokens, n * sizeof *file->tokens);
    memcpy(file->scores, old.scores, n * sizeof *file->scores);
    memcpy(file->kinds, old.kinds, n * sizeof *file->kinds);
    memcpy(file->flags, old.flags, n * sizeof *file->flags);
    rc = name_unused(file, n, err);
    if (!rc)
        set_arrays(file);
    return rc;
}

// ---- tokenizer_config.json ----

tb_code tb_vocab_file_read_config(tb_vocab_file *file, tb_text text, tb_error *err)
{
    return text.size ? tb_json_read(&file->config, text, "tokenizer_config.json", err) : TB_OK;
}

// The id of a special token that the config names, as a text or as an added token's object.
static void apply_special(int32_t *id, const tb_vocab_file *file, const char *key)
{
    const json_t *value = json_object_get(file->config, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (!json_is_string(value))
        return;
    int32_t found = tb_vocab_file_find(file, (tb_text){json_string_value(value), json_string_length(value)});
    if (found >= 0)
        *id = found;
}

static void apply_bool(bool *out, const tb_vocab_file *file, const char *key)
{
    const json_t *value = json_object_get(file->config, key);
    if (json_is_boolean(value))
        *out = json_is_true(value);
}

void tb_vocab_file_apply_config(tb_vocab_file *file)
{
    tb_vocab *vocab = &file->vocab;
    apply_special(&vocab->bos, file, "bos_token");
    apply_special(&vocab->eos, file, "eos_token");
    apply_special(&vocab->unk, file, "unk_token");
    apply_special(&vocab->pad, file, "pad_token");
    apply_bool(&vocab->add_bos, file, "add_bos_token");
    apply_bool(&vocab->add_eos, file, "add_eos_token");
}
