// From tensor names to the weights of the network. Tables say which tensors there are; what
// a table does not ask for is refused, because a forward pass that leaves out a tensor gives
// wrong numbers without a word.
#include "model/weights.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

// How long the rows and columns of a matrix are.
typedef enum extent { WIDTH, QUERIES, KEYS, HIDDEN, HEADS, PER_HEAD } extent;

// A kind of matrix of a block.
typedef struct linear_shape {
    tb_linear_kind kind;
    tb_linear_input input;
    const char *stem;
    extent rows, cols;
} linear_shape;

static const linear_shape attention_linears[] = {
    {TB_LINEAR_Q, TB_INPUT_ATTENTION, "attn_q", QUERIES, WIDTH},
    {TB_LINEAR_K, TB_INPUT_ATTENTION, "attn_k", KEYS, WIDTH},
    {TB_LINEAR_V, TB_INPUT_ATTENTION, "attn_v", KEYS, WIDTH},
    {TB_LINEAR_O, TB_INPUT_OUTPUT, "attn_output", WIDTH, QUERIES},
};

// Of a dense block, or of each expert.
static const linear_shape ffn_linears[] = {
    {TB_LINEAR_GATE, TB_INPUT_FFN, "ffn_gate", HIDDEN, WIDTH},
    {TB_LINEAR_UP, TB_INPUT_FFN, "ffn_up", HIDDEN, WIDTH},
    {TB_LINEAR_DOWN, TB_INPUT_DOWN, "ffn_down", WIDTH, HIDDEN},
};

// Vectors of a block besides the biases. `trait`: offset of the switch in tb_arch that brings it; 0: all have it.
static const struct {
    const char *stem;
    size_t offset; // of its pointer in tb_block
    size_t trait;
    extent length;
} norms[] = {
    {"attn_norm", offsetof(tb_block, attention_norm), 0, WIDTH},
    {"ffn_norm", offsetof(tb_block, ffn_norm), 0, WIDTH},
    {"post_attention_norm", offsetof(tb_block, attention_post_norm), offsetof(tb_arch, has_post_norms), WIDTH},
    {"post_ffw_norm", offsetof(tb_block, ffn_post_norm), offsetof(tb_arch, has_post_norms), WIDTH},
    {"attn_q_norm", offsetof(tb_block, query_norm), offsetof(tb_arch, has_head_norms), PER_HEAD},
    {"attn_k_norm", offsetof(tb_block, key_norm), offsetof(tb_arch, has_head_norms), PER_HEAD},
    {"attn_sinks", offsetof(tb_block, sink_logits), offsetof(tb_arch, has_sink_logits), HEADS},
};

enum {
    ATTENTION_LINEARS = sizeof attention_linears / sizeof attention_linears[0],
    FFN_LINEARS = sizeof ffn_linears / sizeof ffn_linears[0],
    NORMS = sizeof norms / sizeof norms[0],
    LONGEST_NAME = 96,
};

// hidden: of the feed-forward part at hand.
static size_t length_of(extent which, const tb_config *c, size_t hidden)
{
    switch (which) {
    case QUERIES:
        return c->heads * c->head_size;
    case KEYS:
        return c->kv_heads * c->head_size;
    case HEADS:
        return c->heads;
    case PER_HEAD:
        return c->head_size;
    case HIDDEN:
        return hidden;
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

static const char *norm_stem(const tb_model *model, size_t which)
{
    bool renamed = model->settings.arch->ffn_norm && norms[which].offset == offsetof(tb_block, ffn_norm);
    return renamed ? model->settings.arch->ffn_norm : norms[which].stem;
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
        snprintf(name, sizeof name, "blk.%zu.%s.weight", index, norm_stem(model, i));
        const float **slot = (const float **)((char *)&model->blocks[index] + norms[i].offset);
        rc = bind_vector(slot, model, name, length_of(norms[i].length, config, 0), true, err);
    }
    return rc;
}

// The list of a block under way.
typedef struct list {
    tb_model *model;
    size_t block, count;
    tb_linear *at;
} list;

// `ending`: what an expert's stem has behind the kind's.
static tb_code bind_linear(list *l, const linear_shape *shape, size_t expert, const char *ending, size_t hidden,
                           tb_error *err)
{
    tb_model *model = l->model;
    const tb_settings *settings = &model->settings;
    size_t rows = length_of(shape->rows, &settings->config, hidden);
    size_t cols = length_of(shape->cols, &settings->config, hidden);
    tb_linear *out = &l->at[l->count++];
    char stem[LONGEST_NAME / 2], name[LONGEST_NAME];
    snprintf(stem, sizeof stem, "%s%s", shape->stem, ending);
    snprintf(name, sizeof name, "blk.%zu.%s.weight", l->block, stem);
    *out = (tb_linear){.kind = shape->kind, .expert = expert, .input = shape->input};
    out->stem = tb_arena_text(&model->arena, stem, strlen(stem));
    out->name = tb_arena_text(&model->arena, name, strlen(name));
    tb_code rc =
        out->stem && out->name ? bind_matrix(&out->matrix, model, name, rows, cols, err) : no_memory(err, name);
    if (rc)
        return rc;
    bool required = settings->arch->needs_qkv_bias && out->input == TB_INPUT_ATTENTION;
    snprintf(name, sizeof name, "blk.%zu.%s.bias", l->block, stem);
    return bind_vector(&out->bias, model, name, rows, required, err);
}

static tb_code bind_ffn_linears(list *l, size_t expert, const char *ending, size_t hidden, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t i = 0; i < FFN_LINEARS && !rc; i++)
        rc = bind_linear(l, &ffn_linears[i], expert, ending, hidden, err);
    return rc;
}

static tb_code bind_experts(list *l, tb_error *err)
{
    const tb_config *config = &l->model->settings.config;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < config->experts && !rc; i++) {
        char ending[LONGEST_NAME / 4];
        snprintf(ending, sizeof ending, ".%zu", i);
        rc = bind_ffn_linears(l, i, ending, config->expert_width, err);
    }
    return rc || !config->shared_width ? rc : bind_ffn_linears(l, config->experts, "_shexp", config->shared_width, err);
}

// A block with a router is a mixture.
static tb_code bind_router(tb_model *model, size_t index, tb_error *err)
{
    const tb_config *config = &model->settings.config;
    tb_block *block = &model->blocks[index];
    char name[LONGEST_NAME];
    snprintf(name, sizeof name, "blk.%zu.ffn_gate_inp.weight", index);
    if (!config->experts || !tb_checkpoint_tensor(model->checkpoint, name))
        return TB_OK;
    tb_code rc = bind_matrix(&block->router, model, name, config->experts, config->width, err);
    snprintf(name, sizeof name, "blk.%zu.ffn_gate_inp.bias", index);
    if (!rc)
        rc = bind_vector(&block->router_bias, model, name, config->experts, false, err);
    snprintf(name, sizeof name, "blk.%zu.ffn_gate_inp_shexp.weight", index);
    return rc || !config->shared_width ? rc : bind_vector(&block->shared_gate, model, name, config->width, false, err);
}

static tb_code bind_linears(tb_model *model, size_t index, tb_error *err)
{
    const tb_config *config = &model->settings.config;
    tb_block *block = &model->blocks[index];
    size_t ffns = block->router.rows ? config->experts + (config->shared_width ? 1 : 0) : 1;
    list l = {model, index, 0, tb_arena_array(&model->arena, ATTENTION_LINEARS + ffns * FFN_LINEARS, sizeof *l.at)};
    tb_code rc = l.at ? TB_OK : no_memory(err, "matrices");
    for (size_t i = 0; i < ATTENTION_LINEARS && !rc; i++)
        rc = bind_linear(&l, &attention_linears[i], 0, "", 0, err);
    if (!rc)
        rc = block->router.rows ? bind_experts(&l, err) : bind_ffn_linears(&l, 0, "", config->ffn_width, err);
    block->linears = (tb_linears){l.at, l.count, model->linear_count};
    model->linear_count += l.count;
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

static bool block_uses(const tb_model *model, const tb_block *block, const char *stem)
{
    for (size_t i = 0; i < NORMS; i++)
        if (arch_has(model->settings.arch, norms[i].trait) && name_is(stem, norm_stem(model, i), ".weight", false))
            return true;
    for (size_t i = 0; i < block->linears.count; i++) {
        const char *used = block->linears.at[i].stem;
        if (name_is(stem, used, ".weight", true) || name_is(stem, used, ".bias", false))
            return true;
    }
    bool of_router = name_is(stem, "ffn_gate_inp", ".weight", false) || name_is(stem, "ffn_gate_inp", ".bias", false);
    bool of_shared = name_is(stem, "ffn_gate_inp_shexp", ".weight", false);
    return (block->router.rows && of_router) || (block->shared_gate && of_shared);
}

static bool model_uses(const tb_model *model, const char *name)
{
    static const char *const vectors[] = {"output_norm", "rope_freqs", "rope_factors_short", "rope_factors_long"};
    size_t index;
    int stem = 0;
    if (sscanf(name, "blk.%4zu.%n", &index, &stem) == 1 && stem > 0)
        return index < model->settings.config.blocks && block_uses(model, &model->blocks[index], name + stem);
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
        rc = bind_router(model, i, err);
        if (!rc)
            rc = bind_linears(model, i, err);
        if (!rc)
            rc = bind_norms(model, i, err);
    }
    if (!rc)
        rc = bind_rope(model, err);
    return rc ? rc : refuse_unused(model, err);
}
