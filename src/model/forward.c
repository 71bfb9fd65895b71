// One block, for the tokens of a batch:
//
//     n = norm(x)                       probe: input of q, k, v
//     q, k, v = Wq·n, Wk·n, Wv·n        (+ biases; norms of the heads; RoPE)
//     a = attention(q, keys, values)    probe: input of o
//     x += Wo·a                         (normed before)
//     n = norm(x)                       probe: input of gate, up
//     x += Wdown·(act(Wgate·n) ⊙ Wup·n) (normed before); probe: input of down
//
// What is in parentheses depends on the family (settings.h). Products go through tb_matmul;
// everything between them is done token by token, divided among threads by tokens.
#include "model/forward.h"

#include <math.h>
#include <string.h>

#include "model/exp.h"

enum { TOKEN_GRAIN = 4 }; // tokens a thread takes at a time

// ---- workspace ----

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t most_matmul_scratch(const tb_model *model, size_t batch)
{
    const tb_config *config = &model->settings.config;
    size_t most = tb_matmul_scratch(batch, config->vocab, config->width, model->compute.threads);
    for (size_t b = 0; b < config->blocks; b++)
        for (size_t i = 0; i < model->blocks[b].linears.count; i++) {
            const tb_matrix *m = &model->blocks[b].linears.at[i].matrix;
            most = max_size(most, tb_matmul_scratch(batch, m->rows, m->cols, model->compute.threads));
        }
    return most;
}

static float *floats(tb_workspace *w, bool *ok, size_t rows, size_t cols)
{
    size_t n = 0;
    float *p = tb_mul_size(&n, rows, cols) ? tb_arena_array(&w->arena, n, sizeof *p) : NULL;
    *ok = *ok && p;
    return p;
}

tb_code tb_workspace_init(tb_workspace *w, const tb_model *model, size_t batch, size_t positions, tb_error *err)
{
    const tb_settings *s = &model->settings;
    const tb_config *c = &s->config;
    *w = (tb_workspace){0};
    if (positions > TB_MOST_POSITIONS)
        return tb_fail(err, TB_ELIMIT, "a sequence of %zu tokens is longer than %zu", positions, TB_MOST_POSITIONS);
    *w = (tb_workspace){
        .model = model,
        .batch = batch,
        .positions = positions,
        .width_stride = tb_padded(c->width),
        .query_stride = tb_padded(c->heads * c->head_size),
        .key_stride = tb_padded(c->kv_heads * c->head_size),
        .ffn_stride = tb_padded(c->ffn_width),
    };
    bool ok = true;
    w->normed = floats(w, &ok, batch, w->width_stride);
    w->delta = floats(w, &ok, batch, w->width_stride);
    w->query = floats(w, &ok, batch, w->query_stride);
    w->attended = floats(w, &ok, batch, w->query_stride);
    w->key = floats(w, &ok, batch, w->key_stride);
    w->value = floats(w, &ok, batch, w->key_stride);
    w->gate = floats(w, &ok, batch, w->ffn_stride);
    w->up = floats(w, &ok, batch, w->ffn_stride);
    w->matmul_scratch = floats(w, &ok, most_matmul_scratch(model, batch), 1);
    w->attention_scratch = floats(w, &ok, tb_attention_scratch(c, positions, model->compute.threads), 1);
    ok = ok && tb_rope_table_init(&w->rope, &w->arena, &s->rope, batch) &&
         tb_rope_table_init(&w->near_rope, &w->arena, &s->near_rope, batch);
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a sequence of %zu tokens", positions);
}

void tb_workspace_clear(tb_workspace *w)
{
    tb_arena_clear(&w->arena);
}

// ---- token by token ----

// A loop over the tokens of one block, as tb_parallel wants it.
typedef struct token_loop {
    const tb_workspace *w;
    const tb_block *block;
    const tb_rope_table *rope; // NULL: the block has none
    const float *norm;         // [width] or NULL
    float *x;
    const int32_t *positions;
} token_loop;

static void each_token(const token_loop *loop, size_t tokens, tb_range_fn fn)
{
    tb_parallel(loop->w->model->compute.threads, tokens, TOKEN_GRAIN, fn, (void *)(uintptr_t)loop);
}

// out = x/rms(x)·weight; out may be x.
static void rms_norm(float *out, const tb_model *model, const float *x, const float *weight, size_t n)
{
    double square = (double)model->compute.kernels.dot_f32(x, x, n) / (double)n;
    float scale = (float)(1 / sqrt(square + model->settings.config.norm_eps));
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * scale * weight[i];
}

static void add(float *restrict x, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

// normed = norm(x)
static void norm_tokens(void *user, size_t begin, size_t end, size_t worker)
{
    const token_loop *loop = user;
    const tb_workspace *w = loop->w;
    (void)worker;
    for (size_t t = begin; t < end; t++)
        rms_norm(w->normed + t * w->width_stride, w->model, loop->x + t * w->width_stride, loop->norm,
                 w->model->settings.config.width);
}

// x += delta, normed before where the family does so
static void add_tokens(void *user, size_t begin, size_t end, size_t worker)
{
    const token_loop *loop = user;
    const tb_workspace *w = loop->w;
    size_t width = w->model->settings.config.width;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *delta = w->delta + t * w->width_stride;
        if (loop->norm)
            rms_norm(delta, w->model, delta, loop->norm, width);
        add(loop->x + t * w->width_stride, delta, width);
    }
}

static void finish_heads(float *x, const token_loop *loop, size_t heads, const float *norm, size_t row)
{
    const tb_model *model = loop->w->model;
    size_t n = model->settings.config.head_size;
    for (size_t head = 0; head < heads; head++, x += n) {
        if (norm)
            rms_norm(x, model, x, norm, n);
        if (loop->rope)
            tb_rope_apply(x, loop->rope, row);
    }
}

// Norms and turns queries and keys.
static void finish_tokens(void *user, size_t begin, size_t end, size_t worker)
{
    const token_loop *loop = user;
    const tb_workspace *w = loop->w;
    const tb_config *config = &w->model->settings.config;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        finish_heads(w->query + t * w->query_stride, loop, config->heads, loop->block->query_norm, t);
        finish_heads(w->key + t * w->key_stride, loop, config->kv_heads, loop->block->key_norm, t);
    }
}

// gate = act(gate) ⊙ up
static void activate_tokens(void *user, size_t begin, size_t end, size_t worker)
{
    const token_loop *loop = user;
    const tb_workspace *w = loop->w;
    size_t n = w->model->settings.config.ffn_width;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *restrict gate = w->gate + t * w->ffn_stride;
        const float *restrict up = w->up + t * w->ffn_stride;
        if (w->model->settings.arch->activation == TB_GELU_TANH)
            for (size_t i = 0; i < n; i++)
                gate[i] = tb_gelu_tanh(gate[i]) * up[i];
        else
            for (size_t i = 0; i < n; i++)
                gate[i] = tb_silu(gate[i]) * up[i];
    }
}

// ---- the block ----

// A block under way: which weights, over how many tokens.
typedef struct block_run {
    const tb_workspace *w;
    const tb_block *block;
    const tb_block_override *override;
    size_t index, tokens;
} block_run;

static void linear(float *y, size_t y_stride, const block_run *run, tb_linear_kind kind, const float *x,
                   size_t x_stride)
{
    size_t which = tb_linears_find(run->block->linears, kind, 0);
    const tb_linear *own = &run->block->linears.at[which];
    tb_linear_override used = {0};
    if (run->override && run->override->linears)
        used = run->override->linears[which];
    const tb_matrix *matrix = used.matrix ? used.matrix : &own->matrix;
    tb_matmul(&run->w->model->compute, y, y_stride, matrix, x, x_stride, run->tokens, run->w->matmul_scratch);
    const float *bias = used.bias ? used.bias : own->bias;
    for (size_t t = 0; bias && t < run->tokens; t++)
        add(y + t * y_stride, bias, matrix->rows);
}

static void show_input(const block_run *run, tb_linear_input input, const float *x, size_t stride, size_t cols)
{
    const tb_probe *probe = run->w->probe;
    if (probe && probe->linear_input)
        probe->linear_input(probe->user, run->index, input, x, stride, run->tokens, cols);
}

static void attend(const block_run *run, const tb_kv_block *kv, const int32_t *positions)
{
    const tb_workspace *w = run->w;
    const tb_settings *settings = &w->model->settings;
    tb_attention_run(&(tb_attention){
        .compute = &w->model->compute,
        .config = &settings->config,
        .kv = kv,
        .scale = (float)settings->query_scale,
        .query = w->query,
        .out = w->attended,
        .stride = w->query_stride,
        .rows = run->tokens,
        .positions = positions,
        .scratch = w->attention_scratch,
        .scratch_capacity = w->positions,
        .block = run->index,
        .probe = w->probe,
    });
}

// The norm in front of an input that has one.
static const float *norm_before(const block_run *run, tb_linear_input input)
{
    if (run->override && run->override->norms[input])
        return run->override->norms[input];
    return tb_model_norm(run->w->model, run->index, input);
}

void tb_forward_block(float *x, const tb_workspace *w, size_t index, const tb_block_override *override, tb_kv_block *kv,
                      size_t tokens, const int32_t *positions)
{
    const tb_settings *settings = &w->model->settings;
    const tb_config *config = &settings->config;
    const tb_block *block = &w->model->blocks[index];
    const block_run run = {w, block, override, index, tokens};
    const tb_rope_table *rope = settings->near[index] ? &w->near_rope : &w->rope;
    token_loop loop = {
        .w = w,
        .block = block,
        .rope = settings->rotated[index] ? rope : NULL,
        .x = x,
        .positions = positions,
    };

    tb_rope_table_fill(rope, positions, tokens, w->length);

    loop.norm = norm_before(&run, TB_INPUT_ATTENTION);
    each_token(&loop, tokens, norm_tokens);
    show_input(&run, TB_INPUT_ATTENTION, w->normed, w->width_stride, config->width);
    linear(w->query, w->query_stride, &run, TB_LINEAR_Q, w->normed, w->width_stride);
    linear(w->key, w->key_stride, &run, TB_LINEAR_K, w->normed, w->width_stride);
    linear(w->value, w->key_stride, &run, TB_LINEAR_V, w->normed, w->width_stride);
    each_token(&loop, tokens, finish_tokens);
    tb_kv_store(kv, &w->model->compute, &(tb_kv_rows){w->key, w->value, w->key_stride, tokens, positions});
    attend(&run, kv, positions);
    show_input(&run, TB_INPUT_OUTPUT, w->attended, w->query_stride, config->heads * config->head_size);
    linear(w->delta, w->width_stride, &run, TB_LINEAR_O, w->attended, w->query_stride);
    loop.norm = block->attention_post_norm;
    each_token(&loop, tokens, add_tokens);

    loop.norm = norm_before(&run, TB_INPUT_FFN);
    each_token(&loop, tokens, norm_tokens);
    show_input(&run, TB_INPUT_FFN, w->normed, w->width_stride, config->width);
    linear(w->gate, w->ffn_stride, &run, TB_LINEAR_GATE, w->normed, w->width_stride);
    linear(w->up, w->ffn_stride, &run, TB_LINEAR_UP, w->normed, w->width_stride);
    each_token(&loop, tokens, activate_tokens);
    show_input(&run, TB_INPUT_DOWN, w->gate, w->ffn_stride, config->ffn_width);
    linear(w->delta, w->width_stride, &run, TB_LINEAR_DOWN, w->gate, w->ffn_stride);
    loop.norm = block->ffn_post_norm;
    each_token(&loop, tokens, add_tokens);

    if (w->probe && w->probe->residual)
        w->probe->residual(w->probe->user, index, x, w->width_stride, tokens);
}

// ---- ends ----

void tb_forward_embed(float *x, const tb_workspace *w, const int32_t *ids, size_t tokens)
{
    const tb_model *model = w->model;
    size_t width = model->settings.config.width;
    float scale = (float)model->settings.embedding_scale;
    tb_decode_rows_fn *decode = tb_kernels_decode(&model->compute.kernels, model->embedding.type);
    for (size_t t = 0; t < tokens; t++) {
        float *row = x + t * w->width_stride;
        decode(row, w->width_stride, &model->embedding, (size_t)ids[t], (size_t)ids[t] + 1);
        for (size_t i = 0; scale != 1.0f && i < width; i++)
            row[i] *= scale;
    }
    if (w->probe && w->probe->residual)
        w->probe->residual(w->probe->user, SIZE_MAX, x, w->width_stride, tokens);
}

void tb_forward_head(float *logits, const tb_workspace *w, const float *x, size_t stride, size_t n)
{
    const tb_model *model = w->model;
    const tb_config *config = &model->settings.config;
    for (size_t t = 0; t < n; t++)
        rms_norm(w->normed + t * w->width_stride, model, x + t * stride, model->output_norm, config->width);
    tb_matmul(&model->compute, logits, config->vocab, &model->head, w->normed, w->width_stride, n, w->matmul_scratch);
}
