// From tensor names to the weights of the network. Tables say which tensors there are; what
// a table does not ask for is refused, because a forward pass that leaves out a tensor gives
// wrong numbers without a word.
#include "model/weights.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

// How long the rows and columns of a matrix are.
typedef enum extent { WIDTH, QUERIES, KEYS, FFN_WIDTH } extent;

// The matrices of a block.
static const struct {
    tb_linear_kind kind;
    tb_linear_input input;
    const char *stem;
    extent rows, cols;
} linears[] = {
    {TB_LINEAR_Q, TB_INPUT_ATTENTION, "attn_q", QUERIES, WIDTH},
    {TB_LINEAR_K, TB_INPUT_ATTENTION, "attn_k", KEYS, WIDTH},
    {TB_LINEAR_V, TB_INPUT_ATTENTION, "attn_v", KEYS, WIDTH},
    {TB_LINEAR_O, TB_INPUT_OUTPUT, "attn_output", WIDTH, QUERIES},
    {TB_LINEAR_GATE, TB_INPUT_FFN, "ffn_gate", FFN_WIDTH, WIDTH},
    {TB_LINEAR_UP, TB_INPUT_FFN, "ffn_up", FFN_WIDTH, WIDTH},
    {TB_LINEAR_DOWN, TB_INPUT_DOWN, "ffn_down", WIDTH, FFN_WIDTH},
};

// Vectors of a block besides the biases. `trait`: offset of the switch in tb_arch that brings it; 0: all have it.
static const struct {
    const char *stem;
    size_t offset; // of its pointer in tb_block
    size_t trait;
    bool per_head; // head_size long, else width
} norms[] = {
    {"attn_norm", offsetof(tb_block, attention_norm), 0, false},
    {"ffn_norm", offsetof(tb_block, ffn_norm), 0, false},
    {"post_attention_norm", offsetof(tb_block, attention_post_norm), offsetof(tb_arch, has_post_norms), false},
    {"post_ffw_norm", offsetof(tb_block, ffn_post_norm), offsetof(tb_arch, has_post_norms), false},
    {"attn_q_norm", offsetof(tb_block, query_norm), offsetof(tb_arch, has_head_norms), true},
    {"attn_k_norm", offsetof(tb_block, key_norm), offsetof(tb_arch, has_head_norms), true},
};

enum {
    LINEARS = sizeof linears / sizeof linears[0],
    NORMS = sizeof norms / sizeof norms[0],
    LONGEST_NAME = 96,
};

static size_t length_of(extent which, const tb_config *c)
{
    switch (which) {
    case QUERIES:
        return c->heads * c->head_size;
    case KEYS:
        return c->kv_heads * c->head_size;
    case FFN_WIDTH:
        return c->ffn_width;
    default:
        return c->width;
    }
}

size_t tb_linears_find(tb_linears list, tb_linear_kind kind, size_t expert)
{
    size_t i = 0;
    while (i < list.count && (list.at[i].kind != kind || list.at[i].expert != expert))
        i++;
    return i;
}

static bool arch_has(const tb_arch *arch, size_t trait)
{
    return trait == 0 || *(const bool *)((const char *)arch + trait);
}

static tb_code no_memory(tb_error *err, const char *name)
{
    return tb_fail(err, TB_ENOMEM, "no memory for '%s'", name);
}

// ---- matrices ----

// rows 0: any number of rows.
static tb_code bind_matrix(tb_matrix *out, tb_model *model, const char *name, size_t rows, size_t cols, tb_error *err)
{
    const char *path = tb_checkpoint_path(model->checkpoint);
    tb_code rc = tb_checkpoint_matrix(out, model->checkpoint, name, err);
    if (rc)
        return rc;
    if (out->rows == 0)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' is missing in '%s'", name, path);
    if (out->cols != cols || (rows && out->rows != rows))
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' is %zu × %zu, not %zu × %zu", name, path, out->rows,
                       out->cols, rows ? rows : out->rows, cols);
    if (!tb_type_is_decodable(out->type))
        return tb_fail(err, TB_EUNSUPPORTED, "tensor '%s' of '%s' has type %s, which twobit cannot decode", name, path,
                       tb_type_name(out->type));
    model->parameters += (uint64_t)out->rows * out->cols;
    return TB_OK;
}

// ---- vectors ----

// Floats of a vector: the mapping itself where it holds aligned floats, else a copy.
static const float *vector_floats(tb_model *model, const tb_tensor_info *tensor, size_t n)
{
    if (tensor->type == TB_TYPE_F32 && (uintptr_t)tensor->data % sizeof(float) == 0)
        return tensor->data;
    float *copy = tb_arena_array(&model->arena, n, sizeof *copy);
    if (copy)
        tb_type_traits_get(tensor->type)->decode(copy, tensor->data, n);
    return copy;
}

// Leaves *out NULL when the tensor is absent and not required.
static tb_code bind_vector(const float **out, tb_model *model, const char *name, size_t n, bool required, tb_error *err)
{
    const char *path = tb_checkpoint_path(model->checkpoint);
    const tb_tensor_info *tensor = tb_checkpoint_tensor(model->checkpoint, name);
    *out = NULL;
    if (!tensor && required)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' is missing in '%s'", name, path);
    if (!tensor)
        return TB_OK;
    bool is_vector = tensor->dims[0] == n && tensor->dims[1] == 1 && tensor->dims[2] == 1 && tensor->dims[3] == 1;
    if (!is_vector)
        return tb_fail(err, TB_EFORMAT, "tensor '%s' of '%s' is not a vector of %zu numbers", name, path, n);
    if (tensor->type != TB_TYPE_F32 && tensor->type != TB_TYPE_F16 && tensor->type != TB_TYPE_BF16)
        return tb_fail(err, TB_EUNSUPPORTED, "vector '%s' of '%s' has type %s, not F32, F16 or BF16", name, path,
                       tb_type_name(tensor->type));
    *out = vector_floats(model, tensor, n);
    if (!*out)
        return no_memory(err, name);
    model->parameters += n;
    return TB_OK;
}

static tb_code bind_norms(tb_model *model, size_t index, tb_error *err)
{
    const tb_config *config = &model->settings.config;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < NORMS && !rc; i++) {
        if (!arch_has(model->settings.arch, norms[i].trait))
            continue;
        char name[LONGEST_NAME];
        snprintf(name, sizeof name, "blk.%zu.%s.weight", index, norms[i].stem);
        const float **slot = (const float **)((char *)&model->blocks[index] + norms[i].offset);
        rc = bind_vector(slot, model, name, norms[i].per_head ? config->head_size : config->width, true, err);
    }
    return rc;
}

static tb_code bind_linear(tb_linear *out, tb_model *model, size_t block, size_t which, tb_error *err)
{
    const tb_settings *settings = &model->settings;
    size_t rows = length_of(linears[which].rows, &settings->config);
    size_t cols = length_of(linears[which].cols, &settings->config);
    *out = (tb_linear){.kind = linears[which].kind, .input = linears[which].input, .stem = linears[which].stem};
    char name[LONGEST_NAME];
    snprintf(name, sizeof name, "blk.%zu.%s.weight", block, out->stem);
    out->name = tb_arena_text(&model->arena, name, strlen(name));
    tb_code rc = out->name ? bind_matrix(&out->matrix, model, name, rows, cols, err) : no_memory(err, name);
    if (rc)
        return rc;
    bool required = settings->arch->needs_qkv_bias && out->input == TB_INPUT_ATTENTION;
    snprintf(name, sizeof name, "blk.%zu.%s.bias", block, out->stem);
    return bind_vector(&out->bias, model, name, rows, required, err);
}

static tb_code bind_linears(tb_model *model, size_t block, tb_error *err)
{
    tb_linear *list = tb_arena_array(&model->arena, LINEARS, sizeof *list);
    tb_code rc = list ? TB_OK : no_memory(err, "matrices");
    for (size_t i = 0; i < LINEARS && !rc; i++)
        rc = bind_linear(&list[i], model, block, i, err);
    model->blocks[block].linears = (tb_linears){list, LINEARS, model->linear_count};
    model->linear_count += LINEARS;
    return rc;
}

// RoPE: factors may come as tensors, which are no weights.
static tb_code bind_rope(tb_model *model, tb_error *err)
{
    size_t pairs = model->settings.rope_size / 2;
    uint64_t parameters = model->parameters;
    tb_rope_tensors tensors = {0};
    tb_code rc = bind_vector(&tensors.factors, model, "rope_freqs.weight", pairs, false, err);
    if (!rc)
        rc = bind_vector(&tensors.short_factors, model, "rope_factors_short.weight", pairs, false, err);
    if (!rc)
        rc = bind_vector(&tensors.long_factors, model, "rope_factors_long.weight", pairs, false, err);
    model->parameters = parameters;
    return rc ? rc : tb_rope_settings_read(&model->settings, &model->arena, model->checkpoint, &tensors, err);
}

// ---- nothing left over ----

// True when `name` is `stem` followed by `ending` and, for matrices, perhaps by the suffix of a part of a plane type.
static bool name_is(const char *name, const char *stem, const char *ending, bool matrix)
{
    size_t stem_size = strlen(stem), ending_size = strlen(ending);
    if (strncmp(name, stem, stem_size) != 0 || strncmp(name + stem_size, ending, ending_size) != 0)
        return false;
    const char *rest = name + stem_size + ending_size;
    for (size_t i = 0; i < TB_PARTS && matrix; i++)
        if (strcmp(rest, tb_part_suffixes[i]) == 0)
            return true;
    return *rest == '\0';
}

static bool block_uses(const tb_model *model, const char *stem)
{
    for (size_t i = 0; i < NORMS; i++)
        if (arch_has(model->settings.arch, norms[i].trait) && name_is(stem, norms[i].stem, ".weight", false))
            return true;
    for (size_t i = 0; i < LINEARS; i++)
        if (name_is(stem, linears[i].stem, ".weight", true) || name_is(stem, linears[i].stem, ".bias", false))
            return true;
    return false;
}

static bool model_uses(const tb_model *model, const char *name)
{
    static const char *const vectors[] = {"output_norm", "rope_freqs", "rope_factors_short", "rope_factors_long"};
    size_t index;
    int stem = 0;
    if (sscanf(name, "blk.%4zu.%n", &index, &stem) == 1 && stem > 0)
        return index < model->settings.config.blocks && block_uses(model, name + stem);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        if (name_is(name, vectors[i], ".weight", false))
            return true;
    return name_is(name, "token_embd", ".weight", true) || (!model->tied && name_is(name, "output", ".weight", true));
}

static tb_code refuse_unused(const tb_model *model, tb_error *err)
{
    for (size_t i = 0; i < tb_checkpoint_tensor_count(model->checkpoint); i++) {
        const char *name = tb_checkpoint_tensor_at(model->checkpoint, i)->name.data;
        if (!model_uses(model, name))
            return tb_fail(err, TB_EUNSUPPORTED, "'%s' has a tensor '%.200s' that the architecture '%s' does not use",
                           tb_checkpoint_path(model->checkpoint), name, model->settings.arch->name);
    }
    return TB_OK;
}

// ---- all of it ----

static tb_code bind_ends(tb_model *model, tb_error *err)
{
    tb_config *config = &model->settings.config;
    const char *path = tb_checkpoint_path(model->checkpoint);
    tb_code rc = bind_matrix(&model->embedding, model, "token_embd.weight", 0, config->width, err);
    if (rc)
        return rc;
    config->vocab = model->embedding.rows;
    if (config->vocab > INT32_MAX)
        return tb_fail(err, TB_ELIMIT, "the vocabulary of '%s' has %zu entries", path, config->vocab);
    rc = tb_checkpoint_matrix(&model->head, model->checkpoint, "output.weight", err);
    if (rc)
        return rc;
    model->tied = model->head.rows == 0;
    if (model->tied)
        model->head = model->embedding;
    else
        rc = bind_matrix(&model->head, model, "output.weight", config->vocab, config->width, err);
    if (!rc)
        rc = bind_vector(&model->output_norm, model, "output_norm.weight", config->width, true, err);
    return rc;
}

tb_code tb_model_bind(tb_model *model, tb_error *err)
{
    size_t blocks = model->settings.config.blocks;
    tb_code rc = bind_ends(model, err);
    if (rc)
        return rc;
    model->blocks = tb_arena_array(&model->arena, blocks, sizeof *model->blocks);
    if (!model->blocks)
        return no_memory(err, "blocks");
    for (size_t i = 0; i < blocks && !rc; i++) {
        rc = bind_linears(model, i, err);
        if (!rc)
            rc = bind_norms(model, i, err);
    }
    if (!rc)
        rc = bind_rope(model, err);
    return rc ? rc : refuse_unused(model, err);
}
