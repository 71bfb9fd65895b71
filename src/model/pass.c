// The steps of a block over a batch. What looks at one row is divided among threads by rows; products go span by span,
// so that each sequence gets the bits it would get alone.
#include "model/pass.h"

#include <math.h>

enum { ROW_GRAIN = 4 }; // rows a thread takes at a time

// ---- row by row ----

void tb_rms_norm(float *out, const tb_model *model, const float *x, const float *weight, size_t n)
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

static void each_row(const tb_pass *pass, tb_range_fn fn, const void *user)
{
    tb_parallel(pass->runner->model->compute.threads, pass->batch->rows, ROW_GRAIN, fn, (void *)(uintptr_t)user);
}

void tb_pass_each_row(const tb_pass *pass, tb_range_fn fn)
{
    each_row(pass, fn, pass);
}

// A loop over rows with a norm [width], or NULL.
typedef struct norm_loop {
    const tb_pass *pass;
    const float *norm;
} norm_loop;

static void norm_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const norm_loop *loop = user;
    const tb_runner *r = loop->pass->runner;
    (void)worker;
    for (size_t t = begin; t < end; t++)
        tb_rms_norm(r->normed + t * r->width_stride, r->model, loop->pass->x + t * r->width_stride, loop->norm,
                    r->model->settings.config.width);
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
    const tb_runner *r = pass->runner;
    norm_loop loop = {pass, tb_model_norm(r->model, pass->block, input)};
    if (pass->override && pass->override->norms[input])
        loop.norm = pass->override->norms[input];
    each_row(pass, norm_rows, &loop);
    tb_pass_show_input(pass, input, r->normed, r->width_stride, r->model->settings.config.width);
}

void tb_pass_add(const tb_pass *pass, const float *norm)
{
    each_row(pass, add_rows, &(norm_loop){pass, norm});
}

// ---- span by span ----

tb_activations tb_pass_input(const tb_pass *pass, const float *x, size_t stride, size_t cols)
{
    return (tb_activations){
        .x = x, .stride = stride, .rows = pass->batch->rows, .cols = cols, .room = pass->runner->room};
}

void tb_pass_multiply(float *y, size_t y_stride, const tb_pass *pass, tb_linear_kind kind, tb_activations *x)
{
    const tb_runner *r = pass->runner;
    size_t which = tb_linears_find(pass->weights->linears, kind, 0);
    const tb_linear *own = &pass->weights->linears.at[which];
    tb_linear_override used = {0};
    if (pass->override && pass->override->linears)
        used = pass->override->linears[which];
    const tb_matrix *matrix = used.matrix ? used.matrix : &own->matrix;
    const float *bias = used.bias ? used.bias : own->bias;
    for (size_t i = 0; i < pass->batch->span_count; i++) {
        const tb_span *span = &pass->batch->spans[i];
        tb_matmul(&r->model->compute, y + span->first * y_stride, y_stride, matrix, x, span->first, span->count,
                  r->matmul_scratch);
    }
    for (size_t t = 0; bias && t < pass->batch->rows; t++)
        add(y + t * y_stride, bias, matrix->rows);
}

// ---- probe ----

// The rows of a span, of a batch's x.
static tb_probe_rows rows_of(const tb_pass *pass, size_t span, const float *x, size_t stride, size_t cols)
{
    const tb_span *s = &pass->batch->spans[span];
    return (tb_probe_rows){x + s->first * stride, stride, s->count, cols, pass->batch->positions + s->first};
}

void tb_pass_show_input(const tb_pass *pass, tb_linear_input input, const float *x, size_t stride, size_t cols)
{
    const tb_probe *probe = pass->probe;
    for (size_t i = 0; probe && probe->linear_input && i < pass->batch->span_count; i++) {
        tb_probe_rows rows = rows_of(pass, i, x, stride, cols);
        probe->linear_input(probe->user, &(tb_probe_place){.block = pass->block, .span = i}, input, &rows);
    }
}

void tb_pass_show_residual(const tb_pass *pass)
{
    const tb_probe *probe = pass->probe;
    const tb_runner *r = pass->runner;
    for (size_t i = 0; probe && probe->residual && i < pass->batch->span_count; i++) {
        tb_probe_rows rows = rows_of(pass, i, pass->x, r->width_stride, r->model->settings.config.width);
        probe->residual(probe->user, &(tb_probe_place){.block = pass->block, .span = i}, &rows);
    }
}

void tb_pass_edit(const tb_pass *pass, tb_edit_stage stage, float *x, size_t stride, size_t cols)
{
    const tb_probe *probe = pass->probe;
    for (size_t i = 0; probe && probe->edit && i < pass->batch->span_count; i++) {
        const tb_span *s = &pass->batch->spans[i];
        tb_edit_rows rows = {x + s->first * stride, stride, s->count, cols, pass->batch->positions + s->first};
        probe->edit(probe->user, &(tb_probe_place){.block = pass->block, .span = i}, stage, &rows);
    }
}
