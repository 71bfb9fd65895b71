// tokenizer.json: its model (BPE or Unigram), its added tokens, and what its other steps mean.
//
// A BPE model over characters, as files converted from SentencePiece have it, becomes a
// SentencePiece vocabulary with merges.
#include "text/vocab_json.h"

#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/vocab_file.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

static int shown(tb_text text)
{
    return (int)(text.size < 80 ? text.size : 80);
}

static tb_code read_id(size_t *out, const json_t *value, tb_text token, tb_error *err)
{
    *out = 0;
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    if (id < 0 || id >= INT32_MAX)
        return tb_fail(err, TB_EFORMAT, "token '%.*s' has no valid id", shown(token), token.data);
    *out = (size_t)id;
    return TB_OK;
}

// ---- size of the vocabulary ----

static tb_code raise_size(size_t *size, const json_t *id_value, tb_text token, tb_error *err)
{
    size_t id;
    tb_code rc = read_id(&id, id_value, token, err);
    if (!rc && id >= *size)
        *size = id + 1;
    return rc;
}

static tb_code reserve(tb_vocab_file *file, json_t *vocab, const json_t *added, tb_error *err)
{
    size_t size = json_array_size(vocab); // of Unigram; of BPE 0
    const char *key;
    size_t key_size;
    json_t *value;
    tb_code rc = TB_OK;
    json_object_keylen_foreach(vocab, key, key_size, value)
    {
        rc = raise_size(&size, value, (tb_text){key, key_size}, err);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < json_array_size(added) && !rc; i++) {
        const json_t *token = json_array_get(added, i);
        rc = raise_size(&size, json_object_get(token, "id"), tb_json_get_text(json_object_get(token, "content")), err);
    }
    size_t entries = json_array_size(vocab) + json_object_size(vocab) + json_array_size(added);
    return rc ? rc : tb_vocab_file_reserve(file, size, entries, err);
}

static tb_code read_added(tb_vocab_file *file, const json_t *added, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < json_array_size(added) && !rc; i++) {
        const json_t *token = json_array_get(added, i);
        rc = tb_vocab_file_set_added(file, (size_t)json_integer_value(json_object_get(token, "id")), token, err);
    }
    return rc;
}

// ---- BPE ----

static bool is_byte_token(tb_text text)
{
    return text.size == 6 && memcmp(text.data, "<0x", 3) == 0 && text.data[5] == '>';
}

static tb_code read_bpe_tokens(tb_vocab_file *file, json_t *vocab, tb_error *err)
{
    const char *key;
    size_t key_size;
    json_t *value;
    json_object_keylen_foreach(vocab, key, key_size, value)
    {
        tb_text text = {key, key_size};
        bool byte = file->vocab.byte_fallback && is_byte_token(text);
        tb_code rc = tb_vocab_file_set(file, (size_t)json_integer_value(value), text,
                                       byte ? TB_TOKEN_BYTE : TB_TOKEN_NORMAL, err);
        if (rc)
            return rc;
    }
    return TB_OK;
}

// The two sides of a merge: "left right" or ["left", "right"].
static bool read_merge(tb_text *left, tb_text *right, const json_t *merge)
{
    if (json_is_string(merge))
        return tb_merge_parse(left, right, tb_json_get_text(merge));
    *left = tb_json_get_text(json_array_get(merge, 0));
    *right = tb_json_get_text(json_array_get(merge, 1));
    return json_array_size(merge) == 2 && left->size > 0 && right->size > 0;
}

static tb_code bad_merge(size_t rank, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT, "merge %zu is not a pair of tokens", rank);
}

// Merges as texts "left right"; pairs are joined.
static tb_code read_merges(tb_vocab_file *file, const json_t *merges, tb_error *err)
{
    size_t count = json_array_size(merges), joined = 0;
    for (size_t i = 0; i < count; i++) {
        tb_text left, right;
        if (!read_merge(&left, &right, json_array_get(merges, i)))
            return bad_merge(i, err);
        if (memchr(left.data, ' ', left.size) || memchr(right.data, ' ', right.size))
            return tb_fail(err, TB_EUNSUPPORTED, "merge %zu of tokens with spaces inside is not supported", i);
        joined += left.size + right.size + 1;
    }
    file->merges = tb_arena_array(&file->arena, count, sizeof *file->merges);
    char *at = tb_arena_alloc(&file->arena, joined);
    if (!file->merges || !at)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu merges", count);
    for (size_t i = 0; i < count; i++) {
        tb_text left, right;
        read_merge(&left, &right, json_array_get(merges, i));
        file->merges[i] = (tb_text){at, left.size + 1 + right.size};
        memcpy(at, left.data, left.size);
        at[left.size] = ' ';
        memcpy(at + left.size + 1, right.data, right.size);
        at += left.size + 1 + right.size;
    }
    file->vocab.merge_count = count;
    return TB_OK;
}

// Stores the id of a merge's result; −1: no token.
static tb_code merge_result(int32_t *id, tb_str *joined, tb_text merge, const tb_text_map *map, tb_error *err)
{
    tb_text left, right;
    if (!tb_merge_parse(&left, &right, merge))
        return tb_fail(err, TB_EFORMAT, "'%.*s' is not a merge", shown(merge), merge.data);
    tb_str_reset(joined);
    tb_code rc = tb_str_append(joined, left.data, left.size, err);
    if (!rc)
        rc = tb_str_append(joined, right.data, right.size, err);
    *id = rc ? -1 : tb_text_map_find(map, joined->data, joined->size);
    return rc;
}

// A token's score is the rank of its first merge, negative; what no merge makes comes last.
static tb_code scores_from_merges(tb_vocab_file *file, const tb_text_map *map, tb_error *err)
{
    const size_t count = file->vocab.merge_count;
    for (size_t i = 0; i < file->vocab.size; i++)
        file->scores[i] = -(float)(count + 1);
    tb_str joined = {0};
    tb_code rc = TB_OK;
    for (size_t rank = count; rank-- > 0 && !rc;) {
        int32_t id = -1;
        rc = merge_result(&id, &joined, file->merges[rank], map, err);
        if (!rc && id >= 0)
            file->scores[id] = -(float)(rank + 1);
    }
    tb_str_clear(&joined);
    return rc;
}

// Scores for readers that know none but them; the merges decide here.
static tb_code set_scores(tb_vocab_file *file, tb_error *err)
{
    tb_arena scratch = {0};
    tb_text_map map;
    tb_code rc;
    if (tb_text_map_init(&map, file->tokens, file->vocab.size, &scratch)) {
        for (size_t i = 0; i < file->vocab.size; i++)
            if (file->kinds[i] != 0)
                tb_text_map_add(&map, (int32_t)i);
        rc = scores_from_merges(file, &map, err);
    } else {
        rc = tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", file->vocab.size);
    }
    tb_arena_clear(&scratch);
    return rc;
}

// Options of a BPE model that must be off.
static tb_code check_bpe_options(const json_t *model, tb_error *err)
{
    static const char *const off[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (tb_json_get_text(json_object_get(model, off[i])).size > 0)
            return tb_fail(err, TB_EUNSUPPORTED, "a BPE model with %s is not supported", off[i]);
    if (json_number_value(json_object_get(model, "dropout")) != 0)
        return tb_fail(err, TB_EUNSUPPORTED, "a BPE model with dropout is not supported");
    return TB_OK;
}

static tb_code read_bpe(tb_vocab_file *file, const json_t *model, const tb_json_steps *steps, tb_error *err)
{
    json_t *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges"), *added = json_object_get(file->tokenizer, "added_tokens");
    tb_code rc = check_bpe_options(model, err);
    if (!rc && (!json_is_object(vocab) || !json_is_array(merges)))
        rc = tb_fail(err, TB_EFORMAT, "the BPE model has no vocab and merges");
    if (!rc)
        rc = reserve(file, vocab, added, err);
    if (!rc)
        rc = read_bpe_tokens(file, vocab, err);
    if (!rc)
        rc = read_added(file, added, err);
    if (!rc)
        rc = read_merges(file, merges, err);
    if (!rc && !steps->byte_level)
        rc = set_scores(file, err);
    file->vocab.unk = rc ? -1 : tb_vocab_file_find(file, tb_json_get_text(json_object_get(model, "unk_token")));
    return rc;
}

// ---- Unigram ----

static tb_code read_unigram_token(tb_vocab_file *file, size_t id, const json_t *entry, tb_error *err)
{
    const json_t *text = json_array_get(entry, 0), *score = json_array_get(entry, 1);
    if (!json_is_string(text) || !json_is_number(score))
        return tb_fail(err, TB_EFORMAT, "token %zu is not a text and a score", id);
    bool byte = file->vocab.byte_fallback && is_byte_token(tb_json_get_text(text));
    file->scores[id] = (float)json_number_value(score);
    return tb_vocab_file_set(file, id, tb_json_get_text(text), byte ? TB_TOKEN_BYTE : TB_TOKEN_NORMAL, err);
}

static tb_code read_unigram(tb_vocab_file *file, const json_t *model, tb_error *err)
{
    json_t *vocab = json_object_get(model, "vocab");
    const json_t *added = json_object_get(file->tokenizer, "added_tokens"), *unk = json_object_get(model, "unk_id");
    if (!json_is_array(vocab))
        return tb_fail(err, TB_EFORMAT, "the Unigram model has no vocab");
    tb_code rc = reserve(file, vocab, added, err);
    for (size_t i = 0; i < json_array_size(vocab) && !rc; i++)
        rc = read_unigram_token(file, i, json_array_get(vocab, i), err);
    if (!rc)
        rc = read_added(file, added, err);
    if (!rc && json_is_integer(unk)) {
        size_t id;
        rc = read_id(&id, unk, (tb_text){"unk_id", 6}, err);
        file->vocab.unk = rc ? -1 : (int32_t)id;
    }
    return rc;
}

// ---- settings ----

// The name of the patterns, or "regex:" and the patterns.
static tb_code set_pre(tb_vocab_file *file, const tb_json_steps *steps, tb_error *err)
{
    const char *name = tb_pre_name_of(steps->patterns, steps->pattern_count, file->vocab.ignore_merges);
    if (name) {
        file->vocab.pre = (tb_text){name, strlen(name)};
        return TB_OK;
    }
    tb_str text = {0};
    tb_code rc = tb_str_append_text(&text, "regex:", err);
    for (size_t i = 0; i < steps->pattern_count && !rc; i++) {
        tb_text pattern = steps->patterns[i];
        if (i > 0)
            rc = tb_str_append_text(&text, "\n", err);
        for (size_t k = 0; k < pattern.size && !rc; k++) // a line feed would end the pattern
            rc = pattern.data[k] == '\n' ? tb_str_append_text(&text, "\\n", err)
                                         : tb_str_append(&text, pattern.data + k, 1, err);
    }
    file->vocab.pre = (tb_text){rc ? NULL : tb_arena_text(&file->arena, text.data, text.size), text.size};
    if (!rc && !file->vocab.pre.data)
        rc = tb_fail(err, TB_ENOMEM, "no memory for a pre-tokenizer");
    tb_str_clear(&text);
    return rc;
}

static bool has_inner_mark(tb_text text)
{
    for (size_t at = 1; at < text.size; at++)
        if (tb_starts_with_mark((tb_text){text.data + at, text.size - at}))
            return true;
    return false;
}

// Where words are tokenized apart no token may span two of them, and the mark between them must be one.
static bool keeps_words_apart(const tb_vocab_file *file)
{
    for (size_t i = 0; i < file->vocab.size; i++)
        if (file->kinds[i] == TB_TOKEN_NORMAL && has_inner_mark(file->tokens[i]))
            return false;
    return tb_vocab_file_find(file, (tb_text){TB_SPACE_MARK, TB_SPACE_MARK_SIZE}) >= 0;
}

static bool has_all_bytes(const tb_vocab_file *file, bool byte_level)
{
    bool seen[256] = {false};
    size_t count = 0;
    for (size_t i = 0; i < file->vocab.size; i++) {
        tb_text token = file->tokens[i];
        uint32_t c = 0;
        bool letter = byte_level && token.size > 0 && tb_utf8_decode(&c, token.data, token.size) == token.size;
        int byte = byte_level ? (letter ? tb_byte_of_alphabet(c) : -1) : tb_byte_of_token(token);
        if (byte < 0 || seen[byte])
            continue;
        seen[byte] = true;
        count++;
    }
    return count == 256;
}

// Whether the settings say what becomes of text without a token: in byte-level BPE it is left out, in BPE over
// characters it becomes bytes, or one unknown token for a run.
static bool unknown_is_plain(const tb_vocab_file *file, const json_t *model, const tb_json_steps *steps)
{
    bool has_unknown = json_is_string(json_object_get(model, "unk_token"));
    if (file->vocab.model == TB_VOCAB_UNIGRAM ||
        ((file->vocab.byte_fallback || steps->byte_level) && has_all_bytes(file, steps->byte_level)))
        return true;
    if (file->vocab.byte_fallback)
        return false;
    return steps->byte_level ? !has_unknown : has_unknown && json_is_true(json_object_get(model, "fuse_unk"));
}

// Whether added tokens are found without what tokenizer.json does to them and to text.
static bool added_are_plain(const tb_vocab_file *file, const tb_json_steps *steps)
{
    for (size_t i = 0; i < file->vocab.size; i++) {
        bool added = file->kinds[i] == TB_TOKEN_CONTROL || file->kinds[i] == TB_TOKEN_USER_DEFINED;
        if (!added || steps->byte_level)
            continue;
        tb_text text = file->tokens[i];
        if ((steps->early_marks && (file->flags[i] & TB_TOKEN_NORMALIZED)) || (file->flags[i] & TB_TOKEN_SINGLE_WORD) ||
            tb_starts_with_mark(text) || has_inner_mark(text))
            return false;
    }
    return true;
}

// Whether the settings of a tb_vocab say all that the file says of how text becomes tokens.
static bool settings_suffice(const tb_vocab_file *file, const json_t *model, const tb_json_steps *steps)
{
    const tb_vocab *vocab = &file->vocab;
    bool named = tb_pre_name_of(steps->patterns, steps->pattern_count, vocab->ignore_merges);
    return steps->exact && (named || !steps->needs_known_name) &&
           (!steps->splits_at_marks || keeps_words_apart(file)) &&
           (vocab->model != TB_VOCAB_SPM || (vocab->merge_count > 0 && !vocab->ignore_merges)) &&
           unknown_is_plain(file, model, steps) && added_are_plain(file, steps);
}

// Refuses steps that are not known, by name.
static tb_code check_steps(const json_t *root, tb_error *err)
{
    tb_normalizer *normalizer;
    tb_pretokenizer *pretokenizer;
    tb_code rc = tb_normalizer_new(&normalizer, json_object_get(root, "normalizer"), err);
    if (rc)
        return rc;
    rc = tb_pretokenizer_from_json(&pretokenizer, json_object_get(root, "pre_tokenizer"), err);
    tb_normalizer_free(normalizer);
    tb_pretokenizer_free(pretokenizer);
    return rc;
}

// Appends jansson's output to a tb_str.
static int append(const char *bytes, size_t n, void *user)
{
    return tb_str_append(user, bytes, n, NULL) ? -1 : 0;
}

// Marks the added tokens that the model has as well.
static void flag_model_tokens(tb_vocab_file *file, json_t *vocab)
{
    const char *key;
    json_t *id;
    json_object_foreach(vocab, key, id)
    {
        file->flags[json_integer_value(id)] |= TB_TOKEN_OF_MODEL;
    }
    for (size_t i = 0; i < json_array_size(vocab); i++)
        file->flags[i] |= TB_TOKEN_OF_MODEL;
}

// Keeps the steps as the file has them, for the library's way.
static tb_code keep_steps(tb_vocab_file *file, const json_t *model, const tb_json_steps *steps, tb_error *err)
{
    const json_t *root = file->tokenizer;
    if (steps->byte_level && file->vocab.byte_fallback && !has_all_bytes(file, true))
        return tb_fail(err, TB_EUNSUPPORTED, "byte_fallback beside ByteLevel is not supported");
    tb_code rc = check_steps(root, err);
    if (rc)
        return rc;
    flag_model_tokens(file, json_object_get(model, "vocab"));
    json_t *kept = json_pack("{s:O?, s:O?, s:O?, s:O?}", "normalizer", json_object_get(root, "normalizer"),
                             "pre_tokenizer", json_object_get(root, "pre_tokenizer"), "unk_token",
                             json_object_get(model, "unk_token"), "fuse_unk", json_object_get(model, "fuse_unk"));
    tb_str text = {0};
    if (kept && !json_dump_callback(kept, append, &text, JSON_COMPACT))
        file->vocab.steps = (tb_text){tb_arena_text(&file->arena, tb_str_get(&text), text.size), text.size};
    json_decref(kept);
    tb_str_clear(&text);
    return file->vocab.steps.data ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the tokenizer's steps");
}

static tb_code apply_steps(tb_vocab_file *file, const json_t *model, const tb_json_steps *steps, tb_error *err)
{
    tb_vocab *vocab = &file->vocab;
    const int32_t unk = vocab->unk;
    vocab->nfc = steps->nfc;
    vocab->add_space_prefix = steps->prefix;
    vocab->space_prefix_once = steps->prefix_once;
    vocab->space_prefix_missing = steps->prefix_missing;
    vocab->remove_extra_whitespaces = steps->squeeze;
    vocab->bos = steps->front;
    vocab->eos = steps->back;
    vocab->add_bos = steps->front >= 0;
    vocab->add_eos = steps->back >= 0;
    tb_vocab_file_apply_config(file);
    if (steps->front >= 0) // whatever the config calls BOS, this is what is put in front
        vocab->bos = steps->front;
    if (unk >= 0) // whatever the config calls unknown, this is what text becomes
        vocab->unk = unk;
    tb_code rc = tb_charsmap_decode(&vocab->charsmap, &file->arena, steps->charsmap, err);
    if (rc)
        return rc;
    if (!settings_suffice(file, model, steps))
        return keep_steps(file, model, steps, err);
    return vocab->model == TB_VOCAB_BPE ? set_pre(file, steps, err) : TB_OK;
}

tb_code tb_vocab_file_read_root(tb_vocab_file *file, tb_error *err)
{
    const json_t *model = json_object_get(file->tokenizer, "model");
    tb_text type = tb_json_get_text(json_object_get(model, "type"));
    if (type.size == 0 && json_object_get(model, "merges")) // files of old do not say it
        type = (tb_text){"BPE", 3};
    bool bpe = type.size == 3 && memcmp(type.data, "BPE", 3) == 0;
    if (!bpe && !(type.size == 7 && memcmp(type.data, "Unigram", 7) == 0))
        return tb_fail(err, TB_EUNSUPPORTED, "tokenizer model '%.*s' is not supported", shown(type), type.data);
    tb_json_steps steps;
    tb_code rc = tb_json_steps_read(&steps, file->tokenizer, &file->arena, err);
    if (rc)
        return rc;
    tb_vocab *vocab = &file->vocab;
    vocab->model = !bpe ? TB_VOCAB_UNIGRAM : steps.byte_level ? TB_VOCAB_BPE : TB_VOCAB_SPM;
    if (!bpe && steps.byte_level)
        return tb_fail(err, TB_EUNSUPPORTED, "a Unigram model over bytes is not supported");
    if (!steps.byte_level && !steps.marks)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "a tokenizer without ByteLevel and without '" TB_SPACE_MARK "' for spaces is not supported");
    vocab->pre = (tb_text){"default", 7};
    vocab->unk = vocab->eot = vocab->pad = -1;
    vocab->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    vocab->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    rc = bpe ? read_bpe(file, model, &steps, err) : read_unigram(file, model, err);
    if (!rc)
        rc = apply_steps(file, model, &steps, err);
    return rc ? rc : tb_vocab_file_finish(file, err);
}

tb_code tb_vocab_file_from_json(tb_vocab_file **out, tb_text tokenizer_json, tb_text config_json, tb_error *err)
{
    *out = NULL;
    tb_vocab_file *file;
    tb_code rc = tb_vocab_file_new(&file, err);
    if (rc)
        return rc;
    rc = tb_vocab_file_read_tokenizer(file, tokenizer_json, err);
    if (!rc)
        rc = tb_vocab_file_read_config(file, config_json, err);
    if (!rc)
        rc = tb_vocab_file_read_root(file, err);
    if (rc)
        tb_vocab_file_free(file);
    else
        *out = file;
    return rc;
}
