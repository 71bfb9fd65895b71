#include "quant/held_out.h"

#include <string.h>

#include "quant/ends.h"

unsigned tb_linear_bits(const tb_linear *linear, unsigned bits)
{
    return linear->has_gate && bits < TB_LEAST_GATE_BITS ? TB_LEAST_GATE_BITS : bits;
}

bool tb_is_held_out(const bool *listed, size_t which, const tb_linear *linear, tb_method method)
{
    return (listed && listed[which]) || (linear->has_gate && tb_method_get(method)->most_bits < TB_LEAST_GATE_BITS);
}

// What is stored: the source, or floats, since it is no longer what the source has.
static tb_matrix stored_matrix(const tb_matrix *source, const float *weights, tb_method method)
{
    tb_matrix scaled = {.type = TB_TYPE_F32, .rows = source->rows, .cols = source->cols, .data = weights};
    return tb_method_get(method)->scales_inputs ? scaled : *source;
}

tb_matrix tb_held_out_shape(const tb_matrix *source, tb_method method)
{
    tb_matrix stored = stored_matrix(source, NULL, method), shape = tb_end_shape(&stored, TB_MOST_END_BITS);
    return (tb_matrix){.type = shape.type, .rows = shape.rows, .cols = shape.cols};
}

static tb_code copy(tb_packed *out, const tb_matrix *from, tb_error *err)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, from);
    tb_code rc = tb_packed_init(out, from->type, from->rows, from->cols, from->planes, from->group, err);
    for (size_t i = 0; i < count && !rc; i++)
        memcpy(tb_packed_part(out, i), parts[i].data, parts[i].bytes);
    return rc;
}

tb_code tb_held_out_pack(tb_packed *out, tb_quant_report *report, const tb_matrix *source, const float *weights,
                         tb_method method, size_t threads, tb_error *err)
{
    tb_matrix stored = stored_matrix(source, weights, method), packed;
    *report = (tb_quant_report){0};
    tb_code rc = tb_end_convert(&packed, out, &stored, TB_MOST_END_BITS, threads, &report->nonfinite_weights, err);
    return rc || out->data ? rc : copy(out, &packed, err);
}
