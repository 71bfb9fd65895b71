// From tensor names to the weights of the network. Tables say which tensors there are; what none asks for is refused
// at the end.
#include "model/bind_tensor.h"
#include "model/pass.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

// How long the rows and columns of a matrix are.
typedef enum extent { ONE, WIDTH, QUERIES, MIXES, KEYS, HIDDEN, HEADS, PER_HEAD } extent;

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
    {TB_LINEAR_O, TB_INPUT_OUTPUT, "attn_output", WIDTH, MIXES},
};

// Of a dense block, or of each expert.
static const linear_shape ffn_linears[] = {
    {TB_LINEAR_GATE, TB_INPUT_FFN, "ffn_gate", HIDDEN, WIDTH},
    {TB_LINEAR_UP, TB_INPUT_FFN, "ffn_up", HIDDEN, WIDTH},
    {TB_LINEAR_DOWN, TB_INPUT_DOWN, "ffn_down", WIDTH, HIDDEN},
};

// Vectors of a block besides biases and the norms in front of its parts. `trait`: offset of the switch in tb_arch that
// brings it.
static const struct {
    const char *stem;
    size_t offset; // of its pointer in tb_block
    size_t trait;
    extent length;
} vectors[] = {
    {"post_attention_norm", offsetof(tb_block, attention_post_norm), offsetof(tb_arch, has_post_norms), WIDTH},
    {"post_ffw_norm", offsetof(tb_block, ffn_post_norm), offsetof(tb_arch, has_post_norms), WIDTH},
    {"attn_q_norm", offsetof(tb_block, query_norm), offsetof(tb_arch, has_head_norms), PER_HEAD},
    {"attn_k_norm", offsetof(tb_block, key_norm), offsetof(tb_arch, has_head_norms), PER_HEAD},
    {"attn_sinks", offsetof(tb_block, sink_logits), offsetof(tb_arch, has_sink_logits), HEADS},
    {"attn_head_norm", offsetof(tb_block, mix_norm), offsetof(tb_arch, has_mix_norms), QUERIES},
};

enum {
    ATTENTION_LINEARS = sizeof attention_linears / sizeof attention_linears[0],
    FFN_LINEARS = sizeof ffn_linears / sizeof ffn_linears[0],
    VECTORS = sizeof vectors / sizeof vectors[0],
    LONGEST_NAME = 96,
};

// hidden: of the feed-forward part at hand.
static size_t length_of(extent which, const tb_config *c, size_t hidden)
{
    switch (which) {
    case QUERIES:
        return c->heads * c->head_size;
    case MIXES:
        return c->heads * c->value_size;
    case KEYS:
        return c->kv_heads * c->head_size;
    case HEADS:
        return c->heads;
    case ONE:
        return 1;
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

// ---- vectors ----

static tb_code bind_vectors(tb_tensor_binding *b, size_t index, tb_error *err)
{
    const tb_settings *settings = &b->model->settings;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < VECTORS && !rc; i++) {
        if (!*(const bool *)((const char *)settings->arch + vectors[i].trait))
            continue;
        char name[LONGEST_NAME];
        snprintf(name, sizeof name, "blk.%zu.%s.weight", index, vectors[i].stem);
        const float **slot = (const float **)((char *)&b->model->blocks[index] + vectors[i].offset);
        rc = tb_bind_vector(slot, b, name, length_of(vectors[i].length, &settings->config, 0), true, err);
    }
    return rc;
}

// One factor becomes as many as there are channels.
static tb_code spread(const float **weight, tb_model *model, size_t n, tb_error *err)
{
    float *all = tb_arena_array(&model->arena, n, sizeof *all);
    if (!all)
        return tb_bind_no_memory(err, "norms");
    for (size_t i = 0; i < n; i++)
        all[i] = (*weight)[0];
    *weight = all;
    return TB_OK;
}

// A norm in front of a part, or of the head: `stem` and what the family's kind of norm has.
static tb_code bind_norm(const float **weight, tb_tanh_norm *tanh, tb_tensor_binding *b, const char *stem,
                         tb_error *err)
{
    tb_norm kind = b->model->settings.arch->norm;
    size_t width = b->model->settings.config.width;
    char name[LONGEST_NAME];
    snprintf(name, sizeof name, "%s.weight", stem);
    tb_code rc = tb_bind_vector(weight, b, name, kind == TB_NORM_SCALE ? 1 : width, true, err);
    if (!rc && kind == TB_NORM_SCALE)
        rc = spread(weight, b->model, width, err);
    if (rc || kind != TB_NORM_TANH)
        return rc;
    snprintf(name, sizeof name, "%s.alpha", stem);
    rc = tb_bind_vector(&tanh->alpha, b, name, 1, true, err);
    snprintf(name, sizeof name, "%s.bias", stem);
    return rc ? rc : tb_bind_vector(&tanh->bias, b, name, width, true, err);
}

static tb_code bind_norms(tb_tensor_binding *b, size_t index, tb_error *err)
{
    const char *ffn = b->model->settings.arch->ffn_norm;
    tb_block *block = &b->model->blocks[index];
    char stem[LONGEST_NAME / 2];
    snprintf(stem, sizeof stem, "blk.%zu.attn_norm", index);
    tb_code rc = bind_norm(&block->attention_norm, &block->attention_tanh, b, stem, err);
    snprintf(stem, sizeof stem, "blk.%zu.%s", index, ffn ? ffn : "ffn_norm");
    return rc ? rc : bind_norm(&block->ffn_norm, &block->ffn_tanh, b, stem, err);
}

// Learned keys or values [sink_keys][kv_heads][head_size], made [kv_heads][sink_keys][head_size]; zeros where the
// family has none.
static tb_code bind_sink_rows(const float **out, tb_tensor_binding *b, const char *name, bool there, tb_error *err)
{
    const tb_config *c = &b->model->settings.config;
    const float *stored = NULL;
    float *rows = tb_arena_array(&b->model->arena, c->sink_keys * c->kv_heads * c->head_size, sizeof *rows);
    tb_code rc = rows ? TB_OK : tb_bind_no_memory(err, name);
    if (!rc && there)
        rc = tb_bind_stack(&stored, b, name, c->sink_keys, c->kv_heads, c->head_size, true, err);
    for (size_t i = 0; !rc && there && i < c->sink_keys * c->kv_heads; i++) {
        size_t key = i / c->kv_heads, head = i % c->kv_heads;
        memcpy(rows + (head * c->sink_keys + key) * c->head_size, stored + i * c->head_size,
               c->head_size * sizeof *rows);
    }
    *out = rows;
    return rc;
}

// Families with head norms norm learned keys as any others, but for twobit's own.
static tb_code norm_sink_keys(tb_model *model, tb_block *block, tb_error *err)
{
    const tb_config *c = &model->settings.config;
    size_t count = c->sink_keys * c->kv_heads;
    float *normed = tb_arena_array(&model->arena, count * c->head_size, sizeof *normed);
    if (!normed)
        return tb_bind_no_memory(err, "learned keys");
    for (size_t i = 0; i < count; i++)
        tb_rms_norm(normed + i * c->head_size, model, block->sink_keys + i * c->head_size, block->key_norm,
                    c->head_size);
    block->sink_keys = normed;
    return TB_OK;
}

static tb_code bind_sinks(tb_tensor_binding *b, size_t index, tb_error *err)
{
    const tb_arch *arch = b->model->settings.arch;
    tb_block *block = &b->model->blocks[index];
    char name[LONGEST_NAME];
    if (!arch->has_sink_keys)
        return TB_OK;
    snprintf(name, sizeof name, "blk.%zu.attn_sink_k.weight", index);
    tb_code rc = bind_sink_rows(&block->sink_keys, b, name, true, err);
    snprintf(name, sizeof name, "blk.%zu.attn_sink_v.weight", index);
    if (!rc)
        rc = bind_sink_rows(&block->sink_values, b, name, arch->has_sink_values, err);
    return rc || !block->key_norm || arch->varies ? rc : norm_sink_keys(b->model, block, err);
}

// The same number for every query head.
static tb_code same_for_heads(const float **out, tb_model *model, double number, tb_error *err)
{
    float *all = tb_arena_array(&model->arena, model->settings.config.heads, sizeof *all);
    if (!all)
        return tb_bind_no_memory(err, "heads");
    for (size_t i = 0; i < model->settings.config.heads; i++)
        all[i] = (float)number;
    *out = all;
    return TB_OK;
}

// What the normalizer has of its own for every query head.
static tb_code bind_weighing(tb_tensor_binding *b, size_t index, tb_error *err)
{
    tb_model *model = b->model;
    const tb_settings *settings = &model->settings;
    tb_block *block = &model->blocks[index];
    size_t heads = settings->config.heads;
    char name[LONGEST_NAME];
    snprintf(name, sizeof name, "blk.%zu.attn_sinks.weight", index);
    if (settings->arch->may_have_sinks)
        return tb_bind_vector(&block->sink_logits, b, name, heads, false, err);
    if (settings->arch->adds_one)
        return same_for_heads(&block->sink_logits, model, 0, err);
    if (settings->arch->weighing == TB_CLIP)
        return same_for_heads(&block->weighing, model, settings->clip, err);
    if (settings->arch->weighing == TB_ELASTIC) {
        snprintf(name, sizeof name, "blk.%zu.attn_tau.weight", index);
        return tb_bind_vector(&block->weighing, b, name, heads, true, err);
    }
    if (settings->arch->weighing != TB_SIGMOID)
        return TB_OK;
    snprintf(name, sizeof name, "blk.%zu.attn_sigmoid_bias.weight", index);
    tb_code rc = tb_bind_vector(&block->weighing, b, name, heads, false, err);
    return rc || block->weighing ? rc : same_for_heads(&block->weighing, model, settings->sigmoid_bias, err);
}

// ---- matrices ----

// The list of a block under way.
typedef struct list {
    tb_tensor_binding *b;
    size_t block, count;
    tb_linear *at;
} list;

// Rows of attention's gate.
static size_t gate_length(const tb_settings *s)
{
    return tb_gate_length(s->arch->gate, &s->config);
}

static size_t rows_of(const linear_shape *shape, const tb_settings *s, size_t block, size_t hidden)
{
    if (shape->kind == TB_LINEAR_K || shape->kind == TB_LINEAR_V)
        return s->kv_heads[block] * (shape->kind == TB_LINEAR_K ? s->config.head_size : s->config.value_size);
    if (shape->kind == TB_LINEAR_ATTENTION_GATE)
        return gate_length(s);
    return length_of(shape->rows, &s->config, hidden) +
           (shape->kind == TB_LINEAR_Q && tb_gate_is_in_query(s->arch) ? gate_length(s) : 0);
}

// `ending`: what an expert's stem has behind the kind's.
static tb_code bind_linear(list *l, const linear_shape *shape, size_t expert, const char *ending, size_t hidden,
                           tb_error *err)
{
    tb_model *model = l->b->model;
    const tb_settings *settings = &model->settings;
    size_t rows = rows_of(shape, settings, l->block, hidden);
    size_t cols = length_of(shape->cols, &settings->config, hidden);
    tb_linear *out = &l->at[l->count++];
    char stem[LONGEST_NAME / 2], name[LONGEST_NAME];
    snprintf(stem, sizeof stem, "%s%s", shape->stem, ending);
    snprintf(name, sizeof name, "blk.%zu.%s.weight", l->block, stem);
    *out = (tb_linear){.kind = shape->kind, .expert = expert, .input = shape->input};
    out->has_gate =
        out->kind == TB_LINEAR_ATTENTION_GATE || (out->kind == TB_LINEAR_Q && tb_gate_is_in_query(settings->arch));
    out->stem = tb_arena_text(&model->arena, stem, strlen(stem));
    out->name = tb_arena_text(&model->arena, name, strlen(name));
    tb_code rc = out->stem && out->name ? tb_bind_matrix(&out->matrix, l->b, name, rows, cols, err)
                                        : tb_bind_no_memory(err, name);
    if (rc)
        return rc;
    bool required = settings->arch->needs_qkv_bias && out->input == TB_INPUT_ATTENTION;
    snprintf(name, sizeof name, "blk.%zu.%s.bias", l->block, stem);
    return tb_bind_vector(&out->bias, l->b, name, rows, required, err);
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
    const tb_config *config = &l->b->model->settings.config;
    tb_code rc = TB_OK;
    for (size_t i = 0; i < config->experts && !rc; i++) {
        char ending[LONGEST_NAME / 4];
        snprintf(ending, sizeof ending, ".%zu", i);
        rc = bind_ffn_linears(l, i, ending, config->expert_width, err);
    }
    return rc || !config->shared_width ? rc : bind_ffn_linears(l, config->experts, "_shexp", config->shared_width, err);
}

// A block with a router is a mixture.
static tb_code bind_router(tb_tensor_binding *b, size_t index, tb_error *err)
{
    tb_model *model = b->model;
    const tb_config *config = &model->settings.config;
    tb_block *block = &model->blocks[index];
    char name[LONGEST_NAME];
    snprintf(name, sizeof name, "blk.%zu.ffn_gate_inp.weight", index);
    if (!config->experts || !tb_checkpoint_tensor(model->checkpoint, name))
        return TB_OK;
    tb_code rc = tb_bind_matrix(&block->router, b, name, config->experts, config->width, err);
    snprintf(name, sizeof name, "blk.%zu.ffn_gate_inp.bias", index);
    if (!rc)
        rc = tb_bind_vector(&block->router_bias, b, name, config->experts, false, err);
    snprintf(name, sizeof name, "blk.%zu.exp_probs_b.bias", index);
    if (!rc)
        rc = tb_bind_vector(&block->choice_bias, b, name, config->experts, false, err);
    snprintf(name, sizeof name, "blk.%zu.ffn_gate_inp_shexp.weight", index);
    return rc || !config->shared_width ? rc : tb_bind_vector(&block->shared_gate, b, name, config->width, false, err);
}

static tb_code bind_gate(list *l, tb_error *err)
{
    static const linear_shape shape = {TB_LINEAR_ATTENTION_GATE, TB_INPUT_ATTENTION, "attn_gate", ONE, WIDTH};
    const tb_settings *settings = &l->b->model->settings;
    char name[LONGEST_NAME];
    if (settings->arch->gate == TB_GATE_NONE)
        return TB_OK;
    if (settings->arch->gate_source == TB_GATE_OF_LINEAR)
        return bind_linear(l, &shape, 0, "", 0, err);
    if (settings->arch->gate_source != TB_GATE_FREE)
        return TB_OK; // rows of the query matrix
    snprintf(name, sizeof name, "blk.%zu.attn_gate.weight", l->block);
    return tb_bind_vector(&l->b->model->blocks[l->block].free_gate, l->b, name, gate_length(settings), true, err);
}

// A block of another kind: what carries its state through the sequence is called so in every hybrid.
static tb_code refuse_states(tb_tensor_binding *b, size_t index, tb_error *err)
{
    static const char *const tensors[] = {"ssm_conv1d", "ssm_out", "shortconv.conv"};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        char name[LONGEST_NAME];
        snprintf(name, sizeof name, "blk.%zu.%s.weight", index, tensors[i]);
        if (tb_checkpoint_tensor(b->model->checkpoint, name))
            return tb_fail(err, TB_EUNSUPPORTED,
                           "block %zu of '%s' is no attention but a recurrent one ('%s'), which twobit lacks", index,
                           tb_checkpoint_path(b->model->checkpoint), name);
    }
    return TB_OK;
}

static tb_code bind_linears(tb_tensor_binding *b, size_t index, tb_error *err)
{
    tb_model *model = b->model;
    const tb_config *config = &model->settings.config;
    tb_block *block = &model->blocks[index];
    size_t ffns = block->router.rows ? config->experts + (config->shared_width ? 1 : 0) : 1;
    list l = {b, index, 0, tb_arena_array(&model->arena, ATTENTION_LINEARS + 1 + ffns * FFN_LINEARS, sizeof *l.at)};
    tb_code rc = l.at ? TB_OK : tb_bind_no_memory(err, "matrices");
    for (size_t i = 0; i < ATTENTION_LINEARS && !rc; i++)
        rc = bind_linear(&l, &attention_linears[i], 0, "", 0, err);
    if (!rc)
        rc = bind_gate(&l, err);
    if (!rc)
        rc = block->router.rows ? bind_experts(&l, err) : bind_ffn_linears(&l, 0, "", config->ffn_width, err);
    block->linears = (tb_linears){l.at, l.count, model->linear_count};
    model->linear_count += l.count;
    return rc;
}

// RoPE: factors may come as tensors, which are no weights.
static tb_code bind_rope(tb_tensor_binding *b, tb_error *err)
{
    tb_model *model = b->model;
    size_t pairs = model->settings.rope_size / 2;
    uint64_t parameters = model->parameters;
    tb_rope_tensors tensors = {0};
    tb_code rc = tb_bind_vector(&tensors.factors, b, "rope_freqs.weight", pairs, false, err);
    if (!rc)
        rc = tb_bind_vector(&tensors.short_factors, b, "rope_factors_short.weight", pairs, false, err);
    if (!rc)
        rc = tb_bind_vector(&tensors.long_factors, b, "rope_factors_long.weight", pairs, false, err);
    model->parameters = parameters;
    return rc ? rc : tb_rope_settings_read(&model->settings, &model->arena, model->checkpoint, &tensors, err);
}

// ---- all of it ----

static tb_code bind_ends(tb_tensor_binding *b, tb_error *err)
{
    tb_model *model = b->model;
    tb_config *config = &model->settings.config;
    const char *path = tb_checkpoint_path(model->checkpoint);
    tb_code rc = tb_bind_matrix(&model->embedding, b, "token_embd.weight", 0, config->width, err);
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
        rc = tb_bind_matrix(&model->head, b, "output.weight", config->vocab, config->width, err);
    if (!rc)
        rc = bind_norm(&model->output_norm, &model->output_tanh, b, "output_norm", err);
    if (!rc && config->registers)
        rc = tb_bind_matrix(&model->registers, b, "registers.weight", config->registers, config->width, err);
    return rc;
}

static tb_code bind_block(tb_tensor_binding *b, size_t index, tb_error *err)
{
    static tb_code (*const parts[])(tb_tensor_binding *, size_t, tb_error *) = {
        refuse_states, bind_router, bind_linears, bind_norms, bind_vectors, bind_sinks, bind_weighing};
    tb_code rc = TB_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !rc; i++)
        rc = parts[i](b, index, err);
    return rc;
}

static tb_code bind_all(tb_tensor_binding *b, tb_error *err)
{
    tb_model *model = b->model;
    size_t blocks = model->settings.config.blocks;
    tb_code rc = bind_ends(b, err);
    if (rc)
        return rc;
    model->blocks = tb_arena_array(&model->arena, blocks, sizeof *model->blocks);
    if (!model->blocks)
        return tb_bind_no_memory(err, "blocks");
    for (size_t i = 0; i < blocks && !rc; i++)
        rc = bind_block(b, i, err);
    return rc ? rc : bind_rope(b, err);
}

tb_code tb_model_bind(tb_model *model, tb_error *err)
{
    tb_tensor_binding b;
    tb_code rc = tb_tensor_binding_init(&b, model, err);
    if (!rc)
        rc = bind_all(&b, err);
    if (!rc)
        rc = tb_bind_refuse_unused(&b, err);
    tb_tensor_binding_clear(&b);
    return rc;
}
