// The fingerprint of a checkpoint: SHA-256 over the files that hold its tensors and its
// tokenizer, and over what was translated from other files: metadata, RoPE factors, and which tensors are used.
#include "formats/checkpoint.h"

#include <string.h>

// Every piece goes in with its size, so that bytes cannot move from one to the next unnoticed.
static void add_bytes(tb_hash *hash, const void *bytes, size_t n)
{
    uint64_t size = n;
    tb_hash_update(hash, &size, sizeof size);
    if (n)
        tb_hash_update(hash, bytes, n);
}

static void add_array(tb_hash *hash, const tb_kv *kv)
{
    size_t count = kv->value.array.count;
    if (kv->value.array.type != TB_KV_TEXT)
        add_bytes(hash, kv->value.array.data, count * tb_kv_type_bytes(kv->value.array.type));
    else
        for (size_t i = 0; i < count; i++)
            add_bytes(hash, kv->value.array.texts[i].data, kv->value.array.texts[i].size);
}

static void add_kv(tb_hash *hash, const tb_kv *kv)
{
    uint32_t type = (uint32_t)kv->type;
    add_bytes(hash, kv->key.data, kv->key.size);
    add_bytes(hash, &type, sizeof type);
    if (kv->type == TB_KV_TEXT)
        add_bytes(hash, kv->value.text.data, kv->value.text.size);
    else if (kv->type == TB_KV_ARRAY)
        add_array(hash, kv);
    else
        add_bytes(hash, &kv->value.u, sizeof kv->value.u); // the same 8 bytes for every scalar
}

static void add_tensor(tb_hash *hash, const tb_tensor_info *tensor)
{
    static const char factors[] = "rope_factors_"; // of a folder they lie in its config.json
    uint32_t type = (uint32_t)tensor->type;
    add_bytes(hash, tensor->name.data, tensor->name.size);
    add_bytes(hash, &type, sizeof type);
    add_bytes(hash, tensor->dims, sizeof tensor->dims);
    if (strncmp(tensor->name.data, factors, strlen(factors)) == 0)
        add_bytes(hash, tensor->data, tensor->bytes);
}

tb_code tb_checkpoint_fingerprint(char out[65], const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_checkpoint_no_memory(checkpoint, err);
    for (size_t i = 0; i < checkpoint->map_count; i++)
        add_bytes(hash, checkpoint->maps[i].data, checkpoint->maps[i].size);
    for (tb_hf_file which = 0; which < TB_HF_FILES; which++) {
        tb_text text = tb_checkpoint_hf_file(checkpoint, which);
        if (text.size || which < TB_HF_VOCAB_JSON) // a run goes on that began before these two were read
            add_bytes(hash, text.data, text.size);
    }
    for (size_t i = 0; i < checkpoint->kv_count; i++)
        add_kv(hash, &checkpoint->kvs[i]);
    for (size_t i = 0; i < checkpoint->tensor_count; i++)
        add_tensor(hash, &checkpoint->tensors[i]);
    tb_hash_hex(hash, out);
    tb_hash_free(hash);
    return TB_OK;
}
