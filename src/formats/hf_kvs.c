// Metadata that a folder's files are translated into: entries added one by one, all in the checkpoint's arena.
#include "formats/hf.h"

#include <assert.h>
#include <string.h>

// Room for all metadata a folder may give: twobit chooses the keys, not the folder.
#define MOST_KVS 64

tb_kv *tb_hf_new_kv(tb_checkpoint *checkpoint, const char *key)
{
    if (!checkpoint->kvs)
        checkpoint->kvs = tb_arena_array(&checkpoint->arena, MOST_KVS, sizeof checkpoint->kvs[0]);
    const char *copy = tb_arena_text(&checkpoint->arena, key, strlen(key));
    if (!checkpoint->kvs || !copy)
        return NULL;
    assert(checkpoint->kv_count < MOST_KVS);
    tb_kv *kv = &checkpoint->kvs[checkpoint->kv_count++];
    kv->key = (tb_text){copy, strlen(key)};
    return kv;
}

tb_code tb_hf_add_text(tb_checkpoint *checkpoint, const char *key, tb_text value, tb_error *err)
{
    const char *copy = tb_arena_text(&checkpoint->arena, value.data, value.size);
    tb_kv *kv = copy ? tb_hf_new_kv(checkpoint, key) : NULL;
    if (!kv)
        return tb_checkpoint_no_memory(checkpoint, err);
    kv->type = TB_KV_TEXT;
    kv->value.text = (tb_text){copy, value.size};
    return TB_OK;
}

tb_code tb_hf_add_u32(tb_checkpoint *checkpoint, const char *key, uint32_t value, tb_error *err)
{
    tb_kv *kv = tb_hf_new_kv(checkpoint, key);
    if (!kv)
        return tb_checkpoint_no_memory(checkpoint, err);
    kv->type = TB_KV_U32;
    kv->value.u = value;
    return TB_OK;
}

tb_code tb_hf_add_u32s(tb_checkpoint *checkpoint, const char *key, const uint32_t *values, size_t n, tb_error *err)
{
    uint32_t *copy = tb_arena_array(&checkpoint->arena, n, sizeof *copy);
    tb_kv *kv = copy ? tb_hf_new_kv(checkpoint, key) : NULL;
    if (!kv)
        return tb_checkpoint_no_memory(checkpoint, err);
    memcpy(copy, values, n * sizeof *copy);
    kv->type = TB_KV_ARRAY;
    kv->value.array.type = TB_KV_U32;
    kv->value.array.count = n;
    kv->value.array.data = copy;
    kv->value.array.texts = NULL;
    return TB_OK;
}
