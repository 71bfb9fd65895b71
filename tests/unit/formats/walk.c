#include "walk.h"

#include <string.h>

static uint64_t walk_bytes(const void *bytes, size_t n)
{
    uint64_t sum = n;
    for (size_t i = 0; i < n; i++)
        sum = 31 * sum + ((const unsigned char *)bytes)[i];
    return sum;
}

static uint64_t walk_array(const tb_kv *kv)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < kv->value.array.count; i++) {
        if (kv->value.array.type == TB_KV_TEXT)
            sum += walk_bytes(kv->value.array.texts[i].data, kv->value.array.texts[i].size);
        else
            sum += (uint64_t)tb_kv_array_i64(kv, i) + (tb_kv_array_f64(kv, i) > 0);
    }
    return sum;
}

static uint64_t walk_matrix(const tb_checkpoint *checkpoint, const char *name)
{
    tb_matrix m;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    uint64_t sum = 0;
    if (tb_checkpoint_matrix(&m, checkpoint, name, NULL) || m.rows == 0)
        return 0;
    for (size_t i = tb_matrix_get_parts(parts, &m); i-- > 0;)
        sum += walk_bytes(parts[i].data, parts[i].bytes);
    return sum;
}

// The matrix that a key like "twobit.matrix.NAME" describes.
static uint64_t walk_described_matrix(const tb_checkpoint *checkpoint, const tb_kv *kv)
{
    static const char prefix[] = "twobit.matrix.";
    size_t skip = strlen(prefix);
    char name[256];
    if (kv->key.size < skip || kv->key.size - skip >= sizeof name || memcmp(kv->key.data, prefix, skip) != 0)
        return 0;
    memcpy(name, kv->key.data + skip, kv->key.size - skip);
    name[kv->key.size - skip] = '\0';
    return walk_matrix(checkpoint, name);
}

static uint64_t walk_kv(const tb_kv *kv)
{
    uint64_t sum = walk_bytes(kv->key.data, kv->key.size);
    if (kv->type == TB_KV_TEXT)
        sum += walk_bytes(kv->value.text.data, kv->value.text.size);
    else if (kv->type == TB_KV_ARRAY)
        sum += walk_array(kv);
    else
        sum += kv->value.u;
    return sum;
}

static uint64_t walk_tensor(const tb_checkpoint *checkpoint, const tb_tensor_info *tensor)
{
    uint64_t sum = walk_bytes(tensor->name.data, tensor->name.size + 1) + walk_bytes(tensor->data, tensor->bytes);
    sum += walk_matrix(checkpoint, tensor->name.data);
    return sum + (tb_checkpoint_tensor(checkpoint, tensor->name.data) != tensor);
}

uint64_t walk_checkpoint(const tb_checkpoint *checkpoint)
{
    uint64_t sum = tb_checkpoint_file_bytes(checkpoint);
    for (size_t i = 0; i < tb_checkpoint_kv_count(checkpoint); i++)
        sum += walk_kv(tb_checkpoint_kv_at(checkpoint, i)) +
               walk_described_matrix(checkpoint, tb_checkpoint_kv_at(checkpoint, i));
    for (size_t i = 0; i < tb_checkpoint_tensor_count(checkpoint); i++)
        sum += walk_tensor(checkpoint, tb_checkpoint_tensor_at(checkpoint, i));
    for (int i = 0; i < TB_HF_FILES; i++) {
        tb_text text = tb_checkpoint_hf_file(checkpoint, (tb_hf_file)i);
        sum += walk_bytes(text.data, text.size);
    }
    return sum;
}
