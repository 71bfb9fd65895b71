// Texts of special tokens without a tokenizer: chat templates print them, and nothing else of a
// vocabulary is needed for a prompt.
#include <jansson.h>
#include <string.h>

#include "model/model.h"

static const struct {
    const char *name, *id_key;
} specials[] = {
    {"bos_token", "tokenizer.ggml.bos_token_id"},
    {"eos_token", "tokenizer.ggml.eos_token_id"},
    {"unk_token", "tokenizer.ggml.unknown_token_id"},
    {"pad_token", "tokenizer.ggml.padding_token_id"},
};

enum { SPECIALS = sizeof specials / sizeof specials[0] };

const char *tb_special_name(size_t index)
{
    return index < SPECIALS ? specials[index].name : NULL;
}

static tb_code from_metadata(tb_str *out, const tb_checkpoint *checkpoint, const char *id_key, tb_error *err)
{
    uint64_t id = UINT64_MAX; // what writers put where there is no such token lies outside, too
    tb_code rc = tb_checkpoint_get_u64(&id, checkpoint, id_key, false, err);
    const tb_kv *tokens = tb_checkpoint_find(checkpoint, "tokenizer.ggml.tokens");
    if (rc || !tokens || tokens->type != TB_KV_ARRAY || tokens->value.array.type != TB_KV_TEXT ||
        id >= tokens->value.array.count)
        return rc;
    tb_text text = tokens->value.array.texts[id];
    return tb_str_append(out, text.data, text.size, err);
}

// The value is a text or an object that describes the token.
static tb_code from_settings(tb_str *out, tb_text settings, const char *name, const char *path, tb_error *err)
{
    json_t *config = json_loadb(settings.data, settings.size, JSON_ALLOW_NUL, NULL);
    if (!config) // which the checkpoint has written itself
        return tb_fail(err, TB_ENOMEM, "no memory for the tokenizer's settings of '%s'", path);
    const json_t *value = json_object_get(config, name);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    tb_code rc = TB_OK;
    if (json_is_string(value))
        rc = tb_str_append(out, json_string_value(value), json_string_length(value), err);
    json_decref(config);
    return rc;
}

tb_code tb_model_special_text(tb_str *out, const tb_checkpoint *checkpoint, size_t index, tb_error *err)
{
    tb_text settings = tb_checkpoint_hf_file(checkpoint, TB_HF_TOKENIZER_CONFIG);
    if (settings.size)
        return from_settings(out, settings, specials[index].name, tb_checkpoint_path(checkpoint), err);
    return from_metadata(out, checkpoint, specials[index].id_key, err);
}
