// The workspace of a pass, and the way of a batch through it: embedding, blocks, head.
#include "model/runner.h"

#include "model/attention.h"
#include "model/forward.h"

// ---- workspace ----

// The most columns of any matrix.
static size_t most_cols(const tb_model *model)
{
    size_t most = model->settings.config.width;
    for (size_t b = 0; b < model->settings.config.blocks; b++)
        for (size_t i = 0; i < model->blocks[b].linears.count; i++)
            most = tb_max_size(most, model->blocks[b].linears.at[i].matrix.cols);
    return most;
}

static float *floats(tb_runner *r, bool *ok, size_t rows, size_t cols)
{
    size_t n = 0;
    float *p = tb_mul_size(&n, rows, cols) ? tb_arena_array(&r->arena, n, sizeof *p) : NULL;
    *ok = *ok && p;
    return p;
}

static bool init_pins(tb_runner *r, size_t rows)
{
    bool ok = true;
    r->pinned_query = floats(r, &ok, rows, r->query_stride);
    r->pinned_positions = tb_arena_array(&r->arena, rows, sizeof *r->pinned_positions);
    return ok && r->pinned_positions && tb_rope_table_init(&r->pinned_rope, &r->arena, &r->model->settings.rope, rows);
}

static bool make_room_for_experts(tb_runner *r, size_t rows)
{
    size_t experts = r->model->settings.config.experts, n;
    bool ok = true;
    if (experts == 0)
        return true;
    r->shares = floats(r, &ok, rows, experts);
    r->gathered = floats(r, &ok, rows, r->width_stride);
    r->expert_out = floats(r, &ok, rows, r->width_stride);
    r->chosen = tb_mul_size(&n, rows, experts) ? tb_arena_alloc(&r->arena, n) : NULL;
    r->members = tb_arena_array(&r->arena, rows, sizeof *r->members);
    r->gathered_positions = tb_arena_array(&r->arena, rows, sizeof *r->gathered_positions);
    return ok && r->chosen && r->members && r->gathered_positions;
}

static bool make_room_for_gates(tb_runner *r, size_t rows)
{
    const tb_settings *s = &r->model->settings;
    size_t length = tb_gate_length(s->arch->gate, &s->config);
    bool ok = true;
    if (length == 0 || s->arch->gate_source == TB_GATE_FREE)
        return true;
    r->gate_stride = tb_padded(length);
    r->gates = floats(r, &ok, rows, r->gate_stride);
    if (!tb_gate_is_in_query(s->arch))
        return ok;
    r->raw_stride = tb_padded(s->config.heads * s->config.head_size + length);
    r->raw_query = floats(r, &ok, rows, r->raw_stride);
    return ok;
}

tb_code tb_runner_init(tb_runner *r, const tb_model *model, size_t rows, const tb_kv_plan *plan, tb_error *err)
{
    const tb_settings *s = &model->settings;
    const tb_config *c = &s->config;
    const size_t capacity = tb_kv_plan_rows(plan, s);
    *r = (tb_runner){0};
    if (capacity > TB_MOST_POSITIONS)
        return tb_fail(err, TB_ELIMIT, "a sequence of %zu tokens is longer than %zu", capacity, TB_MOST_POSITIONS);
    *r = (tb_runner){
        .model = model,
        .rows = rows,
        .capacity = capacity,
        .keys = capacity + c->sink_keys,
        .width_stride = tb_padded(c->width),
        .query_stride = tb_padded(c->heads * c->head_size),
        .key_stride = tb_padded(c->kv_heads * c->head_size),
        .ffn_stride = tb_padded(tb_max_size(c->ffn_width, tb_max_size(c->expert_width, c->shared_width))),
    };
    bool ok = true;
    r->x = floats(r, &ok, rows, r->width_stride);
    r->normed = floats(r, &ok, rows, r->width_stride);
    r->delta = floats(r, &ok, rows, r->width_stride);
    r->query = floats(r, &ok, rows, r->query_stride);
    r->attended = floats(r, &ok, rows, r->query_stride);
    r->key = floats(r, &ok, rows, r->key_stride);
    r->value = floats(r, &ok, rows, r->key_stride);
    r->gate = floats(r, &ok, rows, r->ffn_stride);
    r->up = floats(r, &ok, rows, r->ffn_stride);
    ok = make_room_for_experts(r, rows) && make_room_for_gates(r, rows) && ok;
    const size_t cols = most_cols(model);
    r->room = tb_arena_alloc(&r->arena, tb_activations_room(&model->compute, rows, tb_padded(cols), cols));
    ok = ok && r->room;
    r->matmul_scratch = floats(r, &ok, tb_matmul_scratch(&model->compute, rows, cols), 1);
    r->attention_scratch = floats(
        r, &ok,
        tb_attention_scratch(c, s->arch->weighing, plan->redistribution.freed > 0, r->keys, model->compute.threads), 1);
    ok = ok && tb_rope_table_init(&r->rope, &r->arena, &s->rope, rows) &&
         tb_rope_table_init(&r->near_rope, &r->arena, &s->near_rope, rows);
    if (tb_kv_plan_pin(plan) != SIZE_MAX)
        ok = ok && init_pins(r, rows);
    if (plan->apart > 0) {
        r->apart_ratio = plan->apart;
        r->apart = tb_arena_array(&r->arena, rows, sizeof *r->apart);
        ok = ok && r->apart;
    }
    return ok ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for a sequence of %zu tokens", capacity);
}

void tb_runner_clear(tb_runner *runner)
{
    tb_arena_clear(&runner->arena);
}

// ---- a batch ----

static void embed_register(float *row, const tb_model *model, size_t index)
{
    tb_decode_rows_fn *decode = tb_kernels_decode(&model->compute.kernels, model->registers.type);
    decode(row, tb_padded(model->registers.cols), &model->registers, index, index + 1);
}

void tb_embed(float *x, const tb_model *model, const int32_t *tokens, size_t n)
{
    size_t width = model->settings.config.width, stride = tb_padded(width);
    float scale = (float)model->settings.embedding_scale;
    tb_decode_rows_fn *decode = tb_kernels_decode(&model->compute.kernels, model->embedding.type);
    for (size_t t = 0; t < n; t++) {
        float *row = x + t * stride;
        if (tokens[t] < 0) {
            embed_register(row, model, tb_register_of(tokens[t]));
            continue;
        }
        decode(row, stride, &model->embedding, (size_t)tokens[t], (size_t)tokens[t] + 1);
        for (size_t i = 0; scale != 1.0f && i < width; i++)
            row[i] *= scale;
    }
}

void tb_runner_run_head(float *logits, const tb_runner *r, const float *x, size_t stride, size_t n)
{
    const tb_model *model = r->model;
    const tb_config *config = &model->settings.config;
    for (size_t t = 0; t < n; t++)
        tb_norm_row(r->normed + t * r->width_stride, model, x + t * stride, model->output_norm, &model->output_tanh,
                    config->width);
    tb_activations normed = {
        .x = r->normed, .stride = r->width_stride, .rows = n, .cols = config->width, .room = r->room};
    tb_matmul(&model->compute, logits, config->vocab, &model->head, &normed, 0, n, r->matmul_scratch);
    float cap = (float)model->settings.final_cap;
    for (size_t i = 0; cap > 0 && i < n * config->vocab; i++)
        logits[i] = cap * tb_tanh(logits[i] / cap);
}

void tb_runner_run_block(const tb_runner *runner, float *x, const tb_batch *batch, size_t block,
                         const tb_block_override *override, const tb_probe *probe)
{
    tb_forward_block(&(tb_pass){
        .runner = runner,
        .batch = batch,
        .block = block,
        .weights = &runner->model->blocks[block],
        .override = override,
        .probe = probe,
        .x = x,
    });
}

void tb_runner_run(const tb_runner *r, const tb_batch *batch, const tb_probe *probe)
{
    tb_embed(r->x, r->model, batch->tokens, batch->rows);
    const tb_pass embeddings = {.runner = r, .batch = batch, .block = SIZE_MAX, .probe = probe, .x = r->x};
    tb_pass_edit(&embeddings, TB_EDIT_RESIDUAL, r->x, r->width_stride, r->model->settings.config.width);
    tb_pass_show_residual(&embeddings);
    for (size_t block = 0; block < r->model->settings.config.blocks; block++)
        tb_runner_run_block(r, r->x, batch, block, NULL, probe);
    for (size_t i = 0; i < batch->span_count; i++) {
        const tb_span *span = &batch->spans[i];
        size_t first = span->first + span->count - span->wanted;
        if (span->wanted)
            tb_runner_run_head(span->logits, r, r->x + first * r->width_stride, r->width_stride, span->wanted);
    }
}
