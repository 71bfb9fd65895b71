// Vocabularies between containers: from GGUF metadata or the files of a Hugging Face folder
// to a tokenizer, and back into the metadata of a file that twobit writes. Settings for
// which GGUF has no key are kept under twobit.tokenizer.* .
#include "model/model.h"

#include <stddef.h>
#include <string.h>

// ---- keys ----

static const struct {
    const char *name;
    tb_vocab_model model;
} vocab_models[] = {
    {"llama", TB_VOCAB_SPM},
    {"t5", TB_VOCAB_UNIGRAM},
    {"gpt2", TB_VOCAB_BPE},
};

static const struct {
    const char *key;
    size_t offset; // of the int32_t in tb_vocab
} id_keys[] = {
    {"tokenizer.ggml.bos_token_id", offsetof(tb_vocab, bos)},
    {"tokenizer.ggml.eos_token_id", offsetof(tb_vocab, eos)},
    {"tokenizer.ggml.unknown_token_id", offsetof(tb_vocab, unk)},
    {"tokenizer.ggml.eot_token_id", offsetof(tb_vocab, eot)},
    {"tokenizer.ggml.padding_token_id", offsetof(tb_vocab, pad)},
};

static const struct {
    const char *key;
    size_t offset; // of the bool in tb_vocab
} switch_keys[] = {
    {"tokenizer.ggml.add_bos_token", offsetof(tb_vocab, add_bos)},
    {"tokenizer.ggml.add_eos_token", offsetof(tb_vocab, add_eos)},
    {"tokenizer.ggml.add_space_prefix", offsetof(tb_vocab, add_space_prefix)},
    {"tokenizer.ggml.remove_extra_whitespaces", offsetof(tb_vocab, remove_extra_whitespaces)},
    {"twobit.tokenizer.space_prefix_once", offsetof(tb_vocab, space_prefix_once)},
    {"twobit.tokenizer.space_prefix_missing", offsetof(tb_vocab, space_prefix_missing)},
    {"twobit.tokenizer.nfc", offsetof(tb_vocab, nfc)},
    {"twobit.tokenizer.byte_fallback", offsetof(tb_vocab, byte_fallback)},
    {"twobit.tokenizer.ignore_merges", offsetof(tb_vocab, ignore_merges)},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static int32_t *id_field(tb_vocab *vocab, size_t offset)
{
    return (int32_t *)((char *)vocab + offset);
}

static bool *switch_field(tb_vocab *vocab, size_t offset)
{
    return (bool *)((char *)vocab + offset);
}

// ---- from metadata ----

static tb_code bad_key(tb_error *err, const tb_checkpoint *checkpoint, const char *key, const char *what)
{
    return tb_fail(err, TB_EFORMAT, "'%s' of '%s' %s", key, tb_checkpoint_path(checkpoint), what);
}

// An array under `key` with elements of texts (or of numbers) and, unless `count` is 0, so many
// of them. *out stays NULL when the key is absent.
static tb_code find_array(const tb_kv **out, const tb_checkpoint *checkpoint, const char *key, bool texts, size_t count,
                          tb_error *err)
{
    const tb_kv *kv = tb_checkpoint_find(checkpoint, key);
    if (!kv)
        return TB_OK;
    if (kv->type != TB_KV_ARRAY || (kv->value.array.type == TB_KV_TEXT) != texts)
        return bad_key(err, checkpoint, key, texts ? "is not a list of texts" : "is not a list of numbers");
    if (count && kv->value.array.count != count)
        return bad_key(err, checkpoint, key, "does not have one element per token");
    *out = kv;
    return TB_OK;
}

static tb_code read_texts(const tb_slice **out, size_t *count, tb_arena *arena, const tb_checkpoint *checkpoint,
                          const char *key, tb_error *err)
{
    const tb_kv *kv = NULL;
    tb_code rc = find_array(&kv, checkpoint, key, true, 0, err);
    if (rc || !kv)
        return rc;
    size_t n = kv->value.array.count;
    tb_slice *texts = tb_arena_array(arena, n, sizeof *texts);
    if (!texts)
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", n);
    for (size_t i = 0; i < n; i++)
        texts[i] = (tb_slice){kv->value.array.texts[i].data, kv->value.array.texts[i].size};
    *out = texts;
    *count = n;
    return TB_OK;
}

static tb_code read_numbers(tb_vocab *vocab, tb_arena *arena, const tb_checkpoint *checkpoint, tb_error *err)
{
    const tb_kv *scores = NULL, *kinds = NULL, *flags = NULL;
    size_t n = vocab->size;
    tb_code rc = find_array(&scores, checkpoint, "tokenizer.ggml.scores", false, n, err);
    if (!rc)
        rc = find_array(&kinds, checkpoint, "tokenizer.ggml.token_type", false, n, err);
    if (!rc)
        rc = find_array(&flags, checkpoint, "twobit.tokenizer.token_flags", false, n, err);
    if (rc)
        return rc;
    float *score_list = tb_arena_array(arena, scores ? n : 0, sizeof *score_list);
    int32_t *kind_list = tb_arena_array(arena, kinds ? n : 0, sizeof *kind_list);
    uint8_t *flag_list = tb_arena_array(arena, flags ? n : 0, sizeof *flag_list);
    if (!score_list || !kind_list || !flag_list)
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", n);
    for (size_t i = 0; i < n; i++) {
        if (scores)
            score_list[i] = (float)tb_kv_array_f64(scores, i);
        if (kinds)
            kind_list[i] = (int32_t)tb_kv_array_i64(kinds, i);
        if (flags)
            flag_list[i] = (uint8_t)tb_kv_array_i64(flags, i);
    }
    vocab->scores = scores ? score_list : NULL;
    vocab->kinds = kinds ? kind_list : NULL;
    vocab->flags = flags ? flag_list : NULL;
    return TB_OK;
}

// Ids that lie outside mean that there is no such token: writers say so with 2^32 − 1.
static tb_code read_ids(tb_vocab *vocab, const tb_checkpoint *checkpoint, tb_error *err)
{
    for (size_t i = 0; i < COUNT(id_keys); i++) {
        uint64_t id = UINT64_MAX;
        tb_code rc = tb_checkpoint_get_u64(&id, checkpoint, id_keys[i].key, false, err);
        if (rc)
            return rc;
        if (tb_checkpoint_find(checkpoint, id_keys[i].key))
            *id_field(vocab, id_keys[i].offset) = id < vocab->size ? (int32_t)id : -1;
    }
    return TB_OK;
}

static tb_code read_vocab(tb_vocab *vocab, tb_arena *arena, const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_text pre = {0};
    tb_code rc = read_texts(&vocab->tokens, &vocab->size, arena, checkpoint, "tokenizer.ggml.tokens", err);
    if (!rc && (vocab->size == 0 || vocab->size > INT32_MAX))
        rc = bad_key(err, checkpoint, "tokenizer.ggml.tokens", "is missing, empty or too long");
    if (!rc)
        rc = tb_checkpoint_get_text(&pre, checkpoint, "tokenizer.ggml.pre", false, err);
    if (rc)
        return rc;
    vocab->pre = (tb_slice){pre.data, pre.size};
    tb_vocab_set_defaults(vocab);

    rc = read_numbers(vocab, arena, checkpoint, err);
    if (!rc)
        rc = read_texts(&vocab->merges, &vocab->merge_count, arena, checkpoint, "tokenizer.ggml.merges", err);
    if (!rc)
        rc = read_ids(vocab, checkpoint, err);
    for (size_t i = 0; i < COUNT(switch_keys) && !rc; i++)
        rc = tb_checkpoint_get_bool(switch_field(vocab, switch_keys[i].offset), checkpoint, switch_keys[i].key, false,
                                    err);
    const tb_kv *charsmap = NULL;
    if (!rc)
        rc = find_array(&charsmap, checkpoint, "tokenizer.ggml.precompiled_charsmap", false, 0, err);
    if (!rc && charsmap && (charsmap->value.array.type == TB_KV_U8 || charsmap->value.array.type == TB_KV_I8))
        vocab->charsmap = (tb_slice){charsmap->value.array.data, charsmap->value.array.count};
    return rc;
}

static bool slice_is(tb_slice slice, const char *word)
{
    return slice.size == strlen(word) && memcmp(slice.data, word, slice.size) == 0;
}

// Leaves *out NULL when the metadata holds no vocabulary.
static tb_code from_metadata(tb_tokenizer **out, const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_text text = {"none", 4};
    tb_code rc = tb_checkpoint_get_text(&text, checkpoint, "tokenizer.ggml.model", false, err);
    tb_slice name = {text.data, text.size};
    if (rc || slice_is(name, "none") || slice_is(name, "no_vocab"))
        return rc;
    size_t i = 0;
    while (i < COUNT(vocab_models) && !slice_is(name, vocab_models[i].name))
        i++;
    if (i == COUNT(vocab_models))
        return tb_fail(err, TB_EUNSUPPORTED, "tokenizer '%.*s' of '%s' is not known (known: llama, t5, gpt2)",
                       (int)(name.size < 64 ? name.size : 64), name.data, tb_checkpoint_path(checkpoint));
    tb_arena arena = {0};
    tb_vocab vocab = {.model = vocab_models[i].model};
    rc = read_vocab(&vocab, &arena, checkpoint, err);
    if (!rc)
        rc = tb_tokenizer_new(out, &vocab, err);
    tb_arena_clear(&arena);
    return rc;
}

tb_code tb_model_load_tokenizer(tb_tokenizer **out, const tb_checkpoint *checkpoint, tb_error *err)
{
    *out = NULL;
    return from_metadata(out, checkpoint, err);
}

// ---- into metadata ----

bool tb_is_tokenizer_key(tb_text key)
{
    static const char *const prefixes[] = {"tokenizer.", "twobit.tokenizer."};
    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (key.size > strlen(prefixes[i]) && memcmp(key.data, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

// Keys starting with `prefix`, as they are.
static tb_code copy_keys(tb_gguf_writer *w, const tb_checkpoint *checkpoint, bool (*wanted)(tb_text), tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < tb_checkpoint_kv_count(checkpoint) && !rc; i++)
        if (wanted(tb_checkpoint_kv_at(checkpoint, i)->key))
            rc = tb_gguf_writer_add_kv(w, tb_checkpoint_kv_at(checkpoint, i), err);
    return rc;
}

tb_code tb_model_write_tokenizer(tb_gguf_writer *w, const tb_checkpoint *checkpoint, tb_error *err)
{
    return copy_keys(w, checkpoint, tb_is_tokenizer_key, err);
}
