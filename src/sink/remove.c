#include "sink/remove.h"

tb_code tb_sink_removal_init(tb_sink_removal *r, tb_arena *arena, size_t most, size_t rows, tb_error *err)
{
    *r = (tb_sink_removal){.most = most, .rows = rows, .inputs = tb_arena_array(arena, most, rows * sizeof(float))};
    return r->inputs ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for the inputs of %zu weights", most);
}

void tb_sink_removal_see(tb_sink_removal *r, size_t block, const tb_probe_rows *x)
{
    for (size_t i = 0; i < r->count; i++)
        for (size_t t = 0; r->weights[i].block == block && t < x->rows; t++)
            r->inputs[i * r->rows + t] = x->x[t * x->stride + r->weights[i].col];
}

void tb_sink_removal_apply(const tb_sink_removal *r, size_t block, const tb_edit_rows *out)
{
    for (size_t i = 0; i < r->count; i++) {
        const tb_super_weight *w = &r->weights[i];
        for (size_t t = 0; w->block == block && t < out->rows; t++)
            out->x[t * out->stride + w->row] -= (float)w->weight * r->inputs[i * r->rows + t];
    }
}
