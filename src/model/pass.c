// The steps of a block over a batch. What looks at one row is divided among threads by rows; products go span by span,
// so that each sequence gets the bits it would get alone.
#include "model/pass.h"

#include <math.h>

// ---- row by row ----

void tb_rms_norm(float *out, const tb_model *model, const float *x, const float *weight, size_t n)
{
    double square = (double)model->compute.kernels.dot_f32(x, x, n) / (double)n;
    float scale = (float)(1 / sqrt(square + model->settings.config.norm_eps));
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * scale * weight[i];
}

void tb_norm_row(float *out, const tb_model *model, const float *x, const float *weight, const tb_tanh_norm *tanh,
                 size_t n)
{
    if (model->settings.arch->norm != TB_NORM_TANH) {
        tb_rms_norm(out, model, x, weight, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = weight[i] * tb_tanh(tanh->alpha[0] * x[i]) + tanh->bias[i];
}

static void add(float *restrict x, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

static void each_row(const tb_pass *pass, tb_range_fn fn, const void *user)
{
    tb_parallel(pass->runner->model->compute.threads, pass->batch->rows, TB_ROW_GRAIN, fn, (void *)(uintptr_t)user);
}

void tb_pass_each_row(const tb_pass *pass, tb_range_fn fn)
{
    each_row(pass, fn, pass);
}

// A loop over rows with a norm [width], or NULL.
typedef struct norm_loop {
    const tb_pass *pass;
    const float *norm;
    const tb_tanh_norm *tanh;
} norm_loop;

static void norm_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const norm_loop *loop = user;
    const tb_runner *r = loop->pass->runner;
    (void)worker;
    for (size_t t = begin; t < end; t++)
        tb_norm_row(r->normed + t * r->width_stride, r->model, loop->pass->x + t * r->width_stride, loop->norm,
                    loop->tanh, r->model->settings.config.width);
}

static void add_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const norm_loop *loop = user;
    const tb_runner *r = loop->pass->runner;
    size_t width = r->model->settings.config.width;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *delta = r->delta + t * r->width_stride;
        if (loop->norm)
            tb_rms_norm(delta, r->model, delta, loop->norm, width);
        add(loop->pass->x + t * r->width_stride, delta, width);
    }
}

void tb_pass_norm(const tb_pass *pass, tb_linear_input input)
{
    const tb_block *block = pass->weights;
    norm_loop loop = {.pass = pass,
                      .norm = tb_model_norm(pass->runner->model, pass->block, input),
                      .tanh = input == TB_INPUT_ATTENTION ? &block->attention_tanh : &block->ffn_tanh};
    if (pass->override && pass->override->norms[input])
        loop.norm = pass->override->norms[input];
    each_row(pass, norm_rows, &loop);
}

void tb_pass_add(const tb_pass *pass, const float *norm)
{
    each_row(pass, add_rows, &(norm_loop){.pass = pass, .norm = norm});
}

// ---- span by span ----

tb_activations tb_pass_input(const tb_pass *pass, const float *x, size_t stride, size_t cols)
{
    return (tb_activations){
        .x = x, .stride = stride, .rows = pass->batch->rows, .cols = cols, .room = pass->runner->room};
}

// What stands for a linear in this pass: its own weights, or what replaces them.
static tb_linear_override used_linear(const tb_pass *pass, tb_linear_kind kind, size_t expert)
{
    size_t which = tb_linears_find(pass->weights->linears, kind, expert);
    const tb_linear *own = &pass->weights->linears.at[which];
    tb_linear_override used = {0};
    if (pass->override && pass->override->linears)
        used = pass->override->linears[which];
    return (tb_linear_override){used.matrix ? used.matrix : &own->matrix, used.bias ? used.bias : own->bias};
}

static void multiply_rows(float *y, size_t y_stride, const tb_pass *pass, const tb_linear_override *linear,
                          tb_activations *x, size_t first, size_t count)
{
    const tb_runner *r = pass->runner;
    tb_matmul(&r->model->compute, y + first * y_stride, y_stride, linear->matrix, x, first, count, r->matmul_scratch);
    for (size_t t = first; linear->bias && t < first + count; t++)
        add(y + t * y_stride, linear->bias, linear->matrix->rows);
}

void tb_pass_multiply_rows(float *y, size_t y_stride, const tb_pass *pass, tb_linear_kind kind, size_t expert,
                           tb_activations *x, size_t count)
{
    tb_linear_override linear = used_linear(pass, kind, expert);
    multiply_rows(y, y_stride, pass, &linear, x, 0, count);
}

void tb_pass_multiply(float *y, size_t y_stride, const tb_pass *pass, tb_linear_kind kind, tb_activations *x)
{
    tb_linear_override linear = used_linear(pass, kind, 0);
    for (size_t i = 0; i < pass->batch->span_count; i++)
        multiply_rows(y, y_stride, pass, &linear, x, pass->batch->spans[i].first, pass->batch->spans[i].count);
}

// ---- probe ----

// The rows of a span, of a batch's x.
static tb_edit_rows rows_of(const tb_pass *pass, size_t span, float *x, size_t stride, size_t cols)
{
    const tb_span *s = &pass->batch->spans[span];
    return (tb_edit_rows){x + s->first * stride, stride, s->count, cols, pass->batch->positions + s->first};
}

static tb_probe_rows only_seen(const tb_edit_rows *rows)
{
    return (tb_probe_rows){rows->x, rows->stride, rows->rows, rows->cols, rows->positions};
}

void tb_pass_show_rows(const tb_pass *pass, const tb_probe_place *at, tb_linear_input input, const tb_edit_rows *rows)
{
    const tb_probe *probe = pass->probe;
    const tb_probe_rows shown = only_seen(rows);
    if (probe && probe->edit_input)
        probe->edit_input(probe->user, at, input, rows);
    if (probe && probe->linear_input)
        probe->linear_input(probe->user, at, input, &shown);
}

void tb_pass_show_input(const tb_pass *pass, tb_linear_input input, float *x, size_t stride, size_t cols)
{
    for (size_t i = 0; i < pass->batch->span_count; i++) {
        const tb_edit_rows rows = rows_of(pass, i, x, stride, cols);
        tb_pass_show_rows(pass, &(tb_probe_place){.block = pass->block, .span = i}, input, &rows);
    }
}

void tb_pass_show_residual(const tb_pass *pass)
{
    const tb_probe *probe = pass->probe;
    const tb_runner *r = pass->runner;
    for (size_t i = 0; probe && probe->residual && i < pass->batch->span_count; i++) {
        const tb_edit_rows rows = rows_of(pass, i, pass->x, r->width_stride, r->model->settings.config.width);
        const tb_probe_rows shown = only_seen(&rows);
        probe->residual(probe->user, &(tb_probe_place){.block = pass->block, .span = i}, &shown);
    }
}

void tb_pass_edit_rows(const tb_pass *pass, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows)
{
    if (pass->probe && pass->probe->edit)
        pass->probe->edit(pass->probe->user, at, stage, rows);
}

void tb_pass_edit(const tb_pass *pass, tb_edit_stage stage, float *x, size_t stride, size_t cols)
{
    for (size_t i = 0; i < pass->batch->span_count; i++) {
        const tb_edit_rows rows = rows_of(pass, i, x, stride, cols);
        tb_pass_edit_rows(pass, &(tb_probe_place){.block = pass->block, .span = i}, stage, &rows);
    }
}
