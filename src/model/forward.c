// One block, for the rows of a batch:
//
//     n = norm(x)                       probe: input of q, k, v
//     q, k, v = Wq·n, Wk·n, Wv·n        (+ biases; norms of the heads; RoPE)
//     a = attention(q, keys, values)    probe: input of o
//     x += Wo·a                         (normed before)                      attention_part.c
//
//     n = norm(x)                       probe: input of gate, up
//     x += Wdown·(act(Wgate·n) ⊙ Wup·n) (normed before); probe: input of down      ffn_part.c
//
// What is in parentheses depends on the family (settings.h). Products go through tb_matmul;
// everything between them is done row by row, divided among threads by rows.
#include "model/forward.h"

void tb_forward_block(const tb_pass *pass)
{
    tb_forward_attention(pass);
    tb_forward_ffn(pass);
    tb_pass_edit(pass, TB_EDIT_RESIDUAL, pass->x, pass->runner->width_stride,
                 pass->runner->model->settings.config.width);
    tb_pass_show_residual(pass);
}
