// A block under way, and the steps that its parts are made of. Private to model.
#ifndef TB_MODEL_PASS_H
#define TB_MODEL_PASS_H

#include "model/runner.h"

enum { TB_ROW_GRAIN = 4 }; // rows that a thread takes at a time

// A block under way.
typedef struct tb_pass {
    const tb_runner *runner; // the workspace
    const tb_batch *batch;
    size_t block;
    const tb_block *weights;           // the block's own
    const tb_block_override *override; // or NULL
    const tb_probe *probe;             // or NULL
    float *x;                          // [rows][width_stride]: the residual stream, in place
} tb_pass;

// out = x/rms(x)·weight, all [n]; out may be x.
void tb_rms_norm(float *out, const tb_model *model, const float *x, const float *weight, size_t n);

// The norm in front of a part, or of the head: that, or the family's other kind of norm.
void tb_norm_row(float *out, const tb_model *model, const float *x, const float *weight, const tb_tanh_norm *tanh,
                 size_t n);

// `fn` on all rows of the batch, divided among threads by rows; its user is the pass.
void tb_pass_each_row(const tb_pass *pass, tb_range_fn fn);

// normed = norm(x), by the norm in front of `input`.
void tb_pass_norm(const tb_pass *pass, tb_linear_input input);

// An input of linears: x[rows] rows of `stride` floats, `cols` used. One for all that read it, which then share what
// kernels prepare; the next one takes its room.
tb_activations tb_pass_input(const tb_pass *pass, const float *x, size_t stride, size_t cols);

// y = matrix·x + bias, span by span: y[rows] rows of y_stride.
void tb_pass_multiply(float *y, size_t y_stride, const tb_pass *pass, tb_linear_kind kind, tb_activations *x);

// The same for one of several matrices of a kind and the first `count` rows of x, which are of one span.
void tb_pass_multiply_rows(float *y, size_t y_stride, const tb_pass *pass, tb_linear_kind kind, size_t expert,
                           tb_activations *x, size_t count);

// x += delta, normed before where `norm` [width] is not NULL.
void tb_pass_add(const tb_pass *pass, const float *norm);

// Lets the probe change an input of linears, x[rows] rows of `stride` floats, `cols` used, and see it; or shows it the
// residual stream. Before the first product: what kernels prepare of the input is kept for all of them.
// tb_pass_show_rows: rows of any, gathered by the caller.
void tb_pass_show_rows(const tb_pass *pass, const tb_probe_place *at, tb_linear_input input, const tb_edit_rows *rows);
void tb_pass_show_input(const tb_pass *pass, tb_linear_input input, float *x, size_t stride, size_t cols);
void tb_pass_show_residual(const tb_pass *pass);

// Lets the probe change x[rows] rows of `stride` floats, `cols` used.
// tb_pass_edit_rows: rows of any, gathered by the caller.
void tb_pass_edit_rows(const tb_pass *pass, const tb_probe_place *at, tb_edit_stage stage, const tb_edit_rows *rows);
void tb_pass_edit(const tb_pass *pass, tb_edit_stage stage, float *x, size_t stride, size_t cols);

#endif
