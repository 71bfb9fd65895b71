// The fingerprint of a checkpoint: SHA-256 over the files that hold its tensors and its tokenizer, and
// over the metadata that was translated from other files.
#include "formats/checkpoint.h"

// Single values; lists lie in the hashed files.
static void add_kv(tb_hash *hash, const tb_kv *kv)
{
    unsigned char type = (unsigned char)kv->type;
    tb_hash_update(hash, kv->key.data, kv->key.size);
    tb_hash_update(hash, &type, 1);
    if (kv->type == TB_KV_TEXT)
        tb_hash_update(hash, kv->value.text.data, kv->value.text.size);
    else if (kv->type == TB_KV_F32 || kv->type == TB_KV_F64)
        tb_hash_update(hash, &kv->value.f, sizeof kv->value.f);
    else if (kv->type != TB_KV_ARRAY)
        tb_hash_update(hash, &kv->value.u, sizeof kv->value.u);
}

static void add_map(tb_hash *hash, const tb_map *map)
{
    uint64_t size = map->size; // so that bytes cannot move from one file to the next unnoticed
    tb_hash_update(hash, &size, sizeof size);
    if (map->size)
        tb_hash_update(hash, map->data, map->size);
}

tb_code tb_checkpoint_fingerprint(char out[65], const tb_checkpoint *checkpoint, tb_error *err)
{
    tb_hash *hash = tb_hash_new();
    if (!hash)
        return tb_checkpoint_no_memory(checkpoint, err);
    for (size_t i = 0; i < checkpoint->map_count; i++)
        add_map(hash, &checkpoint->maps[i]);
    for (size_t i = 0; i < TB_HF_FILES; i++)
        add_map(hash, &checkpoint->hf_files[i]);
    for (size_t i = 0; i < checkpoint->kv_count; i++)
        add_kv(hash, &checkpoint->kvs[i]);
    tb_hash_hex(hash, out);
    tb_hash_free(hash);
    return TB_OK;
}
