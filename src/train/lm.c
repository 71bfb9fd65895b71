// Small transformers: their shape, their parameters and where these begin, and batches cut into pieces.
#include "train/lm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/lm_parts.h"

const char *const tb_lm_normalizer_names[TB_LM_NORMALIZERS] = {"softmax", "softmax1", "sink",     "clip",
                                                               "sigmoid", "relu",     "softpick", "elastic"};
const char *const tb_lm_gate_names[TB_LM_GATES] = {"none", "head", "elem", "value", "shared", "input-free"};
const char *const tb_lm_kv_bias_names[TB_LM_KV_BIASES] = {"none", "k", "kv"};
const char *const tb_lm_norm_names[TB_LM_NORMS] = {"rms", "ss", "headwise", "qk", "sandwich", "dyntanh"};
const char *const tb_lm_ffn_names[TB_LM_FFNS] = {"swiglu", "geglu"};
const char *const tb_lm_penalty_names[TB_LM_PENALTIES] = {"plain", "tweo", "zloss"};

// Rows of a piece: enough that products run at full speed, few enough that its room stays small.
enum { PIECE_ROWS = 2048 };

// ---- shapes ----

static tb_code check_count(const char *what, size_t n, size_t most, tb_error *err)
{
    if (n < 1 || n > most)
        return tb_fail(err, TB_EINVAL, "%s must be between 1 and %zu, not %zu", what, most, n);
    return TB_OK;
}

tb_code tb_lm_shape_check(const tb_lm_shape *s, tb_error *err)
{
    const struct {
        const char *what;
        size_t n;
    } counts[] = {{"the vocabulary", s->vocab}, {"the width", s->width},          {"the number of blocks", s->blocks},
                  {"heads", s->heads},          {"heads of keys", s->kv_heads},   {"the size of a head", s->head_size},
                  {"the context", s->context},  {"the FFN's width", s->ffn_width}};
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < sizeof counts / sizeof counts[0]; i++)
        rc = check_count(counts[i].what, counts[i].n, TB_MAX_DIM / 64, err); // products of two stay dimensions
    if (rc)
        return rc;
    if (s->heads % s->kv_heads != 0)
        return tb_fail(err, TB_EINVAL, "%zu heads cannot share %zu heads of keys", s->heads, s->kv_heads);
    if (s->head_size % 2 != 0)
        return tb_fail(err, TB_EINVAL, "heads of %zu elements cannot be turned by RoPE: the size must be even",
                       s->head_size);
    if (s->registers > 1024)
        return tb_fail(err, TB_EINVAL, "%zu registers are more than 1024", s->registers);
    return TB_OK;
}

// ---- parameters ----

// What is being built, and the first failure.
typedef struct builder {
    tb_lm *lm;
    uint64_t seed;
    size_t block;
    tb_code rc;
    tb_error *err;
} builder;

static tb_param *add(builder *b, const char *name, size_t rows, size_t cols)
{
    tb_param *param = NULL;
    if (!b->rc)
        b->rc = tb_params_add(&param, b->lm->params, name, rows, cols, b->err);
    return param;
}

// "blk.N.STEM"
static tb_param *add_to_block(builder *b, const char *stem, size_t rows, size_t cols)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%zu.%s", b->block, stem);
    return add(b, name, rows, cols);
}

static void fill(builder *b, tb_param *param, double value)
{
    for (size_t i = 0; param && i < param->rows * param->cols; i++)
        tb_param_set(b->lm->params, param, i, value);
}

// Every parameter has a stream of random numbers of its own, so that none changes with what stands beside it.
static void draw(builder *b, tb_param *param, double deviation)
{
    if (!param)
        return;
    uint64_t stream = 1;
    for (const char *c = param->name; *c; c++) // FNV-1a
        stream = (stream ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    tb_rng rng;
    tb_rng_init(&rng, b->seed, stream);
    for (size_t i = 0; i < param->rows * param->cols; i++)
        tb_param_set(b->lm->params, param, i, deviation * tb_rng_normal(&rng));
}

static tb_param *add_vector(builder *b, const char *stem, size_t size, double value)
{
    tb_param *param = add_to_block(b, stem, 1, size);
    if (param)
        param->vector = true;
    fill(b, param, value);
    return param;
}

// "small init" (Nguyen and Salazar, arXiv 1910.05895): √(2/5n), and what is added to the residual stream shrinks
// with the number of additions (GPT-2).
static void draw_matrix(builder *b, tb_param *weight, bool adds)
{
    if (weight)
        draw(b, weight, sqrt(0.4 / (double)weight->cols) / (adds ? sqrt(2 * (double)b->lm->shape.blocks) : 1));
}

static tb_lm_linear add_linear(builder *b, const char *stem, size_t out, size_t in, bool biased)
{
    char name[48];
    const tb_lm *lm = b->lm;
    snprintf(name, sizeof name, "%s.weight", stem);
    tb_lm_linear l = {.weight = add_to_block(b, name, out, in)};
    bool adds = strcmp(stem, "attn_output") == 0 || strcmp(stem, "ffn_down") == 0;
    draw_matrix(b, l.weight, adds);
    snprintf(name, sizeof name, "%s.bias", stem);
    if (biased)
        l.bias = add_vector(b, name, out, 0);
    l.used = l.weight ? l.weight->value : NULL;
    if (lm->shape.ternary && strcmp(stem, "attn_gate") != 0 && !b->rc) {
        l.used = tb_arena_array(&b->lm->arena, out * in, tb_precision_bytes(tb_params_precision(lm->params)));
        if (!l.used)
            b->rc = tb_fail(b->err, TB_ENOMEM, "no memory for three-valued weights");
    }
    return l;
}

// A norm of the width of the residual stream; `stem` may have a block in front of it.
static tb_lm_norm add_stream_norm(builder *b, const char *stem, bool of_block)
{
    const tb_lm_shape *s = &b->lm->shape;
    bool is_tanh = s->norm == TB_LM_NORM_DYNTANH;
    size_t sizes[] = {s->norm == TB_LM_NORM_SS ? 1 : s->width, 1, s->width};
    const char *const parts[] = {"weight", "alpha", "bias"};
    const double values[] = {1, 0.5, 0}; // α of Zhu et al., arXiv 2503.10622
    tb_param *params[3] = {0};
    for (size_t i = 0; i < (is_tanh ? 3u : 1u); i++) {
        char name[48];
        snprintf(name, sizeof name, "%s.%s", stem, parts[i]);
        params[i] = of_block ? add_to_block(b, name, 1, sizes[i]) : add(b, name, 1, sizes[i]);
        if (params[i])
            params[i]->vector = true;
        fill(b, params[i], values[i]);
    }
    return (tb_lm_norm){.scale = params[0], .alpha = params[1], .shift = params[2]};
}

static tb_lm_norm add_rms(builder *b, const char *stem, size_t size)
{
    return (tb_lm_norm){.scale = add_vector(b, stem, size, 1)};
}

static void add_norms(builder *b, tb_lm_block *block)
{
    const tb_lm_shape *s = &b->lm->shape;
    block->attn_norm = add_stream_norm(b, "attn_norm", true);
    block->ffn_norm = add_stream_norm(b, "ffn_norm", true);
    if (s->norm == TB_LM_NORM_QK) {
        block->q_norm = add_rms(b, "attn_q_norm.weight", s->head_size);
        block->k_norm = add_rms(b, "attn_k_norm.weight", s->head_size);
    }
    if (s->norm == TB_LM_NORM_HEADWISE)
        block->head_norm = add_rms(b, "attn_head_norm.weight", s->heads * s->head_size);
    if (s->norm == TB_LM_NORM_SANDWICH) {
        block->post_attn_norm = add_rms(b, "post_attention_norm.weight", s->width);
        block->post_ffn_norm = add_rms(b, "post_ffw_norm.weight", s->width);
    }
}

static void add_normalizer(builder *b, tb_lm_block *block)
{
    const tb_lm_shape *s = &b->lm->shape;
    if (s->normalizer == TB_LM_SINK)
        block->extra = add_vector(b, "attn_sinks.weight", s->heads, 0);
    if (s->normalizer == TB_LM_SIGMOID)
        block->extra = add_vector(b, "attn_sigmoid_bias.weight", s->heads, -log((double)s->context));
    if (s->normalizer == TB_LM_ELASTIC)
        block->extra = add_vector(b, "attn_tau.weight", s->heads, -1);
}

// Keys and values that are learned by themselves begin small (Sun et al., arXiv 2402.17762).
#define SLOT_DEVIATION 0.02

static tb_param *add_slot(builder *b, const char *stem)
{
    const tb_lm_shape *s = &b->lm->shape;
    tb_param *slot = add_to_block(b, stem, s->kv_heads, s->head_size);
    draw(b, slot, SLOT_DEVIATION);
    return slot;
}

static void add_gate(builder *b, tb_lm_block *block)
{
    const tb_lm_shape *s = &b->lm->shape;
    const size_t rows[TB_LM_GATES] = {[TB_LM_GATE_HEAD] = s->heads,
                                      [TB_LM_GATE_ELEM] = s->heads * s->head_size,
                                      [TB_LM_GATE_VALUE] = s->kv_heads * s->head_size,
                                      [TB_LM_GATE_SHARED] = s->head_size};
    if (s->gate == TB_LM_GATE_INPUT_FREE)
        block->gate.weight = add_vector(b, "attn_gate.weight", s->heads * s->head_size, 0);
    else if (s->gate != TB_LM_GATE_NONE)
        block->gate = add_linear(b, "attn_gate", rows[s->gate], s->width, false);
}

static void add_block(builder *b, tb_lm_block *block)
{
    const tb_lm_shape *s = &b->lm->shape;
    size_t queries = s->heads * s->head_size, keys = s->kv_heads * s->head_size;
    add_norms(b, block);
    block->q = add_linear(b, "attn_q", queries, s->width, s->biases);
    block->k = add_linear(b, "attn_k", keys, s->width, s->biases);
    block->v = add_linear(b, "attn_v", keys, s->width, s->biases);
    block->output = add_linear(b, "attn_output", s->width, queries, false);
    block->ffn_gate = add_linear(b, "ffn_gate", s->ffn_width, s->width, false);
    block->ffn_up = add_linear(b, "ffn_up", s->ffn_width, s->width, false);
    block->ffn_down = add_linear(b, "ffn_down", s->width, s->ffn_width, false);
    add_normalizer(b, block);
    add_gate(b, block);
    if (s->kv_bias != TB_LM_KV_BIAS_NONE)
        block->slot_k = add_slot(b, "attn_sink_k.weight");
    if (s->kv_bias == TB_LM_KV_BIAS_KV)
        block->slot_v = add_slot(b, "attn_sink_v.weight");
}

// Of embeddings, as in GPT-2.
#define EMBEDDING_DEVIATION 0.02

static void add_outside(builder *b)
{
    tb_lm *lm = b->lm;
    const tb_lm_shape *s = &lm->shape;
    lm->embedding = add(b, "token_embd.weight", s->vocab, s->width);
    draw(b, lm->embedding, EMBEDDING_DEVIATION);
    if (s->registers)
        lm->registers = add(b, "registers.weight", s->registers, s->width);
    draw(b, lm->registers, EMBEDDING_DEVIATION);
    lm->output_norm = add_stream_norm(b, "output_norm", false);
    tb_param *head = s->tied ? lm->embedding : add(b, "output.weight", s->vocab, s->width);
    if (!s->tied)
        draw_matrix(b, head, false);
    lm->head = (tb_lm_linear){.weight = head, .used = head ? head->value : NULL};
}

tb_code tb_lm_new(tb_lm **out, const tb_lm_shape *shape, tb_precision precision, uint64_t seed, tb_error *err)
{
    *out = NULL;
    tb_code rc = tb_lm_shape_check(shape, err);
    if (rc)
        return rc;
    tb_lm *lm = tb_new(tb_lm);
    if (!lm)
        return tb_fail(err, TB_ENOMEM, "no memory for a model");
    lm->shape = *shape;
    builder b = {.lm = lm, .seed = seed, .err = err};
    b.rc = tb_params_new(&lm->params, precision, true, err);
    lm->blocks = tb_arena_array(&lm->arena, shape->blocks, sizeof *lm->blocks);
    if (!b.rc && !lm->blocks)
        b.rc = tb_fail(err, TB_ENOMEM, "no memory for %zu blocks", shape->blocks);
    if (!b.rc)
        add_outside(&b);
    for (; !b.rc && b.block < shape->blocks; b.block++)
        add_block(&b, &lm->blocks[b.block]);
    if (b.rc) {
        tb_lm_free(lm);
        return b.rc;
    }
    *out = lm;
    return TB_OK;
}

void tb_lm_free(tb_lm *lm)
{
    if (!lm)
        return;
    tb_params_free(lm->params);
    tb_arena_clear(&lm->arena);
    tb_arena_clear(&lm->room);
    tb_free(lm);
}

const tb_lm_shape *tb_lm_get_shape(const tb_lm *lm)
{
    return &lm->shape;
}

tb_params *tb_lm_params(tb_lm *lm)
{
    return lm->params;
}

void tb_lm_clear_gradients(tb_lm *lm)
{
    size_t bytes = tb_precision_bytes(tb_params_precision(lm->params));
    for (size_t i = 0; i < tb_params_count(lm->params); i++) {
        tb_param *param = tb_params_at(lm->params, i);
        memset(param->gradient, 0, param->rows * param->cols * bytes);
    }
}

// ---- batches ----

static const tb_lm_passes *passes_of(const tb_lm *lm)
{
    return tb_params_precision(lm->params) == TB_DOUBLE ? &tb_lm_passes_f64 : &tb_lm_passes_f32;
}

static tb_code check_batch(size_t *scored, const tb_lm *lm, const tb_lm_batch *batch, tb_error *err)
{
    const tb_lm_shape *s = &lm->shape;
    *scored = 0;
    if (batch->length < 1 || batch->length > s->context || batch->sequences < 1)
        return tb_fail(err, TB_EINVAL, "a batch of %zu sequences of %zu tokens does not fit a context of %zu",
                       batch->sequences, batch->length, s->context);
    for (size_t i = 0; i < batch->sequences * batch->length; i++) {
        int32_t token = batch->tokens[i], target = batch->targets[i];
        if (token < 0 || (size_t)token >= s->vocab || (target >= 0 && (size_t)target >= s->vocab))
            return tb_fail(err, TB_EINVAL, "token %d is outside the vocabulary of %zu", token < 0 ? token : target,
                           s->vocab);
        *scored += target >= 0;
    }
    return *scored ? TB_OK : tb_fail(err, TB_EINVAL, "a batch has nothing to predict");
}

static tb_code prepare(tb_lm *lm, size_t sequences, size_t span, size_t threads, tb_error *err)
{
    if (lm->pass && sequences <= lm->room_sequences && span == lm->room_span && threads <= lm->room_threads)
        return TB_OK;
    tb_arena_clear(&lm->room);
    lm->pass = NULL;
    if (!passes_of(lm)->prepare(lm, sequences, span, threads)) {
        lm->pass = NULL;
        return tb_fail(err, TB_ENOMEM, "no memory for %zu sequences of %zu tokens", sequences, span);
    }
    lm->room_sequences = sequences;
    lm->room_span = span;
    lm->room_threads = threads;
    return TB_OK;
}

tb_code tb_lm_run(tb_lm_loss *loss, tb_lm *lm, const tb_lm_batch *batch, tb_lm_penalty penalty, bool learns,
                  size_t threads, const tb_lm_watch *watch, tb_error *err)
{
    size_t span = lm->shape.registers + batch->length, at_once = PIECE_ROWS / span ? PIECE_ROWS / span : 1;
    *loss = (tb_lm_loss){0};
    tb_code rc = check_batch(&loss->scored, lm, batch, err);
    if (rc)
        return rc;
    at_once = at_once < batch->sequences ? at_once : batch->sequences;
    rc = prepare(lm, at_once, span, threads, err);
    double *mass = rc ? NULL : tb_alloc_array(at_once * lm->shape.heads, sizeof *mass);
    if (!rc && !mass)
        rc = tb_fail(err, TB_ENOMEM, "no memory for %zu sequences", at_once);
    if (!rc)
        passes_of(lm)->quantize(lm, threads);
    for (size_t first = 0; !rc && first < batch->sequences; first += at_once) {
        size_t left = batch->sequences - first;
        tb_lm_piece piece = {.batch = {batch->tokens + first * batch->length, batch->targets + first * batch->length,
                                       left < at_once ? left : at_once, batch->length}};
        piece.scored = loss->scored;
        piece.rows = batch->sequences * span;
        piece.penalty = penalty;
        piece.learns = learns;
        piece.threads = threads;
        piece.watch = watch;
        piece.mass = mass;
        passes_of(lm)->run(loss, lm, &piece);
    }
    tb_free(mass);
    return rc;
}
