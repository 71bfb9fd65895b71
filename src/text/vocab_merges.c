// vocab.json and merges.txt: byte-level BPE from before there was tokenizer.json. What such a file would say besides
// stands in the class that reads these two; here the tokenizer.json is put together that transformers makes of them.
#include "text/pretokenize.h"
#include "text/vocab_file.h"
#include "text/vocab_json.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

// ---- the classes ----

enum { SPECIALS = 7, MODEL_TYPES = 6 };

// In the order in which those that are new get their ids.
static const char *const special_names[SPECIALS] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                    "pad_token", "cls_token", "mask_token"};

typedef struct class_traits {
    const char *name; // also with "Fast" behind it
    const char *model_types[MODEL_TYPES];
    bool nfc, digits;    // digits apart
    const char *pattern; // name of a pre-tokenizer with one pattern; NULL: ByteLevel's own
    const char *specials[SPECIALS];
} class_traits;

#define END "<|endoftext|>"

static const class_traits classes[] = {
    {"GPT2Tokenizer", {"gpt2", "gpt_bigcode", "gpt_neo", "starcoder2"}, false, false, NULL, {END, END, END}},
    {"Qwen2Tokenizer", {"qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}, true, false, "qwen2", {NULL, END, END, NULL, END}},
    {"GPTNeoXTokenizer", {"gpt_neox"}, true, false, NULL, {END, END, END, NULL, "<|padding|>"}},
    {"CodeGenTokenizer", {"codegen", "gptj", "phi"}, false, false, NULL, {END, END, END}},
    {"CohereTokenizer",
     {"cohere", "cohere2"},
     true,
     true,
     NULL,
     {"<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "<UNK>", "<SEP>", "<PAD>", "<CLS>", "<MASK_TOKEN>"}},
};

enum { CLASSES = sizeof classes / sizeof classes[0] };

static bool is_class(const class_traits *traits, const char *name)
{
    size_t n = strlen(traits->name);
    return strncmp(name, traits->name, n) == 0 && (name[n] == '\0' || strcmp(name + n, "Fast") == 0);
}

static bool is_model_type(const class_traits *traits, const char *type)
{
    for (size_t i = 0; i < MODEL_TYPES && traits->model_types[i]; i++)
        if (strcmp(traits->model_types[i], type) == 0)
            return true;
    return false;
}

// NULL and TB_EUNSUPPORTED for one that is not known.
static const class_traits *find_class(const json_t *config, tb_error *err)
{
    const char *name = json_string_value(json_object_get(config, "tokenizer_class"));
    const char *type = json_string_value(json_object_get(config, "model_type"));
    for (size_t i = 0; i < CLASSES; i++)
        if (name ? is_class(&classes[i], name) : type && is_model_type(&classes[i], type))
            return &classes[i];
    if (name)
        tb_fail(err, TB_EUNSUPPORTED, "tokenizer_class '%.64s' with vocab.json and merges.txt is not supported", name);
    else
        tb_fail(err, TB_EUNSUPPORTED,
                "vocab.json and merges.txt come without the name of a tokenizer_class that is known");
    return NULL;
}

// ---- added tokens ----

// The list "added_tokens" under construction. As in transformers a token has the id that the model gives it, else the
// next one that is free.
typedef struct added {
    json_t *tokens;
    json_t *by_content; // the same tokens
    json_t *vocab;
    json_int_t next;
} added;

// Adds a token as `described`. False when memory ran out.
static bool add_described(added *a, json_t *described)
{
    const char *content = json_string_value(json_object_get(described, "content"));
    const json_t *known = json_object_get(a->vocab, content);
    bool special = json_is_true(json_object_get(described, "special"));
    json_t *token = json_copy(described);
    if (json_object_set_new(token, "id", json_integer(known ? json_integer_value(known) : a->next++)) ||
        (!json_object_get(token, "normalized") && json_object_set_new(token, "normalized", json_boolean(!special)))) {
        json_decref(token);
        return false;
    }
    return json_array_append_new(a->tokens, token) == 0 && json_object_set(a->by_content, content, token) == 0;
}

// An entry of added_tokens_decoder.
typedef struct decoder_entry {
    long long id;
    json_t *token;
} decoder_entry;

static int compare_entries(const void *left, const void *right)
{
    const decoder_entry *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static bool add_decoder(added *a, json_t *decoder)
{
    decoder_entry *entries = tb_alloc_array(json_object_size(decoder), sizeof *entries);
    size_t count = 0;
    const char *key;
    json_t *token;
    bool done = entries != NULL;
    json_object_foreach(decoder, key, token)
    {
        if (done)
            entries[count++] = (decoder_entry){strtoll(key, NULL, 10), token};
    }
    if (count)
        qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 0; i < count && done; i++)
        done = add_described(a, entries[i].token);
    tb_free(entries);
    return done;
}

// Adds a special token: a text or an object that describes it. Anything else is none.
static bool add_special(added *a, json_t *value)
{
    const char *content = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    if (!content)
        return true;
    json_t *there = json_object_get(a->by_content, content);
    if (there)
        return json_object_set_new(there, "special", json_true()) == 0;
    json_t *described =
        json_is_object(value) ? json_copy(value) : json_pack("{s:s, s:b}", "content", content, "normalized", 0);
    bool done = json_object_set_new(described, "special", json_true()) == 0 && add_described(a, described);
    json_decref(described);
    return done;
}

static bool add_specials(added *a, const json_t *config, const class_traits *traits)
{
    static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
    for (size_t i = 0; i < SPECIALS; i++) {
        json_t *value = json_object_get(config, special_names[i]);
        json_t *implied = !value && traits->specials[i] ? json_string(traits->specials[i]) : NULL;
        bool done = add_special(a, value ? value : implied);
        json_decref(implied);
        if (!done)
            return false;
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const json_t *list = json_object_get(config, lists[i]);
        for (size_t k = 0; k < json_array_size(list); k++)
            if (!add_special(a, json_array_get(list, k)))
                return false;
    }
    return true;
}

// NULL when memory ran out.
static json_t *make_added(json_t *vocab, const json_t *config, const class_traits *traits)
{
    added a = {.tokens = json_array(), .by_content = json_object(), .vocab = vocab};
    const char *key;
    json_t *id;
    json_object_foreach(vocab, key, id)
    {
        json_int_t behind = json_integer_value(id);
        a.next = behind >= a.next && behind < INT32_MAX ? behind + 1 : a.next;
    }
    bool done = a.tokens && a.by_content && add_decoder(&a, json_object_get(config, "added_tokens_decoder")) &&
                add_specials(&a, config, traits);
    json_decref(a.by_content);
    if (done)
        return a.tokens;
    json_decref(a.tokens);
    return NULL;
}

// ---- the rest of the file ----

// merges.txt has a merge a line, perhaps behind a line about its version. NULL when memory ran out.
static json_t *make_merges(tb_text text)
{
    static const char version[] = "#version";
    json_t *merges = json_array();
    while (merges && text.size > 0) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        size_t line = size > 0 && text.data[size - 1] == '\r' ? size - 1 : size;
        bool is_version = line >= sizeof version - 1 && memcmp(text.data, version, sizeof version - 1) == 0;
        if (line > 0 && !is_version && json_array_append_new(merges, json_stringn(text.data, line))) {
            json_decref(merges);
            return NULL;
        }
        size += end != NULL;
        text = (tb_text){text.data + size, text.size - size};
    }
    return merges;
}

static json_t *make_pre_tokenizer(const json_t *config, const class_traits *traits)
{
    json_t *list = json_array();
    if (traits->pattern)
        json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s}", "type", "Split", "pattern", "Regex",
                                              tb_pre_patterns_of(traits->pattern)[0], "behavior", "Isolated"));
    if (traits->digits)
        json_array_append_new(list, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1));
    json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space",
                                          json_is_true(json_object_get(config, "add_prefix_space")), "use_regex",
                                          traits->pattern == NULL));
    bool done = json_array_size(list) == 1u + (traits->pattern != NULL) + traits->digits;
    if (!done) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

// The tokenizer.json of these files; NULL when memory ran out.
static json_t *make_root(json_t *vocab, tb_text merges, const json_t *config, const class_traits *traits)
{
    json_t *added_tokens = make_added(vocab, config, traits);
    json_t *root = json_pack("{s:o*, s:{s:s, s:O, s:o*}, s:{s:s}, s:o*}", "added_tokens", added_tokens, "model", "type",
                             "BPE", "vocab", vocab, "merges", make_merges(merges), "decoder", "type", "ByteLevel",
                             "pre_tokenizer", make_pre_tokenizer(config, traits));
    bool done = json_object_get(root, "added_tokens") && json_object_get(root, "pre_tokenizer") &&
                json_object_get(json_object_get(root, "model"), "merges") &&
                (!traits->nfc || !json_object_set_new(root, "normalizer", json_pack("{s:s}", "type", "NFC")));
    if (done)
        return root;
    json_decref(root);
    return NULL;
}

static tb_code check_decoder(json_t *decoder, tb_error *err)
{
    const char *key;
    json_t *token;
    json_object_foreach(decoder, key, token)
    {
        if (!json_is_string(json_object_get(token, "content")))
            return tb_fail(err, TB_EFORMAT, "added token '%.32s' has no text 'content'", key);
    }
    return TB_OK;
}

static bool is_utf8(tb_text text)
{
    return tb_utf8_valid_prefix(text.data, text.size) == text.size;
}

static tb_code read_files(tb_vocab_file *file, tb_text vocab_json, tb_text merges, tb_error *err)
{
    const class_traits *traits = find_class(file->config, err);
    json_t *vocab;
    if (!traits)
        return TB_EUNSUPPORTED;
    if (!is_utf8(merges))
        return tb_fail(err, TB_EFORMAT, "merges.txt is not UTF-8");
    tb_code rc = check_decoder(json_object_get(file->config, "added_tokens_decoder"), err);
    if (!rc)
        rc = tb_json_read(&vocab, vocab_json, "vocab.json", err);
    if (rc)
        return rc;
    file->tokenizer = make_root(vocab, merges, file->config, traits);
    json_decref(vocab);
    if (!file->tokenizer)
        return tb_fail(err, TB_ENOMEM, "no memory for vocab.json and merges.txt");
    return tb_vocab_file_read_root(file, err);
}

tb_code tb_vocab_file_from_merges(tb_vocab_file **out, tb_text vocab_json, tb_text merges, tb_text config_json,
                                  tb_error *err)
{
    *out = NULL;
    tb_vocab_file *file;
    tb_code rc = tb_vocab_file_new(&file, err);
    if (rc)
        return rc;
    rc = tb_vocab_file_read_config(file, config_json, err);
    if (!rc)
        rc = read_files(file, vocab_json, merges, err);
    if (rc)
        tb_vocab_file_free(file);
    else
        *out = file;
    return rc;
}
