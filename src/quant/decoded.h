// The weights of a stored matrix as floats.
#ifndef TB_QUANT_DECODED_H
#define TB_QUANT_DECODED_H

#include "model/model.h"

// All values [rows][cols], new memory (tb_free).
tb_code tb_matrix_decode(float **out, const tb_model *model, const tb_matrix *matrix, tb_error *err);

// Replaces values that are not finite by 0; how many there were.
size_t tb_zero_nonfinite(float *values, size_t n);

#endif
