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
    {"twobit.tokenizer.space_prefix_over_user_defined", offsetof(tb_vocab, space_prefix_over_user_defined)},
    {"twobit.tokenizer.nfc", offsetof(tb_vocab, nfc)},
    {"twobit.tokenizer.byte_fallback", offsetof(tb_vocab, byte_fallback)},
    {"twobit.tokenizer.ignore_merges", offsetof(tb_vocab, ignore_merges)},
};

// What tokenizer.json does, where the other keys do not say it (tb_vocab.steps).
#define STEPS_KEY "twobit.tokenizer.steps"

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

static tb_code read_texts(const tb_text **out, size_t *count, tb_arena *arena, const tb_checkpoint *checkpoint,
                          const char *key, tb_error *err)
{
    const tb_kv *kv = NULL;
    tb_code rc = find_array(&kv, checkpoint, key, true, 0, err);
    if (rc || !kv)
        return rc;
    size_t n = kv->value.array.count;
    tb_text *texts = tb_arena_array(arena, n, sizeof *texts);
    if (!texts)
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", n);
    for (size_t i = 0; i < n; i++)
        texts[i] = (tb_text){kv->value.array.texts[i].data, kv->value.array.texts[i].size};
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

// Ids that end a turn besides eos and eot: lists, or one number.
static const char *const end_keys[] = {TB_KEY_END_IDS, "tokenizer.ggml.eos_token_ids", "tokenizer.ggml.eom_token_id"};

static int32_t id_of(int64_t number)
{
    return number >= 0 && number <= INT32_MAX ? (int32_t)number : -1;
}

static tb_code read_ends(tb_vocab *vocab, tb_arena *arena, const tb_checkpoint *checkpoint, tb_error *err)
{
    size_t most = 0;
    for (size_t i = 0; i < COUNT(end_keys); i++) {
        const tb_kv *kv = tb_checkpoint_find(checkpoint, end_keys[i]);
        if (kv && kv->type == TB_KV_ARRAY && kv->value.array.type == TB_KV_TEXT)
            return bad_key(err, checkpoint, end_keys[i], "is not a list of numbers");
        most += kv && kv->type == TB_KV_ARRAY ? kv->value.array.count : 1;
    }
    int32_t *ends = tb_arena_array(arena, most, sizeof *ends);
    if (!ends)
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", vocab->size);
    vocab->ends = ends;
    for (size_t i = 0; i < COUNT(end_keys); i++) {
        const tb_kv *kv = tb_checkpoint_find(checkpoint, end_keys[i]);
        if (kv && kv->type != TB_KV_ARRAY) {
            uint64_t id;
            tb_code rc = tb_checkpoint_get_u64(&id, checkpoint, end_keys[i], true, err);
            if (rc)
                return rc;
            ends[vocab->end_count++] = id_of(id <= INT32_MAX ? (int64_t)id : -1);
        }
        for (size_t k = 0; kv && kv->type == TB_KV_ARRAY && k < kv->value.array.count; k++)
            ends[vocab->end_count++] = id_of(tb_kv_array_i64(kv, k));
    }
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

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

// In any case of letters; `word` in small ones.
static bool text_holds(tb_text text, const char *word)
{
    for (size_t at = 0, n = strlen(word); at + n <= text.size; at++) {
        size_t same = 0;
        while (same < n && lower(text.data[at + same]) == word[same])
            same++;
        if (same == n)
            return true;
    }
    return false;
}

// Phi-3's special tokens swallow the white space behind them, all but three. GGUF has no key for it:
// readers go by the name of the model.
static tb_code add_phi3_flags(tb_vocab *vocab, tb_arena *arena, const tb_checkpoint *checkpoint, tb_error *err)
{
    static const char *const names[] = {"phi3", "phi-3", "phi 3"};
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    tb_text name = {0};
    bool is_phi3 = false;
    tb_code rc = tb_checkpoint_get_text(&name, checkpoint, "general.name", false, err);
    for (size_t i = 0; i < COUNT(names) && !rc; i++)
        is_phi3 = is_phi3 || text_holds(name, names[i]);
    if (rc || !is_phi3 || vocab->model != TB_VOCAB_SPM || vocab->flags)
        return rc;
    uint8_t *flags = tb_arena_array(arena, vocab->size, sizeof *flags);
    if (!flags)
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", vocab->size);
    memset(flags, TB_TOKEN_RSTRIP, vocab->size); // matters for special tokens only
    for (size_t id = 0; id < vocab->size; id++)
        for (size_t i = 0; i < COUNT(others); i++)
            if (tb_text_is(vocab->tokens[id], others[i]))
                flags[id] = 0;
    vocab->flags = flags;
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
    vocab->pre = pre;
    tb_vocab_set_defaults(vocab);
    rc = tb_checkpoint_get_text(&vocab->steps, checkpoint, STEPS_KEY, false, err);
    if (!rc)
        rc = read_numbers(vocab, arena, checkpoint, err);
    if (!rc)
        rc = add_phi3_flags(vocab, arena, checkpoint, err);
    if (!rc)
        rc = read_texts(&vocab->merges, &vocab->merge_count, arena, checkpoint, "tokenizer.ggml.merges", err);
    if (!rc)
        rc = read_ids(vocab, checkpoint, err);
    if (!rc)
        rc = read_ends(vocab, arena, checkpoint, err);
    for (size_t i = 0; i < COUNT(switch_keys) && !rc; i++)
        rc = tb_checkpoint_get_bool(switch_field(vocab, switch_keys[i].offset), checkpoint, switch_keys[i].key, false,
                                    err);
    const tb_kv *charsmap = NULL;
    if (!rc)
        rc = find_array(&charsmap, checkpoint, "tokenizer.ggml.precompiled_charsmap", false, 0, err);
    if (!rc && charsmap && (charsmap->value.array.type == TB_KV_U8 || charsmap->value.array.type == TB_KV_I8))
        vocab->charsmap = (tb_text){charsmap->value.array.data, charsmap->value.array.count};
    return rc;
}

// Leaves *out NULL when the metadata holds no vocabulary.
static tb_code from_metadata(tb_tokenizer **out, const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_text text = {"none", 4};
    tb_code rc = tb_checkpoint_get_text(&text, checkpoint, "tokenizer.ggml.model", false, err);
    tb_text name = {text.data, text.size};
    if (rc || tb_text_is(name, "none") || tb_text_is(name, "no_vocab"))
        return rc;
    size_t i = 0;
    while (i < COUNT(vocab_models) && !tb_text_is(name, vocab_models[i].name))
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

// ---- from a folder's files ----

static tb_text folder_file(const tb_checkpoint *checkpoint, tb_hf_file which)
{
    return tb_checkpoint_hf_file(checkpoint, which);
}

// *out is NULL when the folder has no tokenizer.
static tb_code open_files(tb_vocab_file **out, const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_text json = folder_file(checkpoint, TB_HF_TOKENIZER_JSON), spm = folder_file(checkpoint, TB_HF_TOKENIZER_MODEL);
    tb_text config = folder_file(checkpoint, TB_HF_TOKENIZER_CONFIG);
    tb_text vocab = folder_file(checkpoint, TB_HF_VOCAB_JSON), merges = folder_file(checkpoint, TB_HF_MERGES);
    tb_code rc = TB_OK;
    *out = NULL;
    if (json.data)
        rc = tb_vocab_file_from_json(out, json, config, err);
    else if (spm.data)
        rc = tb_vocab_file_from_sentencepiece(out, spm, config, err);
    else if (vocab.data && merges.data)
        rc = tb_vocab_file_from_merges(out, vocab, merges, config, err);
    return rc ? tb_fail_context(err, rc, "'%s'", tb_checkpoint_path(checkpoint)) : TB_OK;
}

// Ids that the files do not name come from config.json and generation_config.json.
static tb_code complete_ids(tb_vocab *vocab, tb_arena *arena, const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_vocab named = {.size = vocab->size, .bos = -1, .eos = -1, .unk = -1, .eot = -1, .pad = -1};
    tb_code rc = read_ids(&named, checkpoint, err);
    for (size_t i = 0; i < COUNT(id_keys) && !rc; i++)
        if (*id_field(vocab, id_keys[i].offset) < 0)
            *id_field(vocab, id_keys[i].offset) = *id_field(&named, id_keys[i].offset);
    return rc ? rc : read_ends(vocab, arena, checkpoint, err);
}

// The vocabulary of a folder's files. *file keeps what it borrows, as does the arena; NULL: there is no vocabulary.
static tb_code read_folder(tb_vocab *out, tb_vocab_file **file, tb_arena *arena, const tb_checkpoint *checkpoint,
                           tb_error *err)
{
    tb_code rc = open_files(file, checkpoint, err);
    if (rc || !*file)
        return rc;
    const tb_tensor_info *embedding = tb_checkpoint_tensor(checkpoint, "token_embd.weight");
    if (embedding)
        rc = tb_vocab_file_pad(*file, (size_t)embedding->dims[1], err);
    *out = *tb_vocab_file_get(*file);
    return rc ? rc : complete_ids(out, arena, checkpoint, err);
}

static tb_code from_files(tb_tokenizer **out, const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_vocab_file *file;
    tb_vocab vocab;
    tb_arena arena = {0};
    tb_code rc = read_folder(&vocab, &file, &arena, checkpoint, err);
    if (!rc && file)
        rc = tb_tokenizer_new(out, &vocab, err);
    tb_vocab_file_free(file);
    tb_arena_clear(&arena);
    return rc;
}

tb_code tb_model_load_tokenizer(tb_tokenizer **out, const tb_checkpoint *checkpoint, tb_error *err)
{
    *out = NULL;
    return tb_checkpoint_is_gguf(checkpoint) ? from_metadata(out, checkpoint, err) : from_files(out, checkpoint, err);
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

static bool is_template_key(tb_text key)
{
    static const char prefix[] = "tokenizer.chat_template";
    return key.size >= strlen(prefix) && memcmp(key.data, prefix, strlen(prefix)) == 0;
}

static tb_code write_texts(tb_gguf_writer *w, const char *key, const tb_text *texts, size_t n, tb_error *err)
{
    tb_text *list = tb_alloc_array(n, sizeof *list);
    if (!list)
        return tb_fail(err, TB_ENOMEM, "no memory for a vocabulary of %zu tokens", n);
    for (size_t i = 0; i < n; i++)
        list[i] = (tb_text){texts[i].data, texts[i].size};
    tb_code rc = tb_gguf_writer_add_texts(w, key, list, n, err);
    tb_free(list);
    return rc;
}

static tb_code write_bytes(tb_gguf_writer *w, const char *key, const void *bytes, size_t n, tb_error *err)
{
    tb_kv kv = {.key = {key, strlen(key)}, .type = TB_KV_ARRAY};
    kv.value.array.type = TB_KV_U8;
    kv.value.array.count = n;
    kv.value.array.data = bytes;
    return tb_gguf_writer_add_kv(w, &kv, err);
}

static tb_code write_lists(tb_gguf_writer *w, const tb_vocab *v, tb_error *err)
{
    tb_code rc = write_texts(w, "tokenizer.ggml.tokens", v->tokens, v->size, err);
    if (!rc && v->scores)
        rc = tb_gguf_writer_add_f32s(w, "tokenizer.ggml.scores", v->scores, v->size, err);
    if (!rc && v->kinds)
        rc = tb_gguf_writer_add_i32s(w, "tokenizer.ggml.token_type", v->kinds, v->size, err);
    if (!rc && v->flags)
        rc = write_bytes(w, "twobit.tokenizer.token_flags", v->flags, v->size, err);
    if (!rc && v->end_count)
        rc = tb_gguf_writer_add_i32s(w, TB_KEY_END_IDS, v->ends, v->end_count, err);
    if (!rc && v->merge_count)
        rc = write_texts(w, "tokenizer.ggml.merges", v->merges, v->merge_count, err);
    if (!rc && v->charsmap.size)
        rc = write_bytes(w, "tokenizer.ggml.precompiled_charsmap", v->charsmap.data, v->charsmap.size, err);
    return rc;
}

static tb_code write_vocab(tb_gguf_writer *w, tb_vocab *v, tb_error *err)
{
    size_t row = 0;
    while (vocab_models[row].model != v->model)
        row++;
    tb_text name = {vocab_models[row].name, strlen(vocab_models[row].name)};
    tb_code rc = tb_gguf_writer_add_text(w, "tokenizer.ggml.model", name, err);
    if (!rc && v->pre.size)
        rc = tb_gguf_writer_add_text(w, "tokenizer.ggml.pre", v->pre, err);
    if (!rc && v->steps.size)
        rc = tb_gguf_writer_add_text(w, STEPS_KEY, v->steps, err);
    if (!rc)
        rc = write_lists(w, v, err);
    for (size_t i = 0; i < COUNT(id_keys) && !rc; i++) // absent ids too, so that no reader's default stands in
        rc = tb_gguf_writer_add_u32(w, id_keys[i].key, (uint32_t)*id_field(v, id_keys[i].offset), err);
    for (size_t i = 0; i < COUNT(switch_keys) && !rc; i++)
        rc = tb_gguf_writer_add_bool(w, switch_keys[i].key, *switch_field(v, switch_keys[i].offset), err);
    return rc;
}

tb_code tb_model_write_tokenizer(tb_gguf_writer *w, const tb_checkpoint *checkpoint, tb_error *err)
{
    if (tb_checkpoint_is_gguf(checkpoint))
        return copy_keys(w, checkpoint, tb_is_tokenizer_key, err);
    tb_vocab_file *file;
    tb_vocab vocab;
    tb_arena arena = {0};
    tb_code rc = read_folder(&vocab, &file, &arena, checkpoint, err);
    if (!rc && file)
        rc = write_vocab(w, &vocab, err);
    tb_vocab_file_free(file);
    tb_arena_clear(&arena);
    return rc ? rc : copy_keys(w, checkpoint, is_template_key, err);
}
