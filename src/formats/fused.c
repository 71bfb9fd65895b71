// Fused matrices as their parts. Phi-3 has the rows of queries, keys and values in one matrix, and those of gate and up
// in another; llama.cpp's converter can fuse the former for every family. Rows are whole numbers of units and lie one
// behind the other, so that a part is a piece of the bytes. Whoever reads the checkpoint sees the parts only: they are
// computed, measured and quantized as in any other family, and written so.
#include "formats/checkpoint.h"

#include <stdio.h>
#include <string.h>

enum { MOST_PARTS = 3 };

// Rows of the parts, in the order in which they lie.
typedef struct part {
    const char *stem;
    uint64_t rows;
} part;

typedef struct fusion {
    const char *stem; // of the whole
    size_t count;
    part parts[MOST_PARTS];
} fusion;

static uint64_t read_number(const tb_checkpoint *checkpoint, tb_text arch, const char *name, uint64_t absent)
{
    char key[128];
    uint64_t value = absent;
    snprintf(key, sizeof key, "%.*s.%s", (int)(arch.size < 64 ? arch.size : 64), arch.data, name);
    const tb_kv *kv = tb_checkpoint_find(checkpoint, key);
    bool listed = kv && kv->type == TB_KV_ARRAY && kv->value.array.type != TB_KV_TEXT && kv->value.array.count;
    if (listed) // with a number for every layer; where they differ, the model is refused later
        return (uint64_t)tb_kv_array_i64(kv, 0);
    return tb_checkpoint_get_u64(&value, checkpoint, key, false, NULL) ? absent : value;
}

// What the metadata says of the sizes. Senseless ones match no tensor.
static void read_fusions(fusion out[2], const tb_checkpoint *checkpoint, tb_text arch)
{
    uint64_t heads = read_number(checkpoint, arch, "attention.head_count", 0);
    uint64_t kv_heads = read_number(checkpoint, arch, "attention.head_count_kv", heads);
    uint64_t width = read_number(checkpoint, arch, "embedding_length", 0);
    uint64_t head_size = read_number(checkpoint, arch, "attention.key_length", heads ? width / heads : 0);
    uint64_t ffn = read_number(checkpoint, arch, "feed_forward_length", 0);
    out[0] =
        (fusion){"attn_qkv",
                 3,
                 {{"attn_q", heads * head_size}, {"attn_k", kv_heads * head_size}, {"attn_v", kv_heads * head_size}}};
    out[1] = (fusion){"ffn_up", 2, {{"ffn_gate", ffn}, {"ffn_up", ffn}}};
}

// Whether a tensor "blk.N.STEM.weight" or ".bias" is that whole; *ending is then ".weight" or ".bias", *block the
// digits.
static bool is_whole(int *block_end, const char **ending, const fusion *f, const tb_tensor_info *tensor)
{
    static const char prefix[] = "blk.";
    const char *name = tensor->name.data, *digits = name + strlen(prefix);
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return false;
    size_t size = strspn(digits, "0123456789"), stem = strlen(f->stem);
    const char *rest = digits + size;
    if (size == 0 || rest[0] != '.' || strncmp(rest + 1, f->stem, stem) != 0)
        return false;
    *block_end = (int)(rest - name);
    *ending = rest + 1 + stem;
    bool weight = strcmp(*ending, ".weight") == 0 && tensor->dim_count == 2;
    bool bias =
        strcmp(*ending, ".bias") == 0 && tensor->dim_count == 1 && tb_type_traits_get(tensor->type)->unit_size == 1;
    uint64_t rows = 0, found = weight ? tensor->dims[1] : tensor->dims[0];
    for (size_t i = 0; i < f->count; i++) {
        if (f->parts[i].rows == 0 || f->parts[i].rows > found - rows)
            return false;
        rows += f->parts[i].rows;
    }
    return (weight || bias) && rows == found;
}

// Writes the parts of a whole to out[].
static tb_code add_parts(tb_tensor_info *out, tb_checkpoint *checkpoint, const fusion *f, const tb_tensor_info *whole,
                         int block_end, const char *ending, tb_error *err)
{
    const char *data = whole->data;
    size_t row_dim = whole->dim_count - 1, row_bytes = whole->bytes / (size_t)whole->dims[row_dim];
    for (size_t i = 0; i < f->count; i++) {
        char name[96];
        int size = snprintf(name, sizeof name, "%.*s.%s%s", block_end, whole->name.data, f->parts[i].stem, ending);
        const char *copy = tb_arena_text(&checkpoint->arena, name, (size_t)size);
        if (!copy)
            return tb_checkpoint_no_memory(checkpoint, err);
        out[i] = *whole;
        out[i].name = (tb_text){copy, (size_t)size};
        out[i].dims[row_dim] = f->parts[i].rows;
        out[i].data = data;
        out[i].bytes = (size_t)f->parts[i].rows * row_bytes;
        data += out[i].bytes;
    }
    return TB_OK;
}

tb_code tb_checkpoint_part_fused(tb_checkpoint *checkpoint, tb_error *err)
{
    tb_text arch = {0};
    fusion fusions[2];
    size_t room;
    const tb_kv *kv = tb_checkpoint_find(checkpoint, "general.architecture");
    if (kv && kv->type == TB_KV_TEXT)
        arch = kv->value.text;
    read_fusions(fusions, checkpoint, arch);
    if (!tb_mul_size(&room, checkpoint->tensor_count, MOST_PARTS))
        return tb_checkpoint_no_memory(checkpoint, err);
    tb_tensor_info *all = tb_arena_array(&checkpoint->arena, room, sizeof *all);
    if (!all)
        return tb_checkpoint_no_memory(checkpoint, err);
    size_t count = 0;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < checkpoint->tensor_count && !rc; i++) {
        const tb_tensor_info *tensor = &checkpoint->tensors[i];
        const char *ending;
        int block_end;
        size_t f = 0;
        while (f < 2 && !is_whole(&block_end, &ending, &fusions[f], tensor))
            f++;
        if (f == 2) {
            all[count++] = *tensor;
            continue;
        }
        rc = add_parts(all + count, checkpoint, &fusions[f], tensor, block_end, ending, err);
        count += fusions[f].count;
    }
    checkpoint->tensors = all;
    checkpoint->tensor_count = count;
    return rc;
}
