// The feed-forward part of a block: dense. A mixture of experts branches here: a router, then gate, up and down of the
// experts that it chose (TB_LINEAR_… with an expert's number) over the rows that chose them.
#include "model/forward.h"

// gate = act(gate) ⊙ up
static void activate_rows(void *user, size_t begin, size_t end, size_t worker)
{
    const tb_pass *pass = user;
    const tb_runner *r = pass->runner;
    size_t n = r->model->settings.config.ffn_width;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *restrict gate = r->gate + t * r->ffn_stride;
        const float *restrict up = r->up + t * r->ffn_stride;
        if (r->model->settings.arch->activation == TB_GELU_TANH)
            for (size_t i = 0; i < n; i++)
                gate[i] = tb_gelu_tanh(gate[i]) * up[i];
        else
            for (size_t i = 0; i < n; i++)
                gate[i] = tb_silu(gate[i]) * up[i];
    }
}

void tb_forward_ffn(const tb_pass *pass)
{
    const tb_runner *r = pass->runner;
    const tb_config *config = &r->model->settings.config;
    tb_activations normed = tb_pass_input(pass, r->normed, r->width_stride, config->width);
    tb_activations hidden = tb_pass_input(pass, r->gate, r->ffn_stride, config->ffn_width);
    tb_pass_norm(pass, TB_INPUT_FFN);
    tb_pass_multiply(r->gate, r->ffn_stride, pass, TB_LINEAR_GATE, &normed);
    tb_pass_multiply(r->up, r->ffn_stride, pass, TB_LINEAR_UP, &normed);
    tb_pass_each_row(pass, activate_rows);
    tb_pass_show_input(pass, TB_INPUT_DOWN, r->gate, r->ffn_stride, config->ffn_width);
    tb_pass_multiply(r->delta, r->width_stride, pass, TB_LINEAR_DOWN, &hidden);
    tb_pass_edit(pass, TB_EDIT_FFN, r->delta, r->width_stride, config->width);
    tb_pass_add(pass, pass->weights->ffn_post_norm);
}
