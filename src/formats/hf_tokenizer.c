// What a Hugging Face folder says of its tokenizer outside of the vocabulary, which `text` reads: the
// settings, spread over up to three files; chat templates, in one of several places; ids that end a
// text. Files of Python's writing, read as Python reads them.
#include "formats/hf.h"

#include "formats/json_file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

// Of a list of ids; far above any model known.
enum { MOST_IDS = 64 };

// Parses FOLDER/name; *out stays NULL when there is no such file.
static tb_code read_file(json_t **out, const tb_checkpoint *checkpoint, const char *name, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = tb_str_printf(&path, err, "%s/%s", checkpoint->path, name);
    *out = NULL;
    if (!rc && tb_path_exists(path.data))
        rc = tb_json_file_read(out, path.data, err);
    tb_str_clear(&path);
    return rc;
}

static tb_text text_of(const json_t *string)
{
    return (tb_text){json_string_value(string), json_string_length(string)};
}

static bool is_id(const json_t *value)
{
    return json_is_number(value) && json_number_value(value) >= 0 && json_number_value(value) <= INT32_MAX;
}

// ---- settings ----

// Fills in tokens that tokenizer_config.json does not name.
static tb_code add_special_tokens(json_t *settings, const json_t *special, const tb_checkpoint *checkpoint,
                                  tb_error *err)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "pad_token"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *token = json_object_get(special, names[i]);
        if (token && !json_object_get(settings, names[i]) && json_object_set(settings, names[i], token))
            return tb_checkpoint_no_memory(checkpoint, err);
    }
    return TB_OK;
}

// Where vocab.json comes without the name of the class that reads it, the model's type names the class.
static tb_code add_model_type(json_t **settings, const tb_checkpoint *checkpoint, tb_error *err)
{
    json_t *config = NULL;
    if (!checkpoint->hf_maps[TB_HF_VOCAB_JSON].data || json_object_get(*settings, "tokenizer_class"))
        return TB_OK;
    tb_code rc = read_file(&config, checkpoint, "config.json", err);
    if (!rc && !*settings && !(*settings = json_object()))
        rc = tb_checkpoint_no_memory(checkpoint, err);
    json_t *type = json_object_get(config, "model_type");
    if (!rc && type && json_object_set(*settings, "model_type", type))
        rc = tb_checkpoint_no_memory(checkpoint, err);
    json_decref(config);
    return rc;
}

// Whether a value of special_tokens_map.json is that token: it stands there as a text or as an object.
static bool is_token(const json_t *value, const char *token)
{
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    return text && strcmp(text, token) == 0;
}

static bool is_special(const char *token, json_t *special)
{
    const char *key;
    json_t *value;
    json_object_foreach(special, key, value)
    {
        bool found = is_token(value, token);
        for (size_t i = 0; i < json_array_size(value) && !found; i++)
            found = is_token(json_array_get(value, i), token);
        if (found)
            return true;
    }
    return false;
}

// added_tokens.json maps texts to ids. What it lists becomes what newer files list themselves.
static tb_code add_added_tokens(json_t *settings, json_t *added, json_t *special, const tb_checkpoint *checkpoint,
                                tb_error *err)
{
    json_t *decoder = json_object();
    const char *token;
    json_t *id;
    tb_code rc = json_object_set_new(settings, "added_tokens_decoder", decoder) // which is then borrowed
                     ? tb_checkpoint_no_memory(checkpoint, err)
                     : TB_OK;
    json_object_foreach(added, token, id)
    {
        char key[32];
        if (!rc && !is_id(id))
            rc = tb_fail(err, TB_EFORMAT, "added_tokens.json of '%s' has no valid id for '%.64s'", checkpoint->path,
                         token);
        if (rc)
            return rc;
        snprintf(key, sizeof key, "%.0f", json_number_value(id));
        if (json_object_set_new(decoder, key,
                                json_pack("{s:s, s:b}", "content", token, "special", is_special(token, special))))
            rc = tb_checkpoint_no_memory(checkpoint, err);
    }
    return rc;
}

// Appends jansson's output to a tb_str.
static int append(const char *bytes, size_t n, void *user)
{
    return tb_str_append(user, bytes, n, NULL) ? -1 : 0;
}

static tb_code keep_settings(tb_checkpoint *checkpoint, const json_t *settings, tb_error *err)
{
    tb_str text = {0};
    char *copy = NULL;
    if (!json_dump_callback(settings, append, &text, JSON_COMPACT))
        copy = tb_arena_text(&checkpoint->arena, tb_str_get(&text), text.size);
    checkpoint->tokenizer_settings = (tb_text){copy, copy ? text.size : 0};
    tb_str_clear(&text);
    return copy ? TB_OK : tb_checkpoint_no_memory(checkpoint, err);
}

// *out is NULL when the folder has none of the files.
static tb_code read_settings(json_t **out, tb_checkpoint *checkpoint, tb_error *err)
{
    json_t *special = NULL, *added = NULL;
    tb_code rc = read_file(out, checkpoint, "tokenizer_config.json", err);
    if (!rc)
        rc = read_file(&special, checkpoint, "special_tokens_map.json", err);
    if (!rc)
        rc = read_file(&added, checkpoint, "added_tokens.json", err);
    if (!rc && !*out && (special || added) && !(*out = json_object()))
        rc = tb_checkpoint_no_memory(checkpoint, err);
    if (!rc && special)
        rc = add_special_tokens(*out, special, checkpoint, err);
    if (!rc && added && !json_object_get(*out, "added_tokens_decoder"))
        rc = add_added_tokens(*out, added, special, checkpoint, err);
    if (!rc)
        rc = add_model_type(out, checkpoint, err);
    if (!rc && *out)
        rc = keep_settings(checkpoint, *out, err);
    json_decref(special);
    json_decref(added);
    return rc;
}

// ---- chat templates ----

// Of a list of named templates the two that Hugging Face chooses from: one for conversations with
// tools, one for all others.
static const struct {
    const char *name, *key, *file;
} templates[] = {
    {"default", "tokenizer.chat_template", "chat_template.jinja"},
    {"tool_use", "tokenizer.chat_template.tool_use", "additional_chat_templates/tool_use.jinja"},
};

enum { TEMPLATES = sizeof templates / sizeof templates[0] };

// Files of their own go before the settings. *found: there is one.
static tb_code add_template_files(bool *found, tb_checkpoint *checkpoint, tb_error *err)
{
    tb_code rc = TB_OK;
    *found = false;
    for (size_t i = 0; i < TEMPLATES && !rc; i++) {
        tb_str path = {0};
        tb_map map = {0};
        rc = tb_str_printf(&path, err, "%s/%s", checkpoint->path, templates[i].file);
        if (!rc && tb_path_exists(path.data))
            rc = tb_map_open(&map, path.data, err);
        if (!rc && map.size) {
            rc = tb_hf_add_text(checkpoint, templates[i].key, (tb_text){(const char *)map.data, map.size}, err);
            *found = true;
        }
        tb_map_close(&map);
        tb_str_clear(&path);
    }
    return rc;
}

// The template of that name: from a list of named ones, or a text that stands alone and is the default.
static const json_t *find_template(const json_t *settings, const char *name)
{
    const json_t *value = json_object_get(settings, "chat_template"), *item;
    size_t i;
    if (!json_is_array(value))
        return strcmp(name, "default") == 0 ? value : NULL;
    json_array_foreach(value, i, item)
    {
        const char *its_name = json_string_value(json_object_get(item, "name"));
        if (its_name && strcmp(its_name, name) == 0)
            return json_object_get(item, "template");
    }
    return NULL;
}

static tb_code add_templates(bool *found, tb_checkpoint *checkpoint, const json_t *settings, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < TEMPLATES && !rc; i++) {
        const json_t *value = find_template(settings, templates[i].name);
        if (!json_is_string(value))
            continue;
        rc = tb_hf_add_text(checkpoint, templates[i].key, text_of(value), err);
        *found = true;
    }
    return rc;
}

static tb_code read_templates(tb_checkpoint *checkpoint, const json_t *settings, tb_error *err)
{
    bool found;
    json_t *alone = NULL; // where models with a vision tower keep theirs
    tb_code rc = add_template_files(&found, checkpoint, err);
    if (!rc && !found)
        rc = add_templates(&found, checkpoint, settings, err);
    if (!rc && !found)
        rc = read_file(&alone, checkpoint, "chat_template.json", err);
    if (!rc && !found)
        rc = add_templates(&found, checkpoint, alone, err);
    json_decref(alone);
    return rc;
}

static tb_code map_file(tb_checkpoint *checkpoint, tb_hf_file which, const char *name, tb_error *err)
{
    tb_str path = {0};
    tb_code rc = tb_str_printf(&path, err, "%s/%s", checkpoint->path, name);
    if (!rc && tb_path_exists(path.data))
        rc = tb_map_open(&checkpoint->hf_maps[which], path.data, err);
    tb_str_clear(&path);
    return rc;
}

static tb_code map_files(tb_checkpoint *checkpoint, tb_error *err)
{
    tb_code rc = map_file(checkpoint, TB_HF_TOKENIZER_JSON, "tokenizer.json", err);
    if (!rc)
        rc = map_file(checkpoint, TB_HF_TOKENIZER_MODEL, "tokenizer.model", err);
    if (rc || checkpoint->hf_maps[TB_HF_TOKENIZER_JSON].data || checkpoint->hf_maps[TB_HF_TOKENIZER_MODEL].data)
        return rc;
    rc = map_file(checkpoint, TB_HF_VOCAB_JSON, "vocab.json", err);
    return rc ? rc : map_file(checkpoint, TB_HF_MERGES, "merges.txt", err);
}

tb_code tb_hf_tokenizer_read(tb_checkpoint *checkpoint, tb_error *err)
{
    json_t *settings = NULL;
    tb_code rc = map_files(checkpoint, err);
    if (!rc)
        rc = read_settings(&settings, checkpoint, err);
    if (!rc)
        rc = read_templates(checkpoint, settings, err);
    json_decref(settings);
    return rc;
}

// ---- ids ----

typedef struct id_list {
    uint32_t ids[MOST_IDS];
    size_t count;
} id_list;

// Adds an id or a list of ids, each once; what is no id is left to the tokenizer's own files.
static void add_ids(id_list *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        add_ids(list, json_array_get(value, i));
    if (!is_id(value) || list->count == MOST_IDS)
        return;
    uint32_t id = (uint32_t)json_number_value(value);
    for (size_t i = 0; i < list->count; i++)
        if (list->ids[i] == id)
            return;
    list->ids[list->count++] = id;
}

tb_code tb_hf_token_ids_read(tb_checkpoint *checkpoint, const json_t *config, tb_error *err)
{
    json_t *generation;
    tb_code rc = read_file(&generation, checkpoint, "generation_config.json", err);
    const json_t *const sources[] = {json_object_get(config, "text_config"), config, generation};
    id_list starts = {0}, ends = {0};
    for (size_t i = 0; i < sizeof sources / sizeof sources[0] && !rc; i++) {
        add_ids(&starts, json_object_get(sources[i], "bos_token_id"));
        add_ids(&ends, json_object_get(sources[i], "eos_token_id"));
    }
    if (!rc && starts.count)
        rc = tb_hf_add_u32(checkpoint, "tokenizer.ggml.bos_token_id", starts.ids[0], err);
    if (!rc && ends.count)
        rc = tb_hf_add_u32(checkpoint, "tokenizer.ggml.eos_token_id", ends.ids[0], err);
    if (!rc && ends.count)
        rc = tb_hf_add_u32s(checkpoint, TB_KEY_END_IDS, ends.ids, ends.count, err);
    json_decref(generation);
    return rc;
}
