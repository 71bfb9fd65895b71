#include "vocab_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const tb_kv *find(const vocab_gguf *file, const char *name)
{
    char key[96];
    snprintf(key, sizeof key, "tokenizer.ggml.%s", name);
    return tb_checkpoint_find(file->checkpoint, key);
}

static size_t read_texts(tb_slice **out, const vocab_gguf *file, const char *name)
{
    const tb_kv *kv = find(file, name);
    size_t count = kv ? kv->value.array.count : 0;
    *out = tb_alloc_array(count, sizeof **out);
    for (size_t i = 0; i < count; i++)
        (*out)[i] = (tb_slice){kv->value.array.texts[i].data, kv->value.array.texts[i].size};
    return count;
}

static int32_t read_id(const vocab_gguf *file, const char *name, int32_t otherwise)
{
    const tb_kv *kv = find(file, name);
    return kv ? (int32_t)(uint32_t)kv->value.u : otherwise;
}

static bool read_bool(const vocab_gguf *file, const char *name, bool otherwise)
{
    const tb_kv *kv = find(file, name);
    return kv ? kv->value.u != 0 : otherwise;
}

static tb_slice read_text(const vocab_gguf *file, const char *name, const char *otherwise)
{
    const tb_kv *kv = find(file, name);
    return kv ? (tb_slice){kv->value.text.data, kv->value.text.size} : (tb_slice){otherwise, strlen(otherwise)};
}

static void read_arrays(vocab_gguf *file)
{
    tb_vocab *v = &file->vocab;
    v->size = read_texts(&file->tokens, file, "tokens");
    v->merge_count = read_texts(&file->merges, file, "merges");
    v->tokens = file->tokens;
    v->merges = file->merges;
    const tb_kv *scores = find(file, "scores"), *kinds = find(file, "token_type");
    if (scores) {
        file->scores = tb_alloc_array(v->size, sizeof *file->scores);
        for (size_t i = 0; i < v->size; i++)
            file->scores[i] = (float)tb_kv_array_f64(scores, i);
    }
    if (kinds) {
        file->kinds = tb_alloc_array(v->size, sizeof *file->kinds);
        for (size_t i = 0; i < v->size; i++)
            file->kinds[i] = (int32_t)tb_kv_array_i64(kinds, i);
    }
    v->scores = file->scores;
    v->kinds = file->kinds;
}

tb_code vocab_gguf_open(vocab_gguf *out, const char *path, tb_error *err)
{
    *out = (vocab_gguf){0};
    tb_code rc = tb_checkpoint_open(&out->checkpoint, path, err);
    if (rc)
        return rc;
    tb_vocab *v = &out->vocab;
    tb_slice model = read_text(out, "model", "");
    v->model = model.size == 4 && memcmp(model.data, "gpt2", 4) == 0 ? TB_VOCAB_BPE : TB_VOCAB_SPM;
    v->pre = read_text(out, "pre", "default");
    tb_vocab_set_defaults(v);
    read_arrays(out);
    v->bos = read_id(out, "bos_token_id", v->bos);
    v->eos = read_id(out, "eos_token_id", v->eos);
    v->unk = read_id(out, "unknown_token_id", v->unk);
    v->add_bos = read_bool(out, "add_bos_token", v->add_bos);
    v->add_space_prefix = read_bool(out, "add_space_prefix", v->add_space_prefix);
    return TB_OK;
}

void vocab_gguf_close(vocab_gguf *file)
{
    tb_free(file->tokens);
    tb_free(file->merges);
    tb_free(file->scores);
    tb_free(file->kinds);
    tb_checkpoint_close(file->checkpoint);
    *file = (vocab_gguf){0};
}

const char *shared_path(const char *name)
{
    static char path[4096];
    const char *folder = getenv("TWOBIT_SHARED");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : TEST_SOURCE_ROOT "/../shared", name);
    if (tb_path_exists(path))
        return path;
    printf("SKIPPED: '%s' is absent; set TWOBIT_SHARED to the folder with the shared data\n", path);
    return NULL;
}
