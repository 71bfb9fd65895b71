// Fused matrices as their parts. Phi-3 has the rows of queries, keys and values in one matrix, and those of gate and up
// in another; llama.cpp's converter can fuse the former for every family. Mixtures have the matrices of all experts
// in one tensor, "ffn_up_exps", of which expert 7 becomes "ffn_up.7". Rows are whole numbers of units and lie one
// behind the other, so that a part is a piece of the bytes. Whoever reads the checkpoint sees the parts only: they are
// computed, measured and quantized as in any other family, and written so.
#include "formats/checkpoint.h"

#include <stdio.h>
#include <string.h>

enum {
    MOST_PARTS = 3,
    MOST_STACKED = 1024, // above any mixture; a longer stack stays whole, and no model uses it
};

// Parts in the order in which they lie.
typedef struct part {
    const char *stem;
    uint64_t rows; // 0: an equal share of the rows
} part;

typedef struct fusion {
    const char *stem; // of the whole
    bool stacked;     // the same parts for each expert, one behind the other
    size_t count;
    part parts[MOST_PARTS];
} fusion;

static const fusion stacks[] = {
    {"ffn_gate_exps", true, 1, {{"ffn_gate", 0}}},
    {"ffn_up_exps", true, 1, {{"ffn_up", 0}}},
    {"ffn_down_exps", true, 1, {{"ffn_down", 0}}},
    {"ffn_gate_up_exps", true, 2, {{"ffn_gate", 0}, {"ffn_up", 0}}},
};

enum { STACKS = sizeof stacks / sizeof stacks[0], FUSIONS = STACKS + 2 };

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
static void read_fusions(fusion out[FUSIONS], const tb_checkpoint *checkpoint, tb_text arch)
{
    uint64_t heads = read_number(checkpoint, arch, "attention.head_count", 0);
    uint64_t kv_heads = read_number(checkpoint, arch, "attention.head_count_kv", heads);
    uint64_t width = read_number(checkpoint, arch, "embedding_length", 0);
    uint64_t head_size = read_number(checkpoint, arch, "attention.key_length", heads ? width / heads : 0);
    uint64_t ffn = read_number(checkpoint, arch, "feed_forward_length", 0);
    uint64_t queries = heads * head_size, keys = kv_heads * head_size;
    memcpy(out, stacks, sizeof stacks);
    out[STACKS] = (fusion){"attn_qkv", false, 3, {{"attn_q", queries}, {"attn_k", keys}, {"attn_v", keys}}};
    out[STACKS + 1] = (fusion){"ffn_up", false, 2, {{"ffn_gate", ffn}, {"ffn_up", ffn}}};
    for (size_t i = STACKS; i < FUSIONS; i++)
        for (size_t k = 0; k < out[i].count; k++)
            if (out[i].parts[k].rows == 0)
                out[i].count = 0;
}

// How a tensor comes apart.
typedef struct split {
    const fusion *fusion;
    const char *ending; // of the name: ".weight" or ".bias"
    int block_end;      // characters of "blk.N"
    unsigned row_dim;   // which dimension the rows are
    size_t stacked;     // experts; 1 where it is no stack
} split;

// Whether the rows of a whole are those of its parts.
static bool rows_match(const fusion *f, uint64_t found)
{
    uint64_t rows = 0;
    if (f->count == 0 || f->parts[0].rows == 0)
        return f->count && found % f->count == 0;
    for (size_t i = 0; i < f->count; i++) {
        if (f->parts[i].rows > found - rows)
            return false;
        rows += f->parts[i].rows;
    }
    return rows == found;
}

// Whether a tensor "blk.N.STEM.weight" or ".bias" is that whole.
static bool is_whole(split *out, const fusion *f, const tb_tensor_info *tensor)
{
    static const char prefix[] = "blk.";
    const char *name = tensor->name.data, *digits = name + strlen(prefix);
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return false;
    size_t size = strspn(digits, "0123456789"), stem = strlen(f->stem);
    const char *rest = digits + size;
    if (size == 0 || rest[0] != '.' || strncmp(rest + 1, f->stem, stem) != 0)
        return false;
    *out = (split){.fusion = f, .block_end = (int)(rest - name), .ending = rest + 1 + stem};
    bool weight = strcmp(out->ending, ".weight") == 0;
    bool bias = strcmp(out->ending, ".bias") == 0 && tb_type_traits_get(tensor->type)->unit_size == 1;
    out->row_dim = weight ? 1 : 0;
    unsigned dims = out->row_dim + 1u + (f->stacked ? 1u : 0u);
    uint64_t stacked = f->stacked ? tensor->dims[out->row_dim + 1] : 1;
    out->stacked = stacked <= MOST_STACKED ? (size_t)stacked : 0;
    return (weight || bias) && tensor->dim_count == dims && out->stacked && rows_match(f, tensor->dims[out->row_dim]);
}

// Writes the parts of a whole to out[].
static tb_code add_parts(tb_tensor_info *out, tb_checkpoint *checkpoint, const split *s, const tb_tensor_info *whole,
                         tb_error *err)
{
    const fusion *f = s->fusion;
    const char *data = whole->data;
    uint64_t rows = whole->dims[s->row_dim];
    size_t row_bytes = whole->bytes / s->stacked / (size_t)rows;
    for (size_t i = 0; i < s->stacked * f->count; i++) {
        const part *p = &f->parts[i % f->count];
        char name[96], number[24] = "";
        if (f->stacked)
            snprintf(number, sizeof number, ".%zu", i / f->count);
        int size =
            snprintf(name, sizeof name, "%.*s.%s%s%s", s->block_end, whole->name.data, p->stem, number, s->ending);
        const char *copy = tb_arena_text(&checkpoint->arena, name, (size_t)size);
        if (!copy)
            return tb_checkpoint_no_memory(checkpoint, err);
        out[i] = *whole;
        out[i].name = (tb_text){copy, (size_t)size};
        out[i].dim_count = s->row_dim + 1;
        out[i].dims[s->row_dim] = p->rows ? p->rows : rows / f->count;
        out[i].dims[s->row_dim + 1] = 1;
        out[i].data = data;
        out[i].bytes = (size_t)out[i].dims[s->row_dim] * row_bytes;
        data += out[i].bytes;
    }
    return TB_OK;
}

// One slot for each tensor.
static size_t find_splits(split *out, const tb_checkpoint *checkpoint, const fusion fusions[FUSIONS])
{
    size_t total = 0;
    for (size_t i = 0; i < checkpoint->tensor_count; i++) {
        size_t f = 0;
        while (f < FUSIONS && !is_whole(&out[i], &fusions[f], &checkpoint->tensors[i]))
            f++;
        out[i].fusion = f < FUSIONS ? &fusions[f] : NULL;
        total += f < FUSIONS ? out[i].stacked * fusions[f].count : 1;
    }
    return total;
}

tb_code tb_checkpoint_part_fused(tb_checkpoint *checkpoint, tb_error *err)
{
    tb_text arch = {0};
    fusion fusions[FUSIONS];
    const tb_kv *kv = tb_checkpoint_find(checkpoint, "general.architecture");
    if (kv && kv->type == TB_KV_TEXT)
        arch = kv->value.text;
    read_fusions(fusions, checkpoint, arch);
    split *splits = tb_alloc_array(checkpoint->tensor_count, sizeof *splits);
    size_t total = splits ? find_splits(splits, checkpoint, fusions) : 0, count = 0;
    tb_tensor_info *all = splits ? tb_arena_array(&checkpoint->arena, total, sizeof *all) : NULL;
    tb_code rc = all ? TB_OK : tb_checkpoint_no_memory(checkpoint, err);
    for (size_t i = 0; i < checkpoint->tensor_count && !rc; i++) {
        const split *s = &splits[i];
        if (s->fusion)
            rc = add_parts(all + count, checkpoint, s, &checkpoint->tensors[i], err);
        else
            all[count] = checkpoint->tensors[i];
        count += s->fusion ? s->stacked * s->fusion->count : 1;
    }
    tb_free(splits);
    if (rc)
        return rc;
    checkpoint->tensors = all;
    checkpoint->tensor_count = count;
    return TB_OK;
}
